//! Status: what headers or trailers of gRPC say of how a call ended, whoever wrote them.

use http::header::{HeaderMap, HeaderName};
use tonic::Status;

use super::head::GRPC_STATUS;

/// The status that these headers hold; of what else they hold, nothing. `None`: they hold none.
pub(crate) fn status_in(headers: &HeaderMap) -> Option<Status> {
    if !headers.contains_key(&GRPC_STATUS) {
        return None;
    }
    let names = [&GRPC_STATUS, &GRPC_MESSAGE, &GRPC_STATUS_DETAILS];
    let parts =
        names.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    let mut parts: HeaderMap = parts.collect();
    drop_malformed_details(&mut parts);
    Status::from_header_map(&parts)
}

/// tonic 0.14 panics on details that are not base64; the status without them is worth more.
pub(crate) fn drop_malformed_details(headers: &mut HeaderMap) {
    let is_malformed =
        headers.get(&GRPC_STATUS_DETAILS).is_some_and(|value| !is_base64(value.as_bytes()));
    if is_malformed {
        headers.remove(&GRPC_STATUS_DETAILS);
    }
}

/// Base64 with or without padding, as tonic accepts it.
fn is_base64(text: &[u8]) -> bool {
    if text.len().is_multiple_of(4) {
        base64_simd::STANDARD.check(text).is_ok()
    } else {
        base64_simd::STANDARD_NO_PAD.check(text).is_ok()
    }
}

/// Made once: looking for a name given as text parses it each time.
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(super) static GRPC_STATUS_DETAILS: HeaderName =
    HeaderName::from_static("grpc-status-details-bin");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn details_that_tonic_would_panic_on_are_dropped() {
        let cases = [
            ("CAU", true),
            ("CAU=", true),
            ("", true),
            ("CAUSA2Zvbw", true),
            ("CAUSA2Zvbw==", true),
            ("CAUSA2Zvbx", false),
            ("CAUSA2Zvbw=", false),
            ("A", false),
            ("CA U", false),
            ("CAU,CAU", false),
            ("-_-_", false),
            ("====", false),
            ("<html>", false),
        ];
        for (text, kept) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(&GRPC_STATUS, HeaderValue::from_static("5"));
            headers.insert(&GRPC_STATUS_DETAILS, HeaderValue::from_static(text));
            drop_malformed_details(&mut headers);
            assert_eq!(headers.contains_key(&GRPC_STATUS_DETAILS), kept, "{text}");
            let status = Status::from_header_map(&headers).expect("a status");
            assert_eq!(status.code(), tonic::Code::NotFound);
        }
    }

    #[test]
    fn nothing_but_the_status_is_read_and_bad_details_cost_nothing_else() {
        let headers = HeaderMap::from_iter(
            [
                ("grpc-status", "8"),
                ("grpc-message", "a%20quota"),
                ("grpc-status-details-bin", "!"),
                ("x-other", "1"),
            ]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
        );
        let status = status_in(&headers).expect("a status");
        assert_eq!((status.code(), status.message()), (tonic::Code::ResourceExhausted, "a quota"));
        assert!(status.details().is_empty() && status.metadata().is_empty());
        assert!(status_in(&HeaderMap::new()).is_none());
    }
}
