//! Events: what a streamed answer tells, event by event.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::header::HeaderMap;
use http::{Response, StatusCode};
use serde::de::DeserializeOwned;
use tonic::Status;

use crate::call::frame::too_large;
use crate::carry::exchange::WatchedBytes;
use crate::error::{Error, ErrorKind};
use crate::symptom::{Evidence, SymptomKind};
use crate::transport::rest::{NamedPiece, NamedSplitter, SplitFault};

/// An event of a streamed answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    name: Option<Bytes>,
    id: Option<Bytes>,
    data: Bytes,
}

impl Event {
    /// Its type, such as `interaction.start`; `None` where the stream names none.
    pub fn event(&self) -> Option<&str> {
        text_of(self.name.as_ref())
    }

    /// Its id, or that of the last event that had one.
    pub fn id(&self) -> Option<&str> {
        text_of(self.id.as_ref())
    }

    /// Its data, JSON as a rule.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Its data as a value.
    ///
    /// # Errors
    /// It is no JSON of such a value ([`ErrorKind::MalformedAnswer`]).
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.data).map_err(|error| {
            let text = "the event is not JSON of the expected form";
            Error::new(ErrorKind::MalformedAnswer, text).with_source(error)
        })
    }
}

fn text_of(bytes: Option<&Bytes>) -> Option<&str> {
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())
}

/// Tells the size of the data, not its text.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("event", &self.event())
            .field("id", &self.id())
            .field("data", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// The events of an answer, as they come; also a [`Stream`]. Dropped, it cancels the request.
///
/// An error that the service puts into the stream (an event `error`, an object that holds an
/// `error` alone, gRPC's trailers) ends it as the [`Status`] that it is.
pub struct Events {
    status: StatusCode,
    headers: HeaderMap,
    bytes: WatchedBytes,
    splitter: Option<NamedSplitter>,
    body_has_ended: bool,
    has_ended: bool,
    is_done: bool,
}

impl Events {
    pub(super) fn new(response: Response<WatchedBytes>) -> Self {
        let (head, bytes) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            bytes,
            splitter: None,
            body_has_ended: false,
            has_ended: false,
            is_done: false,
        }
    }

    /// A status from 200 to 299.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers of the answer, but for those of the connection.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether the end mark `[DONE]` has come, which is no event. A stream that should have one and
    /// ends without it was cut.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The next event; `None` at the end of the stream, and after an error.
    pub async fn next(&mut self) -> Option<Result<Event, Status>> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event, Status>>> {
        loop {
            if self.has_ended {
                return Poll::Ready(None);
            }
            match self.next_piece() {
                Err(fault) => return Poll::Ready(Some(Err(self.name_fault(fault).into()))),
                Ok(Some(piece)) => match self.read(piece).transpose() {
                    Some(event) => return Poll::Ready(Some(event)),
                    None => continue,
                },
                Ok(None) if self.body_has_ended => {
                    let failure = self.bytes.failure();
                    self.close();
                    return Poll::Ready(failure.map(Err));
                }
                Ok(None) => {}
            }
            match ready!(self.bytes.poll_chunk(context)) {
                Some(Ok(chunk)) => self.feed(&chunk),
                Some(Err(error)) => {
                    self.close();
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => self.body_has_ended = true,
            }
        }
    }

    fn feed(&mut self, chunk: &[u8]) {
        let limit = self.bytes.limit();
        self.splitter.get_or_insert_with(|| NamedSplitter::for_body(chunk, limit)).feed(chunk);
    }

    fn next_piece(&mut self) -> Result<Option<NamedPiece>, SplitFault> {
        let Some(splitter) = &mut self.splitter else { return Ok(None) };
        match splitter.next()? {
            None if self.body_has_ended => splitter.finish(),
            piece => Ok(piece),
        }
    }

    /// An event, unless the piece is the end mark.
    fn read(&mut self, piece: NamedPiece) -> Result<Option<Event>, Status> {
        match piece {
            NamedPiece::Done => {
                self.is_done = true;
                Ok(None)
            }
            NamedPiece::Error(text) => Err(self.end_with_error(&text)),
            NamedPiece::Event { event, data, .. } if event.as_deref() == Some(b"error") => {
                Err(self.end_with_error(&data))
            }
            NamedPiece::Event { event, id, data } => match self.bytes.lone_error(&data) {
                Some(status) => {
                    self.close();
                    Err(status)
                }
                None => Ok(Some(Event { name: event, id, data })),
            },
        }
    }

    /// The service's own words; what cannot be read as its error is no part of its stream.
    fn end_with_error(&mut self, text: &[u8]) -> Status {
        let status = self.bytes.read_status(text);
        let unread = || {
            let evidence = Evidence::new().with_answer(text);
            self.bytes.fail(SymptomKind::BodyMalformed, evidence).into()
        };
        let status = status.unwrap_or_else(unread);
        self.close();
        status
    }

    fn name_fault(&mut self, fault: SplitFault) -> Error {
        let limit = self.bytes.limit();
        let kind = match fault {
            SplitFault::TooLarge => {
                self.close();
                return too_large(limit, limit);
            }
            SplitFault::Truncated => SymptomKind::BodyTruncated,
            SplitFault::NotAStream => SymptomKind::BodyMalformed,
        };
        let error = self.bytes.fail(kind, Evidence::new());
        self.close();
        error
    }

    fn close(&mut self) {
        self.has_ended = true;
        self.splitter = None;
        self.bytes.close();
    }
}

impl Stream for Events {
    type Item = Result<Event, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Event, Status>>> {
        self.poll_event(context)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("status", &self.status).finish_non_exhaustive()
    }
}
