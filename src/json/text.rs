//! Text: writes JSON scalars: strings, numbers, base64.

use super::fault::{Fault, Result};

/// Writes a string with its quotes, escaped; `offset` says where it stands in the message.
#[inline]
pub(crate) fn write_string(text: &[u8], offset: usize, out: &mut Vec<u8>) -> Result<()> {
    check_utf8(text, offset)?;
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
    Ok(())
}

/// Strings must be UTF-8, and JSON can carry nothing else.
#[inline]
pub(crate) fn check_utf8(text: &[u8], offset: usize) -> Result<()> {
    let valid = if text.len() < SHORT {
        std::str::from_utf8(text).is_ok()
    } else {
        simdutf8::basic::from_utf8(text).is_ok()
    };
    if valid { Ok(()) } else { Err(Fault::new("a string that is not UTF-8", offset)) }
}

/// Below this the standard library's check is the faster one.
const SHORT: usize = 64;

/// Copies eight bytes at a time as long as none of them needs an escape.
#[inline]
fn write_escaped(mut text: &[u8], out: &mut Vec<u8>) {
    loop {
        let clean = clean_length(text);
        let (plain, rest) = text.split_at_checked(clean).unwrap_or((text, &[]));
        out.extend_from_slice(plain);
        let Some((byte, rest)) = rest.split_first() else { return };
        write_escape(*byte, out);
        text = rest;
    }
}

/// Bytes before the first one that needs an escape.
#[inline]
fn clean_length(text: &[u8]) -> usize {
    let mut at = 0;
    let (words, tail) = text.as_chunks::<8>();
    for word in words {
        let found = special_bytes(u64::from_le_bytes(*word));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + tail.iter().take_while(|byte| !needs_escape(**byte)).count()
}

#[inline]
const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// A set high bit for each byte that is a quote, a backslash or a control character; the lowest one
/// is exact, those above it may be false alarms of a borrow
/// ([zero in word](https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord)).
#[inline]
pub(crate) const fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (0x22 * EACH);
    let backslash = word ^ (0x5c * EACH);
    let found = (quote.wrapping_sub(EACH) & !quote)
        | (backslash.wrapping_sub(EACH) & !backslash)
        | (word.wrapping_sub(0x20 * EACH) & !word);
    found & (0x80 * EACH)
}

/// One in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        control => {
            let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
            out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                digit(control >> 4),
                digit(control & 15),
            ]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Writes an integer of at most 32 bits, bare.
#[inline]
pub(crate) fn write_int(value: i64, out: &mut Vec<u8>) {
    match u8::try_from(value) {
        Ok(digit) if digit < 10 => out.push(b'0' + digit),
        _ => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Writes an integer of 64 bits, quoted: JavaScript's numbers would lose its end.
#[inline]
pub(crate) fn write_quoted_int(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.push(b'"');
}

/// Writes the shortest text that reads back as the same number; whole numbers without a fraction.
#[inline]
pub(crate) fn write_f64(value: f64, out: &mut Vec<u8>) {
    let is_small_integer = value.fract() == 0.0 && value.abs() < 9.0e15;
    if is_small_integer && !(value == 0.0 && value.is_sign_negative()) {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        write_int(value as i64, out);
    } else if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        write_non_finite(value, out);
    }
}

/// The same for 32 bits: the shortest text for an `f32`, not for the `f64` it widens to.
#[inline]
pub(crate) fn write_f32(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() && (value.fract() != 0.0 || value.abs() >= 1.0e7 || value == 0.0) {
        if value.to_bits() == 0 {
            return out.push(b'0');
        }
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        write_f64(f64::from(value), out);
    }
}

#[cold]
fn write_non_finite(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(match value {
        value if value.is_nan() => b"\"NaN\"",
        value if value > 0.0 => b"\"Infinity\"",
        _ => b"\"-Infinity\"",
    });
}

/// Writes bytes as quoted standard base64 with padding.
#[inline]
pub(crate) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(base64_length(bytes.len()) + 2);
    out.push(b'"');
    base64_simd::STANDARD.encode_append(bytes, out);
    out.push(b'"');
}

/// Characters of base64 for so many bytes.
pub(crate) const fn base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn strings_are_escaped_wherever_the_special_byte_stands() {
        for special in ["\"", "\\", "\n", "\u{0}", "\u{1f}", "\u{7f}", "é", "\u{2028}", "😀"] {
            for before in 0..20 {
                for after in [0, 3, 9, 20] {
                    let text = "a".repeat(before) + special + &"b".repeat(after) + special;
                    let json = written(|out| write_string(text.as_bytes(), 0, out).expect("UTF-8"));
                    assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
                }
            }
        }
        assert!(write_string(b"\xff", 0, &mut Vec::new()).is_err());
        assert!(write_string(&[0xc3; 100], 0, &mut Vec::new()).is_err());
    }

    #[test]
    fn numbers_are_short() {
        let doubles = [
            (0.0, "0"),
            (-0.0, "-0.0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e100, "1e+100"),
            (9007199254740993.0, "9007199254740992.0"),
        ];
        for (value, text) in doubles {
            assert_eq!(written(|out| write_f64(value, out)), text);
        }
        for (value, text) in [
            (0.7_f32, "0.7"),
            (-0.0, "-0.0"),
            (3.0, "3"),
            (f32::NAN, "\"NaN\""),
            (f32::MAX, "3.4028235e+38"),
        ] {
            assert_eq!(written(|out| write_f32(value, out)), text);
        }
    }

    #[test]
    fn every_float_reads_back() {
        for bits in (0..=u32::MAX).step_by(65_521) {
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let text = written(|out| write_f32(value, out));
                assert_eq!(text.parse::<f32>().expect("number").to_bits(), bits, "{text}");
            }
        }
    }
}
