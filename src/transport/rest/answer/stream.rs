//! Stream: the body of a streamed answer, a gRPC frame for each JSON text as it arrives.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::HeaderMap;
use http_body::{Body as HttpBodyTrait, Frame as BodyFrame};
use tonic::Status;
use tonic::body::Body;

use super::body::AnswerBody;
use super::end::End;
use super::foreign::{broken, foreign};
use super::frame::message_of;
use super::head::head;
use super::judge::{Position, Readable, Unreadable};
use super::raw::{RawStream, content_type_of};
use super::reading::Reading;
use super::status::read_status;
use crate::call::{Answer, trailers_of};
use crate::error::Error;
use crate::symptom::{Evidence, SymptomKind};
use crate::transport::rest::split::Splitter;
use crate::transport::rest::split::piece::{Piece, SplitFault};

/// Waits for the first bytes that are not blank: they tell whether the service speaks. Blank ones,
/// which may keep a connection alive, are not held.
pub(crate) async fn read_stream(
    status: StatusCode,
    headers: HeaderMap,
    mut body: AnswerBody,
    reading: Reading,
) -> Result<Answer, Error> {
    if reading.is_raw() {
        let content_type = content_type_of(&headers);
        let stream = RawStream { body, reading, content_type, messages: 0, is_done: false };
        return Ok(head(headers, Body::new(stream)));
    }
    let mut start = BytesMut::new();
    let mut ended = false;
    while !ended && start.is_empty() {
        match poll_fn(|context| body.poll_chunk(context, 0)).await {
            Some(chunk) => start.extend_from_slice(chunk?.trim_ascii_start()),
            None => ended = true,
        }
    }
    if start.starts_with(b"<") {
        // The rest of a page, if it comes.
        start.extend_from_slice(
            &body.collect(reading.max_metadata_size).await.ok().flatten().unwrap_or_default(),
        );
    }
    if start.starts_with(b"<") || status == StatusCode::NO_CONTENT {
        return Err(foreign(SymptomKind::NotJson, &body, status, &headers, &start));
    }
    let mut splitter = Splitter::for_body(&start, reading.json_limit());
    splitter.feed(start.freeze());
    let end = End::of(&reading.schema, reading.method.output, reading.end_fields);
    let stream = AnswerStream {
        splitter,
        body,
        reading,
        end,
        status,
        messages: 0,
        position: Position::First,
        is_drained: false,
        state: State::of_body(ended),
    };
    Ok(head(headers, Body::new(stream)))
}

/// The body of a streamed answer: a frame for each message, as it arrives.
struct AnswerStream {
    splitter: Splitter,
    body: AnswerBody,
    reading: Reading,
    end: End,
    status: StatusCode,
    messages: u64,
    /// Of the next message.
    position: Position,
    /// What is held gives no piece until more has come.
    is_drained: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The HTTP body ended well; what is held is left.
    BodyEnded,
    Done,
}

impl State {
    const fn of_body(ended: bool) -> Self {
        if ended { Self::BodyEnded } else { Self::Reading }
    }
}

impl AnswerStream {
    /// A frame from what is held, if there is enough.
    fn take_frame(&mut self) -> Result<Option<BodyFrame<Bytes>>, Error> {
        let cut = match self.state {
            State::BodyEnded => match self.splitter.next() {
                Ok(None) => self.splitter.finish(),
                other => other,
            },
            State::Reading | State::Done => self.splitter.next(),
        };
        match cut.map_err(|fault| self.name_fault(fault, self.splitter.foreign()))? {
            Some(Piece::Message(text)) => self.write_frame(&text).map(Some),
            Some(Piece::Error(text)) => {
                let found = read_status(&self.reading.schema, 200, &text);
                found
                    .map(|status| Some(self.end_with(&status)))
                    .ok_or_else(|| self.name_fault(SplitFault::NotAStream, &text))
            }
            None if self.state == State::BodyEnded => self.end_well().map(Some),
            None => Ok(None),
        }
    }

    fn write_frame(&mut self, text: &[u8]) -> Result<BodyFrame<Bytes>, Error> {
        match self.reading.read(text, self.position) {
            Ok(Readable { frame, says_something }) => {
                self.reading.check_size(&frame)?;
                self.end.see(message_of(&frame));
                self.messages += 1;
                if says_something {
                    self.position = Position::Later;
                }
                Ok(BodyFrame::data(frame))
            }
            Err(Unreadable::Failure(status)) => Ok(self.end_with(&status)),
            Err(Unreadable::Foreign) => Err(self.name_fault(SplitFault::NotAStream, text)),
            Err(Unreadable::Broken(fault)) => Err(broken(&fault, &self.body, self.messages)),
        }
    }

    /// The end of the body, which is no end of the stream if its messages were due to say so and
    /// did not. An array's bracket says it for them.
    fn end_well(&mut self) -> Result<BodyFrame<Bytes>, Error> {
        if let Some(found) = self.body.failure() {
            return Ok(self.end_with(&found));
        }
        if self.end.is_missing() && !self.splitter.has_end_mark() {
            let evidence = Evidence::new().with_messages(self.messages).with_detail(NO_REASON);
            return Err(self.body.symptom(SymptomKind::BodyTruncated, evidence).into());
        }
        Ok(self.end_with(&Status::ok("")))
    }

    fn end_with(&mut self, status: &Status) -> BodyFrame<Bytes> {
        self.close();
        BodyFrame::trailers(trailers_of(status))
    }

    fn fail(&mut self, error: Error) -> Status {
        self.close();
        error.into()
    }

    fn close(&mut self) {
        self.state = State::Done;
        self.body.close();
    }

    /// `text` is what is no part of the stream.
    fn name_fault(&self, fault: SplitFault, text: &[u8]) -> Error {
        let evidence = Evidence::new().with_messages(self.messages);
        let (kind, evidence) = match fault {
            SplitFault::TooLarge => return self.reading.too_large(),
            SplitFault::Truncated => (SymptomKind::BodyTruncated, evidence),
            SplitFault::NotAStream if self.messages == 0 => {
                (SymptomKind::NotJson, evidence.with_status(self.status).with_answer(text))
            }
            SplitFault::NotAStream => (SymptomKind::BodyMalformed, evidence.with_answer(text)),
        };
        self.body.symptom(kind, evidence).into()
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
            if this.state == State::Done {
                return Poll::Ready(None);
            }
            if this.is_drained {
                match ready!(this.body.poll_chunk(context, this.messages)) {
                    Some(Ok(chunk)) => this.splitter.feed(chunk),
                    None => this.state = State::BodyEnded,
                    Some(Err(error)) => return Poll::Ready(Some(Err(this.fail(error)))),
                }
                this.is_drained = false;
            }
            match this.take_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) => this.is_drained = true,
                Err(error) => return Poll::Ready(Some(Err(this.fail(error)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Done
    }
}

const NO_REASON: &str = "no message says why the model stopped";
