//! Login: how the bridge logs in at an HTTP proxy: which schemes it may use, and what it has learnt there.

mod challenge;
mod custom;
#[cfg(feature = "digest")]
mod digest;
#[cfg(not(feature = "digest"))]
#[path = "no_digest.rs"]
mod digest;
mod hosts;
mod memory;
#[cfg(all(feature = "negotiate", unix, not(target_vendor = "apple")))]
mod negotiate;
#[cfg(not(all(feature = "negotiate", unix, not(target_vendor = "apple"))))]
#[path = "no_negotiate.rs"]
mod negotiate;
mod rounds;

use std::fmt;

use http::HeaderValue;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

pub use custom::{ProxyLogin, ProxyTunnel};

pub(super) use challenge::Challenge;
pub(super) use custom::Custom;
pub(super) use hosts::KerberosHosts;
pub(super) use rounds::{Rounds, Trouble};

use digest::Digest;
use memory::{Memory, Standing};
use negotiate::Negotiate;

/// The login at one proxy: the schemes that may be used, strongest first, and what was learnt.
#[derive(Debug, Default)]
pub(crate) struct Login {
    schemes: Vec<Scheme>,
    memory: Memory,
    /// Held by the dial that finds out whether the login is good.
    turn: Mutex<()>,
    /// What a page of the proxy must not repeat.
    password: Option<Password>,
}

/// A scheme that may be used, with what it needs.
#[derive(Debug)]
pub(super) enum Scheme {
    /// The program's own: chosen on purpose, so it comes first.
    Custom(Custom),
    Negotiate(Negotiate),
    Digest(Digest),
    Basic(HeaderValue),
}

impl Login {
    /// With these logins: the program's own, then Kerberos at the host of that name, then user and password.
    pub(super) fn new(
        custom: Vec<Custom>,
        kerberos: Option<&str>,
        password: Option<Password>,
    ) -> Self {
        let mut schemes: Vec<_> = custom.into_iter().map(Scheme::Custom).collect();
        schemes.extend(kerberos.and_then(Negotiate::new).map(Scheme::Negotiate));
        schemes.extend(password.as_ref().and_then(Digest::new).map(Scheme::Digest));
        schemes.extend(password.as_ref().and_then(Password::basic).map(Scheme::Basic));
        Self { schemes, password, ..Self::default() }
    }

    /// Whether there is anything to log in with.
    pub(super) fn is_given(&self) -> bool {
        !self.schemes.is_empty()
    }

    /// `None` where the login is known to be good, or none will be sent. Whoever waits until the deadline goes on
    /// without: nothing is left of its time.
    async fn turn(&self, deadline: Instant) -> Option<MutexGuard<'_, ()>> {
        if self.is_good() || !self.is_given() || self.memory.holds_back(Instant::now()) {
            return None;
        }
        let turn = timeout_at(deadline, self.turn.lock()).await.ok();
        turn.filter(|_| !self.is_good())
    }

    /// What the last dial met here, for a person; `None` if the proxy asked for nothing.
    pub(super) async fn describe(&self) -> Option<String> {
        let (offered, passed_over) = self.memory.noted();
        if offered.is_empty() {
            return None;
        }
        let mut told = vec![format!("it offers {}", offered.join(", "))];
        // What keeps the login from coming about is told by its error.
        if let Standing::Opened(Some(place)) = self.memory.standing() {
            told.extend(passed_over.iter().map(|why| format!("not used: {why}")));
            let used = self.schemes.get(place).map_or("", Scheme::name);
            told.push(format!("{used} is the strongest of them that may be used, and is accepted"));
        }
        for scheme in &self.schemes {
            if let Scheme::Negotiate(negotiate) = scheme {
                told.extend(negotiate.describe(&passed_over).await);
            }
        }
        Some(told.join("; "))
    }

    fn is_good(&self) -> bool {
        matches!(self.memory.standing(), Standing::Opened(_))
    }
}

impl Scheme {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Custom(custom) => custom.scheme(),
            Self::Negotiate(_) => "Negotiate",
            Self::Digest(_) => "Digest",
            Self::Basic(_) => "Basic",
        }
    }

    /// Whether it needs no challenge.
    fn can_speak_first(&self) -> bool {
        match self {
            Self::Custom(_) => false,
            Self::Digest(digest) => digest.speaks_first(),
            Self::Negotiate(_) | Self::Basic(_) => true,
        }
    }

    /// Whether its rounds belong to one connection, as NTLM's do.
    fn is_bound_to_connection(&self) -> bool {
        match self {
            Self::Custom(_) => true,
            Self::Negotiate(_) | Self::Digest(_) | Self::Basic(_) => false,
        }
    }
}

/// User and password for a proxy.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password {
    pub(super) user: String,
    pub(super) password: String,
}

impl Password {
    /// The value of `proxy-authorization` (RFC 7617); base64 is always a legal header.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let plain = format!("{}:{}", self.user, self.password);
        let encoded = base64_simd::STANDARD.encode_to_string(plain);
        let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}
