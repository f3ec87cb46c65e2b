//! `backup` and `restore`: all that a server needs in one file of lines, taken while it serves or
//! not; and back, whole or not at all. Checks: tests/backup.rs.

mod form;
mod peers;
mod restore;

use std::fs::{self, File};
use std::io::{self, IsTerminal as _};
use std::path::Path;

use super::exit::{Exit, print};
use super::{config_of, keygen};
use crate::cli::BackupFlags;
use crate::config::Config;
use crate::file::{beside, draft_of, name_draft, new_draft, read_text, stdout};
use crate::net::clock::unix_secs;
pub(super) use form::FILES;
use form::{Counts, FLAGS, Writer};
use hbb_core::base::limits::LIST_BYTES_MAX;
use hbb_core::base::time::Utc;
pub(super) use peers::each as each_peer;
pub(super) use restore::{FILLING, WHOLE, finish, run as restore};

/// Who may read a backup: it holds the secret key.
const MODE: u32 = 0o600;
/// A name that stands for stdin or stdout.
const STDIO: &str = "-";

/// `hbb backup`.
#[inline(never)]
pub(super) fn run(flags: &BackupFlags) -> Result<(), Exit> {
    let [data, named, control] = [&flags.data, &flags.flags, &flags.control];
    let config = config_of(data.as_deref(), named.as_deref(), control.as_deref())?;
    if flags.file == STDIO {
        if io::stdout().is_terminal() {
            return Err(Exit::flags("A backup holds the secret key: send it to a file or a pipe."));
        }
        let out = stdout().map_err(|cause| unwritten(&cause))?;
        return write(&config, out).map(drop);
    }
    let path = Path::new(&flags.file);
    if fs::symlink_metadata(path).is_ok() && !flags.force {
        return Err(Exit::flags(format!(
            "There is a {} already. Name another file, or use --force to replace it.",
            path.display()
        )));
    }
    let counts = to_file(&config, path)?;
    let more = match config.flags_file() {
        Some(_) => "",
        None => " The settings are not in it: name their file with --flags.",
    };
    print(&format!("Wrote {} with {counts}. It holds the secret key.{more}\n", path.display()))
}

/// Writes a draft beside it, which then gets its name: nobody else's link is followed, and a
/// backup that was there stays until this one is whole.
fn to_file(config: &Config, path: &Path) -> Result<Counts, Exit> {
    let draft = new_draft(path, MODE);
    let written = write(config, draft.map_err(|cause| unwritten(&cause))?);
    let (counts, draft) = written.inspect_err(|_| drop(fs::remove_file(draft_of(path))))?;
    name_draft(path, draft.sync_all()).map_err(|cause| unwritten(&cause))?;
    Ok(counts)
}

/// Gives `out` back.
fn write(config: &Config, out: File) -> Result<(Counts, File), Exit> {
    // Half of one restored is no state that ever was.
    finish(&config.data)?;
    let key = keygen::read_for(config)?.map(|key| key.public_text());
    if key.is_none() && config.key.is_none() {
        return Err(Exit::flags(format!(
            "There is no key in {}: name the directory of the server with --data.",
            config.data.display()
        )));
    }
    let mut writer = Writer::new(out);
    writer.begin(&Utc { unix_secs: unix_secs() }.to_string())?;
    for (number, name) in FILES.iter().enumerate() {
        let path = match name.strip_prefix(keygen::SECRET_FILE) {
            // Beside the secret one, wherever that is.
            Some(end) => beside(&config.secret_file(), end),
            None if number == FLAGS => {
                let Some(file) = config.flags_file() else { continue };
                file.into()
            }
            None => config.data.join(name),
        };
        match read_text(&path, LIST_BYTES_MAX as u64) {
            Ok(text) => writer.file(number, &text)?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => {
                let path = path.display();
                return Err(Exit::running(format!("Cannot read {path}: {cause}.")));
            }
        }
    }
    writer.begin_peers()?;
    let source = each_peer(config, &mut |line| writer.peer(line))?;
    if let (Some(key), Some(Some(other))) = (key, source)
        && key != other
    {
        return Err(Exit::flags(format!(
            "The server that answers has another key than {}. Name its directory with --data, or \
             its socket with --control.",
            config.data.display()
        )));
    }
    writer.end()
}

fn unwritten(cause: &io::Error) -> Exit {
    Exit::running(format!("Cannot write the backup: {cause}."))
}
