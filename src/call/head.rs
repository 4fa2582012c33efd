//! Head: the headers of a request or an answer that belong to gRPC, parted from the caller's
//! metadata.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status};

use super::timeout::parse_timeout;
use crate::error::Error;

/// The parts of a tonic request's head that a call is made of.
pub(crate) struct Head {
    pub(crate) metadata: HeaderMap,
    pub(crate) encoding: Option<HeaderValue>,
    pub(crate) accept_encoding: Option<HeaderValue>,
    pub(crate) timeout: Option<Duration>,
}

/// Parts the caller's metadata from the headers that belong to gRPC itself, or to a connection.
///
/// # Errors
/// `grpc-timeout` breaks its grammar.
pub(crate) fn read_head(mut headers: HeaderMap) -> Result<Head, Error> {
    let (mut timeout, mut encoding, mut accept_encoding) = (None, None, None);
    // Most calls have none of them: one look for all.
    if headers.keys().any(|name| name.as_str().starts_with("grpc-")) {
        timeout = headers.remove(&GRPC_TIMEOUT).as_ref().map(parse_timeout).transpose()?;
        encoding = headers.remove(&GRPC_ENCODING).filter(|value| value != "identity");
        accept_encoding = headers.remove(&GRPC_ACCEPT_ENCODING);
    }
    remove_headers(&mut headers, is_of_http);
    Ok(Head { metadata: headers, encoding, accept_encoding, timeout })
}

/// A copy of these headers, with room for so many more: a clone would grow at the first one.
pub(crate) fn copy_with_room(headers: &HeaderMap, more: usize) -> HeaderMap {
    let mut copy = HeaderMap::with_capacity(headers.len() + more);
    for (name, value) in headers {
        copy.append(name, value.clone());
    }
    copy
}

/// Removes the headers of these names.
pub(crate) fn remove_headers(headers: &mut HeaderMap, is_removed: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| is_removed(name)).cloned() {
        headers.remove(name);
    }
}

/// The trailers that end an answer which is well.
pub(crate) fn trailers_of_success() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(&GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

/// The trailers that end an answer with this status.
pub(crate) fn trailers_of(status: &Status) -> HeaderMap {
    if status.code() == Code::Ok {
        return trailers_of_success();
    }
    let mut trailers = HeaderMap::with_capacity(2);
    if status.add_header(&mut trailers).is_err() {
        // Metadata that cannot be a header: the code is worth more.
        trailers.clear();
        trailers.insert(&GRPC_STATUS, (status.code() as i32).into());
    }
    trailers
}

/// Whether a name says nothing about a call, in a request or in an answer: on either transport such
/// headers are written anew, or not at all. Texts of other lengths are told apart without a look at
/// their letters.
pub(crate) fn is_of_http(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "accept-encoding"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-type"
            | "expect"
            | "host"
            | "keep-alive"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "vary"
    )
}

/// Made once: looking for a name given as text parses it each time.
pub(crate) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_keeps_the_callers_metadata_only() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("te", "trailers"),
            ("accept-encoding", "br"),
            ("grpc-timeout", "1S"),
            ("x-mine", "a"),
            ("content-type", "application/grpc"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let head = read_head(headers).expect("good head");
        assert_eq!(head.metadata.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-mine"]);
        assert_eq!(head.timeout, Some(Duration::from_secs(1)));
    }
}
