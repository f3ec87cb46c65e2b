//! The flags of `import`. Must not know what a file holds. Checks: tests/import/main.rs.

#[cfg(feature = "testing")]
use argh::ArgsInfo;
use argh::FromArgs;

/// Take over the devices of another server.
#[derive(FromArgs, Debug)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "import",
    help_triggers("-h", "--help", "help"),
    usage = "[<file>] [<flags>]",
    example = "{command_name} /var/lib/rustdesk-server/db_v2.sqlite3 --data /etc/hbb",
    example = "{command_name} --dry-run db_v2.sqlite3",
    note = "The file is db_v2.sqlite3 of upstream's server, with its -wal beside it, in which",
    note = "most of it may stand; or lines of 'hbb export --peers'; or JSON, for example on stdin,",
    note = "which is read if no file is named:",
    note = "  sqlite3 -json db_v2.sqlite3 \\",
    note = "    'SELECT id, hex(uuid) uuid, hex(pk) pk, created_at, info FROM peer' |",
    note = "    hbb import --data /etc/hbb",
    note = "It is read whole before anything is written, and not changed. Both servers must be",
    note = "stopped. The store that was there stays as hbb.store.before-import. The key files are",
    note = "the same here: copy id_ed25519 and id_ed25519.pub."
)]
pub struct ImportFlags {
    /// DIR with the store; the working directory if not given
    #[argh(option)]
    pub data: Option<String>,
    /// which device has an ID that is known here already: keep the one here or replace it (keep)
    #[argh(option)]
    pub merge: Option<String>,
    /// say what would be done and write nothing
    #[argh(switch)]
    pub dry_run: bool,
    /// the file
    #[argh(positional)]
    pub file: Option<String>,
}
