//! Array: cuts a JSON array that arrives piecewise into its elements, whatever its chunks.

use bytes::BytesMut;
use memchr::memchr2;

use crate::transport::rest::events::{Cut, CutFault};

/// A streamed array. A bare object, as an emulator or a proxy may send it, is a stream of one.
#[derive(Debug)]
pub(crate) struct ArrayStream {
    held: BytesMut,
    /// Bytes of `held` that were looked at.
    scanned: usize,
    place: Place,
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before `[`.
    Start,
    /// After `[`, where `]` may follow too.
    First,
    /// After a comma.
    Next,
    /// Inside an element: braces and brackets open, inside a string, after a backslash.
    Inside { depth: u32, in_string: bool, escaped: bool, bare: bool },
    /// After an element.
    After,
    /// After `]`, or after a bare object.
    End,
}

impl ArrayStream {
    /// `limit` is the most bytes of one element.
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: BytesMut::new(), scanned: 0, place: Place::Start, limit }
    }

    /// Takes the next bytes of the body.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        self.held.extend_from_slice(chunk);
    }

    /// The next element, or `None` until more was fed.
    pub(crate) fn next(&mut self) -> Result<Option<Cut>, CutFault> {
        while let Some(byte) = self.next_byte() {
            if let Place::Inside { bare, .. } = self.place {
                if self.close_element(byte) {
                    self.check_size(self.scanned)?;
                    self.place = if bare { Place::End } else { Place::After };
                    let element = self.held.split_to(self.scanned).freeze();
                    self.scanned = 0;
                    return Ok(Some(Cut::Message(element)));
                }
                continue;
            }
            self.place = self.between(byte)?;
            if !matches!(self.place, Place::Inside { .. }) {
                drop(self.held.split_to(self.scanned));
                self.scanned = 0;
            }
        }
        self.check_size(self.held.len())?;
        Ok(None)
    }

    /// What is left when the body has ended well.
    pub(crate) fn finish(&mut self) -> Result<Option<Cut>, CutFault> {
        match self.place {
            Place::End => Ok(None),
            _ => Err(CutFault::Truncated),
        }
    }

    fn check_size(&self, length: usize) -> Result<(), CutFault> {
        if length > self.limit { Err(CutFault::TooLarge) } else { Ok(()) }
    }

    /// The next byte that matters: inside a string, which may hold a whole image, only two do.
    fn next_byte(&mut self) -> Option<u8> {
        if let Place::Inside { in_string: true, escaped: false, .. } = self.place {
            let rest = self.held.get(self.scanned..).unwrap_or_default();
            self.scanned += memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        }
        let byte = self.held.get(self.scanned).copied()?;
        self.scanned += 1;
        Some(byte)
    }

    /// Where a byte outside the elements leads.
    fn between(&self, byte: u8) -> Result<Place, CutFault> {
        let element =
            |depth, in_string, bare| Place::Inside { depth, in_string, escaped: false, bare };
        match (self.place, byte) {
            (place, b' ' | b'\t' | b'\r' | b'\n') => Ok(place),
            // A byte order mark.
            (Place::Start, 0xef | 0xbb | 0xbf) => Ok(Place::Start),
            (Place::Start, b'[') => Ok(Place::First),
            (Place::Start, b'{') => Ok(element(1, false, true)),
            (Place::First | Place::Next, b'{' | b'[') => Ok(element(1, false, false)),
            (Place::First | Place::After, b']') => Ok(Place::End),
            (Place::After, b',') => Ok(Place::Next),
            _ => Err(CutFault::NotAStream),
        }
    }

    /// Follows a byte inside an element; says whether it was the last one.
    fn close_element(&mut self, byte: u8) -> bool {
        let Place::Inside { depth, in_string, escaped, .. } = &mut self.place else { return false };
        if *in_string {
            match byte {
                _ if *escaped => *escaped = false,
                b'\\' => *escaped = true,
                b'"' => *in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => *in_string = true,
            b'{' | b'[' => *depth = depth.saturating_add(1),
            b'}' | b']' => *depth -= 1,
            _ => {}
        }
        *depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &[u8], chunk: usize) -> Result<Vec<String>, CutFault> {
        let mut stream = ArrayStream::new(1 << 16);
        let mut found = Vec::new();
        for chunk in body.chunks(chunk) {
            stream.feed(chunk);
            while let Some(Cut::Message(element)) = stream.next()? {
                found.push(String::from_utf8_lossy(&element).into_owned());
            }
        }
        stream.finish()?;
        Ok(found)
    }

    #[test]
    fn elements_are_cut_whatever_the_chunks() {
        let cases: &[(&str, &[&str])] = &[
            ("[]", &[]),
            ("\n [ ] \r\n", &[]),
            ("[{}\n,\r\n{\"a\":[1]}\n]\n", &["{}", "{\"a\":[1]}"]),
            ("\u{feff}[{\"a\":\"]}\\\"\u{e9}\"},{}]", &["{\"a\":\"]}\\\"\u{e9}\"}", "{}"]),
            (" {\"error\":{}} ", &["{\"error\":{}}"]),
            ("[[],{}]", &["[]", "{}"]),
        ];
        for (body, expected) in cases {
            for chunk in 1..=body.len() {
                let found = cut(body.as_bytes(), chunk);
                assert_eq!(
                    found.as_deref(),
                    Ok(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                    "{body:?} by {chunk}"
                );
            }
        }
    }

    #[test]
    fn a_cut_anywhere_is_an_error() {
        let body = "[{\"a\":\"b\"}\n,{}]";
        for length in 0..body.len() {
            let (start, _) = body.split_at(length);
            assert_eq!(cut(start.as_bytes(), 3), Err(CutFault::Truncated), "{start}");
        }
    }

    #[test]
    fn what_is_no_array_is_an_error() {
        for body in ["<html>", "[{}]x", "[{} {}]", "[,{}]", "[1]", "x", "{}{}"] {
            assert_eq!(cut(body.as_bytes(), 1), Err(CutFault::NotAStream), "{body}");
        }
        let large = [b"[{\"", vec![b'x'; 1 << 17].as_slice(), b"\":1}]"].concat();
        for chunk in [1 << 10, large.len()] {
            assert_eq!(cut(&large, chunk), Err(CutFault::TooLarge), "by {chunk}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_chunking_gives_the_same(body in "[\\[\\]{},\"\\\\ a\u{e9}]{0,30}", chunk in 1_usize..9) {
            proptest::prop_assert_eq!(cut(body.as_bytes(), chunk), cut(body.as_bytes(), usize::MAX));
        }
    }
}
