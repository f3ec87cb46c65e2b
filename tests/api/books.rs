//! Address books through the doors of the real server: two users and one book, an old client and a
//! new one, operators' tables. C176 to C179.

use hbb_core::base::json::Value;

use crate::client::{Door, call, ctl, login};
use crate::model::server::Server;
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
    assert_eq!(anna.asked(&format!("ab/tags/{}", opened[0].0)), r#"[{"name":"t","color":7}]"#);

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
    ctl(&server, &import, &json).unwrap();
    assert_eq!(anna.open(), opened);
    for (text, word) in [("name\nx\n", "columns"), ("[1]", "without an ID"), ("\u{1}", "columns")] {
        assert!(ctl(&server, &import, text).unwrap_err().contains(word), "{text}");
    }
    assert!(ctl(&server, &["book", "export", "x"], "").unwrap_err().contains("no such address"));
}
