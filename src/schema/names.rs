//! Names: a table from name to index without collisions, built once, one probe a lookup.

/// A set of names, each with a number.
#[derive(Debug, Default)]
pub(crate) struct Names {
    multiplier: u64,
    shift: u32,
    slots: Box<[Slot]>,
    /// Names that no multiplier parts from the one in their slot: their ends are the same, or mix
    /// to the same.
    twins: Vec<(Box<[u8]>, u32)>,
}

#[derive(Debug, Clone)]
struct Slot {
    head: u64,
    tail: u64,
    value: u32,
    name: Option<Box<[u8]>>,
}

const EMPTY: Slot = Slot { head: 0, tail: 0, value: 0, name: None };

/// Multipliers tried before the table grows; each try costs one pass over the names.
const TRIES: u32 = 32;

impl Names {
    /// Of two equal names the first one counts.
    pub(crate) fn new<'a>(names: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let names: Vec<Entry<'a>> = names.map(Entry::new).collect();
        let mut size = (names.len() * 2).next_power_of_two().max(2);
        loop {
            let shift = 64 - size.trailing_zeros();
            let mut multiplier = 0x9E37_79B9_7F4A_7C15_u64;
            for _ in 0..TRIES {
                if let Some(places) = place(&names, size, |name| name.slot(multiplier, shift)) {
                    return Self::fill(&names, &places, multiplier, shift);
                }
                multiplier = multiplier.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(2) | 1;
            }
            size *= 2;
        }
    }

    fn fill(names: &[Entry<'_>], places: &[u32], multiplier: u64, shift: u32) -> Self {
        let mut twins = Vec::new();
        let slot = |place: &u32| match names.get((*place as usize).wrapping_sub(1)) {
            Some(Entry { name, value, head, tail }) => {
                Slot { head: *head, tail: *tail, value: *value, name: Some((*name).into()) }
            }
            None => EMPTY,
        };
        let slots: Box<[Slot]> = places.iter().map(slot).collect();
        for entry in names {
            let holder =
                slots.get(entry.slot(multiplier, shift)).and_then(|slot| slot.name.as_deref());
            if holder != Some(entry.name) {
                twins.push((entry.name.into(), entry.value));
            }
        }
        Self { multiplier, shift, slots, twins }
    }

    #[inline]
    pub(crate) fn get(&self, name: &[u8]) -> Option<u32> {
        let (head, tail) = ends(name);
        let slot = slot_of(name.len(), head, tail, self.multiplier, self.shift);
        let slot = self.slots.get(slot)?;
        let known = slot.name.as_deref()?;
        let same_ends = slot.head == head && slot.tail == tail && known.len() == name.len();
        // The two ends cover a name of up to 16 bytes.
        if same_ends && (name.len() <= 16 || is_same(known, name)) {
            return Some(slot.value);
        }
        self.twins.iter().find(|(twin, _)| **twin == *name).map(|(_, value)| *value)
    }
}

/// Whether two names of the same length, over 16 bytes, are one; of up to 32 bytes without a call
/// of memcmp.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let same_heads = one.first_chunk::<16>() == other.first_chunk();
    let same_tails = one.last_chunk::<16>() == other.last_chunk();
    same_heads && same_tails && (one.len() <= 32 || one == other)
}

/// A name on its way into the table.
struct Entry<'a> {
    name: &'a [u8],
    value: u32,
    head: u64,
    tail: u64,
}

impl<'a> Entry<'a> {
    fn new((name, value): (&'a str, u32)) -> Self {
        let (head, tail) = ends(name.as_bytes());
        Self { name: name.as_bytes(), value, head, tail }
    }

    fn slot(&self, multiplier: u64, shift: u32) -> usize {
        slot_of(self.name.len(), self.head, self.tail, multiplier, shift)
    }

    /// No multiplier can part the two.
    fn is_twin_of(&self, other: &Self) -> bool {
        let mix_of = |entry: &Self| mix(entry.name.len(), entry.head, entry.tail);
        mix_of(self) == mix_of(other)
    }
}

/// For each slot the name in it, by index + 1, or 0; `None` if two names that differ meet in one.
fn place(names: &[Entry<'_>], size: usize, slot: impl Fn(&Entry<'_>) -> usize) -> Option<Vec<u32>> {
    let mut places = vec![0; size];
    for (entry, at) in names.iter().zip(1..) {
        let place: &mut u32 = places.get_mut(slot(entry))?;
        match names.get((*place as usize).wrapping_sub(1)) {
            None => *place = at,
            Some(holder) if holder.is_twin_of(entry) => {}
            Some(_) => return None,
        }
    }
    Some(places)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "shifted down to the table's size")]
fn slot_of(length: usize, head: u64, tail: u64, multiplier: u64, shift: u32) -> usize {
    (mix(length, head, tail).wrapping_mul(multiplier) >> shift) as usize
}

/// What a multiplier spreads over the slots.
#[inline]
const fn mix(length: usize, head: u64, tail: u64) -> u64 {
    head ^ tail.rotate_left(23) ^ ((length as u64) << 56)
}

/// First and last bytes of a name; together they hold all of a name of up to 16 bytes.
#[inline]
fn ends(name: &[u8]) -> (u64, u64) {
    if let (Some(head), Some(tail)) = (name.first_chunk::<8>(), name.last_chunk()) {
        (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
    } else if let (Some(head), Some(tail)) = (name.first_chunk::<4>(), name.last_chunk()) {
        (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
    } else {
        let mut three = [0; 8];
        for (to, from) in three.iter_mut().zip(name) {
            *to = *from;
        }
        (u64::from_le_bytes(three), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_name_and_no_other() {
        let names: Vec<String> =
            (0..500).map(|n| "abcdefghijklmnopqrstuvw".repeat(n % 3) + &n.to_string()).collect();
        let table = Names::new(names.iter().map(String::as_str).zip(0..));
        for (name, value) in names.iter().zip(0..) {
            assert_eq!(table.get(name.as_bytes()), Some(value), "{name}");
            let mut longer = name.clone();
            longer.push('x');
            assert_eq!(table.get(longer.as_bytes()), None, "{longer}");
        }
        assert_eq!(table.get(b""), None);
    }

    #[test]
    fn names_that_differ_in_the_middle_alone_are_told_apart() {
        let table = Names::new([("aaaaaaaa1bbbbbbbb", 1), ("aaaaaaaa2bbbbbbbb", 2)].into_iter());
        assert_eq!(table.get(b"aaaaaaaa1bbbbbbbb"), Some(1));
        assert_eq!(table.get(b"aaaaaaaa2bbbbbbbb"), Some(2));
        assert_eq!(table.get(b"aaaaaaaa3bbbbbbbb"), None);
    }

    /// The table would grow for ever to part them.
    #[test]
    fn names_that_no_multiplier_parts_are_told_apart() {
        let table = Names::new([("aaabaaaaaaaaaaaa", 1), ("aaacaaaacaaaaaaa", 2)].into_iter());
        assert_eq!(table.get(b"aaabaaaaaaaaaaaa"), Some(1));
        assert_eq!(table.get(b"aaacaaaacaaaaaaa"), Some(2));
        assert_eq!(table.get(b"aaacaaaaaaaaaaaa"), None);
    }
}
