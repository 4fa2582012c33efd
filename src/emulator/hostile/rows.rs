//! Rows: each fault as the stages it consists of.

use h2::Reason;

use super::ending::Ending;
use super::fault::{Fault, Row};
use super::frames::{self, GARBAGE, HTTP_1_BAD_REQUEST};
use super::stages::Treatment::{
    BufferAnswer, BufferRequest, LimitRequest, LimitWait, ReplaceAnswer, StripTrailers, Swallow,
};
use super::stages::{
    Aim, Answer, At, Certificate, Connect, GoAway, HTML, HTTP_2_AND_1, Hello, How, Http, PAGE,
    SQUID, Stages, Tls, Treatment,
};

const fn row(fault: Fault, name: &'static str, stages: Stages) -> Row {
    Row { fault, name, stages }
}

/// In the order of [`Fault`].
pub(super) const ROWS: &[Row] = &[
    row(Fault::Pass, "pass", Stages::tls(Tls::Tunnel)),
    row(Fault::ConnectHttp10, "connect-http10", Stages::connect(Connect::Grant(&[HTTP_1_0]))),
    row(Fault::ConnectCreated, "connect-created", Stages::connect(Connect::Grant(&[CREATED]))),
    row(Fault::ConnectSplit, "connect-split", Stages::connect(Connect::Grant(SPLIT))),
    row(Fault::ConnectForbidden, "connect-forbidden", Stages::refuse(Ending::Say(FORBIDDEN))),
    row(Fault::ConnectLoginRequired, "connect-login-required", Stages::refuse(LOGIN)),
    row(Fault::ConnectNegotiateRequired, "connect-negotiate-required", Stages::refuse(NEGOTIATE)),
    row(Fault::ConnectNotAllowed, "connect-not-allowed", Stages::refuse(NOT_ALLOWED)),
    row(Fault::ConnectBadGateway, "connect-bad-gateway", Stages::refuse(BAD_GATEWAY)),
    row(Fault::ConnectUnavailable, "connect-unavailable", Stages::refuse(UNAVAILABLE)),
    row(Fault::ConnectRedirected, "connect-redirected", Stages::refuse(PORTAL)),
    row(Fault::ConnectPage, "connect-page", Stages::refuse(GRANTED_PAGE)),
    row(Fault::ConnectGarbage, "connect-garbage", Stages::refuse(SSH)),
    row(Fault::ConnectSilence, "connect-silence", Stages::refuse(Ending::Silence)),
    row(Fault::ConnectClosed, "connect-closed", Stages::refuse(Ending::Close)),
    row(Fault::ConnectReset, "connect-reset", Stages::refuse(Ending::Reset)),
    row(Fault::HandshakeClosed, "handshake-closed", hello(Hello::Any, Ending::Close)),
    row(Fault::HandshakeReset, "handshake-reset", hello(Hello::Any, Ending::Reset)),
    row(Fault::HandshakeSilence, "handshake-silence", hello(Hello::Any, Ending::Silence)),
    row(Fault::HandshakeAlert, "handshake-alert", hello(Hello::Any, ACCESS_DENIED)),
    row(Fault::HandshakePage, "handshake-page", hello(Hello::Any, PLAIN_PAGE)),
    row(Fault::Http2HelloClosed, "http2-hello-closed", hello(HTTP_2, Ending::Close)),
    row(Fault::Http2HelloReset, "http2-hello-reset", hello(HTTP_2, Ending::Reset)),
    row(Fault::Http2HelloSilence, "http2-hello-silence", hello(HTTP_2, Ending::Silence)),
    row(Fault::NoApplicationProtocol, "no-application-protocol", hello(HTTP_2, NO_PROTOCOL)),
    row(Fault::TunnelIdleSilence, "tunnel-idle-silence", Stages::tls(Tls::Idle(Ending::Silence))),
    row(Fault::TunnelIdleClosed, "tunnel-idle-closed", Stages::tls(Tls::Idle(Ending::Close))),
    row(Fault::TunnelIdleReset, "tunnel-idle-reset", Stages::tls(Tls::Idle(Ending::Reset))),
    row(Fault::Inspect, "inspect", Stages::http(Http::Pass)),
    row(Fault::InspectWithoutAlpn, "inspect-without-alpn", http1_only(&[])),
    row(Fault::InspectHttp1, "inspect-http1", http1_only(&[b"http/1.1"])),
    row(Fault::InspectUnknownIssuer, "inspect-unknown-issuer", shows(Certificate::UnknownIssuer)),
    row(Fault::InspectExpired, "inspect-expired", shows(Certificate::Expired)),
    row(Fault::InspectWrongName, "inspect-wrong-name", shows(Certificate::WrongName)),
    row(Fault::Http1Answer, "http1-answer", Stages::preface(Ending::Say(HTTP_1_BAD_REQUEST))),
    row(Fault::PrefaceGarbage, "preface-garbage", Stages::preface(Ending::Say(GARBAGE))),
    row(Fault::ClosedAfterPreface, "closed-after-preface", Stages::preface(Ending::Close)),
    row(Fault::ResetAfterPreface, "reset-after-preface", Stages::preface(Ending::Reset)),
    row(Fault::PrefaceSwallowed, "preface-swallowed", Stages::preface(Ending::Silence)),
    row(Fault::SettingsThenSilence, "settings-then-silence", Stages::preface(DEAD)),
    row(Fault::NoStreams, "no-streams", Stages::preface(NO_STREAMS)),
    row(Fault::GoAwayAtStart, "go-away-at-start", Stages::preface(GO_AWAY)),
    row(Fault::GoAwayAtStartHttp11Required, "go-away-at-start-http11-required", GO_AWAY_HTTP_1_1),
    row(Fault::GoAwayAtStartEnhanceYourCalm, "go-away-at-start-enhance-your-calm", GO_AWAY_CALM),
    row(Fault::GoAwayAfterStreams, "go-away-after-streams", go_away(2, false, Reason::NO_ERROR)),
    row(Fault::GoAwayOnRequest, "go-away-on-request", go_away(0, false, Reason::INTERNAL_ERROR)),
    row(Fault::GoAwayOverRequest, "go-away-over-request", go_away(0, true, Reason::INTERNAL_ERROR)),
    row(Fault::GoAwayTooManyPings, "go-away-too-many-pings", TOO_MANY_PINGS),
    row(Fault::StreamRefused, "stream-refused", reset(Reason::REFUSED_STREAM)),
    row(Fault::StreamResetNoError, "stream-reset-no-error", reset(Reason::NO_ERROR)),
    row(Fault::StreamResetProtocolError, "stream-reset-protocol-error", reset(PROTOCOL_ERROR)),
    row(Fault::StreamResetInternalError, "stream-reset-internal-error", reset(INTERNAL_ERROR)),
    row(Fault::StreamResetCancel, "stream-reset-cancel", reset(Reason::CANCEL)),
    row(Fault::StreamResetEnhanceYourCalm, "stream-reset-enhance-your-calm", reset(CALM)),
    row(Fault::StreamResetHttp11Required, "stream-reset-http11-required", reset(HTTP_1_1)),
    row(Fault::Page200, "page-200", answer(&Answer::page(200))),
    row(Fault::Page403, "page-403", answer(&Answer::page(403))),
    row(Fault::Page502, "page-502", answer(&Answer::page(502))),
    row(Fault::Page504, "page-504", answer(&Answer::page(504))),
    row(Fault::Empty503, "empty-503", answer(&EMPTY_503)),
    row(Fault::Redirected, "redirected", answer(&LOGIN_PAGE)),
    row(Fault::JsonAnswer, "json-answer", answer(&GATEWAY_JSON)),
    row(Fault::EmptyAnswer, "empty-answer", answer(&EMPTY_GRPC)),
    row(Fault::ForgedUnavailable, "forged-unavailable", answer(&FORGED_UNAVAILABLE)),
    row(Fault::ForgedPermissionDenied, "forged-permission-denied", answer(&FORGED_DENIED)),
    row(Fault::UnroutedUnimplemented, "unrouted-unimplemented", unrouted(&UNIMPLEMENTED)),
    row(Fault::UnroutedPage, "unrouted-page", unrouted(&Answer::page(404))),
    row(Fault::AnswerReplaced, "answer-replaced", Stages::grpc(ReplaceAnswer(&POLICY))),
    row(Fault::TrailersStripped, "trailers-stripped", Stages::grpc(StripTrailers)),
    row(Fault::CallSwallowed, "call-swallowed", Stages::grpc(Swallow)),
    row(Fault::AnswerSwallowed, "answer-swallowed", breaks(At::Start, How::Stall)),
    row(Fault::ClosedBeforeAnswer, "closed-before-answer", breaks(At::Start, CLOSE)),
    row(Fault::ResetBeforeAnswer, "reset-before-answer", breaks(At::Start, RESET)),
    row(Fault::ClosedAfterHead, "closed-after-head", breaks(At::Head, CLOSE)),
    row(Fault::ResetAfterHead, "reset-after-head", breaks(At::Head, RESET)),
    row(Fault::ClosedAfterMessage, "closed-after-message", breaks(At::Message, CLOSE)),
    row(Fault::ResetAfterMessage, "reset-after-message", breaks(At::Message, RESET)),
    row(Fault::StreamResetAfterHead, "stream-reset-after-head", breaks(At::Head, STREAM)),
    row(Fault::StreamResetAfterMessage, "stream-reset-after-message", breaks(At::Message, STREAM)),
    row(Fault::StalledAfterHead, "stalled-after-head", breaks(At::Head, How::Stall)),
    row(Fault::StalledAfterMessage, "stalled-after-message", breaks(At::Message, How::Stall)),
    row(Fault::SecondMessageReset, "second-message-reset", breaks(At::SecondMessage, STREAM)),
    row(Fault::LargeAnswerReset, "large-answer-reset", breaks(At::Bytes(64 * 1024), STREAM)),
    row(Fault::SlowAnswerPage, "slow-answer-page", Stages::grpc(LimitWait(&Answer::page(504)))),
    row(Fault::AnswerTruncated, "answer-truncated", breaks(At::HalfMessage, How::End)),
    row(Fault::RequestBuffered, "request-buffered", everything(BufferRequest)),
    row(Fault::AnswerBuffered, "answer-buffered", everything(BufferAnswer)),
    row(Fault::RequestLimited, "request-limited", everything(LimitRequest(64 * 1024))),
    row(Fault::CallLimited, "call-limited", Stages::grpc(LimitRequest(64 * 1024))),
    row(Fault::EverySecondCall, "every-second-call", each(2, &Answer::page(502))),
    row(Fault::EveryThirdCall, "every-third-call", each(3, &Answer::page(502))),
    row(Fault::PolicyPage, "policy-page", everything(Treatment::Answer(&POLICY))),
    row(Fault::PolicyPageWithoutAlpn, "policy-page-without-alpn", POLICY_WITHOUT_ALPN),
    row(Fault::PortalRedirect, "portal-redirect", everything(Treatment::Answer(&LOGIN_PAGE))),
    row(Fault::GatewayDown, "gateway-down", everything(Treatment::Answer(&Answer::page(502)))),
];

const fn hello(hello: Hello, ending: Ending) -> Stages {
    Stages::tls(Tls::Break(hello, ending))
}

const fn shows(certificate: Certificate) -> Stages {
    Stages::inspect(certificate, HTTP_2_AND_1, Http::Pass)
}

/// A client that speaks HTTP/2 all the same is not understood.
const fn http1_only(alpn: &'static [&'static [u8]]) -> Stages {
    Stages::inspect(Certificate::Good, alpn, Http::Preface(Ending::Say(HTTP_1_BAD_REQUEST)))
}

const fn go_away(after: usize, covers_request: bool, reason: Reason) -> Stages {
    Stages::http(Http::GoAway(GoAway { after, covers_request, reason, text: b"" }))
}

const fn reset(reason: Reason) -> Stages {
    Stages::grpc(Treatment::Reset(reason))
}

const fn answer(answer: &'static Answer) -> Stages {
    Stages::grpc(Treatment::Answer(answer))
}

const fn breaks(at: At, how: How) -> Stages {
    Stages::grpc(Treatment::Break(at, how))
}

const fn everything(treatment: Treatment) -> Stages {
    Stages::http(Http::Requests(Aim::Everything, treatment))
}

const fn each(nth: usize, answer: &'static Answer) -> Stages {
    Stages::http(Http::Requests(Aim::EachGrpc(nth), Treatment::Answer(answer)))
}

/// The proxy knows the service of the models, and no other.
const fn unrouted(answer: &'static Answer) -> Stages {
    Stages::http(Http::Requests(Aim::GrpcOutside(".ModelService"), Treatment::Answer(answer)))
}

// CONNECT.

const HTTP_1_0: &[u8] = b"HTTP/1.0 200 Connection established\r\n\
    Proxy-agent: tinyproxy/1.11.1\r\n\r\n";
const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\n\r\n";
const SPLIT: &[&[u8]] = &[b"HTTP/1.1 2", b"00 Connection established\r\n\r\n"];
const FORBIDDEN: &[u8] = b"HTTP/1.1 403 Forbidden\r\nServer: squid/5.7\r\n\
    X-Squid-Error: ERR_ACCESS_DENIED 0\r\nContent-Type: text/html\r\nContent-Length: 27\r\n\r\n\
    <html>Access denied.</html>";
/// Also the answer to a wrong login.
pub(super) const LOGIN: Ending = Ending::Say(
    b"HTTP/1.1 407 Proxy Authentication Required\r\nServer: squid/5.7\r\n\
    X-Squid-Error: ERR_CACHE_ACCESS_DENIED 0\r\nProxy-Authenticate: Basic realm=\"corp\"\r\n\
    Content-Length: 0\r\n\r\n",
);
const NEGOTIATE: Ending = Ending::Say(
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\n\
    Proxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
);
/// Also the answer to anything but CONNECT.
pub(super) const NOT_ALLOWED: Ending =
    Ending::Say(b"HTTP/1.1 405 Method Not Allowed\r\nServer: Apache\r\nContent-Length: 0\r\n\r\n");
/// Also the answer where the target cannot be reached.
pub(super) const BAD_GATEWAY: Ending =
    Ending::Say(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
const UNAVAILABLE: Ending = Ending::Say(
    b"HTTP/1.1 503 Service Unavailable\r\nServer: squid/5.7\r\n\
    X-Squid-Error: ERR_CONNECT_FAIL 111\r\nContent-Length: 0\r\n\r\n",
);
const PORTAL: Ending = Ending::Say(
    b"HTTP/1.1 302 Found\r\nLocation: http://login.invalid/\r\nContent-Length: 0\r\n\r\n",
);
const GRANTED_PAGE: Ending = Ending::Say(
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 27\r\n\r\n\
    <html>Please log in.</html>",
);
const SSH: Ending = Ending::Say(b"SSH-2.0-OpenSSH_9.2\r\n");

// TLS.

const HTTP_2: Hello = Hello::OffersHttp2;
const ACCESS_DENIED: Ending = Ending::Say(&alert(49));
const NO_PROTOCOL: Ending = Ending::Say(&alert(120));
const PLAIN_PAGE: Ending = Ending::Say(
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 27\r\n\r\n\
    <html>Access denied.</html>",
);

/// A fatal alert in a record of its own ([RFC 8446, section
/// 6](https://www.rfc-editor.org/rfc/rfc8446#section-6)).
const fn alert(code: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, code]
}

// HTTP/2.

const PROTOCOL_ERROR: Reason = Reason::PROTOCOL_ERROR;
const INTERNAL_ERROR: Reason = Reason::INTERNAL_ERROR;
const CALM: Reason = Reason::ENHANCE_YOUR_CALM;
const HTTP_1_1: Reason = Reason::HTTP_1_1_REQUIRED;
const DEAD: Ending = Ending::SayOnly(frames::SETTINGS);
const NO_STREAMS: Ending = Ending::SayOnly(frames::NO_STREAMS);
const GO_AWAY: Ending = Ending::Say(&frames::settings_and_go_away(0));
const GO_AWAY_CALM: Stages = Stages::preface(Ending::Say(&frames::settings_and_go_away(0xb)));
const GO_AWAY_HTTP_1_1: Stages = Stages::preface(Ending::Say(&frames::settings_and_go_away(0xd)));
const TOO_MANY_PINGS: Stages = Stages::http(Http::GoAway(GoAway {
    after: 1,
    covers_request: false,
    reason: Reason::ENHANCE_YOUR_CALM,
    text: b"too_many_pings",
}));
const CLOSE: How = How::Cut(Ending::Close);
const RESET: How = How::Cut(Ending::Reset);
const STREAM: How = How::Reset(Reason::INTERNAL_ERROR);

// Answers.

const POLICY: Answer = Answer::page(403);
const POLICY_WITHOUT_ALPN: Stages = Stages::inspect(
    Certificate::Good,
    &[],
    Http::Requests(Aim::Everything, Treatment::Answer(&POLICY)),
);
const EMPTY_503: Answer = Answer { status: 503, headers: &[("server", "Caddy")], body: "" };
const LOGIN_PAGE: Answer = Answer {
    status: 302,
    headers: &[HTML, SQUID, ("location", "http://login.invalid/")],
    body: PAGE,
};
const GATEWAY_JSON: Answer = Answer {
    status: 200,
    headers: &[("content-type", "application/json")],
    body: "{\"message\":\"no route\"}",
};
const GRPC: (&str, &str) = ("content-type", "application/grpc");
const ENVOY: (&str, &str) = ("server", "envoy");
const EMPTY_GRPC: Answer = Answer { status: 200, headers: &[GRPC], body: "" };
const FORGED_UNAVAILABLE: Answer = Answer {
    status: 200,
    headers: &[
        GRPC,
        ENVOY,
        ("grpc-status", "14"),
        (
            "grpc-message",
            "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
        ),
    ],
    body: "",
};
const FORGED_DENIED: Answer = Answer {
    status: 200,
    headers: &[GRPC, ENVOY, ("grpc-status", "7"), ("grpc-message", "RBAC: access denied")],
    body: "",
};
const UNIMPLEMENTED: Answer = Answer {
    status: 200,
    headers: &[GRPC, ("grpc-status", "12"), ("grpc-message", "no route")],
    body: "",
};
