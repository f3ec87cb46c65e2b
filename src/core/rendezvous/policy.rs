//! What an operator decided about access, relays and the LAN, and the choice of path that follows
//! from it (protocol §4.6). C39, C41-C43, C124-C127.

pub(super) mod here;

use alloc::boxed::Box;
use alloc::string::String;
#[cfg(feature = "accounts")]
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::base::address::{Bans, Network, canonical, split_port};
use crate::identity::rotation::OldKey;
#[cfg(feature = "accounts")]
use crate::rules::Rules;
use crate::wire::NatType;

pub(super) use here::Ends;
use here::{Here, RELAY_PORT, is_private, is_shared};

/// Decisions that change at runtime without a session dropping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What clients must show to dial; None lets everybody dial (C39).
    pub access_key: Option<Box<str>>,
    /// The key before, which is as good for a while yet (C156).
    pub old_key: Option<&'static OldKey>,
    /// Relays handed out in turn, `host` or `host:port`; none leaves the choice to the target.
    pub relays: Vec<String>,
    /// This server's own relay as clients outside reach it, for when a target names one that only
    /// its own network reaches and the list is empty.
    pub public_relay: Option<String>,
    /// Every session goes through a relay (C43).
    pub always_relay: bool,
    /// The network whose members reach each other directly, if an operator knows better than
    /// `here`.
    pub lan: Option<LocalNetwork>,
    /// Who is not served.
    pub bans: Bans,
    /// Who may dial whom; None for everybody.
    #[cfg(feature = "accounts")]
    pub rules: Option<Arc<Rules>>,
    /// Devices that are not stored yet wait for an operator (C185).
    #[cfg(feature = "accounts")]
    pub private: bool,
    /// Where this machine is, which no operator decided.
    pub here: Here,
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

impl Policy {
    /// Whether what an initiator shows lets it dial (C39), and if so whether it is the old key.
    pub(super) fn admits(&self, shown: &str) -> Option<bool> {
        let old = self.old_key.is_some_and(|old| *old.shown == *shown);
        let wrong = self.access_key.as_deref().is_some_and(|key| key != shown);
        (old || !wrong).then_some(old)
    }

    /// The path to try between two peers. `nearby` tells whether the initiator's transport can
    /// connect inside its network at all (C42: WebSocket clients cannot).
    pub(super) fn route(&self, ends: Ends, nat: NatType, nearby: bool) -> Route {
        let Ends { initiator, target, .. } = ends;
        let (initiator_in, target_in) = (self.in_lan(initiator), self.in_lan(target));
        if self.always_relay || initiator_in != target_in {
            return Route::Relay;
        }
        if nearby && (initiator_in || initiator == target || self.here.are_together(ends)) {
            return Route::Local;
        }
        // Nobody outside reaches a private address; IPv6 may do, so no relay is forced (C126).
        let outside = !is_private(initiator) && !self.here.is_neighbour(initiator);
        if outside && initiator.is_ipv4() && target.is_ipv4() && is_private(target) {
            return Route::Punch(NatType::SYMMETRIC);
        }
        Route::Punch(nat)
    }

    /// The relay to tell the target: the LAN's if the target alone is in it, else turn `turn` of
    /// the list, in the target's words if it is ours; empty if there is none.
    pub(super) fn relay_for(&self, ends: Ends, turn: usize) -> String {
        match &self.lan {
            Some(lan) if self.in_lan(ends.target) && !self.in_lan(ends.initiator) => {
                lan.relay.clone()
            }
            _ => {
                let listed = self.listed(turn).unwrap_or_default();
                let told = self.relay_of_target(ends, &listed);
                // Who knows us by another address than that finds our relay beside it.
                let lost = is_out_of_reach(ends.target, &listed) && self.here.has(&listed);
                told.unwrap_or(if lost { String::new() } else { listed })
            }
        }
    }

    /// What the initiator must be told instead of the relay a target chose, if anything: the
    /// LAN's inside it, our own address in its network if that relay is ours, and outside never
    /// an address that only the target's network reaches.
    pub(super) fn relay_instead(
        &self,
        (initiator, web): (IpAddr, bool),
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
        if let Some(near) = self.nearer((initiator, web), chosen) {
            return Some(near);
        }
        let lan_s = lan.is_some_and(|lan| lan.relay == chosen);
        if lan_s || is_out_of_reach(initiator, chosen) {
            let listed = self.listed(turn).filter(|relay| !is_out_of_reach(initiator, relay));
            return listed.or_else(|| self.public_for(initiator));
        }
        self.over_v4(initiator, chosen)
    }

    /// Whether an initiator may name this relay to a target: one we hand out, or our own (C85). No
    /// name is resolved.
    pub(super) fn hands_out(&self, ends: Ends, relay: &str) -> bool {
        let lan = self.lan.as_ref().filter(|_| self.in_lan(ends.target));
        let own = self.public_relay.iter().chain(lan.map(|lan| &lan.relay));
        self.relays.iter().chain(own).any(|known| is_same_relay(known, relay))
            || self.here.has(relay)
    }

    /// The same relay as a target finds it, if it is ours and found elsewhere than where the
    /// initiator finds it.
    pub(super) fn relay_of_target(&self, ends: Ends, named: &str) -> Option<String> {
        let Ends { target, target_web, .. } = ends;
        let is_lost = is_out_of_reach(target, named);
        self.nearer((target, target_web), named)
            .or_else(|| if is_lost { self.public_for(target) } else { self.over_v4(target, named) })
    }

    /// The relay to tell a target instead of one that is none of ours, if an operator named any.
    pub(super) fn own_relay(&self, ends: Ends, turn: usize) -> Option<String> {
        let listed = Some(self.relay_for(ends, turn)).filter(|relay| !relay.is_empty());
        let public = || {
            let public = self.public_relay.clone()?;
            self.nearer((ends.target, ends.target_web), &public).or(Some(public))
        };
        listed.or_else(public)
    }

    /// The same if nobody named one: by our addresses.
    pub(super) fn relay_here(&self, target: IpAddr) -> Option<String> {
        self.here.near(target).or_else(|| self.here.outside(target))
    }

    /// Our own relay as `at` finds it in its own network, if `relay` is ours. Who is on a `web`
    /// socket keeps a name: a proxy may serve that one alone, and with TLS.
    fn nearer(&self, (at, web): (IpAddr, bool), relay: &str) -> Option<String> {
        let stays = web && split_port(relay).0.parse::<IpAddr>().is_err();
        self.here.near(at).filter(|_| !stays && self.is_ours(relay))
    }

    /// The same for who came over IPv4, if `relay` is an IPv6 address of ours: there may be no way.
    fn over_v4(&self, at: IpAddr, relay: &str) -> Option<String> {
        let ip = split_port(relay).0.parse().ok()?;
        let lost = at.is_ipv4() && canonical(ip).is_ipv6() && self.here.has(relay);
        if lost { self.public_for(at) } else { None }
    }

    /// Our own relay as others than our neighbours find it.
    fn public_for(&self, at: IpAddr) -> Option<String> {
        self.public_relay.clone().or_else(|| self.here.outside(at))
    }

    /// Whether a relay is the one of this process, by whatever name.
    fn is_ours(&self, relay: &str) -> bool {
        let named = self.public_relay.iter().chain(self.lan.as_ref().map(|lan| &lan.relay));
        self.here.has(relay)
            || self.here.is_loopback(relay)
            || named.into_iter().any(|known| is_same_relay(known, relay))
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

/// Ends of names that only a LAN knows: RFC 2606, 6762, 8375, and those of routers and of ICANN.
const LOCAL_NAMES: [&str; 5] = ["localhost", ".local", ".lan", ".home.arpa", ".internal"];

/// Whether a relay is at an address or has a name that `at` cannot reach, as only neighbours do.
fn is_out_of_reach(at: IpAddr, relay: &str) -> bool {
    if is_private(at) {
        return false;
    }
    let host = split_port(relay).0;
    match host.parse::<IpAddr>() {
        Ok(ip) => is_private(ip) || is_shared(ip) && !is_shared(at),
        Err(_) => LOCAL_NAMES.iter().any(|end| {
            let from = host.len().checked_sub(end.len());
            let ends = from.and_then(|from| host.as_bytes().get(from..));
            ends.is_some_and(|ends| ends.eq_ignore_ascii_case(end.as_bytes()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned as _;
    use alloc::vec;

    use super::*;

    const NAT: NatType = NatType(1);

    fn ends(initiator: &str, target: &str) -> Ends {
        let (initiator, target) = (initiator.parse().unwrap(), target.parse().unwrap());
        Ends { initiator, target, target_web: false }
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
        let Ends { initiator: outside, target: inside, .. } = coming;
        let (leaving, passing) = (ends("192.168.1.1", "2.2.2.2"), ends("2.2.2.2", "2.2.2.2"));
        assert_eq!(policy.relay_for(coming, 0), "192.168.0.1");
        assert_eq!(policy.relay_for(leaving, 0), "one");
        assert_eq!(policy.relay_for(passing, 3), "two:1");
        assert_eq!(Policy::default().relay_for(passing, 3), "");
        assert_eq!(policy.relay_instead((inside, false), "x", 0).as_deref(), Some("192.168.0.1"));
        assert_eq!(
            policy.relay_instead((outside, false), "192.168.0.1", 0).as_deref(),
            Some("one")
        );
        assert_eq!(policy.relay_instead((outside, false), "x", 0), None);
        assert_eq!(policy.relay_instead((inside, false), "", 0), None);
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
        let Ends { initiator: outside, target: inside, .. } = ends("2.2.2.2", "192.168.1.1");
        let literals = ["192.168.1.5", "10.0.0.1:21117", "[fd00::1]:21117", "::1", "127.0.0.1:1"];
        let names = ["relay.lan", "Hbb.Local:21117", "localhost"];
        for private in literals.into_iter().chain(names) {
            let instead = policy.relay_instead((outside, false), private, 0);
            assert_eq!(instead.as_deref(), Some("rd.example.org"), "{private}");
            assert_eq!(policy.relay_instead((inside, false), private, 0), None, "{private}");
        }
        for public in ["9.9.9.9", "9.9.9.9:21117", "relay.land", "[2001:db8::1]:21117"] {
            assert_eq!(policy.relay_instead((outside, false), public, 0), None, "{public}");
        }
        assert_eq!(Policy::default().relay_instead((outside, false), "10.0.0.1", 0), None);
        // Nor is it told because an operator listed it, if we have another.
        let policy = Policy { relays: vec!["192.168.1.5".to_owned()], ..policy };
        let instead = policy.relay_instead((outside, false), "192.168.1.5", 0);
        assert_eq!(instead.as_deref(), Some("rd.example.org"));
        assert_eq!(policy.relay_for(ends("192.168.1.1", "2.2.2.2"), 0), "rd.example.org");
        assert_eq!(policy.relay_for(ends("2.2.2.2", "192.168.1.1"), 0), "192.168.1.5");
    }

    #[test]
    fn c205_who_comes_over_ipv4_is_not_told_an_ipv6_address_of_ours() {
        let mut policy = Policy::default();
        policy.here.stand_at("2001:db8::1");
        let told = |policy: &Policy, at: &str, relay: &str| {
            let to_target = policy.relay_of_target(ends("9.9.9.9", at), relay);
            assert_eq!(policy.relay_instead((at.parse().unwrap(), false), relay, 0), to_target);
            to_target
        };
        assert_eq!(told(&policy, "2.2.2.2", "2001:db8::1"), None, "we have no other");
        for (public, relays) in [("rd.example", vec!["two:1".to_owned()]), ("1.1.1.1", vec![])] {
            policy = Policy { public_relay: Some(public.to_owned()), relays, ..policy };
            for ours in ["2001:db8::1", "[2001:db8::1]:21117"] {
                assert_eq!(told(&policy, "2.2.2.2", ours).as_deref(), Some(public), "{ours}");
                assert_eq!(told(&policy, "2001:db8::2", ours), None, "{ours}");
            }
            for other in ["2001:db8::9", "[2001:db8::1]:1", "9.9.9.9", "::ffff:9.9.9.9", "name"] {
                assert_eq!(told(&policy, "2.2.2.2", other), None, "{other}");
            }
        }
    }

    #[test]
    fn c125_a_relay_of_ours_is_told_where_each_side_finds_it() {
        let public_relay = Some("rd.example.org".to_owned());
        let relays = vec!["rd.example.org".to_owned()];
        let mut policy = Policy { public_relay, relays, ..Policy::default() };
        policy.here.stand_at("10.1.0.1");
        let ends = ends("2.2.2.2", "10.1.0.7");
        let inside = ends.target;
        for ours in ["RD.example.org:21117", "127.0.0.1", "10.1.0.1:21117"] {
            let near = policy.relay_instead((inside, false), ours, 0);
            assert_eq!(near.as_deref(), Some("10.1.0.1"), "{ours}");
        }
        assert_eq!(policy.relay_instead((inside, false), "other.example", 0), None);
        assert_eq!(policy.relay_for(ends, 0), "10.1.0.1");
        // Who knows us by another address finds our relay beside it.
        let listed =
            Policy { public_relay: None, relays: vec!["10.1.0.1".into()], ..policy.clone() };
        assert_eq!(listed.relay_for(ends, 0), "10.1.0.1");
        assert_eq!(listed.relay_for(Ends { target: ends.initiator, ..ends }, 0), "");
        // A name may lead a WebSocket through a proxy; an address that it cannot reach does not.
        assert_eq!(policy.relay_instead((inside, true), "rd.example.org", 0), None);
        let near = policy.relay_instead((inside, true), "127.0.0.1", 0);
        assert_eq!(near.as_deref(), Some("10.1.0.1"));
        let web = Ends { target_web: true, ..ends };
        assert_eq!(policy.relay_for(web, 0), "rd.example.org");
        assert_eq!(policy.own_relay(web, 0).as_deref(), Some("rd.example.org"));
        assert_eq!(policy.relay_of_target(web, "rd.example.org"), None);
        assert_eq!(policy.relay_of_target(ends, "rd.example.org").as_deref(), Some("10.1.0.1"));
    }
}
