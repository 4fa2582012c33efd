//! `SymptomKind`: the whole vocabulary, one row per failure: station, proof, text, advice.

/// How far a call had come when the network broke it, in the order of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Station {
    /// Looking up a name.
    Dns,
    /// Opening the TCP connection.
    Tcp,
    /// Asking the proxy for a tunnel.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Agreeing on HTTP/2 inside the handshake.
    Alpn,
    /// Waiting for the peer's HTTP/2 SETTINGS, before any request.
    Http2,
    /// The request was handed to the connection; no answer yet.
    Request,
    /// The head of an answer.
    Answer,
    /// The body of an answer.
    Body,
    /// The end of an answer.
    Trailers,
}

/// What a failure proves about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Proof {
    /// It never left this process.
    NotSent,
    /// The peer said, in a way the protocol guarantees, that it did not process it.
    Refused,
    /// Something on the way answered; whether the service saw the request is open.
    Answered,
    /// Nothing is known.
    Unknown,
    /// The service did the work.
    Processed,
}

/// Each way a network breaks a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SymptomKind {
    /// The name of the service, or of the proxy, has no address.
    NameNotFound,
    /// Nothing listens on the port.
    ConnectionRefused,
    /// No route, or a firewall said so (ICMP).
    Unreachable,
    /// The connection was reset before anything was said.
    ConnectReset,
    /// Packets vanish: a firewall drops them.
    ConnectTimeout,
    /// The proxy answered 407.
    ProxyAuthenticationRequired,
    /// The proxy answered 403, 405 or another 4xx.
    ProxyForbidden,
    /// The proxy answered 5xx, or its SOCKS5 reply says that the service was not reached.
    ProxyUpstreamFailed,
    /// The proxy answered 3xx: usually a login portal.
    ProxyRedirected,
    /// Any other answer that is not a 2xx: 400, 404, 501 of what is no proxy, or 511 of a portal.
    ProxyRejected,
    /// End of stream, or a reset, before the answer was complete.
    ProxyClosed,
    /// Not HTTP, or beyond the limits for an answer to CONNECT.
    ProxyMalformed,
    /// The proxy is silent.
    ProxyTimeout,
    /// The SOCKS5 reply names another failure, or no common login method, or is missing.
    SocksRefused,
    /// Usually an inspecting proxy whose root is not in the trust store.
    CertificateUnknownIssuer,
    /// Expired, or not valid yet.
    CertificateExpired,
    /// The certificate is not for the service.
    CertificateWrongName,
    /// Any other fault of the certificate.
    CertificateInvalid,
    /// The peer sent a TLS alert.
    TlsAlert,
    /// End of stream in the handshake.
    TlsClosed,
    /// Typical of deep packet inspection.
    TlsReset,
    /// The handshake did not end within the connect budget.
    TlsTimeout,
    /// Plain bytes where TLS was expected: a block page, or a plain HTTP port.
    NotTls,
    /// Any other fault of the handshake.
    TlsMalformed,
    /// ALPN chose HTTP/1.1, or nothing, or ended in `no_application_protocol`.
    Http2NotOffered,
    /// The peer took the HTTP/2 preface for a bad HTTP/1 request.
    Http1Answer,
    /// The first bytes are not an HTTP/2 SETTINGS frame.
    NotHttp2,
    /// End of stream before the peer's SETTINGS.
    ClosedBeforeSettings,
    /// Reset before the peer's SETTINGS.
    ResetBeforeSettings,
    /// The preface was swallowed.
    SettingsTimeout,
    /// The peer opened HTTP/2 only to close it.
    GoAwayAtStart,
    /// The connection closed before the request was given to it.
    NeverSent,
    /// `RST_STREAM` with `REFUSED_STREAM` (RFC 9113, section 8.7).
    StreamRefused,
    /// GOAWAY with `NO_ERROR` and a last stream below ours (RFC 9113, section 6.8).
    GoAwayGraceful,
    /// GOAWAY with an error and a last stream below ours.
    GoAwayUnprocessed,
    /// `RST_STREAM` or GOAWAY with `HTTP_1_1_REQUIRED`.
    Http11Required,
    /// `RST_STREAM` with any other reason, before an answer.
    StreamReset,
    /// End of stream, reset or broken pipe, before an answer.
    ConnectionLost,
    /// The connection is dead: no answer to an HTTP/2 PING, nor to a free call that others are answered.
    KeepAliveTimeout,
    /// No answer over gRPC, while the service answers over REST.
    Unanswered,
    /// The content type is not `application/grpc`.
    NotGrpc,
    /// A 3xx: never followed, since it would carry the key elsewhere.
    Redirected,
    /// A success without JSON: a block page or a portal.
    NotJson,
    /// An error status whose body is not the service's error JSON.
    ForeignError,
    /// An intermediary wrote the gRPC status (Envoy).
    ForgedStatus,
    /// The head of the answer cannot be read.
    AnswerMalformed,
    /// `RST_STREAM` after the head of the answer.
    BodyReset,
    /// End of stream or reset after the head of the answer.
    BodyLost,
    /// A frame, an event or a JSON text is cut.
    BodyTruncated,
    /// A frame or a JSON text breaks its own rules.
    BodyMalformed,
    /// Nothing arrived for longer than the idle limit of a stream.
    BodyStalled,
    /// The answer ended without `grpc-status`: a proxy that drops trailers.
    TrailersMissing,
}

impl SymptomKind {
    /// Every kind, in the order of the way.
    pub const ALL: &[Self] = &[
        Self::NameNotFound,
        Self::ConnectionRefused,
        Self::Unreachable,
        Self::ConnectReset,
        Self::ConnectTimeout,
        Self::ProxyAuthenticationRequired,
        Self::ProxyForbidden,
        Self::ProxyUpstreamFailed,
        Self::ProxyRedirected,
        Self::ProxyRejected,
        Self::ProxyClosed,
        Self::ProxyMalformed,
        Self::ProxyTimeout,
        Self::SocksRefused,
        Self::CertificateUnknownIssuer,
        Self::CertificateExpired,
        Self::CertificateWrongName,
        Self::CertificateInvalid,
        Self::TlsAlert,
        Self::TlsClosed,
        Self::TlsReset,
        Self::TlsTimeout,
        Self::NotTls,
        Self::TlsMalformed,
        Self::Http2NotOffered,
        Self::Http1Answer,
        Self::NotHttp2,
        Self::ClosedBeforeSettings,
        Self::ResetBeforeSettings,
        Self::SettingsTimeout,
        Self::GoAwayAtStart,
        Self::NeverSent,
        Self::StreamRefused,
        Self::GoAwayGraceful,
        Self::GoAwayUnprocessed,
        Self::Http11Required,
        Self::StreamReset,
        Self::ConnectionLost,
        Self::KeepAliveTimeout,
        Self::Unanswered,
        Self::NotGrpc,
        Self::Redirected,
        Self::NotJson,
        Self::ForeignError,
        Self::ForgedStatus,
        Self::AnswerMalformed,
        Self::BodyReset,
        Self::BodyLost,
        Self::BodyTruncated,
        Self::BodyMalformed,
        Self::BodyStalled,
        Self::TrailersMissing,
    ];

    /// How far the call had come.
    pub const fn station(self) -> Station {
        match self {
            Self::NameNotFound => Station::Dns,
            Self::ConnectionRefused
            | Self::Unreachable
            | Self::ConnectReset
            | Self::ConnectTimeout => Station::Tcp,
            Self::ProxyAuthenticationRequired
            | Self::ProxyForbidden
            | Self::ProxyUpstreamFailed
            | Self::ProxyRedirected
            | Self::ProxyRejected
            | Self::ProxyClosed
            | Self::ProxyMalformed
            | Self::ProxyTimeout
            | Self::SocksRefused => Station::Proxy,
            Self::CertificateUnknownIssuer
            | Self::CertificateExpired
            | Self::CertificateWrongName
            | Self::CertificateInvalid
            | Self::TlsAlert
            | Self::TlsClosed
            | Self::TlsReset
            | Self::TlsTimeout
            | Self::NotTls
            | Self::TlsMalformed => Station::Tls,
            Self::Http2NotOffered => Station::Alpn,
            Self::Http1Answer
            | Self::NotHttp2
            | Self::ClosedBeforeSettings
            | Self::ResetBeforeSettings
            | Self::SettingsTimeout
            | Self::GoAwayAtStart => Station::Http2,
            Self::NeverSent
            | Self::StreamRefused
            | Self::GoAwayGraceful
            | Self::GoAwayUnprocessed
            | Self::Http11Required
            | Self::StreamReset
            | Self::ConnectionLost
            | Self::KeepAliveTimeout
            | Self::Unanswered => Station::Request,
            Self::NotGrpc
            | Self::Redirected
            | Self::NotJson
            | Self::ForeignError
            | Self::ForgedStatus
            | Self::AnswerMalformed => Station::Answer,
            Self::BodyReset
            | Self::BodyLost
            | Self::BodyTruncated
            | Self::BodyMalformed
            | Self::BodyStalled => Station::Body,
            Self::TrailersMissing => Station::Trailers,
        }
    }

    /// What the failure proves about the request. A body that broke after a message proves more:
    /// see [`Symptom::proof`](crate::Symptom::proof).
    pub const fn proof(self) -> Proof {
        match self {
            Self::NameNotFound
            | Self::ConnectionRefused
            | Self::Unreachable
            | Self::ConnectReset
            | Self::ConnectTimeout
            | Self::ProxyAuthenticationRequired
            | Self::ProxyForbidden
            | Self::ProxyUpstreamFailed
            | Self::ProxyRedirected
            | Self::ProxyRejected
            | Self::ProxyClosed
            | Self::ProxyMalformed
            | Self::ProxyTimeout
            | Self::SocksRefused
            | Self::CertificateUnknownIssuer
            | Self::CertificateExpired
            | Self::CertificateWrongName
            | Self::CertificateInvalid
            | Self::TlsAlert
            | Self::TlsClosed
            | Self::TlsReset
            | Self::TlsTimeout
            | Self::NotTls
            | Self::TlsMalformed
            | Self::Http2NotOffered
            | Self::Http1Answer
            | Self::NotHttp2
            | Self::ClosedBeforeSettings
            | Self::ResetBeforeSettings
            | Self::SettingsTimeout
            | Self::GoAwayAtStart
            | Self::NeverSent => Proof::NotSent,
            Self::StreamRefused | Self::GoAwayGraceful | Self::GoAwayUnprocessed => Proof::Refused,
            Self::Http11Required
            | Self::StreamReset
            | Self::ConnectionLost
            | Self::KeepAliveTimeout
            | Self::Unanswered
            | Self::AnswerMalformed
            | Self::BodyReset
            | Self::BodyLost
            | Self::BodyTruncated
            | Self::BodyMalformed
            | Self::BodyStalled
            | Self::TrailersMissing => Proof::Unknown,
            Self::NotGrpc
            | Self::Redirected
            | Self::NotJson
            | Self::ForeignError
            | Self::ForgedStatus => Proof::Answered,
        }
    }

    /// What the peer did; reads on from the name of the hop.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::NameNotFound => "could not be found by name",
            Self::ConnectionRefused => "refused the connection",
            Self::Unreachable => "cannot be reached",
            Self::ConnectReset => "reset the connection while it was opened",
            Self::ConnectTimeout => "did not accept a connection in time",
            Self::ProxyAuthenticationRequired => "refused CONNECT and asks for a login",
            Self::ProxyForbidden => "refused CONNECT by its rules",
            Self::ProxyUpstreamFailed => "could not reach the service",
            Self::ProxyRedirected => "answered CONNECT with a redirect",
            Self::ProxyRejected => "answered CONNECT with an unexpected status",
            Self::ProxyClosed => "closed the connection instead of answering CONNECT",
            Self::ProxyMalformed => "gave no readable answer to CONNECT",
            Self::ProxyTimeout => "accepted the connection and did not answer CONNECT in time",
            Self::SocksRefused => "refused the SOCKS request",
            Self::CertificateUnknownIssuer => "showed a certificate of an unknown issuer",
            Self::CertificateExpired => "showed a certificate that is not valid now",
            Self::CertificateWrongName => "showed a certificate for another name",
            Self::CertificateInvalid => "showed a certificate that cannot be accepted",
            Self::TlsAlert => "refused the TLS handshake",
            Self::TlsClosed => "closed the connection during the TLS handshake",
            Self::TlsReset => "reset the connection during the TLS handshake",
            Self::TlsTimeout => "fell silent during the TLS handshake",
            Self::NotTls => "does not speak TLS",
            Self::TlsMalformed => "broke the rules of TLS",
            Self::Http2NotOffered => "does not offer HTTP/2",
            Self::Http1Answer => "answered HTTP/1.1 on an HTTP/2 connection",
            Self::NotHttp2 => "does not speak HTTP/2",
            Self::ClosedBeforeSettings => "closed the connection at the HTTP/2 preface",
            Self::ResetBeforeSettings => "reset the connection at the HTTP/2 preface",
            Self::SettingsTimeout => "never sent its HTTP/2 settings",
            Self::GoAwayAtStart => "sent GOAWAY before any request",
            Self::NeverSent => "closed the connection before the request was sent",
            Self::StreamRefused => "refused the stream unprocessed",
            Self::GoAwayGraceful => "is closing the connection and did not process the request",
            Self::GoAwayUnprocessed => "closed the connection and did not process the request",
            Self::Http11Required => "requires HTTP/1.1",
            Self::StreamReset => "reset the call",
            Self::ConnectionLost => "dropped the connection with the call on it",
            Self::KeepAliveTimeout => "fell silent with the call on the connection",
            Self::Unanswered => "swallowed the call",
            Self::NotGrpc => "answered with something that is not gRPC",
            Self::Redirected => "answered with a redirect",
            Self::NotJson => "answered with something that is not the service's JSON",
            Self::ForeignError => "answered with an error page",
            Self::ForgedStatus => "made up a gRPC status",
            Self::AnswerMalformed => "sent an answer that is not HTTP",
            Self::BodyReset => "reset the call in the middle of the answer",
            Self::BodyLost => "dropped the connection in the middle of the answer",
            Self::BodyTruncated => "ended the answer in the middle of a message",
            Self::BodyMalformed => "sent an answer that cannot be read",
            Self::BodyStalled => "stopped in the middle of the answer",
            Self::TrailersMissing => "lost the end of the answer",
        }
    }

    /// What a person can do about it.
    #[expect(clippy::too_many_lines, reason = "a table, one row for each remedy")]
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::NameNotFound => {
                "check the host name and the DNS server; behind a proxy, name the proxy (HTTPS_PROXY), with SOCKS as socks5h://, so that it looks the name up"
            }
            Self::ConnectionRefused
            | Self::Unreachable
            | Self::ConnectReset
            | Self::ConnectTimeout => {
                "check the address and the firewall; a company network often allows only its proxy: set HTTPS_PROXY"
            }
            Self::ProxyAuthenticationRequired => {
                "give the proxy's user and password: http://user:password@proxy:port, or the builder's proxy(); NTLM, Kerberos and Digest need a local helper proxy"
            }
            Self::ProxyRejected => {
                "check the proxy's address and port: what answers there may be no proxy for CONNECT, or a portal that wants a login in a browser first"
            }
            Self::ProxyForbidden => {
                "ask the network team to allow CONNECT to this host and port; the other transport takes the same way and does not help"
            }
            Self::ProxyUpstreamFailed => {
                "the proxy cannot reach the service: try again later, then ask the network team"
            }
            Self::ProxyRedirected | Self::Redirected => {
                "log in to the network's portal in a browser first"
            }
            Self::ProxyMalformed | Self::ProxyTimeout => {
                "check the proxy's address, port and scheme (http, https, socks5)"
            }
            Self::ProxyClosed => {
                "check the proxy's address, port and scheme (http, https, socks5); a proxy that cannot reach the service may close as well"
            }
            Self::SocksRefused => {
                "for a login write socks5h://user:password@proxy:port; else ask who runs the proxy whether it may and can reach this host and port"
            }
            Self::CertificateUnknownIssuer => {
                "a proxy inspects TLS: add its root certificate to the operating system's store, to SSL_CERT_FILE, or with add_root_certificates()"
            }
            Self::CertificateExpired => {
                "check the clock of this machine, then the certificate named above"
            }
            Self::CertificateWrongName | Self::CertificateInvalid => {
                "check the endpoint's host name; a proxy may be presenting a wrong certificate"
            }
            Self::TlsAlert
            | Self::TlsClosed
            | Self::TlsReset
            | Self::TlsTimeout
            | Self::NotTls
            | Self::TlsMalformed => {
                "something on the way blocks TLS to this host: ask the network team, and name the host"
            }
            Self::Http2NotOffered
            | Self::Http1Answer
            | Self::NotHttp2
            | Self::ClosedBeforeSettings
            | Self::ResetBeforeSettings
            | Self::SettingsTimeout
            | Self::GoAwayAtStart
            | Self::Http11Required => {
                "the network does not carry HTTP/2, which gRPC needs: use Transport::Auto or Transport::Rest"
            }
            Self::NeverSent
            | Self::StreamRefused
            | Self::GoAwayGraceful
            | Self::GoAwayUnprocessed => "nothing was processed: send the call again",
            Self::StreamReset
            | Self::ConnectionLost
            | Self::KeepAliveTimeout
            | Self::Unanswered
            | Self::BodyReset
            | Self::BodyLost
            | Self::BodyStalled => {
                "the service may have processed the call: send it again only if paying twice is acceptable"
            }
            Self::NotGrpc
            | Self::NotJson
            | Self::ForeignError
            | Self::ForgedStatus
            | Self::AnswerMalformed => {
                "something on the way answered in place of the service: the first bytes of its answer say who; ask the network team"
            }
            Self::BodyTruncated | Self::BodyMalformed | Self::TrailersMissing => {
                "the answer was damaged on the way: use Transport::Auto or Transport::Rest; the service has processed this call"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_before_http2_is_settled() {
        for kind in SymptomKind::ALL {
            let before = kind.station() < Station::Request;
            assert!(!before || kind.proof() == Proof::NotSent, "{kind:?}");
        }
    }

    #[test]
    fn kinds_stand_in_the_order_of_the_way() {
        assert!(SymptomKind::ALL.is_sorted_by_key(|kind| kind.station()));
    }
}
