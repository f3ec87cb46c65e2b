//! Punching, asked of the machine: C39-C46, C49-C51. Refusals first.
//! Who may answer whom stands in `punch_echo_machine.rs`.

use hbb_core::base::address::Network;
use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::Limits;
use hbb_core::rendezvous::{LocalNetwork, Policy};
use hbb_core::wire::addr::{Mangled, demangle};

use crate::drive::{A_AT, B1, B1_AT, Deeds, Drive, KEY, at, server_key};
use crate::say::proto::punch_hole_response::Path;
use crate::say::proto::{FetchLocalAddr, PunchHole, PunchHoleResponse, relay_response};
use crate::say::{self, hex, take, unhex};

/// On the same address as B1.
pub(crate) const NEAR_B1: &str = "203.0.113.9:40001";
/// Where B1's one-shot connection comes from.
const B1_ONE_SHOT: &str = "203.0.113.9:61234";
const V6_OF_A: [u8; 18] = [0xa6; 18];
const V6_OF_B: [u8; 18] = [0xb6; 18];
const SYMMETRIC: i32 = 2;

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
fn c039_a_wrong_key_is_a_mismatch_and_nothing_reaches_the_target() {
    let mut drive = with_b1(Drive::enforcing());
    let key = server_key().public_text();
    for wrong in ["", "x", key.trim_start_matches('A'), &format!("{key} "), &key.to_lowercase()] {
        let conn = drive.connect(A_AT);
        let deeds = drive.stream(conn, &say::punch(B1, |wish| wish.access_key = wrong.into()));
        assert_eq!(hex(deeds.stream_to(conn)), "5a021803", "{wrong:?}");
        drive.hang_up(conn);
    }
    assert_eq!(drive.machine.counters().of(DropReason::WrongKey), 5);
}

#[test]
fn c039_a_wrong_key_does_not_tell_who_exists() {
    let mut drive = Drive::enforcing();
    let conn = drive.connect(A_AT);
    assert_eq!(hex(drive.stream(conn, &say::punch(B1, |_| ())).stream_to(conn)), "5a021803");
}

#[test]
fn c039_the_right_key_passes_and_any_key_without_enforcement() {
    let mut drive = with_b1(Drive::enforcing());
    let conn = drive.connect(A_AT);
    told(&mut drive, conn, &say::punch(B1, |wish| wish.access_key = server_key().public_text()));
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    told(&mut drive, conn, &say::punch(B1, |wish| wish.access_key = "whatever".into()));
}

#[test]
fn c040_an_unknown_id_does_not_exist() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A_AT);
    for id in ["123456780", "", "with blank", &"x".repeat(49), "12345678", "1234567890"] {
        let deeds = drive.stream(conn, &say::punch(id, |_| ()));
        assert_eq!(hex(deeds.stream_to(conn)), "5a00", "{id:?}");
    }
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
fn c041_the_target_is_told_the_initiator_its_nat_and_the_relay() {
    for (relays, relay) in
        [(vec![], ""), (vec!["relay.example:21117".into()], "relay.example:21117")]
    {
        let mut drive = with_policy(Policy { relays, ..Policy::default() });
        for nat in [0, 1, 2] {
            let conn = drive.connect(A_AT);
            let push = told(&mut drive, conn, &say::punch(B1, |wish| wish.nat_type = nat));
            assert_eq!(demangle(&push.socket_addr), at(A_AT));
            assert_eq!((push.nat_type, push.relay_server.as_str()), (nat, relay));
            assert!(!push.force_relay);
            drive.hang_up(conn);
        }
    }
}

#[test]
fn c041_relays_take_turns() {
    let relays = vec!["one".to_owned(), "two:1".to_owned()];
    let mut drive = with_policy(Policy { relays: relays.clone(), ..Policy::default() });
    let mut seen = Vec::new();
    for _ in 0..4 {
        let conn = drive.connect(A_AT);
        seen.push(told(&mut drive, conn, &say::punch(B1, |_| ())).relay_server);
        drive.hang_up(conn);
    }
    assert_ne!(seen[0], seen[1]);
    assert_eq!(seen[..2], seen[2..]);
    assert!(seen.iter().all(|relay| relays.contains(relay)));
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
fn c042_members_of_the_lan_meet_there_and_others_at_the_relay() {
    let network = Network::parse("203.0.0.0/8").unwrap();
    let lan = Some(LocalNetwork { network, relay: "203.0.113.1".into() });
    let mut drive = with_policy(Policy { lan, ..Policy::default() });
    let inside = drive.connect("203.7.7.7:40001");
    told_local(&mut drive, inside, &say::punch(B1, |_| ()));
    let outside = drive.connect(A_AT);
    let push = told(&mut drive, outside, &say::punch(B1, |_| ()));
    assert_eq!((push.nat_type, push.relay_server.as_str()), (SYMMETRIC, "203.0.113.1"));
}

/// Asks with all a direct path could use, and sees that the target is told of none of it.
#[track_caller]
fn sees_only_the_relay(drive: &mut Drive, from: &str, force_relay: bool) {
    let conn = drive.connect(from);
    let payload = say::punch(B1, |wish| {
        wish.force_relay = force_relay;
        wish.udp_port = 4000;
        wish.socket_addr_v6 = V6_OF_A.into();
    });
    let push = told(drive, conn, &payload);
    assert!(push.nat_type == SYMMETRIC && push.force_relay, "{from}");
    assert!(push.udp_port == 0 && push.socket_addr_v6.is_empty(), "{from}");
    let answered = one_shot(
        drive,
        &say::punch_sent(B1, &push.socket_addr, |sent| {
            sent.socket_addr_v6 = V6_OF_B.into();
        }),
    );
    assert!(answer(&answered, conn).socket_addr_v6.is_empty(), "{from}");
    drive.hang_up(conn);
}

#[test]
fn c043_a_forced_relay_leaves_no_other_path() {
    let mut drive = with_policy(Policy { always_relay: true, ..Policy::default() });
    sees_only_the_relay(&mut drive, A_AT, false);
    sees_only_the_relay(&mut drive, NEAR_B1, false);
    let mut drive = with_b1(Drive::open());
    sees_only_the_relay(&mut drive, A_AT, true);
    sees_only_the_relay(&mut drive, NEAR_B1, true);
}

#[test]
fn c044_the_answer_tells_where_the_one_shot_connection_came_from() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    let deeds = one_shot(&mut drive, &say::punch_sent(B1, &echo, |sent| sent.nat_type = 2));
    let found = answer(&deeds, conn);
    assert_eq!(demangle(&found.socket_addr), at(B1_ONE_SHOT));
    assert_eq!(found.relay_server, "relay.example");
    assert!(found.path == Some(Path::NatType(2)) && !found.is_udp);
    assert_eq!(found.pk, signed_b1());
    assert_eq!((found.failure, found.feedback), (0, 0));
    assert_eq!(deeds.closed(conn), None);
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
fn c045_the_local_address_is_passed_on_verbatim() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(NEAR_B1);
    let push = told_local(&mut drive, conn, &say::punch(B1, |_| ()));
    // The target decodes and encodes the echo anew: same endpoint, other bytes.
    let anew = Mangled::new(demangle(&push.socket_addr), 0x0bad_cafe);
    assert_ne!(anew.as_bytes(), push.socket_addr);
    for local in ["f4a8f0ac682470fe8964", "20010db8000000000000000000000001901f"] {
        drive.stream(conn, &say::punch(B1, |_| ()));
        let payload = say::local_addr(B1, anew.as_bytes(), |sent| sent.local_addr = unhex(local));
        let found = answer(&one_shot(&mut drive, &payload), conn);
        assert_eq!(hex(&found.socket_addr), local);
        assert!(found.path == Some(Path::IsLocal(true)) && !found.is_udp);
        assert_eq!((found.pk, found.relay_server.as_str()), (signed_b1(), "relay.example"));
    }
}

#[test]
fn c046_without_a_version_there_is_no_key() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    let sent = say::punch_sent(B1, &echo, |sent| sent.version.clear());
    assert!(answer(&one_shot(&mut drive, &sent), conn).pk.is_empty());

    let echo = told(&mut drive, conn, &say::punch(B1, |_| ())).socket_addr;
    let chosen = say::relay_chosen(B1, &echo, |chosen| chosen.version.clear());
    let deeds = one_shot(&mut drive, &chosen);
    let forwarded = take!(deeds.stream_to(conn), RelayResponse);
    assert!(forwarded.peer == Some(relay_response::Peer::Pk(Vec::new())));

    let near = drive.connect(NEAR_B1);
    let echo = told_local(&mut drive, near, &say::punch(B1, |_| ())).socket_addr;
    let local = say::local_addr(B1, &echo, |local| local.version.clear());
    assert!(answer(&one_shot(&mut drive, &local), near).pk.is_empty());
}

#[test]
fn c049_ports_and_ipv6_sockets_reach_the_target() {
    let mut drive = with_b1(Drive::open());
    let payload = say::punch(B1, |wish| {
        wish.udp_port = 45_678;
        wish.upnp_port = 7;
        wish.socket_addr_v6 = V6_OF_A.into();
    });
    let far = drive.connect(A_AT);
    let push = told(&mut drive, far, &payload);
    assert_eq!((push.udp_port, push.upnp_port), (45_678, 7));
    assert_eq!(push.socket_addr_v6, V6_OF_A);
    assert!(push.control_permissions.is_none() && push.controlled_context.is_none());
    let near = drive.connect(NEAR_B1);
    assert_eq!(told_local(&mut drive, near, &payload).socket_addr_v6, V6_OF_A);
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
    let (conn, echo) = asked(&mut drive, A_AT);
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

#[test]
fn c051_the_targets_ipv6_socket_reaches_the_initiator() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    let sent = say::punch_sent(B1, &echo, |sent| {
        (sent.socket_addr_v6, sent.upnp_port) = (V6_OF_B.into(), 9);
    });
    let found = answer(&one_shot(&mut drive, &sent), conn);
    assert_eq!((&found.socket_addr_v6[..], found.upnp_port), (&V6_OF_B[..], 9));

    let echo = told(&mut drive, conn, &say::punch(B1, |_| ())).socket_addr;
    let chosen = say::relay_chosen(B1, &echo, |chosen| chosen.socket_addr_v6 = V6_OF_B.into());
    let deeds = one_shot(&mut drive, &chosen);
    assert_eq!(take!(deeds.stream_to(conn), RelayResponse).socket_addr_v6, V6_OF_B);

    let near = drive.connect(NEAR_B1);
    let echo = told_local(&mut drive, near, &say::punch(B1, |_| ())).socket_addr;
    let local = say::local_addr(B1, &echo, |local| local.socket_addr_v6 = V6_OF_B.into());
    assert_eq!(answer(&one_shot(&mut drive, &local), near).socket_addr_v6, V6_OF_B);
}
