//! A limit for each source and for each network of sources, so that who has many addresses has not
//! many shares. C96, C98.

use crate::base::address::{Endpoint, Prefix};
use crate::base::limits::SHARES_PER_NETWORK;
use crate::base::table::Seed;
use crate::base::time::{Throttle, Time};

/// Windows of one length: for each source (IPv4 address, IPv6 /64), and for each network (/24, /48)
/// with [`SHARES_PER_NETWORK`] times as much.
pub(super) struct Shares {
    sources: Throttle,
    networks: Throttle,
}

impl Shares {
    pub(super) fn new(window_ms: u64, seed: Seed) -> Self {
        let new = || Throttle::new(window_ms, seed);
        Self { sources: new(), networks: new() }
    }

    /// Counts one more; false if the source had `limit` in its window, or its network its share.
    /// Who is refused for itself takes nothing from its neighbours.
    pub(super) fn allow(&mut self, now: Time, from: Endpoint, limit: u16) -> bool {
        let (source, in_all) = (from.prefix(), limit.saturating_mul(SHARES_PER_NETWORK));
        self.sources.allow(now, source, limit) && self.networks.allow(now, source.network(), in_all)
    }

    /// Forgets what was counted for a source and for its network.
    pub(super) fn forget(&mut self, source: Prefix) {
        self.sources.forget(source);
        self.networks.forget(source.network());
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(super) fn bytes(&self) -> usize {
        self.sources.bytes() + self.networks.bytes()
    }

    pub(super) fn remembered(&self) -> usize {
        self.sources.remembered().max(self.networks.remembered())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_a_few_shares_and_the_greedy_take_no_more() {
        let mut shares = Shares::new(1_000, Seed(0, 0));
        let mut asks = |ip: &str| {
            let from = Endpoint::new(ip.parse().unwrap(), 1);
            (0..100).filter(|_| shares.allow(Time::START, from, 2)).count()
        };
        assert_eq!([asks("192.0.2.1"), asks("192.0.2.2"), asks("192.0.2.3")], [2, 2, 2]);
        assert_eq!([asks("192.0.2.4"), asks("192.0.2.5"), asks("192.0.3.5")], [2, 0, 2]);
        let six: usize = (0..100).map(|net| asks(&alloc::format!("2001:db8:0:{net}::1"))).sum();
        assert_eq!((six, asks("2001:db8:1::1")), (8, 2));
    }
}
