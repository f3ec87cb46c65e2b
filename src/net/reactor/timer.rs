//! A deadline to wait for. Setting it costs nothing; the reactor learns of it when it is waited
//! for, and only if that is earlier than what it knows.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use super::here;
use crate::net::clock;

/// Ready when its time has come; can be set and waited for again.
#[derive(Debug, Default)]
pub struct Timer {
    /// None is never.
    at: Option<Instant>,
    /// What the reactor knows of it.
    known: Option<(Instant, usize)>,
}

impl Timer {
    /// One that runs out after so long.
    pub fn after(time: Duration) -> Self {
        let mut timer = Self::default();
        timer.set_after(time);
        timer
    }

    /// One that runs out then, or never.
    pub fn at(at: impl Into<Option<Instant>>) -> Self {
        Self { at: at.into(), known: None }
    }

    /// Runs out after so long from now.
    pub fn set_after(&mut self, time: Duration) {
        self.set(clock::instant_now().checked_add(time));
    }

    /// Runs out then, or never.
    pub fn set(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    fn forget(&mut self) {
        if let Some(known) = self.known.take()
            && let Some(reactor) = here()
        {
            reactor.timers.borrow_mut().remove(&known);
        }
    }

    /// Whether the reactor wakes `context` when it is time, or earlier, as it was told before.
    fn is_told(&mut self, at: Instant, context: &Context<'_>) -> bool {
        let (Some(known), Some(reactor)) = (self.known, here()) else { return false };
        match reactor.timers.borrow_mut().entry(known) {
            Entry::Occupied(mut entry) if known.0 <= at => {
                entry.get_mut().clone_from(context.waker());
                true
            }
            Entry::Occupied(entry) => {
                entry.remove();
                false
            }
            // It woke us already.
            Entry::Vacant(_) => false,
        }
    }

    /// Has the reactor wake `context` when it is time.
    fn tell_reactor(&mut self, at: Instant, context: &Context<'_>) {
        let Some(reactor) = here() else { return };
        let mut timers = reactor.timers.borrow_mut();
        let number = reactor.timers_made.get();
        reactor.timers_made.set(number.wrapping_add(1));
        timers.insert((at, number), context.waker().clone());
        self.known = Some((at, number));
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        // What the reactor still knows of has not come: the clock need not be asked.
        if self.is_told(at, context) {
            return Poll::Pending;
        }
        if clock::instant_now() >= at {
            self.forget();
            return Poll::Ready(());
        }
        self.tell_reactor(at, context);
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.forget();
    }
}
