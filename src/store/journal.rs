//! The store of builds without redb, a third of a router's program smaller: a journal. Batches of
//! entries are appended (`batch.rs`), and of those with the same id the last counts. It is written
//! anew when much of it is past. C14; the cuts of tests/prop prove its durability.
//!
//! File: `hbbjrnl`, version (1 byte), batches.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::batch::{CHANGE_BYTES_MAX, ENTRIES_BYTES_MAX, Each, append, batches, goes_on, put};
use super::file::{begin, draft_of, sync_folder};
use super::record::{VERSION, decode, encode};
use super::{Error, Store};
use crate::base::peer::{Change, PeerId, Record};

/// How every journal begins.
pub(super) const MAGIC: [u8; 7] = *b"hbbjrnl";
/// What batches follow.
const BEGIN_BYTES: usize = MAGIC.len() + 1;
const BEGIN: u64 = BEGIN_BYTES as u64;
/// What a journal may grow, beyond twice its size, before what is past is looked for.
const GROWTH_BYTES: u64 = 64 * 1024;

/// Of each id that is not gone: which of all entries is its last, and the bytes of that.
type Last = BTreeMap<PeerId, (u64, u64)>;

/// A journal in a file of its own, locked.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Where the next batch goes; what lies behind is none of ours.
    end: u64,
    /// How long it was when what is past was last looked for.
    swept: u64,
    /// Something lies behind the end.
    untidy: bool,
    /// Its name may not survive a power cut.
    unnamed: bool,
}

impl Journal {
    /// Opens the journal `path`, or makes it if there is none; then it is complete or not there.
    /// What a power cut left of the last batch is cut off.
    ///
    /// # Errors
    /// [`Error`]; a file that is no journal of ours, or damaged, is left as it is.
    pub fn open(path: &Path) -> Result<Self, Error> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let draft = Draft::new(path)?;
                if path.exists() {
                    return Err(Error::InUse);
                }
                draft.publish(path, |_| Ok(()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read(path: &Path, file: File) -> Result<Self, Error> {
        lock(&file)?;
        check_begin(&file)?;
        let len = file.metadata()?.len();
        let end = batches(&file, BEGIN, len, &mut |_, _| Ok(()))?;
        if len > end && goes_on(&file, end)? {
            return Err(Error::Damaged);
        }
        let path = path.into();
        let (swept, untidy) = (end, len > end);
        let mut journal = Self { path, file, end, swept, untidy, unnamed: false };
        journal.tidy()?;
        Ok(journal)
    }

    /// Cuts off what lies behind the end, and gives the file its name for good.
    fn tidy(&mut self) -> Result<(), Error> {
        if self.untidy {
            self.file.set_len(self.end)?;
            self.untidy = false;
        }
        if self.unnamed {
            sync_folder(&self.path)?;
            self.unnamed = false;
        }
        Ok(())
    }

    /// Which entries count.
    fn last(&self) -> Result<Last, Error> {
        let (mut last, mut number) = (Last::new(), 0);
        batches(&self.file, BEGIN, self.end, &mut |id, record| {
            let (id, bytes) = (peer(id)?, (2 + id.len() + record.len()) as u64);
            number += 1;
            match record {
                [] => last.remove(&id),
                _ => last.insert(id, (number, bytes)),
            };
            Ok(())
        })?;
        Ok(last)
    }

    /// Gives them.
    fn live(&self, last: &Last, each: Each<'_>) -> Result<(), Error> {
        let mut number = 0;
        batches(&self.file, BEGIN, self.end, &mut |id, record| {
            number += 1;
            match last.get(&peer(id)?) {
                Some((last, _)) if *last == number => each(id, record),
                _ => Ok(()),
            }
        })?;
        Ok(())
    }
}

impl Store for Journal {
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> Result<(), Error> {
        self.live(&self.last()?, &mut |id, record| {
            each(decode(id, record)?);
            Ok(())
        })
    }

    fn commit(&mut self, batch: &[Change]) -> Result<(), Error> {
        self.tidy()?;
        let mut entries = Vec::new();
        for change in batch {
            let (gone, here) = change.gone_and_here();
            if let Some(id) = gone {
                put(&mut entries, id.as_str(), &[])?;
            }
            if let Some(record) = here {
                put(&mut entries, record.id.as_str(), &encode(record))?;
            }
        }
        self.untidy = true;
        let written = append(&self.file, self.end, &entries)?;
        self.file.sync_data()?;
        self.untidy = false;
        self.end += written;
        if self.end > 2 * self.swept + GROWTH_BYTES {
            // The batch is there; without room for another file this one goes on growing.
            let _ = self.compact();
            self.swept = self.end;
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<(), Error> {
        let last = self.last()?;
        let live: u64 = last.values().map(|(_, bytes)| bytes).sum();
        // Writing everything costs more flash than a little of it that is past.
        if live >= self.end / 4 * 3 {
            return Ok(());
        }
        let draft = Draft::new(&self.path)?;
        let fill = |draft: &mut Draft| self.live(&last, &mut |id, record| draft.put(id, record));
        *self = draft.publish(&self.path, fill)?;
        Ok(())
    }
}

/// A journal that is being written, under another name.
struct Draft {
    path: PathBuf,
    file: File,
    end: u64,
    entries: Vec<u8>,
}

impl Draft {
    fn new(path: &Path) -> Result<Self, Error> {
        let path = draft_of(path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path)?;
        lock(&file)?;
        file.set_len(0)?;
        Ok(Self { path, file, end: BEGIN, entries: Vec::new() })
    }

    fn put(&mut self, id: &str, record: &[u8]) -> Result<(), Error> {
        if self.entries.len() + CHANGE_BYTES_MAX > ENTRIES_BYTES_MAX / 4 {
            self.flush()?;
        }
        put(&mut self.entries, id, record)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.end += append(&self.file, self.end, &self.entries)?;
        self.entries.clear();
        Ok(())
    }

    /// Fills it, makes that durable, and gives it its name; removes it if something fails.
    fn publish(
        mut self,
        path: &Path,
        fill: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<Journal, Error> {
        let done = fill(&mut self).and_then(|()| self.finish());
        if let Err(error) = done.and_then(|()| Ok(fs::rename(&self.path, path)?)) {
            let _ = fs::remove_file(&self.path);
            return Err(error);
        }
        let Self { file, end, .. } = self;
        let path = path.into();
        let mut journal = Journal { path, file, end, swept: end, untidy: false, unnamed: true };
        // Tried again before the next batch.
        let _ = journal.tidy();
        Ok(journal)
    }

    fn finish(&mut self) -> Result<(), Error> {
        if !self.entries.is_empty() {
            self.flush()?;
        }
        self.file.write_all_at(&[&MAGIC[..], &[VERSION]].concat(), 0)?;
        Ok(self.file.sync_all()?)
    }
}

/// Nobody else may have it open; the lock goes with the file.
fn lock(file: &File) -> Result<(), Error> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::InUse,
        TryLockError::Error(error) => error.into(),
    })
}

fn check_begin(file: &File) -> Result<(), Error> {
    let begin: [u8; BEGIN_BYTES] = begin(file)?;
    match begin.split_at(MAGIC.len()) {
        (magic, [VERSION]) if magic == MAGIC => Ok(()),
        (magic, [0]) if magic == MAGIC => Err(Error::Damaged),
        (magic, _) if magic == MAGIC => Err(Error::NewerFormat),
        _ if begin.starts_with(b"redb") => Err(Error::OtherStore),
        _ => Err(Error::Foreign),
    }
}

fn peer(id: &str) -> Result<PeerId, Error> {
    PeerId::new(id).ok_or(Error::Damaged)
}
