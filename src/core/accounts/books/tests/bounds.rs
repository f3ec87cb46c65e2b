//! Every bound at its limit and one beyond, what the store holds damaged, and tables of
//! spreadsheets. C178, C179.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::super::{Book, BookCommand, BookTold, Books, Refusal, Rule};
use super::{LIMITS, Server, legacy, name_of};
use crate::accounts::call::Method::{Get, Post, Put};
use crate::base::limits::*;
use crate::base::table::Seed;

const SMALL: BookLimits =
    BookLimits { entries: 10, book_bytes: 4_000, all_bytes: 10_000, ..LIMITS };

fn peer(id: usize) -> String {
    format!(r#"{{"id":"{id}"}}"#)
}

#[test]
fn c178_a_book_takes_so_many_entries_by_every_way() {
    let mut server = Server::with(SMALL);
    let guid = server.guid("alice");
    let add = format!("ab/peer/add/{guid}");
    for id in 0..10 {
        server.done("alice", Post, &add, &peer(id));
    }
    assert_eq!(server.refused("alice", Post, &add, &peer(10)), 413);
    server.done("alice", Post, &add, r#"{"id":"9","alias":"the same"}"#);
    let book = |count| {
        let peers: Vec<_> = (0..count).map(peer).collect();
        legacy(&[], &peers.iter().map(String::as_str).collect::<Vec<_>>())
    };
    server.done("alice", Post, "ab", &book(10));
    assert_eq!(server.refused("alice", Post, "ab", &book(11)), 413);
    let csv = |count| {
        let rows: String = (0..count)
            .map(|id| {
                format!(
                    "{id}
"
                )
            })
            .collect();
        [
            "id
", &rows,
        ]
        .concat()
    };
    let mut import =
        |count: usize| server.obey(&BookCommand::Import("alice".into(), csv(count), true));
    assert_eq!((import(10), import(11)), (Ok(BookTold::Imported(10)), Err(Refusal::BookFull)));
    // What is above a limit that was lowered stays, and may shrink.
    server.books.set_limits(BookLimits { entries: 2, book_bytes: 1, all_bytes: 1, ..SMALL });
    assert_eq!(server.refused("alice", Post, &add, &peer(10)), 413);
    server.done("alice", super::Delete, &format!("ab/peer/{guid}"), r#"["9","8"]"#);
    assert_eq!(server.refused("alice", Post, &add, &peer(8)), 413);
}

#[test]
fn c178_a_book_and_all_books_take_so_many_bytes() {
    let mut server = Server::with(SMALL);
    let filled = |server: &mut Server, user: &str, bytes: usize| {
        let guid = server.guid(user);
        let used = server.books.books.iter().find(|book| *book.owner == *user).unwrap().bytes();
        let fixed = r#"{"id":"1","x":""}"#.len() + ENTRY_BYTES_FIXED;
        let mut left = bytes - used;
        let mut id = 0;
        while left > 0 {
            // The last one takes what is left.
            let next = if left > 2_000 { 1_000 } else { left };
            let text = "x".repeat(next - fixed);
            let body = format!(r#"{{"id":"{id}","x":"{text}"}}"#);
            server.done(user, Post, &format!("ab/peer/add/{guid}"), &body);
            (left, id) = (left - next, id + 1);
        }
        guid
    };
    let guid = filled(&mut server, "alice", 4_000);
    let more = r#"{"id":"0","alias":"a"}"#;
    assert_eq!(server.refused("alice", Put, &format!("ab/peer/update/{guid}"), more), 413);
    assert_eq!(
        server.refused("alice", Post, &format!("ab/tag/add/{guid}"), r#"{"name":"a"}"#),
        413
    );
    filled(&mut server, "bob", 4_000);
    let guid = filled(&mut server, "carol", 2_000);
    assert_eq!(server.refused("carol", Put, &format!("ab/peer/update/{guid}"), more), 413);
    server.done("carol", Put, &format!("ab/peer/update/{guid}"), r#"{"id":"0","x":""}"#);
    server.done("alice", Post, "ab", &legacy(&[], &[]));
    server.done("carol", Put, &format!("ab/peer/update/{guid}"), more);
}

#[test]
fn c178_a_call_an_entry_and_names_have_their_lengths() {
    let mut server = Server::new();
    let guid = server.guid("alice");
    let add = format!("ab/peer/add/{guid}");
    let with = |len: usize| {
        let frame = r#"{"id":"1","note":""}"#;
        format!(r#"{{"id":"1","note":"{}"}}"#, "x".repeat(len - frame.len()))
    };
    server.done("alice", Post, &add, &with(ENTRY_BYTES_MAX));
    for long in [ENTRY_BYTES_MAX + 1, 5 * ENTRY_BYTES_MAX, BOOK_CALL_BYTES_MAX + 1] {
        assert_eq!(server.refused("alice", Post, &add, &with(long)), 413);
    }
    let body = |len: usize| format!("[{}]", " ".repeat(len - 2));
    let delete = format!("ab/peer/{guid}");
    server.done("alice", super::Delete, &delete, &body(BOOK_CALL_BYTES_MAX));
    assert_eq!(
        server.refused("alice", super::Delete, &delete, &body(BOOK_CALL_BYTES_MAX + 1)),
        413
    );
    let whole = |len: usize| [r#"{"data":"{}"}"#, &" ".repeat(len - 13)].concat();
    server.done("alice", Post, "ab", &whole(LIMITS.whole_bytes));
    assert_eq!(server.refused("alice", Post, "ab", &whole(LIMITS.whole_bytes + 1)), 413);

    let id = |len: usize| format!(r#"{{"id":"{}"}}"#, "1".repeat(len));
    server.done("alice", Post, &add, &id(ENTRY_ID_BYTES_MAX));
    assert_eq!(server.refused("alice", Post, &add, &id(ENTRY_ID_BYTES_MAX + 1)), 400);
    let tag = |len: usize| format!(r#"{{"name":"{}"}}"#, "t".repeat(len));
    let add = format!("ab/tag/add/{guid}");
    server.done("alice", Post, &add, &tag(BOOK_NAME_BYTES_MAX));
    assert_eq!(server.refused("alice", Post, &add, &tag(BOOK_NAME_BYTES_MAX + 1)), 400);

    let name = |len: usize| BookCommand::Add(["alice/", &"n".repeat(len)].concat());
    server.obey(&name(BOOK_NAME_BYTES_MAX)).unwrap();
    assert_eq!(server.obey(&name(BOOK_NAME_BYTES_MAX + 1)), Err(Refusal::NotAName));
    assert_eq!(server.obey(&name(BOOK_NAME_BYTES_MAX)), Err(Refusal::TakenName));
    for bad in ["/x", "alice/", "alice/a\u{202e}b", ""] {
        assert_eq!(server.obey(&BookCommand::Add(bad.into())), Err(Refusal::NotAName), "{bad}");
    }
    let note = |len: usize| BookCommand::Note("alice".into(), "n".repeat(len));
    server.obey(&note(BOOK_NOTE_BYTES_MAX)).unwrap();
    assert_eq!(server.obey(&note(BOOK_NOTE_BYTES_MAX + 1)), Err(Refusal::NotAName));
}

#[test]
fn c178_an_entry_and_colours_may_be_written_longer_than_they_are_kept() {
    let mut server = Server::new();
    let guid = server.guid("alice");
    let entry = |len: usize| {
        let text = "\\u0041".repeat(1_360);
        let frame = r#"{"id":"1","note":""}"#.len() + text.len();
        format!(r#"{{"id":"1","note":"{text}"{}}}"#, " ".repeat(len - frame))
    };
    let add = format!("ab/peer/add/{guid}");
    server.done("alice", Post, &add, &entry(4 * ENTRY_BYTES_MAX));
    assert_eq!(server.refused("alice", Post, &add, &entry(4 * ENTRY_BYTES_MAX + 1)), 413);

    let colours = |len: usize| {
        let text = r#"{\\\"t\\\":7}"#;
        let blanks = " ".repeat(len - r#"{"t":7}"#.len());
        format!(r#"{{"data":"{{\"tags\":[\"t\"],\"tag_colors\":\"{text}{blanks}\"}}"}}"#)
    };
    let most = BOOK_TAGS_MAX * (BOOK_NAME_BYTES_MAX + 32);
    server.done("alice", Post, "ab", &colours(most));
    let tags = server.asked("alice", &format!("ab/tags/{guid}"), "");
    assert_eq!(tags, r#"[{"name":"t","color":7}]"#);
    assert_eq!(server.refused("alice", Post, "ab", &colours(most + 1)), 413);
}

#[test]
fn c178_where_no_device_of_ours_is_a_whole_book_is_no_longer_than_a_frame() {
    let mut server = Server::new();
    let alias = |id: usize, len: usize| format!(r#"{{"id":"{id}","alias":"{}"}}"#, "a".repeat(len));
    let whole = |server: &mut Server, len: usize| {
        let mut peers: Vec<_> = (0..40).map(|id| alias(id, 1_300)).collect();
        peers.push(alias(40, len));
        server.done(
            "alice",
            Post,
            "ab",
            &legacy(&[], &peers.iter().map(String::as_str).collect::<Vec<_>>()),
        );
        server.call("alice", Get, "ab", "")
    };
    let (_, shortest) = whole(&mut server, 0);
    let left = WHOLE_BYTES_OF_STRANGERS - shortest.len();
    server.known = false;
    let (status, longest) = whole(&mut server, left);
    assert_eq!((status, longest.len()), (200, WHOLE_BYTES_OF_STRANGERS));
    assert_eq!(whole(&mut server, left + 1).0, 413);
    server.known = true;
    assert_eq!(server.call("alice", Get, "ab", "").0, 200);
}

#[test]
fn c178_there_are_so_many_tags_shares_and_books() {
    let mut server = Server::new();
    let guid = server.guid("alice");
    let add = format!("ab/tag/add/{guid}");
    for tag in 0..BOOK_TAGS_MAX {
        server.done("alice", Post, &add, &format!(r#"{{"name":"{tag}"}}"#));
    }
    assert_eq!(server.refused("alice", Post, &add, r#"{"name":"more"}"#), 413);
    server.done("alice", Post, &add, r#"{"name":"0","color":3}"#);
    let names: Vec<_> = (0..=BOOK_TAGS_MAX).map(|tag| tag.to_string()).collect();
    let tags: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    server.done("alice", Post, "ab", &legacy(&tags[1..], &[]));
    assert_eq!(server.refused("alice", Post, "ab", &legacy(&tags, &[])), 413);

    server.obey(&BookCommand::Add("alice/x".into())).unwrap();
    let share = |with: String| BookCommand::Share("alice/x".into(), with, Some(Rule::Read));
    for user in 0..BOOK_SHARES_MAX {
        server.obey(&share(format!("user{user}"))).unwrap();
    }
    assert_eq!(server.obey(&share("more".into())), Err(Refusal::TooMany));
    server.obey(&share("user1".into())).unwrap();
    for (with, refusal) in [("", Refusal::NotAName), ("@", Refusal::NotAName)] {
        assert_eq!(server.obey(&share(with.into())), Err(refusal));
    }
    let personal = BookCommand::Share("alice".into(), "bob".into(), Some(Rule::Read));
    assert_eq!(server.obey(&personal), Err(Refusal::Personal));
    let unshare = BookCommand::Share("alice/x".into(), "nobody".into(), None);
    assert_eq!(server.obey(&unshare), Err(Refusal::NotShared));

    let mut server = Server::new();
    for user in 0..BOOKS_MAX {
        server.books.books.push(Book::new(&format!("{user:04}"), &user.to_string(), ""));
    }
    assert_eq!(server.books.books.len(), BOOKS_MAX);
    let mut changes = super::Changes::default();
    assert_eq!(
        server.books.obey(&BookCommand::Add("a".into()), &mut changes, &mut 0),
        Err(Refusal::TooMany)
    );
    assert!(changes.is_empty());
}

#[test]
fn c178_what_would_take_long_is_refused_before_it_does() {
    let mut server = Server::new();
    let many = |one: &str, len: usize| {
        let mut list = one.repeat(len / one.len() / 2);
        list.pop();
        list
    };
    // A book of as many entries, tags and colours as its bytes allow.
    let bytes = LIMITS.whole_bytes / 2;
    let peers = (0..bytes / 16).map(peer).collect::<Vec<_>>().join(",");
    let books = [
        format!(r#"{{"peers":[{peers}]}}"#),
        format!(
            r#"{{"tags":[{}]}}"#,
            (0..bytes / 10).map(|at| format!("\"{at}\"")).collect::<Vec<_>>().join(",")
        ),
        format!(r#"{{"tags":["a"],"tag_colors":"{}"}}"#, many("x ", bytes)),
        format!(r#"{{"peers":[{{"id":"1",{}}}]}}"#, many("\"a\":1,", bytes)),
    ];
    for book in books {
        let mut body = super::Writer::default();
        body.open('{');
        body.member("data", &book);
        body.close('}');
        let body = body.into_text();
        assert!(body.len() > LIMITS.whole_bytes / 16 && body.len() <= LIMITS.whole_bytes);
        assert_eq!(server.refused("alice", Post, "ab", &body), 413, "{}", book.split_at(40).0);
    }
}

#[test]
fn c178_rows_that_are_damaged_are_left_out() {
    let mut server = Server::new();
    let guid = server.shared("bob", Rule::Read);
    server.done("alice", Post, &format!("ab/peer/add/{guid}"), r#"{"id":"1","tags":["t"]}"#);
    server.done("alice", Post, &format!("ab/tag/add/{guid}"), r#"{"name":"t","color":1}"#);
    let mut left_out = 0;
    for (key, value) in &server.rows {
        for at in 0..value.len() {
            let mut books = Books::new(LIMITS, Seed(3, 4));
            let mut value = value.clone();
            value[at] ^= 0x20;
            for (other, own) in &server.rows {
                let value = if other == key { &value } else { own };
                left_out += usize::from(!books.load(name_of(other), Some(value)));
            }
        }
        for cut in 0..value.len() {
            assert!(!Books::new(LIMITS, Seed(3, 4)).load(name_of(key), Some(&value[..cut])));
        }
    }
    assert!(left_out > 50, "{left_out}");
    let mut books = Books::new(LIMITS, Seed(3, 4));
    for key in ["", "/", "1/2/3", "x/1"] {
        for value in [None, Some(&b""[..]), Some(b"\xff"), Some(b"{}")] {
            assert!(!books.load(key, value), "{key:?} {value:?}");
        }
    }
}

#[test]
fn c178_a_table_comes_back_as_it_was() {
    let mut server = Server::new();
    let guid = server.guid("alice");
    for peer in [
        r#"{"id":"1","alias":"=1+1","note":"a \"b\", c;\nd","tags":["x","y z"],"hash":"+a="}"#,
        r#"{"id":"2","alias":"'","hostname":"ä","forceAlwaysRelay":"true"}"#,
    ] {
        server.done("alice", Post, &format!("ab/peer/add/{guid}"), peer);
    }
    for tag in [r#"{"name":"x","color":1}"#, r#"{"name":"y z","color":2}"#] {
        server.done("alice", Post, &format!("ab/tag/add/{guid}"), tag);
    }
    let before = server.rows.clone();
    let Ok(BookTold::Entries(table)) =
        server.obey(&BookCommand::Export("alice".into(), false, None))
    else {
        panic!()
    };
    assert!(table.starts_with("id,alias,tags,note,"), "{table}");
    assert!(table.contains("\"'=1+1\",\"x;y z\",\"a \"\"b\"\", c;\nd\""), "{table}");
    let Ok(BookTold::Entries(json)) = server.obey(&BookCommand::Export(guid.clone(), true, None))
    else {
        panic!()
    };
    for text in [table, json] {
        let import = BookCommand::Import("alice".into(), text, true);
        assert_eq!(server.obey(&import), Ok(BookTold::Imported(2)));
        assert!(server.rows == before && server.written == 0);
        // Nothing stays of what came to an entry since.
        let since = r#"{"id":"2","note":"new","password":"p","tags":["x"],"same_server":true}"#;
        server.done("alice", Put, &format!("ab/peer/update/{guid}"), since);
        assert_eq!(server.obey(&import), Ok(BookTold::Imported(2)));
        assert!(server.rows == before);
        server.written = 0;
    }
    // As others write them.
    for (csv, count) in [
        ("\u{feff}ID;Alias;Tags\r\n7;\"Büro; 1\";a; \r\n", Err(Refusal::NotEntries)),
        ("\u{feff}ID;Alias;Tags\r\n7;\"Büro; 1\";\"a; b\"\r\n\r\n", Ok(BookTold::Imported(1))),
        ("id\n7", Ok(BookTold::Imported(1))),
        // As clients show it.
        ("id\n234 567 890", Ok(BookTold::Imported(1))),
        ("id,alias\n7\n8,\"\"\n", Ok(BookTold::Imported(2))),
        ("id,alias\n7,\"a", Err(Refusal::NotEntries)),
        ("id,alias\n7,\"a\"b\n", Err(Refusal::NotEntries)),
        ("name\n7\n", Err(Refusal::NoColumn)),
        ("alias\nx\n", Err(Refusal::NotAnEntry)),
        ("[{\"id\":5}]", Ok(BookTold::Imported(1))),
        ("[5]", Err(Refusal::NotAnEntry)),
    ] {
        let import = BookCommand::Import("alice".into(), csv.into(), false);
        assert_eq!(server.obey(&import), count, "{csv}");
    }
    let (_, whole) = server.call("alice", Get, "ab", "");
    assert!(whole.contains(r#"\"id\":\"234567890\""#), "{whole}");
    assert!(whole.contains("Büro; 1") && whole.contains(r#"\"a\",\"b\""#), "{whole}");
}

#[test]
fn c179_a_book_of_five_thousand_entries_is_one_change_and_an_edit_of_it_one_row() {
    let csv: String = (0..5_000)
        .map(|id| {
            format!(
                "{},Reception {id},office;floor 1,DESKTOP-{id},Windows,reception-{id}\n",
                10_000 + id
            )
        })
        .collect();
    let csv = ["id,alias,tags,hostname,platform,username\n", &csv].concat();
    let import = BookCommand::Import("alice".into(), csv, false);
    let mut server = Server::new();
    let guid = server.guid("alice");
    assert_eq!(server.obey(&import), Ok(BookTold::Imported(5_000)));
    assert_eq!(server.written, 5_001, "with its two tags");
    // A small router holds no message so long: an old client is told so.
    assert_eq!(server.refused("alice", Get, "ab", ""), 413);
    assert!(server.peers("alice", &guid).ends_with(r#""total":5000}"#));

    let mut other = Server::with(BookLimits { whole_bytes: 4 << 20, ..LIMITS });
    server.books.set_limits(BookLimits { whole_bytes: 4 << 20, ..LIMITS });
    let (_, whole) = server.call("alice", Get, "ab", "");
    other.done("alice", Post, "ab", &whole);
    assert_eq!((other.written, whole.len() > 900_000), (5_001, true), "one change, with the book");
    other.done("alice", Post, "ab", &whole.replacen("Reception 77", "Reception at 77", 1));
    assert_eq!(other.written, 1);
    let Ok(BookTold::Books(rows)) = other.obey(&BookCommand::List) else { panic!() };
    assert!(rows[0].bytes < 1280 * 1024, "{}", rows[0].bytes);
}

#[test]
fn c178_an_operator_takes_an_entry_out_reads_parts_and_names_a_book_anew() {
    let mut server = Server::new();
    for name in ["alice/x", "alice/y", "alice"] {
        server.obey(&BookCommand::Add(name.into())).unwrap();
    }
    let csv = (1000..1250).map(|id| format!("{id}\n")).collect::<String>();
    server.obey(&BookCommand::Import("alice/x".into(), "id\n".to_string() + &csv, false)).unwrap();
    let part = |server: &mut Server, after: &str| {
        let export = BookCommand::Export("alice/x".into(), false, Some(after.into()));
        let Ok(BookTold::Entries(table)) = server.obey(&export) else { panic!() };
        let ids = table.lines().skip(1).filter_map(|line| line.split(',').next()?.parse().ok());
        ids.collect::<Vec<u32>>()
    };
    assert_eq!(part(&mut server, ""), (1000..1100).collect::<Vec<_>>());
    assert_eq!(part(&mut server, "1199"), (1200..1250).collect::<Vec<_>>());
    assert_eq!(part(&mut server, "9"), []);
    let drop = |id: &str| BookCommand::Drop("alice/x".into(), id.into());
    assert_eq!(server.obey(&drop("1249")), Ok(BookTold::Done));
    assert_eq!(server.obey(&drop("1249")), Err(Refusal::NoEntry));
    assert_eq!(part(&mut server, "1247"), [1248]);
    let rename = |book: &str, name: &str| BookCommand::Rename(book.into(), name.into());
    for (book, name, refusal) in [
        ("alice/x", "y", Refusal::TakenName),
        ("alice/x", "", Refusal::NotAName),
        ("alice/x", "a\u{202e}b", Refusal::NotAName),
        ("alice", "z", Refusal::NotAName),
        ("alice/q", "z", Refusal::NoBook),
    ] {
        assert_eq!(server.obey(&rename(book, name)), Err(refusal), "{book} {name}");
    }
    assert_eq!(server.obey(&rename("alice/x", "Head office")), Ok(BookTold::Done));
    assert_eq!(server.obey(&rename("alice/Head office", "Head office")), Err(Refusal::TakenName));
    assert_eq!(server.obey(&BookCommand::Remove("alice/x".into())), Err(Refusal::NoBook));
    // A page that still shows one must not do to another what was meant for it.
    let mut made = || {
        server.obey(&BookCommand::Add("alice/new".into())).unwrap();
        let Ok(BookTold::Books(rows)) = server.obey(&BookCommand::List) else { panic!() };
        let guid = rows.into_iter().find(|row| row.name == "new").unwrap().guid;
        server.obey(&BookCommand::Remove(guid.clone())).unwrap();
        guid
    };
    assert_ne!(made(), made());
}
