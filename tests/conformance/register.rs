//! Registration over UDP, asked of the machine and of the binary: C11-C18, C21, C22, C24, C25.
//! What only one of them can show stands in `register_machine.rs` and `udp.rs`.

use crate::both::{
    B1, DEVICE, ENFORCING, KEY, OPEN, Place, World, asked, asked_at, dial, enroll, on_both,
    signed_key, wish, with_b1,
};
use crate::model::wire::demangle;
use crate::say::proto::RegisterPeer;
use crate::say::{self, Body, hex, take};

const OTHER_DEVICE: &[u8] = b"another device";
const OTHER_KEY: [u8; 32] = [0x22; 32];
const OK: &str = "820100";
const UUID_MISMATCH: &str = "8201020802";
const HERE: &str = "3a00";
const SEND_KEY: &str = "3a021001";

#[track_caller]
fn keeps(world: &mut dyn World, from: Place) -> String {
    hex(&world.ask(from, &say::register_peer(B1)))
}

#[track_caller]
fn registers(world: &mut dyn World, from: Place, key: &[u8]) -> String {
    hex(&world.ask(from, &say::register_pk(B1, DEVICE, key)))
}

fn is_online(world: &mut dyn World) -> bool {
    world.states(&[B1]) == [0x80]
}

#[test]
fn c011_an_unknown_device_is_asked_for_its_key_and_is_not_online() {
    on_both(ENFORCING, |world| {
        assert_eq!(keeps(world, Place::B), SEND_KEY);
        assert!(!is_online(world));
        assert_eq!(dial(world, B1), "5a00");
    });
}

#[test]
fn c012_register_peer_without_a_usable_id_is_not_answered() {
    on_both(OPEN, |world| {
        world.silent(Place::B, &say::unhex("3200"));
        for id in ["", "with blank", "line\nbreak", &"x".repeat(49)] {
            world.silent(Place::B, &say::register_peer(id));
        }
    });
}

#[test]
fn c013_a_registered_device_is_here_and_online() {
    on_both(OPEN, |world| {
        assert_eq!(keeps(world, Place::B), SEND_KEY);
        assert_eq!(registers(world, Place::B, &KEY), OK);
        assert_eq!(keeps(world, Place::B), HERE);
        assert!(is_online(world));
    });
}

#[test]
fn c014_register_pk_alone_makes_it_reachable() {
    with_b1(ENFORCING, |world| {
        assert!(is_online(world));
        assert_eq!(demangle(&asked(world).socket_addr), world.initiator());
    });
}

#[test]
fn c014_after_a_kill_the_same_registration_makes_it_reachable_at_once() {
    with_b1(ENFORCING, |world| {
        world.restart();
        assert!(!is_online(world));
        assert_eq!(dial(world, B1), "5a021802");
        // A client that was confirmed once starts with RegisterPeer.
        assert_eq!(keeps(world, Place::B), SEND_KEY);
        assert_eq!(registers(world, Place::B, &KEY), OK);
        assert!(is_online(world));
        asked(world);
    });
}

#[test]
fn c015_register_pk_without_device_or_key_is_not_answered() {
    on_both(ENFORCING, |world| {
        for (device, key) in [(&[][..], &KEY[..]), (DEVICE, &[]), (&[], &[])] {
            world.silent(Place::B, &say::register_pk(B1, device, key));
        }
        assert_eq!(dial(world, B1), "5a00");
    });
}

#[test]
fn c016_an_id_of_five_bytes_is_a_mismatch() {
    on_both(OPEN, |world| {
        for id in ["", "1", "12345"] {
            let answer = world.ask(Place::B, &say::register_pk(id, DEVICE, &KEY));
            assert_eq!(hex(&answer), UUID_MISMATCH, "{id:?}");
        }
        enroll(world, Place::B, "123456");
    });
}

#[test]
fn c017_another_device_is_a_mismatch_and_changes_nothing() {
    with_b1(ENFORCING, |world| {
        for from in [Place::BsOtherPort, Place::Elsewhere] {
            for key in [KEY, OTHER_KEY] {
                let theft = say::register_pk(B1, OTHER_DEVICE, &key);
                assert_eq!(hex(&world.ask(from, &theft)), UUID_MISMATCH);
            }
        }
        assert_eq!(signed_key(world, Place::B), KEY);
    });
}

#[test]
fn c018_a_new_key_from_the_same_address_is_signed_from_then_on() {
    with_b1(ENFORCING, |world| {
        assert_eq!(signed_key(world, Place::B), KEY);
        assert_eq!(registers(world, Place::BsOtherPort, &OTHER_KEY), OK);
        assert_eq!(signed_key(world, Place::BsOtherPort), OTHER_KEY);
        world.restart();
        assert_eq!(registers(world, Place::B, &OTHER_KEY), OK);
        assert_eq!(signed_key(world, Place::B), OTHER_KEY);
    });
}

#[test]
fn c018_roaming_keeps_the_key_and_a_new_key_needs_the_old_address() {
    with_b1(ENFORCING, |world| {
        assert_eq!(registers(world, Place::Elsewhere, &OTHER_KEY), UUID_MISMATCH);
        assert_eq!(signed_key(world, Place::B), KEY);
        assert_eq!(registers(world, Place::Elsewhere, &KEY), OK);
        assert_eq!(signed_key(world, Place::Elsewhere), KEY);
    });
}

#[test]
fn c021_a_new_address_counts_from_register_pk_on() {
    with_b1(ENFORCING, |world| {
        assert_eq!(keeps(world, Place::Elsewhere), SEND_KEY);
        asked(world);
        assert_eq!(registers(world, Place::Elsewhere, &KEY), OK);
        asked_at(world, Place::Elsewhere);
        assert_eq!(keeps(world, Place::Elsewhere), HERE);
    });
}

#[test]
fn c022_a_new_port_counts_from_register_pk_on() {
    with_b1(ENFORCING, |world| {
        // A stranger behind B1's NAT says as much.
        assert_eq!(keeps(world, Place::BsOtherPort), SEND_KEY);
        asked(world);
        assert_eq!(keeps(world, Place::B), HERE);
        assert_eq!(registers(world, Place::BsOtherPort, &KEY), OK);
        asked_at(world, Place::BsOtherPort);
        assert_eq!(keeps(world, Place::BsOtherPort), HERE);
        assert_eq!(keeps(world, Place::B), SEND_KEY);
    });
}

/// Over loopback the socket is connected: an answer from elsewhere or to elsewhere is not heard.
#[test]
fn c024_answers_come_from_p_and_are_at_most_twice_the_request() {
    on_both(ENFORCING, |world| {
        // The one exception, of four bytes more: a NAT test without a serial.
        let nat = say::test_nat(0);
        assert_eq!((nat.len(), world.ask(Place::B, &nat).len()), (3, 7));
        let mut hostile = vec![say::register_peer("a"), say::register_peer(B1), say::test_nat(3)];
        hostile.push(say::register_pk("a", b"b", &[7; 32]));
        hostile.push(say::register_pk("with blank", DEVICE, &KEY));
        for key in [&KEY[..], &OTHER_KEY, &KEY, &KEY] {
            hostile.push(say::register_pk(B1, DEVICE, key));
        }
        hostile.push(say::register_pk(B1, OTHER_DEVICE, &KEY));
        for request in hostile {
            let answer = world.ask(Place::B, &request);
            assert!(answer.len() <= 2 * request.len(), "{} to {}", hex(&answer), hex(&request));
        }
        // What could make a longer answer is not answered to a datagram at all.
        world.silent(Place::B, &say::online(&[B1; 20]));
        world.silent(Place::B, &say::register_pk(B1, DEVICE, b"no key"));
        let wish = wish(world);
        world.silent(Place::B, &wish);
        world.silent(Place::B, &say::request_relay(B1, |_| ()));
    });
}

#[test]
fn c025_no_serial_brings_a_config_update() {
    with_b1(OPEN, |world| {
        for serial in [0, -1, 3, i32::MAX] {
            let here = say::payload(Body::RegisterPeer(RegisterPeer { id: B1.into(), serial }));
            assert_eq!(hex(&world.ask(Place::B, &here)), HERE);
            let nat = say::test_nat(serial);
            for answer in [world.ask(Place::B, &nat), world.call(Place::A, &nat)] {
                assert!(take!(&answer, TestNatResponse).cu.is_none(), "{serial}");
            }
        }
    });
}
