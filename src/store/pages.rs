//! The pages of a redb file of format 3, read without redb: what a damaged file still holds.
//! Nothing here trusts a byte, and nothing is written. redb's page on its design describes them;
//! the test in tests/store.rs holds this against files that redb wrote.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Of a page; larger ones are a power of two of these.
pub(super) const PAGE_BYTES: usize = 4096;
/// Largest page read at once, as a power of two of [`PAGE_BYTES`]: our records need no larger.
const ORDER_MAX: u64 = 4;
/// Where the two commits that the file's first page names begin.
const SLOTS: [usize; 2] = [64, 192];
const TRANSACTION_AT: usize = 104;
const REGION_HEADER_PAGES_AT: usize = 16;
const REGION_PAGES_AT: usize = 20;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;

/// A file and where its pages are.
pub(super) struct Pages<'a> {
    file: &'a File,
    bytes: u64,
    region_header_pages: u64,
    region_pages: u64,
    /// Roots of the tables' tree, that of the newest commit first.
    pub(super) roots: Vec<u64>,
}

impl<'a> Pages<'a> {
    /// Reads the first page; where that is gone, there are no roots.
    pub(super) fn new(file: &'a File, bytes: u64) -> Self {
        let mut pages =
            Self { file, bytes, region_header_pages: 0, region_pages: 0, roots: Vec::new() };
        let Some(first) = pages.read(0, PAGE_BYTES) else { return pages };
        pages.region_header_pages = u32_at(&first, REGION_HEADER_PAGES_AT).unwrap_or(0).into();
        pages.region_pages = u32_at(&first, REGION_PAGES_AT).unwrap_or(0).into();
        let slot = |at: usize| {
            let is_there = first.get(at + 1).is_some_and(|there| *there != 0);
            let root = u64_at(&first, at + 8).filter(|_| is_there)?;
            Some((u64_at(&first, at + TRANSACTION_AT)?, root))
        };
        let [first_at, other_at] = SLOTS;
        let (one, other) = (slot(first_at), slot(other_at));
        let newest_first = if one < other { [other, one] } else { [one, other] };
        newest_first.into_iter().flatten().for_each(|(_, root)| pages.roots.push(root));
        pages
    }

    /// How many pages of the smallest size the file has.
    pub(super) fn count(&self) -> u64 {
        self.bytes / PAGE_BYTES as u64
    }

    /// The page of the smallest size with this number, counted from the file's begin.
    pub(super) fn at(&self, number: u64) -> Option<Vec<u8>> {
        self.read(number.checked_mul(PAGE_BYTES as u64)?, PAGE_BYTES)
    }

    /// The page that a tree names.
    pub(super) fn named(&self, name: u64) -> Option<Vec<u8>> {
        let order = name >> 59;
        let (region, index) = ((name >> 20) & 0xf_ffff, name & (0xf_ffff >> order));
        if order > ORDER_MAX {
            return None;
        }
        let pages_before = region * (self.region_header_pages + self.region_pages);
        let page = 1 + pages_before + self.region_header_pages + (index << order);
        self.read(page.checked_mul(PAGE_BYTES as u64)?, PAGE_BYTES << order)
    }

    fn read(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        let mut page = vec![0; if end <= self.bytes { len } else { return None }];
        self.file.read_exact_at(&mut page, offset).ok()?;
        Some(page)
    }
}

/// The keys and values of a leaf whose both are of any length; None where it is no such leaf.
pub(super) fn leaf(page: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let entries = entries(page, LEAF)?;
    let ends = |at: usize| u32_at(page, at).and_then(|end| usize::try_from(end).ok());
    let (keys, values) = (4, 4 + 4 * entries);
    let mut key_at = 4 + 8 * entries;
    let mut value_at = ends(values.checked_sub(4)?)?;
    let mut found = Vec::with_capacity(entries);
    for entry in 0..entries {
        let (key_end, value_end) = (ends(keys + 4 * entry)?, ends(values + 4 * entry)?);
        found.push((page.get(key_at..key_end)?, page.get(value_at..value_end)?));
        (key_at, value_at) = (key_end, value_end);
    }
    Some(found)
}

/// The names of the pages below a branch; None where it is none.
pub(super) fn branch(page: &[u8]) -> Option<Vec<u64>> {
    let below = entries(page, BRANCH)? + 1;
    let mut names = Vec::new();
    for place in 0..below {
        names.push(u64_at(page, 8 + 16 * below + 8 * place)?);
    }
    Some(names)
}

/// How many entries a page of this kind says it has: 1 to 65535.
fn entries(page: &[u8], kind: u8) -> Option<usize> {
    let [first, _, low, high, ..] = page else { return None };
    let entries = usize::from(u16::from_le_bytes([*low, *high]));
    (*first == kind && entries > 0).then_some(entries)
}

/// The number at this place, little-endian.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_zeros_or_of_nonsense_is_neither_leaf_nor_branch() {
        for page in [vec![], vec![0; PAGE_BYTES], vec![0xff; PAGE_BYTES], vec![LEAF, 0, 0xff]] {
            assert!(leaf(&page).is_none() && branch(&page).is_none());
        }
        for kind in [LEAF, BRANCH] {
            let mut page = vec![0xff; PAGE_BYTES];
            page[..4].copy_from_slice(&[kind, 0, 0xff, 0xff]);
            assert!(leaf(&page).is_none() && branch(&page).is_none());
        }
        assert!(leaf(&[LEAF, 0, 0, 0]).is_none());
    }

    #[test]
    fn a_leaf_gives_its_entries() {
        let page = [&[LEAF, 0, 2, 0, 21, 0, 0, 0, 22, 0, 0, 0, 24, 0, 0, 0, 25, 0, 0, 0][..], b"k"];
        let page = [&page.concat()[..], b"lvvw"].concat();
        let found = leaf(&page).unwrap();
        assert_eq!(found, [(&b"k"[..], &b"vv"[..]), (&b"l"[..], &b"w"[..])]);
    }
}
