//! A rate limit for each source (C20): bounded, the source counted longest ago is forgotten first.

use super::{RateWindow, Time};
use crate::base::address::Prefix;
use crate::base::limits::THROTTLED_MAX;
use crate::base::table::{Seed, Table};

/// One [`RateWindow`] for each source, all of the same length.
pub(crate) struct Throttle {
    windows: Table<Prefix, RateWindow>,
    window_ms: u64,
}

impl Throttle {
    /// Windows of `window_ms` milliseconds for up to [`THROTTLED_MAX`] sources.
    pub(crate) fn new(window_ms: u64, seed: Seed) -> Self {
        Self { windows: Table::new(THROTTLED_MAX, seed), window_ms }
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(crate) fn bytes(&self) -> usize {
        self.windows.bytes()
    }

    /// How many sources are remembered, at most [`THROTTLED_MAX`].
    pub(crate) fn remembered(&self) -> usize {
        self.windows.len()
    }

    /// Counts one more for `source`; false, counting nothing, if it has had `limit` in its window.
    pub(crate) fn allow(&mut self, now: Time, source: Prefix, limit: u16) -> bool {
        self.allow_many(now, source, limit, 1)
    }

    /// The same for several at once: all of them fit, or none is counted.
    pub(crate) fn allow_many(&mut self, now: Time, source: Prefix, limit: u16, more: u16) -> bool {
        let mut window = self.windows.get(&source).copied().unwrap_or(RateWindow::EMPTY);
        let allowed = window.allow_many(now, self.window_ms, limit, more);
        if allowed {
            self.windows.insert_evicting(source, window);
        }
        allowed
    }

    /// Forgets what was counted for `source`.
    pub(crate) fn forget(&mut self, source: Prefix) {
        self.windows.remove(&source);
    }

    /// Counts one less for `source`.
    pub(super) fn give_back(&mut self, source: Prefix) {
        if let Some(window) = self.windows.get_mut(&source) {
            window.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_until_the_window_ends_and_counts_sources_apart() {
        let mut throttle = Throttle::new(60_000, Seed(0, 0));
        let one = Prefix::of("10.0.0.1".parse().unwrap());
        let two = Prefix::of("10.0.0.2".parse().unwrap());
        assert!(throttle.allow(Time::START, one, 2));
        assert!(throttle.allow(Time::from_millis(1), one, 2));
        assert!(!throttle.allow(Time::from_millis(59_999), one, 2));
        assert!(throttle.allow(Time::from_millis(59_999), two, 2));
        assert!(throttle.allow(Time::from_millis(60_000), one, 2));
    }
}
