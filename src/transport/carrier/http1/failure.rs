//! Failure: what broke, found in the types of an error's chain of causes.

use std::error::Error as StdError;
use std::io;

use hyper_util::client::legacy;

use crate::error::{BoxError, Error};
use crate::network::late_refusal;
use crate::symptom::{Evidence, Symptom, SymptomKind};

/// A request without an answer.
pub(crate) fn before_answer(error: BoxError, hop: &str) -> Error {
    let refused = late_refusal(error.as_ref());
    let (kind, evidence) =
        refused.unwrap_or_else(|| (kind_of(error.as_ref()), evidence_of(error.as_ref())));
    let symptom = Symptom::new(kind, hop).with_evidence(evidence);
    Error::from(symptom).with_source(error)
}

/// How a failure within the body of an answer is called, and what was seen of it.
pub(crate) fn within_body(error: &BoxError) -> (SymptomKind, Evidence) {
    let kind = match kind_of(error.as_ref()) {
        SymptomKind::StreamReset => SymptomKind::BodyReset,
        SymptomKind::AnswerMalformed => SymptomKind::BodyMalformed,
        _ => SymptomKind::BodyLost,
    };
    (kind, evidence_of(error.as_ref()))
}

/// Whether hyper-util's client got no connection.
pub(crate) fn is_without_connection(error: &(dyn StdError + 'static)) -> bool {
    find::<legacy::Error>(error).is_some_and(legacy::Error::is_connect)
}

/// What broke after a connection stood.
fn kind_of(error: &(dyn StdError + 'static)) -> SymptomKind {
    if let Some(http2) = find::<h2::Error>(error) {
        return kind_of_http2(http2);
    }
    match find::<hyper::Error>(error) {
        Some(hyper) if hyper.is_canceled() || hyper.is_closed() => SymptomKind::NeverSent,
        Some(hyper) if hyper.is_parse() => SymptomKind::AnswerMalformed,
        Some(_) => SymptomKind::ConnectionLost,
        // Not of HTTP at all: the decompression's.
        None => SymptomKind::AnswerMalformed,
    }
}

pub(crate) fn kind_of_http2(error: &h2::Error) -> SymptomKind {
    let is_remote = error.is_remote();
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) if is_remote && error.is_reset() => {
            SymptomKind::StreamRefused
        }
        Some(h2::Reason::NO_ERROR) if is_remote && error.is_go_away() => {
            SymptomKind::GoAwayGraceful
        }
        Some(h2::Reason::HTTP_1_1_REQUIRED) => SymptomKind::Http11Required,
        Some(_) if is_remote && error.is_go_away() => SymptomKind::GoAwayUnprocessed,
        Some(_) if error.is_reset() => SymptomKind::StreamReset,
        _ => SymptomKind::ConnectionLost,
    }
}

pub(crate) fn evidence_of(error: &(dyn StdError + 'static)) -> Evidence {
    let mut evidence = Evidence::new();
    if let Some(reason) = find::<h2::Error>(error).and_then(h2::Error::reason) {
        evidence = evidence.with_http2_reason(reason.into());
    }
    match find::<io::Error>(error) {
        Some(io) => evidence.with_io(io.kind()),
        None => evidence,
    }
}

/// The first error of this type in the chain; `io::Error` hides its payload from `source`.
pub(crate) fn find<'e, T: StdError + 'static>(
    error: &'e (dyn StdError + 'static),
) -> Option<&'e T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inside) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            let found = find::<T>(inside);
            if found.is_some() {
                return found;
            }
        }
        cause = error.source();
    }
    None
}
