//! Texts: short answers, JSON or plain.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use crate::emulator::service::AnswerBody;

pub(super) fn json(status: StatusCode, text: String) -> Response<AnswerBody> {
    answer_of(status, "application/json; charset=UTF-8", text)
}

/// Its errors are text, as the upload service writes them.
pub(super) fn plain(status: StatusCode, text: &str) -> Response<AnswerBody> {
    answer_of(status, "text/plain; charset=utf-8", text.to_owned())
}

fn answer_of(status: StatusCode, content_type: &'static str, text: String) -> Response<AnswerBody> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
