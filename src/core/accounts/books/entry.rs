//! An entry of a book, kept as the JSON that clients read: what a newer client adds passes through,
//! and nothing is taken apart but what must be of a certain kind. C176.

use alloc::borrow::Cow;
use alloc::rc::Rc;

use super::Refusal;
use crate::base::json::{Value, Writer};
use crate::base::limits::{ENTRY_BYTES_FIXED, ENTRY_BYTES_MAX, ENTRY_ID_BYTES_MAX};
use crate::base::text::is_invisible;

/// How each begins; the id needs no escapes.
const BEGIN: &str = r#"{"id":""#;
/// What a peer is dialled by.
const ID: &str = "id";
/// A list of strings.
const TAGS: &str = "tags";
/// True or false.
const SAME_SERVER: &str = "same_server";
/// Members that we know beside the id: strings to clients, of which empty ones are not kept, then
/// the tags.
const KNOWN: [&str; 13] = [
    "username",
    "hostname",
    "platform",
    "alias",
    "hash",
    "password",
    "note",
    "forceAlwaysRelay",
    "rdpPort",
    "rdpUsername",
    "loginName",
    "device_group_name",
    TAGS,
];
/// Longest text in which an entry is told, as it may be shorter when it is stored.
const ENTRY_SAID_BYTES_MAX: usize = 4 * ENTRY_BYTES_MAX;
/// Of those, how many from the front each answer has, also empty.
const ALWAYS: usize = 5;

/// One peer of a book. Cheap to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry(Rc<str>);

impl Entry {
    /// What a client says of a peer, over what was known of it; members it does not name stay.
    pub(super) fn new(said: Value<'_>, known: Option<&Self>) -> Result<Self, Refusal> {
        if said.raw().len() > ENTRY_SAID_BYTES_MAX {
            return Err(Refusal::EntryTooLong);
        }
        let id = id_of(said)?;
        let known = known.map_or(Value::NULL, Self::value);
        let parts = parts_of(&[said, known]);
        let mut writer = Writer::object();
        writer.member(ID, &id);
        // Always in this order, so that what says the same is the same.
        for (name, value) in KNOWN.iter().zip(parts) {
            match value {
                Some(value) if *name == TAGS => keep_tags(&mut writer, value),
                Some(value) => keep_text(&mut writer, name, value),
                None => {}
            }
        }
        let others = known.members().filter(|(name, _)| is_other(name) && said.get(name).is_none());
        for (name, value) in said.members().filter(|(name, _)| is_other(name)).chain(others) {
            keep_other(&mut writer, &name, value);
        }
        let text = writer.end();
        if text.len() > ENTRY_BYTES_MAX {
            return Err(Refusal::EntryTooLong);
        }
        Ok(Self(text.into()))
    }

    /// One that was stored; None if it is damaged.
    pub(super) fn stored(text: &str) -> Option<Self> {
        let value = Value::parse(text).ok()?;
        let id = value.text_of(ID)?;
        (text.len() <= ENTRY_BYTES_MAX && is_id(&id) && text.starts_with(BEGIN))
            .then(|| Self(text.into()))
    }

    /// The id it is dialled by.
    pub(super) fn id(&self) -> &str {
        let id = self.0.strip_prefix(BEGIN).and_then(|rest| rest.split_once('"'));
        id.map_or("", |(id, _)| id)
    }

    /// What it costs.
    pub(super) fn bytes(&self) -> usize {
        self.0.len() + ENTRY_BYTES_FIXED
    }

    /// As it is stored.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Its members.
    pub(super) fn value(&self) -> Value<'_> {
        Value::checked(&self.0)
    }

    /// As clients want it: what they read without asking whether it is there, is there.
    pub(super) fn show(&self, writer: &mut Writer) {
        let parts = parts_of(&[self.value()]);
        writer.open('{');
        // All that it has; there is an id at least.
        let inner = self.0.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
        writer.raw(inner.unwrap_or_default());
        for (at, (name, value)) in KNOWN.iter().zip(parts).enumerate() {
            if value.is_none() && (at < ALWAYS || *name == TAGS) {
                writer.name(name);
                writer.raw(if *name == TAGS { "[]" } else { "\"\"" });
            }
        }
        writer.close('}');
    }

    /// Its tags, in their order.
    pub(super) fn tags(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.value().items_of(TAGS).filter_map(Value::text)
    }

    /// With `to` in the place of some tags, or without them; None if it has none of them.
    pub(super) fn retagged(
        &self,
        from: &[Cow<'_, str>],
        to: Option<&str>,
    ) -> Option<Result<Self, Refusal>> {
        self.tags().find(|tag| from.contains(tag))?;
        let mut said = Writer::object();
        said.member(ID, self.id());
        said.name(TAGS);
        said.open('[');
        for tag in self.tags() {
            match from.contains(&tag) {
                true => to.into_iter().for_each(|to| said.text(to)),
                false => said.text(&tag),
            }
        }
        said.close(']');
        let said = said.end();
        Some(Self::new(Value::checked(&said), Some(self)))
    }
}

/// The id of a peer, which may be written as a number, and in threes, as clients show it. To
/// `hbb ctl` what blanks part is several words.
pub(super) fn id_of(said: Value<'_>) -> Result<Cow<'_, str>, Refusal> {
    let id = said.get(ID).ok_or(Refusal::NotAnEntry)?;
    let id = id.text().or_else(|| id.number().map(|_| id.raw().into()));
    let mut id = id.ok_or(Refusal::NotAnId)?;
    id.to_mut().retain(|c| c != ' ');
    is_id(&id).then_some(id).ok_or(Refusal::NotAnId)
}

fn is_id(id: &str) -> bool {
    let odd = |c: char| matches!(c, '"' | '\\') || is_invisible(c);
    !id.is_empty() && id.len() <= ENTRY_ID_BYTES_MAX && !id.contains(odd)
}

/// Adds a member that is a string to clients; programs write numbers and flags there.
fn keep_text(writer: &mut Writer, name: &str, value: Value<'_>) {
    let is_scalar = value.number().is_some() || value.flag().is_some();
    let text = if is_scalar { Some(value.raw().into()) } else { value.text() };
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        writer.member(name, &text);
    }
}

fn keep_tags(writer: &mut Writer, value: Value<'_>) {
    let mut tags = value.items().filter_map(Value::text).peekable();
    if tags.peek().is_some() {
        writer.name(TAGS);
        writer.open('[');
        tags.for_each(|tag| writer.text(&tag));
        writer.close(']');
    }
}

/// Adds what is none of these as it is.
fn keep_other(writer: &mut Writer, name: &str, value: Value<'_>) {
    let is_odd = name == SAME_SERVER && value.flag().is_none();
    if !is_odd && !value.is_null() {
        writer.name(name);
        writer.raw(value.raw());
    }
}

/// Whether a member is none that we know.
fn is_other(name: &str) -> bool {
    name != ID && !KNOWN.contains(&name)
}

/// The members that we know, each from the first of these that has it, found in one pass.
fn parts_of<'a>(entries: &[Value<'a>]) -> [Option<Value<'a>>; KNOWN.len()] {
    let mut parts = [None; KNOWN.len()];
    for entry in entries {
        for (name, value) in entry.members() {
            let place = KNOWN.iter().position(|known| *known == name);
            if let Some(place) = place.and_then(|at| parts.get_mut(at)) {
                place.get_or_insert(value);
            }
        }
    }
    parts
}
