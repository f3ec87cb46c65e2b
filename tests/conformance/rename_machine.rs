//! Connections and id changes where they meet a slow store, a long absence or each other, asked of
//! the machine: C14, C32, C33. Refusals first.

use hbb_core::base::conn::Conn;
use hbb_core::base::limits::Limits;
use hbb_core::rendezvous::Policy;

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Drive, KEY, Store};
use crate::say::{self, hex, take};

const B1_STREAM: &str = "203.0.113.9:55001";
const DAY_MS: u64 = 24 * 3_600_000;
const TOO_FREQUENT: &str = "8201020804";
const SERVER_ERROR: &str = "8201020807";

/// Registers B1 on a new connection.
fn connected(drive: &mut Drive) -> Conn {
    let conn = drive.connect(B1_STREAM);
    assert!(drive.stream(conn, &say::register_pk(B1, DEVICE, &KEY)).kept(conn));
    conn
}

/// Asks to change an id on a connection that stays.
fn change(drive: &mut Drive, from: &str, to: &str) -> (Conn, crate::drive::Deeds) {
    let conn = drive.connect(B1_STREAM);
    let deeds = drive.stream(conn, &say::change_id(from, to, DEVICE));
    (conn, deeds)
}

/// What an initiator is told who dials `id`.
fn dialled(drive: &mut Drive, id: &str) -> String {
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::punch(id, |_| ()));
    let answer = hex(deeds.stream_to(conn));
    drive.hang_up(conn);
    answer
}

fn newcomer(drive: &mut Drive) -> String {
    let from = "192.0.2.77:1";
    drive.prove(from);
    let deeds = drive.datagram(from, &say::register_pk("222222222", b"another", &KEY));
    hex(deeds.datagram_to(from))
}

#[test]
fn c014_a_peer_connected_for_a_month_is_not_forgotten() {
    let mut drive = Drive::new(Limits { peers: 1, ..Limits::default() }, Policy::default());
    let conn = connected(&mut drive);
    drive.wait(31 * DAY_MS);
    assert_eq!(newcomer(&mut drive), SERVER_ERROR);
    let initiator = drive.connect(A_AT);
    take!(drive.stream(initiator, &say::punch(B1, |_| ())).stream_to(conn), PunchHole);
}

#[test]
fn c014_a_month_away_counts_from_the_end_of_the_connection() {
    let mut drive = Drive::new(
        Limits { peers: 1, forget_after_days: 30, ..Limits::default() },
        Policy::default(),
    );
    let conn = connected(&mut drive);
    drive.wait(31 * DAY_MS);
    drive.hang_up(conn);
    drive.wait(29 * DAY_MS);
    assert_eq!(newcomer(&mut drive), SERVER_ERROR);
    drive.wait(DAY_MS);
    assert_eq!(newcomer(&mut drive), "820100");
}

#[test]
fn c014_the_connected_do_not_hide_who_is_long_away() {
    let mut drive = Drive::new(
        Limits { peers: 3, forget_after_days: 30, ..Limits::default() },
        Policy::default(),
    );
    connected(&mut drive);
    for id in ["333333333", "444444444"] {
        drive.enroll(id, B1_AT);
    }
    drive.wait(31 * DAY_MS);
    assert_eq!(newcomer(&mut drive), "820100");
}

#[test]
fn c033_one_change_of_an_id_at_a_time() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.store = Store::Holds;
    let (first, deeds) = change(&mut drive, B1, "newname1");
    deeds.silent();
    let (second, deeds) = change(&mut drive, B1, "newname2");
    assert_eq!(hex(deeds.stream_to(second)), TOO_FREQUENT);
    drive.release().stream_to(first);
    assert_eq!(drive.machine.occupancy().peers, 1);
    assert_eq!(drive.durable.len(), 1);
}

#[test]
fn c033_a_new_key_during_the_change_does_not_bring_the_old_id_back() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.store = Store::Holds;
    let (conn, deeds) = change(&mut drive, B1, "newname1");
    deeds.silent();
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &[0x22; 32])).silent();
    drive.release().stream_to(conn);
    assert_eq!(dialled(&mut drive, B1), "5a00");
    assert_eq!(drive.durable.len(), 1);
}

#[test]
fn c033_an_old_id_may_register_again_after_a_failed_change() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.store = Store::Fails;
    let (conn, deeds) = change(&mut drive, B1, "newname1");
    assert_eq!(hex(deeds.stream_to(conn)), SERVER_ERROR);
    drive.store = Store::Keeps;
    drive.enroll(B1, B1_AT);
    let deeds = drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &[0x22; 32]));
    assert_eq!(hex(deeds.datagram_to(B1_AT)), "820100");
}

#[test]
fn c033_who_left_before_the_change_is_away_after_it() {
    let mut drive = Drive::open();
    let conn = connected(&mut drive);
    drive.hang_up(conn);
    change(&mut drive, B1, "newname1");
    assert_eq!(dialled(&mut drive, "newname1"), "5a021802");
}

#[test]
fn c033_an_id_may_be_changed_to_itself() {
    let mut drive = Drive::open();
    drive.datagram(B1_AT, &say::register_pk("newname1", DEVICE, &KEY)).datagram_to(B1_AT);
    let (conn, deeds) = change(&mut drive, "newname1", "newname1");
    deeds.stream_to(conn);
    assert_eq!((drive.machine.occupancy().peers, drive.durable.len()), (1, 1));
}

#[test]
fn c033_a_change_in_a_table_past_its_limit_loses_nobody() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.enroll("333333333", B1_AT);
    let limits = Limits { peers: 1, ..Limits::default() };
    drive.machine.reconfigure(limits, Policy::default());
    let (conn, deeds) = change(&mut drive, B1, "newname1");
    assert_eq!(take!(deeds.stream_to(conn), RegisterPkResponse).outcome, 0);
    assert_eq!((drive.machine.occupancy().peers, drive.durable.len()), (2, 2));
}

#[test]
fn c032_a_connection_closed_meanwhile_does_not_undo_a_slow_registration() {
    let mut drive = Drive::open();
    let first = connected(&mut drive);
    drive.store = Store::Holds;
    let second = drive.connect(B1_STREAM);
    drive.stream(second, &say::register_pk(B1, DEVICE, &[0x22; 32])).silent();
    drive.wait(1000);
    drive.hang_up(first);
    assert!(drive.release().kept(second));
    let initiator = drive.connect(A_AT);
    take!(drive.stream(initiator, &say::punch(B1, |_| ())).stream_to(second), PunchHole);
}

#[test]
fn c032_a_connection_is_not_closed_for_a_claim_to_what_is_being_stored() {
    let mut drive = Drive::open();
    drive.store = Store::Holds;
    let [first, second] = [B1_STREAM, A_AT].map(|from| drive.connect(from));
    let claim = say::register_pk(B1, DEVICE, &KEY);
    drive.stream(first, &claim).silent();
    // Again on its connection, on another, as another device; by UDP no answer makes it ask soon.
    for (conn, device) in [(first, DEVICE), (second, DEVICE), (second, b"another")] {
        let deeds = drive.stream(conn, &say::register_pk(B1, device, &KEY));
        assert_eq!((hex(deeds.stream_to(conn)), deeds.closed(conn)), (TOO_FREQUENT.into(), None));
    }
    drive.datagram("203.0.113.9:50000", &claim).silent();
    assert!(drive.release().kept(first));
}

#[test]
fn c033_a_change_to_another_id_of_the_same_device_keeps_who_left_away() {
    let mut drive = Drive::open();
    let conn = drive.connect(B1_STREAM);
    drive.stream(conn, &say::register_pk("newname1", DEVICE, &KEY));
    drive.hang_up(conn);
    drive.enroll(B1, B1_AT);
    drive.restart();
    let conn = drive.connect(B1_STREAM);
    drive.stream(conn, &say::register_pk("newname1", DEVICE, &KEY));
    drive.hang_up(conn);
    change(&mut drive, B1, "newname1");
    assert_eq!(dialled(&mut drive, "newname1"), "5a021802");
}
