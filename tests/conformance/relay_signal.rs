//! Relay signalling between two addresses of this machine: C55-C59, C52 where it concerns relays.
//! Refusals first.

use crate::loopback::{
    A_IP, B_IP, B1, Caller, Device, ELSEWHERE, KEY, asked, enforcing, main_port, one_shot, open,
};
use crate::model::initiator::verify;
use crate::model::server::Server;
use crate::model::wire::{demangle, mangle};
use crate::say::proto::relay_response::Peer;
use crate::say::proto::{RelayResponse, RequestRelay};
use crate::say::{self, TOKEN, hex, take};

/// A new connection of the initiator asks for a relay to B1; what B1 was told.
#[track_caller]
fn asked_to_relay(server: &Server, target: &Device) -> (Caller, RequestRelay) {
    let mut initiator = Caller::from(A_IP, main_port(server));
    initiator.say(&say::request_relay(B1, |_| ()));
    let push = take!(&target.next(), RequestRelay);
    (initiator, push)
}

#[track_caller]
fn answer(initiator: &mut Caller) -> RelayResponse {
    take!(&initiator.next(), RelayResponse)
}

/// Refused in words, and nothing else told.
#[track_caller]
fn is_refused(server: &Server, ip: &str, wish: &[u8]) -> String {
    let answer = take!(&Caller::from(ip, main_port(server)).ask(wish), RelayResponse);
    assert!(answer.uuid.is_empty() && answer.relay_server.is_empty() && answer.peer.is_none());
    assert!(!answer.refuse_reason.is_empty());
    answer.refuse_reason
}

#[test]
fn c052_a_relay_chosen_in_another_name_or_without_the_echo_is_dropped() {
    let server = enforcing();
    let target = Device::enrolled(B_IP, &server, B1);
    let (mut initiator, hole) = asked(&server, &target);
    let (echo, anew) = (hole.socket_addr, mangle(initiator.addr()));
    one_shot(&server, &say::relay_chosen("987654321", &echo, |_| ()));
    one_shot(&server, &say::relay_chosen(B1, &anew, |_| ()));
    // Nobody asked it to come to a relay, so it cannot agree to.
    one_shot(&server, &say::relay_agreed(&anew));
    one_shot(&server, &say::relay_chosen(B1, &echo, |chosen| chosen.uuid = "the true one".into()));
    assert_eq!(answer(&mut initiator).uuid, "the true one");
}

#[test]
fn c055_secrets_of_an_initiator_do_not_reach_the_target() {
    let server = open();
    let target = Device::enrolled(B_IP, &server, B1);
    let secrets = ["the-access-key", "bearer-of-the-user", "code-for-switching", "forged-address"];
    Caller::from(A_IP, main_port(&server)).say(&say::request_relay(B1, |wish| {
        wish.access_key = secrets[0].into();
        wish.token = secrets[1].into();
        wish.switch_code = secrets[2].into();
        wish.socket_addr = secrets[3].into();
    }));
    let push = target.next();
    let text = String::from_utf8_lossy(&push);
    assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    assert_eq!(take!(&push, RequestRelay).uuid, TOKEN);
}

#[test]
fn c056_the_relay_a_target_chose_reaches_the_initiator_with_its_key() {
    let server = enforcing();
    let target = Device::enrolled(B_IP, &server, B1);
    let (mut initiator, hole) = asked(&server, &target);
    one_shot(&server, &say::relay_chosen(B1, &hole.socket_addr, |chosen| chosen.feedback = 3));
    let answer = answer(&mut initiator);
    assert_eq!((answer.uuid.as_str(), answer.relay_server.as_str()), (TOKEN, "relay.example"));
    assert_eq!((answer.version.as_str(), answer.feedback), ("1.4.9", 3));
    assert!(answer.socket_addr.is_empty() && answer.refuse_reason.is_empty());
    let Some(Peer::Pk(signed)) = answer.peer else { panic!("an id instead of a key") };
    assert_eq!(signed.len(), 109);
    assert_eq!(verify(&server.key(), B1, &signed), KEY);
}

#[test]
fn c056_a_key_that_is_no_key_of_ours_signs_nothing() {
    let server = Server::start(&["--key", "only a word"]);
    let target = Device::enrolled(B_IP, &server, B1);
    let mut initiator = Caller::from(A_IP, main_port(&server));
    initiator.say(&say::punch(B1, |wish| wish.access_key = "only a word".into()));
    let hole = take!(&target.next(), PunchHole);
    one_shot(&server, &say::relay_chosen(B1, &hole.socket_addr, |_| ()));
    assert!(answer(&mut initiator).peer == Some(Peer::Pk(Vec::new())), "signed all the same");
}

#[test]
fn c057_a_wish_for_a_relay_goes_to_the_target_and_its_consent_back() {
    let server = open();
    let target = Device::enrolled(B_IP, &server, B1);
    let (mut initiator, push) = asked_to_relay(&server, &target);
    assert_eq!(demangle(&push.socket_addr), initiator.addr());
    assert_eq!((push.id.as_str(), push.uuid.as_str()), (B1, TOKEN));
    assert_eq!((push.relay_server.as_str(), push.secure), ("relay.example:21117", true));
    one_shot(&server, &say::relay_agreed(&push.socket_addr));
    let answer = answer(&mut initiator);
    assert_eq!(answer.version, "1.4.9");
    assert!(answer.socket_addr.is_empty() && answer.refuse_reason.is_empty());
    assert!(answer.uuid.is_empty() && answer.peer.is_none());
}

#[test]
fn c057_a_refusal_of_the_target_reaches_the_initiator() {
    let server = open();
    let target = Device::enrolled(B_IP, &server, B1);
    let (mut initiator, push) = asked_to_relay(&server, &target);
    let refusal = say::relay_chosen("", &push.socket_addr, |answer| {
        (answer.refuse_reason, answer.peer) = ("not now".into(), None);
    });
    one_shot(&server, &refusal);
    assert_eq!(answer(&mut initiator).refuse_reason, "not now");
}

#[test]
fn c058_unknown_and_offline_targets_are_refused_at_once() {
    let mut server = open();
    let _target = Device::enrolled(B_IP, &server, B1);
    let unknown = is_refused(&server, A_IP, &say::request_relay("987654321", |_| ()));
    server.kill_and_restart();
    let offline = is_refused(&server, A_IP, &say::request_relay(B1, |_| ()));
    assert_ne!(unknown, offline);
}

#[test]
fn c059_who_never_showed_the_key_is_refused() {
    let server = enforcing();
    let target = Device::enrolled(B_IP, &server, B1);
    let with_key = say::request_relay(B1, |wish| wish.access_key = server.key());
    is_refused(&server, A_IP, &with_key);
    let mut guessing = Caller::from(A_IP, main_port(&server));
    let wrong = say::punch(B1, |wish| wish.access_key = "wrong".into());
    assert_eq!(hex(&guessing.ask(&wrong)), "5a021803");
    is_refused(&server, A_IP, &say::request_relay(B1, |_| ()));
    target.heard_nothing();
}

#[test]
fn c059_the_key_shown_grants_a_relay_to_that_target_from_that_address() {
    let server = enforcing();
    let target = Device::enrolled(B_IP, &server, B1);
    let _other = Device::enrolled(ELSEWHERE, &server, "222222222");
    asked(&server, &target);
    // Each attempt comes on a connection of its own.
    for _ in 0..3 {
        asked_to_relay(&server, &target);
    }
    is_refused(&server, A_IP, &say::request_relay("222222222", |_| ()));
    is_refused(&server, ELSEWHERE, &say::request_relay(B1, |_| ()));
}
