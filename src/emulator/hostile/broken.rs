//! Broken: the body of an answer that passes up to a place, and breaks there.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::ending::Ending;
use super::stages::{At, How};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// To the task that serves a connection, which obeys once all that is queued has gone out.
pub(super) enum Order {
    /// Ends the connection.
    Cut(Ending),
    /// Says so, and goes on.
    Flush(oneshot::Sender<()>),
}

/// Breaks a call, or the connection that it is on.
pub(super) struct Break {
    how: How,
    orders: UnboundedSender<Order>,
    flushed: Option<oneshot::Receiver<()>>,
}

impl Break {
    pub(super) fn new(how: How, orders: UnboundedSender<Order>) -> Self {
        Self { how, orders, flushed: None }
    }

    /// The end of the answer, if it has one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<BoxError>> {
        match self.how {
            How::End => Poll::Ready(None),
            How::Stall => Poll::Pending,
            How::Reset(reason) => {
                ready!(self.poll_flush(cx));
                Poll::Ready(Some(h2::Error::from(reason).into()))
            }
            How::Cut(ending) => {
                self.give(Order::Cut(ending));
                Poll::Pending
            }
        }
    }

    /// h2 forgets what a stream has queued when the stream is reset.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.flushed.is_none() {
            let (done, flushed) = oneshot::channel();
            self.give(Order::Flush(done));
            self.flushed = Some(flushed);
        }
        match &mut self.flushed {
            Some(flushed) => Pin::new(flushed).poll(cx).map(|_| ()),
            None => Poll::Ready(()),
        }
    }

    fn give(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::debug!("the connection that a fault was to break has ended");
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
    /// What may still pass, where the length of an answer decides.
    allowance: Option<usize>,
}

impl BrokenBody {
    pub(super) fn new(answer: Incoming, at: At, ends: Break) -> Self {
        let has_passed = matches!(at, At::Start | At::Head | At::Bytes(_));
        let allowance = match at {
            At::Bytes(most) => Some(most),
            At::SecondMessage => Some(0),
            At::Start | At::Head | At::HalfMessage | At::Message => None,
        };
        Self { answer, at, ends, held: BytesMut::new(), has_passed, allowance }
    }

    /// The next frame, unless it is what the answer breaks at.
    fn poll_allowed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Passed>> {
        let Some(left) = self.allowance.filter(|_| self.held.is_empty()) else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut self.answer).poll_frame(cx));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        self.allowance = left.checked_sub(data.map_or(0, Bytes::len));
        let is_allowed = self.allowance.is_some();
        Poll::Ready(is_allowed.then(|| frame.map(|frame| frame.map_err(Into::into))))
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
        if let Some(passed) = ready!(self.poll_allowed(cx)) {
            return Poll::Ready(passed);
        }
        self.ends.poll(cx).map(|error| error.map(Err))
    }
}

/// As a body gives it.
type Passed = Option<Result<Frame<Bytes>, BoxError>>;

const PREFIX_LENGTH: usize = 5;
