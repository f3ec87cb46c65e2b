//! How often in a second something dear is done for others: so often for one source, so often in
//! all, and of that a part for sources that are known, which strangers cannot take.

use core::net::IpAddr;

use super::{RateWindow, Throttle, Time};
use crate::base::address::Prefix;
use crate::base::table::Seed;

const SECOND_MS: u64 = 1_000;

/// What may be done in a second.
#[derive(Clone, Copy, Debug)]
pub struct PerSecond {
    /// For one source: an IPv4 address or an IPv6 /64.
    pub source: u16,
    /// For all sources that are not known.
    pub strangers: u16,
    /// In all.
    pub all: u16,
}

/// Counts what is done.
pub struct Shares {
    limits: PerSecond,
    sources: Throttle,
    strangers: RateWindow,
    all: RateWindow,
}

impl Shares {
    /// Nothing was done yet; `seed` keys the table of sources.
    pub fn new(limits: PerSecond, seed: Seed) -> Self {
        let (strangers, all) = (RateWindow::EMPTY, RateWindow::EMPTY);
        Self { limits, sources: Throttle::new(SECOND_MS, seed), strangers, all }
    }

    /// Counts one more for `source`; false if it, its kind or all had theirs within a second.
    pub fn allow(&mut self, now: Time, source: IpAddr, known: bool) -> bool {
        let PerSecond { source: per_source, strangers, all } = self.limits;
        self.sources.allow(now, Prefix::of(source), per_source)
            && (known || self.strangers.allow(now, SECOND_MS, strangers))
            && self.all.allow(now, SECOND_MS, all)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;

    const LIMITS: PerSecond = PerSecond { source: 2, strangers: 5, all: 8 };

    /// How many of `sources`, at the same moment, are served.
    fn served(shares: &mut Shares, at: u64, sources: &[&str], known: bool) -> usize {
        let allowed =
            |source: &&&str| shares.allow(Time::from_millis(at), source.parse().unwrap(), known);
        sources.iter().filter(allowed).count()
    }

    #[test]
    fn c090_one_source_has_its_share_and_no_more() {
        let mut shares = Shares::new(LIMITS, Seed(1, 2));
        assert_eq!(served(&mut shares, 0, &["192.0.2.1"; 9], false), 2);
        let same_64 = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"];
        assert_eq!(served(&mut shares, 0, &same_64, false), 3);
        assert_eq!(served(&mut shares, 999, &["192.0.2.1"], true), 0);
        assert_eq!(served(&mut shares, 1_000, &["192.0.2.1"; 9], false), 2);
    }

    #[test]
    fn c090_strangers_leave_a_part_to_those_who_are_known() {
        let mut shares = Shares::new(LIMITS, Seed(1, 2));
        let many: Vec<_> = (0..40).map(|host| format!("198.51.100.{host}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(served(&mut shares, 0, &many, false), 5);
        assert_eq!(served(&mut shares, 0, &["192.0.2.1", "192.0.2.2"], false), 0);
        assert_eq!(served(&mut shares, 0, &["203.0.113.1", "203.0.113.2"], true), 2);
        assert_eq!(served(&mut shares, 0, &many, true), 1, "no more than all may have");
    }
}
