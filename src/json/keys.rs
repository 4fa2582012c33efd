//! Keys: whether a key of a map may have been there before, without memory of its own.

use super::block::short_block;

/// One bit for the hash of each key met so far.
#[derive(Default)]
pub(super) struct Keys {
    met: [u64; 16],
}

impl Keys {
    /// Marks a key. `false`: it is new. `true`: it was there, or another one of the same hash was,
    /// which a caller finds out in its slower way.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "ten bits")]
    pub(super) fn may_repeat(&mut self, key: &[u8]) -> bool {
        let hash = hash(key);
        let bit = 1 << (hash % 64);
        let Some(word) = self.met.get_mut(hash as usize / 64 % 16) else { return true };
        let was = *word & bit != 0;
        *word |= bit;
        was
    }
}

/// Ten bits of a hash of the length, the first and the last bytes.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn hash(key: &[u8]) -> u64 {
    let head = key.first_chunk().copied().unwrap_or_else(|| short_block(key));
    let tail = key.last_chunk().map_or(0, |tail| u64::from_le_bytes(*tail));
    let head = u128::from_le_bytes(head);
    let mixed = (head as u64)
        ^ ((head >> 64) as u64).rotate_left(41)
        ^ tail.rotate_left(23)
        ^ ((key.len() as u64) << 56);
    mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn a_key_that_comes_again_is_always_noticed() {
        for count in [1, 10, 1000] {
            let mut keys = Keys::default();
            let names: Vec<String> = (0..count).map(|n| format!("key number {n}")).collect();
            let false_alarms = names.iter().filter(|name| keys.may_repeat(name.as_bytes())).count();
            assert!(false_alarms <= count / 2, "{false_alarms} of {count}");
            assert!(names.iter().all(|name| keys.may_repeat(name.as_bytes())));
        }
    }
}
