//! Head: what the caller sees before the messages.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;

use crate::call::{Answer, is_of_http, remove_headers};

/// An answer with messages.
pub(super) fn head(mut headers: HeaderMap, body: Body) -> Answer {
    // The content type is written over.
    remove_headers(&mut headers, |name| is_no_metadata(name) && *name != header::CONTENT_TYPE);
    let mut answer = Answer::new(body);
    *answer.headers_mut() = headers;
    let grpc = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(header::CONTENT_TYPE, grpc);
    answer
}

/// An error without messages: a head alone, as gRPC calls it trailers-only.
pub(super) fn failed(status: &Status, metadata: HeaderMap) -> Answer {
    let details = Bytes::copy_from_slice(status.details());
    let metadata = MetadataMap::from_headers(metadata);
    Status::with_details_and_metadata(status.code(), status.message(), details, metadata)
        .into_http()
}

/// What of the headers is for the caller.
pub(super) fn metadata_of(mut headers: HeaderMap) -> HeaderMap {
    remove_headers(&mut headers, is_no_metadata);
    headers
}

/// Headers of HTTP itself say nothing to the caller; `grpc-*` is ours to write.
fn is_no_metadata(name: &HeaderName) -> bool {
    is_of_http(name) || name.as_str().starts_with("grpc-")
}
