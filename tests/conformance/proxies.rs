//! Connections that a proxy makes for its clients: C54, C103, C104, C131. Refusals first; real
//! proxies: tests/proxies.rs.

use std::net::{IpAddr, SocketAddr};

use crate::loopback::{
    A_IP, B_IP, B1, Caller, DEVICE, Device, KEY, main_port, nat_port, relay_port,
};
use crate::model::server::Server;
use crate::model::wire::demangle;
use crate::relay_socket::{first, is_pair};
use crate::say::{self, take};
use crate::websocket::{WebSocket, ws_port};

/// Trusted in these tests, and inside the LAN of their flags as any stranger at loopback.
const PROXY: &str = "127.0.9.1";
const STRANGER: &str = "127.0.0.1";
const TRUST: [&str; 3] = ["--key=", "--trusted-proxies", "127.0.9.0/24"];

fn server(flags: &[&str]) -> Server {
    Server::start(&[&TRUST, flags].concat())
}

/// B1 registered over TCP, where nothing is asked of its address.
fn target(server: &Server) -> Caller {
    let mut target = Caller::from(B_IP, main_port(server));
    drop(target.ask(&say::register_pk(B1, DEVICE, &KEY)));
    target
}

/// Where B1 is told that whoever dials it is.
fn seen(target: &mut Caller) -> SocketAddr {
    demangle(&take!(&target.next(), PunchHole).socket_addr)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether an address is of those for whoever is not known: RFC 6666.
fn is_outside(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.segments()[..4] == [0x100, 0, 0, 0])
}

/// How a client of the WebSocket with these header lines is seen.
fn seen_on_web(server: &Server, target: &mut Caller, from: &str, more: &str) -> IpAddr {
    let mut initiator = WebSocket::open(from, ws_port(server), ("/", more));
    initiator.say(&say::punch(B1, |_| ()));
    seen(target).ip()
}

#[test]
fn c054_a_stranger_s_word_about_its_address_is_ignored() {
    for header in ["x-real-ip", "x-forwarded-for"] {
        let server = server(&["--proxy-header", header]);
        let mut target = target(&server);
        for more in ["X-Real-IP: 203.0.113.9\r\n", "X-Forwarded-For: 203.0.113.9\r\n"] {
            assert_eq!(seen_on_web(&server, &mut target, STRANGER, more), ip(STRANGER));
        }
    }
}

#[test]
fn c103_one_header_is_read_and_who_is_not_in_it_comes_from_outside() {
    let server = server(&["--mask", "127.0.0.0/8", "--local-ip", "127.0.0.1"]);
    let mut target = target(&server);
    let mut seen = |more: &str| seen_on_web(&server, &mut target, PROXY, more);
    // What nginx does by the lines in the manual: X-Forwarded-For is as the client sent it.
    let forged = "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 203.0.113.9\r\n";
    assert_eq!(seen(forged), ip("203.0.113.9"));
    assert_eq!(seen("X-Real-IP: ::ffff:203.0.113.9\r\n"), ip("203.0.113.9"));
    for bad in [
        "",
        "X-Forwarded-For: 203.0.113.9\r\n",
        "X-Real-IP: unknown\r\n",
        "X-Real-IP: 127.0.0.1\r\n",
        "X-Real-IP: 127.0.9.7\r\n",
        "X-Real-IP: 203.0.113.9\r\nX-Real-IP: 203.0.113.8\r\n",
    ] {
        let at = seen(bad);
        assert!(is_outside(at), "{bad}: {at}");
    }
    let warned = "warn proxy-header-missing proxy=127.0.9.1 header=x-real-ip";
    assert_eq!(server.log().matches(warned).count(), 1, "{}", server.log());
}

#[test]
fn c103_of_forwarded_hops_the_last_that_is_no_proxy_counts() {
    let server = server(&["--proxy-header", "x-forwarded-for"]);
    let mut target = target(&server);
    let mut seen = |more: &str| seen_on_web(&server, &mut target, PROXY, more);
    let spoofed = "X-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1, junk, 203.0.113.9\r\n";
    assert_eq!(seen(spoofed), ip("203.0.113.9"));
    let twice = "X-Forwarded-For: 127.0.0.1, 203.0.113.9\r\nX-Forwarded-For: 127.0.9.7\r\n";
    assert_eq!(seen(twice), ip("203.0.113.9"));
    for bad in ["X-Real-IP: 203.0.113.9\r\n", "X-Forwarded-For: 203.0.113.9, junk\r\n"] {
        assert!(is_outside(seen(bad)), "{bad}");
    }
}

/// Version 2 of the header for a client at 203.0.113.9, port 0x1234.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\x7f\0\0\x01\x12\x34\x52\x7c";
const V1: &[u8] = b"PROXY TCP4 203.0.113.9 127.0.0.1 4660 21116\r\n";

/// The port that the server sees a NAT test come from, behind this header.
fn tested(port: SocketAddr, header: &[u8]) -> i32 {
    let mut caller = Caller::from(PROXY, port);
    caller.say_raw(header);
    take!(&caller.ask(&say::test_nat(3)), TestNatResponse).port
}

#[test]
fn c104_the_proxy_protocol_from_others_is_no_message() {
    for (flags, from) in [(&["--proxy-protocol"][..], STRANGER), (&[], PROXY)] {
        let server = server(flags);
        for port in [main_port(&server), nat_port(&server), relay_port(&server)] {
            for header in [V1, V2] {
                let mut caller = Caller::from(from, port);
                // Version 2 reads as the beginning of a frame of 643 bytes.
                caller.say_raw(&[header, &[0; 700]].concat());
                caller.is_closed();
            }
        }
    }
}

#[test]
fn c104_the_proxy_protocol_tells_the_client_on_every_port() {
    let server = server(&["--proxy-protocol"]);
    let mut target = target(&server);
    for header in [V1, V2] {
        for port in [main_port(&server), nat_port(&server)] {
            assert_eq!(tested(port, header), 0x1234);
        }
        let mut initiator = Caller::from(PROXY, main_port(&server));
        initiator.say_raw(header);
        initiator.say(&say::punch(B1, |_| ()));
        assert_eq!(seen(&mut target), "203.0.113.9:4660".parse().unwrap());
        let mut legs = [PROXY, A_IP].map(|ip| Caller::from(ip, relay_port(&server)));
        legs[0].say_raw(header);
        legs.iter_mut().for_each(|leg| leg.say_raw(&first("proxied", |_| ())));
        let [one, other] = &mut legs;
        is_pair(one, other);
        // Before a WebSocket; what the request says then counts no more.
        let mut web = Caller::from(PROXY, ws_port(&server));
        web.say_raw(header);
        let mut web = WebSocket::opened(web, ("/", "X-Real-IP: 198.51.100.1\r\n"));
        web.say(&say::punch(B1, |_| ()));
        assert_eq!(seen(&mut target).ip(), ip("203.0.113.9"));
    }
    assert_eq!(
        seen_on_web(&server, &mut target, PROXY, "X-Real-IP: 198.51.100.1\r\n"),
        ip("198.51.100.1"),
        "a proxy of requests"
    );
}

#[test]
fn c104_without_a_client_named_a_connection_comes_from_outside() {
    let server =
        server(&["--proxy-protocol", "--console", "--single-port", "--public", "127.0.0.1"]);
    let mut target = target(&server);
    let long = [b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", V1].map(<[u8]>::to_vec);
    for header in ["".into(), "PROXY UNKNOWN\r\n".into(), String::from_utf8_lossy(&long[0])] {
        let mut initiator = Caller::from(PROXY, main_port(&server));
        initiator.say_raw(header.as_bytes());
        initiator.say(&say::punch(B1, |_| ()));
        let at = seen(&mut target);
        assert!(is_outside(at.ip()), "{header:?}: {at}");
    }
    let warned = "warn proxy-header-missing proxy=127.0.9.1 header=proxy-protocol";
    assert_eq!(server.log().matches(warned).count(), 1, "{}", server.log());
    // One header after the other is no message.
    let mut twice = Caller::from(PROXY, main_port(&server));
    twice.say_raw(&long.concat());
    twice.is_closed();
}

#[test]
fn c148_behind_a_wrong_header_a_connection_comes_from_outside_on_every_port() {
    let mut server = server(&["--proxy-protocol"]);
    let mut target = target(&server);
    // Another version of the second, one whose addresses are cut; lines of the first.
    let [mut future, mut cut] = [V2, V2].map(<[u8]>::to_vec);
    future[12] = 0x31;
    cut[15] = 11;
    cut.pop();
    let lines = [&b"PROXY TCP4 203.0.113.9 127.0.0.1 4660\r\n"[..], b"PROXY TCP9 \xff\r\n"];
    for header in lines.into_iter().chain([&future[..], &cut]) {
        for port in [main_port(&server), nat_port(&server)] {
            assert_ne!(tested(port, header), 0x1234);
        }
        let mut initiator = Caller::from(PROXY, main_port(&server));
        initiator.say_raw(header);
        initiator.say(&say::punch(B1, |_| ()));
        let at = seen(&mut target);
        assert!(is_outside(at.ip()), "{header:?}: {at}");
        let mut legs = [PROXY, A_IP].map(|ip| Caller::from(ip, relay_port(&server)));
        legs[0].say_raw(header);
        legs.iter_mut().for_each(|leg| leg.say_raw(&first("wrongly", |_| ())));
        let [one, other] = &mut legs;
        is_pair(one, other);
        let mut web = Caller::from(PROXY, ws_port(&server));
        web.say_raw(header);
        let mut web = WebSocket::opened(web, ("/", "X-Real-IP: 198.51.100.1\r\n"));
        web.say(&say::punch(B1, |_| ()));
        assert!(is_outside(seen(&mut target).ip()), "{header:?}");
    }
    says(&mut server, "warn proxy-header-missing proxy=127.0.9.1 header=proxy-protocol");
    // Where one ends that has no end, or is longer than any, nobody can tell.
    let endless = [b"PROXY TCP4 ", &[b'1'; 100][..]].concat();
    let long = [&V2[..14], &[0x10, 0], &[0; 4096]].concat();
    for header in [endless, long] {
        let mut caller = Caller::from(PROXY, main_port(&server));
        caller.say_raw(&header);
        caller.is_closed();
    }
}

#[test]
fn c104_who_is_banned_is_behind_a_proxy_too() {
    let banned = [("banned.txt", "203.0.113.9\n100::/64\n")];
    let flags = [&TRUST[..], &["--proxy-protocol"]].concat();
    let server = Server::start_with(&banned, &flags);
    for header in [V1, V2, b""] {
        let mut caller = Caller::from(PROXY, main_port(&server));
        caller.say_raw(header);
        let _ = std::io::Write::write_all(&mut caller.0, b"\x0c\xa2\x01\x00");
        caller.is_closed();
    }
    drop(Device::at(B_IP, &server));
}

/// The one line of this kind that the log has.
fn says(server: &mut Server, line: &str) {
    server.wait_log(line);
    assert_eq!(server.log().matches(line).count(), 1, "{}", server.log());
}

#[test]
fn c131_a_proxy_that_nobody_named_is_said_and_not_believed() {
    let mut server = server(&[]);
    let mut target = target(&server);
    for header in ["X-Real-IP: 203.0.113.9\r\n", "X-Forwarded-For: 203.0.113.9\r\n"] {
        assert_eq!(seen_on_web(&server, &mut target, STRANGER, header), ip(STRANGER));
    }
    says(&mut server, "warn proxy-not-trusted proxy=127.0.0.1 help='--trusted-proxies, if");
}

#[test]
fn c131_a_second_proxy_that_nobody_named_is_said_if_it_is_near() {
    let mut server = server(&["--proxy-header", "x-forwarded-for"]);
    let mut target = target(&server);
    let mut seen = |more: &str| seen_on_web(&server, &mut target, PROXY, more);
    // A client that makes up hops is far away, and names nobody to be trusted.
    assert_eq!(seen("X-Forwarded-For: 10.0.0.1, 203.0.113.9\r\n"), ip("203.0.113.9"));
    assert_eq!(seen("X-Forwarded-For: 10.0.0.7\r\n"), ip("10.0.0.7"));
    assert!(!server.log().contains("proxy-not-trusted"), "{}", server.log());
    assert_eq!(seen("X-Forwarded-For: 203.0.113.9, 10.0.0.7\r\n"), ip("10.0.0.7"));
    says(&mut server, "warn proxy-not-trusted proxy=10.0.0.7 ");
}

#[test]
fn c131_a_client_whom_the_proxy_protocol_tells_is_no_proxy_for_what_its_request_says() {
    let mut server = server(&["--proxy-protocol"]);
    let mut target = target(&server);
    let mut seen = |at: &str, more: &str| {
        let mut web = Caller::from(PROXY, ws_port(&server));
        web.say_raw(format!("PROXY TCP4 {at} 127.0.0.1 4660 21118\r\n").as_bytes());
        WebSocket::opened(web, ("/", more)).say(&say::punch(B1, |_| ()));
        seen(&mut target).ip()
    };
    for (at, more) in [
        ("203.0.113.9", "X-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.9\r\n"),
        ("203.0.113.9", "X-Forwarded-For: 192.0.2.1\r\n"),
        ("10.0.0.7", "X-Real-IP: 10.0.0.7\r\nX-Forwarded-For: 10.0.0.7\r\n"),
    ] {
        assert_eq!(seen(at, more), ip(at));
    }
    assert!(is_outside(seen("127.0.9.1", "X-Real-IP: 203.0.113.9\r\n")));
    assert!(!server.log().contains("proxy-not-trusted"), "{}", server.log());
    // Somebody near who says that the client is elsewhere still.
    assert_eq!(seen("10.0.0.7", "X-Forwarded-For: 203.0.113.9\r\n"), ip("10.0.0.7"));
    says(&mut server, "warn proxy-not-trusted proxy=10.0.0.7 ");
}

#[test]
fn c131_what_two_proxies_need_is_said() {
    let mut server = server(&[]);
    let mut target = target(&server);
    let chain = "X-Forwarded-For: 203.0.113.9, 127.0.9.7\r\nX-Real-IP: 127.0.9.7\r\n";
    assert!(is_outside(seen_on_web(&server, &mut target, PROXY, chain)));
    let line = "warn proxy-header-missing proxy=127.0.9.1 header=x-real-ip names=a-proxy help=";
    says(&mut server, line);
}

#[test]
fn c131_an_upgrade_that_was_lost_on_the_way_is_said() {
    for from in [PROXY, STRANGER] {
        let mut server = server(&[]);
        for request in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.0\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ] {
            assert!(!server.log().contains("proxy-header-missing"), "{}", server.log());
            let mut caller = Caller::from(from, ws_port(&server));
            caller.say_raw(request.as_bytes());
            assert!(String::from_utf8(caller.rest()).unwrap().starts_with("HTTP/1.1 426 "));
        }
        says(&mut server, &format!("warn proxy-header-missing proxy={from} header=upgrade"));
    }
}

#[test]
fn c131_the_proxy_protocol_where_it_is_not_expected_is_said() {
    for port in [main_port, nat_port, relay_port, ws_port] {
        for header in [V1, V2] {
            let mut server = server(&[]);
            let mut caller = Caller::from(PROXY, port(&server));
            caller.say_raw(header);
            says(&mut server, "warn proxy-protocol-unexpected proxy=127.0.9.1 help=--proxy-proto");
            drop(caller.rest());
        }
    }
}

#[test]
fn c131_a_proxy_behind_which_clients_cannot_be_told_apart_is_said() {
    let mut server = server(&[]);
    // Who only looks, and who is no proxy, is none.
    drop(Caller::from(PROXY, main_port(&server)));
    drop(Caller::from(STRANGER, nat_port(&server)).ask(&say::test_nat(3)));
    assert!(!server.log().contains("proxy-protocol-missing"), "{}", server.log());
    drop(Caller::from(PROXY, nat_port(&server)).ask(&say::test_nat(3)));
    says(&mut server, "warn proxy-protocol-missing proxy=127.0.9.1 help=--proxy-protocol");
}

#[test]
fn c131_a_proxy_that_only_looks_whether_we_are_there_misses_nothing() {
    let server = server(&["--proxy-protocol"]);
    for look in [b"PROXY UNKNOWN\r\n".as_slice(), b"PROXY TCP4 127.0.9.1 127.0.0.1 1 2\r\n", b""] {
        let mut caller = Caller::from(PROXY, main_port(&server));
        caller.say_raw(look);
        caller.shut();
        caller.is_closed();
    }
    assert!(!server.log().contains("proxy-header-missing"), "{}", server.log());
}
