//! Text: writes JSON scalars: strings, numbers, base64.

use super::fault::{Fault, Result};

/// Writes a string with its quotes, escaped.
#[inline]
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.reserve(text.len() + BLOCK + 2);
    out.push(b'"');
    if text.len() < BLOCK {
        let block = short_block(text);
        let words = words_of(&block);
        if clean_length(words) == text.len() && is_ascii(words.0 | words.1) {
            let quoted = u128::from_le_bytes(block) | u128::from(b'"') << (8 * text.len());
            append_start(&quoted.to_le_bytes(), text.len() + 1, out);
            return Ok(());
        }
    }
    let mut all = 0;
    let mut rest = text;
    while let Some((block, after)) = rest.split_first_chunk() {
        let words = words_of(block);
        all |= words.0 | words.1;
        out.extend_from_slice(block);
        rest = match clean_length(words) {
            BLOCK => after,
            clean => {
                out.truncate(out.len() + clean - BLOCK);
                write_escape(rest, clean, out)
            }
        };
    }
    while !rest.is_empty() {
        let block = short_block(rest);
        let words = words_of(&block);
        all |= words.0 | words.1;
        let clean = clean_length(words).min(rest.len());
        append_start(&block, clean, out);
        rest = write_escape(rest, clean, out);
    }
    out.push(b'"');
    // What is all ASCII needs no check of its UTF-8.
    if is_ascii(all) { Ok(()) } else { check_utf8(text) }
}

#[inline]
const fn is_ascii(word: u64) -> bool {
    word & (0x80 * EACH) == 0
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
    if valid { Ok(()) } else { Err(Fault::at("a string that is not UTF-8", text)) }
}

/// Below this the standard library's check is the faster one.
const SHORT: usize = 64;

/// Bytes looked at together: two words.
pub(crate) const BLOCK: usize = 16;

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
pub(crate) const fn words_of(block: &[u8; BLOCK]) -> (u64, u64) {
    let both = u128::from_le_bytes(*block);
    (both as u64, (both >> 64) as u64)
}

/// Bytes of a block before the first quote, backslash or control character.
#[inline]
pub(crate) const fn clean_length(words: (u64, u64)) -> usize {
    let (low, high) = (special_bytes(words.0), special_bytes(words.1));
    if low | high == 0 {
        return BLOCK;
    }
    let zeros = if low == 0 { 64 + high.trailing_zeros() } else { low.trailing_zeros() };
    zeros as usize / 8
}

/// A text of up to 16 bytes, with zeros behind it; by two loads that overlap.
#[inline]
pub(crate) fn short_block(text: &[u8]) -> [u8; BLOCK] {
    let length = text.len();
    let both = if let (Some(head), Some(tail)) = (text.first_chunk::<8>(), text.last_chunk()) {
        let (head, tail) = (u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
        u128::from(head) | u128::from(tail) << (8 * (length - 8))
    } else if let (Some(head), Some(tail)) = (text.first_chunk::<4>(), text.last_chunk()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        u128::from(u64::from(head) | u64::from(tail) << (8 * (length - 4)))
    } else {
        text.iter().rev().fold(0, |word, byte| word << 8 | u128::from(*byte))
    };
    both.to_le_bytes()
}

/// Appends the first bytes of a block: all of it, then cut, which spares a call of memcpy.
#[inline]
pub(crate) fn append_start<const N: usize>(block: &[u8; N], length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    out.extend_from_slice(block);
    out.truncate(end);
}

/// A set high bit for each byte that is a quote, a backslash or a control character; the lowest one
/// is exact, those above it may be false alarms of a borrow
/// ([less than](https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord)).
#[inline]
pub(crate) const fn special_bytes(word: u64) -> u64 {
    // Flipping one bit puts the quote, 0x22, next to the controls.
    let control_or_quote = (word ^ (0x02 * EACH)).wrapping_sub(0x21 * EACH);
    let backslash = (word ^ (0x5c * EACH)).wrapping_sub(EACH);
    (control_or_quote | backslash) & !word & (0x80 * EACH)
}

/// One in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

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
        table[control] = Escape { padded: [b'\\', b'u', b'0', b'0', high, low, 0, 0], length: 6 };
        control += 1;
    }
    let mut at = 0;
    while at < SHORT.len() {
        let (byte, letter) = SHORT[at];
        table[byte as usize] = Escape { padded: [b'\\', letter, 0, 0, 0, 0, 0, 0], length: 2 };
        at += 1;
    }
    table
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
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "compared after"
)]
pub(crate) fn write_f64(value: f64, out: &mut Vec<u8>) {
    let whole = value as i64;
    let is_whole = whole as f64 == value && whole.unsigned_abs() < 1 << 53;
    if is_whole && (whole != 0 || value.is_sign_positive()) {
        write_int(whole, out);
    } else if value.is_finite() {
        append_short(zmij::Buffer::new().format_finite(value).as_bytes(), out);
    } else {
        write_non_finite(value, out);
    }
}

/// The same for 32 bits: the shortest text for an `f32`, not for the `f64` it widens to.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "compared after"
)]
pub(crate) fn write_f32(value: f32, out: &mut Vec<u8>) {
    let whole = value as i32;
    let is_whole = whole as f32 == value && whole.unsigned_abs() < 1 << 24;
    if is_whole && (whole != 0 || value.is_sign_positive()) {
        write_int(whole.into(), out);
    } else if value.is_finite() {
        append_short(zmij::Buffer::new().format_finite(value).as_bytes(), out);
    } else {
        write_non_finite(value.into(), out);
    }
}

/// Appends what is mostly not longer than two blocks.
#[inline]
pub(crate) fn append_short(text: &[u8], out: &mut Vec<u8>) {
    if text.len() <= BLOCK {
        append_start(&short_block(text), text.len(), out);
    } else if let (Some(head), Some(tail)) =
        (text.first_chunk::<BLOCK>(), text.last_chunk::<BLOCK>())
        && text.len() <= 2 * BLOCK
    {
        append_start(head, text.len() - BLOCK, out);
        out.extend_from_slice(tail);
    } else {
        out.extend_from_slice(text);
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
