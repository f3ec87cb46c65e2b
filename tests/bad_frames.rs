//! Bad frames on every port of the real binary: cut off, announcing too much, byte by byte, and
//! 10,000 mutations under one seed. It stays alive and small, and answers the others meanwhile.
//! C03-C07, C66, C68.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use chance::Chance;
use model::host::again;
use model::server::Server;
use model::wire::{frame, receive, send};
use model::ws;
use say::take;

const MUTATIONS: u32 = 10_000;
const RSS_GROWTH_KIB_MAX: u64 = 256;
/// P, P-1, the relay; then the two of WebSocket.
const TCP_PORTS: [(i32, bool); 5] = [(0, false), (-1, false), (1, false), (2, true), (3, true)];

fn connect(server: &Server, (offset, web): (i32, bool)) -> TcpStream {
    let port = u16::try_from(i32::from(server.port) + offset).unwrap();
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    if web {
        ws::shake_hands(&mut stream, at, "/");
    }
    stream
}

/// Everything a client may say, as payloads.
fn payloads() -> Vec<Vec<u8>> {
    let (id, echo) = ("123456789", [7; 10]);
    vec![
        say::register_peer(id),
        say::register_pk(id, b"device", &[7; 32]),
        say::change_id(id, "newname1", b"device"),
        say::punch(id, |wish| wish.socket_addr_v6 = vec![6; 18]),
        say::punch_sent(id, &echo, |_| ()),
        say::local_addr(id, &echo, |_| ()),
        say::request_relay(id, |_| ()),
        say::relay_chosen(id, &echo, |_| ()),
        say::relay_agreed(&echo),
        say::test_nat(3),
        say::online(&[id, "", "x"]),
    ]
}

/// One bad thing said to one port; whatever comes back is read to the end.
fn offend(server: &Server, port: (i32, bool), bytes: &[u8]) {
    let mut stream = connect(server, port);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

fn mutated(chance: &mut Chance, payloads: &[Vec<u8>], web: bool) -> Vec<u8> {
    let payload = chance.choose(payloads).clone();
    let mut bytes = Vec::new();
    if web {
        ws::send(&mut bytes, &payload).unwrap();
    } else {
        bytes = frame(&payload);
    }
    for _ in 0..chance.between(1, 5) {
        let place = chance.index(bytes.len());
        match chance.below(4) {
            0 if place > 0 => bytes.truncate(place),
            1 => bytes.insert(place, chance.byte()),
            2 => bytes.extend_from_within(place..),
            _ => bytes[place] ^= 1 << chance.below(8),
        }
    }
    bytes
}

fn mutations(server: &Server, chance: &mut Chance, count: u32) {
    let (payloads, socket) = (payloads(), UdpSocket::bind("127.0.0.1:0").unwrap());
    socket.connect(("127.0.0.1", server.port)).unwrap();
    for _ in 0..count {
        match chance.index(TCP_PORTS.len() + 1) {
            index if index < TCP_PORTS.len() => {
                let port = TCP_PORTS[index];
                offend(server, port, &mutated(chance, &payloads, port.1));
            }
            _ => {
                let mut datagram = mutated(chance, &payloads, false);
                datagram.remove(0);
                let _ = socket.send(&datagram);
            }
        }
    }
}

fn cut_off(server: &Server) {
    for payload in payloads() {
        for port in TCP_PORTS {
            let mut whole = Vec::new();
            if port.1 {
                ws::send(&mut whole, &payload).unwrap()
            } else {
                whole = frame(&payload)
            }
            offend(server, port, &whole[..whole.len() / 2]);
        }
    }
}

/// 1 GiB announced: closed at once, long before it could come.
fn oversized(server: &Server) {
    for port in TCP_PORTS {
        let mut stream = connect(server, port);
        let header: &[u8] = match port.1 {
            true => &[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4],
            false => &[0xff; 4],
        };
        stream.write_all(header).unwrap();
        let start = Instant::now();
        assert_eq!(
            again(|| stream.read(&mut [0])).unwrap_or(0),
            0,
            "a word to 1 GiB on port {port:?}"
        );
        assert!(start.elapsed() < Duration::from_secs(5), "port {port:?} waits for 1 GiB");
    }
}

/// A byte a second on every port, from the first byte of a handshake on.
fn slowly(server: &Server, done: &AtomicBool) {
    let mut streams = TCP_PORTS.map(|(offset, _)| connect(server, (offset, false)));
    let bytes = frame(&say::punch("123456789", |_| ()));
    for byte in bytes.iter().cycle() {
        for stream in &mut streams {
            // It may be closed by now.
            let _ = stream.write_all(&[*byte]);
        }
        for _ in 0..20 {
            if done.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Others are answered on every port that answers, again and again; how often.
fn others(server: &Server, done: &AtomicBool) -> u32 {
    let mut answers = 0;
    while !done.load(Ordering::Relaxed) {
        for port in [(0, false), (-1, false)] {
            let mut stream = connect(server, port);
            send(&mut stream, &say::test_nat(3)).unwrap();
            let answer = receive(&mut stream).expect("others are answered meanwhile");
            assert!(take!(&answer, TestNatResponse).port > 0);
        }
        let mut stream = connect(server, (2, true));
        ws::send(&mut stream, &say::test_nat(3)).unwrap();
        take!(&ws::receive(&mut stream).expect("and over WebSocket"), TestNatResponse);
        answers += 3;
        thread::sleep(Duration::from_millis(50));
    }
    answers
}

fn rss_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is alive");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn bad_frames_on_every_port_harm_nobody() {
    // A stranger's registrations are strangers' business: they may fill no table here.
    let server = Server::start(&["--key=", "--max-peers", "16", "--max-connections", "64"]);
    let (mut chance, done) = (Chance::new(2026), AtomicBool::new(false));
    let answers = thread::scope(|scope| {
        let answered = scope.spawn(|| others(&server, &done));
        scope.spawn(|| slowly(&server, &done));
        // Code and tables that are used for the first time take their pages now.
        cut_off(&server);
        oversized(&server);
        mutations(&server, &mut chance, MUTATIONS / 10);
        let before = rss_kib(&server);
        cut_off(&server);
        oversized(&server);
        mutations(&server, &mut chance, MUTATIONS);
        let grown = rss_kib(&server).saturating_sub(before);
        println!("RSS {before} KiB, {grown} KiB more after {MUTATIONS} mutations");
        assert!(grown < RSS_GROWTH_KIB_MAX, "RSS grew by {grown} KiB");
        done.store(true, Ordering::Relaxed);
        answered.join().unwrap()
    });
    println!("others were answered {answers} times");
    assert!(answers >= 30, "others were answered {answers} times only");
}
