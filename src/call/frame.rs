//! Frame: gRPC's 5-byte message prefix, compressed or not.
//!
//! `Length-Prefixed-Message → Compressed-Flag Message-Length Message`, one flag byte and four
//! length bytes, big endian ([gRPC over
//! HTTP/2](https://github.com/grpc/grpc/blob/v1.75.0/doc/PROTOCOL-HTTP2.md)).

use bytes::{BufMut, Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tonic::body::Body;

use crate::error::{Error, ErrorKind};

/// Bytes before each message.
pub(crate) const PREFIX_LENGTH: usize = 5;

/// One message with its prefix, as it stands on the wire; cheap to clone.
#[derive(Clone)]
pub(crate) struct Frame(Bytes);

impl Frame {
    /// Reads the one frame of a unary or server-streaming request to its end.
    ///
    /// # Errors
    /// The body holds no frame, more than one, or one that is cut or larger than `limit` bytes.
    pub(crate) async fn collect(mut body: Body, limit: usize) -> Result<Self, Error> {
        let mut whole = Whole::default();
        while let Some(part) = body.frame().await {
            let part = part.map_err(|status| {
                Error::invalid_request("the request could not be read").with_source(status)
            })?;
            let Ok(data) = part.into_data() else { continue };
            let length = whole.add(data);
            if length > limit.saturating_add(PREFIX_LENGTH) {
                return Err(too_large(length - PREFIX_LENGTH, limit));
            }
            if body.is_end_stream() {
                break;
            }
        }
        Self::parse(whole.into_bytes())
    }

    /// One frame, whole.
    ///
    /// # Errors
    /// It is cut, or followed by more.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, Error> {
        let Some((&[flag, a, b, c, d], message)) = bytes.split_first_chunk() else {
            return Err(malformed(format!("the request has {} bytes, no frame", bytes.len())));
        };
        let stated = u32::from_be_bytes([a, b, c, d]) as usize;
        if flag > 1 {
            return Err(malformed(format!("the request's frame has flag {flag}, not 0 or 1")));
        }
        if stated != message.len() {
            let held = message.len();
            return Err(malformed(format!(
                "the request's frame states {stated} bytes and holds {held}; one message is expected"
            )));
        }
        Ok(Self(bytes))
    }

    /// The frame around `message`; `None` beyond the 4 GiB that the prefix can state.
    pub(crate) fn wrap(message: &[u8]) -> Option<Self> {
        let length = u32::try_from(message.len()).ok()?;
        let mut bytes = BytesMut::with_capacity(PREFIX_LENGTH + message.len());
        bytes.put_u8(0);
        bytes.put_u32(length);
        bytes.put_slice(message);
        Some(Self(bytes.freeze()))
    }

    /// Whether the message is compressed by the call's `grpc-encoding`.
    pub(crate) fn is_compressed(&self) -> bool {
        self.0.first() == Some(&1)
    }

    /// The message without its prefix.
    pub(crate) fn message(&self) -> Bytes {
        self.0.slice(PREFIX_LENGTH..)
    }

    /// Prefix and message.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// A body as it comes in: its pieces are put together, and one that comes alone is kept as it is.
#[derive(Default)]
pub(crate) struct Whole {
    first: Bytes,
    all: BytesMut,
}

impl Whole {
    /// Appends a piece; gives the bytes so far.
    pub(crate) fn add(&mut self, piece: Bytes) -> usize {
        if self.first.is_empty() && self.all.is_empty() {
            self.first = piece;
        } else {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
            self.all.extend_from_slice(&piece);
        }
        self.first.len() + self.all.len()
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// Follows the frames of an answer as its bytes pass by, keeping none of them.
#[derive(Debug, Default)]
pub(crate) struct FrameCounter {
    prefix: [u8; PREFIX_LENGTH],
    prefix_held: usize,
    message_left: usize,
    complete: u64,
}

/// The stream of an answer is not made of frames.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadFlag(pub(crate) u8);

impl FrameCounter {
    /// Takes the next bytes of the stream.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), BadFlag> {
        while !bytes.is_empty() {
            if self.message_left > 0 {
                let taken = self.message_left.min(bytes.len());
                bytes = bytes.get(taken..).unwrap_or_default();
                self.message_left -= taken;
                self.complete += u64::from(self.message_left == 0);
                continue;
            }
            bytes = self.feed_prefix(bytes)?;
        }
        Ok(())
    }

    fn feed_prefix<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], BadFlag> {
        let taken = (PREFIX_LENGTH - self.prefix_held).min(bytes.len());
        let (part, rest) = bytes.split_at(taken);
        let held = self.prefix_held;
        if let Some(room) = self.prefix.get_mut(held..held + taken) {
            room.copy_from_slice(part);
        }
        self.prefix_held += taken;
        let [flag, a, b, c, d] = self.prefix;
        if flag > 1 {
            return Err(BadFlag(flag));
        }
        if self.prefix_held == PREFIX_LENGTH {
            self.prefix_held = 0;
            self.message_left = u32::from_be_bytes([a, b, c, d]) as usize;
            self.complete += u64::from(self.message_left == 0);
        }
        Ok(rest)
    }

    /// Complete messages so far.
    pub(crate) fn messages(&self) -> u64 {
        self.complete
    }

    /// Whether the stream stands in the middle of a frame.
    pub(crate) fn is_inside(&self) -> bool {
        self.message_left > 0 || self.prefix_held > 0
    }
}

/// A message of `length` bytes where at most `limit` are allowed.
pub(crate) fn too_large(length: usize, limit: usize) -> Error {
    let text = format!("a message of {length} bytes or more is over the bridge's limit of {limit}");
    Error::new(ErrorKind::MessageTooLarge, text)
}

fn malformed(text: String) -> Error {
    Error::invalid_request(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_must_be_whole_and_alone() {
        let cases: [(&[u8], bool); 7] = [
            (b"\0\0\0\0\0", true),
            (b"\0\0\0\0\x02ab", true),
            (b"\x01\0\0\0\x01a", true),
            (b"\0\0\0\0\x03ab", false),
            (b"\0\0\0\0\x01ab", false),
            (b"\x02\0\0\0\0", false),
            (b"\0\0", false),
        ];
        for (bytes, good) in cases {
            assert_eq!(Frame::parse(Bytes::copy_from_slice(bytes)).is_ok(), good, "{bytes:?}");
        }
    }

    #[test]
    fn wrapping_is_undone_by_parsing() {
        let frame = Frame::wrap(b"hello").expect("short");
        let again = Frame::parse(frame.into_bytes()).expect("whole");
        assert_eq!((again.message().as_ref(), again.is_compressed()), (&b"hello"[..], false));
    }

    #[tokio::test]
    async fn a_message_over_the_limit_is_refused() {
        let body = Body::new(http_body_util::Full::new(Frame::wrap(&[7; 11]).expect("short").0));
        let error = Frame::collect(body, 10).await.err().expect("too large");
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    }

    #[test]
    fn any_chunking_counts_the_same() {
        let stream = b"\0\0\0\0\x02ab\0\0\0\0\0\0\0\0\0\x03abc\0\0";
        for size in 1..=stream.len() {
            let mut counter = FrameCounter::default();
            for chunk in stream.chunks(size) {
                counter.feed(chunk).expect("frames");
            }
            assert_eq!((counter.messages(), counter.is_inside()), (3, true), "chunks of {size}");
        }
    }

    #[test]
    fn a_page_is_not_a_frame() {
        assert_eq!(FrameCounter::default().feed(b"<html>"), Err(BadFlag(b'<')));
    }
}
