//! Answer: an HTTP answer becomes a gRPC one: head, frames, trailers.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as HttpBodyTrait, Frame as BodyFrame};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::client::{HttpAnswer, HttpBody};
use super::cut::{Cut, CutFault, Cutter};
use super::status::read_status;
use crate::call::Answer;
use crate::error::Error;
use crate::frame::{Frame, PREFIX_LENGTH, too_large};
use crate::json::{Fault, Unknown, push_varint, read_answer, read_field};
use crate::schema::rule::Rule;
use crate::schema::{Method, Schema, Special};
use crate::symptom::{Evidence, Symptom, SymptomKind};

/// What reading an answer needs to know.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) schema: Schema,
    pub(super) method: std::sync::Arc<Method>,
    pub(super) max_message_size: usize,
}

/// The JSON of a message is larger than the message, at worst by so much: base64, escapes, names.
const JSON_FACTOR: usize = 6;
/// Most bytes of an error body that are read.
const MAX_ERROR_BODY: usize = 1 << 20;

/// # Errors
/// Something other than the service answered, or the answer broke off.
pub(super) async fn read_http_answer(
    answer: HttpAnswer,
    reading: Reading,
) -> Result<Answer, Error> {
    let HttpAnswer { status, headers, mut body } = answer;
    if status.is_redirection() {
        return Err(foreign(SymptomKind::Redirected, &body, status, &headers, &Bytes::new()));
    }
    if !status.is_success() {
        let text = body.collect(MAX_ERROR_BODY).await.unwrap_or_default();
        return match read_status(&reading.schema, status.as_u16(), &text) {
            Some(found) => Ok(failed(found, metadata_of(&headers))),
            None => Err(foreign(SymptomKind::ForeignError, &body, status, &headers, &text)),
        };
    }
    if reading.method.server_streaming {
        return read_stream(status, headers, body, reading).await;
    }
    let limit = reading.max_message_size.saturating_mul(JSON_FACTOR);
    let text = body.collect(limit).await?;
    let rule = reading.method.rules.first();
    let wire = match reading.schema.message(reading.method.output).special {
        Special::HttpBody => raw_message(&headers, &text),
        _ if text.trim_ascii().is_empty() => Vec::new(),
        _ => match read_message(&reading, rule, &text) {
            Ok(wire) => wire,
            Err(Unreadable::Failure(found)) => return Ok(failed(*found, metadata_of(&headers))),
            Err(Unreadable::Foreign) => {
                return Err(foreign(SymptomKind::NotJson, &body, status, &headers, &text));
            }
            Err(Unreadable::Broken(fault)) => return Err(broken(&fault, body.hop(), 0)),
        },
    };
    if wire.len() > reading.max_message_size {
        return Err(too_large(wire.len(), reading.max_message_size));
    }
    let frame =
        Frame::wrap(&wire).ok_or_else(|| too_large(wire.len(), reading.max_message_size))?;
    let whole = WholeBody { message: Some(frame.into_bytes()), ended: false };
    Ok(head(metadata_of(&headers), Body::new(whole)))
}

/// Waits for the first bytes: they tell whether the service speaks.
async fn read_stream(
    status: http::StatusCode,
    headers: HeaderMap,
    mut body: HttpBody,
    reading: Reading,
) -> Result<Answer, Error> {
    let mut start = BytesMut::new();
    let mut ended = false;
    while !ended && start.trim_ascii().is_empty() {
        match poll_fn(|context| body.poll_chunk(context, 0)).await {
            Some(chunk) => start.extend_from_slice(&chunk?),
            None => ended = true,
        }
    }
    if start.trim_ascii_start().starts_with(b"<") {
        return Err(foreign(SymptomKind::NotJson, &body, status, &headers, &start.freeze()));
    }
    let mut cutter = Cutter::for_body(&start, reading.max_message_size.saturating_mul(JSON_FACTOR));
    cutter.feed(&start);
    let stream = AnswerStream { cutter, body, reading, messages: 0, place: Place::of_body(ended) };
    Ok(head(metadata_of(&headers), Body::new(stream)))
}

/// The body of a streamed answer: a frame for each message, as it arrives.
struct AnswerStream {
    cutter: Cutter,
    body: HttpBody,
    reading: Reading,
    messages: u64,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Reading,
    /// The HTTP body ended well; what is held is left.
    BodyEnded,
    Done,
}

impl Place {
    const fn of_body(ended: bool) -> Self {
        if ended { Self::BodyEnded } else { Self::Reading }
    }
}

impl AnswerStream {
    /// A frame from what is held, if there is enough.
    fn take_frame(&mut self) -> Result<Option<BodyFrame<Bytes>>, Error> {
        let cut = match self.place {
            Place::BodyEnded => match self.cutter.next() {
                Ok(None) => self.cutter.finish(),
                other => other,
            },
            Place::Reading | Place::Done => self.cutter.next(),
        };
        match cut.map_err(|fault| self.name_fault(fault))? {
            Some(Cut::Message(text)) => self.write_frame(&text).map(Some),
            Some(Cut::Error(text)) => {
                let found = read_status(&self.reading.schema, 200, &text);
                found
                    .map(|status| Some(self.end(&status)))
                    .ok_or_else(|| self.name_fault(CutFault::NotAStream))
            }
            None if self.place == Place::BodyEnded => Ok(Some(self.end(&Status::ok("")))),
            None => Ok(None),
        }
    }

    fn write_frame(&mut self, text: &[u8]) -> Result<BodyFrame<Bytes>, Error> {
        let mut frame = BytesMut::new();
        match read_message(&self.reading, self.reading.method.rules.first(), text) {
            Ok(wire) if wire.len() > self.reading.max_message_size => {
                Err(too_large(wire.len(), self.reading.max_message_size))
            }
            Ok(wire) => {
                frame.reserve(PREFIX_LENGTH + wire.len());
                frame.put_u8(0);
                frame.put_u32(u32::try_from(wire.len()).unwrap_or(u32::MAX));
                frame.put_slice(&wire);
                self.messages += 1;
                Ok(BodyFrame::data(frame.freeze()))
            }
            Err(Unreadable::Failure(status)) => Ok(self.end(&status)),
            Err(Unreadable::Foreign) => Err(self.name_fault(CutFault::NotAStream)),
            Err(Unreadable::Broken(fault)) => Err(broken(&fault, self.body.hop(), self.messages)),
        }
    }

    fn end(&mut self, status: &Status) -> BodyFrame<Bytes> {
        self.place = Place::Done;
        BodyFrame::trailers(trailers_of(status))
    }

    fn name_fault(&self, fault: CutFault) -> Error {
        let kind = match fault {
            CutFault::TooLarge => {
                let limit = self.reading.max_message_size;
                return too_large(limit, limit);
            }
            CutFault::Truncated => SymptomKind::BodyTruncated,
            CutFault::NotAStream => SymptomKind::BodyMalformed,
        };
        Symptom::new(kind, self.body.hop())
            .with_evidence(Evidence::new().with_messages(self.messages))
            .into()
    }
}

impl HttpBodyTrait for AnswerStream {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if this.place == Place::Done {
                return Poll::Ready(None);
            }
            let failure = match this.take_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) => match ready!(this.body.poll_chunk(context, this.messages)) {
                    Some(Ok(chunk)) => {
                        this.cutter.feed(&chunk);
                        continue;
                    }
                    None => {
                        this.place = Place::BodyEnded;
                        continue;
                    }
                    Some(Err(error)) => error,
                },
                Err(error) => error,
            };
            this.place = Place::Done;
            return Poll::Ready(Some(Err(failure.into())));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.place == Place::Done
    }
}

/// A unary answer: one message, and trailers.
struct WholeBody {
    message: Option<Bytes>,
    ended: bool,
}

impl HttpBodyTrait for WholeBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(BodyFrame::data(message))));
        }
        let trailers = || Ok(BodyFrame::trailers(trailers_of(&Status::ok(""))));
        Poll::Ready((!std::mem::replace(&mut self.ended, true)).then(trailers))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// Why a text is no message.
enum Unreadable {
    /// It is the service's error.
    Failure(Box<Status>),
    /// It is not JSON at all.
    Foreign,
    /// It is JSON that is cut or wrong.
    Broken(Box<Fault>),
}

fn read_message(
    reading: &Reading,
    rule: Option<&Rule>,
    text: &[u8],
) -> Result<Vec<u8>, Unreadable> {
    let Reading { schema, method, .. } = reading;
    let mut wire = Vec::new();
    let table = schema.message(method.output);
    let field =
        rule.and_then(|rule| rule.response_body).and_then(|number| table.field_of_number(number));
    let read = match field {
        Some(field) => read_field(schema, field, text, Unknown::Ignore, &mut wire).map(|()| false),
        None => read_answer(schema, method.output, text, &mut wire),
    };
    match read {
        Ok(false) => Ok(wire),
        Ok(true) => match read_status(schema, 200, text) {
            Some(status) => Err(Unreadable::Failure(Box::new(status))),
            None => Ok(wire),
        },
        Err(fault) => {
            let begins_as_json =
                matches!(text.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
            Err(if begins_as_json { Unreadable::Broken(fault) } else { Unreadable::Foreign })
        }
    }
}

fn broken(fault: &Fault, hop: Box<str>, messages: u64) -> Error {
    let kind = if fault.is_cut() { SymptomKind::BodyTruncated } else { SymptomKind::BodyMalformed };
    let evidence = Evidence::new().with_messages(messages).with_detail(fault.to_string());
    Symptom::new(kind, hop).with_evidence(evidence).into()
}

/// A `google.api.HttpBody` of the answer as it is.
fn raw_message(headers: &HeaderMap, data: &Bytes) -> Vec<u8> {
    let content_type =
        headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let mut wire = Vec::with_capacity(data.len() + content_type.len() + 16);
    for (tag, bytes) in [(0x0a, content_type), (0x12, data)] {
        wire.push(tag);
        push_varint(&mut wire, bytes.len() as u64);
        wire.extend_from_slice(bytes);
    }
    wire
}

fn foreign(
    kind: SymptomKind,
    body: &HttpBody,
    status: http::StatusCode,
    headers: &HeaderMap,
    text: &Bytes,
) -> Error {
    let evidence = Evidence::new().with_status(status).with_headers(headers).with_first_bytes(text);
    Symptom::new(kind, body.hop()).with_evidence(evidence).into()
}

fn head(metadata: HeaderMap, body: Body) -> Answer {
    let mut answer = Answer::new(body);
    *answer.headers_mut() = metadata;
    let grpc = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(header::CONTENT_TYPE, grpc);
    answer
}

/// An error without messages: a head alone, as gRPC calls it trailers-only.
fn failed(status: Status, metadata: HeaderMap) -> Answer {
    let details = Bytes::copy_from_slice(status.details());
    let metadata = MetadataMap::from_headers(metadata);
    Status::with_details_and_metadata(status.code(), status.message(), details, metadata)
        .into_http()
}

fn trailers_of(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    if status.code() == Code::Ok || status.add_header(&mut trailers).is_err() {
        trailers.clear();
        trailers.insert("grpc-status", (status.code() as i32).into());
    }
    trailers
}

/// Headers of HTTP itself say nothing to the caller; `grpc-*` is ours to write.
fn metadata_of(headers: &HeaderMap) -> HeaderMap {
    let of_http =
        |name: &HeaderName| HTTP_HEADERS.contains(name) || name.as_str().starts_with("grpc-");
    let kept = headers.iter().filter(|(name, _)| !of_http(name));
    let mut metadata = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in kept {
        metadata.append(name.clone(), value.clone());
    }
    metadata
}

static HTTP_HEADERS: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VARY,
];
