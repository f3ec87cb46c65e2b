//! Whatever accounts, the page, rules, approval and the log of connections do, under the list of
//! calls.

use std::fs;
use std::net::SocketAddr;

use crate::client::{Door, call, ctl, login, raw};
use crate::model::host::Host;
use crate::model::initiator::{Asks, Initiator, Tries};
use crate::model::server::{Server, free_ports};
use crate::model::target::{Habit, Target};
use crate::{Folder, calls_are_listed, say};
use rustix::process::Signal;

const PASSWORD: &str = "correct horse battery";
const ID: &str = "123456789";

fn done(server: &Server, words: &[&str], stdin: &str) -> String {
    ctl(server, words, stdin).unwrap_or_else(|said| panic!("{words:?}: {said}"))
}

/// Operators' commands, of each kind.
fn operate(server: &Server) {
    let line = &*format!("{PASSWORD}\n");
    done(server, &["user", "add", "anna"], line);
    done(server, &["user", "add", "bert"], line);
    done(server, &["user", "passwd", "bert"], line);
    done(server, &["book", "add", "anna"], "");
    done(server, &["book", "import", "anna"], "id,alias\n111,One\n");
    for words in [
        &["user", "set", "anna", "admin=yes"][..],
        &["user", "totp", "bert", "on"],
        &["user", "totp", "bert", "off"],
        &["user", "disable", "bert"],
        &["user", "enable", "bert"],
        &["user", "list"],
        &["book", "add", "anna/Office"],
        &["book", "share", "anna/Office", "bert", "write"],
        &["book", "note", "anna/Office", "a note"],
        &["book", "unshare", "anna/Office", "bert"],
        &["book", "list"],
        &["book", "export", "anna"],
        &["--json", "book", "export", "anna"],
        &["invite", "1"],
        &["pending"],
    ] {
        done(server, words, "");
    }
}

/// A client's calls, and a device's.
fn use_api(server: &Server, door: Door) {
    let at = (server, door);
    assert_eq!(call(at, ("GET", "/api/login-options"), None, "").status, 200);
    let wrong = call(at, ("POST", "/api/login"), None, &login("anna", "wrong horse battery"));
    assert_eq!(wrong.text("error"), "Wrong credentials");
    let told = call(at, ("POST", "/api/login"), None, &login("anna", PASSWORD));
    let token = &*told.text("access_token");
    for (method, path, body) in [
        ("POST", "/api/currentUser", "{}"),
        ("POST", "/api/ab/personal", ""),
        ("POST", "/api/ab", r#"{"data":"{\"tags\":[],\"peers\":[{\"id\":\"222\"}]}"}"#),
        ("GET", "/api/ab", ""),
        ("GET", "/api/users?current=1&pageSize=100", ""),
        ("GET", "/api/peers?current=1&pageSize=100", ""),
        ("POST", "/api/heartbeat", r#"{"id":"123456789","uuid":"YSBkZXZpY2U=","conns":[7]}"#),
        ("POST", "/api/sysinfo", r#"{"id":"123456789","uuid":"YSBkZXZpY2U=","hostname":"x"}"#),
        ("POST", "/api/audit/conn", r#"{"id":"123456789","uuid":"YSBkZXZpY2U=","conn_id":7}"#),
        ("POST", "/api/logout", "{}"),
    ] {
        let said = call(at, (method, path), Some(token), body);
        assert_eq!(said.status, 200, "{path}: {said:?}");
    }
}

fn use_page(port: u16) {
    let ask = |method: &str, path: &str, lines: &str, body: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}");
        raw(port, format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
    };
    for path in ["/", "/page.css", "/page.js"] {
        assert!(ask("GET", path, "", "").starts_with("HTTP/1.1 200 "), "{path}");
    }
    let form = "name=anna&password=correct+horse+battery";
    let signed = ask("POST", "/sign-in", "", form);
    let cookie = signed.split("Set-Cookie: ").nth(1).unwrap_or_else(|| panic!("{signed}"));
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert!(ask("GET", "/", &cookie, "").contains("uptime secs"));
    let ours = format!("{cookie}X-Hbb: 1\r\n");
    for words in [r#"["status"]"#, r#"["log"]"#, r#"["user","list"]"#] {
        let said = ask("POST", "/ctl", &ours, words);
        assert!(said.starts_with("HTTP/1.1 200 "), "{words}: {said}");
    }
    assert!(ask("POST", "/sign-out", &cookie, "").starts_with("HTTP/1.1 303 "));
}

/// A device that waits, is approved, and is dialled: by who may, and by who may not.
fn use_rules(server: &Server) {
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let host = Host::local("127.0.0.1");
    assert_eq!(Target::outcome(&host, at, ID), 8, "it is not deployed");
    done(server, &["approve", ID], "");
    let target = Target::register(&host, at, ID, &server.key());
    let ask = |token: &str| {
        let mut stream = Host::local("127.0.1.9").connect(0, at).unwrap();
        let wish = say::punch(ID, |wish| {
            (wish.token, wish.access_key) = (token.into(), server.key());
        });
        crate::model::wire::send(&mut stream, &wish).unwrap();
        say::take!(&crate::model::wire::receive(&mut stream).unwrap(), PunchHoleResponse)
    };
    assert_eq!(ask("").other_failure, "Not from there.");
    let key = server.key();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut link = target.answer(Habit::Relay);
            target.hello(&mut link);
        });
        let host = Host::local("127.0.1.1");
        let initiator =
            Initiator { host, server: at, key, tries: Tries::RelayOnly, asks: Asks::Tcp };
        initiator.dial(ID).hello();
    });
}

#[test]
fn accounts_and_what_belongs_to_them_make_the_calls_of_the_list_alone() {
    let folder = Folder::new("log");
    let (api, web) = (free_ports(), free_ports());
    let (port, page) = (api.to_string(), format!("127.0.0.1:{web}"));
    let log = folder.0.join("connections");
    let log_name = log.to_str().unwrap();
    let on = ["--accounts", "--private", "--password-memory", "4", "--api", &port];
    let flags = [&on[..], &["--web", &page, "--connection-log", log_name]].concat();
    calls_are_listed(&flags, |server| {
        operate(server);
        let rules = "deny to=123456789 from=127.0.1.9 say=\"Not from there.\"\n";
        fs::write(server.data().join("rules.conf"), rules).unwrap();
        server.signal(Signal::HUP);
        server.wait_log("info reloaded");
        use_rules(server);
        use_api(server, Door::Sealed);
        use_api(server, Door::Http(i32::from(api) - i32::from(server.port)));
        use_page(web);
        for words in [&["log"][..], &["log", "--csv"], &["log", "--lines"], &["--json", "peers"]] {
            assert!(done(server, words, "").contains(ID), "{words:?}");
        }
        done(server, &["book", "remove", "anna/Office"], "");
        done(server, &["user", "remove", "bert"], "");
    });
    // What it did at its end, too.
    let lines = fs::read_to_string(log).unwrap();
    assert!(lines.contains(ID), "{lines}");
}
