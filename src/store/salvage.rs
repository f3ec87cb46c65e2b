//! What a damaged store still holds: first what its trees lead to, that of the newest commit before
//! the one before it, then what lies on pages that nothing leads to any more. Must not write.
//! Checks: tests/store.rs.

use std::collections::BTreeMap;
use std::path::Path;

use super::Error;
use super::pages::{Pages, branch, leaf, u64_at};
use super::record::decode;
use super::redb::{FORMAT, PEERS_NAME, open_to_read};
use hbb_core::base::peer::{PeerId, Record};

/// Branches above a leaf; a tree of a million devices has three.
const DEPTH_MAX: u32 = 16;
/// Where the value under a table's name says that it has a root, and which.
const HAS_ROOT_AT: usize = 9;
const ROOT_AT: usize = 10;

/// What was found, one record an id.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// In the order of their ids.
    pub records: Vec<Record>,
    /// How many of them the trees of the last two commits do not lead to: each may be of a device
    /// that was forgotten since.
    pub loose: usize,
    /// Ids left out, for what is left of them contradicts itself.
    pub unclear: usize,
    /// Pages that the newest tree leads to and that hold nothing of it; 0 if it is whole.
    pub lost_pages: usize,
}

/// Reads what the file `path` still holds.
///
/// # Errors
/// [`Error::InUse`], [`Error::NotAFile`] or [`Error::Io`]; damage is none.
pub fn salvage(path: &Path) -> Result<Salvaged, Error> {
    let file = open_to_read(path)?;
    let bytes = file.metadata()?.len();
    let pages = Pages::new(&file, bytes);
    let mut search = Search { pages, found: BTreeMap::new(), left: 0, lost_pages: 0 };
    search.trees();
    Ok(search.end())
}

/// The record of an id, or that there is no telling which.
enum Found {
    Sure(Record),
    Loose(Record),
    Unclear,
}

struct Search<'a> {
    pages: Pages<'a>,
    found: BTreeMap<PeerId, Found>,
    /// Pages that may be read before a tree is taken for one that runs in a circle.
    left: u64,
    lost_pages: usize,
}

impl Search<'_> {
    /// One tree after the other, until one is whole; then the loose pages.
    fn trees(&mut self) {
        let mut lost_of_newest = None;
        for root in self.pages.roots.clone() {
            (self.left, self.lost_pages) = (self.pages.count(), 0);
            self.table(root);
            lost_of_newest = lost_of_newest.or(Some(self.lost_pages));
            if self.lost_pages == 0 {
                break;
            }
        }
        let whole = lost_of_newest.is_some() && self.lost_pages == 0;
        // Without a root, it is the first page that is lost.
        self.lost_pages = lost_of_newest.unwrap_or(1);
        if whole {
            return;
        }
        for number in 1..self.pages.count() {
            if let Some(page) = self.pages.at(number) {
                self.loose(&page);
            }
        }
    }

    /// The tree of tables has one leaf, with ours in it.
    fn table(&mut self, root: u64) {
        let page = self.pages.named(root);
        let tables = page.as_deref().and_then(leaf).unwrap_or_default();
        let ours = tables.iter().find(|(name, _)| *name == PEERS_NAME.as_bytes());
        match ours.map(|(_, value)| (value.get(HAS_ROOT_AT), u64_at(value, ROOT_AT))) {
            Some((Some(0), _)) => {}
            Some((Some(_), Some(root))) => self.tree(root, DEPTH_MAX),
            _ => self.lost_pages += 1,
        }
    }

    fn tree(&mut self, name: u64, depth: u32) {
        let page = self.pages.named(name).filter(|_| depth > 0 && self.left > 0);
        self.left = self.left.saturating_sub(1);
        let page = page.as_deref().unwrap_or_default();
        if let Some(below) = branch(page) {
            return below.into_iter().for_each(|name| self.tree(name, depth.saturating_sub(1)));
        }
        let Some(records) = leaf(page).and_then(|entries| records(&entries)) else {
            self.lost_pages += 1;
            return;
        };
        for record in records {
            self.found.entry(record.id.clone()).or_insert(Found::Sure(record));
        }
    }

    /// Old states of pages lie about as well, so what two of them say of an id may differ.
    fn loose(&mut self, page: &[u8]) {
        for record in leaf(page).and_then(|entries| records(&entries)).unwrap_or_default() {
            match self.found.get_mut(&record.id) {
                None => drop(self.found.insert(record.id.clone(), Found::Loose(record))),
                Some(Found::Loose(known)) if *known == record => {}
                Some(Found::Sure(_) | Found::Unclear) => {}
                Some(known) => *known = Found::Unclear,
            }
        }
    }

    fn end(self) -> Salvaged {
        let mut salvaged = Salvaged { lost_pages: self.lost_pages, ..Salvaged::default() };
        for found in self.found.into_values() {
            match found {
                Found::Sure(record) => salvaged.records.push(record),
                Found::Loose(record) => {
                    salvaged.loose += 1;
                    salvaged.records.push(record);
                }
                Found::Unclear => salvaged.unclear += 1,
            }
        }
        salvaged
    }
}

/// A leaf of ours holds records alone, and the format's version; of another table, or half
/// overwritten, it is lost as a whole.
fn records(entries: &[(&[u8], &[u8])]) -> Option<Vec<Record>> {
    let ours = entries.iter().filter(|(id, _)| *id != FORMAT.as_bytes());
    ours.map(|(id, bytes)| decode(core::str::from_utf8(id).ok()?, bytes).ok()).collect()
}
