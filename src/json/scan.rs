//! Scan: the JSON tokenizer ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), strict.
//!
//! The text is checked to be UTF-8 once, before; so a token can be taken as it is.

use std::borrow::Cow;

use super::fault::{CUT, Fault, Result};
use super::number::Number;
use super::text::{BLOCK, append_start, clean_length, short_block, special_bytes, words_of};

/// A cursor over a JSON text.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
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

impl<'a> Scan<'a> {
    /// # Errors
    /// The text is not UTF-8.
    pub(crate) fn new(text: &'a [u8]) -> Result<Self> {
        simdutf8::compat::from_utf8(text)
            .map_err(|error| Fault::new("bytes that are not UTF-8", error.valid_up_to()))?;
        Ok(Self { text, at: 0 })
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    pub(crate) fn skip_space(&mut self) {
        match self.byte() {
            Some(byte) if byte > b' ' => {}
            Some(b' ') if self.text.get(self.at + 1).is_some_and(|next| *next > b' ') => {
                self.at += 1
            }
            _ => self.skip_long_space(),
        }
    }

    /// Newline and indentation of a pretty-printed text, eight spaces at a time.
    #[inline(never)]
    fn skip_long_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
            while let Some(word) = self.text.get(self.at..).and_then(<[u8]>::first_chunk) {
                let other = u64::from_le_bytes(*word) ^ u64::from_le_bytes([b' '; 8]);
                if other != 0 {
                    self.at += other.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
        }
    }

    /// What the next value begins with.
    #[inline]
    pub(crate) fn start(&mut self) -> Result<Start> {
        self.skip_space();
        Ok(match self.byte() {
            Some(b'"') => Start::String,
            Some(b'{') => Start::Object,
            Some(b'[') => Start::Array,
            Some(b'-' | b'0'..=b'9') => Start::Number,
            Some(b't') => Start::True,
            Some(b'f') => Start::False,
            Some(b'n') => Start::Null,
            _ => return Err(self.fault("no JSON value")),
        })
    }

    /// Skips this byte if it stands next, after space.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<()> {
        if self.eat(byte) { Ok(()) } else { Err(self.expected(byte)) }
    }

    #[cold]
    fn expected(&self, byte: u8) -> Box<Fault> {
        Fault::new(format!("no `{}`", char::from(byte)), self.at)
    }

    /// # Errors
    /// Something follows the value.
    pub(crate) fn expect_end(&mut self) -> Result<()> {
        self.skip_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.fault("text after the end of the value"))
        }
    }

    /// One of the three words.
    pub(crate) fn word(&mut self, word: &'static str) -> Result<()> {
        self.skip_space();
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.fault("no JSON value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// The text between the quotes if it has no escapes; else `None`, and nothing was read.
    #[inline]
    pub(crate) fn plain_string(&mut self) -> Result<Option<&'a [u8]>> {
        let before = self.at;
        self.expect(b'"')?;
        let start = self.at;
        let end = self.special_from(start);
        match self.text.get(end) {
            Some(b'"') => {
                self.at = end + 1;
                Ok(Some(self.text.get(start..end).unwrap_or_default()))
            }
            Some(b'\\') => {
                self.at = before;
                Ok(None)
            }
            _ => Err(self.bad_string(end)),
        }
    }

    /// A string, unescaped.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        if let Some(plain) = self.plain_string()? {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = Vec::new();
        self.unescape_into(&mut text)?;
        Ok(Cow::Owned(text))
    }

    /// Appends a string, unescaped.
    pub(crate) fn unescape_into(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.expect(b'"')?;
        let mut at = self.at;
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let clean = match rest.first_chunk() {
                Some(block) => {
                    let clean = clean_length(words_of(block));
                    append_start(block, clean, out);
                    clean
                }
                None => append_last_run(rest, out),
            };
            at += clean;
            if clean == BLOCK {
                continue;
            }
            match self.text.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(());
                }
                Some(b'\\') => at = self.unescape_one(at, out)?,
                _ => return Err(self.bad_string(at)),
            }
        }
    }

    /// Position of the first quote, backslash or control character.
    #[inline]
    fn special_from(&self, mut at: usize) -> usize {
        // Single words: most strings that come here are names.
        while let Some(word) = self.text.get(at..).and_then(<[u8]>::first_chunk) {
            let found = special_bytes(u64::from_le_bytes(*word));
            if found != 0 {
                return at + found.trailing_zeros() as usize / 8;
            }
            at += 8;
        }
        let rest = self.text.get(at..).unwrap_or_default();
        at + clean_length(words_of(&short_block(rest))).min(rest.len())
    }

    /// The text of a string that is expected to be long and without escapes, such as base64.
    pub(crate) fn long_string(&mut self) -> Result<Cow<'a, [u8]>> {
        self.skip_space();
        let Some(rest) = self.text.get(self.at..).and_then(|rest| rest.strip_prefix(b"\"")) else {
            return Err(self.expected(b'"'));
        };
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(end) if rest.get(end) == Some(&b'"') => {
                self.at += end + 2;
                Ok(Cow::Borrowed(rest.get(..end).unwrap_or_default()))
            }
            _ => self.string(),
        }
    }

    /// Appends what the escape at `at` stands for; gives the place behind it.
    #[inline]
    fn unescape_one(&self, at: usize, out: &mut Vec<u8>) -> Result<usize> {
        let letter = match self.text.get(at + 1) {
            Some(b'n') => b'\n',
            Some(same @ (b'"' | b'\\' | b'/')) => *same,
            Some(b'u') => return self.unescape_unicode(at, out),
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(_) => return Err(Fault::new("an escape that does not exist", at)),
            None => return Err(Fault::new(CUT, at)),
        };
        out.push(letter);
        Ok(at + 2)
    }

    fn unescape_unicode(&self, at: usize, out: &mut Vec<u8>) -> Result<usize> {
        let alone = || Fault::new("half of a surrogate pair", at);
        let mut code = self.hex(at)?;
        let mut end = at + 6;
        if (0xd800..0xdc00).contains(&code) {
            if self.text.get(end..end + 2) != Some(b"\\u") {
                return Err(alone());
            }
            let low = self.hex(end)?.checked_sub(0xdc00).filter(|low| *low < 0x400);
            code = 0x1_0000 + ((code - 0xd800) << 10) + low.ok_or_else(alone)?;
            end += 6;
        }
        let letter = char::from_u32(code).ok_or_else(alone)?;
        match u8::try_from(letter) {
            Ok(ascii) if ascii < 0x80 => out.push(ascii),
            _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        Ok(end)
    }

    /// The four digits of `\uXXXX`.
    fn hex(&self, at: usize) -> Result<u32> {
        let digits = self.text.get(at + 2..at + 6).unwrap_or_default();
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let read = |value: Option<u32>, byte| Some(value? << 4 | digit(byte)?);
        let code = digits.iter().fold(Some(0), read).filter(|_| digits.len() == 4);
        code.ok_or_else(|| Fault::new("an escape that does not exist", at))
    }

    #[cold]
    fn bad_string(&self, at: usize) -> Box<Fault> {
        match self.text.get(at) {
            Some(_) => Fault::new("a control character in a string", at),
            None => Fault::new(CUT, at),
        }
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number<'a>> {
        self.skip_space();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let number = Number::read(rest).ok_or_else(|| self.fault("no JSON number"))?;
        self.at += number.text.len();
        Ok(number)
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
                    self.at += 1;
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
                Start::Number => drop(self.number()?),
                Start::True => self.word("true")?,
                Start::False => self.word("false")?,
                Start::Null => self.word("null")?,
            }
            loop {
                if nesting == 0 {
                    return Ok(());
                }
                let in_object = around & 1 == 1;
                if self.eat(b',') {
                    if in_object {
                        self.skip_name()?;
                    }
                    break;
                }
                self.expect(if in_object { b'}' } else { b']' })?;
                around >>= 1;
                nesting -= 1;
            }
        }
    }

    fn skip_name(&mut self) -> Result<()> {
        self.skip_space();
        self.skip_string()?;
        self.expect(b':')
    }

    fn skip_string(&mut self) -> Result<()> {
        if self.plain_string()?.is_none() {
            self.unescape_into(&mut Vec::new())?;
        }
        Ok(())
    }

    #[cold]
    pub(crate) fn fault(&self, what: &'static str) -> Box<Fault> {
        let is_cut = self.at >= self.text.len();
        Fault::new(if is_cut { CUT } else { what }, self.at)
    }
}

/// Appends the bytes before a special one, of a text shorter than a block; says how many.
fn append_last_run(text: &[u8], out: &mut Vec<u8>) -> usize {
    let block = short_block(text);
    let clean = clean_length(words_of(&block)).min(text.len());
    append_start(&block, clean, out);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(serde_json::from_str::<serde_json::Value>(text).is_ok(), true, "{text}");
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

    #[test]
    fn strings_unescape_as_serde_does() {
        for text in [
            r#""""#,
            r#""abc""#,
            r#""a\n\"\\\/\b\f\r\t""#,
            r#""\u0041\u00e9\u20ac\ud83d\ude00""#,
            r#""0123456789012345678901234567890123456789\n0123456789""#,
        ] {
            let expected: String = serde_json::from_str(text).expect("JSON");
            let found =
                Scan::new(text.as_bytes()).expect("UTF-8").string().expect("a string").into_owned();
            assert_eq!(found, expected.as_bytes());
        }
    }
}
