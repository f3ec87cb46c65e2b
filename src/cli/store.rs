//! The flags of `store`. Must not know what they do. Checks: tests/store.rs.

#[cfg(feature = "testing")]
use argh::ArgsInfo;
use argh::FromArgs;

/// Judge the store, or save what a damaged one holds.
#[derive(FromArgs, Debug)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "store",
    help_triggers("-h", "--help", "help"),
    usage = "check|salvage [<flags>]",
    example = "{command_name} check --data /etc/hbb",
    example = "{command_name} salvage --data /etc/hbb --to /tmp/hbb.store",
    note = "'check' reads all of the store and changes nothing. 'salvage' writes what it can still",
    note = "read to a new file; put that in the place of the old one, which stays as it is.",
    note = "The server must be stopped."
)]
pub struct StoreFlags {
    /// DIR with the store; the working directory if not given
    #[argh(option)]
    pub data: Option<String>,
    /// FILE for what is salvaged, not there yet; hbb.store.salvaged in DIR if not given
    #[argh(option)]
    pub to: Option<String>,
    /// check or salvage
    #[argh(positional, hidden_help)]
    pub what: String,
}
