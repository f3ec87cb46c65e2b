//! The names by which upstream's programs are called, and what each of their words means here. A
//! link named `hbbs`, `hbbr` or `rustdesk-utils` to this program takes the flags, variables and
//! files that guides for those name. What comes out are flags of ours, and a line for each word
//! that means nothing here. Nothing here is copied from them: proto/protocol.md section 5.
//! Checks: tests/upstream/main.rs.

mod sources;
mod words;

use std::path::Path;

use hbb_core::base::text::holds;
use hbb_core::identity::{OPEN, ServerKey};
use sources::{Setting, Sources};
#[cfg(feature = "testing")]
pub use words::Word;
pub use words::{Meaning, Program, WORDS};

/// What a command line of upstream's asks for.
pub enum Asked {
    /// To serve.
    Serve {
        /// The words for `hbb`, each with the word of upstream's that gave it, or empty.
        words: Vec<[String; 2]>,
        /// The database that `DB_URL` names, wherever that was said.
        database: Option<String>,
    },
    /// To make the key pair in the working directory, as older guides have it.
    Keygen,
    /// To print this.
    Text(String),
}

/// A line for each of `words` whose flag `text` names: by which word of `program` it was given.
pub fn told(program: Program, text: &str, words: &[[String; 2]]) -> String {
    let mut lines = String::new();
    for [word, given] in words {
        let flag = word.split('=').next().unwrap_or_default();
        if !given.is_empty() && holds(text, flag) {
            lines.extend(["\n", program.name(), ": ", flag, " was given as ", given]);
        }
    }
    lines
}

/// The words for `hbb`, as [`Asked::Serve`] has them: flags of `serve`, each once.
struct Flags(Vec<[String; 2]>);

impl Flags {
    fn given(&self, flag: &str) -> Option<&str> {
        self.0.iter().find_map(|[word, _]| value_of(word, flag))
    }

    fn remove(&mut self, flag: &str) {
        if let Some(at) = self.0.iter().position(|[word, _]| value_of(word, flag).is_some()) {
            self.0.swap_remove(at);
        }
    }

    fn set(&mut self, flag: &str, value: &str, given: &str) {
        self.remove(flag);
        self.0.push([[flag, "=", value].concat(), given.into()]);
    }
}

/// The value, if the word is that flag.
fn value_of<'a>(word: &'a str, flag: &str) -> Option<&'a str> {
    word.strip_prefix(flag)?.strip_prefix('=')
}

/// The name of each word as a variable, once, if `is_wanted`; with commas between them.
pub fn variables(is_wanted: &dyn Fn(&str) -> bool) -> String {
    let (mut text, mut before) = (String::new(), "");
    for word in WORDS {
        // Of two words of one name the second follows the first.
        if word.has_value && word.name != before && is_wanted(&word.variable()) {
            let comma = if text.is_empty() { "" } else { "," };
            text.extend([comma, &word.variable()]);
        }
        before = word.name;
    }
    text
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

    /// Reads `args`, the files they name, `.env` and the environment's `variables`.
    /// Tells `note` what means nothing here.
    ///
    /// # Errors
    /// A sentence: which word is wrong.
    pub fn read(
        self,
        args: &[&str],
        variables: &[(String, String)],
        note: &mut dyn FnMut(&str),
    ) -> Result<Asked, String> {
        let sources = Sources::new(self, args, variables)?;
        let has = |name| sources.value(name).is_some();
        if has("help") {
            return Ok(Asked::Text(words::help(self)));
        }
        if has("version") {
            return Ok(Asked::Text(crate::cli::VERSION.into()));
        }
        if has("generate") {
            return Ok(Asked::Keygen);
        }
        if let Some(text) = sources.value("key-priv") {
            let key = ServerKey::parse(text).map_err(|why| format!("KEY_PRIV: {why}"))?;
            if sources.value("key-pub").is_some_and(|public| *public != key.public_text()) {
                return Err("KEY_PUB: KEY_PRIV belongs to another public key".into());
            }
        }
        let database = sources.value("db-url").map(Into::into);
        let mut flags = Flags(Vec::new());
        self.usual().split(' ').for_each(|word| flags.0.push([word.into(), String::new()]));
        sources.each(&mut |setting| apply(&mut flags, setting, note));
        if flags.given("--mask").is_some() != flags.given("--local-ip").is_some() {
            flags.remove("--mask");
            flags.remove("--local-ip");
            note("mask and LOCAL_IP: one alone is left out; this machine's own networks are known");
        }
        Ok(Asked::Serve { words: flags.0, database })
    }

    /// What upstream's programs do if nothing is said. They bound nothing; here bounds are those
    /// of a large machine, and files that may be open bound them further (C117).
    const fn usual(self) -> &'static str {
        match self {
            Self::Hbbr => {
                "serve --console --role=relay --control=hbbr.sock --key= --max-sessions=1024"
            }
            Self::Hbbs | Self::Keys => {
                "serve --console --role=rendezvous --max-peers=65536 --max-connections=4096 \
                 --writes-per-day=64 --no-api-port"
            }
        }
    }
}

/// Sets what one word says, or tells that it means nothing.
fn apply(flags: &mut Flags, setting: &Setting<'_>, note: &mut dyn FnMut(&str)) {
    let (Setting { word, value, .. }, given) = (setting, setting.given.concat());
    let mut refuse = |why: &str| note(&[&given, ": ", why].concat());
    match word.meaning {
        Meaning::Flag if word.name == "relay-servers" && value.is_empty() => {}
        Meaning::Flag => flags.set(&["--", word.name].concat(), value, &given),
        Meaning::Relays => flags.set("--relay-servers", value, &given),
        Meaning::PortBelow => {
            match value.parse::<u16>().ok().and_then(|port| port.checked_add(1)) {
                Some(port) => flags.set("--relay-port", &port.to_string(), &given),
                None => refuse("it is no port"),
            }
        }
        Meaning::Relayed if value.eq_ignore_ascii_case("y") => {
            flags.0.push(["--always-use-relay".into(), given])
        }
        Meaning::Enforced if *value == "1" => flags.set("--key", "_", &given),
        Meaning::SecretKey => {
            let key = flags.given("--key");
            let before = match key {
                Some("") if flags.given("--role") == Some("relay") => return,
                Some("") => OPEN,
                None | Some("-" | "_") => "",
                Some(_) => return,
            };
            flags.set("--key", &[before, value].concat(), &given);
        }
        Meaning::Level => match log_level(value) {
            Some(level) => flags.set("--log-level", level, &given),
            None => refuse("only error, warn, info, debug and trace are understood"),
        },
        Meaning::Relayed | Meaning::Enforced | Meaning::Here => {}
        Meaning::Nothing(why) => refuse(why.text()),
    }
}

/// The level in `RUST_LOG`, for all or for its first part.
fn log_level(text: &str) -> Option<&'static str> {
    let mut level = "";
    text.split(',').next()?.split('=').for_each(|part| level = part.trim());
    if level.eq_ignore_ascii_case("trace") {
        return Some("debug");
    }
    "error warn info debug".split(' ').find(|known| level.eq_ignore_ascii_case(known))
}
