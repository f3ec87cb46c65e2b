//! A set of networks that is asked, for every connection or message, whether an address lies in
//! it: sorted, so that the longest list costs 17 comparisons. Checks: C72, the tests below.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::endpoint::Network;

/// Networks none of which lies in another, in order. Copies share the memory, 18 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSet(Arc<[Network]>);

impl NetworkSet {
    /// Whether `ip` lies in one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let host = Network::of_host(ip);
        self.last(|network| *network <= host).is_some_and(|network| network.contains(ip))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Network> {
        self.0.iter()
    }

    /// The last one that `is_before` something holds for: as none lies in another, the only one
    /// that something can lie in.
    fn last(&self, is_before: impl FnMut(&Network) -> bool) -> Option<&Network> {
        let end = self.0.partition_point(is_before);
        self.0.get(end.checked_sub(1)?)
    }
}

impl From<Vec<Network>> for NetworkSet {
    fn from(mut networks: Vec<Network>) -> Self {
        networks.sort_unstable();
        // A network comes right before those that lie in it.
        networks.dedup_by(|later, kept| kept.includes(later));
        Self(networks.into())
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;
    use core::cell::Cell;

    use super::*;

    fn set(texts: &[&str]) -> NetworkSet {
        texts.iter().map(|text| Network::parse(text).unwrap()).collect::<Vec<_>>().into()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn nested_and_neighbouring_networks_are_all_found() {
        let set = set(&[
            "10.1.2.3",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.0.0.0",
            "11.0.0.0",
            "192.0.2.0/24",
            "192.0.3.0/24",
            "192.0.2.7",
            "2001:db8::/32",
            "2001:db8::1",
            "::a00:1/128",
        ]);
        for inside in [
            "10.0.0.0",
            "10.1.2.3",
            "10.255.255.255",
            "11.0.0.0",
            "192.0.2.0",
            "192.0.3.255",
            "::ffff:10.9.9.9",
            "2001:db8::",
            "2001:db8:ffff::1",
        ] {
            assert!(set.contains(ip(inside)), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.1", "192.0.1.255", "192.0.4.0", "2001:db9::"] {
            assert!(!set.contains(ip(outside)), "{outside}");
        }
        assert!(!NetworkSet::default().contains(ip("10.0.0.1")));
        let all = NetworkSet::from(vec![Network::parse("0.0.0.0/0").unwrap()]);
        assert!(all.contains(ip("255.255.255.255")) && !all.contains(ip("::1")));
    }

    #[test]
    fn the_longest_list_costs_17_comparisons() {
        let texts = (0..=u16::MAX).map(|n| format!("10.{}.{}.0/25", n >> 8, n & 255));
        let networks: Vec<_> = texts.map(|text| Network::parse(&text).unwrap()).collect();
        let set = NetworkSet::from(networks);
        assert_eq!(set.0.len(), 65_536);
        for n in 0..=u16::MAX {
            let inside = ip(&format!("10.{}.{}.77", n >> 8, n & 255));
            let (compared, host) = (Cell::new(0), Network::of_host(inside));
            let found = set.last(|network| {
                compared.set(compared.get() + 1);
                *network <= host
            });
            assert!(found.is_some_and(|network| network.contains(inside)));
            assert!(compared.get() <= 17, "{} for {inside}", compared.get());
            assert!(set.contains(inside));
            assert!(!set.contains(ip(&format!("10.{}.{}.177", n >> 8, n & 255))));
        }
    }
}
