//! The two calls of clients that know one book: all of it, and all of it anew. They act on the
//! user's personal book, which a new client sees, too. Protocol §9.4; C179.

use alloc::string::String;

use super::super::call::{Changes, Who};
use super::book::{Book, Tag};
use super::{Books, Refusal};
use crate::base::json::{Value, Writer, escape};
use crate::base::limits::{BOOK_NAME_BYTES_MAX, BOOK_TAGS_MAX};

/// Longest text that tells the colours of tags.
const COLOURS_BYTES_MAX: usize = BOOK_TAGS_MAX * (BOOK_NAME_BYTES_MAX + 32);

/// Adds JSON to a string of JSON.
fn add(out: &mut String, json: &str) {
    escape(out, json, false);
}

impl Books {
    /// The personal book in one text of `bytes_max` at most: JSON within a string of JSON.
    pub(super) fn whole(&self, who: &Who<'_>, bytes_max: usize) -> Result<String, Refusal> {
        let empty = Book::default();
        let book = self.own(who).unwrap_or(&empty);
        let mut out = String::from("{\"data\":\"");
        add(&mut out, "{\"tags\":");
        let mut names = Writer::default();
        names.open('[');
        book.tags.iter().for_each(|tag| names.text(&tag.name));
        names.close(']');
        add(&mut out, &names.into_text());
        add(&mut out, ",\"peers\":[");
        for (at, entry) in book.entries().iter().enumerate() {
            let mut shown = Writer::default();
            entry.show(&mut shown);
            add(&mut out, if at == 0 { "" } else { "," });
            add(&mut out, &shown.into_text());
            if out.len() > bytes_max {
                return Err(Refusal::WholeTooLong);
            }
        }
        // The colours are JSON within a string once more.
        let mut colours = Writer::object();
        for tag in &book.tags {
            colours.name(&tag.name);
            colours.number(tag.colour.into());
        }
        let mut last = Writer::default();
        last.text(&colours.end());
        add(&mut out, "],\"tag_colors\":");
        add(&mut out, &last.into_text());
        add(&mut out, "}");
        out.push_str("\"}");
        if out.len() > bytes_max {
            return Err(Refusal::WholeTooLong);
        }
        Ok(out)
    }

    /// Takes the personal book as a client has it. What old clients do not know of a peer stays;
    /// what is as it was is not written again.
    pub(super) fn replace_whole(
        &mut self,
        who: &Who<'_>,
        body: Value<'_>,
        changes: &mut Changes,
    ) -> Result<String, Refusal> {
        let data = body.text_of("data").ok_or(Refusal::Malformed)?;
        let data = if data.trim().is_empty() { "{}" } else { &*data };
        let data = Value::parse(data).map_err(|_| Refusal::Malformed)?;
        let empty = Book::default();
        let known = self.own(who);
        let mut next = known.cloned().unwrap_or_else(|| Book::new(&self.new_guid(), who.name, ""));
        retag_whole(&mut next, data)?;
        next.clear();
        let peers = data.get("peers").unwrap_or(Value::NULL);
        next.put_all(peers, (known.unwrap_or(&empty), self.limits.entries), &mut 0)?;
        self.settle(next, changes)?;
        Ok(String::new())
    }
}

/// The tags that are named, with the colours that are told or that they had.
fn retag_whole(book: &mut Book, data: Value<'_>) -> Result<(), Refusal> {
    let told = data.text_of("tag_colors").unwrap_or_default();
    if told.len() > COLOURS_BYTES_MAX {
        return Err(Refusal::TooMany);
    }
    let told = Value::parse(&told).ok();
    let before = core::mem::take(&mut book.tags);
    let tags = data.items_of("tags").filter_map(Value::text);
    for name in tags {
        let had = before.iter().find(|tag| *tag.name == *name).map(|tag| tag.colour.into());
        let colour = told.and_then(|told| told.get(&name)?.number()).or(had);
        book.put_tag(Tag::new(&name, colour)?);
        // Before there are so many that it takes long to find one.
        book.fits()?;
    }
    Ok(())
}
