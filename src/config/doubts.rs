//! Settings that are well-formed and can hardly be meant: said by `serve` and `check`, refused by
//! neither. Checks: below; tests/cli.rs.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Config, Lan, PORT, Ports, Role};
use hbb_core::base::address::{split_port, with_port};
use hbb_core::identity::{KEY_CHARS, KeyChoice, unquoted};

/// What is to be doubted about `config`, a sentence each; `here` are this machine's addresses.
pub fn doubts(config: &Config, here: &[IpAddr]) -> Vec<String> {
    let mut found = Vec::new();
    for relay in config.relay_servers.iter().filter(|relay| !is_made_up(relay, config)) {
        if let Some(why) = doubted_host(relay, config.public.as_deref(), here) {
            found.push(format!("--relay-servers {relay}: {why}"));
        }
        let port = config.ports.relay;
        if is_ours(relay, config, here) && port_of_relay(relay) != Some(port) {
            found.push(format!(
                "--relay-servers {relay}: the relay of this machine listens on {port}; any other \
                 port must be forwarded to it"
            ));
        } else if !config.ports.single && port_of_relay(relay) == Some(config.ports.main) {
            let port = PORT + 1;
            found.push(format!(
                "--relay-servers {relay}: that is the port of the ID server; give that of the \
                 relay, {port} unless it was told another"
            ));
        }
    }
    if let Some(public) = config.public.as_deref() {
        let why = doubted_host(public, None, &[]);
        found.extend(why.map(|why| format!("--public {public}: {why}")));
    }
    if let Some(bind) = config.bind.filter(IpAddr::is_loopback) {
        found.push(format!("--bind {bind}: only this machine reaches that; leave the flag out"));
    }
    if let Some(why) = config.lan.and_then(|lan| doubted_in_lan(lan, here)) {
        found.push(why);
    }
    if config.key.as_deref().is_some_and(is_quoted) {
        found.push(
            "--key: the quotes around it would be part of what clients must enter; leave them out"
                .into(),
        );
    }
    doubt_proxies(config, &mut found);
    for (flag, is_set) in [
        ("--relay-servers", !config.relay_servers.is_empty()),
        #[cfg(feature = "accounts")]
        ("--rules", config.rules.is_some()),
        #[cfg(feature = "accounts")]
        ("--private", config.private),
    ] {
        if is_set && config.role == Role::Relay {
            const WHY: &str = " is for the ID server, a relay alone has no use for it";
            found.push([flag, WHY].concat());
        }
    }
    found
}

/// What can hardly be meant of proxies, or cannot be while they are trusted.
fn doubt_proxies(config: &Config, found: &mut Vec<String>) {
    if trusts_everybody(config) {
        found.push(
            "--trusted-proxies: so large a part of the internet is no proxy of yours, and any \
             client in it may say that it is somebody else; name the addresses of the proxies"
                .into(),
        );
    }
    let is_proxied = config.proxies.protocol && is_trusted(config, Ipv4Addr::LOCALHOST.into());
    if config.console && (config.ports.single || is_proxied) {
        found.push(
            "--console: nobody is answered with --single-port, nor while --proxy-protocol has this \
             machine in --trusted-proxies"
                .into(),
        );
    }
}

/// Why the relay of this machine will hardly be found in the LAN.
fn doubted_in_lan(lan: Lan, here: &[IpAddr]) -> Option<String> {
    let why = match lan.local_ip {
        ip if !lan.network.contains(ip) => "it is not in the network of --mask",
        ip if !here.is_empty() && !here.contains(&ip) => {
            "no interface of this machine has it; right only if its ports are forwarded here, as \
             to a container"
        }
        _ => return None,
    };
    Some(format!("--local-ip {}: {why}", lan.local_ip))
}

/// Whether `--key` is a word in quotes, as one gets it where nothing takes them off; those around a
/// key do no harm.
fn is_quoted(key: &str) -> bool {
    let bare = unquoted(key);
    bare.len() < key.len()
        && bare.len() < KEY_CHARS
        && matches!(KeyChoice::parse(Some(key)), Ok(KeyChoice::Word(_)))
}

/// Whether two addresses that have nothing in common are both those of trusted proxies.
fn trusts_everybody(config: &Config) -> bool {
    const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(203, 0, 113, 1)];
    const V6: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2a00, 0, 0, 0, 0, 0, 0, 1),
    ];
    let all = |ips: [IpAddr; 2]| ips.into_iter().all(|ip| is_trusted(config, ip));
    all(V4.map(IpAddr::V4)) || all(V6.map(IpAddr::V6))
}

fn is_trusted(config: &Config, ip: IpAddr) -> bool {
    config.proxies.networks.iter().any(|network| network.contains(ip))
}

/// Whether `relay` is this process under a name of its own.
fn is_ours(relay: &str, config: &Config, here: &[IpAddr]) -> bool {
    let (host, _) = split_port(relay);
    let named = config.public.as_deref().is_some_and(|public| host.eq_ignore_ascii_case(public));
    let is_own = |ip: IpAddr| here.contains(&ip) && !ip.is_loopback();
    config.role == Role::All && (named || host.parse().is_ok_and(is_own))
}

/// Whether nobody gave this relay: it is the one here, under the name of --public.
fn is_made_up(relay: &str, config: &Config) -> bool {
    let named = |public| relay == with_port(public, config.ports.relay);
    config.role == Role::All && config.public.as_deref().is_some_and(named)
}

/// Where clients look for a relay; None if that is no port.
fn port_of_relay(name: &str) -> Option<u16> {
    const DEFAULT: u16 = Ports::new(PORT).relay;
    split_port(name).1.map_or(Some(DEFAULT), |told| told.parse().ok())
}

/// Why clients will hardly reach `name`; `public` is where those outside find this server, and
/// `here` are this machine's addresses.
pub fn doubted_host(name: &str, public: Option<&str>, here: &[IpAddr]) -> Option<&'static str> {
    const OWN: &str = "each client would look for it on its own machine; give the address or name \
                       that clients reach it at";
    const NOWHERE: &str = "no client connects to such an address";
    let (host, _) = split_port(name);
    let Ok(ip) = host.parse::<IpAddr>() else {
        // Names may end in the dot of the root.
        return match host.strip_suffix('.').unwrap_or(host) {
            part if part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => Some(NOWHERE),
            own if is_own_name(own) => Some(OWN),
            bare if !bare.contains('.') => Some(
                "a name without a dot is known to this machine or its containers alone, unless \
                 the name server of your clients knows it",
            ),
            _ => None,
        };
    };
    let is_for_all = |name: &str| name.parse().map_or(true, is_global);
    // Without --public clients outside find this server at such an address.
    let same = |one: &IpAddr, ip: IpAddr| one.is_ipv4() == ip.is_ipv4();
    let is_outside =
        |ip| public.is_none() && here.iter().any(|own| same(own, ip) && is_global(*own));
    match ip {
        ip if ip.is_loopback() || ip.is_unspecified() => Some(OWN),
        ip if is_nowhere(ip) => Some(NOWHERE),
        ip if here.contains(&ip) => None,
        ip if !is_global(ip) && (public.is_some_and(is_for_all) || is_outside(ip)) => {
            Some("a private address, which clients outside reach only if this machine has it")
        }
        _ => None,
    }
}

/// Whether each machine calls itself so: RFC 6761, and the hosts file of Debian.
fn is_own_name(host: &str) -> bool {
    const NAMES: [&str; 4] =
        ["localhost", "ip6-localhost", "ip6-loopback", "localhost.localdomain"];
    let host = host.to_ascii_lowercase();
    NAMES.contains(&&*host) || host.ends_with(".localhost")
}

/// Whether an address is that of no machine, or of one on a link that it does not name.
const fn is_nowhere(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unicast_link_local(),
    }
}

/// Whether an address is reached from everywhere, as far as its kind tells.
pub const fn is_global(ip: IpAddr) -> bool {
    match ip {
        // The second is shared by carriers' customers, and by Tailscale (RFC 6598).
        IpAddr::V4(ip) => {
            !(ip.is_private()
                || matches!(ip.octets(), [100, 64..=127, ..])
                || ip.is_link_local()
                || ip.is_loopback())
        }
        IpAddr::V6(ip) => !(ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    /// This machine.
    const HERE: [IpAddr; 4] = [
        IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1)),
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)),
    ];

    #[test]
    fn what_clients_cannot_reach_is_doubted() {
        for (flags, said) in [
            ("--relay-servers localhost", "on its own machine"),
            ("--relay-servers LocalHost:21117", "on its own machine"),
            ("--relay-servers localhost.", "on its own machine"),
            ("--relay-servers ip6-localhost:21117", "on its own machine"),
            ("--relay-servers relay.localhost", "on its own machine"),
            ("--relay-servers 127.0.0.1:21117", "on its own machine"),
            ("--relay-servers 0.0.0.0", "on its own machine"),
            ("--relay-servers [::1]:21117", "on its own machine"),
            ("--relay-servers hbbr", "without a dot"),
            ("--relay-servers hbbr.", "without a dot"),
            ("--relay-servers 224.0.0.1", "no client connects"),
            ("--relay-servers 255.255.255.255", "no client connects"),
            ("--relay-servers 169.254.3.4:21117", "no client connects"),
            ("--relay-servers [fe80::1]", "no client connects"),
            ("--public 1.2", "--public 1.2: no client connects"),
            ("--bind 127.0.0.1", "only this machine"),
            ("--mask 192.168.1.0/24\n--local-ip 10.0.0.1", "--local-ip 10.0.0.1: it is not in"),
            (
                "--relay-servers rd.example.org:21116",
                "port of the ID server; give that of the relay",
            ),
            ("--relay-servers 198.51.100.7:21119", "relay of this machine listens on 21117"),
            ("--relay-servers 198.51.100.7:21116", "relay of this machine listens on 21117"),
            ("--relay-servers 198.51.100.7\n--port 9000", "machine listens on 9001"),
            ("--relay-servers 198.51.100.7:21117\n--single-port", "machine listens on 21116"),
            ("--relay-servers [2001:db8::7]:80", "relay of this machine listens on 21117"),
            (
                "--public rd.example.org\n--relay-servers RD.example.org:443",
                "relay of this machine listens on 21117",
            ),
            (
                "--mask 192.168.1.0/24\n--local-ip 192.168.1.7",
                "--local-ip 192.168.1.7: no interface",
            ),
            ("--relay-servers 192.168.1.5", "a private address"),
            ("--relay-servers [fd00::5]:21117", "a private address"),
            ("--public localhost", "--public localhost: each client"),
            ("--public localhost\n--relay-port 443", "--public localhost: each client"),
            ("--public hbb\n--single-port", "--public hbb: a name without a dot"),
            ("--relay-servers 192.168.1.5\n--public rd.example.org", "a private address"),
            ("--relay-servers 100.64.0.7\n--public rd.example.org", "a private address"),
            ("--relay-servers rd.example.org\n--role relay", "has no use for it"),
            #[cfg(feature = "accounts")]
            ("--private\n--role relay", "--private is for the ID server"),
            #[cfg(feature = "accounts")]
            ("--rules /etc/rules\n--role relay", "--rules is for the ID server"),
            ("--console\n--proxy-protocol", "--console: nobody is answered"),
            ("--console\n--single-port\n--public rd.example.org", "--console: nobody is answered"),
            ("--trusted-proxies 0.0.0.0/0", "no proxy of yours"),
            ("--trusted-proxies 10.0.0.1,::/0", "no proxy of yours"),
            ("--trusted-proxies 0.0.0.0/1,128.0.0.0/1", "no proxy of yours"),
        ] {
            let found = doubts(&config(flags), &HERE);
            assert_eq!(found.len(), 1, "{flags}: {found:?}");
            assert!(found[0].contains(said), "{flags}: {found:?}");
            // In the log it stands in quotes, and quotes within them become others.
            assert!(!found[0].contains('\''), "{flags}: {found:?}");
        }
    }

    #[test]
    fn what_clients_reach_is_not_doubted() {
        for flags in [
            "--relay-servers rd.example.org,203.0.113.1:21117,[2001:db8::1]:443",
            "--relay-servers 192.168.1.1",
            "--relay-servers 192.168.1.1\n--public rd.example.org",
            "--mask 192.168.1.0/24\n--local-ip 192.168.1.1",
            "--relay-servers 192.168.1.5\n--public 192.168.1.5",
            "--public rd.example.org",
            "--relay-servers 198.51.100.7,[2001:db8::7]:21117,192.0.2.1:80",
            "--relay-servers 198.51.100.7:443\n--role rendezvous",
            "--relay-servers 198.51.100.7:443\n--relay-port 443",
            "--relay-servers 198.51.100.7:21116\n--single-port",
            "--trusted-proxies 10.0.0.0/8,172.64.0.0/13,2400:cb00::/32,fd00::/8",
            "--console\n--proxy-protocol\n--trusted-proxies 10.0.0.1",
            "",
        ] {
            assert_eq!(doubts(&config(flags), &HERE), [""; 0], "{flags}");
        }
        // Where nobody comes from outside, or it is not known where this machine is.
        let flags = "--relay-servers 192.168.1.5\n--mask 10.0.0.0/8\n--local-ip 10.0.0.1";
        for here in [&HERE[1..2], &[]] {
            let found = doubts(&config(flags), here);
            assert_eq!(found.len(), usize::from(!here.is_empty()), "{found:?}");
        }
    }

    #[test]
    fn quotes_around_a_key_are_doubted() {
        for (key, is_doubted) in [
            ("\"\"", true),
            ("'a word'", true),
            ("\u{201c}a word\u{201d}", true),
            ("'_'", false),
            ("\" -\"", false),
            ("\"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\"", false),
            ("a word", false),
            ("", false),
        ] {
            let found = doubts(&Config { key: Some(key.into()), ..config("") }, &HERE);
            assert_eq!(found.len(), usize::from(is_doubted), "{key}: {found:?}");
            assert!(found.iter().all(|it| it.starts_with("--key: the quotes")), "{found:?}");
        }
    }
}
