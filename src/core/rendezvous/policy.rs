//! What an operator decided about access, relays and the LAN, and the choice of path that follows
//! from it (protocol §4.6). C39, C41-C43.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::base::address::{Bans, Network, canonical, split_port};
use crate::wire::NatType;

/// Where clients look for a relay that is named without a port (protocol §0).
const RELAY_PORT: &str = "21117";

/// Decisions that change at runtime without a session dropping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What clients must show to dial; None lets everybody dial (C39).
    pub access_key: Option<Box<str>>,
    /// Relays handed out in turn, `host` or `host:port`; none leaves the choice to the target.
    pub relays: Vec<String>,
    /// This server's own relay as clients outside reach it, for when a target names one that only
    /// its own network reaches and the list is empty.
    pub public_relay: Option<String>,
    /// Every session goes through a relay (C43).
    pub always_relay: bool,
    /// The network whose members reach each other directly.
    pub lan: Option<LocalNetwork>,
    /// Who is not served.
    pub bans: Bans,
}

/// A local network and this server's name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNetwork {
    /// Who belongs to it.
    pub network: Network,
    /// The relay its members use: this server's address there.
    pub relay: String,
}

/// The kind of path to try for an initiator and a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Both are in one network.
    Local,
    /// Through their NATs, the target being told this of the initiator's.
    Punch(NatType),
    /// The relay and nothing else.
    Relay,
}

/// Where the two peers of a session to come are seen.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) initiator: IpAddr,
    pub(super) target: IpAddr,
}

impl Policy {
    /// The path to try between two peers. `nearby` tells whether the initiator's transport can
    /// connect inside its network at all (C42: WebSocket clients cannot).
    pub(super) fn route(&self, ends: Ends, nat: NatType, nearby: bool) -> Route {
        let (initiator_in, target_in) = (self.in_lan(ends.initiator), self.in_lan(ends.target));
        if self.always_relay || initiator_in != target_in {
            return Route::Relay;
        }
        if nearby && (initiator_in || ends.initiator == ends.target) {
            return Route::Local;
        }
        Route::Punch(nat)
    }

    /// The relay to tell the target: the LAN's if the target alone is in it, else turn `turn` of
    /// the list; empty if there is none.
    pub(super) fn relay_for(&self, ends: Ends, turn: usize) -> String {
        match &self.lan {
            Some(lan) if self.in_lan(ends.target) && !self.in_lan(ends.initiator) => {
                lan.relay.clone()
            }
            _ => self.listed(turn).unwrap_or_default(),
        }
    }

    /// What the initiator must be told instead of the relay a target chose, if anything: the
    /// LAN's inside it, and outside never an address that only the target's network reaches.
    pub(super) fn relay_instead(
        &self,
        initiator: IpAddr,
        chosen: &str,
        turn: usize,
    ) -> Option<String> {
        if chosen.is_empty() {
            return None;
        }
        let lan = self.lan.as_ref();
        if let Some(lan) = lan.filter(|_| self.in_lan(initiator)) {
            return Some(lan.relay.clone());
        }
        let lan_s = lan.is_some_and(|lan| lan.relay == chosen);
        let out_of_reach =
            split_port(chosen).0.parse().is_ok_and(is_private) && !is_private(initiator);
        if lan_s || out_of_reach {
            return self.listed(turn).or_else(|| self.public_relay.clone());
        }
        None
    }

    /// Whether an initiator may name this relay to a target: one we hand out, or our own (C85). No
    /// name is resolved.
    pub(super) fn hands_out(&self, ends: Ends, relay: &str) -> bool {
        let lan = self.lan.as_ref().filter(|_| self.in_lan(ends.target));
        let own = self.public_relay.iter().chain(lan.map(|lan| &lan.relay));
        self.relays.iter().chain(own).any(|known| is_same_relay(known, relay))
    }

    /// The relay to tell a target instead of one that is none of ours, if there is any.
    pub(super) fn own_relay(&self, ends: Ends, turn: usize) -> Option<String> {
        let listed = Some(self.relay_for(ends, turn)).filter(|relay| !relay.is_empty());
        listed.or_else(|| self.public_relay.clone())
    }

    fn listed(&self, turn: usize) -> Option<String> {
        self.relays.get(turn.checked_rem(self.relays.len())?).cloned()
    }

    fn in_lan(&self, ip: IpAddr) -> bool {
        self.lan.as_ref().is_some_and(|lan| lan.network.contains(ip))
    }
}

/// Whether two names of relays mean one: the host in any case, and the port clients take if none is
/// told.
pub(super) fn is_same_relay(one: &str, other: &str) -> bool {
    let parts = |text| {
        let (host, port) = split_port(text);
        (host, port.unwrap_or(RELAY_PORT))
    };
    let ((host, port), (other_host, other_port)) = (parts(one), parts(other));
    host.eq_ignore_ascii_case(other_host) && port == other_port
}

/// Whether only neighbours reach `ip`.
fn is_private(ip: IpAddr) -> bool {
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

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned as _;
    use alloc::vec;

    use super::*;

    const NAT: NatType = NatType(1);

    fn ends(initiator: &str, target: &str) -> Ends {
        Ends { initiator: initiator.parse().unwrap(), target: target.parse().unwrap() }
    }

    fn with_lan() -> Policy {
        let network = Network::parse("192.168.0.0/16").unwrap();
        let lan = Some(LocalNetwork { network, relay: "192.168.0.1".into() });
        Policy { lan, relays: vec!["one".into(), "two:1".into()], ..Policy::default() }
    }

    #[test]
    fn one_address_is_local_unless_the_transport_cannot() {
        let policy = Policy::default();
        assert_eq!(policy.route(ends("1.1.1.1", "1.1.1.1"), NAT, true), Route::Local);
        assert_eq!(policy.route(ends("1.1.1.1", "1.1.1.1"), NAT, false), Route::Punch(NAT));
        assert_eq!(policy.route(ends("1.1.1.1", "2.2.2.2"), NAT, true), Route::Punch(NAT));
    }

    #[test]
    fn always_relay_covers_one_address_too() {
        let policy = Policy { always_relay: true, ..with_lan() };
        assert_eq!(policy.route(ends("1.1.1.1", "1.1.1.1"), NAT, true), Route::Relay);
    }

    #[test]
    fn lan_mask_joins_insiders_and_relays_between_in_and_out() {
        let policy = with_lan();
        let route = |a, b| policy.route(ends(a, b), NAT, true);
        assert_eq!(route("192.168.1.1", "192.168.2.2"), Route::Local);
        assert_eq!(route("192.168.1.1", "2.2.2.2"), Route::Relay);
        assert_eq!(route("2.2.2.2", "192.168.1.1"), Route::Relay);
    }

    #[test]
    fn relays_take_turns_and_the_lan_has_its_own() {
        let policy = with_lan();
        let coming = ends("2.2.2.2", "192.168.1.1");
        let Ends { initiator: outside, target: inside } = coming;
        let (leaving, passing) = (ends("192.168.1.1", "2.2.2.2"), ends("2.2.2.2", "2.2.2.2"));
        assert_eq!(policy.relay_for(coming, 0), "192.168.0.1");
        assert_eq!(policy.relay_for(leaving, 0), "one");
        assert_eq!(policy.relay_for(passing, 3), "two:1");
        assert_eq!(Policy::default().relay_for(passing, 3), "");
        assert_eq!(policy.relay_instead(inside, "x", 0).as_deref(), Some("192.168.0.1"));
        assert_eq!(policy.relay_instead(outside, "192.168.0.1", 0).as_deref(), Some("one"));
        assert_eq!(policy.relay_instead(outside, "x", 0), None);
        assert_eq!(policy.relay_instead(inside, "", 0), None);
    }

    #[test]
    fn a_relay_is_the_same_in_any_case_and_with_the_usual_port() {
        for same in ["rd.example", "RD.Example:21117", "rd.example:21117"] {
            assert!(is_same_relay("rd.example", same), "{same}");
        }
        assert!(is_same_relay("[2001:db8::1]:21117", "2001:db8::1"));
        for other in ["rd.example:80", "rd.example.", "example", "", "rd.example:", "x@rd.example"]
        {
            assert!(!is_same_relay("rd.example", other), "{other}");
        }
    }

    #[test]
    fn the_lans_relay_is_handed_out_to_who_dials_into_it() {
        let policy = with_lan();
        let coming = ends("2.2.2.2", "192.168.1.1");
        let passing = ends("2.2.2.2", "3.3.3.3");
        assert!(policy.hands_out(coming, "192.168.0.1") && policy.hands_out(coming, "two:1"));
        assert!(!policy.hands_out(passing, "192.168.0.1") && !policy.hands_out(passing, "two"));
        assert_eq!(policy.own_relay(coming, 0).as_deref(), Some("192.168.0.1"));
        assert_eq!(Policy::default().own_relay(passing, 0), None);
    }

    #[test]
    fn a_relay_only_neighbours_reach_is_kept_from_those_outside() {
        let public_relay = Some("rd.example.org".to_owned());
        let policy = Policy { public_relay, ..Policy::default() };
        let Ends { initiator: outside, target: inside } = ends("2.2.2.2", "192.168.1.1");
        for private in ["192.168.1.5", "10.0.0.1:21117", "[fd00::1]:21117", "::1", "127.0.0.1:1"] {
            let instead = policy.relay_instead(outside, private, 0);
            assert_eq!(instead.as_deref(), Some("rd.example.org"), "{private}");
            assert_eq!(policy.relay_instead(inside, private, 0), None, "{private}");
        }
        for public in ["9.9.9.9", "9.9.9.9:21117", "relay.lan", "[2001:db8::1]:21117"] {
            assert_eq!(policy.relay_instead(outside, public, 0), None, "{public}");
        }
        assert_eq!(Policy::default().relay_instead(outside, "10.0.0.1", 0), None);
    }
}
