//! Base64: `bytes` as JSON, written and read.

use super::wire::push_varint;

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

/// Appends base64 with its length; nothing if it is none. What `plain` begins, `escaped` ends.
pub(super) fn decode_base64(plain: &[u8], escaped: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let padding = plain.iter().rev().take_while(|byte| **byte == b'=').count();
    let (blocks, rest) = plain.split_at((plain.len() - padding) / 4 * 4);
    let end = if escaped.is_empty() { rest } else { &[rest, escaped].concat() };
    let padding = end.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 || padding > 0 && !(plain.len() + escaped.len()).is_multiple_of(4) {
        return false;
    }
    let digits = end.get(..end.len() - padding).unwrap_or_default();
    let (end_blocks, tail) = digits.split_at(digits.len() / 4 * 4);
    let length = (blocks.len() + end_blocks.len()) / 4 * 3 + tail.len().saturating_sub(1);
    push_varint(out, length as u64);
    let start = out.len();
    // The standard alphabet is the usual one; what is neither is refused by both.
    let read =
        [base64_simd::STANDARD_NO_PAD, base64_simd::URL_SAFE_NO_PAD].iter().any(|alphabet| {
            out.truncate(start);
            [blocks, end_blocks].iter().all(|part| alphabet.decode_append(part, &mut *out).is_ok())
        });
    let read = read && decode_tail(tail, out);
    if !read {
        out.truncate(before);
    }
    read
}

/// The last two or three digits of base64; bits beyond the last byte are ignored, as protobuf does.
fn decode_tail(tail: &[u8], out: &mut Vec<u8>) -> bool {
    let mut bits = 0_u32;
    for digit in tail {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
    }
    let [_, _, high, low] = match tail.len() {
        2 => (bits >> 4 << 8).to_be_bytes(),
        3 => (bits >> 2).to_be_bytes(),
        length => return length == 0,
    };
    out.push(high);
    if tail.len() == 3 {
        out.push(low);
    }
    true
}
