//! HTTP/1.1, carrier of REST: a pool of hyper's connections.

pub(crate) mod client;
mod connection;
pub(crate) mod failure;
mod idle;
mod places;
mod pool;

pub(crate) use places::default_connections;

use bytes::Bytes;
use http_body_util::{Either, Full};

use crate::json::JsonBody;
use crate::network::Alpn;

/// What a request carries: JSON that is put together while it is sent, bytes, or a stream of them.
pub(crate) type SentBody = Either<JsonBody, Either<Full<Bytes>, tonic::body::Body>>;

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
