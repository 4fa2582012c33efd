//! Slot set: which fields, or oneofs, a walk over a message has met.

/// One bit a slot; what is rare is in memory of its own.
#[derive(Default)]
pub(super) struct SlotSet {
    few: [u64; 2],
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// Slots beyond 128.
    many: Vec<u64>,
    repeats: Vec<Repeat>,
}

/// What replaces a field, or the members of a oneof, that came before it.
pub(super) struct Repeat {
    pub(super) replaced: Replaced,
    /// Where it begins in what was written.
    pub(super) from: usize,
}

#[derive(PartialEq, Eq, Hash)]
pub(super) enum Replaced {
    /// By its number.
    Field(u32),
    /// All members, by their slot.
    Oneof(u16),
}

impl SlotSet {
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
        let many = &mut self.rare.get_or_insert_default().many;
        if many.len() <= at {
            many.resize(at + 1, 0);
        }
        many.get_mut(at).is_some_and(|word| mark(word, slot))
    }

    /// Whether the slot is marked.
    pub(super) fn has(&self, slot: u16) -> bool {
        let (at, bit) = (usize::from(slot) / 64, 1 << (slot % 64));
        let many = || self.rare.as_ref()?.many.get(at);
        self.few.get(at).or_else(many).is_some_and(|word| word & bit != 0)
    }

    #[cold]
    pub(super) fn add_repeat(&mut self, replaced: Replaced, from: usize) {
        self.rare.get_or_insert_default().repeats.push(Repeat { replaced, from });
    }

    /// The repeats, in their order.
    #[inline]
    pub(super) fn into_repeats(self) -> Option<Vec<Repeat>> {
        self.rare.map(|rare| rare.repeats)
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
    use super::SlotSet;

    #[test]
    fn each_slot_is_new_once() {
        let mut seen = SlotSet::default();
        for slot in [0, 63, 64, 255, 256, 257, 5000] {
            assert!(!seen.has(slot) && !seen.was(slot), "{slot}");
            assert!(seen.has(slot) && seen.was(slot), "{slot}");
        }
    }
}
