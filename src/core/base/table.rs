//! A bounded map with an order of age: the one table every machine uses.
//!
//! A slab that grows in steps up to its limit and never past it, an index hashed under a seed
//! given at `new` (strangers cannot choose collisions; a run under one seed repeats exactly), and
//! a list from oldest to newest. Lookup, insert, touch, remove and evict are O(1).

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

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

/// Entries added when the slab grows: small enough for a router, large enough to be rare.
const STEP: usize = 128;
const NONE: u32 = u32::MAX;

struct Slot<K, V> {
    entry: Option<(K, V)>,
    older: u32,
    newer: u32,
}

/// A map of at most `limit` entries.
pub struct Table<K, V> {
    index: HashTable<u32>,
    steps: Vec<Vec<Slot<K, V>>>,
    free: u32,
    oldest: u32,
    newest: u32,
    limit: usize,
    seed: Seed,
}

/// The table is at its limit; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

impl<K: Hash + Eq, V> Table<K, V> {
    /// An empty table that allocates nothing until the first insert.
    pub fn new(limit: usize, seed: Seed) -> Self {
        let limit = limit.min(NONE as usize);
        Self {
            index: HashTable::new(),
            steps: Vec::new(),
            free: NONE,
            oldest: NONE,
            newest: NONE,
            limit,
            seed,
        }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether the next new key would be refused.
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// The most entries it will hold.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the limit; entries above a lower one stay until removed, new keys are refused.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(NONE as usize);
    }

    /// The value under `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let at = self.find(key)?;
        self.slot(at)?.entry.as_ref().map(|(_, value)| value)
    }

    /// The value under `key`, to change in place; its age stays.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key)?;
        self.slot_mut(at)?.entry.as_mut().map(|(_, value)| value)
    }

    /// Makes `key` the newest entry.
    pub fn touch(&mut self, key: &K) {
        if let Some(at) = self.find(key).filter(|at| *at != self.newest) {
            self.unlink(at);
            self.link_newest(at);
        }
    }

    /// Puts `value` under `key` as the newest entry; gives back what was there.
    ///
    /// # Errors
    /// [`TableFull`] if the key is new and the table at its limit.
    pub fn insert(&mut self, key: K, value: V) -> Result<Option<V>, TableFull> {
        if let Some(at) = self.find(&key) {
            let slot = self.slot_mut(at).ok_or(TableFull)?;
            let old = slot.entry.replace((key, value)).map(|(_, old)| old);
            self.unlink(at);
            self.link_newest(at);
            return Ok(old);
        }
        if self.is_full() {
            return Err(TableFull);
        }
        self.insert_new(key, value)
    }

    /// As `insert`, but makes room by removing the oldest entry, which it gives back: one for
    /// one, also above a limit that was lowered. With a limit of 0 nothing is kept.
    pub fn insert_evicting(&mut self, key: K, value: V) -> Option<(K, V)> {
        let evict = self.is_full() && self.find(&key).is_none();
        let evicted = if evict { self.pop_oldest() } else { None };
        let _ = match evicted {
            Some(_) => self.insert_new(key, value),
            None => self.insert(key, value),
        };
        evicted
    }

    /// Removes `key` and gives back its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key)?;
        self.release(at).map(|(_, value)| value)
    }

    /// The entry touched or inserted longest ago.
    pub fn oldest(&self) -> Option<(&K, &V)> {
        self.slot(self.oldest)?.entry.as_ref().map(|(key, value)| (key, value))
    }

    /// Removes the oldest entry.
    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        self.release(self.oldest)
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut at = self.oldest;
        core::iter::from_fn(move || {
            let slot = self.slot(at)?;
            at = slot.newer;
            slot.entry.as_ref().map(|(key, value)| (key, value))
        })
    }

    /// Puts a key that is not there; the caller saw to the limit.
    fn insert_new(&mut self, key: K, value: V) -> Result<Option<V>, TableFull> {
        let hash = self.hash(&key);
        let at = self.take_free();
        self.slot_mut(at).ok_or(TableFull)?.entry = Some((key, value));
        self.link_newest(at);
        let Self { index, steps, seed, .. } = self;
        index.insert_unique(hash, at, |at| {
            slot_of(steps, *at)
                .and_then(|slot| slot.entry.as_ref())
                .map_or(0, |(k, _)| seed.hash(k))
        });
        Ok(None)
    }

    fn hash(&self, key: &K) -> u64 {
        self.seed.hash(key)
    }

    fn find(&self, key: &K) -> Option<u32> {
        let same = |at: &u32| {
            self.slot(*at).and_then(|slot| slot.entry.as_ref()).is_some_and(|(k, _)| k == key)
        };
        self.index.find(self.hash(key), same).copied()
    }

    fn slot(&self, at: u32) -> Option<&Slot<K, V>> {
        slot_of(&self.steps, at)
    }

    fn slot_mut(&mut self, at: u32) -> Option<&mut Slot<K, V>> {
        let at = at as usize;
        self.steps.get_mut(at / STEP)?.get_mut(at % STEP)
    }

    /// A slot off the free list; grows by a step when there is none. `is_full` was asked before.
    fn take_free(&mut self) -> u32 {
        if self.free == NONE {
            self.grow();
        }
        let at = self.free;
        let next = self.slot(at).map_or(NONE, |slot| slot.newer);
        self.free = next;
        at
    }

    fn grow(&mut self) {
        let first = self.steps.len() * STEP;
        let mut step = Vec::with_capacity(STEP);
        for offset in 1..=STEP {
            let next =
                if offset == STEP { NONE } else { u32::try_from(first + offset).unwrap_or(NONE) };
            step.push(Slot { entry: None, older: NONE, newer: next });
        }
        self.steps.push(step);
        self.free = u32::try_from(first).unwrap_or(NONE);
    }

    fn release(&mut self, at: u32) -> Option<(K, V)> {
        let hash = self.hash(&self.slot(at)?.entry.as_ref()?.0);
        if let Ok(found) = self.index.find_entry(hash, |other| *other == at) {
            found.remove();
        }
        self.unlink(at);
        let free = self.free;
        let slot = self.slot_mut(at)?;
        slot.newer = free;
        let entry = slot.entry.take();
        self.free = at;
        entry
    }

    fn unlink(&mut self, at: u32) {
        let Some(slot) = self.slot(at) else { return };
        let (older, newer) = (slot.older, slot.newer);
        match self.slot_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slot_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let newest = self.newest;
        if let Some(slot) = self.slot_mut(at) {
            slot.older = newest;
            slot.newer = NONE;
        }
        match self.slot_mut(newest) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

fn slot_of<K, V>(steps: &[Vec<Slot<K, V>>], at: u32) -> Option<&Slot<K, V>> {
    let at = at as usize;
    steps.get(at / STEP)?.get(at % STEP)
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
        assert_eq!(table.insert(1, 10), Ok(None));
        assert_eq!(table.insert(2, 20), Ok(None));
        assert_eq!(table.insert(3, 30), Err(TableFull));
        assert_eq!(table.insert(1, 11), Ok(Some(10)));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(&2, &20), (&1, &11)]);
    }

    #[test]
    fn evicts_the_one_touched_longest_ago() {
        let mut table = table(3);
        for key in 0..3 {
            table.insert_evicting(key, key);
        }
        table.touch(&0);
        assert_eq!(table.insert_evicting(9, 9), Some((1, 1)));
        assert_eq!(table.oldest(), Some((&2, &2)));
    }

    #[test]
    fn evicts_one_for_one_above_a_lowered_limit() {
        let mut table = table(3);
        for key in 0..3 {
            table.insert_evicting(key, key);
        }
        table.set_limit(1);
        assert_eq!(table.insert_evicting(9, 9), Some((0, 0)));
        assert_eq!((table.len(), table.get(&9)), (3, Some(&9)));
        table.set_limit(0);
        while table.pop_oldest().is_some() {}
        assert_eq!((table.insert_evicting(9, 9), table.len()), (None, 0));
    }

    #[test]
    fn grows_over_several_steps_and_reuses_slots() {
        let mut table = table(3 * STEP);
        for round in 0..3 {
            for key in 0..u32::try_from(table.limit()).unwrap() {
                assert_eq!(table.insert(key, round), Ok(None));
            }
            assert!(table.is_full());
            while table.pop_oldest().is_some() {}
        }
        assert_eq!(table.steps.len(), 3);
    }
}
