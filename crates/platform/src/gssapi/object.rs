//! Object: what the library allocates, released when it goes out of use.

use std::ptr::null_mut;

use super::functions::{ALL_SECONDS, Buffer, COMPLETE, Functions, Handle, Oid, OidSet};

/// Codes of a failure: GSSAPI's and the mechanism's.
type Codes = (u32, u32);

/// Something of the library's, and how it is released.
pub(super) struct Owned<'a, T> {
    functions: &'a Functions,
    value: T,
    release: fn(&Functions, &mut T),
}

impl<T> Owned<'_, T> {
    /// Where the library puts it.
    pub(super) fn place(&mut self) -> *mut T {
        &raw mut self.value
    }
}

impl<T> Drop for Owned<'_, T> {
    fn drop(&mut self) {
        (self.release)(self.functions, &mut self.value);
    }
}

impl<'a> Owned<'a, Handle> {
    /// A security context, which does not exist yet.
    pub(super) fn context(functions: &'a Functions) -> Self {
        let release = |functions: &Functions, context: &mut Handle| {
            if !context.is_null() {
                let mut minor = 0;
                // SAFETY: the library made it, and nobody uses it any more; no token is wanted.
                unsafe {
                    (functions.delete_sec_context)(&raw mut minor, context, null_mut());
                }
            }
        };
        Self { functions, value: null_mut(), release }
    }

    fn name(functions: &'a Functions) -> Self {
        let release = |functions: &Functions, name: &mut Handle| {
            if !name.is_null() {
                let mut minor = 0;
                // SAFETY: the library made it, and nobody uses it any more.
                unsafe {
                    (functions.release_name)(&raw mut minor, name);
                }
            }
        };
        Self { functions, value: null_mut(), release }
    }

    fn credential(functions: &'a Functions) -> Self {
        let release = |functions: &Functions, credential: &mut Handle| {
            if !credential.is_null() {
                let mut minor = 0;
                // SAFETY: the library made it, and nobody uses it any more.
                unsafe {
                    (functions.release_cred)(&raw mut minor, credential);
                }
            }
        };
        Self { functions, value: null_mut(), release }
    }
}

impl<'a> Owned<'a, Buffer> {
    /// A buffer for the library to fill.
    pub(super) fn buffer(functions: &'a Functions) -> Self {
        let release = |functions: &Functions, buffer: &mut Buffer| {
            if !buffer.value.is_null() {
                let mut minor = 0;
                // SAFETY: the library filled it, and nobody reads it any more.
                unsafe {
                    (functions.release_buffer)(&raw mut minor, buffer);
                }
            }
        };
        Self { functions, value: Buffer { length: 0, value: null_mut() }, release }
    }

    /// What the library wrote.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.value.value.is_null() {
            return &[];
        }
        // SAFETY: the library says that so many bytes stand there, and they are its own until `self` is dropped.
        unsafe { std::slice::from_raw_parts(self.value.value.cast(), self.value.length) }
    }
}

/// The name of a user or of a service.
pub(super) struct Name<'a>(Owned<'a, Handle>);

impl<'a> Name<'a> {
    pub(super) fn import(functions: &'a Functions, text: &str, kind: &Oid) -> Result<Self, Codes> {
        let (mut minor, mut name) = (0, Owned::name(functions));
        let text = Buffer { length: text.len(), value: text.as_ptr().cast_mut().cast() };
        // SAFETY: the text is only read, and lives long enough; see RFC 2744, section 5.16.
        let major =
            unsafe { (functions.import_name)(&raw mut minor, &raw const text, kind, name.place()) };
        if major == COMPLETE { Ok(Self(name)) } else { Err((major, minor)) }
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.value
    }

    /// For a person; empty if the library cannot say it.
    pub(super) fn display(&self) -> String {
        let functions = self.0.functions;
        let (mut minor, mut text) = (0, Owned::buffer(functions));
        // SAFETY: the name is alive; the kind of the name is not asked for (RFC 2744, section 5.10).
        unsafe {
            (functions.display_name)(&raw mut minor, self.handle(), text.place(), null_mut());
        }
        String::from_utf8_lossy(text.bytes()).into_owned()
    }
}

/// What the user logs in with.
pub(super) struct Credential<'a>(Owned<'a, Handle>);

impl<'a> Credential<'a> {
    /// The default one for a mechanism.
    pub(super) fn acquire_for(
        functions: &'a Functions,
        mechanism: &Oid,
        usage: i32,
    ) -> Result<Self, Codes> {
        let (mut minor, mut credential) = (0, Owned::credential(functions));
        let mechanisms = OidSet { count: 1, elements: mechanism };
        // SAFETY: the set lives long enough and is only read; the rest may be null (RFC 2744, section 5.2).
        let major = unsafe {
            (functions.acquire_cred)(
                &raw mut minor,
                null_mut(),
                ALL_SECONDS,
                &raw const mechanisms,
                usage,
                credential.place(),
                null_mut(),
                null_mut(),
            )
        };
        if major == COMPLETE { Ok(Self(credential)) } else { Err((major, minor)) }
    }

    /// Whose it is, and for how many seconds it is good.
    pub(super) fn inquire(&self) -> Result<(Name<'a>, u32), Codes> {
        let functions = self.0.functions;
        let (mut minor, mut seconds, mut name) = (0, 0, Owned::name(functions));
        // SAFETY: the credential is alive; usage and mechanisms are not asked for (RFC 2744, section 5.21).
        let major = unsafe {
            (functions.inquire_cred)(
                &raw mut minor,
                self.handle(),
                name.place(),
                &raw mut seconds,
                null_mut(),
                null_mut(),
            )
        };
        if major == COMPLETE { Ok((Name(name), seconds)) } else { Err((major, minor)) }
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.value
    }

    pub(super) fn functions(&self) -> &'a Functions {
        self.0.functions
    }
}
