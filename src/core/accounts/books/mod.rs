//! Address books, as clients ask for them: personal ones, by the calls of old clients and of new
//! ones, and those that are shared. Pure: calls in, answers and rows to store out. It must not know
//! how a call came, who may log in, or a file. Protocol §9.4; C176 to C179.

mod admin;
mod book;
mod calls;
mod edit;
mod entry;
mod legacy;
mod table;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

pub use admin::{BookCommand, BookRow, BookTold};
use book::Book;
pub use book::Rule;
use edit::Edit;
use entry::Entry;

use super::call::{Answer, Call, Changes, Method, Who};
use crate::base::limits::{BOOK_CALL_BYTES_MAX, BOOKS_MAX, BookLimits, WHOLE_BYTES_OF_STRANGERS};
use crate::base::table::Seed;

/// What the keys of rows begin with; then comes the guid, and for an entry a slash and its id.
pub(super) const BOOK_KEY: u8 = b'b';
/// Where the paths of its calls begin.
pub const PATH: &str = "/api/ab";

/// What stands behind [`PATH`], without slashes around it.
fn below(path: &str) -> &str {
    path.strip_prefix(PATH).unwrap_or(path).trim_matches('/')
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such call.
    NoCall,
    /// The body is not what the call wants.
    Malformed,
    /// It is longer than allowed.
    BodyTooLong,
    /// There is no such book, or it is none of theirs.
    NoBook,
    /// They may see it and nothing more.
    ReadOnly,
    /// An entry has no id.
    NotAnEntry,
    /// The id of an entry is empty, too long or holds what no id does.
    NotAnId,
    /// There is no such entry.
    NoEntry,
    /// An entry is longer than allowed.
    EntryTooLong,
    /// A tag has no name, or too long a one.
    NotATag,
    /// There is no such tag.
    NoTag,
    /// There is such a tag, book or user in the list already.
    TakenName,
    /// A name or note is empty, too long or holds what would be taken for something else.
    NotAName,
    /// A personal book is shared with nobody.
    Personal,
    /// The book is not shared with them.
    NotShared,
    /// What is to be taken in is neither a table nor JSON of entries.
    NotEntries,
    /// A table has a column that no entry has.
    NoColumn,
    /// A book is longer than a client that wants it whole may have it.
    WholeTooLong,
    /// It would be more entries than a book may have.
    BookFull,
    /// It would be more bytes than a book or all of them may have.
    NoRoom,
    /// It would be more books, tags or shares than there may be.
    TooMany,
}

impl Refusal {
    /// A sentence for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoCall => "There is no such call.",
            Self::Malformed => "This is not what the call needs.",
            Self::BodyTooLong => "This is more than the server takes at once.",
            Self::NoBook => "There is no such address book.",
            Self::ReadOnly => "You may only read this address book.",
            Self::NotAnEntry => "A device without an ID cannot be kept.",
            Self::NotAnId => "This cannot be the ID of a device.",
            Self::NoEntry => "There is no such device in this address book.",
            Self::EntryTooLong => "This is too much for one device.",
            Self::NotATag => "This cannot be the name of a tag.",
            Self::NoTag => "There is no such tag.",
            Self::TakenName => "This name is taken.",
            Self::NotAName => "This cannot be a name or note here.",
            Self::Personal => "A personal address book is shared with nobody.",
            Self::NotShared => "The address book is not shared with them.",
            Self::NotEntries => {
                "These are no entries: 'hbb ctl book export' shows their two forms."
            }
            Self::NoColumn => "The first row must name columns: id, alias, tags, note and others.",
            Self::WholeTooLong => "This address book is too large for this old client: update it.",
            Self::BookFull => "This address book is full.",
            Self::NoRoom => "There is no room for this in the server's address books.",
            Self::TooMany => "There are as many as there may be.",
        }
    }

    const fn status(self) -> u16 {
        match self {
            Self::NoCall | Self::NoBook | Self::NoEntry | Self::NoTag => 404,
            Self::ReadOnly => 403,
            Self::BodyTooLong | Self::EntryTooLong | Self::WholeTooLong => 413,
            Self::BookFull | Self::NoRoom | Self::TooMany => 413,
            _ => 400,
        }
    }

    fn answer(self) -> Answer {
        Answer { status: self.status(), ..Answer::error(self.text()) }
    }
}

/// All address books.
pub struct Books {
    limits: BookLimits,
    seed: Seed,
    /// In the order of their guids.
    books: Vec<Book>,
    /// How many there were, as the guid of one that is gone must be no other's.
    made: u32,
}

impl Books {
    /// None yet. `seed` makes guids, and must be new at each start.
    pub const fn new(limits: BookLimits, seed: Seed) -> Self {
        Self { limits, seed, books: Vec::new(), made: 0 }
    }

    /// Changes the limits; what is above lower ones stays.
    pub const fn set_limits(&mut self, limits: BookLimits) {
        self.limits = limits;
    }

    /// Takes in what a row says, in the order of their keys, also when a change is taken back;
    /// `key` is what stands behind `BOOK_KEY`. False for what is no row of books, or damaged; the
    /// entries of a damaged book are lost with it.
    pub fn load(&mut self, key: &str, value: Option<&[u8]>) -> bool {
        let value = value.map(|value| core::str::from_utf8(value).unwrap_or_default());
        let done = match (key.split_once('/'), value) {
            (None, None) => self.place(key).ok().map(|at| drop(self.books.remove(at))),
            (None, Some(text)) => self.book_stored(key, text),
            (Some((guid, id)), None) => self.book_mut(guid).map(|book| book.remove(id)),
            (Some((guid, id)), Some(text)) => {
                let entry = Entry::stored(text).filter(|entry| entry.id() == id);
                self.book_mut(guid).zip(entry).map(|(book, entry)| book.put(entry))
            }
        };
        done.is_some()
    }

    /// How long the body of a call may be; a longer one is refused.
    pub fn body_bytes_max(&self, method: Method, path: &str) -> usize {
        match (method, below(path)) {
            (Method::Post, "") => self.limits.whole_bytes,
            _ => BOOK_CALL_BYTES_MAX,
        }
    }

    /// Answers the call of a user, of a path below [`PATH`]. What changes is to be stored before
    /// the answer goes out.
    pub fn call(&mut self, who: &Who<'_>, call: &Call<'_>, changes: &mut Changes) -> Answer {
        match self.answer(who, call, changes) {
            Ok(body) if body.is_empty() => Answer::empty(),
            Ok(body) => Answer::json(body.into_bytes()),
            Err(refusal) => refusal.answer(),
        }
    }

    fn answer(
        &mut self,
        who: &Who<'_>,
        call: &Call<'_>,
        changes: &mut Changes,
    ) -> Result<String, Refusal> {
        if call.body.len() > self.body_bytes_max(call.method, call.path) {
            return Err(Refusal::BodyTooLong);
        }
        let needed = call.json().ok_or(Refusal::Malformed);
        let path = below(call.path);
        let (what, last) = path.rsplit_once('/').unwrap_or(("", path));
        match (call.method, what, last) {
            (Method::Get, "", "") => {
                let most = if call.source.known { usize::MAX } else { WHOLE_BYTES_OF_STRANGERS };
                self.whole(who, most.min(self.limits.whole_bytes))
            }
            (Method::Post, "", "") => self.replace_whole(who, needed?, changes),
            (Method::Post, "", "personal") => self.personal(who, changes),
            (Method::Post, "", "settings") => Ok(self.settings()),
            (Method::Post, "shared", "profiles") => Ok(self.profiles(who, call)),
            (Method::Post, "", "peers") => self.peers(who, call),
            (Method::Post, "tags", guid) => self.tags(who, guid),
            (method, what, guid) => {
                let edit = Edit::of(method, what).ok_or(Refusal::NoCall)?;
                let mut next = self.writable(who, guid)?.clone();
                edit.make(&mut next, needed?)?;
                self.settle(next, changes).map(|()| String::new())
            }
        }
    }

    /// Puts a book in the place of what it was, if there is room, and says what to store.
    fn settle(&mut self, next: Book, changes: &mut Changes) -> Result<(), Refusal> {
        next.fits()?;
        let all: usize = self.books.iter().map(Book::bytes).sum();
        let before = self.book(&next.guid);
        let (entries, bytes) = before.map_or((0, 0), |book| (book.entries().len(), book.bytes()));
        // What is above a limit that was lowered may stay, and shrink.
        if next.entries().len() > self.limits.entries.max(entries) {
            return Err(Refusal::BookFull);
        }
        let all_bytes = all - bytes + next.bytes();
        let is_full = next.bytes() > self.limits.book_bytes || all_bytes > self.limits.all_bytes;
        if is_full && next.bytes() > bytes {
            return Err(Refusal::NoRoom);
        }
        if before.is_none() && self.books.len() >= BOOKS_MAX {
            return Err(Refusal::TooMany);
        }
        next.changes_since(before, changes);
        self.insert(next);
        Ok(())
    }

    /// What is stored of a book, with the entries that it has, if it is there.
    fn book_stored(&mut self, guid: &str, text: &str) -> Option<()> {
        let mut book = Book::stored(guid, text)?;
        if let Some(known) = self.book(guid) {
            book.take_entries(known);
        }
        self.insert(book);
        Some(())
    }

    fn place(&self, guid: &str) -> Result<usize, usize> {
        self.books.binary_search_by(|book| (*book.guid).cmp(guid))
    }

    fn book(&self, guid: &str) -> Option<&Book> {
        self.books.get(self.place(guid).ok()?)
    }

    fn book_mut(&mut self, guid: &str) -> Option<&mut Book> {
        let at = self.place(guid).ok()?;
        self.books.get_mut(at)
    }

    fn insert(&mut self, book: Book) {
        match self.place(&book.guid) {
            Ok(at) => {
                if let Some(old) = self.books.get_mut(at) {
                    *old = book;
                }
            }
            Err(at) => {
                self.made = self.made.wrapping_add(1);
                self.books.insert(at, book);
            }
        }
    }

    /// A guid that no book has or had since the start.
    fn new_guid(&self) -> String {
        let mut turn = 0_u32;
        loop {
            let of = |half: u8| self.seed.hash(&(half, turn, self.made));
            let (high, low) = (of(0), of(1));
            let guid = alloc::format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                high >> 32,
                high >> 16 & 0xffff,
                high & 0xffff,
                low >> 48,
                low & 0xffff_ffff_ffff
            );
            if self.book(&guid).is_none() {
                return guid;
            }
            turn = turn.wrapping_add(1);
        }
    }
}
