//! Connections of one address that want too much, and who is served all the same: C100-C102, C117.
//! What takes half a minute stands in `half_minute.rs`.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::half_minute::Watch;
use crate::loopback::{B1, Caller, DEVICE, KEY, main_port, nat_port};
use crate::model::host::{Host, again};
use crate::model::server::Server;
use crate::relay_socket::{first, is_pair};
use crate::say::{self, take, unhex};
use crate::websocket::{WebSocket, ws_port};
use crate::writes::ctl;

const STRANGER: &str = "127.66.6.6";
const CLIENT: &str = "127.77.7.7";
const OTHER: &str = "127.88.8.8";

/// A server that trusts no proxy on this machine, as if all came from outside.
fn strict(flags: &[&str]) -> Server {
    let outside = ["--key=", "--trusted-proxies", "192.0.2.1"];
    Server::start(&[&outside, flags].concat())
}

/// All TCP ports, at loopback.
fn ports(server: &Server) -> [SocketAddr; 5] {
    ports_at(server, IpAddr::from([127, 0, 0, 1]))
}

/// P, P-1, the relay, WebSockets of both.
fn ports_at(server: &Server, ip: IpAddr) -> [SocketAddr; 5] {
    let p = server.port;
    [p, p - 1, p + 1, p + 2, p + 3].map(|port| SocketAddr::from((ip, port)))
}

/// Those that are still open.
fn open(callers: &mut [Caller]) -> usize {
    let is_open = |caller: &&mut Caller| {
        caller.0.set_nonblocking(true).unwrap();
        loop {
            match again(|| (&caller.0).read(&mut [0; 512])) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    };
    callers.iter_mut().filter(is_open).count()
}

/// A NAT test on both ports, a registration and a relayed pair, a second each at most.
#[track_caller]
fn is_served(server: &Server, id: &str) {
    are_served(ports(server), [CLIENT, OTHER], id);
}

#[track_caller]
fn are_served([main, nat, relay, ..]: [SocketAddr; 5], ips: [&str; 2], id: &str) {
    let [client, _] = ips;
    let quick = |what: &str, act: &mut dyn FnMut()| {
        let watch = Watch::start();
        act();
        assert!(watch.secs() < 1.0, "{what} took {} s", watch.secs());
    };
    quick("the NAT test", &mut || {
        for port in [main, nat] {
            let mut caller = Caller::from(client, port);
            let told = take!(&caller.ask(&say::test_nat(3)), TestNatResponse).port;
            assert_eq!(told, i32::from(caller.port()));
        }
    });
    quick("the registration", &mut || {
        let answer = Caller::from(client, main).ask(&say::register_pk(id, DEVICE, &KEY));
        assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0);
    });
    quick("the relayed pair", &mut || {
        let mut legs = ips.map(|ip| Caller::from(ip, relay));
        legs.iter_mut().for_each(|leg| leg.say_raw(&first(id, |_| ())));
        let [one, other] = &mut legs;
        is_pair(one, other);
    });
}

/// Connections of one address: silent, half a message, kept by a HealthCheck, parked, half a
/// handshake, an open WebSocket.
fn crowd(server: &Server, each: usize) -> Vec<Caller> {
    let [main, nat, relay, ws, relay_ws] = ports(server);
    let mut crowd = Vec::new();
    for n in 0..each {
        crowd.extend([main, nat, relay, ws, relay_ws].map(|port| Caller::from(STRANGER, port)));
        let mut says = |port, bytes: &[u8]| {
            let mut caller = Caller::from(STRANGER, port);
            // It may be closed already.
            let _ = std::io::Write::write_all(&mut caller.0, bytes);
            crowd.push(caller);
        };
        says(main, b"\x24\xd2\x01\x06\x0a\x04ohno");
        says(main, b"\xa1\x0f\xba");
        says(relay, b"\xa1\x0f\x92");
        says(relay, &first(&format!("nobody comes {n}"), |_| ()));
        says(ws, b"GET / HTTP/1.1\r\nHost: x");
    }
    crowd
}

#[test]
fn c101_one_address_with_connections_of_every_kind_keeps_nobody_out() {
    let server = strict(&[]);
    let mut held = crowd(&server, 40);
    is_served(&server, B1);
    let still = open(&mut held);
    assert!((8..=32).contains(&still), "{still} of {} are open", held.len());
    drop(held);
    is_served(&server, B1);
}

#[test]
fn c101_who_is_present_on_a_connection_stays_when_all_others_go() {
    let server = strict(&["--max-connections", "32"]);
    let mut peer = Caller::from(STRANGER, main_port(&server));
    let answer = peer.ask(&say::register_pk(B1, DEVICE, &KEY));
    assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0);
    let mut web = WebSocket::at(STRANGER, ws_port(&server));
    let answer = web.ask(&say::register_pk("web-peer", DEVICE, &KEY));
    assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0);
    let mut held = crowd(&server, 20);
    is_served(&server, "other-peer");
    assert!(open(&mut held) <= 4);
    assert_eq!(open(&mut [peer, web.0]), 2);
}

#[test]
fn c101_of_many_addresses_of_one_network_nobody_keeps_others_out() {
    let server = strict(&["--max-connections", "64"]);
    let mut held: Vec<Caller> = (0..250_u16)
        .map(|n| Caller::from(&format!("127.66.6.{}", n % 250 + 1), main_port(&server)))
        .collect();
    is_served(&server, B1);
    let still = open(&mut held);
    assert!((8..=16).contains(&still), "{still} are open");
}

/// A network namespace in which every address of 2001:db8::/32 is this machine's.
struct Town(String);

impl Town {
    fn new() -> Self {
        let town = Self(format!("hbb-crowd-{}", std::process::id()));
        ip(&["netns", "add", &town.0]);
        ip(&["-n", &town.0, "link", "set", "lo", "up"]);
        ip(&["-n", &town.0, "-6", "route", "add", "local", "2001:db8::/32", "dev", "lo"]);
        ip(&["netns", "exec", &town.0, "sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1"]);
        town
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(words: &[&str]) {
    let done = Command::new("ip").args(words).status();
    assert!(done.expect("ip is needed: install the package iproute2").success(), "{words:?}");
}

#[test]
fn c101_a_stranger_with_an_ipv6_48_keeps_nobody_out() {
    let town = Town::new();
    // What this thread opens and starts from now on is there.
    Host::inside(&town.0, "::1").enter();
    let server = strict(&[]);
    let ports = ports_at(&server, "2001:db8::1".parse().unwrap());
    let mut held: Vec<Caller> = (0..500)
        .map(|n| Caller::from(&format!("2001:db8:66:{n:x}::1"), ports[n % ports.len()]))
        .collect();
    are_served(ports, ["2001:db8:77::1", "2001:db8:88::1"], B1);
    let still = open(&mut held);
    assert!((32..=64).contains(&still), "{still} are open");
}

/// 64 files: a quarter of them is for connections and sessions, as there are others to open.
#[test]
fn c117_with_few_files_to_open_strangers_take_none_that_others_need() {
    let few = ["sh", "-c", r#"ulimit -n 64; exec "$@""#, "sh"];
    let flags = ["--key=", "--trusted-proxies", "192.0.2.1"];
    let mut server = Server::start_behind(&few, &flags);
    let said = server.wait_log("warn file-limit-low limit=64 needed=");
    assert!(said.ends_with(" connections=12 sessions=2 help=raise-nofile"), "{said}");
    is_served(&server, B1);
    let ports = ports(&server);
    let mut held: Vec<Caller> = (0..100)
        .map(|n| Caller::from(&format!("127.{}.6.6", n + 100), ports[n % ports.len()]))
        .collect();
    // One that was here, and one that the store has to take.
    for id in [B1, "other-peer"] {
        is_served(&server, id);
    }
    let still = open(&mut held);
    assert!((4..=12).contains(&still), "{still} are open");
    // Nor does an operator get more than there is.
    let said = ctl(&server, "limits max-connections 9000");
    assert!(said.contains("max-connections is 12 until"), "{said}");
    server.signal(Signal::HUP);
    server.wait_log("info reloaded");
    let status = ctl(&server, "status");
    assert!(status.contains(r#""limit":12}"#) && status.contains(r#""limit":2}"#), "{status}");
    assert!(ctl(&server, "limits").contains(r#""max-connections":12,"max-sessions":2,"#));
    is_served(&server, B1);
    assert!(!server.log().contains("accept-failed"), "{}", server.log());
}

#[test]
fn c100_the_banned_are_closed_at_once_on_every_port_and_a_reload_tells_who() {
    let banned = [("banned.txt", "127.66.0.0/16\n")];
    let mut server =
        Server::start_with(&banned, &["--key=", "--max-connections", "1", "--role", "all"]);
    let closed_at_once = |server: &Server, ip: &str| {
        for port in ports(server) {
            let watch = Watch::start();
            Caller::from(ip, port).is_closed();
            assert!(watch.secs() < 1.0, "{port} after {} s", watch.secs());
        }
    };
    // The only place is taken, or nearly so: whoever is shut out has none.
    closed_at_once(&server, STRANGER);
    fs::write(server.data().join("banned.txt"), "127.77.0.0/16\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_log("info reloaded");
    closed_at_once(&server, CLIENT);
    let mut caller = Caller::from(STRANGER, nat_port(&server));
    assert_eq!(
        take!(&caller.ask(&say::test_nat(3)), TestNatResponse).port,
        i32::from(caller.port())
    );
}

#[test]
fn c102_a_first_message_on_the_only_port_is_whole_in_time() {
    let server = Server::start(&["--key=", "--single-port", "--public", "127.0.0.1"]);
    let mut caller = Caller::from(STRANGER, main_port(&server));
    caller.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let watch = Watch::start();
    caller.say_raw(&unhex("a10fba"));
    caller.is_closed();
    assert!((9.5..13.0).contains(&watch.secs()), "closed after {} s", watch.secs());
}
