//! Advice: what a person can do, where the kind alone does not say it: what was answered, what is
//! proven, what is open.

use http::StatusCode;

use super::delivery::Delivery;
use super::kind::SymptomKind as Kind;
use super::row::Station;

/// `None` where the row of the kind says it all.
pub(super) fn of(
    kind: Kind,
    status: Option<StatusCode>,
    delivery: Delivery,
    is_rest_open: bool,
) -> Option<&'static str> {
    let is_processed = delivery == Delivery::Processed;
    match (kind, status.map(|status| status.as_u16())) {
        (_, Some(PAYLOAD_TOO_LARGE)) if kind.station() == Station::Answer => Some(TOO_LARGE),
        (Kind::ProxyForbidden, Some(401)) => Some(NOT_A_PROXYS_LOGIN),
        (Kind::ProxyForbidden, Some(408)) => Some(PROXY_GAVE_UP),
        (Kind::ProxyForbidden, Some(429)) => Some(TOO_MANY_TUNNELS),
        (Kind::ProxyUpstreamFailed, Some(500)) => Some(PROXY_FAILED),
        (Kind::ProxyUpstreamFailed, Some(503)) => Some(PROXY_IS_BUSY),
        (Kind::ProxyRejected, Some(501 | 505)) => Some(NO_CONNECT),
        (Kind::ProxyRejected, Some(511)) => Some(PORTAL),
        (Kind::NotGrpc | Kind::NotJson | Kind::ForeignError, Some(429)) => Some(TOO_MANY_CALLS),
        (Kind::NotGrpc | Kind::ForeignError, Some(500 | 502..=504)) => Some(GATEWAY_FAILED),
        (Kind::NotGrpc, _) if is_rest_open => Some(NOT_THE_SERVICE_ON_GRPC),
        (Kind::AnswerMalformed, _) => Some(UNREADABLE),
        (
            Kind::Http2NotOffered
            | Kind::Http1Answer
            | Kind::NotHttp2
            | Kind::ClosedBeforeSettings
            | Kind::ResetBeforeSettings
            | Kind::SettingsTimeout
            | Kind::GoAwayAtStart
            | Kind::Http11Required,
            _,
        ) if is_rest_open => Some(USE_REST),
        (Kind::BodyTruncated | Kind::BodyMalformed | Kind::TrailersMissing, _) => {
            Some(match (is_processed, is_rest_open) {
                (true, true) => DAMAGED_AND_PROCESSED_ON_GRPC,
                (true, false) => DAMAGED_AND_PROCESSED,
                (false, true) => DAMAGED_ON_GRPC,
                (false, false) => return None,
            })
        }
        (Kind::BodyReset | Kind::BodyLost | Kind::BodyStalled, _) if is_processed => {
            Some(PROCESSED)
        }
        _ => None,
    }
}

const PAYLOAD_TOO_LARGE: u16 = StatusCode::PAYLOAD_TOO_LARGE.as_u16();

const TOO_LARGE: &str = "an intermediary, not the bridge or the model, refuses messages of this size: upload files first and refer to them, or ask the network team to raise the limit";
const NOT_A_PROXYS_LOGIN: &str = "check the proxy's address and port: a proxy asks for a login with 407, but a web server or a gateway answered here with 401";
const PROXY_GAVE_UP: &str = "the proxy timed out: try again, then ask its administrator";
const TOO_MANY_TUNNELS: &str = "the proxy limits the rate of requests: wait, open fewer connections, or ask its administrator to raise the limit";
const PROXY_FAILED: &str = "the proxy itself failed: try again later, then tell its administrator";
const PROXY_IS_BUSY: &str = "the proxy is overloaded, or cannot reach the service: try again later, then ask the network team";
const NO_CONNECT: &str =
    "check the proxy's address and port: the server there does not support CONNECT";
const PORTAL: &str = "log in to the network's portal in a browser first";
const TOO_MANY_CALLS: &str = "an intermediary, not the service, limits the rate of calls: wait; if it happens again, ask the network team which proxy or gateway does so";
const GATEWAY_FAILED: &str = "a gateway on the way failed, or did not reach the service in time; the service may have processed the call: send it again only if paying twice is acceptable";
const NOT_THE_SERVICE_ON_GRPC: &str = "something on the way answered in place of the service: the error quotes it; if it refuses only gRPC, set the transport to auto or rest (`BridgeBuilder::transport`)";
const UNREADABLE: &str = "something on the way damaged the answer, or answered in place of the service; the service may have processed the call: send it again only if paying twice is acceptable";
const USE_REST: &str = "the network does not carry HTTP/2, which gRPC needs: set the transport to auto or rest (`BridgeBuilder::transport`)";
const DAMAGED_AND_PROCESSED: &str = "the answer was damaged on the way, and the service has processed this call: if you send it again, you pay again";
const DAMAGED_AND_PROCESSED_ON_GRPC: &str = "the answer was damaged on the way, and the service has processed this call: if you send it again, you pay again; for the next calls set the transport to auto or rest (`BridgeBuilder::transport`)";
const DAMAGED_ON_GRPC: &str = "the answer was damaged on the way, and the service may have processed the call: send it again only if paying twice is acceptable; for the next calls set the transport to auto or rest (`BridgeBuilder::transport`)";
const PROCESSED: &str = "the service has processed this call: if you send it again, you pay again";
