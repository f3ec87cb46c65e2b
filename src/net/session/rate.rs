//! Keeps sessions to the rates an operator set: asks the budget after each turn, and waits. C72,
//! C155. Checks: here, tests/prop/budget.rs, relay_speed of conformance.

use core::pin::Pin;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hbb_core::base::rates::Rates;
use hbb_core::base::time::Time;
use hbb_core::relay::budget::{Bucket, Meter, TotalUse, Verdict};

use crate::atomic::AtomicU64;
use crate::net::clock::Clock;
use crate::net::message::Traffic;
use crate::net::reactor::Timer;
use crate::net::tasks::lasting;

/// Fewer bytes are charged with those that come next, or at the session's end, so that a mouse
/// movement costs no look at the clock and no division: at 1 Mbit/s these are what may be sent in
/// 31 ms.
const CHARGED_BYTES_MIN: u64 = 4 * 1024;

/// What all sessions have used: shared by the threads that move bytes, without a lock.
#[derive(Debug, Default)]
pub struct TotalMeter {
    used: AtomicU64,
    sessions: AtomicUsize,
}

/// What one session has used. It counts in its [`TotalMeter`] until it is dropped.
#[derive(Debug)]
pub struct SessionMeter {
    total: &'static TotalMeter,
    meter: Meter,
}

impl TotalMeter {
    /// An account for a session that starts.
    pub fn meter(&'static self, now: Time) -> SessionMeter {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        SessionMeter { total: self, meter: Meter::new(now) }
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    fn take(&self, now: Time, bytes: u64, rate: u64) -> TotalUse {
        let taken = |old: u64| Bucket::from_ns(old).taken(now, bytes, rate);
        let old = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(taken(old).as_ns()));
        let wait_ms = taken(old.unwrap_or_default()).wait_ms(now);
        TotalUse { wait_ms, sessions: self.sessions() as u64 }
    }
}

impl SessionMeter {
    /// Charges bytes that were moved to this session, which may be `limited`, and to all together.
    pub fn spend(&mut self, now: Time, bytes: u64, limited: bool, rates: &Rates) -> Verdict {
        let all = self.total.take(now, bytes, rates.total);
        self.meter.spend((now, bytes), limited, rates, all)
    }

    /// The session's own account.
    pub const fn own(&self) -> &Meter {
        &self.meter
    }
}

impl Drop for SessionMeter {
    fn drop(&mut self) {
        self.total.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all sessions of a thread share; clones are the same.
#[derive(Clone)]
pub struct RateLimits(&'static ThreadLimits);

struct ThreadLimits {
    clock: Clock,
    /// Of all threads.
    total: &'static TotalMeter,
    rates: Cell<Rates>,
}

/// The limit of one session.
pub struct RateLimit {
    shared: &'static ThreadLimits,
    meter: RefCell<SessionMeter>,
    /// What was moved; the meter knows how much of it is charged.
    traffic: Arc<Traffic>,
}

impl RateLimits {
    /// The limits of a thread, with these rates to begin with.
    pub fn new(clock: Clock, total: &'static TotalMeter, rates: Rates) -> Self {
        Self(lasting(ThreadLimits { clock, total, rates: Cell::new(rates) }))
    }

    /// Changes the rates of sessions that run and of those to come.
    pub fn set(&self, rates: Rates) {
        self.0.rates.set(rates);
    }

    /// The limit of a session that starts; what it moves is added to `traffic`.
    pub fn session(&self, traffic: Arc<Traffic>) -> RateLimit {
        let shared = self.0;
        let meter = RefCell::new(shared.total.meter(shared.clock.now()));
        RateLimit { shared, meter, traffic }
    }
}

impl RateLimit {
    /// The clock it reads.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// Seconds since the session started.
    pub fn age_secs(&self) -> u64 {
        self.meter.borrow().own().age_ms(self.shared.clock.now()) / 1000
    }

    /// Bytes that a direction may move before it asks again.
    pub fn at_once(&self) -> usize {
        self.meter.borrow().own().at_once()
    }

    /// Counts what either direction moved.
    pub fn count(&self, bytes: u64) {
        self.traffic.add(bytes);
    }

    /// What was moved and not charged.
    fn due(&self) -> u64 {
        self.traffic.bytes().saturating_sub(self.meter.borrow().own().moved())
    }

    /// Charges what was moved since the last time; when to go on, if not now.
    fn settle(&self) -> Option<Instant> {
        let due = self.due();
        let (clock, rates) = (self.shared.clock, self.shared.rates.get());
        let mut meter = self.meter.borrow_mut();
        match meter.spend(clock.now(), due, self.traffic.is_limited(), &rates) {
            Verdict::Go => None,
            Verdict::WaitUntil(at) => clock.instant(at),
        }
    }

    /// Charges what was moved, unless that is next to nothing and waits for more; a wait until the
    /// session may move more, if it may not now. The first bytes do not wait: who opens one session
    /// after another would never be told to. In a box: a session that need not wait keeps no memory
    /// for it.
    pub fn obey(&self) -> Option<Pin<Box<impl Future<Output = ()>>>> {
        let is_new = self.meter.borrow().own().moved() == 0;
        if self.due() < CHARGED_BYTES_MIN && !is_new {
            return None;
        }
        let mut next = Some(self.settle()?);
        Some(Box::pin(async move {
            // Rates may have changed, and others gone, when a wait is over.
            while let Some(at) = next {
                Timer::at(at).await;
                next = self.settle();
            }
        }))
    }
}

impl Drop for RateLimit {
    /// What is still due is charged to all sessions together.
    fn drop(&mut self) {
        let _ = self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c155_a_little_is_charged_with_what_comes_next() {
        let rates = Rates { single: 1, ..Rates::default() };
        let limits = RateLimits::new(Clock::start(), lasting(TotalMeter::default()), rates);
        let session = limits.session(Arc::default());
        let charged = || session.meter.borrow().own().moved();
        session.count(1);
        assert!(session.obey().is_some() && charged() == 1, "the first is charged at once");
        session.count(CHARGED_BYTES_MIN - 1);
        assert!(session.obey().is_none() && charged() == 1);
        session.count(1);
        assert!(session.obey().is_some(), "all of it is charged");
        assert_eq!(charged(), CHARGED_BYTES_MIN + 1);
        assert!(session.obey().is_none(), "nothing is charged twice");
    }

    #[test]
    fn c155_sessions_that_move_little_each_are_charged_all_of_it() {
        let rates = Rates { total: 1, ..Rates::default() };
        let limits = RateLimits::new(Clock::start(), lasting(TotalMeter::default()), rates);
        let mut waited = 0;
        for _ in 0..100 {
            let session = limits.session(Arc::default());
            session.count(1);
            waited += u32::from(session.obey().is_some());
            session.count(CHARGED_BYTES_MIN - 1);
            waited += u32::from(session.obey().is_some());
        }
        assert!(waited >= 99, "{waited} of 100 sessions were told to wait");
    }
}
