//! Scan: the JSON tokenizer ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), strict but for
//! answers.
//!
//! The text is checked to be UTF-8 once, before; so a token can be taken as it is.

use super::block::{BLOCK, common_length, space_length};
use super::fault::{CUT, Fault, Result};
use super::lenience::{Lenience, Leniences};
use super::number::Number;

/// A cursor over a JSON text.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(super) rest: &'a [u8],
    /// Of the whole text.
    length: usize,
    /// The text is an answer.
    pub(super) is_lenient: bool,
    pub(super) met: Leniences,
}

/// What a value begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// Objects and arrays inside each other, in a value that is skipped.
const MAX_NESTING: u32 = 128;

/// What a value begins with, by its first byte.
static STARTS: [Option<Start>; 256] = starts();

#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
const fn starts() -> [Option<Start>; 256] {
    let mut table = [None; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        table[digit as usize] = Some(Start::Number);
        digit += 1;
    }
    table[b'-' as usize] = Some(Start::Number);
    // `NaN` and `Infinity`; whoever reads the number says whether they are taken.
    table[b'N' as usize] = Some(Start::Number);
    table[b'I' as usize] = Some(Start::Number);
    table[b'"' as usize] = Some(Start::String);
    table[b'{' as usize] = Some(Start::Object);
    table[b'[' as usize] = Some(Start::Array);
    table[b't' as usize] = Some(Start::True);
    table[b'f' as usize] = Some(Start::False);
    table[b'n' as usize] = Some(Start::Null);
    table
}

impl<'a> Scan<'a> {
    /// # Errors
    /// The text is not UTF-8.
    pub(crate) fn new(text: &'a [u8]) -> Result<Self> {
        // The faster check does not say where the fault is.
        if simdutf8::basic::from_utf8(text).is_ok() {
            let met = Leniences::default();
            return Ok(Self { rest: text, length: text.len(), is_lenient: false, met });
        }
        let valid =
            simdutf8::compat::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len);
        Err(Fault::new("bytes that are not UTF-8", valid))
    }

    pub(crate) fn offset(&self) -> usize {
        self.length - self.rest.len()
    }

    /// Goes back to a place in the whole text.
    #[cold]
    pub(super) fn go_to(&mut self, text: &'a [u8], offset: usize) {
        self.rest = text.get(offset..).unwrap_or_default();
    }

    #[inline]
    pub(super) fn advance(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
    }

    #[inline]
    pub(crate) fn skip_space(&mut self) {
        match self.rest {
            [byte, ..] if *byte > b' ' => {}
            [b' ', after @ ..] if after.first().is_some_and(|next| *next > b' ') => {
                self.rest = after;
            }
            _ => self.rest = after_long_space(self.rest),
        }
    }

    /// What the next value begins with.
    #[inline]
    pub(crate) fn start(&mut self) -> Result<Start> {
        self.skip_space();
        let start = self.rest.first().and_then(|byte| *STARTS.get(usize::from(*byte))?);
        start.ok_or_else(|| self.fault("no JSON value"))
    }

    /// Whether this byte stands next, after space.
    #[inline]
    pub(crate) fn is_next(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.rest.first() == Some(&byte)
    }

    /// Skips this byte if it stands next, after space.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        self.skip_space();
        match self.rest {
            [next, after @ ..] if *next == byte => {
                self.rest = after;
                true
            }
            _ => false,
        }
    }

    /// Skips the start of `padded` if it stands next, without space; not at the very end of a text.
    #[inline]
    pub(crate) fn eat_start(&mut self, padded: &[u8; 2 * BLOCK], length: usize) -> bool {
        let stands =
            self.rest.first_chunk().is_some_and(|next| common_length(next, padded) >= length);
        if stands {
            self.advance(length);
        }
        stands
    }

    /// Skips a comma, or the byte that ends the list before it; says whether it was the comma.
    #[inline]
    pub(crate) fn comma_or(&mut self, end: u8) -> Result<bool> {
        self.skip_space();
        match self.rest {
            [b',', after @ ..] => {
                self.rest = after;
                Ok(true)
            }
            [byte, after @ ..] if *byte == end => {
                self.rest = after;
                Ok(false)
            }
            _ => Err(self.expected(end)),
        }
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<()> {
        if self.eat(byte) { Ok(()) } else { Err(self.expected(byte)) }
    }

    #[cold]
    pub(super) fn expected(&self, byte: u8) -> Box<Fault> {
        if self.rest.is_empty() {
            return self.fault(CUT);
        }
        Fault::new(format!("no `{}`", char::from(byte)), self.offset())
    }

    /// # Errors
    /// Something follows the value.
    pub(crate) fn expect_end(&mut self) -> Result<()> {
        self.skip_space();
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.fault("text after the end of the value"))
        }
    }

    /// One of the three words.
    pub(crate) fn word(&mut self, word: &'static str) -> Result<()> {
        self.skip_space();
        if !self.rest.starts_with(word.as_bytes()) {
            return Err(self.fault("no JSON value"));
        }
        self.advance(word.len());
        Ok(())
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number<'a>> {
        self.skip_space();
        let number = Number::read(self.rest).ok_or_else(|| self.fault("no JSON number"))?;
        self.advance(number.text.len());
        Ok(number)
    }

    /// A bare integer of up to nine digits, which every integer type holds. `None`: it is not that,
    /// and nothing was read.
    #[inline]
    pub(crate) fn small_integer(&mut self) -> Option<u32> {
        self.skip_space();
        let (mut value, mut length) = (0, 0);
        while let Some(digit @ b'0'..=b'9') = self.rest.get(length) {
            if length == 9 || length > 0 && value == 0 {
                return None;
            }
            value = value * 10 + u32::from(digit - b'0');
            length += 1;
        }
        match self.rest.get(length) {
            Some(b',' | b'}' | b']' | b'\n') if length > 0 => self.advance(length),
            _ => return None,
        }
        Some(value)
    }

    /// Skips a whole value of any kind, checking its grammar.
    pub(crate) fn skip_value(&mut self) -> Result<()> {
        // One bit for each object or array around: whether it is an object.
        let mut around: u128 = 0;
        let mut nesting = 0_u32;
        loop {
            match self.start()? {
                opening @ (Start::Object | Start::Array) => {
                    let is_object = opening == Start::Object;
                    self.advance(1);
                    if !self.eat(if is_object { b'}' } else { b']' }) {
                        if nesting == MAX_NESTING {
                            return Err(self.fault("too many values inside each other"));
                        }
                        around = around << 1 | u128::from(is_object);
                        nesting += 1;
                        if is_object {
                            self.skip_name()?;
                        }
                        continue;
                    }
                }
                Start::String => self.skip_string()?,
                Start::Number => self.skip_number()?,
                Start::True => self.word("true")?,
                Start::False => self.word("false")?,
                Start::Null => self.word("null")?,
            }
            loop {
                if nesting == 0 {
                    return Ok(());
                }
                let in_object = around & 1 == 1;
                if self.comma_or(if in_object { b'}' } else { b']' })? {
                    if in_object {
                        self.skip_name()?;
                    }
                    break;
                }
                around >>= 1;
                nesting -= 1;
            }
        }
    }

    /// Skips a whole value; gives it as it is written.
    pub(crate) fn value(&mut self) -> Result<&'a [u8]> {
        self.skip_space();
        let start = self.rest;
        self.skip_value()?;
        Ok(start.get(..start.len() - self.rest.len()).unwrap_or_default())
    }

    fn skip_number(&mut self) -> Result<()> {
        match self.number() {
            Err(fault) if self.bare_non_finite().is_none() => Err(fault),
            _ => Ok(()),
        }
    }

    /// `NaN` or an infinity without quotes, as some languages print them.
    #[cold]
    pub(crate) fn bare_non_finite(&mut self) -> Option<f64> {
        let words: [(&[u8], f64); 3] =
            [(b"NaN", f64::NAN), (b"Infinity", f64::INFINITY), (b"-Infinity", f64::NEG_INFINITY)];
        let (word, value) = words.into_iter().find(|(word, _)| self.rest.starts_with(word))?;
        if !self.is_lenient {
            return None;
        }
        self.advance(word.len());
        self.met.add(Lenience::BareNonFinite);
        Some(value)
    }

    fn skip_name(&mut self) -> Result<()> {
        self.skip_string()?;
        self.expect(b':')
    }

    fn skip_string(&mut self) -> Result<()> {
        if self.plain_string().is_none() {
            self.unescape_into(&mut Vec::new())?;
        }
        Ok(())
    }

    #[cold]
    pub(crate) fn fault(&self, what: &'static str) -> Box<Fault> {
        Fault::new(if self.rest.is_empty() { CUT } else { what }, self.offset())
    }
}

/// What follows the newline and indentation of a pretty-printed text.
#[inline(never)]
fn after_long_space(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some((block, after)) = rest.split_first_chunk() {
        let length = space_length(block);
        if length < BLOCK {
            return rest.get(length..).unwrap_or_default();
        }
        rest = after;
    }
    while let [b' ' | b'\n' | b'\r' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_integers_are_read_and_nothing_else() {
        for (text, value) in [("0,", 0), ("7}", 7), (" 42]", 42), ("999999999\n", 999_999_999)] {
            let mut scan = Scan::new(text.as_bytes()).expect("UTF-8");
            assert_eq!(scan.small_integer(), Some(value), "{text}");
            assert_eq!(scan.rest.len(), 1, "{text}");
        }
        for text in
            ["", ",", "1", "00,", "01,", "1.0,", "1e1,", "-1,", "1000000000,", "99999999999,"]
        {
            let mut scan = Scan::new(text.as_bytes()).expect("UTF-8");
            assert_eq!(scan.small_integer(), None, "{text}");
            assert_eq!(scan.rest.len(), text.len(), "{text}");
        }
    }

    fn skips(text: &str) -> bool {
        let skip = |mut scan: Scan<'_>| {
            scan.skip_value()?;
            scan.expect_end()
        };
        Scan::new(text.as_bytes()).and_then(skip).is_ok()
    }

    #[test]
    fn skips_values_and_nothing_else() {
        for text in [
            "0",
            "-0.5e+3",
            "[]",
            "{}",
            "[1,[2,{\"a\":[]}],\"]\"]",
            " {\"a\" : {\"b\":null} } ",
            "\"\\u00e9\\ud83d\\ude00\"",
        ] {
            assert!(skips(text), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "[1}",
            "tru",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\n\"",
            "1 2",
            "[",
            "\"a",
            "nulls",
        ] {
            assert!(!skips(text), "{text}");
        }
        assert!(!skips(&"[".repeat(100_000)));
        assert!(skips(&("[".repeat(100) + &"]".repeat(100))));
    }
}
