//! Clients that were given no key, on a server where they need none. C121.

#![allow(clippy::disallowed_methods, reason = "a client waits before it comes again")]

use std::net::SocketAddr;

use crate::loopback::{A_IP, B_IP, B1, Caller, DEVICE, Device, KEY, enforcing, main_port, open};
use crate::model::host::Host;
use crate::model::link::Link;
use crate::model::server::Server;
use crate::say::{self, Body, take};

/// A client that waits for the server's key before it speaks, as one in TCP mode or logged in does.
/// It verifies that with the key of other servers, having no other: an offer makes it hang up. What
/// comes first in its place is lost, and it goes on in clear.
fn waits(ip: &str, to: SocketAddr) -> Option<Link> {
    let mut link = Link::tcp(&Host::local(ip), to);
    let first = link.receive().expect("something comes first");
    if !first.is_empty() && matches!(say::read(&first), Body::KeyExchange(_)) {
        return None;
    }
    Some(link)
}

/// As it comes again by itself, or its user tries again. The first time it must be offered the key,
/// as anybody else is.
#[track_caller]
fn comes_again(ip: &str, to: SocketAddr) -> Link {
    assert!(waits(ip, to).is_none(), "no offer");
    // It is silent for a moment again, in which the server reads that it left.
    waits(ip, to).expect("it may go on in clear")
}

#[track_caller]
fn ask(link: &mut Link, payload: &[u8]) -> Vec<u8> {
    link.send(payload).unwrap();
    link.receive().expect("an answer")
}

fn servers() -> [(Server, &'static str); 2] {
    let single = Server::start(&["--key=", "--single-port", "--public", "127.0.0.1"]);
    [(open(), "two ports"), (single, "one port")]
}

#[test]
fn c121_a_client_without_a_key_registers_over_tcp_and_is_told_who_dials() {
    for (server, name) in servers() {
        println!("{name}");
        let mut device = comes_again(B_IP, main_port(&server));
        let answer = ask(&mut device, &say::register_pk(B1, DEVICE, &KEY));
        let answer = take!(&answer, RegisterPkResponse);
        assert!(answer.outcome == 0 && answer.keep_alive > 0, "{}", answer.outcome);
        let mut initiator = Caller::from(A_IP, main_port(&server));
        initiator.say(&say::punch(B1, |_| ()));
        take!(&device.receive().expect("a push in clear"), PunchHole);
    }
}

#[test]
fn c121_a_logged_in_client_without_a_key_dials_at_its_second_try() {
    let server = open();
    let target = Device::enrolled(B_IP, &server, B1);
    let mut initiator = comes_again(A_IP, main_port(&server));
    initiator.send(&say::punch(B1, |wish| wish.token = "of the user".into())).unwrap();
    take!(&target.next(), PunchHole);
}

#[test]
fn c121_who_has_the_key_is_sealed_before_and_after_at_the_same_address() {
    for (server, name) in servers() {
        println!("{name}");
        let at = main_port(&server);
        let sealed = || {
            let mut link = Link::sealed(&Host::local(A_IP), at, &server.key());
            let answer = ask(&mut link, &say::test_nat(3));
            take!(&answer, TestNatResponse);
        };
        sealed();
        let mut keyless = comes_again(A_IP, at);
        sealed();
        take!(&ask(&mut keyless, &say::test_nat(3)), TestNatResponse);
        sealed();
        // Whoever hung up somewhere else changes nothing here.
        assert!(waits("127.0.9.1", at).is_none());
        std::thread::sleep(std::time::Duration::from_millis(200));
        sealed();
    }
}

#[test]
fn c121_where_the_key_is_asked_for_nobody_starts_in_clear() {
    let server = enforcing();
    for _ in 0..4 {
        assert!(waits(A_IP, main_port(&server)).is_none());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
