//! A configuration in the making: flags are applied one by one, then judged together. Every
//! problem becomes a sentence with the way out. Must not know where the flags came from.
//! Checks: the refusals in `mod.rs`.

use core::net::IpAddr;
use core::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "accounts")]
use super::AccountSettings;
use super::ports::{PORT, PORT_MAX, PORT_MIN, Ports, RELAY_PORT_MAX, Role};
#[cfg(feature = "accounts")]
use super::value::{ConnectionsTo, api, connections};
use super::value::{
    LogLevel, bandwidth, hundredths, ip, ipv4_network, log_level, not_empty, proxies, proxy_header,
    relays, role, small, socket, threads,
};
use super::{CONTROL_FILE, Config, FlagsFile, Lan, TrustedProxies};
use crate::cli::{self, ServeFlags};
use hbb_core::base::address::{Network, host};
#[cfg(feature = "accounts")]
use hbb_core::base::limits::{BookLimits, PASSWORD_KIB_CEILING, PASSWORD_KIB_MIN, USERS_CEILING};
use hbb_core::base::limits::{CONNECTIONS_CEILING, Limits, PEERS_CEILING, SESSIONS_CEILING};
use hbb_core::base::rates::Rates;

impl Config {
    /// Merges and judges. The error is every problem found, each a sentence with the way out.
    pub fn new(
        command_line: &Arc<ServeFlags>,
        file: Option<FlagsFile<'_>>,
    ) -> Result<Self, Vec<String>> {
        let (config, problems) = Self::survey(command_line, file);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The same for `check`: beside the problems, a configuration that has the built-in value
    /// wherever one was refused. How flags go together is judged only if each is right by itself.
    pub fn survey(
        command_line: &Arc<ServeFlags>,
        file: Option<FlagsFile<'_>>,
    ) -> (Self, Vec<String>) {
        let mut builder = Builder::new(command_line);
        if let Some(file) = file {
            builder.apply_file(file);
        }
        builder.place.clear();
        builder.apply(command_line);
        let derived = Ports::new(builder.config.ports.main);
        builder.config.ports.relay = builder.relay_port.unwrap_or(derived.relay);
        if builder.problems.is_empty() {
            builder.relate();
        }
        (builder.config, builder.problems)
    }

    /// Judges the same command line with another text of the flags file (SIGHUP).
    pub fn again(&self, file: Option<FlagsFile<'_>>) -> Result<Self, Vec<String>> {
        Self::new(&self.command_line, file)
    }

    /// The same with another limit or rate, which holds until the file is judged again.
    ///
    /// # Errors
    /// The name or the value is wrong; what is allowed.
    pub fn with_limit(&self, name: &str, value: &str) -> Result<Self, String> {
        if !self.limit_texts().iter().any(|(known, _)| *known == name) {
            let texts = self.limit_texts();
            let meant = cli::meant(name, &mut texts.iter().map(|(known, _)| *known));
            return Err(
                ["'", name, "': must be one that 'hbb ctl limits' lists. ", &meant].concat()
            );
        }
        let flags = cli::parse_line(&["--", name, " ", value].concat())?;
        let mut builder = Builder::again(self.clone());
        builder.apply(&flags);
        if builder.problems.is_empty() {
            Ok(builder.config)
        } else {
            Err(builder.problems.concat())
        }
    }
}

/// A configuration in the making.
struct Builder {
    config: Config,
    relay_port: Option<u16>,
    network: Option<Network>,
    local_ip: Option<IpAddr>,
    /// Put in front of problems: empty, or `FILE line N: `.
    place: String,
    problems: Vec<String>,
}

impl Builder {
    fn new(command_line: &Arc<ServeFlags>) -> Self {
        let config = Config {
            data: PathBuf::from("."),
            control: PathBuf::new(),
            bind: None,
            ports: Ports::new(PORT),
            relay_servers: Vec::new(),
            console: false,
            proxies: TrustedProxies {
                networks: proxies("127.0.0.0/8,::1").unwrap_or_default(),
                ..TrustedProxies::default()
            },
            key: None,
            key_file: None,
            lan: None,
            always_use_relay: false,
            role: Role::All,
            public: None,
            #[cfg(feature = "accounts")]
            rules: None,
            #[cfg(feature = "accounts")]
            private: false,
            #[cfg(feature = "accounts")]
            accounts: AccountSettings::default(),
            limits: Limits::default(),
            quiet_start: false,
            relay_threads: 1,
            dscp: None,
            rates: Rates::default(),
            log_level: LogLevel::Info,
            #[cfg(feature = "accounts")]
            connections_to: ConnectionsTo::Memory,
            command_line: Arc::clone(command_line),
        };
        Self::again(config)
    }

    /// Starts from a configuration that was judged already.
    fn again(config: Config) -> Self {
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
                self.problem(&format!("{name} is in line {first} already; remove one of them"));
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
        self.apply_rates(flags);
        self.apply_threads(flags);
        #[cfg(feature = "accounts")]
        self.apply_accounts(flags);
        if let Some(text) = flags.key.as_deref() {
            self.config.key = Some(text.into());
        }
        if let Some(file) = self.value("--key-file", &flags.key_file, not_empty, "a file") {
            self.config.key_file = Some(file.into());
        }
        let levels = "error, warn, info, debug or trace";
        if let Some(level) = self.value("--log-level", &flags.log_level, log_level, levels) {
            self.config.log_level = level;
        }
    }

    /// Where files are, and where to listen.
    fn apply_place(&mut self, flags: &ServeFlags) {
        let is = "a directory";
        if let Some(data) = self.value("--data", &flags.data, not_empty, is) {
            self.config.data = data.into();
        }
        let is = "the path of a socket, at most 100 bytes";
        if let Some(path) = self.value("--control", &flags.control, socket, is) {
            self.config.control = path.into();
        }
        let is = "an IP address of this machine, such as 192.0.2.10 or ::";
        if let Some(ip) = self.value("--bind", &flags.bind, ip, is) {
            self.config.bind = Some(ip);
        }
        let bounds = PORT_MIN.into()..=PORT_MAX.into();
        if let Some(port) = self.number("--port", &flags.port, bounds) {
            self.config.ports.main = small(port);
        }
        let bounds = 1..=RELAY_PORT_MAX.into();
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

    /// How clients are led to each other.
    fn apply_paths(&mut self, flags: &ServeFlags) {
        self.config.always_use_relay |= flags.always_use_relay;
        self.config.ports.single |= flags.single_port;
        self.config.ports.api &= !flags.no_api_port;
        self.config.console |= flags.console;
        self.config.quiet_start |= flags.quiet_start;
        let is = "addresses or networks such as 10.0.0.0/8, separated by commas, at most 64";
        if let Some(list) = self.value("--trusted-proxies", &flags.trusted_proxies, proxies, is) {
            self.config.proxies.networks = list;
        }
        let is = "x-real-ip or x-forwarded-for";
        if let Some(header) = self.value("--proxy-header", &flags.proxy_header, proxy_header, is) {
            self.config.proxies.header = header;
        }
        self.config.proxies.protocol |= flags.proxy_protocol;
        let is = "HOST or HOST:PORT, several separated by commas, at most 32";
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
        if let Some(max) = self.number("--max-peers", &flags.max_peers, 1..=PEERS_CEILING) {
            limits.peers = max;
        }
        let bounds = 1..=CONNECTIONS_CEILING;
        if let Some(max) = self.number("--max-connections", &flags.max_connections, bounds) {
            limits.connections = max;
        }
        let bounds = 1..=SESSIONS_CEILING;
        if let Some(max) = self.number("--max-sessions", &flags.max_sessions, bounds) {
            limits.sessions = max;
        }
        let (flag, bounds) = ("--registrations-per-minute", 1..=u16::MAX.into());
        if let Some(max) = self.number(flag, &flags.registrations_per_minute, bounds) {
            limits.registrations_per_source = small(max);
        }
        let (flag, bounds) = ("--new-peers-per-day", 1..=u16::MAX.into());
        if let Some(max) = self.number(flag, &flags.new_peers_per_day, bounds) {
            limits.newcomers_per_source = small(max);
        }
        let bounds = 0..=u16::MAX.into();
        if let Some(days) = self.number("--forget-after", &flags.forget_after, bounds) {
            limits.forget_after_days = small(days);
        }
        let bounds = 0..=u16::MAX.into();
        if let Some(max) = self.number("--writes-per-day", &flags.writes_per_day, bounds) {
            limits.writes_a_day = small(max);
        }
        self.config.limits = limits;
    }

    /// What routers do without.
    #[cfg(feature = "accounts")]
    fn apply_accounts(&mut self, flags: &ServeFlags) {
        self.config.private |= flags.private;
        if let Some(file) = self.value("--rules", &flags.rules, not_empty, "a file") {
            self.config.rules = Some(file.into());
        }
        let is = "off, memory, log or a file";
        if let Some(to) = self.value("--connection-log", &flags.connection_log, connections, is) {
            self.config.connections_to = to;
        }
        self.config.accounts.on |= flags.accounts;
        self.config.accounts.must_login |= flags.must_login;
        let is = "[IP:]PORT, such as 21114 or 127.0.0.1:21114";
        if let Some((ip, port)) = self.value("--api", &flags.api, api, is) {
            (self.config.accounts.api_ip, self.config.ports.calls) = (ip, Some(port));
        }
        #[cfg(feature = "web")]
        if let Some((ip, port)) = self.value("--web", &flags.web, api, is) {
            (self.config.accounts.web_ip, self.config.ports.web) = (ip, Some(port));
        }
        if let Some(users) = self.number("--max-users", &flags.max_users, 1..=USERS_CEILING) {
            self.config.accounts.limits.users = users;
        }
        let (min, max) = (PASSWORD_KIB_MIN / 1024, PASSWORD_KIB_CEILING / 1024);
        let bounds = usize::try_from(min).unwrap_or(1)..=usize::try_from(max).unwrap_or(1);
        if let Some(mib) = self.number("--password-memory", &flags.password_memory, bounds) {
            self.config.accounts.limits.password_kib = u32::from(small(mib)) * 1024;
        }
    }

    /// What accounts need, and where they are asked for.
    #[cfg(feature = "accounts")]
    fn relate_accounts(&mut self) {
        self.config.accounts.limits.books = BookLimits::of(self.config.limits.peers);
        let AccountSettings { on, must_login, .. } = self.config.accounts;
        let needs = [
            ("--api", self.config.ports.calls.is_some()),
            #[cfg(feature = "web")]
            ("--web", self.config.ports.web.is_some()),
            ("--must-login", must_login),
        ];
        for (flag, _) in needs.into_iter().filter(|(_, is_set)| *is_set && !on) {
            self.problem(&[flag, ": add --accounts, or leave it out"].concat());
        }
        if on && self.config.role == Role::Relay {
            self.problem("--accounts: the ID server has them; leave it out of a relay alone");
        }
        if on {
            // There is an API: where nobody listens, clients ask for it over --port, and where they
            // were told that there is none, they would not (C170).
            self.config.ports.api = false;
        }
        let ports = self.config.ports;
        let more = [
            ("--api", ports.calls, Ports { calls: None, ..ports }),
            #[cfg(feature = "web")]
            ("--web", ports.web, Ports { web: None, ..ports }),
        ];
        for (flag, port, others) in more {
            let Some(port) = port else { continue };
            if others.tcp(self.config.role).into_iter().any(|(_, other)| other == port) {
                let other = "must differ from all other ports of this server";
                self.problem(&format!("{flag} {port}: {other}"));
                // It is said once.
                self.config.ports = others;
            }
        }
    }

    fn apply_threads(&mut self, flags: &ServeFlags) {
        let is = "auto, or a whole number from 1 to 64";
        if let Some(threads) = self.value("--relay-threads", &flags.relay_threads, threads, is) {
            self.config.relay_threads = threads;
        }
        if let Some(dscp) = self.number("--dscp", &flags.dscp, 0..=63) {
            self.config.dscp = u8::try_from(dscp).ok();
        }
    }

    fn apply_rates(&mut self, flags: &ServeFlags) {
        let is = "megabits a second, more than 0 and at most 1000000, such as 8 or 0.5";
        let mut rates = self.config.rates;
        for (flag, text, rate) in [
            ("--total-bandwidth", &flags.total_bandwidth, &mut rates.total),
            ("--single-bandwidth", &flags.single_bandwidth, &mut rates.single),
            ("--limit-speed", &flags.limit_speed, &mut rates.limited),
        ] {
            if let Some(value) = self.value(flag, text, bandwidth, is) {
                *rate = value;
            }
        }
        let (flag, is) = ("--downgrade-threshold", "a part, more than 0 and at most 1");
        if let Some(value) = self.value(flag, &flags.downgrade_threshold, hundredths, is) {
            rates.downgrade_threshold = value;
        }
        let (flag, bounds) = ("--downgrade-start-check", 1..=1_000_000);
        if let Some(secs) = self.number(flag, &flags.downgrade_start_check, bounds) {
            rates.downgrade_after_ms = secs as u64 * 1000;
        }
        self.config.rates = rates;
    }

    /// Judges how flags go together.
    fn relate(&mut self) {
        if self.config.control.as_os_str().is_empty() {
            self.config.control = self.config.data.join(CONTROL_FILE);
        }
        self.relate_lan();
        #[cfg(feature = "accounts")]
        self.relate_accounts();
        if !self.relate_ports() {
            return;
        }
        if self.config.ports.single {
            return self.relate_single_port();
        }
        if !self.config.ports.relay_is_expected() && self.config.role == Role::All {
            self.relate_relay("--relay-port");
        }
    }

    /// Where clients do not look for the relay by themselves.
    fn relate_relay(&mut self, flag: &str) {
        if self.config.relays().is_empty() {
            let said = ": clients expect the relay on --port + 1 and must be told that it is \
                        elsewhere; add --public HOST, or --relay-servers HOST:PORT";
            self.problem(&[flag, said].concat());
        }
    }

    /// With one port for all, clients must be told that the relay is there too.
    fn relate_single_port(&mut self) {
        let config = &mut self.config;
        if config.role != Role::All {
            return self
                .problem("--single-port: serves ID server and relay together; leave out --role");
        }
        if self.relay_port.is_some() {
            return self.problem("--single-port: the relay is on --port; leave out --relay-port");
        }
        config.ports = config.ports.on_one();
        self.relate_relay("--single-port");
    }

    /// Whether each port is there once.
    fn relate_ports(&mut self) -> bool {
        let Ports { main, relay, .. } = self.config.ports;
        if main == relay && self.config.role == Role::All && !self.config.ports.single {
            self.problem(&format!(
                "--relay-port {relay}: that is --port, where the ID server is; leave it out for \
                 {}, or give --single-port in its place to have both on {main}",
                Ports::new(main).relay
            ));
            return false;
        }
        let ports = self.config.ports.tcp(self.config.role);
        let mut numbers: Vec<u16> = ports.into_iter().map(|(_, port)| port).collect();
        numbers.sort_unstable();
        let twice = numbers.windows(2).any(|pair| matches!(pair, [one, other] if one == other));
        if twice {
            self.problem(&format!(
                "--relay-port {relay}: it and the second port above it must differ from the ID \
                 server's ports: --port, the one below it and the second above it"
            ));
        }
        !twice
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
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let text = text.as_deref()?;
        let value = text.parse().ok().filter(|number| range.contains(number));
        if value.is_none() {
            let (min, max) = range.into_inner();
            self.problem(&format!("{flag} '{text}': must be a whole number from {min} to {max}"));
        }
        value
    }

    fn problem(&mut self, said: &str) {
        self.problems.push([&self.place, said].concat());
    }
}
