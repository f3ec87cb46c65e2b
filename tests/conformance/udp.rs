//! Registration over UDP as devices see it: C06, C11-C22, C24, C25.
//! What takes more than a moment (C19, C23) stands in `half_minute.rs`.

use std::fs;

use crate::chance::Chance;
use crate::loopback::{
    A_IP, B_IP, B1, Caller, DEVICE, Device, ELSEWHERE, KEY, asked, dial, enforcing, is_online,
    main_port, open, signed_key, wish,
};
use crate::model::wire::demangle;
use crate::say::proto::RegisterPeer;
use crate::say::{self, Body, hex, take};

const OK: &str = "820100";
const UUID_MISMATCH: &str = "8201020802";
const TOO_FREQUENT: &str = "8201020804";
const HERE: &str = "3a00";
const SEND_KEY: &str = "3a021001";
const OTHER_KEY: [u8; 32] = [0x22; 32];

#[track_caller]
fn registers(device: &Device, id: &str, uuid: &[u8], key: &[u8]) -> String {
    hex(&device.ask(&say::register_pk(id, uuid, key)))
}

#[test]
fn c006_garbage_is_not_answered_and_leaves_nothing() {
    let server = open();
    let device = Device::at(B_IP, &server);
    let store = || fs::read(server.data().join("hbb.store")).unwrap();
    let (before, mut chance) = (store(), Chance::new(6));
    device.say(&[]);
    for len in [1, 2, 3, 64, 1499, 1500, 1501, 9000, 60_000] {
        for _ in 0..10 {
            device.say(&chance.bytes(len));
        }
        // Nothing else was answered, or that answer would come first.
        assert_eq!(device.keeps(B1), SEND_KEY);
    }
    assert!(store() == before, "garbage was written to disk");
    assert_eq!(dial(&server, B1), "5a00");
}

#[test]
fn c011_an_unknown_device_is_asked_for_its_key_and_is_not_online() {
    let server = enforcing();
    let device = Device::at(B_IP, &server);
    assert_eq!(device.keeps(B1), SEND_KEY);
    assert!(!is_online(&server, B1));
    assert_eq!(dial(&server, B1), "5a00");
}

#[test]
fn c012_register_peer_without_an_id_is_not_answered() {
    let server = open();
    let device = Device::at(B_IP, &server);
    device.say(&say::register_peer(""));
    device.say(&[0x32, 0]);
    device.heard_nothing();
}

#[test]
fn c013_a_registered_device_is_here_and_online() {
    let server = open();
    let device = Device::at(B_IP, &server);
    assert_eq!(device.keeps(B1), SEND_KEY);
    assert_eq!(registers(&device, B1, DEVICE, &KEY), OK);
    assert_eq!(device.keeps(B1), HERE);
    assert!(is_online(&server, B1));
}

#[test]
fn c014_register_pk_alone_makes_it_reachable() {
    let server = enforcing();
    let device = Device::enrolled(B_IP, &server, B1);
    assert!(is_online(&server, B1));
    let (initiator, hole) = asked(&server, &device);
    assert_eq!(demangle(&hole.socket_addr), initiator.addr());
}

#[test]
fn c014_after_a_kill_the_same_registration_makes_it_reachable_at_once() {
    let mut server = enforcing();
    let device = Device::enrolled(B_IP, &server, B1);
    server.kill_and_restart();
    assert_eq!(dial(&server, B1), "5a021802");
    assert_eq!(device.keeps(B1), SEND_KEY);
    assert_eq!(registers(&device, B1, DEVICE, &KEY), OK);
    assert!(is_online(&server, B1));
    asked(&server, &device);
}

#[test]
fn c015_register_pk_without_device_or_key_is_not_answered() {
    let server = enforcing();
    let device = Device::at(B_IP, &server);
    for (uuid, key) in [(&[][..], &KEY[..]), (DEVICE, &[]), (&[], &[])] {
        device.say(&say::register_pk(B1, uuid, key));
        device.heard_nothing();
    }
    assert_eq!(dial(&server, B1), "5a00");
}

#[test]
fn c016_an_id_of_five_bytes_is_a_mismatch() {
    let server = open();
    let device = Device::at(B_IP, &server);
    for id in ["", "1", "12345"] {
        assert_eq!(registers(&device, id, DEVICE, &KEY), UUID_MISMATCH, "{id:?}");
    }
    assert_eq!(registers(&device, "123456", DEVICE, &KEY), OK);
}

#[test]
fn c017_another_device_is_a_mismatch_and_changes_nothing() {
    let server = enforcing();
    let device = Device::enrolled(B_IP, &server, B1);
    for ip in [B_IP, ELSEWHERE] {
        let thief = Device::at(ip, &server);
        assert_eq!(registers(&thief, B1, b"another device", &KEY), UUID_MISMATCH);
        assert_eq!(registers(&thief, B1, b"another device", &OTHER_KEY), UUID_MISMATCH);
    }
    assert_eq!(signed_key(&server, &device), KEY);
}

#[test]
fn c018_a_new_key_from_the_same_address_is_signed_from_then_on() {
    let server = enforcing();
    let device = Device::enrolled(B_IP, &server, B1);
    assert_eq!(signed_key(&server, &device), KEY);
    assert_eq!(registers(&device, B1, DEVICE, &OTHER_KEY), OK);
    assert_eq!(signed_key(&server, &device), OTHER_KEY);
}

#[test]
fn c018_roaming_keeps_the_key_and_a_new_key_needs_the_old_address() {
    let server = enforcing();
    let before = Device::enrolled(B_IP, &server, B1);
    let after = Device::at(ELSEWHERE, &server);
    assert_eq!(registers(&after, B1, DEVICE, &OTHER_KEY), UUID_MISMATCH);
    assert_eq!(signed_key(&server, &before), KEY);
    assert_eq!(registers(&after, B1, DEVICE, &KEY), OK);
    assert_eq!(signed_key(&server, &after), KEY);
    before.heard_nothing();
}

#[test]
fn c020_the_33rd_registration_of_an_address_within_a_minute_is_too_frequent() {
    let server = enforcing();
    let device = Device::at(B_IP, &server);
    let id = |number: u32| format!("{}", 100_000_000 + number);
    for number in 0..32 {
        assert_eq!(registers(&device, &id(number), DEVICE, &KEY), OK, "{number}");
    }
    assert_eq!(registers(&device, &id(32), DEVICE, &KEY), TOO_FREQUENT);
    assert_eq!(dial(&server, &id(32)), "5a00");
    let neighbour = Device::at(ELSEWHERE, &server);
    assert_eq!(registers(&neighbour, &id(33), DEVICE, &KEY), OK);
}

#[test]
fn c021_a_new_address_counts_from_register_pk_on() {
    let server = enforcing();
    let before = Device::enrolled(B_IP, &server, B1);
    let after = Device::at(ELSEWHERE, &server);
    assert_eq!(after.keeps(B1), SEND_KEY);
    asked(&server, &before);
    assert_eq!(registers(&after, B1, DEVICE, &KEY), OK);
    asked(&server, &after);
    assert_eq!(after.keeps(B1), HERE);
    before.heard_nothing();
}

#[test]
fn c022_a_new_port_counts_at_once() {
    let server = enforcing();
    let before = Device::enrolled(B_IP, &server, B1);
    let after = Device::at(B_IP, &server);
    assert_eq!(after.keeps(B1), HERE);
    asked(&server, &after);
    before.heard_nothing();
}

/// The socket being connected, an answer from elsewhere or to elsewhere would not be heard.
#[test]
fn c024_answers_come_from_p_and_are_at_most_twice_the_request() {
    let server = enforcing();
    let device = Device::at(B_IP, &server);
    // The one exception, of four bytes more: a NAT test without a serial.
    assert_eq!((say::test_nat(0).len(), device.ask(&say::test_nat(0)).len()), (3, 7));
    let mut hostile = vec![say::register_peer("a"), say::register_peer(B1), say::test_nat(3)];
    hostile.push(say::register_pk("a", b"b", &[7; 32]));
    for key in [&KEY[..], &OTHER_KEY, &KEY, &KEY] {
        hostile.push(say::register_pk(B1, DEVICE, key));
    }
    hostile.push(say::register_pk(B1, b"another", &KEY));
    for request in hostile {
        let answer = device.ask(&request);
        assert!(answer.len() <= 2 * request.len(), "{} to {}", hex(&answer), hex(&request));
    }
    // What could make a longer answer is not answered to a datagram at all.
    device.say(&say::online(&[B1; 20]));
    device.say(&say::register_pk(B1, DEVICE, b"no key"));
    device.say(&wish(&server));
    device.say(&say::request_relay(B1, |_| ()));
    device.heard_nothing();
}

#[test]
fn c025_no_serial_brings_a_config_update() {
    let server = open();
    let device = Device::enrolled(B_IP, &server, B1);
    for serial in [0, -1, 3, i32::MAX] {
        let here = say::payload(Body::RegisterPeer(RegisterPeer { id: B1.into(), serial }));
        assert_eq!(hex(&device.ask(&here)), HERE);
        let answer = device.ask(&say::test_nat(serial));
        assert!(take!(&answer, TestNatResponse).cu.is_none(), "{serial}");
        let answer = Caller::from(A_IP, main_port(&server)).ask(&say::test_nat(serial));
        assert!(take!(&answer, TestNatResponse).cu.is_none(), "{serial}");
    }
}
