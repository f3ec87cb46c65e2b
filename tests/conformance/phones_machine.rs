//! Devices whose device id is their public key, as that of phones is, asked of the machine: C87,
//! C88. Whoever dialled one knows both, so a claim alone proves nothing.

use hbb_core::base::conn::{Conn, Via};
use hbb_core::base::limits::{CHALLENGE_MS, CHALLENGES_MAX};

use crate::drive::{A_AT, B1, B1_AT, Deeds, Drive, KEY, Store, at};
use crate::say::{self, hex, take};

/// Where a stranger is, and another; one behind B1's NAT.
const STRANGER: &str = "192.0.2.33:50002";
const ANOTHER: &str = "192.0.2.34:50002";
const NEIGHBOUR: &str = "203.0.113.9:50999";
const B1_STREAM: &str = "203.0.113.9:55001";

const OK: &str = "820100";
const UUID_MISMATCH: &str = "8201020802";
const TOO_FREQUENT: &str = "8201020804";
const SERVER_ERROR: &str = "8201020807";
const SEEN: &str = "3a00";
const REQUEST_PK: &str = "3a021001";

/// What B1 says, or anybody who dialled it.
fn claim() -> Vec<u8> {
    say::register_pk(B1, &KEY, &KEY)
}

/// B1, a phone, registered over UDP.
fn phone() -> Drive {
    let mut drive = Drive::open();
    assert_eq!(hex(drive.datagram(B1_AT, &claim()).datagram_to(B1_AT)), OK);
    drive
}

/// B1, a phone, registered on a connection.
fn connected_phone() -> (Drive, Conn) {
    let mut drive = Drive::open();
    let conn = drive.connect(B1_STREAM);
    assert!(drive.stream(conn, &claim()).kept(conn));
    (drive, conn)
}

#[track_caller]
fn asks_b1(deeds: &Deeds) {
    assert_eq!(hex(deeds.datagram_to(B1_AT)), REQUEST_PK);
}

/// Where a push to B1 goes.
fn pushed_to(drive: &mut Drive) -> Via {
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::punch(B1, |_| ()));
    drive.hang_up(conn);
    deeds.sent()[0].0
}

fn renames(drive: &mut Drive, from: &str) -> String {
    let conn = drive.connect(from);
    let deeds = drive.stream(conn, &say::change_id(B1, "newname1", &KEY));
    hex(deeds.stream_to(conn))
}

#[test]
fn c087_a_phone_that_speaks_up_keeps_its_place() {
    let mut drive = phone();
    for from in [STRANGER, NEIGHBOUR, STRANGER] {
        asks_b1(&drive.datagram(from, &claim()));
        assert_eq!(pushed_to(&mut drive), Via::Datagram(at(B1_AT)));
        assert_eq!(hex(drive.datagram(B1_AT, &claim()).datagram_to(B1_AT)), OK);
        drive.wait(CHALLENGE_MS).silent();
        assert_eq!(pushed_to(&mut drive), Via::Datagram(at(B1_AT)));
        let kept = drive.datagram(B1_AT, &say::register_peer(B1));
        assert_eq!(hex(kept.datagram_to(B1_AT)), SEEN);
    }
}

#[test]
fn c087_a_phone_that_moved_is_taken_for_it_after_two_seconds() {
    let mut drive = phone();
    asks_b1(&drive.datagram(STRANGER, &claim()));
    drive.wait(CHALLENGE_MS - 1).silent();
    assert_eq!(pushed_to(&mut drive), Via::Datagram(at(B1_AT)));
    assert_eq!(hex(drive.wait(1).datagram_to(STRANGER)), OK);
    assert_eq!(pushed_to(&mut drive), Via::Datagram(at(STRANGER)));
    assert_eq!(drive.machine.occupancy().challenges, 0);
}

#[test]
fn c087_a_sign_of_life_without_a_key_is_no_answer() {
    let mut drive = phone();
    asks_b1(&drive.datagram(STRANGER, &claim()));
    drive.datagram(B1_AT, &say::register_peer(B1));
    assert_eq!(hex(drive.wait(CHALLENGE_MS).datagram_to(STRANGER)), OK);
}

#[test]
fn c087_one_claim_waits_and_others_are_not_answered() {
    let mut drive = phone();
    asks_b1(&drive.datagram(STRANGER, &claim()));
    drive.datagram(STRANGER, &claim()).silent();
    drive.datagram(ANOTHER, &claim()).silent();
    let conn = drive.connect(ANOTHER);
    assert_eq!(hex(drive.stream(conn, &claim()).stream_to(conn)), TOO_FREQUENT);
    assert_eq!(drive.machine.occupancy().challenges, 1);
    // However many there are, the phone may answer.
    for _ in 0..10 {
        assert_eq!(hex(drive.datagram(B1_AT, &claim()).datagram_to(B1_AT)), OK);
        drive.datagram(STRANGER, &claim()).silent();
    }
    drive.wait(CHALLENGE_MS).silent();
    assert_eq!(pushed_to(&mut drive), Via::Datagram(at(B1_AT)));
}

#[test]
fn c087_a_phone_whose_record_is_being_saved_may_speak_up() {
    let mut drive = phone();
    asks_b1(&drive.datagram(STRANGER, &claim()));
    drive.store = Store::Holds;
    let conn = drive.connect(B1_STREAM);
    drive.stream(conn, &say::change_id(B1, "newname1", &KEY)).silent();
    drive.datagram(B1_AT, &claim()).silent();
    drive.wait(CHALLENGE_MS).silent();
    assert_eq!(pushed_to(&mut drive), Via::Datagram(at(B1_AT)));
}

#[test]
fn c087_a_phone_that_is_away_is_not_asked() {
    let mut drive = phone();
    drive.wait(30_000);
    assert_eq!(hex(drive.datagram(STRANGER, &claim()).datagram_to(STRANGER)), OK);
    drive.restart();
    assert_eq!(hex(drive.datagram(B1_AT, &claim()).datagram_to(B1_AT)), OK);
}

#[test]
fn c087_a_phone_on_a_connection_is_asked_there_and_any_word_will_do() {
    let (mut drive, conn) = connected_phone();
    for word in [claim(), say::test_nat(3)] {
        let asked = drive.datagram(STRANGER, &claim());
        assert_eq!(hex(asked.stream_to(conn)), REQUEST_PK);
        drive.stream(conn, &word);
        let ended = drive.wait(CHALLENGE_MS);
        assert!(ended.sent().is_empty() && ended.closed(conn).is_none());
    }
    assert_eq!(pushed_to(&mut drive), Via::Stream(conn));
    // Another connection takes over if nobody speaks up, and the first is closed.
    let other = drive.connect(STRANGER);
    assert_eq!(hex(drive.stream(other, &claim()).stream_to(conn)), REQUEST_PK);
    let ended = drive.wait(CHALLENGE_MS);
    assert!(ended.kept(other) && ended.closed(conn).is_some());
    assert_eq!(pushed_to(&mut drive), Via::Stream(other));
}

#[test]
fn c087_a_claim_counts_for_nothing_once_its_connection_is_closed() {
    let (mut drive, conn) = connected_phone();
    let other = drive.connect(STRANGER);
    drive.stream(other, &claim());
    drive.hang_up(other);
    let ended = drive.wait(CHALLENGE_MS);
    assert!(ended.sent().is_empty() && ended.closed(conn).is_none());
    assert_eq!(pushed_to(&mut drive), Via::Stream(conn));
}

#[test]
fn c087_claims_that_wait_are_bounded() {
    let mut drive = Drive::open();
    let source = |number: usize| format!("10.{}.{}.1:1", number / 250, number % 250);
    let key = |number: usize| [u8::try_from(number / 7).unwrap(); 32];
    let claims = |number: usize| {
        let key = key(number);
        say::register_pk(&format!("{}", 300_000_000 + number), &key, &key)
    };
    for number in 0..=CHALLENGES_MAX {
        let from = source(number);
        drive.prove(&from);
        assert_eq!(hex(drive.datagram(&from, &claims(number)).datagram_to(&from)), OK);
    }
    for number in 0..CHALLENGES_MAX {
        let asked = drive.datagram(STRANGER, &claims(number));
        assert_eq!(hex(asked.datagram_to(&source(number))), REQUEST_PK);
    }
    drive.datagram(STRANGER, &claims(CHALLENGES_MAX)).silent();
    assert_eq!(drive.machine.occupancy().challenges, CHALLENGES_MAX);
    drive.wait(CHALLENGE_MS);
    assert_eq!(drive.machine.occupancy().challenges, 0);
}

#[test]
fn c087_a_device_whose_id_is_secret_moves_at_once() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.enroll(B1, STRANGER);
    assert_eq!(pushed_to(&mut drive), Via::Datagram(at(STRANGER)));
}

#[test]
fn c088_a_new_key_is_another_device_whatever_its_address() {
    let mut drive = phone();
    for from in [B1_AT, NEIGHBOUR, STRANGER] {
        let deeds = drive.datagram(from, &say::register_pk(B1, &KEY, &[0x22; 32]));
        assert_eq!(hex(deeds.datagram_to(from)), UUID_MISMATCH);
    }
    assert_eq!(drive.durable[0].key.0, KEY);
}

#[test]
fn c088_a_phone_is_renamed_from_where_it_is_alone() {
    let mut drive = phone();
    assert_eq!(renames(&mut drive, STRANGER), SERVER_ERROR);
    drive.wait(30_000);
    assert_eq!(renames(&mut drive, B1_STREAM), SERVER_ERROR, "it is away");
    drive.datagram(B1_AT, &claim());
    let answer = renames(&mut drive, B1_STREAM);
    assert!(answer.starts_with(OK.get(..2).unwrap()) && answer != SERVER_ERROR, "{answer}");
    assert_eq!(drive.durable[0].id.as_str(), "newname1");
    let conn = drive.connect(A_AT);
    let pushed = drive.stream(conn, &say::punch("newname1", |_| ()));
    take!(pushed.datagram_to(B1_AT), PunchHole);
}
