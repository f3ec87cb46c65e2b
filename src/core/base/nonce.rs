//! Unguessable numbers for mangled addresses: only who was told one can echo it (C52).

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::table::Seed;

/// A source of nonces under a secret seed.
pub(crate) struct Nonces {
    seed: Seed,
    count: u64,
}

impl Nonces {
    /// Nonces under `seed`; one seed gives one sequence.
    pub(crate) const fn new(seed: Seed) -> Self {
        Self { seed, count: 0 }
    }

    /// The next one: the low half of a keyed hash of a counter.
    #[expect(clippy::cast_possible_truncation, reason = "any 32 bits do")]
    pub(crate) fn draw(&mut self) -> u32 {
        self.count = self.count.wrapping_add(1);
        // The words swapped: a table under the same seed hashes by another key.
        let mut hasher = SipHasher13::new_with_keys(self.seed.1, self.seed.0);
        hasher.write_u64(self.count);
        hasher.finish() as u32
    }
}
