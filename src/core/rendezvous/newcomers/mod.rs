//! How much those may have who are not known: a share for each address, for each network and in
//! all, apart for sources that are proved and for those that UDP alone tells, which anybody can
//! forge. What the known pay nothing for (C95) is not counted here. C20, C96-C98, C122.

mod proofs;
mod shares;

use core::net::IpAddr;

use crate::base::address::{Endpoint, Prefix};
use crate::base::conn::SaveRank;
use crate::base::limits::{
    CHANGES_IN_ALL, CHANGES_PER_SOURCE, CHANGES_UNPROVED, CHANGES_WINDOW_MS, NEWCOMERS_WINDOW_MS,
    PROMPT_MS, SETTLED_SECS, SOURCE_WINDOW_MS, UNPROVED_NEWCOMERS,
};
use crate::base::table::Seed;
use crate::base::time::{RateWindow, Throttle, Time};

use proofs::Proofs;
use shares::Shares;

/// What strangers have used up.
pub(super) struct Newcomers {
    proofs: Proofs,
    /// RegisterPk of those who are not known, from proved sources and from others.
    asked: Shares,
    asked_unproved: Throttle,
    /// New ids from proved sources, and from others in all.
    joined: Shares,
    joined_unproved: RateWindow,
    /// Networks of which a new id was stored at once, or a change of a young device.
    prompt: Throttle,
    /// New keys and new names from proved sources: for each, and in all for devices that are new
    /// and for those that are not. From others in all.
    changed: Shares,
    changed_in_all: [RateWindow; 2],
    changed_unproved: RateWindow,
}

/// Who wants a new key or a new name for a device that is registered.
#[derive(Clone, Copy)]
pub(super) struct Changer {
    pub(super) from: Endpoint,
    /// Its source is proved.
    pub(super) proved: bool,
    /// The device was registered a day ago, so that a crowd of new ones takes nothing from it.
    pub(super) settled: bool,
}

impl Newcomers {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            proofs: Proofs::new(seed),
            asked: Shares::new(SOURCE_WINDOW_MS, seed),
            asked_unproved: Throttle::new(SOURCE_WINDOW_MS, seed),
            joined: Shares::new(NEWCOMERS_WINDOW_MS, seed),
            joined_unproved: RateWindow::EMPTY,
            prompt: Throttle::new(PROMPT_MS, seed),
            changed: Shares::new(CHANGES_WINDOW_MS, seed),
            changed_in_all: [RateWindow::EMPTY; 2],
            changed_unproved: RateWindow::EMPTY,
        }
    }

    /// A connection from there is complete, which no forger of addresses can do (C96).
    pub(super) fn connected(&mut self, now: Time, from: Endpoint) {
        self.proofs.add(now, from);
    }

    /// Uses up a proof of `from`, if there is one.
    pub(super) fn take_proof(&mut self, now: Time, from: Endpoint) -> bool {
        self.proofs.take(now, from)
    }

    /// Whether there is one.
    pub(super) fn has_ids(&self, now: Time, from: Endpoint) -> bool {
        self.proofs.has_ids(now, from)
    }

    /// Whether somebody at `from` opened a connection within a minute.
    pub(super) fn is_proved(&self, now: Time, from: Endpoint) -> bool {
        self.proofs.has(now, from)
    }

    /// Counts a RegisterPk of one who is not known; false if its source had `limit` in a minute.
    pub(super) fn may_ask(&mut self, now: Time, from: Endpoint, proved: bool, limit: u16) -> bool {
        match proved {
            true => self.asked.allow(now, from, limit),
            false => self.asked_unproved.allow(now, from.prefix(), limit),
        }
    }

    /// Counts a new id of a proved source; false if that had `limit` in a day.
    pub(super) fn may_join(&mut self, now: Time, from: Endpoint, limit: u16) -> bool {
        self.joined.allow(now, from, limit)
    }

    /// How soon a new id of a proved source is stored: the first of a network in an hour is not
    /// kept waiting for what others spent (C122).
    pub(super) fn rank(&mut self, now: Time, from: Endpoint) -> SaveRank {
        match self.prompt.allow(now, from.prefix().network(), 1) {
            true => SaveRank::Prompt,
            false => SaveRank::Proved,
        }
    }

    /// How soon a new key or a new name is stored. Whoever can make ids can make keys for them: of
    /// devices younger than a day it is one of a network in an hour, as long as its new ids left
    /// that, which no new id of others takes the place of (C122).
    pub(super) fn change_rank(&mut self, now: Time, changer: Changer) -> SaveRank {
        let Changer { from, proved, settled } = changer;
        match settled {
            true => SaveRank::Known,
            false if proved && self.prompt.allow(now, from.prefix().network(), 2) => {
                SaveRank::Recent
            }
            false => SaveRank::Proved,
        }
    }

    /// Forgets what a source, and its network, asked for and brought.
    pub(super) fn forget(&mut self, ip: IpAddr) {
        let source = Prefix::of(ip);
        self.asked.forget(source);
        self.asked_unproved.forget(source);
        self.joined.forget(source);
    }

    /// Counts a new id of a source that is not proved; false if there were too many.
    pub(super) fn may_join_unproved(&mut self, now: Time) -> bool {
        self.joined_unproved.allow(now, SOURCE_WINDOW_MS, UNPROVED_NEWCOMERS)
    }

    /// Counts a new key or a new name; false if there were too many (C98).
    pub(super) fn may_change(&mut self, now: Time, changer: Changer) -> bool {
        let Changer { from, proved, settled } = changer;
        if !proved {
            return self.changed_unproved.allow(now, CHANGES_WINDOW_MS, CHANGES_UNPROVED);
        }
        let [new, old] = &mut self.changed_in_all;
        self.changed.allow(now, from, CHANGES_PER_SOURCE)
            && if settled { old } else { new }.allow(now, CHANGES_WINDOW_MS, CHANGES_IN_ALL)
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(super) fn bytes(&self) -> usize {
        let shares = [&self.asked, &self.joined, &self.changed].map(Shares::bytes);
        shares.iter().sum::<usize>()
            + self.asked_unproved.bytes()
            + self.prompt.bytes()
            + self.proofs.bytes()
    }

    /// Sources in the fullest of the tables.
    pub(super) fn remembered(&self) -> usize {
        let shares = [&self.asked, &self.joined, &self.changed].map(Shares::remembered);
        let others = self.asked_unproved.remembered().max(self.proofs.remembered());
        let others = others.max(self.prompt.remembered());
        shares.into_iter().fold(others, usize::max)
    }
}

/// Whether a device registered so long ago that a crowd of new ones takes nothing from it.
pub(super) const fn is_settled(first_seen_secs: u64, unix_secs: u64) -> bool {
    unix_secs.saturating_sub(first_seen_secs) >= SETTLED_SECS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c122_one_of_each_network_in_an_hour_is_prompt() {
        let mut newcomers = Newcomers::new(Seed(0, 0));
        let mut ranks = |ms, ips: &[&str]| {
            let mut rank = |ip: &&str| {
                let from = Endpoint::new(ip.parse().unwrap(), 1);
                newcomers.rank(Time::from_millis(ms), from)
            };
            ips.iter().filter(|ip| rank(ip) == SaveRank::Prompt).count()
        };
        assert_eq!(ranks(0, &["192.0.2.1", "192.0.2.1", "192.0.2.200", "192.0.2.7"]), 1);
        assert_eq!(ranks(1, &["2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:ffff::1"]), 1);
        assert_eq!(ranks(2, &["192.0.3.1", "2001:db8:2::1"]), 2);
        assert_eq!(ranks(PROMPT_MS - 1, &["192.0.2.9"]), 0);
        assert_eq!(ranks(PROMPT_MS, &["192.0.2.9"]), 1);
    }

    #[test]
    fn c122_one_change_of_each_network_in_an_hour_is_no_new_id() {
        let mut newcomers = Newcomers::new(Seed(0, 0));
        let mut rank = |ip: &str, proved, settled| {
            let from = Endpoint::new(ip.parse().unwrap(), 1);
            newcomers.change_rank(Time::START, Changer { from, proved, settled })
        };
        assert_eq!(rank("192.0.2.1", true, true), SaveRank::Known);
        assert_eq!(rank("192.0.2.1", false, false), SaveRank::Proved);
        assert_eq!(rank("192.0.2.1", true, false), SaveRank::Recent);
        assert_eq!(rank("192.0.3.1", true, false), SaveRank::Recent);
        let from = Endpoint::new("192.0.4.1".parse().unwrap(), 1);
        assert_eq!(newcomers.rank(Time::START, from), SaveRank::Prompt);
        let changer = Changer { from, proved: true, settled: false };
        assert_eq!(newcomers.change_rank(Time::START, changer), SaveRank::Recent);
        assert_eq!(newcomers.change_rank(Time::START, changer), SaveRank::Proved);
    }
}
