//! Relay signalling, asked of the machine and of the binary: C55-C59, C52 where it concerns relays.
//! Refusals first. What takes a clock stands in `relay_signal_machine.rs`.

use crate::both::{
    B1, ENFORCING, KEY, OPEN, Place, World, asked, enroll, relayed, told_relay, with_b1,
};
use crate::loopback::{A_IP, B_IP, Caller, Device, main_port, one_shot};
use crate::model::initiator::verify;
use crate::model::server::Server;
use crate::model::wire::{demangle, mangle};
use crate::say::proto::relay_response::Peer;
use crate::say::proto::{ControlPermissions, ControlledContext, RequestRelay};
use crate::say::{self, TOKEN, take};

/// A new initiator that was told B1's relay asks for it; what B1 was told.
#[track_caller]
fn asked_to_relay(world: &mut dyn World) -> RequestRelay {
    told_relay(world);
    take!(&world.told(Place::A, &say::request_relay(B1, |_| ()), Place::B), RequestRelay)
}

/// What an initiator reads that showed no key, nor did anybody for its target.
const ADDRESS_CHANGED: &str = "Your address changed, try again";

/// Refused in words, and nothing else told.
#[track_caller]
fn refused(world: &mut dyn World, from: Place, id: &str) -> String {
    let answer = take!(&world.call(from, &say::request_relay(id, |_| ())), RelayResponse);
    assert!(answer.uuid.is_empty() && answer.relay_server.is_empty() && answer.peer.is_none());
    assert!(!answer.refuse_reason.is_empty());
    answer.refuse_reason
}

#[test]
fn c052_a_relay_chosen_in_another_name_or_without_the_echo_is_dropped() {
    with_b1(ENFORCING, |world| {
        let echo = asked(world).socket_addr;
        let anew = mangle(world.initiator());
        world.one_shot(&say::relay_chosen("987654321", &echo, |_| ()));
        world.one_shot(&say::relay_chosen(B1, &anew, |_| ()));
        // Nobody asked it to come to a relay, so it cannot agree to.
        world.one_shot(&say::relay_agreed(&anew));
        world.told_nothing();
        let chosen = say::relay_chosen(B1, &echo, |chosen| chosen.uuid = "the true one".into());
        assert_eq!(relayed(world, &chosen).uuid, "the true one");
    });
}

#[test]
fn c055_secrets_and_permissions_of_an_initiator_do_not_reach_the_target() {
    let secrets =
        ["the-access-key", "bearer-of-the-user", "code-for-switching", "forged-address", "forged"];
    with_b1(OPEN, |world| {
        told_relay(world);
        let wish = say::request_relay(B1, |wish| {
            (wish.access_key, wish.token) = (secrets[0].into(), secrets[1].into());
            (wish.switch_code, wish.socket_addr) = (secrets[2].into(), secrets[3].into());
            wish.control_permissions = Some(ControlPermissions { permissions: 0xaaaa });
            wish.controlled_context = Some(ControlledContext { conn_audit_ref: "forged".into() });
        });
        let push = world.told(Place::A, &wish, Place::B);
        let text = String::from_utf8_lossy(&push);
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
        let push = take!(&push, RequestRelay);
        assert_eq!(push.uuid, TOKEN);
        assert!(push.control_permissions.is_none() && push.controlled_context.is_none());
    });
}

#[test]
fn c056_the_relay_a_target_chose_reaches_the_initiator_with_its_key() {
    with_b1(ENFORCING, |world| {
        let echo = asked(world).socket_addr;
        world.one_shot(&say::relay_chosen(B1, &echo, |chosen| chosen.feedback = 3));
        let bytes = world.answer();
        let answer = take!(&bytes, RelayResponse);
        assert_eq!((answer.uuid.as_str(), answer.relay_server.as_str()), (TOKEN, "relay.example"));
        assert_eq!((answer.version.as_str(), answer.feedback), ("1.4.9", 3));
        assert!(answer.socket_addr.is_empty() && answer.refuse_reason.is_empty());
        let Some(Peer::Pk(signed)) = answer.peer else { panic!("an id instead of a key") };
        assert_eq!(signed.len(), 109);
        assert_eq!(verify(&world.key(), B1, &signed), KEY);
        // Field 4 is gone from the bytes, not just overridden.
        let id = [&[0x22, 9][..], B1.as_bytes()].concat();
        assert!(!bytes.windows(id.len()).any(|window| window == id));
    });
}

#[test]
fn c056_a_key_that_is_no_key_of_ours_signs_nothing() {
    let server = Server::start(&["--key", "only a word"]);
    let target = Device::enrolled(B_IP, &server, B1);
    let mut initiator = Caller::from(A_IP, main_port(&server));
    initiator.say(&say::punch(B1, |wish| wish.access_key = "only a word".into()));
    let hole = take!(&target.next(), PunchHole);
    one_shot(&server, &say::relay_chosen(B1, &hole.socket_addr, |_| ()));
    let answer = take!(&initiator.next(), RelayResponse);
    assert!(answer.peer == Some(Peer::Pk(Vec::new())), "signed all the same");
}

#[test]
fn c057_a_wish_for_a_relay_goes_to_the_target_and_its_consent_back() {
    with_b1(OPEN, |world| {
        told_relay(world);
        for secure in [true, false] {
            let wish = say::request_relay(B1, |wish| wish.secure = secure);
            let push = take!(&world.told(Place::A, &wish, Place::B), RequestRelay);
            assert_eq!(demangle(&push.socket_addr), world.initiator());
            assert_eq!((push.id.as_str(), push.uuid.as_str()), (B1, TOKEN));
            assert_eq!((push.relay_server.as_str(), push.secure), ("relay.example:21117", secure));
            // Whether the target echoes the bytes or spells the address anew.
            let echo = if secure { push.socket_addr } else { mangle(world.initiator()) };
            let answer = relayed(world, &say::relay_agreed(&echo));
            assert_eq!(answer.version, "1.4.9");
            assert!(answer.socket_addr.is_empty() && answer.refuse_reason.is_empty());
            assert!(answer.uuid.is_empty() && answer.peer.is_none());
            world.one_shot(&say::relay_agreed(&echo));
            world.told_nothing();
        }
    });
}

#[test]
fn c057_a_refusal_of_the_target_reaches_the_initiator() {
    with_b1(OPEN, |world| {
        let echo = asked_to_relay(world).socket_addr;
        let refusal = say::relay_chosen("", &echo, |answer| {
            (answer.refuse_reason, answer.peer) = ("not now".into(), None);
        });
        assert_eq!(relayed(world, &refusal).refuse_reason, "not now");
    });
}

#[test]
fn c058_unknown_and_offline_targets_are_refused_at_once() {
    with_b1(OPEN, |world| {
        for nobody in ["987654321", "", "with blank"] {
            refused(world, Place::A, nobody);
        }
        let unknown = refused(world, Place::A, "987654321");
        world.restart();
        assert_ne!(refused(world, Place::A, B1), unknown);
    });
}

#[test]
fn c059_who_never_showed_the_key_is_refused_and_is_not_told_who_exists() {
    with_b1(ENFORCING, |world| {
        let with_key = say::request_relay(B1, |wish| wish.access_key = world.key());
        let refusal = take!(&world.call(Place::A, &with_key), RelayResponse).refuse_reason;
        assert!(!refusal.is_empty());
        let wrong = say::punch(B1, |wish| wish.access_key = "wrong".into());
        assert_eq!(say::hex(&world.call(Place::A, &wrong)), "5a021803");
        assert_eq!(refused(world, Place::A, B1), refusal);
        assert_eq!(refused(world, Place::A, "987654321"), refusal);
        // A push would be found here, before this one.
        asked(world);
    });
}

#[test]
fn c059_the_key_shown_grants_a_relay_to_that_target_alone() {
    with_b1(ENFORCING, |world| {
        enroll(world, Place::Elsewhere, "222222222");
        asked(world);
        // Each attempt comes on a connection of its own.
        for _ in 0..3 {
            asked_to_relay(world);
        }
        assert_eq!(refused(world, Place::A, "222222222"), ADDRESS_CHANGED);
        assert_eq!(refused(world, Place::Outside, "222222222"), ADDRESS_CHANGED);
    });
}

#[test]
fn c059_a_client_of_two_addresses_meets_its_target_at_the_relay_told() {
    with_b1(ENFORCING, |world| {
        assert_eq!(refused(world, Place::Outside, B1), ADDRESS_CHANGED);
        told_relay(world);
        for named in ["relay.example:21117", "192.168.1.1:80"] {
            let wish = say::request_relay(B1, |wish| wish.relay_server = named.into());
            let push = take!(&world.told(Place::Outside, &wish, Place::B), RequestRelay);
            assert_eq!((push.relay_server.as_str(), push.uuid.as_str()), ("relay.example", TOKEN));
            assert_eq!(demangle(&push.socket_addr), world.initiator());
            let answer = relayed(world, &say::relay_agreed(&push.socket_addr));
            assert!(answer.refuse_reason.is_empty());
        }
    });
}

#[test]
fn c085_a_target_is_sent_to_no_relay_but_the_one_its_initiator_was_told() {
    with_b1(OPEN, |world| {
        told_relay(world);
        for named in ["192.168.1.1:80", "127.0.0.1:22", "relay.example:80", "other.example"] {
            let wish = say::request_relay(B1, |wish| wish.relay_server = named.into());
            let push = take!(&world.told(Place::A, &wish, Place::B), RequestRelay);
            assert_eq!((push.relay_server.as_str(), push.uuid.as_str()), ("relay.example", TOKEN));
        }
    });
}
