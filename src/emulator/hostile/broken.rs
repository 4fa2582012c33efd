//! Broken: the body of an answer that passes up to a place, and breaks there.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::sync::mpsc::UnboundedSender;

use super::ending::Ending;
use super::stages::{At, How};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Breaks a call, or the connection that it is on.
#[derive(Clone)]
pub(super) struct Break {
    pub(super) how: How,
    /// To the task that serves the connection.
    pub(super) cuts: UnboundedSender<Ending>,
}

impl Break {
    /// The end of the answer, if it has one.
    pub(super) fn poll(&self) -> Poll<Option<BoxError>> {
        match self.how {
            How::End => Poll::Ready(None),
            How::Stall => Poll::Pending,
            How::Reset(reason) => Poll::Ready(Some(h2::Error::from(reason).into())),
            How::Cut(ending) => match self.cuts.send(ending) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Some(error.into())),
            },
        }
    }
}

/// An answer of gRPC that breaks.
pub(super) struct BrokenBody {
    answer: Incoming,
    at: At,
    ends: Break,
    /// What has come of the first message.
    held: BytesMut,
    has_passed: bool,
}

impl BrokenBody {
    pub(super) fn new(answer: Incoming, at: At, ends: Break) -> Self {
        let has_passed = matches!(at, At::Start | At::Head);
        Self { answer, at, ends, held: BytesMut::new(), has_passed }
    }

    /// The part of the first message that passes, once all of it has come.
    fn take_part(&mut self) -> Option<Bytes> {
        let &[_, a, b, c, d, ..] = &*self.held else { return None };
        let length = PREFIX_LENGTH + u32::from_be_bytes([a, b, c, d]) as usize;
        if self.held.len() < length {
            return None;
        }
        let part = if let At::HalfMessage = self.at { length / 2 } else { length };
        Some(self.held.split_to(part).freeze())
    }
}

impl Body for BrokenBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while !self.has_passed {
            match ready!(Pin::new(&mut self.answer).poll_frame(cx)) {
                Some(Ok(frame)) => self.held.extend(frame.into_data().ok()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                // An answer without a message breaks where it ends.
                None => self.has_passed = true,
            }
            if let Some(part) = self.take_part() {
                self.has_passed = true;
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
        }
        self.ends.poll().map(|error| error.map(Err))
    }
}

const PREFIX_LENGTH: usize = 5;
