//! Kinds: each way a network breaks a call, in one row.

use std::fmt;
use std::str::FromStr;

use super::row::{self, Again, Mark, Row, Station, symptoms};
use super::{Delivery, UnknownName};

// Each row: name, station, what it proves about the request, what it says of gRPC, where the call
// may go again; text, advice, and the advice where the proxy itself fails like that.
symptoms! {
    // An outage or a firewall: it meets both transports, and says nothing of gRPC.

    /// The name of the service, or of the proxy, has no address.
    NameNotFound = "name-not-found", Dns, NotSent, No, Other,
        "could not be resolved to an address", CHECK_NAME, PROXY_UNREACHABLE;
    /// Nothing listens on the port.
    ConnectionRefused = "connection-refused", Tcp, NotSent, No, Other,
        "refused the connection", CHECK_ADDRESS, PROXY_UNREACHABLE;
    /// No route, or a firewall said so (ICMP).
    Unreachable = "unreachable", Tcp, NotSent, No, Other,
        "cannot be reached", CHECK_ADDRESS, PROXY_UNREACHABLE;
    /// The connection was reset before anything was said.
    ConnectReset = "connect-reset", Tcp, NotSent, No, Other,
        "reset the connection while it was opened", CHECK_ADDRESS, PROXY_UNREACHABLE;
    /// No packet is answered: a firewall drops them.
    ConnectTimeout = "connect-timeout", Tcp, NotSent, No, Other,
        "did not accept a connection in time", CHECK_ADDRESS, PROXY_UNREACHABLE;

    // The other transport logs in alike, and a proxy that counts wrong logins locks the user out.

    /// The proxy answered 407.
    ProxyAuthenticationRequired = "proxy-authentication-required", Proxy, NotSent, No, Nowhere,
        "refused CONNECT and asks for a login", GIVE_LOGIN, SAME;

    // The tunnel is refused before anyone can know what it will carry.

    /// The proxy answered 403, 405 or another 4xx.
    ProxyForbidden = "proxy-forbidden", Proxy, NotSent, No, Other,
        "refused CONNECT", ASK_FOR_CONNECT, SAME;
    /// The proxy answered 5xx, or its SOCKS5 reply says that the service was not reached.
    ProxyUpstreamFailed = "proxy-upstream-failed", Proxy, NotSent, No, Other,
        "could not reach the service", PROXY_IS_CUT_OFF, SAME;
    /// The proxy answered 3xx: usually a login portal.
    ProxyRedirected = "proxy-redirected", Proxy, NotSent, No, Other,
        "answered CONNECT with a redirect", LOG_IN_TO_PORTAL, SAME;
    /// Any other answer that is not a 2xx: 400, 404 or 501 of a server that is not a proxy, or 511
    /// of a portal.
    ProxyRejected = "proxy-rejected", Proxy, NotSent, No, Other,
        "answered CONNECT with an unexpected status", CHECK_WHO_ANSWERS, SAME;
    /// The connection ended, or was reset, before the answer was complete.
    ProxyClosed = "proxy-closed", Proxy, NotSent, No, Other,
        "closed the connection instead of answering CONNECT", CHECK_SCHEME_OR_WAIT, SAME;
    /// The answer is not HTTP, or is beyond the limits for an answer to CONNECT.
    ProxyMalformed = "proxy-malformed", Proxy, NotSent, No, Other,
        "gave no readable answer to CONNECT", CHECK_SCHEME, SAME;
    /// The proxy did not answer.
    ProxyTimeout = "proxy-timeout", Proxy, NotSent, No, Other,
        "accepted the connection and did not answer CONNECT in time", CHECK_SCHEME, SAME;

    // The other transport logs in alike, and a proxy that counts wrong logins locks the user out.

    /// The SOCKS5 reply names another failure, names no common login method, or is missing.
    SocksRefused = "socks-refused", Proxy, NotSent, No, Nowhere,
        "refused the SOCKS request", CHECK_SOCKS, SAME;

    // Both transports trust the same roots.

    /// Usually a proxy that inspects TLS, whose root is not in the trust store.
    CertificateUnknownIssuer = "certificate-unknown-issuer", Tls, NotSent, No, Other,
        "showed a certificate of an unknown issuer", TRUST_ISSUER, TRUST_PROXY;
    /// The certificate has expired, or is not valid yet.
    CertificateExpired = "certificate-expired", Tls, NotSent, No, Other,
        "showed a certificate that is not valid now", CHECK_CLOCK, SAME;
    /// The certificate is not for the service.
    CertificateWrongName = "certificate-wrong-name", Tls, NotSent, No, Other,
        "showed a certificate for another name", CHECK_HOST, CHECK_PROXY_NAME;
    /// Any other fault of the certificate.
    CertificateInvalid = "certificate-invalid", Tls, NotSent, No, Other,
        "showed a certificate that cannot be accepted", CHECK_CERTIFICATE, CHECK_PROXY_NAME;

    // May be an inspection that dislikes the offer of h2, or an outage.

    /// The peer sent a TLS alert.
    TlsAlert = "tls-alert", Tls, NotSent, Ambiguous, Other,
        "refused the TLS handshake", TLS_IS_BLOCKED, TLS_TO_PROXY;
    /// The connection ended during the handshake.
    TlsClosed = "tls-closed", Tls, NotSent, Ambiguous, Other,
        "closed the connection during the TLS handshake", TLS_IS_BLOCKED, TLS_TO_PROXY;
    /// The connection was reset during the handshake, which is typical of deep packet inspection.
    TlsReset = "tls-reset", Tls, NotSent, Ambiguous, Other,
        "reset the connection during the TLS handshake", TLS_IS_BLOCKED, TLS_TO_PROXY;
    /// The handshake did not end within the connect timeout.
    TlsTimeout = "tls-timeout", Tls, NotSent, Ambiguous, Other,
        "fell silent during the TLS handshake", TLS_IS_BLOCKED, TLS_TO_PROXY;
    /// Plain bytes where TLS was expected: a block page, or a plain HTTP port.
    NotTls = "not-tls", Tls, NotSent, Ambiguous, Other,
        "does not speak TLS", TLS_IS_BLOCKED, TLS_TO_PROXY;
    /// Any other fault of the handshake.
    TlsMalformed = "tls-malformed", Tls, NotSent, Ambiguous, Other,
        "sent an invalid TLS message", TLS_IS_BLOCKED, TLS_TO_PROXY;

    // This way does not carry HTTP/2.

    /// ALPN chose HTTP/1.1, or nothing, or ended in `no_application_protocol`.
    Http2NotOffered = "http2-not-offered", Alpn, NotSent, Certain, Other,
        "does not offer HTTP/2", NO_HTTP2, SAME;
    /// The peer took the HTTP/2 preface for a bad HTTP/1 request.
    Http1Answer = "http1-answer", Http2, NotSent, Certain, Other,
        "answered HTTP/1.1 on an HTTP/2 connection", NO_HTTP2, SAME;
    /// The first bytes are not an HTTP/2 SETTINGS frame.
    NotHttp2 = "not-http2", Http2, NotSent, Certain, Other,
        "does not speak HTTP/2", NO_HTTP2, SAME;

    // HTTP/2 was agreed on and then denied: a middlebox, or a service going down.

    /// The connection ended before the peer's SETTINGS.
    ClosedBeforeSettings = "closed-before-settings", Http2, NotSent, Ambiguous, Other,
        "closed the connection after the HTTP/2 preface", NO_HTTP2, SAME;
    /// The connection was reset before the peer's SETTINGS.
    ResetBeforeSettings = "reset-before-settings", Http2, NotSent, Ambiguous, Other,
        "reset the connection after the HTTP/2 preface", NO_HTTP2, SAME;
    /// The peer did not answer the HTTP/2 preface.
    SettingsTimeout = "settings-timeout", Http2, NotSent, Ambiguous, Other,
        "never sent its HTTP/2 settings", NO_HTTP2, SAME;
    /// The peer opened HTTP/2 and closed it at once.
    GoAwayAtStart = "go-away-at-start", Http2, NotSent, Ambiguous, Other,
        "sent GOAWAY before any request", NO_HTTP2, SAME;
    /// A carrier of the program's own accepted no call, or did not connect.
    CarrierNotConnected = "carrier-not-connected", Http2, NotSent, Ambiguous, Other,
        "did not connect", CHECK_CARRIER, SAME;

    // Ordinary life of an HTTP/2 connection: another connection takes the call.

    /// The connection closed before the request was given to it.
    NeverSent = "never-sent", Request, NotSent, No, Same,
        "closed the connection before the request was sent", SEND_AGAIN, SAME;

    // The peer is full for a moment, or will have no gRPC at all.

    /// `RST_STREAM` with `REFUSED_STREAM` (RFC 9113, section 8.7).
    StreamRefused = "stream-refused", Request, Refused, Ambiguous, Same,
        "refused the stream and did not process the call", SEND_AGAIN, SAME;

    // Ordinary life of an HTTP/2 connection: another connection takes the call.

    /// GOAWAY with `NO_ERROR` and a last stream below ours (RFC 9113, section 6.8).
    GoAwayGraceful = "go-away-graceful", Request, Refused, No, Same,
        "is closing the connection and did not process the request", SEND_AGAIN, SAME;

    // The peer closes with an error: load, or a dislike of gRPC.

    /// GOAWAY with an error and a last stream below ours.
    GoAwayUnprocessed = "go-away-unprocessed", Request, Refused, Ambiguous, Other,
        "closed the connection and did not process the request", SEND_AGAIN, SAME;

    // The peer says so itself.

    /// `RST_STREAM` or GOAWAY with `HTTP_1_1_REQUIRED`.
    Http11Required = "http11-required", Request, Unknown, Certain, Other,
        "requires HTTP/1.1", NO_HTTP2, SAME;

    // A middlebox that cuts gRPC, or an ordinary loss.

    /// `RST_STREAM` with any other reason, before an answer.
    StreamReset = "stream-reset", Request, Unknown, Ambiguous, Other,
        "reset the call", MAY_BE_PROCESSED, SAME;
    /// The connection ended, was reset or broke, before an answer.
    ConnectionLost = "connection-lost", Request, Unknown, Ambiguous, Other,
        "closed the connection during the call", MAY_BE_PROCESSED, SAME;
    /// The connection is dead: it answers neither an HTTP/2 PING nor a free call, while the service
    /// answers free calls elsewhere.
    KeepAliveTimeout = "keep-alive-timeout", Request, Unknown, Ambiguous, Other,
        "stopped responding during the call", MAY_BE_PROCESSED, SAME;
    /// No answer over gRPC, while the service answers over REST.
    Unanswered = "unanswered", Request, Unknown, Ambiguous, Other,
        "took the call and did not answer", MAY_BE_PROCESSED, SAME;
    /// A carrier of the program's own says that the call was refused unprocessed.
    CarrierRefused = "carrier-refused", Request, Refused, Ambiguous, Other,
        "refused the call and did not process it", SEND_AGAIN, SAME;
    /// A carrier of the program's own failed, and nothing is known about the call.
    CarrierFailed = "carrier-failed", Request, Unknown, Ambiguous, Other,
        "failed during the call", MAY_BE_PROCESSED, SAME;

    // Something that does not speak gRPC answers in place of the service.

    /// The content type is not `application/grpc`.
    NotGrpc = "not-grpc", Answer, Answered, Certain, Other,
        "answered with something that is not gRPC", NOT_THE_SERVICE, SAME;
    /// A 3xx. The bridge never follows it, since that would carry the key elsewhere.
    Redirected = "redirected", Answer, Answered, Certain, Other,
        "answered with a redirect", LOG_IN_TO_PORTAL, SAME;

    // Met on REST.

    /// A success status without JSON: a block page or a portal.
    NotJson = "not-json", Answer, Answered, No, Other,
        "answered with something that is not the service's JSON", NOT_THE_SERVICE, SAME;
    /// An error status whose body is not the service's error JSON.
    ForeignError = "foreign-error", Answer, Answered, No, Other,
        "answered with an error page", NOT_THE_SERVICE, SAME;

    // An intermediary answers for its dead upstream, mostly on both transports; if REST works all
    // the same, gRPC is what it cannot carry.

    /// An intermediary wrote the gRPC status (Envoy).
    ForgedStatus = "forged-status", Answer, Answered, Ambiguous, Other,
        "sent a gRPC status in place of the service", NOT_THE_SERVICE, SAME;

    // The answer was cut: a limit of a middlebox, or an ordinary loss.

    /// The head of the answer cannot be read.
    AnswerMalformed = "answer-malformed", Answer, Unknown, Ambiguous, Other,
        "sent an answer that is not HTTP", NOT_THE_SERVICE, SAME;
    /// `RST_STREAM` after the head of the answer.
    BodyReset = "body-reset", Body, Unknown, Ambiguous, Other,
        "reset the call in the middle of the answer", MAY_BE_PROCESSED, SAME;
    /// The connection ended, or was reset, after the head of the answer.
    BodyLost = "body-lost", Body, Unknown, Ambiguous, Other,
        "dropped the connection in the middle of the answer", MAY_BE_PROCESSED, SAME;
    /// A frame, an event or a JSON text is incomplete.
    BodyTruncated = "body-truncated", Body, Unknown, Ambiguous, Other,
        "ended the answer before it was complete", DAMAGED, SAME;
    /// A frame or a JSON text breaks its own rules.
    BodyMalformed = "body-malformed", Body, Unknown, Ambiguous, Other,
        "sent an answer that cannot be read", DAMAGED, SAME;
    /// Nothing arrived for longer than the idle limit of a stream.
    BodyStalled = "body-stalled", Body, Unknown, Ambiguous, Other,
        "stopped in the middle of the answer", MAY_BE_PROCESSED, SAME;

    // A hop speaks HTTP/1 behind HTTP/2 and drops trailers.

    /// The answer ended without `grpc-status`: a proxy that drops trailers.
    TrailersMissing = "trailers-missing", Trailers, Unknown, Certain, Other,
        "ended the answer without trailers (grpc-status)", DAMAGED, SAME;
}

impl SymptomKind {
    /// Its name in kebab case, as [`FromStr`] reads it: a label for metrics and logs. The name does
    /// not change.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// How far the call had come.
    pub const fn station(self) -> Station {
        self.row().station
    }

    /// What the failure proves about the request. If an answer broke after a message, more is
    /// proven: see [`Symptom::delivery`](crate::Symptom::delivery).
    pub const fn delivery(self) -> Delivery {
        self.row().delivery
    }

    /// What it says about gRPC, where it was met on gRPC.
    pub(crate) const fn mark(self) -> Mark {
        self.row().mark
    }

    /// Where the call goes, if it may be sent again.
    pub(crate) const fn again(self) -> Again {
        self.row().again
    }
}

const _: () = row::check(&SymptomKind::ROWS);

impl fmt::Display for SymptomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SymptomKind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.iter().find(|kind| kind.name() == name);
        found.copied().ok_or_else(|| UnknownName::new("symptom", name))
    }
}

// What a person can do about it.

const CHECK_NAME: &str = "check the host name and the DNS server; behind a proxy, set HTTPS_PROXY; for SOCKS use socks5h://, so that the proxy resolves the name";
const CHECK_ADDRESS: &str = "check the address and the firewall; a company network often blocks direct connections: set HTTPS_PROXY";
const GIVE_LOGIN: &str =
    "give the login for the proxy, for instance in its URL: http://user:password@proxy:port";
const ASK_FOR_CONNECT: &str = "ask the network team to allow CONNECT to this host and port; the other transport uses the same proxy and does not help";
const PROXY_IS_CUT_OFF: &str =
    "the proxy cannot reach the service: try again later, then ask the network team";
const LOG_IN_TO_PORTAL: &str = "log in to the network's portal in a browser first";
const CHECK_WHO_ANSWERS: &str = "check the proxy's address and port: this server may not support CONNECT; if it is a login portal, log in with a browser first";
const CHECK_SCHEME_OR_WAIT: &str = "check the proxy's address, port and scheme (http, https, socks5); a proxy that cannot reach the service may also close the connection";
const CHECK_SCHEME: &str = "check the proxy's address, port and scheme (http, https, socks5)";
const CHECK_SOCKS: &str = "if the proxy asks for a login, write socks5h://user:password@proxy:port; else ask its administrator whether the proxy may reach this host and port";
const TRUST_ISSUER: &str = "a proxy inspects TLS: add its root certificate to the operating system's store, or give it to this program (`BridgeBuilder::add_root_certificates`)";
const CHECK_CLOCK: &str =
    "check the clock of this machine, then the certificate that the error names";
const CHECK_HOST: &str =
    "check the endpoint's host name; a proxy may be presenting a wrong certificate";
const CHECK_CERTIFICATE: &str = "look at the certificate that this host shows; a proxy may be presenting a wrong one: ask the network team";
const TLS_IS_BLOCKED: &str =
    "something on the way blocks TLS to this host: ask the network team, and name the host";
const NO_HTTP2: &str = "the network does not carry HTTP/2, which gRPC needs: ask the network team to let HTTP/2 through to this host";
const CHECK_CARRIER: &str =
    "your carrier did not connect: check its own settings for proxy, roots and address";
const SEND_AGAIN: &str = "nothing was processed: send the call again";
const MAY_BE_PROCESSED: &str =
    "the service may have processed the call: send it again only if paying twice is acceptable";
const NOT_THE_SERVICE: &str = "something on the way answered in place of the service, and the error quotes it: ask the network team";
const DAMAGED: &str = "the answer was damaged on the way, and the service may have processed the call: send it again only if paying twice is acceptable";

// What a person can do where the proxy itself fails, before it is asked for a tunnel.

/// The peer makes no difference.
const SAME: Option<&str> = None;
const PROXY_UNREACHABLE: Option<&str> = Some(
    "the proxy itself cannot be reached: check its address and port, whether it runs, and whether this machine is in its network",
);
const TRUST_PROXY: Option<&str> = Some(
    "the proxy's URL says https://, and its certificate is not trusted: add its root certificate to the operating system's store, or give it to this program (`BridgeBuilder::add_root_certificates`)",
);
const CHECK_PROXY_NAME: Option<&str> = Some(
    "write the proxy's name in its URL as in its certificate, or ask the proxy's administrator for a valid certificate",
);
const TLS_TO_PROXY: Option<&str> = Some(
    "https:// in the proxy's URL means TLS to the proxy itself, which few proxies support: try http://; the connection to the service still uses TLS",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for kind in SymptomKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(*kind));
        }
        let unknown = "no-such-thing".parse::<SymptomKind>().expect_err("unknown");
        assert_eq!(unknown.to_string(), r#"no symptom is called "no-such-thing""#);
    }
}
