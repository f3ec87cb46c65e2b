//! What the store writes, and the rule for it: in no 24 hours of a life more than a day's bytes,
//! whatever strangers do (C110). The account is the one the store's thread keeps. Where changes are
//! gathered as there, a real store in memory says what a commit costs; elsewhere they go one by
//! one, at a price like it.

use std::collections::VecDeque;

use hbb::store::Store as _;
use hbb::store::redb::Redb;
use hbb_core::base::conn::SaveRank;
use hbb_core::base::limits::WRITES_UNIT_BYTES;
use hbb_core::base::peer::Change;
use hbb_core::base::time::Time;
use hbb_core::base::writes::Writes;
use redb::backends::InMemoryBackend;

const DAY_MS: u64 = 24 * 3_600_000;
/// What a commit of one change costs.
const COMMIT_BYTES: u64 = 16 * 1024;

pub(crate) struct Flash {
    writes: Writes,
    day: u64,
    /// A real store; then changes are gathered.
    store: Option<Redb>,
    /// A commit of what is gathered is on its way.
    gathering: bool,
    /// When the last one was made.
    last: Option<Time>,
    /// When each commit of the last 24 hours was made, and its bytes.
    commits: VecDeque<(u64, u64)>,
    sum: u64,
    /// The most bytes in 24 hours, and how many changes were put off.
    pub(crate) most: u64,
    pub(crate) put_off: u64,
}

impl Flash {
    /// For so many [`WRITES_UNIT_BYTES`] a day.
    pub(crate) fn new(a_day: u16) -> Self {
        Self {
            writes: Writes::new(a_day),
            day: u64::from(a_day) * WRITES_UNIT_BYTES,
            store: None,
            gathering: false,
            last: None,
            commits: VecDeque::new(),
            sum: 0,
            most: 0,
            put_off: 0,
        }
    }

    /// The same with a real store, which gathers.
    pub(crate) fn gathered(a_day: u16) -> Self {
        let store = Redb::over(InMemoryBackend::new()).unwrap();
        Self { store: Some(store), ..Self::new(a_day) }
    }

    /// The account begins anew with each life.
    pub(crate) fn restart(&mut self, a_day: u16) {
        *self = Self { store: self.store.take(), ..Self::new(a_day) };
    }

    /// How long the next commit gathers; None if it is on its way already.
    pub(crate) fn gather_ms(&mut self, now: Time) -> Option<u64> {
        if self.store.is_none() {
            return Some(0);
        }
        self.writes.pass(now);
        let waits = core::mem::replace(&mut self.gathering, true);
        let due = self.last.map_or(now, |last| last.after_ms(self.writes.gather_ms()));
        (!waits).then(|| due.since_ms(now))
    }

    /// How many of the changes that wait go into one commit.
    pub(crate) fn takes(&mut self, waiting: usize) -> usize {
        assert!(waiting > 0, "a commit of nothing");
        self.gathering = false;
        if self.store.is_some() { waiting } else { 1 }
    }

    /// How many of these, least first, may be written.
    pub(crate) fn allows(&mut self, now: Time, ranks: impl Iterator<Item = SaveRank>) -> usize {
        self.writes.pass(now);
        let allowed: Vec<bool> = ranks.map(|rank| self.writes.allow(rank)).collect();
        let count = allowed.partition_point(|allowed| *allowed);
        assert!(!allowed[count..].contains(&true), "a lower rank is put off first");
        self.put_off += u64::try_from(allowed.len() - count).unwrap();
        count
    }

    /// Writes a commit, and judges what its day cost.
    pub(crate) fn write(&mut self, now: Time, batch: &[Change]) {
        if batch.is_empty() {
            return;
        }
        let cost = self.cost(batch);
        self.writes.spend(cost);
        self.last = Some(now);
        let now = now.as_millis();
        while self.commits.front().is_some_and(|(at, _)| at + DAY_MS <= now) {
            self.sum -= self.commits.pop_front().unwrap().1;
        }
        self.commits.push_back((now, cost));
        self.sum += cost;
        self.most = self.most.max(self.sum);
        assert!(self.sum <= self.day, "{} bytes written in 24 hours of {}", self.sum, self.day);
    }

    fn cost(&mut self, batch: &[Change]) -> u64 {
        let Some(store) = &mut self.store else { return COMMIT_BYTES };
        let before = store.written();
        store.commit(batch).unwrap();
        store.written() - before
    }
}
