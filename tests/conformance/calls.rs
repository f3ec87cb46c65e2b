//! Calls of the HTTP API, of which there is none: over P, as clients make them while TCP P-2 is
//! closed, and on P-2. C129, C130. Refusals first.

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
