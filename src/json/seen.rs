//! Seen: which fields, or oneofs, a walk over a message has met.

/// One bit a slot; beyond 128 of them in memory of its own.
#[derive(Default)]
pub(super) struct Seen {
    few: [u64; 2],
    many: Vec<u64>,
}

impl Seen {
    /// Marks the slot; says whether it was marked before.
    #[inline]
    pub(super) fn was(&mut self, slot: u16) -> bool {
        let at = usize::from(slot) / 64;
        match self.few.get_mut(at) {
            Some(word) => mark(word, slot),
            None => self.was_far(at, slot),
        }
    }

    #[cold]
    fn was_far(&mut self, at: usize, slot: u16) -> bool {
        if self.many.len() <= at {
            self.many.resize(at + 1, 0);
        }
        self.many.get_mut(at).is_some_and(|word| mark(word, slot))
    }
}

#[inline]
fn mark(word: &mut u64, slot: u16) -> bool {
    let bit = 1 << (slot % 64);
    let was = *word & bit != 0;
    *word |= bit;
    was
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn each_slot_is_new_once() {
        let mut seen = Seen::default();
        for slot in [0, 63, 64, 255, 256, 257, 5000] {
            assert!(!seen.was(slot) && seen.was(slot), "{slot}");
        }
    }
}
