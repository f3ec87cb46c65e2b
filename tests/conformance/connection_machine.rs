//! Registration on a connection, and the change of an id, asked of the machine: C27, C30-C33.
//! Refusals first.

use hbb_core::base::conn::{Conn, Via};
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{KEEP_ALIVE_SECS, Limits};
use hbb_core::rendezvous::{Event, Policy};

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Drive, KEY, Store, at};
use crate::say::{self, hex, take, unhex};

/// Where B1's connection comes from.
const B1_STREAM: &str = "203.0.113.9:55001";

fn ok_with_keep_alive() -> String {
    format!("82010210{KEEP_ALIVE_SECS:02x}")
}

/// Registers B1 on a new connection.
#[track_caller]
fn connected(drive: &mut Drive) -> Conn {
    let conn = drive.connect(B1_STREAM);
    let deeds = drive.stream(conn, &say::register_pk(B1, DEVICE, &KEY));
    assert_eq!(hex(deeds.stream_to(conn)), ok_with_keep_alive());
    assert!(deeds.kept(conn), "not kept");
    conn
}

/// Whether B1 is online, asked over a connection.
fn online(drive: &mut Drive, id: &str) -> bool {
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::online(&[id]));
    let states = take!(deeds.stream_to(conn), OnlineResponse).states;
    drive.hang_up(conn);
    states == [0x80]
}

fn change(from: &str, to: &str, device: &[u8]) -> Vec<u8> {
    say::payload(say::Body::RegisterPk(say::proto::RegisterPk {
        id: to.into(),
        old_id: from.into(),
        uuid: device.into(),
        ..Default::default()
    }))
}

/// What `payload` is answered with on a new connection.
#[track_caller]
fn answered(drive: &mut Drive, payload: &[u8]) -> String {
    let conn = drive.connect(B1_STREAM);
    let deeds = drive.stream(conn, payload);
    let answer = hex(deeds.stream_to(conn));
    drive.hang_up(conn);
    answer
}

#[test]
fn c027_a_registration_on_a_connection_makes_it_the_presence() {
    let mut drive = Drive::open();
    connected(&mut drive);
    assert!(online(&mut drive, B1));
    drive.wait(10 * 60_000);
    assert!(online(&mut drive, B1), "a connection is present as long as it is open");
}

#[test]
fn c027_kept_connections_leave_places_for_those_who_ask() {
    let limits = Limits { connections: 8, ..Limits::default() };
    let mut drive = Drive::new(limits, Policy::default());
    for peer in 0..6 {
        let conn = drive.connect(B1_STREAM);
        let deeds = drive.stream(conn, &say::register_pk(&format!("peer{peer:04}"), DEVICE, &KEY));
        assert!(deeds.kept(conn));
    }
    let conn = drive.connect(B1_STREAM);
    let deeds = drive.stream(conn, &say::register_pk("peer0006", DEVICE, &KEY));
    assert_eq!(hex(deeds.stream_to(conn)), "8201020807");
    assert!(!deeds.kept(conn));
}

#[test]
fn c116_a_device_a_day_old_has_a_place_that_newcomers_cannot_take() {
    const DAY_MS: u64 = 24 * 3_600_000;
    let limits = Limits { connections: 8, ..Limits::default() };
    let mut drive = Drive::new(limits, Policy::default());
    drive.machine.set_epoch_secs(1_700_000_000);
    let old = connected(&mut drive);
    drive.hang_up(old);
    drive.wait(DAY_MS);
    for peer in 0..7 {
        let conn = drive.connect("198.51.100.9:1");
        let id = format!("peer{peer:04}");
        let deeds = drive.stream(conn, &say::register_pk(&id, DEVICE, &KEY));
        assert_eq!(deeds.kept(conn), peer < 6);
    }
    connected(&mut drive);
    let conn = drive.connect("198.51.100.9:1");
    let deeds = drive.stream(conn, &say::register_pk("peer0006", DEVICE, &KEY));
    assert!(!deeds.kept(conn), "one place is for those who only ask");
}

#[test]
fn c030_a_push_goes_to_the_connection_and_not_to_udp() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let target = connected(&mut drive);
    let initiator = drive.connect(A_AT);
    let deeds = drive.stream(initiator, &say::punch(B1, |_| ()));
    take!(deeds.stream_to(target), PunchHole);
}

#[test]
fn c057_a_long_wish_for_a_relay_goes_to_a_connection_no_more_than_into_a_datagram() {
    let relays = vec!["relay.example".into()];
    let mut drive = Drive::new(Limits::default(), Policy { relays, ..Policy::default() });
    drive.enroll(B1, B1_AT);
    let target = connected(&mut drive);
    for (length, closed) in [(1_400, None), (1_500, Some(DropReason::Oversized))] {
        let initiator = drive.connect(A_AT);
        let wish = say::request_relay(B1, |wish| wish.uuid = "u".repeat(length));
        let deeds = drive.stream(initiator, &wish);
        assert_eq!(deeds.closed(initiator), closed);
        match closed {
            None => assert_eq!(take!(deeds.stream_to(target), RequestRelay).uuid.len(), length),
            Some(_) => deeds.silent(),
        }
        drive.hang_up(initiator);
    }
}

#[test]
fn c032_closing_the_connection_is_leaving() {
    let mut drive = Drive::open();
    let conn = connected(&mut drive);
    drive.hang_up(conn);
    assert!(!online(&mut drive, B1));
}

#[test]
fn c032_the_newest_registration_takes_over_and_the_older_close_changes_nothing() {
    let mut drive = Drive::open();
    let first = connected(&mut drive);
    let second = drive.connect("203.0.113.9:55002");
    let deeds = drive.stream(second, &say::register_pk(B1, DEVICE, &KEY));
    assert_eq!(deeds.closed(first), Some(DropReason::Done));
    assert!(deeds.kept(second));
    drive.hang_up(first);
    assert!(online(&mut drive, B1));
    // Over UDP now.
    let deeds = drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &KEY));
    assert_eq!(deeds.closed(second), Some(DropReason::Done));
    drive.hang_up(second);
    assert!(online(&mut drive, B1));
    let initiator = drive.connect(A_AT);
    take!(drive.stream(initiator, &say::punch(B1, |_| ())).datagram_to(B1_AT), PunchHole);
}

#[test]
fn c032_a_bare_sign_of_life_does_not_take_a_connection_s_place() {
    let mut drive = Drive::open();
    let conn = connected(&mut drive);
    let deeds = drive.datagram(B1_AT, &say::register_peer(B1));
    assert_eq!(hex(deeds.datagram_to(B1_AT)), "3a021001");
    let initiator = drive.connect(A_AT);
    take!(drive.stream(initiator, &say::punch(B1, |_| ())).stream_to(conn), PunchHole);
}

#[test]
fn c032_a_connection_closed_while_the_store_works_is_not_present() {
    let mut drive = Drive::open();
    drive.store = Store::Holds;
    let conn = drive.connect(B1_STREAM);
    drive.stream(conn, &say::register_pk(B1, DEVICE, &KEY));
    drive.hang_up(conn);
    drive.release();
    assert!(!online(&mut drive, B1));
}

#[test]
fn c032_a_connection_that_registers_another_id_leaves_the_first() {
    let mut drive = Drive::open();
    let conn = connected(&mut drive);
    drive.stream(conn, &say::register_pk("another1", DEVICE, &KEY));
    assert!(!online(&mut drive, B1));
    assert!(online(&mut drive, "another1"));
    drive.hang_up(conn);
    assert!(!online(&mut drive, "another1"));
}

#[test]
fn c033_a_wrong_device_a_taken_or_a_bad_id_changes_nothing() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.wait(7_000);
    drive.datagram("192.0.2.77:1", &say::register_pk("taken1", b"another device", &KEY));
    let before = drive.durable.clone();
    assert_eq!(answered(&mut drive, &change(B1, "newname1", b"not the device")), "8201020807");
    assert_eq!(answered(&mut drive, &change("unknown1", "newname1", DEVICE)), "8201020807");
    assert_eq!(answered(&mut drive, &change(B1, "taken1", DEVICE)), "8201020803");
    for bad in ["1bad12", "ab", "with.dot", "seventeen-letters", ""] {
        assert_eq!(answered(&mut drive, &change(B1, bad, DEVICE)), "8201020805", "{bad}");
    }
    drive.store = Store::Fails;
    assert_eq!(answered(&mut drive, &change(B1, "newname1", DEVICE)), "8201020807");
    assert_eq!(drive.durable, before);
    let initiator = drive.connect(A_AT);
    take!(drive.stream(initiator, &say::punch(B1, |_| ())).datagram_to(B1_AT), PunchHole);
}

#[test]
fn c033_a_new_id_carries_the_old_key_and_the_old_id_is_gone() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let conn = drive.connect(B1_STREAM);
    let deeds = drive.stream(conn, &change(B1, "newname1", DEVICE));
    assert_eq!(hex(deeds.stream_to(conn)), ok_with_keep_alive());
    let (from, id) = (peer_id(B1), peer_id("newname1"));
    assert!(deeds.reported(&Event::PeerRenamed { from, id, at: at(B1_STREAM) }));
    assert_eq!(drive.durable.len(), 1);
    assert_eq!((drive.durable[0].id.as_str(), drive.durable[0].key.0), ("newname1", KEY));
    let initiator = drive.connect(A_AT);
    let deeds = drive.stream(initiator, &say::punch(B1, |_| ()));
    assert_eq!(hex(deeds.stream_to(initiator)), "5a00");
    let deeds = drive.stream(initiator, &say::punch("newname1", |_| ()));
    take!(deeds.only_to(Via::Datagram(at(B1_AT))), PunchHole);
    drive.restart();
    let deeds = drive.datagram(B1_AT, &say::register_pk("newname1", DEVICE, &KEY));
    assert_eq!(deeds.datagram_to(B1_AT), unhex("820100"));
}

#[test]
fn c033_a_peer_renamed_while_connected_leaves_with_its_connection() {
    let mut drive = Drive::open();
    let conn = connected(&mut drive);
    assert_eq!(answered(&mut drive, &change(B1, "newname1", DEVICE)), ok_with_keep_alive());
    assert!(online(&mut drive, "newname1"));
    drive.hang_up(conn);
    assert!(!online(&mut drive, "newname1"));
}

fn peer_id(text: &str) -> hbb_core::base::peer::PeerId {
    hbb_core::base::peer::PeerId::new(text).unwrap()
}

#[test]
fn c102_a_health_check_keeps_its_connection_for_a_while_and_is_nothing_in_a_datagram() {
    let mut drive = Drive::open();
    let health_check = unhex("d2010a0a08612d746f6b656e21");
    drive.datagram(A_AT, &health_check).silent();
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &health_check);
    assert!(
        deeds.lingers(conn)
            && !deeds.kept(conn)
            && deeds.sent().is_empty()
            && deeds.closed(conn).is_none()
    );
    // Nobody is present on it.
    assert!(!online(&mut drive, B1));
}
