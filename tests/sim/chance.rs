//! Seeded chance for tests: the same seed gives the same run on every machine.

#![allow(dead_code, reason = "each test binary uses a part of it")]

/// A splitmix64 generator: every seed is a good one.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `bound - 1`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draw().checked_rem(bound).unwrap_or(0)
    }

    /// As `below`, for indices and lengths.
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    /// `low` to `high - 1`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }

    /// True once in `of` times; never if `of` is 0.
    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        of > 0 && self.below(of) == 0
    }

    pub(crate) const fn byte(&mut self) -> u8 {
        self.draw().to_le_bytes()[0]
    }

    pub(crate) const fn u16(&mut self) -> u16 {
        let [low, high, ..] = self.draw().to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    pub(crate) const fn u32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.draw().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    pub(crate) fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }
}
