//! The places of a table: which are taken, in what order of age, and which holds what hash. It
//! knows neither keys nor values, so that all tables of the program share its code: with it in
//! each, they took 27 KB more.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::Seed;

/// Places added when there is none left: small enough for a router, large enough to be rare.
pub(super) const STEP: usize = 128;
/// No place.
const NONE: u32 = u32::MAX;

struct Link {
    older: u32,
    /// Of a free place: the next free one.
    newer: u32,
    hash: u32,
}

/// The places, 0 up to what was ever needed at a time.
pub(super) struct Order {
    index: HashTable<u32>,
    steps: Vec<Vec<Link>>,
    free: u32,
    oldest: u32,
    newest: u32,
    /// The most that may be taken; whoever takes sees to it.
    limit: usize,
    /// Keys the hashes.
    pub(super) seed: Seed,
}

impl Order {
    /// No place is taken, and nothing is allocated. Not for each table anew.
    #[inline(never)]
    pub(super) fn new(limit: usize, seed: Seed) -> Self {
        let (index, steps) = (HashTable::new(), Vec::new());
        let mut new = Self { index, steps, free: NONE, oldest: NONE, newest: NONE, limit, seed };
        new.set_limit(limit);
        new
    }

    /// The most places that may be taken.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the limit, which is at most what a place's number can say.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(NONE as usize);
    }

    /// Places taken.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(super) fn bytes(&self) -> usize {
        let places: usize = self.steps.iter().map(Vec::capacity).sum();
        places.saturating_mul(size_of::<Link>()).saturating_add(self.index.allocation_size())
    }

    /// The place taken longest ago and not touched since; [`NONE`] if none is taken.
    pub(super) const fn oldest(&self) -> u32 {
        self.oldest
    }

    /// The next newer place.
    pub(super) fn newer(&self, at: u32) -> u32 {
        self.link(at).map_or(NONE, |link| link.newer)
    }

    /// A place with this hash, after so many others that have it.
    pub(super) fn find(&self, hash: u32, skip: u32) -> Option<u32> {
        let mut skip = skip;
        let alike = |at: &u32| {
            let alike = self.link(*at).is_some_and(|link| link.hash == hash);
            let found = alike && skip == 0;
            skip = skip.saturating_sub(u32::from(alike));
            found
        };
        self.index.find(spread(hash), alike).copied()
    }

    /// Takes a place for what has this hash, as the newest; at the limit that of the oldest, if it
    /// may be evicted, else none. Places that were never taken before come in their order.
    pub(super) fn take(&mut self, hash: u32, evict: bool) -> Option<u32> {
        if self.len() >= self.limit {
            if !evict || self.len() == 0 {
                return None;
            }
            // What is freed last is taken first.
            self.free(self.oldest);
        }
        if self.free == NONE {
            self.grow();
        }
        let at = self.free;
        self.free = self.newer(at);
        if let Some(link) = self.link_mut(at) {
            link.hash = hash;
        }
        self.link_newest(at);
        let Self { index, steps, .. } = self;
        let hash_of = |at: &u32| link_of(steps, *at).map_or(0, |link| spread(link.hash));
        index.insert_unique(spread(hash), at, hash_of);
        Some(at)
    }

    /// Frees a place that is taken.
    pub(super) fn free(&mut self, at: u32) {
        let Some(hash) = self.link(at).map(|link| link.hash) else { return };
        if let Ok(found) = self.index.find_entry(spread(hash), |other| *other == at) {
            found.remove();
        }
        self.unlink(at);
        let free = self.free;
        if let Some(link) = self.link_mut(at) {
            link.newer = free;
        }
        self.free = at;
    }

    /// Gives back all memory if no place is taken and there were ever more than a step's; whether
    /// it did.
    pub(super) fn rest(&mut self) -> bool {
        let rests = self.len() == 0 && self.steps.len() > 1;
        if rests {
            (self.index, self.steps, self.free) = (HashTable::new(), Vec::new(), NONE);
        }
        rests
    }

    /// Makes a place that is taken the newest.
    pub(super) fn touch(&mut self, at: u32) {
        if at != self.newest {
            self.unlink(at);
            self.link_newest(at);
        }
    }

    fn link(&self, at: u32) -> Option<&Link> {
        link_of(&self.steps, at)
    }

    fn link_mut(&mut self, at: u32) -> Option<&mut Link> {
        let at = at as usize;
        self.steps.get_mut(at / STEP)?.get_mut(at % STEP)
    }

    fn grow(&mut self) {
        let first = self.steps.len() * STEP;
        let mut step = Vec::with_capacity(STEP);
        for offset in 1..=STEP {
            let next =
                if offset == STEP { NONE } else { u32::try_from(first + offset).unwrap_or(NONE) };
            step.push(Link { older: NONE, newer: next, hash: 0 });
        }
        self.steps.push(step);
        self.free = u32::try_from(first).unwrap_or(NONE);
    }

    fn unlink(&mut self, at: u32) {
        let Some(link) = self.link(at) else { return };
        let (older, newer) = (link.older, link.newer);
        match self.link_mut(older) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.link_mut(newer) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let newest = self.newest;
        if let Some(link) = self.link_mut(at) {
            link.older = newest;
            link.newer = NONE;
        }
        match self.link_mut(newest) {
            Some(link) => link.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

fn link_of(steps: &[Vec<Link>], at: u32) -> Option<&Link> {
    let at = at as usize;
    steps.get(at / STEP)?.get(at % STEP)
}

/// The index takes its tags from the upper end and its places from the lower one.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}
