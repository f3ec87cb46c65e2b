//! SQLite's files of format 3, read without SQLite: the rows of one table, as they stand in the
//! database and in the write-ahead log beside it. Nothing is written, and no byte is trusted; it
//! must not know what the rows mean. SQLite's pages on its file format describe all of this.
//! Checks: tests/import/main.rs, and the fuzz target `sqlite`.

mod columns;
mod log;
mod number;
mod pages;
mod record;
mod tree;

use core::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

pub use pages::MAGIC;
use pages::Pages;
pub use record::Value;

/// Most columns of a table that are read.
pub const COLUMNS_MAX: usize = 32;
/// Longest row; upstream's have some 300 bytes.
const ROW_BYTES_MAX: usize = 1024 * 1024;
/// Where the schema's tree begins.
const SCHEMA_ROOT: u32 = 1;

/// Why a database is not read. None of it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It does not begin as SQLite's files do.
    Foreign,
    /// A form of it that is not read here; the text says which. By its place, as a text is as long
    /// again: each result that may be an error is of its length.
    Unread(&'static &'static str),
    /// What stands on the page with this number, counted from 1, cannot be so.
    Damaged(u32),
    /// It has no such table.
    NoTable,
    /// The file system refuses.
    Io(ErrorKind, i32),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => out.write_str("it is no SQLite database"),
            Self::Unread(what) => out.write_str(what),
            Self::Damaged(page) => write!(out, "it is damaged: page {page}"),
            Self::NoTable => out.write_str("it has no such table"),
            Self::Io(kind, 0) => kind.fmt(out),
            Self::Io(_, number) => io::Error::from_raw_os_error(*number).fmt(out),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind(), error.raw_os_error().unwrap_or(0))
    }
}

/// Where bytes are read: a file, and in tests what is in memory.
pub trait Bytes {
    /// How many there are.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;

    /// Fills `buffer` with what stands at `offset`.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` if there is less.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Bytes for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

#[cfg(feature = "testing")]
impl Bytes for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        u64::try_from(self.len()).map_err(io::Error::other)
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let there = from.and_then(|from| self.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(there.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A row, and where in it the columns stand that were asked for.
pub struct Row<'a> {
    values: &'a [Value<'a>],
    places: &'a [Option<usize>],
}

impl<'a> Row<'a> {
    /// The value of the column with this number among those asked for; none if there is none.
    pub fn value(&self, number: usize) -> Value<'a> {
        let place = self.places.get(number).copied().flatten();
        place.and_then(|place| self.values.get(place).copied()).unwrap_or(Value::Null)
    }
}

/// Who is given each row, and how many pages were read.
pub type EachRow<'e> = dyn FnMut(&Row<'_>, u32) -> Result<(), Error> + 'e;
/// The same, of all values of a row.
type EachOfAll<'e> = dyn FnMut(&[Value<'_>], u32) -> Result<(), Error> + 'e;

/// A database that is read.
pub struct Database<'a> {
    pages: Box<Pages<'a>>,
}

impl<'a> Database<'a> {
    /// The database in `file`, with the log that stands beside it.
    ///
    /// # Errors
    /// [`Error`]
    pub fn new(file: &'a dyn Bytes, log: Option<&'a dyn Bytes>) -> Result<Self, Error> {
        Ok(Self { pages: Pages::new(file, log)? })
    }

    /// How many pages it has: what progress is counted in.
    pub fn pages(&self) -> u32 {
        self.pages.count
    }

    /// Whether the log ends with a write that was cut short or is damaged: SQLite passes over it,
    /// and so does this.
    pub fn is_cut_short(&self) -> bool {
        self.pages.is_cut_short()
    }

    /// Whether it is one that has a log beside it until it is shut, and none was given.
    pub fn lacks_log(&self) -> bool {
        self.pages.lacks_log
    }

    /// Gives `each` every row of the table, in which the columns that are `named` have numbers in
    /// that order.
    ///
    /// # Errors
    /// [`Error`]; rows may have been given before. What `each` gives ends it.
    pub fn rows(&self, table: &str, named: &[&str], each: &mut EachRow<'_>) -> Result<(), Error> {
        let (root, sql) = self.table(table)?;
        let is_index = self.pages.is_index(root)?;
        let places = columns::places(&sql, named, is_index);
        let places = places.ok_or(Error::Unread(&"its table is not as upstream's is"))?;
        self.walk((root, is_index), &mut |values, read| {
            each(&Row { values, places: &places }, read)
        })
    }

    /// Where the table's tree begins, and the text that made the table.
    fn table(&self, name: &str) -> Result<(u32, String), Error> {
        let mut found = None;
        self.walk((SCHEMA_ROOT, false), &mut |values, _| {
            if let [kind, own, _, root, sql] = values
                && kind.is_text("table")
                && own.is_text(name)
            {
                found = root.as_page().zip(sql.as_text().map(str::to_owned));
            }
            Ok(())
        })?;
        found.ok_or(Error::NoTable)
    }

    /// Gives `each` the values of every row in a tree, and how many pages were read.
    fn walk(&self, tree: (u32, bool), each: &mut EachOfAll<'_>) -> Result<(), Error> {
        tree::walk(&self.pages, tree, &mut |page, row, read| {
            let mut values = [Value::Null; COLUMNS_MAX];
            let count = record::values(row, &mut values).ok_or(Error::Damaged(page))?;
            each(values.get(..count).unwrap_or_default(), read)
        })
    }
}
