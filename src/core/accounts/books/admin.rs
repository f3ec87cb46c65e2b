//! What operators do with address books: make those that are shared, say who may do what with them,
//! and take their entries out and in. C177, C178.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::call::Changes;
use super::book::{Book, Rule};
use super::entry::{Entry, id_of};
use super::table::{rows, table};
use super::{Books, Refusal};
use crate::base::json::{Value, Writer};
use crate::base::limits::{BOOK_NAME_BYTES_MAX, BOOK_NOTE_BYTES_MAX, BOOK_ROWS_MAX};
use crate::base::text::is_invisible;

/// What an operator wants. Books are named by their guid, as `OWNER/NAME`, or as `OWNER` for the
/// personal one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookCommand {
    /// All books.
    List,
    /// A new book.
    Add(String),
    /// A book and all in it are gone.
    Remove(String),
    /// One of its entries is gone, by its id.
    Drop(String, String),
    /// Another name for a book; not for a personal one, which has none.
    Rename(String, String),
    /// A note that those who see the book read.
    Note(String, String),
    /// A user, or a group behind `@`, may do this with a book; nothing, if there is no rule.
    Share(String, String, Option<Rule>),
    /// The entries of a book: as a table (CSV, RFC 4180), or as JSON; all of them, or
    /// [`BOOK_ROWS_MAX`] behind this id.
    Export(String, bool, Option<String>),
    /// Entries for a book, in either of these forms, over what is known of them; if this is true,
    /// in the place of all that it has.
    Import(String, String, bool),
}

impl BookCommand {
    /// The user that must be there for it, if one must.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Add(named) => named.split('/').next(),
            Self::Share(_, with, Some(_)) => {
                Some(with.as_str()).filter(|with| !with.starts_with('@'))
            }
            _ => None,
        }
    }
}

/// What an operator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookTold {
    /// It was done.
    Done,
    /// All books.
    Books(Vec<BookRow>),
    /// Entries, as they were asked for.
    Entries(String),
    /// So many entries were read.
    Imported(usize),
}

/// One book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookRow {
    /// What clients name it by.
    pub guid: String,
    /// Empty if the user is gone.
    pub owner: String,
    /// Empty if it is a personal one.
    pub name: String,
    /// Its note.
    pub note: String,
    /// How many entries it has.
    pub entries: usize,
    /// What it costs.
    pub bytes: usize,
    /// Users, or groups behind `@`, with what they may do.
    pub shares: Vec<(String, Rule)>,
}

impl Books {
    /// Does what an operator wants. Whether an owner is a user is not known here.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn obey(
        &mut self,
        command: &BookCommand,
        changes: &mut Changes,
    ) -> Result<BookTold, Refusal> {
        match command {
            BookCommand::List => return Ok(BookTold::Books(self.rows())),
            BookCommand::Export(book, json, after) => {
                let entries = self.named(book)?.entries();
                let entries = match after {
                    None => entries,
                    Some(id) => {
                        let from = entries.partition_point(|entry| entry.id() <= id.as_str());
                        let behind = entries.get(from..).unwrap_or_default();
                        behind.get(..BOOK_ROWS_MAX).unwrap_or(behind)
                    }
                };
                let form = if *json { listed(entries) } else { table(entries) };
                return Ok(BookTold::Entries(form));
            }
            BookCommand::Add(name) => self.add(name, changes)?,
            BookCommand::Remove(book) => {
                let guid = String::from(&*self.named(book)?.guid);
                self.remove_if(changes, |book| *book.guid == *guid);
            }
            BookCommand::Drop(book, id) => {
                let mut next = self.named(book)?.clone();
                next.entry(id).ok_or(Refusal::NoEntry)?;
                next.remove(id);
                self.settle(next, changes)?;
            }
            BookCommand::Rename(book, name) => {
                let mut next = self.named(book)?.clone();
                if next.is_personal() || name.is_empty() {
                    return Err(Refusal::NotAName);
                }
                self.check_name(&next.owner, name)?;
                next.name = name.as_str().into();
                self.settle(next, changes)?;
            }
            BookCommand::Note(book, note) => {
                let mut next = self.named(book)?.clone();
                if note.len() > BOOK_NOTE_BYTES_MAX || note.contains(is_invisible) {
                    return Err(Refusal::NotAName);
                }
                next.note = note.as_str().into();
                self.settle(next, changes)?;
            }
            BookCommand::Share(book, with, rule) => self.share(book, with, *rule, changes)?,
            BookCommand::Import(book, text, replace) => {
                return self.import(book, text, *replace, changes).map(BookTold::Imported);
            }
        }
        Ok(BookTold::Done)
    }

    /// A user is gone: so is the personal book, and what was shared with the user. What the user
    /// shared with others stays theirs.
    pub fn forget_user(&mut self, user: &str, changes: &mut Changes) {
        self.remove_if(changes, |book| book.is_personal() && *book.owner == *user);
        let is_of = |book: &&Book| {
            *book.owner == *user || book.shares.iter().any(|(with, _)| **with == *user)
        };
        let touched: Vec<Book> = self.books.iter().filter(is_of).cloned().collect();
        for mut next in touched {
            if *next.owner == *user {
                next.owner = "".into();
            }
            next.shares.retain(|(with, _)| **with != *user);
            // It is no larger than it was.
            let _ = self.settle(next, changes);
        }
    }

    fn rows(&self) -> Vec<BookRow> {
        let mut rows = Vec::new();
        for book in &self.books {
            let mut shares = Vec::new();
            book.shares.iter().for_each(|(with, rule)| shares.push((String::from(&**with), *rule)));
            rows.push(BookRow {
                guid: String::from(&*book.guid),
                owner: String::from(&*book.owner),
                name: String::from(&*book.name),
                note: String::from(&*book.note),
                entries: book.entries().len(),
                bytes: book.bytes(),
                shares,
            });
        }
        rows
    }

    fn named(&self, named: &str) -> Result<&Book, Refusal> {
        let (owner, name) = named.split_once('/').unwrap_or((named, ""));
        let mut books = self.books.iter();
        let found = books.find(|book| *book.owner == *owner && *book.name == *name);
        found.or_else(|| self.book(named)).ok_or(Refusal::NoBook)
    }

    fn add(&mut self, named: &str, changes: &mut Changes) -> Result<(), Refusal> {
        let (owner, name) = named.split_once('/').unwrap_or((named, ""));
        if owner.is_empty() || named.ends_with('/') {
            return Err(Refusal::NotAName);
        }
        self.check_name(owner, name)?;
        self.settle(Book::new(&self.new_guid(), owner, name), changes)
    }

    /// Whether a book of that owner may have a name.
    fn check_name(&self, owner: &str, name: &str) -> Result<(), Refusal> {
        if name.len() > BOOK_NAME_BYTES_MAX || name.contains(is_invisible) || name.ends_with('/') {
            return Err(Refusal::NotAName);
        }
        match self.books.iter().any(|book| *book.owner == *owner && *book.name == *name) {
            true => Err(Refusal::TakenName),
            false => Ok(()),
        }
    }

    fn remove_if(&mut self, changes: &mut Changes, is_gone: impl Fn(&Book) -> bool) {
        self.books.retain(|book| {
            let gone = is_gone(book);
            if gone {
                book.changes_to_nothing(changes);
            }
            !gone
        });
    }

    fn share(
        &mut self,
        book: &str,
        with: &str,
        rule: Option<Rule>,
        changes: &mut Changes,
    ) -> Result<(), Refusal> {
        let mut next = self.named(book)?.clone();
        let name = with.strip_prefix('@').unwrap_or(with);
        if next.is_personal() {
            return Err(Refusal::Personal);
        }
        if name.is_empty() || name.len() > BOOK_NAME_BYTES_MAX || name.contains(is_invisible) {
            return Err(Refusal::NotAName);
        }
        let before = next.shares.len();
        next.shares.retain(|(known, _)| **known != *with);
        match rule {
            Some(rule) => next.shares.push((with.into(), rule)),
            None if next.shares.len() == before => return Err(Refusal::NotShared),
            None => {}
        }
        self.settle(next, changes)
    }

    fn import(
        &mut self,
        named: &str,
        text: &str,
        replace: bool,
        changes: &mut Changes,
    ) -> Result<usize, Refusal> {
        let (known, mut next) = (self.named(named)?, self.named(named)?.clone());
        if replace {
            next.clear();
        }
        let list = match text.trim_start_matches('\u{feff}').trim_start() {
            json if json.starts_with(['[', '{']) => Cow::Borrowed(json),
            csv => Cow::Owned(rows(csv)?),
        };
        let list = Value::parse(&list).map_err(|_| Refusal::Malformed)?;
        let mut count = 0;
        for said in list.get("entries").unwrap_or(list).items() {
            let entry = Entry::new(said, known.entry(&id_of(said)?))?;
            next.put(entry);
            count += 1;
            if next.entries().len() > self.limits.entries {
                return Err(Refusal::BookFull);
            }
        }
        self.settle(next, changes)?;
        Ok(count)
    }
}

/// Entries as JSON.
fn listed(entries: &[Entry]) -> String {
    let mut writer = Writer::default();
    writer.open('{');
    writer.name("entries");
    writer.open('[');
    entries.iter().for_each(|entry| writer.raw(entry.text()));
    writer.close(']');
    writer.close('}');
    writer.into_text()
}
