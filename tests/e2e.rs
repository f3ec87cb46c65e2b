//! The whole path against the real binary: register, punch, hello, bytes; direct, local and
//! through the relay; over loopback and between network namespaces the test makes itself.
//! C34, C41-C45, C56, C57, C59, C65, C70, C71, C105, C134.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::Duration;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::{Host, again};
use model::initiator::{Asks, Initiator, Path, Tries};
use model::link::Link;
use model::server::Server;
use model::session::{Load, converse, exchange};
use model::target::{Habit, Registers, Target};

/// No limit of speed is in the way: these tests are about the path.
const FAST: [&str; 4] = ["--single-bandwidth", "1000000", "--total-bandwidth", "1000000"];

/// Bytes each way; an emulated binary is given fewer.
fn total() -> usize {
    let asked = std::env::var("HBB_E2E_BYTES").ok();
    asked.map_or(100_000_000, |bytes| bytes.parse().expect("HBB_E2E_BYTES is a number"))
}

/// Two hosts and where each sees the server.
struct Scene {
    a: (Host, SocketAddr),
    b: (Host, SocketAddr),
    key: String,
}

impl Scene {
    /// Two addresses of this machine.
    fn loopback(server: &Server, (a, b): (&str, &str)) -> Self {
        let at = SocketAddr::from(([127, 0, 0, 1], server.port));
        Self { a: (Host::local(a), at), b: (Host::local(b), at), key: server.key() }
    }

    /// One session from registration to the last byte; the path it took.
    fn play(&self, habit: Habit, tries: Tries) -> Path {
        let (ready, registered) = std::sync::mpsc::channel();
        let ((b, server), key) = (self.b.clone(), self.key.clone());
        let target = thread::spawn(move || {
            b.enter();
            let target = Target::register(&b, server, "123456789", &key);
            ready.send(()).unwrap();
            let mut link = target.answer(habit);
            target.hello(&mut link);
            exchange(link.into_tcp(), total(), (1, 2));
        });
        let ((host, server), key) = (self.a.clone(), self.key.clone());
        let initiator = Initiator { host, server, key, tries, asks: Asks::Tcp };
        let dialling = thread::spawn(move || {
            initiator.host.enter();
            registered.recv_timeout(Duration::from_secs(20)).expect("the target registers");
            let mut session = initiator.dial("123456789");
            session.hello();
            exchange(session.link.into_tcp(), total(), (2, 1));
            session.path
        });
        target.join().unwrap();
        dialling.join().unwrap()
    }
}

#[test]
fn direct_over_loopback() {
    let server = Server::start(&FAST);
    let scene = Scene::loopback(&server, ("127.0.1.1", "127.0.1.2"));
    assert_eq!(scene.play(Habit::Willing, Tries::Everything), Path::Direct);
}

#[test]
fn local_when_both_have_one_address() {
    let server = Server::start(&FAST);
    let scene = Scene::loopback(&server, ("127.0.1.1", "127.0.1.1"));
    assert_eq!(scene.play(Habit::Willing, Tries::Everything), Path::Local);
}

#[test]
fn through_the_relay_the_target_chose() {
    let mut server = Server::start(&FAST);
    let scene = Scene::loopback(&server, ("127.0.1.1", "127.0.1.2"));
    assert_eq!(scene.play(Habit::Relay, Tries::Everything), Path::RelayByTarget);
    let line = server.wait_log("info relay-ended");
    let bytes = line.split("bytes=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(bytes.parse::<usize>().unwrap() > 2 * total(), "{line}");
}

#[test]
fn through_the_relay_the_initiator_asked_for() {
    let server = Server::start(&FAST);
    let scene = Scene::loopback(&server, ("127.0.1.1", "127.0.1.2"));
    assert_eq!(scene.play(Habit::Willing, Tries::NoDirectPath), Path::RelayByInitiator);
}

#[test]
fn forced_relay_from_one_address() {
    let server = Server::start(&FAST);
    let scene = Scene::loopback(&server, ("127.0.1.1", "127.0.1.1"));
    assert_eq!(scene.play(Habit::Willing, Tries::RelayOnly), Path::RelayByTarget);
}

#[test]
fn direct_between_two_networks() {
    let networks = Networks::new("open", true);
    let server = Server::start_behind(&networks.run_in_middle(), &FAST);
    let scene = networks.scene(&server);
    assert_eq!(scene.play(Habit::Willing, Tries::Everything), Path::Direct);
}

#[test]
fn relayed_between_two_networks_that_do_not_see_each_other() {
    let networks = Networks::new("shut", false);
    let server = Server::start_behind(&networks.run_in_middle(), &FAST);
    let scene = networks.scene(&server);
    assert_eq!(scene.play(Habit::Willing, Tries::Everything), Path::RelayByInitiator);
    assert_eq!(scene.play(Habit::Relay, Tries::Everything), Path::RelayByTarget);
}

/// Two exits, as with dual WAN: the target is asked for from one, and asked to come to the relay
/// from the other.
#[test]
fn c059_a_client_of_two_exits_meets_its_target_at_the_relay() {
    let networks = Networks::new("exits", false);
    let [middle, left, _] = &networks.names;
    ip(&["-n", middle, "addr", "add", "10.99.9.1/24", "dev", "down1"]);
    ip(&["-n", left, "addr", "add", "10.99.9.2/24", "dev", "up0"]);
    let server = Server::start_behind(&networks.run_in_middle(), &FAST);
    let scene = networks.scene(&server);
    let tries = Tries::NoDirectPathThen("10.99.9.2".parse().unwrap());
    assert_eq!(scene.play(Habit::Willing, tries), Path::RelayByInitiator);
}

/// Relays that are handed out while one of two answers, then while the other one does.
#[test]
fn relays_take_turns_and_one_that_is_down_is_left_out() {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let names = listeners.each_ref().map(|one| one.local_addr().unwrap().to_string());
    let server = Server::start(&["--relay-servers", &names.join(","), "--key="]);
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let target = Target::register(&Host::local("127.0.1.2"), at, "123456789", "");
    let initiator = Host::local("127.0.1.1").connect(0, at).unwrap();
    let handed_out = || target.relay_for(&initiator);
    let (one, other) = (handed_out(), handed_out());
    assert!(one != other && names.contains(&one) && names.contains(&other), "{one} {other}");
    let [first, _second] = listeners;
    drop(first);
    // The next check is 3 s away at most; refused at once, as over loopback. The target is told 40
    // times a minute at most (C86).
    let start = std::time::Instant::now();
    while handed_out() == names[0] || handed_out() == names[0] {
        assert!(start.elapsed() < Duration::from_secs(15), "{} is still handed out", names[0]);
        thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(handed_out(), names[1]);
}

/// A client inside that was given the outer address hears nothing that comes from the inner one.
#[test]
fn c024_answers_and_pushes_come_from_the_address_that_was_asked() {
    let networks = Networks::new("addr", false);
    let server = Server::start_behind(&networks.run_in_middle(), &FAST);
    let mut scene = networks.scene(&server);
    // B asks where A does: at the middle's address on the other side.
    scene.b.1 = scene.a.1;
    assert_eq!(scene.play(Habit::Relay, Tries::Everything), Path::RelayByTarget);
    // And so does A, while B asks at the near one.
    let mut scene = networks.scene(&server);
    scene.a.1 = scene.b.1;
    assert_eq!(scene.play(Habit::Relay, Tries::Everything), Path::RelayByTarget);
}

#[test]
fn sigterm_ends_it_in_time_with_everything_on_disk() {
    let mut server = Server::start(&FAST);
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let _target = Target::register(&Host::local("127.0.1.2"), at, "123456789", &server.key());
    let status = server.terminate(Duration::from_secs(2));
    assert!(status.success(), "{status}");
    server.restart();
    assert!(server.log().contains("peers-loaded count=1"), "{}", server.log());
}

/// A server with one port, which clients in WebSocket mode know by a name: the relay they are told
/// has the ID server's port, so that all they dial is `/ws/id`.
#[test]
fn c134_one_port_joins_sides_of_either_kind() {
    let single = ["--single-port", "--public", "127.0.0.1"];
    let mut server = Server::start(&[&single[..], &FAST].concat());
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let sides = [
        (Asks::Tcp, Registers::Udp, Tries::RelayOnly),
        (Asks::Tcp, Registers::WebSocket, Tries::Everything),
        (Asks::WebSocket, Registers::Udp, Tries::Everything),
        (Asks::WebSocket, Registers::WebSocket, Tries::Everything),
        (Asks::WebSocket, Registers::WebSocket, Tries::Tunnel),
    ];
    for (number, (asks, registers, tries)) in sides.into_iter().enumerate() {
        let id = format!("12345678{number}");
        let loads = [Load { total: 3_000_000, seed: 1 }, Load { total: 300_000, seed: 2 }];
        let key = server.key();
        let host = |ip| Host::local(ip).knowing_by_name(at);
        let target = Target::register_by(registers, (&host("127.0.1.2"), at), &id, &key);
        let target = thread::spawn(move || {
            let mut link = target.answer(Habit::Willing);
            target.hello(&mut link);
            converse(link, loads[1], loads[0]);
        });
        let initiator = Initiator { host: host("127.0.1.1"), server: at, key, tries, asks };
        let mut session = initiator.dial(&id);
        session.hello();
        assert_eq!(session.path, Path::RelayByTarget, "{asks:?} {registers:?}");
        let rows = sessions(&server);
        let tunnel = format!(r#""tunnel":{}"#, tries == Tries::Tunnel);
        assert!(rows.contains(&tunnel), "{asks:?} {registers:?}: {rows}");
        converse(session.link, loads[0], loads[1]);
        target.join().unwrap();
    }
    server.wait_log("info relay-ended");
}

/// The sessions that run, as `hbb ctl` tells them.
fn sessions(server: &Server) -> String {
    let mut ctl = model::server::command(&[]);
    let output = ctl.args(["ctl", "--json", "--data"]).arg(server.data()).arg("sessions").output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// A middle namespace with one network on each side of it.
struct Networks {
    names: [String; 3],
}

impl Networks {
    /// `forwards` tells whether the middle lets the sides reach each other.
    fn new(name: &str, forwards: bool) -> Self {
        let id = std::process::id();
        let names = ["s", "a", "b"].map(|part| format!("hbb-{name}-{part}-{id}"));
        let networks = Self { names };
        let [middle, left, right] = &networks.names;
        for namespace in &networks.names {
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        for (side, link, net) in [(left, "down1", "10.99.1"), (right, "down2", "10.99.2")] {
            ip(&[
                "-n", middle, "link", "add", link, "type", "veth", "peer", "name", "up0", "netns",
                side,
            ]);
            ip(&["-n", middle, "addr", "add", &format!("{net}.1/24"), "dev", link]);
            ip(&["-n", middle, "link", "set", link, "up"]);
            ip(&["-n", side, "addr", "add", &format!("{net}.2/24"), "dev", "up0"]);
            ip(&["-n", side, "link", "set", "up0", "up"]);
            ip(&["-n", side, "route", "add", "default", "via", &format!("{net}.1")]);
        }
        let value = format!("net.ipv4.ip_forward={}", u8::from(forwards));
        ip(&["netns", "exec", middle, "sysctl", "-qw", &value]);
        networks
    }

    fn run_in_middle(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.names[0]]
    }

    fn scene(&self, server: &Server) -> Scene {
        let host = |side: usize| {
            let host = Host::inside(&self.names[side], &format!("10.99.{side}.2"));
            (host, format!("10.99.{side}.1:{}", server.port).parse().unwrap())
        };
        Scene { a: host(1), b: host(2), key: server.key() }
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn ip(args: &[&str]) {
    let status = Command::new("ip").args(args).status();
    let status = status.expect("the program ip is needed: install the package iproute2");
    assert!(status.success(), "ip {} failed; it needs root", args.join(" "));
}

/// One leg ends, the other one leaves without reading that: nothing went wrong.
#[test]
fn a_session_that_both_ended_is_done() {
    let mut server = Server::start(&FAST);
    let relay = SocketAddr::from(([127, 0, 0, 1], server.port + 1));
    let host = Host::local("127.0.0.1");
    let wish = say::payload(say::Body::RequestRelay(say::proto::RequestRelay {
        uuid: say::TOKEN.into(),
        access_key: server.key(),
        ..Default::default()
    }));
    let mut waiting = Link::tcp(&host, relay);
    waiting.send(&wish).unwrap();
    thread::sleep(Duration::from_millis(100));
    let mut joining = Link::web_socket(&host, relay);
    joining.send(&wish).unwrap();
    waiting.send(b"there").unwrap();
    assert_eq!(joining.receive().unwrap(), b"there");
    drop(waiting);
    // The close arrives, unread.
    thread::sleep(Duration::from_millis(200));
    drop(joining);
    let line = server.wait_log("info relay-ended");
    assert!(line.contains(" reason=done "), "{line}");
}

/// What is relayed carries the mark, what is signalled does not: counted by the kernel.
#[test]
fn relayed_traffic_is_marked_over_ipv4_and_ipv6() {
    let name = format!("hbb-mark-{}", std::process::id());
    let namespace = Namespace::new(&name);
    let server = Server::start_behind(&namespace.run(), &["--key=", "--dscp", "34"]);
    let relay = server.port + 1;
    let rule = |family: &str, words: &str| {
        let rule = format!("add rule inet marks out {family} dscp {words}");
        namespace.nft(&rule);
    };
    namespace.nft("add table inet marks");
    namespace.nft("add chain inet marks out { type filter hook output priority 0; }");
    rule("ip", &format!("af41 tcp sport {relay} counter"));
    rule("ip6", &format!("af41 tcp sport {relay} counter"));
    rule("ip", &format!("!= cs0 tcp sport {} counter", server.port));
    Host::inside(&name, "127.0.0.1").enter();
    for ip in ["127.0.0.1", "::1"] {
        let host = Host::local(ip);
        let at = SocketAddr::new(ip.parse().unwrap(), relay);
        let mut legs = [Link::tcp(&host, at), Link::tcp(&host, at)];
        let uuid = ip.to_owned();
        let wish = say::proto::RequestRelay { uuid, ..Default::default() };
        let wish = say::payload(say::Body::RequestRelay(wish));
        legs.iter_mut().for_each(|leg| leg.send(&wish).unwrap());
        let [one, other] = &mut legs;
        one.send(b"marked").unwrap();
        assert_eq!(other.receive().unwrap(), b"marked");
        other.send(b"and back").unwrap();
        assert_eq!(one.receive().unwrap(), b"and back");
    }
    let mut asker =
        Link::tcp(&Host::local("127.0.0.1"), SocketAddr::from(([127, 0, 0, 1], server.port)));
    asker.send(&say::test_nat(3)).unwrap();
    asker.receive().unwrap();
    let counted = namespace.nft("list chain inet marks out");
    let packets: Vec<u32> = counted
        .lines()
        .filter_map(|line| line.split_once("packets ")?.1.split(' ').next()?.parse().ok())
        .collect();
    let [v4, v6, signalled] = packets[..] else { panic!("{counted}") };
    assert!(v4 >= 2 && v6 >= 2 && signalled == 0, "{counted}");
}

/// A tunnel whose peer vanished without a word ends within two minutes; one that is idle stays, and
/// so does one whose receiver keeps its window shut.
#[test]
fn c105_a_vanished_peer_is_noticed_in_two_minutes_and_no_living_one_is_taken_for_it() {
    if std::env::var("HBB_LONG").is_err() {
        println!("not run: it takes two minutes; HBB_LONG=1 runs it");
        return;
    }
    let namespace = Namespace::new(&format!("hbb-dead-{}", std::process::id()));
    let server = Server::start_behind(&namespace.run(), &["--key="]);
    Host::inside(&namespace.0, "127.0.0.1").enter();
    let relay = SocketAddr::from(([127, 0, 0, 1], server.port + 1));
    let tunnel = |token: &str, ip: &str| {
        let wish = say::request_relay("123456789", |wish| {
            (wish.uuid, wish.relay_server) = (token.into(), String::new());
            wish.conn_type = say::proto::ConnType::PortForward as i32;
        });
        let mut legs = [ip, "127.0.1.2"].map(|ip| Host::local(ip).connect(0, relay).unwrap());
        legs.iter_mut().for_each(|leg| leg.write_all(&model::wire::frame(&wish)).unwrap());
        legs
    };
    let [_vanished, mut left] = tunnel("vanishes", "127.0.1.9");
    let [mut idle, mut other] = tunnel("idle", "127.0.1.1");
    let [mut shut, mut writer] = tunnel("shut", "127.0.1.1");
    writer.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut given = 0;
    while let Ok(some) = writer.write(&[7; 65_536]) {
        given += some;
    }
    namespace.nft("add table inet gone");
    namespace.nft("add chain inet gone in { type filter hook input priority 0; }");
    for end in ["saddr", "daddr"] {
        namespace.nft(&format!("add rule inet gone in ip {end} 127.0.1.9 drop"));
    }
    let start = std::time::Instant::now();
    left.set_read_timeout(Some(Duration::from_secs(125))).unwrap();
    let mut byte = [0];
    let ended = again(|| left.read(&mut byte));
    let secs = start.elapsed().as_secs();
    assert!(!matches!(ended, Ok(1)) && (100..=121).contains(&secs), "{ended:?} after {secs} s");
    thread::sleep(Duration::from_secs(10));
    idle.write_all(b"x").unwrap();
    other.read_exact(&mut byte).expect("an idle tunnel is alive");
    let mut taken = vec![0; given];
    shut.read_exact(&mut taken).expect("a window that was shut is no death");
    println!("ended after {secs} s; {given} bytes behind the shut window");
}

/// A network namespace with nothing but its loopback, gone when dropped.
struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Self {
        let namespace = Self(name.to_owned());
        let made = Command::new("ip").args(["netns", "add", name]).status();
        assert!(made.expect("install the package iproute2").success(), "this needs root");
        let run = namespace.run();
        let mut up = Command::new(run[0]);
        assert!(
            up.args(&run[1..]).args(["ip", "link", "set", "lo", "up"]).status().unwrap().success()
        );
        namespace
    }

    fn run(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.0]
    }

    /// What nft says to one command.
    fn nft(&self, command: &str) -> String {
        let run = self.run();
        let mut nft = Command::new(run[0]);
        let output = nft.args(&run[1..]).args(["nft", command]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "install the package nftables? {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}
