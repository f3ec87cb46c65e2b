//! Counts what one source does in a window of time (C20): bounded, oldest source forgotten first.

use super::Time;
use crate::base::address::Prefix;
use crate::base::limits::THROTTLED_MAX;
use crate::base::table::{Seed, Table};

/// Lets each source do a number of things per window; the window starts with the first.
pub(crate) struct Throttle {
    windows: Table<Prefix, Window>,
    window_ms: u64,
}

#[derive(Clone, Copy)]
struct Window {
    start: Time,
    used: u16,
}

impl Throttle {
    /// Windows of `window_ms` milliseconds for up to [`THROTTLED_MAX`] sources.
    pub(crate) fn new(window_ms: u64, seed: Seed) -> Self {
        Self { windows: Table::new(THROTTLED_MAX, seed), window_ms }
    }

    /// Sources remembered, at most [`THROTTLED_MAX`].
    pub(crate) fn remembered(&self) -> usize {
        self.windows.len()
    }

    /// Counts one more for `source`; false, counting nothing, if it has had `most` in its window.
    pub(crate) fn allow(&mut self, now: Time, source: Prefix, most: u16) -> bool {
        let window = self
            .windows
            .get(&source)
            .copied()
            .filter(|window| now.since_ms(window.start) < self.window_ms)
            .unwrap_or(Window { start: now, used: 0 });
        if window.used >= most {
            return false;
        }
        self.windows.insert_evicting(source, Window { used: window.used + 1, ..window });
        true
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
