//! Delivery: an answer on its way, message by message, in the form of its transport.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

use super::framing;
use super::json::Printer;
use super::record::Attendance;
use super::script::Reply;

/// An answer of any number of messages, from the message at `position` on.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) reply: Reply,
    pub(super) form: Form,
    pub(super) attendance: Attendance,
    pub(super) deadline: Option<Instant>,
    /// Whether the message at `position` has been waited for.
    pub(super) is_due: bool,
    pub(super) position: usize,
    /// What the client may still be sending; dropped, it would be told to stop.
    pub(super) _request: Option<Incoming>,
}

/// How messages are set apart.
#[derive(Debug)]
pub(super) enum Form {
    Grpc {
        is_gzip: bool,
    },
    Sse(Printer),
    Array(Printer),
    /// A `google.api.HttpBody` each, of which the bytes stand for themselves.
    Raw(Printer),
}

/// One part of the body, and what comes after it.
type Step = Option<(Frame<Bytes>, Option<Delivery>)>;

impl Delivery {
    pub(super) fn into_body(self) -> DeliveryBody {
        DeliveryBody { step: Some(Box::pin(self.advance())) }
    }

    async fn advance(mut self) -> Step {
        let due = if self.is_due {
            Ok(())
        } else {
            before(self.deadline, self.reply.wait_for(self.position)).await
        };
        let end = match due.and_then(|()| self.next_message()) {
            Ok(Some(part)) => {
                self.position += 1;
                self.is_due = false;
                return Some((Frame::data(part), Some(self)));
            }
            Ok(None) => self.reply.error.clone(),
            Err(status) => Some(status),
        };
        self.attendance.finish();
        let last = self.form.end(self.position, end, &self.reply.trailers);
        last.map(|part| (part, None))
    }

    fn next_message(&self) -> Result<Option<Bytes>, Status> {
        let message = self.reply.messages.get(self.position);
        message.map(|message| self.form.message(self.position, message)).transpose()
    }
}

impl Form {
    fn message(&self, position: usize, message: &Bytes) -> Result<Bytes, Status> {
        match self {
            Self::Grpc { is_gzip } => framing::frame(message, *is_gzip),
            Self::Sse(printer) => {
                Ok([b"data: ", &*printer.print(message)?, b"\r\n\r\n"].concat().into())
            }
            Self::Array(printer) => Ok([lead(position), &printer.print(message)?].concat().into()),
            Self::Raw(printer) => match printer.raw_body(message) {
                Some(body) => body.map(|(_, bytes)| bytes.into()),
                None => Err(Status::internal("no google.api.HttpBody")),
            },
        }
    }

    fn end(
        &self,
        position: usize,
        error: Option<Status>,
        trailers: &HeaderMap,
    ) -> Option<Frame<Bytes>> {
        match self {
            Self::Grpc { .. } => {
                let status = error.unwrap_or_else(|| Status::new(Code::Ok, ""));
                Some(Frame::trailers(framing::trailers(trailers.clone(), &status)))
            }
            // Outside the framing, as the service does it.
            Self::Sse(printer) | Self::Raw(printer) => {
                error.map(|error| Frame::data(printer.print_error(&error).into()))
            }
            Self::Array(printer) => {
                let part = match error {
                    Some(error) => [lead(position), &printer.print_error(&error), b"\n]"].concat(),
                    None if position == 0 => b"[]".to_vec(),
                    None => b"\n]".to_vec(),
                };
                Some(Frame::data(part.into()))
            }
        }
    }
}

/// What stands before an element of the array.
fn lead(position: usize) -> &'static [u8] {
    if position == 0 { b"[" } else { b"\n,\r\n" }
}

/// Does the work, but not beyond the deadline.
///
/// # Errors
/// `DEADLINE_EXCEEDED`, as the service says it.
pub(super) async fn before<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = T>,
) -> Result<T, Status> {
    let Some(deadline) = deadline else { return Ok(work.await) };
    let done = timeout_at(deadline, work).await;
    done.map_err(|_elapsed| {
        Status::deadline_exceeded("Deadline expired before operation could complete.")
    })
}

/// The body that a [`Delivery`] makes.
pub(super) struct DeliveryBody {
    step: Option<Pin<Box<dyn Future<Output = Step> + Send>>>,
}

impl Body for DeliveryBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(step) = &mut self.step else { return Poll::Ready(None) };
        let (part, rest) = ready!(step.as_mut().poll(cx)).unzip();
        self.step = rest.flatten().map(|rest| Box::pin(rest.advance()) as _);
        Poll::Ready(part.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.step.is_none()
    }
}
