//! What operators do with address books: make those that are shared, say who may do what with them,
//! and take their entries out and in. C177, C178.

use alloc::borrow::Cow;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::call::Changes;
use super::book::{Book, Rule};
use super::entry::Entry;
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
    /// in the place of all that it has, and nothing of them stays but tags and their colours.
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
    /// Does what an operator wants. Whether an owner is a user is not known here. If an entry that
    /// was to be taken in is why nothing was done, `wrong` is its number, from 1.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn obey(
        &mut self,
        command: &BookCommand,
        changes: &mut Changes,
        wrong: &mut usize,
    ) -> Result<BookTold, Refusal> {
        let named = match command {
            BookCommand::List => return Ok(BookTold::Books(self.rows())),
            BookCommand::Add(named) => {
                let (owner, name) = named.split_once('/').unwrap_or((named, ""));
                if owner.is_empty() || named.ends_with('/') {
                    return Err(Refusal::NotAName);
                }
                self.check_name(owner, name)?;
                self.settle(Book::new(&self.new_guid(), owner, name), changes)?;
                return Ok(BookTold::Done);
            }
            BookCommand::Remove(named)
            | BookCommand::Drop(named, _)
            | BookCommand::Rename(named, _)
            | BookCommand::Note(named, _)
            | BookCommand::Share(named, ..)
            | BookCommand::Export(named, ..)
            | BookCommand::Import(named, ..) => named,
        };
        let book = self.named(named)?;
        match command {
            BookCommand::Remove(_) => {
                let guid = Rc::clone(&book.guid);
                self.remove_if(changes, &|book| book.guid == guid);
                Ok(BookTold::Done)
            }
            BookCommand::Export(_, json, after) => {
                let entries = part(book.entries(), after.as_deref());
                Ok(BookTold::Entries(if *json { listed(entries) } else { table(entries) }))
            }
            _ => {
                let mut next = book.clone();
                let told = self.edit(&mut next, command, wrong)?;
                self.settle(next, changes).map(|()| told)
            }
        }
    }

    /// Changes a copy of a book.
    fn edit(
        &self,
        next: &mut Book,
        command: &BookCommand,
        wrong: &mut usize,
    ) -> Result<BookTold, Refusal> {
        match command {
            BookCommand::Drop(_, id) => {
                next.entry(id).ok_or(Refusal::NoEntry)?;
                next.remove(id);
            }
            BookCommand::Rename(_, name) => {
                if next.is_personal() || name.is_empty() {
                    return Err(Refusal::NotAName);
                }
                self.check_name(&next.owner, name)?;
                next.name = name.as_str().into();
            }
            BookCommand::Note(_, note) => {
                if note.len() > BOOK_NOTE_BYTES_MAX || note.contains(is_invisible) {
                    return Err(Refusal::NotAName);
                }
                next.note = note.as_str().into();
            }
            BookCommand::Share(_, with, rule) => share(next, with, *rule)?,
            BookCommand::Import(_, text, replace) => {
                if *replace {
                    next.clear();
                }
                let known = next.clone();
                import(next, text, (&known, self.limits.entries), wrong)?;
                return Ok(BookTold::Imported(core::mem::take(wrong)));
            }
            _ => {}
        }
        Ok(BookTold::Done)
    }

    /// A user is gone: so is the personal book, and what was shared with the user. What the user
    /// shared with others stays theirs.
    pub fn forget_user(&mut self, user: &str, changes: &mut Changes) {
        self.remove_if(changes, &|book| book.is_personal() && *book.owner == *user);
        let is_of = |book: &&Book| {
            *book.owner == *user || book.shares.iter().any(|(with, _)| **with == *user)
        };
        let mut touched = Vec::new();
        self.books.iter().filter(is_of).for_each(|book| touched.push(Book::clone(book)));
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

    fn remove_if(&mut self, changes: &mut Changes, is_gone: &dyn Fn(&Book) -> bool) {
        self.books.retain(|book| {
            let gone = is_gone(book);
            if gone {
                book.changes_to_nothing(changes);
            }
            !gone
        });
    }
}

/// All entries, or some of those behind this id.
fn part<'a>(entries: &'a [Entry], after: Option<&str>) -> &'a [Entry] {
    let Some(id) = after else { return entries };
    let from = entries.partition_point(|entry| entry.id() <= id);
    let behind = entries.get(from..).unwrap_or_default();
    behind.get(..BOOK_ROWS_MAX).unwrap_or(behind)
}

/// Lets a user or group do that with a book; nothing, if there is no rule.
fn share(book: &mut Book, with: &str, rule: Option<Rule>) -> Result<(), Refusal> {
    let name = with.strip_prefix('@').unwrap_or(with);
    if book.is_personal() {
        return Err(Refusal::Personal);
    }
    if name.is_empty() || name.len() > BOOK_NAME_BYTES_MAX || name.contains(is_invisible) {
        return Err(Refusal::NotAName);
    }
    let before = book.shares.len();
    book.shares.retain(|(known, _)| **known != *with);
    match rule {
        Some(rule) => book.shares.push((with.into(), rule)),
        None if book.shares.len() == before => return Err(Refusal::NotShared),
        None => {}
    }
    Ok(())
}

/// Takes in the entries of a text, over what the book before them has of each; counts them, with
/// the one that is refused.
fn import(
    next: &mut Book,
    text: &str,
    before: (&Book, usize),
    count: &mut usize,
) -> Result<(), Refusal> {
    let list = match text.trim_start_matches('\u{feff}').trim_start() {
        json if json.starts_with(['[', '{']) => Cow::Borrowed(json),
        csv => Cow::Owned(rows(csv, count)?),
    };
    let list = Value::parse(&list).map_err(|_| Refusal::NotEntries)?;
    let list = list.get("entries").unwrap_or(list);
    if !list.raw().starts_with('[') {
        return Err(Refusal::NotEntries);
    }
    *count = 0;
    next.put_all(list, before, count)?;
    next.list_tags();
    Ok(())
}

/// Entries as JSON.
fn listed(entries: &[Entry]) -> String {
    let mut writer = Writer::object();
    writer.name("entries");
    writer.open('[');
    entries.iter().for_each(|entry| writer.raw(entry.text()));
    writer.close(']');
    writer.end()
}
