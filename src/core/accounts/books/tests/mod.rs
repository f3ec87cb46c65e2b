//! Address books as clients use them: a model of both kinds, what is stored between, and every
//! bound at its limit. C176 to C179.

mod bounds;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::super::call::{Call, Changes, Door, Method, Source, Who};
use super::{BookCommand, BookTold, Books, Refusal, Rule};
use crate::base::json::{Value, Writer};
use crate::base::limits::*;
use crate::base::table::Seed;

const LIMITS: BookLimits = BookLimits::of(0);

/// What stands behind the first byte of a row's key.
fn name_of(key: &[u8]) -> &str {
    core::str::from_utf8(&key[1..]).unwrap()
}

/// Books, and the rows that a store would have of them.
struct Server {
    books: Books,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Rows that the last change wrote.
    written: usize,
    /// Whether calls come from where a device of ours is.
    known: bool,
}

impl Server {
    fn new() -> Self {
        Self::with(LIMITS)
    }

    fn with(limits: BookLimits) -> Self {
        let books = Books::new(limits, Seed(1, 2));
        Self { books, rows: BTreeMap::new(), written: 0, known: true }
    }

    /// The store takes it; a change that it refuses is taken back, as if it had never been.
    fn store(&mut self, changes: &Changes, before: &[(Vec<u8>, Vec<u8>)]) {
        self.written = changes.rows.len();
        for row in changes.before.iter().rev() {
            assert!(self.books.load(name_of(&row.key), row.value.as_deref()), "{row:?}");
        }
        assert_eq!(self.loaded(), before, "taken back");
        for row in &changes.rows {
            assert!(self.books.load(name_of(&row.key), row.value.as_deref()), "{row:?}");
            match &row.value {
                Some(value) => drop(self.rows.insert(row.key.clone(), value.clone())),
                None => assert!(self.rows.remove(&row.key).is_some(), "{row:?}"),
            }
        }
        let stored: Vec<_> = self.rows.clone().into_iter().collect();
        assert_eq!(self.loaded(), stored, "stored");
    }

    /// What the books would be stored as.
    fn loaded(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut changes = Changes::default();
        for book in &self.books.books {
            book.changes_since(None, &mut changes);
        }
        let rows = changes.rows.into_iter().map(|row| (row.key, row.value.unwrap()));
        let rows: BTreeMap<_, _> = rows.collect();
        rows.into_iter().collect()
    }

    /// What a user is told: a status and a body.
    fn call(&mut self, user: &str, method: Method, target: &str, body: &str) -> (u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = format!("/api/{path}");
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let source = Source { ip, known: self.known, door: Door::Sealed };
        let body = body.as_bytes();
        let call = Call { method, path: &path, query, token: None, body, source };
        let (user, group) = user.split_once('@').unwrap_or((user, ""));
        let who = Who { name: user, group, is_admin: user == "root" };
        let (before, mut changes) = (self.loaded(), Changes::default());
        let answer = self.books.call(&who, &call, &mut changes);
        self.store(&changes, &before);
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    /// An answer of JSON.
    fn asked(&mut self, user: &str, target: &str, body: &str) -> String {
        let (status, body) = self.call(user, Method::Post, target, body);
        assert_eq!(status, 200, "{target}: {body}");
        assert!(Value::parse(&body).is_ok(), "{target}: {body}");
        body
    }

    /// A change: clients take nothing but an empty body for done.
    fn done(&mut self, user: &str, method: Method, target: &str, body: &str) {
        assert_eq!(self.call(user, method, target, body), (200, "".into()), "{target} {body}");
    }

    /// A call that fails, with its status; its body is an error that clients show.
    fn refused(&mut self, user: &str, method: Method, target: &str, body: &str) -> u16 {
        let (status, said) = self.call(user, method, target, body);
        let error = Value::parse(&said).unwrap().text_of("error").map(String::from);
        assert!(error.is_some_and(|error| error.ends_with('.')), "{target}: {said}");
        assert!(self.written == 0 && (400..500).contains(&status), "{target}: {status}");
        status
    }

    fn obey(&mut self, command: &BookCommand) -> Result<BookTold, Refusal> {
        let (before, mut changes) = (self.loaded(), Changes::default());
        let told = self.books.obey(command, &mut changes, &mut 0);
        self.store(&changes, &before);
        told
    }

    /// A book of alice's that bob may use so, and its guid.
    fn shared(&mut self, with: &str, rule: Rule) -> String {
        let name = || String::from("alice/Office 1");
        self.obey(&BookCommand::Add(name())).unwrap();
        self.obey(&BookCommand::Share(name(), with.into(), Some(rule))).unwrap();
        let Ok(BookTold::Books(rows)) = self.obey(&BookCommand::List) else { panic!() };
        rows.into_iter().find(|row| row.name == "Office 1").unwrap().guid
    }

    fn guid(&mut self, user: &str) -> String {
        let told = self.asked(user, "ab/personal", "");
        Value::parse(&told).unwrap().text_of("guid").unwrap().into()
    }

    fn peers(&mut self, user: &str, guid: &str) -> String {
        self.asked(user, &format!("ab/peers?current=1&pageSize=100&ab={guid}"), "")
    }
}

use Method::{Delete, Get, Post, Put};

#[test]
fn c176_a_new_client_finds_its_book_and_changes_it_call_by_call() {
    let mut server = Server::new();
    let guid = server.guid("alice");
    assert_eq!((guid.len(), server.written), (36, 1));
    assert_eq!((server.guid("alice"), server.written), (guid.clone(), 0), "the same book again");
    assert_eq!(server.asked("alice", "ab/settings", ""), r#"{"max_peer_one_ab":5120}"#);
    let profiles = "ab/shared/profiles?current=1&pageSize=100";
    assert_eq!(server.asked("alice", profiles, ""), r#"{"data":[],"total":0}"#);
    assert_eq!(server.peers("alice", &guid), r#"{"data":[],"total":0}"#);
    let tags = format!("ab/tags/{guid}");
    assert_eq!(server.asked("alice", &tags, ""), "[]");

    let at = |what: &str| format!("ab/{what}/{guid}");
    server.done("alice", Post, &at("tag/add"), r#"{"name":"home","color":4278190335}"#);
    server.done("alice", Post, &at("tag/add"), r#"{"name":"work"}"#);
    assert_eq!(
        server.asked("alice", &tags, ""),
        r#"[{"name":"home","color":4278190335},{"name":"work","color":4284513675}]"#
    );
    let peer = r#"{"id":"123456789","alias":"Büro","tags":["home","work"],"hash":"aGFzaA==",
        "note":"","forceAlwaysRelay":false,"rdpPort":3389,"new":{"er":[1]},"same_server":true}"#;
    server.done("alice", Post, &at("peer/add"), peer);
    assert_eq!(server.written, 1, "an entry is a row of its own");
    server.done(
        "alice",
        Put,
        &at("peer/update"),
        r#"{"id":"123456789","hostname":"pc","alias":""}"#,
    );
    let shown = r#"{"data":[{"id":"123456789","hostname":"pc","hash":"aGFzaA==","#.to_string()
        + r#""forceAlwaysRelay":"false","rdpPort":"3389","tags":["home","work"],"#
        + r#""new":{"er":[1]},"same_server":true,"username":"","platform":"","alias":""}],"#
        + r#""total":1}"#;
    assert_eq!(server.peers("alice", &guid), shown);

    server.done("alice", Put, &at("tag/rename"), r#"{"old":"home","new":"haus"}"#);
    assert_eq!(server.written, 2, "the book and the one entry");
    server.done("alice", Put, &at("tag/update"), r#"{"name":"haus","color":4294967295}"#);
    server.done("alice", Delete, &at("tag"), r#"["work","nobody's"]"#);
    assert_eq!(server.asked("alice", &tags, ""), r#"[{"name":"haus","color":4294967295}]"#);
    assert!(server.peers("alice", &guid).contains(r#""tags":["haus"]"#));
    server.done("alice", Delete, &at("peer"), r#"["123456789","987654321"]"#);
    assert_eq!(server.peers("alice", &guid), r#"{"data":[],"total":0}"#);
    // As clients show it; to 'hbb ctl' what blanks part is several words.
    server.done("alice", Post, &at("peer/add"), r#"{"id":" 123 456 789 "}"#);
    assert!(server.peers("alice", &guid).contains(r#"{"id":"123456789","#));
    server.done("alice", Delete, &at("peer"), r#"["123456789"]"#);
    assert_eq!(server.rows.len(), 1);
}

#[test]
fn c176_what_is_wrong_changes_nothing_and_is_said() {
    let mut server = Server::new();
    let guid = server.guid("alice");
    let at = |what: &str| format!("ab/{what}/{guid}");
    server.done("alice", Post, &at("tag/add"), r#"{"name":"home","color":1}"#);
    server.done("alice", Post, &at("tag/add"), r#"{"name":"work","color":2}"#);
    for (method, what, body, status) in [
        (Post, "peer/add", "", 400),
        (Post, "peer/add", "[]", 400),
        (Post, "peer/add", r#"{"id":""}"#, 400),
        (Post, "peer/add", r#"{"id":"a\"b"}"#, 400),
        (Post, "peer/add", r#"{"id":"a\nb"}"#, 400),
        (Post, "peer/add", r#"{"id":" "}"#, 400),
        (Post, "peer/add", r#"{"id":["a"]}"#, 400),
        (Put, "peer/update", r#"{"id":"123"}"#, 404),
        (Delete, "peer", r#"{"id":"123"}"#, 400),
        (Post, "tag/add", r#"{"name":""}"#, 400),
        (Post, "tag/add", r#"{"color":1}"#, 400),
        (Put, "tag/update", r#"{"name":"none","color":1}"#, 404),
        (Put, "tag/rename", r#"{"old":"none","new":"new"}"#, 404),
        (Put, "tag/rename", r#"{"old":"home","new":"work"}"#, 400),
        (Put, "tag/rename", r#"{"old":"home"}"#, 400),
        (Put, "tag/rename", r#"{"old":"home","new":""}"#, 400),
        (Delete, "tag", r#""home""#, 400),
        (Get, "peer/add", "{}", 404),
        (Post, "no/call", "{}", 404),
    ] {
        assert_eq!(server.refused("alice", method, &at(what), body), status, "{what} {body}");
    }
    assert_eq!(server.refused("alice", Get, "ab/personal/x", ""), 404);
    assert_eq!(server.refused("alice", Post, "ab/peers?ab=none", ""), 404);
    assert_eq!(server.refused("alice", Post, "ab/peers", ""), 404);
}

#[test]
fn c177_two_users_share_a_book_as_each_rule_says() {
    for (rule, number, may_write) in
        [(Rule::Read, 1, false), (Rule::Write, 2, true), (Rule::Full, 3, true)]
    {
        for (bob, with) in [("bob", "bob"), ("bob@team", "@team")] {
            let mut server = Server::new();
            let guid = server.shared(with, rule);
            let note = BookCommand::Note("alice/Office 1".into(), "for all".into());
            server.obey(&note).unwrap();
            let profiles = "ab/shared/profiles?current=1&pageSize=100";
            let shown = |rule: u8| {
                format!(r#"{{"data":[{{"guid":"{guid}","name":"Office 1","owner":"alice","#)
                    + &format!(r#""note":"for all","rule":{rule},"info":{{}}}}],"total":1}}"#)
            };
            assert_eq!(server.asked(bob, profiles, ""), shown(number));
            assert_eq!(server.asked("alice", profiles, ""), shown(3));
            assert_eq!(server.asked("root", profiles, ""), shown(3));

            let at = |what: &str| format!("ab/{what}/{guid}");
            server.done("alice", Post, &at("peer/add"), r#"{"id":"111","password":"cHc="}"#);
            assert!(server.peers(bob, &guid).contains(r#""id":"111","password":"cHc=""#));
            let mut wants = |method, what: &str, body: &str| match may_write {
                true => server.done(bob, method, &at(what), body),
                false => assert_eq!(server.refused(bob, method, &at(what), body), 403),
            };
            wants(Post, "peer/add", r#"{"id":"222"}"#);
            wants(Put, "peer/update", r#"{"id":"111","alias":"bob's"}"#);
            wants(Post, "tag/add", r#"{"name":"t","color":1}"#);
            wants(Put, "tag/update", r#"{"name":"t","color":2}"#);
            wants(Put, "tag/rename", r#"{"old":"t","new":"u"}"#);
            wants(Delete, "tag", r#"["u"]"#);
            wants(Delete, "peer", r#"["222"]"#);
            assert_eq!(server.peers("alice", &guid).contains("bob's"), may_write);

            // Nobody else sees it, nor a personal book of anybody.
            let own = server.guid("alice");
            for other in ["carol", "bob2", "carol@tea", "team"] {
                assert_eq!(server.asked(other, profiles, ""), r#"{"data":[],"total":0}"#);
                let peers = format!("ab/peers?ab={guid}");
                assert_eq!(server.refused(other, Post, &peers, ""), 404);
                assert_eq!(server.refused(other, Post, &at("tags"), ""), 404);
                assert_eq!(server.refused(other, Post, &at("peer/add"), r#"{"id":"1"}"#), 404);
            }
            for other in [bob, "root"] {
                assert_eq!(server.refused(other, Post, &format!("ab/peers?ab={own}"), ""), 404);
            }
            server.obey(&BookCommand::Share("alice/Office 1".into(), with.into(), None)).unwrap();
            assert_eq!(server.refused(bob, Post, &format!("ab/peers?ab={guid}"), ""), 404);
        }
    }
}

#[test]
fn c177_what_is_left_of_a_user_that_is_gone_is_what_others_share() {
    let mut server = Server::new();
    let guid = server.shared("bob", Rule::Write);
    server.guid("alice");
    server.guid("bob");
    let (before, mut changes) = (server.loaded(), Changes::default());
    server.books.forget_user("alice", &mut changes);
    server.store(&changes, &before);
    let shown = server.asked("bob", "ab/shared/profiles", "");
    assert!(shown.contains(r#""owner":"","note":"","rule":2"#), "{shown}");
    assert_eq!(server.rows.len(), 2);
    assert_eq!(server.refused("alice", Post, &format!("ab/tags/{guid}"), ""), 404, "a namesake");
    let (before, mut changes) = (server.loaded(), Changes::default());
    server.books.forget_user("bob", &mut changes);
    server.store(&changes, &before);
    let Ok(BookTold::Books(rows)) = server.obey(&BookCommand::List) else { panic!() };
    assert!(rows.len() == 1 && rows[0].shares.is_empty(), "{rows:?}");
    server.obey(&BookCommand::Remove(guid)).unwrap();
    assert!(server.rows.is_empty());
}

/// A book as an old client sends it: JSON in a string of JSON, with colours in one once more.
fn legacy(tags: &[(&str, i64)], peers: &[&str]) -> String {
    let (mut data, mut colours, mut body) =
        (Writer::default(), Writer::default(), Writer::default());
    colours.open('{');
    for (name, colour) in tags {
        colours.name(name);
        colours.number(*colour);
    }
    colours.close('}');
    data.open('{');
    data.name("tags");
    data.open('[');
    tags.iter().for_each(|(name, _)| data.text(name));
    data.close(']');
    data.name("peers");
    data.open('[');
    peers.iter().for_each(|peer| data.raw(peer));
    data.close(']');
    data.member("tag_colors", &colours.into_text());
    data.close('}');
    body.open('{');
    body.member("data", &data.into_text());
    body.close('}');
    body.into_text()
}

#[test]
fn c179_an_old_client_and_a_new_one_see_one_book() {
    let mut server = Server::new();
    let empty = legacy(&[], &[]);
    assert_eq!(server.call("alice", Get, "ab", ""), (200, empty.clone()));
    assert_eq!(server.written, 0, "to look makes no book");
    let peer = |id: &str, alias: &str| {
        format!(
            r#"{{"id":"{id}","username":"u","hostname":"h","platform":"Linux","alias":"{alias}",
                "tags":["a\"b"],"hash":""}}"#
        )
    };
    let [one, two] = [peer("111", "\\u00e4\\ud83d\\ude00"), peer("222", "")];
    server.done("alice", Post, "ab", &legacy(&[("a\"b", 7)], &[&two, &one]));
    assert_eq!(server.written, 3);
    let guid = server.guid("alice");
    let shown = server.peers("alice", &guid);
    assert!(shown.contains("ä😀") && shown.ends_with("\"total\":2}"), "{shown}");
    assert_eq!(
        server.asked("alice", &format!("ab/tags/{guid}"), ""),
        r#"[{"name":"a\"b","color":7}]"#
    );
    // What the old one does not know, the new one adds, and it stays.
    let note = r#"{"id":"111","note":"under the desk","password":"cHc="}"#;
    server.done("alice", Put, &format!("ab/peer/update/{guid}"), note);
    let (_, whole) = server.call("alice", Get, "ab", "");
    assert!(Value::parse(&whole).unwrap().text_of("data").unwrap().contains("ä😀"));
    server.done("alice", Post, "ab", &whole);
    assert_eq!(server.written, 0, "what it got is what it has");
    server.done("alice", Post, "ab", &legacy(&[("a\"b", 7)], &[&peer("111", "new")]));
    assert_eq!(server.written, 2, "one changed, one gone");
    let shown = server.peers("alice", &guid);
    assert!(shown.contains(r#""alias":"new""#) && shown.contains("under the desk"), "{shown}");
    assert!(!shown.contains("222"));
    for nothing in [r#"{"data":""}"#, r#"{"data":"{}"}"#, &empty] {
        server.done("alice", Post, "ab", nothing);
        assert_eq!(server.call("alice", Get, "ab", ""), (200, empty.clone()));
    }
    for wrong in ["", "null", "{}", r#"{"data":{}}"#, r#"{"data":"["}"#] {
        assert_eq!(server.refused("alice", Post, "ab", wrong), 400, "{wrong}");
    }
}

#[test]
fn c178_pages_are_whole_and_end() {
    let mut server = Server::new();
    let guid = server.guid("alice");
    let csv: String = (0..250).map(|id| format!("{:09}\n", id)).collect();
    let import = BookCommand::Import("alice".into(), ["id\n", &csv].concat(), false);
    assert_eq!(server.obey(&import), Ok(BookTold::Imported(250)));
    let mut page = |current: &str, size: &str| {
        let target = format!("ab/peers?current={current}&pageSize={size}&ab={guid}");
        let page = server.asked("alice", &target, "");
        let page = Value::parse(&page).unwrap();
        assert_eq!(page.get("total").and_then(Value::number), Some(250));
        let ids = page.get("data").unwrap().items().filter_map(|it| it.text_of("id")?.parse().ok());
        ids.collect::<Vec<u32>>()
    };
    let all: Vec<u32> = ["1", "2", "3"].iter().flat_map(|current| page(current, "100")).collect();
    assert_eq!(all, (0..250).collect::<Vec<_>>());
    assert_eq!(page("4", "100"), []);
    assert_eq!(page("18446744073709551615", "100"), []);
    assert_eq!(page("0", "0"), [0]);
    assert_eq!(page("x", "x").len(), 250);
    assert_eq!(page("1", "99999999999999999999").len(), 250);
}
