//! Strings of JSON, read: taken as they stand, or unescaped.

use std::borrow::Cow;

use super::fault::{CUT, Result};
use super::scan::Scan;
use super::text::{BLOCK, append_start, clean_length, short_block, special_bytes, words_of};

impl<'a> Scan<'a> {
    /// The text between the quotes of a string without escapes. `None`: it is not that, and nothing was read.
    #[inline]
    pub(crate) fn plain_string(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        let [b'"', inside @ ..] = self.rest else { return None };
        let (plain, [b'"', after @ ..]) = inside.split_at_checked(plain_length(inside))? else {
            return None;
        };
        self.rest = after;
        Some(plain)
    }

    /// The same for a string that is expected to be long, such as base64, and is looked into later.
    pub(crate) fn long_string(&mut self) -> Result<Cow<'a, [u8]>> {
        self.skip_space();
        if let [b'"', inside @ ..] = self.rest
            && let Some(end) = memchr::memchr2(b'"', b'\\', inside)
            && let Some((plain, [b'"', after @ ..])) = inside.split_at_checked(end)
        {
            self.rest = after;
            return Ok(Cow::Borrowed(plain));
        }
        self.string()
    }

    /// A string, unescaped.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        if let Some(plain) = self.plain_string() {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = Vec::new();
        self.unescape_into(&mut text)?;
        Ok(Cow::Owned(text))
    }

    /// Appends a string, unescaped.
    pub(crate) fn unescape_into(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.expect(b'"')?;
        let mut rest = self.rest;
        loop {
            let clean = match rest.first_chunk() {
                Some(block) => {
                    let clean = clean_length(words_of(block));
                    append_start(block, clean, out);
                    clean
                }
                None => append_last_run(rest, out),
            };
            rest = rest.get(clean..).unwrap_or_default();
            if clean == BLOCK {
                continue;
            }
            let read = match rest {
                [b'"', after @ ..] => {
                    self.rest = after;
                    return Ok(());
                }
                [b'\\', escape @ ..] => unescape(escape, out),
                _ => Err("a control character in a string"),
            };
            rest = read.map_err(|what| {
                self.rest = rest;
                self.fault(what)
            })?;
        }
    }
}

/// Bytes before the first quote, backslash or control character, a word at a time: most are names.
#[inline]
fn plain_length(text: &[u8]) -> usize {
    let mut length = 0;
    let (words, tail) = text.as_chunks();
    for word in words {
        let found = special_bytes(u64::from_le_bytes(*word));
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + clean_length(words_of(&short_block(tail))).min(tail.len())
}

/// Appends the bytes before a special one, of a text shorter than a block; says how many.
fn append_last_run(text: &[u8], out: &mut Vec<u8>) -> usize {
    let block = short_block(text);
    let clean = clean_length(words_of(&block)).min(text.len());
    append_start(&block, clean, out);
    clean
}

/// Appends what an escape stands for, given what follows its backslash; gives what follows the escape,
/// or says what is wrong with it.
#[inline]
fn unescape<'t>(escape: &'t [u8], out: &mut Vec<u8>) -> Escaped<'t> {
    let Some((letter, after)) = escape.split_first() else { return Err(CUT) };
    let byte = match letter {
        b'n' => b'\n',
        b'"' | b'\\' | b'/' => *letter,
        b'u' => return unescape_unicode(after, out),
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 0x08,
        b'f' => 0x0c,
        _ => return Err("an escape that does not exist"),
    };
    out.push(byte);
    Ok(after)
}

type Escaped<'t> = std::result::Result<&'t [u8], &'static str>;

/// `XXXX`, and the second half of a surrogate pair behind it.
fn unescape_unicode<'t>(text: &'t [u8], out: &mut Vec<u8>) -> Escaped<'t> {
    const ALONE: &str = "half of a surrogate pair";
    let (mut code, mut rest) = read_hex(text)?;
    if (0xd800..0xdc00).contains(&code) {
        let second = match rest {
            [b'\\', b'u', second @ ..] => second,
            [] | [b'\\'] => return Err(CUT),
            _ => return Err(ALONE),
        };
        let (low, after) = read_hex(second)?;
        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or(ALONE)?;
        code = 0x1_0000 + ((code - 0xd800) << 10) + low;
        rest = after;
    }
    let letter = char::from_u32(code).ok_or(ALONE)?;
    match u8::try_from(letter) {
        Ok(ascii) if ascii < 0x80 => out.push(ascii),
        _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
    }
    Ok(rest)
}

/// Four hexadecimal digits, and what follows them.
#[inline]
fn read_hex(text: &[u8]) -> std::result::Result<(u32, &[u8]), &'static str> {
    let (digits, rest) = text.split_first_chunk::<4>().ok_or(CUT)?;
    let mut code = 0;
    for byte in digits {
        let digit = char::from(*byte).to_digit(16).ok_or("an escape that does not exist")?;
        code = code << 4 | digit;
    }
    Ok((code, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

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
