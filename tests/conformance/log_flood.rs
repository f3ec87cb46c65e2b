//! What strangers can cause does not fill a disk with log lines; what an operator does is said each
//! time. C111, C123.

#![allow(clippy::disallowed_methods, reason = "a flood lasts for seconds")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::loopback::relay_port;
use crate::model::host::Host;
use crate::model::line::Line;
use crate::model::link::Link;
use crate::model::server::Server;
use crate::relay_socket::{is_pair, leg};
use crate::say;

/// How long at least, and at most where a busy machine is slow to say what it may.
const FLOOD: Duration = Duration::from_secs(4);
const FLOOD_MAX: Duration = Duration::from_secs(40);
/// Events of which a flood causes all lines that there may be, but for those that other events took
/// of the lines of all.
const EVENTS: [&str; 3] = ["peer-added", "peer-key-changed", "relay-ended"];
/// Lines of one event within a minute, and of one network.
const EVENT_MAX: usize = 30;
const SOURCE_MAX: usize = 6;
/// Lines of all events within a minute, and what the others may have had of them.
const ALL_MAX: usize = 120;
const EVENT_MIN: usize = 20;

/// Networks enough for all lines of an event.
const NETWORKS: u32 = 6;

/// An address in the network of that number.
fn somewhere(number: u32) -> Host {
    Host::local(&format!("127.1.{}.1", number % NETWORKS))
}

/// Says `payload` of each round to the server from one address, without waiting for answers.
fn shout(at: SocketAddr, host: &Host, over: &AtomicBool, payload: impl Fn(u32) -> Vec<u8>) {
    let line = Line::datagrams(host, at);
    for round in (0..).take_while(|_| !over.load(Relaxed)) {
        line.send(&payload(round));
        line.next(Duration::from_millis(1));
    }
}

/// New ids, new keys, others' ids, other ids for the same device; from one network.
fn flood_signalling(at: SocketAddr, network: u32, over: &AtomicBool) {
    let host = somewhere(network);
    shout(at, &host, over, |round| {
        if round % 4 == 0 {
            host.prove(at);
        }
        let mut key = [7; 32];
        key[..4].copy_from_slice(&round.to_le_bytes());
        say::register_pk(&format!("1{network}{:07}", round % 37), b"a device", &key)
    });
}

fn flood_refusals(at: SocketAddr, ip: &str, over: &AtomicBool) {
    shout(at, &Host::local(ip), over, |_| {
        say::register_pk("987654321", b"not its device", &[7; 32])
    });
}

fn flood_renames(at: SocketAddr, over: &AtomicBool) {
    for round in (0..).take_while(|_| !over.load(Relaxed)) {
        let mut link = Link::tcp(&Host::local("127.0.8.4"), at);
        let names = ["renamed1", "renamed2"];
        let (from, to) = (names[round % 2], names[(round + 1) % 2]);
        link.send(&say::change_id(from, to, b"a device")).unwrap();
        let _ = link.receive();
    }
}

/// A session that is over at once.
fn pass(relay: SocketAddr, ip: &str) {
    drop([leg(ip, relay, ip), leg(ip, relay, ip)]);
}

/// The same, once they met for sure: a leg that left before is none that ends.
fn meet(relay: SocketAddr, ip: &str) {
    let [mut one, mut other] = [leg(ip, relay, ip), leg(ip, relay, ip)];
    is_pair(&mut one, &mut other);
}

/// Goes on until every event was written as often as it may be, and says when that is over.
fn flood_relay(server: &Server, over: &AtomicBool) {
    let (relay, began) = (relay_port(server), Instant::now());
    while began.elapsed() < FLOOD
        || (began.elapsed() < FLOOD_MAX
            && EVENTS.iter().any(|event| lines(server, event) < EVENT_MIN))
    {
        for network in 0..NETWORKS {
            pass(relay, &format!("127.1.{network}.5"));
        }
    }
    over.store(true, Relaxed);
}

fn lines(server: &Server, event: &str) -> usize {
    let log = server.log();
    log.lines().filter(|line| line.split(' ').nth(1) == Some(event)).count()
}

#[test]
fn c111_what_strangers_cause_is_written_so_often_a_minute() {
    let more = ["--new-peers-per-day", "65535", "--registrations-per-minute", "65535"];
    let flags = ["--key=", "--writes-per-day", "0", "--max-peers", "200"];
    let server = Server::start(&[&flags[..], &more].concat());
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    for id in ["987654321", "renamed1"] {
        let line = Line::datagrams(&Host::local("127.0.8.4"), at);
        line.send(&say::register_pk(id, b"a device", &[1; 32]));
        line.next(Duration::from_secs(5)).expect("an answer");
    }
    let over = &AtomicBool::new(false);
    thread::scope(|scope| {
        for network in 0..NETWORKS {
            scope.spawn(move || flood_signalling(at, network, over));
        }
        scope.spawn(|| flood_refusals(at, "127.0.8.2", over));
        scope.spawn(|| flood_refusals(at, "127.0.9.3", over));
        scope.spawn(|| flood_renames(at, over));
        flood_relay(&server, over);
    });
    // The window of each began with its first line, less than a minute ago.
    let log = server.log();
    let mut events = BTreeMap::<&str, usize>::new();
    for line in log.lines() {
        *events.entry(line.split(' ').nth(1).unwrap_or_default()).or_default() += 1;
    }
    println!("{events:?}");
    for event in EVENTS {
        assert!(events.get(event).is_some_and(|count| *count >= EVENT_MIN), "{event}: {events:?}");
    }
    assert_eq!(events.get("table-full"), Some(&1));
    for ip in ["127.0.8.2", "127.0.9.3"] {
        let from = format!("peer-change-refused peer=987654321 from={ip}");
        assert_eq!(log.matches(&from).count(), SOURCE_MAX, "{ip}: {events:?}");
    }
    assert!(events.values().all(|count| *count <= EVENT_MAX), "{events:?}");
    assert!(log.lines().filter(|line| line.starts_with("info ")).count() <= ALL_MAX, "{events:?}");
}

#[test]
fn c123_a_network_that_floods_leaves_lines_for_others() {
    let server = Server::start(&["--key=", "--registrations-per-minute", "65535"]);
    let (at, relay) = (SocketAddr::from(([127, 0, 0, 1], server.port)), relay_port(&server));
    let register = |host: &Host, id: &str| {
        host.prove(at);
        let line = Line::datagrams(host, at);
        line.send(&say::register_pk(id, b"a device", &[1; 32]));
        line.next(Duration::from_secs(5)).expect("an answer");
    };
    for number in 1..=40 {
        let ip = format!("127.0.8.{number}");
        register(&Host::local(&ip), &format!("1000000{number:02}"));
        meet(relay, &ip);
    }
    register(&Host::local("127.0.9.1"), "200000000");
    meet(relay, "127.0.9.1");
    for event in ["peer-added", "relay-ended"] {
        let of = |net: &str| {
            let log = server.log();
            let lines = log.lines().filter(|line| line.split(' ').nth(1) == Some(event));
            lines.filter(|line| line.contains(&format!(" from=127.0.{net}."))).count()
        };
        let until = Instant::now() + Duration::from_secs(10);
        while of("9") < 1 && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!((of("8"), of("9")), (SOURCE_MAX, 1), "{event}: {}", server.log());
    }
}

/// Lines of the log with all of these in them.
fn with(server: &Server, parts: &[&str]) -> usize {
    let log = server.log();
    log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

#[track_caller]
fn within_10_s(server: &Server, parts: &[&str], count: usize) {
    let until = Instant::now() + Duration::from_secs(10);
    while with(server, parts) < count && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(with(server, parts), count, "{parts:?}: {}", server.log());
}

#[test]
fn c141_a_stranger_hides_no_other_network_s_warning() {
    let server = Server::start(&[]);
    let relay = relay_port(&server);
    // Without the key: sent away with a warning.
    for number in 1..=20 {
        drop(leg(&format!("127.0.8.{number}"), relay, "a token"));
    }
    within_10_s(&server, &["warn refused reason=wrong-key from=127.0.8."], 1);
    thread::sleep(Duration::from_millis(200));
    drop(leg("127.0.9.1", relay, "a token"));
    within_10_s(
        &server,
        &["warn refused reason=wrong-key from=127.0.9.1 help='hbb export' others="],
        1,
    );
    within_10_s(&server, &["warn refused reason=wrong-key from=127.0.8."], 1);
}

#[test]
fn c141_forged_claims_hide_none_that_is_real() {
    let server = Server::start(&["--key=", "--registrations-per-minute", "65535"]);
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let claim = |host: &Host, device: &[u8]| {
        let line = Line::datagrams(host, at);
        line.send(&say::register_pk("987654321", device, &[1; 32]));
        line.next(Duration::from_secs(5)).expect("an answer");
    };
    let owner = Host::local("127.0.8.4");
    owner.prove(at);
    claim(&owner, b"a device");
    for net in 10..50 {
        claim(&Host::local(&format!("127.0.{net}.1")), b"not its device");
    }
    let refused = "info peer-change-refused peer=987654321 from=127.0.";
    within_10_s(&server, &[refused, " unproved"], EVENT_MAX);
    let real = Host::local("127.0.9.1");
    real.prove(at);
    claim(&real, b"not its device");
    within_10_s(&server, &[&format!("{refused}9.1")], 1);
    assert_eq!(with(&server, &["from=127.0.9.1 unproved"]), 0, "{}", server.log());
}

#[test]
fn c111_each_act_of_an_operator_is_written() {
    let server = Server::start(&["--key="]);
    for round in 1..5 {
        std::fs::write(server.data().join("banned.txt"), "not: a ban!\n").unwrap();
        server.signal(Signal::HUP);
        let said = |text: &str| server.log().matches(text).count() == round;
        let until = Instant::now() + Duration::from_secs(10);
        while !said("warn reload-refused") && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(said("warn reload-refused"), "{}", server.log());
    }
    assert!(!server.log().contains("repeated="), "{}", server.log());
}
