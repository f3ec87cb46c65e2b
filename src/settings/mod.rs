//! The settings of a running server: what its parts hold of them, what a reload reads again, what
//! an operator changes meanwhile. Checks: tests/ctl.rs, C71, C72, C117 in tests/conformance.

mod files;
mod lists;
#[cfg(feature = "accounts")]
mod rules;

use core::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use hbb_core::base::address::{Banned, Bans, NetworkSet};
use hbb_core::base::limits::{LIST_ENTRIES_MAX, Limits};
use hbb_core::base::rates::Rates;
use hbb_core::identity::{KeyPolicy, ServerKey};
use hbb_core::relay::SourceLists;
use hbb_core::rendezvous::{LocalNetwork, Policy};
#[cfg(feature = "accounts")]
use hbb_core::rules::Rules;

use ::log::error;

use crate::cli::ServeFlags;
#[cfg(feature = "accounts")]
use crate::config::AccountSettings;
use crate::config::{
    Config, FlagsFile, LogLevel, SECRET_FILE, TrustedProxies, doubts, old_key_file,
};
use crate::file::read_text;
use crate::log::{LevelFilter, set_level};
use files::Files;
use lists::Lists;
pub use lists::{BANNED_FILE, RelayList};
#[cfg(feature = "accounts")]
pub use rules::{RulesFile, RulesQuestion};

/// Largest flags file in bytes; a larger one is something else.
const FLAGS_FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a reload changes while everything runs on.
#[derive(Clone, Debug)]
pub struct LiveSettings {
    /// Limits; places for connections only grow until the next start.
    pub limits: Limits,
    /// Access, relays, LAN.
    pub policy: Policy,
    /// The name clients reach us by, if it is known.
    pub public: Option<Box<str>>,
    /// Proxies that are believed where their clients are.
    pub proxies: TrustedProxies,
    /// How fast relayed sessions may go.
    pub rates: Rates,
    /// Addresses the relay singles out.
    pub lists: SourceLists,
    /// How many users there may be, how dear passwords are, and who may connect.
    #[cfg(feature = "accounts")]
    pub accounts: AccountSettings,
    /// Whether they were read anew: what was typed into the console is over.
    pub reread: bool,
}

/// What does not change while we run, and what clients are told.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// `all`, `rendezvous` or `relay`.
    pub role: &'static str,
    /// The name clients reach us by, if it is known.
    pub public: Option<Box<str>>,
    /// The public key, if there is one to show.
    pub key: Option<Box<str>>,
    /// Unix time, in seconds, until when the key before is good too; None if it is not.
    pub old_key_until: Option<u64>,
    /// The ID server's port and the relay's.
    pub ports: [u16; 2],
    /// All TCP ports that are open.
    pub tcp_ports: Vec<u16>,
    /// All UDP ports that are open.
    pub udp_ports: Vec<u16>,
    /// What can hardly be meant of the settings, a sentence each.
    pub doubts: Vec<String>,
}

/// The settings, with the files they were read from. Files are read at start and by
/// [`Self::reload`] alone.
pub struct RunningSettings {
    config: Config,
    keys: KeyPolicy,
    /// Whether it signs with the key in the file.
    has_key_of_file: bool,
    lists: Lists,
    /// Who may dial whom.
    #[cfg(feature = "accounts")]
    rules: Option<Arc<Rules>>,
    files: Files,
    /// What is in force of the limits in `config`.
    limits: Limits,
    /// They were read again, and not all obey that yet.
    reread: bool,
}

impl RunningSettings {
    /// The settings at start, where so many files may be open; reads the lists.
    ///
    /// # Errors
    /// What is wrong with the lists, one a line: without all of them nobody is served.
    pub fn new(config: Config, keys: KeyPolicy, files: usize) -> Result<Self, String> {
        let lists = Lists::read(&config.data).map_err(|faults| faults.join("\n"))?;
        #[cfg(feature = "accounts")]
        let rules = RulesFile::in_force(&config).map_err(|faults| faults.join("\n"))?;
        let has_key_of_file = keys.signing.is_some() && key_in_file(&config) == keys.signing;
        let mut files = Files::new(files, config.relay_threads);
        let limits = files.allow(config.limits);
        Ok(Self {
            config,
            keys,
            has_key_of_file,
            lists,
            #[cfg(feature = "accounts")]
            rules,
            files,
            limits,
            reread: false,
        })
    }

    /// What the parts of a running server hold of them.
    pub fn live(&self) -> LiveSettings {
        let config = &self.config;
        LiveSettings {
            limits: self.limits,
            policy: Policy {
                #[cfg(feature = "accounts")]
                rules: self.rules.clone(),
                #[cfg(feature = "accounts")]
                private: config.private,
                ..policy(config, &self.keys, self.lists.bans.clone())
            },
            public: config.public.clone(),
            proxies: config.proxies.clone(),
            rates: config.rates,
            lists: self.lists.sources(),
            #[cfg(feature = "accounts")]
            accounts: config.accounts,
            reread: self.reread,
        }
    }

    /// What to say about this server, which is at these addresses.
    pub fn about(&self, here: &[IpAddr]) -> ServerInfo {
        let config = &self.config;
        let signing = self.keys.signing.as_ref().map(|key| key.public_text().into());
        // A word that clients must show is a secret; the public key is none.
        let tcp_ports = config.ports.tcp(config.role);
        ServerInfo {
            role: config.role.name(),
            public: config.public.clone(),
            key: signing,
            old_key_until: self.old_key_until(),
            ports: [config.ports.main, config.ports.relay],
            tcp_ports: tcp_ports.into_iter().map(|(_, port)| port).collect(),
            udp_ports: config.ports.udp(config.role).into_iter().collect(),
            doubts: doubts(config, here),
        }
    }

    /// Reads flags file and lists again. With the settings come the flags that only a restart
    /// changes, and the key's file if there is another key in it.
    ///
    /// # Errors
    /// What to tell the operator; nothing was changed.
    pub fn reload(&mut self) -> Result<(LiveSettings, Vec<&'static str>), String> {
        let new = read_again(&self.config)?;
        let mut fixed = self.config.restart_needed(&new);
        let key = key_in_file(&self.config);
        if self.has_key_of_file && key.is_some() && key != self.keys.signing {
            fixed.push(SECRET_FILE);
        }
        let new = self.config.reloaded(new);
        // All is read before anything is changed.
        let lists = Lists::read(&new.data).map_err(refused)?;
        #[cfg(feature = "accounts")]
        {
            self.rules = RulesFile::in_force(&new).map_err(refused)?;
        }
        self.lists = lists;
        set_level(level(&new));
        self.limits = self.files.allow(new.limits);
        self.config = new;
        // Whoever took the file away ended it.
        if !old_key_file(&self.config.secret_file()).exists() {
            self.keys.old = None;
        }
        self.reread = true;
        Ok((self.live(), fixed))
    }

    /// The rules as their file has them by now, and perhaps not in force yet.
    ///
    /// # Errors
    /// What is wrong, a line each.
    #[cfg(feature = "accounts")]
    pub fn rules_file(&self) -> Result<RulesFile, String> {
        RulesFile::read(&self.config).map_err(|faults| faults.join("\n"))
    }

    /// All obey the settings as they are now.
    pub const fn are_in_force(&mut self) {
        self.reread = false;
    }

    /// Changes a limit until the next reload or start.
    ///
    /// # Errors
    /// As for [`Self::reload`].
    pub fn set_limit(&mut self, name: &str, value: &str) -> Result<LiveSettings, String> {
        self.config = self.config.with_limit(name, value)?;
        self.limits = self.files.allow(self.config.limits);
        Ok(self.live())
    }

    /// Unix time, in seconds, at which the key before the present one ends; None if there is none.
    pub fn old_key_until(&self) -> Option<u64> {
        self.keys.old.map(|old| old.until_secs)
    }

    /// The key before the present one is good no more.
    pub fn end_rotation(&mut self) -> LiveSettings {
        self.keys.old = None;
        self.live()
    }

    /// How much of everything is allowed now.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The limits in force, and the speeds, by the names of their flags.
    pub fn limit_texts(&self) -> Vec<(&'static str, String)> {
        let mut config = self.config.clone();
        config.limits = self.limits;
        config.limit_texts()
    }

    /// Shuts somebody out or lets them in again, and keeps that on disk.
    ///
    /// # Errors
    /// As for [`Self::reload`].
    pub fn ban(&mut self, what: &str, banned: bool) -> Result<LiveSettings, String> {
        let is = "': must be an id, an address, a network such as 192.0.2.0/24, or id=ID for an id \
                  that looks like none.";
        let subject = Banned::parse(what).ok_or_else(|| ["'", what, is].concat())?;
        // What somebody wrote into the file since is not lost, nor what is wrong in it.
        let mut faults = Vec::new();
        let mut bans = lists::read_bans(&self.config.data, &mut faults);
        if !faults.is_empty() {
            return Err(faults.join("\n"));
        }
        let was = bans.iter().any(|it| it == subject);
        if !banned && !bans.remove(&subject) {
            return Err(["'", what, "' is not shut out; 'hbb ctl bans' lists who is."].concat());
        }
        if banned && !bans.add(subject.clone()) {
            return Err(format!(
                "{LIST_ENTRIES_MAX} are shut out, which is the most; ban a network."
            ));
        }
        if was != banned {
            lists::write_ban(&self.config.data, &subject, banned).map_err(|cause| {
                format!("Cannot write {BANNED_FILE} in the directory of --data: {cause}.")
            })?;
        }
        self.lists.bans = bans;
        Ok(self.live())
    }

    /// Puts addresses and networks, separated by `|`, into one of the relay's lists, or takes them
    /// out, where `all` is the whole list; in memory alone. None if there is no room.
    pub fn change_list(
        &mut self,
        list: RelayList,
        text: &str,
        is_in: bool,
    ) -> Option<LiveSettings> {
        self.lists.change(list, text, is_in)?;
        Some(self.live())
    }

    /// Who is in one of the relay's lists.
    pub const fn listed(&self, list: RelayList) -> &NetworkSet {
        self.lists.listed(list)
    }

    /// Who is shut out.
    pub const fn bans(&self) -> &Bans {
        &self.lists.bans
    }
}

/// The secret key in its file; None if there is none that can be read.
fn key_in_file(config: &Config) -> Option<ServerKey> {
    let text = read_text(&config.secret_file(), FLAGS_FILE_BYTES_MAX).ok()?;
    ServerKey::parse(&text).ok()
}

/// Says what is wrong with a list: an error is logged each time, of warnings there is one a minute.
fn refused(faults: Vec<String>) -> String {
    faults.iter().for_each(|fault| error!("list-refused cause='{fault}'"));
    faults.join("\n")
}

fn policy(config: &Config, keys: &KeyPolicy, bans: Bans) -> Policy {
    let lan = config
        .lan
        .map(|lan| (lan.network, config.ports.relay_server(&lan.local_ip.to_string())))
        .map(|(network, relay)| LocalNetwork { network, relay });
    Policy {
        access_key: keys.enforced.clone(),
        old_key: keys.old,
        relays: config.relays(),
        public_relay: config.public.as_deref().map(|host| config.ports.relay_server(host)),
        always_relay: config.always_use_relay,
        lan,
        bans,
        ..Policy::default()
    }
}

/// The settings of a command line and the flags file it names.
///
/// # Errors
/// Every mistake, one a line, with what is allowed.
pub fn read(flags: ServeFlags) -> Result<Config, String> {
    let flags = &Arc::new(flags);
    let text = flags_text(flags.flags.as_deref())?;
    Config::new(flags, flags_file(flags.flags.as_deref(), &text)).map_err(|all| all.join("\n"))
}

/// The settings of the server of another command's `--data`, `--flags` and `--control`. Not in each
/// command: to make and to drop so many flags takes half a kilobyte.
///
/// # Errors
/// As of [`read`].
#[inline(never)]
pub fn of(
    data: Option<&str>,
    flags: Option<&str>,
    control: Option<&str>,
) -> Result<Config, String> {
    read(ServeFlags {
        data: data.map(str::to_owned),
        flags: flags.map(str::to_owned),
        control: control.map(str::to_owned),
        ..ServeFlags::default()
    })
}

/// The same with built-in values in place of refused ones, and every mistake.
pub fn survey(flags: ServeFlags) -> Result<(Config, Vec<String>), String> {
    let flags = &Arc::new(flags);
    let name = flags.flags.as_deref();
    let text = flags_text(name)?;
    Ok(Config::survey(flags, flags_file(name, &text)))
}

/// What is wrong with the lists in the data directory, and with the rules.
pub fn survey_lists(config: &Config) -> Vec<String> {
    #[cfg_attr(not(feature = "accounts"), expect(unused_mut))]
    let mut wrong = Lists::read(&config.data).err().unwrap_or_default();
    #[cfg(feature = "accounts")]
    wrong.extend(RulesFile::read(config).err().unwrap_or_default());
    wrong
}

/// The settings of the same command line with the flags file read again.
fn read_again(config: &Config) -> Result<Config, String> {
    let text = flags_text(config.flags_file())?;
    config.again(flags_file(config.flags_file(), &text)).map_err(|all| all.join("\n"))
}

fn flags_file<'a>(name: Option<&'a str>, text: &'a str) -> Option<FlagsFile<'a>> {
    name.map(|name| FlagsFile { name, text })
}

/// The text of the flags file, empty if there is none to read.
fn flags_text(name: Option<&str>) -> Result<String, String> {
    let Some(name) = name else { return Ok(String::new()) };
    read_text(Path::new(name), FLAGS_FILE_BYTES_MAX)
        .map_err(|error| format!("--flags: cannot read {name}: {error}; name a readable text file"))
}

/// What is logged, as the logger knows it.
pub const fn level(config: &Config) -> LevelFilter {
    match config.log_level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    }
}
