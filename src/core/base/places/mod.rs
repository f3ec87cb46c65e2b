//! Who holds the places for connections, and who gives way when they run short. One address or
//! network may hold so many that are tied to nothing; when all are held, the oldest of the
//! greediest goes, and never somebody known for a newcomer. It must not know sockets. C101.

mod held;
mod slots;

use alloc::vec::Vec;
use core::net::IpAddr;

use static_assertions::const_assert;

use super::address::Prefix;
use super::conn::Conn;
use super::limits::{KNOWN_MS, KNOWN_PER_PLACE, Shares};
use super::table::{Seed, Table};
use super::time::Time;

use held::{Held, take};
pub use slots::SlotTable;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The address.
    pub ip: IpAddr,
    /// Whether many clients may stand behind it, so that it has no cap: a proxy the operator
    /// trusts, as long as it has not told whose connection this is.
    pub exempt: bool,
}

/// What becomes of a connection that asks for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It has this place; `evicted` must go, so that one address holds no more than its share.
    Now {
        /// Its handle.
        conn: Conn,
        /// Who gives way.
        evicted: Option<Conn>,
    },
    /// It gets the first place to be given back, since this one must go.
    Instead(Conn),
    /// There is none for it.
    Refused,
}

/// All places. Who is tied to a device, a grant or a pair keeps its own.
pub struct Places {
    free: Vec<Conn>,
    limit: usize,
    /// Connections that wait for a place to be given back.
    waiting: usize,
    tenants: SlotTable<Tenant>,
    /// Connections tied to nothing, the oldest first.
    loose: Table<Conn, ()>,
    addresses: Table<Prefix, Held>,
    networks: Table<Prefix, Held>,
    /// Addresses where a device proved itself or somebody showed the key, and when.
    known: Table<Prefix, Time>,
}

/// Who holds a place.
#[derive(Clone, Copy)]
struct Tenant {
    address: Prefix,
    network: Prefix,
    /// Whether its address was known when it came.
    known: bool,
    exempt: bool,
    tied: bool,
}

const_assert!(size_of::<Tenant>() <= 40);

impl Places {
    /// `limit` places, all of them free; `seed` keys the tables.
    pub fn new(limit: usize, seed: Seed) -> Self {
        let mut places = Self {
            free: Vec::new(),
            limit: 0,
            waiting: 0,
            tenants: SlotTable::new(),
            loose: Table::new(0, seed),
            addresses: Table::new(0, seed),
            networks: Table::new(0, seed),
            known: Table::new(0, seed),
        };
        places.grow(limit);
        places
    }

    /// Adds places up to `limit`. None is ever taken away: a lower limit holds from the next
    /// start.
    pub fn grow(&mut self, limit: usize) {
        for slot in self.limit..limit {
            let Ok(slot) = u32::try_from(slot) else { break };
            self.free.push(Conn { slot, generation: 0 });
        }
        // The first place is given out first.
        self.free.sort_unstable_by_key(|conn| core::cmp::Reverse(conn.slot));
        self.limit = self.limit.max(limit);
        self.loose.set_limit(self.limit);
        self.addresses.set_limit(self.limit);
        self.networks.set_limit(self.limit);
        self.known.set_limit(self.limit.saturating_mul(KNOWN_PER_PLACE));
    }

    /// Finds a place for a connection.
    pub fn admit(&mut self, now: Time, origin: Origin) -> Admission {
        let tenant = self.tenant(now, origin);
        let Ok(mut evicted) = self.over_share(&tenant) else { return Admission::Refused };
        let crowded = !tenant.known && self.loose.len() >= Shares::of(self.limit).newcomers;
        if evicted.is_none() && (crowded || self.free.is_empty()) {
            evicted = self.greediest(&tenant, None);
            if evicted.is_none() {
                return Admission::Refused;
            }
        }
        if let Some(conn) = evicted {
            self.forget(conn);
        }
        match (self.free.pop(), evicted) {
            (Some(conn), evicted) => {
                self.enter(conn, tenant);
                Admission::Now { conn, evicted }
            }
            (None, Some(evicted)) => {
                self.waiting += 1;
                Admission::Instead(evicted)
            }
            (None, None) => Admission::Refused,
        }
    }

    /// Gives a connection that waited the place that [`Self::release`] gave back.
    pub fn occupy(&mut self, now: Time, conn: Conn, origin: Origin) {
        let tenant = self.tenant(now, origin);
        self.enter(conn, tenant);
    }

    /// A proxy told whose connection this is; gives back who must give way to it.
    ///
    /// # Errors
    /// [`PlaceRefused`] if its network holds its share, and nobody there may give way to it.
    pub fn told(
        &mut self,
        now: Time,
        conn: Conn,
        ip: IpAddr,
    ) -> Result<Option<Conn>, PlaceRefused> {
        if self.loose_tenant(conn).is_none() {
            return Ok(None);
        }
        self.forget(conn);
        let tenant = self.tenant(now, Origin { ip, exempt: false });
        let evicted = self.over_share(&tenant)?;
        if let Some(conn) = evicted {
            self.forget(conn);
        }
        self.enter(conn, tenant);
        Ok(evicted)
    }

    /// Ties a connection to a device that is present on it, or to somebody who showed the key:
    /// it gives way to nobody. Of one address or network only so many are, and more if they are
    /// devices a day old, `settled`: those stand behind one NAT by the hundred (C147).
    pub fn tie(&mut self, conn: Conn, settled: bool) {
        let Some(tenant) = self.loose_tenant(conn).copied() else { return };
        let shares = Shares::of(self.limit);
        let most = if settled { shares.settled } else { shares.tied };
        let tied = |held: Option<&Held>| held.map_or(0, |held| held.tied as usize);
        let room = tied(self.addresses.get(&tenant.address)) < most
            && tied(self.networks.get(&tenant.network)) < most;
        if tenant.exempt || room {
            self.settle(conn);
        }
    }

    /// Keeps a connection whatever its address holds: its session begins.
    pub fn settle(&mut self, conn: Conn) {
        let Some(tenant) = self.tenants.get_mut(conn).filter(|tenant| !tenant.tied) else { return };
        tenant.tied = true;
        let tenant = *tenant;
        self.loose.remove(&conn);
        self.count(&tenant, |held| {
            take(held.kind(tenant.known));
            held.tied += 1;
        });
    }

    /// Remembers an address where a device proved itself, or somebody showed the key.
    pub fn vouch(&mut self, now: Time, ip: IpAddr) {
        self.known.insert_evicting(Prefix::of(ip), now);
    }

    /// Whether a connection comes from an address that is known.
    pub fn is_known(&self, now: Time, conn: Conn) -> bool {
        let tenant = self.tenants.get(conn);
        tenant.is_some_and(|tenant| self.is_known_address(now, &tenant.address))
    }

    /// Whether a connection is no stranger's: it is tied to a device, to somebody who showed the
    /// key, or to a session, or came from an address that was known then.
    pub fn is_familiar(&self, conn: Conn) -> bool {
        self.tenants.get(conn).is_some_and(|tenant| tenant.tied || tenant.known)
    }

    fn is_known_address(&self, now: Time, address: &Prefix) -> bool {
        self.known.get(address).is_some_and(|at| now.since_ms(*at) < KNOWN_MS)
    }

    /// Takes a place back. If somebody waits for one, it is returned, to be passed on.
    pub fn release(&mut self, conn: Conn) -> Option<Conn> {
        self.forget(conn);
        let next = Conn { generation: conn.generation.wrapping_add(1), ..conn };
        if self.waiting > 0 {
            self.waiting -= 1;
            return Some(next);
        }
        self.free.push(next);
        None
    }

    fn tenant(&self, now: Time, origin: Origin) -> Tenant {
        let (address, network) = (Prefix::of(origin.ip), Prefix::of_network(origin.ip));
        let known = self.is_known_address(now, &address);
        Tenant { address, network, known, exempt: origin.exempt, tied: false }
    }

    /// Who must go so that a connection's address and network hold no more than their share.
    fn over_share(&self, tenant: &Tenant) -> Result<Option<Conn>, PlaceRefused> {
        let shares = Shares::of(self.limit);
        let loose = |held: Option<&Held>| held.map_or(0, Held::loose);
        if tenant.exempt {
            return Ok(None);
        }
        if loose(self.addresses.get(&tenant.address)) >= shares.address {
            let mut own = self.loose_tenants().filter(|(_, held)| held.address == tenant.address);
            return Ok(own.next().map(|(conn, _)| conn));
        }
        if loose(self.networks.get(&tenant.network)) >= shares.network {
            let evicted = self.greediest(tenant, Some(tenant.network));
            return evicted.map(Some).ok_or(PlaceRefused);
        }
        Ok(None)
    }

    /// The oldest connection of the address that holds most, in `network` or in the one that holds
    /// most: a newcomer's, or for somebody known anybody's who is tied to nothing.
    fn greediest(&self, for_whom: &Tenant, network: Option<Prefix>) -> Option<Conn> {
        let newcomer = self.greediest_of(false, network);
        newcomer.or_else(|| self.greediest_of(true, network).filter(|_| for_whom.known))
    }

    fn greediest_of(&self, known: bool, network: Option<Prefix>) -> Option<Conn> {
        let network = network.or_else(|| {
            let held = self.networks.iter().map(|(network, held)| (*network, held.of_kind(known)));
            first_max(held).map(|(network, _)| network)
        })?;
        let kin = self
            .loose_tenants()
            .filter(|(_, other)| other.known == known && other.network == network);
        let held = kin.map(|(conn, other)| {
            (conn, self.addresses.get(&other.address).map_or(0, |held| held.of_kind(known)))
        });
        first_max(held).map(|(conn, _)| conn)
    }

    fn enter(&mut self, conn: Conn, tenant: Tenant) {
        self.count(&tenant, |held| *held.kind(tenant.known) += 1);
        self.tenants.insert(conn, tenant);
        // No more are loose than there are places.
        let _ = self.loose.insert(conn, ());
    }

    fn loose_tenant(&self, conn: Conn) -> Option<&Tenant> {
        self.tenants.get(conn).filter(|tenant| !tenant.tied)
    }

    /// Who is tied to nothing, the oldest first.
    fn loose_tenants(&self) -> impl Iterator<Item = (Conn, &Tenant)> {
        self.loose.iter().filter_map(|(conn, ())| Some((*conn, self.tenants.get(*conn)?)))
    }

    /// Counts a connection no more; it has its place until that is released.
    fn forget(&mut self, conn: Conn) {
        let Some(tenant) = self.tenants.remove(conn) else { return };
        if !tenant.tied {
            self.loose.remove(&conn);
        }
        self.count(&tenant, |held| {
            take(if tenant.tied { &mut held.tied } else { held.kind(tenant.known) });
        });
    }

    fn count(&mut self, tenant: &Tenant, change: impl Fn(&mut Held)) {
        let Self { addresses, networks, .. } = self;
        for (table, key) in [(addresses, tenant.address), (networks, tenant.network)] {
            // Fewer addresses than places.
            let _ = table.change(key, |held| {
                let mut held = held.unwrap_or_default();
                change(&mut held);
                (!held.is_nothing()).then_some(held)
            });
        }
    }
}

/// A network holds its share of the places, and nobody there may give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceRefused;

/// The first of those with the largest number that is not 0.
fn first_max<T>(all: impl Iterator<Item = (T, u32)>) -> Option<(T, u32)> {
    let larger = |max: Option<(T, u32)>, next: (T, u32)| match max {
        Some(max) if max.1 >= next.1 => Some(max),
        _ => Some(next),
    };
    all.fold(None, larger).filter(|(_, number)| *number > 0)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    const L: usize = 64;

    struct Hotel(Places, Vec<Conn>);

    impl Hotel {
        fn new() -> Self {
            Self(Places::new(L, Seed(1, 2)), Vec::new())
        }

        fn admit(&mut self, ip: &str) -> Admission {
            let origin = Origin { ip: ip.parse().unwrap(), exempt: false };
            let admission = self.0.admit(Time::START, origin);
            match admission {
                Admission::Now { conn, evicted } => {
                    self.1.push(conn);
                    evicted.into_iter().for_each(|conn| self.leave(conn));
                }
                Admission::Instead(evicted) => {
                    let next = self.0.release(evicted).unwrap();
                    self.1.retain(|conn| *conn != evicted);
                    self.0.occupy(Time::START, next, origin);
                    self.1.push(next);
                }
                Admission::Refused => {}
            }
            assert!(self.1.len() <= L);
            admission
        }

        fn flood(&mut self, connections: usize, from: impl Fn(usize) -> String) {
            for n in 0..connections {
                self.admit(&from(n));
            }
        }

        fn leave(&mut self, conn: Conn) {
            self.1.retain(|other| *other != conn);
            assert_eq!(self.0.release(conn), None);
        }

        #[track_caller]
        fn enters(&mut self, ip: &str) -> Conn {
            match self.admit(ip) {
                Admission::Now { conn, evicted: None } => conn,
                other => panic!("{ip}: {other:?}"),
            }
        }

        fn held(&self, ip: &str) -> usize {
            let address = Prefix::of(ip.parse().unwrap());
            self.0.addresses.get(&address).map_or(0, Held::loose)
        }
    }

    #[test]
    fn c101_one_address_pushes_out_its_own_oldest_alone() {
        let mut hotel = Hotel::new();
        let honest = hotel.enters("198.51.100.1");
        let share = Shares::of(L).address;
        let first = hotel.enters("192.0.2.1");
        for _ in 1..share {
            hotel.enters("192.0.2.1");
        }
        let Admission::Now { evicted, .. } = hotel.admit("192.0.2.1") else { panic!() };
        assert_eq!(evicted, Some(first));
        hotel.flood(1000, |_| "192.0.2.1".into());
        assert_eq!((hotel.held("192.0.2.1"), hotel.held("198.51.100.1")), (share, 1));
        assert!(hotel.1.contains(&honest));
        hotel.enters("198.51.100.1");
    }

    #[test]
    fn c101_a_network_of_many_addresses_has_a_share_too() {
        let v4 = |n: usize| format!("192.0.2.{}", n % 256);
        let v6 = |n: usize| format!("2001:db8:7:{n:x}::1");
        for attacker in [v4, v6] {
            let mut hotel = Hotel::new();
            let honest = hotel.enters("2001:db8:8::1");
            hotel.flood(1000, attacker);
            assert_eq!(hotel.1.len(), 1 + Shares::of(L).network);
            assert!(hotel.1.contains(&honest));
        }
    }

    #[test]
    fn c101_when_all_is_full_the_oldest_of_the_greediest_goes() {
        let mut hotel = Hotel::new();
        let honest: Vec<_> = (0..8).map(|n| hotel.enters(&format!("198.51.{n}.1"))).collect();
        // Eight networks of eight addresses each.
        for n in 0..1000 {
            hotel.admit(&format!("203.{}.113.{}", n % 8, n / 8 % 8));
        }
        assert!(honest.iter().all(|conn| hotel.1.contains(conn)));
        assert_eq!(hotel.1.len(), Shares::of(L).newcomers);
        hotel.admit("198.51.100.9");
        assert_eq!(hotel.held("198.51.100.9"), 1);
    }

    #[test]
    fn c101_a_quarter_is_for_those_who_are_known_and_newcomers_cannot_take_it() {
        let mut hotel = Hotel::new();
        hotel.0.vouch(Time::START, "198.51.100.1".parse().unwrap());
        let network = |n: usize| format!("{}.{}.113.1", 1 + n / 250 % 250, n % 250);
        hotel.flood(1000, network);
        assert_eq!(hotel.1.len(), Shares::of(L).newcomers);
        let known: Vec<_> = (0..8).map(|_| hotel.enters("198.51.100.1")).collect();
        hotel.flood(1000, network);
        assert!(known.iter().all(|conn| hotel.1.contains(conn)));
        // It is forgotten after a while.
        let origin = Origin { ip: "198.51.100.1".parse().unwrap(), exempt: false };
        assert!(hotel.0.tenant(Time::from_millis(KNOWN_MS - 1), origin).known);
        assert!(!hotel.0.tenant(Time::from_millis(KNOWN_MS), origin).known);
    }

    #[test]
    fn c101_who_is_tied_goes_for_nobody_and_one_address_ties_a_part() {
        let mut hotel = Hotel::new();
        let most = Shares::of(L).tied;
        for _ in 0..most {
            let Admission::Now { conn, evicted: None } = hotel.admit("192.0.2.1") else { panic!() };
            hotel.0.tie(conn, false);
        }
        assert_eq!(hotel.held("192.0.2.1"), 0);
        let loose = hotel.enters("192.0.2.2");
        hotel.0.tie(loose, false);
        assert_eq!(hotel.held("192.0.2.2"), 1, "its network ties enough");
        let tied = hotel.1.clone();
        hotel.0.vouch(Time::START, "198.51.100.1".parse().unwrap());
        hotel.flood(100, |n| format!("10.{n}.0.1"));
        hotel.flood(100, |_| "198.51.100.1".into());
        assert!(tied[..most].iter().all(|conn| hotel.1.contains(conn)));
        tied[..most].iter().for_each(|conn| hotel.leave(*conn));
        assert!(tied[..most].iter().all(|conn| hotel.0.tenants.get(*conn).is_none()));
        hotel.1.clone().into_iter().for_each(|conn| hotel.leave(conn));
        assert!(hotel.0.addresses.is_empty() && hotel.0.networks.is_empty());
        assert_eq!(hotel.0.free.len(), L);
    }

    #[test]
    fn c101_behind_a_proxy_the_share_is_the_client_s() {
        let mut places = Places::new(L, Seed(1, 2));
        let proxy = Origin { ip: "127.0.0.1".parse().unwrap(), exempt: true };
        let mut first = None;
        for n in 0..40 {
            let Admission::Now { conn, evicted: None } = places.admit(Time::START, proxy) else {
                panic!()
            };
            let told = places.told(Time::START, conn, "192.0.2.1".parse().unwrap());
            let gone = if n < Shares::of(L).address { None } else { first };
            assert_eq!(told, Ok(gone), "{n}");
            if let Some(gone) = gone {
                places.release(gone);
                first = places.loose.oldest().map(|(conn, _)| *conn);
            }
            first = first.or(Some(conn));
        }
    }
}
