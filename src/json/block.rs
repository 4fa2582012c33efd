//! Block: sixteen bytes of a text, looked at together.

use wide::u8x16;

/// Bytes in a block.
pub(crate) const BLOCK: usize = 16;

/// Bytes in four blocks, of which one word tells where the special ones are.
pub(crate) const STRETCH: usize = 4 * BLOCK;

/// Bytes of a block before the first quote, backslash or control character.
#[inline]
pub(crate) fn clean_length(block: &[u8; BLOCK]) -> usize {
    // A bit for each byte, and one that ends the block.
    (special(block).move_mask() | 1 << BLOCK).trailing_zeros() as usize
}

/// A bit for each byte of a stretch that is a quote, a backslash or a control character, the first
/// byte's lowest.
#[inline]
pub(crate) fn special_bits(stretch: &[u8; STRETCH]) -> u64 {
    let (blocks, _) = stretch.as_chunks();
    let bits = |block| u64::from(special(block).move_mask().cast_unsigned());
    blocks.iter().rev().fold(0, |word, block| word << BLOCK | bits(block))
}

/// Bytes that two pairs of blocks have in common at their start.
#[inline]
pub(crate) fn common_length(one: &[u8; 2 * BLOCK], other: &[u8; 2 * BLOCK]) -> usize {
    let (one, other) = (one.as_chunks().0, other.as_chunks().0);
    let same = |(one, other): (&[u8; BLOCK], &[u8; BLOCK])| {
        u64::from(u8x16::new(*one).cmp_eq(u8x16::new(*other)).move_mask().cast_unsigned())
    };
    let bits = one.iter().zip(other).rev().fold(0, |word, blocks| word << BLOCK | same(blocks));
    bits.trailing_ones() as usize
}

/// Bytes of a block before the first that is no white space of JSON.
#[inline]
pub(crate) fn space_length(block: &[u8; BLOCK]) -> usize {
    let bytes = u8x16::new(*block);
    let is = |byte| bytes.cmp_eq(u8x16::splat(byte));
    let space = is(b' ') | is(b'\n') | is(b'\r') | is(b'\t');
    space.move_mask().trailing_ones() as usize
}

/// Ones in each byte that is a quote, a backslash or a control character.
#[inline]
fn special(block: &[u8; BLOCK]) -> u8x16 {
    let bytes = u8x16::new(*block);
    let is = |byte| bytes.cmp_eq(u8x16::splat(byte));
    let last_control = u8x16::splat(0x1f);
    let is_control = bytes.max(last_control).cmp_eq(last_control);
    is(b'"') | is(b'\\') | is_control
}

/// Not 0 if a byte of the block is not ASCII.
#[inline]
pub(crate) fn beyond_ascii(block: &[u8; BLOCK]) -> i32 {
    u8x16::new(*block).move_mask()
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

/// Appends a part of the text's first stretch; another one must follow it.
#[inline]
pub(crate) fn append_from(text: &[u8], from: usize, to: usize, out: &mut Vec<u8>) {
    if let Some(stretch) = text.get(from..).and_then(<[u8]>::first_chunk::<STRETCH>) {
        append_start(stretch, to - from, out);
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

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    #[test]
    fn the_first_difference_is_found() {
        let one = *b"abcdefghijklmnopqrstuvwxyz012345";
        assert_eq!(common_length(&one, &one), one.len());
        for at in 0..one.len() {
            let mut other = one;
            other.iter_mut().skip(at).for_each(|byte| *byte += 1);
            assert_eq!(common_length(&one, &other), at);
        }
    }

    #[test]
    fn the_first_special_byte_is_found() {
        for special in 0..=255 {
            let is_clean = special >= 0x20 && special != b'"' && special != b'\\';
            for at in 0..BLOCK {
                let place = |here| match usize::cmp(&here, &at) {
                    Ordering::Less => b'a',
                    Ordering::Equal => special,
                    Ordering::Greater => b'\n',
                };
                let block: [u8; BLOCK] = std::array::from_fn(place);
                let expected = if is_clean { (at + 1).min(BLOCK) } else { at };
                assert_eq!(clean_length(&block), expected, "{block:?}");
                assert_eq!(beyond_ascii(&block) == 0, block.is_ascii(), "{block:?}");
            }
        }
    }
}
