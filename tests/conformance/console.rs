//! Upstream's console, off unless asked for: C38, C71, C76 and the first-bytes rule.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::loopback::{A_IP, B_IP, B1, Caller, Device, asked, nat_port, open, over_v6, relay_port};
use crate::model::server::Server;
use crate::relay_socket::{is_pair, leg};
use crate::say::{self, take};

fn with_console(flags: &[&str]) -> Server {
    Server::start(&[flags, &["--console"]].concat())
}

/// What the console says to `line`.
#[track_caller]
fn says(ip: &str, to: SocketAddr, line: &str) -> String {
    let mut caller = Caller::from(ip, to);
    caller.say_raw(line.as_bytes());
    String::from_utf8(caller.rest()).unwrap()
}

#[test]
fn c076_there_is_no_console_unless_asked_for() {
    let server = open();
    for port in [nat_port(&server), relay_port(&server)] {
        let mut caller = Caller::from("127.0.0.1", port);
        caller.say_raw(b"aur Y\nand enough bytes to make a frame that cannot be\n");
        caller.0.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        caller.is_closed();
    }
    let target = Device::enrolled(B_IP, &server, B1);
    assert_ne!(asked(&server, &target).1.nat_type, 2, "`aur Y` was obeyed");
}

#[test]
fn c076_relays_and_always_relay_are_shown_and_set() {
    let server = with_console(&["--key=", "--relay-servers", "one.example,two.example:5"]);
    let console = |line: &str| says("127.0.0.1", nat_port(&server), line);
    assert_eq!(console("rs\n"), "one.example\ntwo.example:5\n");
    assert_eq!(console("relay-servers\n"), "one.example\ntwo.example:5\n");
    assert_eq!(console("aur\n"), "ALWAYS_USE_RELAY: false\n");
    assert_eq!(console("always-use-relay Y\n"), "");
    assert_eq!(console("aur\n"), "ALWAYS_USE_RELAY: true\n");
    assert_eq!(console("rs\n"), "one.example\ntwo.example:5\n", "`aur Y` changed the relays");
    assert_eq!(console("rs three.example\n"), "");
    assert_eq!(console("rs\n"), "three.example\n");
    assert_eq!(console("rs a:b:c\n"), "", "no list of relays");
    assert_eq!(console("rs\n"), "three.example\n");
    assert_eq!(console("aur N\n") + &console("aur\n"), "ALWAYS_USE_RELAY: false\n");
    assert!(console("h\n").lines().any(|line| line.contains("(aur)")));
    assert_eq!(console("no such command\n"), "");
    // Over IPv6, without an end of line, and on the relay's port.
    assert_eq!(says("::1", over_v6(nat_port(&server)), "rs"), "three.example\n");
    assert_eq!(says("127.0.0.1", relay_port(&server), "h\n"), "h\nusage(u)\n");
    // A relay as it would be chosen: quoted, without an end of line, those listed in turn.
    assert_eq!(console("rs one.example,two.example\n"), "");
    let mut chosen = [console("tg 192.0.2.1\n"), console("test-geo 192.0.2.1 198.51.100.1\n")];
    chosen.sort();
    assert_eq!(chosen, ["\"one.example\"", "\"two.example\""]);
    assert_eq!(console("tg nowhere\n"), "");
}

/// Has an operator say these words on the command line.
#[track_caller]
fn operate(server: &Server, words: &[&str]) {
    let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let ended = hbb.args(["ctl", "--data"]).arg(server.data()).args(words).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn c076_what_is_set_lasts_until_the_next_reload() {
    let server = with_console(&["--key=", "--relay-servers", "one.example"]);
    let console = |line: &str| says("127.0.0.1", nat_port(&server), line);
    assert_eq!(console("rs two.example\n") + &console("aur Y\n"), "");
    for words in [["ban", "192.0.2.1"].as_slice(), &["limits", "max-sessions", "20"]] {
        operate(&server, words);
        assert_eq!(console("rs\n"), "two.example\n", "undone by {words:?}");
        assert_eq!(console("aur\n"), "ALWAYS_USE_RELAY: true\n", "undone by {words:?}");
    }
    operate(&server, &["reload"]);
    assert_eq!(console("rs\n") + &console("aur\n"), "one.example\nALWAYS_USE_RELAY: false\n");
}

#[test]
fn c038_with_a_console_clients_of_this_machine_are_served_like_others() {
    let server = with_console(&["--key="]);
    for (ip, at) in [("127.0.0.1", nat_port(&server)), ("::1", over_v6(nat_port(&server)))] {
        let mut caller = Caller::from(ip, at);
        let answer = take!(&caller.ask(&say::test_nat(3)), TestNatResponse);
        assert_eq!(answer.port, i32::from(caller.port()));
        let answer = Caller::from(ip, at).ask(&say::online(&[B1]));
        assert_eq!(take!(&answer, OnlineResponse).states, [0]);
    }
    // An online query so short that its header and begin are printable but for one byte, slowly.
    let mut slow = Caller::from(A_IP, nat_port(&server));
    let bytes = crate::model::wire::frame(&say::test_nat(3));
    for byte in bytes {
        slow.say_raw(&[byte]);
        std::thread::sleep(Duration::from_millis(20));
    }
    take!(&slow.next(), TestNatResponse);
}

#[test]
fn c071_with_a_console_legs_of_this_machine_pair() {
    let server = with_console(&["--key="]);
    let mut legs = ["127.0.0.1"; 2].map(|ip| leg(ip, relay_port(&server), "a token"));
    let [one, other] = &mut legs;
    is_pair(one, other);
}

#[test]
fn c076_usage_lists_sessions_to_this_machine_alone() {
    let server = with_console(&["--key="]);
    let port = relay_port(&server);
    assert_eq!(says("127.0.0.1", port, "u\n"), "");
    let mut legs = ["127.0.0.1"; 2].map(|ip| leg(ip, port, "a token"));
    let [one, other] = &mut legs;
    is_pair(one, other);
    let second = other.0.local_addr().unwrap();
    let told = says("127.0.0.1", port, "u\n");
    assert_eq!(told.lines().count(), 1, "{told}");
    let words: Vec<&str> = told.split_whitespace().collect();
    let [from, secs, size, rates @ ..] = words.as_slice() else { panic!("{told}") };
    assert_eq!((*from, *size), (format!("{second}:").as_str(), "0.00MB"), "{told}");
    assert!(secs.strip_suffix('s').is_some_and(|secs| secs.parse::<u64>().is_ok()), "{told}");
    assert_eq!(rates.len(), 3, "{told}");
    assert!(rates.iter().all(|rate| rate.ends_with("kb/s")), "{told}");
    // The same bytes from another address are no frame, and get no answer.
    let mut stranger = Caller::from(A_IP, port);
    stranger.say_raw(b"usage of it all\n");
    stranger.0.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    stranger.is_closed();
}
