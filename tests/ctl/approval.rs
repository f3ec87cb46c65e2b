//! `--private` against the real server: who waits, and who is let in. C185 to C187.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::client::{self, Door};
use crate::model::clock::Clock;
use crate::model::host::{Host, PATIENCE};
use crate::model::line::Line;
use crate::model::server::Server;
use crate::{ctl, hears, say};

const ID: &str = "123456789";
const NOT_DEPLOYED: &str = "8201020808";

fn device(server: &Server, host: &str) -> Line {
    Line::datagrams(&Host::local(host), SocketAddr::from(([127, 0, 0, 1], server.port)))
}

fn registers(line: &Line) -> String {
    line.send(&say::register_pk(ID, b"a device", &[7; 32]));
    say::hex(&line.next(PATIENCE).expect("an answer"))
}

#[test]
fn c186_a_device_is_listed_approved_and_let_in_and_stays_so() {
    let mut server = Server::start(&["--private"]);
    let line = device(&server, "127.0.0.9");
    assert_eq!(registers(&line), NOT_DEPLOYED);
    hears("pending", &server, ID);
    let json = ctl(&server, &["--json", "pending"]).unwrap();
    let row = r#"{"pending":[{"id":"123456789","address":"127.0.0.9:"#;
    assert!(json.starts_with(row) && json.contains(r#""proved":false,"waiting_secs":"#), "{json}");
    assert!(ctl(&server, &["approve", "234567890"]).unwrap_err().contains("Nobody waits"));
    assert!(ctl(&server, &["approve", ID, "home"]).unwrap_err().contains(": must be an address"));
    assert!(ctl(&server, &["approve", ID, "127.0.0.8"]).unwrap_err().contains("Nobody waits"));
    hears(&format!("approve {ID} 127.0.0.9"), &server, "The device is approved");
    assert!(server.log().contains("peer-waiting peer=123456789 from=127.0.0.9 unproved"));
    assert!(server.log().contains("peer-approved peer=123456789"));
    assert_eq!(ctl(&server, &["--json", "pending"]).unwrap(), "{\"pending\":[]}\n");
    server.kill_and_restart();
    let line = device(&server, "127.0.0.9");
    assert_eq!(registers(&line), "820100");
    hears(&format!("forget {ID}"), &server, "forgotten");
    assert_eq!(registers(&line), NOT_DEPLOYED);
}

/// A device that was installed anew waits beside what it was before, at one address.
#[test]
fn c186_of_two_at_one_address_the_port_tells_which() {
    let server = Server::start(&["--private"]);
    let (before, now) = (device(&server, "127.0.0.9"), device(&server, "127.0.0.9"));
    assert_eq!(registers(&before), NOT_DEPLOYED);
    now.send(&say::register_pk(ID, b"a device", &[8; 32]));
    assert_eq!(say::hex(&now.next(PATIENCE).expect("an answer")), NOT_DEPLOYED);
    let json = ctl(&server, &["--json", "pending"]).unwrap();
    let shown: Vec<_> = json.split("\"address\":\"").skip(1).collect();
    let address = shown[1].split('"').next().unwrap();
    assert!(ctl(&server, &["approve", ID, "127.0.0.9"]).unwrap_err().contains("Several"));
    hears(&format!("approve {ID} {address}"), &server, "The device is approved");
    now.send(&say::register_pk(ID, b"a device", &[8; 32]));
    assert_eq!(say::hex(&now.next(PATIENCE).expect("an answer")), "820100");
}

/// What the API says to a device that is deployed with this code.
fn deploys(server: &Server, code: &str, id: &str) -> String {
    let mut answer = String::new();
    asks(server, code, id).read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// The same, before it is answered.
fn asks(server: &Server, code: &str, id: &str) -> TcpStream {
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let mut stream = Host::local("127.0.0.9").connect(0, at).unwrap();
    // As the model's devices register: the uuid "a device", the key 7, 7, 7...
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let body = format!(r#"{{"id":"{id}","uuid":"YSBkZXZpY2U=","pk":"{key}"}}"#);
    let head = format!(
        "POST /api/devices/deploy HTTP/1.1\r\nHost: rd\r\nAuthorization: Bearer {code}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn code(server: &Server, hours: &str) -> String {
    let told = ctl(server, &["--json", "invite", hours]).unwrap();
    told.strip_prefix(r#"{"code":""#).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn c187_a_code_of_ctl_deploys_one_device_over_the_api() {
    let flags = ["--private", "--accounts", "--single-port", "--public", "127.0.0.1"];
    let mut server = Server::start(&flags);
    let line = device(&server, "127.0.0.9");
    assert_eq!(registers(&line), NOT_DEPLOYED);
    let told = ctl(&server, &["--json", "invite", "2"]).unwrap();
    assert!(told.ends_with(",\"hours\":2}\n"), "{told}");
    let code = &code(&server, "2");
    assert!(deploys(&server, "abcd-abcd-abcd-abcd", ID).contains("The code is wrong"));
    assert_eq!(deploys(&server, code, "1"), r#"{"result":"INVALID_INPUT"}"#);
    assert_eq!(deploys(&server, code, ID), r#"{"result":"OK"}"#);
    assert_eq!(registers(&line), "820100");
    assert!(deploys(&server, code, "234567890").contains("The code is wrong"));
    assert_eq!(ctl(&server, &["--json", "pending"]).unwrap(), "{\"pending\":[]}\n");
    // So does an administrator's token, also if nobody called since the start.
    client::ctl(&server, &["user", "add", "anna"], "correct horse\n").unwrap();
    hears("user set anna admin=yes", &server, "Done");
    let login = client::login("anna", "correct horse");
    let logged = client::call((&server, Door::Http(0)), ("POST", "/api/login"), None, &login);
    let token = logged.text("access_token");
    server.kill_and_restart();
    assert_eq!(deploys(&server, &token, "345678901"), r#"{"result":"OK"}"#);
    let open = Server::start(&[]);
    assert!(ctl(&open, &["invite"]).unwrap_err().contains("codes are for --private"));
    // Nobody would take it.
    let silent = Server::start(&["--private"]);
    assert!(ctl(&silent, &["invite"]).unwrap_err().contains("no accounts"));
}

#[test]
fn c187_sixty_four_codes_are_good_for_a_week_and_sixteen_devices_wait_for_the_store() {
    let clock = Clock::new();
    let prefix = clock.prefix();
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let flags = ["--private", "--accounts", "--single-port", "--public", "127.0.0.1"];
    let server = Server::start_behind(&prefix, &flags);
    for hours in ["0", "169"] {
        assert!(ctl(&server, &["invite", hours]).unwrap_err().contains(": must be a number"));
    }
    let codes: Vec<String> = (0..64).map(|_| code(&server, "168")).collect();
    assert!(ctl(&server, &["invite"]).unwrap_err().contains("As many codes as may be"));
    clock.hold_disk(true);
    let waiting: Vec<TcpStream> =
        (0..17).map(|at| asks(&server, &codes[at], &format!("1234567{at:02}"))).collect();
    waiting.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let told = || waiting.iter().position(|stream| stream.peek(&mut [0]).is_ok());
    let soon = |_| {
        std::thread::sleep(Duration::from_millis(10));
        told()
    };
    let refused = (0..500).find_map(soon).expect("one is told that there is no room");
    clock.hold_disk(false);
    for (at, mut stream) in waiting.iter().enumerate() {
        stream.set_nonblocking(false).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let said = if at == refused { "could not store this" } else { r#"{"result":"OK"}"# };
        assert!(answer.contains(said), "{at}, {refused}: {answer}");
    }
    // Its code is as good as before.
    assert_eq!(deploys(&server, &codes[refused], ID), r#"{"result":"OK"}"#);
    assert!(code(&server, "1").len() > 9, "those that were used make room");
}
