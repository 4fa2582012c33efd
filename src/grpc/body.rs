//! Body: the messages of an answer pass through, counted; an end without `grpc-status` is a failure.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::header::HeaderMap;
use http_body::{Body as HttpBody, Frame as Part};
use tonic::Status;

use super::answer::drop_malformed_details;
use super::connection::Seat;
use super::failure;
use super::stream::Upload;
use crate::call::GRPC_STATUS;
use crate::error::Error;
use crate::frame::{FrameCounter, PREFIX_LENGTH, too_large};
use crate::symptom::{Evidence, SymptomKind};

/// The body of an answer on a connection. Dropping it before its end resets the stream.
pub(super) struct AnswerBody {
    /// `None` once the body has ended.
    flow: Option<Flow>,
}

/// An answer that has not ended yet.
struct Flow {
    stream: RecvStream,
    /// Only trailers can follow.
    has_data: bool,
    /// Ends with the answer.
    _upload: Option<Upload>,
    seat: Seat,
    frames: FrameCounter,
    /// Whether the head held the status already.
    has_status: bool,
}

impl AnswerBody {
    pub(super) fn new(
        stream: RecvStream,
        upload: Option<Upload>,
        seat: Seat,
        has_status: bool,
    ) -> Self {
        let has_ended = has_status && stream.is_end_stream();
        let frames = FrameCounter::default();
        let flow = Flow { stream, has_data: true, _upload: upload, seat, frames, has_status };
        Self { flow: (!has_ended).then_some(flow) }
    }

    /// Reads the answer to its end.
    ///
    /// # Errors
    /// The answer breaks, or its messages are larger than `limit`.
    pub(super) async fn collect(mut self, limit: usize) -> Result<Collected, Error> {
        let mut parts = Vec::new();
        let mut length = 0;
        while let Some(part) = poll_fn(|cx| self.poll_part(cx)).await {
            let part = part?;
            length += part.data_ref().map_or(0, Bytes::len);
            if length > limit.saturating_add(PREFIX_LENGTH) {
                return Err(too_large(length - PREFIX_LENGTH, limit));
            }
            parts.push(part);
        }
        Ok(Collected(parts.into()))
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part<Bytes>, Error>>> {
        let Some(flow) = &mut self.flow else {
            return Poll::Ready(None);
        };
        let part = match ready!(flow.poll_stream(cx)) {
            Some(Ok(part)) => Some(flow.check(part)),
            Some(Err(error)) => Some(Err(flow.lost(error))),
            None if flow.has_status => None,
            None => Some(Err(flow.cut())),
        };
        if !matches!(&part, Some(Ok(part)) if part.is_data()) {
            self.flow = None;
        }
        Poll::Ready(part)
    }
}

impl Flow {
    fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, h2::Error>>> {
        if self.has_data {
            if let Some(data) = ready!(self.stream.poll_data(cx)) {
                if let Ok(data) = &data {
                    // Fails only if more is given back than came.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                }
                return Poll::Ready(or_end(data.map(Part::data).map(Some)));
            }
            self.has_data = false;
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        Poll::Ready(or_end(trailers.map(|trailers| trailers.map(Part::trailers))))
    }

    fn check(&mut self, mut part: Part<Bytes>) -> Result<Part<Bytes>, Error> {
        if let Some(data) = part.data_ref() {
            self.frames.feed(data).map_err(|flag| {
                let evidence = Evidence::new()
                    .with_detail(format!("a message begins with flag {}", flag.0))
                    .with_first_bytes(data);
                self.fail(SymptomKind::BodyMalformed, evidence)
            })?;
        } else if let Some(trailers) = part.trailers_mut() {
            drop_malformed_details(trailers);
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

    fn lost(&self, error: h2::Error) -> Error {
        failure::in_body(error, self.seat.peer(), self.frames.messages())
    }

    fn fail(&self, kind: SymptomKind, evidence: Evidence) -> Error {
        let evidence = evidence.with_messages(self.frames.messages());
        Error::from(self.seat.peer().symptom(kind, evidence))
    }
}

/// A reset with `NO_ERROR` ends an answer without breaking it
/// ([RFC 9113, section 8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1)); a GOAWAY does not.
fn or_end<T>(part: Result<Option<T>, h2::Error>) -> Option<Result<T, h2::Error>> {
    match part {
        Err(error) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => None,
        part => part.transpose(),
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
pub(super) struct Collected(VecDeque<Part<Bytes>>);

impl Collected {
    /// The trailers, if nothing comes before them.
    pub(super) fn take_trailers_alone(&mut self) -> Option<HeaderMap> {
        let is_alone = self.0.front()?.is_trailers();
        is_alone.then(|| self.0.pop_front()?.into_trailers().ok()).flatten()
    }
}

impl HttpBody for Collected {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, Status>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}
