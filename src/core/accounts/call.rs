//! What a call of the API is, who makes it, what it is told, and what it changes in the store: the
//! words that all parts of the accounts share.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::base::json::{Value, Writer};
use crate::base::limits::BOOK_PAGE_MAX;
use crate::base::rows::RowChange;
pub use crate::wire::http::{Content, HttpCall, Method};

/// How a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Carried over the sealed channel of port P.
    Sealed,
    /// By HTTP, on a connection of its own.
    Http,
}

/// From where and how a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The client's address.
    pub ip: IpAddr,
    /// Whether a device of ours is there, or somebody there showed the key.
    pub known: bool,
    /// The way it came.
    pub door: Door,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What is to be done,
    pub method: Method,
    /// with what: `/api/ab/peers`,
    pub path: &'a str,
    /// and which of it: `current=1&pageSize=100`.
    pub query: &'a str,
    /// What it shows to prove who calls.
    pub token: Option<&'a str>,
    /// What it brings.
    pub body: &'a [u8],
    /// Where it came from.
    pub source: Source,
}

impl<'a> Call<'a> {
    /// A call as it came.
    pub fn new(call: &'a HttpCall, source: Source) -> Self {
        let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
        let (token, body) = (call.token.as_deref(), &*call.body);
        Self { method: call.method, path, query, token, body, source }
    }

    /// What it brings, if that is JSON.
    pub(super) fn json(&self) -> Option<Value<'a>> {
        Value::parse(core::str::from_utf8(self.body).ok()?).ok()
    }

    /// The value of a name in the query, as it is written there.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// Who calls: the user whose token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who<'a> {
    /// The user's name.
    pub name: &'a str,
    /// The group's; empty for none.
    pub group: &'a str,
    /// Whether the user may all.
    pub is_admin: bool,
}

/// What a call is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// As in HTTP.
    pub status: u16,
    /// Of what kind the body is.
    pub content: Content,
    /// Empty where clients want nothing.
    pub body: Vec<u8>,
}

impl Answer {
    /// Done, and nothing to say: what clients want of changes (protocol §9.1).
    pub const fn empty() -> Self {
        Self::status(200)
    }

    /// A status alone.
    pub const fn status(status: u16) -> Self {
        Self { status, content: Content::Nothing, body: Vec::new() }
    }

    /// A JSON text.
    pub const fn json(body: Vec<u8>) -> Self {
        Self { status: 200, content: Content::Json, body }
    }

    /// What went wrong, in words that clients show or translate.
    pub fn error(said: &str) -> Self {
        let mut json = Writer::object();
        json.member("error", said);
        Self::json(json.end().into_bytes())
    }

    /// Words for a program.
    pub fn text(text: &str) -> Self {
        Self { status: 200, content: Content::Text, body: text.as_bytes().to_vec() }
    }
}

/// The page of a list that a call asks for, and how long the list is.
pub(super) struct Page {
    out: Writer,
    from: usize,
    size: usize,
    total: usize,
}

impl Page {
    pub(super) fn begin(call: &Call<'_>) -> Self {
        let asked = |name| call.param(name).and_then(|text| text.parse::<usize>().ok());
        let size = asked("pageSize").unwrap_or(BOOK_PAGE_MAX).clamp(1, BOOK_PAGE_MAX);
        let from = asked("current").unwrap_or(1).saturating_sub(1).saturating_mul(size);
        let mut out = Writer::object();
        out.name("data");
        out.open('[');
        Self { out, from, size, total: 0 }
    }

    /// Counts one more; where to write it, if it is of this page.
    pub(super) fn next(&mut self) -> Option<&mut Writer> {
        let at = self.total;
        self.total += 1;
        (at >= self.from && at - self.from < self.size).then_some(&mut self.out)
    }

    pub(super) fn end(mut self) -> String {
        self.out.close(']');
        self.out.name("total");
        self.out.number(i64::try_from(self.total).unwrap_or(i64::MAX));
        self.out.end()
    }
}

/// What a call changes in the store. It is changed in memory already, and taken back there if the
/// store refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What is to stand there.
    pub(super) rows: Vec<RowChange>,
    /// What stood there.
    pub(super) before: Vec<RowChange>,
}

impl Changes {
    /// Under `key`, there is `now` in place of `before`.
    pub fn put(&mut self, key: Vec<u8>, before: Option<Vec<u8>>, now: Option<Vec<u8>>) {
        self.before.push(RowChange { key: key.clone(), value: before });
        self.rows.push(RowChange { key, value: now });
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
