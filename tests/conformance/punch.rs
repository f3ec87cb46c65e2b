//! Punching, asked of the machine and of the binary: C39-C46, C49, C51, C55; C44, C47, C48, C50 and
//! C52 where sockets are what matters. Refusals first.
//! What the relay has to do with it stands in `relay_signal.rs`.

use std::net::TcpStream;
use std::time::Duration;

use hbb_core::base::address::Network;
use hbb_core::rendezvous::{LocalNetwork, Policy};

use crate::both::{
    ENFORCING, OPEN, Place, Setup, answered, asked, asked_nearby, dial, relayed, wish, with_b1,
};
use crate::loopback::{
    self, A_IP, B_IP, B1, Caller, DEVICE, Device, ELSEWHERE, KEY, main_port, one_shot,
};
use crate::model::host::Host;
use crate::model::initiator::verify;
use crate::model::server::Server;
use crate::model::wire::{demangle, frame, mangle};
use crate::say::proto::punch_hole_response::Path;
use crate::say::proto::{PunchHoleResponse, PunchHoleSent, relay_response};
use crate::say::{self, hex, take, unhex};

const OFFLINE: &str = "5a021802";
const KEY_MISMATCH: &str = "5a021803";
const SYMMETRIC: i32 = 2;
const V6: [u8; 18] = [0xa6; 18];

/// Of B1's answer to a punch: what it can be reached by beside the address.
fn with_v6(sent: &mut PunchHoleSent) {
    (sent.socket_addr_v6, sent.upnp_port) = (V6.into(), 9);
}

/// A server and B1 on it, for what crosses sockets.
fn over_loopback() -> (Server, Device) {
    let server = loopback::enforcing();
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
    with_b1(ENFORCING, |world| {
        let key = world.key();
        let unpadded = key.trim_end_matches('=').to_owned();
        for wrong in [String::new(), "x".into(), unpadded, format!("{key} "), key.to_lowercase()] {
            let wish = say::punch(B1, |wish| wish.access_key = wrong.clone());
            assert_eq!(hex(&world.call(Place::A, &wish)), KEY_MISMATCH, "{wrong:?}");
        }
        // A push for a wrong key would be found here, before this one.
        asked(world);
    });
}

#[test]
fn c039_without_enforcement_any_key_passes() {
    with_b1(OPEN, |world| {
        for any in ["", "x", &world.key()] {
            let wish = say::punch(B1, |wish| wish.access_key = any.into());
            take!(&world.told(Place::A, &wish, Place::B), PunchHole);
        }
    });
}

#[test]
fn c040_an_unknown_id_does_not_exist_and_a_stored_one_is_offline() {
    with_b1(ENFORCING, |world| {
        for nobody in ["987654321", "12345678", "1234567890", "", "with blank", &"x".repeat(49)] {
            assert_eq!(dial(world, nobody), "5a00", "{nobody:?}");
        }
        world.restart();
        assert_eq!(dial(world, B1), OFFLINE);
        assert_eq!(dial(world, "987654321"), "5a00");
    });
}

#[test]
fn c041_two_addresses_are_told_to_punch() {
    with_b1(ENFORCING, |world| {
        for nat in [0, 1, SYMMETRIC] {
            let key = world.key();
            let wish = say::punch(B1, |wish| (wish.access_key, wish.nat_type) = (key, nat));
            let hole = take!(&world.told(Place::A, &wish, Place::B), PunchHole);
            assert_eq!(demangle(&hole.socket_addr), world.initiator());
            assert_eq!((hole.nat_type, hole.relay_server.as_str()), (nat, ""));
            assert!(!hole.force_relay);
        }
    });
}

#[test]
fn c041_the_relay_configured_is_told() {
    let setup = Setup {
        flags: &["--relay-servers", "192.0.2.5:443"],
        policy: || Policy { relays: vec!["192.0.2.5:443".into()], ..Policy::default() },
        ..ENFORCING
    };
    with_b1(setup, |world| assert_eq!(asked(world).relay_server, "192.0.2.5:443"));
}

#[test]
fn c042_same_address_gets_fetch_local_addr_over_loopback() {
    with_b1(ENFORCING, |world| {
        assert_eq!(demangle(&asked_nearby(world).socket_addr), world.initiator());
        // Loopback is an address like any other: one of its neighbours is another.
        asked(world);
    });
}

#[test]
fn c042_members_of_the_lan_meet_there() {
    let lan = || {
        let network = Network::parse("127.0.1.0/24").unwrap();
        let lan = Some(LocalNetwork { network, relay: "127.0.1.9".into() });
        Policy { lan, ..Policy::default() }
    };
    let flags = &["--mask", "127.0.1.0/24", "--local-ip", "127.0.1.9"];
    with_b1(Setup { flags, policy: lan, ..ENFORCING }, |world| {
        let wish = wish(world);
        take!(&world.told(Place::A, &wish, Place::B), FetchLocalAddr);
        let hole = take!(&world.told(Place::Outside, &wish, Place::B), PunchHole);
        // With the port of a relay that is not at the usual one: tests/lans.rs goes there.
        let host = hole.relay_server.split(':').next();
        assert_eq!((hole.nat_type, host), (SYMMETRIC, Some("127.0.1.9")));
    });
}

#[test]
fn c043_a_forced_relay_leaves_no_other_path() {
    let always = Setup {
        flags: &["--always-use-relay"],
        policy: || Policy { always_relay: true, ..Policy::default() },
        ..ENFORCING
    };
    for (setup, force_relay) in [(always, false), (ENFORCING, true)] {
        with_b1(setup, |world| {
            for from in [Place::A, Place::BsOtherPort] {
                let wish = say::punch(B1, |wish| {
                    (wish.access_key, wish.force_relay) = (world.key(), force_relay);
                    (wish.udp_port, wish.socket_addr_v6) = (40_404, V6.into());
                });
                let hole = take!(&world.told(from, &wish, Place::B), PunchHole);
                assert_eq!((hole.nat_type, hole.force_relay), (SYMMETRIC, true), "{from:?}");
                assert_eq!((hole.udp_port, hole.socket_addr_v6.len()), (0, 0));
                let sent = say::punch_sent(B1, &hole.socket_addr, with_v6);
                assert!(answered(world, &sent).socket_addr_v6.is_empty(), "{from:?}");
            }
        });
    }
}

#[test]
fn c044_the_answer_tells_where_the_targets_connection_came_from() {
    with_b1(ENFORCING, |world| {
        for nat in [1, SYMMETRIC] {
            let echo = asked(world).socket_addr;
            let from = world.one_shot(&say::punch_sent(B1, &echo, |sent| sent.nat_type = nat));
            let answer = take!(&world.answer(), PunchHoleResponse);
            assert_eq!(demangle(&answer.socket_addr), from);
            assert!(answer.path == Some(Path::NatType(nat)), "another NAT");
            assert_eq!((answer.relay_server.as_str(), answer.is_udp), ("relay.example", false));
            assert_eq!(verify(&world.key(), B1, &answer.pk), KEY);
            assert_eq!((answer.failure, answer.feedback), (0, 0));
            assert_eq!(answer.other_failure, "");
        }
    });
}

/// As clients do it: they tell where they will listen, close that connection, and then listen.
#[test]
fn c139_a_target_that_listens_a_moment_after_it_closed_is_reached() {
    const TRIES: usize = 20;
    let (server, target) = over_loopback();
    let reached = (0..TRIES).filter(|_| {
        let (mut initiator, hole) = loopback::asked(&server, &target);
        let at = main_port(&server);
        let listener = std::thread::spawn(move || {
            let host = Host::local(B_IP);
            let mut shot = Caller::from(B_IP, at);
            let port = shot.addr().port();
            shot.say(&say::punch_sent(B1, &hole.socket_addr, |_| ()));
            drop(shot);
            std::thread::sleep(Duration::from_millis(3));
            host.listen(port)
        });
        let told = demangle(&answer(&mut initiator).socket_addr);
        let direct = TcpStream::connect(told).is_ok();
        drop(listener.join().unwrap());
        direct
    });
    let reached = reached.count();
    println!("{reached} of {TRIES} were reached");
    assert!(reached >= TRIES - 2, "{reached} of {TRIES}");
}

#[test]
fn c044_the_target_leaving_first_loses_nothing() {
    let (server, target) = over_loopback();
    for round in 0..20 {
        let (mut initiator, hole) = loopback::asked(&server, &target);
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
    with_b1(ENFORCING, |world| {
        // Not even the bytes of an address need be good.
        for local in [unhex("f4a8f0ac682470fe8964"), vec![0xff; 18], b"\0\0".to_vec()] {
            asked_nearby(world);
            let anew = mangle(world.initiator());
            let sent = say::local_addr(B1, &anew, |addr| addr.local_addr = local.clone());
            let answer = answered(world, &sent);
            assert_eq!(answer.socket_addr, local);
            assert!(answer.path == Some(Path::IsLocal(true)) && !answer.is_udp, "not local");
            assert_eq!(verify(&world.key(), B1, &answer.pk), KEY);
            assert_eq!(answer.relay_server, "relay.example");
        }
    });
}

#[test]
fn c046_without_a_version_there_is_no_key() {
    with_b1(ENFORCING, |world| {
        let echo = asked(world).socket_addr;
        let sent = say::punch_sent(B1, &echo, |sent| sent.version.clear());
        assert!(answered(world, &sent).pk.is_empty());
        let echo = asked_nearby(world).socket_addr;
        let local = say::local_addr(B1, &echo, |addr| addr.version.clear());
        assert!(answered(world, &local).pk.is_empty());
        let echo = asked(world).socket_addr;
        let chosen = say::relay_chosen(B1, &echo, |chosen| chosen.version.clear());
        let peer = relayed(world, &chosen).peer;
        assert!(peer == Some(relay_response::Peer::Pk(Vec::new())), "a key");
    });
}

#[test]
fn c047_asking_again_pushes_again_and_is_answered_once() {
    let (server, target) = over_loopback();
    let (mut initiator, first) = loopback::asked(&server, &target);
    initiator.say(&loopback::wish(&server));
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
    let (server, target) = over_loopback();
    let mut initiator = Caller::from(A_IP, main_port(&server));
    initiator.say_raw(&[frame(&loopback::wish(&server)), frame(&loopback::wish(&server))].concat());
    let pushes = [target.next(), target.next()].map(|push| take!(&push, PunchHole).socket_addr);
    assert!(pushes.iter().all(|push| demangle(push) == initiator.addr()));
}

#[test]
fn c048_an_initiator_that_left_is_forgotten_without_a_word() {
    let (server, target) = over_loopback();
    let (initiator, hole) = loopback::asked(&server, &target);
    let before = server.log();
    let port = initiator.port();
    initiator.reset();
    // Whoever has its port next hears nothing of it.
    let mut next = Caller::from_port(A_IP, port, main_port(&server));
    heard_nothing(&mut next);
    one_shot(&server, &say::punch_sent(B1, &hole.socket_addr, |_| ()));
    heard_nothing(&mut next);
    assert_eq!(server.log(), before);
    loopback::asked(&server, &target);
}

#[test]
fn c049_ports_and_ipv6_sockets_reach_the_target() {
    with_b1(ENFORCING, |world| {
        let wish = say::punch(B1, |wish| {
            wish.access_key = world.key();
            (wish.udp_port, wish.upnp_port, wish.socket_addr_v6) = (40_404, 5, V6.into());
        });
        let hole = take!(&world.told(Place::A, &wish, Place::B), PunchHole);
        assert_eq!((hole.udp_port, hole.upnp_port, hole.force_relay), (40_404, 5, false));
        assert_eq!(hole.socket_addr_v6, V6);
        assert!(hole.control_permissions.is_none() && hole.controlled_context.is_none());
        let fetch = take!(&world.told(Place::BsOtherPort, &wish, Place::B), FetchLocalAddr);
        assert_eq!(fetch.socket_addr_v6, V6);
    });
}

#[test]
fn c050_a_punch_sent_by_udp_tells_its_source_once() {
    let (server, target) = over_loopback();
    let mut initiator = Caller::from(A_IP, main_port(&server));
    let key = server.key();
    initiator.say(&say::punch(B1, |wish| (wish.access_key, wish.udp_port) = (key, 4000)));
    let hole = take!(&target.next(), PunchHole);
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
    with_b1(ENFORCING, |world| {
        let echo = asked(world).socket_addr;
        let found = answered(world, &say::punch_sent(B1, &echo, with_v6));
        assert_eq!((&found.socket_addr_v6[..], found.upnp_port), (&V6[..], 9));
        let echo = asked(world).socket_addr;
        let chosen = say::relay_chosen(B1, &echo, |chosen| chosen.socket_addr_v6 = V6.into());
        assert_eq!(relayed(world, &chosen).socket_addr_v6, V6);
        let echo = asked_nearby(world).socket_addr;
        let local = say::local_addr(B1, &echo, |addr| addr.socket_addr_v6 = V6.into());
        assert_eq!(answered(world, &local).socket_addr_v6, V6);
    });
}

#[test]
fn c052_answers_in_another_name_or_without_the_echo_are_dropped() {
    let (server, target) = over_loopback();
    let other = Device::at(ELSEWHERE, &server);
    assert_eq!(hex(&other.ask(&say::register_pk("222222222", DEVICE, &KEY))), "820100");
    let (mut initiator, hole) = loopback::asked(&server, &target);
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
    let secrets = ["the-access-key", "bearer-of-the-user", "code-for-switching"];
    with_b1(OPEN, |world| {
        for from in [Place::A, Place::BsOtherPort] {
            let wish = say::punch(B1, |wish| {
                (wish.access_key, wish.token) = (secrets[0].into(), secrets[1].into());
                wish.switch_code = secrets[2].into();
            });
            let push = world.told(from, &wish, Place::B);
            let push = String::from_utf8_lossy(&push);
            assert!(secrets.iter().all(|secret| !push.contains(secret)), "{push}");
        }
    });
}
