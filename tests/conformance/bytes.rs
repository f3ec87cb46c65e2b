//! What connections may hold of memory, all at their worst: messages nobody reads, messages that
//! are not whole, fragments without end. By the real binary's RSS. C107, C108.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt as option};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

use crate::half_minute::Watch;
use crate::loopback::{
    A_IP, B_IP, B1, Caller, DEVICE, Device, KEY, main_port, nat_port, relay_port,
};
use crate::model::host::again;
use crate::model::server::Server;
use crate::model::wire;
use crate::relay_socket::first;
use crate::say::proto::RequestRelay;
use crate::say::{self, Body, take};
use crate::websocket::WebSocket;

/// What all connections together may add.
const GROWTH_KIB_MAX: u64 = 4 * 1024;
/// What stays of long messages when they are gone; of short ones the allocator keeps more.
const STAYS_KIB_MAX: u64 = 1024;

pub(crate) fn rss_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is alive");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Has the C library of this machine give back to the kernel what is long or free, as that of the
/// releases does (musl), and as glibc does not once something long was freed.
const FRUGAL: [&str; 3] = ["env", "MALLOC_MMAP_THRESHOLD_=2048", "MALLOC_TRIM_THRESHOLD_=65536"];

/// A server as strangers find it; and its memory when all its code was used once.
pub(crate) fn idle(flags: &[&str]) -> (Server, u64) {
    let outside = ["--key=", "--trusted-proxies", "192.0.2.1"];
    let server = Server::start_behind(&FRUGAL, &[&outside, flags].concat());
    is_served(&server);
    let before = rss_kib(&server);
    (server, before)
}

/// Somebody else is answered.
#[track_caller]
pub(crate) fn is_served(server: &Server) {
    for port in [main_port(server), nat_port(server)] {
        let answer = Caller::from("127.77.7.7", port).ask(&say::test_nat(3));
        assert!(take!(&answer, TestNatResponse).port > 0);
    }
}

/// The most it grew by within a second.
#[track_caller]
pub(crate) fn grew_little(server: &Server, before: u64, what: &str) -> u64 {
    let watch = Watch::start();
    let mut most = 0;
    while watch.secs() < 1.0 {
        most = most.max(rss_kib(server).saturating_sub(before));
        thread::sleep(Duration::from_millis(20));
    }
    println!("{what}: RSS {before} KiB, {most} KiB more");
    assert!(most <= GROWTH_KIB_MAX, "{what}: RSS grew from {before} KiB by {most} KiB");
    most
}

/// Nearly all of it is given back.
#[track_caller]
pub(crate) fn gives_back(server: &Server, before: u64, most: u64, what: &str) {
    let watch = Watch::start();
    loop {
        let stays = rss_kib(server).saturating_sub(before);
        if stays <= most {
            println!("{what}: {stays} KiB stay");
            return;
        }
        assert!(watch.secs() < 15.0, "{what}: {stays} KiB stay");
        thread::sleep(Duration::from_millis(100));
    }
}

/// What a fourth crowd may add to what the first did: gaps between what the allocator gave out.
const AGAIN_KIB_MAX: u64 = 1024;

/// Each in a network of its own.
pub(crate) fn somewhere(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 100, n, 1)
}

/// A connection of which the kernel takes little on either side.
pub(crate) fn narrow(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
    sockopt::set_tcp_nodelay(&socket, true).unwrap();
    setsockopt(&socket, option::TcpMaxSeg, &536).unwrap();
    bind(&socket, &SocketAddr::from((from, 0))).unwrap();
    connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}

/// RequestRelay for `id` with so many bytes of a field that nobody knows, which passes through.
pub(crate) fn long_wish(id: &str, bytes: usize) -> Vec<u8> {
    let short = say::request_relay(id, |_| ());
    let [tag @ .., _] = &short[..3] else { panic!() };
    let mut body = short[3..].to_vec();
    assert_eq!(usize::from(short[2]), body.len(), "a length of one byte");
    let varint = |len: usize| {
        let [a, b, c, ..] = len.to_le_bytes().map(usize::from);
        let len = a | b << 8 | c << 16;
        let seven = |n: u32| u8::try_from(len >> (7 * n) & 0x7f).unwrap();
        [seven(0) | 0x80, seven(1) | 0x80, seven(2)]
    };
    // Field 100, as bytes.
    body.extend([0xa2, 0x06]);
    body.extend(varint(bytes));
    body.resize(body.len() + bytes, 7);
    [tag, &varint(body.len()), &body].concat()
}

#[test]
fn c107_peers_that_read_nothing_hold_little_memory() {
    const PEERS: u8 = 150;
    let flags = ["--relay-servers", "relay.example", "--writes-per-day", "0"];
    let (server, before) = idle(&flags);
    let peers: Vec<TcpStream> = (0..PEERS)
        .map(|n| {
            let mut stream = narrow(somewhere(n), main_port(&server));
            let id = format!("unread{n:03}");
            wire::send(&mut stream, &say::register_pk(&id, DEVICE, &KEY)).unwrap();
            let answer = wire::receive(&mut stream).unwrap();
            assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0);
            sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
            stream
        })
        .collect();
    let mut callers = Vec::new();
    for round in 0..6 {
        for n in 0..PEERS {
            let mut caller =
                Caller::from(&format!("127.101.{round}.{}", n + 1), main_port(&server));
            caller.say(&long_wish(&format!("unread{n:03}"), 65_000));
            // Until it was taken, or refused: a target is told so often a minute.
            let _ = wire::send(&mut caller.0, &say::test_nat(3));
            let _ = wire::receive(&mut caller.0);
            callers.push(caller);
            if callers.len() > 8 {
                callers.remove(0);
            }
        }
        println!("round {round}: {} KiB", rss_kib(&server));
    }
    grew_little(&server, before, "unread messages");
    is_served(&server);
    drop(peers);
}

/// Connections with nearly a whole message each, as many as there may be; and how many are left.
fn halves(server: &Server) -> Vec<TcpStream> {
    let mut half = vec![0x02, 0x00, 0x04];
    half.resize(65_000, 0x0a);
    let connect = |n| {
        let mut stream = narrow(somewhere(n), main_port(server));
        // It may be closed before all is written.
        let _ = stream.write_all(&half);
        stream
    };
    (0..=255).map(connect).collect()
}

pub(crate) fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = again(|| (&mut &*stream).read(&mut [0; 512]));
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn c107_messages_that_are_not_whole_hold_little_memory() {
    let (server, before) = idle(&[]);
    let mut most = Vec::new();
    for _ in 0..4 {
        let held = halves(&server);
        most.push(grew_little(&server, before, "half a message each"));
        is_served(&server);
        let open = held.iter().filter(|stream| is_open(stream)).count();
        assert!(open >= 3, "{open} are open");
    }
    // What is given back serves those who come next.
    assert!(most[3] <= most[0] + AGAIN_KIB_MAX, "{most:?} KiB");
}

/// A fragment that is not the last.
pub(crate) fn fragment(first: bool, bytes: usize) -> Vec<u8> {
    let mut fragment = vec![if first { 0x02 } else { 0x00 }, 0xff];
    fragment.extend((bytes as u64).to_be_bytes());
    fragment.extend([0; 4]);
    fragment.resize(fragment.len() + bytes, 7);
    fragment
}

/// The token of a pair, after it passed the server's signalling.
pub(crate) fn met(server: &Server, target: &Device, token: &str) -> RequestRelay {
    let mut initiator = Caller::from(A_IP, main_port(server));
    initiator.say(&say::request_relay(B1, |wish| wish.uuid = token.into()));
    assert_eq!(take!(&target.next(), RequestRelay).uuid, token);
    RequestRelay { uuid: token.into(), ..Default::default() }
}

/// A known pair of which one leg speaks WebSocket.
fn pair(server: &Server, target: &Device, token: &str) -> (Caller, WebSocket) {
    let wish = met(server, target, token);
    let mut tcp = Caller::from(A_IP, relay_port(server));
    tcp.say_raw(&first(token, |_| ()));
    let ws_relay = SocketAddr::from(([127, 0, 0, 1], server.port + 3));
    let mut web = WebSocket::open(B_IP, ws_relay, ("/ws/relay", ""));
    web.say(&say::payload(Body::RequestRelay(wish)));
    web.say(b"hello");
    assert_eq!(wire::receive(&mut tcp.0).unwrap(), b"hello");
    (tcp, web)
}

#[test]
fn c108_fragments_without_end_hold_little_memory_and_shut_nobody_out() {
    let (server, before) = idle(&["--relay-servers", "relay.example"]);
    let target = Device::enrolled(B_IP, &server, B1);
    let pair = |token: &str| pair(&server, &target, token);
    let (mut tcp, mut honest) = pair("honest");
    let mut endless = pair("endless");
    let mut taken = 0;
    while taken < 16 << 20 {
        let bytes = 60_000;
        if endless.1.0.0.write_all(&fragment(taken == 0, bytes)).is_err() {
            break;
        }
        taken += bytes;
    }
    grew_little(&server, before, "fragments without end");
    assert!(taken < 8 << 20, "{taken} bytes were taken");
    // Others hold what each may, and go no further.
    let mut others: Vec<_> = (0..3).map(|n| pair(&format!("other{n}"))).collect();
    for (_, web) in &mut others {
        web.0.say_raw(&fragment(true, 240_000));
    }
    let message = vec![0x5a; 240_000];
    honest.say(&message);
    assert!(wire::receive(&mut tcp.0).unwrap() == message, "a message in fragments passes");
    grew_little(&server, before, "four in fragments");
    drop((endless, others, tcp, honest));
    gives_back(&server, before, STAYS_KIB_MAX, "fragments");
}
