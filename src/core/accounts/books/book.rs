//! One address book: whose it is, who may do what with it, its tags and entries, and the rows it is
//! stored as: one for the book, one an entry, so that an edit writes little. C176, C178.

use alloc::borrow::Cow;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::call::{Changes, Who};
use super::entry::{Entry, id_of};
use super::{BOOK_KEY, Refusal};
use crate::base::json::{Value, Writer};
use crate::base::limits::{BOOK_NAME_BYTES_MAX, BOOK_SHARES_MAX, BOOK_TAGS_MAX, ENTRY_BYTES_FIXED};

/// The colour of a tag for which nobody chose one: clients take no tag without.
const GREY: u32 = 0xff60_7d8b;

/// What somebody may do with a book, each with what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// See it.
    Read = 1,
    /// Change its entries and tags.
    Write = 2,
    /// The same; clients show it as theirs.
    Full = 3,
}

impl Rule {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Read, "read"), (Self::Write, "write"), (Self::Full, "full")];

    fn of_number(number: i64) -> Option<Self> {
        Self::ALL.iter().map(|(rule, _)| *rule).find(|rule| *rule as i64 == number)
    }
}

/// A word for entries, with its colour as clients have it: alpha, red, green, blue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) name: Rc<str>,
    pub(super) colour: u32,
}

impl Tag {
    /// A tag by this name; with a colour if a number for one was given.
    pub(super) fn new(name: &str, colour: Option<i64>) -> Result<Self, Refusal> {
        if name.is_empty() || name.len() > BOOK_NAME_BYTES_MAX {
            return Err(Refusal::NotATag);
        }
        let colour = colour.and_then(|colour| u32::try_from(colour).ok());
        Ok(Self { name: name.into(), colour: colour.unwrap_or(GREY) })
    }
}

/// A book. A copy of it shares all entries and tags.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) guid: Rc<str>,
    /// The user whose it is; empty if that one is gone.
    pub(super) owner: Rc<str>,
    /// Empty if it is the owner's personal one, which is shared with nobody.
    pub(super) name: Rc<str>,
    pub(super) note: Rc<str>,
    /// A user, or `@` and a group, and what each may do.
    pub(super) shares: Vec<(Rc<str>, Rule)>,
    pub(super) tags: Vec<Tag>,
    /// In the order of their ids.
    entries: Vec<Entry>,
    /// What the entries cost.
    entry_bytes: usize,
}

impl Book {
    pub(super) fn new(guid: &str, owner: &str, name: &str) -> Self {
        Self { guid: guid.into(), owner: owner.into(), name: name.into(), ..Self::default() }
    }

    /// What is stored of the book itself; None if it is damaged.
    pub(super) fn stored(guid: &str, text: &str) -> Option<Self> {
        let value = Value::parse(text).ok()?;
        let mut book = Self::new(guid, &value.text_of("owner")?, &value.text_of("name")?);
        book.note = value.text_of("note")?.into();
        for (who, rule) in value.get("shares")?.members() {
            book.shares.push((who.into(), Rule::of_number(rule.number()?)?));
        }
        for tag in value.get("tags")?.items() {
            let colour = tag.get("color")?.number();
            book.tags.push(Tag::new(&tag.text_of("name")?, colour).ok()?);
        }
        Some(book)
    }

    /// As it is stored, without its entries.
    pub(super) fn text(&self) -> String {
        let mut writer = Writer::object();
        writer.members("owner name note", &[&self.owner, &self.name, &self.note]);
        writer.name("shares");
        writer.open('{');
        for (who, rule) in &self.shares {
            writer.name(who);
            writer.number(*rule as i64);
        }
        writer.close('}');
        writer.name("tags");
        self.show_tags(&mut writer);
        writer.end()
    }

    /// A list of its tags, as clients want it.
    pub(super) fn show_tags(&self, writer: &mut Writer) {
        writer.open('[');
        for tag in &self.tags {
            writer.open('{');
            writer.member("name", &tag.name);
            writer.name("color");
            writer.number(tag.colour.into());
            writer.close('}');
        }
        writer.close(']');
    }

    pub(super) fn is_personal(&self) -> bool {
        self.name.is_empty()
    }

    /// What a user may do with it, if anything.
    pub(super) fn rule(&self, who: &Who<'_>) -> Option<Rule> {
        let is_own = !self.owner.is_empty() && *self.owner == *who.name;
        if is_own || (who.is_admin && !self.is_personal()) {
            return Some(Rule::Full);
        }
        let is_for = |with: &str| match with.strip_prefix('@') {
            Some(group) => !group.is_empty() && group == who.group,
            None => with == who.name,
        };
        self.shares.iter().filter(|(with, _)| is_for(with)).map(|(_, rule)| *rule).max()
    }

    /// What it costs.
    pub(super) fn bytes(&self) -> usize {
        let tags = self.tags.iter().map(|tag| tag.name.len() + ENTRY_BYTES_FIXED);
        let shares = self.shares.iter().map(|(who, _)| who.len() + ENTRY_BYTES_FIXED);
        self.entry_bytes + self.note.len() + tags.chain(shares).sum::<usize>()
    }

    /// Whether it has no more of anything than a book may have, but for bytes and entries.
    pub(super) fn fits(&self) -> Result<(), Refusal> {
        match self.tags.len() > BOOK_TAGS_MAX || self.shares.len() > BOOK_SHARES_MAX {
            true => Err(Refusal::TooMany),
            false => Ok(()),
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn place(&self, id: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.id().cmp(id))
    }

    pub(super) fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.get(self.place(id).ok()?)
    }

    /// Adds an entry, or puts it in the place of the one with its id.
    pub(super) fn put(&mut self, entry: Entry) {
        self.entry_bytes += entry.bytes();
        match self.place(entry.id()) {
            Ok(at) => {
                if let Some(old) = self.entries.get_mut(at) {
                    self.entry_bytes -= old.bytes();
                    *old = entry;
                }
            }
            Err(at) => self.entries.insert(at, entry),
        }
    }

    /// Puts in the entries of a list, over what a book before it has of them, up to so many; counts
    /// them, with the one that is refused.
    pub(super) fn put_all(
        &mut self,
        list: Value<'_>,
        (before, most): (&Self, usize),
        count: &mut usize,
    ) -> Result<(), Refusal> {
        for said in list.items() {
            *count += 1;
            self.put(Entry::new(said, before.entry(&id_of(said)?))?);
            if self.entries.len() > most {
                return Err(Refusal::BookFull);
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Ok(at) = self.place(id) {
            self.entry_bytes -= self.entries.remove(at).bytes();
        }
    }

    /// Has the entries of another one.
    pub(super) fn take_entries(&mut self, other: &Self) {
        (self.entries, self.entry_bytes) = (other.entries.clone(), other.entry_bytes);
    }

    /// Gives up all entries.
    pub(super) fn clear(&mut self) {
        (self.entries, self.entry_bytes) = (Vec::new(), 0);
    }

    pub(super) fn has_tag(&self, name: &str) -> bool {
        self.tags.iter().any(|tag| *tag.name == *name)
    }

    /// Adds a tag, or gives the one by its name its colour.
    pub(super) fn put_tag(&mut self, tag: Tag) {
        match self.tags.iter_mut().find(|own| own.name == tag.name) {
            Some(own) => own.colour = tag.colour,
            None => self.tags.push(tag),
        }
    }

    /// Lists the tags of its entries too, while there is room: clients name those to a book before
    /// they use them, tables do not.
    pub(super) fn list_tags(&mut self) {
        for tag in self.entries.iter().flat_map(Entry::tags) {
            if self.tags.len() < BOOK_TAGS_MAX
                && !self.tags.iter().any(|own| *own.name == *tag)
                && let Ok(tag) = Tag::new(&tag, None)
            {
                self.tags.push(tag);
            }
        }
    }

    /// Puts `to` in the place of tags of all entries, or takes them away.
    pub(super) fn retag(&mut self, from: &[Cow<'_, str>], to: Option<&str>) -> Result<(), Refusal> {
        for entry in &mut self.entries {
            if let Some(retagged) = entry.retagged(from, to) {
                let retagged = retagged?;
                self.entry_bytes = self.entry_bytes + retagged.bytes() - entry.bytes();
                *entry = retagged;
            }
        }
        Ok(())
    }

    /// What must be stored where it was `before`, if it was.
    pub(super) fn changes_since(&self, before: Option<&Self>, changes: &mut Changes) {
        let (was, text) = (before.map(Self::text), self.text());
        if was.as_ref() != Some(&text) {
            changes.put(self.key(""), was.map(String::into_bytes), Some(text.into_bytes()));
        }
        let mut old = before.map_or(&[][..], Self::entries).iter().peekable();
        for entry in &self.entries {
            while let Some(gone) = old.next_if(|old| old.id() < entry.id()) {
                self.change(Some(gone), None, changes);
            }
            let known = old.next_if(|old| old.id() == entry.id());
            if known != Some(entry) {
                self.change(known, Some(entry), changes);
            }
        }
        old.for_each(|gone| self.change(Some(gone), None, changes));
    }

    /// Nothing is stored of it any more. If that is taken back, it comes before its entries.
    pub(super) fn changes_to_nothing(&self, changes: &mut Changes) {
        self.entries.iter().for_each(|gone| self.change(Some(gone), None, changes));
        changes.put(self.key(""), Some(self.text().into_bytes()), None);
    }

    fn change(&self, was: Option<&Entry>, is: Option<&Entry>, changes: &mut Changes) {
        let Some(id) = is.or(was).map(Entry::id) else { return };
        let row = |entry: Option<&Entry>| entry.map(|entry| entry.text().into());
        changes.put(self.key(id), row(was), row(is));
    }

    /// The key of an entry's row; of the book's own for the empty id, which none has.
    fn key(&self, id: &str) -> Vec<u8> {
        let slash: &[u8] = if id.is_empty() { b"" } else { b"/" };
        [&[BOOK_KEY][..], self.guid.as_bytes(), slash, id.as_bytes()].concat()
    }
}
