//! Messages to values and values to messages; prost and the generated code stay in here.
//! A payload is one RendezvousMessage; the last member it holds is the one that counts.

pub mod client;
mod decode;
mod encode;
mod forward;
#[cfg(feature = "accounts")]
mod http;

use alloc::vec::Vec;

use super::patch::append;

pub use decode::decode;
#[cfg(any(test, feature = "testing"))]
pub use encode::encode;
pub use encode::{encode_into, key_exchange_offer};
#[cfg(not(feature = "testing"))]
pub(crate) use forward::{forward_relay_answer, forward_relay_request, id_pk};
#[cfg(feature = "testing")]
pub use forward::{forward_relay_answer, forward_relay_request, id_pk};
#[cfg(feature = "accounts")]
pub use http::{access_token, http_answer, http_call};

#[allow(clippy::all, dead_code, missing_docs, unreachable_pub, reason = "made by prost")]
#[path = "../../../../proto/rendezvous.rs"]
mod proto;

/// Member numbers of RendezvousMessage (protocol §2.1).
mod member {
    pub(super) const REGISTER_PEER: u32 = 6;
    pub(super) const REGISTER_PEER_RESPONSE: u32 = 7;
    pub(super) const PUNCH_HOLE_REQUEST: u32 = 8;
    pub(super) const PUNCH_HOLE: u32 = 9;
    pub(super) const PUNCH_HOLE_SENT: u32 = 10;
    pub(super) const PUNCH_HOLE_RESPONSE: u32 = 11;
    pub(super) const FETCH_LOCAL_ADDR: u32 = 12;
    pub(super) const LOCAL_ADDR: u32 = 13;
    pub(super) const REGISTER_PK: u32 = 15;
    pub(super) const REGISTER_PK_RESPONSE: u32 = 16;
    pub(super) const REQUEST_RELAY: u32 = 18;
    pub(super) const RELAY_RESPONSE: u32 = 19;
    pub(super) const TEST_NAT_REQUEST: u32 = 20;
    pub(super) const TEST_NAT_RESPONSE: u32 = 21;
    pub(super) const ONLINE_REQUEST: u32 = 23;
    pub(super) const ONLINE_RESPONSE: u32 = 24;
    pub(super) const KEY_EXCHANGE: u32 = 25;
    pub(super) const HEALTH_CHECK: u32 = 26;
    pub(super) const HTTP_PROXY_REQUEST: u32 = 27;
    pub(super) const HTTP_PROXY_RESPONSE: u32 = 28;
    pub(super) const ALL: core::ops::RangeInclusive<u32> = 6..=28;
}

/// How an online query begins: member 23 with its length.
pub const ONLINE_QUERY_BEGIN: [u8; 2] = [0xba, 0x01];

/// A message with this one member.
fn wrap_bytes(number: u32, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    append(&mut payload, number, body);
    payload
}
