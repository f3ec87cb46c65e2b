//! The pages of a database, each as the log has it last, or the file. Must not know what is on
//! them, but for the first one's header.

use super::log::Log;
use super::number::{u16_at, u32_at};
use super::{Bytes, Error};

/// How every file begins.
pub const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// What stands before the first page's own header.
pub(super) const HEADER_BYTES: usize = 100;
/// Of a page, what SQLite allows.
const PAGE_BYTES_MIN: usize = 512;
/// Fewest bytes of a page that are left for content.
const USABLE_MIN: usize = 480;
/// What begins a branch and a leaf of an index's tree, or of a table's without row numbers.
pub(super) const INDEX: [u8; 2] = [0x02, 0x0a];

/// A database's pages.
pub(super) struct Pages<'a> {
    file: &'a dyn Bytes,
    log: Option<Log<'a>>,
    page_bytes: usize,
    /// Of each page, what content may take.
    pub(super) usable: usize,
    /// How many there are.
    pub(super) count: u32,
    /// Whether it is a database with a log, and none was given.
    pub(super) lacks_log: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(file: &'a dyn Bytes, log: Option<&'a dyn Bytes>) -> Result<Box<Self>, Error> {
        let length = file.length()?;
        let mut header = [0; HEADER_BYTES];
        if length < 100 {
            return Err(Error::Foreign);
        }
        file.fill(&mut header, 0)?;
        let page_bytes = page_bytes(&header)?;
        let lacks_log = log.is_none() && header.get(19) == Some(&2);
        let log = log.map(|log| Log::new(log, page_bytes)).transpose()?.flatten();
        let in_file = u32::try_from(length / page_bytes as u64).map_err(|_| Error::Damaged(1))?;
        let count = log.as_ref().and_then(Log::pages).unwrap_or(in_file);
        let pages = Self { file, log, page_bytes, usable: 0, count, lacks_log };
        let mut pages = Box::new(pages);
        // The log may have a newer one.
        let header = pages.page(1)?;
        pages.usable = checked(&header, page_bytes)?;
        Ok(pages)
    }

    /// The page with this number, the first being 1.
    ///
    /// # Errors
    /// `Damaged` if there is none; what the system says.
    pub(super) fn page(&self, number: u32) -> Result<Vec<u8>, Error> {
        let index = number.checked_sub(1).filter(|_| number <= self.count);
        let index = index.ok_or(Error::Damaged(number))?;
        let mut page = vec![0; self.page_bytes];
        match self.log.as_ref().and_then(|log| log.place(number)) {
            Some((log, offset)) => log.fill(&mut page, offset)?,
            None => self.file.fill(&mut page, u64::from(index) * self.page_bytes as u64).map_err(
                |error| match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => Error::Damaged(number),
                    _ => error.into(),
                },
            )?,
        }
        Ok(page)
    }

    /// Whether the log ends with what is not whole.
    pub(super) fn is_cut_short(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.is_cut_short)
    }

    /// Whether the tree that begins on this page is an index's.
    pub(super) fn is_index(&self, root: u32) -> Result<bool, Error> {
        let page = self.page(root)?;
        Ok(page.get(start(root)).is_some_and(|kind| INDEX.contains(kind)))
    }
}

/// Where the page's own header begins.
pub(super) const fn start(number: u32) -> usize {
    if number == 1 { HEADER_BYTES } else { 0 }
}

/// The size of all pages, as the file's header tells it.
fn page_bytes(header: &[u8]) -> Result<usize, Error> {
    if !header.starts_with(MAGIC) {
        return Err(Error::Foreign);
    }
    match u16_at(header, 16).map(usize::from) {
        Some(1) => Ok(65536),
        Some(size) if size >= PAGE_BYTES_MIN && size.is_power_of_two() => Ok(size),
        _ => Err(Error::Damaged(1)),
    }
}

/// What each page has for content; refuses what is not read here.
fn checked(header: &[u8], size: usize) -> Result<usize, Error> {
    if page_bytes(header)? != size {
        return Err(Error::Damaged(1));
    }
    if header.get(19).is_none_or(|version| *version > 2) {
        return Err(Error::Unread(&"a newer SQLite made it"));
    }
    if u32_at(header, 56).is_some_and(|encoding| encoding > 1) {
        return Err(Error::Unread(&"its text is UTF-16"));
    }
    let reserved = header.get(20).copied().map_or(0, usize::from);
    size.checked_sub(reserved).filter(|left| *left >= USABLE_MIN).ok_or(Error::Damaged(1))
}
