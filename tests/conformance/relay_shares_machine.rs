//! Whose legs the relay machine takes when places run short: shares of addresses, networks and of
//! those whose token passed our signalling. C106.

use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason::SessionsFull;
use hbb_core::base::limits::{Limits, SESSION_IDLE_MS, TOKEN_KNOWN_MS};
use hbb_core::relay::{Effect, LegCounts};
use hbb_core::rendezvous::Policy;

use crate::drive::Drive;
use crate::relay_machine::{A, B, Legs, closed, paired};
use crate::say;

/// A small router's: 32 sessions, of which strangers have 8.
fn beside() -> Legs {
    Legs::beside_rendezvous(Limits::default())
}

/// Two legs, each from an address of its own, under one token; what the second one led to.
fn pair(legs: &mut Legs, token: &str, from: [&str; 2]) -> ([Conn; 2], Vec<Effect>) {
    let waiting = legs.park(from[0], token);
    let (joining, did) = legs.ask(from[1], token);
    ([waiting, joining], did)
}

/// The same under a token that passed our signalling.
fn known(legs: &mut Legs, token: &str, from: [&str; 2]) -> ([Conn; 2], Vec<Effect>) {
    legs.expect(token, from[0]);
    pair(legs, token, from)
}

fn joins((pair, did): ([Conn; 2], Vec<Effect>)) -> [Conn; 2] {
    let [Effect::Pair { waiting, joining, .. }] = did[..] else { panic!("{did:?}") };
    assert_eq!([waiting, joining], pair);
    pair
}

fn is_refused((pair, did): ([Conn; 2], Vec<Effect>)) {
    assert_eq!(did, pair.map(|conn| closed(conn, SessionsFull)));
}

#[test]
fn c106_one_address_gets_half_of_what_strangers_share_and_a_known_pair_its_place() {
    let mut legs = beside();
    for n in 0..4 {
        joins(pair(&mut legs, &format!("mine{n}"), ["192.0.2.1:9"; 2]));
    }
    is_refused(pair(&mut legs, "mine", ["192.0.2.1:9"; 2]));
    for n in 0..2 {
        joins(pair(&mut legs, &format!("near{n}"), ["192.0.2.2:9"; 2]));
    }
    is_refused(pair(&mut legs, "near", ["192.0.2.3:9"; 2]));
    for n in 0..2 {
        joins(pair(&mut legs, &format!("far{n}"), ["198.51.100.1:9"; 2]));
    }
    is_refused(pair(&mut legs, "quarter", ["203.0.113.1:9"; 2]));
    for n in 0..24 {
        joins(known(&mut legs, &format!("known{n}"), [&format!("10.0.{n}.1:9"), B]));
    }
    assert_eq!(legs.machine.counts(), LegCounts { fresh: 0, parked: 0, sessions: 32 });
}

#[test]
fn c106_when_all_is_full_the_longest_silent_of_the_greediest_gives_way_to_a_known_pair() {
    let mut legs = beside();
    let mut of_one = Vec::new();
    for n in 0..3 {
        of_one.push(joins(pair(&mut legs, &format!("one{n}"), ["192.0.2.1:9"; 2])));
    }
    for n in 0..2 {
        joins(pair(&mut legs, &format!("two{n}"), ["198.51.100.1:9"; 2]));
    }
    for n in 0..27 {
        joins(known(&mut legs, &format!("known{n}"), [&format!("10.0.{n}.1:9"), B]));
    }
    legs.wait(1_000);
    legs.moved(of_one[0][0]);
    let (new, did) = known(&mut legs, "new", ["10.1.0.1:9", "10.2.0.1:9"]);
    let [waiting, joining] = of_one[1];
    let gone = [closed(waiting, SessionsFull), closed(joining, SessionsFull)];
    assert_eq!(did, [gone[0].clone(), gone[1].clone(), paired(new[0], new[1])]);
    is_refused(pair(&mut legs, "stranger", ["203.0.113.77:9"; 2]));
    // Four more are left that may give way; then known ones are alone, and safe from each other.
    for n in 0..4 {
        let (_, did) = known(&mut legs, &format!("late{n}"), [&format!("10.3.{n}.1:9"), A]);
        assert_eq!(did.len(), 3, "{did:?}");
    }
    is_refused(known(&mut legs, "too late", ["10.4.0.1:9", A]));
    assert_eq!(legs.machine.counts().sessions, 32);
}

#[test]
fn c106_one_address_may_have_an_end_of_every_known_session_and_not_both() {
    let mut legs = beside();
    for n in 0..32 {
        joins(known(&mut legs, &format!("office{n}"), [A, &format!("10.0.{n}.1:9")]));
    }
    let mut legs = beside();
    for n in 0..16 {
        joins(known(&mut legs, &format!("both{n}"), [A, A]));
    }
    // From here on it counts as a stranger.
    for n in 0..4 {
        joins(known(&mut legs, &format!("more{n}"), [A, A]));
    }
    is_refused(known(&mut legs, "most", [A, A]));
}

#[test]
fn c106_a_relay_alone_shares_all_places_and_the_idle_of_the_greedy_give_way() {
    let mut legs = Legs::open();
    let mut first = None;
    for n in 0..16 {
        let made = joins(pair(&mut legs, &format!("a{n}"), ["192.0.2.1:9"; 2]));
        first = first.or(Some(made));
    }
    is_refused(pair(&mut legs, "half", ["192.0.2.1:9"; 2]));
    for n in 0..16 {
        joins(pair(&mut legs, &format!("b{n}"), ["198.51.100.1:9", &format!("10.0.{n}.1:9")]));
    }
    is_refused(pair(&mut legs, "busy", ["203.0.113.1:9"; 2]));
    legs.wait(SESSION_IDLE_MS);
    let (new, did) = pair(&mut legs, "honest", ["203.0.113.1:9"; 2]);
    let gone = first.unwrap().map(|conn| closed(conn, SessionsFull));
    assert_eq!(did, [gone[0].clone(), gone[1].clone(), paired(new[0], new[1])]);
}

#[test]
fn c115_who_waits_is_said_to_be_known() {
    let mut legs = beside();
    legs.expect("before", A);
    let (before, did) = legs.ask(B, "before");
    assert_eq!(did, [Effect::Park { conn: before, known: true }]);
    let (behind, did) = legs.ask(B, "behind");
    assert_eq!(did, [Effect::Park { conn: behind, known: false }]);
    assert_eq!(legs.expect("behind", A), Some(behind));
    assert_eq!((legs.expect("behind", A), legs.expect("nobody", A)), (None, None));
}

#[test]
fn c106_strangers_that_wait_push_out_each_other_and_no_known_leg() {
    let mut legs = beside();
    let mut kept = Vec::new();
    for n in 0..4 {
        let token = format!("known{n}");
        legs.expect(&token, A);
        kept.push((legs.park("192.0.2.9:9", &token), token));
    }
    // 64 places, 48 of one network, 16 of one address.
    let mut gone = 0;
    for n in 0..200 {
        let from = format!("192.0.2.{}:9", n % 8);
        let (conn, did) = legs.ask(&from, &format!("t{n}"));
        assert!(matches!(did[0], Effect::Park { conn: parked, .. } if parked == conn));
        gone += did.len() - 1;
    }
    assert_eq!((legs.machine.counts().parked, gone), (4 + 48, 200 - 48));
    for n in 0..100 {
        legs.ask(&format!("10.{n}.0.1:9"), &format!("u{n}"));
    }
    assert_eq!(legs.machine.counts().parked, 4 + 64);
    for (waiting, token) in kept {
        let (joining, did) = legs.ask(B, &token);
        assert_eq!(did, [paired(waiting, joining)]);
    }
}

#[test]
fn c106_a_token_may_pass_before_or_behind_its_leg_and_is_known_for_a_minute() {
    let mut legs = beside();
    let strangers: Vec<_> = (0..8)
        .map(|n| joins(pair(&mut legs, &format!("s{n}"), [&format!("10.{n}.0.1:9"), B])))
        .collect();
    let late = legs.park(A, "late");
    legs.expect("late", A);
    let (conn, did) = legs.ask("10.99.0.1:9", "late");
    assert_eq!(did, [paired(late, conn)]);
    legs.expect("old", A);
    legs.wait(TOKEN_KNOWN_MS + 1);
    // None of them idles.
    strangers.iter().for_each(|pair| legs.moved(pair[0]));
    is_refused(pair(&mut legs, "old", [A, "10.99.0.1:9"]));
}

#[test]
fn c106_nobody_pushes_out_the_tokens_of_others() {
    let mut legs = beside();
    for n in 0..8 {
        joins(pair(&mut legs, &format!("s{n}"), [&format!("10.{n}.0.1:9"), B]));
    }
    legs.expect("honest", A);
    for n in 0..5_000 {
        legs.expect(&format!("flood{n}"), &format!("192.0.2.{}:9", n % 200));
    }
    joins(pair(&mut legs, "honest", [A, "10.99.0.1:9"]));
    is_refused(pair(&mut legs, "flood4999", ["192.0.2.199:9", "10.98.0.1:9"]));
}

/// Either side may choose the token: the initiator in its request, the target in its answer.
#[test]
fn c106_tokens_that_pass_our_signalling_are_told_to_the_relay() {
    let relays = vec!["relay.example:21117".into()];
    let mut drive = Drive::new(Limits::default(), Policy { relays, ..Policy::default() });
    drive.enroll(crate::drive::B1, crate::drive::B1_AT);
    let conn = drive.connect(crate::drive::A_AT);
    drive.stream(conn, &say::request_relay(crate::drive::B1, |_| ()));
    assert_eq!(drive.met.len(), 1);
    let hole = drive.stream(conn, &say::punch(crate::drive::B1, |_| ()));
    let told = crate::say::take!(hole.datagram_to(crate::drive::B1_AT), PunchHole);
    let target = drive.connect(crate::drive::B1_AT);
    let answer = say::relay_chosen(crate::drive::B1, &told.socket_addr, |_| ());
    drive.stream(target, &answer);
    assert_eq!(drive.met.len(), 2);
    // An answer nobody waits for is passed on to nobody.
    let again = drive.connect(crate::drive::B1_AT);
    drive.stream(again, &answer);
    assert_eq!(drive.met.len(), 2);
}
