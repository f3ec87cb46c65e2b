//! The client's side of the few exchanges by which `hbb doctor` tries a server from outside; none
//! of them registers anything. C159.

use alloc::vec::Vec;

use crate::wire::patch::{Fields, append, last_member, member_of_whole};

use super::{member, wrap_bytes};

/// What a server says to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It takes registrations, and wants the key behind this one.
    Registered,
    /// The port it sees, 0 for none.
    Nat(u64),
    /// One signed key of a sealed channel, 96 bytes if it is one (protocol §4.8).
    Offer(&'a [u8]),
    /// Where a target is, or why it is nowhere.
    Target(Target<'a>),
    /// Anything else.
    Other,
}

/// PunchHoleResponse, or the RelayResponse that takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Why there is no path, as the wire numbers it; None if there is one.
    pub failure: Option<u64>,
    /// The target's key under the server's signature; empty if there is none.
    pub signed: &'a [u8],
    /// The relay to fall back to; a text, if all is well.
    pub relay: &'a [u8],
}

impl Target<'_> {
    /// The key that was shown is not the server's.
    pub const KEY_MISMATCH: u64 = 3;
}

/// TestNatRequest.
pub fn test_nat() -> Vec<u8> {
    wrap_bytes(member::TEST_NAT_REQUEST, &[])
}

/// RegisterPeer: stored nowhere as long as no key follows.
pub fn register_peer(id: &str) -> Vec<u8> {
    wrap_bytes(member::REGISTER_PEER, &texts(&[(1, id)]))
}

/// PunchHoleRequest for `id`, showing `access_key`. A version makes the target tell its own.
pub fn punch(id: &str, access_key: &str) -> Vec<u8> {
    let body = texts(&[(1, id), (3, access_key), (6, env!("CARGO_PKG_VERSION"))]);
    wrap_bytes(member::PUNCH_HOLE_REQUEST, &body)
}

/// RequestRelay of a leg at the relay.
pub fn relay_leg(token: &str, access_key: &str) -> Vec<u8> {
    wrap_bytes(member::REQUEST_RELAY, &texts(&[(2, token), (6, access_key)]))
}

fn texts(fields: &[(u32, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (number, text) in fields {
        append(&mut body, *number, text.as_bytes());
    }
    body
}

/// Reads what a server sent; None if it is no message of this protocol.
pub fn answer(payload: &[u8]) -> Option<Answer<'_>> {
    let (number, body) = member_of_whole(payload, member::ALL)?;
    Some(match number {
        member::REGISTER_PEER_RESPONSE => Answer::Registered,
        member::TEST_NAT_RESPONSE => Answer::Nat(value(body, 1)),
        member::KEY_EXCHANGE => Answer::Offer(bytes(body, 1)),
        member::PUNCH_HOLE_RESPONSE => Answer::Target(Target {
            failure: bytes(body, 1).is_empty().then(|| value(body, 3)),
            signed: bytes(body, 2),
            relay: bytes(body, 4),
        }),
        member::RELAY_RESPONSE => Answer::Target(Target {
            failure: (!bytes(body, 6).is_empty()).then_some(0),
            signed: bytes(body, 5),
            relay: bytes(body, 3),
        }),
        _ => Answer::Other,
    })
}

/// The id and the key that a server signed (protocol §4.9).
pub fn id_of_signed(id_pk: &[u8]) -> &[u8] {
    bytes(id_pk, 1)
}

fn bytes(body: &[u8], number: u32) -> &[u8] {
    last_member(body, number..=number).map_or(&[], |(_, contents)| contents)
}

fn value(body: &[u8], number: u32) -> u64 {
    Fields::new(body).filter(|field| field.number == number).last().map_or(0, |field| field.value())
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec;

    use super::*;
    use crate::base::address::Endpoint;
    use crate::wire::NatType;
    use crate::wire::addr::Mangled;
    use crate::wire::message::{decode, encode, key_exchange_offer};
    use crate::wire::reply::{DirectPath, Failure, PunchAnswer, Reply};
    use crate::wire::request::{Given, Request};

    #[test]
    fn c159_the_server_reads_what_is_asked() {
        assert_eq!(decode(&test_nat()), Ok(Request::TestNat));
        let Ok(Request::PunchHole(asked)) = decode(&punch("123456789", "key")) else { panic!() };
        assert_eq!(asked.access_key, "key");
        assert!(matches!(asked.target, Given::Value(_)));
        let leg = relay_leg("token", "key");
        let Ok(Request::RequestRelay(asked)) = decode(&leg) else { panic!() };
        assert_eq!(asked.access_key, "key");
        assert!(matches!(asked.token, Given::Value(_)));
        let asked = register_peer("123456789");
        assert!(matches!(decode(&asked), Ok(Request::RegisterPeer { id: Given::Value(_) })));
    }

    #[test]
    fn c159_what_the_server_answers_is_read() {
        let reads = |reply, told| assert_eq!(answer(&encode(&reply)), Some(told));
        reads(Reply::Nat { port: 54321 }, Answer::Nat(54321));
        reads(Reply::RegisterPeer { request_pk: true }, Answer::Registered);
        assert_eq!(answer(&key_exchange_offer(&[7; 96])), Some(Answer::Offer(&[7; 96])));
        let refused = Target { failure: Some(Target::KEY_MISMATCH), signed: &[], relay: &[] };
        reads(Reply::PunchRefused(Failure::KeyMismatch), Answer::Target(refused));
        let endpoint = Endpoint::new([192, 0, 2, 1].into(), 7);
        let found = Reply::PunchAnswer(Box::new(PunchAnswer {
            addr: Mangled::new(endpoint, 1).as_bytes().to_vec(),
            signed_key: Some(vec![1; 70]),
            relay: "r:1".into(),
            path: DirectPath::Nat(NatType(1)),
            is_udp: false,
            upnp_port: 0,
            v6: None,
        }));
        let target = Target { failure: None, signed: &[1; 70], relay: b"r:1" };
        reads(found, Answer::Target(target));
        assert_eq!(answer(&[0xff, 0xff]), None);
        assert_eq!(answer(b"SSH-2.0-x\r\n"), None);
    }
}
