//! GSSAPI (RFC 2744) of MIT or Heimdal, found at run time: tokens of Kerberos for an HTTP proxy.
//!
//! The mechanism is Kerberos and nothing else, so that no password's hash can go out as NTLM; nothing is delegated.
//! All calls block: they may ask name servers and a KDC.

mod functions;
mod object;

use std::fmt;
use std::time::Duration;

use functions::{ALL_SECONDS, Buffer, COMPLETE, Functions, INITIATE, KRB5, NO_FLAGS, SERVICE};
use object::{Credential, Name, Owned};

/// The library, loaded.
#[derive(Debug)]
pub struct Gssapi {
    functions: Functions,
}

/// The ticket that the user has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ticket {
    /// Whose it is, such as `alice@CORP.EXAMPLE`.
    pub principal: String,
    /// For how long it is good; `None` without end.
    pub lifetime: Option<Duration>,
}

impl Gssapi {
    /// Looks for the library where the system looks for libraries.
    ///
    /// # Errors
    /// There is none.
    pub fn load() -> Result<Self, Failure> {
        Functions::load().map(|functions| Self { functions })
    }

    /// The file name of the library.
    pub fn library(&self) -> &'static str {
        self.functions.library
    }

    /// The first token of Kerberos for the service `HTTP` on `host`, as its proxy wants it.
    ///
    /// # Errors
    /// There is no ticket, or the KDC gives none for that service.
    pub fn token(&self, host: &str) -> Result<Vec<u8>, Failure> {
        let name = Name::of_service(&self.functions, &format!("HTTP@{host}"))?;
        let credential = Credential::acquire(&self.functions)?;
        let mut context = Owned::context(&self.functions);
        let (mut minor, mut token) = (0, Owned::buffer(&self.functions));
        // SAFETY: every pointer is to a live value of the type that the function wants, or null where RFC 2744, section
        // 5.19, allows it; what it allocates is released by `Owned`.
        let major = unsafe {
            (self.functions.init_sec_context)(
                &raw mut minor,
                credential.handle(),
                context.place(),
                name.handle(),
                &raw const KRB5,
                NO_FLAGS,
                ALL_SECONDS,
                std::ptr::null_mut(),
                std::ptr::null(),
                std::ptr::null_mut(),
                token.place(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        // Without mutual authentication there is nothing to wait for.
        if major != COMPLETE {
            return Err(self.functions.failure(major, minor));
        }
        Ok(token.bytes().to_vec())
    }

    /// The user's ticket.
    ///
    /// # Errors
    /// There is none, or it has expired.
    pub fn ticket(&self) -> Result<Ticket, Failure> {
        Credential::acquire(&self.functions)?.describe()
    }
}

/// Why there is no token, in GSSAPI's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    text: String,
}

/// What kept a token from coming about, as far as its codes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// No library for GSSAPI on this machine.
    NoLibrary,
    /// The user has no ticket.
    NoTicket,
    /// The ticket has expired.
    Expired,
    /// The KDC does not know the proxy's name as a service.
    UnknownService,
    /// No KDC could be asked.
    KdcUnreachable,
    /// Anything else.
    Other,
}

impl Failure {
    fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// As far as the codes tell.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl FailureKind {
    /// By the routine error of RFC 2744, section 3.9.1, then by the codes of Kerberos, which MIT and Heimdal share.
    fn of(major: u32, minor: u32) -> Self {
        match (routine_error(major), minor.cast_signed()) {
            (_, -1_765_328_352) | (EXPIRED, _) => Self::Expired,
            (_, -1_765_328_377) => Self::UnknownService,
            (_, -1_765_328_228 | -1_765_328_164) => Self::KdcUnreachable,
            (7 | 9, _) | (_, -1_765_328_243 | -1_765_328_189) => Self::NoTicket,
            _ => Self::Other,
        }
    }
}

fn routine_error(major: u32) -> u32 {
    major >> 16 & 0xff
}

/// `GSS_S_CREDENTIALS_EXPIRED`.
const EXPIRED: u32 = 11;

/// The libraries of MIT and Heimdal.
const LIBRARIES: [&str; 2] = ["libgssapi_krb5.so.2", "libgssapi.so.3"];

impl Functions {
    fn load() -> Result<Self, Failure> {
        let found = LIBRARIES.iter().find_map(|name| Self::load_from(name).ok());
        let none = || {
            let text = format!(
                "no library for GSSAPI on this machine: looked for {}",
                LIBRARIES.join(" and ")
            );
            Failure::new(FailureKind::NoLibrary, text)
        };
        found.ok_or_else(none)
    }

    fn failure(&self, major: u32, minor: u32) -> Failure {
        // The words of the mechanism say more than GSSAPI's own, but for an expired credential, of which they say "Success".
        let mut codes = [(minor, Buffer::MECHANISM_CODE), (major, Buffer::GSS_CODE)];
        if routine_error(major) == EXPIRED {
            codes.reverse();
        }
        let text = codes
            .into_iter()
            .filter(|(code, _)| *code != 0)
            .filter_map(|(code, kind)| self.describe(code, kind))
            .find(|text| !text.is_empty());
        let text = text.unwrap_or_else(|| format!("GSSAPI failed with {major:#x}, {minor:#x}"));
        Failure::new(FailureKind::of(major, minor), text)
    }

    fn describe(&self, code: u32, kind: i32) -> Option<String> {
        let (mut minor, mut more, mut text) = (0, 0, Owned::buffer(self));
        // SAFETY: as RFC 2744, section 5.11, wants it; the buffer is released by `Owned`.
        let major = unsafe {
            (self.display_status)(
                &raw mut minor,
                code,
                kind,
                &raw const KRB5,
                &raw mut more,
                text.place(),
            )
        };
        (major == COMPLETE).then(|| String::from_utf8_lossy(text.bytes()).trim().to_owned())
    }
}

impl Credential<'_> {
    fn acquire(functions: &Functions) -> Result<Credential<'_>, Failure> {
        Credential::acquire_for(functions, &KRB5, INITIATE)
            .map_err(|(major, minor)| functions.failure(major, minor))
    }

    fn describe(&self) -> Result<Ticket, Failure> {
        let (name, seconds) =
            self.inquire().map_err(|(major, minor)| self.functions().failure(major, minor))?;
        if seconds == 0 {
            return Err(Failure::new(FailureKind::Expired, "the ticket has expired"));
        }
        let lifetime = (seconds != ALL_SECONDS).then(|| Duration::from_secs(seconds.into()));
        Ok(Ticket { principal: name.display(), lifetime })
    }
}

impl Name<'_> {
    fn of_service<'a>(functions: &'a Functions, text: &str) -> Result<Name<'a>, Failure> {
        Name::import(functions, text, &SERVICE)
            .map_err(|(major, minor)| functions.failure(major, minor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_libraries_are_told_apart() {
        for (major, minor, kind) in [
            (0x0007_0000, 0, FailureKind::NoTicket),
            (0x000d_0000, -1_765_328_189, FailureKind::NoTicket),
            (0x000d_0000, -1_765_328_243, FailureKind::NoTicket),
            (0x000b_0000, 0, FailureKind::Expired),
            (0x000d_0000, -1_765_328_352, FailureKind::Expired),
            (0x000d_0000, -1_765_328_377, FailureKind::UnknownService),
            (0x000d_0000, -1_765_328_228, FailureKind::KdcUnreachable),
            (0x000d_0000, 5, FailureKind::Other),
            (0x0001_0000, 0, FailureKind::Other),
        ] {
            assert_eq!(
                FailureKind::of(major, i32::cast_unsigned(minor)),
                kind,
                "{major:#x} {minor}"
            );
        }
    }

    /// Whichever of them is there, with or without a ticket: an answer in words.
    #[test]
    fn a_service_that_no_realm_has_is_told_in_words() {
        // One library alone, as a program loads it: MIT's and Heimdal's do not bear each other in one process.
        let Some(functions) = LIBRARIES.iter().find_map(|name| Functions::load_from(name).ok())
        else {
            return;
        };
        let gssapi = Gssapi { functions };
        let failure = gssapi.token("proxy.invalid").expect_err("no realm has this name");
        assert!(!failure.to_string().is_empty(), "{}: {failure:?}", gssapi.library());
    }
}
