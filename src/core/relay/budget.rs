//! How fast sessions may go: a rate for each, one for all together, a fair share of that, and a
//! lower rate for those that used much for long (protocol §7.3). The shell moves the bytes, keeps
//! the account of all sessions together, and asks after each turn. C72.

use crate::base::limits::{DIRECTION_BYTES_FREE, TURN_BYTES};
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

/// A token bucket, kept as the time at which everything taken so far is paid for, in nanoseconds
/// since start (the generic cell rate algorithm). A tenth of a second may be taken ahead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    paid_ns: u64,
}

const AHEAD_NS: u64 = 100_000_000;
/// What part of a second's worth may be moved at once: a little more than that tenth.
const AT_ONCE: u64 = 8;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_SEC: u64 = 1_000_000_000;

impl Bucket {
    /// The bucket as one number, to be shared between threads.
    pub const fn as_ns(self) -> u64 {
        self.paid_ns
    }

    /// The bucket for a number from [`Self::as_ns`].
    pub const fn from_ns(paid_ns: u64) -> Self {
        Self { paid_ns }
    }

    /// The bucket after `bytes` were taken; `rate` is in bytes a second.
    #[must_use]
    pub fn taken(self, now: Time, bytes: u64, rate: u64) -> Self {
        let cost = bytes.saturating_mul(NS_PER_SEC) / rate.max(1);
        Self { paid_ns: self.paid_ns.max(ns(now)).saturating_add(cost) }
    }

    /// Milliseconds until more may be taken.
    pub const fn wait_ms(self, now: Time) -> u64 {
        self.paid_ns.saturating_sub(ns(now).saturating_add(AHEAD_NS)).div_ceil(NS_PER_MS)
    }

    fn take(&mut self, now: Time, bytes: u64, rate: u64) -> u64 {
        *self = self.taken(now, bytes, rate);
        self.wait_ms(now)
    }
}

const fn ns(now: Time) -> u64 {
    now.as_millis().saturating_mul(NS_PER_MS)
}

/// What all sessions together have used, with the bytes in question charged.
#[derive(Clone, Copy, Debug)]
pub struct TotalUse {
    /// Milliseconds until that is within the total rate.
    pub wait_ms: u64,
    /// How many sessions there are.
    pub sessions: u64,
}

/// What one session has used.
#[derive(Debug)]
pub struct Meter {
    own: Bucket,
    share: Bucket,
    started: Time,
    moved: u64,
    at_once: usize,
    limited: bool,
}

impl Meter {
    /// An account for a session that starts now.
    pub fn new(now: Time) -> Self {
        let (own, share) = (Bucket::default(), Bucket::default());
        Self { own, share, started: now, moved: 0, at_once: DIRECTION_BYTES_FREE, limited: false }
    }

    /// Charges bytes that were moved, at the limited rate while it is `blacklisted`. When all
    /// together use too much, a session waits only if it also used more than its fair share: a
    /// mouse does not wait for a download.
    pub fn spend(
        &mut self,
        (now, bytes): (Time, u64),
        blacklisted: bool,
        rates: &Rates,
        all: TotalUse,
    ) -> Verdict {
        self.moved += bytes;
        self.downgrade(now, rates);
        let own_rate = if self.limited || blacklisted { rates.limited } else { rates.single };
        let own_ms = self.own.take(now, bytes, own_rate);
        let share_rate = rates.total / all.sessions.max(1);
        let share_ms = self.share.take(now, bytes, share_rate);
        let free_rate = if all.wait_ms == 0 { rates.total } else { share_rate };
        self.at_once = usize::try_from(own_rate.min(free_rate) / AT_ONCE)
            .unwrap_or(TURN_BYTES)
            .clamp(DIRECTION_BYTES_FREE, TURN_BYTES);
        match own_ms.max(all.wait_ms.min(share_ms)) {
            0 => Verdict::Go,
            wait_ms => Verdict::WaitUntil(now.after_ms(wait_ms)),
        }
    }

    /// Milliseconds since it started.
    pub const fn age_ms(&self, now: Time) -> u64 {
        now.since_ms(self.started)
    }

    /// Bytes that a direction may move before it asks again: few where the rate is low, so that it
    /// does not stand still for long behind them.
    pub const fn at_once(&self) -> usize {
        self.at_once
    }

    /// Bytes moved so far.
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether it was downgraded.
    #[cfg(feature = "testing")]
    pub const fn is_limited(&self) -> bool {
        self.limited
    }

    /// Lowers the rate of a session that used too much, once and for good.
    fn downgrade(&mut self, now: Time, rates: &Rates) {
        let age_ms = self.age_ms(now);
        if self.limited || age_ms < rates.downgrade_after_ms {
            return;
        }
        // In hundredths and milliseconds on both sides: a division of that width is a kilobyte.
        let allowed =
            u128::from(age_ms) * u128::from(rates.single) * u128::from(rates.downgrade_threshold);
        self.limited = u128::from(self.moved) * 100_000 > allowed;
    }
}
