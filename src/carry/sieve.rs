//! Sieve: each message that a client streams over gRPC goes without what only REST has, or ends the
//! call.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderValue;
use http_body::{Body as HttpBody, Frame as Part};
use tokio::sync::oneshot;
use tonic::Status;
use tonic::body::Body;

use super::attempt::Carried;
use super::core::Core;
use super::rest_only::only_over_rest;
use super::trace::Trace;
use crate::call::compression::plain_message;
use crate::call::frame::{Frame, PREFIX_LENGTH, too_large};
use crate::call::{Call, Judged, Message};
use crate::error::Error;
use crate::overlay::{OverGrpc, over_grpc};
use crate::schema::MessageId;

/// Tells the call that one of its messages may not go over gRPC.
struct Refusal(oneshot::Receiver<Error>);

impl Core {
    /// Sends a call, and ends it where a message of the client's stream may not go over gRPC.
    pub(super) async fn send_sifted(
        self: &Arc<Self>,
        call: &mut Call,
        trace: &mut Trace,
    ) -> Result<Carried, Error> {
        let Some(mut refusal) = self.sift(call).await? else {
            return self.send_with_retries(call, trace).await;
        };
        let carried = tokio::select! {
            // The refusal resets the stream, which is no failure of the network.
            biased;
            Ok(error) = &mut refusal.0 => return Err(error),
            carried = self.send_with_retries(call, trace) => carried?,
        };
        let Judged { answer, code, author } = carried.judged;
        // A client that has ended its stream refuses nothing any more, and was seen to.
        let refusal = Some(refusal).filter(|refusal| !refusal.0.is_terminated());
        let answer = answer.map(|body| Body::new(Refusable { body, refusal }));
        Ok(Carried { judged: Judged { answer, code, author }, ..carried })
    }

    /// Lets the messages of a client's stream through a sieve, where there is something to find;
    /// `None` elsewhere.
    ///
    /// # Errors
    /// A message that is there already may not go over gRPC; nothing was sent.
    async fn sift(self: &Arc<Self>, call: &mut Call) -> Result<Option<Refusal>, Error> {
        let (Some(method), Message::Stream(body)) = (&call.method, &mut call.message) else {
            return Ok(None);
        };
        if !method.client_streaming || !self.schema.has_rest_only() {
            return Ok(None);
        }
        let (sender, mut refused) = oneshot::channel();
        let mut sieve = Sieve {
            body: body.take().unwrap_or_default(),
            core: Arc::clone(self),
            message: method.input,
            encoding: call.encoding.clone(),
            held: BytesMut::new(),
            first: Poll::Pending,
            refusal: Some(sender),
        };
        let first = poll_fn(|context| Poll::Ready(Pin::new(&mut sieve).poll_frame(context))).await;
        if let Ok(error) = refused.try_recv() {
            return Err(error);
        }
        sieve.first = first;
        call.message = Message::Stream(Some(Body::new(sieve)));
        Ok(Some(Refusal(refused)))
    }
}

/// The messages of a client, each looked at.
struct Sieve {
    body: Body,
    core: Arc<Core>,
    message: MessageId,
    encoding: Option<HeaderValue>,
    /// The beginning of a frame that is not whole yet.
    held: BytesMut,
    /// What was there before the call was sent, or what comes behind a frame that is cut.
    first: Poll<Option<Result<Part<Bytes>, Status>>>,
    refusal: Option<oneshot::Sender<Error>>,
}

impl Sieve {
    /// The next whole frame of those held.
    fn next_frame(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(&[_, a, b, c, d]) = self.held.first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let limit = self.core.settings.max_message_size;
        if length > limit {
            return Err(too_large(length, limit));
        }
        let whole = PREFIX_LENGTH + length;
        Ok((self.held.len() >= whole).then(|| self.held.split_to(whole).freeze()))
    }

    /// What of a frame goes over gRPC.
    fn sift(&self, frame: Bytes) -> Result<Bytes, Error> {
        let parsed = Frame::parse(frame.clone())?;
        // What only gRPC can decompress is the service's to read.
        let limit = self.core.settings.max_message_size;
        let Ok(message) = plain_message(&parsed, self.encoding.as_ref(), limit) else {
            return Ok(frame);
        };
        match over_grpc(&self.core.schema, self.message, &message)? {
            OverGrpc::Whole => Ok(frame),
            OverGrpc::Without { message, left_out } => {
                self.core.counters.count_left_out(left_out);
                let frame = Frame::wrap(&message);
                Ok(frame.map(Frame::into_bytes).unwrap_or_default())
            }
            OverGrpc::Not { field } => Err(only_over_rest(&field)),
        }
    }

    /// The client ended in the middle of it: the service says so.
    fn cut_frame(&mut self) -> Part<Bytes> {
        Part::data(self.held.split().freeze())
    }

    fn refuse(&mut self, error: Error) -> Status {
        let status = Status::cancelled("a message of the client is refused");
        if let Some(refusal) = self.refusal.take() {
            // Nobody listens any more if the call has ended.
            let _ = refusal.send(error);
        }
        status
    }
}

impl HttpBody for Sieve {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, Status>>> {
        let first = std::mem::replace(&mut self.first, Poll::Pending);
        if first.is_ready() {
            return first;
        }
        loop {
            let frame = self.next_frame();
            let sifted = frame.and_then(|frame| frame.map(|frame| self.sift(frame)).transpose());
            match sifted {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(Part::data(frame)))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(self.refuse(error)))),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(part)) => match part.into_data() {
                    Ok(data) => self.held.extend_from_slice(&data),
                    Err(part) if self.held.has_remaining() => {
                        self.first = Poll::Ready(Some(Ok(part)));
                        return Poll::Ready(Some(Ok(self.cut_frame())));
                    }
                    Err(part) => return Poll::Ready(Some(Ok(part))),
                },
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None if self.held.has_remaining() => {
                    return Poll::Ready(Some(Ok(self.cut_frame())));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

/// The body of an answer that a refused message ends.
struct Refusable {
    body: Body,
    /// Until it has come, or cannot come any more.
    refusal: Option<Refusal>,
}

impl HttpBody for Refusable {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, Status>>> {
        if let Some(Refusal(refused)) = &mut self.refusal
            && let Poll::Ready(refused) = Pin::new(refused).poll(context)
        {
            self.refusal = None;
            if let Ok(error) = refused {
                self.body = Body::empty();
                return Poll::Ready(Some(Err(error.into())));
            }
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
