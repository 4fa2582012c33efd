//! Strings of JSON, read: taken as they stand, or unescaped.

use std::borrow::Cow;

use super::block::{
    BLOCK, STRETCH, append_from, append_start, clean_length, short_block, special_bits,
};
use super::fault::{CUT, Result};
use super::lenience::Lenience;
use super::scan::Scan;

impl<'a> Scan<'a> {
    /// The text between the quotes of a string without escapes. `None`: it is not that, and nothing
    /// was read.
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

    /// A string that is expected to be long, such as base64, and is looked into later: its text up
    /// to the first escape, and what stands from there on, unescaped.
    pub(crate) fn long_string(&mut self) -> Result<(&'a [u8], Vec<u8>)> {
        self.expect(b'"')?;
        let inside = self.rest;
        let plain = memchr::memchr2(b'"', b'\\', inside).unwrap_or(inside.len());
        let (plain, after) = inside.split_at_checked(plain).unwrap_or_default();
        if let [b'"', after @ ..] = after {
            self.rest = after;
            return Ok((plain, Vec::new()));
        }
        self.rest = after;
        let mut unescaped = Vec::new();
        self.unescape_rest_into(&mut unescaped)?;
        Ok((plain, unescaped))
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
        self.unescape_rest_into(out)
    }

    /// The same from within a string.
    fn unescape_rest_into(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut rest = unescape_stretches(self.rest, out);
        loop {
            let padded;
            let (block, most) = if let Some(block) = rest.first_chunk() {
                (block, BLOCK)
            } else {
                padded = short_block(rest);
                (&padded, rest.len())
            };
            let clean = clean_length(block).min(most);
            append_start(block, clean, out);
            rest = rest.get(clean..).unwrap_or_default();
            if clean == BLOCK {
                continue;
            }
            let read = match rest {
                [b'"', after @ ..] => {
                    self.rest = after;
                    return Ok(());
                }
                [b'\\', escape @ ..] => match unescape(escape, out) {
                    Err(ALONE) if self.is_lenient => Ok(self.replace_half(escape, out)),
                    read => read,
                },
                _ => Err("a control character in a string"),
            };
            rest = read.map_err(|what| {
                self.rest = rest;
                self.fault(what)
            })?;
        }
    }

    /// Stands in for half of a surrogate pair; gives what follows it.
    #[cold]
    fn replace_half<'t>(&mut self, escape: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
        out.extend_from_slice("\u{fffd}".as_bytes());
        self.met.add(Lenience::HalfSurrogate);
        escape.get("uXXXX".len()..).unwrap_or_default()
    }
}

/// Appends a string, unescaped, up to less than two stretches before the end of the text, or to its
/// closing quote, or to what is no escape; gives what follows. Where a stretch has its escapes does
/// not depend on what they are, so a processor can be ahead of itself.
fn unescape_stretches<'t>(text: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    let mut rest = text;
    while let Some((stretch, after)) =
        rest.split_first_chunk().filter(|(_, after)| after.len() >= STRETCH)
    {
        let mut special = special_bits(stretch);
        let mut done = 0;
        while special != 0 {
            let at = special.trailing_zeros() as usize;
            append_from(rest, done, at, out);
            let here = rest.get(at..).unwrap_or_default();
            let [b'\\', letter, after @ ..] = here else { return here };
            // The byte behind the backslash is special itself, or not: either way it is done with.
            special &= (special - 1) & !(2 << at);
            done = at + 2;
            let byte = byte_of_letter(*letter);
            if byte != 0 {
                out.push(byte);
            } else if let Some((byte, after)) = read_ascii(after).filter(|_| *letter == b'u') {
                out.push(byte);
                done = rest.len() - after.len();
            } else {
                let Ok(after) = unescape(here.get(1..).unwrap_or_default(), out) else {
                    return here;
                };
                done = rest.len() - after.len();
                special &= u32::try_from(done).map_or(0, |done| u64::MAX.unbounded_shl(done));
            }
        }
        if done < STRETCH {
            append_from(rest, done, STRETCH, out);
            rest = after;
        } else {
            rest = rest.get(done..).unwrap_or_default();
        }
    }
    rest
}

/// Bytes before the first quote, backslash or control character.
#[inline(never)]
fn plain_length(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some((block, after)) = rest.split_first_chunk() {
        let clean = clean_length(block);
        if clean != BLOCK {
            return text.len() - rest.len() + clean;
        }
        rest = after;
    }
    text.len() - rest.len() + clean_length(&short_block(rest)).min(rest.len())
}

/// Appends what an escape stands for, given what follows its backslash; gives what follows the
/// escape, or says what is wrong with it.
#[inline]
fn unescape<'t>(escape: &'t [u8], out: &mut Vec<u8>) -> Escaped<'t> {
    let (letter, after) = escape.split_first().ok_or(CUT)?;
    let byte = byte_of_letter(*letter);
    if byte != 0 {
        out.push(byte);
        return Ok(after);
    }
    if *letter != b'u' {
        return Err("an escape that does not exist");
    }
    let (letter, after) = read_unicode(after)?;
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(after)
}

type Escaped<'t> = std::result::Result<&'t [u8], &'static str>;

/// `00XX` for an ASCII character, as punctuation is written, and what follows it.
#[inline]
fn read_ascii(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'0', b'0', high, low, after @ ..] = text else { return None };
    let (high, low) = (digit(*high), digit(*low));
    (high < 8 && low <= 0xf).then_some((high << 4 | low, after))
}

/// `XXXX`, and the second half of a surrogate pair behind it.
#[inline]
fn read_unicode(text: &[u8]) -> std::result::Result<(char, &[u8]), &'static str> {
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
    Ok((char::from_u32(code).ok_or(ALONE)?, rest))
}

/// Four hexadecimal digits, and what follows them.
#[inline]
fn read_hex(text: &[u8]) -> std::result::Result<(u32, &[u8]), &'static str> {
    let (digits, rest) = text.split_first_chunk::<4>().ok_or(CUT)?;
    let [a, b, c, d] = digits.map(|byte| u32::from(digit(byte)));
    if (a | b | c | d) > 0xf {
        return Err("an escape that does not exist");
    }
    Ok((a << 12 | b << 8 | c << 4 | d, rest))
}

/// The value of a hexadecimal digit; more than 15 if it is none.
#[inline]
fn digit(byte: u8) -> u8 {
    DIGITS.get(usize::from(byte)).copied().unwrap_or(NO_DIGIT)
}

/// The byte that an escape of one letter stands for; 0 if there is no such escape.
#[inline]
fn byte_of_letter(letter: u8) -> u8 {
    LETTERS.get(usize::from(letter)).copied().unwrap_or_default()
}

const ALONE: &str = "half of a surrogate pair";
const NO_DIGIT: u8 = 0xff;

static DIGITS: [u8; 256] = digits();

static LETTERS: [u8; 256] = letters();

#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
const fn digits() -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        table[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
const fn letters() -> [u8; 256] {
    let mut table = [0; 256];
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'/' as usize] = b'/';
    table[b'b' as usize] = 0x08;
    table[b'f' as usize] = 0x0c;
    table[b'n' as usize] = b'\n';
    table[b'r' as usize] = b'\r';
    table[b't' as usize] = b'\t';
    table
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

    #[test]
    fn escapes_are_read_wherever_they_stand_in_a_long_string() {
        let read = |text: &str| {
            let mut scan = Scan::new(text.as_bytes()).expect("UTF-8");
            let found = scan.string().ok()?.into_owned();
            scan.expect_end().ok()?;
            String::from_utf8(found).ok()
        };
        for escape in [
            r"\n",
            r#"\""#,
            r#"\\\""#,
            r"\\",
            r"\u003c\u003E",
            r"\u00e9",
            r"\ud83d\ude00",
            r"\ud83d\u0041",
            r"\ud83d",
            r"\u00g1",
            r"\x",
            "\n",
            "\"",
            "é😀",
        ] {
            for before in 0..3 * STRETCH {
                for after in [0, 1, 5, STRETCH, 3 * STRETCH] {
                    let text = format!("\"{}{escape}{}\"", "a".repeat(before), "b".repeat(after));
                    assert_eq!(read(&text), serde_json::from_str(&text).ok(), "{text}");
                }
            }
        }
    }
}
