//! All connections at their worst at the same time: half-read frames and fragments, messages nobody
//! reads, relayed pairs of every kind that stall both ways. By the real binary's RSS, while others
//! are served. C114.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt;

use crate::bytes::{
    fragment, gives_back, grew_little, idle, is_open, is_served, long_wish, met, narrow,
};
use crate::half_minute::Watch;
use crate::loopback::{A_IP, B_IP, B1, Caller, DEVICE, Device, KEY, main_port, nat_port};
use crate::model::host::{Host, again};
use crate::model::link::Link;
use crate::model::server::Server;
use crate::model::wire;
use crate::relay_socket::{first, is_pair};
use crate::say::proto::{HealthCheck, RequestRelay};
use crate::say::{self, Body, take};
use crate::websocket::WebSocket;

/// Sessions of each kind; a pair of somebody honest makes them as many as a small router has.
const BETWEEN_TCP: u8 = 11;
const BETWEEN_WEB: u8 = 12;
const MIXED: u8 = 8;
/// What is sent again and again into a pair.
const CYCLE_BYTES: usize = 60_000;
/// What stays when they are gone: tables that have grown, code that was used, and what the
/// allocator keeps between pieces that stay.
const STAYS_KIB_MAX: u64 = 2_048;

fn port(server: &Server, above: i32) -> SocketAddr {
    let port = u16::try_from(i32::from(server.port) + above).unwrap();
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The `n`th of a kind, each in a network of its own.
fn from(kind: u8, n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 110 + kind, n, 1)
}

/// One that takes little into its own kernel.
fn deaf(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let stream = Host::local(&from.to_string()).connect(0, to).unwrap();
    // The kernel takes long over small steps: those whose bytes are to pass in the end make none.
    if from != self::from(1, 0) {
        sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
    }
    sockopt::set_socket_send_buffer_size(&stream, 16_384).unwrap();
    stream
}

/// A leg that is fed for as long as anything is taken.
struct Fed {
    stream: TcpStream,
    said: Vec<u8>,
    at: usize,
    /// So much of it, and then no more.
    most: usize,
    /// Whether its session may end for want of memory.
    may_end: bool,
}

impl Fed {
    fn tcp(stream: TcpStream) -> Self {
        let said = (0..=250).cycle().take(CYCLE_BYTES).collect();
        Self { stream, said, at: 0, most: usize::MAX, may_end: false }
    }

    /// Frames of a TCP client whose partner speaks WebSocket.
    fn frames(stream: TcpStream) -> Self {
        Self {
            stream,
            said: wire::frame(&vec![7; CYCLE_BYTES]),
            at: 0,
            most: usize::MAX,
            may_end: false,
        }
    }

    /// Whole messages.
    fn web(stream: TcpStream) -> Self {
        let mut said = fragment(true, CYCLE_BYTES);
        said[0] |= 0x80;
        Self { stream, said, at: 0, most: usize::MAX, may_end: false }
    }

    /// One message in fragments, which never is whole.
    fn endless(stream: TcpStream) -> Self {
        let said = fragment(true, 700_000);
        let most = said.len() - 1;
        Self { stream, said, at: 0, most, may_end: true }
    }

    /// Whether anything was taken.
    fn feed(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let from = self.at % self.said.len();
        let len = (self.said.len() - from).min(self.most - self.at);
        let taken = match self.stream.write(&self.said[from..from + len]) {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) if self.may_end => 0,
            Err(error) => panic!("a leg broke after {} bytes: {error}", self.at),
        };
        self.at += taken;
        taken > 0
    }
}

fn tcp_leg(server: &Server, from: Ipv4Addr, wish: &RequestRelay) -> TcpStream {
    let mut stream = deaf(from, port(server, 1));
    stream.write_all(&first(&wish.uuid, |_| ())).unwrap();
    stream
}

fn web_leg(server: &Server, from: Ipv4Addr, wish: &RequestRelay) -> TcpStream {
    let stream = deaf(from, port(server, 3));
    let mut web = WebSocket::opened(Caller(stream), ("/ws/relay", ""));
    web.say(&say::payload(Body::RequestRelay(wish.clone())));
    web.0.0
}

/// Pairs of every kind, each of which sends and reads nothing: both legs of each.
fn stalled(server: &Server, target: &Device) -> Vec<Fed> {
    let mut legs = Vec::new();
    for n in 0..BETWEEN_TCP {
        let wish = met(server, target, &format!("tcp{n}"));
        legs.extend([0, 1].map(|kind| Fed::tcp(tcp_leg(server, from(kind, n), &wish))));
    }
    for n in 0..BETWEEN_WEB {
        let wish = met(server, target, &format!("web{n}"));
        legs.extend([2, 3].map(|kind| Fed::web(web_leg(server, from(kind, n), &wish))));
    }
    for n in 0..MIXED {
        let wish = met(server, target, &format!("mixed{n}"));
        let web = web_leg(server, from(4, n), &wish);
        let web = if n % 2 == 0 { Fed::web(web) } else { Fed::endless(web) };
        let may_end = web.may_end;
        let tcp = tcp_leg(server, from(5, n), &wish);
        legs.extend([web, Fed { may_end, ..Fed::frames(tcp) }]);
    }
    let (watch, mut idle) = (Watch::start(), 0);
    while idle < 10 {
        let taken = legs.iter_mut().fold(false, |taken, leg| leg.feed() | taken);
        idle = if taken { 0 } else { idle + 1 };
        thread::sleep(Duration::from_millis(20));
        assert!(watch.secs() < 10.0, "they go on and on");
    }
    legs
}

/// Devices on connections that read nothing, and what is pushed to them.
fn unread(server: &Server, peers: u8) -> Vec<TcpStream> {
    let id = |n| format!("unread{n:03}");
    let registered = |n| {
        let mut device = Caller(narrow(from(6, n), main_port(server)));
        let answer = device.ask(&say::register_pk(&id(n), DEVICE, &KEY));
        assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0);
        sockopt::set_socket_recv_buffer_size(&device.0, 4096).unwrap();
        device.0
    };
    let held: Vec<_> = (0..peers).map(registered).collect();
    for round in 0..2 {
        for n in 0..peers {
            let mut caller = Caller::from(&from(7 + round, n).to_string(), main_port(server));
            caller.say(&long_wish(&id(n), 65_000));
            // Until it was taken, or refused.
            let _ = wire::send(&mut caller.0, &say::test_nat(3));
            let _ = wire::receive(&mut caller.0);
        }
    }
    held
}

/// Connections of strangers, `each` of a kind, which say this and no more.
fn half(server: &Server, (kind, above): (u8, i32), each: u8, said: &[u8]) -> Vec<TcpStream> {
    let connect = |n| {
        let mut stream = narrow(from(kind, n), port(server, above));
        // It may be closed before all is written.
        let _ = stream.write_all(said);
        stream
    };
    (0..each).map(connect).collect()
}

/// So much of a long frame.
fn half_frame(bytes: usize) -> Vec<u8> {
    let mut half = vec![0x02, 0x00, 0x04];
    half.resize(bytes, 0x0a);
    half
}

/// Everything that strangers may do to signalling, up to the limit of connections.
fn crowd(server: &Server) -> Vec<TcpStream> {
    // Those that wait for the offer of a sealed channel, and answer with a part.
    let mut held = half(server, (9, 0), 25, b"");
    let kept = wire::frame(&say::payload(Body::HealthCheck(HealthCheck::default())));
    held.extend(half(server, (10, 0), 35, &[&kept[..], &half_frame(3_000)].concat()));
    for n in 0..16 {
        let mut leg = Caller::from(&from(11, n).to_string(), port(server, 1));
        leg.say_raw(&first(&format!("nobody comes {n}"), |_| ()));
        let _ = leg.0.write_all(&[7; 20_000]);
        held.push(leg.0);
    }
    for n in 0..35 {
        let stream = narrow(from(12, n), port(server, 2));
        let mut web = WebSocket::opened(Caller(stream), ("/ws/id", ""));
        let _ = web.0.0.write_all(&fragment(true, 30_000));
        let _ = web.0.0.write_all(&fragment(false, 30_000));
        held.push(web.0.0);
    }
    let ids: Vec<String> = (0..5_900).map(|id| format!("{}", 100_000_000 + id)).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let query = wire::frame(&say::online(&ids));
    held.extend(half(server, (13, -1), 25, &query[..query.len() - 1]));
    held.extend(half(server, (14, 0), 50, &half_frame(65_000)));
    for stream in &mut held[..25] {
        let _ = stream.write_all(&half_frame(3_000));
    }
    // Whoever wanted too much is gone by now: there is room for those who hold what is their own.
    held.extend(half(server, (15, 0), 100, &half_frame(3_000)));
    held.retain(is_open);
    held
}

/// Clients are served: a NAT test, a long query of whoever has a device here, a sealed channel.
fn are_served(server: &Server) {
    is_served(server);
    let ids: Vec<String> = (0..5_900).map(|id| format!("{}", 100_000_000 + id)).collect();
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids[5_899] = B1;
    let answer = Caller::from(B_IP, nat_port(server)).ask(&say::online_as(B1, &ids));
    assert_eq!(take!(&answer, OnlineResponse).states[737], 0x10, "the last one alone");
    drop(Link::sealed(&Host::local("127.78.8.8"), main_port(server), &server.key()));
}

/// What was taken of one comes out at the other, whole and in order.
fn passes_on(from: &Fed, to: &mut TcpStream) {
    to.set_nonblocking(false).unwrap();
    to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut came = vec![0; from.at];
    to.read_exact(&mut came).expect("all of it comes");
    assert!(came.iter().zip(from.said.iter().cycle()).all(|(came, said)| came == said));
}

const FLAGS: [&str; 4] = ["--relay-servers", "relay.example", "--writes-per-day", "0"];

#[test]
fn c114_all_connections_at_their_worst_at_once_hold_four_mebibytes() {
    at_their_worst((&FLAGS, STAYS_KIB_MAX), |_, _| Vec::new());
}

/// The same with accounts, and requests at the API and the page that are nearly whole among them.
#[cfg(feature = "web")]
#[test]
fn c114_so_they_do_with_accounts_the_api_and_the_page() {
    let [api, web] = [0; 2].map(|_| crate::model::server::free_ports());
    let (port, page) = (api.to_string(), web.to_string());
    let on = ["--accounts", "--password-memory", "4", "--api", &port, "--web", &page];
    let flags = [&FLAGS[..], &on].concat();
    // More code is used.
    at_their_worst((&flags, STAYS_KIB_MAX + 512), |server, kind| {
        let body = [b"POST /api/ab HTTP/1.1\r\nContent-Length: 60001\r\n\r\n", &[7; 60_000][..]];
        let head = [b"GET /", &[b'x'; 7_000][..]];
        let above = |port: u16| i32::from(port) - i32::from(server.port);
        let mut held = half(server, (kind, above(api)), 40, &body.concat());
        held.extend(half(server, (kind + 1, above(api)), 20, &head.concat()));
        held.extend(half(server, (kind + 2, above(web)), 20, &body.concat()));
        held
    });
}

/// `more` connects others of this kind and the next two.
fn at_their_worst(
    (flags, stays_kib): (&[&str], u64),
    more: impl Fn(&Server, u8) -> Vec<TcpStream>,
) {
    let (server, before) = idle(flags);
    let target = Device::enrolled(B_IP, &server, B1);
    // It says that it is still there, as devices do every few seconds.
    target.keeps(B1);
    let wish = met(&server, &target, "honest");
    let relay = port(&server, 1);
    let mut honest = [B_IP, A_IP].map(|ip| crate::relay_socket::leg(ip, relay, &wish.uuid));
    let [one, other] = &mut honest;
    is_pair(one, other);

    let mut legs = stalled(&server, &target);
    grew_little(&server, before, "pairs");
    let peers = unread(&server, 48);
    let mut held = more(&server, 16);
    held.extend(crowd(&server));
    held.retain(is_open);
    println!("{} strangers are held, {} peers", held.len(), peers.len());
    grew_little(&server, before, "all at their worst");
    are_served(&server);
    is_pair(one, other);
    grew_little(&server, before, "and others served");

    // Nobody's session ended for it, and no byte is lost.
    let still = |leg: &&Fed| again(|| leg.stream.peek(&mut [0])).is_ok_and(|len| len > 0);
    let stalled = legs.iter().filter(|leg| !leg.may_end).filter(still).count();
    assert_eq!(stalled, legs.iter().filter(|leg| !leg.may_end).count());
    let (ahead, behind) = legs.split_at_mut(1);
    passes_on(&ahead[0], &mut behind[0].stream);
    assert!(held.len() >= 150, "{} are open", held.len());
    drop((legs, peers, held, honest));
    gives_back(&server, before, stays_kib, "all");
}
