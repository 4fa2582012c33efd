//! Metadata: the head and the trailers of an answer: how large they may be, and what of them is
//! kept.

use std::fmt;

use http::header::{self, HeaderMap, HeaderName};

use crate::call::{is_of_http, remove_headers};
use crate::error::{Error, metadata_too_large};

/// Most bytes of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerLimits {
    /// Of a message that is read whole.
    pub(crate) message: usize,
    /// Of a head, and of trailers: names and values.
    pub(crate) metadata: usize,
}

impl AnswerLimits {
    /// # Errors
    /// A head, or trailers, are over the limit; `what` names them and their peer.
    pub(crate) fn check(self, headers: &HeaderMap, what: impl fmt::Display) -> Result<(), Error> {
        let sizes = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let (size, limit) = (sizes.sum::<usize>(), self.metadata);
        if size > limit {
            return Err(metadata_too_large(&format!("{what} have {size} bytes"), limit));
        }
        Ok(())
    }
}

/// Keeps of a head or of trailers what is the service's. A length of HTTP, for instance, would hold
/// for the next hop too, where the same answer may end in another way.
pub(super) fn keep_metadata(headers: &mut HeaderMap) {
    remove_headers(headers, |name| is_of_http(name) && *name != header::CONTENT_TYPE);
    drop_malformed_details(headers);
}

/// tonic 0.14 panics on details that are not base64; the status without them is worth more.
fn drop_malformed_details(headers: &mut HeaderMap) {
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

static GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tonic::Status;

    use super::*;
    use crate::call::GRPC_STATUS;

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
}
