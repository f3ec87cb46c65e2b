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
    /// For one network of sources that are not known: an IPv4 /24 or an IPv6 /48.
    pub network: u16,
    /// For all sources that are not known.
    pub strangers: u16,
    /// In all.
    pub all: u16,
}

/// Counts what is done.
pub struct Shares {
    limits: PerSecond,
    sources: Throttle,
    networks: Throttle,
    strangers: RateWindow,
    all: RateWindow,
}

impl Shares {
    /// Nothing was done yet; `seed` keys the table of sources.
    pub fn new(limits: PerSecond, seed: Seed) -> Self {
        let (strangers, all) = (RateWindow::EMPTY, RateWindow::EMPTY);
        let throttle = || Throttle::new(SECOND_MS, seed);
        Self { limits, sources: throttle(), networks: throttle(), strangers, all }
    }

    /// Counts one more for `source`; false if it, its network or kind, or all had theirs within a
    /// second.
    pub fn allow(&mut self, now: Time, source: IpAddr, known: bool) -> bool {
        let PerSecond { source: per_source, network, strangers, all } = self.limits;
        let prefix = Prefix::of(source);
        self.sources.allow(now, prefix, per_source)
            && (known
                || self.networks.allow(now, prefix.network(), network)
                    && self.strangers.allow(now, SECOND_MS, strangers))
            && self.all.allow(now, SECOND_MS, all)
    }

    /// What was counted for `source` was of another kind, and counts there as long as that kind
    /// has not had its own.
    pub fn give_back(&mut self, now: Time, (source, known): (IpAddr, bool), to: &mut Self) {
        if !to.allow(now, source, known) {
            return;
        }
        self.sources.give_back(Prefix::of(source));
        if !known {
            self.networks.give_back(Prefix::of_network(source));
            self.strangers.give_back();
        }
        self.all.give_back();
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;

    const LIMITS: PerSecond = PerSecond { source: 2, network: 3, strangers: 5, all: 8 };

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
    fn c090_one_network_does_not_take_what_all_strangers_have() {
        let mut shares = Shares::new(LIMITS, Seed(1, 2));
        let same_48: Vec<_> = (0..40).map(|net| format!("2001:db8:1:{net:x}::1")).collect();
        let same_48: Vec<&str> = same_48.iter().map(String::as_str).collect();
        assert_eq!(served(&mut shares, 0, &same_48, false), 3);
        assert_eq!(served(&mut shares, 0, &["192.0.2.1", "2001:db8:2::1"], false), 2);
        // Who is known there pays nothing for its neighbours.
        assert_eq!(served(&mut shares, 0, &same_48, true), 3, "no more than all may have");
    }

    #[test]
    fn c129_what_is_given_back_can_be_had_again_as_long_as_its_kind_has_a_share() {
        let (mut shares, mut calls) =
            (Shares::new(LIMITS, Seed(1, 2)), Shares::new(LIMITS, Seed(1, 2)));
        let source = "192.0.2.1";
        assert_eq!(served(&mut shares, 0, &[source; 3], false), 2);
        let who = (source.parse().unwrap(), false);
        (0..5).for_each(|_| shares.give_back(Time::START, who, &mut calls));
        assert_eq!(served(&mut shares, 1, &[source; 9], false), 2);
        assert_eq!(served(&mut calls, 1, &[source; 9], false), 0);
    }

    /// How many of 40 sources fail within three seconds beside 73 others a second, of eight
    /// known sources, that turn out to be calls.
    fn failed_beside_calls(calls: &mut Shares) -> usize {
        let all = PerSecond { source: 10, network: 15, strangers: 25, all: 50 };
        let mut shares = Shares::new(all, Seed(1, 2));
        let ip = |number: u64| IpAddr::from([192, 0, 2, u8::try_from(number % 8).unwrap()]);
        let times = (0..219).map(|number| (number * 1000 / 73, number, true));
        let times = times.chain((0..40).map(|number| (number * 75, number, false)));
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        let mut failed = |(at, number, is_call)| {
            let (now, who) = (Time::from_millis(at), (ip(number), true));
            let allowed = shares.allow(now, who.0, who.1);
            if is_call && allowed {
                shares.give_back(now, who, calls);
            }
            !is_call && !allowed
        };
        times.into_iter().filter(|it| failed(*it)).count()
    }

    #[test]
    fn c129_seventy_three_calls_a_second_fail_no_registration() {
        let share = PerSecond { source: 10, network: 15, strangers: 20, all: 40 };
        assert_eq!(failed_beside_calls(&mut Shares::new(share, Seed(1, 2))), 0);
        let none = PerSecond { source: 0, network: 0, strangers: 0, all: 0 };
        assert!(failed_beside_calls(&mut Shares::new(none, Seed(1, 2))) > 10);
    }

    #[test]
    fn c090_strangers_leave_a_part_to_those_who_are_known() {
        let mut shares = Shares::new(LIMITS, Seed(1, 2));
        let many: Vec<_> = (0..40).map(|net| format!("198.51.{net}.1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(served(&mut shares, 0, &many, false), 5);
        assert_eq!(served(&mut shares, 0, &["192.0.2.1", "192.0.2.2"], false), 0);
        assert_eq!(served(&mut shares, 0, &["203.0.113.1", "203.0.113.2"], true), 2);
        assert_eq!(served(&mut shares, 0, &many, true), 1, "no more than all may have");
    }
}
