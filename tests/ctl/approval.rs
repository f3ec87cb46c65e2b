//! `--private` against the real server: who waits, and who is let in. C185 to C187.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

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

/// What the API says to a device that is deployed with this code.
fn deploys(server: &Server, code: &str, id: &str) -> String {
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
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn c187_a_code_of_ctl_deploys_one_device_over_the_api() {
    let flags = ["--private", "--accounts", "--single-port", "--public", "127.0.0.1"];
    let server = Server::start(&flags);
    let line = device(&server, "127.0.0.9");
    assert_eq!(registers(&line), NOT_DEPLOYED);
    let told = ctl(&server, &["--json", "invite", "2"]).unwrap();
    let code = told.strip_prefix(r#"{"code":""#).unwrap().split('"').next().unwrap();
    assert!(told.ends_with(",\"hours\":2}\n"), "{told}");
    assert!(ctl(&server, &["invite", "169"]).unwrap_err().contains(": must be a number of hours"));
    assert!(deploys(&server, "abcd-abcd-abcd-abcd", ID).contains("The code is wrong"));
    assert_eq!(deploys(&server, code, "1"), r#"{"result":"INVALID_INPUT"}"#);
    assert_eq!(deploys(&server, code, ID), r#"{"result":"OK"}"#);
    assert_eq!(registers(&line), "820100");
    assert!(deploys(&server, code, "234567890").contains("The code is wrong"));
    assert_eq!(ctl(&server, &["--json", "pending"]).unwrap(), "{\"pending\":[]}\n");
    let open = Server::start(&[]);
    assert!(ctl(&open, &["invite"]).unwrap_err().contains("codes are for --private"));
}
