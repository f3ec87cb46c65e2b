//! Where identities survive a restart: a trait, redb, and for tests a reference in memory. It must
//! not know who is present: presence lives in the rendezvous.

mod backend;
#[cfg(feature = "testing")]
pub mod memory;
mod record;
pub mod redb;

use core::fmt;
use std::io::ErrorKind;
use std::path::Path;

use hbb_core::base::peer::{Change, Record};

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

    /// Bytes written to the file since it was opened, for the sake of flash; 0 without a file.
    fn written(&self) -> u64 {
        0
    }
}

/// Opens the store in the file `path`, or makes it if there is none.
///
/// # Errors
/// [`Error`]; a file that is no store of ours is left as it is, byte for byte.
pub fn open(path: &Path) -> Result<Box<dyn Store>, Error> {
    Ok(Box::new(redb::Redb::open(path)?))
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
    /// A journal, as builds for OpenWrt wrote it before 0.1.0.
    Journal,
    /// Another process has it open.
    InUse,
    /// The file system refuses.
    Io(ErrorKind),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerFormat => out.write_str("it was written by a newer version of hbb"),
            Self::Damaged => out.write_str("it is damaged"),
            Self::Foreign => out.write_str("it is not a store of hbb"),
            Self::Journal => {
                out.write_str("it is a journal, which only earlier builds of hbb read")
            }
            Self::InUse => out.write_str("it is in use by another process"),
            Self::Io(ErrorKind::StorageFull) => out.write_str("the disk is full"),
            Self::Io(ErrorKind::ReadOnlyFilesystem) => out.write_str("the disk is read-only"),
            Self::Io(kind) => kind.fmt(out),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind())
    }
}
