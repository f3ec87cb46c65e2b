//! Punching between two addresses of this machine: C39-C48, C52, C55. Refusals first.
//! What the relay has to do with it stands in `relay_signal.rs`.

use crate::loopback::{
    A_IP, B_IP, B1, Caller, DEVICE, Device, ELSEWHERE, KEY, asked, dial, main_port, one_shot, open,
    wish,
};
use crate::model::initiator::verify;
use crate::model::server::Server;
use crate::model::wire::{demangle, frame, mangle};
use crate::say::proto::punch_hole_response::Path;
use crate::say::proto::{PunchHoleResponse, relay_response};
use crate::say::{self, hex, take, unhex};

const OFFLINE: &str = "5a021802";
const KEY_MISMATCH: &str = "5a021803";
const SYMMETRIC: i32 = 2;
const V6: [u8; 18] = [0xa6; 18];

/// A server and B1 on it.
fn with_b1(flags: &[&str]) -> (Server, Device) {
    let server = Server::start(flags);
    let target = Device::enrolled(B_IP, &server, B1);
    (server, target)
}

#[track_caller]
fn answer(initiator: &mut Caller) -> PunchHoleResponse {
    take!(&initiator.next(), PunchHoleResponse)
}

/// The initiator has not been told anything: the answer to a NAT test comes first.
#[track_caller]
fn heard_nothing(initiator: &mut Caller) {
    let port = take!(&initiator.ask(&say::test_nat(3)), TestNatResponse).port;
    assert_eq!(port, i32::from(initiator.port()));
}

#[test]
fn c039_a_wrong_key_is_a_mismatch_and_nothing_reaches_the_target() {
    let (server, target) = with_b1(&[]);
    let key = server.key();
    let unpadded = key.trim_end_matches('=').to_owned();
    for wrong in [String::new(), "x".into(), unpadded, format!("{key} "), key.to_lowercase()] {
        let mut initiator = Caller::from(A_IP, main_port(&server));
        let wish = say::punch(B1, |wish| wish.access_key = wrong.clone());
        assert_eq!(hex(&initiator.ask(&wish)), KEY_MISMATCH, "{wrong:?}");
    }
    target.heard_nothing();
    asked(&server, &target);
}

#[test]
fn c039_without_enforcement_any_key_passes() {
    let (server, target) = with_b1(&["--key="]);
    for any in ["", "x", &server.key()] {
        let mut initiator = Caller::from(A_IP, main_port(&server));
        initiator.say(&say::punch(B1, |wish| wish.access_key = any.into()));
        take!(&target.next(), PunchHole);
    }
}

#[test]
fn c040_an_unknown_id_does_not_exist_and_a_stored_one_is_offline() {
    let (mut server, _target) = with_b1(&[]);
    for nobody in ["987654321", "12345678", "1234567890", "", "with blank"] {
        assert_eq!(dial(&server, nobody), "5a00", "{nobody:?}");
    }
    server.kill_and_restart();
    assert_eq!(dial(&server, B1), OFFLINE);
    assert_eq!(dial(&server, "987654321"), "5a00");
}

#[test]
fn c041_two_addresses_are_told_to_punch() {
    let (server, target) = with_b1(&[]);
    for nat in [0, 1, SYMMETRIC] {
        let mut initiator = Caller::from(A_IP, main_port(&server));
        let key = server.key();
        initiator.say(&say::punch(B1, |wish| (wish.access_key, wish.nat_type) = (key, nat)));
        let hole = take!(&target.next(), PunchHole);
        assert_eq!(demangle(&hole.socket_addr), initiator.addr());
        assert_eq!((hole.nat_type, hole.relay_server.as_str()), (nat, ""));
        assert!(!hole.force_relay);
    }
}

#[test]
fn c041_the_relay_configured_is_told() {
    let (server, target) = with_b1(&["--relay-servers", "192.0.2.5:443"]);
    assert_eq!(asked(&server, &target).1.relay_server, "192.0.2.5:443");
}

/// B1 is asked for its local address by an initiator at `ip`; that connection and the echo.
#[track_caller]
fn asked_locally(server: &Server, target: &Device, ip: &str) -> (Caller, Vec<u8>) {
    let mut initiator = Caller::from(ip, main_port(server));
    initiator.say(&wish(server));
    let fetch = take!(&target.next(), FetchLocalAddr);
    assert_eq!(demangle(&fetch.socket_addr), initiator.addr());
    (initiator, fetch.socket_addr)
}

#[test]
fn c042_same_address_gets_fetch_local_addr_over_loopback() {
    let (server, target) = with_b1(&[]);
    asked_locally(&server, &target, B_IP);
    // Loopback is an address like any other: one of its neighbours is another.
    asked(&server, &target);
}

#[test]
fn c042_members_of_the_lan_meet_there() {
    let (server, target) = with_b1(&["--mask", "127.0.1.0/24", "--local-ip", "127.0.1.9"]);
    asked_locally(&server, &target, A_IP);
    let mut outsider = Caller::from("127.0.2.1", main_port(&server));
    outsider.say(&wish(&server));
    let hole = take!(&target.next(), PunchHole);
    assert_eq!((hole.nat_type, hole.relay_server.as_str()), (SYMMETRIC, "127.0.1.9"));
}

#[test]
fn c043_a_forced_relay_leaves_no_other_path() {
    for (flags, force_relay) in [(&["--always-use-relay"][..], false), (&[], true)] {
        let (server, target) = with_b1(flags);
        for ip in [A_IP, B_IP] {
            let mut initiator = Caller::from(ip, main_port(&server));
            initiator.say(&say::punch(B1, |wish| {
                wish.access_key = server.key();
                wish.force_relay = force_relay;
                (wish.udp_port, wish.socket_addr_v6) = (40_404, V6.into());
            }));
            let hole = take!(&target.next(), PunchHole);
            assert_eq!((hole.nat_type, hole.force_relay), (SYMMETRIC, true), "{flags:?} {ip}");
            assert_eq!((hole.udp_port, hole.socket_addr_v6.len()), (0, 0));
        }
    }
}

#[test]
fn c044_the_answer_tells_where_the_targets_connection_came_from() {
    let (server, target) = with_b1(&[]);
    for nat in [1, SYMMETRIC] {
        let (mut initiator, hole) = asked(&server, &target);
        let sent = say::punch_sent(B1, &hole.socket_addr, |sent| sent.nat_type = nat);
        let from = one_shot(&server, &sent);
        let answer = answer(&mut initiator);
        assert_eq!(demangle(&answer.socket_addr), from);
        assert!(answer.path == Some(Path::NatType(nat)), "another NAT");
        assert_eq!((answer.relay_server.as_str(), answer.is_udp), ("relay.example", false));
        assert_eq!(verify(&server.key(), B1, &answer.pk), KEY);
        assert_eq!((answer.feedback, answer.other_failure.as_str()), (0, ""));
    }
}

#[test]
fn c044_the_target_leaving_first_loses_nothing() {
    let (server, target) = with_b1(&[]);
    for round in 0..20 {
        let (mut initiator, hole) = asked(&server, &target);
        let mut shot = Caller::from(B_IP, main_port(&server));
        let from = shot.addr();
        shot.say(&say::punch_sent(B1, &hole.socket_addr, |_| ()));
        match round % 3 {
            0 => shot.shut(),
            1 => shot.reset(),
            _ => drop(shot),
        }
        assert_eq!(demangle(&answer(&mut initiator).socket_addr), from, "round {round}");
    }
}

#[test]
fn c045_the_local_address_is_passed_on_verbatim() {
    let (server, target) = with_b1(&[]);
    // Not even the bytes of an address need be good.
    for local in [unhex("f4a8f0ac682470fe8964"), vec![0xff; 18], b"\0\0".to_vec()] {
        let (mut initiator, _) = asked_locally(&server, &target, B_IP);
        let anew = mangle(initiator.addr());
        one_shot(&server, &say::local_addr(B1, &anew, |addr| addr.local_addr = local.clone()));
        let answer = answer(&mut initiator);
        assert_eq!(answer.socket_addr, local);
        assert!(answer.path == Some(Path::IsLocal(true)), "not local");
        assert_eq!(verify(&server.key(), B1, &answer.pk), KEY);
        assert_eq!(answer.relay_server, "relay.example");
    }
}

#[test]
fn c046_without_a_version_there_is_no_key() {
    let (server, target) = with_b1(&[]);
    let (mut initiator, hole) = asked(&server, &target);
    one_shot(&server, &say::punch_sent(B1, &hole.socket_addr, |sent| sent.version.clear()));
    assert!(answer(&mut initiator).pk.is_empty());
    let (mut initiator, echo) = asked_locally(&server, &target, B_IP);
    one_shot(&server, &say::local_addr(B1, &echo, |addr| addr.version.clear()));
    assert!(answer(&mut initiator).pk.is_empty());
    let (mut initiator, hole) = asked(&server, &target);
    one_shot(&server, &say::relay_chosen(B1, &hole.socket_addr, |chosen| chosen.version.clear()));
    let peer = take!(&initiator.next(), RelayResponse).peer;
    assert!(peer == Some(relay_response::Peer::Pk(Vec::new())), "a key");
}

#[test]
fn c047_asking_again_pushes_again_and_is_answered_once() {
    let (server, target) = with_b1(&[]);
    let (mut initiator, first) = asked(&server, &target);
    initiator.say(&wish(&server));
    let second = take!(&target.next(), PunchHole);
    assert_eq!(demangle(&second.socket_addr), initiator.addr());
    let from = one_shot(&server, &say::punch_sent(B1, &second.socket_addr, |_| ()));
    assert_eq!(demangle(&answer(&mut initiator).socket_addr), from);
    for late in [first, second] {
        one_shot(&server, &say::punch_sent(B1, &late.socket_addr, |_| ()));
    }
    heard_nothing(&mut initiator);
}

#[test]
fn c047_two_asks_in_one_segment_are_two_pushes() {
    let (server, target) = with_b1(&[]);
    let mut initiator = Caller::from(A_IP, main_port(&server));
    initiator.say_raw(&[frame(&wish(&server)), frame(&wish(&server))].concat());
    let pushes = [target.next(), target.next()].map(|push| take!(&push, PunchHole).socket_addr);
    assert!(pushes.iter().all(|push| demangle(push) == initiator.addr()));
}

#[test]
fn c048_an_initiator_that_left_is_forgotten_without_a_word() {
    let (server, target) = with_b1(&[]);
    let (initiator, hole) = asked(&server, &target);
    let before = server.log();
    let port = initiator.port();
    initiator.reset();
    // Whoever has its port next hears nothing of it.
    let mut next = Caller::from_port(A_IP, port, main_port(&server));
    heard_nothing(&mut next);
    one_shot(&server, &say::punch_sent(B1, &hole.socket_addr, |_| ()));
    heard_nothing(&mut next);
    assert_eq!(server.log(), before);
    asked(&server, &target);
}

#[test]
fn c049_ports_and_ipv6_sockets_reach_the_target() {
    let (server, target) = with_b1(&[]);
    let wish = say::punch(B1, |wish| {
        wish.access_key = server.key();
        (wish.udp_port, wish.upnp_port, wish.socket_addr_v6) = (40_404, 5, V6.into());
    });
    Caller::from(A_IP, main_port(&server)).say(&wish);
    let hole = take!(&target.next(), PunchHole);
    assert_eq!((hole.udp_port, hole.upnp_port, hole.force_relay), (40_404, 5, false));
    assert_eq!(hole.socket_addr_v6, V6);
    Caller::from(B_IP, main_port(&server)).say(&wish);
    assert_eq!(take!(&target.next(), FetchLocalAddr).socket_addr_v6, V6);
}

#[test]
fn c050_a_punch_sent_by_udp_tells_its_source_once() {
    let (server, target) = with_b1(&[]);
    let (mut initiator, hole) = asked(&server, &target);
    let hand = Device::at(B_IP, &server);
    for _ in 0..3 {
        hand.say(&say::punch_sent(B1, &hole.socket_addr, |_| ()));
    }
    let answer = answer(&mut initiator);
    let from = demangle(&answer.socket_addr);
    assert_eq!((from.ip().to_string().as_str(), from.port()), (B_IP, hand.port()));
    assert!(answer.is_udp);
    hand.heard_nothing();
    heard_nothing(&mut initiator);
}

#[test]
fn c051_the_targets_ipv6_socket_reaches_the_initiator() {
    let (server, target) = with_b1(&[]);
    let (mut initiator, hole) = asked(&server, &target);
    let sent = say::punch_sent(B1, &hole.socket_addr, |sent| sent.socket_addr_v6 = V6.into());
    one_shot(&server, &sent);
    assert_eq!(answer(&mut initiator).socket_addr_v6, V6);
    let (mut initiator, echo) = asked_locally(&server, &target, B_IP);
    one_shot(&server, &say::local_addr(B1, &echo, |addr| addr.socket_addr_v6 = V6.into()));
    assert_eq!(answer(&mut initiator).socket_addr_v6, V6);
}

#[test]
fn c052_answers_in_another_name_or_without_the_echo_are_dropped() {
    let (server, target) = with_b1(&[]);
    let other = Device::at(ELSEWHERE, &server);
    assert_eq!(hex(&other.ask(&say::register_pk("222222222", DEVICE, &KEY))), "820100");
    let (mut initiator, hole) = asked(&server, &target);
    let (echo, anew) = (hole.socket_addr, mangle(initiator.addr()));
    for id in ["222222222", "987654321"] {
        one_shot(&server, &say::punch_sent(id, &echo, |_| ()));
        one_shot(&server, &say::local_addr(id, &echo, |_| ()));
    }
    for wrong in [&anew[..], &[&echo[..], &[0]].concat(), &[]] {
        one_shot(&server, &say::punch_sent(B1, wrong, |_| ()));
        target.say(&say::punch_sent(B1, wrong, |_| ()));
    }
    one_shot(&server, &say::local_addr(B1, &anew, |_| ()));
    target.heard_nothing();
    heard_nothing(&mut initiator);
    one_shot(&server, &say::punch_sent(B1, &echo, |_| ()));
    assert_eq!(verify(&server.key(), B1, &answer(&mut initiator).pk), KEY);
}

#[test]
fn c055_what_an_initiator_keeps_secret_does_not_reach_the_target() {
    let server = open();
    let target = Device::enrolled(B_IP, &server, B1);
    for ip in [A_IP, B_IP] {
        Caller::from(ip, main_port(&server)).say(&say::punch(B1, |wish| {
            wish.access_key = "the-access-key".into();
            wish.token = "bearer-of-the-user".into();
            wish.switch_code = "code-for-switching".into();
        }));
        let push = String::from_utf8_lossy(&target.next()).into_owned();
        for secret in ["the-access-key", "bearer-of-the-user", "code-for-switching"] {
            assert!(!push.contains(secret), "{secret} reached the target");
        }
    }
}
