//! Memory for what waits: bytes of a message that is not whole, messages that nobody took yet,
//! bytes of a session whose receiver takes none. Each connection has a little of its own; beyond
//! that all draw on one budget, of which each purpose has a share, and a part of that is kept for
//! those who are known. C107, C108, C114.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hbb_core::base::limits::{
    CONNECTION_BYTES_MAX, FRAME_BYTES_MAX, GATHERED_EIGHTHS, HALF_READ_BYTES_FREE,
    HALF_READ_EIGHTHS, ONLINE_BYTES_MAX, SHARED_BYTES_MIN, STALLED_EIGHTHS, UNREAD_BYTES_FREE,
    UNREAD_EIGHTHS,
};

/// What a connection may hold beyond its own with a long query: that, and room to read at its end.
const QUERY_BYTES_MAX: usize = CONNECTION_BYTES_MAX - FRAME_BYTES_MAX + ONLINE_BYTES_MAX;

/// What all connections and sessions draw on; clones share it.
#[derive(Clone)]
pub struct ByteBudget(Arc<Drawn>);

/// How much there is, and how much is drawn for each of [`Purpose::of`].
struct Drawn {
    most: AtomicUsize,
    by_purpose: [AtomicUsize; 3],
}

/// What memory is for.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// A message of signalling that is not whole.
    HalfRead,
    /// One that its connection does not read.
    Unread,
    /// A message of a session that must be whole before it goes on.
    Gathered,
    /// What the receiver in a session does not take.
    Stalled,
}

impl Purpose {
    /// Where it is counted, sessions once, and what it and strangers may take.
    const fn of(self) -> (usize, [usize; 2]) {
        match self {
            Self::HalfRead => (0, HALF_READ_EIGHTHS),
            Self::Unread => (1, UNREAD_EIGHTHS),
            Self::Gathered => (2, GATHERED_EIGHTHS),
            Self::Stalled => (2, STALLED_EIGHTHS),
        }
    }

    /// What a connection has of its own for it.
    const fn free(self) -> usize {
        match self {
            Self::Unread => UNREAD_BYTES_FREE,
            _ => HALF_READ_BYTES_FREE,
        }
    }
}

impl Default for ByteBudget {
    fn default() -> Self {
        let by_purpose = [0; 3].map(AtomicUsize::new);
        Self(Arc::new(Drawn { most: SHARED_BYTES_MIN.into(), by_purpose }))
    }
}

impl ByteBudget {
    /// There is as much from now on, or more.
    pub fn grow(&self, most: usize) {
        self.0.most.fetch_max(most, Ordering::Relaxed);
    }

    /// An account of a connection that holds nothing yet for this purpose.
    pub fn account(&self, purpose: Purpose) -> Arc<Account> {
        let (held, long) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Account { budget: self.clone(), purpose, held, long })
    }

    /// How many bytes more may be drawn: what is left of the purpose's share, and of all. Sessions
    /// on several threads may find the same ones, each for what it reads at once.
    pub fn room(&self, purpose: Purpose, known: bool) -> usize {
        let drawn = self.0.by_purpose.each_ref().map(|drawn| drawn.load(Ordering::Relaxed));
        let (index, [share, of_strangers]) = purpose.of();
        let most = self.0.most.load(Ordering::Relaxed);
        let share = most / 8 * if known { share } else { of_strangers };
        let left = share.saturating_sub(drawn.get(index).copied().unwrap_or_default());
        left.min(most.saturating_sub(drawn.iter().sum()))
    }

    /// So many bytes are held for a purpose instead of so many.
    pub fn redraw(&self, purpose: Purpose, before: usize, now: usize) {
        let Some(drawn) = self.0.by_purpose.get(purpose.of().0) else { return };
        match now.checked_sub(before) {
            Some(more) => drawn.fetch_add(more, Ordering::Relaxed),
            None => drawn.fetch_sub(before - now, Ordering::Relaxed),
        };
    }
}

/// What one connection holds for a purpose.
pub struct Account {
    budget: ByteBudget,
    purpose: Purpose,
    held: AtomicUsize,
    /// It may hold a long query, as somebody who is known.
    long: AtomicBool,
}

impl Account {
    /// Whether there is room for so many bytes more, which are its own from then on.
    fn take(&self, bytes: usize, known: bool) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        let all = held.saturating_add(bytes);
        let long = self.long.load(Ordering::Relaxed);
        let most = if long { QUERY_BYTES_MAX } else { CONNECTION_BYTES_MAX };
        let (before, after) = (self.beyond(held), self.beyond(all));
        // Only the thread of the machines draws; others give back.
        let fits = after <= most
            && (after == before || after - before <= self.budget.room(self.purpose, known || long));
        if fits {
            self.held.fetch_add(bytes, Ordering::Relaxed);
            self.budget.redraw(self.purpose, before, after);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        let held = self.held.fetch_sub(bytes, Ordering::Relaxed);
        let left = held.saturating_sub(bytes);
        self.budget.redraw(self.purpose, self.beyond(held), self.beyond(left));
    }

    /// What of so many bytes is more than a connection's own.
    const fn beyond(&self, held: usize) -> usize {
        held.saturating_sub(self.purpose.free())
    }
}

/// A part of what a connection holds, until it is dropped.
pub struct Held {
    account: Arc<Account>,
    bytes: usize,
}

impl Held {
    /// A part of `account`, of nothing yet.
    pub const fn none(account: Arc<Account>) -> Self {
        Self { account, bytes: 0 }
    }

    /// Its account is of somebody known, and may hold a long query from now on.
    pub fn may_be_long(&self) {
        self.account.long.store(true, Ordering::Relaxed);
    }

    /// Another part of the same account, of nothing yet.
    pub fn nothing(&self) -> Self {
        Self::none(Arc::clone(&self.account))
    }

    /// Another part of the same account, of so many bytes; None if there is no room for them.
    pub fn another(&self, bytes: usize, known: bool) -> Option<Self> {
        let mut held = self.nothing();
        held.set(bytes, known).then_some(held)
    }

    /// Says how many bytes it is now; false, and as it was, if there is no room for more. Less
    /// there always is.
    pub fn set(&mut self, bytes: usize, known: bool) -> bool {
        match bytes.checked_sub(self.bytes) {
            Some(more) if !self.account.take(more, known) => return false,
            Some(_) => {}
            None => self.account.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::Purpose::{Gathered, HalfRead, Stalled, Unread};
    use super::*;

    const EIGHTH: usize = SHARED_BYTES_MIN / 8;

    fn part(budget: &ByteBudget, bytes: usize, known: bool) -> Option<Held> {
        Held::none(budget.account(HalfRead)).another(bytes, known)
    }

    /// As many long messages as there is memory for, each of another connection.
    fn hold_all(budget: &ByteBudget, purpose: Purpose, known: bool) -> Vec<Held> {
        let whole = purpose.free() + CONNECTION_BYTES_MAX;
        let part = || Held::none(budget.account(purpose)).another(whole, known);
        core::iter::from_fn(part).collect()
    }

    fn drawn(budget: &ByteBudget) -> usize {
        budget.0.by_purpose.iter().map(|drawn| drawn.load(Ordering::Relaxed)).sum()
    }

    #[test]
    fn c107_a_connection_has_a_little_when_all_is_drawn() {
        let budget = ByteBudget::default();
        for (purpose, [known, strange]) in [(HalfRead, HALF_READ_EIGHTHS), (Unread, UNREAD_EIGHTHS)]
        {
            let strangers = hold_all(&budget, purpose, false);
            assert_eq!(strangers.len(), strange * EIGHTH / CONNECTION_BYTES_MAX);
            let familiar = hold_all(&budget, purpose, true);
            let all = familiar.len() + strangers.len();
            assert_eq!(all, known * EIGHTH / CONNECTION_BYTES_MAX);
            for known in [false, true] {
                let account = Held::none(budget.account(purpose));
                assert!(account.another(purpose.free(), known).is_some());
            }
        }
        assert_eq!(drawn(&budget), 0, "all is given back");
    }

    #[test]
    fn c107_the_parts_of_a_connection_share_what_it_may_hold() {
        let budget = ByteBudget::default();
        let mut first = part(&budget, CONNECTION_BYTES_MAX, true).unwrap();
        let second = first.another(HALF_READ_BYTES_FREE, true).unwrap();
        assert!(first.another(1, true).is_none() && !first.set(CONNECTION_BYTES_MAX + 1, true));
        assert!(first.set(1, false), "less there always is");
        assert_eq!(drawn(&budget), 1);
        drop(second);
        assert!(first.another(HALF_READ_BYTES_FREE - 1, false).is_some());
        drop(first);
        assert_eq!(drawn(&budget), 0);
    }

    #[test]
    fn c114_each_purpose_has_a_share_and_all_together_no_more_than_there_is() {
        let budget = ByteBudget::default();
        let rooms =
            || [Gathered, Stalled].map(|for_| [true, false].map(|known| budget.room(for_, known)));
        let shares = [GATHERED_EIGHTHS, STALLED_EIGHTHS].map(|share| share.map(|n| n * EIGHTH));
        assert_eq!(rooms(), shares);
        budget.redraw(Stalled, 0, 3 * EIGHTH);
        assert_eq!(rooms(), [[EIGHTH, 0], [0, 0]], "both are of sessions");
        budget.redraw(Gathered, 3 * EIGHTH, 4 * EIGHTH);
        let (unread, strangers) =
            (hold_all(&budget, Unread, true), hold_all(&budget, HalfRead, false));
        let known = hold_all(&budget, HalfRead, true);
        assert!(known.len() >= 3, "whoever is known is served");
        assert!(drawn(&budget) <= SHARED_BYTES_MIN);
        assert!(hold_all(&budget, HalfRead, true).is_empty(), "there is no more");
        drop((unread, strangers, known));
        budget.redraw(Gathered, 4 * EIGHTH, 0);
        assert_eq!(rooms(), shares);
        budget.grow(2 * SHARED_BYTES_MIN);
        budget.grow(SHARED_BYTES_MIN);
        assert_eq!(budget.room(Gathered, true), 8 * EIGHTH, "it never shrinks");
    }

    #[test]
    fn c136_who_is_known_may_hold_a_long_query_out_of_what_all_share() {
        let budget = ByteBudget::default();
        let mut long = Held::none(budget.account(HalfRead));
        assert!(!long.set(ONLINE_BYTES_MAX, true));
        long.may_be_long();
        let all = HALF_READ_BYTES_FREE + QUERY_BYTES_MAX;
        assert!(long.set(all, false) && !long.set(all + 1, false));
        // Of a part of its account as well.
        assert!(long.another(1, true).is_none());
        assert!(part(&budget, ONLINE_BYTES_MAX, true).is_none(), "of its account alone");
        drop(long);
        let mut held = Vec::new();
        loop {
            let mut more = Held::none(budget.account(HalfRead));
            more.may_be_long();
            if !more.set(all, false) {
                break;
            }
            held.push(more);
        }
        assert!((2..=SHARED_BYTES_MIN / QUERY_BYTES_MAX).contains(&held.len()));
    }
}
