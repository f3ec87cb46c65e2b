//! `export`: what clients must be given, in each form they take it. Reads the key files, changes
//! nothing. Must not know how a key signs.
//! Checks: C77 (config strings), tests/cli.rs (the other forms).

use core::mem;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::path::Path;

use ct_codecs::{Base64UrlSafeNoPadding, Encoder as _};

use super::exit::{Exit, note, print, say_at_terminal};
use super::store::STORE_FILE;
use super::{backup, config_of, keygen};
use crate::cli::{ExportFlags, ServeFlags};
use crate::config::{Config, doubted_host};
use crate::file::{make_folder, open_file, replace};
use crate::qr::qr_code;
use crate::settings;
use crate::store::{TITLE, is_forgotten, is_row};
use hbb_core::base::address::{host, host_port};
use hbb_core::base::json::quote;
use hbb_core::identity::KeyChoice;

/// The form that a file beside the others has: no client takes it.
const KEY: &str = "key";
const FORMATS: &str = "text string qr exe toml json server-conf";
/// What is written into a folder: names and the format of each.
const FILES: &str = "server.conf=server-conf RustDesk2.toml=toml import.txt=string \
                     exe-name.txt=exe key=key";
/// Permissions of what is for clients: nothing in it is secret.
const MODE: u32 = 0o644;
/// Those of their folder, before the umask.
const FOLDER_MODE: u32 = 0o777;
/// Longest file name of Windows.
const FILE_NAME_CHARS_MAX: usize = 255;
/// Bytes of devices that are printed at once.
const PRINTED_BYTES: usize = 16 * 1024;
/// What Windows refuses in a file name, and the comma, which ends a part of ours.
const NOT_IN_FILE_NAMES: [char; 10] = ['\\', '/', ':', '*', '?', '"', '<', '>', '|', ','];

/// What a client needs to know of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handout {
    /// ID server: host, with the port if it is not the usual one.
    pub host: String,
    /// Relay, `host` or `host:port`; empty: the client derives it.
    pub relay: String,
    /// Address of the API server; empty: none.
    pub api: String,
    /// Public key or shared word.
    pub key: String,
}

/// `hbb export`.
#[inline(never)]
pub(super) fn run(flags: &ExportFlags) -> Result<(), Exit> {
    let format = flags.format.as_deref();
    let asked = [flags.write.is_some(), flags.peers, format.is_some()];
    if asked.into_iter().filter(|is_asked| *is_asked).count() > 1 {
        return Err(Exit::flags("--write, --peers, --format: not together"));
    }
    if flags.peers {
        return print_peers(flags);
    }
    let format_is = "text, string, qr, exe, server-conf, toml or json";
    checked("--format", format, |text| FORMATS.split(' ').any(|it| it == text), format_is)?;
    let handouts = gather(flags)?;
    if let Some(dir) = flags.write.as_deref() {
        return print(&write(Path::new(dir), &handouts)?);
    }
    let text = match format {
        Some(format) => form(&handouts, format)?,
        None => explained(&handouts)?,
    };
    print(&text)
}

/// One form of all servers, in order. What is a file of the client can name one alone: there the
/// others are comments.
fn form(handouts: &[Handout], format: &str) -> Result<String, Exit> {
    let mut text = String::new();
    for (number, handout) in handouts.iter().enumerate() {
        let one = match format {
            "text" => handout.text(),
            "string" => config_string(&handout.json()) + "\n",
            "qr" => qr_code(&handout.qr_text(), io::stdout().is_terminal()).ok_or_else(|| {
                Exit::flags("This is too long for a QR code; use --format string")
            })?,
            "exe" => handout.exe_name()? + "\n",
            "toml" => handout.toml(),
            "server-conf" => handout.server_conf(),
            // They have one.
            KEY if number > 0 => String::new(),
            KEY => [&handout.key, "\n"].concat(),
            _ => handout.json() + "\n",
        };
        let is_file = matches!(format, "toml" | "server-conf");
        if number > 0 && (is_file || matches!(format, "text" | "qr")) {
            text.push('\n');
        }
        match is_file && number > 0 {
            true => one.lines().for_each(|line| text.push_str(&["# ", line, "\n"].concat())),
            false => text.push_str(&one),
        }
    }
    Ok(text)
}

/// Puts a file of each form for clients into `dir`, and says which.
fn write(dir: &Path, handouts: &[Handout]) -> Result<String, Exit> {
    let cannot = |path: &Path, cause: &io::Error| {
        Exit::running(format!("Cannot write {}: {cause}.", path.display()))
    };
    match make_folder(dir, FOLDER_MODE) {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => return Err(cannot(dir, &cause)),
        _ => {}
    }
    let mut told = String::new();
    for (name, format) in FILES.split(' ').filter_map(|file| file.split_once('=')) {
        let path = dir.join(name);
        match form(handouts, format) {
            Ok(text) => {
                replace(&path, MODE, &text).map_err(|cause| cannot(&path, &cause))?;
                told.push_str(&format!("Wrote {}\n", path.display()));
            }
            Err(why) => {
                // One of other values must not stay.
                drop(fs::remove_file(&path));
                told.push_str(&format!("Left out {name}: {}\n", why.message()));
            }
        }
    }
    Ok(told)
}

/// The registered devices; those that an operator forgot are none.
fn print_peers(flags: &ExportFlags) -> Result<(), Exit> {
    let config = config_of(flags.data.as_deref(), flags.flags.as_deref(), None)?;
    let mut text = String::from(TITLE);
    let found = backup::each_peer(&config, &mut |line| {
        if !is_forgotten(line) && !is_row(line) {
            text.push_str(line);
        }
        if text.len() < PRINTED_BYTES { Ok(()) } else { print(&mem::take(&mut text)) }
    })?;
    if found.is_none() {
        return Err(no_store(&config));
    }
    print(&text)
}

fn no_store(config: &Config) -> Exit {
    Exit::flags(format!(
        "There is no store {}. Name its directory with --data.",
        config.data.join(STORE_FILE).display()
    ))
}

fn gather(flags: &ExportFlags) -> Result<Vec<Handout>, Exit> {
    let host_is = "a host name or an IP address; its port goes into --port";
    let relay_is = "HOST or HOST:PORT";
    let api_is = "an address that starts with http:// or https://";
    for name in &flags.host {
        checked("--host", Some(name), |text| host(text).is_some(), host_is)?;
    }
    checked("--relay", flags.relay.as_deref(), |text| host_port(text).is_some(), relay_is)?;
    checked("--api", flags.api.as_deref(), is_web_address, api_is)?;
    let config = settings::read(ServeFlags {
        data: flags.data.clone(),
        flags: flags.flags.clone(),
        key_file: flags.key_file.clone(),
        port: flags.port.clone(),
        public: flags.host.first().or(flags.public.as_ref()).cloned(),
        ..ServeFlags::default()
    })
    .map_err(Exit::flags)?;
    let Some(host) = config.public.as_deref() else {
        return Err(Exit::flags(
            "Say how clients reach this server: add --host with a name or an IP address",
        ));
    };
    let key = client_key(&config)?;
    let mut hosts = vec![host];
    flags.host.iter().skip(1).for_each(|other| hosts.push(other));
    // Whoever asks for one form may be a script, which takes all that is said for that.
    let say = if flags.format.is_none() { note } else { say_at_terminal };
    let mut handouts = Vec::new();
    for host in hosts {
        if let Some(why) = doubted_host(host, None, &[]) {
            say(&["--host ", host, ": ", why]);
        }
        handouts.push(Handout {
            host: config.ports.id_server(host),
            relay: flags.relay.clone().unwrap_or_default(),
            api: flags.api.clone().unwrap_or_default(),
            key: key.clone(),
        });
    }
    Ok(handouts)
}

fn checked(
    flag: &str,
    text: Option<&str>,
    is_right: fn(&str) -> bool,
    allowed: &str,
) -> Result<(), Exit> {
    match text {
        Some(text) if !is_right(text) => Err(Exit::must_be(flag, text, allowed)),
        _ => Ok(()),
    }
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The key clients enter: the public one, or the word of `--key`.
fn client_key(config: &Config) -> Result<String, Exit> {
    match keygen::choice(config)? {
        KeyChoice::Word(word) => Ok(word.into()),
        KeyChoice::Secret { key, .. } => Ok(key.public_text()),
        KeyChoice::Files { .. } => public_key(config),
    }
}

/// The public half of the secret key file; of the public one if only the server may read the other.
fn public_key(config: &Config) -> Result<String, Exit> {
    let secret = config.secret_file();
    if open_file(&secret).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
        && let Some(text) = keygen::read_public(&secret)
    {
        return Ok(text);
    }
    if let Some(key) = keygen::read_for(config)? {
        return Ok(key.public_text());
    }
    keygen::refuse_orphan(&config.data)?;
    Err(Exit::unusable(format!(
        "There is no key in {} yet: start 'hbb serve' there once, or run 'hbb keygen'; or name \
         another directory with --data.",
        config.data.display()
    )))
}

impl Handout {
    /// The members of §8.1 that are not empty, in ASCII: so a config string, being base64 of it,
    /// never holds `--`, which takes a byte above 127 in the text.
    pub fn json(&self) -> String {
        let text = self.listed(["host", "relay", "api", "key"], |text, name, value| {
            text.push_str(if text.is_empty() { "{\"" } else { ",\"" });
            text.push_str(&[name, "\":"].concat());
            quote(text, value, true);
        });
        text + "}"
    }

    /// What a QR code for phones says (§8.5).
    pub fn qr_text(&self) -> String {
        ["config=", &self.json()].concat()
    }

    /// A file name that sets up the Windows client (§8.2): readable if Windows allows the values
    /// in one, else with the config string. Refused if it gets too long.
    pub fn exe_name(&self) -> Result<String, Exit> {
        let values = [&self.host, &self.key, &self.relay, &self.api];
        let plain = values.iter().all(|value| !value.contains(NOT_IN_FILE_NAMES));
        let name = if plain {
            let relay = match self.relay.as_str() {
                "" => String::new(),
                relay => ["relay=", relay, ","].concat(),
            };
            ["rustdesk-host=", &self.host, ",key=", &self.key, ",", &relay, ".exe"].concat()
        } else {
            ["rustdesk-licensed-", &config_string(&self.json()), ".exe"].concat()
        };
        if name.chars().count() > FILE_NAME_CHARS_MAX {
            return Err(Exit::flags("This is too long for a file name; use --format string"));
        }
        Ok(name)
    }

    /// The lines to type into the client's settings.
    pub fn text(&self) -> String {
        let labels = ["ID server:     ", "Relay server:  ", "API server:    ", "Key:           "];
        self.listed(labels, |text, label, value| text.push_str(&[label, value, "\n"].concat()))
    }

    /// The part of the client's `RustDesk2.toml` that sets the server (§8.4).
    pub fn toml(&self) -> String {
        let names = ["custom-rendezvous-server", "relay-server", "api-server", "key"];
        let options = self.listed(names, |text, name, value| {
            text.push_str(&[name, " = "].concat());
            quote(text, value, false);
            text.push('\n');
        });
        ["[options]\n", &options].concat()
    }

    /// Puts down what is not empty, each with its name.
    fn listed(&self, names: [&str; 4], put: fn(&mut String, &str, &str)) -> String {
        let mut text = String::new();
        let values = [&self.host, &self.relay, &self.api, &self.key];
        for (name, value) in names.into_iter().zip(values).filter(|(_, value)| !value.is_empty()) {
            put(&mut text, name, value);
        }
        text
    }

    /// The same with what can be imported, as a comment: §8 says why.
    pub fn server_conf(&self) -> String {
        [
            "# For RustDesk2.toml; to import, or for 'rustdesk --config TEXT':\n# ",
            &config_string(&self.json()),
            "\n",
            &self.toml(),
        ]
        .concat()
    }
}

fn explained(handouts: &[Handout]) -> Result<String, Exit> {
    let mut text = String::new();
    for &(what, format) in &[
        ("To type into the client, under settings, network, ID/relay server", "text"),
        (
            "\nTo import in the same place, or as administrator with 'rustdesk --config TEXT'",
            "string",
        ),
        ("\nTo set up Windows clients by the file name of their program", "exe"),
        ("\nTo put into the client's RustDesk2.toml", "toml"),
        ("\nTo scan with a phone's client, under settings, ID/relay server", "qr"),
    ] {
        let formed = match form(handouts, format) {
            // Too long for the name of a file.
            Err(exit) if format == "exe" => [exit.message(), "\n"].concat(),
            formed => formed?,
        };
        text.extend([what, ":\n\n", &formed]);
    }
    Ok(text)
}

/// The config string of §8.1: base64 for URLs without padding, read backwards. `json` is ASCII.
pub fn config_string(json: &str) -> String {
    let text = Base64UrlSafeNoPadding::encode_to_string(json).unwrap_or_default();
    text.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handout(host: &str, key: &str) -> Handout {
        Handout { host: host.into(), relay: String::new(), api: String::new(), key: key.into() }
    }

    #[test]
    fn json_is_ascii_whatever_the_word_is() {
        let json = handout("h", "a\"b\\c\n\u{e4}\u{1f511}").json();
        assert_eq!(json, r#"{"host":"h","key":"a\"b\\c\u000a\u00e4\ud83d\udd11"}"#);
    }

    #[test]
    fn file_names_hold_only_what_windows_allows() {
        assert_eq!(handout("h", "K+=").exe_name().unwrap(), "rustdesk-host=h,key=K+=,.exe");
        for (host, key) in [("h:1", "K"), ("h", "K/"), ("h", "K,")] {
            let name = handout(host, key).exe_name().unwrap();
            assert!(name.starts_with("rustdesk-licensed-"), "{name}");
        }
        assert!(handout("h", &"/".repeat(200)).exe_name().is_err());
    }

    #[test]
    fn web_addresses_have_a_scheme_and_no_blanks() {
        for bad in ["", "http://", "ftp://h", "h", "http://a b"] {
            assert!(!is_web_address(bad), "{bad}");
        }
        assert!(is_web_address("https://h:21114"));
    }
}
