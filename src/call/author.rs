//! Author: who wrote the status of an answer is: the service's alone, or anyone's on the way.

use http::header::{self, HeaderMap, HeaderName};
use tonic::Code;

use super::head::GRPC_STATUS;
use super::status::GRPC_STATUS_DETAILS;

/// Who can have said what stands in the head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// The service alone: messages, or an error with details of its own.
    Service,
    /// The service, or a gateway that guards it: a refusal of this request.
    Refusal(Code),
    /// Anyone: a service that fails, or a gateway that does not reach it.
    Failure(Code),
    /// An intermediary, which names itself.
    Forged(Code),
}

impl Author {
    /// The status in a head, if it is there, and who wrote it.
    pub(crate) fn judge(head: &HeaderMap) -> (Option<Code>, Self) {
        let code = code_in(head);
        let author = match code {
            Some(code) if is_forged(head) => Self::Forged(code),
            None | Some(Code::Ok) => Self::Service,
            Some(_) if head.contains_key(&GRPC_STATUS_DETAILS) => Self::Service,
            Some(code) if is_failure(code) => Self::Failure(code),
            Some(code) => Self::Refusal(code),
        };
        (code, author)
    }

    /// Whether an intermediary wrote it in place of the service.
    pub(crate) const fn is_forged(self) -> bool {
        matches!(self, Self::Forged(_))
    }
}

/// The status in the head of an answer; where messages come first, it comes behind them.
pub(crate) fn code_in(head: &HeaderMap) -> Option<Code> {
    head.get(&GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Whether gateways say this of a service that they do not reach, or know no way to ([gRPC, HTTP
/// status codes](https://github.com/grpc/grpc/blob/v1.75.0/doc/http-grpc-status-mapping.md)).
pub(crate) const fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
    )
}

/// Whether an intermediary wrote the status of this head. Envoy names itself in `server`, also
/// where it passes on what the service said; but then it tells how long the service took.
fn is_forged(head: &HeaderMap) -> bool {
    let server = head.get(header::SERVER);
    let is_envoy = server.is_some_and(|server| server == "envoy" || server == "istio-envoy");
    let is_passed_on = head.contains_key(&ENVOY_UPSTREAM_TIME);
    !head.contains_key(&GRPC_STATUS_DETAILS)
        && ((is_envoy && !is_passed_on) || head.contains_key(&LINKERD_ERROR))
}

static ENVOY_UPSTREAM_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");
static LINKERD_ERROR: HeaderName = HeaderName::from_static("l5d-proxy-error");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_status_is_the_services_own_word_or_perhaps_anothers() {
        use Code::{InvalidArgument, PermissionDenied, Unavailable, Unimplemented};
        let envoy = ("server", "envoy");
        let google = ("server", "scaffolding on HTTPServer2");
        let details = ("grpc-status-details-bin", "CAU");
        let passed_on = ("x-envoy-upstream-service-time", "7");
        let cases: &[(&[(&'static str, &'static str)], Author)] = &[
            (&[], Author::Service),
            (&[envoy], Author::Service),
            (&[("grpc-status", "0")], Author::Service),
            (&[("grpc-status", "0"), envoy], Author::Forged(Code::Ok)),
            (&[("grpc-status", "3")], Author::Refusal(InvalidArgument)),
            (&[("grpc-status", "3"), google], Author::Refusal(InvalidArgument)),
            (&[("grpc-status", "3"), details], Author::Service),
            (&[("grpc-status", "7")], Author::Refusal(PermissionDenied)),
            (&[("grpc-status", "7"), envoy], Author::Forged(PermissionDenied)),
            (&[("grpc-status", "7"), envoy, passed_on], Author::Refusal(PermissionDenied)),
            (&[("grpc-status", "7"), envoy, details], Author::Service),
            (&[("grpc-status", "7"), ("server", "istio-envoy")], Author::Forged(PermissionDenied)),
            (
                &[("grpc-status", "7"), ("l5d-proxy-error", "no route")],
                Author::Forged(PermissionDenied),
            ),
            (&[("grpc-status", "12")], Author::Failure(Unimplemented)),
            (&[("grpc-status", "14")], Author::Failure(Unavailable)),
            (&[("grpc-status", "14"), envoy], Author::Forged(Unavailable)),
            (&[("grpc-status", "14"), details], Author::Service),
            (&[("grpc-status", "x")], Author::Failure(Code::Unknown)),
        ];
        for (headers, expected) in cases {
            let head = headers.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            assert_eq!(Author::judge(&head.collect()).1, *expected, "{headers:?}");
        }
    }
}
