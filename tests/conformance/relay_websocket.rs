//! Relay legs over WebSocket: messages become frames and frames messages. C66, C68-C70, C73.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use crate::chance::Chance;
use crate::loopback::{A_IP, B_IP, Caller, enforcing, open};
use crate::model::server::Server;
use crate::model::{wire, ws};
use crate::relay_socket::first;
use crate::say::proto::RequestRelay;
use crate::say::{self, Body, hex};
use crate::websocket::WebSocket;

/// The relay's WebSocket port.
fn ws_relay(server: &Server) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port + 3))
}

fn wish(token: &str, key: &str) -> Vec<u8> {
    let (uuid, access_key) = (token.into(), key.into());
    say::payload(Body::RequestRelay(RequestRelay { uuid, access_key, ..Default::default() }))
}

fn ws_leg(ip: &str, server: &Server, token: &str) -> WebSocket {
    let mut leg = WebSocket::open(ip, ws_relay(server), ("/ws/relay", ""));
    leg.say(&wish(token, ""));
    leg
}

/// A leg over TCP and one over WebSocket; either may come first.
fn mixed(server: &Server, tcp_first: bool) -> (Caller, WebSocket) {
    let tcp = || {
        let mut leg = Caller::from(A_IP, SocketAddr::from(([127, 0, 0, 1], server.port + 1)));
        leg.say_raw(&first("mixed", |_| ()));
        leg
    };
    if tcp_first {
        let leg = tcp();
        (leg, ws_leg(B_IP, server, "mixed"))
    } else {
        let other = ws_leg(B_IP, server, "mixed");
        (tcp(), other)
    }
}

#[test]
fn c066_a_wrong_key_or_message_closes_a_websocket_without_a_word() {
    let server = enforcing();
    for payload in [wish("token", "x"), wish("", &server.key()), say::test_nat(1), vec![]] {
        let mut leg = WebSocket::at(A_IP, ws_relay(&server));
        leg.say(&payload);
        leg.0.is_closed();
    }
    let mut legs = [A_IP, B_IP].map(|ip| WebSocket::at(ip, ws_relay(&server)));
    legs.iter_mut().for_each(|leg| leg.say(&wish("token", &server.key())));
    let [one, other] = &mut legs;
    one.say(b"hello");
    assert_eq!(other.next(), b"hello");
}

#[test]
fn c068_a_long_message_is_one_frame_there_and_one_message_back() {
    let server = open();
    for tcp_first in [true, false] {
        let (mut tcp, mut web) = mixed(&server, tcp_first);
        let payload = Chance::new(68).bytes(70_000);
        // Whole, and in the two fragments the model makes of what is long.
        send_whole(&mut web.0.0, &payload);
        let mut header = [0; 3];
        tcp.0.read_exact(&mut header).unwrap();
        assert_eq!(hex(&header), "c24504");
        let mut body = vec![0; 70_000];
        tcp.0.read_exact(&mut body).unwrap();
        assert!(body == payload, "other bytes than were sent");
        web.say(&payload);
        assert!(wire::receive(&mut tcp.0).unwrap() == payload, "fragments came as they were");
        tcp.say(&payload);
        assert!(web.next() == payload, "the frame did not come as one message");
    }
}

/// One masked binary frame of a length that needs the longest header.
fn send_whole(stream: &mut TcpStream, payload: &[u8]) {
    let mask = [1, 2, 3, 4];
    let mut bytes = vec![0x82, 0xff];
    bytes.extend((payload.len() as u64).to_be_bytes());
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    stream.write_all(&bytes).unwrap();
}

#[test]
fn c068_boundaries_stay_and_empty_messages_go_no_further() {
    let server = open();
    let (mut tcp, mut web) = mixed(&server, true);
    let mut chance = Chance::new(168);
    let lengths = [1, 5, 63, 64, 125, 126, 16_383, 16_384, 65_535, 65_536, 200_000];
    let messages: Vec<_> = lengths.iter().map(|len| chance.bytes(*len)).collect();
    let (mut from_tcp, mut from_web) = (tcp.0.try_clone().unwrap(), web.0.0.try_clone().unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            for message in &messages {
                wire::send(&mut from_tcp, &[]).unwrap();
                wire::send(&mut from_tcp, message).unwrap();
            }
        });
        scope.spawn(|| {
            for message in &messages {
                ws::send(&mut from_web, &[]).unwrap();
                ws::send(&mut from_web, message).unwrap();
            }
        });
        for message in &messages {
            assert!(web.next() == *message, "{} bytes to the WebSocket", message.len());
            let frame = wire::receive(&mut tcp.0).unwrap();
            assert!(frame == *message, "{} bytes to the frames", message.len());
        }
    });
}

#[test]
fn c068_websocket_to_websocket_keeps_every_message() {
    let server = open();
    let mut legs = [A_IP, B_IP].map(|ip| ws_leg(ip, &server, "both"));
    let mut chance = Chance::new(268);
    for _ in 0..200 {
        let len = *chance.choose(&[1, 30, 1400, 50_001, 120_000]);
        let message = chance.bytes(len);
        let from = chance.index(2);
        legs[from].say(&message);
        assert!(legs[1 - from].next() == message, "{len} bytes from leg {from}");
    }
}

#[test]
fn c065_what_comes_behind_the_first_message_arrives() {
    let server = open();
    let mut early = WebSocket::at(A_IP, ws_relay(&server));
    early.say(&wish("early", ""));
    early.say(b"said before the partner came");
    early.say(&[7; 3000]);
    let mut late = Caller::from(B_IP, SocketAddr::from(([127, 0, 0, 1], server.port + 1)));
    late.say_raw(&[first("early", |_| ()), wire::frame(b"at once")].concat());
    assert_eq!(wire::receive(&mut late.0).unwrap(), b"said before the partner came");
    assert_eq!(wire::receive(&mut late.0).unwrap(), [7; 3000]);
    assert_eq!(early.next(), b"at once");
}

#[test]
fn c070_the_end_of_one_side_is_told_the_other_after_its_last_byte() {
    let server = open();
    let (tcp, mut web) = mixed(&server, true);
    let payload = Chance::new(70).bytes(1_000_000);
    let mut sending = tcp.0.try_clone().unwrap();
    let sender = thread::spawn({
        let payload = payload.clone();
        move || {
            wire::send(&mut sending, &payload).unwrap();
            sending.shutdown(std::net::Shutdown::Write).unwrap();
        }
    });
    assert!(web.next() == payload, "the last message came broken");
    sender.join().unwrap();
    assert_eq!(hex(&web.0.rest()[..4]), "880203e8");
}

#[test]
fn c073_pings_are_answered_amid_a_session_and_a_close_ends_it() {
    let server = open();
    let (mut tcp, mut web) = mixed(&server, false);
    web.say(b"before");
    web.0.say_raw(&[0x89, 0x81, 0, 0, 0, 0, b'?']);
    web.say(b"after");
    assert_eq!(wire::receive(&mut tcp.0).unwrap(), b"before");
    assert_eq!(wire::receive(&mut tcp.0).unwrap(), b"after");
    let mut pong = [0; 3];
    web.0.0.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\x8a\x01?");
    tcp.say(b"back");
    assert_eq!(web.next(), b"back");
    web.0.say_raw(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    assert_eq!(hex(&web.0.rest()), "880203e8");
    tcp.is_closed();
}

#[test]
fn c068_what_is_no_frame_ends_the_pair() {
    let server = open();
    let (mut tcp, mut web) = mixed(&server, true);
    // A tunnel that turned to raw bytes announces 1 GiB at best; unmasked is never right.
    web.0.say_raw(&[0x82, 0x05, b'h', b'e', b'l', b'l', b'o']);
    tcp.is_closed();
    web.0.is_closed();
}
