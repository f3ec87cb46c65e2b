//! Devices that were here when the server stopped are asked to register after the start, asked of
//! the machine: C138.

use hbb_core::base::address::Bans;
use hbb_core::base::conn::Via;
use hbb_core::base::limits::{Limits, RECALLS_MAX};
use hbb_core::base::peer::PeerId;
use hbb_core::rendezvous::Policy;

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Drive, KEY, at};
use crate::say::{self, hex};

const OK: &str = "820100";
const SEND_KEY: &str = "3a021001";
/// After this long each device has sent a heartbeat.
const INTERVAL_MS: u64 = 15_000;

fn enrolled() -> Drive {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive
}

fn failure(drive: &mut Drive) -> String {
    let conn = drive.connect(A_AT);
    hex(drive.stream(conn, &say::punch(B1, |_| ())).stream_to(conn))
}

#[test]
fn c138_who_was_here_at_a_clean_stop_is_asked_once_after_the_start() {
    let mut drive = enrolled();
    drive.stop_and_start();
    let asked = drive.wait(0);
    assert_eq!(hex(asked.datagram_to(B1_AT)), SEND_KEY, "where it was, 5 bytes or less");
    drive.wait(INTERVAL_MS).silent();
    // C40: until it answers, nobody is told that it is here.
    assert_eq!(failure(&mut drive), "5a021802", "offline");
    let answer = drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &KEY));
    assert_eq!(hex(answer.datagram_to(B1_AT)), OK);
    let conn = drive.connect(A_AT);
    drive.stream(conn, &say::punch(B1, |_| ())).datagram_to(B1_AT);
}

#[test]
fn c138_after_a_crash_nobody_is_asked() {
    let mut drive = enrolled();
    drive.restart();
    drive.wait(INTERVAL_MS).silent();
}

#[test]
fn c138_who_is_away_or_on_a_connection_at_the_stop_is_not_asked() {
    let mut away = enrolled();
    away.wait(30_000);
    away.stop_and_start();
    away.wait(INTERVAL_MS).silent();
    let mut connected = enrolled();
    let conn = connected.connect(B1_AT);
    connected.stream(conn, &say::register_pk(B1, DEVICE, &KEY)).stream_to(conn);
    connected.stop_and_start();
    connected.wait(INTERVAL_MS).silent();
}

#[test]
fn c138_who_came_by_itself_is_not_asked() {
    let mut drive = enrolled();
    drive.stop_and_start();
    let other_port = "203.0.113.9:50777";
    let answer = drive.datagram(other_port, &say::register_pk(B1, DEVICE, &KEY));
    assert_eq!(hex(answer.datagram_to(other_port)), OK);
    drive.wait(INTERVAL_MS).silent();
}

/// The list may be older than the store, or be somebody else's.
#[test]
fn c138_only_the_stored_address_of_a_device_is_asked() {
    let mut drive = enrolled();
    drive.restart();
    for (id, place) in [("987654321", B1_AT), (B1, A_AT)] {
        drive.machine.recall(PeerId::new(id).unwrap(), at(place));
    }
    drive.wait(INTERVAL_MS).silent();
}

#[test]
fn c138_nobody_banned_is_asked() {
    for banned in [B1, "203.0.113.0/24"] {
        let mut drive = enrolled();
        drive.stop_and_start();
        let mut bans = Bans::default();
        bans.add(hbb_core::base::address::Banned::parse(banned).unwrap());
        drive.machine.reconfigure(Limits::default(), Policy { bans, ..Policy::default() });
        drive.wait(INTERVAL_MS).silent();
    }
}

#[test]
fn c138_two_hundred_a_second_are_asked_and_three_thousand_at_most() {
    let limits = Limits { peers: 4_000, registrations_per_source: u16::MAX, ..Limits::default() };
    let mut drive = Drive::new(limits, Policy::default());
    let place = |number: usize| format!("10.{}.{}.1:50000", number / 250, number % 250);
    for number in 0..RECALLS_MAX + 500 {
        let from = place(number);
        drive.prove(&from);
        drive.enroll(&format!("{}", 100_000_000 + number), &from);
    }
    drive.stop_and_start();
    let mut asked: Vec<Via> = Vec::new();
    for second in 0..20 {
        let before = asked.len();
        for _ in 0..50 {
            asked.extend(drive.wait(20).sent().iter().map(|(via, _)| *via));
        }
        let some = asked.len() - before;
        assert_eq!(some, if second < 15 { 200 } else { 0 }, "in second {second}");
    }
    let all = asked.len();
    assert_eq!(all, RECALLS_MAX);
    asked.sort_by_key(|via| format!("{via:?}"));
    asked.dedup();
    assert_eq!(asked.len(), all, "each once");
}
