//! What clients that know several books change: one entry, one tag or a list of them a call, all of
//! it or nothing. Such a call is answered with an empty body, as anything else is shown as an
//! error. Protocol §9.4; C176.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::super::call::Method;
use super::Refusal;
use super::book::{Book, Tag};
use super::entry::{Entry, id_of};
use crate::base::json::Value;

/// A kind of change.
#[derive(Clone, Copy)]
pub(super) enum Edit {
    AddEntry,
    UpdateEntry,
    RemoveEntries,
    AddTag,
    RecolourTag,
    RenameTag,
    RemoveTags,
}

impl Edit {
    /// By what stands before the book in the path.
    pub(super) fn of(method: Method, what: &str) -> Option<Self> {
        Some(match (method, what) {
            (Method::Post, "peer/add") => Self::AddEntry,
            (Method::Put, "peer/update") => Self::UpdateEntry,
            (Method::Delete, "peer") => Self::RemoveEntries,
            (Method::Post, "tag/add") => Self::AddTag,
            (Method::Put, "tag/update") => Self::RecolourTag,
            (Method::Put, "tag/rename") => Self::RenameTag,
            (Method::Delete, "tag") => Self::RemoveTags,
            _ => return None,
        })
    }

    /// Changes a copy of a book, which is thrown away if that fails.
    pub(super) fn make(self, book: &mut Book, body: Value<'_>) -> Result<(), Refusal> {
        match self {
            Self::AddEntry => return put_entry(book, body, true),
            Self::UpdateEntry => return put_entry(book, body, false),
            Self::RemoveEntries => texts(body)?.for_each(|id| book.remove(&id)),
            Self::AddTag => book.put_tag(tag_of(body)?),
            Self::RecolourTag => {
                let tag = tag_of(body)?;
                book.has_tag(&tag.name).then_some(()).ok_or(Refusal::NoTag)?;
                book.put_tag(tag);
            }
            Self::RenameTag => return rename_tag(book, body),
            Self::RemoveTags => return remove_tags(book, body),
        }
        Ok(())
    }
}

/// Adds a peer, over what is known of it; one that must be there, if it is not new.
fn put_entry(book: &mut Book, said: Value<'_>, new: bool) -> Result<(), Refusal> {
    let id = id_of(said)?;
    let known = book.entry(&id);
    if known.is_none() && !new {
        return Err(Refusal::NoEntry);
    }
    let entry = Entry::new(said, known)?;
    book.put(entry);
    Ok(())
}

fn tag_of(body: Value<'_>) -> Result<Tag, Refusal> {
    let name = body.text_of("name").ok_or(Refusal::Malformed)?;
    Tag::new(&name, body.get("color").and_then(Value::number))
}

fn rename_tag(book: &mut Book, body: Value<'_>) -> Result<(), Refusal> {
    let text = |name| body.text_of(name).ok_or(Refusal::Malformed);
    let (old, new) = (text("old")?, text("new")?);
    if book.has_tag(&new) {
        return Err(Refusal::TakenName);
    }
    let tag = book.tags.iter_mut().find(|tag| *tag.name == *old).ok_or(Refusal::NoTag)?;
    *tag = Tag::new(&new, Some(tag.colour.into()))?;
    book.retag(&[old], Some(&new))
}

fn remove_tags(book: &mut Book, body: Value<'_>) -> Result<(), Refusal> {
    // Of those that are not there, there may be very many.
    let mut names = Vec::new();
    for name in texts(body)? {
        if book.has_tag(&name) {
            names.push(name);
        }
    }
    book.tags.retain(|tag| !names.iter().any(|name| **name == *tag.name));
    book.retag(&names, None)
}

/// The texts of a list; what else is in it is passed over.
fn texts(list: Value<'_>) -> Result<impl Iterator<Item = Cow<'_, str>>, Refusal> {
    let is_list = list.raw().starts_with('[');
    is_list.then(|| list.items().filter_map(Value::text)).ok_or(Refusal::Malformed)
}
