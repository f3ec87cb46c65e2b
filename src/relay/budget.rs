//! How fast sessions may go: a rate for each, one for all together, a fair share of that, and a
//! lower rate for who used much for long (protocol §7.3). Pure; the shell moves the bytes and
//! asks after each turn. C72.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use crate::base::atomic::AtomicU64;
use crate::base::rates::Rates;
use crate::base::time::Time;

/// What a session may do after it moved some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Go,
    /// Move nothing before this.
    WaitUntil(Time),
}

/// What all sessions have used: shared by the threads that move bytes, without a lock.
#[derive(Debug, Default)]
pub struct Total {
    used: Bucket,
    sessions: AtomicUsize,
}

/// What one session has used. It counts among the sessions of its [`Total`] until it is dropped.
#[derive(Debug)]
pub struct Meter {
    total: Arc<Total>,
    own: Bucket,
    share: Bucket,
    started: Time,
    moved: u64,
    limited: bool,
}

/// A rate kept by the time at which everything taken so far is paid for, in nanoseconds since
/// start (the generic cell rate algorithm). A second's tenth may be taken ahead.
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

const AHEAD_NS: u64 = 100_000_000;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_SEC: u64 = 1_000_000_000;

impl Bucket {
    /// Takes `bytes` at a rate and tells the milliseconds until more may be taken.
    fn take(&self, now: Time, bytes: u64, rate: u64) -> u64 {
        let now_ns = now.as_millis().saturating_mul(NS_PER_MS);
        let cost = bytes.saturating_mul(NS_PER_SEC) / rate.max(1);
        let paid = |paid: u64| paid.max(now_ns).saturating_add(cost);
        let before =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(paid(old)));
        let ahead = paid(before.unwrap_or(now_ns)).saturating_sub(now_ns.saturating_add(AHEAD_NS));
        ahead.div_ceil(NS_PER_MS)
    }
}

impl Total {
    /// A session that starts; `blacklisted` ones get the limited rate from the begin.
    pub fn meter(self: &Arc<Self>, now: Time, blacklisted: bool) -> Meter {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        let (own, share) = (Bucket::default(), Bucket::default());
        Meter { total: Arc::clone(self), own, share, started: now, moved: 0, limited: blacklisted }
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }
}

impl Meter {
    /// Charges bytes that were moved. When all together use too much, a session waits only if it
    /// also used more than its fair share: a mouse does not wait for a download.
    pub fn spend(&mut self, now: Time, bytes: u64, rates: &Rates) -> Verdict {
        self.moved += bytes;
        self.downgrade(now, rates);
        let own_rate = if self.limited { rates.limited } else { rates.single };
        let own_ms = self.own.take(now, bytes, own_rate);
        let total_ms = self.total.used.take(now, bytes, rates.total);
        let sessions = self.total.sessions() as u64;
        let share_ms = self.share.take(now, bytes, rates.total / sessions.max(1));
        match own_ms.max(total_ms.min(share_ms)) {
            0 => Verdict::Go,
            wait_ms => Verdict::WaitUntil(now.after_ms(wait_ms)),
        }
    }

    /// Milliseconds since it started.
    pub const fn age_ms(&self, now: Time) -> u64 {
        now.since_ms(self.started)
    }

    /// Bytes moved so far.
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether it was downgraded or is blacklisted.
    pub const fn is_limited(&self) -> bool {
        self.limited
    }

    /// Once and for good.
    fn downgrade(&mut self, now: Time, rates: &Rates) {
        let age_ms = self.age_ms(now);
        if self.limited || age_ms < rates.downgrade_after_ms {
            return;
        }
        let allowed =
            u128::from(age_ms) * u128::from(rates.single) * u128::from(rates.downgrade_threshold)
                / 100_000;
        self.limited = u128::from(self.moved) > allowed;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.total.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
