//! `restore`: makes everything anew in a folder beside the old, gives that a name that says it is
//! whole, and moves what is in it to its place. A start of the server ends what a power cut
//! interrupted, so that nothing is ever served of half a backup.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::super::exit::{Exit, print};
use super::super::store::{self, STORE_FILE};
use super::form::{Counts, FILES, FLAGS, Item, OLD_KEY, RULES, read};
use super::{MODE, STDIO};
use crate::cli::RestoreFlags;
use crate::file::{draft_of, open_file, publish, stdin, sync_folder};
use crate::net::control::is_left_behind;
use crate::settings;
use crate::store::{self as stores, Store};
use hbb_core::base::limits::BATCH_MAX;
use hbb_core::base::peer::Change;
use hbb_core::identity::ServerKey;

/// The folder while it is being filled.
pub(in crate::cmd) const FILLING: &str = "hbb.restore.new";
/// The folder when all is in it.
pub(in crate::cmd) const WHOLE: &str = "hbb.restore";
/// Permissions of the key files and the lists.
const MODES: [u32; FLAGS] = [MODE, 0o644, 0o640, 0o640, 0o640, 0o640, MODE];
/// Longest text of a key or of settings.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// `hbb restore`.
#[inline(never)]
pub(in crate::cmd) fn run(flags: &RestoreFlags) -> Result<(), Exit> {
    let config = settings::of(flags.data.as_deref(), None, None).map_err(Exit::flags)?;
    let data = config.data.as_path();
    if !flags.dry_run {
        let answers = is_left_behind(&config.control);
        if answers.is_err_and(|error| error.kind() == ErrorKind::AddrInUse) {
            return Err(Exit::running("A server runs there: stop it first. Nothing was changed."));
        }
    }
    let held = if flags.dry_run { None } else { hold(data)? };
    if !flags.dry_run {
        finish(data)?;
    }
    if flags.file != STDIO {
        // Before anything is written, all of it is known to be right.
        let (counts, _) = pass(&mut open(&flags.file)?, None)?;
        if flags.dry_run {
            return print(&format!("{} holds {counts}. Nothing was changed.\n", flags.file));
        }
    }
    if !flags.dry_run && !flags.force && [STORE_FILE, FILES[0]].iter().any(|it| is_at(data, it)) {
        return Err(Exit::flags(format!(
            "There is a server's key, or its devices, in {}. Use --force to restore there; what \
             is there is kept as NAME.before-restore.",
            data.display()
        )));
    }
    let mut staging = if flags.dry_run { None } else { Some(Staging::begin(data)?) };
    let passed = pass(&mut open(&flags.file)?, staging.as_mut());
    let (counts, texts) = passed.inspect_err(|_| clear(&data.join(FILLING)))?;
    let Some(staging) = staging else {
        return print(&format!("It holds {counts}. Nothing was changed.\n"));
    };
    if held.is_none() && is_at(data, STORE_FILE) {
        clear(&data.join(FILLING));
        return Err(Exit::running("A server was started there. Nothing was changed."));
    }
    staging.end(&counts).map_err(|error| {
        clear(&data.join(FILLING));
        unmade(data, &error)
    })?;
    finish(data)?;
    let told = put_settings(flags.flags.as_deref(), &counts, &texts)?;
    print(&format!("Restored into {}: {counts}.{told}\n", data.display()))
}

/// What is made: nothing else is in the folder.
fn names() -> impl Iterator<Item = &'static str> {
    [STORE_FILE].into_iter().chain(FILES.into_iter().take(FLAGS))
}

/// Removes the folder that is being filled, or that a power cut left.
fn clear(folder: &Path) {
    for name in names() {
        drop(fs::remove_file(folder.join(name)));
    }
    drop(fs::remove_dir(folder));
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

fn open(name: &str) -> Result<BufReader<File>, Exit> {
    let file = if name == STDIO { stdin() } else { open_file(Path::new(name)) };
    let file = file.map_err(|cause| Exit::flags(format!("Cannot read {name}: {cause}.")))?;
    Ok(BufReader::new(file))
}

/// The texts that are judged: of the secret key and of the settings.
#[derive(Default)]
struct Texts {
    key: String,
    settings: String,
}

/// Reads a backup, and writes what is in it, if it is to be.
fn pass(from: &mut BufReader<File>, mut to: Option<&mut Staging>) -> Result<(Counts, Texts), Exit> {
    let (mut texts, mut file) = (Texts::default(), None);
    let counts = read(from, &mut |item| {
        match item {
            Item::File(number) => file = Some(number),
            Item::Line(line) => {
                let text = match file {
                    Some(0) => &mut texts.key,
                    Some(FLAGS) => &mut texts.settings,
                    _ => &mut String::new(),
                };
                if text.len() + line.len() > TEXT_BYTES_MAX {
                    return Err(Exit::unusable("This backup holds a key or settings of no size."));
                }
                text.push_str(&[line, "\n"].concat());
            }
            Item::Peer(_) => {}
            #[cfg(feature = "accounts")]
            Item::Row(_) => {}
        }
        match &mut to {
            Some(to) => to.take(item).map_err(|error| unmade(&to.data, &error)),
            None => Ok(()),
        }
    })?;
    if counts.has(0) && ServerKey::parse(&texts.key).is_err() {
        return Err(Exit::unusable("The key in this backup is none. Nothing was changed."));
    }
    // A line more than there was.
    texts.settings.pop();
    Ok((counts, texts))
}

fn unmade(data: &Path, error: &stores::Error) -> Exit {
    Exit::running(format!("Cannot restore into {}: {error}. It is as it was.", data.display()))
}

/// What is being made beside what is there.
struct Staging {
    data: PathBuf,
    folder: PathBuf,
    store: Option<Box<dyn Store>>,
    batch: Vec<Change>,
    file: Option<BufWriter<File>>,
    /// A line of the file was written.
    begun: bool,
}

impl Staging {
    fn begin(data: &Path) -> Result<Self, Exit> {
        let folder = data.join(FILLING);
        // A power cut left it.
        clear(&folder);
        let made = DirBuilder::new().mode(0o700).create(&folder).map_err(stores::Error::from);
        let store = made.and_then(|()| stores::open(&folder.join(STORE_FILE)));
        let store = Some(store.map_err(|error| unmade(data, &error))?);
        let (batch, file) = (Vec::with_capacity(BATCH_MAX), None);
        Ok(Self { data: data.into(), folder, store, batch, file, begun: false })
    }

    fn take(&mut self, item: Item<'_>) -> Result<(), stores::Error> {
        match item {
            Item::File(FLAGS) => self.close()?,
            Item::File(number) => {
                self.close()?;
                let mode = MODES.get(number).copied().unwrap_or(MODE);
                let path = self.folder.join(FILES.get(number).copied().unwrap_or_default());
                let file = File::options().write(true).create_new(true).mode(mode).open(path)?;
                (self.file, self.begun) = (Some(BufWriter::new(file)), false);
            }
            Item::Line(line) => {
                if let Some(file) = &mut self.file {
                    let end = if self.begun { "\n" } else { "" };
                    file.write_all(end.as_bytes())?;
                    file.write_all(line.as_bytes())?;
                    self.begun = true;
                }
            }
            Item::Peer(record) => self.put(Change::Put(record))?,
            #[cfg(feature = "accounts")]
            Item::Row(row) => self.put(Change::Rows(vec![row]))?,
        }
        Ok(())
    }

    fn put(&mut self, change: Change) -> Result<(), stores::Error> {
        self.batch.push(change);
        if self.batch.len() == BATCH_MAX { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), stores::Error> {
        let batch = core::mem::take(&mut self.batch);
        self.store.as_mut().map_or(Ok(()), |store| store.commit(&batch))
    }

    /// Makes a file last.
    fn close(&mut self) -> Result<(), stores::Error> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(file.sync_all()?)
    }

    /// All is there: gives the folder its name.
    fn end(mut self, counts: &Counts) -> Result<(), stores::Error> {
        self.close()?;
        self.commit()?;
        self.store = None;
        let owner = fs::metadata(&self.data)?;
        for (number, name) in FILES.into_iter().enumerate().take(RULES).skip(2) {
            // A list that was not there then is empty now; without rules everybody may dial, so
            // that those there are stay.
            if !counts.has(number) && is_at(&self.data, name) {
                self.take(Item::File(number))?;
                self.close()?;
            }
        }
        for name in names().chain([""]) {
            // Only root may; for everyone else they are right as they are, and not all are there.
            drop(chown(self.folder.join(name), Some(owner.uid()), Some(owner.gid())));
        }
        sync_folder(&self.folder.join(STORE_FILE))?;
        fs::rename(&self.folder, self.data.join(WHOLE))?;
        Ok(sync_folder(&self.folder)?)
    }
}

/// Moves what was made whole to its place, and what was there out of its way; does nothing if
/// nothing was made. It may be broken off anywhere and done again.
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
    let old_key = FILES.get(OLD_KEY).copied().unwrap_or_default();
    // The key before is of the key that goes now; once that one moved, it is what was restored.
    if is_at(&whole, FILES[0]) && !is_at(&whole, old_key) {
        put_aside(&data.join(old_key))?;
    }
    for name in names() {
        if is_at(&whole, name) {
            put_aside(&data.join(name))?;
            fs::rename(whole.join(name), data.join(name))?;
        }
    }
    sync_folder(&whole)?;
    fs::remove_dir(&whole)?;
    sync_folder(&whole)
}

/// Gives what is at `path`, if anything is, its other name.
fn put_aside(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".before-restore");
    match fs::rename(path, name) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_at(folder: &Path, name: &str) -> bool {
    fs::symlink_metadata(folder.join(name)).is_ok()
}

/// Writes the settings where they were asked for, with the permissions of those that were there.
fn put_settings(file: Option<&str>, counts: &Counts, texts: &Texts) -> Result<String, Exit> {
    let Some(file) = file else {
        let left = " The settings were left out: name a file for them with --flags.";
        return Ok(if counts.has(FLAGS) { left.into() } else { String::new() });
    };
    if !counts.has(FLAGS) {
        return Ok(" There are no settings in it.".into());
    }
    let path = Path::new(file);
    let write = || {
        let draft = draft_of(path);
        drop(fs::remove_file(&draft));
        let made = File::options().write(true).create_new(true).mode(MODE).open(&draft)?;
        if let Ok(old) = fs::metadata(path) {
            fs::set_permissions(&draft, old.permissions())?;
            drop(chown(&draft, Some(old.uid()), Some(old.gid())));
        }
        put_aside(path)?;
        publish(path, made, &texts.settings)
    };
    write().map_err(|cause| {
        Exit::running(format!("All but the settings is restored: cannot write {file}: {cause}."))
    })?;
    Ok(format!(" Settings: {file}."))
}
