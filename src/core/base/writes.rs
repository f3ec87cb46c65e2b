//! How much of what may be written to flash in a day is left, and who may write when there is
//! little. It knows neither what is written nor who asks for it. C110, C122.

use super::conn::SaveRank;
use super::limits::{COMMIT_GATHER_MS, COMMIT_GATHER_MS_MAX, WRITES_UNIT_BYTES};
use super::time::Time;

const DAY_MS: u64 = 24 * 3_600_000;
/// In which the account fills from nothing, and more.
const WEEK_MS: u64 = 7 * DAY_MS;

/// An account of bytes. It holds three quarters of a day's at most, so that a new server can take
/// in all its devices at once, and an eighth comes in within a day: with one commit that overdraws
/// it, that is less than a day's bytes in any 24 hours.
#[derive(Clone, Debug)]
pub struct Writes {
    /// Bytes in a day; 0 for no limit.
    day: u64,
    left: i64,
    /// What came in of the next byte, in parts of [`DAY_MS`].
    part: u64,
    at: Time,
    /// Bytes written since the present day of uptime began.
    today: u64,
}

impl Writes {
    /// An account that is full, for so many [`WRITES_UNIT_BYTES`] a day; 0 for no limit.
    pub const fn new(a_day: u16) -> Self {
        let day = a_day as u64 * WRITES_UNIT_BYTES;
        Self { day, left: room(day), part: 0, at: Time::START, today: 0 }
    }

    /// Changes what there is in a day. The account keeps what is missing in it, but is not
    /// overdrawn by that: after a year of a larger limit it would take years to fill.
    pub fn set(&mut self, a_day: u16) {
        let missing = room(self.day).saturating_sub(self.left);
        self.day = u64::from(a_day) * WRITES_UNIT_BYTES;
        self.left = room(self.day).saturating_sub(missing).max(self.left.min(0));
    }

    /// Bytes that are left, 0 if the account is overdrawn; None without a limit.
    pub fn left(&self) -> Option<u64> {
        (self.day > 0).then(|| u64::try_from(self.left).unwrap_or(0))
    }

    /// Bytes written since the present day of uptime began.
    pub const fn today(&self) -> u64 {
        self.today
    }

    /// Takes in what comes by time.
    pub fn pass(&mut self, now: Time) {
        let ms = now.since_ms(self.at).min(WEEK_MS);
        if now.as_millis() / DAY_MS > self.at.as_millis() / DAY_MS {
            self.today = 0;
        }
        self.at = now.max(self.at);
        let parts = ms.saturating_mul(self.day / 8).saturating_add(self.part);
        self.part = parts % DAY_MS;
        let more = i64::try_from(parts / DAY_MS).unwrap_or(i64::MAX);
        self.left = self.left.saturating_add(more).min(room(self.day));
    }

    /// How long after the last commit changes gather for the next, in milliseconds: the longer, the
    /// more of the account was spent beyond its first half. Before the first is refused it is
    /// [`COMMIT_GATHER_MS_MAX`].
    pub fn gather_ms(&self) -> u64 {
        let sixteenth = room(self.day) / 16;
        let (few, many) = (sixteenth * 8, sixteenth * 4);
        if self.day == 0 || self.left >= few {
            return COMMIT_GATHER_MS;
        }
        let spent = few.saturating_sub(self.left.max(many)).unsigned_abs();
        let more = COMMIT_GATHER_MS_MAX - COMMIT_GATHER_MS;
        COMMIT_GATHER_MS + spent.saturating_mul(more) / (few - many).unsigned_abs().max(1)
    }

    /// Whether a change of this rank may be written. What is left last is for the known, half of it
    /// for those known for a day; before that a tenth for those who are the first of their network:
    /// for one commit each.
    pub fn allow(&self, rank: SaveRank) -> bool {
        let parts = match rank {
            SaveRank::Operator => return true,
            SaveRank::Known => 0,
            SaveRank::Recent => 2,
            SaveRank::Prompt => 4,
            SaveRank::Proved => 7,
            SaveRank::Stranger => 8,
        };
        self.day == 0 || self.left > room(self.day) / 32 * parts
    }

    /// Notes that so many bytes were written, whoever asked for it.
    pub const fn count(&mut self, bytes: u64) {
        self.today = self.today.saturating_add(bytes);
    }

    /// Takes so many bytes out of the account; without a limit there is none.
    pub fn spend(&mut self, bytes: u64) {
        if self.day == 0 {
            return;
        }
        self.left = self.left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// What the account holds at most.
const fn room(day: u64) -> i64 {
    // A day has at most 65,535 MiB.
    (day / 4 * 3).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c110_who_is_put_off_when_and_how_long_changes_are_gathered() {
        let mut writes = Writes::new(8);
        let full = writes.left().unwrap();
        assert_eq!(full, 6 * WRITES_UNIT_BYTES);
        let ranks = [
            SaveRank::Stranger,
            SaveRank::Proved,
            SaveRank::Prompt,
            SaveRank::Recent,
            SaveRank::Known,
            SaveRank::Operator,
        ];
        let mut seen = |spent: u64| {
            writes.left = i64::try_from(full).unwrap();
            writes.spend(spent);
            (writes.gather_ms(), ranks.map(|rank| writes.allow(rank)))
        };
        // The first so many of them are put off.
        let put_off = |count| core::array::from_fn(|rank| rank >= count);
        assert_eq!(seen(0), (20, put_off(0)));
        assert_eq!(seen(full / 2), (20, put_off(0)));
        assert_eq!(seen(full / 8 * 5), (5_010, put_off(0)));
        assert_eq!(seen(full / 4 * 3), (10_000, put_off(1)));
        assert_eq!(seen(full / 32 * 25), (10_000, put_off(2)));
        assert_eq!(seen(full / 32 * 28), (10_000, put_off(3)));
        assert_eq!(seen(full / 32 * 30), (10_000, put_off(4)));
        assert_eq!(seen(full), (10_000, put_off(5)));
        assert_eq!(seen(u64::MAX), (10_000, put_off(5)));
    }

    #[test]
    fn c110_it_fills_again_by_an_eighth_a_day_and_a_new_limit_holds_at_once() {
        let mut writes = Writes::new(8);
        writes.spend(6 * WRITES_UNIT_BYTES);
        for ms in 0..1_000 {
            writes.pass(Time::from_millis(ms * DAY_MS / 2_000));
        }
        assert!(writes.left().unwrap().abs_diff(WRITES_UNIT_BYTES / 2) < WRITES_UNIT_BYTES / 100);
        for day in 1..9 {
            writes.pass(Time::from_millis(day * DAY_MS));
        }
        assert_eq!(writes.left(), Some(6 * WRITES_UNIT_BYTES));
        writes.spend(WRITES_UNIT_BYTES);
        writes.set(16);
        assert_eq!(writes.left(), Some(11 * WRITES_UNIT_BYTES));
        writes.set(1);
        assert!(!writes.allow(SaveRank::Known));
        writes.set(0);
        assert!(writes.allow(SaveRank::Stranger) && writes.gather_ms() == 20);
    }
    #[test]
    fn c110_a_new_limit_puts_nobody_off_for_what_was_written_under_a_larger_one_or_none() {
        let mut writes = Writes::new(0);
        writes.spend(1_000 * WRITES_UNIT_BYTES);
        writes.set(8);
        assert_eq!(writes.left(), Some(6 * WRITES_UNIT_BYTES));
        let mut writes = Writes::new(1_000);
        writes.spend(700 * WRITES_UNIT_BYTES);
        writes.set(8);
        assert_eq!(writes.left(), Some(0));
        writes.pass(Time::from_millis(DAY_MS));
        assert_eq!(writes.left(), Some(WRITES_UNIT_BYTES));
        // An overdraft stays one, however often a file of flags is read again.
        writes.spend(2 * WRITES_UNIT_BYTES);
        writes.set(8);
        writes.pass(Time::from_millis(2 * DAY_MS));
        assert_eq!(writes.left(), Some(0));
    }
}
