//! Who is sent away is seen: one line a reason, and what else it led to. C118, C119.

#![allow(clippy::disallowed_methods, reason = "a refusal is seen within a moment")]

use std::thread;
use std::time::{Duration, Instant};

use crate::loopback::{
    A_IP, B_IP, B1, Caller, Device, asked, enforcing, main_port, one_shot, open, relay_port,
};
use crate::model::server::Server;
use crate::relay_socket::{first, is_pair, leg};
use crate::say::{self, TOKEN, take};

/// The lines of the log that begin so, when there are as many and a moment later.
#[track_caller]
fn lines(server: &Server, start: &str, count: usize) -> Vec<String> {
    let found = || -> Vec<String> {
        let log = server.log();
        log.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    };
    let since = Instant::now();
    while found().len() < count && since.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(100));
    let found = found();
    assert_eq!(found.len(), count, "{start}: {}", server.log());
    found
}

/// One warning of this reason, which names who was refused.
#[track_caller]
fn warned(server: &Server, reason: &str, from: &str) {
    let line = format!("warn refused reason={reason} ");
    let found = lines(server, &line, 1);
    let help = match reason {
        "wrong-key" => " help='hbb export'",
        "too-frequent" => " help=--registrations-per-minute",
        "connections-full" => " help=--max-connections",
        "sessions-full" => " help=--max-sessions",
        _ => "",
    };
    assert_eq!(found, [format!("{line}from={from}{help}")]);
}

#[test]
fn c118_who_waits_for_a_leg_refused_for_its_key_is_closed_at_once() {
    let server = enforcing();
    let (relay, key) = (relay_port(&server), server.key());
    let with = |ip: &str, token: &str, key: &str| {
        let mut leg = Caller::from(ip, relay);
        leg.say_raw(&first(token, |wish| wish.access_key = key.into()));
        leg
    };
    // Others that wait are not touched.
    let mut other = with(B_IP, "another token", &key);
    let start = Instant::now();
    let mut waiting = with(B_IP, "a token", &key);
    waiting_is_parked();
    with(A_IP, "a token", "the key of last year").is_closed();
    waiting.is_closed();
    assert!(start.elapsed() < Duration::from_secs(5), "it waited {:?}", start.elapsed());
    is_pair(&mut other, &mut with(A_IP, "another token", &key));
    let help = "help='the key of hbb export, in both clients'";
    let line = format!("info relay-key-differs waiting={B_IP} {help}");
    assert_eq!(lines(&server, "info relay-key-differs ", 1), [line]);
    warned(&server, "wrong-key", A_IP);
}

/// As every rotation of the key looks, with the two ends coming in either order.
#[test]
fn c118_a_target_with_the_key_of_last_year_keeps_no_initiator_waiting() {
    for target_first in [true, false] {
        let server = enforcing();
        let target = Device::enrolled(B_IP, &server, B1);
        let (mut initiator, hole) = asked(&server, &target);
        let chosen = say::relay_chosen(B1, &hole.socket_addr, |_| ());
        one_shot(&server, &chosen);
        assert_eq!(take!(&initiator.next(), RelayResponse).uuid, TOKEN);
        let mut ends = [(A_IP, server.key()), (B_IP, "the key of last year".into())];
        if target_first {
            ends.reverse();
        }
        let start = Instant::now();
        let legs = ends.map(|(ip, key)| {
            let mut leg = Caller::from(ip, relay_port(&server));
            leg.say_raw(&first(TOKEN, |wish| wish.access_key = key));
            waiting_is_parked();
            leg
        });
        legs.into_iter().for_each(|mut leg| leg.is_closed());
        assert!(start.elapsed() < Duration::from_secs(5), "it waited {:?}", start.elapsed());
        let lines = lines(&server, "info relay-key-differs ", 1);
        assert!(lines[0].starts_with(&format!("info relay-key-differs waiting={A_IP} help=")));
        warned(&server, "wrong-key", B_IP);
    }
}

/// Nobody tells it which tokens to expect.
#[test]
fn c118_a_relay_alone_keeps_nobody_waiting_behind_a_leg_that_it_refused() {
    let server = Server::start(&["--role", "relay", "--key", "the key"]);
    let leg = |ip: &str, key: &str| {
        let mut leg = Caller::from(ip, relay_port(&server));
        leg.say_raw(&first(TOKEN, |wish| wish.access_key = key.into()));
        leg
    };
    leg(B_IP, "the key of last year").is_closed();
    let start = Instant::now();
    leg(A_IP, "the key").is_closed();
    assert!(start.elapsed() < Duration::from_secs(5), "it waited {:?}", start.elapsed());
    let lines = lines(&server, "info relay-key-differs ", 1);
    assert!(lines[0].starts_with(&format!("info relay-key-differs waiting={A_IP} help=")));
    warned(&server, "wrong-key", B_IP);
}

/// Time for a leg to be read and parked, as nothing tells when it is.
fn waiting_is_parked() {
    thread::sleep(Duration::from_millis(300));
}

#[test]
fn c119_a_wrong_key_is_warned_of_at_either_server_once_a_minute() {
    let server = enforcing();
    for _ in 0..3 {
        Caller::from(A_IP, main_port(&server)).ask(&say::punch("123456789", |_| ()));
        leg(A_IP, relay_port(&server), "a token").is_closed();
    }
    warned(&server, "wrong-key", A_IP);
}

#[test]
fn c119_rates_connections_legs_and_sessions_that_are_full_are_warned_of() {
    let flags = ["--key=", "--registrations-per-minute", "2", "--max-sessions", "1"];
    // A trusted proxy has no share, and loopback is trusted if nobody else is.
    let more = ["--max-connections", "256", "--trusted-proxies", "192.0.2.1"];
    let server = Server::start(&[&flags[..], &more].concat());
    let relay = relay_port(&server);
    let device = Device::at("127.0.8.1", &server);
    device.prove(&server);
    let answers = ["111111111", "222222222", "333333333", "444444444"]
        .map(|id| say::hex(&device.ask(&say::register_pk(id, b"a device", &[1; 32]))));
    assert_eq!(answers, ["820100", "820100", "8201020804", "8201020804"]);
    warned(&server, "too-frequent", "127.0.8.1");

    let mut pair = ["127.0.8.2", "127.0.8.3"].map(|ip| leg(ip, relay, "one"));
    let [one, other] = &mut pair;
    is_pair(one, other);
    let refused = [(); 2].map(|()| leg("127.0.8.4", relay, "two"));
    refused.into_iter().for_each(|mut leg| leg.is_closed());
    warned(&server, "sessions-full", "127.0.8.4");

    let _waiting: Vec<_> = (0..17).map(|n| leg("127.0.8.5", relay, &format!("{n}"))).collect();
    warned(&server, "legs-full", "127.0.8.5");

    let _silent: Vec<_> = (0..33).map(|_| Caller::from("127.0.8.6", main_port(&server))).collect();
    warned(&server, "connections-full", "127.0.8.6");
    let log = server.log();
    let warnings = log.lines().filter(|line| line.starts_with("warn refused ")).count();
    assert_eq!(warnings, 4, "{log}");
}

/// The flag that set it, if one did: who asks for many ids is not helped by registrations.
#[test]
fn c119_too_frequent_names_the_limit_that_was_reached() {
    let flags = ["--registrations-per-minute", "3", "--new-peers-per-day", "1"];
    let server = Server::start(&[&["--key="], &flags[..]].concat());
    let register = |device: &Device, id: &str| {
        say::hex(&device.ask(&say::register_pk(id, b"a device", &[1; 32])))
    };
    let device = Device::at("127.8.1.1", &server);
    device.prove(&server);
    assert_eq!(register(&device, "111111111"), "820100");
    assert_eq!(register(&device, "222222222"), "8201020804");
    let ids: Vec<_> = (0..257).map(|it| format!("{}", 300_000_000 + it)).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut asker = Caller::from("127.8.2.1", main_port(&server));
    asker.say(&say::online(&ids));
    asker.is_closed();
    for it in 0..33 {
        register(&Device::at(&format!("127.9.{it}.1"), &server), &format!("{}", 400_000_000 + it));
    }
    let expected = [
        "from=127.8.1.1 help=--new-peers-per-day",
        "from=127.8.2.1 help='no setting, who asked tries again'",
        "from=127.9.32.1 help='no setting, let TCP through too' unproved",
    ];
    let expected = expected.map(|end| ["warn refused reason=too-frequent ", end].concat());
    assert_eq!(lines(&server, "warn refused ", 3), expected);
}

#[test]
fn c119_coming_and_going_is_no_refusal() {
    let server = open();
    drop(Caller::from(A_IP, main_port(&server)));
    let [mut one, mut two] = [A_IP, B_IP].map(|ip| leg(ip, relay_port(&server), "a token"));
    is_pair(&mut one, &mut two);
    drop((one, two));
    lines(&server, "info relay-ended ", 1);
    assert!(!server.log().contains("refused"), "{}", server.log());
}
