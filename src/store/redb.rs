//! The store on disk: one redb table from peer id to record, and the format's version under the
//! empty id, which no peer can have. C14; the cuts of tests/prop prove its durability.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ::redb::{
    Builder, CommitError, CompactionError, Database, DatabaseError, ReadableDatabase as _,
    ReadableTable as _, StorageError, TableDefinition, TableError, TransactionError,
};

use super::record::{VERSION, decode, encode};
use super::{Error, Store};
use crate::file::{draft_of, sync_folder};
use hbb_core::base::peer::{Change, Record};

const PEERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("peers");
/// The key the format's version lies under.
const FORMAT: &str = "";
/// What redb may keep in memory. Everything is in the machine's table anyway.
const CACHE_BYTES: usize = 256 * 1024;
/// How every redb file begins.
const MAGIC: [u8; 4] = *b"redb";
/// How the journals of earlier builds begin.
const JOURNAL: [u8; 4] = *b"hbbj";

/// A redb database, reopened after a failed commit.
pub struct Redb {
    path: PathBuf,
    database: Option<Database>,
}

impl Redb {
    /// Opens the file `path`, or makes it if there is none; then it is complete or not there.
    ///
    /// # Errors
    /// [`Error`]; a file that is no store of ours is left as it is.
    pub fn open(path: &Path) -> Result<Self, Error> {
        match File::open(path) {
            Ok(file) => check_begin(&file)?,
            Err(error) if error.kind() == ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(error.into()),
        }
        check_version(path)?;
        Ok(Self { path: path.into(), database: Some(open_file(path)?) })
    }

    /// The store over another backend, for tests that cut writes short.
    ///
    /// # Errors
    /// [`Error`] as for a file.
    #[cfg(feature = "testing")]
    pub fn over(backend: impl ::redb::StorageBackend) -> Result<Self, Error> {
        let database = builder().create_with_backend(backend)?;
        write_version(&database)?;
        Ok(Self { path: PathBuf::new(), database: Some(database) })
    }

    fn database(&mut self) -> Result<&mut Database, Error> {
        if self.database.is_none() {
            self.database = Some(open_file(&self.path)?);
        }
        self.database.as_mut().ok_or(Error::Damaged)
    }
}

impl Store for Redb {
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> Result<(), Error> {
        let transaction = self.database()?.begin_read()?;
        let table = transaction.open_table(PEERS)?;
        for entry in table.iter()? {
            let (id, bytes) = entry?;
            if id.value() != FORMAT {
                each(decode(id.value(), bytes.value())?);
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &[Change]) -> Result<(), Error> {
        let committed = write(self.database()?, batch);
        if committed.is_err() {
            // redb refuses everything after an error; the file itself is as before.
            self.database = None;
        }
        committed
    }

    fn compact(&mut self) -> Result<(), Error> {
        self.database()?.compact().map(|_| ()).map_err(|error| match error {
            CompactionError::Storage(error) => error.into(),
            _ => Error::InUse,
        })
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open_file(path: &Path) -> Result<Database, Error> {
    Ok(builder().open(path)?)
}

fn write(database: &Database, batch: &[Change]) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(PEERS)?;
        for change in batch {
            let (gone, here) = change.gone_and_here();
            if let Some(id) = gone {
                table.remove(id.as_str())?;
            }
            if let Some(record) = here {
                table.insert(record.id.as_str(), encode(record).as_slice())?;
            }
        }
    }
    Ok(transaction.commit()?)
}

fn write_version(database: &Database) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(PEERS)?.insert(FORMAT, [VERSION].as_slice())?;
    Ok(transaction.commit()?)
}

/// Makes a whole store under another name, then gives it its own: a power cut leaves no half.
fn create(path: &Path) -> Result<(), Error> {
    let draft = draft_of(path);
    let made = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(Error::from)
        .and_then(|file| {
            let mut database = builder().create_file(file)?;
            write_version(&database)?;
            // A fresh file has room for more than a router may ever need.
            let _ = database.compact();
            Ok(())
        });
    if let Err(error) = made {
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    fs::rename(&draft, path)?;
    Ok(sync_folder(path)?)
}

/// Refuses a file that redb would take for empty or overwrite.
fn check_begin(file: &File) -> Result<(), Error> {
    let mut begin = [0; 4];
    match file.read_exact_at(&mut begin, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Error::Foreign),
        Err(error) => return Err(error.into()),
    }
    match begin {
        MAGIC => Ok(()),
        JOURNAL => Err(Error::Journal),
        _ => Err(Error::Foreign),
    }
}

/// Refuses another version's format before anything is written. A store that was cut off cannot
/// be opened read-only; it is ours then, or opening it will say what it is.
fn check_version(path: &Path) -> Result<(), Error> {
    let database = match builder().open_read_only(path) {
        Ok(database) => database,
        Err(DatabaseError::RepairAborted) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
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
            StorageError::Io(error) => error.into(),
            StorageError::Corrupted(_) => Self::Damaged,
            _ => Self::Io(ErrorKind::Other),
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
            _ => Self::Io(ErrorKind::Other),
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
            _ => Self::Io(ErrorKind::Other),
        }
    }
}
