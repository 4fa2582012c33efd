//! Functions: those of RFC 2744 that are used, with their types in C.

use std::ffi::c_void;
use std::fmt;

use libloading::Library;

/// `gss_buffer_desc`.
#[repr(C)]
pub(super) struct Buffer {
    pub(super) length: usize,
    pub(super) value: *mut c_void,
}

impl Buffer {
    /// `GSS_C_GSS_CODE`, of `gss_display_status`.
    pub(super) const GSS_CODE: i32 = 1;
    /// `GSS_C_MECH_CODE`.
    pub(super) const MECHANISM_CODE: i32 = 2;
}

/// `gss_OID_desc`.
#[repr(C)]
pub(super) struct Oid {
    length: u32,
    elements: *const u8,
}

// SAFETY: it points to constants, which nobody writes.
unsafe impl Sync for Oid {}

impl Oid {
    #[expect(clippy::cast_possible_truncation, reason = "both are short")]
    const fn new(bytes: &'static [u8]) -> Self {
        Self { length: bytes.len() as u32, elements: bytes.as_ptr() }
    }
}

/// `gss_OID_set_desc`.
#[repr(C)]
pub(super) struct OidSet {
    pub(super) count: usize,
    pub(super) elements: *const Oid,
}

/// A name, a credential or a context: what it points to is the library's.
pub(super) type Handle = *mut c_void;

type ImportName = unsafe extern "C" fn(*mut u32, *const Buffer, *const Oid, *mut Handle) -> u32;
type DisplayName = unsafe extern "C" fn(*mut u32, Handle, *mut Buffer, *mut *const Oid) -> u32;
type Release = unsafe extern "C" fn(*mut u32, *mut Handle) -> u32;
type ReleaseBuffer = unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32;
type DeleteContext = unsafe extern "C" fn(*mut u32, *mut Handle, *mut Buffer) -> u32;
type DisplayStatus =
    unsafe extern "C" fn(*mut u32, u32, i32, *const Oid, *mut u32, *mut Buffer) -> u32;
type AcquireCredential = unsafe extern "C" fn(
    *mut u32,
    Handle,
    u32,
    *const OidSet,
    i32,
    *mut Handle,
    *mut *mut c_void,
    *mut u32,
) -> u32;
type InquireCredential = unsafe extern "C" fn(
    *mut u32,
    Handle,
    *mut Handle,
    *mut u32,
    *mut i32,
    *mut *mut c_void,
) -> u32;
type InitContext = unsafe extern "C" fn(
    *mut u32,
    Handle,
    *mut Handle,
    Handle,
    *const Oid,
    u32,
    u32,
    *mut c_void,
    *const Buffer,
    *mut *const Oid,
    *mut Buffer,
    *mut u32,
    *mut u32,
) -> u32;

/// What is used of a library, which stays loaded as long as this lives.
pub(super) struct Functions {
    pub(super) library: &'static str,
    pub(super) import_name: ImportName,
    pub(super) display_name: DisplayName,
    pub(super) release_name: Release,
    pub(super) acquire_cred: AcquireCredential,
    pub(super) inquire_cred: InquireCredential,
    pub(super) release_cred: Release,
    pub(super) init_sec_context: InitContext,
    pub(super) delete_sec_context: DeleteContext,
    pub(super) display_status: DisplayStatus,
    pub(super) release_buffer: ReleaseBuffer,
    _loaded: Library,
}

impl Functions {
    pub(super) fn load_from(name: &'static str) -> Result<Self, libloading::Error> {
        // SAFETY: the libraries of these names are GSSAPI's, whose start does nothing that could harm this process.
        let library = unsafe { Library::new(name) }?;
        /// A function of the library by its name.
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the type is that of RFC 2744, appendix A, for the function of this name.
                *unsafe { library.get($name) }?
            };
        }
        Ok(Self {
            library: name,
            import_name: function!(b"gss_import_name\0"),
            display_name: function!(b"gss_display_name\0"),
            release_name: function!(b"gss_release_name\0"),
            acquire_cred: function!(b"gss_acquire_cred\0"),
            inquire_cred: function!(b"gss_inquire_cred\0"),
            release_cred: function!(b"gss_release_cred\0"),
            init_sec_context: function!(b"gss_init_sec_context\0"),
            delete_sec_context: function!(b"gss_delete_sec_context\0"),
            display_status: function!(b"gss_display_status\0"),
            release_buffer: function!(b"gss_release_buffer\0"),
            _loaded: library,
        })
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions").field("library", &self.library).finish_non_exhaustive()
    }
}

/// Kerberos 5: 1.2.840.113554.1.2.2.
pub(super) static KRB5: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
/// `GSS_C_NT_HOSTBASED_SERVICE`: 1.2.840.113554.1.2.1.4.
pub(super) static SERVICE: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04");

/// `GSS_S_COMPLETE`.
pub(super) const COMPLETE: u32 = 0;
/// `GSS_C_INITIATE`: a credential to log in with.
pub(super) const INITIATE: i32 = 1;
/// No mutual authentication, which would take a second round; no delegation.
pub(super) const NO_FLAGS: u32 = 0;
/// `GSS_C_INDEFINITE`: as long as can be.
pub(super) const ALL_SECONDS: u32 = u32::MAX;
