//! Split: one JSON text after the other out of a streamed body, in any framing.

mod framing;
mod lines;
pub(crate) mod named;
pub(crate) mod piece;
pub(crate) mod sse;
pub(crate) mod values;

use crate::transport::rest::split::framing::is_plain_json;
use crate::transport::rest::split::piece::{Piece, SplitFault};
use crate::transport::rest::split::sse::EventStream;
use crate::transport::rest::split::values::ValueStream;

/// A streamed body, cut as it arrives.
#[derive(Debug)]
pub(crate) enum Splitter {
    Events(EventStream),
    Values(ValueStream),
}

impl Splitter {
    /// The first byte that says something tells the framing: the content type may not (an error
    /// before the stream comes as plain JSON under `text/event-stream`).
    pub(crate) fn for_body(start: &[u8], limit: usize) -> Self {
        if is_plain_json(start) {
            Self::Values(ValueStream::new(limit))
        } else {
            Self::Events(EventStream::new(limit))
        }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        match self {
            Self::Events(stream) => stream.feed(chunk),
            Self::Values(stream) => stream.feed(chunk),
        }
    }

    /// The next piece, or `None` until more was fed.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, SplitFault> {
        match self {
            Self::Events(stream) => stream.next(),
            Self::Values(stream) => Ok(stream.next()?.map(Piece::Message)),
        }
    }

    /// Whether a stream that was cut between two messages would show it: an array has its bracket,
    /// others have nothing.
    pub(crate) const fn has_end_mark(&self) -> bool {
        match self {
            Self::Events(_) => false,
            Self::Values(stream) => stream.is_array(),
        }
    }

    /// What is no part of a stream, where that was found.
    pub(crate) fn foreign(&self) -> &[u8] {
        match self {
            Self::Events(stream) => stream.foreign(),
            Self::Values(stream) => stream.foreign(),
        }
    }

    /// What is left when the body has ended well.
    pub(crate) fn finish(&mut self) -> Result<Option<Piece>, SplitFault> {
        match self {
            Self::Events(stream) => stream.finish(),
            Self::Values(stream) => stream.finish().map(|()| None),
        }
    }
}
