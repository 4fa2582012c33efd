//! Cut: one JSON text out of a streamed body, in either framing.

pub(crate) mod array;
pub(crate) mod sse;

use bytes::Bytes;

use crate::transport::rest::events::array::ArrayStream;
use crate::transport::rest::events::sse::EventStream;

/// A piece of a stream.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The JSON of a message; or of an error, which only its content tells.
    Message(Bytes),
    /// JSON outside the framing: an error.
    Error(Bytes),
}

/// The body is not a whole stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutFault {
    /// A message is over the limit.
    TooLarge,
    /// The body ends in the middle of a message, or of the array.
    Truncated,
    /// The body is no stream of JSON.
    NotAStream,
}

/// A streamed body, cut as it arrives.
#[derive(Debug)]
pub(crate) enum Cutter {
    Events(EventStream),
    Array(ArrayStream),
}

impl Cutter {
    /// The first byte that says something tells the framing: the content type may not (an error
    /// before the stream comes as plain JSON under `text/event-stream`).
    pub(crate) fn for_body(start: &[u8], limit: usize) -> Self {
        let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        match start.trim_ascii_start().first() {
            Some(b'[' | b'{') => Self::Array(ArrayStream::new(limit)),
            _ => Self::Events(EventStream::new(limit)),
        }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        match self {
            Self::Events(stream) => stream.feed(chunk),
            Self::Array(stream) => stream.feed(chunk),
        }
    }

    /// The next piece, or `None` until more was fed.
    pub(crate) fn next(&mut self) -> Result<Option<Cut>, CutFault> {
        match self {
            Self::Events(stream) => stream.next(),
            Self::Array(stream) => stream.next(),
        }
    }

    /// Whether a stream that was cut between two messages would show it: an array has its bracket, events have nothing.
    pub(crate) const fn has_end_mark(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    /// What is left when the body has ended well.
    pub(crate) fn finish(&mut self) -> Result<Option<Cut>, CutFault> {
        match self {
            Self::Events(stream) => stream.finish(),
            Self::Array(stream) => stream.finish(),
        }
    }
}
