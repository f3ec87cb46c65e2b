//! Settings that are valid by construction: flags file and command line merged and judged.
//! The command line wins over the file, the file over what is built in.
//! Must not know what a key is or read a file: texts come in, problems go out as sentences.
//! Checks: the refusals below; tests/cli.rs shows them as operators see them.

mod value;

use core::fmt;
use core::net::IpAddr;
use std::path::PathBuf;

use crate::base::endpoint::Network;
use crate::base::host::{host, with_port};
use crate::base::limits::{CONNECTIONS_CEILING, Limits, PEERS_CEILING, SESSIONS_CEILING};
use crate::cli::{self, ServeFlags};

pub use value::relays;
use value::{ip, ipv4_network, log_level, not_empty, proxies, role, small};

/// The port clients assume if none is typed.
pub const PORT: u16 = 21116;
/// The lowest port whose derived ports all exist: HTTP is 2 below.
pub const PORT_MIN: u16 = 3;
/// The highest port whose derived ports all exist: the relay's WebSocket port is 3 above.
pub const PORT_MAX: u16 = u16::MAX - 3;
/// Most relays in a list; more cannot be told from a mistake.
pub const RELAY_SERVERS_MAX: usize = 32;
/// Most proxies in a list: every address of a content network fits.
pub const TRUSTED_PROXIES_MAX: usize = 64;

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

/// The least important line that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// We are stopping or cannot serve.
    Error,
    /// It works, an operator should look.
    Warn,
    /// Rare and wanted.
    Info,
    /// One line per decision.
    Debug,
    /// The same with addresses; compiled out of release builds.
    Trace,
}

/// The local network and this machine's address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lan {
    /// Who belongs to it.
    pub network: Network,
    /// What its members are told as relay.
    pub local_ip: IpAddr,
}

/// A flags file that was read.
#[derive(Clone, Copy, Debug)]
pub struct FlagsFile<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// Its text: one flag a line, `#` comments, blank lines.
    pub text: &'a str,
}

/// All settings. Only this file makes one, so every value is in its bounds.
#[derive(Clone)]
pub struct Config {
    /// Where key files and store live.
    pub data: PathBuf,
    /// The only address to listen on; None is all of IPv6 and IPv4.
    pub bind: Option<IpAddr>,
    /// The ID server's port, [`PORT_MIN`] to [`PORT_MAX`].
    pub port: u16,
    /// The relay's port, 1 to 65533.
    pub relay_port: u16,
    /// Relays clients are told, `host` or `host:port`, at most [`RELAY_SERVERS_MAX`].
    /// Empty: clients use their ID server's host with the port above.
    pub relay_servers: Vec<String>,
    /// Whether upstream's console answers on this machine.
    pub console: bool,
    /// Whether the ID server's port serves all and no other TCP port is opened.
    pub single_port: bool,
    /// Proxies that are believed where their clients are, at most [`TRUSTED_PROXIES_MAX`].
    pub trusted_proxies: Vec<Network>,
    /// The text of `--key`; None if it was not given. May be a secret: never log it.
    pub key: Option<Box<str>>,
    /// The network whose members meet directly.
    pub lan: Option<Lan>,
    /// Whether all sessions go through a relay.
    pub always_use_relay: bool,
    /// Which servers to run.
    pub role: Role,
    /// The host clients use: a name or an address, no port, no brackets.
    pub public: Option<Box<str>>,
    /// Limits, each at most its ceiling.
    pub limits: Limits,
    /// What is logged.
    pub log_level: LogLevel,
    command_line: Box<ServeFlags>,
}

impl Config {
    /// Merges and judges. The error is every problem found, each a sentence with the way out.
    pub fn new(
        command_line: &ServeFlags,
        file: Option<FlagsFile<'_>>,
    ) -> Result<Self, Vec<String>> {
        let (config, problems) = Self::survey(command_line, file);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The same for `check`: beside the problems, a configuration that has the built-in value
    /// wherever one was refused. How flags go together is judged only if each is right by itself.
    pub fn survey(command_line: &ServeFlags, file: Option<FlagsFile<'_>>) -> (Self, Vec<String>) {
        let mut draft = Draft::new(command_line);
        if let Some(file) = file {
            draft.apply_file(file);
        }
        draft.place.clear();
        draft.apply(command_line);
        if draft.problems.is_empty() {
            draft.relate();
        }
        (draft.config, draft.problems)
    }

    /// Judges the same command line with another text of the flags file (SIGHUP).
    pub fn again(&self, file: Option<FlagsFile<'_>>) -> Result<Self, Vec<String>> {
        Self::new(&self.command_line, file)
    }

    /// The flags file named on the command line.
    pub fn flags_file(&self) -> Option<&str> {
        self.command_line.flags.as_deref()
    }

    /// The flags whose new values only a restart can bring into force.
    pub fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        let fixed = [
            ("--data", self.data != new.data),
            ("--bind", self.bind != new.bind),
            ("--port", self.port != new.port),
            ("--relay-port", self.relay_port != new.relay_port),
            ("--console", self.console != new.console),
            ("--single-port", self.single_port != new.single_port),
            ("--role", self.role != new.role),
            ("--key", self.key != new.key),
        ];
        fixed.into_iter().filter(|(_, changed)| *changed).map(|(flag, _)| flag).collect()
    }

    /// The TCP ports of this role: NAT test, ID server and its WebSocket, relay and its WebSocket.
    pub fn tcp_ports(&self) -> Vec<u16> {
        if self.single_port {
            return vec![self.port];
        }
        let mut ports = Vec::with_capacity(5);
        if self.role != Role::Relay {
            ports.extend([self.port - 1, self.port, self.port + 2]);
        }
        if self.role != Role::Rendezvous {
            ports.extend([self.relay_port, self.relay_port + 2]);
        }
        ports
    }

    /// The UDP port of this role, if it has one.
    pub fn udp_port(&self) -> Option<u16> {
        (self.role != Role::Relay).then_some(self.port)
    }
}

/// Hides the values: one of them may be a secret key.
impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Config").finish_non_exhaustive()
    }
}

/// A configuration in the making.
struct Draft {
    config: Config,
    relay_port: Option<u16>,
    network: Option<Network>,
    local_ip: Option<IpAddr>,
    /// Put in front of problems: empty, or `FILE line N: `.
    place: String,
    problems: Vec<String>,
}

impl Draft {
    fn new(command_line: &ServeFlags) -> Self {
        let config = Config {
            data: PathBuf::from("."),
            bind: None,
            port: PORT,
            relay_port: PORT + 1,
            relay_servers: Vec::new(),
            console: false,
            single_port: false,
            trusted_proxies: proxies("127.0.0.0/8,::1").unwrap_or_default(),
            key: None,
            lan: None,
            always_use_relay: false,
            role: Role::All,
            public: None,
            limits: Limits::default(),
            log_level: LogLevel::Info,
            command_line: Box::new(command_line.clone()),
        };
        let (place, problems) = (String::new(), Vec::new());
        Self { config, relay_port: None, network: None, local_ip: None, place, problems }
    }

    fn apply_file(&mut self, file: FlagsFile<'_>) {
        let mut seen: Vec<(&str, usize)> = Vec::new();
        let text = file.text.strip_prefix('\u{feff}').unwrap_or(file.text);
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            self.place = format!("{} line {number}: ", file.name);
            let name = line.split(['=', ' ', '\t']).next().unwrap_or(line);
            if let Some((_, first)) = seen.iter().find(|(seen, _)| *seen == name) {
                self.problem(&format!("{name} stands in line {first} already; remove one of them"));
                continue;
            }
            seen.push((name, number));
            match cli::parse_line(line) {
                Ok(flags) => self.apply(&flags),
                Err(said) => self.problem(&said),
            }
        }
    }

    fn apply(&mut self, flags: &ServeFlags) {
        self.apply_place(flags);
        self.apply_paths(flags);
        self.apply_limits(flags);
        if let Some(text) = flags.key.as_deref() {
            self.config.key = Some(text.into());
        }
        let levels = "error, warn, info, debug or trace";
        if let Some(level) = self.value("--log-level", &flags.log_level, log_level, levels) {
            self.config.log_level = level;
        }
    }

    /// Where we are and listen.
    fn apply_place(&mut self, flags: &ServeFlags) {
        let is = "a directory";
        if let Some(data) = self.value("--data", &flags.data, not_empty, is) {
            self.config.data = data.into();
        }
        let is = "an IP address of this machine, such as 192.0.2.10 or ::";
        if let Some(ip) = self.value("--bind", &flags.bind, ip, is) {
            self.config.bind = Some(ip);
        }
        let bounds = (PORT_MIN.into(), PORT_MAX.into());
        if let Some(port) = self.number("--port", &flags.port, bounds) {
            self.config.port = small(port);
        }
        let bounds = (1, (u16::MAX - 2).into());
        if let Some(port) = self.number("--relay-port", &flags.relay_port, bounds) {
            self.relay_port = Some(small(port));
        }
        let is = "all, rendezvous or relay";
        if let Some(role) = self.value("--role", &flags.role, role, is) {
            self.config.role = role;
        }
        let is = "a host name or an IP address, without a port";
        if let Some(host) = self.value("--public", &flags.public, host, is) {
            self.config.public = Some(host.into());
        }
    }

    /// Which path sessions take.
    fn apply_paths(&mut self, flags: &ServeFlags) {
        self.config.always_use_relay |= flags.always_use_relay;
        self.config.single_port |= flags.single_port;
        self.config.console |= flags.console;
        let is = "addresses or networks such as 10.0.0.0/8, with commas between, at most 64";
        if let Some(list) = self.value("--trusted-proxies", &flags.trusted_proxies, proxies, is) {
            self.config.trusted_proxies = list;
        }
        let is = "HOST or HOST:PORT, several with commas between, at most 32";
        if let Some(list) = self.value("--relay-servers", &flags.relay_servers, relays, is) {
            self.config.relay_servers = list;
        }
        let is = "an IPv4 network such as 192.168.0.0/16";
        if let Some(network) = self.value("--mask", &flags.mask, ipv4_network, is) {
            self.network = Some(network);
        }
        let is = "an IP address such as 192.168.0.1";
        if let Some(ip) = self.value("--local-ip", &flags.local_ip, ip, is) {
            self.local_ip = Some(ip);
        }
    }

    fn apply_limits(&mut self, flags: &ServeFlags) {
        let mut limits = self.config.limits;
        if let Some(max) = self.number("--max-peers", &flags.max_peers, (1, PEERS_CEILING)) {
            limits.peers = max;
        }
        let bounds = (1, CONNECTIONS_CEILING);
        if let Some(max) = self.number("--max-connections", &flags.max_connections, bounds) {
            limits.connections = max;
        }
        let bounds = (1, SESSIONS_CEILING);
        if let Some(max) = self.number("--max-sessions", &flags.max_sessions, bounds) {
            limits.sessions = max;
        }
        let (flag, bounds) = ("--registrations-per-minute", (1, u16::MAX.into()));
        if let Some(max) = self.number(flag, &flags.registrations_per_minute, bounds) {
            limits.registrations_per_source = small(max);
        }
        let (flag, bounds) = ("--new-peers-per-day", (1, u16::MAX.into()));
        if let Some(max) = self.number(flag, &flags.new_peers_per_day, bounds) {
            limits.newcomers_per_source = small(max);
        }
        self.config.limits = limits;
    }

    /// Judges how flags go together.
    fn relate(&mut self) {
        let derived = self.config.port + 1;
        self.config.relay_port = self.relay_port.unwrap_or(derived);
        self.relate_ports();
        self.relate_lan();
        if self.config.single_port {
            return self.relate_single_port();
        }
        let config = &mut self.config;
        let unexpected = config.relay_port != derived && config.role == Role::All;
        if unexpected && config.relay_servers.is_empty() {
            match &config.public {
                Some(host) => config.relay_servers.push(with_port(host, config.relay_port)),
                None => self.problem(
                    "--relay-port: clients expect the relay on --port + 1 and must be told that \
                     it is elsewhere; add --public HOST, or --relay-servers HOST:PORT",
                ),
            }
        }
    }

    /// With one port for all, clients must be told that the relay is there too.
    fn relate_single_port(&mut self) {
        let config = &mut self.config;
        if config.role != Role::All {
            return self.problem("--single-port: joins ID server and relay; leave out --role");
        }
        if self.relay_port.is_some() {
            return self.problem("--single-port: the relay is on --port; leave out --relay-port");
        }
        config.relay_port = config.port;
        match &config.public {
            _ if !config.relay_servers.is_empty() => {}
            Some(host) => config.relay_servers.push(with_port(host, config.port)),
            None => self.problem(
                "--single-port: clients expect the relay on --port + 1 and must be told that it \
                 is elsewhere; add --public HOST, or --relay-servers HOST:PORT",
            ),
        }
    }

    fn relate_ports(&mut self) {
        let mut ports = self.config.tcp_ports();
        ports.sort_unstable();
        if ports.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            self.problem(
                "--relay-port: it and the second port above it must differ from the ID server's \
                 ports, which are --port, the one below and the second above",
            );
        }
    }

    fn relate_lan(&mut self) {
        match (self.network, self.local_ip) {
            (Some(network), Some(local_ip)) => self.config.lan = Some(Lan { network, local_ip }),
            (Some(_), None) => {
                self.problem("--mask: add --local-ip with this machine's address in that network")
            }
            (None, Some(_)) => {
                self.problem("--local-ip: add --mask with the network it is in, or leave it out")
            }
            (None, None) => {}
        }
    }

    fn value<T>(
        &mut self,
        flag: &str,
        text: &Option<String>,
        parse: fn(&str) -> Option<T>,
        allowed: &str,
    ) -> Option<T> {
        let text = text.as_deref()?;
        let value = parse(text);
        if value.is_none() {
            self.problem(&[flag, " '", text, "': must be ", allowed].concat());
        }
        value
    }

    fn number(
        &mut self,
        flag: &str,
        text: &Option<String>,
        (min, max): (usize, usize),
    ) -> Option<usize> {
        let text = text.as_deref()?;
        let value = text.parse().ok().filter(|number| (min..=max).contains(number));
        if value.is_none() {
            self.problem(&format!("{flag} '{text}': must be a whole number from {min} to {max}"));
        }
        value
    }

    fn problem(&mut self, said: &str) {
        self.problems.push([&self.place, said].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let file = FlagsFile { name: "flags", text };
        Config::new(&ServeFlags::default(), Some(file)).unwrap_err()
    }

    fn config(text: &str) -> Config {
        Config::new(&ServeFlags::default(), Some(FlagsFile { name: "flags", text })).unwrap()
    }

    #[test]
    fn every_bad_line_is_named_with_what_is_allowed() {
        let text = "--port 2\n\n# note\n--max-peers=131073\n--mask 10.0.0.0\n--prot 1\n--port 5";
        assert_eq!(
            problems(text),
            [
                "flags line 1: --port '2': must be a whole number from 3 to 65532",
                "flags line 4: --max-peers '131073': must be a whole number from 1 to 131072",
                "flags line 5: --mask '10.0.0.0': must be an IPv4 network such as 192.168.0.0/16",
                "flags line 6: Unrecognized argument: --prot",
                "flags line 7: --port stands in line 1 already; remove one of them",
            ]
        );
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        for (text, said) in [
            ("--mask 10.0.0.0/8", "--mask: add --local-ip"),
            ("--local-ip 10.0.0.1", "--local-ip: add --mask"),
            ("--relay-port 21118\n--public h", "must differ"),
            ("--relay-port 21114\n--public h", "must differ"),
            ("--relay-port 443", "add --public HOST"),
        ] {
            assert!(problems(text).concat().contains(said), "{text}");
        }
    }

    #[test]
    fn command_line_wins_over_file_over_built_in() {
        let flags = ServeFlags { port: Some("4000".into()), ..ServeFlags::default() };
        let text = "\u{feff}--port 3000\r\n--max-sessions 7\r\n";
        let config = Config::new(&flags, Some(FlagsFile { name: "flags", text })).unwrap();
        assert_eq!((config.port, config.relay_port, config.limits.sessions), (4000, 4001, 7));
        assert_eq!(config.limits.peers, Limits::default().peers);
        assert_eq!(config.tcp_ports(), [3999, 4000, 4002, 4001, 4003]);
        let again = config.again(Some(FlagsFile { name: "flags", text: "--key=" })).unwrap();
        assert_eq!((again.port, again.limits.sessions), (4000, 32));
        assert_eq!(config.restart_needed(&again), ["--key"]);
    }

    #[test]
    fn relay_elsewhere_is_announced_under_the_public_name() {
        assert_eq!(config("--relay-port 443\n--public ::1").relay_servers, ["[::1]:443"]);
        assert!(config("--relay-port 443\n--role relay").relay_servers.is_empty());
        assert_eq!(config("--relay-servers a, b:1,").relay_servers.len(), 2);
    }
}
