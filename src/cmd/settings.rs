//! The settings while the server runs: what a reload reads, what an operator changes, and the file
//! that keeps who is shut out. Checks: tests/ctl.rs, C71 and C72 in tests/conformance.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{level_filter, read_text, reconfigure};
use crate::config::{Config, PORT, Role};
use crate::log::{set_level, warn};
use crate::net::control::{About, Settings};
use crate::net::signalling::Live;
use hbb_core::base::bans::{Banned, Bans};
use hbb_core::base::endpoint::Network;
use hbb_core::base::host::with_port;
use hbb_core::base::limits::BANS_MAX;
use hbb_core::identity::KeyPolicy;
use hbb_core::relay::Lists;
use hbb_core::rendezvous::{Lan, Policy};

/// Addresses whose sessions get the limited rate.
const BLACKLIST_FILE: &str = "blacklist.txt";
/// Addresses the relay refuses.
const BLOCKLIST_FILE: &str = "blocklist.txt";
/// Longest list in bytes and lines: every leg is compared with all of it.
const LIST_BYTES_MAX: u64 = 64 * 1024;
const LIST_LINES_MAX: usize = 1024;

/// Who is shut out; `hbb ctl` writes it, and whoever wants to may.
pub const BANNED_FILE: &str = "banned.txt";

/// The relay's port clients assume where none is named.
const RELAY_PORT: u16 = PORT + 1;

/// The settings as the shell takes them.
pub fn live(config: &Config, keys: &KeyPolicy, bans: Bans) -> Live {
    let lan = config.lan.map(|lan| Lan { network: lan.network, relay: lan.local_ip.to_string() });
    let policy = Policy {
        access_key: keys.enforced.clone(),
        relays: config.relay_servers.clone(),
        public_relay: config.public.as_deref().map(|host| match config.relay_port {
            RELAY_PORT => host.to_owned(),
            port => with_port(host, port),
        }),
        always_relay: config.always_use_relay,
        lan,
        bans,
    };
    let mut block = list(config, BLOCKLIST_FILE, Network::parse);
    block.extend(policy.bans.networks());
    let lists = Lists { black: list(config, BLACKLIST_FILE, Network::parse), block };
    let proxies = config.trusted_proxies.clone();
    Live { limits: config.limits, policy, proxies, rates: config.rates, lists }
}

/// What a file of the data directory names, one a line; what stands behind a blank is a comment,
/// as upstream has it. No file, nothing.
fn list<T>(config: &Config, file: &str, parse: fn(&str) -> Option<T>) -> Vec<T> {
    let text = match read_text(&config.data.join(file), LIST_BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(cause) => {
            warn!("list-ignored file={file} cause='{cause}'");
            return Vec::new();
        }
    };
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let entries = lines.filter_map(|(line, number)| {
        let entry = parse(line.split_whitespace().next().filter(|word| !word.starts_with('#'))?);
        if entry.is_none() {
            warn!("list-line-ignored file={file} line={number} help='an address or a network'");
        }
        entry
    });
    entries.take(LIST_LINES_MAX).collect()
}

/// Who is shut out according to the file.
pub fn bans(config: &Config) -> Bans {
    let mut bans = Bans::default();
    for banned in list(config, BANNED_FILE, Banned::parse) {
        // A list has no more lines than there is room.
        let _ = bans.add(banned);
    }
    bans
}

/// The settings, and what they were read from.
pub struct Steered {
    config: Config,
    keys: KeyPolicy,
    bans: Bans,
}

impl Steered {
    /// As they are at start.
    pub fn new(config: Config, keys: KeyPolicy, bans: Bans) -> Self {
        Self { config, keys, bans }
    }

    fn live(&self) -> Live {
        live(&self.config, &self.keys, self.bans.clone())
    }

    fn keep(&self, bans: &Bans) -> io::Result<()> {
        let mut text = String::from("# Who is shut out: ids, addresses, networks; one a line.\n");
        for banned in bans.iter() {
            text.push_str(&[&banned.to_string(), "\n"].concat());
        }
        replace(&self.config.data.join(BANNED_FILE), &text)
    }
}

/// Writes a file anew: after a power cut it is the old one or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("txt.new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o640).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

impl Settings for Steered {
    fn about(&self) -> About {
        let config = &self.config;
        let signing = self.keys.signing.as_ref().map(|key| key.public_text().into());
        // A word that clients must show is a secret; the public key is none.
        let role = match config.role {
            Role::All => "all",
            Role::Rendezvous => "rendezvous",
            Role::Relay => "relay",
        };
        About {
            role,
            public: config.public.clone(),
            key: signing,
            ports: [config.port, config.relay_port],
            tcp_ports: config.tcp_ports(),
            udp_ports: config.udp_port().into_iter().collect(),
        }
    }

    fn reload(&mut self) -> Result<(Live, Vec<&'static str>), String> {
        let new = reconfigure(&self.config).map_err(|exit| exit.message().to_owned())?;
        let fixed = self.config.restart_needed(&new);
        set_level(level_filter(new.log_level));
        self.bans = bans(&new);
        self.config = new;
        Ok((self.live(), fixed))
    }

    fn set_limit(&mut self, name: &str, value: &str) -> Result<Live, String> {
        self.config = self.config.with_limit(name, value)?;
        Ok(self.live())
    }

    fn limits(&self) -> Vec<(&'static str, String)> {
        self.config.limit_texts()
    }

    fn ban(&mut self, what: &str, banned: bool) -> Result<Live, String> {
        let is = "' must be an id, an address, or a network such as 192.0.2.0/24.";
        let subject = Banned::parse(what).ok_or_else(|| ["'", what, is].concat())?;
        let mut bans = self.bans.clone();
        if !banned && !bans.remove(&subject) {
            return Err(["'", what, "' is not shut out; 'hbb ctl bans' lists who is."].concat());
        }
        if banned && !bans.add(subject) {
            return Err(format!("{BANS_MAX} are shut out, which is the most; ban a network."));
        }
        self.keep(&bans).map_err(|cause| {
            format!("Cannot write {BANNED_FILE} in the directory of --data: {cause}.")
        })?;
        self.bans = bans;
        Ok(self.live())
    }

    fn bans(&self) -> Vec<String> {
        self.bans.iter().map(Banned::to_string).collect()
    }
}
