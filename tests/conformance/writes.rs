//! What the store writes is bounded, whatever strangers do: on the machine, and of the real server
//! by what its process wrote. C110, C122.

#![allow(clippy::disallowed_methods, reason = "a flood lasts for seconds")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hbb_core::base::counters::DropReason;

use crate::drive::{B1, B1_AT, DEVICE, Drive, KEY, Store};
use crate::model::host::{Host, PATIENCE};
use crate::model::line::Line;
use crate::model::server::Server;
use crate::say::{self, hex};

const OK: &str = "820100";
const TOO_FREQUENT: &str = "8201020804";
const OTHER_KEY: [u8; 32] = [0x22; 32];
const MIB: u64 = 1024 * 1024;

#[test]
fn c110_what_cannot_be_written_today_is_asked_for_again() {
    let mut drive = Drive::open();
    let register = |drive: &mut Drive, key| {
        hex(drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, key)).datagram_to(B1_AT))
    };
    drive.store = Store::Spent;
    assert_eq!(register(&mut drive, &KEY), TOO_FREQUENT);
    assert_eq!(drive.machine.occupancy().peers, 0);
    drive.store = Store::Keeps;
    assert_eq!(register(&mut drive, &KEY), OK);
    drive.store = Store::Spent;
    assert_eq!(register(&mut drive, &OTHER_KEY), TOO_FREQUENT);
    // Who has not changed has nothing to write.
    drive.wait(10_000);
    assert_eq!(register(&mut drive, &KEY), OK);
    assert_eq!(drive.durable[0].key.0, KEY);
    assert_eq!(drive.machine.counters().of(DropReason::WritesSpent), 2);
}

/// Bytes that the server's process has written, of all kinds.
fn wrote(server: &Server) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", server.pid())).unwrap();
    io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

pub(crate) fn ctl(server: &Server, line: &str) -> String {
    let mut stream = UnixStream::connect(server.data().join("hbb.sock")).unwrap();
    stream.write_all(format!("json {line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// One device after the other gets a new key, as fast as it is answered; how many got one.
fn rekey(at: SocketAddr, host: u8, until: Instant) -> usize {
    let line = Line::datagrams(&Host::local(&format!("127.0.7.{host}")), at);
    let (mut changed, mut key) = (0, [host; 32]);
    for round in 0_usize.. {
        if Instant::now() >= until {
            return changed;
        }
        key[..8].copy_from_slice(&round.to_le_bytes());
        let id = format!("{host}0000{:04}", round % 200);
        line.send(&say::register_pk(&id, b"a device", &key));
        let answer = line.next(Duration::from_millis(50));
        changed += usize::from(answer.is_some_and(|answer| hex(&answer) == OK));
    }
    changed
}

#[test]
fn c110_whatever_strangers_do_a_day_s_bytes_are_not_exceeded() {
    let more = ["--registrations-per-minute", "65535", "--new-peers-per-day", "65535"];
    let server = Server::start(&[&["--writes-per-day", "1"][..], &more].concat());
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let line = Line::datagrams(&Host::local("127.0.0.9"), at);
    let ask = |payload: &[u8]| {
        line.send(payload);
        hex(&line.next(PATIENCE).expect("an answer"))
    };
    for id in ["123456789", "123456780"] {
        assert_eq!(ask(&say::register_pk(id, b"mine", &[1; 32])), OK);
    }
    let (before, until) = (wrote(&server), Instant::now() + Duration::from_secs(12));
    let floods: Vec<_> = (1..=4).map(|it| thread::spawn(move || rekey(at, it, until))).collect();
    let changed: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    let written = wrote(&server) - before;
    println!("{changed} changes, {written} bytes written in 12 s");
    assert!(changed > 20, "only {changed}");
    assert!(written < MIB, "{written}");
    assert!(ctl(&server, "status").contains(r#""day_limit":1048576,"left":"#));
    // Who is known is served, an operator obeyed at once.
    assert_eq!(ask(&say::register_pk("123456789", b"mine", &[1; 32])), OK);
    let asked = Instant::now();
    let said = ctl(&server, "forget 123456780");
    assert!(said.contains("done") && asked.elapsed() < Duration::from_secs(3), "{said}");
}

/// New ids from one address in a network, as fast as they are answered, until enough is spent.
fn crowd(at: SocketAddr, host: u8, enough: &AtomicBool) {
    let host = (host, Host::local(&format!("127.0.7.{host}")));
    let line = Line::datagrams(&host.1, at);
    for round in 0_usize.. {
        if enough.load(Ordering::Relaxed) {
            return;
        }
        host.1.prove(at);
        line.send(&say::register_pk(&format!("{}0000{round:05}", host.0), b"new", &[1; 32]));
        line.next(Duration::from_millis(50));
    }
}

#[test]
fn c122_a_newcomer_from_another_network_does_not_wait_for_what_strangers_spent() {
    let more = ["--registrations-per-minute", "65535", "--new-peers-per-day", "65535"];
    let server = Server::start(&[&["--writes-per-day", "1"][..], &more].concat());
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let left = || {
        let status = ctl(&server, "status");
        let left = status.split_once(r#""left":"#).unwrap().1.split([',', '}']).next().unwrap();
        left.parse::<u64>().unwrap()
    };
    let (enough, begin) = (AtomicBool::new(false), Instant::now());
    thread::scope(|crowds| {
        let enough = &enough;
        (1..=4).for_each(|it| drop(crowds.spawn(move || crowd(at, it, enough))));
        while left() >= MIB / 16 * 5 && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(100));
        }
        enough.store(true, Ordering::Relaxed);
    });
    assert!(left() < MIB / 16 * 5, "only so much was spent: {} left", left());
    for network in 10..13 {
        let host = Host::local(&format!("127.0.{network}.1"));
        host.prove(at);
        let (line, asked) = (Line::datagrams(&host, at), Instant::now());
        line.send(&say::register_pk(&format!("{network}1111111"), b"new", &[1; 32]));
        assert_eq!(hex(&line.next(PATIENCE).expect("an answer")), OK);
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    }
}
