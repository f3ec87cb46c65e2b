//! Memory for what waits: bytes of a message that is not whole, messages that nobody took yet,
//! bytes of a session whose receiver takes none. Each connection has a little of its own; beyond
//! that all draw on one budget, of which each purpose has a share, and a part of that is kept for
//! those who are known. Of what strangers have for signalling, and of what those who are known
//! have for half-read messages, one address and one network have a part. C107, C108, C114.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hbb_core::base::address::{Network, canonical};
use hbb_core::base::limits::{
    CONNECTION_BYTES_MAX, FRAME_BYTES_MAX, GATHERED_PARTS, HALF_READ_BYTES_FREE, HALF_READ_PARTS,
    ONLINE_BYTES_MAX, SHARED_BYTES_MIN, SOURCE_QUARTERS, STALLED_PARTS, UNREAD_BYTES_FREE,
    UNREAD_PARTS,
};

use crate::net::tasks::lasting;

/// What a connection may hold beyond its own with a long query: that, and room to read at its end.
const QUERY_BYTES_MAX: usize = CONNECTION_BYTES_MAX - FRAME_BYTES_MAX + ONLINE_BYTES_MAX;

/// What all connections and sessions draw on; clones share it.
#[derive(Clone)]
pub struct ByteBudget(&'static Drawn);

/// How much there is, and how much is drawn for each of [`Purpose::of`].
struct Drawn {
    most: AtomicUsize,
    by_purpose: [AtomicUsize; 3],
    /// The same of each address and network from where something is drawn, in order.
    by_source: Mutex<Vec<(Source, usize)>>,
}

/// An index of [`Drawn::by_purpose`], and an address or network.
type Source = (usize, Network);

/// The address that `ip` counts as, and its network.
fn networks(ip: IpAddr) -> [Network; 2] {
    let bits = if canonical(ip).is_ipv4() { [32, 24] } else { [64, 48] };
    bits.map(|bits| Network::around(ip, bits))
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
            Self::HalfRead => (0, HALF_READ_PARTS),
            Self::Unread => (1, UNREAD_PARTS),
            Self::Gathered => (2, GATHERED_PARTS),
            Self::Stalled => (2, STALLED_PARTS),
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
        let by_source = Mutex::default();
        Self(lasting(Drawn { most: SHARED_BYTES_MIN.into(), by_purpose, by_source }))
    }
}

impl ByteBudget {
    /// There is as much from now on, or more.
    pub fn grow(&self, most: usize) {
        self.0.most.fetch_max(most, Ordering::Relaxed);
    }

    /// An account of a connection that holds nothing yet for this purpose. It comes `from` there;
    /// None for that of a proxy, behind which are many.
    pub fn account(&self, purpose: Purpose, from: Option<IpAddr>) -> Arc<Account> {
        let (held, long, from) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(from));
        Arc::new(Account { budget: self.clone(), purpose, held, long, from })
    }

    /// How many bytes more may be drawn: what is left of the purpose's share, and of all. Sessions
    /// on several threads may find the same ones, each for what it reads at once.
    pub fn room(&self, purpose: Purpose, known: bool) -> usize {
        let drawn = self.0.by_purpose.each_ref().map(|drawn| drawn.load(Ordering::Relaxed));
        let index = purpose.of().0;
        let most = self.0.most.load(Ordering::Relaxed);
        let share = self.share(purpose, known);
        let left = share.saturating_sub(drawn.get(index).copied().unwrap_or_default());
        left.min(most.saturating_sub(drawn.iter().sum()))
    }

    /// What there is for a purpose, of all or of strangers.
    fn share(&self, purpose: Purpose, known: bool) -> usize {
        let [all, of_strangers] = purpose.of().1;
        self.0.most.load(Ordering::Relaxed) / 16 * if known { all } else { of_strangers }
    }

    /// So many bytes are held for a purpose instead of so many.
    pub fn redraw(&self, purpose: Purpose, before: usize, now: usize) {
        let Some(drawn) = self.0.by_purpose.get(purpose.of().0) else { return };
        match now.checked_sub(before) {
            Some(more) => drawn.fetch_add(more, Ordering::Relaxed),
            None => drawn.fetch_sub(before - now, Ordering::Relaxed),
        };
    }

    /// Whether strangers at `from`, or those who are known there, may draw so many bytes more.
    fn has_share(&self, purpose: Purpose, known: bool, (from, more): (IpAddr, usize)) -> bool {
        let (index, share) = (purpose.of().0, self.share(purpose, known));
        let sources = lock(&self.0.by_source);
        networks(from).into_iter().zip(SOURCE_QUARTERS).all(|(network, quarters)| {
            let found = sources.binary_search_by_key(&(index, network), |it| it.0).ok();
            let drawn = found.and_then(|at| sources.get(at)).map_or(0, |it| it.1);
            drawn + more <= share / 4 * quarters
        })
    }

    /// What is drawn from somewhere is so many bytes instead of so many.
    fn redraw_from(&self, purpose: Purpose, from: IpAddr, (before, now): (usize, usize)) {
        let mut sources = lock(&self.0.by_source);
        for network in networks(from) {
            let source = (purpose.of().0, network);
            let found = sources.binary_search_by_key(&source, |it| it.0);
            let at = found.unwrap_or_else(|at| {
                sources.insert(at, (source, 0));
                at
            });
            let Some((_, drawn)) = sources.get_mut(at) else { continue };
            *drawn = (*drawn + now).saturating_sub(before);
            if *drawn == 0 {
                sources.remove(at);
            }
        }
        if sources.is_empty() {
            sources.shrink_to_fit();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one connection holds for a purpose.
pub struct Account {
    budget: ByteBudget,
    purpose: Purpose,
    held: AtomicUsize,
    /// It may hold a long query, as somebody who is known.
    long: AtomicBool,
    /// Where its connection comes from.
    from: Mutex<Option<IpAddr>>,
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
        let (known, more) = (known || long, after - before);
        // An answer of the API to who is known may take all that there is for unread messages.
        let is_answer = known && matches!(self.purpose, Purpose::Unread);
        let has_share = || {
            lock(&self.from).is_none_or(|from| {
                is_answer || self.budget.has_share(self.purpose, known, (from, more))
            })
        };
        let fits = after <= most
            && (more == 0 || more <= self.budget.room(self.purpose, known) && has_share());
        if fits {
            self.held.fetch_add(bytes, Ordering::Relaxed);
            self.redraw(before, after);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        let held = self.held.fetch_sub(bytes, Ordering::Relaxed);
        let left = held.saturating_sub(bytes);
        self.redraw(self.beyond(held), self.beyond(left));
    }

    fn redraw(&self, before: usize, now: usize) {
        if before == now {
            return;
        }
        self.budget.redraw(self.purpose, before, now);
        if let Some(from) = *lock(&self.from) {
            self.budget.redraw_from(self.purpose, from, (before, now));
        }
    }

    /// A proxy told where its connection comes from.
    fn comes_from(&self, ip: IpAddr) {
        let drawn = self.beyond(self.held.load(Ordering::Relaxed));
        let before = lock(&self.from).replace(ip);
        if let Some(before) = before {
            self.budget.redraw_from(self.purpose, before, (drawn, 0));
        }
        self.budget.redraw_from(self.purpose, ip, (0, drawn));
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

    /// Its account is of somebody at `ip` from now on.
    pub fn comes_from(&self, ip: IpAddr) {
        self.account.comes_from(ip);
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

    const PART: usize = SHARED_BYTES_MIN / 16;

    fn part(budget: &ByteBudget, bytes: usize, known: bool) -> Option<Held> {
        Held::none(budget.account(HalfRead, None)).another(bytes, known)
    }

    /// As many long messages as there is memory for, each of another connection.
    fn hold_all(budget: &ByteBudget, purpose: Purpose, known: bool) -> Vec<Held> {
        let whole = purpose.free() + CONNECTION_BYTES_MAX;
        let part = || Held::none(budget.account(purpose, None)).another(whole, known);
        core::iter::from_fn(part).collect()
    }

    fn drawn(budget: &ByteBudget) -> usize {
        budget.0.by_purpose.iter().map(|drawn| drawn.load(Ordering::Relaxed)).sum()
    }

    #[test]
    fn c107_a_connection_has_a_little_when_all_is_drawn() {
        let budget = ByteBudget::default();
        for (purpose, [known, strange]) in [(HalfRead, HALF_READ_PARTS), (Unread, UNREAD_PARTS)] {
            let strangers = hold_all(&budget, purpose, false);
            assert_eq!(strangers.len(), strange * PART / CONNECTION_BYTES_MAX);
            let familiar = hold_all(&budget, purpose, true);
            let all = familiar.len() + strangers.len();
            assert_eq!(all, known * PART / CONNECTION_BYTES_MAX);
            for known in [false, true] {
                let account = Held::none(budget.account(purpose, None));
                assert!(account.another(purpose.free(), known).is_some());
            }
        }
        assert_eq!(drawn(&budget), 0, "all is given back");
    }

    #[test]
    fn c107_of_what_strangers_have_an_address_and_a_network_have_a_part() {
        let budget = ByteBudget::default();
        let mut held: Vec<Held> = Vec::new();
        let mut holds = |from: &str, known: bool| {
            let before = held.len();
            for _ in 0..9 {
                let account = budget.account(HalfRead, from.parse().ok());
                let whole = HALF_READ_BYTES_FREE + CONNECTION_BYTES_MAX;
                held.extend(Held::none(account).another(whole, known));
            }
            held.len() - before
        };
        // Of the three messages that strangers have room for.
        assert_eq!([holds("192.0.2.1", false), holds("192.0.2.2", false)], [1, 1]);
        assert_eq!([holds("192.0.2.3", false), holds("198.51.100.1", false)], [0, 1]);
        assert_eq!(holds("192.0.2.3", true), 7, "who is known pays for no stranger's part");
        assert_eq!([holds("192.0.2.4", true), holds("198.51.100.2", true)], [2, 3]);
        held.truncate(0);
        let (six, same_48) = ("2001:db8:1:1::1", ["2001:db8:1:1::2", "2001:db8:1:2::1"]);
        let mut moved = Held::none(budget.account(HalfRead, None));
        assert!(moved.set(HALF_READ_BYTES_FREE + CONNECTION_BYTES_MAX, false));
        moved.comes_from("192.0.2.1".parse().unwrap());
        moved.comes_from(six.parse().unwrap());
        let at = |ip: &str| {
            budget.has_share(HalfRead, false, (ip.parse().unwrap(), CONNECTION_BYTES_MAX))
        };
        assert_eq!((same_48.map(at), at("192.0.2.1")), ([false, true], true));
        drop(moved);
        assert!(at(six) && lock(&budget.0.by_source).is_empty() && drawn(&budget) == 0);
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
        let shares = [GATHERED_PARTS, STALLED_PARTS].map(|share| share.map(|n| n * PART));
        assert_eq!(rooms(), shares);
        budget.redraw(Stalled, 0, 6 * PART);
        assert_eq!(rooms(), [[2 * PART, 0], [0, 0]], "both are of sessions");
        budget.redraw(Gathered, 6 * PART, 8 * PART);
        let (unread, strangers) =
            (hold_all(&budget, Unread, true), hold_all(&budget, HalfRead, false));
        let known = hold_all(&budget, HalfRead, true);
        assert!(known.len() >= 3, "whoever is known is served");
        assert!(drawn(&budget) <= SHARED_BYTES_MIN);
        assert!(hold_all(&budget, HalfRead, true).is_empty(), "there is no more");
        drop((unread, strangers, known));
        budget.redraw(Gathered, 8 * PART, 0);
        assert_eq!(rooms(), shares);
        budget.grow(2 * SHARED_BYTES_MIN);
        budget.grow(SHARED_BYTES_MIN);
        assert_eq!(budget.room(Gathered, true), 16 * PART, "it never shrinks");
    }

    #[test]
    fn c136_who_is_known_may_hold_a_long_query_out_of_what_all_share() {
        let budget = ByteBudget::default();
        let mut long = Held::none(budget.account(HalfRead, None));
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
            let mut more = Held::none(budget.account(HalfRead, None));
            more.may_be_long();
            if !more.set(all, false) {
                break;
            }
            held.push(more);
        }
        assert!((2..=SHARED_BYTES_MIN / QUERY_BYTES_MAX).contains(&held.len()));
    }
}
