//! A server and its neighbours on one Ethernet, in namespaces: those that do not answer take no
//! room from others, link-local addresses are answered, and what the kernel drops is counted. C113.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "floods last for seconds")]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::{Host, again};
use model::server::Server;

/// RegisterPeer of an unknown device is answered with this.
const SEND_KEY: &str = "3a021001";
/// The server's, and the other end of its cable.
const SERVER: &str = "10.9.0.1";
const FE80: [u16; 8] = [0xfe80, 0, 0, 0, 0, 0, 0, 1];

/// Two namespaces and a cable; removed when dropped.
struct Cable {
    prefix: String,
}

impl Cable {
    fn new(name: &str) -> Self {
        let cable = Self { prefix: format!("hbb-{name}-{}", std::process::id()) };
        let (server, other) = (cable.name("s"), cable.name("c"));
        for part in [&server, &other] {
            ip(&format!("netns add {part}"));
            ip(&format!("netns exec {part} sysctl -qw net.ipv6.conf.default.accept_dad=0"));
            ip(&format!("-n {part} link set lo up"));
        }
        ip(&format!("-n {server} link add e0 type veth peer name e0 netns {other}"));
        for (part, last) in [(&server, 1), (&other, 2)] {
            ip(&format!("-n {part} addr add 10.9.0.{last}/16 dev e0"));
            ip(&format!("-n {part} addr add fe80::{last}/64 dev e0"));
            ip(&format!("-n {part} link set e0 up"));
            // Of its addresses a machine answers for those of the cable alone.
            ip(&format!("netns exec {part} sysctl -qw net.ipv4.conf.all.arp_ignore=1"));
        }
        cable
    }

    fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    fn serve(&self) -> Server {
        let name = self.name("s");
        Server::start_behind(&["ip", "netns", "exec", &name], &["--key="])
    }

    /// A socket at the other end, at an address that is added to `device`.
    fn socket(&self, device: &str, ip_text: &str) -> UdpSocket {
        ip(&format!("-n {} addr add {ip_text}/32 dev {device}", self.name("c")));
        let host = Host::inside(&self.name("c"), ip_text);
        thread::spawn(move || {
            host.enter();
            host.udp()
        })
        .join()
        .unwrap()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for part in ["s", "c"] {
            let _ = Command::new("ip").args(["netns", "del", &self.name(part)]).status();
        }
    }
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status();
    assert!(done.expect("ip of the package iproute2").success(), "ip {words}");
}

/// Whether the server answers at the address that was asked.
fn is_answered(socket: &UdpSocket, at: SocketAddr) -> bool {
    socket.connect(at).unwrap();
    socket.send(&say::register_peer("123456789")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answer = [0; 64];
    again(|| socket.recv(&mut answer)).is_ok_and(|len| say::hex(&answer[..len]) == SEND_KEY)
}

#[test]
fn c113_neighbours_that_do_not_answer_take_no_room_from_others() {
    let cable = Cable::new("silent");
    let server = cable.serve();
    let at = SocketAddr::new(SERVER.parse().unwrap(), server.port);
    // They are there to send, and nobody finds them by ARP.
    let silent: Vec<_> = (1..=60).map(|it| cable.socket("lo", &format!("10.9.1.{it}"))).collect();
    let honest: Vec<_> = (1..=50).map(|it| cable.socket("e0", &format!("10.9.2.{it}"))).collect();
    assert!(honest.iter().all(|socket| is_answered(socket, at)));
    let over = AtomicBool::new(false);
    let (early, late) = thread::scope(|scope| {
        scope.spawn(|| {
            let payload = say::register_peer("123456780");
            while !over.load(Ordering::Relaxed) {
                silent.iter().for_each(|socket| drop(socket.send_to(&payload, at)));
                thread::sleep(Duration::from_millis(2));
            }
        });
        let start = Instant::now();
        let mut answered = [(0, 0); 2];
        while start.elapsed() < Duration::from_secs(13) {
            for socket in &honest {
                // At first the kernel still holds what it took before there was no room.
                let (of, all) = &mut answered[usize::from(start.elapsed().as_secs() >= 4)];
                *of += u32::from(is_answered(socket, at));
                *all += 1;
                thread::sleep(Duration::from_millis(70));
            }
        }
        over.store(true, Ordering::Relaxed);
        (answered[0], answered[1])
    });
    println!("answered: {} of {} at first, {} of {} then", early.0, early.1, late.0, late.1);
    assert!(late.1 >= 20 && late.0 * 100 >= late.1 * 95, "{late:?}");
}

#[test]
fn c113_a_link_local_address_is_answered() {
    let cable = Cable::new("link");
    let server = cable.serve();
    let host = Host::inside(&cable.name("c"), SERVER);
    let (port, interface) = (server.port, interface(&cable.name("c")));
    thread::spawn(move || {
        host.enter();
        let at = |ip: Ipv6Addr, port| SocketAddrV6::new(ip, port, 0, interface);
        let own = Ipv6Addr::from([0xfe80, 0, 0, 0, 0, 0, 0, 2]);
        let socket = UdpSocket::bind(at(own, 0)).unwrap();
        assert!(is_answered(&socket, at(FE80.into(), port).into()));
        // Also where most others ask at another address.
        let other = UdpSocket::bind("10.9.0.2:0").unwrap();
        assert!(is_answered(&other, SocketAddr::new(IpAddr::from([10, 9, 0, 1]), port)));
        assert!(is_answered(&socket, at(FE80.into(), port).into()));
    })
    .join()
    .unwrap();
}

fn interface(namespace: &str) -> u32 {
    let said = Command::new("ip").args(["-n", namespace, "-o", "link", "show", "e0"]).output();
    let text = String::from_utf8(said.unwrap().stdout).unwrap();
    text.split(':').next().unwrap().parse().unwrap()
}

fn status(server: &Server) -> String {
    let mut stream = UnixStream::connect(server.data().join("hbb.sock")).unwrap();
    stream.write_all(b"json status\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn c113_what_the_kernel_has_no_room_for_is_counted() {
    let cable = Cable::new("room");
    let server = cable.serve();
    let at = SocketAddr::new(SERVER.parse().unwrap(), server.port);
    let socket = cable.socket("e0", "10.9.3.1");
    // As the test runs as root, so does the server: it gets what it asks for, doubled.
    assert!(status(&server).contains(r#""udp":{"queue_bytes":2097152,"overflowed":0}"#));
    server.signal(Signal::STOP);
    for _ in 0..6_000 {
        socket.send_to(&say::register_peer("123456780"), at).unwrap();
    }
    server.signal(Signal::CONT);
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let answered = std::iter::from_fn(|| again(|| socket.recv(&mut [0; 64])).ok()).count();
    let other = cable.socket("e0", "10.9.3.2");
    assert!(is_answered(&other, at));
    let text = status(&server);
    let lost = text.split_once(r#""overflowed":"#).unwrap().1.split('}').next().unwrap();
    let lost: usize = lost.parse().unwrap();
    println!("{answered} answered, {lost} had no room");
    assert!(lost > 100, "{text}");
    assert!(answered > 1_000, "the queue held {answered}");
}
