//! The API of accounts: a modelled client's calls by each door of the real server, and the pure
//! machine at its bounds. C78 to C80, C165-C174.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::string_slice)] // a test may panic, anywhere in it
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock")]

mod books;
mod bounds;
#[path = "../sim/chance.rs"]
mod chance;
mod client;
mod day;
mod logins;
mod longest;
mod machine;
#[path = "../model/mod.rs"]
mod model;
#[path = "../conformance/say.rs"]
mod say;

use client::{Door, call, ctl, login, raw};
use model::server::Server;
use say::take;

const PASSWORD: &str = "correct horse battery";
/// Of a password that is checked fast.
const FLAGS: &[&str] = &["--accounts", "--password-memory", "4"];

fn is_long() -> bool {
    std::env::var_os("HBB_LONG").is_some()
}

fn with_anna(flags: &[&str]) -> Server {
    let server = Server::start(&[FLAGS, flags].concat());
    let said = ctl(&server, &["user", "add", "anna"], &format!("{PASSWORD}\n")).unwrap();
    assert_eq!(said, "The user was added.\n");
    server
}

/// What a client does from its start to its end (protocol §9.3).
fn a_session(server: &Server, door: Door) {
    let at = (server, door);
    let options = call(at, ("GET", "/api/login-options"), None, "");
    assert_eq!((options.status, &*options.body), (200, "[]"), "{door:?}");
    let head = call(at, ("HEAD", "/api/login-options"), None, "");
    assert_eq!(head.status, 200, "{door:?}");
    let wrong = call(at, ("POST", "/api/login"), None, &login("anna", "wrong horse battery"));
    assert_eq!((wrong.status, &*wrong.text("error")), (200, "Wrong credentials"), "{door:?}");
    let answer = call(at, ("POST", "/api/login"), None, &login("anna", PASSWORD));
    assert_eq!((answer.status, &*answer.text("type")), (200, "access_token"), "{door:?}");
    assert!(answer.body.contains(r#""user":{"name":"anna","display_name":"","#), "{answer:?}");
    let token = answer.text("access_token");
    let who = r#"{"id":"123456789","uuid":"MTIz"}"#;
    let user = call(at, ("POST", "/api/currentUser"), Some(&token), who);
    assert_eq!((user.status, &*user.text("name")), (200, "anna"), "{door:?}");
    assert!(user.body.contains(r#""status":1,"is_admin":false,"info":{}"#), "{user:?}");
    assert_eq!(call(at, ("POST", "/api/currentUser"), None, who).status, 401, "{door:?}");
    assert_eq!(call(at, ("GET", "/api/nothing"), Some(&token), "").status, 404, "{door:?}");
    let out = call(at, ("POST", "/api/logout"), Some(&token), who);
    assert_eq!((out.status, &*out.body), (200, ""), "{door:?}");
    assert_eq!(call(at, ("POST", "/api/currentUser"), Some(&token), who).status, 401, "{door:?}");
}

#[test]
fn c078_login_options_are_told_to_everybody() {
    let server = with_anna(&[]);
    let told = call((&server, Door::Sealed), ("GET", "/api/login-options"), Some("none"), "");
    assert_eq!((told.status, &*told.body), (200, "[]"));
}

/// Clients take anything but nothing for an error of their book.
#[test]
fn c079_a_login_gives_a_token_and_changes_of_a_book_are_answered_with_nothing() {
    let server = with_anna(&[]);
    let asked = |token: Option<&str>, method: &str, path: &str, body: &str| {
        call((&server, Door::Sealed), (method, &format!("/api/{path}")), token, body)
    };
    let user = r#"{"id":"123456789","uuid":"MTIz"}"#;
    for no_token in [None, Some("none"), Some("")] {
        assert_eq!(asked(no_token, "POST", "currentUser", user).status, 401, "{no_token:?}");
        assert_eq!(asked(no_token, "POST", "ab", r#"{"data":"{}"}"#).status, 401, "{no_token:?}");
    }
    let token = asked(None, "POST", "login", &login("anna", PASSWORD)).text("access_token");
    let with_token = |method: &str, path: &str, body: &str| {
        let told = asked(Some(&token), method, path, body);
        assert_eq!(told.status, 200, "{method} {path}: {}", told.body);
        told
    };
    assert_eq!(with_token("POST", "currentUser", user).text("name"), "anna");
    let guid = with_token("POST", "ab/personal", "").text("guid");
    for (method, path, body) in [
        ("POST", "ab/tag/add/GUID", r#"{"name":"a","color":7}"#),
        ("PUT", "ab/tag/update/GUID", r#"{"name":"a","color":8}"#),
        ("PUT", "ab/tag/rename/GUID", r#"{"old":"a","new":"b"}"#),
        ("POST", "ab/peer/add/GUID", r#"{"id":"123456789","tags":["b"]}"#),
        ("PUT", "ab/peer/update/GUID", r#"{"id":"123456789","alias":"Desk"}"#),
        ("DELETE", "ab/tag/GUID", r#"["b"]"#),
        ("DELETE", "ab/peer/GUID", r#"["123456789"]"#),
        ("POST", "ab", r#"{"data":"{\"tags\":[],\"peers\":[]}"}"#),
    ] {
        assert_eq!(with_token(method, &path.replace("GUID", &guid), body).body, "", "{path}");
    }
}

#[test]
fn c080_a_client_s_calls_go_over_the_sealed_channel() {
    let server = with_anna(&[]);
    a_session(&server, Door::Sealed);
    assert!(server.log().contains("info user-logged-in user=anna from=127.0.0.1"));
    assert!(server.log().contains("warn login-failed from=127.0.0.1 user=anna"));
}

#[test]
fn c170_a_client_s_calls_go_by_http_and_on_the_single_port() {
    let port = model::server::free_ports();
    let api = port.to_string();
    let server = with_anna(&["--api", &api]);
    let at = i32::from(port) - i32::from(server.port);
    a_session(&server, Door::Http(at));
    // A browser asks first whether a page of another origin may.
    let may = raw(port, b"OPTIONS /api/login HTTP/1.1\r\nOrigin: https://x\r\n\r\n");
    assert!(may.starts_with("HTTP/1.1 204 No Content\r\n"), "{may}");
    assert!(may.contains("\r\nAccess-Control-Allow-Headers: Authorization, Content-Type\r\n"));
    let single = with_anna(&["--single-port", "--public", "127.0.0.1"]);
    a_session(&single, Door::Http(0));
    a_session(&single, Door::Sealed);
}

/// Where nobody listens a client calls over P; a 404 would be its last word.
#[test]
fn c170_without_a_port_of_its_own_nobody_says_that_there_is_no_api() {
    let server = with_anna(&[]);
    let closed = std::net::TcpStream::connect(("127.0.0.1", server.port - 2));
    assert!(closed.is_err());
    let without = Server::start(&[]);
    let told = raw(without.port - 2, b"GET /api/login-options HTTP/1.1\r\n\r\n");
    assert!(told.starts_with("HTTP/1.1 404 "), "{told}");
    let told = call((&without, Door::Sealed), ("GET", "/api/login-options"), None, "");
    assert_eq!(told.status, 404);
    assert!(ctl(&without, &["user", "list"], "").unwrap_err().contains("--accounts"));
}

const TARGET: &str = "987654321";
const LOG_IN: &str = "This server connects only users who are logged in.";

/// What a person reads who dials, and who asks for a relay.
fn dialled(server: &Server, token: &str) -> [String; 2] {
    let ask = |payload: &[u8]| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        model::wire::send(&mut stream, payload).unwrap();
        model::wire::receive(&mut stream).unwrap()
    };
    let punch = say::punch(TARGET, |punch| {
        punch.token = token.into();
        punch.access_key = server.key();
    });
    let punch = take!(&ask(&punch), PunchHoleResponse);
    let relay = say::proto::RequestRelay {
        id: TARGET.into(),
        uuid: "a-session".into(),
        relay_server: "127.0.0.1".into(),
        token: token.into(),
        ..Default::default()
    };
    let relay = ask(&say::payload(say::Body::RequestRelay(relay)));
    [punch.other_failure, take!(&relay, RelayResponse).refuse_reason]
}

#[test]
fn c172_who_is_not_logged_in_reads_that_and_may_connect_once_logged_in() {
    let server = with_anna(&["--must-login"]);
    for token in ["", "no token"] {
        let [punch, relay] = dialled(&server, token);
        assert!(punch.starts_with(LOG_IN) && relay.starts_with(LOG_IN), "{punch:?} {relay:?}");
    }
    let answer =
        call((&server, Door::Sealed), ("POST", "/api/login"), None, &login("anna", PASSWORD));
    let [punch, relay] = dialled(&server, &answer.text("access_token"));
    // Nobody is registered there, so that the dial was in vain; it was heard all the same.
    assert_eq!((&*punch, &*relay), ("", "Your address changed, try again"));
    ctl(&server, &["user", "disable", "anna"], "").unwrap();
    let [punch, _] = dialled(&server, &answer.text("access_token"));
    assert!(punch.starts_with(LOG_IN), "{punch:?}");
    assert!(ctl(&server, &["status"], "").unwrap().contains("denied"));
}

/// Whoever takes the store away has no password and no token.
#[test]
fn c173_a_stolen_store_yields_neither_password_nor_token() {
    let mut server = with_anna(&[]);
    let answer =
        call((&server, Door::Sealed), ("POST", "/api/login"), None, &login("anna", PASSWORD));
    let token = answer.text("access_token");
    let secret = say::unhex(&token);
    assert_eq!(secret.len(), 32);
    server.kill();
    let store = std::fs::read(server.data().join("hbb.store")).unwrap();
    let has = |part: &[u8]| store.windows(part.len()).any(|found| found == part);
    assert!(has(b"anna") && has(b"123456789"), "it is there at all");
    for part in [PASSWORD.as_bytes(), b"battery", token.as_bytes(), &token.as_bytes()[..16]] {
        assert!(!has(part), "{:?}", String::from_utf8_lossy(part));
    }
    assert!(!has(&secret[..8]) && !has(&secret[24..]));
    // It is good for the server all the same, and in what is salvaged of the store.
    let data = server.data().to_owned();
    let mut salvage = std::process::Command::new(env!("CARGO_BIN_EXE_hbb"));
    let ended = salvage.args(["store", "salvage", "--data"]).arg(&data).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    std::fs::rename(data.join("hbb.store.salvaged"), data.join("hbb.store")).unwrap();
    server.restart();
    let user = call((&server, Door::Sealed), ("POST", "/api/currentUser"), Some(&token), "{}");
    assert_eq!((user.status, &*user.text("name")), (200, "anna"));
}

#[test]
fn c174_a_request_is_bounded_and_refused_with_its_status() {
    let port = model::server::free_ports();
    let server = with_anna(&["--api", &format!("127.0.0.1:{port}")]);
    let status = |head: &str, body: &[u8]| {
        let said = raw(port, &[head.as_bytes(), body].concat());
        said.split(' ').nth(1).map(str::to_owned)
    };
    let post = |lines: &str| format!("POST /api/login HTTP/1.1\r\n{lines}\r\n");
    assert_eq!(status("GET /\r\n\r\n", b"").as_deref(), Some("400"));
    assert_eq!(status(&post("Transfer-Encoding: chunked\r\n"), b"").as_deref(), Some("411"));
    let large = [b' '; 70_000];
    assert_eq!(status(&post("Content-Length: 70000\r\n"), &large).as_deref(), Some("413"));
    assert_eq!(status(&post("Content-Length: 9000000\r\n"), b"").as_deref(), Some("413"));
    assert_eq!(status(&post("Content-Length: 3\r\n"), b"{x}").as_deref(), Some("400"));
    let endless = format!("GET /{} HTTP/1.1\r\n", "x".repeat(10_000));
    assert_eq!(raw(port, endless.as_bytes()), "", "closed without a word");
    assert_eq!(call((&server, Door::Sealed), ("GET", "/"), None, "").status, 404);
    // The password comes by stdin and within its bounds.
    let add = |user: &str, line: &str| ctl(&server, &["user", "add", user], line).unwrap_err();
    assert!(add("bert", "short\n").contains("8 to 256"));
    assert!(add("bert", &"x".repeat(300)).contains("8 to 256"));
    assert!(add("bert", "").contains("Cannot read the password"));
    let typed = ctl(&server, &["user", "add", "bert", "long enough"], "");
    assert!(typed.unwrap_err().contains("There is no such command"));
}

/// Taken while the server runs, and once more of what was restored, by nobody's help.
#[test]
fn c173_a_backup_takes_users_and_logins_along() {
    let server = with_anna(&[]);
    let at = (&server, Door::Sealed);
    let token =
        call(at, ("POST", "/api/login"), None, &login("anna", PASSWORD)).text("access_token");
    let hbb = |words: &[&str]| {
        let ended = std::process::Command::new(env!("CARGO_BIN_EXE_hbb")).args(words).output();
        let ended = ended.unwrap();
        assert!(ended.status.success(), "{words:?}: {ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    };
    let data = server.data().to_str().unwrap();
    let (first, second) = (format!("{data}/first"), format!("{data}/second"));
    let said = hbb(&["backup", &first, "--data", data]);
    assert!(said.contains("0 devices, and the accounts."), "{said}");
    let backup = std::fs::read_to_string(&first).unwrap();
    assert!(backup.contains("\n@accounts\n|") && !backup.contains(PASSWORD));
    assert!(!backup.contains(&token));
    let new = Server::start(FLAGS);
    let (port, at) = (new.port, new.data().to_str().unwrap().to_owned());
    let mut new = new;
    new.kill();
    hbb(&["restore", &first, "--data", &at, "--force"]);
    hbb(&["backup", &second, "--data", &at]);
    let undated = |text: &str| text.lines().skip(2).collect::<Vec<_>>().join("\n");
    let (one, other) = (undated(&backup), std::fs::read_to_string(&second).unwrap());
    let sum = |text: &str| text.rfind("@sha1").unwrap();
    assert_eq!(one[..sum(&one)], undated(&other)[..sum(&undated(&other))]);
    new.restart();
    assert_eq!(new.port, port);
    let user = call((&new, Door::Sealed), ("POST", "/api/currentUser"), Some(&token), "{}");
    assert_eq!((user.status, &*user.text("name")), (200, "anna"));
    // A list of devices is one of devices.
    assert_eq!(hbb(&["export", "--peers", "--data", &at]).lines().count(), 1);
}

/// A proxy on this machine is believed, as for WebSockets: who guesses is counted by where he is.
#[test]
fn c170_behind_a_proxy_a_client_is_where_its_header_says() {
    let port = model::server::free_ports();
    let mut server = with_anna(&["--api", &format!("127.0.0.1:{port}")]);
    let body = login("anna", "wrong horse battery");
    let ask = |from: &str| {
        let head = format!(
            "POST /api/login HTTP/1.1\r\nX-Real-IP: {from}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        raw(port, &[head.as_bytes(), body.as_bytes()].concat())
    };
    for _ in 0..10 {
        assert!(ask("198.51.100.7").contains("Wrong credentials"));
    }
    assert!(ask("198.51.100.7").contains("too many attempts"));
    assert!(ask("198.51.100.8").contains("Wrong credentials"));
    server.wait_log("warn login-failed from=198.51.100.7 user=anna");
    server.wait_log("warn login-refused from=198.51.100.7");
}
