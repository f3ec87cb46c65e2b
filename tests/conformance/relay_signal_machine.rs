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

/// An initiator at `A_AT` asks for B1 and is told [`say`]'s relay, on a connection that is gone
/// then.
fn told_relay(drive: &mut Drive) {
    let conn = drive.connect(A_AT);
    let key = server_key().public_text();
    let deeds = drive.stream(conn, &say::punch(B1, |wish| wish.access_key = key));
    let echo = take!(deeds.datagram_to(B1_AT), PunchHole).socket_addr;
    one_shot(drive, &say::punch_sent(B1, &echo, |_| ())).stream_to(conn);
    drive.hang_up(conn);
}

/// The relay that B1 is told when an initiator at `from` names `relay`.
#[track_caller]
fn relay_told(drive: &mut Drive, from: &str, relay: &str) -> String {
    let conn = drive.connect(from);
    let wish = say::request_relay(B1, |wish| wish.relay_server = relay.into());
    let push = pushed(drive, conn, &wish);
    drive.hang_up(conn);
    push.relay_server
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
    let relays = vec!["relay.example".into()];
    let access_key = Some(server_key().public_text().into());
    let policy = Policy { access_key, relays, ..Policy::default() };
    let mut drive = with_b1(Drive::new(Limits::default(), policy));
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
fn c059_from_another_address_it_is_a_relay_of_ours_for_two_minutes() {
    let access_key = Some(server_key().public_text().into());
    let public_relay = Some("rd.example".into());
    let policy = Policy { access_key, public_relay, ..Policy::default() };
    let mut drive = with_b1(Drive::new(Limits::default(), policy));
    told_relay(&mut drive);
    const SECOND_AT: &str = "192.0.2.8:1";
    // What the target chose is told to who showed the key; whoever did not may name ours alone.
    assert_eq!(relay_told(&mut drive, A_AT, "relay.example"), "relay.example");
    for named in ["relay.example", "192.168.1.1:80", "rd.example"] {
        assert_eq!(relay_told(&mut drive, SECOND_AT, named), "rd.example");
    }
    drive.wait(119_999);
    drive.enroll(B1, B1_AT);
    assert_eq!(relay_told(&mut drive, SECOND_AT, ""), "rd.example");
    drive.wait(1);
    let conn = drive.connect(SECOND_AT);
    refused(&mut drive, conn, &say::request_relay(B1, |_| ()));
    assert_eq!(drive.machine.counters().of(DropReason::NotGranted), 1);
}

#[test]
fn c059_who_names_no_relay_of_ours_where_none_is_known_is_told_that_its_address_changed() {
    // The key was shown, and the target has not answered yet: no relay was told.
    let mut drive = with_b1(Drive::enforcing());
    show_key(&mut drive, A_AT);
    let conn = drive.connect("192.0.2.8:1");
    let deeds = drive.stream(conn, &say::request_relay(B1, |_| ()));
    let words = answer(&deeds, conn).refuse_reason;
    assert_eq!(words, "Your address changed, try again");
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
    told_relay(&mut drive);
    let conn = drive.connect(A_AT);
    let long = say::request_relay(B1, |wish| wish.uuid = "x".repeat(1500));
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
    told_relay(&mut drive);
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

#[test]
fn c085_a_relay_is_refused_in_words_where_none_is_told_and_none_is_ours() {
    let mut drive = with_b1(Drive::open());
    let named = say::request_relay(B1, |_| ());
    let conn = drive.connect(A_AT);
    refused(&mut drive, conn, &named);
    assert_eq!(drive.machine.counters().of(DropReason::NotGranted), 1);
    // Told too long ago. A client may be told at one address and name it at another.
    told_relay(&mut drive);
    let other = "198.51.100.8:1";
    assert_eq!(relay_told(&mut drive, other, "192.168.1.1:80"), "relay.example");
    drive.wait(119_999);
    drive.enroll(B1, B1_AT);
    for at in [A_AT, other] {
        assert_eq!(relay_told(&mut drive, at, "relay.example"), "relay.example");
    }
    drive.wait(1);
    let conn = drive.connect(A_AT);
    refused(&mut drive, conn, &named);
}

#[test]
fn c085_without_a_relay_told_it_is_one_of_ours() {
    let relays = vec!["one.example".to_owned(), "two.example:1".to_owned()];
    let public_relay = Some("rd.example".into());
    let policy = Policy { relays: relays.clone(), public_relay, ..Policy::default() };
    let mut drive = with_b1(Drive::new(Limits::default(), policy));
    for named in ["one.example", "ONE.example:21117", "two.example:1", "rd.example:21117"] {
        assert_eq!(relay_told(&mut drive, A_AT, named), named);
    }
    for named in ["192.168.1.1:80", "two.example", "", "one.example:22"] {
        let told = relay_told(&mut drive, A_AT, named);
        assert!(relays.contains(&told), "{named}: {told}");
    }
    let public_relay = Some("rd.example".into());
    let policy = Policy { public_relay, ..Policy::default() };
    let mut drive = with_b1(Drive::new(Limits::default(), policy));
    assert_eq!(relay_told(&mut drive, A_AT, "127.0.0.1:22"), "rd.example");
}

#[test]
fn c085_a_relay_told_stays_good_when_asked_again() {
    let mut drive = with_b1(Drive::open());
    told_relay(&mut drive);
    let conn = drive.connect(A_AT);
    drive.stream(conn, &say::punch(B1, |_| ())).datagram_to(B1_AT);
    assert_eq!(relay_told(&mut drive, A_AT, "relay.example:21117"), "relay.example:21117");
}

/// Our address in the LAN that a target left is none where it is now.
#[test]
fn c125_a_target_that_moved_is_told_our_relay_as_it_finds_it_now() {
    const IN_LAN: &str = "10.1.0.7:50000";
    let public_relay = Some("rd.example".into());
    let mut drive = Drive::new(Limits::default(), Policy { public_relay, ..Policy::default() });
    drive.machine.relays_at(21_117);
    drive.machine.set_interfaces(&[("10.1.0.1".parse().unwrap(), 24)], None);
    drive.enroll(B1, IN_LAN);
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::punch(B1, |_| ()));
    let echo = take!(deeds.datagram_to(IN_LAN), PunchHole).socket_addr;
    let sent = say::punch_sent(B1, &echo, |sent| sent.relay_server = "10.1.0.1".into());
    let answer = take!(one_shot(&mut drive, &sent).stream_to(conn), PunchHoleResponse);
    assert_eq!(answer.relay_server, "rd.example");
    drive.hang_up(conn);
    let told = |drive: &mut Drive, at: &str, from: &str, named: &str| {
        let conn = drive.connect(from);
        let wish = say::request_relay(B1, |wish| wish.relay_server = named.into());
        let push = take!(drive.stream(conn, &wish).datagram_to(at), RequestRelay);
        drive.hang_up(conn);
        push.relay_server
    };
    assert_eq!(told(&mut drive, IN_LAN, A_AT, "rd.example"), "10.1.0.1");
    drive.enroll(B1, B1_AT);
    assert_eq!(told(&mut drive, B1_AT, A_AT, "rd.example"), "rd.example");
    drive.enroll(B1, IN_LAN);
    assert_eq!(told(&mut drive, IN_LAN, A_AT, "rd.example"), "10.1.0.1");
}
