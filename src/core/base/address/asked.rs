//! At which of our addresses each device asked: a router has several, and a client hears only the
//! one it asked, so that it is answered from there. It must not know sockets. C24, C152.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::endpoint::Endpoint;
use crate::base::limits::{OWN_ADDRESSES_MAX, TARGETS_MAX};
use crate::base::table::{Seed, Table};

/// Our addresses, and who asked where.
pub struct Asked {
    /// Our addresses that were asked, the usual one first: that of the first datagram.
    own: Vec<IpAddr>,
    /// Where the last datagram came from, and which of our addresses it was sent to.
    last: Option<(Endpoint, u8)>,
    /// Devices that register at another than the usual, by its place in `own`. Nobody else is
    /// noted, so that no stranger pushes one out.
    others: Table<Endpoint, u8>,
    /// The same of those whose registration waits for the disk; the oldest is forgotten first.
    waiting: Table<Endpoint, u8>,
}

impl Asked {
    /// Nobody asked yet; up to `peers` are remembered at other addresses than the usual one.
    pub fn new(peers: usize, seed: Seed) -> Self {
        let (others, waiting) = (Table::new(peers, seed), Table::new(TARGETS_MAX, seed));
        Self { own: Vec::new(), last: None, others, waiting }
    }

    /// A datagram of `peer` came to `own`; None where that is not known or tells nothing.
    pub fn heard(&mut self, peer: Endpoint, own: Option<IpAddr>) {
        self.last = own.and_then(|own| self.place_of(own)).map(|place| (peer, place));
    }

    /// The address of ours that whoever is at `peer` asked; the usual one if that is not known,
    /// None if nobody asked.
    pub fn answers_from(&self, peer: Endpoint) -> Option<IpAddr> {
        let place = self.asked_by(peer).or_else(|| self.others.get(&peer).copied());
        self.own.get(usize::from(place.unwrap_or(0))).copied()
    }

    /// The address of ours at which a device is registered; None if nobody asked.
    pub fn registered_at(&self, peer: Endpoint) -> Option<IpAddr> {
        let place = self.others.get(&peer).copied().unwrap_or(0);
        self.own.get(usize::from(place)).copied()
    }

    /// Changes how many are remembered.
    pub fn set_peers(&mut self, peers: usize) {
        self.others.set_limit(peers);
    }

    /// Notes for a while where somebody asked whose answer may come later.
    pub fn note_waiting(&mut self, peer: Endpoint) {
        if let Some(place) = self.asked_by(peer).filter(|place| *place > 0) {
            self.waiting.insert_evicting(peer, place);
        }
    }

    /// Notes where a device is registered, so that what it is sent comes from there.
    pub fn note_device(&mut self, peer: Endpoint) {
        match self.asked_by(peer) {
            Some(0) if !self.others.is_empty() => drop(self.others.remove(&peer)),
            Some(place) if place > 0 => self.others.insert_evicting(peer, place),
            _ => {}
        }
    }

    /// Notes where a device was registered before the start.
    pub fn note_recalled(&mut self, peer: Endpoint, own: IpAddr) {
        if let Some(place) = self.place_of(own).filter(|place| *place > 0) {
            self.others.insert_evicting(peer, place);
        }
    }

    /// The place of one of our addresses. A line that gets a new one every day fills them in a
    /// month: then all are learnt anew.
    fn place_of(&mut self, asked: IpAddr) -> Option<u8> {
        let known = self.own.iter().position(|own| *own == asked);
        let place = known.unwrap_or(self.own.len());
        if known.is_none() {
            if self.own.len() == OWN_ADDRESSES_MAX {
                self.own.truncate(1);
                while self.others.pop_oldest().is_some() {}
                while self.waiting.pop_oldest().is_some() {}
                return None;
            }
            self.own.push(asked);
        }
        u8::try_from(place).ok()
    }

    /// Where `peer` asked: of the datagram at hand, or while it waited.
    fn asked_by(&self, peer: Endpoint) -> Option<u8> {
        let last = self.last.filter(|(from, _)| *from == peer).map(|(_, place)| place);
        last.or_else(|| self.waiting.get(&peer).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u16) -> Endpoint {
        let [high, low] = host.to_be_bytes();
        Endpoint::new(IpAddr::from([192, 0, high, low]), 1)
    }

    /// Whoever is at `peer` asks at one of ours, and is registered there.
    fn registers(asked: &mut Asked, peer: Endpoint, own: [u8; 4]) {
        asked.heard(peer, Some(own.into()));
        asked.note_device(peer);
    }

    #[test]
    fn c024_strangers_push_no_device_out_and_after_a_reload_more_are_remembered() {
        let (usual, other) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let mut asked = Asked::new(2, Seed(0, 0));
        registers(&mut asked, at(1), usual);
        registers(&mut asked, at(2), other);
        for host in 100..3_000 {
            asked.heard(at(host), Some(other.into()));
            assert_eq!(asked.answers_from(at(host)), Some(other.into()));
        }
        let from = |asked: &Asked, host| asked.answers_from(at(host)) == Some(other.into());
        assert_eq!([1, 2, 100].map(|host| from(&asked, host)), [false, true, false]);
        asked.set_peers(4);
        (3..6).for_each(|host| registers(&mut asked, at(host), other));
        assert!((2..6).all(|host| from(&asked, host)));
        registers(&mut asked, at(2), usual);
        assert!(!from(&asked, 2) && asked.registered_at(at(2)) == Some(usual.into()));
    }
}
