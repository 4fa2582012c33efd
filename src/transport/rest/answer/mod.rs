//! Answer: an HTTP answer becomes a gRPC one: head, frames, trailers.

mod end;
pub(crate) mod status;
mod stream;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http_body::{Body as HttpBodyTrait, Frame as BodyFrame};
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tracing::warn;

use crate::call::frame::{PREFIX_LENGTH, too_large};
use crate::call::{Answer, OF_HTTP, remove_headers, trailers_of};
use crate::error::{Error, metadata_too_large};
use crate::json::{
    Fault, LenienceCounts, Leniences, push_varint, read_answer, read_field, room_for,
};
use crate::schema::{Method, Schema, Special};
use crate::symptom::{Evidence, SymptomKind};
use crate::transport::carrier::http1::client::{HttpAnswer, HttpBody};
use crate::transport::rest::EndFields;
use crate::transport::rest::answer::status::read_status;
use crate::transport::rest::answer::stream::read_stream;

/// What reading an answer needs to know.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) schema: Schema,
    pub(crate) method: std::sync::Arc<Method>,
    pub(crate) max_message_size: usize,
    pub(crate) max_metadata_size: usize,
    pub(crate) end_fields: EndFields,
    pub(crate) leniences: std::sync::Arc<LenienceCounts>,
}

/// The JSON of a message is larger than the message, at worst by so much: base64, escapes, names.
const JSON_FACTOR: usize = 6;

/// # Errors
/// Something other than the service answered, or the answer broke off.
pub(crate) async fn read_http_answer(
    answer: HttpAnswer,
    reading: Reading,
) -> Result<Answer, Error> {
    let HttpAnswer { status, headers, mut body } = answer;
    if status.is_redirection() {
        return Err(foreign(SymptomKind::Redirected, &body, status, &headers, &Bytes::new()));
    }
    if !status.is_success() {
        let text = reading.read_error(&mut body).await?;
        return match read_status(&reading.schema, status.as_u16(), &text) {
            Some(found) => Ok(failed(&found, metadata_of(headers))),
            None => Err(foreign(SymptomKind::ForeignError, &body, status, &headers, &text)),
        };
    }
    if reading.method.server_streaming {
        return read_stream(status, headers, body, reading).await;
    }
    let text = body.collect(reading.json_limit()).await?.ok_or_else(|| reading.too_large())?;
    let output = reading.schema.message(reading.method.output);
    let frame = match output.special {
        Special::HttpBody => raw_frame(&headers, &text),
        _ if text.trim_ascii().is_empty() && output.is_empty() => {
            Bytes::from_static(&[0; PREFIX_LENGTH])
        }
        _ => match read_frame(&reading, &text) {
            Ok(frame) => frame,
            Err(Unreadable::Failure(found)) => return Ok(failed(&found, metadata_of(headers))),
            Err(Unreadable::Foreign) => {
                return Err(foreign(SymptomKind::NotJson, &body, status, &headers, &text));
            }
            Err(Unreadable::Broken(fault)) => return Err(broken(&fault, &body, 0)),
        },
    };
    reading.check_size(&frame)?;
    Ok(head(metadata_of(headers), Body::new(WholeBody { frame: Some(frame), ended: false })))
}

impl Reading {
    /// Most bytes of the JSON of a message.
    pub(crate) fn json_limit(&self) -> usize {
        self.max_message_size.saturating_mul(JSON_FACTOR)
    }

    /// The error of JSON beyond that limit; nobody knows how large its message is.
    pub(crate) fn too_large(&self) -> Error {
        too_large(self.max_message_size, self.max_message_size)
    }

    /// Counts what the answer was read in spite of, and says each once.
    fn tell(&self, leniences: Leniences) {
        if leniences == Leniences::default() {
            return;
        }
        for lenience in self.leniences.count(leniences) {
            warn!(%lenience, method = %self.method.path, "an answer over REST was read leniently");
        }
    }

    /// The body of an error; empty if it breaks off.
    ///
    /// # Errors
    /// It is over the limit.
    async fn read_error(&self, body: &mut HttpBody) -> Result<Bytes, Error> {
        let limit = self.max_metadata_size;
        match body.collect(limit).await {
            Ok(Some(text)) => Ok(text),
            Ok(None) => {
                let what = format!("the error of {} has {limit} bytes or more", body.hop());
                Err(metadata_too_large(&what, limit))
            }
            Err(_) => Ok(Bytes::new()),
        }
    }

    pub(crate) fn check_size(&self, frame: &Bytes) -> Result<(), Error> {
        let length = frame.len() - PREFIX_LENGTH;
        if length > self.max_message_size {
            return Err(too_large(length, self.max_message_size));
        }
        Ok(())
    }
}

/// A unary answer: one message, and trailers.
struct WholeBody {
    frame: Option<Bytes>,
    ended: bool,
}

impl HttpBodyTrait for WholeBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        if let Some(frame) = self.frame.take() {
            return Poll::Ready(Some(Ok(BodyFrame::data(frame))));
        }
        let trailers = || Ok(BodyFrame::trailers(trailers_of(&Status::ok(""))));
        Poll::Ready((!std::mem::replace(&mut self.ended, true)).then(trailers))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// Why a text is no message.
pub(crate) enum Unreadable {
    /// It is the service's error.
    Failure(Box<Status>),
    /// It is not JSON at all.
    Foreign,
    /// It is JSON that is cut or wrong.
    Broken(Box<Fault>),
}

/// The frame of the message that `text` is.
pub(crate) fn read_frame(reading: &Reading, text: &[u8]) -> Result<Bytes, Unreadable> {
    let Reading { schema, method, .. } = reading;
    let mut frame = Vec::with_capacity(PREFIX_LENGTH + room_for(text));
    frame.resize(PREFIX_LENGTH, 0);
    let table = schema.message(method.output);
    let number = method.rules.first().and_then(|rule| rule.response_body);
    let read = match number.and_then(|number| table.field_of_number(number)) {
        Some(field) => read_field(schema, field, text, &mut frame),
        None => read_answer(schema, method.output, text, &mut frame),
    };
    // An error is small; a long text that only begins as one must not become a tree.
    let may_be_error = text.len() <= reading.max_metadata_size;
    let failure = || {
        let status = may_be_error.then(|| read_status(schema, 200, text)).flatten();
        status.map(Box::new).map(Unreadable::Failure)
    };
    match read {
        // An error that is not of the known form is no message all the same.
        Ok(notes) if notes.has_error => Err(failure().unwrap_or(Unreadable::Foreign)),
        Ok(notes) => {
            reading.tell(notes.leniences);
            Ok(with_length(frame))
        }
        Err(fault) => Err(match text.trim_ascii_start().first() {
            Some(b'[') => failure().unwrap_or(Unreadable::Broken(fault)),
            Some(b'{' | b'"') => Unreadable::Broken(fault),
            Some(_) | None => Unreadable::Foreign,
        }),
    }
}

/// The message of a frame.
pub(crate) fn message_of(frame: &Bytes) -> &[u8] {
    frame.get(PREFIX_LENGTH..).unwrap_or_default()
}

/// Writes the length of the message into the frame's prefix. A message beyond the 4 GiB that it can state is over
/// every limit, and is refused by it.
fn with_length(mut frame: Vec<u8>) -> Bytes {
    let length = u32::try_from(frame.len() - PREFIX_LENGTH).unwrap_or(u32::MAX);
    if let Some(room) = frame.get_mut(1..PREFIX_LENGTH) {
        room.copy_from_slice(&length.to_be_bytes());
    }
    frame.into()
}

pub(crate) fn broken(fault: &Fault, body: &HttpBody, messages: u64) -> Error {
    let kind = if fault.is_cut() { SymptomKind::BodyTruncated } else { SymptomKind::BodyMalformed };
    let evidence = Evidence::new().with_messages(messages).with_detail(fault.to_string());
    body.symptom(kind, evidence).into()
}

/// A `google.api.HttpBody` of the answer as it is.
fn raw_frame(headers: &HeaderMap, data: &Bytes) -> Bytes {
    let content_type =
        headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let mut frame = Vec::with_capacity(PREFIX_LENGTH + data.len() + content_type.len() + 16);
    frame.resize(PREFIX_LENGTH, 0);
    for (tag, bytes) in [(0x0a, content_type), (0x12, data)] {
        frame.push(tag);
        push_varint(&mut frame, bytes.len() as u64);
        frame.extend_from_slice(bytes);
    }
    with_length(frame)
}

pub(crate) fn foreign(
    kind: SymptomKind,
    body: &HttpBody,
    status: http::StatusCode,
    headers: &HeaderMap,
    text: &Bytes,
) -> Error {
    let evidence = Evidence::new().with_status(status).with_headers(headers).with_first_bytes(text);
    body.symptom(kind, evidence).into()
}

pub(crate) fn head(metadata: HeaderMap, body: Body) -> Answer {
    let mut answer = Answer::new(body);
    *answer.headers_mut() = metadata;
    let grpc = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(header::CONTENT_TYPE, grpc);
    answer
}

/// An error without messages: a head alone, as gRPC calls it trailers-only.
fn failed(status: &Status, metadata: HeaderMap) -> Answer {
    let details = Bytes::copy_from_slice(status.details());
    let metadata = MetadataMap::from_headers(metadata);
    Status::with_details_and_metadata(status.code(), status.message(), details, metadata)
        .into_http()
}

/// Headers of HTTP itself say nothing to the caller; `grpc-*` is ours to write.
pub(crate) fn metadata_of(mut headers: HeaderMap) -> HeaderMap {
    remove_headers(&mut headers, |name| {
        OF_HTTP.contains(name) || name.as_str().starts_with("grpc-")
    });
    headers
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const UNARY: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/CountTokens";
    const STREAM: &str =
        "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";

    /// Messages, and how the answer ends: a code, the kind of a symptom, or the kind of another error.
    type Outcome = (Vec<Bytes>, String);

    async fn read(path: &str, status: u16, body: &str, chunk: usize) -> Outcome {
        let schema = Schema::from_descriptor_set(crate::proto::DESCRIPTORS).expect("the schema");
        let method = std::sync::Arc::clone(schema.method(path).expect("a method"));
        let reading = Reading {
            schema,
            method,
            max_message_size: 1 << 10,
            max_metadata_size: 1 << 10,
            end_fields: &[],
            leniences: std::sync::Arc::default(),
        };
        let answer = HttpAnswer {
            status: http::StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: HttpBody::in_chunks(body.as_bytes(), chunk),
        };
        let answer = match read_http_answer(answer, reading).await {
            Ok(answer) => answer,
            Err(error) => return (Vec::new(), name(&error)),
        };
        if let Some(status) = Status::from_header_map(answer.headers()) {
            return (Vec::new(), format!("{:?}", status.code()));
        }
        let mut body = answer.into_body();
        let mut messages = Vec::new();
        loop {
            match body.frame().await.expect("trailers or an error") {
                Err(status) => return (messages, name(Error::of(&status).expect("our error"))),
                Ok(frame) => match frame.into_data() {
                    Ok(frame) => messages.push(frame),
                    Err(frame) => {
                        let trailers = frame.into_trailers().expect("trailers");
                        let status = Status::from_header_map(&trailers).expect("a status");
                        return (messages, format!("{:?}", status.code()));
                    }
                },
            }
        }
    }

    fn name(error: &Error) -> String {
        let symptom = error.symptom().map(|symptom| format!("{:?}", symptom.kind()));
        symptom.unwrap_or_else(|| format!("{:?}", error.kind()))
    }

    #[tokio::test]
    async fn a_unary_answer_is_one_message_or_an_error() {
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(6 << 10));
        let cases: &[(u16, &str, &[&[u8]], &str)] = &[
            (200, "{\"totalTokens\": 3}", &[b"\0\0\0\0\x02\x08\x03"], "Ok"),
            (200, "{\"totalTokens\": 3, \"new\": [{}]}", &[b"\0\0\0\0\x02\x08\x03"], "Ok"),
            (200, "{}", &[b"\0\0\0\0\0"], "Ok"),
            (200, "", &[], "NotJson"),
            (204, "", &[], "NotJson"),
            (200, " \r\n", &[], "NotJson"),
            (200, "{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}", &[], "Unavailable"),
            (200, "[{\"error\":{\"code\":429}}]", &[], "ResourceExhausted"),
            (200, "{\"error\":{}}", &[], "Unknown"),
            (404, "[{\"error\":{\"code\":404}}]", &[], "NotFound"),
            (
                400,
                "{\"error\":{\"code\":400,\"status\":\"FAILED_PRECONDITION\"}}",
                &[],
                "FailedPrecondition",
            ),
            (403, "<html>", &[], "ForeignError"),
            (502, "", &[], "ForeignError"),
            (302, "", &[], "Redirected"),
            (200, "<html>", &[], "NotJson"),
            (200, "welcome", &[], "NotJson"),
            (200, "{\"totalTokens\": ", &[], "BodyTruncated"),
            (200, "{\"totalTokens\": }", &[], "BodyMalformed"),
            (200, "[{}]", &[], "BodyMalformed"),
            (200, &large, &[], "MessageTooLarge"),
        ];
        for (status, body, messages, end) in cases {
            let found = read(UNARY, *status, body, 7).await;
            let expected: Outcome =
                (messages.iter().map(|m| Bytes::from_static(m)).collect(), (*end).into());
            assert_eq!(found, expected, "{status} {body:.80}");
        }
    }

    #[tokio::test]
    async fn a_streamed_answer_never_ends_well_where_it_was_cut_or_failed() {
        const EVENT: &str = "data: {\"responseId\":\"a\"}\r\n\r\n";
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(6 << 10));
        let after = |rest: &str| format!("{EVENT}{rest}");
        let cases: &[(u16, String, usize, &str)] = &[
            (200, String::new(), 0, "Ok"),
            (200, "[]".into(), 0, "Ok"),
            (200, after(""), 1, "Ok"),
            (200, after(EVENT), 2, "Ok"),
            (200, after("data: [DONE]\n\n"), 1, "Ok"),
            (
                200,
                after("data: {\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}\n\n"),
                1,
                "Unavailable",
            ),
            (200, after("{\n \"error\": {\n  \"code\": 429\n }\n}\n"), 1, "ResourceExhausted"),
            (200, after("[{\"error\":{\"code\":500}}]"), 1, "Internal"),
            (200, after("data: {\"error\":{}}\n\n"), 1, "Unknown"),
            (200, "{\"error\":{\"code\":404}}".into(), 0, "NotFound"),
            (200, "[{\"responseId\":\"a\"},\n{\"error\":{\"code\":503}}]".into(), 1, "Unavailable"),
            (404, "{\"error\":{\"code\":404}}".into(), 0, "NotFound"),
            (404, "[{\"error\":{\"code\":404}}]".into(), 0, "NotFound"),
            (200, after("data: {\"responseId\":"), 1, "BodyTruncated"),
            (200, after("data: {\"responseId\":\n\n"), 1, "BodyTruncated"),
            (200, after("{\n \"error\": {"), 1, "BodyTruncated"),
            (200, after("dat"), 1, "BodyTruncated"),
            (200, "[{\"responseId\":\"a\"}".into(), 1, "BodyTruncated"),
            (200, "[{\"responseId\":\"a\"},".into(), 1, "BodyTruncated"),
            (200, "[".into(), 0, "BodyTruncated"),
            (200, after("upstream error\n"), 1, "BodyMalformed"),
            (200, after("data: x\n\n"), 1, "BodyMalformed"),
            (200, "welcome\n".into(), 0, "NotJson"),
            (200, "\n<html>".into(), 0, "NotJson"),
            (502, "<html>".into(), 0, "ForeignError"),
            (200, format!("data: {large}\n\n"), 0, "MessageTooLarge"),
        ];
        for (status, body, messages, end) in cases {
            for chunk in [1, 2, 5, body.len().max(1)] {
                let (found, found_end) = read(STREAM, *status, body, chunk).await;
                assert_eq!(
                    (found.len(), found_end.as_str()),
                    (*messages, *end),
                    "{status} {body:.80} by {chunk}"
                );
            }
        }
    }

    #[tokio::test]
    async fn blanks_before_a_stream_are_not_held() {
        let body = format!("{}data: {{\"responseId\":\"a\"}}\n\n", " ".repeat(8 << 10));
        for chunk in [1, 5, body.len()] {
            let (messages, end) = read(STREAM, 200, &body, chunk).await;
            assert_eq!((messages.len(), end.as_str()), (1, "Ok"), "by {chunk}");
        }
    }
}
