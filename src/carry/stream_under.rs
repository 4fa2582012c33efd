//! Stream under: a unary call that asks a model to write is carried as the stream of the same
//! answer, and collected.
//!
//! A proxy that ends what is silent for too long cuts a unary call while the model thinks; of a
//! stream it sees the pieces.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::Extensions;
use http::header::{HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::{Code, Status};

use super::core::Core;
use crate::bridge::options::ActiveTransport;
use crate::call::compression::plain_message;
use crate::call::deadline::Deadline;
use crate::call::frame::{Frame, PREFIX_LENGTH, too_large};
use crate::call::{Answer, Call, GRPC_ENCODING, GRPC_STATUS};
use crate::error::{Error, ErrorKind};
use crate::gemini::reply::{ReplyMerger, SignedText, unfinished};
use crate::schema::Method;
use crate::symptom::{Delivery, Mark, Station, Symptom};

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
        let is_end_of_wait = error.symptom().is_some_and(ends_a_wait);
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

    fn hop_of(&self, extensions: &Extensions) -> Arc<str> {
        match extensions.get() {
            Some(ActiveTransport::Rest) => self.rest.hop().get(),
            Some(ActiveTransport::Grpc) | None => self.grpc.hop().get(),
        }
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
        let hop = self.hop_of(&head.extensions);
        let mut messages = Messages::new(hop, self.settings.max_message_size);
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
        if !merger.is_whole() {
            return Err(messages.at_hop(&unfinished()).into());
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
    /// Where they come from.
    hop: Arc<str>,
    held: BytesMut,
    /// Bytes of all messages together may be no more than those of the one that they become.
    left: usize,
    limit: usize,
}

impl Messages {
    fn new(hop: Arc<str>, limit: usize) -> Self {
        Self { hop, held: BytesMut::new(), left: limit, limit }
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
            let frame = Frame::parse(frame).map_err(|_| self.unreadable("is no frame"))?;
            let message = plain_message(&frame, encoding, self.left);
            let message = message.map_err(|error| match error.kind() {
                ErrorKind::MessageTooLarge => too_large(self.limit.saturating_add(1), self.limit),
                _ => self.unreadable("cannot be decompressed"),
            })?;
            self.left = self.left.saturating_sub(message.len());
            merger.add(&message).map_err(|error| self.at_hop(&error))?;
        }
        Ok(())
    }

    /// The readers' own errors speak of the caller's request.
    fn unreadable(&self, why: &str) -> Error {
        let text = format!("a message of the stream {why}");
        self.at_hop(&Error::new(ErrorKind::MalformedAnswer, text))
    }

    fn at_hop(&self, error: &Error) -> Error {
        Error::new(error.kind(), format!("{}: {error}", self.hop))
    }
}

/// Whether a call that was silent may have ended like this: the connection was taken from it, or a
/// gateway says that it waited too long.
fn ends_a_wait(symptom: &Symptom) -> bool {
    let kind = symptom.kind();
    match kind.station() {
        Station::Dns
        | Station::Tcp
        | Station::Proxy
        | Station::Tls
        | Station::Alpn
        | Station::Http2
        | Station::Body
        | Station::Trailers => false,
        // What denies gRPC itself has not waited for anything.
        Station::Request => kind.delivery() == Delivery::Unknown && kind.mark() != Mark::Certain,
        Station::Answer => {
            let status = symptom.evidence().status().map(|status| status.as_u16());
            status.is_some_and(|status| matches!(status, 408 | 502 | 504 | 524))
        }
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::gemini::schema;
    use crate::symptom::SymptomKind::{
        CarrierFailed, ConnectionLost, KeepAliveTimeout, StreamReset, Unanswered,
    };
    use crate::symptom::{Evidence, SymptomKind};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn compressed(message: &[u8]) -> Vec<u8> {
        let mut frame = Frame::wrap(message).expect("short").into_bytes().to_vec();
        frame.splice(..1, [1]);
        frame
    }

    /// What is said of these frames where 100 bytes are allowed.
    fn fault_of(frames: &[u8]) -> Error {
        let schema = schema().expect("a schema");
        let id = schema.message_id("google.ai.generativelanguage.v1beta.GenerateContentResponse");
        let mut merger = ReplyMerger::new(schema, id.expect("a reply"), SignedText::Joined);
        let mut messages = Messages::new("host a:443".into(), 100);
        let gzip = HeaderValue::from_static("gzip");
        messages.feed(frames, Some(&gzip), &mut merger).expect_err("a fault")
    }

    #[test]
    fn what_cannot_be_read_names_the_hop_and_the_stream() {
        for frames in [
            compressed(b"no gzip"),
            Frame::wrap(&[0x0a, 0x7f]).expect("short").into_bytes().to_vec(),
            b"\x02\0\0\0\0".to_vec(),
        ] {
            let error = fault_of(&frames);
            assert_eq!(error.kind(), ErrorKind::MalformedAnswer);
            let text = format!("{error:?}");
            assert!(error.to_string().starts_with("host a:443: a message of the stream"), "{text}");
            assert!(!text.contains("request"), "{text}");
        }
    }

    #[test]
    fn what_is_too_large_names_the_limit_that_is_set() {
        // A field that no schema knows, 60 bytes long.
        let message = [&[0x82, 0xe2, 0x09, 56][..], &[b'a'; 56]].concat();
        let plain = Frame::wrap(&message).expect("short").into_bytes().to_vec();
        for frames in [plain.repeat(2), compressed(&gzip(&message)).repeat(2)] {
            let error = fault_of(&frames);
            assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
            assert!(error.to_string().ends_with("the bridge's limit of 100"), "{error}");
        }
    }

    #[test]
    fn a_wait_ends_where_the_connection_is_taken_or_a_gateway_gives_up() {
        let kinds = SymptomKind::ALL.iter().copied();
        let ends = |status: Option<http::StatusCode>| {
            let ends = move |kind: &SymptomKind| {
                let evidence = Evidence::new();
                let evidence = match status {
                    Some(status) => evidence.with_status(status),
                    None => evidence,
                };
                ends_a_wait(&Symptom::new(*kind, "host a:443").with_evidence(evidence))
            };
            kinds.clone().filter(ends).collect::<Vec<_>>()
        };
        let taken = [StreamReset, ConnectionLost, KeepAliveTimeout, Unanswered, CarrierFailed];
        assert_eq!(ends(None), taken);
        let of_gateways = ends(Some(http::StatusCode::GATEWAY_TIMEOUT));
        for kind in [SymptomKind::NotGrpc, SymptomKind::ForeignError] {
            assert!(of_gateways.contains(&kind), "{kind}");
        }
        assert_eq!(ends(Some(http::StatusCode::FORBIDDEN)), taken);
    }
}
