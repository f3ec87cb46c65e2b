//! Ids that earlier versions stored and that would not register today (C81), on the real server:
//! they go on, and an operator bans and forgets them. And one id in two places (C120).

use std::time::Duration;

use hbb::store;
use hbb_core::base::peer::{Change, DeviceId, PeerId, PeerKey, Record, RecordState};

use crate::model::host::{Host, PATIENCE};
use crate::model::line::Line;
use crate::model::server::Server;
use crate::{address, ctl, hears, say};

#[test]
fn stored_ids_off_the_rule_go_on_and_are_banned_and_forgotten() {
    let ids = ["$(reboot)", "10.0.0.1", "--help", "id=123456", "12345\u{202e}678"];
    let mut server = Server::start(&[]);
    server.kill();
    let record = |id| {
        let (id, device) = (PeerId::new(id).unwrap(), DeviceId::new(b"a device").unwrap());
        let (key, state) = (PeerKey([7; 32]), RecordState::Registered(None));
        Change::Put(Record { id, device, key, first_seen_secs: 0, state })
    };
    let mut stored = store::open(&server.data().join("hbb.store")).unwrap();
    stored.commit(&ids.map(record)).unwrap();
    drop(stored);
    server.restart();
    let line = Line::datagrams(&Host::local("127.0.0.9"), address(&server));
    let registers = |id: &str, patience| {
        line.send(&say::register_pk(id, b"a device", &[7; 32]));
        line.next(patience).map(|answer| say::hex(&answer))
    };
    for id in ids {
        let named = format!("id={id}");
        assert_eq!(registers(id, PATIENCE).as_deref(), Some("820100"), "{id:?}");
        hears(&format!("ban {named}"), &server, "is shut out");
        assert_eq!(registers(id, Duration::from_millis(200)), None, "{id:?}");
        hears("--json bans", &server, "\"id=");
        hears(&format!("unban {named}"), &server, "is let in again");
        hears(&format!("forget {named}"), &server, "was forgotten");
        assert_eq!(registers(id, PATIENCE).as_deref(), Some("8201020805"), "{id:?}");
    }
    assert_eq!(ctl(&server, &["--json", "peers"]).unwrap(), "{\"peers\":[],\"next\":null}\n");
    assert!(server.log().contains("peer-forgotten peer=\"$(reboot)\"\n"), "{}", server.log());
    assert!(server.log().contains("peer-forgotten peer=\"12345\\u{202e}678\"\n"));
}

#[test]
fn c120_a_clone_is_told_in_the_log_and_in_the_list() {
    let mut server = Server::start(&[]);
    let hosts = ["127.0.0.8", "127.0.0.9"].map(Host::local);
    let lines = hosts.each_ref().map(|host| Line::datagrams(host, address(&server)));
    // No more than three in 6 s are taken of one id.
    for line in lines.iter().cycle().take(6) {
        line.send(&say::register_pk("123456789", b"a device", &[1; 32]));
        line.next(PATIENCE).expect("an answer");
        std::thread::sleep(Duration::from_millis(2_100));
    }
    let told = server.wait_log("warn peer-flaps ");
    let [between, and] = ["between=127.0.0.8:", " and=127.0.0.9:"];
    assert!(told.starts_with("warn peer-flaps peer=123456789 "), "{told}");
    let either = told.contains(between) && told.contains(and);
    assert!(either || told.contains(" and=127.0.0.8:"), "{told}");
    assert_eq!(server.log().matches("peer-flaps").count(), 1, "{}", server.log());
    hears("--json peers", &server, "\"also_at\":\"127.0.0.8:");
    hears("peers", &server, "first_seen           key     also_at\n");
}
