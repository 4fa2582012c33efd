//! Call: one RPC in neutral terms: method, metadata, deadline, message.

pub(crate) mod author;
pub(crate) mod compression;
pub(crate) mod deadline;
pub(crate) mod frame;
mod head;
mod status;
mod timeout;

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "cli")]
use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use tonic::Code;
use tonic::body::Body;

use crate::bridge::options::CallOptions;
use crate::call::author::Author;
use crate::call::deadline::Deadline;
use crate::call::frame::Frame;
use crate::schema::Method;
pub(crate) use head::{
    GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_STATUS, GRPC_TIMEOUT, copy_with_room, is_of_http,
    read_head, remove_headers, trailers_of, trailers_of_success,
};
pub(crate) use status::{drop_malformed_details, status_in};
pub(crate) use timeout::format_timeout;

/// The body of a request, as its sender has it.
pub(crate) enum Content {
    Body(Body),
    /// Read already: the one message with its prefix.
    #[cfg(feature = "cli")]
    Whole(Bytes),
}

/// A tonic-shaped answer: head, frames, trailers. Its body fails with a `Status` that carries our
/// `Error` where the network broke it.
pub(crate) type Answer = http::Response<Body>;

/// An answer, the status in its head, and who wrote that. It is looked at once, where the answer is
/// read.
pub(crate) struct Judged {
    pub(crate) answer: Answer,
    /// `None` where messages come first.
    pub(crate) code: Option<Code>,
    pub(crate) author: Author,
}

impl Judged {
    pub(crate) fn of(answer: Answer) -> Self {
        let (code, author) = Author::judge(answer.headers());
        Self { answer, code, author }
    }
}

/// One RPC, as both transports understand it.
pub(crate) struct Call {
    /// `/package.Service/Method`, with the prefix of the client's origin if it has one.
    pub(crate) path: PathAndQuery,
    /// What the schema knows of the method; `None` for a method of no known service.
    pub(crate) method: Option<Arc<Method>>,
    /// The caller's metadata and the credentials, without the headers that belong to a transport.
    pub(crate) metadata: HeaderMap,
    /// `grpc-encoding`: how the frames with a set flag are compressed.
    pub(crate) encoding: Option<HeaderValue>,
    /// `grpc-accept-encoding`: what the caller can read.
    pub(crate) accept_encoding: Option<HeaderValue>,
    /// When the whole call must have ended.
    pub(crate) deadline: Option<Deadline>,
    pub(crate) message: Message,
    /// What gRPC sends in place of the message, which holds ids or metadata that only REST has.
    pub(crate) reduced: Option<Reduced>,
    /// The field of the message for which it must go over REST.
    pub(crate) rest_only: Option<Box<str>>,
    pub(crate) options: CallOptions,
    /// How often it was handed to a transport.
    pub(crate) attempts: u32,
    /// How often because the service's answer invited it.
    pub(crate) retries: u32,
}

/// What a call sends: one message, cheap to send again, or a stream that exists once.
pub(crate) enum Message {
    One(Frame),
    Stream(Option<Body>),
}

/// A message without what only REST has.
pub(crate) struct Reduced {
    pub(crate) message: Message,
    /// How many fields were left out.
    pub(crate) left_out: u64,
}

impl Message {
    /// Whether the call can be sent again: a stream exists once, and is given away with the
    /// request.
    pub(crate) fn is_in_hand(&self) -> bool {
        matches!(self, Self::One(_) | Self::Stream(Some(_)))
    }
}

impl Call {
    /// A call of our own with one message, as its sender made it, and no deadline: who waits for it
    /// keeps the time.
    pub(crate) fn of_message(
        path: PathAndQuery,
        method: Option<Arc<Method>>,
        metadata: HeaderMap,
        message: Frame,
    ) -> Self {
        Self {
            path,
            method,
            metadata,
            encoding: None,
            accept_encoding: None,
            deadline: None,
            message: Message::One(message),
            reduced: None,
            rest_only: None,
            options: CallOptions::default(),
            attempts: 0,
            retries: 0,
        }
    }

    /// What gRPC sends.
    pub(crate) fn message_over_grpc(&mut self) -> &mut Message {
        self.reduced.as_mut().map_or(&mut self.message, |reduced| &mut reduced.message)
    }

    /// Whether REST can carry it: its method is known, has an HTTP rule, and takes one message.
    pub(crate) fn has_rest_form(&self) -> bool {
        self.method.as_ref().is_some_and(|method| method.has_rest_form())
    }

    /// Time left before the deadline; `None` without one.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.deadline.map(Deadline::time_left)
    }

    /// `/package.Service/Method` for logs and errors.
    pub(crate) fn name(&self) -> &str {
        self.path.path()
    }
}
