//! Raw flags: what was typed, every field optional, nothing judged. One parser for the command
//! line and for the flags file. Must not know what a value means: that is `config/`.
//! Checks: tests/cli.rs runs the binary on every command.

#![allow(rustdoc::broken_intra_doc_links, rustdoc::bare_urls)] // help texts, for a terminal

mod backup;
mod ctl;
mod doctor;
mod import;
mod keys;
mod near;
#[cfg(feature = "accounts")]
mod rules;
mod store;
mod words;

use core::fmt;

#[cfg(feature = "testing")]
use argh::ArgsInfo;
use argh::{CommandInfo, EarlyExit, FromArgs, SubCommand};

pub use backup::{BackupFlags, RestoreFlags};
#[cfg(feature = "testing")]
pub use ctl::CtlCommand;
pub use ctl::{CTL_COMMANDS, CtlFlags, NO_SUCH_COMMAND, no_such_command};
pub use doctor::DoctorFlags;
pub use import::ImportFlags;
pub use keys::{ExportFlags, KeygenFlags};
use near::hint;
pub(crate) use near::meant;
#[cfg(feature = "accounts")]
pub use rules::RulesFlags;
pub use store::StoreFlags;
use words::split;

/// The name and version that `--version` prints.
pub const VERSION: &str = concat!("hbb ", env!("CARGO_PKG_VERSION"), "\n");

/// RustDesk ID server and relay in one program.
#[derive(FromArgs)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    help_triggers("-h", "--help", "help"),
    usage = "<command> [<flags>]",
    example = "{command_name} serve --data /etc/hbb --public rd.example.org",
    example = "{command_name} export --data /etc/hbb --host rd.example.org",
    example = "{command_name} ctl --data /etc/hbb status",
    example = "{command_name} serve --help",
    error_code(0, "done"),
    error_code(1, "failed while running; a restart may help"),
    error_code(2, "a flag or the flags file is wrong"),
    error_code(3, "the key or the store cannot be used; somebody must look")
)]
struct Top {
    /// print name and version
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

/// One command and its flags.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub enum Command {
    /// Run the servers.
    Serve(Box<ServeFlags>),
    /// Make the key files.
    Keygen(KeygenFlags),
    /// Print what clients need.
    Export(ExportFlags),
    /// Look for mistakes without starting anything.
    Check(CheckFlags),
    /// Query and control the running server.
    Ctl(CtlFlags),
    /// Try a server from another machine, as clients would.
    Doctor(DoctorFlags),
    /// Take over the devices of another server.
    Import(ImportFlags),
    /// Judge the store, or save what a damaged one holds.
    Store(StoreFlags),
    /// Write all that a server needs into one file.
    Backup(BackupFlags),
    /// Put back what 'hbb backup' wrote.
    Restore(RestoreFlags),
    /// Say what the rules decide, and which line does.
    #[cfg(feature = "accounts")]
    Rules(RulesFlags),
}

/// Run the ID server and the relay, in the foreground.
#[derive(FromArgs, Clone, Default)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "serve",
    help_triggers("-h", "--help", "help"),
    usage = "[<flags>]",
    example = "{command_name} --data /etc/hbb --public rd.example.org",
    example = "{command_name} --flags /etc/hbb/flags --log-level debug",
    example = "{command_name} --role relay --key 'PUBLIC KEY OF THE ID SERVER'",
    note = "Open TCP 21114 to 21119 and UDP 21116 in the firewall; with another --port they move.",
    note = "TEXT of --key:",
    note = "  _ or -       clients must show the public key of the key files; the default",
    note = "  (--key=)     sign with the key files, but serve clients that show no key",
    note = "  a secret key as in id_ed25519: sign with it; clients must show its public half",
    note = "  other text   clients must show this text; nothing is signed or encrypted (fit for a",
    note = "               relay alone)",
    note = "FILE of --flags holds the same flags, one per line, and # comments:",
    note = "  --public rd.example.org",
    note = "  --max-peers 4096",
    note = "  --key=",
    note = "The command line overrides the file. SIGHUP reads the file again."
)]
pub struct ServeFlags {
    /// DIR with the key files and the peers; the working directory if not given
    #[argh(option)]
    pub data: Option<String>,
    /// FILE with more flags, see below
    #[argh(option)]
    pub flags: Option<String>,
    /// PATH of the socket for 'hbb ctl'; hbb.sock in the directory of --data if not given
    #[argh(option)]
    pub control: Option<String>,
    /// name or number of the user to become, if started as root; on the command line alone
    #[argh(option)]
    pub user: Option<String>,
    /// IP address to listen on; all of IPv6 and IPv4 if not given
    #[argh(option)]
    pub bind: Option<String>,
    /// port of the ID server, 3 to 65532 (21116); the two below and the two above go with it
    #[argh(option)]
    pub port: Option<String>,
    /// port of the relay (--port + 1); the second port above it is for browsers
    #[argh(option)]
    pub relay_port: Option<String>,
    /// serve everything on --port alone: ID server, relay, WebSocket; needs --public or
    /// --relay-servers
    #[argh(switch)]
    pub single_port: bool,
    /// leave TCP --port - 2 to an API server; if not given, clients that look for one there are
    /// told that there is none
    #[argh(switch)]
    pub no_api_port: bool,
    /// answer upstream's console commands on --port - 1 and the relay's port, from this machine
    /// alone; 'h' lists them
    #[argh(switch)]
    pub console: bool,
    /// proxies trusted to say where their clients are: ADDRESS[/BITS],... (127.0.0.0/8,::1)
    #[argh(option)]
    pub trusted_proxies: Option<String>,
    /// header in which they tell it to WebSockets: x-real-ip or x-forwarded-for (x-real-ip)
    #[argh(option)]
    pub proxy_header: Option<String>,
    /// they begin every other TCP connection with the PROXY protocol, version 1 or 2
    #[argh(switch)]
    pub proxy_protocol: bool,
    /// relays that clients are told to use: HOST[:PORT],HOST[:PORT]... (this one)
    #[argh(option)]
    pub relay_servers: Option<String>,
    /// TEXT that says which key to sign with and what clients must show, see below
    #[argh(option)]
    pub key: Option<String>,
    /// FILE with the secret key, elsewhere than in --data; it is read and never written
    #[argh(option)]
    pub key_file: Option<String>,
    /// local network such as 192.168.0.0/16 whose members connect directly, where the interfaces
    /// do not tell it; needs --local-ip
    #[argh(option)]
    pub mask: Option<String>,
    /// IP address of this machine in the network of --mask
    #[argh(option)]
    pub local_ip: Option<String>,
    /// send all sessions through the relay
    #[argh(switch)]
    pub always_use_relay: bool,
    /// what to run: all, rendezvous (the ID server alone) or relay (all)
    #[argh(option)]
    pub role: Option<String>,
    /// HOST by which clients reach this machine: a name or an IP address
    #[argh(option)]
    pub public: Option<String>,
    /// FILE that says who may connect to whom; rules.conf in the directory of --data if not given
    #[cfg(feature = "accounts")]
    #[argh(option)]
    pub rules: Option<String>,
    /// let no device register that 'hbb ctl approve' did not let in
    #[cfg(feature = "accounts")]
    #[argh(switch)]
    pub private: bool,
    /// most registered devices, 1 to 131072 (1024)
    #[argh(option)]
    pub max_peers: Option<String>,
    /// most connections beside relayed sessions, 1 to 16384 (256)
    #[argh(option)]
    pub max_connections: Option<String>,
    /// most relayed sessions, 1 to 4096 (32)
    #[argh(option)]
    pub max_sessions: Option<String>,
    /// key registrations from one address (a network has four times it) per minute, 1 to 65535 (32)
    #[argh(option)]
    pub registrations_per_minute: Option<String>,
    /// new devices from one address (a network has four times it) per day, 1 to 65535 (300)
    #[argh(option)]
    pub new_peers_per_day: Option<String>,
    /// days after which an absent device gives way to a new one if --max-peers are registered,
    /// 0 to 65535; its ID is free then (0: never)
    #[argh(option)]
    pub forget_after: Option<String>,
    /// most MiB that registrations may write to flash in a day, 0 to 65535; beyond it they wait
    /// (8; 0: no limit)
    #[argh(option)]
    pub writes_per_day: Option<String>,
    /// after a start, ask no device to register that was here when the server stopped: each comes
    /// by itself, within 15 s
    #[argh(switch)]
    pub quiet_start: bool,
    /// threads for relayed sessions: 1 shares the main thread, auto is one per core (1)
    #[argh(option)]
    pub relay_threads: Option<String>,
    /// mark relayed traffic with this DSCP, 0 to 63, such as 34 for AF41 (no mark)
    #[argh(option)]
    pub dscp: Option<String>,
    /// speed of all relayed sessions together in Mb/s, 1 Mb being 1048576 bits (1024)
    #[argh(option)]
    pub total_bandwidth: Option<String>,
    /// speed of one session in Mb/s, both directions together (128)
    #[argh(option)]
    pub single_bandwidth: Option<String>,
    /// speed of one session of a blacklisted address or after a downgrade, in Mb/s (32)
    #[argh(option)]
    pub limit_speed: Option<String>,
    /// part of --single-bandwidth; a session that uses more on average is downgraded (0.66)
    #[argh(option)]
    pub downgrade_threshold: Option<String>,
    /// seconds before a session may be downgraded (1800)
    #[argh(option)]
    pub downgrade_start_check: Option<String>,
    /// who asked for whom, for 'hbb ctl log': memory, off, log (log lines too) or a FILE too
    /// (memory)
    #[cfg(feature = "accounts")]
    #[argh(option)]
    pub connection_log: Option<String>,
    /// error, warn, info, debug or, in debug builds, trace (info)
    #[argh(option)]
    pub log_level: Option<String>,
}

/// Hides the values: one of them may be a secret key.
impl fmt::Debug for ServeFlags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ServeFlags").finish_non_exhaustive()
    }
}

/// The flags of `serve`, given to `check`.
#[derive(Debug)]
pub struct CheckFlags(pub Box<ServeFlags>);

impl FromArgs for CheckFlags {
    fn from_args(command_name: &[&str], args: &[&str]) -> Result<Self, EarlyExit> {
        match ServeFlags::from_args(command_name, args) {
            Ok(flags) => Ok(Self(Box::new(flags))),
            Err(EarlyExit { status: Ok(()), .. }) => {
                Err(EarlyExit { output: CHECK_HELP.into(), status: Ok(()) })
            }
            Err(wrong) => Err(wrong),
        }
    }
}

impl SubCommand for CheckFlags {
    const COMMAND: &'static CommandInfo = &CommandInfo {
        name: "check",
        short: &'\0',
        description: "Look for mistakes without starting anything.",
    };
}

#[cfg(feature = "testing")]
impl ArgsInfo for CheckFlags {
    fn get_args_info() -> argh::CommandInfoWithArgs {
        let CommandInfo { name, short, description } = *Self::COMMAND;
        argh::CommandInfoWithArgs { name, short, description, ..ServeFlags::get_args_info() }
    }
}

#[cfg(feature = "testing")]
impl ArgsInfo for Command {
    fn get_args_info() -> argh::CommandInfoWithArgs {
        fn of<T: ArgsInfo + SubCommand>() -> argh::SubCommandInfo {
            argh::SubCommandInfo { name: T::COMMAND.name, command: T::get_args_info() }
        }
        let commands = vec![
            of::<ServeFlags>(),
            of::<KeygenFlags>(),
            of::<ExportFlags>(),
            of::<CheckFlags>(),
            of::<CtlFlags>(),
            of::<DoctorFlags>(),
            of::<ImportFlags>(),
            of::<StoreFlags>(),
            of::<BackupFlags>(),
            of::<RestoreFlags>(),
            #[cfg(feature = "accounts")]
            of::<RulesFlags>(),
        ];
        argh::CommandInfoWithArgs { commands, ..argh::CommandInfoWithArgs::default() }
    }
}

/// All commands and their flags, for those who make completions of them.
#[cfg(feature = "testing")]
pub fn flags_of_all() -> argh::CommandInfoWithArgs {
    Top::get_args_info()
}

const CHECK_HELP: &str = "\
Usage: hbb check [<flags of 'hbb serve'>]

Look for mistakes in flags, key files, store, ports and names, and list them
all. Nothing is started or changed.

Examples:
  hbb check --flags /etc/hbb/flags
  hbb check --data /etc/hbb --port 21116

Notes:
  Run it as the user that the server runs as, while the server is stopped: the
  ports it holds are reported as taken, with exit code 1.
  The exit code is that of the worst finding, see 'hbb --help'.
";

const COMMANDS: &str = if cfg!(feature = "accounts") {
    "serve\nkeygen\nexport\ncheck\nctl\ndoctor\nimport\nstore\nbackup\nrestore\nrules"
} else {
    "serve\nkeygen\nexport\ncheck\nctl\ndoctor\nimport\nstore\nbackup\nrestore"
};

/// Why there is no command to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Early {
    /// Help or version was asked for: print this and be done.
    Asked(String),
    /// The arguments are wrong: this names the one and how to get help.
    Wrong(String),
}

/// Reads the arguments after the program's name; `--name=value` is `--name value`.
pub fn parse(args: &[&str]) -> Result<Command, Early> {
    let Some(first) = args.first() else { return Err(Early::Wrong(top_help())) };
    let top = Top::from_args(&["hbb"], &split(args)).map_err(|early| told(early, first))?;
    if top.version {
        return Err(Early::Asked(VERSION.into()));
    }
    top.command.ok_or_else(|| Early::Wrong(top_help()))
}

/// Reads one line of a flags file as flags of `serve`: `--name`, `--name value` or `--name=value`,
/// without quotes. The error is a sentence that does not know the line's number.
pub fn parse_line(line: &str) -> Result<ServeFlags, String> {
    let line = line.trim();
    if !line.starts_with("--") {
        let word = line.split([' ', '=']).next().unwrap_or(line);
        let hint = hint(&["Unrecognized argument: ", word].concat(), String::new);
        return Err(match hint.trim_end() {
            "" => "a line must start with a flag, such as --port 21116".into(),
            hint => hint.trim_end_matches('.').into(),
        });
    }
    let (name, value) = match line.split_once(|c: char| c == '=' || c.is_whitespace()) {
        Some((name, value)) => (name, Some(value.trim())),
        None => (line, None),
    };
    if value.is_some_and(|value| value.starts_with(['"', '\'']) || value.contains(" #")) {
        return Err([name, ": leave out quotes, and give a comment a line of its own"].concat());
    }
    let outcome = match value {
        Some(value) => ServeFlags::from_args(&["hbb", "serve"], &[name, value]),
        None => ServeFlags::from_args(&["hbb", "serve"], &[name]),
    };
    match outcome {
        Ok(ServeFlags { flags: Some(_), .. }) => Err("a flags file cannot name another".into()),
        Ok(ServeFlags { user: Some(_), .. }) => {
            Err("--user: give it on the command line, as it is obeyed before this file is read"
                .into())
        }
        Ok(flags) => Ok(flags),
        Err(EarlyExit { status: Err(()), output }) => {
            let hint = hint(&output, || known("serve"));
            let mark = if hint.is_empty() { "" } else { ". " };
            Err([output.trim_end(), mark, hint.trim_end()].concat())
        }
        Err(EarlyExit { status: Ok(()), .. }) => Err([name, ": not in a flags file"].concat()),
    }
}

fn told(early: EarlyExit, first: &str) -> Early {
    if early.status.is_ok() {
        let more = if first == "ctl" { ctl::help() } else { String::new() };
        return Early::Asked(early.output + &more);
    }
    let is_known = COMMANDS.lines().any(|word| word == first);
    let (space, command) = if is_known { (" ", first) } else { ("", "") };
    let hint = hint(&early.output, || known(command));
    Early::Wrong([&early.output, &hint, "See 'hbb", space, command, " --help'.\n"].concat())
}

/// What there is to mean, a line each: a command's flags, as its help lists them, or the commands.
fn known(command: &str) -> String {
    if command.is_empty() {
        return COMMANDS.into();
    }
    let command = if command == "check" { "serve" } else { command };
    let help = Top::from_args(&["hbb"], &[command, "--help"]).err();
    let help = help.map_or_else(String::new, |early| early.output);
    let flags = help.lines().filter(|line| line.starts_with("  --"));
    flags.flat_map(|line| [line.trim_start(), "\n"]).collect()
}

fn top_help() -> String {
    Top::from_args(&["hbb"], &["--help"]).err().map_or_else(String::new, |early| early.output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_refuses_what_is_not_one_flag() {
        for (line, said) in [
            ("port 21116", "must start with a flag"),
            ("-r rd.example.org", "-r is --relay-servers here"),
            ("-k=_", "-k is --key here"),
            ("rd.example.org:21117", "by its flag: --relay-servers rd.example.org:21117"),
            ("--prot 21116", "Unrecognized argument: --prot. Did you mean --port?"),
            ("--relay-server=h", "Did you mean --relay-servers?"),
            ("--log debug", "Did you mean --log-level?"),
            ("--port", "No value provided for option '--port'"),
            ("--port 1 # one", "comment"),
            ("--key \"\"", "quotes"),
            ("--flags more", "cannot name another"),
            ("--help", "not in a flags file"),
            ("--always-use-relay Y", "Unrecognized argument: Y"),
        ] {
            let error = parse_line(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }

    #[test]
    fn line_takes_both_spellings_and_the_rest_as_value() {
        let key = |line| parse_line(line).unwrap().key;
        assert_eq!(key("--key=").as_deref(), Some(""));
        assert_eq!(key(" --key  abc=  \r").as_deref(), Some("abc="));
        assert_eq!(key("--key=--x=y z").as_deref(), Some("--x=y z"));
        assert!(parse_line("--always-use-relay").unwrap().always_use_relay);
    }

    #[test]
    fn nothing_and_nonsense_are_wrong_help_is_asked() {
        assert!(matches!(parse(&[]), Err(Early::Wrong(text)) if text.contains("serve")));
        for (words, said) in [
            (["serve", "--prot", "1"], "--prot\nDid you mean --port?\nSee 'hbb serve --help'.\n"),
            (["check", "--pots", "1"], "--pots\nDid you mean --port?\nSee 'hbb check --help'.\n"),
            (["export", "--hots", "h"], "--hots\nDid you mean --host?\nSee 'hbb export --help'.\n"),
            (["exprot", "--host", "h"], "exprot\nDid you mean export?\nSee 'hbb --help'.\n"),
            (["serve", "--xyz", "h"], "--xyz\nSee 'hbb serve --help'.\n"),
        ] {
            let said = ["Unrecognized argument: ", said].concat();
            assert_eq!(parse(&words).unwrap_err(), Early::Wrong(said));
        }
        let Ok(Command::Serve(flags)) = parse(&["serve", "--key="]) else { panic!() };
        assert_eq!(flags.key.as_deref(), Some(""));
        assert!(matches!(parse(&["-V"]), Err(Early::Asked(text)) if text == VERSION));
        assert!(matches!(parse(&["check", "-h"]), Err(Early::Asked(text)) if text == CHECK_HELP));
    }
}
