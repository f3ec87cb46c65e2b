//! What clients say and read: payloads made and taken apart without the server's own codec, by
//! the generated message code alone. Knows the messages of protocol §2, no rules.

#![allow(dead_code, unused_macros, unused_imports, reason = "each test binary uses a part")]

use prost::Message as _;

#[path = "../../proto/rendezvous.rs"]
#[allow(missing_docs, unreachable_pub, dead_code, clippy::all, reason = "made by prost")]
pub(crate) mod proto;

pub(crate) use proto::rendezvous_message::Body;
use proto::{
    LocalAddr, OnlineRequest, PunchHoleRequest, PunchHoleSent, RegisterPeer, RegisterPk,
    RelayResponse, RendezvousMessage, RequestRelay, TestNatRequest, relay_response,
};

/// The payload that holds `body`.
pub(crate) fn payload(body: Body) -> Vec<u8> {
    RendezvousMessage { body: Some(body) }.encode_to_vec()
}

/// What a payload holds.
pub(crate) fn read(payload: &[u8]) -> Body {
    RendezvousMessage::decode(payload).expect("well-formed").body.expect("a known member")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of hex text; blanks are skipped.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

pub(crate) fn register_peer(id: &str) -> Vec<u8> {
    payload(Body::RegisterPeer(RegisterPeer { id: id.into(), serial: 3 }))
}

pub(crate) fn register_pk(id: &str, device: &[u8], key: &[u8]) -> Vec<u8> {
    payload(Body::RegisterPk(RegisterPk {
        id: id.into(),
        uuid: device.into(),
        pk: key.into(),
        ..Default::default()
    }))
}

/// RegisterPk that changes an id.
pub(crate) fn change_id(from: &str, to: &str, device: &[u8]) -> Vec<u8> {
    payload(Body::RegisterPk(RegisterPk {
        id: to.into(),
        old_id: from.into(),
        uuid: device.into(),
        ..Default::default()
    }))
}

/// PunchHoleRequest for `id`, changed by `change`.
pub(crate) fn punch(id: &str, change: impl FnOnce(&mut PunchHoleRequest)) -> Vec<u8> {
    let mut wish =
        PunchHoleRequest { id: id.into(), version: "1.4.9".into(), ..Default::default() };
    wish.nat_type = 1;
    change(&mut wish);
    payload(Body::PunchHoleRequest(wish))
}

/// PunchHoleSent by `id` that echoes `echo`.
pub(crate) fn punch_sent(
    id: &str,
    echo: &[u8],
    change: impl FnOnce(&mut PunchHoleSent),
) -> Vec<u8> {
    let mut sent = PunchHoleSent {
        socket_addr: echo.into(),
        id: id.into(),
        relay_server: "relay.example".into(),
        nat_type: 1,
        version: "1.4.9".into(),
        ..Default::default()
    };
    change(&mut sent);
    payload(Body::PunchHoleSent(sent))
}

/// LocalAddr by `id` for the initiator that `echo` spells.
pub(crate) fn local_addr(id: &str, echo: &[u8], change: impl FnOnce(&mut LocalAddr)) -> Vec<u8> {
    let mut local = LocalAddr {
        socket_addr: echo.into(),
        local_addr: unhex("f4a8f0ac682470fe8964"),
        relay_server: "relay.example".into(),
        id: id.into(),
        version: "1.4.9".into(),
        ..Default::default()
    };
    change(&mut local);
    payload(Body::LocalAddr(local))
}

/// RequestRelay for `id`.
pub(crate) fn request_relay(id: &str, change: impl FnOnce(&mut RequestRelay)) -> Vec<u8> {
    let mut wish = RequestRelay {
        id: id.into(),
        uuid: TOKEN.into(),
        relay_server: "relay.example:21117".into(),
        secure: true,
        ..Default::default()
    };
    change(&mut wish);
    payload(Body::RequestRelay(wish))
}

/// A token as clients make it.
pub(crate) const TOKEN: &str = "6b8f3c1e-2f4a-4d0c-9a57-0f1e2d3c4b5a";

/// RelayResponse of a target that chose the relay itself, `id` being its own.
pub(crate) fn relay_chosen(
    id: &str,
    echo: &[u8],
    change: impl FnOnce(&mut RelayResponse),
) -> Vec<u8> {
    let mut answer = RelayResponse {
        socket_addr: echo.into(),
        uuid: TOKEN.into(),
        relay_server: "relay.example".into(),
        peer: Some(relay_response::Peer::Id(id.into())),
        version: "1.4.9".into(),
        ..Default::default()
    };
    change(&mut answer);
    payload(Body::RelayResponse(answer))
}

/// RelayResponse of a target that comes because the initiator asked.
pub(crate) fn relay_agreed(echo: &[u8]) -> Vec<u8> {
    payload(Body::RelayResponse(RelayResponse {
        socket_addr: echo.into(),
        version: "1.4.9".into(),
        ..Default::default()
    }))
}

pub(crate) fn test_nat(serial: i32) -> Vec<u8> {
    payload(Body::TestNatRequest(TestNatRequest { serial }))
}

pub(crate) fn online(ids: &[&str]) -> Vec<u8> {
    online_as("987654321", ids)
}

/// Asked by one's own account by `asker`.
pub(crate) fn online_as(asker: &str, ids: &[&str]) -> Vec<u8> {
    let peers = ids.iter().map(|id| (*id).into()).collect();
    payload(Body::OnlineRequest(OnlineRequest { id: asker.into(), peers }))
}

/// Takes the one member out of a payload: `take!(payload, PunchHole)`.
macro_rules! take {
    ($payload:expr, $member:ident) => {
        match $crate::say::read($payload) {
            $crate::say::Body::$member(message) => message,
            _ => panic!("not a {}: {}", stringify!($member), $crate::say::hex($payload)),
        }
    };
}
pub(crate) use take;
