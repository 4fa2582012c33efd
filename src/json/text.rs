//! Text: writes JSON scalars: strings and numbers.

use super::block::{
    BLOCK, STRETCH, append_from, append_short, append_start, beyond_ascii, clean_length,
    short_block, special_bits,
};
use super::fault::{Fault, NOT_UTF8, Result};

/// Writes a string with its quotes, escaped.
#[inline]
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if text.len() <= BLOCK - 2 {
        let block = short_block(text);
        if clean_length(&block) == text.len() && beyond_ascii(&block) == 0 {
            let quote = u128::from(b'"');
            let end = quote << (8 * (text.len() + 1));
            let quoted = quote | u128::from_le_bytes(block) << 8 | end;
            append_start(&quoted.to_le_bytes(), text.len() + 2, out);
            return Ok(());
        }
    }
    write_long_string(text, out)
}

#[inline(never)]
fn write_long_string(text: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.reserve(text.len() + BLOCK + 2);
    out.push(b'"');
    let (mut rest, mut beyond) = write_stretches(text, out);
    while let Some((block, after)) = rest.split_first_chunk() {
        beyond |= beyond_ascii(block);
        out.extend_from_slice(block);
        rest = match clean_length(block) {
            BLOCK => after,
            clean => {
                out.truncate(out.len() + clean - BLOCK);
                write_escape(rest, clean, out)
            }
        };
    }
    while !rest.is_empty() {
        let block = short_block(rest);
        beyond |= beyond_ascii(&block);
        let clean = clean_length(&block).min(rest.len());
        append_start(&block, clean, out);
        rest = write_escape(rest, clean, out);
    }
    out.push(b'"');
    // What is all ASCII needs no check of its UTF-8.
    if beyond == 0 { Ok(()) } else { check_utf8(text) }
}

/// Writes a text up to less than two stretches before its end. Gives what is left, and not 0 if a
/// byte was not ASCII. Which bytes of a stretch are special is found without a branch that a
/// processor could guess wrong.
fn write_stretches<'a>(text: &'a [u8], out: &mut Vec<u8>) -> (&'a [u8], i32) {
    let mut rest = text;
    let mut beyond = 0;
    while let Some((stretch, after)) =
        rest.split_first_chunk().filter(|(_, after)| after.len() >= STRETCH)
    {
        for block in stretch.as_chunks().0 {
            beyond |= beyond_ascii(block);
        }
        let mut special = special_bits(stretch);
        let mut done = 0;
        while special != 0 {
            let at = special.trailing_zeros() as usize;
            special &= special - 1;
            append_from(rest, done, at, out);
            write_escape(rest, at, out);
            done = at + 1;
        }
        append_from(rest, done, STRETCH, out);
        rest = after;
    }
    (rest, beyond)
}

/// Writes what stands for the byte at `at`, if there is one; gives what follows it.
#[inline]
fn write_escape<'a>(text: &'a [u8], at: usize, out: &mut Vec<u8>) -> &'a [u8] {
    if let Some(escape) = text.get(at).and_then(|byte| ESCAPES.get(usize::from(*byte))) {
        append_start(&escape.padded, usize::from(escape.length), out);
    }
    text.get(at + 1..).unwrap_or_default()
}

/// Strings must be UTF-8, and JSON can carry nothing else.
pub(crate) fn check_utf8(text: &[u8]) -> Result<()> {
    let valid = if text.len() < SHORT {
        std::str::from_utf8(text).is_ok()
    } else {
        simdutf8::basic::from_utf8(text).is_ok()
    };
    if valid { Ok(()) } else { Err(Fault::unwritable(NOT_UTF8, text)) }
}

/// Below this the standard library's check is the faster one.
const SHORT: usize = 64;

/// What stands for a byte that cannot stand for itself, by the byte: controls, quote, backslash.
static ESCAPES: [Escape; 0x60] = escapes();

#[derive(Clone, Copy)]
struct Escape {
    padded: [u8; 8],
    length: u8,
}

const NO_ESCAPE: Escape = Escape { padded: [0; 8], length: 0 };

#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
const fn escapes() -> [Escape; 0x60] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    const SHORT: [(u8, u8); 7] = [
        (b'"', b'"'),
        (b'\\', b'\\'),
        (b'\n', b'n'),
        (b'\r', b'r'),
        (b'\t', b't'),
        (8, b'b'),
        (12, b'f'),
    ];
    let mut table = [NO_ESCAPE; 0x60];
    let mut control = 0;
    while control < 0x20 {
        let (high, low) = (HEX[control >> 4], HEX[control & 15]);
        table[control] = escape([b'\\', b'u', b'0', b'0', high, low], 6);
        control += 1;
    }
    let mut at = 0;
    while at < SHORT.len() {
        let (byte, letter) = SHORT[at];
        table[byte as usize] = escape([b'\\', letter, 0, 0, 0, 0], 2);
        at += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
const fn escape(text: [u8; 6], length: u8) -> Escape {
    let mut padded = [0; 8];
    let mut at = 0;
    while at < text.len() {
        padded[at] = text[at];
        at += 1;
    }
    Escape { padded, length }
}

/// Writes an integer of at most 32 bits, bare.
#[inline]
pub(crate) fn write_int(value: i64, out: &mut Vec<u8>) {
    match u8::try_from(value) {
        Ok(digit) if digit < 10 => out.push(b'0' + digit),
        _ => append_short(itoa::Buffer::new().format(value).as_bytes(), out),
    }
}

/// Writes an integer of 64 bits, quoted: JavaScript's numbers would lose its end.
#[inline]
pub(crate) fn write_quoted_int(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.push(b'"');
    append_short(itoa::Buffer::new().format(value).as_bytes(), out);
    out.push(b'"');
}

/// Writes the shortest text that reads back as the same number; whole numbers without a fraction.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a whole number")]
pub(crate) fn write_f64(value: f64, out: &mut Vec<u8>) {
    if is_whole(value.to_bits(), f64::MANTISSA_DIGITS, 1023) {
        write_int(value as i64, out);
    } else if value.is_finite() {
        append_short(zmij::Buffer::new().format_finite(value).as_bytes(), out);
    } else {
        write_non_finite(value, out);
    }
}

/// The same for 32 bits: the shortest text for an `f32`, not for the `f64` it widens to.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a whole number")]
pub(crate) fn write_f32(value: f32, out: &mut Vec<u8>) {
    if is_whole(value.to_bits().into(), f32::MANTISSA_DIGITS, 127) {
        write_int(value as i64, out);
    } else if value.is_finite() {
        append_short(zmij::Buffer::new().format_finite(value).as_bytes(), out);
    } else {
        write_non_finite(value.into(), out);
    }
}

/// Whether the bits of a float, in which `one` is the exponent of 1, are those of 0 or of a whole
/// number that it holds to the last digit. Asked of the bits, because a conversion to an integer
/// and back takes as long as half a number's text.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "masked to eleven bits")]
const fn is_whole(bits: u64, digits: u32, one: u32) -> bool {
    let behind_point = digits - 1;
    let exponent = (bits >> behind_point) as u32 & (2 * one + 1);
    let is_in_range = exponent >= one && exponent < one + digits;
    bits == 0 || is_in_range && bits.trailing_zeros() + exponent >= one + behind_point
}

#[cold]
fn write_non_finite(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(match value {
        value if value.is_nan() => b"\"NaN\"",
        value if value > 0.0 => b"\"Infinity\"",
        _ => b"\"-Infinity\"",
    });
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
            for before in (0..20).chain(60..70).chain(120..140) {
                for after in [0, 3, 9, 20, 60, 130] {
                    let text = "a".repeat(before) + special + &"b".repeat(after) + special;
                    let json = written(|out| write_string(text.as_bytes(), out).expect("UTF-8"));
                    assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
                }
            }
        }
        assert!(write_string(b"\xff", &mut Vec::new()).is_err());
        assert!(write_string(&[0xc3; 100], &mut Vec::new()).is_err());
    }

    #[test]
    fn numbers_are_short() {
        let doubles = [
            (0.0, "0"),
            (-0.0, "-0.0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e100, "1e+100"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
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

    /// Up to where each whole number is a float; and -0 has a sign to keep.
    fn is_whole_number(value: f32) -> bool {
        value.fract() == 0.0 && value.abs() < 16_777_216.0 && value.to_bits() != 1 << 31
    }

    #[test]
    fn every_float_reads_back() {
        let powers = (0..26).map(|n| 2_f32.powi(n));
        let near = powers.flat_map(|power| [power, power - 1.0, power + 0.5, -power]);
        for bits in (0..=u32::MAX).step_by(65_521).chain(near.map(f32::to_bits)) {
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let text = written(|out| write_f32(value, out));
                assert_eq!(text.parse::<f32>().expect("number").to_bits(), bits, "{text}");
                assert_eq!(text.contains(['.', 'e']), !is_whole_number(value), "{text}");
            }
        }
    }
}
