//! What a damaged store still holds: first what its trees lead to, that of the newest commit before
//! the one before it, then what lies on pages that nothing leads to any more. Must not write.
//! Checks: tests/store.rs.

use std::path::Path;

use super::Error;
use super::pages::{Pages, branch, leaf, u64_at};
use super::record::decode;
use super::redb::{FORMAT, open_to_read};
use super::tables::PEERS_NAME;
#[cfg(feature = "accounts")]
use super::tables::ROWS_NAME;
use hbb_core::base::peer::Record;
#[cfg(feature = "accounts")]
use hbb_core::base::rows::RowChange;

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
    /// Of rows that belong to no device, what the newest tree leads to: an older one may hold
    /// logins that were ended since.
    #[cfg(feature = "accounts")]
    pub rows: Vec<RowChange>,
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
    let mut search = Search {
        pages,
        found: Vec::new(),
        #[cfg(feature = "accounts")]
        rows: Vec::new(),
        most: FOUND_MIN,
        left: 0,
        lost_pages: 0,
    };
    search.trees();
    Ok(search.end())
}

/// How much is found before it is put in order for the first time.
const FOUND_MIN: usize = 4096;

/// A record that was found.
struct Found {
    record: Record,
    rank: Rank,
}

/// What is known of an id; the first there is of these counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// A tree leads to its record.
    Sure,
    /// There is no telling which of its records is right.
    Unclear,
    /// It lies on a page that no tree leads to.
    Loose,
}

struct Search<'a> {
    pages: Pages<'a>,
    /// In the order it was found, behind what was settled already.
    found: Vec<Found>,
    #[cfg(feature = "accounts")]
    rows: Vec<RowChange>,
    /// How much may be in it before it is settled again.
    most: usize,
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
            #[cfg(feature = "accounts")]
            if lost_of_newest.is_none() {
                self.rows_below(root);
            }
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
        match below(&tables, PEERS_NAME) {
            Some((Some(0), _)) => {}
            Some((Some(_), Some(root))) => self.tree(root, DEPTH_MAX),
            _ => self.lost_pages += 1,
        }
    }

    #[cfg(feature = "accounts")]
    fn rows_below(&mut self, root: u64) {
        let page = self.pages.named(root);
        let tables = page.as_deref().and_then(leaf).unwrap_or_default();
        if let Some((Some(1..), Some(root))) = below(&tables, ROWS_NAME) {
            self.row_tree(root, DEPTH_MAX);
        }
    }

    #[cfg(feature = "accounts")]
    fn row_tree(&mut self, name: u64, depth: u32) {
        let page = self.pages.named(name).filter(|_| depth > 0 && self.left > 0);
        self.left = self.left.saturating_sub(1);
        let page = page.as_deref().unwrap_or_default();
        if let Some(below) = branch(page) {
            return below.into_iter().for_each(|name| self.row_tree(name, depth.saturating_sub(1)));
        }
        match leaf(page) {
            Some(entries) => {
                for (key, value) in entries {
                    let (key, value) = (key.to_vec(), Some(value.to_vec()));
                    self.rows.push(RowChange { key, value });
                }
            }
            None => self.lost_pages += 1,
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
        self.add(records, Rank::Sure);
    }

    /// Old states of pages lie about as well, so what two of them say of an id may differ.
    fn loose(&mut self, page: &[u8]) {
        let records = leaf(page).and_then(|entries| records(&entries)).unwrap_or_default();
        self.add(records, Rank::Loose);
    }

    fn add(&mut self, records: Vec<Record>, rank: Rank) {
        for record in records {
            self.found.push(Found { record, rank });
        }
        if self.found.len() > self.most {
            self.settle();
            self.most = FOUND_MIN + 2 * self.found.len();
        }
    }

    /// Leaves one record an id, in the order of those.
    fn settle(&mut self) {
        // Stable: what was found first is first.
        self.found.sort_by(|one, other| one.record.id.cmp(&other.record.id));
        self.found.dedup_by(|next, first| {
            if next.record.id != first.record.id {
                return false;
            }
            let differ = next.record != first.record;
            if differ && first.rank == Rank::Loose {
                first.rank = Rank::Unclear;
            }
            true
        });
    }

    fn end(mut self) -> Salvaged {
        self.settle();
        let mut salvaged = Salvaged {
            lost_pages: self.lost_pages,
            #[cfg(feature = "accounts")]
            rows: self.rows,
            ..Salvaged::default()
        };
        for Found { record, rank } in self.found {
            match rank {
                Rank::Unclear => salvaged.unclear += 1,
                Rank::Sure | Rank::Loose => {
                    salvaged.loose += usize::from(rank == Rank::Loose);
                    salvaged.records.push(record);
                }
            }
        }
        salvaged
    }
}

/// Whether a table of this name has a root, and which; None if there is no such table.
fn below<'a>(tables: &[(&[u8], &'a [u8])], wanted: &str) -> Option<(Option<&'a u8>, Option<u64>)> {
    let ours = tables.iter().find(|(name, _)| *name == wanted.as_bytes());
    ours.map(|(_, value)| (value.get(HAS_ROOT_AT), u64_at(value, ROOT_AT)))
}

/// A leaf of ours holds records alone, and the format's version; of another table, or half
/// overwritten, it is lost as a whole.
fn records(entries: &[(&[u8], &[u8])]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    for (id, bytes) in entries.iter().filter(|(id, _)| *id != FORMAT.as_bytes()) {
        records.push(decode(core::str::from_utf8(id).ok()?, bytes).ok()?);
    }
    Some(records)
}
