//! The store on disk: a redb table from peer id to record, and the format's version under the empty
//! id, which no peer can have. C14; the cuts of tests/prop prove its durability.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ::redb::{
    Builder, CommitError, Database, DatabaseError, ReadTransaction, ReadableDatabase as _,
    StorageBackend, StorageError, TableError, TransactionError,
};

use super::backend::{Backend, BackendSwitch, Plain};
use super::record::decode;
use super::tables::{self, PEERS};
use super::{Error, Judge, Reader, Store};
use crate::file::{draft_of, sync_folder};
use hbb_core::base::peer::{Change, Record, RecordState};

/// The key the format's version lies under.
pub(super) const FORMAT: &str = "";
/// The format's version. Records have their own.
const VERSION: u8 = 1;
/// What redb may keep in memory. Everything is in the machine's table anyway.
const CACHE_BYTES: usize = 256 * 1024;
/// How often and after what pause a lock that is taken is asked for again.
const LOOKS_MAX: usize = 25;
const LOOK: Duration = Duration::from_millis(10);
/// The first page and one more.
const BYTES_MIN: u64 = 2 * 4096;
/// How every redb file begins.
const MAGIC: [u8; 4] = *b"redb";
/// How the journals of earlier builds begin.
const JOURNAL: [u8; 4] = *b"hbbj";

/// A redb database, reopened after a failed commit.
pub struct Redb {
    path: PathBuf,
    opened: Shared,
    /// Bytes written before it was opened again.
    written_before: u64,
}

/// The database, if it is open, for the store and its readers.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<Opened>>>);

impl Shared {
    fn new(opened: Opened) -> Self {
        Self(Arc::new(Mutex::new(Some(opened))))
    }

    /// What was committed last. Held no longer than until that is fixed: who commits waits for it.
    fn begin_read(&self) -> Result<ReadTransaction, Error> {
        let began = self.lock().as_ref().map(|opened| opened.database.begin_read());
        Ok(began.ok_or(Error::InUse)??)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Opened>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader for Shared {
    fn read(&self, each: &mut dyn FnMut(Record) -> bool) -> Result<(), Error> {
        walk(&self.begin_read()?, each)
    }

    #[cfg(feature = "accounts")]
    fn read_rows(&self, each: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), Error> {
        tables::read(&self.begin_read()?, tables::ROWS, &mut |key, value| {
            each(key.as_bytes(), value)
        })
    }
}

/// Closes it here, whoever else still reads.
impl Drop for Redb {
    fn drop(&mut self) {
        *self.opened.lock() = None;
    }
}

/// An open database.
struct Opened {
    database: Database,
    control: BackendSwitch,
    /// Something was committed since it was opened.
    changed: bool,
}

impl Opened {
    /// Bytes written since it was opened.
    fn written(&self) -> u64 {
        self.control.written().load(Ordering::Relaxed)
    }
}

/// Closes it with two syncs, or none if nothing changed. What a commit acknowledged is durable
/// already; two syncs note which pages are free, so that the next start need not read the whole
/// file to know. redb's own closing, which would also cut the file down for the next start to
/// extend it again, is held back and forgotten: to redb, the file is one that a power cut left.
impl Drop for Opened {
    fn drop(&mut self) {
        if self.changed {
            let _ = note_free_pages(&self.database);
        }
        self.control.hold();
    }
}

impl Redb {
    /// Opens the file `path`, or makes it if there is none; then it is complete or not there. One
    /// that is there is locked and shown to `judge` before redb may mend what a power cut left.
    ///
    /// # Errors
    /// [`Error`]; a file that is no store of ours is left as it is, byte for byte.
    pub fn open(path: &Path, judge: Judge<'_>) -> Result<Self, Error> {
        let opened = match open_file(path, judge) {
            Err(Error::Io(ErrorKind::NotFound, _)) => create(path, judge)?,
            opened => opened?,
        };
        Ok(Self { path: path.into(), opened: Shared::new(opened), written_before: 0 })
    }

    /// Opens the file `path` for reading alone, beside others who read: what redb would mend, it
    /// mends in memory. No server opens it meanwhile.
    ///
    /// # Errors
    /// [`Error`]
    pub fn read_only(path: &Path) -> Result<Self, Error> {
        let file = open_to_read(path)?;
        check_begin(&file)?;
        let opened = opened(Backend::held(Plain(file)))?;
        check_version(&opened.database)?;
        Ok(Self { path: path.into(), opened: Shared::new(opened), written_before: 0 })
    }

    /// The store over another backend, for tests that cut writes short.
    ///
    /// # Errors
    /// [`Error`] as for a file.
    #[cfg(feature = "testing")]
    pub fn over(backend: impl StorageBackend) -> Result<Self, Error> {
        let opened = if backend.len()? == 0 { new(backend)? } else { existing(backend)? };
        Ok(Self { path: PathBuf::new(), opened: Shared::new(opened), written_before: 0 })
    }

    /// [`survey`] over another backend.
    ///
    /// # Errors
    /// [`Error`] as for a file.
    #[cfg(feature = "testing")]
    pub fn survey_over(backend: impl StorageBackend) -> Result<usize, Error> {
        surveyed(backend)
    }

    /// Commits; the last time, with a text that may be empty, so that nothing is left to do at
    /// closing.
    fn write(&mut self, batch: &[Change], last: Option<&str>) -> Result<(), Error> {
        self.with(|opened| {
            opened.changed = true;
            let committed = write(&opened.database, batch, last);
            opened.changed = committed.is_err() || last.is_none();
            committed
        })
        .inspect_err(|_| {
            // redb refuses everything after an error; the file itself is as before.
            let failed = self.opened.lock().take();
            let written = failed.as_ref().map(|failed| failed.control.written());
            drop(failed);
            self.written_before += written.map_or(0, |written| written.load(Ordering::Relaxed));
        })
    }

    /// Does it with the database, which is opened again after a failed commit.
    fn with<T>(&self, act: impl FnOnce(&mut Opened) -> Result<T, Error>) -> Result<T, Error> {
        let mut shared = self.opened.lock();
        if shared.is_none() {
            *shared = Some(open_file(&self.path, &|_| Ok(()))?);
        }
        shared.as_mut().map_or(Err(Error::Damaged), act)
    }
}

impl Store for Redb {
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> Result<(), Error> {
        self.with(|opened| load(&opened.database, each))
    }

    fn commit(&mut self, batch: &[Change]) -> Result<(), Error> {
        self.write(batch, None)
    }

    fn finish(&mut self, batch: &[Change], whereabouts: &str) -> Result<(), Error> {
        if batch.is_empty() && whereabouts.is_empty() {
            return Ok(());
        }
        self.write(batch, Some(whereabouts))
    }

    fn whereabouts(&mut self) -> Result<String, Error> {
        self.with(|opened| tables::whereabouts(&opened.database.begin_read()?))
    }

    #[cfg(feature = "accounts")]
    fn rows(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Error> {
        self.with(|opened| {
            tables::read(&opened.database.begin_read()?, tables::ROWS, &mut |key, value| {
                each(key.as_bytes(), value);
                true
            })
        })
    }

    fn reader(&self) -> Option<Box<dyn Reader>> {
        Some(Box::new(self.opened.clone()))
    }

    fn written(&self) -> u64 {
        self.written_before + self.opened.lock().as_ref().map_or(0, Opened::written)
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Reads all of the store in `file`, each page against its checksum, and gives how many peers it
/// has. The file stays as it is: what redb would mend, it mends in memory. redb panics on some
/// damage, so this is for a process that may die of it.
///
/// # Errors
/// [`Error`]
pub fn survey(file: File) -> Result<usize, Error> {
    check_begin(&file)?;
    surveyed(Plain(file))
}

fn surveyed(backend: impl StorageBackend) -> Result<usize, Error> {
    let mut opened = opened(Backend::held(backend))?;
    if !opened.database.check_integrity()? {
        return Err(Error::Damaged);
    }
    // Only now: where checksums hold, another version is no damage.
    check_version(&opened.database)?;
    let mut records = 0;
    load(&opened.database, &mut |record| {
        records += usize::from(matches!(record.state, RecordState::Registered(_)));
    })?;
    Ok(records)
}

fn load(database: &Database, each: &mut dyn FnMut(Record)) -> Result<(), Error> {
    walk(&database.begin_read()?, &mut |record| {
        each(record);
        true
    })
}

/// What a transaction sees of devices: what is committed later does not show in it.
fn walk(began: &ReadTransaction, each: &mut dyn FnMut(Record) -> bool) -> Result<(), Error> {
    let mut read = Ok(());
    tables::read(began, PEERS, &mut |id, bytes| {
        if id == FORMAT {
            return true;
        }
        match decode(id, bytes) {
            Ok(record) => each(record),
            Err(error) => {
                read = Err(error);
                false
            }
        }
    })?;
    read
}

fn open_file(path: &Path, judge: Judge<'_>) -> Result<Opened, Error> {
    check_kind(path)?;
    let file = File::options().read(true).write(true).open(path)?;
    check_begin(&file)?;
    let held = owned(file)?;
    judge(path)?;
    existing(Plain(held))
}

/// Locks it for one who writes. Who looks whether it is in use has it locked for a moment.
fn owned(file: File) -> Result<File, Error> {
    for _ in 0..LOOKS_MAX {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(LOOK),
            _ => break,
        }
    }
    locked(file, File::try_lock)
}

/// Opens the store in the file `path` to be read, while no server has it open.
///
/// # Errors
/// [`Error`]
pub(super) fn open_to_read(path: &Path) -> Result<File, Error> {
    check_kind(path)?;
    locked(File::open(path)?, File::try_lock_shared)
}

/// Refuses what is not a file: to open a FIFO would wait for whoever writes to it. A link that
/// leads nowhere is none either: what it led to may be on a disk that is not mounted, and a new
/// store in its place would give each id to who claims it first.
fn check_kind(path: &Path) -> Result<(), Error> {
    // Asked before, as another start may make it between the two.
    let is_there = fs::symlink_metadata(path).is_ok();
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Err(error) if !is_there => Err(error.into()),
        _ => Err(Error::NotAFile),
    }
}

/// Another process may have the file; a file system that knows no locks has none that has.
fn locked(file: File, lock: fn(&File) -> Result<(), TryLockError>) -> Result<File, Error> {
    match lock(&file) {
        Err(TryLockError::WouldBlock) => Err(Error::InUse),
        Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => {
            Err(error.into())
        }
        _ => Ok(file),
    }
}

/// Mends what a power cut left, but writes nothing before the version is known to be ours.
fn existing(backend: impl StorageBackend) -> Result<Opened, Error> {
    let opened = opened(Backend::held(backend))?;
    check_version(&opened.database)?;
    opened.control.release()?;
    Ok(opened)
}

fn new(backend: impl StorageBackend) -> Result<Opened, Error> {
    let opened = opened(Backend::draft(backend))?;
    write_version(&opened.database)?;
    opened.control.release()?;
    Ok(opened)
}

fn opened((backend, control): (Backend, BackendSwitch)) -> Result<Opened, Error> {
    let database = builder().create_with_backend(backend)?;
    Ok(Opened { database, control, changed: false })
}

/// One commit; the last notes which pages are free, at the price of a second sync.
fn write(database: &Database, batch: &[Change], last: Option<&str>) -> Result<(), Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(last.is_some());
    if let Some(text) = last.filter(|text| !text.is_empty()) {
        tables::keep_whereabouts(&transaction, text)?;
    }
    tables::write(&transaction, batch)?;
    Ok(transaction.commit()?)
}

fn write_version(database: &Database) -> Result<(), Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(PEERS)?.insert(FORMAT, [VERSION].as_slice())?;
    Ok(transaction.commit()?)
}

fn note_free_pages(database: &Database) -> Result<(), Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction.commit()?)
}

/// Makes a whole store under another name, then gives it its own: a power cut leaves no half. Only
/// who holds the draft may empty it, name it or take it away: another start may be at it.
fn create(path: &Path, judge: Judge<'_>) -> Result<Opened, Error> {
    let draft = draft_of(path);
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let held = Plain(locked(options.open(&draft)?, File::try_lock)?);
    if path.exists() {
        // Another start made it since we looked.
        drop(held);
        return open_file(path, judge);
    }
    let made = held.0.set_len(0).map_err(Error::from).and_then(|()| new(held));
    let named = made.and_then(|made| {
        fs::rename(&draft, path)?;
        sync_folder(path)?;
        Ok(made)
    });
    if named.is_err() {
        let _ = fs::remove_file(&draft);
    }
    named
}

/// Refuses a file that redb would take for empty or overwrite. A disk that lost the first page
/// gives zeros, or no byte.
fn check_begin(file: &File) -> Result<(), Error> {
    let mut begin = [0; 4];
    match file.read_exact_at(&mut begin, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Error::Damaged),
        Err(error) => return Err(error.into()),
    }
    match begin {
        MAGIC if file.metadata()?.len() < BYTES_MIN => Err(Error::Damaged),
        MAGIC => Ok(()),
        [0, 0, 0, 0] => Err(Error::Damaged),
        JOURNAL => Err(Error::Journal),
        _ => Err(Error::Foreign),
    }
}

/// Refuses another version's format.
fn check_version(database: &Database) -> Result<(), Error> {
    let table = match database.begin_read()?.open_table(PEERS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Err(Error::Foreign),
        Err(error) => return Err(error.into()),
    };
    match table.get(FORMAT)?.ok_or(Error::Foreign)?.value() {
        [VERSION] => Ok(()),
        _ => Err(Error::NewerFormat),
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => Self::Damaged,
            StorageError::Io(error) => error.into(),
            StorageError::Corrupted(_) => Self::Damaged,
            _ => Self::Io(ErrorKind::Other, 0),
        }
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            DatabaseError::Storage(error) => error.into(),
            DatabaseError::UpgradeRequired(_) => Self::Foreign,
            _ => Self::Damaged,
        }
    }
}

impl From<TransactionError> for Error {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            _ => Self::Io(ErrorKind::Other, 0),
        }
    }
}

impl From<TableError> for Error {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            _ => Self::Foreign,
        }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            _ => Self::Io(ErrorKind::Other, 0),
        }
    }
}
