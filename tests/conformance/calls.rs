//! Calls of the HTTP API, of which there is none: over P, as clients make them while TCP P-2 is
//! closed, and on P-2. C129, C130. Refusals first.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use crate::half_minute::Watch;
use crate::loopback::{A_IP, Caller, DEVICE, Device, KEY, main_port, open};
use crate::model::seal::Seal;
use crate::model::server::Server;
use crate::model::wire;
use crate::say::proto::HttpProxyRequest;
use crate::say::{self, Body, hex, take};

/// A heartbeat as a client has it carried.
fn call() -> Vec<u8> {
    let request = HttpProxyRequest {
        method: "POST".into(),
        path: "/api/heartbeat".into(),
        body: br#"{"id":"123456789","uuid":"MTIz","ver":1004009}"#.to_vec(),
        ..HttpProxyRequest::default()
    };
    say::payload(Body::HttpProxyRequest(request))
}

/// A connection from `ip` that said nothing yet.
fn silent(ip: &str, server: &Server) -> Caller {
    Caller::from(ip, main_port(server))
}

/// The sealed answer to `payload`, of a connection that was silent; None if it is closed instead.
fn sealed(mut caller: Caller, key: &str, payload: &[u8]) -> Option<Vec<u8>> {
    let mut seal = Seal::agree(&mut caller.0, key);
    wire::send(&mut caller.0, &seal.close(payload)).ok()?;
    wire::receive(&mut caller.0).ok().map(|answer| seal.open(answer))
}

fn status(answer: &[u8]) -> i32 {
    take!(answer, HttpProxyResponse).status
}

#[test]
fn c129_a_call_by_datagram_is_no_call() {
    let server = open();
    let device = Device::at(A_IP, &server);
    device.say(&call());
    device.heard_nothing();
}

#[test]
fn c129_a_call_is_answered_404_at_once_and_its_connection_closed() {
    let server = Server::start(&[]);
    let watch = Watch::start();
    let mut caller = silent(A_IP, &server);
    let mut seal = Seal::agree(&mut caller.0, &server.key());
    caller.say(&seal.close(&call()));
    let answer = seal.open(wire::receive(&mut caller.0).unwrap());
    assert_eq!((status(&answer), hex(&answer)), (404, "e20103089403".into()));
    caller.is_closed();
    assert!(watch.secs() < 3.0, "{} s", watch.secs());
    // In clear as well: where there is no key to offer.
    let mut caller = silent(A_IP, &server);
    assert_eq!(status(&caller.ask(&call())), 404);
    caller.is_closed();
}

#[test]
fn c129_calls_take_no_exchange_of_those_who_register_from_the_same_address() {
    let server = open();
    let [calls, others] =
        [(); 2].map(|()| -> Vec<_> { (0..10).map(|_| silent(A_IP, &server)).collect() });
    // All of it within a second, so that no share is renewed meanwhile.
    for caller in calls {
        assert_eq!(sealed(caller, &server.key(), &call()).map(|it| status(&it)), Some(404));
    }
    for (caller, number) in others.into_iter().zip(0..) {
        let register = say::register_pk(&format!("10000000{number}"), DEVICE, &KEY);
        let answer = sealed(caller, &server.key(), &register).expect("it is not closed");
        assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0, "number {number}");
    }
}

/// P-2.
fn api_port(server: &Server) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port - 2))
}

/// What a request gets, up to the end.
fn fetched(server: &Server, parts: &[&[u8]]) -> String {
    let mut caller = Caller::from(A_IP, api_port(server));
    for part in parts {
        caller.say_raw(part);
        caller.0.flush().unwrap();
    }
    String::from_utf8(caller.rest()).unwrap()
}

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

#[test]
fn c130_what_is_no_request_is_told_so_and_an_endless_one_closed() {
    let server = open();
    let answer = fetched(&server, &[b"\x16\x03\x01 TLS\r\n\r\n"]);
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    // In one piece: the server may hang up before a second one is written.
    let endless = [&b"GET /"[..], &[b'x'; 10_000]].concat();
    assert_eq!(fetched(&server, &[&endless]), "");
}

#[test]
fn c130_each_request_on_the_api_s_port_is_told_that_there_is_none() {
    let server = open();
    let heartbeat: &[u8] = b"POST /api/heartbeat HTTP/1.1\r\nHost: x:21114\r\n\
        Content-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    for parts in [
        &[heartbeat, b"{}"][..],
        &[&heartbeat[..20], &heartbeat[20..], b"{", b"}"],
        &[b"HEAD /api/login-options HTTP/1.1\r\nHost: x\r\n\r\n"],
        &[b"OPTIONS /api/login HTTP/1.0\r\n\r\n"],
        &[b"GET /ws/id HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"],
    ] {
        assert_eq!(fetched(&server, parts), NOT_FOUND);
    }
}

#[test]
fn c130_a_body_that_comes_late_does_not_take_the_answer_away() {
    let server = open();
    let mut caller = Caller::from(A_IP, api_port(&server));
    caller.say_raw(b"PUT /api/ab HTTP/1.1\r\nContent-Length: 300000\r\n\r\n");
    for _ in 0..10 {
        caller.say_raw(&[b' '; 30_000]);
    }
    caller.shut();
    assert_eq!(String::from_utf8(caller.rest()).unwrap(), NOT_FOUND);
}

#[test]
fn c130_the_port_is_somebody_else_s_where_that_is_wanted() {
    for flags in [&["--no-api-port"][..], &["--role", "relay", "--key="]] {
        let server = Server::start(flags);
        assert!(TcpStream::connect(api_port(&server)).is_err(), "{flags:?}");
    }
}
