//! `--private` against the real server: who waits, and who is let in. C185, C186.

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
