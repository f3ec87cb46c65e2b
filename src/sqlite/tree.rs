//! A tree of pages, walked from its first row to its last: a table's, whose rows stand on its
//! leaves, or an index's, whose rows stand on all of its pages.

use super::number::{u16_at, u32_at, varint};
use super::pages::{INDEX, Pages, start};
use super::{Error, ROW_BYTES_MAX};

/// Deepest tree. Of pages with two entries each, this is more than there can be.
const DEPTH_MAX: usize = 40;
/// What begins a branch and a leaf of a table's tree.
const TABLE: [u8; 2] = [0x05, 0x0d];

/// Who is given a row, with the number of its page and how many pages were read.
pub(super) type EachRow<'e> = dyn FnMut(u32, &[u8], u32) -> Result<(), Error> + 'e;

/// Gives `each` every row of the tree that begins on the page `root`.
///
/// # Errors
/// [`Error`]; `Damaged` where the tree is larger than the database.
pub(super) fn walk(
    pages: &Pages<'_>,
    (root, is_index): (u32, bool),
    each: &mut EachRow<'_>,
) -> Result<(), Error> {
    Walk { pages, is_index, read: 0 }.below(root, DEPTH_MAX, each)
}

struct Walk<'a> {
    pages: &'a Pages<'a>,
    is_index: bool,
    /// How many pages were read.
    read: u32,
}

impl Walk<'_> {
    /// Gives `each` the rows on this page and below it, `depth` pages deep at most.
    fn below(&mut self, number: u32, depth: usize, each: &mut EachRow<'_>) -> Result<(), Error> {
        let damaged = Error::Damaged(number);
        let page = self.page(number)?;
        let header = page.get(start(number)..).unwrap_or_default();
        let kinds = if self.is_index { INDEX } else { TABLE };
        let kind = kinds.into_iter().position(|kind| header.first() == Some(&kind));
        let is_branch = kind.ok_or(damaged)? == 0;
        let depth = depth.checked_sub(1).ok_or(damaged)?;
        let mut places = header.get(if is_branch { 12 } else { 8 }..).unwrap_or_default();
        for _ in 0..u16_at(header, 3).ok_or(damaged)? {
            let place = u16_at(places, 0).ok_or(damaged)?;
            places = places.get(2..).unwrap_or_default();
            let mut cell = page.get(usize::from(place)..).unwrap_or_default();
            if is_branch {
                self.below(u32_at(cell, 0).ok_or(damaged)?, depth, each)?;
                cell = cell.get(4..).unwrap_or_default();
            }
            if self.is_index || !is_branch {
                each(number, &self.row(cell, damaged)?, self.read)?;
            }
        }
        // The last child has no cell.
        if is_branch { self.below(u32_at(header, 8).ok_or(damaged)?, depth, each) } else { Ok(()) }
    }

    /// A tree that leads round in a circle would read more pages than there are.
    fn page(&mut self, number: u32) -> Result<Vec<u8>, Error> {
        self.read += 1;
        let is_more = self.read > self.pages.count;
        if is_more { Err(Error::Damaged(number)) } else { self.pages.page(number) }
    }

    /// The row of a cell, with what of it stands on pages of its own.
    fn row(&mut self, cell: &[u8], damaged: Error) -> Result<Vec<u8>, Error> {
        let (length, here, mut next) = self.parts(cell).ok_or(damaged)?;
        let mut row = here.to_vec();
        while row.len() < length {
            let page = self.page(next)?;
            let usable = page.get(4..self.pages.usable).unwrap_or_default();
            row.extend_from_slice(usable.get(..length - row.len()).unwrap_or(usable));
            next = u32_at(&page, 0).ok_or(damaged)?;
        }
        Ok(row)
    }

    /// How long the row is, what of it stands in the cell, and the page that goes on.
    fn parts<'c>(&self, cell: &'c [u8]) -> Option<(usize, &'c [u8], u32)> {
        let usable = self.pages.usable;
        let (length, mut content) = varint(cell)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= ROW_BYTES_MAX)?;
        let mut most = (usable - 12) * 64 / 255 - 23;
        if !self.is_index {
            (_, content) = varint(content)?;
            most = usable - 35;
        }
        if length <= most {
            return Some((length, content.get(..length)?, 0));
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (usable - 4);
        let (here, rest) =
            content.split_at_checked(if fitting <= most { fitting } else { least })?;
        Some((length, here, u32_at(rest, 0)?))
    }
}
