//! Who asks: at which addresses devices of ours are, and how often each has a target told. A share
//! is for those who are known, and no newcomer can take it. C86.

use core::net::IpAddr;

use crate::base::address::Prefix;
use crate::base::limits::{
    KNOWN_ASKERS_MAX, KNOWN_MS, PUSH_WINDOW_MS, PUSHES_MAX, PUSHES_OF_KNOWN, PUSHES_OF_STRANGERS,
    PUSHES_PER_NETWORK, PUSHES_PER_SOURCE, PUSHES_UNGRANTED, PUSHES_UNGRANTED_PER_NETWORK,
};
use crate::base::peer::PeerId;
use crate::base::table::{Seed, Table};
use crate::base::time::{RateWindow, Time};

/// What an initiator reads that asks for one target more often than it may.
pub(super) const TOO_OFTEN: &str = "Too many attempts, try again in a minute";

/// Where an initiator is.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    pub(super) source: Prefix,
    /// Whether a device of ours was there, as far as that is remembered.
    pub(super) known: bool,
    pub(super) network: Prefix,
    /// Whether it need show no key, or did from here: else another address did (C59).
    pub(super) granted: bool,
}

/// Whose pushes to one target a window counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Source(Prefix),
    Network { network: Prefix, granted: bool },
    All { known: bool, granted: bool },
}

/// See the file's head.
pub(in crate::rendezvous) struct Askers {
    /// When a device last proved itself at an address. Where all are fresh no further one is noted,
    /// so that newcomers push nobody out.
    known: Table<Prefix, Time>,
    /// What was told to each target within [`PUSH_WINDOW_MS`], by the hash of whose pushes to whom;
    /// the oldest is forgotten first.
    pushes: Table<u64, RateWindow>,
    seed: Seed,
}

impl Askers {
    pub(in crate::rendezvous) fn new(seed: Seed) -> Self {
        let (known, pushes) = (Table::new(KNOWN_ASKERS_MAX, seed), Table::new(PUSHES_MAX, seed));
        Self { known, pushes, seed }
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(in crate::rendezvous) fn bytes(&self) -> usize {
        self.known.bytes() + self.pushes.bytes()
    }

    /// Entries held: known addresses and windows.
    pub(in crate::rendezvous) fn len(&self) -> (usize, usize) {
        (self.known.len(), self.pushes.len())
    }

    /// A device proved itself at this address.
    pub(in crate::rendezvous) fn note_device(&mut self, now: Time, at: IpAddr) {
        let source = Prefix::of(at);
        let fresh = self.known.oldest().is_some_and(|(_, seen)| now.since_ms(*seen) < KNOWN_MS);
        if !self.known.is_full() || !fresh || self.known.get(&source).is_some() {
            self.known.insert_evicting(source, now);
        }
    }

    /// Who asks from this address.
    pub(super) fn of(&self, ip: IpAddr) -> Asker {
        let source = Prefix::of(ip);
        let known = self.known.get(&source).is_some();
        Asker { source, known, network: Prefix::of_network(ip), granted: true }
    }

    /// Counts one more push to a target; false, counting nothing, if this asker, its network or all
    /// of its kind had as many as they may.
    pub(super) fn allow(&mut self, now: Time, asker: Asker, target: &PeerId) -> bool {
        let Asker { known, granted, .. } = asker;
        let (of_network, in_all) = match (granted, known) {
            (false, _) => (PUSHES_UNGRANTED_PER_NETWORK, PUSHES_UNGRANTED),
            (true, true) => (PUSHES_PER_NETWORK, PUSHES_OF_KNOWN),
            (true, false) => (PUSHES_PER_NETWORK, PUSHES_OF_STRANGERS),
        };
        let shares = [
            (Whose::Source(asker.source), PUSHES_PER_SOURCE),
            (Whose::Network { network: asker.network, granted }, of_network),
            (Whose::All { known, granted }, in_all),
        ];
        let counted = shares.map(|(whose, limit)| {
            let key = self.seed.hash(&(whose, target));
            let mut window = self.pushes.get(&key).copied().unwrap_or(RateWindow::EMPTY);
            window.allow(now, PUSH_WINDOW_MS, limit).then_some((key, window))
        });
        let [Some(source), Some(network), Some(all)] = counted else { return false };
        for (key, window) in [source, network, all] {
            self.pushes.insert_evicting(key, window);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn addresses_of_devices_are_not_pushed_out_by_newer_ones() {
        let mut askers = Askers::new(Seed(1, 2));
        let ip = |number: u32| IpAddr::from(number.to_be_bytes());
        let start = Time::START;
        for number in 0..=u32::try_from(KNOWN_ASKERS_MAX).unwrap() {
            askers.note_device(start, ip(number));
        }
        let known = |askers: &Askers, number| askers.of(ip(number)).known;
        let last = u32::try_from(KNOWN_ASKERS_MAX).unwrap();
        assert!(known(&askers, 0) && known(&askers, last - 1) && !known(&askers, last));
        // Who is still there stays; who was not seen for long gives way.
        askers.note_device(start.after_ms(1), ip(0));
        askers.note_device(start.after_ms(KNOWN_MS), ip(last));
        assert!(known(&askers, last) && known(&askers, 0) && !known(&askers, 1));
        assert_eq!(askers.len().0, KNOWN_ASKERS_MAX);
    }

    #[test]
    fn a_share_for_each_source_network_and_kind() {
        let mut askers = Askers::new(Seed(1, 2));
        let target = PeerId::new("123456789").unwrap();
        let mut told = |now: Time, ip: &str, tries: u32| {
            let asker = askers.of(ip.parse().unwrap());
            (0..tries).filter(|_| askers.allow(now, asker, &target)).count()
        };
        let (start, later) = (Time::START, Time::START.after_ms(PUSH_WINDOW_MS));
        assert_eq!(told(start, "192.0.2.1", 100), usize::from(PUSHES_PER_SOURCE));
        assert_eq!(told(start, "192.0.2.2", 100), usize::from(PUSHES_PER_SOURCE));
        assert_eq!(told(start, "192.0.2.3", 100), 0, "its network is served");
        let mut rest = 0;
        for other in 0..20 {
            rest += told(start, &format!("2001:db8:{other}::1"), 100);
        }
        let all = usize::from(PUSHES_OF_STRANGERS);
        assert_eq!(rest + 2 * usize::from(PUSHES_PER_SOURCE), all);
        assert_eq!(told(start, "198.51.100.1", 1), 0);
        assert_eq!(told(later, "192.0.2.3", 1), 1);
    }
}
