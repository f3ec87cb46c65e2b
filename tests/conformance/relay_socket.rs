//! The relay over sockets: C65-C67, C70, C71, C133. Refusals first.
//! Legs that wait or rest for half a minute (C66, C67, C69) stand in `half_minute.rs`.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::chance::Chance;
use crate::loopback::{A_IP, B_IP, Caller, enforcing, open, over_v6, relay_port};
use crate::model::server::Server;
use crate::model::wire::frame;
use crate::say::proto::RequestRelay;
use crate::say::{self, Body};

/// The first frame of a leg.
pub(crate) fn first(token: &str, change: impl FnOnce(&mut RequestRelay)) -> Vec<u8> {
    let mut wish = RequestRelay { uuid: token.into(), ..Default::default() };
    change(&mut wish);
    frame(&say::payload(Body::RequestRelay(wish)))
}

/// A leg that has said its first frame.
#[track_caller]
pub(crate) fn leg(ip: &str, relay: SocketAddr, token: &str) -> Caller {
    let mut leg = Caller::from(ip, relay);
    leg.say_raw(&first(token, |_| ()));
    leg
}

/// Bytes pass both ways, unframed and unchanged.
#[track_caller]
pub(crate) fn is_pair(one: &mut Caller, other: &mut Caller) {
    passes(one, other, b"\xff\x00no frame at all\r\n");
    passes(other, one, b"\x03\x00\x00\x01 neither");
}

#[track_caller]
pub(crate) fn passes(from: &mut Caller, to: &mut Caller, bytes: &[u8]) {
    from.say_raw(bytes);
    hears(to, bytes);
}

#[track_caller]
fn hears(leg: &mut Caller, bytes: &[u8]) {
    let mut heard = vec![0; bytes.len()];
    leg.0.read_exact(&mut heard).expect("the partner's bytes come");
    assert!(heard == bytes, "other bytes than were sent");
}

#[test]
fn c066_a_wrong_key_closes_without_a_word() {
    let server = enforcing();
    let relay = relay_port(&server);
    let key = server.key();
    for wrong in ["", "x", key.trim_end_matches('='), &key.to_lowercase()] {
        let mut leg = Caller::from(A_IP, relay);
        leg.say_raw(&first("a token", |wish| wish.access_key = wrong.into()));
        leg.is_closed();
    }
    let mut legs = [A_IP, B_IP].map(|ip| Caller::from(ip, relay));
    for leg in &mut legs {
        leg.say_raw(&first("a token", |wish| wish.access_key = key.clone()));
    }
    let [one, other] = &mut legs;
    is_pair(one, other);
}

#[test]
fn c066_no_token_or_another_message_closes_without_a_word() {
    let server = open();
    let relay = relay_port(&server);
    let other = frame(&say::punch("123456789", |_| ()));
    let wrong = [first("", |_| ()), other, frame(&say::test_nat(3)), frame(b"no message")];
    for bytes in wrong {
        let mut leg = Caller::from(A_IP, relay);
        leg.say_raw(&bytes);
        leg.is_closed();
    }
}

#[test]
fn c065_bytes_behind_the_first_frame_arrive_wherever_they_are_split() {
    let server = open();
    let relay = relay_port(&server);
    let mut chance = Chance::new(65);
    for round in 0..40 {
        let token = format!("round {round}");
        let tails = [chance.bytes(300), chance.bytes(5_000)];
        let mut legs = [Caller::from(A_IP, relay), Caller::from(B_IP, relay)];
        for (leg, tail) in legs.iter_mut().zip(&tails) {
            let bytes = [&first(&token, |_| ())[..], tail].concat();
            let at = if round == 0 { bytes.len() } else { chance.index(bytes.len()) };
            leg.say_raw(&bytes[..at]);
            if chance.one_in(2) {
                thread::sleep(Duration::from_millis(2));
            }
            leg.say_raw(&bytes[at..]);
        }
        hears(&mut legs[1], &tails[0]);
        hears(&mut legs[0], &tails[1]);
        let [one, other] = &mut legs;
        is_pair(one, other);
    }
}

#[test]
fn c065_a_third_leg_waits_for_a_fourth() {
    let server = open();
    let relay = relay_port(&server);
    let [mut one, mut two] = [A_IP, B_IP].map(|ip| leg(ip, relay, "a token"));
    is_pair(&mut one, &mut two);
    let [mut three, mut four] = [A_IP, B_IP].map(|ip| leg(ip, relay, "a token"));
    is_pair(&mut three, &mut four);
    is_pair(&mut one, &mut two);
}

#[test]
fn c065_many_pairs_at_once_keep_to_themselves() {
    let server = Server::start(&["--key=", "--role", "relay"]);
    let relay = relay_port(&server);
    let ip = |number: u16| format!("127.0.3.{}", 1 + number % 8);
    let waiting: Vec<_> =
        (0..32).map(|number| leg(&ip(number), relay, &format!("pair {number}"))).collect();
    let joining = (0..32_u16).rev().map(|number| leg(A_IP, relay, &format!("pair {number}")));
    let mut pairs: Vec<_> =
        waiting.into_iter().zip(joining.collect::<Vec<_>>().into_iter().rev()).collect();
    for (number, (one, other)) in pairs.iter_mut().enumerate() {
        passes(one, other, format!("to partner {number:02}").as_bytes());
        passes(other, one, format!("and back to {number:02}").as_bytes());
    }
}

#[test]
fn c065_pairs_on_several_threads_keep_to_themselves() {
    let server = Server::start(&["--key=", "--role", "relay", "--relay-threads", "3"]);
    let mut pairs: Vec<_> = (0..12)
        .map(|number| [A_IP, B_IP].map(|ip| leg(ip, relay_port(&server), &format!("{number}"))))
        .collect();
    for round in 0..3 {
        for (number, [one, other]) in pairs.iter_mut().enumerate() {
            passes(one, other, format!("{round}: to partner {number:02}").as_bytes());
            passes(other, one, format!("{round}: and back to {number:02}").as_bytes());
        }
    }
    for [one, mut other] in pairs {
        drop(one);
        other.is_closed();
    }
}

/// Both legs of a pair come in the same instant, again and again.
#[test]
fn c065_legs_that_come_at_the_same_instant_always_pair() {
    const ROUNDS: usize = 625;
    /// As many as one address may leave waiting.
    const PAIRS: usize = 16;
    let server = Server::start(&["--key=", "--max-sessions", "400", "--max-connections", "400"]);
    let relay = relay_port(&server);
    let start = Barrier::new(2);
    let side = |ip: u8, say: u8, hear: u8| {
        for round in 0..ROUNDS {
            let from = format!("127.{ip}.{}.{}", round / 100, round % 100 + 1);
            start.wait();
            let mut legs: Vec<_> =
                (0..PAIRS).map(|pair| leg(&from, relay, &format!("{round}-{pair}"))).collect();
            legs.iter_mut().for_each(|leg| leg.say_raw(&[say]));
            legs.iter_mut().for_each(|leg| hears(leg, &[hear]));
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| side(3, 1, 2));
        side(4, 2, 1);
    });
}

#[test]
fn c067_a_parked_leg_that_left_breaks_no_later_pair() {
    let server = open();
    let relay = relay_port(&server);
    for round in 0..30 {
        let token = format!("round {round}");
        let gone = leg(A_IP, relay, &token);
        match round % 2 {
            0 => drop(gone),
            _ => gone.reset(),
        }
        // When others were served since, the server has seen it leave.
        let [mut before, mut after] = [A_IP, B_IP].map(|ip| leg(ip, relay, "others"));
        is_pair(&mut before, &mut after);
        let mut legs = [A_IP, B_IP].map(|ip| leg(ip, relay, &token));
        let [one, other] = &mut legs;
        is_pair(one, other);
    }
}

#[test]
fn c070_the_end_comes_after_the_last_byte_and_then_the_connection_closes() {
    let server = open();
    let relay = relay_port(&server);
    let bytes = Chance::new(70).bytes(4_000_000);
    let [mut one, mut two] = [A_IP, B_IP].map(|ip| leg(ip, relay, "a token"));
    is_pair(&mut one, &mut two);
    let sending = bytes.clone();
    let sender = thread::spawn(move || {
        one.0.write_all(&sending).unwrap();
        one.shut();
        one
    });
    // It reads late: by then the sender is long done with what the kernels took.
    thread::sleep(Duration::from_millis(200));
    assert!(two.rest() == bytes, "not what was sent");
    let mut one = sender.join().unwrap();
    two.say_raw(b"and goodbye");
    drop(two);
    assert_eq!(one.rest(), b"and goodbye");
}

#[test]
fn c070_a_leg_that_breaks_takes_its_partner_along() {
    let server = open();
    let relay = relay_port(&server);
    let [mut one, mut two] = [A_IP, B_IP].map(|ip| leg(ip, relay, "a token"));
    is_pair(&mut one, &mut two);
    one.reset();
    two.is_closed();
}

#[test]
fn c071_both_sides_may_come_from_either_loopback_address() {
    let server: Server = enforcing();
    let relay = relay_port(&server);
    for (number, (one, other)) in
        [(false, false), (true, true), (false, true), (true, false)].into_iter().enumerate()
    {
        let mut legs = [one, other].map(|v6| match v6 {
            true => Caller::from("::1", over_v6(relay)),
            false => Caller::from("127.0.0.1", relay),
        });
        for leg in &mut legs {
            let key = server.key();
            leg.say_raw(&first(&format!("pair {number}"), |wish| wish.access_key = key));
        }
        let [one, other] = &mut legs;
        is_pair(one, other);
    }
}

/// Clients send none; whoever tunnels something that does keeps every byte, in its place.
#[test]
fn c133_urgent_data_pass_as_all_others_do() {
    let server = open();
    let relay = relay_port(&server);
    for stream in [0, 4 << 20] {
        let (mut one, mut other) = (leg(A_IP, relay, "urgent"), leg(B_IP, relay, "urgent"));
        is_pair(&mut one, &mut other);
        let sender = thread::spawn(move || {
            one.0.write_all(&vec![1; stream]).unwrap();
            one.0.write_all(b"be").unwrap();
            rustix::net::send(&one.0, b"fore", rustix::net::SendFlags::OOB).unwrap();
            one
        });
        let mut got = vec![0; stream + 6];
        other.0.read_exact(&mut got).expect("nothing waits for a byte that may never come");
        assert_eq!(&got[stream..], b"before");
        let mut one = sender.join().unwrap();
        passes(&mut one, &mut other, b"and after");
    }
}
