//! Download: the bytes of a file, whole or from a byte on, behind the service's redirect.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LOCATION, RANGE,
};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use super::store::Files;
use super::texts::plain;
use crate::emulator::record::Attendance;
use crate::emulator::service::AnswerBody;

/// The service keeps the bytes under another path of its own.
pub(super) fn redirect(id: &str, head: &Parts) -> Response<AnswerBody> {
    let version = head.uri.path().split('/').nth(1).unwrap_or_default();
    let mut answer = plain(StatusCode::FOUND, "");
    let place = format!("/download/{version}/files/{id}:download?alt=media");
    if let Ok(place) = HeaderValue::try_from(place) {
        answer.headers_mut().insert(LOCATION, place);
    }
    answer
}

pub(super) fn bytes(
    files: &Files,
    id: &str,
    head: &Parts,
    attendance: Attendance,
) -> Response<AnswerBody> {
    let content = files.content(id).unwrap_or_default();
    let start = head.headers.get(RANGE).and_then(|range| range.to_str().ok());
    let start =
        start.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let start = start.filter(|start: &usize| *start < content.len());
    let rest = content.slice(start.unwrap_or_default()..);
    let mut answer = Response::new(());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, rest.len().into());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(tag) = HeaderValue::try_from(format!("\"{id}\"")) {
        headers.insert(ETAG, tag);
    }
    if let Some(start) = start {
        let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
        if let Ok(range) = HeaderValue::try_from(range) {
            headers.insert(CONTENT_RANGE, range);
        }
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    answer.map(|()| Rest { rest, attendance }.boxed_unsync())
}

/// What is left to send, in pieces.
struct Rest {
    rest: Bytes,
    attendance: Attendance,
}

const PIECE: usize = 64 * 1024;

impl Body for Rest {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        if self.rest.is_empty() {
            self.attendance.finish();
        }
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }
}
