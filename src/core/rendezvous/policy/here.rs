//! Where this machine is: its addresses, the networks they are in, and what its names stand for,
//! so that each client is told the one it can reach. It reads nothing: the shell tells it.
//! C124-C128.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::base::address::{Network, canonical, split_port, with_port};
use crate::base::limits::{OWN_ADDRESSES_READ_MAX, RELAY_NAMES_MAX};
use crate::rendezvous::Rendezvous;

/// Where clients look for a relay that is named without a port (protocol §0).
pub(super) const RELAY_PORT: &str = "21117";

/// Where the two peers of a session to come are seen.
#[derive(Clone, Copy)]
pub(in crate::rendezvous) struct Ends {
    pub(in crate::rendezvous) initiator: IpAddr,
    pub(in crate::rendezvous) target: IpAddr,
    /// The target is reached on a WebSocket.
    pub(in crate::rendezvous) target_web: bool,
}

/// What a name that an operator gave stands for at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHost {
    /// The name, without a port.
    pub name: Box<str>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It is this machine's by the operator's word, whatever its addresses.
    pub ours: bool,
}

/// A private network that an interface of ours is in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnNetwork {
    network: Network,
    /// Our address in it.
    ip: IpAddr,
    /// Its members reach each other without us.
    shared_link: bool,
}

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// Where the relay of this process listens; None if there is none.
    relay_port: Option<u16>,
    addresses: Vec<IpAddr>,
    networks: Vec<OwnNetwork>,
    /// A client seen here was translated on its way: where it is, nobody knows.
    gateway: Option<IpAddr>,
    /// So was one seen at an address of ours.
    hidden: bool,
    names: Vec<NamedHost>,
}

impl Rendezvous {
    /// Says where the relay of this process listens.
    pub fn relays_at(&mut self, port: u16) {
        self.policy.here.relays_at(port);
    }

    /// Says at which addresses this machine is, each with the bits of its network, and which
    /// one is the gateway: whoever seems to be there is elsewhere.
    pub fn set_interfaces(&mut self, found: &[(IpAddr, u8)], gateway: Option<IpAddr>) {
        self.policy.here.set_interfaces(found, gateway);
    }

    /// Says that whoever seems to be at an address of ours is elsewhere, too.
    pub fn hide_own(&mut self) {
        self.policy.here.hidden = true;
    }

    /// Says what the names stand for that relays are handed out by.
    pub fn set_names(&mut self, names: Vec<NamedHost>) {
        self.policy.here.set_names(names);
    }
}

impl Here {
    /// The relay beside us listens on this port.
    fn relays_at(&mut self, port: u16) {
        self.relay_port = Some(port);
    }

    /// The addresses of our interfaces, each with the bits of its network, and the gateway; of
    /// more than [`OWN_ADDRESSES_READ_MAX`] the rest is left out.
    fn set_interfaces(&mut self, found: &[(IpAddr, u8)], gateway: Option<IpAddr>) {
        let found = found.get(..OWN_ADDRESSES_READ_MAX).unwrap_or(found);
        self.addresses.clear();
        self.networks.clear();
        for (ip, bits) in found {
            self.addresses.push(*ip);
            self.networks.extend(OwnNetwork::of(*ip, *bits));
        }
        self.gateway = gateway;
    }

    /// What names stand for, at most [`RELAY_NAMES_MAX`] of them.
    fn set_names(&mut self, mut names: Vec<NamedHost>) {
        names.truncate(RELAY_NAMES_MAX);
        self.names = names;
    }

    fn network_of(&self, ip: IpAddr) -> Option<&OwnNetwork> {
        if self.gateway == Some(ip) || self.hidden && self.addresses.contains(&ip) {
            return None;
        }
        // Of those within each other the innermost, of equal ones the first.
        let around = self.networks.iter().rev().filter(|own| own.network.contains(ip));
        around.max_by_key(|own| own.network)
    }

    /// Whether both are on one link, where they find each other at the addresses they have there.
    /// Over IPv6 clients do so anyway, and would take being asked for a wish for the relay.
    pub(super) fn are_together(&self, ends: Ends) -> bool {
        let one = self.network_of(ends.initiator);
        one.is_some_and(|own| own.shared_link && own.ip.is_ipv4())
            && one == self.network_of(ends.target)
    }

    /// Whether `ip` is in a private network of ours.
    pub(super) fn is_neighbour(&self, ip: IpAddr) -> bool {
        self.network_of(ip).is_some()
    }

    /// Our relay as somebody at `at` finds it in a private network of its own and ours.
    pub(super) fn near(&self, at: IpAddr) -> Option<String> {
        self.relay_at(self.network_of(at)?.ip)
    }

    /// Our relay as somebody outside finds it, if an interface has an address that is for all.
    pub(super) fn outside(&self, at: IpAddr) -> Option<String> {
        let is_for_all = |ip: &&IpAddr| !is_private(**ip) && !is_shared(**ip);
        let same = |ip: &&IpAddr| ip.is_ipv4() == at.is_ipv4();
        self.relay_at(*self.addresses.iter().find(|ip| same(ip) && is_for_all(ip))?)
    }

    fn relay_at(&self, ip: IpAddr) -> Option<String> {
        let (port, host) = (self.relay_port?, ip.to_string());
        Some(if RELAY_PORT.parse() == Ok(port) { host } else { with_port(&host, port) })
    }

    /// Whether `relay` is ours by an address of ours, or by a name that stands for one.
    pub(super) fn has(&self, relay: &str) -> bool {
        let Some(host) = self.host_of_ours(relay) else { return false };
        let named = |it: &&NamedHost| it.name.eq_ignore_ascii_case(host);
        match host.parse() {
            Ok(ip) => !is_loopback(ip) && self.has_ip(canonical(ip)),
            Err(_) => self.names.iter().find(named).is_some_and(|named| {
                named.ours || named.addresses.iter().any(|ip| self.has_ip(*ip))
            }),
        }
    }

    /// Whether `relay` is ours as programs on this machine name it.
    pub(super) fn is_loopback(&self, relay: &str) -> bool {
        self.host_of_ours(relay).and_then(|host| host.parse().ok()).is_some_and(is_loopback)
    }

    /// The host of a relay at our port.
    fn host_of_ours<'a>(&self, relay: &'a str) -> Option<&'a str> {
        let (host, port) = split_port(relay);
        (port.unwrap_or(RELAY_PORT).parse() == Ok(self.relay_port?)).then_some(host)
    }

    fn has_ip(&self, ip: IpAddr) -> bool {
        let mut of_ours = self.names.iter().filter(|named| named.ours);
        self.addresses.contains(&ip) || of_ours.any(|named| named.addresses.contains(&ip))
    }
}

#[cfg(test)]
impl Here {
    /// A relay at the usual port of a machine with one address, of a /24.
    pub(super) fn stand_at(&mut self, ip: &str) {
        self.relays_at(21_117);
        self.set_interfaces(&[(ip.parse().unwrap(), 24)], None);
    }
}

impl OwnNetwork {
    /// The network of an interface, if it is private. An address alone in its network is one end of
    /// a tunnel: its neighbours have addresses of the same kind, and who reaches whom is unknown.
    fn of(ip: IpAddr, bits: u8) -> Option<Self> {
        let (alone, kind) = match ip {
            IpAddr::V4(_) if is_shared(ip) => (bits == 32, 10),
            IpAddr::V4(v4) if v4.is_private() => (bits == 32, 24),
            IpAddr::V6(v6) if v6.is_unique_local() => (bits == 128, 48),
            _ => return None,
        };
        let network = Network::around(ip, if alone { kind } else { bits });
        Some(Self { network, ip, shared_link: !alone && !is_shared(ip) })
    }
}

/// Whether only neighbours reach `ip`.
pub(super) fn is_private(ip: IpAddr) -> bool {
    match canonical(ip) {
        IpAddr::V4(ip) => {
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()
        }
        IpAddr::V6(ip) => {
            let local = ip.is_unique_local() || ip.is_unicast_link_local();
            local || ip.is_loopback() || ip.is_unspecified()
        }
    }
}

/// Whether `ip` is of `100.64.0.0/10` (RFC 6598): a carrier's customers, or members of an overlay.
pub(super) const fn is_shared(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => matches!(ip.octets(), [100, second, ..] if second & 0xc0 == 64),
        IpAddr::V6(_) => false,
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    canonical(ip).is_loopback()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    /// Two LANs, a WAN, one end of a tunnel, IPv6 of all kinds, and a gateway in the first LAN.
    const INTERFACES: [(&str, u8); 9] = [
        ("127.0.0.1", 8),
        ("10.1.0.1", 24),
        ("10.1.0.129", 26),
        ("192.168.2.1", 24),
        ("203.0.113.1", 24),
        ("100.101.102.103", 32),
        ("fd01::1", 64),
        ("fd7a:115c:a1e0::1", 128),
        ("2001:db8::1", 64),
    ];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn here(port: u16) -> Here {
        let mut here = Here::default();
        here.relays_at(port);
        let found: Vec<_> = INTERFACES.iter().map(|(at, bits)| (ip(at), *bits)).collect();
        here.set_interfaces(&found, Some(ip("10.1.0.254")));
        here
    }

    #[test]
    fn c124_each_finds_the_relay_at_our_address_in_its_network() {
        for (at, told) in [
            ("10.1.0.7", Some("10.1.0.1")),
            ("10.1.0.130", Some("10.1.0.129")),
            ("10.1.0.1", Some("10.1.0.1")),
            ("10.1.0.254", None),
            ("10.2.0.7", None),
            ("192.168.2.9", Some("192.168.2.1")),
            ("203.0.113.7", None),
            ("127.0.0.1", None),
            ("100.64.0.7", Some("100.101.102.103")),
            ("fd01::7", Some("fd01::1")),
            ("fd01:0:0:1::7", None),
            ("fd7a:115c:a1e0:ab12::7", Some("fd7a:115c:a1e0::1")),
            ("2001:db8::7", None),
        ] {
            assert_eq!(here(21_117).near(ip(at)).as_deref(), told, "{at}");
        }
        assert_eq!(here(443).near(ip("fd01::7")).as_deref(), Some("[fd01::1]:443"));
        assert_eq!(here(443).outside(ip("9.9.9.9")).as_deref(), Some("203.0.113.1:443"));
        assert_eq!(here(443).outside(ip("2001:db8:9::9")).as_deref(), Some("[2001:db8::1]:443"));
        // As where an engine of containers passes on what comes.
        let mut contained = here(21_117);
        contained.hidden = true;
        assert_eq!(contained.near(ip("10.1.0.1")), None);
        assert_eq!(contained.near(ip("10.1.0.7")).as_deref(), Some("10.1.0.1"));
        let mut elsewhere = here(443);
        elsewhere.relay_port = None;
        assert_eq!(elsewhere.near(ip("10.1.0.7")), None);
        assert!(!elsewhere.has("10.1.0.1:443"));
    }

    #[test]
    fn c126_who_is_on_one_link_is_together() {
        let here = here(21_117);
        let together = |initiator: &str, target: &str| {
            let ends = Ends { initiator: ip(initiator), target: ip(target), target_web: false };
            here.are_together(ends)
        };
        assert!(together("10.1.0.7", "10.1.0.8") && together("192.168.2.9", "192.168.2.1"));
        for (one, other) in [
            ("10.1.0.7", "192.168.2.9"),
            ("10.1.0.7", "10.1.0.130"),
            ("10.1.0.7", "10.1.0.254"),
            ("203.0.113.7", "203.0.113.8"),
            ("100.64.0.7", "100.64.0.8"),
            ("fd01::7", "fd01::8"),
            ("127.0.1.1", "127.0.1.2"),
            ("9.9.9.9", "8.8.8.8"),
        ] {
            assert!(!together(one, other), "{one} {other}");
        }
    }

    #[test]
    fn c124_a_relay_is_ours_by_address_and_by_what_names_stand_for() {
        let mut here = here(443);
        for ours in ["10.1.0.1:443", "203.0.113.1:443", "[fd01::1]:443", "[::ffff:10.1.0.1]:443"] {
            assert!(here.has(ours), "{ours}");
        }
        for other in ["10.1.0.1", "10.1.0.2:443", "127.0.0.1:443", "rd.example:443", "", ":443"] {
            assert!(!here.has(other), "{other}");
        }
        assert!(here.is_loopback("[::1]:443") && !here.is_loopback("127.0.0.1:80"));
        let named = |name: &str, at: &str, ours| {
            let addresses = vec![ip(at)];
            NamedHost { name: name.into(), addresses, ours }
        };
        let names = vec![
            named("rd.example", "198.51.100.9", true),
            named("alias.example", "198.51.100.9", false),
            named("lan.example", "10.1.0.1", false),
            named("other.example", "198.51.100.8", false),
        ];
        here.set_names(names);
        // By an address that a router before us has, too.
        for ours in ["RD.example:443", "alias.example:443", "lan.example:443", "198.51.100.9:443"] {
            assert!(here.has(ours), "{ours}");
        }
        for other in ["other.example:443", "198.51.100.8:443", "rd.example:444"] {
            assert!(!here.has(other), "{other}");
        }
    }

    #[test]
    fn c127_what_is_read_is_bounded() {
        let mut here = Here::default();
        let many: Vec<_> = (0..=255).flat_map(|n| [n, n]).map(|n| format!("10.{n}.0.1")).collect();
        let many: Vec<_> = many.iter().map(|at| (ip(at), 24)).collect();
        here.set_interfaces(&many, None);
        assert_eq!((here.addresses.len(), here.networks.len()), (256, 256));
        let name = NamedHost { name: "a".into(), addresses: Vec::new(), ours: false };
        here.set_names(vec![name; 99]);
        assert_eq!(here.names.len(), RELAY_NAMES_MAX);
    }
}
