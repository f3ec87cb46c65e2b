//! Relay signalling, asked of the machine: C55-C59, C52 where it concerns relays. Refusals first.

use hbb_core::base::address::Network;
use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::Limits;
use hbb_core::rendezvous::{LocalNetwork, Policy};
use hbb_core::wire::addr::{Mangled, demangle};

use crate::drive::{A_AT, B1, B1_AT, Deeds, Drive, KEY, at, server_key};
use crate::say::proto::{
    ControlPermissions, ControlledContext, RelayResponse, RequestRelay, relay_response,
};
use crate::say::{self, TOKEN, take};

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
fn c058_unknown_and_offline_targets_are_refused_at_once() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    for id in ["nobody-here", "", "with blank"] {
        refused(&mut drive, conn, &say::request_relay(id, |_| ()));
    }
    drive.wait(30_000);
    refused(&mut drive, conn, &say::request_relay(B1, |_| ()));
}

#[test]
fn c059_a_source_that_never_showed_the_key_is_refused() {
    let mut drive = with_b1(Drive::enforcing());
    let conn = drive.connect(A_AT);
    refused(&mut drive, conn, &say::request_relay(B1, |_| ()));
    let with_key = say::request_relay(B1, |wish| wish.access_key = server_key().public_text());
    refused(&mut drive, conn, &with_key);
    assert_eq!(drive.machine.counters().of(DropReason::NotGranted), 2);
}

#[test]
fn c059_a_wrong_key_another_target_and_another_source_grant_nothing() {
    let mut drive = with_b1(Drive::enforcing());
    let conn = drive.connect(A_AT);
    drive.stream(conn, &say::punch(B1, |wish| wish.access_key = "wrong".into()));
    refused(&mut drive, conn, &say::request_relay(B1, |_| ()));
    drive.enroll("222222222", "192.0.2.2:2");
    show_key(&mut drive, A_AT);
    refused(&mut drive, conn, &say::request_relay("222222222", |_| ()));
    let stranger = drive.connect("198.51.100.8:40001");
    refused(&mut drive, stranger, &say::request_relay(B1, |_| ()));
}

#[test]
fn c059_a_refusal_does_not_tell_who_exists() {
    let mut drive = with_b1(Drive::enforcing());
    let conn = drive.connect(A_AT);
    let known = drive.stream(conn, &say::request_relay(B1, |_| ()));
    let unknown = drive.stream(conn, &say::request_relay("nobody-here", |_| ()));
    assert_eq!(known.stream_to(conn), unknown.stream_to(conn));
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
fn c055_secrets_and_permissions_of_an_initiator_do_not_reach_the_target() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    let payload = say::request_relay(B1, |wish| {
        wish.access_key = "the-access-key".into();
        wish.token = "bearer-of-the-user".into();
        wish.switch_code = "code-for-switching".into();
        wish.socket_addr = b"a forged address".into();
        wish.control_permissions = Some(ControlPermissions { permissions: 0xaaaa });
        wish.controlled_context = Some(ControlledContext { conn_audit_ref: "forged-ref".into() });
    });
    let deeds = drive.stream(conn, &payload);
    let bytes = deeds.datagram_to(B1_AT);
    for secret in [
        "the-access-key",
        "bearer-of-the-user",
        "code-for-switching",
        "a forged address",
        "forged-ref",
    ] {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} reached the target");
    }
    let push = take!(bytes, RequestRelay);
    assert!(push.control_permissions.is_none() && push.controlled_context.is_none());
}

#[test]
fn c056_the_relay_a_target_chose_reaches_the_initiator_with_its_key() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    let push = take!(drive.stream(conn, &say::punch(B1, |_| ())).datagram_to(B1_AT), PunchHole);
    let chosen = say::relay_chosen(B1, &push.socket_addr, |_| ());
    let deeds = one_shot(&mut drive, &chosen);
    let found = answer(&deeds, conn);
    assert_eq!((found.uuid.as_str(), found.relay_server.as_str()), (TOKEN, "relay.example"));
    assert_eq!(found.version, "1.4.9");
    assert!(found.socket_addr.is_empty() && found.refuse_reason.is_empty());
    let Some(relay_response::Peer::Pk(pk)) = found.peer else { panic!("an id instead of a key") };
    let id_pk = [&[0x0a, 9][..], B1.as_bytes(), &[0x12, 32], &KEY].concat();
    assert_eq!(pk, [&server_key().sign(&id_pk).0[..], &id_pk].concat());
    assert_eq!(pk.len(), 109);
    // Field 4 is gone from the bytes, not just overridden.
    let body = deeds.stream_to(conn);
    assert!(!body.windows(11).any(|bytes| bytes == [&[0x22, 9][..], B1.as_bytes()].concat()));
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
fn c057_a_wish_for_a_relay_reaches_the_target_with_the_initiators_address() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    for secure in [true, false] {
        let push = pushed(&mut drive, conn, &say::request_relay(B1, |wish| wish.secure = secure));
        assert_eq!((push.id.as_str(), push.uuid.as_str()), (B1, TOKEN));
        assert_eq!((push.relay_server.as_str(), push.secure), ("relay.example:21117", secure));
        assert_eq!(demangle(&push.socket_addr), at(A_AT));
    }
}

#[test]
fn c057_the_targets_consent_reaches_the_initiator_without_key_or_token() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    let push = pushed(&mut drive, conn, &say::request_relay(B1, |_| ()));
    // Whether the target echoes the bytes or spells the address anew.
    let anew = Mangled::new(at(A_AT), 0x0bad_cafe).as_bytes().to_vec();
    for echo in [push.socket_addr, anew] {
        pushed(&mut drive, conn, &say::request_relay(B1, |_| ()));
        let deeds = one_shot(&mut drive, &say::relay_agreed(&echo));
        let found = answer(&deeds, conn);
        assert!(found.peer.is_none() && found.uuid.is_empty() && found.socket_addr.is_empty());
        assert!(found.version == "1.4.9" && found.refuse_reason.is_empty());
        one_shot(&mut drive, &say::relay_agreed(&echo)).silent();
    }
}

#[test]
fn c057_a_refusal_of_the_target_reaches_the_initiator() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    let push = pushed(&mut drive, conn, &say::request_relay(B1, |_| ()));
    let refusal = say::relay_chosen("", &push.socket_addr, |answer| {
        answer.refuse_reason = "not now".into();
        answer.peer = None;
    });
    assert_eq!(answer(&one_shot(&mut drive, &refusal), conn).refuse_reason, "not now");
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
