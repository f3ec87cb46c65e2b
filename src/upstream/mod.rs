//! The names by which upstream's programs are called, and what each of their words means here. A
//! link named `hbbs`, `hbbr` or `rustdesk-utils` to this program takes the flags, variables and
//! files that guides for those name. What comes out are flags of ours, and a line for each word
//! that means nothing here. Nothing here is copied from them: proto/protocol.md section 5.
//! Checks: tests/upstream.rs.

mod sources;
mod words;

use std::path::Path;

use crate::cli::ServeFlags;
use sources::{Setting, Sources};
pub use words::{Meaning, Program, WORDS, Word};

/// What a command line of upstream's asks for.
pub enum Asked {
    /// To serve.
    Serve(Box<ServeFlags>),
    /// To make the key pair in the working directory, as older guides have it.
    Keygen,
    /// To print this.
    Text(String),
}

impl Program {
    /// The program that is named so, folders and all; None for our own name and any other.
    pub fn called(name: &Path) -> Option<Self> {
        match name.file_name()?.to_str()? {
            "hbbs" => Some(Self::Hbbs),
            "hbbr" => Some(Self::Hbbr),
            "rustdesk-utils" => Some(Self::Keys),
            _ => None,
        }
    }

    /// Reads `args`, the files they name, `.env` and what `variable` says of the environment.
    /// Tells `note` what means nothing here.
    ///
    /// # Errors
    /// A sentence: which word is wrong.
    pub fn read(
        self,
        args: &[&str],
        variable: &dyn Fn(&str) -> Option<String>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Asked, String> {
        let sources = Sources::new(self, args, variable)?;
        if sources.has("help") {
            return Ok(Asked::Text(words::help(self)));
        }
        if sources.has("version") {
            return Ok(Asked::Text(crate::cli::VERSION.into()));
        }
        if sources.has("generate") {
            return Ok(Asked::Keygen);
        }
        let mut flags = self.defaults();
        for setting in sources.settings() {
            apply(&mut flags, &setting, note);
        }
        if flags.mask.is_some() && flags.local_ip.is_none() {
            flags.mask = None;
            note("mask without LOCAL_IP: left out; this machine's own networks are known anyway");
        }
        Ok(Asked::Serve(Box::new(flags)))
    }

    /// What upstream's programs do if nothing is said. They bound nothing; here bounds are those
    /// of a large machine, and files that may be open bound them further (C117).
    fn defaults(self) -> ServeFlags {
        let given = |text: &str| Some(text.to_owned());
        let flags = ServeFlags { console: true, ..ServeFlags::default() };
        match self {
            Self::Hbbr => ServeFlags {
                role: given("relay"),
                control: given("hbbr.sock"),
                key: given(""),
                max_sessions: given("1024"),
                max_connections: given("2048"),
                ..flags
            },
            Self::Hbbs | Self::Keys => ServeFlags {
                role: given("rendezvous"),
                max_peers: given("65536"),
                max_connections: given("4096"),
                writes_per_day: given("64"),
                ..flags
            },
        }
    }
}

/// Sets what one word says, or tells that it means nothing.
fn apply(flags: &mut ServeFlags, setting: &Setting, note: &mut dyn FnMut(&str)) {
    let Setting { word, value, place } = setting;
    let text = || Some(value.clone());
    let name = word.name;
    match word.meaning {
        Meaning::Flag(flag) => match flag {
            "--bind" => flags.bind = text(),
            "--port" => flags.port = text(),
            "--relay-port" => flags.relay_port = text(),
            "--relay-servers" => flags.relay_servers = text().filter(|text| !text.is_empty()),
            "--mask" => flags.mask = text(),
            "--local-ip" => flags.local_ip = text(),
            "--key" => flags.key = text(),
            "--total-bandwidth" => flags.total_bandwidth = text(),
            "--single-bandwidth" => flags.single_bandwidth = text(),
            "--limit-speed" => flags.limit_speed = text(),
            "--downgrade-threshold" => flags.downgrade_threshold = text(),
            _ => flags.downgrade_start_check = text(),
        },
        Meaning::PortBelow => {
            match value.parse::<u16>().ok().and_then(|port| port.checked_add(1)) {
                Some(port) => flags.relay_port = Some(port.to_string()),
                None => note(&format!("{place} {name}: '{value}' is no port")),
            }
        }
        Meaning::Relayed => flags.always_use_relay = value.eq_ignore_ascii_case("y"),
        Meaning::Enforced if value == "1" => flags.key = Some("_".into()),
        Meaning::SecretKey => {
            if flags.key.as_deref().is_none_or(|key| matches!(key, "" | "-" | "_")) {
                flags.key = text();
            }
        }
        Meaning::Level => match log_level(value) {
            Some(level) => flags.log_level = Some(level.into()),
            None => note(&format!("{place} {name}={value}: only a level is understood")),
        },
        Meaning::Enforced | Meaning::Here => {}
        Meaning::Nothing(why) => note(&format!("{place} {name}: {why}")),
    }
}

/// The level in `RUST_LOG`, for all or for its first part.
fn log_level(text: &str) -> Option<&'static str> {
    let first = text.split(',').next()?;
    let level = first.rsplit('=').next()?.trim();
    ["error", "warn", "info", "debug"].into_iter().find(|known| level.eq_ignore_ascii_case(known))
}
