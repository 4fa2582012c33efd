//! Length: how it comes before a value that is still to be read.
//!
//! A length is known before what it measures, or a slot is kept for it. The slot of a short value
//! is closed up; that of a long one is filled with a longer varint than needed, which every parser
//! takes, rather than moving the value.

use crate::json::block::{BLOCK, append_start, short_block};
use crate::json::wire::push_varint;

/// How many bytes are kept for each length.
#[derive(Debug, Clone, Copy)]
pub(super) struct LengthSlot(usize);

impl LengthSlot {
    /// Enough for any value within a text of so many bytes.
    pub(super) fn for_text(length: usize) -> Self {
        // No value is more than eight times as long on the wire as its JSON text.
        Self(varint_length(length.saturating_mul(8)).min(MAX_SLOT))
    }

    /// Keeps room for a length, and says where.
    #[inline]
    pub(super) fn open(self, out: &mut Vec<u8>) -> usize {
        let at = out.len();
        out.extend_from_slice(&[0; MAX_SLOT]);
        out.truncate(at + self.0);
        at
    }

    /// Whether nothing was written since `open`.
    #[inline]
    pub(super) fn is_empty(self, at: usize, out: &[u8]) -> bool {
        out.len() == at + self.0
    }

    /// Writes the length of what was written since `open`; `None` if it does not fit.
    #[inline]
    pub(super) fn close(self, at: usize, out: &mut Vec<u8>) -> Option<()> {
        let start = at + self.0;
        let length = out.len() - start;
        if length <= BLOCK {
            // A scalar's length has one byte, and moves with the scalar.
            let block = short_block(out.get(start..).unwrap_or_default());
            out.truncate(at);
            push_varint(out, length as u64);
            append_start(&block, length, out);
            return Some(());
        }
        let needed = varint_length(length);
        if needed > self.0 {
            return None;
        }
        let used = if length <= SHORT && needed < self.0 {
            out.copy_within(start.., at + needed);
            out.truncate(at + needed + length);
            needed
        } else {
            self.0
        };
        if let Some(slot) = out.get_mut(at..at + used) {
            fill_varint(slot, length);
        }
        Some(())
    }
}

/// Writes `value` over all of `slot`: continuation bits on all bytes but the last.
#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
fn fill_varint(slot: &mut [u8], mut value: usize) {
    let last = slot.len().saturating_sub(1);
    for (at, byte) in slot.iter_mut().enumerate() {
        *byte = (value & 0x7f) as u8 | if at < last { 0x80 } else { 0 };
        value >>= 7;
    }
}

#[inline]
pub(super) const fn varint_length(value: usize) -> usize {
    // A seventh of the bits, rounded up, without a division.
    ((usize::BITS - (value | 1).leading_zeros()) * 9 + 64) as usize / 64
}

/// Most bytes of a length: 32 GiB.
const MAX_SLOT: usize = 5;
/// Values up to this many bytes are moved to close the slot before them.
const SHORT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_takes_its_bytes() {
        for bits in 0..usize::BITS {
            let value = 1_usize << bits;
            for value in [value - 1, value, value + 1] {
                let mut bytes = Vec::new();
                push_varint(&mut bytes, value as u64);
                assert_eq!(varint_length(value), bytes.len(), "{value}");
            }
        }
        assert_eq!(varint_length(usize::MAX), 10);
    }
}
