//! The commands of `hbb ctl`, written once: its help, the answer to others and the completions are
//! made from this list. Checks: tests/manual.rs holds the manual page, the manual and OpenWrt's
//! rpcd to it, tests/ctl.rs the server.

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

/// All of them, in the order of the help.
pub const CTL_COMMANDS: [CtlCommand; 12] = [
    command("status", "", "what runs, how full it is, what was dropped"),
    command("peers", " [after=ID]...", "who is registered; also count=NUMBER, part=TEXT, key=old"),
    command("sessions", "", "who is relayed, with bytes and bytes per second"),
    command("disconnect", " NUMBER", "end a relayed session"),
    command("forget", " ID", "delete a device; only it may have its id for a day"),
    command("forget", " --free ID", "and give its id to the next device that asks for it"),
    command("ban", " WHAT", "shut out an id, an address or a network, for good"),
    command("unban", " WHAT", "admit it again"),
    command("bans", "", "who is shut out"),
    command("limits", "", "limits and speeds, named as the flags of 'hbb serve'"),
    command("limits", " NAME VALUE", "change one until the next reload or start"),
    command("reload", "", "read the flags file and the lists again, as SIGHUP does"),
];

const fn command(name: &'static str, arguments: &'static str, help: &'static str) -> CtlCommand {
    CtlCommand { name, arguments, help }
}

/// Columns of a command and its arguments in help.
const USAGE_CHARS: usize = 21;

/// What `hbb ctl --help` ends with.
pub(super) fn help() -> String {
    let mut text = String::from("\nCommands:\n");
    for CtlCommand { name, arguments, help } in CTL_COMMANDS {
        let blanks = USAGE_CHARS.saturating_sub(name.len() + arguments.len());
        text.push_str(&["  ", name, arguments, &" ".repeat(blanks), help, "\n"].concat());
    }
    text
}

/// How the answer to words that are none of them begins.
pub const NO_SUCH_COMMAND: &str = "There is no such command.";

/// What to say to words that are none of them.
pub fn no_such_command() -> String {
    let usages = CTL_COMMANDS.map(|command| [command.name, command.arguments].concat());
    [NO_SUCH_COMMAND, " Those there are: ", &usages.join(", "), "."].concat()
}
