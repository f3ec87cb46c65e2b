//! What clients that know several books ask: who sees which, entries by the page. Protocol §9.4;
//! C176, C177.

use alloc::string::String;

use super::super::call::{Call, Changes, Page, Who};
use super::book::{Book, Rule};
use super::{Books, Refusal};
use crate::base::json::Writer;

impl Books {
    /// The user's own book, which is made when it is first asked for.
    pub(super) fn personal(
        &mut self,
        who: &Who<'_>,
        changes: &mut Changes,
    ) -> Result<String, Refusal> {
        let guid = match self.own(who) {
            Some(book) => String::from(&*book.guid),
            None => {
                let guid = self.new_guid();
                self.settle(Book::new(&guid, who.name, ""), changes)?;
                guid
            }
        };
        let mut writer = Writer::object();
        writer.members("guid name", &[&guid, ""]);
        Ok(writer.end())
    }

    /// The user's own book, if there is one yet.
    pub(super) fn own(&self, who: &Who<'_>) -> Option<&Book> {
        self.books.iter().find(|book| book.is_personal() && *book.owner == *who.name)
    }

    pub(super) fn settings(&self) -> String {
        let mut writer = Writer::object();
        writer.name("max_peer_one_ab");
        writer.number(i64::try_from(self.limits.entries).unwrap_or(i64::MAX));
        writer.end()
    }

    /// The books that others made for the user, and that the user made for others.
    pub(super) fn profiles(&self, who: &Who<'_>, call: &Call<'_>) -> String {
        let mut page = Page::begin(call);
        for book in self.books.iter().filter(|book| !book.is_personal()) {
            if let Some(rule) = book.rule(who)
                && let Some(writer) = page.next()
            {
                writer.open('{');
                let texts = [&*book.guid, &book.name, &book.owner, &book.note];
                writer.members("guid name owner note", &texts);
                writer.name("rule");
                writer.number(rule as i64);
                writer.name("info");
                writer.raw("{}");
                writer.close('}');
            }
        }
        page.end()
    }

    pub(super) fn peers(&self, who: &Who<'_>, call: &Call<'_>) -> Result<String, Refusal> {
        let book = self.readable(who, call.param("ab").unwrap_or_default())?;
        let mut page = Page::begin(call);
        for entry in book.entries() {
            if let Some(writer) = page.next() {
                entry.show(writer);
            }
        }
        Ok(page.end())
    }

    pub(super) fn tags(&self, who: &Who<'_>, guid: &str) -> Result<String, Refusal> {
        let mut writer = Writer::default();
        self.readable(who, guid)?.show_tags(&mut writer);
        Ok(writer.into_text())
    }

    /// A book of which the user sees something.
    fn readable(&self, who: &Who<'_>, guid: &str) -> Result<&Book, Refusal> {
        let book = self.book(guid).filter(|book| book.rule(who).is_some());
        book.ok_or(Refusal::NoBook)
    }

    /// A book that the user may change.
    pub(super) fn writable(&self, who: &Who<'_>, guid: &str) -> Result<&Book, Refusal> {
        let book = self.readable(who, guid)?;
        (book.rule(who) >= Some(Rule::Write)).then_some(book).ok_or(Refusal::ReadOnly)
    }
}
