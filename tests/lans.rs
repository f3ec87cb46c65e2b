//! One server in two LANs, a tunnel and a WAN, in namespaces: nobody has a way to an address of the
//! server but its own network's, so a session shows that each side was told that one. Names that
//! stand for another address later are followed. C124-C128, C146.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "names are looked up after seconds")]

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::{Host, again};
use model::initiator::{Asks, Initiator, Path, Tries};
use model::server::Server;
use model::session::{Load, converse};
use model::target::{Habit, Registers, Target};

/// Two hosts in each network, by name; the server is the first address of each.
const HOSTS: [(&str, &str); 8] = [
    ("one-a", "one"),
    ("one-b", "one"),
    ("two-a", "two"),
    ("two-b", "two"),
    ("net-a", "net"),
    ("net-b", "net"),
    ("tun-a", "tun"),
    ("tun-b", "tun"),
];

/// How the addresses of a network begin, IPv4 and IPv6.
fn base(network: &str) -> (&'static str, &'static str) {
    match network {
        "one" => ("10.1.0.", "fd01::"),
        "two" => ("192.168.2.", "fd02::"),
        "net" => ("203.0.113.", "2001:db8::"),
        "tun" => ("100.64.0.", "fd7a:115c:a1e0::"),
        other => panic!("no network {other}"),
    }
}

/// The namespaces; removed when dropped.
struct World {
    prefix: String,
}

impl World {
    /// Networks are bridges of the server's. Hosts have no route but to their own network.
    fn new(name: &str) -> Self {
        let world = Self { prefix: format!("hbb-{name}-{}", std::process::id()) };
        world.add("s");
        for network in ["one", "two", "net", "tun"] {
            world.server_ip(&format!("link add {network} type bridge"));
            world.server_ip(&format!("link set {network} up"));
        }
        for network in ["one", "two", "net"] {
            world.join(network);
        }
        // A tunnel: the server's address is alone in its network, and its neighbours are routes.
        let (v4, v6) = base("tun");
        world.server_ip(&format!("addr add {v4}1/32 dev tun"));
        world.server_ip(&format!("addr add {v6}1/128 dev tun"));
        world.server_ip(&format!("route add {v4}0/24 dev tun"));
        world.server_ip(&format!("-6 route add {v6}/64 dev tun"));
        for (host, network) in HOSTS {
            world.add(host);
            let name = world.name(host);
            world.server_ip(&format!("link add {host} type veth peer name e0 netns {name}"));
            world.server_ip(&format!("link set {host} master {network}"));
            world.server_ip(&format!("link set {host} up"));
            let ((v4, v6), last) = (base(network), last_of(host));
            ip(&format!("-n {name} addr add {v4}{last}/24 dev e0"));
            ip(&format!("-n {name} addr add {v6}{last}/64 dev e0"));
            ip(&format!("-n {name} link set e0 up"));
        }
        world
    }

    fn add(&self, part: &str) {
        let name = self.name(part);
        ip(&format!("netns add {name}"));
        ip(&format!("netns exec {name} sysctl -qw net.ipv6.conf.default.accept_dad=0"));
        ip(&format!("-n {name} link set lo up"));
    }

    /// Gives the server its address in a network.
    fn join(&self, network: &str) {
        let (v4, v6) = base(network);
        self.server_ip(&format!("addr add {v4}1/24 dev {network}"));
        self.server_ip(&format!("addr add {v6}1/64 dev {network}"));
    }

    fn server_ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.name("s")));
    }

    fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    fn serve(&self, flags: &[&str]) -> Server {
        let name = self.name("s");
        Server::start_behind(&["ip", "netns", "exec", &name], flags)
    }

    fn host(&self, end: End) -> Host {
        let (_, network) = HOSTS.iter().find(|(host, _)| *host == end.host).unwrap();
        let ((v4, v6), last) = (base(network), last_of(end.host));
        let base = if end.over_v6 { v6 } else { v4 };
        Host::inside(&self.name(end.host), &format!("{base}{last}"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for part in HOSTS.map(|(host, _)| host).into_iter().chain(["s"]) {
            let _ = Command::new("ip").args(["netns", "del", &self.name(part)]).status();
        }
    }
}

fn last_of(host: &str) -> u8 {
    if host.ends_with('a') { 7 } else { 8 }
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status();
    assert!(done.expect("ip of the package iproute2").success(), "ip {words}");
}

/// A client: where it is, and over what it knows the server.
#[derive(Clone, Copy)]
struct End {
    host: &'static str,
    over_v6: bool,
}

const fn v4(host: &'static str) -> End {
    End { host, over_v6: false }
}

const fn v6(host: &'static str) -> End {
    End { host, over_v6: true }
}

impl End {
    /// The server as this client knows it: by its address in the client's network.
    fn server(self, port: u16) -> SocketAddr {
        let (_, network) = HOSTS.iter().find(|(host, _)| *host == self.host).unwrap();
        let (v4, v6) = base(network);
        let ip: IpAddr = [if self.over_v6 { v6 } else { v4 }, "1"].concat().parse().unwrap();
        SocketAddr::new(ip, port)
    }
}

/// One session from registration to the last byte; the path it took.
fn play(world: &World, server: &Server, ends: [End; 2], habit: Habit, tries: Tries) -> Path {
    let (key, port) = (server.key(), server.port);
    let id = format!("{}", 100_000_000 + next());
    let loads = [Load { total: 50_000, seed: 1 }, Load { total: 20_000, seed: 2 }];
    let ((ready, registered), (done, path)) = (channel(), channel());
    let [from, to] = ends;
    let (host, own_id, own_key) = (world.host(to), id.clone(), key.clone());
    let target = thread::spawn(move || {
        host.enter();
        let target =
            Target::register_by(Registers::Udp, (&host, to.server(port)), &own_id, &own_key);
        ready.send(()).unwrap();
        let mut link = target.answer(habit);
        target.hello(&mut link);
        converse(link, loads[0], loads[1]);
    });
    let host = world.host(from);
    let initiator = thread::spawn(move || {
        host.enter();
        registered.recv_timeout(Duration::from_secs(9)).expect("the target registers");
        let server = from.server(port);
        let initiator = Initiator { host, server, key, tries, asks: Asks::Tcp };
        let mut session = initiator.dial(&id);
        session.hello();
        converse(session.link, loads[1], loads[0]);
        done.send(session.path).unwrap();
    });
    let name = format!("{} to {}, {habit:?}, {tries:?}", from.host, to.host);
    let found = path.recv_timeout(Duration::from_secs(12));
    let found = found.unwrap_or_else(|_| panic!("no session: {name}\n{}", server.log()));
    initiator.join().unwrap();
    target.join().unwrap();
    println!("{name}: {found:?}");
    found
}

/// A number no other call was given.
fn next() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Both ways to the relay, and the one a pair takes if it may.
fn play_all(world: &World, server: &Server, ends: [End; 2], first: Path) {
    assert_eq!(play(world, server, ends, Habit::Willing, Tries::Everything), first);
    let by_target = play(world, server, ends, Habit::Relay, Tries::Everything);
    assert_eq!(by_target, Path::RelayByTarget);
    if first != Path::RelayByTarget {
        let by_initiator = play(world, server, ends, Habit::Willing, Tries::NoDirectPath);
        assert_eq!(by_initiator, Path::RelayByInitiator);
    }
}

#[test]
fn c124_each_side_is_told_the_relay_at_the_address_in_its_own_network() {
    let world = World::new("each");
    let server = world.serve(&["--log-level", "debug"]);
    // Between two LANs there is no way here but the relay.
    play_all(&world, &server, [v4("one-a"), v4("two-a")], Path::RelayByInitiator);
    play_all(&world, &server, [v4("two-a"), v4("one-a")], Path::RelayByInitiator);
    play_all(&world, &server, [v6("one-a"), v6("two-a")], Path::RelayByInitiator);
    // A tunnel beside a LAN.
    play_all(&world, &server, [v4("one-a"), v4("tun-a")], Path::RelayByInitiator);
    play_all(&world, &server, [v4("tun-a"), v4("one-a")], Path::RelayByInitiator);
    // From outside in, and back; over IPv6 too.
    play_all(&world, &server, [v4("net-a"), v4("two-a")], Path::RelayByTarget);
    play_all(&world, &server, [v4("two-a"), v4("net-a")], Path::RelayByInitiator);
    play_all(&world, &server, [v6("net-a"), v6("one-a")], Path::RelayByInitiator);
    play_all(&world, &server, [v6("one-a"), v6("net-a")], Path::RelayByInitiator);
    play_all(&world, &server, [v4("net-a"), v4("tun-a")], Path::RelayByInitiator);
}

#[test]
fn c125_a_relay_that_is_handed_out_is_told_at_the_address_in_each_network() {
    let world = World::new("list");
    let server = world.serve(&["--relay-port", "443", "--public", "203.0.113.1"]);
    for ends in [
        [v4("one-a"), v4("two-a")],
        [v4("one-a"), v4("net-a")],
        [v6("one-a"), v6("two-a")],
        [v4("tun-a"), v4("two-a")],
    ] {
        let there = play(&world, &server, ends, Habit::Willing, Tries::NoDirectPath);
        assert_eq!(there, Path::RelayByInitiator);
        let by_target = play(&world, &server, ends, Habit::Relay, Tries::Everything);
        assert_eq!(by_target, Path::RelayByTarget);
    }
    let inwards = [v4("net-a"), v4("one-a")];
    let by_target = play(&world, &server, inwards, Habit::Willing, Tries::Everything);
    assert_eq!(by_target, Path::RelayByTarget);
    drop(server);
    // One that is named by an address which those outside do not reach.
    let named = ["--relay-servers", "10.1.0.1:443"];
    let flags = [&["--relay-port", "443", "--public", "203.0.113.1"][..], &named].concat();
    let server = world.serve(&flags);
    for ends in [inwards, [v4("one-a"), v4("net-a")], [v4("net-a"), v4("net-b")]] {
        let by_target = play(&world, &server, ends, Habit::Relay, Tries::Everything);
        assert_eq!(by_target, Path::RelayByTarget);
    }
    let there =
        play(&world, &server, [v4("net-a"), v4("net-b")], Habit::Willing, Tries::NoDirectPath);
    assert_eq!(there, Path::RelayByInitiator);
}

#[test]
fn c126_who_is_in_one_network_meets_there() {
    let world = World::new("one");
    let server = world.serve(&["--log-level", "debug"]);
    play_all(&world, &server, [v4("one-a"), v4("one-b")], Path::Local);
    play_all(&world, &server, [v4("two-b"), v4("two-a")], Path::Local);
    // No FetchLocalAddr over IPv6: a target takes it for a wish for the relay.
    play_all(&world, &server, [v6("one-a"), v6("one-b")], Path::Direct);
    // What the server's prefixes do not tell to be one link.
    play_all(&world, &server, [v4("tun-a"), v4("tun-b")], Path::Direct);
    play_all(&world, &server, [v4("net-a"), v4("net-b")], Path::Direct);
}

#[test]
fn c127_an_interface_that_comes_later_is_known_soon() {
    let world = World::new("late");
    for at in ["192.168.2.1/24", "fd02::1/64"] {
        world.server_ip(&format!("addr del {at} dev two"));
    }
    let server = world.serve(&[]);
    let ends = [v4("one-a"), v4("net-a")];
    play(&world, &server, ends, Habit::Relay, Tries::Everything);
    world.join("two");
    // As long as what was read is good.
    thread::sleep(Duration::from_millis(5_100));
    play_all(&world, &server, [v4("one-a"), v4("two-a")], Path::RelayByInitiator);
    play_all(&world, &server, [v4("two-a"), v4("two-b")], Path::Local);
}

#[test]
fn c127_what_an_operator_says_of_a_lan_goes_first() {
    let world = World::new("mask");
    let server = world.serve(&["--mask", "10.1.0.0/24", "--local-ip", "10.1.0.1"]);
    let (inside, others) = (v4("one-a"), [v4("net-a"), v4("two-a"), v4("tun-a")]);
    for other in others {
        for ends in [[other, inside], [inside, other]] {
            let found = play(&world, &server, ends, Habit::Willing, Tries::Everything);
            assert_eq!(found, Path::RelayByTarget);
        }
    }
    play_all(&world, &server, [v4("one-a"), v4("one-b")], Path::Local);
    play_all(&world, &server, [v4("two-a"), v4("tun-a")], Path::RelayByInitiator);
}

/// What the server's resolver reads; gone when dropped.
struct Resolver {
    folder: String,
    /// A name server that answers nobody.
    silent: UdpSocket,
}

impl Resolver {
    fn new(world: &World, hosts: &str) -> Self {
        let folder = format!("/etc/netns/{}", world.name("s"));
        fs::create_dir_all(&folder).unwrap();
        let settings = "nameserver 127.0.0.53\noptions timeout:1 attempts:2\n";
        fs::write(format!("{folder}/resolv.conf"), settings).unwrap();
        fs::write(format!("{folder}/hosts"), hosts).unwrap();
        let host = Host::inside(&world.name("s"), "127.0.0.53");
        let silent = thread::spawn(move || {
            host.enter();
            UdpSocket::bind((host.ip, 53)).unwrap()
        });
        Self { folder, silent: silent.join().unwrap() }
    }

    /// Writes the very file that the server's namespace shows as `/etc/hosts`.
    fn tell(&self, hosts: &str) {
        fs::write(format!("{}/hosts", self.folder), hosts).unwrap();
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Asks again and again which relay a target at `to` is told when `net-a` dials it, at most as
/// often as a target is told, until `enough`; each answer comes without delay.
fn relays_told(world: &World, port: u16, to: End, mut enough: impl FnMut(&str) -> bool + Send) {
    let (host, target_host) = (world.host(v4("net-a")), world.host(to));
    let stream = thread::scope(|scope| {
        let connect = || {
            host.enter();
            host.connect(0, v4("net-a").server(port)).unwrap()
        };
        scope.spawn(connect).join().unwrap()
    });
    let ask = || {
        target_host.enter();
        let target = Target::register(&target_host, to.server(port), "123456789", "");
        loop {
            let start = Instant::now();
            let told = target.relay_for(&stream);
            let took = start.elapsed();
            assert!(took < Duration::from_secs(1), "told after {took:?}");
            if enough(&told) {
                return;
            }
            thread::sleep(Duration::from_millis(1_600));
            target.keep();
        }
    };
    thread::scope(|scope| scope.spawn(ask).join()).unwrap();
}

#[test]
fn c128_a_name_that_stands_for_another_address_is_followed() {
    let world = World::new("name");
    let resolver = Resolver::new(&world, "203.0.113.1 rd.test\n");
    let flags = ["--relay-port", "443", "--relay-servers", "rd.test:443", "--key="];
    let server = world.serve(&flags);
    let (port, start) = (server.port, Instant::now());
    let before = |limit| assert!(start.elapsed() < Duration::from_secs(limit), "{}", server.log());
    relays_told(&world, port, v4("one-a"), |told| {
        before(9);
        told == "10.1.0.1:443"
    });
    resolver.tell("203.0.113.9 rd.test\n");
    relays_told(&world, port, v4("one-b"), |told| {
        before(40);
        told == "rd.test:443"
    });
    println!("followed after {:.1} s", start.elapsed().as_secs_f32());
}

#[test]
fn c128_a_silent_name_server_takes_no_relay_away_and_delays_nobody() {
    let world = World::new("silent");
    // Nobody is at the first address.
    let hosts = "2001:db8::dead rd.test\n203.0.113.1 rd.test\n";
    let resolver = Resolver::new(&world, hosts);
    let relays = "rd.test:443,203.0.113.1:443";
    let flags = ["--relay-port", "443", "--relay-servers", relays, "--key="];
    let server = world.serve(&flags);
    // Until it was called once.
    thread::sleep(Duration::from_secs(4));
    resolver.tell("");
    let start = Instant::now();
    let mut told_name = Instant::now();
    relays_told(&world, server.port, v4("net-b"), |told| {
        if told == "rd.test:443" {
            told_name = Instant::now();
        }
        start.elapsed() > Duration::from_secs(11)
    });
    assert!(told_name.elapsed() < Duration::from_secs(4), "the name is told no longer");
    assert!(!server.log().contains("relay-down"), "{}", server.log());
}

/// One that is silent is waited for as long as is said, while others could answer still.
#[test]
fn check_tells_a_silent_name_server_from_a_name_that_is_not_there() {
    let world = World::new("check");
    let resolver = Resolver::new(&world, "");
    let check = |flags: &[&str]| {
        let (name, start) = (world.name("s"), Instant::now());
        let mut check = model::server::command(&["ip", "netns", "exec", &name].map(str::to_owned));
        let found = check.args(["check", "--data", "/tmp"]).args(flags).output().unwrap();
        (String::from_utf8(found.stdout).unwrap(), start.elapsed())
    };
    let names = ["--public", "own.test", "--relay-servers", "rd.test,192.0.2.1"];
    let (said, took) = check(&names);
    for name in ["--relay-servers rd.test", "--public own.test"] {
        assert!(said.contains(&format!("problem  {name}: no name server answers: ")), "{said}");
    }
    assert!(said.contains("ok       --relay-servers 192.0.2.1\n"), "{said}");
    assert!(took < Duration::from_secs(5), "one after the other: {took:?}");
    fs::write(
        format!("{}/resolv.conf", resolver.folder),
        "nameserver 127.0.0.53\noptions timeout:20\n",
    )
    .unwrap();
    let (said, took) = check(&names);
    assert!(
        said.contains("problem  --public own.test: no name server answers within 6 s"),
        "{said}"
    );
    assert!(took < Duration::from_secs(9), "{took:?}");
    let server = resolver.silent.try_clone().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = again(|| server.recv_from(&mut buffer)) {
            // An answer, that there is no such name.
            (buffer[2], buffer[3]) = (buffer[2] | 0x80, 0x83);
            let _ = server.send_to(&buffer[..length], from);
        }
    });
    let (said, took) = check(&names);
    assert!(
        said.contains("problem  --public own.test: the name server does not know it: "),
        "{said}"
    );
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// At the start, and again when that changes; meanwhile all is served.
#[test]
fn c146_a_name_that_stands_for_nothing_is_said_and_when_it_does_again() {
    let world = World::new("unknown");
    let resolver = Resolver::new(&world, "");
    let mut server = world.serve(&["--relay-servers", "rd.test", "--public", "own.test", "--key="]);
    let unknown = "warn name-unknown names=own.test,rd.test help='hbb check'";
    let known = "info name-known names=own.test,rd.test";
    server.wait_log(unknown);
    resolver.tell("203.0.113.1 rd.test own.test\n");
    server.wait_log(known);
    let log = server.log();
    assert_eq!([unknown, known].map(|line| log.matches(line).count()), [1, 1], "{log}");
}
