//! `restore`: makes everything anew in a folder beside the old, gives that a name that says it is
//! whole, and moves what is in it to its place. A start of the server ends what a power cut
//! interrupted, so that nothing is ever served of half a backup.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use super::super::config_of;
use super::super::exit::{Exit, print};
use super::super::keygen::{self, SECRET_FILE};
use super::super::store::{self, Filling, STORE_FILE};
use super::form::{Counts, FLAGS, Item, OLD_KEY, PLACES, RULES, name, read};
use super::{MODE, STDIO};
use crate::cli::RestoreFlags;
use crate::file::{
    beside, draft_of, give_to_owner, make_folder, new_draft, open_file, publish_after,
    replace_for_owner, stdin, sync_folder,
};
use crate::net::control::is_left_behind;
use crate::store as stores;
use hbb_core::identity::ServerKey;

/// The folder while it is being filled.
pub(in crate::cmd) const FILLING: &str = "hbb.restore.new";
/// The folder when all is in it.
pub(in crate::cmd) const WHOLE: &str = "hbb.restore";
/// Permissions of the key files and the lists.
const MODES: [u32; FLAGS] = [MODE, 0o644, 0o640, 0o640, 0o640, 0o640, MODE];

/// `hbb restore`.
#[inline(never)]
pub(in crate::cmd) fn run(flags: &RestoreFlags) -> Result<(), Exit> {
    let config = config_of(flags.data.as_deref(), None, None)?;
    let data = config.data.as_path();
    if flags.dry_run {
        let (counts, _) = pass(&flags.file, None)?;
        return print(&format!("It holds {counts}. Nothing was changed.\n"));
    }
    let _alone = store::alone_in(data)?;
    let answers = is_left_behind(&config.control);
    if answers.is_err_and(|error| error.kind() == ErrorKind::AddrInUse) {
        return Err(Exit::running("A server runs there: stop it first. Nothing was changed."));
    }
    let held = hold(data)?;
    finish(data)?;
    if !flags.force && [STORE_FILE, SECRET_FILE].iter().any(|it| is_at(data, it)) {
        return Err(Exit::flags(format!(
            "There is a server's key, or its devices, in {}. Use --force to restore there; what \
             is there is kept, with its date in the name.",
            data.display()
        )));
    }
    let filling = data.join(FILLING);
    clear(&filling)?;
    let staged = stage(data, &flags.file, held.is_some());
    let (mut counts, settings) = staged.inspect_err(|_| drop(clear(&filling)))?;
    finish(data)?;
    let told = put_settings(flags.flags.as_deref(), settings)?;
    if flags.flags.is_none() {
        counts.leave_out(FLAGS);
    }
    print(&format!("Restored into {}: {counts}.{told}\n", data.display()))
}

/// Makes all that is in the backup anew beside what is there, and gives it the name that says that
/// it is whole. Gives the settings, if there are some.
fn stage(data: &Path, file: &str, is_held: bool) -> Result<(Counts, Option<String>), Exit> {
    let unmade = |error| unmade(data, error);
    let mut staging = Staging::begin(data).map_err(unmade)?;
    let passed = pass(file, Some(&mut staging))?;
    if !is_held && is_at(data, STORE_FILE) {
        return Err(Exit::running("A server was started there. Nothing was changed."));
    }
    staging.end(data, &passed.0).map_err(unmade)?;
    Ok(passed)
}

/// Removes the folder that is being filled, or that a power cut left; a file or a link of its name,
/// too, but nothing that such a link leads to.
///
/// # Errors
/// Another user's folder, or one with more in it than a restore makes, stays.
fn clear(folder: &Path) -> Result<(), Exit> {
    drop(fs::remove_file(folder));
    // Nothing else is in it.
    for place in PLACES {
        let path = folder.join(place);
        drop(fs::remove_file(draft_of(&path)));
        drop(fs::remove_file(path));
    }
    drop(fs::remove_dir(folder));
    let Ok(left) = fs::symlink_metadata(folder) else { return Ok(()) };
    let (folder, user) = (folder.display(), left.uid());
    Err(Exit::running(format!(
        "{folder} is of user {user}, left by a restore that was broken off, and cannot be removed: \
         remove it as root or as that user, then restore again. Nothing was changed."
    )))
}

/// Keeps servers from starting while the store is replaced; there may be none.
fn hold(data: &Path) -> Result<Option<File>, Exit> {
    let path = data.join(STORE_FILE);
    match stores::open_to_read(&path) {
        Ok(file) => Ok(Some(file)),
        Err(stores::Error::Io(ErrorKind::NotFound, _)) => Ok(None),
        Err(error) => Err(store::exit(&path, error)),
    }
}

/// Reads a backup and writes what is in it, if it is to be; gives the settings in it, too.
fn pass(name: &str, mut to: Option<&mut Staging>) -> Result<(Counts, Option<String>), Exit> {
    let file = if name == STDIO { stdin() } else { open_file(Path::new(name)) };
    let file = file.map_err(|cause| Exit::flags(format!("Cannot read {name}: {cause}.")))?;
    let mut settings = None;
    let counts = read(&mut BufReader::new(file), &mut |item| {
        match item {
            Item::File(0, key) if ServerKey::parse(key).is_err() => {
                return Err(Exit::unusable("The key in this backup is none. Nothing was changed."));
            }
            Item::File(FLAGS, text) => settings = Some(text.into()),
            _ => {}
        }
        match &mut to {
            Some(to) => to.take(item).map_err(|error| unmade(&to.folder, error)),
            None => Ok(()),
        }
    })?;
    Ok((counts, settings))
}

fn unmade(folder: &Path, error: stores::Error) -> Exit {
    let folder = folder.display();
    Exit::running(format!("Cannot restore into {folder}: {error}. Nothing was changed."))
}

/// What is being made beside what is there.
struct Staging {
    folder: PathBuf,
    store: Filling,
}

impl Staging {
    fn begin(data: &Path) -> Result<Self, stores::Error> {
        let folder = data.join(FILLING);
        make_folder(&folder, 0o700)?;
        give_to_owner(&folder);
        let store = Filling::open(&folder.join(STORE_FILE))?;
        Ok(Self { folder, store })
    }

    fn take(&mut self, item: Item<'_>) -> Result<(), stores::Error> {
        match item {
            Item::File(FLAGS, _) => Ok(()),
            Item::File(number, text) => {
                let mode = MODES.get(number).copied().unwrap_or(MODE);
                Ok(replace_for_owner(&self.folder.join(name(number)), mode, text)?)
            }
            Item::Stored(change) => self.store.put(change),
        }
    }

    /// All is there: gives the folder its name.
    fn end(mut self, data: &Path, counts: &Counts) -> Result<(), stores::Error> {
        for number in 2..RULES {
            // A list that was not there then is empty now; without rules everybody may dial, so
            // that those there are stay.
            if !counts.has(number) && is_at(data, name(number)) {
                self.take(Item::File(number, ""))?;
            }
        }
        self.store.end()?;
        give_to_owner(&self.folder.join(STORE_FILE));
        fs::rename(&self.folder, data.join(WHOLE))?;
        Ok(sync_folder(&self.folder)?)
    }
}

/// Moves what was made whole to its place, and what was there out of its way; does nothing if
/// nothing was made. It may be broken off anywhere and done again; what changes the directory in
/// between would be undone, so that it calls this first.
pub(in crate::cmd) fn finish(data: &Path) -> Result<(), Exit> {
    if !is_at(data, WHOLE) {
        return Ok(());
    }
    move_in(data).map_err(|cause| {
        Exit::unusable(format!(
            "Cannot end a restore in {}: {cause}. Run this again as the owner of that directory.",
            data.display()
        ))
    })
}

fn move_in(data: &Path) -> io::Result<()> {
    let whole = data.join(WHOLE);
    let old_key = name(OLD_KEY);
    // The key before is of the key that goes now; once that one moved, it is what was restored.
    if is_at(&whole, SECRET_FILE) && !is_at(&whole, old_key) {
        put_aside(&data.join(old_key))?;
    }
    for place in PLACES {
        if is_at(&whole, place) {
            put_aside(&data.join(place))?;
            fs::rename(whole.join(place), data.join(place))?;
        }
    }
    sync_folder(&whole)?;
    fs::remove_dir(&whole)?;
    sync_folder(&whole)
}

/// Gives what is at `path`, if anything is, its other name. A store is large, and its devices
/// register again; any other file may be nowhere else, that before the last restore too.
fn put_aside(path: &Path) -> io::Result<()> {
    if !path.ends_with(STORE_FILE) {
        return keygen::put_aside(path, path);
    }
    match fs::rename(path, beside(path, ".before-restore")) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_at(folder: &Path, name: &str) -> bool {
    fs::symlink_metadata(folder.join(name)).is_ok()
}

/// Writes the settings where they were asked for, with the permissions of those that were there.
fn put_settings(file: Option<&str>, settings: Option<String>) -> Result<String, Exit> {
    let (file, text) = match (file, settings) {
        (Some(file), Some(text)) => (file, text),
        (Some(_), None) => return Ok(" There are no settings in it.".into()),
        (None, None) => return Ok(String::new()),
        (None, Some(_)) => {
            return Ok(" The settings were left out: name a file for them with --flags.".into());
        }
    };
    let path = Path::new(file);
    let write = || {
        let old = fs::metadata(path);
        publish_after(path, new_draft(path, MODE)?, &text, &|| put_aside(path))?;
        let Ok(old) = old else { return Ok(()) };
        drop(chown(path, Some(old.uid()), Some(old.gid())));
        fs::set_permissions(path, old.permissions())
    };
    write().map_err(|cause| {
        Exit::running(format!("All but the settings is restored: cannot write {file}: {cause}."))
    })?;
    Ok(format!(" Settings: {file}."))
}
