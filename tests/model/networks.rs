//! An internet in network namespaces: the server in the middle, and on each side a router with a
//! NAT and one host behind it. IPv6 reaches everybody without one. Removed when dropped.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use super::host::Host;

/// Where the server is, for both sides.
pub(crate) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// And over IPv6.
pub(crate) const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// Both hosts, in networks that are private and alike.
const INSIDE: &str = "10.0.0.2";

/// What the routers do with IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nat {
    /// A port is the same outside as inside, for everybody, and open to everybody.
    FullCone,
    /// A port is the same outside, and open only to whom something was sent from it.
    PortRestricted,
    /// As `PortRestricted` towards the server, as `Symmetric` towards all others: it looks
    /// punchable and is not.
    Deceptive,
    /// Another port outside for each connection.
    Symmetric,
}

/// The two sides, each with the digit that tells its networks apart.
const SIDES: [(&str, u8); 2] = [("a", 1), ("b", 2)];

/// The namespaces.
pub(crate) struct Networks {
    prefix: String,
}

impl Networks {
    /// Makes them; the names are this process's own.
    pub(crate) fn new(name: &str, nat: Nat) -> Self {
        let version = Command::new("nft").arg("--version").stdout(Stdio::null()).status();
        version.expect("the program nft is needed: install the package nftables");
        let networks = Self { prefix: format!("hbb-{name}-{}", std::process::id()) };
        for part in ["net", "router-a", "router-b", "a", "b"] {
            ip(&format!("netns add {}", networks.name(part)));
            networks.link_command(part, "link set lo up");
            // IPv6 is there at once, not after seconds of looking for others with the address.
            networks.set(part, "net.ipv6.conf.default.accept_dad=0");
        }
        for server in [SERVER, SERVER_V6] {
            networks.link_command("net", &format!("addr add {server} dev lo"));
        }
        for (side, digit) in SIDES {
            networks.join_side(side, digit);
            let router = format!("router-{side}");
            networks.load_rules(&router, &rules(nat, digit));
            // As home routers have it. A listener that takes the place of a socket which knocked
            // begins with another sequence number: a NAT that minds lets no TCP punch through.
            networks.set(&router, "net.netfilter.nf_conntrack_tcp_be_liberal=1");
        }
        for part in ["net", "router-a", "router-b"] {
            networks.set(part, "net.ipv4.ip_forward=1");
            networks.set(part, "net.ipv6.conf.all.forwarding=1");
        }
        networks
    }

    /// Middle, router and host, each connected with the next.
    fn join_side(&self, side: &str, digit: u8) {
        let router = format!("router-{side}");
        let middle = format!("down{digit}");
        self.join(("net", &middle), (&router, "up0"));
        self.join((&router, "down0"), (side, "up0"));
        let outer = format!("203.0.{digit}");
        let (v6_outer, v6_inner) = (format!("2001:db8:{digit}"), format!("2001:db8:{digit}0"));
        for (part, device, addresses) in [
            ("net", middle.as_str(), [format!("{outer}.1/24"), format!("{v6_outer}::1/64")]),
            (&router, "up0", [format!("{outer}.2/24"), format!("{v6_outer}::2/64")]),
            (&router, "down0", ["10.0.0.1/24".into(), format!("{v6_inner}::1/64")]),
            (side, "up0", [format!("{INSIDE}/24"), format!("{v6_inner}::2/64")]),
        ] {
            for address in addresses {
                self.link_command(part, &format!("addr add {address} dev {device}"));
            }
            self.link_command(part, &format!("link set {device} up"));
        }
        for (part, gateway, gateway_v6) in [
            (router.as_str(), format!("{outer}.1"), format!("{v6_outer}::1")),
            (side, "10.0.0.1".into(), format!("{v6_inner}::1")),
        ] {
            self.link_command(part, &format!("route add default via {gateway}"));
            self.link_command(part, &format!("-6 route add default via {gateway_v6}"));
        }
        self.link_command("net", &format!("-6 route add {v6_inner}::/64 via {v6_outer}::2"));
    }

    fn join(&self, (part, device): (&str, &str), (other, other_device): (&str, &str)) {
        let other = self.name(other);
        let peer = format!("peer name {other_device} netns {other}");
        self.link_command(part, &format!("link add {device} type veth {peer}"));
    }

    fn set(&self, part: &str, setting: &str) {
        ip(&format!("netns exec {} sysctl -qw {setting}", self.name(part)));
    }

    fn load_rules(&self, part: &str, rules: &str) {
        let name = self.name(part);
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &name, "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft refused:\n{rules}");
    }

    fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    fn link_command(&self, part: &str, words: &str) {
        ip(&format!("-n {} {words}", self.name(part)));
    }

    /// What goes before the server's command line.
    pub(crate) fn run_in_middle(&self) -> [String; 4] {
        ["ip".into(), "netns".into(), "exec".into(), self.name("net")]
    }

    /// The host behind one of the NATs.
    pub(crate) fn host(&self, side: &str) -> Host {
        let (_, digit) = SIDES.into_iter().find(|(name, _)| *name == side).unwrap();
        Host::behind_nat(&self.name(side), INSIDE, &format!("2001:db8:{digit}0::2"))
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for part in ["a", "b", "router-a", "router-b", "net"] {
            let _ = Command::new("ip").args(["netns", "del", &self.name(part)]).status();
        }
    }
}

/// What one router's NAT is made of.
fn rules(nat: Nat, digit: u8) -> String {
    // Nobody outside gets in, and the router itself answers nobody: no refusal closes what the
    // two sides are about to open.
    const SHUT: &str = "\
        chain own { type filter hook input priority filter; iifname up0 drop; }
        chain through {
            type filter hook forward priority filter;
            iifname up0 ct state != { established, related } drop;
        }";
    let mapped = |mapping: &str| {
        format!("{SHUT}\nchain out {{ type nat hook postrouting priority srcnat; {mapping} }}")
    };
    let to_server = format!("ip daddr {SERVER} masquerade;");
    let chains = match nat {
        // It keeps no state: whatever comes for the outer address is for the inner one.
        Nat::FullCone => format!(
            "chain in {{
                type filter hook prerouting priority raw;
                iifname up0 ip daddr 203.0.{digit}.2 ip daddr set {INSIDE};
            }}
            chain out {{
                type filter hook postrouting priority srcnat;
                oifname up0 ip saddr {INSIDE} ip saddr set 203.0.{digit}.2;
            }}"
        ),
        Nat::PortRestricted => mapped("oifname up0 masquerade;"),
        Nat::Deceptive => mapped(&format!("{to_server} oifname up0 masquerade fully-random;")),
        Nat::Symmetric => mapped("oifname up0 masquerade fully-random;"),
    };
    format!("table ip nat {{\n{chains}\n}}\n")
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status();
    let status = status.expect("the program ip is needed: install the package iproute2");
    assert!(status.success(), "ip {words} failed; it needs root");
}
