//! A fixed window of time that counts what happens in it: C19, C20.

use super::Time;

/// Counts up to a limit, then refuses until its window is over. A window begins with the first
/// thing counted in it; what is refused is not counted.
///
/// Every peer has one, so it is packed: 48 bits say when it began, in milliseconds since start,
/// which is enough for 8,900 years; the 16 below them are the count.
#[derive(Clone, Copy, Debug)]
pub struct RateWindow(u64);

const COUNT_BITS: u32 = u16::BITS;
const COUNT_MASK: u64 = u16::MAX as u64;

impl RateWindow {
    /// A window in which nothing was counted.
    pub const EMPTY: Self = Self(0);

    /// Counts one more; false, counting nothing, if `limit` were counted in a window that began
    /// less than `length_ms` milliseconds ago.
    pub fn allow(&mut self, now: Time, length_ms: u64, limit: u16) -> bool {
        self.allow_many(now, length_ms, limit, 1)
    }

    /// The same for several at once: all of them fit, or none is counted.
    pub fn allow_many(&mut self, now: Time, length_ms: u64, limit: u16, more: u16) -> bool {
        let (mut start, mut count) = (Time::from_millis(self.0 >> COUNT_BITS), self.0 & COUNT_MASK);
        if count == 0 || now.since_ms(start) >= length_ms {
            (start, count) = (now, 0);
        }
        let count = count + u64::from(more);
        let allowed = count <= u64::from(limit);
        if allowed {
            self.0 = start.as_millis() << COUNT_BITS | count;
        }
        allowed
    }

    /// Counts one less, for what was counted and shall count elsewhere.
    pub(super) fn give_back(&mut self) {
        self.0 -= u64::from(self.0 & COUNT_MASK > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_from_the_limit_to_the_end_of_the_window() {
        let mut window = RateWindow::EMPTY;
        let mut allow = |ms| window.allow(Time::from_millis(ms), 1_000, 2);
        assert!(allow(500) && allow(600));
        assert!(!allow(700) && !allow(1_499));
        assert!(allow(1_500) && allow(2_499));
        assert!(!allow(2_499));
        let mut many = RateWindow::EMPTY;
        assert!(!many.allow_many(Time::START, 1_000, 9, 10));
        assert!(many.allow_many(Time::START, 1_000, u16::MAX, u16::MAX));
        assert!(!many.allow_many(Time::START, 1_000, u16::MAX, u16::MAX));
        let mut none = RateWindow::EMPTY;
        assert!(!none.allow(Time::START, 1_000, 0));
    }
}
