//! What a client does from its start to its end (protocol §9), with its paths, their order and
//! their quirks, by each of the three doors: a device that tells of itself, its user who logs in,
//! and two users with a book. C170, C176, C177, C192.

use std::net::{IpAddr, SocketAddr};
use std::thread;

use hbb_core::base::json::Value;

use crate::client::{Door, Told, call, ctl, login};
use crate::model::place::Place;
use crate::model::server::{Server, free_ports};
use crate::model::target::Target;
use crate::{FLAGS, PASSWORD};

/// Where the server is for those who call it by HTTP: on this machine they would be a proxy.
const AFAR: &str = "192.0.2.1";

/// What a device of `model::target` calls itself, in base 64.
const UUID: &str = "YSBkZXZpY2U=";

/// One client: its door, the id of its device, its user and the token.
struct Client<'a> {
    server: &'a Server,
    door: Door,
    id: String,
    token: String,
}

impl Client<'_> {
    fn told(&self, method: &str, path: &str, body: &str) -> Told {
        let token = Some(self.token.as_str()).filter(|token| !token.is_empty());
        call((self.server, self.door), (method, &format!("/api/{path}")), token, body)
    }

    /// What is answered with 200.
    fn asked(&self, method: &str, path: &str, body: &str) -> String {
        let told = self.told(method, path, body);
        assert_eq!(told.status, 200, "{:?} {path}: {}", self.door, told.body);
        told.body
    }

    /// A change: 200 and nothing, or clients show an error.
    fn done(&self, method: &str, path: &str, body: &str) {
        assert_eq!(self.asked(method, path, body), "", "{:?} {path}", self.door);
    }

    /// Of the device, which shows no token.
    fn device(&self, path: &str, rest: &str) -> String {
        let body = format!(r#"{{"id":"{}","uuid":"{UUID}"{rest}}}"#, self.id);
        let told = call((self.server, self.door), ("POST", &format!("/api/{path}")), None, &body);
        assert_eq!(told.status, 200, "{:?} {path}", self.door);
        told.body
    }

    /// At its start: it says that it is there, and what it is, as that is asked for.
    fn starts(&self) {
        let beat = r#","ver":1004090"#;
        assert_eq!(self.device("heartbeat", beat), r#"{"sysinfo":true}"#, "{:?}", self.door);
        let what = r#","version":"1.4.9","os":"Linux / Debian","cpu":"x","memory":"1GB",
            "hostname":"desk","username":"anna""#;
        assert_eq!(self.device("sysinfo", what), "SYSINFO_UPDATED");
        assert_eq!(self.device("heartbeat", beat), "{}");
    }

    /// The person logs in; the token is kept for all that follows, and for dials.
    fn logs_in(&mut self, user: &str) {
        self.asked("HEAD", "login-options", "");
        assert_eq!(self.asked("GET", "login-options", ""), "[]");
        let body = login(user, PASSWORD).replace("123456789", &self.id).replace("MTIz", UUID);
        let told = self.told("POST", "login", &body);
        assert_eq!(told.text("type"), "access_token");
        self.token = told.text("access_token");
        let who = format!(r#"{{"id":"{}","uuid":"{UUID}"}}"#, self.id);
        let user_object = self.asked("POST", "currentUser", &who);
        assert!(user_object.contains(&format!(r#"{{"name":"{user}","#)), "{user_object}");
        assert!(user_object.contains(r#""info":{}"#), "{user_object}");
    }

    /// The tab of address books: the guids of its own and of those that are shared with it.
    fn opens_books(&self) -> Vec<String> {
        let text = |value: Value<'_>| value.text_of("guid").unwrap().into_owned();
        let own = self.asked("POST", "ab/personal", "");
        let settings = self.asked("POST", "ab/settings", "");
        assert!(settings.starts_with(r#"{"max_peer_one_ab":"#), "{settings}");
        let profiles = self.asked("POST", "ab/shared/profiles?current=1&pageSize=100", "");
        let profiles = Value::parse(&profiles).unwrap();
        let shared = profiles.get("data").unwrap().items().map(text);
        let guids: Vec<_> = [text(Value::parse(&own).unwrap())].into_iter().chain(shared).collect();
        for guid in &guids {
            assert!(self.book(guid).ends_with('}'));
            assert!(self.asked("POST", &format!("ab/tags/{guid}"), "").starts_with('['));
        }
        guids
    }

    fn book(&self, guid: &str) -> String {
        self.asked("POST", &format!("ab/peers?current=1&pageSize=100&ab={guid}"), "")
    }

    /// The tab of accessible devices.
    fn opens_devices(&self) {
        let list = |path: &str| {
            let whole = format!("{path}?current=1&pageSize=100&accessible=&status=1");
            let said = self.asked("GET", &whole, "");
            assert!(said.contains(r#""total":"#) && said.contains(r#""data":["#), "{said}");
            said
        };
        assert!(list("users").contains(r#""is_admin":false"#));
        assert!(list("peers").contains(&format!(r#""id":"{}""#, self.id)));
        list("device-group/accessible");
    }

    /// Everything that may be done to a book, and all of it undone but one entry.
    fn edits(&self, guid: &str) {
        self.done("POST", &format!("ab/tag/add/{guid}"), r#"{"name":"a","color":4278190335}"#);
        self.done("PUT", &format!("ab/tag/rename/{guid}"), r#"{"old":"a","new":"b"}"#);
        self.done("PUT", &format!("ab/tag/update/{guid}"), r#"{"name":"b","color":7}"#);
        let tags = self.asked("POST", &format!("ab/tags/{guid}"), "");
        assert_eq!(tags, r#"[{"name":"b","color":7}]"#);
        for id in [&self.id, "extra"] {
            let peer =
                format!(r#"{{"id":"{id}","hash":"","tags":["b"],"alias":"Desk","note":""}}"#);
            self.done("POST", &format!("ab/peer/add/{guid}"), &peer);
        }
        let update = format!(r#"{{"id":"{}","alias":"My desk"}}"#, self.id);
        self.done("PUT", &format!("ab/peer/update/{guid}"), &update);
        self.done("DELETE", &format!("ab/peer/{guid}"), r#"["extra"]"#);
        self.done("DELETE", &format!("ab/tag/{guid}"), r#"["b"]"#);
        let book = self.book(guid);
        assert!(book.contains(r#""alias":"My desk""#) && !book.contains("extra"), "{book}");
    }

    /// As clients before address books were several.
    fn edits_as_of_old(&self) {
        assert!(self.asked("GET", "ab", "").starts_with(r#"{"data":"{"#));
        let data = r#"{\"tags\":[],\"peers\":[{\"id\":\"old\"}],\"tag_colors\":\"{}\"}"#;
        self.done("POST", "ab", &format!(r#"{{"data":"{data}"}}"#));
        assert!(self.asked("GET", "ab", "").contains(r#"\"id\":\"old\""#));
    }

    /// Somebody is connected to the device, directly, sends a file, and goes.
    fn is_connected_to(&self) {
        let conn = |rest: &str| self.device("audit/conn", &format!(r#","conn_id":7,{rest}"#));
        assert_eq!(conn(r#""ip":"127.0.0.1","action":"new""#), "");
        assert_eq!(conn(r#""peer":["987654321","Otto"],"type":0"#), "");
        assert_eq!(self.device("heartbeat", r#","conns":[7],"modified_at":0"#), "{}");
        let file = r#","peer_id":"987654321","conn_id":7,"type":0,"path":"/x","is_file":true,
            "info":"{\"num\":1,\"files\":[[\"x\",1]]}""#;
        assert_eq!(self.device("audit/file", file), "");
        assert_eq!(self.device("audit/alarm", r#","typ":1,"info":"{\"ip\":\"127.0.0.1\"}""#), "");
        assert_eq!(conn(r#""action":"close""#), "");
    }

    fn logs_out(&mut self) {
        let who = format!(r#"{{"id":"{}","uuid":"{UUID}"}}"#, self.id);
        self.done("POST", "logout", &who);
        for (method, path) in [("POST", "currentUser"), ("POST", "ab/personal"), ("GET", "users")] {
            assert_eq!(self.told(method, path, &who).status, 401, "{:?} {path}", self.door);
        }
        self.token.clear();
    }
}

/// Where somebody is, and by which door.
type Way = (IpAddr, Door);

/// Two users of their own, each with a device, and a book.
fn a_day((server, place): (&Server, &Place), number: usize, ways: [Way; 2]) {
    let users = [format!("anna{number}"), format!("bert{number}")];
    for user in &users {
        ctl(server, &["user", "add", user], &format!("{PASSWORD}\n")).unwrap();
    }
    let named = format!("{}/Office", users[0]);
    ctl(server, &["book", "add", &named], "").unwrap();
    ctl(server, &["book", "share", &named, &users[1], "write"], "").unwrap();
    let ids: [String; 2] = std::array::from_fn(|user| format!("1234567{number}{user}"));
    let register = |user: usize| {
        let at = SocketAddr::new(ways[user].0, server.port);
        Target::register(&place.host(&ways[user].0.to_string()), at, &ids[user], &server.key())
    };
    let _devices = [register(0), register(1)];
    let client = |user: usize| Client {
        server,
        door: ways[user].1,
        id: ids[user].clone(),
        token: String::new(),
    };
    let mut clients = [client(0), client(1)];
    for (client, user) in clients.iter_mut().zip(&users) {
        client.starts();
        client.logs_in(user);
    }
    let [mut anna, mut bert] = clients;
    let (of_anna, of_bert) = (anna.opens_books(), bert.opens_books());
    assert_eq!((of_anna.len(), of_bert.len()), (2, 2));
    assert_ne!(of_anna[0], of_bert[0]);
    assert_eq!(of_anna[1], of_bert[1], "the book they share");
    anna.edits(&of_anna[0]);
    // What one writes the other reads, and the other way round.
    anna.edits(&of_anna[1]);
    assert_eq!(bert.book(&of_bert[1]), anna.book(&of_anna[1]));
    bert.edits(&of_bert[1]);
    let both = anna.book(&of_anna[1]);
    assert!(ids.iter().all(|id| both.contains(&format!(r#""id":"{id}""#))), "{both}");
    anna.opens_devices();
    anna.edits_as_of_old();
    anna.is_connected_to();
    anna.logs_out();
    assert!(bert.book(&of_bert[1]).contains(&ids[0]), "of no concern to the other");
    bert.logs_out();
}

#[test]
fn c170_a_client_s_whole_day_goes_by_each_of_the_three_doors() {
    let place = Place::new("day", &[AFAR]);
    place.host(AFAR).enter();
    let port = free_ports();
    let api = port.to_string();
    let start = |flags: &[&str]| Server::start_behind(&place.prefix(), &[FLAGS, flags].concat());
    let server = start(&["--api", &api]);
    let single = start(&["--single-port", "--public", AFAR]);
    let (near, afar) = ("127.0.0.1".parse().unwrap(), AFAR.parse().unwrap());
    let sealed = (near, Door::Sealed);
    let by_port = (afar, Door::Afar(afar, port));
    let by_single_port = (afar, Door::Afar(afar, single.port));
    thread::scope(|scope| {
        for (number, server, ways) in [
            (0, &server, [sealed, by_port]),
            (1, &server, [by_port, by_port]),
            (2, &single, [by_single_port, by_single_port]),
        ] {
            let place = &place;
            scope.spawn(move || {
                place.host(AFAR).enter();
                a_day((server, place), number, ways);
            });
        }
    });
    let told = |server| ctl(server, &["--json", "log"], "").unwrap();
    let reported = told(&server) + &told(&single);
    assert_eq!(reported.matches(r#""by_name":"Otto""#).count(), 3, "{reported}");
}
