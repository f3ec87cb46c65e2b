//! The commands of `hbb ctl`, written once: its help, the answer to others and the completions are
//! made from this list. Checks: tests/manual.rs holds the manual page, the manual and OpenWrt's
//! rpcd to it, tests/ctl.rs the server.

#[cfg(feature = "testing")]
use argh::ArgsInfo;
use argh::FromArgs;

use super::near::meant;

/// Query and control the running server.
#[derive(FromArgs, Debug)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "ctl",
    help_triggers("-h", "--help", "help"),
    usage = "[<flags>] COMMAND [WORD]",
    example = "{command_name} status",
    example = "{command_name} peers part=4711 count=20",
    example = "{command_name} --json sessions",
    example = "{command_name} ban 192.0.2.0/24",
    note = "The socket belongs to the user and group that the server runs as."
)]
pub struct CtlFlags {
    /// PATH of the socket; if not given, that of --flags or --data, else a package's, else hbb.sock
    /// in the working directory
    #[argh(option)]
    pub control: Option<String>,
    /// DIR of 'hbb serve --data'
    #[argh(option)]
    pub data: Option<String>,
    /// FILE of 'hbb serve --flags'
    #[argh(option)]
    pub flags: Option<String>,
    /// answer in JSON, what the server refuses too, as {"error": "..."}
    #[argh(switch)]
    pub json: bool,
    /// what to do
    #[argh(positional, greedy, hidden_help)]
    pub words: Vec<String>,
}

/// One command, in one of its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtlCommand {
    /// Its first word.
    pub name: &'static str,
    /// The words behind that: capitals stand for a value, brackets for what may be left out.
    pub arguments: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
}

/// All of them, in the order of the help, each with its words and what it does.
const COMMANDS: &[&str] = &[
    "status: what runs, how full it is, what was dropped",
    "peers [after=ID]...: who is registered; also count=NUMBER, part=TEXT, key=old",
    "sessions: who is relayed, with bytes and bytes per second",
    #[cfg(feature = "accounts")]
    "log [since=TIME]...: who asked for whom; also id=ID, from=NET, --csv, --lines",
    #[cfg(feature = "accounts")]
    "log --follow: all of it, and then what becomes known, until ^C",
    #[cfg(feature = "accounts")]
    "disconnect NUMBER: end a relayed session, or all of a device by its ID",
    #[cfg(not(feature = "accounts"))]
    "disconnect NUMBER: end a relayed session",
    "forget ID: delete a device; only it may have its id for a day",
    "forget --free ID: and give its id to the next device that asks for it",
    #[cfg(feature = "accounts")]
    "pending: with --private: which devices wait to be approved",
    #[cfg(feature = "accounts")]
    "approve ID [ADDRESS]: let one in; its address, if several ask for the id",
    #[cfg(feature = "accounts")]
    "invite [HOURS]: a code that lets one device in, for 'rustdesk --deploy'",
    "ban WHAT: shut out an id, an address or a network, for good",
    "unban WHAT: admit it again",
    "bans: who is shut out",
    "limits: limits and speeds, named as the flags of 'hbb serve'",
    "limits NAME VALUE: change one until the next reload or start",
    #[cfg(feature = "accounts")]
    "user list: who has an account, with --accounts",
    #[cfg(feature = "accounts")]
    "user add NAME: a new one; asks for the password, or reads it from stdin",
    #[cfg(feature = "accounts")]
    "user passwd NAME: another password; the user is logged out everywhere",
    #[cfg(feature = "accounts")]
    "user set NAME FIELD: display=, email=, note=TEXT, group=NAME, admin=yes or no",
    #[cfg(feature = "accounts")]
    "user disable NAME: log out everywhere and let nobody log in",
    #[cfg(feature = "accounts")]
    "user enable NAME: allow it again",
    #[cfg(feature = "accounts")]
    "user totp NAME on: ask for codes too; prints what a telephone scans",
    #[cfg(feature = "accounts")]
    "user totp NAME off: ask for none",
    #[cfg(feature = "accounts")]
    "user remove NAME: no account any more",
    #[cfg(feature = "accounts")]
    "group list: which users and devices are in which group",
    #[cfg(feature = "accounts")]
    "group add NAME ID: a device, out of the group it was in",
    #[cfg(feature = "accounts")]
    "group remove ID: a device, out of its group",
    #[cfg(feature = "accounts")]
    "book list: address books, with --accounts",
    #[cfg(feature = "accounts")]
    "book add BOOK: a new one: OWNER/NAME, or OWNER for the personal one",
    #[cfg(feature = "accounts")]
    "book rename BOOK NAME: another name for one that is shared",
    #[cfg(feature = "accounts")]
    "book share BOOK WHO RULE: read, write or full, for a user or @GROUP",
    #[cfg(feature = "accounts")]
    "book unshare BOOK WHO: nothing any more",
    #[cfg(feature = "accounts")]
    "book note BOOK TEXT: what they read who see it",
    #[cfg(feature = "accounts")]
    "book export BOOK: its entries as a table (CSV), with --json as JSON",
    #[cfg(feature = "accounts")]
    "book export BOOK after=ID: 100 of them, behind that one",
    #[cfg(feature = "accounts")]
    "book import BOOK: add those on stdin, in either form",
    #[cfg(feature = "accounts")]
    "book import --replace BOOK: put them in the place of all it has",
    #[cfg(feature = "accounts")]
    "book remove BOOK: with all that is in it",
    #[cfg(feature = "accounts")]
    "book remove BOOK ID: one entry alone",
    #[cfg(feature = "accounts")]
    "rule list: who may connect to whom, as the file says it now",
    #[cfg(feature = "accounts")]
    "rule test FROM TO...: which line decides; also user=NAME, at=Mon,14:00",
    "reload: read the flags file and the lists again, as SIGHUP does",
];

/// All of them, in the order of the help.
pub fn ctl_commands() -> impl Iterator<Item = CtlCommand> {
    COMMANDS.iter().copied().map(command)
}

fn command(line: &'static str) -> CtlCommand {
    let (usage, help) = line.split_once(':').unwrap_or((line, ""));
    let (name, arguments) = usage.split_at(usage.find(' ').unwrap_or(usage.len()));
    CtlCommand { name, arguments, help: help.trim_start() }
}

/// Whether a password goes with these words, in a line of its own.
#[cfg(feature = "accounts")]
pub fn asks_password(words: &[&str]) -> bool {
    matches!(words, ["user", "add" | "passwd", _])
}

/// Whether entries of an address book go with these words, from behind their line to the end.
#[cfg(feature = "accounts")]
pub fn asks_entries(words: &[&str]) -> bool {
    matches!(words, ["book", "import", ..])
}

/// Columns of a command and its arguments in help.
const USAGE_CHARS: usize = 21;

/// What `hbb ctl --help` ends with.
pub(super) fn help() -> String {
    let mut text = String::from("\nCommands:\n");
    for CtlCommand { name, arguments, help } in ctl_commands() {
        let blanks = USAGE_CHARS.saturating_sub(name.len() + arguments.len()).max(1);
        text.push_str(&["  ", name, arguments, &" ".repeat(blanks), help, "\n"].concat());
    }
    text
}

/// How the answer to words that are none of them begins.
pub const NO_SUCH_COMMAND: &str = "There is no such command.";

/// What to say to words that are none of them, of which this is the first.
pub fn no_such_command(first: &str) -> String {
    // Of one that is there its own forms are enough.
    let is_there = ctl_commands().any(|command| command.name == first);
    let meant = match is_there {
        true => String::new(),
        false => meant(first, &mut ctl_commands().map(|command| command.name)),
    };
    let mut usages = Vec::new();
    for CtlCommand { name, arguments, .. } in ctl_commands() {
        if !is_there || name == first {
            usages.push([name, arguments].concat());
        }
    }
    let space = if meant.is_empty() { "" } else { " " };
    [NO_SUCH_COMMAND, space, &meant, " Those there are: ", &usages.join(", "), "."].concat()
}
