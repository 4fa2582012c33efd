//! Connection: what a dial makes, before a byte of HTTP was sent on it.

use super::io::Io;

/// A connection on which not one byte of HTTP was sent.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) io: Io,
    /// ALPN agreed on HTTP/2.
    pub(crate) is_http2: bool,
    /// Who issued the peer's certificate.
    pub(crate) issuer: Option<Box<str>>,
    /// The peer asked for a client certificate, and there was none to show.
    pub(crate) wants_certificate: bool,
    /// How failures name the peer.
    pub(crate) hop: Box<str>,
}
