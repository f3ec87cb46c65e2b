//! Registration over UDP as only sockets and a disk show it: C06, C20.
//! What takes more than a moment (C19, C23) stands in `half_minute.rs`, the rest in `register.rs`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crate::chance::Chance;
use crate::loopback::{
    B_IP, B1, Caller, DEVICE, Device, ELSEWHERE, KEY, dial, enforcing, main_port, open,
};
use crate::model::server::Server;
use crate::say::{self, hex, take};

const OK: &str = "820100";
const TOO_FREQUENT: &str = "8201020804";
const SEND_KEY: &str = "3a021001";

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

/// Back to back, so that the datagram is often there before the connection was taken; where one
/// port is for all, nobody learns what such a connection was.
#[test]
fn c096_a_connection_counts_from_the_moment_it_is_complete() {
    let outside = ["--key=", "--trusted-proxies", "192.0.2.1"];
    for more in [&[][..], &["--single-port", "--public", "127.0.0.1"]] {
        let server = Server::start(&[&outside, more].concat());
        let unproved = (0..40_u8).map(|n| {
            let device = Device::at(&format!("127.50.{n}.1"), &server);
            registers(&device, &format!("unproved-{n}"), DEVICE, &KEY)
        });
        assert_eq!(unproved.collect::<Vec<_>>().last().unwrap(), TOO_FREQUENT);
        for n in 0..60_u8 {
            let ip = format!("127.77.{n}.1");
            let device = Device::at(&ip, &server);
            drop(Caller::from(&ip, main_port(&server)));
            assert_eq!(registers(&device, &format!("proved-{n}"), DEVICE, &KEY), OK, "{n}");
        }
    }
}

/// Three addresses of the server's: where most ask, where the device does, where strangers do.
#[test]
fn c024_strangers_at_another_address_move_no_device() {
    let server = open();
    let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), server.port);
    let usual = Device::at(ELSEWHERE, &server);
    assert_eq!(usual.keeps("abcdef"), SEND_KEY);
    let device = Device::towards(B_IP, at("127.0.0.2"));
    assert_eq!(registers(&device, B1, DEVICE, &KEY), OK);
    for number in 0..1_100_u32 {
        let from = Ipv4Addr::from(0x7f02_0000 + number);
        let stranger = UdpSocket::bind((from, 0)).unwrap();
        let said = say::register_pk(&format!("strange-{number}"), b"d", &KEY);
        for datagram in [&[][..], &say::register_peer(B1), &said] {
            stranger.send_to(datagram, at("127.0.0.3")).unwrap();
        }
        // All of it is read before more comes.
        assert_eq!(usual.keeps("abcdef"), SEND_KEY);
    }
    let mut initiator = Caller::from(ELSEWHERE, at("127.0.0.1"));
    initiator.say(&say::punch(B1, |_| ()));
    // From where it registered, or it would not be heard.
    take!(&device.next(), PunchHole);
}

#[test]
fn c020_the_33rd_registration_of_an_address_within_a_minute_is_too_frequent() {
    let server = enforcing();
    let device = Device::at(B_IP, &server);
    let id = |number: u32| format!("{}", 100_000_000 + number);
    for number in 0..32 {
        device.prove(&server);
        assert_eq!(registers(&device, &id(number), DEVICE, &KEY), OK, "{number}");
    }
    device.prove(&server);
    assert_eq!(registers(&device, &id(32), DEVICE, &KEY), TOO_FREQUENT);
    assert_eq!(dial(&server, &id(32)), "5a00");
    let neighbour = Device::at(ELSEWHERE, &server);
    assert_eq!(registers(&neighbour, &id(33), DEVICE, &KEY), OK);
}
