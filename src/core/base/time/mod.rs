//! Milliseconds since the process started. Only `net/clock.rs` makes one from a real clock;
//! tests and the simulator make them from numbers.

mod date;
mod shares;
mod throttle;
mod window;

pub use date::Utc;
pub use shares::{PerSecond, Shares};
pub(crate) use throttle::Throttle;
pub use window::RateWindow;

/// A moment, in milliseconds since start. 64 bits: 32 would wrap after 49.7 days of uptime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

/// The first of those moments that are known.
pub fn earliest(all: &[Option<Time>]) -> Option<Time> {
    let mut first = None;
    for next in all.iter().flatten() {
        if first.is_none_or(|first| *next < first) {
            first = Some(*next);
        }
    }
    first
}

impl Time {
    /// The moment of start.
    pub const START: Self = Self(0);

    /// The moment `ms` milliseconds after start.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since start.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `ms` milliseconds later; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here; 0 if `earlier` is in fact later.
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
