//! The flags of `backup` and `restore`. Must not know what a backup holds. Check: tests/backup.rs.

#[cfg(feature = "testing")]
use argh::ArgsInfo;
use argh::FromArgs;

/// Write all that a server needs into one file.
#[derive(FromArgs, Debug)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "backup",
    help_triggers("-h", "--help", "help"),
    usage = "<file> [<flags>]",
    example = "{command_name} /mnt/usb/hbb.backup --data /etc/hbb",
    example = "ssh router {command_name} - --data /etc/hbb > hbb.backup",
    note = "The file holds the key files, the lists, the settings if --flags names them, and all",
    note = "devices of one moment. It is text, and has the secret key: it is for its owner",
    note = "alone. A - stands for stdout.",
    note = "While a server runs this asks it, as its user or as root. Settings on the command line",
    note = "of 'hbb serve' are not in it, nor /etc/config/hbb of OpenWrt, which sysupgrade keeps."
)]
pub struct BackupFlags {
    /// DIR of 'hbb serve --data'; the working directory if not given
    #[argh(option)]
    pub data: Option<String>,
    /// FILE of 'hbb serve --flags', which is backed up and says where the rest is
    #[argh(option)]
    pub flags: Option<String>,
    /// PATH of the socket for 'hbb ctl', if the server has it elsewhere
    #[argh(option)]
    pub control: Option<String>,
    /// replace a file that is there, once the new one is whole
    #[argh(switch)]
    pub force: bool,
    /// the file to write
    #[argh(positional)]
    pub file: String,
}

/// Put back what 'hbb backup' wrote.
#[derive(FromArgs, Debug)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "restore",
    help_triggers("-h", "--help", "help"),
    usage = "<file> [<flags>]",
    example = "{command_name} hbb.backup --data /etc/hbb --dry-run",
    example = "{command_name} hbb.backup --data /etc/hbb --flags hbb.conf --force",
    note = "The server must be stopped. All of the file is read, and its checksum compared, before",
    note = "anything is changed. Files that were there stay, with their date in the name, the",
    note = "last store as hbb.store.before-restore. A - stands for stdin."
)]
pub struct RestoreFlags {
    /// DIR to put it into; the working directory if not given
    #[argh(option)]
    pub data: Option<String>,
    /// FILE to write the settings to; they are left out if it is not given
    #[argh(option)]
    pub flags: Option<String>,
    /// restore where there are a key or devices already
    #[argh(switch)]
    pub force: bool,
    /// say what is in the backup and change nothing
    #[argh(switch)]
    pub dry_run: bool,
    /// the file to read
    #[argh(positional)]
    pub file: String,
}
