//! The write-ahead log beside a database: which of its frames count, and the newest of each page.
//! In a small installation nearly everything stands in it.

use super::number::u32_at;
use super::{Bytes, Error};

/// How a log begins; the other form's checksums read numbers of the other byte order.
const MAGIC: u32 = 0x377f_0682;
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Most frames that are looked at: 8 MiB of memory, a log of 4 GiB with pages of 4 KiB.
const FRAMES_MAX: usize = 1024 * 1024;

/// A log.
pub(super) struct Log<'a> {
    bytes: &'a dyn Bytes,
    /// Numbers of pages, with that of a frame in the lower half: the last of a page is its newest.
    frames: Vec<u64>,
    page_bytes: usize,
    pages: u32,
    /// Behind the last commit more was written, and is not whole.
    pub(super) is_cut_short: bool,
}

/// The sum over all that stands before, as SQLite makes it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn add(mut self, bytes: &[u8], big: bool) -> Self {
        for pair in bytes.as_chunks::<8>().0 {
            let [a, b, c, d, e, f, g, h] = *pair;
            let (first, second) = ([a, b, c, d], [e, f, g, h]);
            let number = if big { u32::from_be_bytes } else { u32::from_le_bytes };
            self.0 = self.0.wrapping_add(number(first)).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(number(second)).wrapping_add(self.0);
        }
        self
    }

    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        Some(Self(u32_at(bytes, at)?, u32_at(bytes, at + 4)?))
    }
}

impl<'a> Log<'a> {
    /// Reads all frames up to the last that ends a commit; None where the log is none: SQLite
    /// leaves such a one unread, too.
    pub(super) fn new(bytes: &'a dyn Bytes, page_bytes: usize) -> Result<Option<Self>, Error> {
        let length = bytes.length()?;
        let mut header = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return Ok(None);
        }
        bytes.fill(&mut header, 0)?;
        let is_log = u32_at(&header, 0).is_some_and(|magic| magic & !1 == MAGIC);
        let big = header.get(3).is_some_and(|byte| byte & 1 == 1);
        let (summed, sum) = header.split_at(24);
        let mut sum = match Sum::at(sum, 0) {
            Some(sum) if is_log && Sum(0, 0).add(summed, big) == sum => sum,
            _ => return Ok(None),
        };
        if u32_at(&header, 8).is_none_or(|size| size as usize != page_bytes) {
            return Err(Error::Unread(&"the log beside it has pages of another size"));
        }
        let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
        let count = (length - HEADER_BYTES as u64) / frame.len() as u64;
        let (mut frames, mut committed, mut pages) = (Vec::new(), 0, 0);
        let mut is_cut_short = false;
        for number in 0..count {
            bytes.fill(&mut frame, frame_at(number, page_bytes))?;
            let (own, content) = frame.split_at(FRAME_HEADER_BYTES);
            let (before, after) = own.split_at(8);
            sum = sum.add(before, big).add(content, big);
            if after.get(..8) != header.get(16..24) {
                break;
            }
            if Sum::at(after, 8) != Some(sum) {
                is_cut_short = true;
                break;
            }
            if frames.len() == FRAMES_MAX {
                return Err(Error::Unread(&"the log beside it is too long"));
            }
            frames.push(u64::from(u32_at(own, 0).unwrap_or(0)) << 32 | number);
            if let Some(count) = u32_at(own, 4).filter(|count| *count != 0) {
                (committed, pages) = (frames.len(), count);
            }
        }
        frames.truncate(committed);
        frames.sort_unstable();
        Ok(Some(Self { bytes, frames, page_bytes, pages, is_cut_short }))
    }

    /// How many pages the database has since the last commit; None if there was none.
    pub(super) fn pages(&self) -> Option<u32> {
        Some(self.pages).filter(|pages| *pages > 0)
    }

    /// Where the page stands, if the log has it.
    pub(super) fn place(&self, page: u32) -> Option<(&'a dyn Bytes, u64)> {
        let up_to = self.frames.partition_point(|frame| frame >> 32 <= u64::from(page));
        let newest = self.frames.get(up_to.checked_sub(1)?)?;
        let (of, number) = (newest >> 32, newest & u64::from(u32::MAX));
        let content = frame_at(number, self.page_bytes) + FRAME_HEADER_BYTES as u64;
        (of == u64::from(page)).then_some((self.bytes, content))
    }
}

/// Where the frame with this number begins, the first being 0.
const fn frame_at(number: u64, page_bytes: usize) -> u64 {
    HEADER_BYTES as u64 + number * (FRAME_HEADER_BYTES + page_bytes) as u64
}
