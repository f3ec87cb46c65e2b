//! When a rule holds: days of the week and hours of the day, where the router is. It reads no
//! clock.

use alloc::vec::Vec;

const DAY_MINUTES: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const EVERY_DAY: u8 = 0x7f;
/// The first day of 1970 was a Thursday.
const DAY_OF_1970: i64 = 3;

/// A time of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// 0 is Monday, 6 Sunday.
    day: u8,
    /// Since midnight, below 1,440.
    minute: u16,
}

impl Local {
    /// Reads `Mon 14:00`; None for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.trim().split_once(' ')?;
        let minute = minutes(time.trim()).filter(|minute| *minute < DAY_MINUTES)?;
        Some(Self { day: day_of(day)?, minute })
    }

    /// So many minutes after the begin of 1970.
    pub(super) fn of_minutes(minutes: i64) -> Self {
        let day = (minutes.div_euclid(DAY_MINUTES.into()) + DAY_OF_1970).rem_euclid(7);
        let minute = minutes.rem_euclid(DAY_MINUTES.into());
        Self { day: u8::try_from(day).unwrap_or(0), minute: u16::try_from(minute).unwrap_or(0) }
    }

    /// The weekday's first three letters, and hour and minute.
    pub fn words(self) -> (&'static str, [u16; 2]) {
        let day = DAYS.get(usize::from(self.day)).copied().unwrap_or_default();
        (day, [self.minute / 60, self.minute % 60])
    }
}

/// Days and hours, from the first minute of a span up to its last, not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct When {
    /// The lowest bit is Monday.
    days: u8,
    /// None for the whole day. One that ends before it begins goes on in the next day.
    hours: Vec<(u16, u16)>,
}

impl When {
    /// At any time.
    pub(super) const fn always() -> Self {
        Self { days: EVERY_DAY, hours: Vec::new() }
    }

    pub(super) fn is_always(&self) -> bool {
        self.days == EVERY_DAY && self.hours.is_empty()
    }

    pub(super) fn has(&self, now: Local) -> bool {
        let Local { day, minute } = now;
        let is_day = |day: u8| self.days >> day & 1 == 1;
        let (today, yesterday) = (is_day(day), is_day((day + 6) % 7));
        let is_in = |(from, to): &(u16, u16)| match from < to {
            true => today && (*from..*to).contains(&minute),
            false => today && minute >= *from || yesterday && minute < *to,
        };
        if self.hours.is_empty() { today } else { self.hours.iter().any(is_in) }
    }

    /// Takes days such as `Mon-Fri,Sun`; None for anything else.
    pub(super) fn set_days(&mut self, text: &str) -> Option<()> {
        self.days = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (mut day, last) = (day_of(first)?, day_of(last)?);
            self.days |= 1 << last;
            while day != last {
                self.days |= 1 << day;
                day = (day + 1) % 7;
            }
        }
        Some(())
    }

    /// Takes hours such as `08:00-12:00,13:00-17:30`; None for anything else.
    pub(super) fn set_hours(&mut self, text: &str) -> Option<()> {
        for part in text.split(',') {
            let (from, to) = part.split_once('-')?;
            let (from, to) = (minutes(from)?, minutes(to)?);
            if from == to || from == DAY_MINUTES {
                return None;
            }
            self.hours.push((from, to));
        }
        Some(())
    }
}

fn day_of(text: &str) -> Option<u8> {
    let day = DAYS.iter().position(|day| text.eq_ignore_ascii_case(day))?;
    u8::try_from(day).ok()
}

/// Minutes since midnight of `14:30`, `24:00` at most.
pub(super) fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str, most: u16| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|number: &u16| plain && *number <= most)
    };
    let all = two(hour, 24)? * 60 + two(minute, 59).filter(|_| minute.len() == 2)?;
    (all <= DAY_MINUTES).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> Local {
        Local::parse(text).unwrap()
    }

    #[test]
    fn a_span_over_midnight_belongs_to_the_day_it_began() {
        let mut when = When::always();
        when.set_days("Fri").unwrap();
        when.set_hours("22:00-06:00,12:00-13:00").unwrap();
        for inside in ["Fri 12:00", "Fri 12:59", "Fri 22:00", "Fri 23:59", "Sat 00:00", "Sat 05:59"]
        {
            assert!(when.has(local(inside)), "{inside}");
        }
        for outside in
            ["Fri 00:00", "Fri 05:59", "Fri 13:00", "Fri 21:59", "Sat 06:00", "Sat 22:00"]
        {
            assert!(!when.has(local(outside)), "{outside}");
        }
    }

    #[test]
    fn days_may_go_round_the_week() {
        let mut when = When::always();
        when.set_days("sat-MON,Wed").unwrap();
        let days = DAYS.map(|day| when.has(Local { day: day_of(day).unwrap(), minute: 0 }));
        assert_eq!(days, [true, false, true, false, false, true, true]);
        for bad in ["", "Mo", "Mon-", "Mon Tue", "Mon,", "-", "Mon-Wed-Fri"] {
            assert_eq!(when.set_days(bad), None, "{bad}");
        }
    }

    #[test]
    fn hours_are_of_the_clock() {
        for good in ["8:00-12:30", "00:00-24:00", "08:00-09:00,10:00-11:00", "23:59-00:00"] {
            assert_eq!(When::always().set_hours(good), Some(()), "{good}");
        }
        for bad in [
            "",
            "8-12",
            "08:00",
            "25:00-26:00",
            "24:00-01:00",
            "08:00-08:00",
            "08:60-09:00",
            "24:01-01:00",
            "+8:00-09:00",
            "08:0-09:00",
            "008:00-09:00",
        ] {
            assert_eq!(When::always().set_hours(bad), None, "{bad}");
        }
    }
}
