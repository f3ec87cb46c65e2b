//! Passwords as they are stored: argon2id (RFC 9106) of each under a salt of its own, with what it
//! cost, so that a store is good on any board. It takes long and much memory on purpose: the shell
//! runs it on a thread of its own, one at a time. C166.

use alloc::string::String;
use alloc::vec::Vec;

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::base::limits::{PASSWORD_KIB_CEILING, PASSWORD_ROUNDS_MAX};

/// The version of a stored hash.
const VERSION: u8 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// What one hash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::accounts) struct Cost {
    /// Memory, in KiB.
    pub(in crate::accounts) kib: u32,
    /// How often it is gone through: less of it, more often.
    pub(in crate::accounts) rounds: u32,
}

impl Cost {
    /// So much memory, gone through as often as makes it as dear as 7 MiB five times: more than
    /// that is not needed, less would be too cheap.
    pub(in crate::accounts) const fn of_kib(kib: u32) -> Self {
        let rounds = (5 * 7 * 1024_u32).div_ceil(kib);
        Self { kib, rounds: if rounds < 2 { 2 } else { rounds } }
    }
}

/// A stored hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::accounts) struct Stored {
    cost: Cost,
    salt: [u8; SALT_BYTES],
    hash: [u8; HASH_BYTES],
}

impl Stored {
    /// One that no password fits.
    pub(in crate::accounts) const fn of_nobody(cost: Cost, salt: [u8; 32]) -> Self {
        Self { cost, salt: half(salt), hash: [0; HASH_BYTES] }
    }

    pub(in crate::accounts) fn bytes(&self) -> Vec<u8> {
        let Cost { kib, rounds } = self.cost;
        [&[VERSION][..], &kib.to_le_bytes(), &rounds.to_le_bytes(), &self.salt, &self.hash].concat()
    }

    /// None for what cannot be one, or would cost more than any setting allows.
    pub(in crate::accounts) fn read(bytes: &[u8]) -> Option<Self> {
        let (kib, rest) = bytes.strip_prefix(&[VERSION])?.split_first_chunk()?;
        let (rounds, rest) = rest.split_first_chunk()?;
        let (salt, hash) = rest.split_first_chunk()?;
        let cost = Cost { kib: u32::from_le_bytes(*kib), rounds: u32::from_le_bytes(*rounds) };
        let is_bounded = cost.kib <= PASSWORD_KIB_CEILING && cost.rounds <= PASSWORD_ROUNDS_MAX;
        is_bounded.then_some(Self { cost, salt: *salt, hash: hash.try_into().ok()? })
    }
}

const fn half(bytes: [u8; 32]) -> [u8; SALT_BYTES] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = bytes;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// A password that is to be hashed.
pub struct HashJob {
    password: String,
    what: What,
}

enum What {
    /// To be stored, at this cost, under this salt.
    Make(Cost, [u8; SALT_BYTES]),
    /// To be compared with this.
    Compare(Stored),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hashed {
    /// The hash as it is stored.
    Made(Vec<u8>),
    /// Whether it is the right password.
    Fits(bool),
    /// There was no memory for it, or no thread.
    Failed,
}

impl HashJob {
    pub(in crate::accounts) const fn make(password: String, cost: Cost, salt: [u8; 32]) -> Self {
        Self { password, what: What::Make(cost, half(salt)) }
    }

    pub(in crate::accounts) const fn compare(password: String, stored: Stored) -> Self {
        Self { password, what: What::Compare(stored) }
    }

    /// Does it: tenths of a second, and the memory that was set.
    pub fn run(self) -> Hashed {
        let (cost, salt) = match &self.what {
            What::Make(cost, salt) => (*cost, *salt),
            What::Compare(stored) => (stored.cost, stored.salt),
        };
        match (hash(self.password.as_bytes(), cost, &salt), self.what) {
            (None, _) => Hashed::Failed,
            (Some(hash), What::Make(..)) => Hashed::Made(Stored { cost, salt, hash }.bytes()),
            (Some(hash), What::Compare(stored)) => Hashed::Fits(is_same(&hash, &stored.hash)),
        }
    }
}

fn hash(password: &[u8], Cost { kib, rounds }: Cost, salt: &[u8]) -> Option<[u8; HASH_BYTES]> {
    let params = Params::new(kib, rounds, 1, Some(HASH_BYTES)).ok()?;
    let mut memory: Vec<Block> = Vec::new();
    // A small board may have none to spare at this moment.
    memory.try_reserve_exact(params.block_count()).ok()?;
    memory.resize(params.block_count(), Block::default());
    let mut hash = [0; HASH_BYTES];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into_with_memory(password, salt, &mut hash, &mut memory).ok()?;
    Some(hash)
}

/// Takes as long wherever they differ.
fn is_same(one: &[u8; HASH_BYTES], other: &[u8; HASH_BYTES]) -> bool {
    one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { kib: 8, rounds: 1 };

    fn made(password: &str, salt: u8) -> Vec<u8> {
        let Hashed::Made(bytes) = HashJob::make(password.into(), CHEAP, [salt; 32]).run() else {
            panic!("it is cheap")
        };
        bytes
    }

    #[test]
    fn c166_a_stored_hash_fits_its_password_alone() {
        let stored = made("correct horse", 1);
        assert!(!stored.windows(5).any(|part| part == b"horse"));
        assert_ne!(stored, made("correct horse", 2), "another salt");
        let fits = |password: &str| {
            HashJob::compare(password.into(), Stored::read(&stored).unwrap()).run()
        };
        assert_eq!(fits("correct horse"), Hashed::Fits(true));
        for wrong in ["", "correct horsE", "correct horse "] {
            assert_eq!(fits(wrong), Hashed::Fits(false), "{wrong}");
        }
        let nobody = Stored::of_nobody(CHEAP, [1; 32]);
        assert_eq!(HashJob::compare("x".into(), nobody).run(), Hashed::Fits(false));
    }

    #[test]
    fn c166_what_is_stored_is_read_within_bounds_alone() {
        let good = made("x", 3);
        for cut in 0..good.len() {
            assert_eq!(Stored::read(&good[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Stored::read(&[&good[..], &[0]].concat()), None);
        let mut dear = good.clone();
        dear[4] = 0xff;
        assert_eq!(Stored::read(&dear), None);
        assert_eq!(Stored::read(&good).unwrap().bytes(), good);
        let most = Cost { kib: 65_536, rounds: 16 };
        for (cost, is_read) in [
            (most, true),
            (Cost { kib: most.kib + 1, ..most }, false),
            (Cost { rounds: most.rounds + 1, ..most }, false),
        ] {
            let bytes = Stored::of_nobody(cost, [3; 32]).bytes();
            assert_eq!(Stored::read(&bytes).is_some(), is_read, "{cost:?}");
        }
    }

    #[test]
    fn c166_less_memory_is_gone_through_more_often() {
        assert_eq!(Cost::of_kib(7 * 1024), Cost { kib: 7 * 1024, rounds: 5 });
        assert_eq!(Cost::of_kib(64 * 1024).rounds, 2);
        assert!(Cost::of_kib(4 * 1024).rounds > 5);
    }
}
