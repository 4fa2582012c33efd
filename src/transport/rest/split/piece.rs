//! Piece: what a streamed body is cut into, and what may be wrong with it.

use bytes::Bytes;

/// A piece of a stream.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The JSON of a message; or of an error, which only its content tells.
    Message(Bytes),
    /// JSON outside the framing: an error.
    Error(Bytes),
}

/// The body is not a whole stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SplitFault {
    /// A message is over the limit.
    TooLarge,
    /// The body ends in the middle of a message, or of the array.
    Truncated,
    /// The body is no stream of JSON.
    NotAStream,
}
