//! HTTP/1.1, carrier of REST: hyper's pooling client on our own connections.

pub(crate) mod client;
mod dialler;
pub(crate) mod failure;
mod places;

pub(crate) use places::default_connections;

use crate::network::Alpn;

/// The versions of HTTP that are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpVersions {
    /// HTTP/1.1 only.
    One,
    /// HTTP/2 and HTTP/1.1.
    Any,
}

impl HttpVersions {
    const fn alpn(self) -> Alpn {
        match self {
            Self::One => Alpn::Http1,
            Self::Any => Alpn::Any,
        }
    }
}
