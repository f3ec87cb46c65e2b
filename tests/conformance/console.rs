//! Upstream's console, off unless asked for: C38, C71, C76, C161-C163 and the first-bytes rule.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::loopback::{A_IP, B_IP, B1, Caller, Device, asked, nat_port, open, over_v6, relay_port};
use crate::model::server::Server;
use crate::relay_socket::{is_pair, leg};
use crate::say::{self, take};

fn with_console(flags: &[&str]) -> Server {
    Server::start(&[flags, &["--console"]].concat())
}

/// What the console says to `line`.
#[track_caller]
pub(crate) fn says(ip: &str, to: SocketAddr, line: &str) -> String {
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
#[allow(clippy::disallowed_methods, reason = "it is timed as a script would be")]
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
    let begin = Instant::now();
    assert_eq!(says("::1", over_v6(nat_port(&server)), "rs"), "three.example\n");
    assert!(begin.elapsed().as_millis() < 1_000, "`nc -w 1` goes after a second");
    let names = |told: String| -> Vec<String> {
        let name = |line: &str| line.split(['(', ')']).nth(1).unwrap().to_owned();
        told.lines().map(name).collect()
    };
    assert_eq!(names(console("h\n")), ["rs", "rg", "ib", "ic", "pr", "aur", "tg"]);
    let relay = says("127.0.0.1", relay_port(&server), "h\n");
    let all = ["ba", "br", "b", "Ba", "Br", "B", "dt", "t", "ls", "tb", "sb", "u"];
    assert_eq!(names(relay), all);
    assert_eq!(console("rg\n"), "");
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
fn c161_the_past_is_told_over_the_wire() {
    let server = with_console(&["--key="]);
    let console = |line: &str| says("127.0.0.1", nat_port(&server), line);
    assert_eq!(console("ib\n") + &console("ic\n") + &console("pr\n"), "0\n0\n");
    let target = Device::enrolled(B_IP, &server, B1);
    drop(asked(&server, &target));
    let listed = console("ib\n");
    assert!(listed.starts_with(&format!("1\n{B_IP}: 1/")), "{listed}");
    let dialled = console("pr\n");
    assert!(dialled.ends_with(&format!("Z {A_IP} -> {B1}@{B_IP}\n")), "{dialled}");
}

#[test]
fn c162_the_relay_s_settings_are_shown_and_set() {
    let files = [("blacklist.txt", "192.0.2.1\n10.0.0.0/8 a comment\n")];
    let server = Server::start_with(&files, &["--key=", "--console"]);
    let console =
        |line: &str| says("127.0.0.1", relay_port(&server), &format!("{}\n", line.trim()));
    for (name, short, usual, set, then) in [
        ("downgrade-threshold", "dt", "0.66\n", "0.5", "0.5\n"),
        ("downgrade-start-check", "t", "1800s\n", "60", "60s\n"),
        ("limit-speed", "ls", "32Mb/s\n", "1.5", "1.5Mb/s\n"),
        ("total-bandwidth", "tb", "1024Mb/s\n", "100", "100Mb/s\n"),
        ("single-bandwidth", "sb", "128Mb/s\n", "8", "8Mb/s\n"),
    ] {
        assert_eq!([console(name), console(short)], [usual; 2]);
        for bad in ["0", "-1", "x", "1--port=5"] {
            assert_eq!(console(&format!("{short} {bad}")) + &console(name), usual, "{bad}");
        }
        assert_eq!(console(&format!("{short} {set}\n")) + &console(short), then);
        operate(&server, &["limits", name, set]);
    }
    assert_eq!(console("TB") + &console("tb x y") + &console("nothing"), "", "case matters");
    for (list, usual) in [("black", "10.0.0.0/8\n192.0.2.1\n"), ("block", "")] {
        let (long, short) = (format!("{list}list"), if list == "black" { "b" } else { "B" });
        assert_eq!([console(&long), console(short)], [usual; 2]);
        let (add, remove) = (format!("{short}a"), format!("{short}r"));
        assert_eq!(console(&format!("{add} 192.0.2.7|x|2001:db8::1")), "");
        assert_eq!(console(&format!("{long} 192.0.2.7")), "true\n");
        assert_eq!(console(&format!("{short} 192.0.2.8")), "false\n");
        assert_eq!(console(short), format!("{usual}192.0.2.7\n2001:db8::1\n"));
        assert_eq!(console(&format!("{long}-remove 192.0.2.7|192.0.2.99")), "");
        assert_eq!(console(&format!("{long} 192.0.2.7")), "false\n");
        assert_eq!(console(&format!("{remove} all")) + &console(short), "");
        assert_eq!(console(&format!("{long}-add 192.0.2.9")) + &console(short), "192.0.2.9\n");
    }
    operate(&server, &["ban", "198.51.100.1"]);
    assert_eq!(console("b"), "192.0.2.9\n", "a ban undoes nothing");
    operate(&server, &["reload"]);
    assert_eq!(console("b") + &console("B"), "10.0.0.0/8\n192.0.2.1\n", "a reload does");
    assert_eq!(console("tb"), "1024Mb/s\n");
    assert_eq!(std::fs::read_to_string(server.data().join("blacklist.txt")).unwrap(), files[0].1);
}

#[test]
fn c162_who_is_blocked_by_the_console_gets_no_relay() {
    let server = with_console(&["--key="]);
    let console = |line: &str| says("127.0.0.1", relay_port(&server), line);
    assert_eq!(console(&format!("Ba {A_IP}\n")), "");
    Caller::from(A_IP, relay_port(&server)).is_closed();
    assert_eq!(console(&format!("Br {A_IP}\n")), "");
    let mut legs = [A_IP, B_IP].map(|ip| leg(ip, relay_port(&server), "a token"));
    let [one, other] = &mut legs;
    is_pair(one, other);
}

#[test]
fn c162_a_console_never_shuts_itself_out() {
    let server = with_console(&["--key="]);
    let port = relay_port(&server);
    let local = ["127.0.0.1", "127.0.0.2"];
    assert_eq!(says(local[0], port, "Ba 127.0.0.0/8|::1\n"), "");
    assert_eq!(local.map(|ip| says(ip, port, "B 127.0.0.1\n")), ["true\n"; 2]);
    assert_eq!(says("::1", over_v6(port), "B\n"), "127.0.0.0/8\n::1\n");
    // All else of this machine is blocked.
    leg(local[1], port, "a token").is_closed();
    assert_eq!(says(local[0], port, "Br all\n") + &says(local[1], port, "B\n"), "");
    let mut legs = local.map(|ip| leg(ip, port, "a token"));
    let [one, other] = &mut legs;
    is_pair(one, other);
}

/// Whether whoever says this from this machine is answered by a console.
fn is_console(port: SocketAddr, ip: &str, said: &str) -> bool {
    let mut caller = Caller::from(ip, port);
    caller.say_raw(said.as_bytes());
    caller.0.shutdown(std::net::Shutdown::Write).unwrap();
    !caller.rest().is_empty()
}

#[test]
fn c163_nobody_whom_a_proxy_may_have_sent_has_a_console() {
    let told = "PROXY TCP4 127.0.0.1 127.0.0.1 5 6\r\nh\n";
    // A proxy on this machine tells of its clients: whoever is on it may be one of them.
    let server = with_console(&["--key=", "--proxy-protocol"]);
    for port in [nat_port(&server), relay_port(&server)] {
        for said in ["h\n", told, "PROXY UNKNOWN\r\nh\n"] {
            assert!(!is_console(port, "127.0.0.1", said), "{said:?} at {port}");
        }
    }
    // One elsewhere does: who is on this machine is here, and nobody of whom it tells.
    let flags = ["--key=", "--proxy-protocol", "--trusted-proxies", "127.0.9.0/24"];
    let server = with_console(&flags);
    for port in [nat_port(&server), relay_port(&server)] {
        assert!(is_console(port, "127.0.0.1", "h\n"), "at {port}");
        for said in ["h\n", told, "PROXY UNKNOWN\r\nh\n"] {
            assert!(!is_console(port, "127.0.9.1", said), "{said:?} at {port}");
        }
    }
    // Proxies of WebSockets are at other ports.
    let server = with_console(&["--key="]);
    for port in [nat_port(&server), relay_port(&server)] {
        assert!(is_console(port, "127.0.0.1", "h\n"), "at {port}");
    }
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
fn c076_usage_lists_sessions() {
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
}
