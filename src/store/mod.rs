//! Where identities survive a restart: a trait, redb, and for tests a reference in memory. It must
//! not know who is present: presence lives in the rendezvous.

mod backend;
mod lines;
#[cfg(feature = "testing")]
pub mod memory;
mod pages;
mod record;
pub mod redb;
mod salvage;
mod tables;

use core::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use hbb_core::base::peer::{Change, Record};

pub use lines::{TITLE, hex, is_forgotten, is_row, line, parse};
#[cfg(feature = "accounts")]
pub use lines::{parse_row, row_line};
pub use salvage::{Salvaged, salvage};

/// Keeps records. Everything is loaded at start, nothing is read afterwards.
pub trait Store: Send {
    /// Gives every record to `each`.
    ///
    /// # Errors
    /// [`Error`]; some records may have been given already.
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> Result<(), Error>;

    /// Applies a batch, all or nothing; durable on return.
    ///
    /// # Errors
    /// [`Error`]; nothing of the batch is there then.
    fn commit(&mut self, batch: &[Change]) -> Result<(), Error>;

    /// Something that reads it while it is being written by others; None if there is no such thing.
    fn reader(&self) -> Option<Box<dyn Reader>> {
        None
    }

    /// Bytes written to the file since it was opened, for the sake of flash; 0 without a file.
    fn written(&self) -> u64 {
        0
    }

    /// Applies the last batch before the store is closed, as `commit` does, and keeps a text for
    /// the next start; either may be empty, and an empty text leaves the one before.
    ///
    /// # Errors
    /// [`Error`]; nothing of the batch is there then.
    fn finish(&mut self, batch: &[Change], whereabouts: &str) -> Result<(), Error>;

    /// The text that was kept last; empty if there is none.
    ///
    /// # Errors
    /// [`Error`]
    fn whereabouts(&mut self) -> Result<String, Error>;

    /// Gives the key and the value of every row that belongs to no device to `each`.
    ///
    /// # Errors
    /// [`Error`]; some rows may have been given already.
    #[cfg(feature = "accounts")]
    fn rows(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Error>;
}

/// Reads a store that another thread commits to. It ends with that store.
pub trait Reader: Send {
    /// Gives every record of what was committed last to `each`, until that returns false. Commits
    /// go on meanwhile, unseen.
    ///
    /// # Errors
    /// [`Error`]; some records may have been given already.
    fn read(&self, each: &mut dyn FnMut(Record) -> bool) -> Result<(), Error>;

    /// The same of the rows that belong to no device, by key and value.
    ///
    /// # Errors
    /// As for [`Self::read`].
    #[cfg(feature = "accounts")]
    fn read_rows(&self, each: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), Error>;
}

/// Says whether the file may be served, having read it where a panic does no harm.
pub type Judge<'a> = &'a dyn Fn(&Path) -> Result<(), Error>;

/// Opens the store in the file `path`, or makes it if there is none. Damage may end the process.
///
/// # Errors
/// [`Error`]; a file that is no store of ours is left as it is, byte for byte.
pub fn open(path: &Path) -> Result<Box<dyn Store>, Error> {
    open_judged(path, &|_| Ok(()))
}

/// The same; a file that is there is locked, and shown to `judge` before anything in it is mended.
///
/// # Errors
/// [`Error`], the judge's among them.
pub fn open_judged(path: &Path, judge: Judge<'_>) -> Result<Box<dyn Store>, Error> {
    Ok(Box::new(redb::Redb::open(path, judge)?))
}

/// Opens the store in the file `path` for reading alone; see [`redb::Redb::read_only`].
///
/// # Errors
/// [`Error`]; damage may end the process instead.
pub fn read_only(path: &Path) -> Result<Box<dyn Store>, Error> {
    Ok(Box::new(redb::Redb::read_only(path)?))
}

/// Reads all of the store in `file` and gives how many peers it has; see [`redb::survey`].
///
/// # Errors
/// [`Error`]; damage may end the process instead.
pub fn survey(file: File) -> Result<usize, Error> {
    redb::survey(file)
}

/// Opens the store in the file `path` to be read, while no server has it open.
///
/// # Errors
/// [`Error`]
pub fn open_to_read(path: &Path) -> Result<File, Error> {
    redb::open_to_read(path)
}

/// Why a store cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A newer version wrote it.
    NewerFormat,
    /// It is damaged.
    Damaged,
    /// It is something else.
    Foreign,
    /// It is a directory, a FIFO, a device or a link that leads nowhere.
    NotAFile,
    /// A journal, as builds for OpenWrt wrote it before 0.1.0.
    Journal,
    /// Another process has it open.
    InUse,
    /// The file system refuses; beside the kind the system's own number, 0 if it gave none: of
    /// many, a dying disk's among them, the kind says nothing.
    Io(ErrorKind, i32),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerFormat => out.write_str("it was written by a newer version of hbb"),
            Self::Damaged => out.write_str("it is damaged"),
            Self::Foreign => out.write_str("it is not a store of hbb"),
            Self::NotAFile => out.write_str("it is not a file, or a link that leads nowhere"),
            Self::Journal => {
                out.write_str("it is a journal, which only earlier builds of hbb read")
            }
            Self::InUse => out.write_str("it is in use by another process"),
            Self::Io(ErrorKind::StorageFull, _) => out.write_str("the disk is full"),
            Self::Io(ErrorKind::ReadOnlyFilesystem, _) => out.write_str("the disk is read-only"),
            Self::Io(ErrorKind::Other, 0) => out.write_str("an earlier read or write failed"),
            Self::Io(kind, 0) => kind.fmt(out),
            Self::Io(_, number) => std::io::Error::from_raw_os_error(*number).fmt(out),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind(), error.raw_os_error().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_disk_says_is_told_in_the_system_s_words() {
        let said = |number| Error::from(std::io::Error::from_raw_os_error(number)).to_string();
        assert!(said(5).ends_with(" (os error 5)"), "{}", said(5));
        assert_eq!(said(28), "the disk is full");
        for number in 1..134 {
            assert!(!said(number).contains("uncategorized"), "{number}: {}", said(number));
        }
    }
}
