//! Which sources are proved: a TCP connection takes three segments, so that its address is no
//! forgery. Every one buys its source some new ids within a minute. C96.

use crate::base::address::{Endpoint, Prefix};
use crate::base::limits::{PROOF_IDS, PROOF_MS, PROVED_PER_NETWORK, THROTTLED_MAX};
use crate::base::table::{Seed, Table};
use crate::base::time::{Throttle, Time};

/// What connections bought, for up to [`THROTTLED_MAX`] sources; the oldest is forgotten first.
pub(super) struct Proofs {
    sources: Table<Prefix, Proof>,
    /// New sources of one network, so that none pushes all others out.
    networks: Throttle,
}

#[derive(Clone, Copy)]
struct Proof {
    /// New ids that may come.
    ids: u16,
    /// When the last connection came.
    since: Time,
}

impl Proofs {
    pub(super) fn new(seed: Seed) -> Self {
        let sources = Table::new(THROTTLED_MAX, seed);
        Self { sources, networks: Throttle::new(PROOF_MS, seed) }
    }

    /// A connection from there is complete.
    pub(super) fn add(&mut self, now: Time, from: Endpoint) {
        let source = from.prefix();
        let left = self.left(now, source);
        if left.is_none() && !self.networks.allow(now, source.network(), PROVED_PER_NETWORK) {
            return;
        }
        let ids = left.unwrap_or(0).saturating_add(PROOF_IDS);
        self.sources.insert_evicting(source, Proof { ids, since: now });
    }

    /// Uses up one id that a source may bring; false if there is none.
    pub(super) fn take(&mut self, now: Time, from: Endpoint) -> bool {
        let source = from.prefix();
        let Some(left) = self.left(now, source).filter(|left| *left > 0) else { return false };
        if let Some(proof) = self.sources.get_mut(&source) {
            proof.ids = left - 1;
        }
        true
    }

    /// Whether a source may bring an id.
    pub(super) fn has_ids(&self, now: Time, from: Endpoint) -> bool {
        self.left(now, from.prefix()).is_some_and(|left| left > 0)
    }

    /// Whether a connection came from there within a minute.
    pub(super) fn has(&self, now: Time, from: Endpoint) -> bool {
        self.left(now, from.prefix()).is_some()
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(super) fn bytes(&self) -> usize {
        self.sources.bytes() + self.networks.bytes()
    }

    pub(super) fn remembered(&self) -> usize {
        self.sources.len()
    }

    /// How many ids a source may still bring; None if no connection came within a minute.
    fn left(&self, now: Time, source: Prefix) -> Option<u16> {
        let fresh = |proof: &&Proof| now.since_ms(proof.since) < PROOF_MS;
        self.sources.get(&source).filter(fresh).map(|proof| proof.ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str) -> Endpoint {
        Endpoint::new(ip.parse().unwrap(), 1)
    }

    #[test]
    fn a_connection_buys_its_source_four_ids_for_a_minute() {
        let mut proofs = Proofs::new(Seed(0, 0));
        let (one, other) = (at("10.0.0.1"), at("10.0.0.2"));
        assert!(!proofs.take(Time::START, one));
        proofs.add(Time::START, one);
        let last = Time::from_millis(PROOF_MS - 1);
        assert!((0..4).all(|_| proofs.take(last, one)));
        assert!(!proofs.take(last, one) && !proofs.take(last, other));
        proofs.add(last, one);
        assert!(!proofs.take(last.after_ms(PROOF_MS), one));
    }

    #[test]
    fn connections_add_up() {
        let mut proofs = Proofs::new(Seed(0, 0));
        let one = at("2001:db8::1");
        proofs.add(Time::START, one);
        proofs.add(Time::START, at("2001:db8::2"));
        assert!((0..8).all(|_| proofs.take(Time::START, one)));
        assert!(!proofs.take(Time::START, one));
    }

    #[test]
    fn one_network_does_not_push_the_others_out() {
        let mut proofs = Proofs::new(Seed(0, 0));
        let one = at("198.51.100.1");
        proofs.add(Time::START, one);
        for host in 0..=u16::MAX {
            proofs.add(Time::START, at(&alloc::format!("2001:db8:1:{host:x}::1")));
        }
        assert!(proofs.take(Time::START, one));
        assert!(proofs.remembered() <= 1 + usize::from(PROVED_PER_NETWORK));
    }
}
