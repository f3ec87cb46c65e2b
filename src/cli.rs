//! Raw flags: what was typed, every field optional, nothing judged. One parser for the command
//! line and for the flags file. Must not know what a value means: that is `config/`.
//! Checks: tests/cli.rs runs the binary on every command.

#![allow(rustdoc::broken_intra_doc_links, rustdoc::bare_urls)] // help texts, for a terminal

mod backup;
mod ctl;
#[cfg(feature = "doctor")]
mod doctor;
mod import;
mod keys;
mod near;
#[cfg(feature = "accounts")]
mod rules;
mod serve;
mod store;
mod words;

#[cfg(feature = "testing")]
use argh::{ArgsInfo, SubCommand};
use argh::{EarlyExit, FromArgs};

pub use backup::{BackupFlags, RestoreFlags};
#[cfg(feature = "testing")]
pub use ctl::CtlCommand;
pub use ctl::{CtlFlags, NO_SUCH_COMMAND, ctl_commands, no_such_command};
#[cfg(feature = "accounts")]
pub use ctl::{asks_entries, asks_password};
#[cfg(feature = "doctor")]
pub use doctor::DoctorFlags;
use hbb_core::base::text::holds;
use hbb_core::identity::is_quote;
pub use import::ImportFlags;
pub use keys::{ExportFlags, KeygenFlags};
use near::hint;
pub(crate) use near::meant;
#[cfg(feature = "accounts")]
pub use rules::RulesFlags;
pub use serve::{CheckFlags, ServeFlags};
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
    #[cfg(feature = "doctor")]
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
            #[cfg(feature = "doctor")]
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

const COMMANDS: &[&str] = &[
    "serve",
    "keygen",
    "export",
    "check",
    "ctl",
    #[cfg(feature = "doctor")]
    "doctor",
    "import",
    "store",
    "backup",
    "restore",
    #[cfg(feature = "accounts")]
    "rules",
];

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
    // Its words are the server's; that its help was asked for is none of them.
    let asks = *first == "ctl" && args.iter().any(|word| matches!(*word, "--help" | "-h"));
    let args = if asks { &["ctl", "--help"] } else { args };
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
        let hint = hint(&["Unrecognized argument: ", word].concat(), &|| known("serve"));
        return Err(match hint.trim_end() {
            "" => "a line must start with a flag, such as --port 21116".into(),
            hint if hint.ends_with('?') => [word, ": ", hint].concat(),
            hint => hint.trim_end_matches('.').into(),
        });
    }
    let (name, value) = match line.split_once(|c: char| c == '=' || c.is_whitespace()) {
        Some((name, value)) => (name, Some(value.trim())),
        None => (line, None),
    };
    if value.is_some_and(|value| value.starts_with(is_quote) || holds(value, " #")) {
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
            let hint = hint(&output, &|| known("serve"));
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
    let is_known = COMMANDS.contains(&first);
    let (space, command) = if is_known { (" ", first) } else { ("", "") };
    let hint = hint(&early.output, &|| known(command));
    Early::Wrong([&early.output, &hint, "See 'hbb", space, command, " --help'.\n"].concat())
}

/// What there is to mean, a line each: a command's flags, as its help lists them, or the commands.
fn known(command: &str) -> String {
    if command.is_empty() {
        return COMMANDS.join("\n");
    }
    let command = if command == "check" { "serve" } else { command };
    let help = Top::from_args(&["hbb"], &[command, "--help"]).err();
    let help = help.map_or_else(String::new, |early| early.output);
    let mut flags = String::new();
    for line in help.lines().filter(|line| line.starts_with("  --")) {
        flags.extend([line.trim_start(), "\n"]);
    }
    flags
}

fn top_help() -> String {
    Top::from_args(&["hbb"], &["--help"]).err().map_or_else(String::new, |early| early.output)
}

#[cfg(test)]
mod tests {
    use super::serve::CHECK_HELP;
    use super::*;

    #[test]
    fn line_refuses_what_is_not_one_flag() {
        for (line, said) in [
            ("port 21116", "must start with a flag"),
            ("-r rd.example.org", "-r is --relay-servers here"),
            ("-k=_", "-k is --key here"),
            ("-rrd.example.org", "-r is --relay-servers here"),
            ("\u{2014}key _", "\u{2014}key: Did you mean --key?"),
            ("--key \u{201c}_\u{201d}", "--key: leave out quotes"),
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
    fn every_command_is_known_by_name() {
        let all: Vec<_> = flags_of_all().commands.iter().map(|command| command.name).collect();
        assert_eq!(COMMANDS, all);
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
