//! Frame: a message with its prefix, as gRPC frames it.

use bytes::Bytes;

use crate::call::frame::PREFIX_LENGTH;

/// The message of a frame.
pub(super) fn message_of(frame: &Bytes) -> &[u8] {
    frame.get(PREFIX_LENGTH..).unwrap_or_default()
}

/// Writes the length of the message into the frame's prefix. A message beyond the 4 GiB that it can
/// state is over every limit, and is refused by it.
pub(super) fn with_length(mut frame: Vec<u8>) -> Bytes {
    let length = u32::try_from(frame.len() - PREFIX_LENGTH).unwrap_or(u32::MAX);
    if let Some(room) = frame.get_mut(1..PREFIX_LENGTH) {
        room.copy_from_slice(&length.to_be_bytes());
    }
    frame.into()
}
