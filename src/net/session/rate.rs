//! Keeps sessions to the rates an operator set: asks the budget after each turn, and waits. C72.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use smol::Timer;

use hbb_core::base::rates::Rates;
use hbb_core::base::time::Time;
use hbb_core::relay::budget::{Bucket, Meter, TotalUse, Verdict};

use crate::atomic::AtomicU64;
use crate::net::clock::Clock;

/// What all sessions have used: shared by the threads that move bytes, without a lock.
#[derive(Debug, Default)]
pub struct TotalMeter {
    used: AtomicU64,
    sessions: AtomicUsize,
}

/// What one session has used. It counts in its [`TotalMeter`] until it is dropped.
#[derive(Debug)]
pub struct SessionMeter {
    total: Arc<TotalMeter>,
    meter: Meter,
}

impl TotalMeter {
    /// A session that starts; `limited` ones get the limited rate from the beginning.
    pub fn meter(self: &Arc<Self>, now: Time, limited: bool) -> SessionMeter {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        SessionMeter { total: Arc::clone(self), meter: Meter::new(now, limited) }
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
    /// Charges bytes that were moved to this session and to all together.
    pub fn spend(&mut self, now: Time, bytes: u64, rates: &Rates) -> Verdict {
        let all = self.total.take(now, bytes, rates.total);
        self.meter.spend(now, bytes, rates, all)
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
pub struct RateLimits(Rc<Shared>);

struct Shared {
    clock: Clock,
    /// Of all threads.
    total: Arc<TotalMeter>,
    rates: Cell<Rates>,
}

/// The limit of one session.
pub struct RateLimit {
    shared: Rc<Shared>,
    meter: RefCell<SessionMeter>,
    /// Bytes that were moved and not yet charged.
    due: Cell<u64>,
    /// All bytes that were moved, for who runs no session but wants to know.
    moved: Arc<AtomicU64>,
}

impl RateLimits {
    /// With these rates for a start.
    pub fn new(clock: Clock, total: Arc<TotalMeter>, rates: Rates) -> Self {
        Self(Rc::new(Shared { clock, total, rates: Cell::new(rates) }))
    }

    /// Changes the rates of sessions that run and of those to come.
    pub fn set(&self, rates: Rates) {
        self.0.rates.set(rates);
    }

    /// A session that starts; what it moves is added to `moved`.
    pub fn session(&self, limited: bool, moved: Arc<AtomicU64>) -> RateLimit {
        let shared = Rc::clone(&self.0);
        let meter = RefCell::new(shared.total.meter(shared.clock.now(), limited));
        RateLimit { shared, meter, due: Cell::new(0), moved }
    }
}

impl RateLimit {
    /// What it reads the time from.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// For how long the session lasts.
    pub fn age_secs(&self) -> u64 {
        self.meter.borrow().own().age_ms(self.shared.clock.now()) / 1000
    }

    /// Takes down what either direction moved.
    pub fn count(&self, bytes: u64) {
        self.due.set(self.due.get() + bytes);
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Charges it; when to go on, if not now.
    pub fn settle(&self) -> Option<Instant> {
        let (clock, rates, due) = (self.shared.clock, self.shared.rates.get(), self.due.take());
        match self.meter.borrow_mut().spend(clock.now(), due, &rates) {
            Verdict::Go => None,
            Verdict::WaitUntil(at) => clock.instant(at),
        }
    }

    /// Charges it and waits until the session may move more.
    pub async fn keep(&self) {
        // Rates may have changed, and others gone, when a wait is over.
        while let Some(at) = self.settle() {
            // In a box: whoever need not wait shall not have the room for it.
            Box::pin(async move { Timer::at(at).await }).await;
        }
    }
}
