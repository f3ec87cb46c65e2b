//! Every kind of initiator with every kind of target, through every kind of NAT, against the real
//! binary: the path each pair must find, and that much arrives whole on it. C26-C28, C41, C44,
//! C49-C51, C56, C57, C60-C62, C65, C68.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::Host;
use model::initiator::Path::{self, Direct, Ipv6, RelayByInitiator, RelayByTarget, Udp};
use model::initiator::{Asks, Initiator, Tries};
use model::networks::{Nat, Networks, SERVER, SERVER_V6};
use model::server::Server;
use model::session::{Load, converse};
use model::target::{Habit, Registers, Target};

/// Rows: how initiators ask.
const ASKS: [Asks; 5] = [Asks::Tcp, Asks::Sealed, Asks::WebSocket, Asks::Udp, Asks::Ipv6];
/// Columns: how targets register.
const REGISTERS: [Registers; 5] =
    [Registers::Udp, Registers::UdpPunch, Registers::Tcp, Registers::WebSocket, Registers::Ipv6];

type Paths = [[Path; REGISTERS.len()]; ASKS.len()];

/// Where a punch succeeds. WebSocket opens no path of its own; datagrams are tried only if both
/// can, and so is IPv6.
const PUNCHABLE: Paths = [
    [Direct, Direct, Direct, RelayByTarget, Direct],
    [Direct, Direct, Direct, RelayByTarget, Direct],
    [RelayByTarget; 5],
    [Direct, Udp, Direct, RelayByTarget, Udp],
    [Direct, Direct, Direct, RelayByTarget, Ipv6],
];

/// Where both believe that it would, and find that it does not.
const DECEPTIVE: Paths = [
    [RelayByInitiator, RelayByInitiator, RelayByInitiator, RelayByTarget, RelayByInitiator],
    [RelayByInitiator, RelayByInitiator, RelayByInitiator, RelayByTarget, RelayByInitiator],
    [RelayByTarget; 5],
    [RelayByInitiator, RelayByInitiator, RelayByInitiator, RelayByTarget, RelayByInitiator],
    [RelayByInitiator, RelayByInitiator, RelayByInitiator, RelayByTarget, Ipv6],
];

/// Where the NAT test tells them not to try.
const HOPELESS: Paths = [
    [RelayByTarget; 5],
    [RelayByTarget; 5],
    [RelayByTarget; 5],
    [RelayByTarget; 5],
    [RelayByTarget, RelayByTarget, RelayByTarget, RelayByTarget, Ipv6],
];

/// A pair has this long, from registration to the last byte.
const PAIR: Duration = Duration::from_secs(15);
/// Pairs that play at once.
const AT_ONCE: usize = 4;

/// Bytes to the target, ten times as many as come back; an emulated binary is given fewer.
fn total() -> usize {
    let asked = std::env::var("HBB_E2E_BYTES").ok();
    asked.map_or(10_000_000, |bytes| bytes.parse().expect("HBB_E2E_BYTES is a number"))
}

#[test]
fn full_cone() {
    play_all("cone", (Nat::FullCone, Over::V4), &PUNCHABLE);
}

#[test]
fn port_restricted() {
    play_all("strict", (Nat::PortRestricted, Over::V4), &PUNCHABLE);
}

#[test]
fn deceptive() {
    play_all("deceptive", (Nat::Deceptive, Over::V4), &DECEPTIVE);
}

#[test]
fn symmetric() {
    play_all("symmetric", (Nat::Symmetric, Over::V4), &HOPELESS);
}

/// No NAT is between, whatever the routers do with IPv4; nobody uses that at all.
#[test]
fn everything_over_ipv6() {
    play_all("six", (Nat::Symmetric, Over::V6), &PUNCHABLE);
}

/// How clients reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    V4,
    V6,
}

/// Every pair; the table of paths is printed, and must be the expected one.
fn play_all(name: &str, (nat, over): (Nat, Over), expected: &Paths) {
    let start = Instant::now();
    let networks = Networks::new(name, nat);
    let prefix = networks.run_in_middle();
    let prefix = prefix.each_ref().map(String::as_str);
    // All targets register from one address.
    let server = Server::start_behind(
        &prefix,
        &["--registrations-per-minute", "1000", "--log-level", "debug"],
    );
    let scene = Scene { networks, over, key: server.key(), port: server.port };
    let found = scene.play_pairs();
    let table = table(&found, expected);
    let secs = start.elapsed().as_secs_f32();
    let nat = if over == Over::V6 { "No NAT, IPv6".into() } else { format!("{nat:?}") };
    let text = format!("\n{nat}, {} bytes a pair, {secs:.1} s\n{table}", total());
    // Shown even if the test passes, and in one piece.
    std::io::stdout().write_all(text.as_bytes()).unwrap();
    let expected = expected.iter().flatten().map(|path| Some(*path));
    assert!(found.iter().copied().eq(expected), "{text}\nlog:\n{}", server.log());
    check_log(&server, &found);
}

/// The server relayed the sessions that took a relay, every byte of them, and no other.
fn check_log(server: &Server, found: &[Option<Path>]) {
    let is_relayed =
        |path: &&Option<Path>| matches!(path, Some(Path::RelayByTarget | Path::RelayByInitiator));
    let relayed = found.iter().filter(is_relayed).count();
    let lines = || -> Vec<String> {
        let log = server.log();
        log.lines().filter(|line| line.contains("relay-ended")).map(str::to_owned).collect()
    };
    let start = Instant::now();
    while lines().len() < relayed && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(20));
    }
    let lines = lines();
    assert_eq!(lines.len(), relayed, "{}", server.log());
    for line in &lines {
        let bytes = line.split("bytes=").nth(1).unwrap().split(' ').next().unwrap();
        assert!(bytes.parse::<usize>().unwrap() > total() + total() / 10, "{line}");
    }
    let log = server.log();
    let bad = |line: &&str| line.starts_with("warn") || line.starts_with("error");
    assert_eq!(log.lines().find(bad), None, "{log}");
}

/// Two hosts behind NATs and a server between.
/// The next of `all`, and its number.
fn turn<'a, T>(next: &AtomicUsize, all: &'a [T]) -> Option<(usize, &'a T)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, all.get(number)?))
}

struct Scene {
    networks: Networks,
    over: Over,
    key: String,
    port: u16,
}

impl Scene {
    /// The path each pair found, row by row; None where no session came about.
    fn play_pairs(&self) -> Vec<Option<Path>> {
        let pairs: Vec<_> =
            ASKS.iter().flat_map(|asks| REGISTERS.map(|registers| (*asks, registers))).collect();
        let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![None; pairs.len()]));
        let play = || {
            while let Some((number, (asks, registers))) = turn(&next, &pairs) {
                let path = self.play(number, *asks, *registers);
                found.lock().unwrap()[number] = path;
            }
        };
        thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(play))));
        found.into_inner().unwrap()
    }

    fn host(&self, side: &str) -> Host {
        let host = self.networks.host(side);
        if self.over == Over::V6 { host.over_v6() } else { host }
    }

    /// One session from registration to the last byte.
    fn play(&self, number: usize, asks: Asks, registers: Registers) -> Option<Path> {
        let start = Instant::now();
        let id = format!("{}", 100_000_000 + number);
        let ip = if self.over == Over::V6 { SERVER_V6 } else { SERVER };
        let server = SocketAddr::new(ip, self.port);
        let (ready, registered) = channel();
        let (host, key, own_id) = (self.host("b"), self.key.clone(), id.clone());
        let name = format!("{asks:?} to {registers:?}");
        let answered = run(format!("target of {name}"), move |done| {
            host.enter();
            let target = Target::register_by(registers, (&host, server), &own_id, &key);
            ready.send(()).unwrap();
            let mut link = target.answer(Habit::Willing);
            target.hello(&mut link);
            let [there, back] = loads();
            converse(link, back, there);
            let _ = done.send(());
        });
        let (host, key) = (self.host("a"), self.key.clone());
        let dialled = run(format!("initiator of {name}"), move |done| {
            host.enter();
            registered.recv_timeout(PAIR).expect("the target registers");
            let initiator = Initiator { host, server, key, tries: Tries::Everything, asks };
            let mut session = initiator.dial(&id);
            session.hello();
            let [there, back] = loads();
            converse(session.link, there, back);
            let _ = done.send(session.path);
        });
        let path = dialled.recv_timeout(PAIR).ok()?;
        answered.recv_timeout(PAIR.saturating_sub(start.elapsed())).ok()?;
        Some(path)
    }
}

/// What goes to the target, and what comes back.
fn loads() -> [Load; 2] {
    [Load { total: total(), seed: 1 }, Load { total: total() / 10, seed: 2 }]
}

/// Runs `work` on a thread whose name its panic shows; it says here when it is done.
fn run<T: Send + 'static>(
    name: String,
    work: impl FnOnce(&Sender<T>) + Send + 'static,
) -> std::sync::mpsc::Receiver<T> {
    let (done, result) = channel();
    thread::Builder::new().name(name).spawn(move || work(&done)).unwrap();
    result
}

/// The paths found, with those that were expected where others were found.
fn table(found: &[Option<Path>], expected: &Paths) -> String {
    const WIDTH: usize = 12;
    let mut text = " ".repeat(WIDTH);
    for registers in REGISTERS {
        write!(text, "{:WIDTH$}", format!("{registers:?}")).unwrap();
    }
    for (row, asks) in ASKS.iter().enumerate() {
        write!(text, "\n{:WIDTH$}", format!("{asks:?}")).unwrap();
        for column in 0..REGISTERS.len() {
            let (path, wanted) = (found[row * REGISTERS.len() + column], expected[row][column]);
            let mut cell = path.map_or("none", label).to_owned();
            if path != Some(wanted) {
                write!(cell, ", not {}; ", label(wanted)).unwrap();
            }
            write!(text, "{cell:WIDTH$}").unwrap();
        }
    }
    text + "\n"
}

/// A path in the table; the relay with who chose it.
const fn label(path: Path) -> &'static str {
    match path {
        Direct => "direct",
        Udp => "UDP",
        Ipv6 => "IPv6",
        Path::Local => "local",
        RelayByTarget => "relay by B",
        RelayByInitiator => "relay by A",
    }
}
