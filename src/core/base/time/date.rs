//! Calendar dates of the wall clock, for people: log lines on a terminal, names of kept files.
//! Nothing here reads a clock; machines work by [`super::Time`].

use alloc::string::String;
use alloc::string::ToString as _;
use core::fmt;

const DAY_SECS: u64 = 24 * 3_600;
/// Days from 1 March of year 0 to 1 January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;
/// Days in 400 years, after which the Gregorian calendar repeats.
const ERA_DAYS: u64 = 146_097;

/// A moment in UTC, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    /// Seconds since the start of 1970.
    pub unix_secs: u64,
}

impl Utc {
    /// Year, month (1 to 12) and day (1 to 31). Years begin in March here, so that the leap day
    /// is the last of its year.
    fn date(self) -> (u64, u64, u64) {
        let days = self.unix_secs / DAY_SECS + DAYS_BEFORE_1970;
        let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        (era * 400 + year + next, month, day)
    }

    /// Reads what this type shows, with one character of any kind between day and hour, and
    /// nothing or anything behind the second; None for what is no date since 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut numbers, mut from) = ([0_u64; 6], 0);
        for (number, digits) in numbers.iter_mut().zip(&[4, 2, 2, 2, 2, 2]) {
            *number = text.get(from..from + digits)?.parse().ok()?;
            from += digits + 1;
        }
        let [year, month, day, hour, minute, second] = numbers;
        let secs = hour * 3_600 + minute * 60 + second;
        let (year, month) =
            if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
        let (era, year) = (year / 400, year % 400);
        let days =
            365 * year + year / 4 - year / 100 + (153 * month + 2) / 5 + day.checked_sub(1)?;
        let days = (era * ERA_DAYS + days).checked_sub(DAYS_BEFORE_1970)?;
        Some(Self { unix_secs: days * DAY_SECS + secs })
    }

    /// The moment without a blank: `2026-11-21T07:12:33`.
    pub fn in_one_word(self) -> String {
        self.to_string().replace(' ', "T")
    }

    /// The moment as a part of a file name: `20261121-071233`.
    pub fn for_file(self) -> String {
        self.to_string().replace(['-', ':'], "").replace(' ', "-")
    }
}

/// `2026-11-21 07:12:33`, without the zone: it is UTC everywhere.
impl fmt::Display for Utc {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let secs = self.unix_secs % DAY_SECS;
        let (hour, minute, second) = (secs / 3_600, secs / 60 % 60, secs % 60);
        write!(out, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leap_days_and_year_ends_are_where_they_belong() {
        for (unix_secs, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_709_251_200, "2024-03-01 00:00:00"),
            (1_767_225_599, "2025-12-31 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(Utc { unix_secs }.to_string(), text);
            assert_eq!(Utc::parse(text), Some(Utc { unix_secs }));
        }
        for bad in ["", "1969-12-31 23:59:59", "2026-1-01 00:00:00", "0000-01-00 00:00:00"] {
            assert_eq!(Utc::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Utc { unix_secs: 1_709_251_199 }.for_file(), "20240229-235959");
    }
}
