//! ALPN: which version of HTTP a connection is for.

/// Which version of HTTP the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// HTTP/2 or nothing; on a plain connection with prior knowledge.
    Http2,
    /// HTTP/1.1 only.
    Http1,
    /// Whichever the peer prefers; HTTP/1.1 on a plain connection.
    Any,
}
