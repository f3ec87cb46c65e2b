//! How far the clocks are ahead where the rules hold, in summer too, by what POSIX has in the
//! variable TZ, with the hours of RFC 9636, section 3.3.2. It knows neither names of places, which
//! would be files, nor a clock.

use super::when::{Local, minutes};

const DAY_SECS: i64 = 24 * 3_600;
/// The year 36812: no clock is right that shows more.
const UNIX_SECS_MAX: u64 = 1 << 40;
/// Days before each month of a year that is no leap year, and in all.
const DAYS_BEFORE: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
/// Shortest name of a zone.
const NAME_CHARS_MIN: usize = 3;

/// Where the rules hold: UTC if nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Zone {
    /// In winter, in seconds east of Greenwich.
    ahead: i64,
    summer: Option<Summer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Summer {
    /// As in [`Zone`].
    ahead: i64,
    from: Change,
    to: Change,
}

/// A day of each year, and the second of that day by the clocks of before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    secs: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Day {
    /// From 0; leap days count.
    Numbered(i64),
    /// From 0, in a year without a leap day.
    Julian(i64),
    /// A month from 1, a week of it, 5 the last, and a day of that, 0 the Sunday.
    Weekday([i64; 3]),
}

impl Zone {
    /// Reads `UTC`, `+01:00`, or what POSIX has in TZ, such as `CET-1CEST,M3.5.0,M10.5.0/3`, in
    /// which it is summer by itself; None for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "UTC" {
            return Some(Self::default());
        }
        if let Some(ahead) = text.strip_prefix('+').or_else(|| text.strip_prefix('-')) {
            let ahead = i64::from(minutes(ahead).filter(|minutes| *minutes <= 14 * 60)?) * 60;
            let ahead = if text.starts_with('-') { -ahead } else { ahead };
            return Some(Self { ahead, summer: None });
        }
        let mut rest = Rest(text.as_bytes());
        let zone = rest.zone()?;
        rest.0.is_empty().then_some(zone)
    }

    /// The time of the week then.
    pub(super) fn local(&self, unix_secs: u64) -> Local {
        let secs = i64::try_from(unix_secs.min(UNIX_SECS_MAX)).unwrap_or_default();
        let is_summer = |summer: &&Summer| summer.has(secs + self.ahead, self.ahead);
        let ahead = self.summer.as_ref().filter(is_summer).map_or(self.ahead, |it| it.ahead);
        Local::of_minutes((secs + ahead).div_euclid(60))
    }
}

impl Summer {
    /// Whether it is summer when the clocks would show so many seconds since 1970 in winter, so
    /// far `ahead`.
    fn has(&self, secs: i64, ahead: i64) -> bool {
        let days = secs.div_euclid(DAY_SECS);
        let mut year = 1970 + days.div_euclid(366);
        while days_before(year + 1) <= days {
            year += 1;
        }
        let (from, to) = (self.from.secs_in(year), self.to.secs_in(year) - self.ahead + ahead);
        match from < to {
            true => from <= secs && secs < to,
            // South of the equator.
            false => from <= secs || secs < to,
        }
    }
}

impl Change {
    /// Seconds from 1970 to the change in a year.
    fn secs_in(&self, year: i64) -> i64 {
        let new_year = days_before(year);
        let leap = days_before(year + 1) - new_year - 365;
        let before = |month: i64| {
            let at = usize::try_from(month).unwrap_or_default();
            new_year + DAYS_BEFORE.get(at).unwrap_or(&365) + if month > 1 { leap } else { 0 }
        };
        let day = match self.day {
            Day::Numbered(day) => new_year + day,
            Day::Julian(day) => new_year + day + if day >= 59 { leap } else { 0 },
            Day::Weekday([month, week, day]) => {
                let (first, next) = (before(month - 1), before(month));
                // The first day of 1970 was a Thursday.
                let at = first + (day - 4 - first).rem_euclid(7) + 7 * (week - 1);
                // Some months have four of them.
                if at < next { at } else { at - 7 }
            }
        };
        day * DAY_SECS + self.secs
    }
}

/// Days from 1970 to the first of a year of our era.
const fn days_before(year: i64) -> i64 {
    let past = year - 1;
    365 * (year - 1970) + past / 4 - past / 100 + past / 400 - 477
}

/// What is left of a text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// `CET-1CEST,M3.5.0,M10.5.0/3`
    fn zone(&mut self) -> Option<Zone> {
        self.name()?;
        let ahead = -self.secs(24)?;
        if self.0.is_empty() {
            return Some(Zone { ahead, summer: None });
        }
        self.name()?;
        let in_summer = if self.0.starts_with(b",") { ahead + 3_600 } else { -self.secs(24)? };
        let summer = Summer { ahead: in_summer, from: self.change()?, to: self.change()? };
        Some(Zone { ahead, summer: Some(summer) })
    }

    /// Letters, or letters, digits and signs in `<>`.
    fn name(&mut self) -> Option<()> {
        let quoted = self.eats(b'<');
        let fits = |byte: &u8| match quoted {
            true => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'),
            false => byte.is_ascii_alphabetic(),
        };
        let len = self.0.iter().take_while(|byte| fits(byte)).count();
        self.0 = self.0.get(len..)?;
        (len >= NAME_CHARS_MIN && (!quoted || self.eats(b'>'))).then_some(())
    }

    /// `,M3.5.0/2`, `,J60` or `,59`: a day, and an hour that is 2 if there is none.
    fn change(&mut self) -> Option<Change> {
        self.expect(b',')?;
        let day = if self.eats(b'M') {
            let month = self.number(1, 12)?;
            self.expect(b'.')?;
            let week = self.number(1, 5)?;
            self.expect(b'.')?;
            Day::Weekday([month, week, self.number(0, 6)?])
        } else if self.eats(b'J') {
            Day::Julian(self.number(1, 365)? - 1)
        } else {
            Day::Numbered(self.number(0, 365)?)
        };
        let secs = if self.eats(b'/') { self.secs(167)? } else { 2 * 3_600 };
        Some(Change { day, secs })
    }

    /// `-1`, `5:30`, `+10:00:00`: hours, minutes and seconds, in seconds.
    fn secs(&mut self, most_hours: i64) -> Option<i64> {
        let minus = self.eats(b'-');
        let _ = !minus && self.eats(b'+');
        let mut secs = self.number(0, most_hours)? * 3_600;
        for of_secs in [60, 1] {
            if self.eats(b':') {
                secs += self.number(0, 59)? * of_secs;
            } else {
                break;
            }
        }
        Some(if minus { -secs } else { secs })
    }

    fn number(&mut self, least: i64, most: i64) -> Option<i64> {
        let mut number = None;
        while let Some((digit @ b'0'..=b'9', rest)) = self.0.split_first() {
            let more = number.unwrap_or(0) * 10 + i64::from(digit - b'0');
            number = Some(if more <= most { more } else { return None });
            self.0 = rest;
        }
        number.filter(|number| *number >= least)
    }

    fn expect(&mut self, sign: u8) -> Option<()> {
        self.eats(sign).then_some(())
    }

    fn eats(&mut self, sign: u8) -> bool {
        let rest = self.0.strip_prefix(&[sign]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;

    use tz::TimeZoneSettings;

    use super::*;

    fn local(text: &str) -> Local {
        Local::parse(text).unwrap()
    }

    fn at(zone: &str, secs: u64) -> Local {
        Zone::parse(zone).unwrap().local(secs)
    }

    #[test]
    fn summer_begins_and_ends_by_itself() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        // 2026-03-29 00:59:59 and 01:00:00 UTC, 2026-10-25 00:59:59 and 01:00:00 UTC.
        for (secs, told) in [
            (1_774_745_999, "Sun 01:59"),
            (1_774_746_000, "Sun 03:00"),
            (1_792_889_999, "Sun 02:59"),
            (1_792_890_000, "Sun 02:00"),
        ] {
            assert_eq!(at(berlin, secs), local(told));
        }
        assert_eq!(at("UTC", 1_774_745_999), local("Sun 00:59"));
        assert_eq!(at("+05:30", 1_774_745_999), local("Sun 06:29"));
        assert_eq!(at("-08:00", 1_774_745_999), local("Sat 16:59"));
        // Where it is summer at new year: 2026-01-01 00:00 UTC.
        assert_eq!(at("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_767_225_600), local("Thu 11:00"));
        // All year long (RFC 9636), and in an hour of the day before or after.
        assert_eq!(at("XXX3EDT4,0/0,J365/23", 1_767_225_600), local("Wed 20:00"));
        // 2026-03-27 00:00 UTC, when Jerusalem's clocks go forward; 2026-03-29 01:00 UTC, Nuuk's.
        let (jerusalem, nuuk) = ("IST-2IDT,M3.4.4/26,M10.5.0", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
        assert_eq!(at(jerusalem, 1_774_569_600 - 1), local("Fri 01:59"));
        assert_eq!(at(jerusalem, 1_774_569_600), local("Fri 03:00"));
        assert_eq!(at(nuuk, 1_774_746_000 - 1), local("Sat 22:59"));
        assert_eq!(at(nuuk, 1_774_746_000), local("Sun 00:00"));
    }

    #[test]
    fn what_is_no_zone_is_none() {
        for bad in ["", "Europe/Berlin", ":UTC", "+15:00", "+1", "CET", "localtime", "+24:00"] {
            assert_eq!(Zone::parse(bad), None, "{bad}");
        }
        for bad in ["CE-1", "<+1", "CET-25", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,J0,J9"] {
            assert_eq!(Zone::parse(bad), None, "{bad}");
        }
        for bad in ["M13.1.0", "M1.0.0", "M1.6.0", "M1.1.7", "366", "M3.5.0/168", "M3.5", "M3.5.0 "]
        {
            assert_eq!(Zone::parse(&["CET-1CEST,J1,", bad].concat()), None, "{bad}");
        }
        assert_eq!(at("UTC", u64::MAX), at("UTC", UNIX_SECS_MAX));
    }

    /// By the hour and the second before, in years of all kinds.
    #[test]
    fn it_is_what_another_reader_of_such_texts_says() {
        let settings = TimeZoneSettings::new(&[], |_| Err(Box::from("no file")));
        for text in [
            "CET-1CEST,M3.5.0,M10.5.0/3",
            "GMT0BST,M3.5.0/1,M10.5.0",
            "EST5EDT,M3.2.0,M11.1.0",
            "NZST-12NZDT,M9.5.0,M4.1.0/3",
            "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
            "IST-1GMT0,M10.5.0,M3.5.0/1",
            "AAA3BBB,J60,J300/4:30:15",
            "AAA-3BBB,59/0,300",
            "<+0545>-5:45",
        ] {
            let ours = Zone::parse(text).unwrap();
            let theirs = settings.parse_posix_tz(text).unwrap();
            for year in [1970, 2000, 2026, 2100] {
                let begin = days_before(year) * DAY_SECS;
                for secs in (0..366 * 24).flat_map(|hour| [0, 3_599].map(|at| hour * 3_600 + at)) {
                    let secs = begin + secs;
                    let ahead = theirs.find_local_time_type(secs).unwrap().ut_offset();
                    let told = Zone { ahead: ahead.into(), summer: None };
                    let secs = secs.unsigned_abs();
                    assert_eq!(ours.local(secs), told.local(secs), "{text} at {secs}");
                }
            }
        }
    }
}
