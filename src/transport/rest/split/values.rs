//! Values: cuts JSON that arrives piecewise into its values, whatever its chunks: the elements of
//! an array, or objects one after the other, on a line each or not.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use crate::transport::rest::split::piece::SplitFault;

/// A stream of JSON values.
#[derive(Debug)]
pub(crate) struct ValueStream {
    held: BytesMut,
    /// Bytes of `held` that were looked at.
    scanned: usize,
    state: State,
    is_array: bool,
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before anything.
    Start,
    /// After `[`, where `]` may follow too.
    First,
    /// After a comma.
    Next,
    /// Inside a value: braces and brackets open, inside a string, after a backslash.
    Inside { depth: u32, in_string: bool, escaped: bool },
    /// After a value.
    After,
    /// After `]`.
    End,
}

impl ValueStream {
    /// `limit` is the most bytes of one value.
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: BytesMut::new(), scanned: 0, state: State::Start, is_array: false, limit }
    }

    /// Takes the next bytes of the body.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        self.held.extend_from_slice(chunk);
    }

    /// Whether it is an array, whose bracket shows that it is whole.
    pub(crate) const fn is_array(&self) -> bool {
        self.is_array
    }

    /// The next value, or `None` until more was fed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, SplitFault> {
        while let Some(byte) = self.next_byte() {
            if let State::Inside { .. } = self.state {
                if self.close_value(byte) {
                    self.check_size(self.scanned)?;
                    self.state = State::After;
                    let value = self.held.split_to(self.scanned).freeze();
                    self.scanned = 0;
                    return Ok(Some(value));
                }
                continue;
            }
            self.state = self.between(byte).ok_or(SplitFault::NotAStream)?;
            if !matches!(self.state, State::Inside { .. }) {
                drop(self.held.split_to(self.scanned));
                self.scanned = 0;
            }
        }
        self.check_size(self.held.len())?;
        Ok(None)
    }

    /// What is no part of a stream, where it was found.
    pub(crate) fn foreign(&self) -> &[u8] {
        &self.held
    }

    /// Takes the end of the body.
    ///
    /// # Errors
    /// The body ended within a value, or the array.
    pub(crate) fn finish(&self) -> Result<(), SplitFault> {
        match self.state {
            State::End => Ok(()),
            State::After if !self.is_array => Ok(()),
            _ => Err(SplitFault::Truncated),
        }
    }

    fn check_size(&self, length: usize) -> Result<(), SplitFault> {
        if length > self.limit { Err(SplitFault::TooLarge) } else { Ok(()) }
    }

    /// The next byte that matters: inside a string, which may hold a whole image, only two do.
    fn next_byte(&mut self) -> Option<u8> {
        if let State::Inside { in_string: true, escaped: false, .. } = self.state {
            let rest = self.held.get(self.scanned..).unwrap_or_default();
            self.scanned += memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        }
        let byte = self.held.get(self.scanned).copied()?;
        self.scanned += 1;
        Some(byte)
    }

    /// Where a byte outside the values leads; `None` if it has no place there.
    fn between(&mut self, byte: u8) -> Option<State> {
        let inside = State::Inside { depth: 1, in_string: false, escaped: false };
        match (self.state, byte) {
            (place, b' ' | b'\t' | b'\r' | b'\n') => Some(place),
            // A byte order mark.
            (State::Start, 0xef | 0xbb | 0xbf) => Some(State::Start),
            (State::Start, b'[') => {
                self.is_array = true;
                Some(State::First)
            }
            (State::Start, b'{') | (State::First | State::Next, b'{' | b'[') => Some(inside),
            (State::After, b'{') if !self.is_array => Some(inside),
            (State::First | State::After, b']') if self.is_array => Some(State::End),
            (State::After, b',') if self.is_array => Some(State::Next),
            _ => None,
        }
    }

    /// Follows a byte inside a value; says whether it was the last one.
    fn close_value(&mut self, byte: u8) -> bool {
        let State::Inside { depth, in_string, escaped } = &mut self.state else { return false };
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

    fn cut(body: &[u8], chunk: usize) -> Result<Vec<String>, SplitFault> {
        let mut stream = ValueStream::new(1 << 16);
        let mut found = Vec::new();
        for chunk in body.chunks(chunk) {
            stream.feed(chunk);
            while let Some(value) = stream.next()? {
                found.push(String::from_utf8_lossy(&value).into_owned());
            }
        }
        stream.finish()?;
        Ok(found)
    }

    #[test]
    fn values_are_cut_whatever_the_chunks() {
        let cases: &[(&str, &[&str])] = &[
            ("[]", &[]),
            ("\n [ ] \r\n", &[]),
            ("[{}\n,\r\n{\"a\":[1]}\n]\n", &["{}", "{\"a\":[1]}"]),
            ("\u{feff}[{\"a\":\"]}\\\"\u{e9}\"},{}]", &["{\"a\":\"]}\\\"\u{e9}\"}", "{}"]),
            (" {\"error\":{}} ", &["{\"error\":{}}"]),
            ("[[],{}]", &["[]", "{}"]),
            ("{}\n{\"a\":1}\n", &["{}", "{\"a\":1}"]),
            ("{}{\"a\":{}}", &["{}", "{\"a\":{}}"]),
            ("\u{feff}{\n \"a\": 1\n}\r\n\r\n{}", &["{\n \"a\": 1\n}", "{}"]),
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
    fn a_cut_anywhere_within_is_an_error() {
        let body = "[{\"a\":\"b\"}\n,{}]";
        for length in 0..body.len() {
            let (start, _) = body.split_at(length);
            assert_eq!(cut(start.as_bytes(), 3), Err(SplitFault::Truncated), "{start}");
        }
        let body = "{\"a\":\"b\"}{}";
        for length in (0..9).chain(10..11) {
            let (start, _) = body.split_at(length);
            assert_eq!(cut(start.as_bytes(), 3), Err(SplitFault::Truncated), "{start}");
        }
    }

    #[test]
    fn what_is_no_stream_of_values_is_an_error() {
        for body in
            ["<html>", "[{}]x", "[{} {}]", "[,{}]", "[1]", "x", "{},{}", "{}]", "{}x", "[{}][{}]"]
        {
            assert_eq!(cut(body.as_bytes(), 1), Err(SplitFault::NotAStream), "{body}");
        }
        let large = [b"[{\"", vec![b'x'; 1 << 17].as_slice(), b"\":1}]"].concat();
        for chunk in [1 << 10, large.len()] {
            assert_eq!(cut(&large, chunk), Err(SplitFault::TooLarge), "by {chunk}");
        }
    }

    #[test]
    fn only_an_array_shows_that_it_is_whole() {
        for (body, is_array) in [("[{}", true), ("{}", false), (" {}", false)] {
            let mut stream = ValueStream::new(10);
            stream.feed(body.as_bytes());
            assert!(stream.next().expect("a value").is_some());
            assert_eq!(stream.is_array(), is_array, "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_chunking_gives_the_same(body in "[\\[\\]{},\"\\\\ a\u{e9}]{0,30}", chunk in 1_usize..9) {
            proptest::prop_assert_eq!(cut(body.as_bytes(), chunk), cut(body.as_bytes(), usize::MAX));
        }
    }
}
