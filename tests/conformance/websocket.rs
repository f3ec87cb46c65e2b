//! Signalling over WebSocket on P+2, and everything on one port: C31, C32, C37, C53, C54, C73,
//! C134, C135. Refusals first. Real libraries and a browser speak in tests/interop.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use crate::half_minute::Watch;
use crate::loopback::{
    A_IP, B_IP, B1, Caller, DEVICE, Device, KEY, asked, dial, is_online, main_port, one_shot, open,
    wish,
};
use crate::model::initiator::verify;
use crate::model::server::Server;
use crate::model::wire::{demangle, frame};
use crate::model::ws;
use crate::relay_socket::{first, is_pair};
use crate::say::{self, hex, take};

const REQUEST: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// P+2.
pub(crate) fn ws_port(server: &Server) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port + 2))
}

/// An open WebSocket.
pub(crate) struct WebSocket(pub(crate) Caller);

impl WebSocket {
    /// Opened by a client at `ip` with this path and these further header lines.
    #[track_caller]
    pub(crate) fn open(ip: &str, to: SocketAddr, (path, more): (&str, &str)) -> Self {
        Self::opened(Caller::from(ip, to), (path, more))
    }

    /// Opened on a connection that may have said something before.
    #[track_caller]
    pub(crate) fn opened(mut caller: Caller, (path, more): (&str, &str)) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{REQUEST}{more}\r\n");
        caller.say_raw(request.as_bytes());
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            caller.0.read_exact(&mut byte).expect("the handshake is answered");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        Self(caller)
    }

    #[track_caller]
    pub(crate) fn at(ip: &str, to: SocketAddr) -> Self {
        Self::open(ip, to, ("/", ""))
    }

    pub(crate) fn say(&mut self, payload: &[u8]) {
        ws::send(&mut self.0.0, payload).unwrap();
    }

    /// The next message, as it is: nothing is skipped.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Vec<u8> {
        ws::receive(&mut self.0.0).expect("a message comes")
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, payload: &[u8]) -> Vec<u8> {
        self.say(payload);
        self.next()
    }

    #[track_caller]
    fn register(&mut self, id: &str) {
        let answer = self.ask(&say::register_pk(id, DEVICE, &KEY));
        let answer = take!(&answer, RegisterPkResponse);
        assert_eq!(answer.outcome, 0);
        assert!(answer.keep_alive > 0, "no keep-alive told");
    }
}

#[test]
fn c031_what_opens_no_websocket_is_told_so_and_closed() {
    let server = open();
    let ask = |request: &str| {
        let mut caller = Caller::from(A_IP, ws_port(&server));
        caller.say_raw(request.as_bytes());
        String::from_utf8(caller.rest()).unwrap()
    };
    let answer = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
    let answer = ask("\x16\x03\x01 neither HTTP\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(10_000));
    assert_eq!(ask(&long), "", "an endless request");
}

#[test]
fn c031_who_does_not_ask_for_a_websocket_in_time_is_closed() {
    let server = open();
    for port in [server.port + 2, server.port + 3] {
        let watch = Watch::start();
        let mut caller = Caller::from(A_IP, SocketAddr::from(([127, 0, 0, 1], port)));
        caller.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        caller.say_raw(b"GET /ws/id HTTP/1.1\r\nUpgrade: web");
        caller.is_closed();
        assert!((9.5..15.0).contains(&watch.secs()), "closed after {} s", watch.secs());
    }
}

#[test]
fn c031_nothing_unasked_registration_heartbeats_and_pushes() {
    let server = open();
    for (path, id) in [("/", "100000001"), ("/ws/id", "100000002"), ("/any?x=y", "100000003")] {
        let mut peer = WebSocket::open(B_IP, ws_port(&server), (path, ""));
        peer.0.0.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
        assert!(peer.0.0.read(&mut [0]).is_err(), "a word before the client's, or an end");
        peer.0.0.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        peer.register(id);
        assert!(is_online(&server, id));
        // An empty message is a sign of life and has no answer: the next answer is the push.
        peer.say(&[]);
        let mut initiator = Caller::from(A_IP, main_port(&server));
        initiator.say(&say::punch(id, |_| ()));
        let hole = take!(&peer.next(), PunchHole);
        assert_eq!(demangle(&hole.socket_addr), initiator.addr());
        one_shot(&server, &say::punch_sent(id, &hole.socket_addr, |_| ()));
        verify(&server.key(), id, &take!(&initiator.next(), PunchHoleResponse).pk);
    }
}

#[test]
fn c030_many_wishes_in_one_segment_are_pushed_and_cut_no_connection_off() {
    let server = open();
    let mut peer = WebSocket::at(B_IP, ws_port(&server));
    peer.register(B1);
    let mut initiator = Caller::from(A_IP, main_port(&server));
    let wish = frame(&say::punch(B1, |_| ()));
    initiator.say_raw(&wish.repeat(30));
    for _ in 0..30 {
        take!(&peer.next(), PunchHole);
    }
    assert!(is_online(&server, B1));
}

#[test]
fn c032_closing_the_websocket_makes_it_offline_at_once() {
    let server = open();
    let mut peer = WebSocket::at(B_IP, ws_port(&server));
    peer.register(B1);
    assert!(is_online(&server, B1));
    drop(peer);
    let offline = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        !is_online(&server, B1)
    });
    assert!(offline, "still online a second later");
}

#[test]
fn c037_online_queries_are_answered_on_the_websocket_too() {
    let server = open();
    let _device = Device::enrolled(B_IP, &server, B1);
    let mut asker = WebSocket::at(A_IP, ws_port(&server));
    let answer = asker.ask(&say::online(&["987654321", B1]));
    assert_eq!(take!(&answer, OnlineResponse).states, [0x40]);
    let port = take!(&asker.ask(&say::test_nat(3)), TestNatResponse).port;
    assert_eq!(port, i32::from(asker.0.port()));
}

#[test]
fn c042_an_initiator_on_a_websocket_is_never_local() {
    let server = open();
    let target = Device::enrolled(B_IP, &server, B1);
    let mut initiator = WebSocket::at(B_IP, ws_port(&server));
    initiator.say(&wish(&server));
    take!(&target.next(), PunchHole);
}

#[test]
fn c053_two_clients_behind_one_proxy_get_their_own_answers() {
    let server = open();
    let targets = ["100000001", "100000002"].map(|id| (id, Device::enrolled(B_IP, &server, id)));
    let behind = |header| WebSocket::open("127.0.0.1", ws_port(&server), ("/ws/id", header));
    let mut asking = targets.each_ref().map(|(id, target)| {
        let mut initiator = behind("X-Real-IP: 203.0.113.9\r\n");
        initiator.say(&say::punch(id, |_| ()));
        (initiator, *id, take!(&target.next(), PunchHole).socket_addr)
    });
    let addresses = asking.each_ref().map(|(_, _, address)| demangle(address));
    assert!(addresses.iter().all(|at| at.ip().to_string() == "203.0.113.9" && at.port() != 0));
    assert_ne!(addresses[0], addresses[1]);
    // Answered in the other order.
    for (_, id, address) in asking.iter().rev() {
        one_shot(&server, &say::punch_sent(id, address, |_| ()));
    }
    for (initiator, id, _) in &mut asking {
        verify(&server.key(), id, &take!(&initiator.next(), PunchHoleResponse).pk);
    }
}

#[test]
fn c073_a_ping_gets_its_pong_and_a_close_its_close() {
    let server = open();
    let mut peer = WebSocket::at(A_IP, ws_port(&server));
    peer.0.say_raw(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i']);
    let mut pong = [0; 4];
    peer.0.0.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\x8a\x02hi");
    peer.0.say_raw(&[0x88, 0x80, 0, 0, 0, 0]);
    assert_eq!(hex(&peer.0.rest()), "880203e8");
}

/// Both in one segment, as clients do that want one answer.
#[test]
fn c073_what_was_asked_is_answered_before_the_close_behind_it() {
    let server = open();
    let mut socket = WebSocket::at(A_IP, ws_port(&server));
    let mut both = Vec::new();
    ws::send(&mut both, &say::test_nat(1)).unwrap();
    both.extend([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    socket.0.say_raw(&both);
    take!(&socket.next(), TestNatResponse);
    assert_eq!(socket.0.rest(), [0x88, 2, 0x03, 0xe8]);
}

#[test]
fn c004_a_message_announced_beyond_the_cap_closes() {
    let server = open();
    let mut peer = WebSocket::at(A_IP, ws_port(&server));
    peer.0.say_raw(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    peer.0.is_closed();
    let mut unmasked = WebSocket::at(A_IP, ws_port(&server));
    unmasked.0.say_raw(&[0x82, 1, 0]);
    unmasked.0.is_closed();
}

/// A server that has one TCP port.
fn single() -> Server {
    Server::start(&["--key=", "--single-port", "--public", "127.0.0.1"])
}

#[test]
fn one_port_serves_signalling_in_frames_and_hands_itself_out_as_relay() {
    let server = single();
    let target = Device::enrolled(B_IP, &server, B1);
    let (_initiator, hole) = asked(&server, &target);
    assert_eq!(hole.relay_server, format!("127.0.0.1:{}", server.port));
    assert_eq!(dial(&server, "987654321"), "5a00");
    for other in [server.port - 1, server.port + 1, server.port + 2, server.port + 3] {
        let closed = std::net::TcpStream::connect(("127.0.0.1", other)).is_err();
        assert!(closed, "port {other} is open too");
    }
}

#[test]
fn one_port_serves_relay_legs_in_frames_and_websockets() {
    let server = single();
    let mut legs = [A_IP, B_IP].map(|ip| {
        let mut leg = Caller::from(ip, main_port(&server));
        // In two pieces, as a slow network brings it.
        let bytes = first("a token", |_| ());
        leg.0.write_all(&bytes[..3]).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        leg.0.write_all(&bytes[3..]).unwrap();
        leg
    });
    let [one, other] = &mut legs;
    is_pair(one, other);
    // Whatever its path says: the first message tells.
    for path in ["/ws/relay", "/", "/ws/id"] {
        let wish = say::payload(say::Body::RequestRelay(say::proto::RequestRelay {
            uuid: path.into(),
            ..Default::default()
        }));
        let mut legs = [A_IP, B_IP].map(|ip| WebSocket::open(ip, main_port(&server), (path, "")));
        legs.iter_mut().for_each(|leg| leg.say(&wish));
        let [one, other] = &mut legs;
        one.say(b"through one port");
        assert_eq!(other.next(), b"through one port");
    }
}

#[test]
fn c135_one_port_answers_nat_tests_and_online_queries() {
    let server = single();
    let _target = Device::enrolled(B_IP, &server, B1);
    let query = say::online(&[B1, "987654321"]);
    let mut caller = Caller::from(A_IP, main_port(&server));
    assert_eq!(hex(&caller.ask(&query)), "c201030a0180");
    assert!(take!(&caller.ask(&say::test_nat(3)), TestNatResponse).port > 0);
    // Where the server is typed as a name, and where 21118 is passed on to 21116.
    for path in ["/ws/id", "/"] {
        let mut asker = WebSocket::open(A_IP, main_port(&server), (path, ""));
        assert_eq!(hex(&asker.ask(&query)), "c201030a0180");
    }
}

#[test]
fn one_port_serves_signalling_over_websockets_and_offers_to_the_silent() {
    let server = single();
    for path in ["/ws/id", "/", "/ws/relay"] {
        let mut asker = WebSocket::open(A_IP, main_port(&server), (path, ""));
        assert_eq!(hex(&asker.ask(&say::punch("987654321", |_| ()))), "5a00");
    }
    let mut silent = Caller::from(A_IP, main_port(&server));
    let silence = Watch::start();
    let offer = crate::model::wire::receive(&mut silent.0).unwrap();
    assert!(matches!(say::read(&offer), say::Body::KeyExchange(_)));
    let secs = silence.secs();
    assert!((0.9..1.9).contains(&secs), "after {secs} s");
    assert_eq!(hex(&silent.ask(&say::punch("987654321", |_| ()))), "5a00");
}
