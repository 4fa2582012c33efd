//! Split: one JSON text after the other out of a streamed body, in any framing.

mod framing;
mod lines;
pub(crate) mod named;
pub(crate) mod piece;
pub(crate) mod sse;
pub(crate) mod values;

use bytes::Bytes;

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

    pub(crate) fn feed(&mut self, chunk: Bytes) {
        match self {
            Self::Events(stream) => stream.feed(chunk),
            Self::Values(stream) => stream.feed(&chunk),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces, what ended them, and what is no part of a stream.
    fn cut(body: &[u8]) -> (Vec<String>, Option<SplitFault>, String) {
        let mut splitter = Splitter::for_body(body, 1 << 10);
        splitter.feed(Bytes::copy_from_slice(body));
        let (mut found, mut has_ended) = (Vec::new(), false);
        let fault = loop {
            match if has_ended { splitter.finish() } else { splitter.next() } {
                Ok(Some(Piece::Message(text) | Piece::Error(text))) => {
                    found.push(String::from_utf8_lossy(&text).into_owned());
                }
                Ok(None) if has_ended => break None,
                Ok(None) => has_ended = true,
                Err(fault) => break Some(fault),
            }
        };
        (found, fault, String::from_utf8_lossy(splitter.foreign()).into_owned())
    }

    #[test]
    fn the_first_byte_tells_the_framing() {
        for (body, pieces, fault, foreign, has_end_mark) in [
            ("data: 1\n\n", &["1"][..], None, "", false),
            ("[{},{}]", &["{}", "{}"], None, "", true),
            ("\u{feff} {}\n{}", &["{}", "{}"], None, "", false),
            ("data: 1\n\nbusy\n", &["1"], Some(SplitFault::NotAStream), "busy\n", false),
            ("[{}]busy", &["{}"], Some(SplitFault::NotAStream), "busy", true),
            ("[{}", &["{}"], Some(SplitFault::Truncated), "", true),
        ] {
            let told =
                (pieces.iter().map(ToString::to_string).collect(), fault, foreign.to_owned());
            assert_eq!(cut(body.as_bytes()), told, "{body}");
            let mut splitter = Splitter::for_body(body.as_bytes(), 1 << 10);
            splitter.feed(Bytes::copy_from_slice(body.as_bytes()));
            while let Ok(Some(_)) = splitter.next() {}
            assert_eq!(splitter.has_end_mark(), has_end_mark, "{body}");
        }
    }
}
