//! Raw: a `google.api.HttpBody`, which is the answer's bytes as they are.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http_body::{Body as HttpBodyTrait, Frame as BodyFrame};
use tonic::Status;

use super::body::AnswerBody;
use super::frame::with_length;
use super::reading::Reading;
use crate::call::frame::PREFIX_LENGTH;
use crate::call::trailers_of;
use crate::json::push_varint;

/// The answer to a method that streams `HttpBody`: a message for each piece of the body as it
/// comes.
pub(super) struct RawStream {
    pub(super) body: AnswerBody,
    pub(super) reading: Reading,
    /// The first message names it.
    pub(super) content_type: Option<HeaderValue>,
    pub(super) messages: u64,
    pub(super) is_done: bool,
}

impl HttpBodyTrait for RawStream {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.is_done {
            return Poll::Ready(None);
        }
        let piece = ready!(this.body.poll_chunk(context, this.messages));
        Poll::Ready(Some(match piece {
            Some(Ok(data)) => {
                this.messages += 1;
                Ok(BodyFrame::data(
                    this.reading.raw_frame(this.content_type.take().as_ref(), &data),
                ))
            }
            Some(Err(error)) => {
                this.is_done = true;
                Err(error.into())
            }
            None => {
                this.is_done = true;
                let end = this.body.failure().unwrap_or_else(|| Status::ok(""));
                Ok(BodyFrame::trailers(trailers_of(&end)))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_done
    }
}

impl Reading {
    /// The message of an answer of any type, or that of which it is the one field.
    pub(super) fn raw_frame(&self, content_type: Option<&HeaderValue>, data: &[u8]) -> Bytes {
        let content_type = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
        let mut body = Vec::new();
        for (tag, bytes) in [(CONTENT_TYPE, content_type), (DATA, data)] {
            if !bytes.is_empty() {
                body.push(tag);
                push_varint(&mut body, bytes.len() as u64);
                body.extend_from_slice(bytes);
            }
        }
        let mut frame = vec![0; PREFIX_LENGTH];
        if let Some(field) = self.response_body() {
            frame.extend_from_slice(field.tag.as_bytes());
            push_varint(&mut frame, body.len() as u64);
        }
        frame.extend_from_slice(&body);
        with_length(frame)
    }
}

/// The type of the bytes.
pub(super) fn content_type_of(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::CONTENT_TYPE).cloned()
}

/// Tags of the fields of `google.api.HttpBody`.
const CONTENT_TYPE: u8 = 0x0a;
const DATA: u8 = 0x12;
