//! Body: the messages of an answer pass through, counted; an end without `grpc-status` is a
//! failure.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http_body::{Body as HttpBody, Frame as Part};
use tonic::Status;

use crate::call::GRPC_STATUS;
use crate::call::frame::{FrameCounter, PREFIX_LENGTH, too_large};
use crate::error::Error;
use crate::symptom::{Evidence, SymptomKind};
use crate::transport::grpc::metadata::{AnswerLimits, keep_metadata};
use crate::transport::grpc::source::Source;

/// The body of an answer. Dropping it before its end cancels the call.
pub(crate) struct AnswerBody {
    /// `None` once the body has ended.
    flow: Option<Flow>,
    limits: AnswerLimits,
}

/// An answer that has not ended yet.
struct Flow {
    source: Source,
    frames: FrameCounter,
    limits: AnswerLimits,
    /// Whether the head held the status already.
    has_status: bool,
}

impl AnswerBody {
    pub(crate) fn new(source: Source, has_status: bool, limits: AnswerLimits) -> Self {
        let has_ended = has_status && source.is_end_stream();
        let flow = Flow { source, frames: FrameCounter::default(), limits, has_status };
        Self { flow: (!has_ended).then_some(flow), limits }
    }

    /// Reads the answer to its end.
    ///
    /// # Errors
    /// The answer breaks, or it is over its limits.
    pub(crate) async fn collect(mut self) -> Result<Collected, Error> {
        let limit = self.limits.message;
        let mut whole = Collected::default();
        let mut length = 0;
        while let Some(part) = poll_fn(|cx| self.poll_part(cx)).await {
            let part = part?;
            length += part.data_ref().map_or(0, Bytes::len);
            if length > limit.saturating_add(PREFIX_LENGTH) {
                return Err(too_large(length - PREFIX_LENGTH, limit));
            }
            whole.push(part);
        }
        whole.close_run();
        Ok(whole)
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part<Bytes>, Error>>> {
        let Some(flow) = &mut self.flow else {
            return Poll::Ready(None);
        };
        let part = match ready!(flow.source.poll_part(cx, flow.frames.messages())) {
            Some(Ok(part)) => Some(flow.check(part)),
            Some(Err(error)) => Some(Err(error)),
            None if flow.has_status => None,
            None => Some(Err(flow.cut())),
        };
        match &part {
            Some(Ok(part)) if part.is_data() => {}
            Some(Err(_)) => self.flow = None,
            Some(Ok(_)) | None => {
                if let Some(flow) = self.flow.take() {
                    flow.source.end();
                }
            }
        }
        Poll::Ready(part)
    }
}

impl Flow {
    fn check(&mut self, mut part: Part<Bytes>) -> Result<Part<Bytes>, Error> {
        if let Some(data) = part.data_ref() {
            self.frames.feed(data).map_err(|flag| {
                let evidence = Evidence::new()
                    .with_detail(format!("a message begins with flag {}", flag.0))
                    .with_first_bytes(data);
                self.fail(SymptomKind::BodyMalformed, evidence)
            })?;
        } else if let Some(trailers) = part.trailers_mut() {
            // In one statement: Rust 1.88 drops what `format_args!` borrows at its end.
            self.limits.check(trailers, format_args!("the trailers of {}", self.source.hop()))?;
            keep_metadata(trailers);
            if !self.is_complete(trailers) {
                return Err(self.cut());
            }
        }
        Ok(part)
    }

    /// A service that fails may stop inside a message; one that succeeds may not.
    fn is_complete(&self, trailers: &HeaderMap) -> bool {
        match trailers.get(&GRPC_STATUS) {
            Some(status) => status != "0" || !self.frames.is_inside(),
            None => self.has_status,
        }
    }

    /// The answer ended too early.
    fn cut(&self) -> Error {
        let kind = if self.frames.is_inside() {
            SymptomKind::BodyTruncated
        } else {
            SymptomKind::TrailersMissing
        };
        self.fail(kind, Evidence::new())
    }

    fn fail(&self, kind: SymptomKind, evidence: Evidence) -> Error {
        let evidence = evidence.with_messages(self.frames.messages());
        Error::from(self.source.symptom(kind, evidence))
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, Status>>> {
        self.get_mut().poll_part(cx).map(|part| part.map(|part| part.map_err(Status::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.flow.is_none()
    }
}

/// An answer that was read to its end.
#[derive(Default)]
pub(crate) struct Collected {
    parts: VecDeque<Part<Bytes>>,
    /// Small pieces of data behind them, put together: each alone costs more than its bytes.
    run: BytesMut,
}

impl Collected {
    fn push(&mut self, part: Part<Bytes>) {
        match part.data_ref() {
            Some(data) if data.len() < SMALL && !self.parts.is_empty() => {
                self.run.extend_from_slice(data);
            }
            _ => {
                self.close_run();
                self.parts.push_back(part);
            }
        }
    }

    fn close_run(&mut self) {
        if !self.run.is_empty() {
            self.parts.push_back(Part::data(self.run.split().freeze()));
        }
    }

    /// The trailers, if they are the answer: nothing comes before them, or what does is void, since
    /// they say that the call failed.
    pub(crate) fn take_trailers_alone(&mut self) -> Option<HeaderMap> {
        let trailers = self.parts.back()?.trailers_ref()?;
        let has_failed = trailers.get(&GRPC_STATUS).is_some_and(|status| status != "0");
        if self.parts.len() > 1 && !has_failed {
            return None;
        }
        let trailers = self.parts.pop_back()?.into_trailers().ok();
        self.parts.clear();
        trailers
    }
}

impl HttpBody for Collected {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, Status>>> {
        Poll::Ready(self.parts.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }
}

/// Bytes of a piece that is kept as it came.
const SMALL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_put_together_in_order() {
        let mut whole = Collected::default();
        let large = vec![b'l'; SMALL];
        for piece in [&b"a"[..], b"b", b"c", &large, b"d", b"", b"e"] {
            whole.push(Part::data(Bytes::copy_from_slice(piece)));
        }
        whole.push(Part::trailers(HeaderMap::new()));
        whole.push(Part::data(Bytes::from_static(b"f")));
        whole.close_run();
        let pieces: Vec<_> = whole.parts.iter().map(|part| part.data_ref().cloned()).collect();
        let data = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
        assert_eq!(
            pieces,
            [data(b"a"), data(b"bc"), Some(large.into()), data(b"de"), None, data(b"f")]
        );
    }

    #[test]
    fn trailers_are_the_answer_alone_or_where_they_say_that_the_call_failed() {
        let trailers = |status: &'static str| {
            let mut trailers = HeaderMap::new();
            trailers.insert(&GRPC_STATUS, status.parse().expect("a value"));
            trailers
        };
        for (has_message, status, expected) in
            [(false, "0", true), (false, "14", true), (true, "14", true), (true, "0", false)]
        {
            let mut whole = Collected::default();
            if has_message {
                whole.push(Part::data(Bytes::from_static(b"message")));
            }
            whole.push(Part::trailers(trailers(status)));
            whole.close_run();
            let taken = whole.take_trailers_alone();
            assert_eq!(taken, expected.then(|| trailers(status)), "{has_message} {status}");
            assert_eq!(whole.is_end_stream(), expected, "{has_message} {status}");
        }
    }
}
