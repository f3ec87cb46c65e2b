//! Address books through the doors of the real server: two users and one book, an old client and a
//! new one, operators' tables. C176 to C179, C219.

use hbb_core::base::json::Value;

use crate::client::{Door, call, ctl, login};
use crate::model::host::Host;
use crate::model::server::{Server, free_ports};
use crate::model::target::Target;
use crate::{PASSWORD, with_anna};

/// Somebody who is logged in.
struct User<'a> {
    server: &'a Server,
    door: Door,
    token: String,
}

impl<'a> User<'a> {
    fn new(server: &'a Server, door: Door, name: &str) -> Self {
        let answer = call((server, door), ("POST", "/api/login"), None, &login(name, PASSWORD));
        assert_eq!(answer.status, 200, "{answer:?}");
        Self { server, door, token: answer.text("access_token") }
    }

    fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let path = format!("/api/{path}");
        let told = call((self.server, self.door), (method, &path), Some(&self.token), body);
        (told.status, told.body)
    }

    fn asked(&self, path: &str) -> String {
        let (status, body) = self.call("POST", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn done(&self, method: &str, path: &str, body: &str) {
        assert_eq!(self.call(method, path, body), (200, String::new()), "{path}");
    }

    /// What a new client does when its address books are opened (protocol §9.4): the guids of its
    /// own and of those that are shared with it, each with its peers.
    fn open(&self) -> Vec<(String, String)> {
        let text_of = |value: Value<'_>, name| value.text_of(name).unwrap().into_owned();
        let own = self.asked("ab/personal");
        let mut guids = vec![text_of(Value::parse(&own).unwrap(), "guid")];
        let settings = self.asked("ab/settings");
        let most = Value::parse(&settings).unwrap().get("max_peer_one_ab");
        assert!(most.and_then(Value::number) > Some(0), "{settings}");
        let profiles = self.asked("ab/shared/profiles?current=1&pageSize=100");
        let profiles = Value::parse(&profiles).unwrap();
        guids.extend(profiles.get("data").unwrap().items().map(|book| text_of(book, "guid")));
        let opened = guids.into_iter().map(|guid| {
            let peers = self.asked(&format!("ab/peers?current=1&pageSize=100&ab={guid}"));
            assert!(self.asked(&format!("ab/tags/{guid}")).starts_with('['));
            (guid, peers)
        });
        opened.collect()
    }
}

fn with_both(flags: &[&str]) -> Server {
    let server = with_anna(flags);
    ctl(&server, &["user", "add", "bert"], &format!("{PASSWORD}\n")).unwrap();
    server
}

#[test]
fn c177_two_users_share_a_book_by_each_door_and_a_restart_keeps_it() {
    let port = crate::model::server::free_ports();
    let mut server = with_both(&["--api", &port.to_string()]);
    let said = |words: &[&str]| ctl(&server, words, "");
    assert_eq!(said(&["book", "add", "anna/Office"]), Ok("Done.\n".into()));
    assert!(said(&["book", "add", "nobody/x"]).unwrap_err().contains("no such user"));
    assert!(
        said(&["book", "share", "anna/Office", "bert", "all"]).unwrap_err().contains("must be")
    );
    let at = Door::Http(i32::from(port) - i32::from(server.port));
    let (anna, bert) = (User::new(&server, Door::Sealed, "anna"), User::new(&server, at, "bert"));
    assert_eq!((anna.open().len(), bert.open().len()), (2, 1));
    let office = anna.open()[1].0.clone();
    let add = format!("ab/peer/add/{office}");
    for (rule, may_write) in [("read", false), ("write", true), ("full", true)] {
        said(&["book", "share", "anna/Office", "bert", rule]).unwrap();
        let peer = format!(r#"{{"id":"555{rule}","alias":"{rule}","tags":["t"]}}"#);
        match may_write {
            true => bert.done("POST", &add, &peer),
            false => assert_eq!(bert.call("POST", &add, &peer).0, 403),
        }
        assert_eq!(bert.open()[1].1.contains(&format!("555{rule}")), may_write);
    }
    assert_eq!(anna.open()[1], bert.open()[1], "both see the same");
    assert_eq!(call((&server, at), ("POST", "/api/ab/personal"), None, "").status, 401);

    let (before, token) = (anna.open(), anna.token.clone());
    server.kill_and_restart();
    let anna = User { server: &server, door: Door::Sealed, token };
    assert_eq!(anna.open(), before);
    ctl(&server, &["user", "remove", "bert"], "").unwrap();
    let listed = ctl(&server, &["--json", "book", "list"], "").unwrap();
    assert!(listed.contains(r#""shares":"""#) && !listed.contains("bert"), "{listed}");
}

#[test]
fn c179_an_old_client_a_new_one_and_tables_are_one_book() {
    let server = with_anna(&[]);
    let anna = User::new(&server, Door::Sealed, "anna");
    let data =
        r#"{\"tags\":[\"t\"],\"peers\":[{\"id\":\"111\",\"alias\":\"=1\",\"tags\":[\"t\"]}],"#;
    let book = format!(r#"{{"data":"{data}\"tag_colors\":\"{{\\\"t\\\":7}}\"}}"}}"#);
    anna.done("POST", "ab", &book);
    let opened = anna.open();
    assert!(opened[0].1.contains(r#"{"id":"111","alias":"=1","tags":["t"],"#), "{opened:?}");
    let tags = format!("ab/tags/{}", opened[0].0);
    assert_eq!(anna.asked(&tags), r#"[{"name":"t","color":7}]"#);

    let table = ctl(&server, &["book", "export", "anna"], "").unwrap();
    assert!(table.starts_with("id,alias,tags,") && table.contains("111,\"'=1\",t,"), "{table}");
    let json = ctl(&server, &["--json", "book", "export", "anna"], "").unwrap();
    assert_eq!(json, "{\"entries\":[{\"id\":\"111\",\"alias\":\"=1\",\"tags\":[\"t\"]}]}\n");
    // Some go in as they go out, and an old client still gets them whole.
    let rows: String = (0..200).map(|id| format!("{},Room {id}\n", 2_000 + id)).collect();
    let import = ["book", "import", "--replace", "anna"];
    let said = ctl(&server, &import, &["id,alias\n", &rows].concat()).unwrap();
    assert_eq!(said, "Entries that were read: 200.\n");
    let (status, whole) = anna.call("GET", "ab", "");
    assert!(status == 200 && whole.contains(r#"\"alias\":\"Room 199\""#), "{status}");
    assert!(anna.open()[0].1.ends_with(r#""total":200}"#));
    // Where no device of ours is, an answer is no longer than a frame, and one that would be is
    // refused with a sentence.
    let rows: String = (0..1_000).map(|id| format!("{},Room {id}\n", 2_000 + id)).collect();
    ctl(&server, &import, &["id,alias\n", &rows].concat()).unwrap();
    let (status, said) = anna.call("GET", "ab", "");
    assert!(status == 413 && said.contains("too large"), "{status} {said}");
    assert!(anna.open()[0].1.ends_with(r#""total":1000}"#));
    // An id that a script left empty is none of them, and not the book.
    for none in ["", " ", "\u{a0}"] {
        let said = ctl(&server, &["book", "remove", "anna", none], "").unwrap_err();
        assert!(said.contains("no such device"), "{said}");
    }
    let rows: String = (0..100).map(|id| format!("{id},{}\n", "x".repeat(1_900))).collect();
    ctl(&server, &import, &["id,note\n", &rows].concat()).unwrap();
    let page = format!("ab/peers?current=1&pageSize=100&ab={}", opened[0].0);
    let (status, said) = anna.call("POST", &page, "");
    assert!(status == 413 && said.contains("no memory"), "{status} {said}");
    // A client lists the tags that it is told, which tables name with their entries alone.
    ctl(&server, &import, &format!("id,tags\n500,u;t;u\n600,u;{}\n", "x".repeat(129))).unwrap();
    let grey = 0xff60_7d8b_u32;
    let told = format!(r#"[{{"name":"t","color":7}},{{"name":"u","color":{grey}}}]"#);
    assert_eq!(anna.asked(&tags), told);
    ctl(&server, &import, &json).unwrap();
    assert_eq!(anna.open(), opened);
    for (text, word) in [
        ("name\nx\n", "columns"),
        ("[1]", "Entry 1: A device without an ID"),
        ("\u{1}", "columns"),
        // One entry alone, and no list of them: with --replace nothing would be left.
        ("{}", "no entries"),
        (r#"{"id":"1"}"#, "no entries"),
        ("id,alias\n1,\n\n\"2\",\n3,4,5\n", "Entry 3: These are no entries"),
        (r#"[{"id":"1"},{"id":"2"},{"alias":"x"}]"#, "Entry 3: A device without an ID"),
    ] {
        let said = ctl(&server, &import, text).unwrap_err();
        assert!(said.contains(word), "{text}: {said}");
    }
    assert_eq!(anna.open(), opened);
    assert!(ctl(&server, &["book", "export", "x"], "").unwrap_err().contains("no such address"));
}

/// What the person reads: clients show `error`, whatever the call.
#[test]
fn c219_each_change_that_a_rule_does_not_allow_is_refused_with_a_sentence() {
    let port = free_ports();
    let server = with_both(&["--api", &port.to_string()]);
    let at = Door::Http(i32::from(port) - i32::from(server.port));
    let said = |words: &[&str]| ctl(&server, words, "").unwrap();
    said(&["book", "add", "anna/Office"]);
    said(&["user", "set", "bert", "group=sales"]);
    let (anna, bert) = (User::new(&server, at, "anna"), User::new(&server, at, "bert"));
    let office = anna.open()[1].0.clone();
    anna.done("POST", &format!("ab/peer/add/{office}"), r#"{"id":"111","tags":["t"]}"#);
    anna.done("POST", &format!("ab/tag/add/{office}"), r#"{"name":"t","color":7}"#);
    let changes = [
        ("POST", "peer/add", r#"{"id":"555"}"#),
        ("PUT", "peer/update", r#"{"id":"111","alias":"x"}"#),
        ("DELETE", "peer", r#"["555"]"#),
        ("POST", "tag/add", r#"{"name":"v","color":8}"#),
        ("PUT", "tag/update", r#"{"name":"t","color":9}"#),
        ("PUT", "tag/rename", r#"{"old":"t","new":"u"}"#),
        ("DELETE", "tag", r#"["v"]"#),
    ];
    let all = |status: u16, said: &str| {
        for (method, what, body) in changes {
            let told = bert.call(method, &format!("ab/{what}/{office}"), body);
            let wanted =
                if said.is_empty() { "".into() } else { format!(r#"{{"error":"{said}"}}"#) };
            assert_eq!(told, (status, wanted), "{method} {what}");
        }
    };
    let (none, read) = ("There is no such address book.", "You may only read this address book.");
    all(404, none);
    for path in [format!("ab/peers?ab={office}"), format!("ab/tags/{office}")] {
        assert_eq!(bert.call("POST", &path, "").0, 404, "{path}");
    }
    said(&["book", "share", "anna/Office", "@sales", "read"]);
    all(403, read);
    assert!(bert.open()[1].1.contains(r#""id":"111""#));
    // Of what the user may and what the group may, more counts.
    said(&["book", "share", "anna/Office", "bert", "write"]);
    all(200, "");
    anna.done("PUT", &format!("ab/tag/rename/{office}"), r#"{"old":"u","new":"t"}"#);
    said(&["book", "unshare", "anna/Office", "bert"]);
    all(403, read);
    said(&["book", "share", "anna/Office", "@sales", "full"]);
    all(200, "");
    said(&["user", "set", "bert", "group="]);
    all(404, none);
}

/// As an old client says it.
fn whole(peers: usize, bytes: usize) -> String {
    let peer = |at: usize| {
        format!(
            r#"{{"id":"{}","username":"user{at}","hostname":"host-{at}","platform":"Windows",
            "alias":"Room {at}","tags":["t"],"hash":"{at:044}"}}"#,
            100_000_000 + at
        )
        .replace("\n            ", "")
    };
    let peers: Vec<_> = (0..peers).map(peer).collect();
    let data = format!(r#"{{"tags":["t"],"peers":[{}],"tag_colors":"{{}}"}}"#, peers.join(","));
    let data = data.replace('\\', "\\\\").replace('"', "\\\"");
    let body = format!(r#"{{"data":"{data}"}}"#);
    assert!(body.len() <= bytes, "{}", body.len());
    body
}

#[test]
fn c219_a_whole_book_goes_both_ways_up_to_its_cap_and_above_is_refused() {
    const CAP: usize = 256 * 1024;
    let port = free_ports();
    // This machine is no proxy here, so that a device of ours is where calls come from.
    let flags = ["--api", &port.to_string(), "--trusted-proxies", "192.0.2.1"];
    let server = with_anna(&flags);
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], server.port));
    let _target = Target::register(&Host::local("127.0.0.1"), at, "123456789", &server.key());
    let by_http = Door::Http(i32::from(port) - i32::from(server.port));
    let anna = User::new(&server, by_http, "anna");
    let full = whole(1_300, CAP);
    anna.done("POST", "ab", &(full.clone() + &" ".repeat(CAP - full.len())));
    let (status, got) = anna.call("GET", "ab", "");
    assert!(status == 200 && got.contains("Room 1299") && got.len() <= CAP, "{status}");
    let (status, said) =
        anna.call("POST", "ab", &(full.clone() + &" ".repeat(CAP + 1 - full.len())));
    assert!(status == 413 && said.contains(r#""error":"#), "{status} {said}");
    // Sealed it is one message, and no client that calls so sends a whole book.
    let sealed = User { server: &server, door: Door::Sealed, token: anna.token.clone() };
    assert_eq!(sealed.call("GET", "ab", ""), (200, got));
    sealed.done("POST", "ab", &whole(250, 60 * 1024));
    assert!(anna.open()[0].1.ends_with(r#""total":250}"#));
}

/// Longer than what others hold in a connection, and for administrators alone.
#[test]
fn c197_a_long_list_reaches_the_page_whole() {
    let port = free_ports();
    let server = with_anna(&["--web", &format!("127.0.0.1:{port}")]);
    ctl(&server, &["user", "set", "anna", "admin=yes"], "").unwrap();
    let anna = User::new(&server, Door::Sealed, "anna");
    anna.asked("ab/personal");
    let rows: String = (0..3_000).map(|id| format!("{},Room {id}\n", 2_000 + id)).collect();
    ctl(&server, &["book", "import", "anna"], &["id,alias\n", &rows].concat()).unwrap();
    let body = r#"["book","export","anna"]"#;
    let head = format!(
        "POST /ctl HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Hbb: 1\r\nCookie: hbb-session={}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        anna.token,
        body.len()
    );
    let said = crate::client::raw(port, head.as_bytes());
    assert!(said.len() > 90_000 && said.contains("Room 2999"), "{} bytes", said.len());
}
