//! Settings that are valid by construction: flags file and command line merged and judged.
//! The command line wins over the file, the file over what is built in.
//! Must not know what a key is or read a file: texts come in, problems go out as sentences.
//! Checks: the refusals below; tests/cli.rs shows them as operators see them.

mod builder;
mod doubts;
mod ports;
mod value;

use core::fmt;
use core::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::ServeFlags;
use crate::file::beside;
use hbb_core::base::address::{Network, with_port};
#[cfg(feature = "accounts")]
use hbb_core::base::limits::AccountLimits;
use hbb_core::base::limits::Limits;
use hbb_core::base::rates::Rates;

pub use doubts::{doubted_host, doubts, is_global};
pub use ports::{PORT, PortService, Ports, Role, WEB_CLIENTS};
#[cfg(feature = "accounts")]
pub use value::ConnectionsTo;
pub use value::{LogLevel, ProxyHeader, relays};
use value::{in_hundredths, megabits};

/// The secret key's file in the data directory.
pub const SECRET_FILE: &str = "id_ed25519";
/// The control socket's name in the data directory.
pub const CONTROL_FILE: &str = "hbb.sock";

/// The file of the key before that in `secret`, while both are good.
pub fn old_key_file(secret: &Path) -> PathBuf {
    beside(secret, ".old")
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

/// Proxies that are believed where their clients are, and how they tell it.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    /// Where they are, at most 64.
    pub networks: Vec<Network>,
    /// The header in which they tell it over HTTP.
    pub header: ProxyHeader,
    /// Whether they begin every other connection with the PROXY protocol.
    pub protocol: bool,
}

/// What is set of accounts.
#[cfg(feature = "accounts")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountSettings {
    /// Whether there are any.
    pub on: bool,
    /// The only address at which calls are answered by HTTP; None for where all else is.
    pub api_ip: Option<IpAddr>,
    /// The only address at which operators find their page; None for where all else is.
    #[cfg(feature = "web")]
    pub web_ip: Option<IpAddr>,
    /// Whether only users who are logged in may connect.
    pub must_login: bool,
    /// How many, and how dear their passwords are.
    pub limits: AccountLimits,
}

#[cfg(feature = "accounts")]
impl AccountSettings {
    /// The only address at which this is served where all else is at `ip`; None is all of them.
    pub fn ip_of(&self, service: PortService, ip: Option<IpAddr>) -> Option<IpAddr> {
        match service {
            PortService::Api => self.api_ip.or(ip),
            #[cfg(feature = "web")]
            PortService::Web => self.web_ip.or(ip),
            _ => ip,
        }
    }
}

/// All settings. Only `builder.rs` makes one, so every value is in its bounds.
#[derive(Clone)]
pub struct Config {
    /// Where key files and store live.
    pub data: PathBuf,
    /// Where `hbb ctl` finds us: a unix socket, [`CONTROL_FILE`] in `data` if not given.
    pub control: PathBuf,
    /// The only address to listen on; None is all of IPv6 and IPv4.
    pub bind: Option<IpAddr>,
    /// The ports, which do not overlap.
    pub ports: Ports,
    /// Relays that were named for clients, `host` or `host:port`, at most 32; see [`Self::relays`].
    pub relay_servers: Vec<String>,
    /// Whether upstream's console answers on this machine.
    pub console: bool,
    /// Proxies that are believed where their clients are.
    pub proxies: TrustedProxies,
    /// The text of `--key`; None if it was not given. May be a secret: never log it.
    pub key: Option<Box<str>>,
    /// Where the secret key is read from, if it is not in `data`.
    pub key_file: Option<PathBuf>,
    /// The network whose members meet directly.
    pub lan: Option<Lan>,
    /// Whether all sessions go through a relay.
    pub always_use_relay: bool,
    /// Which servers to run.
    pub role: Role,
    /// The host clients use: a name or an address, no port, no brackets.
    pub public: Option<Box<str>>,
    /// The file of rules, if it is not the one in `data`.
    #[cfg(feature = "accounts")]
    pub rules: Option<PathBuf>,
    /// Devices that are not stored yet wait for an operator.
    #[cfg(feature = "accounts")]
    pub private: bool,
    /// Whether users have accounts, and what for.
    #[cfg(feature = "accounts")]
    pub accounts: AccountSettings,
    /// Limits, each at most its ceiling.
    pub limits: Limits,
    /// Whether devices that were here at the stop are left alone after the start (C138).
    pub quiet_start: bool,
    /// Threads for relayed sessions, at most 64; 1 is none of their own.
    pub relay_threads: usize,
    /// What relayed traffic is marked with, 0 to 63.
    pub dscp: Option<u8>,
    /// How fast relayed sessions may go.
    pub rates: Rates,
    /// What is logged.
    pub log_level: LogLevel,
    /// Where it is kept who asked for whom.
    #[cfg(feature = "accounts")]
    pub connections_to: ConnectionsTo,
    command_line: Arc<ServeFlags>,
}

impl Config {
    /// The file of the secret key.
    pub fn secret_file(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| self.data.join(SECRET_FILE))
    }

    /// The flags file named on the command line.
    pub fn flags_file(&self) -> Option<&str> {
        self.command_line.flags.as_deref()
    }

    /// Limits and rates by the names of their flags, in the units of these.
    pub fn limit_texts(&self) -> Vec<(&'static str, String)> {
        let (limits, rates) = (&self.limits, &self.rates);
        vec![
            ("max-peers", limits.peers.to_string()),
            ("max-connections", limits.connections.to_string()),
            ("max-sessions", limits.sessions.to_string()),
            ("registrations-per-minute", limits.registrations_per_source.to_string()),
            ("new-peers-per-day", limits.newcomers_per_source.to_string()),
            ("forget-after", limits.forget_after_days.to_string()),
            ("writes-per-day", limits.writes_a_day.to_string()),
            ("total-bandwidth", megabits(rates.total)),
            ("single-bandwidth", megabits(rates.single)),
            ("limit-speed", megabits(rates.limited)),
            ("downgrade-threshold", in_hundredths(rates.downgrade_threshold)),
            ("downgrade-start-check", (rates.downgrade_after_ms / 1000).to_string()),
            #[cfg(feature = "accounts")]
            ("max-users", self.accounts.limits.users.to_string()),
            #[cfg(feature = "accounts")]
            ("password-memory", (self.accounts.limits.password_kib / 1024).to_string()),
        ]
    }

    /// Relays clients are told: those that were named, else ours where they would not look for it.
    pub fn relays(&self) -> Vec<String> {
        let named = |host: &str| vec![with_port(host, self.ports.relay)];
        match self.public.as_deref().map(named) {
            Some(ours)
                if self.relay_servers.is_empty()
                    && self.role == Role::All
                    && !self.ports.relay_is_expected() =>
            {
                ours
            }
            _ => self.relay_servers.clone(),
        }
    }

    /// What is in force once `new` was read: what only a restart changes stays as it is.
    pub fn reloaded(&self, new: Self) -> Self {
        Self {
            relay_servers: new.relay_servers,
            proxies: new.proxies,
            lan: new.lan,
            always_use_relay: new.always_use_relay,
            public: new.public,
            #[cfg(feature = "accounts")]
            rules: new.rules,
            #[cfg(feature = "accounts")]
            private: new.private,
            #[cfg(feature = "accounts")]
            accounts: AccountSettings {
                must_login: new.accounts.must_login,
                limits: new.accounts.limits,
                ..self.accounts
            },
            limits: new.limits,
            rates: new.rates,
            log_level: new.log_level,
            ..self.clone()
        }
    }

    /// The flags whose new values only a restart can bring into force.
    pub fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        let fixed = [
            ("--data", self.data != new.data),
            ("--control", self.control != new.control),
            ("--bind", self.bind != new.bind),
            ("--port", self.ports.main != new.ports.main),
            ("--relay-port", self.ports.relay != new.ports.relay),
            ("--console", self.console != new.console),
            ("--single-port", self.ports.single != new.ports.single),
            ("--quiet-start", self.quiet_start != new.quiet_start),
            ("--no-api-port", self.ports.api != new.ports.api),
            ("--relay-threads", self.relay_threads != new.relay_threads),
            ("--dscp", self.dscp != new.dscp),
            ("--role", self.role != new.role),
            #[cfg(feature = "accounts")]
            ("--accounts", self.accounts.on != new.accounts.on),
            #[cfg(feature = "web")]
            (
                "--web",
                self.ports.web != new.ports.web || self.accounts.web_ip != new.accounts.web_ip,
            ),
            #[cfg(feature = "accounts")]
            (
                "--api",
                self.ports.calls != new.ports.calls || self.accounts.api_ip != new.accounts.api_ip,
            ),
            ("--key", self.key != new.key),
            ("--key-file", self.key_file != new.key_file),
            #[cfg(feature = "accounts")]
            ("--connection-log", self.connections_to != new.connections_to),
        ];
        let mut needed = Vec::new();
        for (flag, changed) in fixed {
            if changed {
                needed.push(flag);
            }
        }
        needed
    }
}

/// Hides the values: one of them may be a secret key.
impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Config").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let file = FlagsFile { name: "flags", text };
        Config::new(&Arc::default(), Some(file)).unwrap_err()
    }

    pub(super) fn config(text: &str) -> Config {
        Config::new(&Arc::default(), Some(FlagsFile { name: "flags", text })).unwrap()
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
                "flags line 6: Unrecognized argument: --prot. Did you mean --port?",
                "flags line 7: --port is in line 1 already; remove one of them",
            ]
        );
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        for (text, said) in [
            ("--mask 10.0.0.0/8", "--mask: add --local-ip"),
            ("--local-ip 10.0.0.1", "--local-ip: add --mask"),
            ("--relay-port 21118\n--public h", "must differ"),
            ("--relay-port 21116\n--public h", "--relay-port 21116: that is --port, where"),
            ("--relay-port 21116", "--single-port"),
            ("--relay-port 21114\n--public h", "must differ"),
            ("--relay-port 443", "add --public HOST"),
            #[cfg(feature = "accounts")]
            ("--api 21114", "--api: add --accounts"),
            #[cfg(feature = "accounts")]
            ("--must-login", "--must-login: add --accounts"),
            #[cfg(feature = "accounts")]
            ("--accounts\n--api 127.0.0.1:21116", "--api 21116: must differ"),
            #[cfg(feature = "accounts")]
            ("--accounts\n--role relay", "--accounts: the ID server has them"),
            #[cfg(feature = "accounts")]
            ("--accounts\n--api 0", "--api '0': must be [IP:]PORT"),
            #[cfg(feature = "accounts")]
            ("--password-memory 3", "must be a whole number from 4 to 64"),
        ] {
            assert!(problems(text).concat().contains(said), "{text}");
        }
        #[cfg(feature = "accounts")]
        assert_eq!(problems("--accounts\n--api 21116").len(), 1, "--relay-port is well");
    }

    #[test]
    fn command_line_wins_over_file_over_built_in() {
        let flags = ServeFlags { port: Some("4000".into()), ..ServeFlags::default() };
        let text = "\u{feff}--port 3000\r\n--max-sessions 7\r\n";
        let config =
            Config::new(&Arc::new(flags), Some(FlagsFile { name: "flags", text })).unwrap();
        assert_eq!((config.ports, config.limits.sessions), (Ports::new(4000), 7));
        assert_eq!(config.limits.peers, Limits::default().peers);
        let again =
            config.again(Some(FlagsFile { name: "flags", text: "--key=\n--key-file k" })).unwrap();
        assert_eq!((again.ports.main, again.limits.sessions), (4000, 32));
        assert_eq!(config.restart_needed(&again), ["--key", "--key-file"]);
    }

    #[test]
    fn until_a_restart_what_it_takes_stays_as_it_runs() {
        let running = config("--public a");
        let text = "--public b\n--max-peers 9\n--relay-port 7\n--role rendezvous\n--data /x";
        let new = config(text);
        let reloaded = running.reloaded(new.clone());
        assert_eq!((reloaded.ports, reloaded.role), (running.ports, Role::All));
        assert_eq!((reloaded.public.as_deref(), reloaded.limits.peers), (Some("b"), 9));
        assert_eq!((reloaded.data.as_path(), reloaded.relays()), (running.data.as_path(), vec![]));
        // Taken back, nothing needs a restart; read again, it still does.
        assert_eq!(reloaded.restart_needed(&running), [""; 0]);
        assert_eq!(reloaded.restart_needed(&new), running.restart_needed(&new));
        let elsewhere = config("--relay-port 443\n--public a");
        assert_eq!(elsewhere.reloaded(config("--public b")).relays(), ["b:443"]);
    }

    #[test]
    fn limits_are_told_as_they_are_typed() {
        let config = config("--total-bandwidth 0.5\n--max-sessions 7");
        let changed = config.with_limit("limit-speed", "2.25").unwrap();
        let changed = changed.with_limit("max-peers", "9").unwrap();
        let changed = changed.with_limit("forget-after", "90").unwrap();
        let told = changed.limit_texts();
        for (name, value) in [
            ("max-peers", "9"),
            ("forget-after", "90"),
            ("max-sessions", "7"),
            ("total-bandwidth", "0.5"),
            ("single-bandwidth", "128"),
            ("limit-speed", "2.25"),
            ("downgrade-threshold", "0.66"),
        ] {
            assert!(told.contains(&(name, value.into())), "{name}: {told:?}");
        }
        for (name, value) in [("max-peers", "0"), ("port", "4"), ("max-peers", "x\n--port 1")] {
            assert!(config.with_limit(name, value).is_err(), "{name} {value}");
        }
        assert_eq!(config.restart_needed(&changed), [""; 0]);
    }

    #[test]
    fn relay_elsewhere_is_announced_under_the_public_name() {
        assert_eq!(config("--relay-port 443\n--public ::1").relays(), ["[::1]:443"]);
        assert!(config("--relay-port 443\n--role relay").relays().is_empty());
        assert_eq!(config("--relay-servers a, b:1,").relay_servers.len(), 2);
    }

    #[test]
    fn c009_mapped_addresses_in_flags_are_ipv4() {
        let config = config(
            "--bind ::ffff:192.0.2.1\n--relay-servers [::ffff:192.0.2.2]:9\n--local-ip \
             ::ffff:10.0.0.1\n--mask 10.0.0.0/8\n--public ::ffff:192.0.2.3",
        );
        assert_eq!(config.bind, "192.0.2.1".parse().ok());
        assert_eq!(config.relay_servers, ["192.0.2.2:9"]);
        assert_eq!(config.public.as_deref(), Some("192.0.2.3"));
        assert_eq!(config.lan.map(|lan| lan.local_ip), "10.0.0.1".parse().ok());
    }
}
