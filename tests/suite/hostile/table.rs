//! One row per fault: what a client observes over gRPC and over REST, and what reached the service.

use genai_bridge::emulator::hostile::{Fault, HostileProxy};
use tokio::task::JoinSet;

use super::client::Client;
use super::origin::{Origin, STREAM};

/// A fault, a gRPC call, how many of it the service saw, a REST request over HTTP/1.1.
type Row = (Fault, &'static str, usize, &'static str);

pub(super) const OK: &str = "200 application/grpc, one, two, status 0";
pub(super) const REST_OK: &str = "200 application/json";
const PAGE: &str = "403 text/html; charset=utf-8";

/// Whether REST over HTTP/1.1 gets its answer in spite of the fault.
pub(crate) fn passes_rest(fault: Fault) -> bool {
    TABLE.iter().any(|(of, _, _, rest)| *of == fault && *rest == REST_OK)
}

const TABLE: &[Row] = &[
    (Fault::Pass, OK, 1, REST_OK),
    (Fault::ConnectHttp10, OK, 1, REST_OK),
    (Fault::ConnectCreated, OK, 1, REST_OK),
    (Fault::ConnectSplit, OK, 1, REST_OK),
    (Fault::ConnectForbidden, "CONNECT 403", 0, "CONNECT 403"),
    (Fault::ConnectLoginRequired, "CONNECT 407 Basic", 0, "CONNECT 407 Basic"),
    (Fault::ConnectNegotiateRequired, "CONNECT 407 Negotiate", 0, "CONNECT 407 Negotiate"),
    (Fault::ConnectNotAllowed, "CONNECT 405", 0, "CONNECT 405"),
    (Fault::ConnectBadGateway, "CONNECT 502", 0, "CONNECT 502"),
    (Fault::ConnectUnavailable, "CONNECT 503", 0, "CONNECT 503"),
    (Fault::ConnectRedirected, "CONNECT 302", 0, "CONNECT 302"),
    (Fault::ConnectPage, "TLS InvalidContentType", 0, "TLS InvalidContentType"),
    (Fault::ConnectGarbage, "CONNECT garbage", 0, "CONNECT garbage"),
    (Fault::ConnectSilence, "CONNECT silent", 0, "CONNECT silent"),
    (Fault::ConnectClosed, "CONNECT closed", 0, "CONNECT closed"),
    (Fault::ConnectReset, "CONNECT reset", 0, "CONNECT reset"),
    (Fault::HandshakeClosed, "TLS closed", 0, "TLS closed"),
    (Fault::HandshakeReset, "TLS reset", 0, "TLS reset"),
    (Fault::HandshakeSilence, "TLS silent", 0, "TLS silent"),
    (Fault::HandshakeAlert, "TLS alert AccessDenied", 0, "TLS alert AccessDenied"),
    (Fault::HandshakePage, "TLS InvalidContentType", 0, "TLS InvalidContentType"),
    (Fault::Http2HelloClosed, "TLS closed", 0, REST_OK),
    (Fault::Http2HelloReset, "TLS reset", 0, REST_OK),
    (Fault::Http2HelloSilence, "TLS silent", 0, REST_OK),
    (Fault::NoApplicationProtocol, "TLS alert NoApplicationProtocol", 0, REST_OK),
    // These three strike between calls.
    (Fault::TunnelIdleSilence, OK, 1, REST_OK),
    (Fault::TunnelIdleClosed, OK, 1, REST_OK),
    (Fault::TunnelIdleReset, OK, 1, REST_OK),
    (Fault::Inspect, OK, 1, REST_OK),
    (Fault::InspectWithoutAlpn, "ALPN none", 0, REST_OK),
    (Fault::InspectHttp1, "ALPN http/1.1", 0, REST_OK),
    (Fault::InspectUnknownIssuer, "TLS UnknownIssuer", 0, "TLS UnknownIssuer"),
    (Fault::InspectExpired, "TLS expired", 0, "TLS expired"),
    (Fault::InspectWrongName, "TLS wrong name", 0, "TLS wrong name"),
    (Fault::Http1Answer, "preface HTTP/1.1", 0, REST_OK),
    (Fault::PrefaceGarbage, "preface garbage", 0, REST_OK),
    (Fault::ClosedAfterPreface, "preface closed", 0, REST_OK),
    (Fault::ResetAfterPreface, "preface reset", 0, REST_OK),
    (Fault::PrefaceSwallowed, "preface silent", 0, REST_OK),
    (Fault::SettingsThenSilence, "SETTINGS silent", 0, REST_OK),
    (Fault::NoStreams, "no streams silent", 0, REST_OK),
    (Fault::GoAwayAtStart, "SETTINGS GOAWAY 0 NO_ERROR", 0, REST_OK),
    (Fault::GoAwayAtStartHttp11Required, "SETTINGS GOAWAY 0 HTTP_1_1_REQUIRED", 0, REST_OK),
    (Fault::GoAwayAtStartEnhanceYourCalm, "SETTINGS GOAWAY 0 ENHANCE_YOUR_CALM", 0, REST_OK),
    (Fault::GoAwayAfterStreams, OK, 1, REST_OK),
    (Fault::GoAwayOnRequest, "GOAWAY INTERNAL_ERROR", 0, REST_OK),
    (Fault::GoAwayOverRequest, "connection closed", 0, REST_OK),
    (Fault::GoAwayTooManyPings, OK, 1, REST_OK),
    (Fault::StreamRefused, "RST_STREAM REFUSED_STREAM", 0, REST_OK),
    (Fault::StreamResetNoError, "RST_STREAM NO_ERROR", 0, REST_OK),
    (Fault::StreamResetProtocolError, "RST_STREAM PROTOCOL_ERROR", 0, REST_OK),
    (Fault::StreamResetInternalError, "RST_STREAM INTERNAL_ERROR", 0, REST_OK),
    (Fault::StreamResetCancel, "RST_STREAM CANCEL", 0, REST_OK),
    (Fault::StreamResetEnhanceYourCalm, "RST_STREAM ENHANCE_YOUR_CALM", 0, REST_OK),
    (Fault::StreamResetHttp11Required, "RST_STREAM HTTP_1_1_REQUIRED", 0, REST_OK),
    (Fault::Page200, "200 text/html; charset=utf-8, 83 bytes, no status", 0, REST_OK),
    (Fault::Page403, "403 text/html; charset=utf-8, 83 bytes, no status", 0, REST_OK),
    (Fault::Page502, "502 text/html; charset=utf-8, 83 bytes, no status", 0, REST_OK),
    (Fault::Page504, "504 text/html; charset=utf-8, 83 bytes, no status", 0, REST_OK),
    (Fault::Empty503, "503, no status", 0, REST_OK),
    (
        Fault::Redirected,
        "302 text/html; charset=utf-8 http://login.invalid/, 83 bytes, no status",
        0,
        REST_OK,
    ),
    (Fault::JsonAnswer, "200 application/json, 22 bytes, no status", 0, REST_OK),
    (Fault::EmptyAnswer, "200 application/grpc, no status", 0, REST_OK),
    (Fault::ForgedUnavailable, "200 application/grpc, status 14 by envoy", 0, REST_OK),
    (Fault::ForgedPermissionDenied, "200 application/grpc, status 7 by envoy", 0, REST_OK),
    (Fault::UnroutedUnimplemented, "200 application/grpc, status 12", 0, REST_OK),
    (Fault::UnroutedPage, "404 text/html; charset=utf-8, 83 bytes, no status", 0, REST_OK),
    (Fault::AnswerReplaced, "403 text/html; charset=utf-8, 83 bytes, no status", 1, REST_OK),
    (Fault::TrailersStripped, "200 application/grpc, one, two, no status", 1, REST_OK),
    (Fault::CallSwallowed, "silent", 0, REST_OK),
    (Fault::AnswerSwallowed, "silent", 1, REST_OK),
    (Fault::ClosedBeforeAnswer, "connection closed", 1, REST_OK),
    (Fault::ResetBeforeAnswer, "connection reset", 1, REST_OK),
    (Fault::ClosedAfterHead, "200 application/grpc, connection closed", 1, REST_OK),
    (Fault::ResetAfterHead, "200 application/grpc, connection reset", 1, REST_OK),
    (Fault::ClosedAfterMessage, "200 application/grpc, one, connection closed", 1, REST_OK),
    (Fault::ResetAfterMessage, "200 application/grpc, one, connection reset", 1, REST_OK),
    (Fault::StreamResetAfterHead, "200 application/grpc, RST_STREAM INTERNAL_ERROR", 1, REST_OK),
    (
        Fault::StreamResetAfterMessage,
        "200 application/grpc, one, RST_STREAM INTERNAL_ERROR",
        1,
        REST_OK,
    ),
    (Fault::StalledAfterHead, "200 application/grpc, silent", 1, REST_OK),
    (Fault::StalledAfterMessage, "200 application/grpc, one, silent", 1, REST_OK),
    (Fault::SecondMessageReset, "200 application/grpc, one, RST_STREAM INTERNAL_ERROR", 1, REST_OK),
    // The answer is short, and comes at once.
    (Fault::LargeAnswerReset, OK, 1, REST_OK),
    (Fault::SlowAnswerPage, OK, 1, REST_OK),
    (Fault::AnswerTruncated, "200 application/grpc, 4 bytes, no status", 1, REST_OK),
    (Fault::RequestBuffered, OK, 1, REST_OK),
    (Fault::AnswerBuffered, OK, 1, REST_OK),
    (Fault::RequestLimited, OK, 1, REST_OK),
    (Fault::CallLimited, OK, 1, REST_OK),
    (Fault::EverySecondCall, OK, 1, REST_OK),
    (Fault::EveryThirdCall, OK, 1, REST_OK),
    (Fault::PolicyPage, "403 text/html; charset=utf-8, 83 bytes, no status", 0, PAGE),
    (Fault::PolicyPageWithoutAlpn, "ALPN none", 0, PAGE),
    (
        Fault::PortalRedirect,
        "302 text/html; charset=utf-8 http://login.invalid/, 83 bytes, no status",
        0,
        "302 text/html; charset=utf-8 http://login.invalid/",
    ),
    (
        Fault::GatewayDown,
        "502 text/html; charset=utf-8, 83 bytes, no status",
        0,
        "502 text/html; charset=utf-8",
    ),
];

#[test]
fn every_fault_has_a_row() {
    let faults: Vec<Fault> = TABLE.iter().map(|(fault, ..)| *fault).collect();
    assert_eq!(faults, Fault::ALL);
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let mut rows: JoinSet<Vec<String>> = JoinSet::new();
    let mut wrong = Vec::new();
    for row in TABLE {
        // More would only wait for each other.
        if rows.len() == 8 {
            wrong.extend(rows.join_next().await.unwrap().unwrap());
        }
        rows.spawn(observe(row));
    }
    wrong.extend(rows.join_all().await.into_iter().flatten());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is not as the row says.
async fn observe(&(fault, grpc, reached, rest): &Row) -> Vec<String> {
    let origin = Origin::start().await;
    let start = || HostileProxy::builder().target(origin.address).start(fault);
    let proxy = start().await.unwrap();
    let client = Client { proxy: &proxy, expects_silence: grpc.ends_with("silent") };
    let seen_grpc = client.observe_grpc(STREAM).await;
    let seen_calls = origin.grpc_calls();
    // Another proxy, so that the strikes on gRPC are not taken for strikes on REST.
    let proxy = start().await.unwrap();
    let client = Client { proxy: &proxy, expects_silence: rest.ends_with("silent") };
    let seen_rest = client.observe_rest().await;
    let mut wrong = Vec::new();
    if (seen_grpc.as_str(), seen_calls) != (grpc, reached) {
        wrong.push(format!("{fault}: gRPC {seen_grpc:?}, {seen_calls} reached the service"));
    }
    if seen_rest != rest {
        wrong.push(format!("{fault}: REST {seen_rest:?}"));
    }
    wrong
}
