//! Which ports a server opens and what stands behind each, worked out here and nowhere else.
//! Must not know what listens there. Checks: the tests below; tests/cli.rs and tests/e2e.rs find
//! them open.

use hbb_core::base::address::with_port;

/// The port clients assume if none is typed.
pub const PORT: u16 = 21116;
/// Who needs the ports for WebSockets, for a message.
pub const WEB_CLIENTS: &str = "browsers and clients set to use WebSocket";
/// The lowest port whose derived ports all exist: HTTP is 2 below.
pub(super) const PORT_MIN: u16 = 3;
/// The highest port whose derived ports all exist: the relay's WebSocket port is 3 above.
pub(super) const PORT_MAX: u16 = u16::MAX - 3;
/// The highest port of a relay, whose WebSocket port is 2 above.
pub(super) const RELAY_PORT_MAX: u16 = u16::MAX - 2;

/// Which servers this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// ID server and relay.
    All,
    /// The ID server alone.
    Rendezvous,
    /// The relay alone.
    Relay,
}

impl Role {
    /// As `--role` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Rendezvous => "rendezvous",
            Self::Relay => "relay",
        }
    }
}

/// What a TCP port is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortService {
    /// P: the ID server.
    Signalling,
    /// P-1: NAT test and online queries, by clients that expect no offer of a sealed channel.
    NatTest,
    /// P-2: whoever calls the HTTP API is told that there is none.
    NoApi,
    /// `--api`: calls of the HTTP API.
    #[cfg(feature = "accounts")]
    Api,
    /// `--web`: the page for operators.
    #[cfg(feature = "web")]
    Web,
    /// P+2: the ID server for browsers.
    SignallingWs,
    /// P+1, or `--relay-port`: the relay.
    Relay,
    /// The second port above the relay's: the relay for browsers.
    RelayWs,
    /// P of a server with a single port: all of the above.
    Every,
}

/// The ports of a server, from which all others follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// P, the ID server's, UDP and TCP: 3 to 65532.
    pub main: u16,
    /// The relay's, 1 to 65533; the same as P with `single`.
    pub relay: u16,
    /// Whether P serves all and no other TCP port is opened.
    pub single: bool,
    /// Whether P-2 says that there is no API.
    pub api: bool,
    /// Where calls of it are answered by HTTP, if anywhere.
    #[cfg(feature = "accounts")]
    pub calls: Option<u16>,
    /// Where operators find their page, if anywhere.
    #[cfg(feature = "web")]
    pub web: Option<u16>,
}

impl PortService {
    /// Whether the server is of use without: it serves browsers alone and clients that were told
    /// to use WebSockets, or only says that something is not there.
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::SignallingWs | Self::RelayWs | Self::NoApi)
    }

    /// Who commonly has `port` already, for a message.
    pub const fn usual_holder(self, port: u16) -> &'static str {
        match (self, port) {
            (Self::NoApi, _) => "an API server",
            #[cfg(feature = "accounts")]
            (Self::Api, _) => "an API server",
            (_, 21_118) => "a RustDesk client on this machine, for direct access",
            _ => "another program",
        }
    }
}

impl Ports {
    /// The ports that follow from P alone.
    pub const fn new(main: u16) -> Self {
        Self {
            main,
            relay: relay_of(main),
            single: false,
            api: true,
            #[cfg(feature = "accounts")]
            calls: None,
            #[cfg(feature = "web")]
            web: None,
        }
    }

    /// The same with the relay on P and no other port.
    pub const fn on_one(self) -> Self {
        Self { relay: self.main, single: true, ..self }
    }

    /// Whether clients that know only P look for the relay where it is.
    pub const fn relay_is_expected(self) -> bool {
        self.relay == relay_of(self.main)
    }

    /// The TCP ports of a role and what stands behind each.
    pub fn tcp(self, role: Role) -> Vec<(PortService, u16)> {
        let mut ports = Vec::with_capacity(7);
        #[cfg(feature = "accounts")]
        ports.extend(self.calls.map(|port| (PortService::Api, port)));
        #[cfg(feature = "web")]
        ports.extend(self.web.map(|port| (PortService::Web, port)));
        if self.single {
            ports.push((PortService::Every, self.main));
            return ports;
        }
        if role != Role::Relay {
            ports.push((PortService::NatTest, self.main.saturating_sub(1)));
            ports.push((PortService::Signalling, self.main));
            ports.push((PortService::SignallingWs, self.main.saturating_add(2)));
        }
        if role != Role::Rendezvous {
            ports.push((PortService::Relay, self.relay));
            ports.push((PortService::RelayWs, self.relay.saturating_add(2)));
        }
        let http = self.main.saturating_sub(2);
        if self.api && role != Role::Relay && ports.iter().all(|(_, port)| *port != http) {
            ports.push((PortService::NoApi, http));
        }
        ports
    }

    /// The UDP port of a role, if it has one.
    pub fn udp(self, role: Role) -> Option<u16> {
        (role != Role::Relay).then_some(self.main)
    }

    /// What clients enter as ID server: the host, with the port unless they assume it.
    pub fn id_server(self, host: &str) -> String {
        named(host, self.main, PORT)
    }

    /// What clients are told as relay: the host, with the port unless they assume it.
    pub fn relay_server(self, host: &str) -> String {
        named(host, self.relay, relay_of(PORT))
    }
}

/// Where clients look for the relay of the ID server at `main`.
const fn relay_of(main: u16) -> u16 {
    main.saturating_add(1)
}

fn named(host: &str, port: u16, assumed: u16) -> String {
    if port == assumed { host.to_owned() } else { with_port(host, port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(ports: Ports, role: Role) -> Vec<u16> {
        ports.tcp(role).into_iter().map(|(_, port)| port).collect()
    }

    #[test]
    fn every_port_follows_from_two() {
        let ports = Ports::new(4000);
        assert_eq!(numbers(ports, Role::All), [3999, 4000, 4002, 4001, 4003, 3998]);
        assert_eq!(numbers(ports, Role::Rendezvous), [3999, 4000, 4002, 3998]);
        let without = Ports { api: false, ..ports };
        assert_eq!(numbers(without, Role::Rendezvous), [3999, 4000, 4002]);
        let taken = Ports { relay: 3996, ..ports };
        assert_eq!(numbers(taken, Role::All), [3999, 4000, 4002, 3996, 3998]);
        assert_eq!(numbers(Ports { relay: 443, ..ports }, Role::Relay), [443, 445]);
        assert_eq!(ports.on_one().tcp(Role::All), [(PortService::Every, 4000)]);
        assert_eq!((ports.udp(Role::All), ports.udp(Role::Relay)), (Some(4000), None));
    }

    #[test]
    fn the_lowest_and_the_highest_port_have_all_of_theirs() {
        let lowest = numbers(Ports::new(PORT_MIN), Role::All);
        let highest = numbers(Ports::new(PORT_MAX), Role::All);
        for mut ports in [lowest, highest] {
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), 6);
            assert!(!ports.contains(&0));
        }
    }

    #[test]
    fn a_port_is_named_unless_clients_assume_it() {
        let usual = Ports::new(PORT);
        assert_eq!((usual.id_server("h"), usual.relay_server("::1")), ("h".into(), "::1".into()));
        let other = Ports::new(4000);
        assert_eq!(other.id_server("h"), "h:4000");
        assert_eq!(other.relay_server("::1"), "[::1]:4001");
        assert!(usual.relay_is_expected() && !usual.on_one().relay_is_expected());
    }
}
