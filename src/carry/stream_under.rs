//! Stream under: a unary call that asks a model to write is carried as the stream of the same
//! answer, and collected.
//!
//! A proxy that ends what is silent for too long cuts a unary call while the model thinks; of a
//! stream it sees the pieces.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::{Code, Status};

use super::core::Core;
use crate::call::compression::plain_message;
use crate::call::deadline::Deadline;
use crate::call::frame::{Frame, PREFIX_LENGTH, too_large};
use crate::call::{Answer, Call, GRPC_ENCODING, GRPC_STATUS};
use crate::error::{Error, ErrorKind};
use crate::gemini::reply::{ReplyMerger, SignedText, unfinished};
use crate::schema::Method;
use crate::symptom::SymptomKind;

impl Core {
    /// Makes a stream of the call, if it is to be one; its answer is then for the merger.
    pub(super) fn stream_under(&self, call: &mut Call) -> Option<Box<ReplyMerger>> {
        if !call.options.stream_under.unwrap_or(self.settings.stream_under) {
            return None;
        }
        let (path, method) = self.streamed(call)?;
        let merger = ReplyMerger::new(self.schema.clone(), method.output, SignedText::Joined);
        call.path = path;
        call.method = Some(method);
        // The messages are read here: what the caller can decompress does not count.
        let has_gzip = call.accept_encoding.take().is_some_and(|value| accepts_gzip(&value));
        call.accept_encoding = has_gzip.then(|| HeaderValue::from_static("gzip"));
        Some(Box::new(merger))
    }

    /// Whether the network may have ended a call because nothing came for long, and a stream would
    /// have brought something.
    pub(super) fn may_be_cut_for_silence(&self, call: &Call, error: &Error) -> bool {
        let is_end_of_wait = error.symptom().is_some_and(|symptom| match symptom.kind() {
            SymptomKind::StreamReset
            | SymptomKind::ConnectionLost
            | SymptomKind::KeepAliveTimeout
            | SymptomKind::Unanswered
            | SymptomKind::CarrierFailed => true,
            SymptomKind::NotGrpc | SymptomKind::ForeignError => {
                let status = symptom.evidence().status().map(|status| status.as_u16());
                status.is_some_and(|status| matches!(status, 408 | 502 | 504 | 524))
            }
            _ => false,
        });
        let began = call.deadline.map(Deadline::began);
        let is_long = began.is_none_or(|began| began.elapsed() >= LONG);
        is_end_of_wait && is_long && self.streamed(call).is_some()
    }

    /// Path and method of the stream that gives the same answer.
    fn streamed(&self, call: &Call) -> Option<(PathAndQuery, Arc<Method>)> {
        let unary = call.method.as_ref().filter(|method| !method.server_streaming)?;
        let before = |path: &str| Some([path.strip_suffix(GENERATE)?, STREAM].concat());
        let method = self.schema.method(&before(&unary.path)?)?;
        let fits = method.server_streaming
            && !method.client_streaming
            && (method.input, method.output) == (unary.input, unary.output)
            && (method.has_rest_form() || !unary.has_rest_form())
            && ReplyMerger::can_end(&self.schema, method.output);
        let path = PathAndQuery::try_from(before(call.path.path())?).ok()?;
        fits.then(|| (path, Arc::clone(method)))
    }

    /// Reads the stream to its end, and gives it as a unary answer.
    ///
    /// # Errors
    /// The stream broke, or it ended and nothing says that the answer is whole: nothing of it is
    /// given.
    pub(super) async fn collect(
        &self,
        answer: Answer,
        mut merger: Box<ReplyMerger>,
    ) -> Result<Answer, Status> {
        let (mut head, mut body) = answer.into_parts();
        if head.headers.get(&GRPC_STATUS).is_some_and(|status| status != "0") {
            return Ok(Answer::from_parts(head, Body::empty()));
        }
        let encoding = head.headers.remove(&GRPC_ENCODING);
        let mut messages = Messages::new(self.settings.max_message_size);
        let mut trailers = head.headers.remove(&GRPC_STATUS).map(status_alone).unwrap_or_default();
        while let Some(part) = body.frame().await {
            match part?.into_data() {
                Ok(data) => messages.feed(&data, encoding.as_ref(), &mut merger)?,
                Err(part) => trailers.extend(part.into_trailers().unwrap_or_default()),
            }
        }
        let code = trailers
            .get(&GRPC_STATUS)
            .map_or(Code::Unknown, |status| Code::from_bytes(status.as_bytes()));
        if code != Code::Ok {
            head.headers.extend(trailers);
            return Ok(Answer::from_parts(head, Body::empty()));
        }
        if !merger.is_finished() {
            return Err(unfinished().into());
        }
        let message = merger.encode();
        let frame = Frame::wrap(&message)
            .ok_or_else(|| too_large(message.len(), self.settings.max_message_size))?;
        let body = Full::new(frame.into_bytes()).with_trailers(async { Some(Ok(trailers)) });
        Ok(Answer::from_parts(head, Body::new(body.map_err(|never| match never {}))))
    }
}

/// The messages of a stream, as their bytes come.
struct Messages {
    held: BytesMut,
    /// Bytes of all messages together may be no more than those of the one that they become.
    left: usize,
    limit: usize,
}

impl Messages {
    fn new(limit: usize) -> Self {
        Self { held: BytesMut::new(), left: limit, limit }
    }

    fn feed(
        &mut self,
        data: &[u8],
        encoding: Option<&HeaderValue>,
        merger: &mut ReplyMerger,
    ) -> Result<(), Error> {
        self.held.extend_from_slice(data);
        while let Some(&[_, a, b, c, d]) = self.held.first_chunk() {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if length > self.left {
                return Err(too_large(self.limit - self.left + length, self.limit));
            }
            if self.held.len() < PREFIX_LENGTH + length {
                break;
            }
            let frame = self.held.split_to(PREFIX_LENGTH + length).freeze();
            let frame = Frame::parse(frame).map_err(unreadable)?;
            let message = plain_message(&frame, encoding, self.left).map_err(unreadable)?;
            self.left = self.left.saturating_sub(message.len());
            merger.add(&message)?;
        }
        Ok(())
    }
}

fn unreadable(why: Error) -> Error {
    match why.kind() {
        ErrorKind::MessageTooLarge => why,
        _ => Error::new(ErrorKind::MalformedAnswer, "a message of the stream cannot be read")
            .with_source(why),
    }
}

fn accepts_gzip(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|value| value.split(',').any(|name| name.trim() == "gzip"))
}

fn status_alone(status: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(GRPC_STATUS.clone(), status)])
}

/// No timer for silence is shorter.
const LONG: Duration = Duration::from_secs(5);
const GENERATE: &str = "/GenerateContent";
const STREAM: &str = "/StreamGenerateContent";
