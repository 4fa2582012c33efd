//! Foreign: the errors of answers that are not the service's, or that cannot be read.

use http::StatusCode;
use http::header::{self, HeaderMap};

use super::body::AnswerBody;
use crate::error::Error;
use crate::json::Fault;
use crate::symptom::{Evidence, SymptomKind};

/// JSON that is cut or wrong.
pub(super) fn broken(fault: &Fault, body: &AnswerBody, messages: u64) -> Error {
    let kind = if fault.is_cut() { SymptomKind::BodyTruncated } else { SymptomKind::BodyMalformed };
    let evidence = Evidence::new().with_messages(messages).with_detail(fault.to_string());
    body.symptom(kind, evidence).into()
}

/// What somebody else answered.
pub(super) fn foreign(
    kind: SymptomKind,
    body: &AnswerBody,
    status: StatusCode,
    headers: &HeaderMap,
    text: &[u8],
) -> Error {
    let evidence = Evidence::new().with_status(status).with_headers(headers);
    let evidence = match headers.get(header::CONTENT_ENCODING) {
        // One that was not asked for, and that nobody here can read.
        Some(coding) => evidence.with_detail(format!("content-encoding: {coding:?}")),
        None => evidence.with_answer(text),
    };
    body.symptom(kind, evidence).into()
}
