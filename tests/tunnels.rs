//! Port forwards whose clients vanished give their places up, and those that are merely quiet keep
//! theirs: in namespaces, with the kernel's own keepalive. C105, C140.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::{Host, again};
use model::initiator::{Asks, Initiator, Tries};
use model::server::Server;
use model::target::{Habit, Target};
use model::wire::send;

/// Pairs of which both ends vanish, one end does, and none does: as many as there are places.
const PAIRS: [(usize, [Side; 2]); 3] =
    [(12, [Side::Gone; 2]), (12, [Side::Gone, Side::Here]), (8, [Side::Here; 2])];
/// Where a connection on which nothing came is probed first, and when the last probe has failed.
const PROBED_SECS: f32 = 40.0;
const DEAD_SECS: u64 = 120;

/// Where a client is: behind the line that is cut, or behind the other one.
#[derive(Clone, Copy)]
enum Side {
    Gone = 1,
    Here = 2,
}

/// A server with a cable to each side; removed when dropped.
struct Cables {
    names: [String; 3],
}

impl Cables {
    /// Of the test with this name, which has its own.
    fn of(test: &str) -> Self {
        let id = std::process::id();
        let named = |it| format!("hbb-tunnels-{test}-{it}-{id}");
        let cables = Self { names: ["s", "gone", "here"].map(named) };
        let [server, sides @ ..] = &cables.names;
        for name in &cables.names {
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link set lo up"));
        }
        for (side, digit) in sides.iter().zip(1..) {
            ip(&format!("-n {server} link add e{digit} type veth peer name e0 netns {side}"));
            ip(&format!("-n {server} addr add 10.{digit}0.0.1/16 dev e{digit}"));
            ip(&format!("-n {server} link set e{digit} up"));
            for host in [2, 3] {
                ip(&format!("-n {side} addr add 10.{digit}0.{host}.1/16 dev e0"));
            }
            ip(&format!("-n {side} link set e0 up"));
        }
        cables
    }

    /// One of the two hosts of a side, each in a /24 of its own, and where it reaches the server.
    fn host(&self, side: Side, host: u8, server: &Server) -> (Host, SocketAddr) {
        let digit = side as usize;
        let at = format!("10.{digit}0.0.1:{}", server.port).parse().unwrap();
        (Host::inside(&self.names[digit], &format!("10.{digit}0.{host}.1")), at)
    }

    /// A program where the server is, or on a side.
    fn run(&self, at: usize, words: &str) -> Output {
        let mut command = Command::new("ip");
        let output =
            command.args(["netns", "exec", &self.names[at]]).args(words.split(' ')).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// From now on nothing comes or goes there, as after a power cut or the loss of a line.
    fn cut(&self) {
        let side = Side::Gone as usize;
        self.run(side, "nft add table inet cut");
        for hook in ["input", "output"] {
            let policy = format!("{{ type filter hook {hook} priority 0; policy drop; }}");
            self.run(side, &format!("nft add chain inet cut {hook} {policy}"));
        }
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status();
    assert!(done.expect("ip of the package iproute2").success(), "ip {words}; it needs root");
}

/// So many port forwards of one side to the other, dialled as clients dial.
fn tunnels(
    cables: &Cables,
    server: &Server,
    count: usize,
    sides: [Side; 2],
) -> Vec<[TcpStream; 2]> {
    let key = server.key();
    let id = format!("10000000{}{}", sides[0] as usize, sides[1] as usize);
    let (host, at) = cables.host(sides[1], 3, server);
    let target = within(&host, || Target::register(&host, at, &id, &key));
    let (from, seen_at) = cables.host(sides[0], 2, server);
    let tries = Tries::Tunnel;
    let initiator = Initiator { host: from.clone(), server: seen_at, key, tries, asks: Asks::Tcp };
    let one = |_| {
        thread::scope(|scope| {
            let answering = scope.spawn(|| {
                host.enter();
                let mut link = target.answer(Habit::Willing);
                target.hello(&mut link);
                link.into_tcp()
            });
            let near = within(&from, || {
                let mut session = initiator.dial(&id);
                session.hello();
                session.link.into_tcp()
            });
            [near, answering.join().unwrap()]
        })
    };
    (0..count).map(one).collect()
}

/// Runs `what` where `host` is, on a thread that stays there.
fn within<T: Send>(host: &Host, what: impl FnOnce() -> T + Send) -> T {
    let run = || {
        host.enter();
        what()
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// How many sessions run, as `hbb ctl` tells.
fn running(server: &Server) -> usize {
    let mut ctl = model::server::command(&[]);
    let output = ctl.args(["ctl", "--json", "--data"]).arg(server.data()).arg("status").output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap();
    let (_, rest) = said.split_once(r#""running":"#).expect("the number of sessions");
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Bytes pass both ways.
fn passes([near, far]: &[TcpStream; 2]) {
    let mut byte = [0];
    for (mut from, mut to) in [(near, far), (far, near)] {
        from.write_all(b"x").unwrap();
        to.read_exact(&mut byte).expect("a quiet tunnel is alive");
    }
}

/// Whether the server ended it.
fn is_over(leg: &TcpStream) -> bool {
    leg.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let ended = again(|| (&*leg).read(&mut [0]));
    !matches!(&ended, Ok(1)) && !ended.is_err_and(|it| it.kind() == std::io::ErrorKind::WouldBlock)
}

/// One more pair finds no place.
fn is_refused(cables: &Cables, server: &mut Server) {
    let (host, at) = cables.host(Side::Here, 2, server);
    let relay = SocketAddr::new(at.ip(), server.port + 1);
    let wish = say::request_relay("", |wish| {
        (wish.uuid, wish.access_key) = ("one more".into(), server.key());
        wish.relay_server.clear();
    });
    let _legs = within(&host, || {
        [(); 2].map(|()| {
            let mut leg = host.connect(0, relay).unwrap();
            send(&mut leg, &wish).unwrap();
            leg
        })
    });
    server.wait_log("warn refused reason=sessions-full from=10.20.2.1");
}

/// Seconds until each of the server's legs is probed, as the kernel's timers have it.
fn timers(cables: &Cables, server: &Server) -> Vec<f32> {
    let words = format!("ss -Htno state established sport = :{}", server.port + 1);
    let listed = String::from_utf8(cables.run(0, &words).stdout).unwrap();
    let timer = |line: &str| {
        let (_, rest) = line.split_once("timer:(keepalive,").expect("a leg with keepalive");
        let text = rest.split(',').next().unwrap();
        match text.strip_suffix("ms") {
            Some(ms) => ms.parse::<f32>().unwrap() / 1000.0,
            None => text.strip_suffix("sec").expect("seconds").parse().unwrap(),
        }
    };
    listed.lines().map(timer).collect()
}

/// Without HBB_LONG the kernel is told that the probes were in vain, as it says after two minutes:
/// the errors that it hands to the server are the same, and the timers tell how long it would take.
#[test]
fn c105_dead_tunnels_give_their_places_up_and_quiet_ones_keep_theirs() {
    let cables = Cables::of("idle");
    let mut server = Server::start_behind(&["ip", "netns", "exec", &cables.names[0]], &[]);
    let pairs = PAIRS.map(|(count, sides)| tunnels(&cables, &server, count, sides));
    assert_eq!(running(&server), 32, "every place is taken");
    let timers = timers(&cables, &server);
    assert_eq!(timers.len(), 64);
    assert!(timers.iter().all(|secs| (0.0..=PROBED_SECS).contains(secs)), "{timers:?}");
    is_refused(&cables, &mut server);
    cables.cut();
    let start = Instant::now();
    let long = std::env::var("HBB_LONG").is_ok();
    if !long {
        cables.run(0, "ss -KHtn dst 10.10.0.0/16");
    }
    let patience = Duration::from_secs(if long { DEAD_SECS } else { 5 });
    while running(&server) > pairs[2].len() {
        assert!(start.elapsed() < patience, "{} run", running(&server));
        thread::sleep(Duration::from_millis(200));
    }
    println!(
        "24 dead tunnels gave their places up {:.1} s after the cut",
        start.elapsed().as_secs_f32()
    );
    assert_eq!(running(&server), 8);
    assert!(pairs[1].iter().all(|[_, stays]| is_over(stays)), "who is left is told");
    if long {
        thread::sleep(Duration::from_secs(60));
    }
    pairs[2].iter().for_each(passes);
    let new = tunnels(&cables, &server, 24, [Side::Here; 2]);
    assert_eq!(running(&server), 32);
    new.iter().for_each(passes);
    server.wait_log("info relay-ended");
}

/// Bytes on their way to who vanished end their tunnel once the kernel gave up sending them, which
/// takes a quarter of an hour unless `tcp_retries2` says less. A window that stays shut meanwhile
/// is no death, as its owner acknowledges each probe: TCP_USER_TIMEOUT would end that one too.
#[test]
fn c140_bytes_for_who_vanished_end_their_tunnel_and_a_shut_window_does_not() {
    let long = std::env::var("HBB_LONG").is_ok();
    // By RFC 1122's R2, which is a hundred seconds at least, or in three.
    let (retries, patience) = if long { (8, 150) } else { (3, 15) };
    let cables = Cables::of("busy");
    let server = Server::start_behind(&["ip", "netns", "exec", &cables.names[0]], &[]);
    cables.run(0, &format!("sysctl -qw net.ipv4.tcp_retries2={retries}"));
    let gone = tunnels(&cables, &server, 1, [Side::Gone, Side::Here]).remove(0);
    let [mut reader, mut writer] = tunnels(&cables, &server, 1, [Side::Here; 2]).remove(0);
    writer.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut given = 0;
    while let Ok(some) = writer.write(&[7; 65_536]) {
        given += some;
    }
    cables.cut();
    let start = Instant::now();
    (&gone[1]).write_all(b"to nobody").unwrap();
    while running(&server) > 1 {
        assert!(start.elapsed() < Duration::from_secs(patience), "it was not noticed");
        thread::sleep(Duration::from_millis(100));
    }
    let secs = start.elapsed().as_secs_f32();
    println!("noticed after {secs:.1} s; {given} bytes behind the shut window");
    assert!(secs > 1.0, "the kernel cannot know as yet");
    assert!(is_over(&gone[1]), "who is left is told");
    thread::sleep(start.elapsed());
    reader.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut taken = vec![0; given];
    reader.read_exact(&mut taken).expect("a window that was shut is no death");
}
