//! A bounded map with an order of age: the one table every machine uses.
//!
//! A slab that grows in steps up to its limit and never past it, an index hashed under a seed
//! given at `new` (strangers cannot choose collisions; a run under one seed repeats exactly), and
//! a list from oldest to newest (`order.rs`). Lookup, insert, touch, remove and evict are O(1).
//! Empty, it holds no more than a step.

mod chains;
mod order;

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

pub use chains::Chains;
use order::{Order, STEP};

/// Keys the hash of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64, pub u64);

impl Seed {
    /// A hash of `key`, as good as the key where nobody knows the seed.
    pub(crate) fn hash(self, key: &impl Hash) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        key.hash(&mut hasher);
        hasher.finish()
    }
}

/// A map of at most `limit` entries.
pub struct Table<K, V> {
    order: Order,
    /// What is at each place: steps of [`STEP`], of which the last may not be full.
    steps: Vec<Vec<Option<(K, V)>>>,
}

/// The table is at its limit; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

impl<K: Hash + Eq, V> Table<K, V> {
    /// An empty table that allocates nothing until the first insert.
    pub fn new(limit: usize, seed: Seed) -> Self {
        Self { order: Order::new(limit, seed), steps: Vec::new() }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the next new key would be refused.
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit()
    }

    /// Bytes it has allocated, free places among them; not what a value holds elsewhere.
    #[cfg(feature = "testing")]
    pub fn bytes(&self) -> usize {
        let places: usize = self.steps.iter().map(Vec::capacity).sum();
        places.saturating_mul(size_of::<Option<(K, V)>>()).saturating_add(self.order.bytes())
    }

    /// The most entries it will hold.
    pub const fn limit(&self) -> usize {
        self.order.limit()
    }

    /// Changes the limit; entries above a lower one stay until removed, new keys are refused.
    pub fn set_limit(&mut self, limit: usize) {
        self.order.set_limit(limit);
    }

    /// The value under `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entry(self.find_key(key)?).map(|(_, value)| value)
    }

    /// The value under `key`, to change in place; its age stays.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find_key(key)?;
        self.place_mut(at)?.as_mut().map(|(_, value)| value)
    }

    /// Makes `key` the newest entry.
    pub fn touch(&mut self, key: &K) {
        if let Some(at) = self.find_key(key) {
            self.order.touch(at);
        }
    }

    /// Makes `key` the newest entry if `renewed` says so of its value, which it may change; whether
    /// it did.
    pub fn touch_if(&mut self, key: &K, renewed: impl FnOnce(&mut V) -> bool) -> bool {
        let Some(at) = self.find_key(key) else { return false };
        let value = self.place_mut(at).and_then(Option::as_mut).map(|(_, value)| value);
        let renewed = value.is_some_and(renewed);
        if renewed {
            self.order.touch(at);
        }
        renewed
    }

    /// Puts `value` under `key` as the newest entry, in place of what was there.
    ///
    /// # Errors
    /// [`TableFull`] if the key is new and the table at its limit.
    pub fn insert(&mut self, key: K, value: V) -> Result<(), TableFull> {
        self.insert_at(key, value).map(drop)
    }

    /// As `insert`; gives back the place, which is the entry's until it is removed.
    ///
    /// # Errors
    /// [`TableFull`] as [`Self::insert`].
    pub fn insert_at(&mut self, key: K, value: V) -> Result<u32, TableFull> {
        let at = self.place_for(&key, false).ok_or(TableFull)?;
        self.fill(at, (key, value));
        Ok(at)
    }

    /// As `insert`, but makes room by removing the oldest entry: one for one, also above a limit
    /// that was lowered. With a limit of 0 nothing is kept.
    pub fn insert_evicting(&mut self, key: K, value: V) {
        if let Some(at) = self.place_for(&key, true) {
            self.fill(at, (key, value));
        }
    }

    /// The key of the entry that `insert_evicting` would remove to make room for this one.
    pub fn evicted_by(&self, key: &K) -> Option<&K> {
        let is_new = self.is_full() && self.find_key(key).is_none();
        self.oldest().filter(|_| is_new).map(|(oldest, _)| oldest)
    }

    /// Puts what `change` makes of the value under `key`, or of none, in its place: a new one as
    /// the newest entry, another at its age, none at all if it makes none.
    ///
    /// # Errors
    /// [`TableFull`] as [`Self::insert`]; nothing was changed.
    pub fn change(
        &mut self,
        key: K,
        change: impl FnOnce(Option<V>) -> Option<V>,
    ) -> Result<(), TableFull> {
        let hash = self.hash(&key);
        let found = self.find(&key, hash);
        let before = found.and_then(|at| self.place_mut(at)?.take());
        match (change(before.map(|(_, value)| value)), found) {
            (Some(value), found) => {
                let at = found.or_else(|| self.order.take(hash, false)).ok_or(TableFull)?;
                self.fill(at, (key, value));
            }
            (None, Some(at)) => drop(self.release(at)),
            (None, None) => {}
        }
        Ok(())
    }

    /// Removes `key` and gives back its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find_key(key)?;
        self.release(at).map(|(_, value)| value)
    }

    /// The place of `key`.
    pub fn place(&self, key: &K) -> Option<u32> {
        self.find_key(key)
    }

    /// The entry at a place.
    pub fn at(&self, place: u32) -> Option<(&K, &V)> {
        self.entry(place).map(|(key, value)| (key, value))
    }

    /// Removes the entry at a place.
    pub fn remove_at(&mut self, place: u32) -> Option<(K, V)> {
        self.release(place)
    }

    /// The place of [`Self::oldest`].
    pub fn oldest_place(&self) -> Option<u32> {
        (!self.is_empty()).then(|| self.order.oldest())
    }

    /// The entry touched or inserted longest ago.
    pub fn oldest(&self) -> Option<(&K, &V)> {
        self.entry(self.order.oldest()).map(|(key, value)| (key, value))
    }

    /// Removes the oldest entry.
    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        self.release(self.order.oldest())
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut at = self.order.oldest();
        core::iter::from_fn(move || {
            let (key, value) = self.entry(at)?;
            at = self.order.newer(at);
            Some((key, value))
        })
    }

    /// Gives `each` every entry, in no order, to change in place; ages stay.
    pub fn each_mut(&mut self, mut each: impl FnMut(&K, &mut V)) {
        for step in &mut self.steps {
            step.iter_mut().flatten().for_each(|(key, value)| each(key, value));
        }
    }

    /// The place of `key` as the newest entry; if it is not there yet, a free one, or that of the
    /// oldest, if it may be evicted, which stays in it until it is filled.
    fn place_for(&mut self, key: &K, evict: bool) -> Option<u32> {
        let hash = self.hash(key);
        let Some(at) = self.find(key, hash) else { return self.order.take(hash, evict) };
        self.order.touch(at);
        Some(at)
    }

    /// Puts an entry in a place, which is added if it was never taken before: it is the next then.
    /// Gives back what was there.
    fn fill(&mut self, at: u32, entry: (K, V)) -> Option<(K, V)> {
        let (step, at) = (at as usize / STEP, at as usize % STEP);
        if self.steps.len() == step {
            self.steps.push(Vec::with_capacity(STEP));
        }
        let step = self.steps.get_mut(step)?;
        if step.len() == at {
            step.push(None);
        }
        step.get_mut(at)?.replace(entry)
    }

    fn hash(&self, key: &K) -> u32 {
        u32::try_from(self.order.seed.hash(key) >> 32).unwrap_or_default()
    }

    fn find_key(&self, key: &K) -> Option<u32> {
        // Many tables are empty, and a hash is the dearest part of this.
        if self.is_empty() {
            return None;
        }
        self.find(key, self.hash(key))
    }

    fn find(&self, key: &K, hash: u32) -> Option<u32> {
        // Hardly ever are there two of one hash.
        for skip in 0.. {
            let at = self.order.find(hash, skip)?;
            if self.entry(at).is_some_and(|(other, _)| other == key) {
                return Some(at);
            }
        }
        None
    }

    fn entry(&self, at: u32) -> Option<&(K, V)> {
        self.steps.get(at as usize / STEP)?.get(at as usize % STEP)?.as_ref()
    }

    fn place_mut(&mut self, at: u32) -> Option<&mut Option<(K, V)>> {
        self.steps.get_mut(at as usize / STEP)?.get_mut(at as usize % STEP)
    }

    fn release(&mut self, at: u32) -> Option<(K, V)> {
        self.order.free(at);
        let entry = self.place_mut(at)?.take();
        // What a flood took is not kept for the next one.
        if self.order.rest() {
            self.give_back();
        }
        entry
    }

    /// Not in each place where an entry goes: dropping all steps is 100 bytes of code.
    #[cold]
    #[inline(never)]
    fn give_back(&mut self) {
        self.steps = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limit: usize) -> Table<u32, u32> {
        Table::new(limit, Seed(1, 2))
    }

    #[test]
    fn refuses_past_its_limit_and_changes_nothing() {
        let mut table = table(2);
        assert_eq!(table.insert(1, 10), Ok(()));
        assert_eq!(table.insert(2, 20), Ok(()));
        assert_eq!(table.insert(3, 30), Err(TableFull));
        assert_eq!(table.insert(1, 11), Ok(()));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(&2, &20), (&1, &11)]);
    }

    #[test]
    fn what_is_changed_keeps_its_age_and_goes_when_nothing_is_left() {
        let mut table = table(2);
        for key in [1, 2] {
            assert_eq!(table.change(key, |value| Some(value.unwrap_or(9) + 1)), Ok(()));
        }
        assert_eq!(table.change(3, |value| value), Ok(()), "there is nothing to keep");
        assert_eq!(table.change(3, |_| Some(1)), Err(TableFull));
        assert_eq!(table.change(1, |value| value.map(|value| value * 2)), Ok(()));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(&1, &20), (&2, &10)]);
        table.each_mut(|key, value| *value += key);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(&1, &21), (&2, &12)]);
        assert_eq!(table.change(1, |_| None), Ok(()));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(&2, &12)]);
        assert_eq!(table.insert(3, 3), Ok(()), "its place is free");
    }

    #[test]
    fn evicts_the_one_touched_longest_ago() {
        let mut table = table(3);
        for key in 0..3 {
            table.insert_evicting(key, key);
        }
        table.touch(&0);
        assert_eq!(table.evicted_by(&9), Some(&1));
        table.insert_evicting(9, 9);
        assert_eq!(table.oldest(), Some((&2, &2)));
    }

    #[test]
    fn evicts_one_for_one_above_a_lowered_limit() {
        let mut table = table(3);
        for key in 0..3 {
            table.insert_evicting(key, key);
        }
        table.set_limit(1);
        assert_eq!(table.evicted_by(&9), Some(&0));
        table.insert_evicting(9, 9);
        assert_eq!((table.len(), table.get(&9)), (3, Some(&9)));
        table.set_limit(0);
        while table.pop_oldest().is_some() {}
        table.insert_evicting(9, 9);
        assert!(table.is_empty());
    }

    #[test]
    fn keys_of_one_hash_are_told_apart() {
        #[derive(PartialEq, Eq)]
        struct Alike(u32);
        impl Hash for Alike {
            fn hash<H: Hasher>(&self, _: &mut H) {}
        }
        let mut table = Table::new(5, Seed(1, 2));
        for key in 0..4 {
            assert_eq!(table.insert(Alike(key), key), Ok(()));
        }
        assert_eq!(table.remove(&Alike(1)), Some(1));
        assert_eq!(table.insert(Alike(2), 7), Ok(()));
        let found = [0, 1, 2, 3, 4].map(|key| table.get(&Alike(key)).copied());
        assert_eq!(found, [Some(0), None, Some(7), Some(3), None]);
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn grows_over_several_steps_and_reuses_slots() {
        let mut table = table(3 * STEP);
        for round in 0..3 {
            for key in 0..u32::try_from(table.limit()).unwrap() {
                assert_eq!(table.insert(key, round), Ok(()));
            }
            assert!(table.is_full());
            while table.len() > 1 {
                table.pop_oldest();
            }
        }
        assert_eq!(table.steps.len(), 3);
    }

    #[test]
    fn what_is_empty_holds_the_memory_of_one_step() {
        let mut table = table(3 * STEP);
        let all = u32::try_from(table.limit()).unwrap();
        for round in 0..2 {
            assert!((0..all).all(|key| table.insert(key, round) == Ok(())));
            assert_eq!(table.steps.len(), 3);
            assert!((0..all).all(|key| table.remove(&key) == Some(round)));
            assert_eq!((table.steps.len(), table.oldest()), (0, None));
        }
        assert_eq!((table.insert(1, 1), table.remove(&1)), (Ok(()), Some(1)));
        assert_eq!(table.steps.len(), 1, "a few come and go in the same place");
    }
}
