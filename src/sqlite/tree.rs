//! A tree of pages, walked from its first row to its last: a table's, whose rows stand on its
//! leaves, or an index's, whose rows stand on all of its pages.

use super::number::{u16_at, u32_at, varint};
use super::pages::{Pages, start};
use super::{Error, ROW_BYTES_MAX};

/// Deepest tree. Of pages with two entries each, this is more than there can be.
const DEPTH_MAX: usize = 40;

/// Who is given a row, with the number of its page and how many pages were read.
pub(super) type EachRow<'e> = dyn FnMut(u32, &[u8], u32) -> Result<(), Error> + 'e;

/// What a page is, by its first byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    IndexBranch,
    TableBranch,
    IndexLeaf,
    TableLeaf,
}

impl Kind {
    const fn of(byte: u8) -> Option<Self> {
        match byte {
            0x02 => Some(Self::IndexBranch),
            0x05 => Some(Self::TableBranch),
            0x0a => Some(Self::IndexLeaf),
            0x0d => Some(Self::TableLeaf),
            _ => None,
        }
    }

    const fn is_branch(self) -> bool {
        matches!(self, Self::IndexBranch | Self::TableBranch)
    }

    const fn is_index(self) -> bool {
        matches!(self, Self::IndexBranch | Self::IndexLeaf)
    }
}

/// A page on the way down, and how much of it was walked.
struct Step {
    number: u32,
    page: Vec<u8>,
    kind: Kind,
    cells: u16,
    next: u16,
    /// The row of the cell whose child is walked now is still to come.
    row_due: bool,
}

/// Gives `each` every row of the tree.
///
/// # Errors
/// [`Error`]; `Damaged` where the tree is larger than the database.
pub(super) fn walk(pages: &Pages<'_>, root: u32, each: &mut EachRow<'_>) -> Result<(), Error> {
    let mut read = 0;
    let mut steps = vec![enter(pages, root, &mut read)?];
    while let Some(step) = steps.last_mut() {
        let damaged = Error::Damaged(step.number);
        if step.row_due {
            step.row_due = false;
            let row = row(pages, step, step.next - 1, &mut read)?;
            each(step.number, &row, read)?;
            continue;
        }
        let child = match (step.next < step.cells, step.kind.is_branch()) {
            (true, true) => u32_at(&step.page, cell(step, step.next).ok_or(damaged)?),
            (true, false) => {
                let row = row(pages, step, step.next, &mut read)?;
                step.next += 1;
                each(step.number, &row, read)?;
                continue;
            }
            // The last child has no cell.
            (false, true) if step.next == step.cells => u32_at(&step.page, start(step.number) + 8),
            _ => {
                steps.pop();
                continue;
            }
        };
        step.row_due = step.kind.is_index() && step.next < step.cells;
        step.next += 1;
        let (index, child) = (step.kind.is_index(), child.ok_or(damaged)?);
        if steps.len() == DEPTH_MAX {
            return Err(damaged);
        }
        let below = enter(pages, child, &mut read)?;
        if below.kind.is_index() != index {
            return Err(Error::Damaged(child));
        }
        steps.push(below);
    }
    Ok(())
}

fn enter(pages: &Pages<'_>, number: u32, read: &mut u32) -> Result<Step, Error> {
    let page = next_page(pages, number, read)?;
    let at = start(number);
    let kind = page.get(at).copied().and_then(Kind::of).ok_or(Error::Damaged(number))?;
    let cells = u16_at(&page, at + 3).ok_or(Error::Damaged(number))?;
    Ok(Step { number, page, kind, cells, next: 0, row_due: false })
}

/// A tree that leads round in a circle would read more pages than there are.
fn next_page(pages: &Pages<'_>, number: u32, read: &mut u32) -> Result<Vec<u8>, Error> {
    *read += 1;
    if *read > pages.count { Err(Error::Damaged(number)) } else { pages.page(number) }
}

/// Where the cell begins.
fn cell(step: &Step, index: u16) -> Option<usize> {
    let header_bytes = if step.kind.is_branch() { 12 } else { 8 };
    let at = start(step.number) + header_bytes + 2 * usize::from(index);
    (index < step.cells).then_some(())?;
    u16_at(&step.page, at).map(usize::from)
}

/// The row of a cell, with what of it stands on pages of its own.
fn row(pages: &Pages<'_>, step: &Step, index: u16, read: &mut u32) -> Result<Vec<u8>, Error> {
    let damaged = Error::Damaged(step.number);
    let (length, here, next) = parts(pages.usable, step, index).ok_or(damaged)?;
    let (mut row, mut next) = (here.to_vec(), next);
    while row.len() < length {
        let number = next;
        let page = next_page(pages, number, read)?;
        let usable = page.get(4..pages.usable).unwrap_or_default();
        let more = usable.get(..usable.len().min(length - row.len())).unwrap_or_default();
        row.extend_from_slice(more);
        next = u32_at(&page, 0).ok_or(Error::Damaged(number))?;
    }
    Ok(row)
}

/// How long the row is, what of it stands in the cell, and the page that goes on.
fn parts(usable: usize, step: &Step, index: u16) -> Option<(usize, &[u8], u32)> {
    let mut at = step.page.get(cell(step, index)?..)?;
    if step.kind.is_branch() {
        at = at.get(4..)?;
    }
    let (length, mut content) = varint(at)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= ROW_BYTES_MAX)?;
    if step.kind == Kind::TableLeaf {
        (_, content) = varint(content)?;
    }
    let most = if step.kind.is_index() { (usable - 12) * 64 / 255 - 23 } else { usable - 35 };
    if length <= most {
        return Some((length, content.get(..length)?, 0));
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let fitting = least + (length - least) % (usable - 4);
    let (here, rest) = content.split_at_checked(if fitting <= most { fitting } else { least })?;
    Some((length, here, u32_at(rest, 0)?))
}
