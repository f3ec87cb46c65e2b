//! Memory for what waits: bytes of a message that is not whole, messages that nobody took yet. Each
//! connection has a little of its own; beyond that all draw on one budget, of which a part is kept
//! for those who are tied to a device or showed the key. C107.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hbb_core::base::limits::{
    CONNECTION_BYTES_FREE, CONNECTION_BYTES_MAX, FRAME_BYTES_MAX, ONLINE_BYTES_MAX,
    SHARED_BYTES_MAX, SHARED_BYTES_OF_STRANGERS,
};

/// What a connection may hold beyond its own with a long query: that, and room to read at its end.
const QUERY_BYTES_MAX: usize = CONNECTION_BYTES_MAX - FRAME_BYTES_MAX + ONLINE_BYTES_MAX;

/// What all connections draw on, up to [`SHARED_BYTES_MAX`]; clones share it.
#[derive(Clone, Default)]
pub struct ByteBudget(Arc<AtomicUsize>);

impl ByteBudget {
    /// An account of a connection that holds nothing yet.
    pub fn account(&self) -> Arc<Account> {
        Arc::new(Account {
            budget: self.clone(),
            held: AtomicUsize::new(0),
            long: AtomicBool::new(false),
        })
    }

    fn draw(&self, bytes: usize, tied: bool) -> bool {
        let most = if tied { SHARED_BYTES_MAX } else { SHARED_BYTES_OF_STRANGERS };
        let drawn = self.0.load(Ordering::Relaxed);
        // Only the thread of the machines draws; others give back.
        let fits = bytes == 0 || drawn.saturating_add(bytes) <= most;
        if fits {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// What one connection holds.
pub struct Account {
    budget: ByteBudget,
    held: AtomicUsize,
    /// It may hold a long query, as somebody who is known.
    long: AtomicBool,
}

impl Account {
    /// Whether there is room for so many bytes more, which are its own from then on.
    fn take(&self, bytes: usize, tied: bool) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        let all = held.saturating_add(bytes);
        let long = self.long.load(Ordering::Relaxed);
        let most = if long { QUERY_BYTES_MAX } else { CONNECTION_BYTES_MAX };
        let fits =
            beyond(all) <= most && self.budget.draw(beyond(all) - beyond(held), tied || long);
        if fits {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        let held = self.held.fetch_sub(bytes, Ordering::Relaxed);
        let drawn = beyond(held) - beyond(held.saturating_sub(bytes));
        self.budget.0.fetch_sub(drawn, Ordering::Relaxed);
    }
}

/// What of so many bytes is more than a connection's own.
const fn beyond(held: usize) -> usize {
    held.saturating_sub(CONNECTION_BYTES_FREE)
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
    pub fn another(&self, bytes: usize, tied: bool) -> Option<Self> {
        let mut held = self.nothing();
        held.set(bytes, tied).then_some(held)
    }

    /// Says how many bytes it is now; false, and as it was, if there is no room for more. Less
    /// there always is.
    pub fn set(&mut self, bytes: usize, tied: bool) -> bool {
        match bytes.checked_sub(self.bytes) {
            Some(more) if !self.account.take(more, tied) => return false,
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
    use super::*;

    fn part(budget: &ByteBudget, bytes: usize, tied: bool) -> Option<Held> {
        Held::none(budget.account()).another(bytes, tied)
    }

    #[test]
    fn c107_a_connection_has_a_little_when_all_is_drawn() {
        let budget = ByteBudget::default();
        let whole = CONNECTION_BYTES_FREE + CONNECTION_BYTES_MAX;
        let hold_all = |tied| {
            let mut parts = Vec::new();
            while let Some(part) = part(&budget, whole, tied) {
                parts.push(part);
            }
            parts
        };
        let strangers = hold_all(false);
        assert_eq!(strangers.len(), SHARED_BYTES_OF_STRANGERS / CONNECTION_BYTES_MAX);
        assert!(part(&budget, whole, false).is_none(), "a part is for those who are tied");
        let tied = hold_all(true);
        assert_eq!(tied.len() + strangers.len(), SHARED_BYTES_MAX / CONNECTION_BYTES_MAX);
        for tied in [false, true] {
            assert!(part(&budget, CONNECTION_BYTES_FREE, tied).is_some());
        }
        drop((strangers, tied));
        assert_eq!(budget.0.load(Ordering::Relaxed), 0, "all is given back");
    }

    #[test]
    fn c107_the_parts_of_a_connection_share_what_it_may_hold() {
        let budget = ByteBudget::default();
        let mut first = part(&budget, CONNECTION_BYTES_MAX, true).unwrap();
        let second = first.another(CONNECTION_BYTES_FREE, true).unwrap();
        assert!(first.another(1, true).is_none() && !first.set(CONNECTION_BYTES_MAX + 1, true));
        assert!(first.set(1, false), "less there always is");
        assert_eq!(budget.0.load(Ordering::Relaxed), 1);
        drop(second);
        assert!(first.another(CONNECTION_BYTES_FREE - 1, false).is_some());
        drop(first);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn c136_who_is_known_may_hold_a_long_query_out_of_what_all_share() {
        let budget = ByteBudget::default();
        let mut long = Held::none(budget.account());
        assert!(!long.set(ONLINE_BYTES_MAX, true));
        long.may_be_long();
        let all = CONNECTION_BYTES_FREE + QUERY_BYTES_MAX;
        assert!(long.set(all, false) && !long.set(all + 1, false));
        // Of a part of its account as well.
        assert!(long.another(1, true).is_none());
        assert!(part(&budget, ONLINE_BYTES_MAX, true).is_none(), "of its account alone");
        drop(long);
        let mut held = Vec::new();
        loop {
            let mut more = Held::none(budget.account());
            more.may_be_long();
            if !more.set(all, false) {
                break;
            }
            held.push(more);
        }
        assert!((2..=SHARED_BYTES_MAX / QUERY_BYTES_MAX).contains(&held.len()));
    }
}
