//! Password: user and password for a proxy.

use std::fmt;

use http::HeaderValue;

/// User and password for a proxy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Password {
    /// The value of `proxy-authorization` (RFC 7617); base64 is always a legal header.
    pub(crate) fn basic(&self) -> Option<HeaderValue> {
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
