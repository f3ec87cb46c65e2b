//! How many legs each address and each network has, those whose token passed our signalling counted
//! apart from all others, and how many they may have. It must not know tokens or connections. C106.

use crate::base::address::Prefix;
use crate::base::limits::LEGS_CEILING;
use crate::base::table::{Seed, Table};

/// Legs by where they come from.
pub(super) struct Crowd {
    addresses: Table<Prefix, Held>,
    networks: Table<Prefix, Held>,
    others: usize,
}

/// The legs of one address or network.
#[derive(Clone, Copy, Default)]
struct Held {
    known: u32,
    others: u32,
}

impl Held {
    const fn of(&mut self, known: bool) -> &mut u32 {
        if known { &mut self.known } else { &mut self.others }
    }
}

/// How many legs of a kind there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// In all.
    pub(super) all: usize,
    /// Of one address: half, so that it may have one end of every session but not both of all.
    address: usize,
    /// Of one network: three quarters.
    pub(super) network: usize,
}

impl Share {
    /// Shares of `all` places, which are two at least: one session.
    pub(super) fn of(all: usize) -> Self {
        let all = all.max(2);
        Self { all, address: (all / 2).max(2), network: (all * 3 / 4).max(2) }
    }
}

impl Crowd {
    /// Nobody yet; the tables hash under `seed`.
    pub(super) fn new(seed: Seed) -> Self {
        let tables = || Table::new(LEGS_CEILING, seed);
        Self { addresses: tables(), networks: tables(), others: 0 }
    }

    /// One leg more.
    pub(super) fn add(&mut self, source: Prefix, known: bool) {
        self.others += usize::from(!known);
        for (table, key) in [(&mut self.addresses, source), (&mut self.networks, source.network())]
        {
            let mut held = table.get(&key).copied().unwrap_or_default();
            *held.of(known) += 1;
            let _ = table.insert(key, held);
        }
    }

    /// One leg less.
    pub(super) fn remove(&mut self, source: Prefix, known: bool) {
        self.others = self.others.saturating_sub(usize::from(!known));
        for (table, key) in [(&mut self.addresses, source), (&mut self.networks, source.network())]
        {
            let Some(held) = table.get_mut(&key) else { continue };
            *held.of(known) = held.of(known).saturating_sub(1);
            if held.known + held.others == 0 {
                table.remove(&key);
            }
        }
    }

    /// How many legs there are whose token nobody told us.
    pub(super) const fn others(&self) -> usize {
        self.others
    }

    /// How many legs of its kind a source's address has.
    pub(super) fn of_address(&self, source: Prefix, known: bool) -> usize {
        count(&self.addresses, source, known)
    }

    /// How many legs of its kind a source's network has.
    pub(super) fn of_network(&self, source: Prefix, known: bool) -> usize {
        count(&self.networks, source.network(), known)
    }

    /// Whether legs of these sources may be added, as far as their addresses and networks go.
    pub(super) fn fit(&self, sources: [Prefix; 2], known: bool, share: Share) -> bool {
        let [one, other] = sources;
        let both = 1 + usize::from(one == other);
        let near = 1 + usize::from(one.network() == other.network());
        sources.iter().all(|source| {
            self.of_address(*source, known) + both <= share.address
                && self.of_network(*source, known) + near <= share.network
        })
    }

    /// The address that has most legs whose token nobody told us, and how many.
    pub(super) fn greediest(&self) -> Option<(Prefix, usize)> {
        let others = self.addresses.iter().filter(|(_, held)| held.others > 0);
        let most = others.max_by_key(|(_, held)| held.others);
        most.map(|(source, held)| (*source, held.others as usize))
    }
}

fn count(table: &Table<Prefix, Held>, key: Prefix, known: bool) -> usize {
    table.get(&key).map_or(0, |held| if known { held.known } else { held.others }) as usize
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn from(ip: &str) -> Prefix {
        Prefix::of(ip.parse().unwrap())
    }

    #[test]
    fn c106_an_address_may_have_half_and_a_network_three_quarters() {
        let mut crowd = Crowd::new(Seed(1, 2));
        let share = Share::of(16);
        for host in 1..=4 {
            let source = from(&format!("192.0.2.{host}"));
            assert!(crowd.fit([source; 2], false, share));
            (0..3).for_each(|_| crowd.add(source, false));
        }
        assert!(!crowd.fit([from("192.0.2.9"), from("10.0.0.1")], false, share), "its network");
        assert!(crowd.fit([from("192.0.2.9"); 2], true, share), "known ones count apart");
        assert!(crowd.fit([from("192.0.3.9"); 2], false, share), "another network");
        let far = from("2001:db8::1");
        (0..7).for_each(|_| crowd.add(far, false));
        assert!(crowd.fit([far, from("10.0.0.1")], false, share));
        assert!(!crowd.fit([far; 2], false, share), "both ends would be the ninth");
        assert_eq!((crowd.greediest(), crowd.others()), (Some((far, 7)), 19));
        (0..7).for_each(|_| crowd.remove(far, false));
        assert_eq!(crowd.of_network(from("2001:db8:0:ffff::1"), false), 0);
        assert_eq!((crowd.addresses.len(), crowd.networks.len()), (4, 1));
    }
}
