//! Punching, asked of the machine alone: C39-C42, C44, C49, C50. Refusals first.
//! What the binary is asked too stands in `punch.rs`.
//! Who may answer whom stands in `punch_echo_machine.rs`.

use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::Limits;
use hbb_core::rendezvous::Policy;
use hbb_core::wire::addr::demangle;

use crate::drive::{A_AT, B1, B1_AT, Deeds, Drive, KEY, at, server_key};
use crate::say::proto::{FetchLocalAddr, PunchHole, PunchHoleResponse};
use crate::say::{self, hex, take};

/// On the same address as B1.
pub(crate) const NEAR_B1: &str = "203.0.113.9:40001";
/// Where B1's one-shot connection comes from.
const B1_ONE_SHOT: &str = "203.0.113.9:61234";

pub(crate) fn with_b1(mut drive: Drive) -> Drive {
    drive.enroll(B1, B1_AT);
    drive
}

fn with_policy(policy: Policy) -> Drive {
    with_b1(Drive::new(Limits::default(), policy))
}

/// What B1 is told when `conn` asks for it as `payload` says.
#[track_caller]
pub(crate) fn told(drive: &mut Drive, conn: Conn, payload: &[u8]) -> PunchHole {
    take!(drive.stream(conn, payload).datagram_to(B1_AT), PunchHole)
}

#[track_caller]
pub(crate) fn told_local(drive: &mut Drive, conn: Conn, payload: &[u8]) -> FetchLocalAddr {
    take!(drive.stream(conn, payload).datagram_to(B1_AT), FetchLocalAddr)
}

/// A new initiator asks for B1: its connection, and the echo B1 was given.
#[track_caller]
pub(crate) fn asked(drive: &mut Drive, from: &str) -> (Conn, Vec<u8>) {
    let conn = drive.connect(from);
    let echo = told(drive, conn, &say::punch(B1, |_| ())).socket_addr;
    (conn, echo)
}

/// Says `payload` on a one-shot connection of B1; the connection must be closed then.
#[track_caller]
pub(crate) fn one_shot(drive: &mut Drive, payload: &[u8]) -> Deeds {
    let conn = drive.connect(B1_ONE_SHOT);
    let deeds = drive.stream(conn, payload);
    assert!(deeds.closed(conn).is_some(), "left open");
    drive.hang_up(conn);
    deeds
}

#[track_caller]
pub(crate) fn answer(deeds: &Deeds, initiator: Conn) -> PunchHoleResponse {
    take!(deeds.stream_to(initiator), PunchHoleResponse)
}

fn signed_b1() -> Vec<u8> {
    let id_pk = [&[0x0a, 9][..], B1.as_bytes(), &[0x12, 32], &KEY].concat();
    [&server_key().sign(&id_pk).0[..], &id_pk].concat()
}

#[test]
fn c039_a_wrong_key_does_not_tell_who_exists() {
    let mut drive = Drive::enforcing();
    let conn = drive.connect(A_AT);
    assert_eq!(hex(drive.stream(conn, &say::punch(B1, |_| ())).stream_to(conn)), "5a021803");
}

#[test]
fn c040_a_silent_target_is_offline_and_so_is_a_stored_one() {
    let mut drive = with_b1(Drive::open());
    drive.wait(30_000);
    let conn = drive.connect(A_AT);
    assert_eq!(hex(drive.stream(conn, &say::punch(B1, |_| ())).stream_to(conn)), "5a021802");
    let mut drive = with_b1(Drive::open());
    drive.restart();
    let conn = drive.connect(A_AT);
    assert_eq!(hex(drive.stream(conn, &say::punch(B1, |_| ())).stream_to(conn)), "5a021802");
}

#[test]
fn c040_punch_requests_over_udp_are_not_answered() {
    let mut drive = with_b1(Drive::open());
    drive.datagram(A_AT, &say::punch(B1, |_| ())).silent();
    drive.datagram(A_AT, &say::punch("nobody-here", |_| ())).silent();
}

#[test]
fn c041_relays_take_turns() {
    let relays = vec!["one".to_owned(), "two:1".to_owned()];
    let mut drive = with_policy(Policy { relays: relays.clone(), ..Policy::default() });
    let (mut seen, mut by_udp) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        // Clients that can punch over UDP dial twice at once, with its port and without.
        let [conn, beside] = [A_AT, "198.51.100.7:40002"].map(|at| drive.connect(at));
        let push = told(&mut drive, beside, &say::punch(B1, |wish| wish.udp_port = 4000));
        by_udp.push(push.relay_server);
        let push = told(&mut drive, conn, &say::punch(B1, |_| ()));
        let target = drive.connect(B1_ONE_SHOT);
        let sent = say::punch_sent(B1, &push.socket_addr, |sent| {
            sent.relay_server.clone_from(&push.relay_server);
        });
        answer(&drive.stream(target, &sent), conn);
        seen.push(push.relay_server);
        for conn in [conn, beside] {
            drive.hang_up(conn);
        }
    }
    for seen in [seen, by_udp] {
        assert_ne!(seen[0], seen[1]);
        assert_eq!(seen[..2], seen[2..]);
        assert!(seen.iter().all(|relay| relays.contains(relay)));
    }
}

#[test]
fn c042_one_address_over_websocket_is_a_punch() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect_web(NEAR_B1);
    let push = told(&mut drive, conn, &say::punch(B1, |_| ()));
    assert_eq!(demangle(&push.socket_addr), at(NEAR_B1));
}

#[test]
fn c042_one_address_over_tcp_asks_for_the_local_address() {
    let relays = vec!["relay.example".into()];
    let mut drive = with_policy(Policy { relays, ..Policy::default() });
    let conn = drive.connect(NEAR_B1);
    let push = told_local(&mut drive, conn, &say::punch(B1, |_| ()));
    assert_eq!(demangle(&push.socket_addr), at(NEAR_B1));
    assert_eq!(push.relay_server, "relay.example");
}

#[test]
fn c044_the_target_closing_first_loses_nothing() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    let target = drive.connect(B1_ONE_SHOT);
    let deeds = drive.stream(target, &say::punch_sent(B1, &echo, |_| ()));
    assert_eq!(deeds.closed(target), Some(DropReason::Done));
    answer(&deeds, conn);
    drive.hang_up(target).silent();
}

#[test]
fn c049_an_ipv6_socket_of_another_length_is_not_copied() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    for len in [1, 16, 17, 19, 4000] {
        let payload = say::punch(B1, |wish| wish.socket_addr_v6 = vec![1; len]);
        assert!(told(&mut drive, conn, &payload).socket_addr_v6.is_empty(), "{len}");
    }
}

#[test]
fn c050_a_udp_answer_tells_its_source_once_and_is_not_answered_itself() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    let echo = told(&mut drive, conn, &say::punch(B1, |wish| wish.udp_port = 4000)).socket_addr;
    let sent = say::punch_sent(B1, &echo, |_| ());
    let found = answer(&drive.datagram("203.0.113.9:33333", &sent), conn);
    assert_eq!(demangle(&found.socket_addr), at("203.0.113.9:33333"));
    assert!(found.is_udp && found.pk == signed_b1());
    drive.datagram("203.0.113.9:33333", &sent).silent();
    drive.datagram("203.0.113.9:33333", &sent).silent();
}

#[test]
fn c050_local_addresses_and_relay_answers_do_not_come_by_udp() {
    let mut drive = with_b1(Drive::open());
    let near = drive.connect(NEAR_B1);
    let echo = told_local(&mut drive, near, &say::punch(B1, |_| ())).socket_addr;
    drive.datagram(B1_AT, &say::local_addr(B1, &echo, |_| ())).silent();
    drive.datagram(B1_AT, &say::relay_chosen(B1, &echo, |_| ())).silent();
}
