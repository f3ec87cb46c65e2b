//! The flags of `rules`. Must not know what they do. Checks: tests/rules.rs.

#[cfg(feature = "testing")]
use argh::ArgsInfo;
use argh::FromArgs;

/// Say what the rules decide, and which line does.
#[derive(FromArgs, Debug)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "rules",
    help_triggers("-h", "--help", "help"),
    usage = "check|test [FROM TO] [<flags>]",
    example = "{command_name} check --data /etc/hbb",
    example = "{command_name} test 192.168.1.20 123456789 --data /etc/hbb",
    example = "{command_name} test 234567890@10.8.0.2 123456789 --at 'Mon 14:00'",
    note = "FROM and TO are an ID, an address, or both as ID@ADDRESS. 'test' says which line",
    note = "decides and what the person would read; it asks no server.",
    note = "Permissions do not bind Android targets: those ignore them."
)]
pub struct RulesFlags {
    /// FILE of 'hbb serve --rules'; rules.conf in the directory of --data if not given
    #[argh(option)]
    pub rules: Option<String>,
    /// DIR of 'hbb serve --data'; the working directory if not given
    #[argh(option)]
    pub data: Option<String>,
    /// FILE of 'hbb serve --flags', to take both from it
    #[argh(option)]
    pub flags: Option<String>,
    /// NAME of the user who is logged in at FROM; nobody if not given
    #[argh(option)]
    pub user: Option<String>,
    /// NAME of that user's group, which '@NAME' in from= means
    #[argh(option)]
    pub user_group: Option<String>,
    /// NAME of the group that 'hbb ctl group' put TO in, which '@NAME' in to= means
    #[argh(option)]
    pub to_group: Option<String>,
    /// TIME where the rules hold, such as 'Mon 14:00'; now if not given
    #[argh(option)]
    pub at: Option<String>,
    /// check or test, FROM, TO
    #[argh(positional, hidden_help)]
    pub words: Vec<String>,
}
