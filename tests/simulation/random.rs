//! Random: all that is drawn in a world comes from its one seed.

/// `SplitMix64`: small, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Mixed first: else the numbers of a seed are those of the one before, but for the first.
        Self(Self(seed).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to, and with, `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// The same, with small numbers as likely as large ones.
    pub(crate) fn of_any_size(&mut self, low: u64, high: u64) -> u64 {
        let bits = u64::from((high - low + 1).ilog2());
        let most = 1_u64.checked_shl(u32::try_from(self.between(0, bits + 1)).expect("small"));
        self.between(low, most.map_or(high, |most| (low + most).min(high)))
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    pub(crate) fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        let place = self.between(0, from.len() as u64 - 1);
        from[usize::try_from(place).expect("small")]
    }
}
