//! The only reader of the clock. Machines get its answers as arguments; a jump of the wall clock
//! touches nothing but the dates that are stored.

#![allow(clippy::disallowed_methods, reason = "this is the place")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use hbb_core::base::time::Time;

/// Counts from the moment it was made, by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that reads [`Time::START`] now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Milliseconds since start.
    pub fn now(self) -> Time {
        let time = self.start.elapsed();
        // Not by Duration's own: that is a division of 128 bits.
        let ms = time.as_secs().saturating_mul(1000).saturating_add(time.subsec_millis().into());
        Time::from_millis(ms)
    }

    /// The instant timers wait for.
    pub fn instant(self, at: Time) -> Option<Instant> {
        self.start.checked_add(Duration::from_millis(at.as_millis()))
    }

    /// The Unix time of [`Time::START`] by today's wall clock, the same whenever it is asked; 0
    /// while that is not set, which is how a router without a battery starts.
    pub fn epoch_secs(self) -> u64 {
        let unix = unix_time();
        if is_set(unix.as_secs()) { unix.saturating_sub(self.start.elapsed()).as_secs() } else { 0 }
    }
}

/// The instant it is, for timers.
#[cfg(not(test))]
pub fn instant_now() -> Instant {
    Instant::now()
}

/// The same, so far ahead as a test went on this thread.
#[cfg(test)]
pub fn instant_now() -> Instant {
    Instant::now() + AHEAD.get()
}

#[cfg(test)]
thread_local! {
    static AHEAD: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

/// Has time pass for the timers of this thread.
#[cfg(test)]
pub(crate) fn pass(time: Duration) {
    AHEAD.set(AHEAD.get() + time);
}

/// 2020-01-01: a wall clock that reads less was not set.
const CLOCK_SET_SECS: u64 = 1_577_836_800;

/// Whether a wall clock that reads so many seconds of Unix time was set.
pub const fn is_set(unix_secs: u64) -> bool {
    unix_secs >= CLOCK_SET_SECS
}

/// Seconds of Unix time by the wall clock, 0 before 1970.
pub fn unix_secs() -> u64 {
    unix_time().as_secs()
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Microseconds of the kernel's monotonic clock: what a supervisor compares with its own.
pub fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
