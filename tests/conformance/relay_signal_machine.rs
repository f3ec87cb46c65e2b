//! Relay signalling, asked of the machine alone: C56-C59. Refusals first.
//! What the binary is asked too stands in `relay_signal.rs`.

use hbb_core::base::address::Network;
use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::Limits;
use hbb_core::rendezvous::{LocalNetwork, Policy};

use crate::drive::{A_AT, B1, B1_AT, Deeds, Drive, server_key};
use crate::say::proto::{RelayResponse, RequestRelay};
use crate::say::{self, take};

const B1_ONE_SHOT: &str = "203.0.113.9:61234";

fn with_b1(mut drive: Drive) -> Drive {
    drive.enroll(B1, B1_AT);
    drive
}

#[track_caller]
fn one_shot(drive: &mut Drive, payload: &[u8]) -> Deeds {
    let conn = drive.connect(B1_ONE_SHOT);
    let deeds = drive.stream(conn, payload);
    assert!(deeds.closed(conn).is_some(), "left open");
    drive.hang_up(conn);
    deeds
}

/// The initiator is refused in words, and nobody else hears of it.
#[track_caller]
fn refused(drive: &mut Drive, conn: Conn, payload: &[u8]) {
    let answer = take!(drive.stream(conn, payload).stream_to(conn), RelayResponse);
    assert!(!answer.refuse_reason.is_empty());
    assert!(answer.uuid.is_empty() && answer.relay_server.is_empty() && answer.peer.is_none());
}

#[track_caller]
fn pushed(drive: &mut Drive, conn: Conn, payload: &[u8]) -> RequestRelay {
    take!(drive.stream(conn, payload).datagram_to(B1_AT), RequestRelay)
}

#[track_caller]
fn answer(deeds: &Deeds, conn: Conn) -> RelayResponse {
    take!(deeds.stream_to(conn), RelayResponse)
}

/// The initiator passes the key check for B1, on a connection that is gone then.
fn show_key(drive: &mut Drive, from: &str) {
    let conn = drive.connect(from);
    let key = server_key().public_text();
    drive.stream(conn, &say::punch(B1, |wish| wish.access_key = key)).datagram_to(B1_AT);
    drive.hang_up(conn);
}

#[test]
fn c058_a_target_silent_for_30_s_is_refused() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    drive.wait(30_000);
    refused(&mut drive, conn, &say::request_relay(B1, |_| ()));
}

#[test]
fn c059_the_key_shown_grants_a_relay_for_two_minutes() {
    let mut drive = with_b1(Drive::enforcing());
    show_key(&mut drive, A_AT);
    for _ in 0..4 {
        drive.wait(29_999);
        drive.datagram(B1_AT, &say::register_peer(B1)).datagram_to(B1_AT);
        // Each attempt comes on a connection of its own.
        let conn = drive.connect("198.51.100.7:52000");
        pushed(&mut drive, conn, &say::request_relay(B1, |_| ()));
        drive.hang_up(conn);
    }
    drive.wait(4);
    let conn = drive.connect(A_AT);
    refused(&mut drive, conn, &say::request_relay(B1, |_| ()));
}

#[test]
fn c056_fields_of_newer_clients_survive() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    let ask = |drive: &mut Drive| {
        take!(drive.stream(conn, &say::punch(B1, |_| ())).datagram_to(B1_AT), PunchHole)
    };
    let push = ask(&mut drive);
    let mut chosen = say::relay_chosen(B1, &push.socket_addr, |chosen| {
        (chosen.feedback, chosen.upnp_port) = (3, 4);
    });
    // Field 77 with three bytes, put into the member, whose length is byte 2.
    chosen.extend([0xea, 0x04, 3, 1, 2, 3]);
    chosen[2] += 6;
    let deeds = one_shot(&mut drive, &chosen);
    let found = answer(&deeds, conn);
    assert_eq!((found.feedback, found.upnp_port), (3, 4));
    let kept = deeds.stream_to(conn).windows(6).any(|bytes| bytes == [0xea, 0x04, 3, 1, 2, 3]);
    assert!(kept, "field 77 is lost");
}

#[test]
fn c057_a_wish_too_long_for_a_datagram_is_dropped() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    let long = say::request_relay(B1, |wish| wish.relay_server = "x".repeat(1500));
    let deeds = drive.stream(conn, &long);
    deeds.silent();
    assert_eq!(deeds.closed(conn), Some(DropReason::Oversized));
    // What is taken out before it leaves does not count.
    let conn = drive.connect(A_AT);
    let tokens = say::request_relay(B1, |wish| wish.token = "x".repeat(4000));
    pushed(&mut drive, conn, &tokens);
}

#[test]
fn c057_relay_requests_and_answers_over_udp_are_dropped() {
    let mut drive = with_b1(Drive::open());
    drive.datagram(A_AT, &say::request_relay(B1, |_| ())).silent();
    let conn = drive.connect(A_AT);
    let push = pushed(&mut drive, conn, &say::request_relay(B1, |_| ()));
    drive.datagram(B1_AT, &say::relay_agreed(&push.socket_addr)).silent();
}

#[test]
fn c057_an_initiator_in_the_lan_is_told_the_lans_relay() {
    let network = Network::parse("198.51.100.0/24").unwrap();
    let lan = Some(LocalNetwork { network, relay: "198.51.100.1".into() });
    let mut drive = with_b1(Drive::new(Limits::default(), Policy { lan, ..Policy::default() }));
    let conn = drive.connect(A_AT);
    let push = take!(drive.stream(conn, &say::punch(B1, |_| ())).datagram_to(B1_AT), PunchHole);
    let deeds = one_shot(&mut drive, &say::relay_chosen(B1, &push.socket_addr, |_| ()));
    assert_eq!(answer(&deeds, conn).relay_server, "198.51.100.1");
}
