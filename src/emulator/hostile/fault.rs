//! Fault: the names of what networks do to gRPC, in the order of the way.

use super::stages::Stages;

/// What a [`HostileProxy`](super::HostileProxy) does to those who use it.
///
/// Faults affect gRPC or HTTP/2, as in real networks, and let REST over HTTP/1.1 pass; those that
/// also hit REST say so. Up to `NoApplicationProtocol`, and with the three `TunnelIdle…` faults,
/// the proxy does not read TLS. With all later faults it inspects TLS, so the client must trust the
/// proxy's root certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// None: CONNECT is granted and bytes pass (squid, Apache, Envoy).
    Pass,
    /// None: CONNECT is granted with `HTTP/1.0 200` (tinyproxy).
    ConnectHttp10,
    /// None: CONNECT is granted with 201; any 2xx will do, but some clients insist on 200.
    ConnectCreated,
    /// None: the answer to CONNECT comes in two segments (any proxy under load).
    ConnectSplit,
    /// CONNECT is answered 403 (squid `http_access deny`). Hits REST as well.
    ConnectForbidden,
    /// CONNECT is answered 407 and asks for Basic, whatever login is given (squid). Hits REST as
    /// well.
    ConnectLoginRequired,
    /// CONNECT is answered 407 and asks for Kerberos or NTLM (company proxies). Hits REST as well.
    ConnectNegotiateRequired,
    /// CONNECT is answered 405 (Apache with `ProxyRequests Off`). Hits REST as well.
    ConnectNotAllowed,
    /// CONNECT is answered 502 (a proxy that finds no way on). Hits REST as well.
    ConnectBadGateway,
    /// CONNECT is answered 503 (squid, Envoy: the service cannot be reached). Hits REST as well.
    ConnectUnavailable,
    /// CONNECT is answered 302 to a login page (captive portals). Hits REST as well.
    ConnectRedirected,
    /// CONNECT is answered 200 with a page in place of a tunnel (captive portals). Hits REST as
    /// well.
    ConnectPage,
    /// CONNECT is answered with something that is not HTTP (an SSH port). Hits REST as well.
    ConnectGarbage,
    /// CONNECT is not answered (a firewall that accepts for others). Hits REST as well.
    ConnectSilence,
    /// CONNECT ends the connection (haproxy, squid `ssl_bump terminate`). Hits REST as well.
    ConnectClosed,
    /// CONNECT resets the connection (firewalls). Hits REST as well.
    ConnectReset,
    /// The TLS handshake ends the connection (name filters). Hits REST as well.
    HandshakeClosed,
    /// The TLS handshake resets the connection (deep packet inspection). Hits REST as well.
    HandshakeReset,
    /// The TLS handshake is not answered (deep packet inspection). Hits REST as well.
    HandshakeSilence,
    /// The TLS handshake is refused with an alert (firewalls that block a category). Hits REST as
    /// well.
    HandshakeAlert,
    /// The TLS handshake is answered by a page in plain text (older filters). Hits REST as well.
    HandshakePage,
    /// A handshake that offers HTTP/2 ends the connection (deep packet inspection).
    Http2HelloClosed,
    /// A handshake that offers HTTP/2 resets the connection (deep packet inspection).
    Http2HelloReset,
    /// A handshake that offers HTTP/2 is not answered (deep packet inspection).
    Http2HelloSilence,
    /// A handshake that offers HTTP/2 gets `no_application_protocol` (nginx without http2).
    NoApplicationProtocol,
    /// A tunnel without traffic falls silent (firewalls that forget a connection). Hits REST as
    /// well.
    TunnelIdleSilence,
    /// A tunnel without traffic is closed (squid, tinyproxy). Hits REST as well.
    TunnelIdleClosed,
    /// A tunnel without traffic is reset (load balancers). Hits REST as well.
    TunnelIdleReset,
    /// None: TLS is inspected and everything passes (mitmproxy).
    Inspect,
    /// TLS is inspected without ALPN, so that HTTP/2 is never agreed (squid `ssl-bump`, Zscaler).
    InspectWithoutAlpn,
    /// TLS is inspected with HTTP/1.1 only (haproxy, Stormshield's default, `FortiGate` by option).
    InspectHttp1,
    /// TLS is inspected under an authority that nobody trusts. Hits REST as well.
    InspectUnknownIssuer,
    /// TLS is inspected with a certificate that has expired. Hits REST as well.
    InspectExpired,
    /// TLS is inspected with a certificate for another name. Hits REST as well.
    InspectWrongName,
    /// HTTP/2 is agreed and its preface answered with `HTTP/1.1 400` (web servers behind a TLS
    /// offloader).
    Http1Answer,
    /// HTTP/2 is agreed and its preface answered with something else (antivirus software).
    PrefaceGarbage,
    /// HTTP/2 is agreed and its preface ends the connection (inspecting firewalls).
    ClosedAfterPreface,
    /// HTTP/2 is agreed and its preface resets the connection (inspecting firewalls).
    ResetAfterPreface,
    /// HTTP/2 is agreed and its preface swallowed: SETTINGS never come (inspecting firewalls).
    PrefaceSwallowed,
    /// SETTINGS come and then nothing, not even the answer to a PING (a peer that died).
    SettingsThenSilence,
    /// SETTINGS allow no stream at all (overloaded load balancers).
    NoStreams,
    /// GOAWAY with `NO_ERROR` comes right after SETTINGS (a server that shuts down).
    GoAwayAtStart,
    /// GOAWAY with `HTTP_1_1_REQUIRED` comes right after SETTINGS.
    GoAwayAtStartHttp11Required,
    /// GOAWAY with `ENHANCE_YOUR_CALM` comes right after SETTINGS (an edge under attack).
    GoAwayAtStartEnhanceYourCalm,
    /// GOAWAY with `NO_ERROR` at the third request, which is not processed (nginx
    /// `keepalive_requests`).
    GoAwayAfterStreams,
    /// GOAWAY with `INTERNAL_ERROR` at the first request, which is not processed (Envoy).
    GoAwayOnRequest,
    /// GOAWAY with `INTERNAL_ERROR` that covers the first request, and the end of the connection.
    GoAwayOverRequest,
    /// GOAWAY with `ENHANCE_YOUR_CALM` and "`too_many_pings`" at the second request (gRPC servers).
    GoAwayTooManyPings,
    /// A call's stream is refused (`REFUSED_STREAM`; Envoy with full queues).
    StreamRefused,
    /// A call's stream is reset with `NO_ERROR` (load balancers).
    StreamResetNoError,
    /// A call's stream is reset with `PROTOCOL_ERROR` (nginx `return 444`, AWS ALB).
    StreamResetProtocolError,
    /// A call's stream is reset with `INTERNAL_ERROR` (load balancers).
    StreamResetInternalError,
    /// A call's stream is reset with `CANCEL` (load balancers).
    StreamResetCancel,
    /// A call's stream is reset with `ENHANCE_YOUR_CALM` (haproxy `http-request reject`).
    StreamResetEnhanceYourCalm,
    /// A call's stream is reset with `HTTP_1_1_REQUIRED` (IIS).
    StreamResetHttp11Required,
    /// A call is answered by a page with status 200 (captive portals).
    Page200,
    /// A call is answered by a page with status 403 (haproxy `deny`, mitmproxy add-ons).
    Page403,
    /// A call is answered by a page with status 502 (nginx).
    Page502,
    /// A call is answered by a page with status 504 (nginx, haproxy).
    Page504,
    /// A call is answered 503 without content type or body (Caddy).
    Empty503,
    /// A call is answered 302 to a login page (captive portals).
    Redirected,
    /// A call is answered 200 with JSON (an API gateway's own error).
    JsonAnswer,
    /// A call is answered `application/grpc` without message or trailers (some proxies, for an
    /// empty body).
    EmptyAnswer,
    /// A call is answered `grpc-status: 14` by the proxy itself (Envoy without its upstream).
    ForgedUnavailable,
    /// A call is answered `grpc-status: 7` by the proxy itself (Envoy's RBAC filter).
    ForgedPermissionDenied,
    /// A call of another service than `ModelService` is answered `grpc-status: 12` (gateways that
    /// route by service).
    UnroutedUnimplemented,
    /// A call of another service than `ModelService` is answered by a page with status 404 (nginx,
    /// by location).
    UnroutedPage,
    /// A call is processed and its answer replaced by a 403 page (data loss prevention).
    AnswerReplaced,
    /// The trailers of an answer are lost; those in the head stay (nginx `proxy_pass`, Envoy to
    /// HTTP/1.1).
    TrailersStripped,
    /// Calls vanish, other requests pass (haproxy `silent-drop`).
    CallSwallowed,
    /// A call is processed and its answer vanishes (a broken way back).
    AnswerSwallowed,
    /// A call is processed and the connection closed before the answer.
    ClosedBeforeAnswer,
    /// A call is processed and the connection reset before the answer.
    ResetBeforeAnswer,
    /// The connection is closed after the head of an answer.
    ClosedAfterHead,
    /// The connection is reset after the head of an answer.
    ResetAfterHead,
    /// The connection is closed after the first message of an answer (a proxy that restarts).
    ClosedAfterMessage,
    /// The connection is reset after the first message of an answer (firewalls with a time limit).
    ResetAfterMessage,
    /// The stream is reset with `INTERNAL_ERROR` after the head of an answer.
    StreamResetAfterHead,
    /// The stream is reset with `INTERNAL_ERROR` after the first message (Envoy's route timeout).
    StreamResetAfterMessage,
    /// Nothing comes after the head of an answer (antivirus software that scans the body).
    StalledAfterHead,
    /// Nothing comes after the first message of an answer (buffering proxies).
    StalledAfterMessage,
    /// The stream is reset with `INTERNAL_ERROR` at the second message: unary calls pass.
    SecondMessageReset,
    /// The stream is reset with `INTERNAL_ERROR` where an answer has more than 64 KiB.
    LargeAnswerReset,
    /// A call whose answer takes longer than the proxy's limit gets a page with status 504
    /// (nginx `grpc_read_timeout`).
    SlowAnswerPage,
    /// An answer ends in the middle of its first message, as if it were complete.
    AnswerTruncated,
    /// Requests are passed on once they are complete (nginx `proxy_request_buffering`). Hits REST
    /// as well.
    RequestBuffered,
    /// Answers are passed on once they are complete (mitmproxy by default). Hits REST as well.
    AnswerBuffered,
    /// Requests above 64 KiB are answered 413 (nginx `client_max_body_size`). Hits REST as well.
    RequestLimited,
    /// Calls above 64 KiB are answered 413 (nginx `client_max_body_size`, by location).
    CallLimited,
    /// Every second call is answered by a page with status 502 (one of two hosts is bad).
    EverySecondCall,
    /// Every third call is answered by a page with status 502 (one bad host behind a load
    /// balancer).
    EveryThirdCall,
    /// Every request is answered by a page with status 403 (a policy). Hits REST as well.
    PolicyPage,
    /// As before, on TLS that never agrees on HTTP/2 (squid `ssl-bump` with `deny`). Hits REST as
    /// well.
    PolicyPageWithoutAlpn,
    /// Every request is answered 302 to a login page (captive portals). Hits REST as well.
    PortalRedirect,
    /// Every request is answered by a page with status 502: an outage (nginx). Hits REST as well.
    GatewayDown,
}

/// A fault, its name, and what it means at each station.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) fault: Fault,
    pub(super) name: &'static str,
    pub(super) stages: Stages,
}
