//! What passes through with fields taken out and put in, and what a signature covers. C55-C57.

use alloc::vec::Vec;

use prost::Message as _;

use crate::base::peer::{PeerId, PeerKey};
use crate::wire::addr::Mangled;
use crate::wire::patch::{append, copy_without};
use crate::wire::reply::Remarks;

use super::encode::{context, control};
use super::{member, proto, wrap_bytes};

/// The bytes under a peer key's signature: IdPk (protocol §4.9).
pub fn id_pk(id: &PeerId, key: &PeerKey) -> Vec<u8> {
    proto::IdPk { id: id.as_str().into(), pk: key.0.to_vec() }.encode_to_vec()
}

/// RequestRelay for the target (C57): the initiator's address in; out go its secrets (C55) and
/// what only a server may say, permissions and audit context, and our own in; the relay replaced
/// if `relay` is some; every other field as it came.
pub fn forward_relay_request(
    raw: &[u8],
    initiator: &Mangled,
    relay: Option<&str>,
    remarks: Remarks,
) -> Vec<u8> {
    const SOCKET_ADDR: u32 = 3;
    const RELAY_SERVER: u32 = 4;
    const ACCESS_KEY: u32 = 6;
    const TOKEN: u32 = 8;
    const CONTROL_PERMISSIONS: u32 = 9;
    const CONTROLLED_CONTEXT: u32 = 10;
    const SWITCH_CODE: u32 = 11;
    let with_relay = [
        SOCKET_ADDR,
        ACCESS_KEY,
        TOKEN,
        CONTROL_PERMISSIONS,
        CONTROLLED_CONTEXT,
        SWITCH_CODE,
        RELAY_SERVER,
    ];
    let dropped = if relay.is_some() { &with_relay[..] } else { &with_relay[..6] };
    let mut body = copy_without(raw, dropped);
    append(&mut body, SOCKET_ADDR, initiator.as_bytes());
    if let Some(relay) = relay {
        append(&mut body, RELAY_SERVER, relay.as_bytes());
    }
    if let Some(control) = control(remarks) {
        append(&mut body, CONTROL_PERMISSIONS, &control.encode_to_vec());
    }
    if let Some(context) = context(initiator, remarks) {
        append(&mut body, CONTROLLED_CONTEXT, &context.encode_to_vec());
    }
    wrap_bytes(member::REQUEST_RELAY, &body)
}

/// RelayResponse for the initiator (C56): its own address out, the target's id replaced by
/// `signed_key` if the target told one, the relay replaced if `relay` is some, and the target's
/// IPv6 socket out where only the relay will do.
pub fn forward_relay_answer(
    raw: &[u8],
    signed_key: Option<&[u8]>,
    relay: Option<&str>,
    relay_only: bool,
) -> Vec<u8> {
    const SOCKET_ADDR: u32 = 1;
    const RELAY_SERVER: u32 = 3;
    const ID: u32 = 4;
    const PK: u32 = 5;
    const SOCKET_ADDR_V6: u32 = 10;
    let or_less = |also: bool, field: u32| if also { field } else { ID };
    let relay_server = or_less(relay.is_some(), RELAY_SERVER);
    let v6 = or_less(relay_only, SOCKET_ADDR_V6);
    let mut body = copy_without(raw, &[SOCKET_ADDR, ID, PK, relay_server, v6]);
    if let Some(signed) = signed_key {
        append(&mut body, PK, signed);
    }
    if let Some(relay) = relay {
        append(&mut body, RELAY_SERVER, relay.as_bytes());
    }
    wrap_bytes(member::RELAY_RESPONSE, &body)
}
