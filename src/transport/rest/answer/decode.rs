//! Decode: the content codings of an answer ([RFC 9110, section
//! 8.4](https://www.rfc-editor.org/rfc/rfc9110#section-8.4)), as they are written by all kinds of
//! servers.

use std::io::{self, Write};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::header::{self, HeaderMap};

/// Takes the coding off a body, piece by piece.
pub(super) struct Decoder {
    coding: Coding,
    /// Bytes of the body that are not decoded yet.
    held: Bytes,
    has_begun: bool,
}

enum Coding {
    /// One member after the other.
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// HTTP's name for zlib's format; some servers leave zlib's header out.
    Deflate { engine: Option<Decompress>, has_ended: bool },
    /// One that was not asked for.
    Unknown,
}

/// Input that is decoded at once: a byte of it may become a thousand.
const STEP: usize = 4 * 1024;
/// Room for what is decoded at once.
const ROOM: usize = 32 * 1024;

impl Decoder {
    /// By the headers of an answer; `None` if it comes as it is.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::CONTENT_ENCODING).iter();
        let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let mut codings = names
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        let name = codings.next()?;
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let coding = if codings.next().is_some() {
            Coding::Unknown
        } else if is(b"gzip") || is(b"x-gzip") {
            Coding::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
        } else if is(b"deflate") {
            Coding::Deflate { engine: None, has_ended: false }
        } else {
            Coding::Unknown
        };
        Some(Self { coding, held: Bytes::new(), has_begun: false })
    }

    pub(super) const fn is_unknown(&self) -> bool {
        matches!(self.coding, Coding::Unknown)
    }

    /// Takes the next bytes of the body; all before were decoded.
    pub(super) fn feed(&mut self, data: Bytes) {
        self.held = data;
        self.has_begun = true;
    }

    /// Decoded bytes, or `None` until more was fed.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.held.is_empty() {
            let step = self.held.split_to(self.held.len().min(STEP));
            let plain = self.decode(step)?;
            if !plain.is_empty() {
                return Ok(Some(plain.into()));
            }
        }
        Ok(None)
    }

    /// # Errors
    /// The body ended before what it holds.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let is_whole = match &mut self.coding {
            _ if !self.has_begun => true,
            Coding::Gzip(gzip) => gzip.try_finish().is_ok(),
            Coding::Deflate { has_ended, .. } => *has_ended,
            Coding::Unknown => true,
        };
        if is_whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn decode(&mut self, mut step: Bytes) -> io::Result<Vec<u8>> {
        match &mut self.coding {
            Coding::Gzip(gzip) => {
                gzip.write_all(&step)?;
                gzip.flush()?;
                Ok(std::mem::take(gzip.get_mut()))
            }
            Coding::Deflate { engine, has_ended } => {
                let has_header = step.first().is_some_and(|byte| byte & 0x0f == 8);
                let engine = engine.get_or_insert_with(|| Decompress::new(has_header));
                let mut plain = Vec::with_capacity(ROOM);
                while !*has_ended {
                    plain.reserve(ROOM);
                    let (read, written) = (engine.total_in(), plain.len());
                    let status = engine.decompress_vec(&step, &mut plain, FlushDecompress::None)?;
                    *has_ended = status == Status::StreamEnd;
                    let read = usize::try_from(engine.total_in() - read).unwrap_or(usize::MAX);
                    step.advance(read.min(step.len()));
                    if step.is_empty() && plain.len() < plain.capacity() {
                        break;
                    }
                    if read == 0 && plain.len() == written {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                }
                Ok(plain)
            }
            Coding::Unknown => Ok(step.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).and_then(|()| encoder.finish()).expect("memory")
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).and_then(|()| encoder.finish()).expect("memory")
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).and_then(|()| encoder.finish()).expect("memory")
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let pair = |value: &&str| (header::CONTENT_ENCODING, value.parse().expect("a value"));
        values.iter().map(pair).collect()
    }

    /// `None`: it is cut, or wrong.
    fn read(coding: &str, body: &[u8], chunk: usize) -> Option<Vec<u8>> {
        let mut decoder = Decoder::of(&headers(&[coding])).expect("a coding");
        let mut plain = Vec::new();
        for chunk in body.chunks(chunk) {
            decoder.feed(Bytes::copy_from_slice(chunk));
            while let Some(piece) = decoder.next().ok()? {
                plain.extend_from_slice(&piece);
            }
        }
        decoder.finish().ok()?;
        Some(plain)
    }

    #[test]
    fn codings_are_known_by_any_spelling() {
        for (values, is_coded, is_unknown) in [
            (&[][..], false, false),
            (&["identity"], false, false),
            (&[" Identity ,"], false, false),
            (&["gzip"], true, false),
            (&["GZIP"], true, false),
            (&["x-gzip"], true, false),
            (&["gzip, identity"], true, false),
            (&["identity", "gzip"], true, false),
            (&["Deflate"], true, false),
            (&["br"], true, true),
            (&["gzip, gzip"], true, true),
        ] {
            let decoder = Decoder::of(&headers(values));
            assert_eq!(decoder.is_some(), is_coded, "{values:?}");
            assert_eq!(
                decoder.is_some_and(|decoder| decoder.is_unknown()),
                is_unknown,
                "{values:?}"
            );
        }
    }

    #[test]
    fn each_coding_is_read_whatever_the_chunks_and_no_cut_is_whole() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * n % 251).to_be_bytes()).collect();
        let (first, second) = text.split_at(30_000);
        let members = [gzip(first), gzip(second)].concat();
        for (coding, body) in [
            ("gzip", gzip(&text)),
            ("gzip", members),
            ("deflate", zlib(&text)),
            ("deflate", deflate(&text)),
        ] {
            for chunk in [1, 7, 4096, body.len()] {
                assert_eq!(
                    read(coding, &body, chunk).as_deref(),
                    Some(&*text),
                    "{coding} by {chunk}"
                );
            }
            for cut in [1, 5, 11, body.len() / 3, body.len() - 9, body.len() - 1] {
                assert_eq!(
                    read(coding, body.get(..cut).expect("short"), 100),
                    None,
                    "{coding} to {cut}"
                );
            }
            assert_eq!(read(coding, b"", 1).as_deref(), Some(&b""[..]));
            assert_eq!(read(coding, b"no compressed text at all", 3), None);
        }
    }

    #[test]
    fn a_text_that_fills_the_room_for_a_step_is_whole_too() {
        for length in ROOM - 2..ROOM + 300 {
            let text = vec![b'x'; length];
            for body in [zlib(&text), deflate(&text)] {
                let found = read("deflate", &body, body.len());
                assert_eq!(found.map(|text| text.len()), Some(length));
            }
        }
    }

    #[test]
    fn what_stands_behind_the_end_is_left() {
        let whole = zlib(b"text");
        let body = [whole.as_slice(), b"more"].concat();
        for chunk in [1, whole.len() - 1, whole.len(), body.len()] {
            assert_eq!(read("deflate", &body, chunk).as_deref(), Some(&b"text"[..]), "by {chunk}");
        }
    }

    /// A stream is read as it is written, not at its end.
    #[test]
    fn what_was_flushed_is_there_at_once() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"data: 1\n\n").and_then(|()| encoder.flush()).expect("memory");
        let mut decoder = Decoder::of(&headers(&["gzip"])).expect("a coding");
        decoder.feed(encoder.get_ref().clone().into());
        assert_eq!(decoder.next().expect("gzip").as_deref(), Some(&b"data: 1\n\n"[..]));
    }

    #[test]
    fn little_that_becomes_much_comes_in_pieces() {
        let mut decoder = Decoder::of(&headers(&["gzip"])).expect("a coding");
        decoder.feed(gzip(&vec![0; 50 << 20]).into());
        let piece = decoder.next().expect("gzip").expect("bytes");
        assert!(piece.len() <= 2000 * STEP, "{}", piece.len());
    }
}
