//! Replies to payloads. C10, C26, C46, C51.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use prost::Message;

use crate::wire::SocketV6;
use crate::wire::addr::{Mangled, demangle};
use crate::wire::patch::{append, append_header};
use crate::wire::reply::{DirectPath, Failure, Punch, PunchAnswer, Registered, Remarks, Reply};

use super::{member, proto};

/// HttpProxyResponse with status 404 alone.
const NOT_FOUND: &[u8] = &[0x08, 0x94, 0x03];

/// The payload that says `reply`, for tests.
#[cfg(any(test, feature = "testing"))]
pub fn encode(reply: &Reply) -> Vec<u8> {
    let mut payload = Vec::new();
    encode_into(&mut payload, reply);
    payload
}

/// Puts the payload that says `reply` behind what is in `out`, whose memory serves for one after
/// the other. All-default answers are present and empty (C10).
pub fn encode_into(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Reply::RegisterPeer { request_pk } => wrap(
            out,
            member::REGISTER_PEER_RESPONSE,
            &proto::RegisterPeerResponse { request_pk: *request_pk },
        ),
        Reply::RegisterPk { outcome, keep_alive_secs } => wrap(
            out,
            member::REGISTER_PK_RESPONSE,
            &proto::RegisterPkResponse {
                outcome: registered(*outcome) as i32,
                keep_alive: i32::from(*keep_alive_secs),
            },
        ),
        Reply::Punch(punch) => wrap(out, member::PUNCH_HOLE, &punch_hole(punch)),
        Reply::FetchLocalAddr { to, relay, v6, remarks } => wrap(
            out,
            member::FETCH_LOCAL_ADDR,
            &proto::FetchLocalAddr {
                socket_addr: to.as_bytes().to_vec(),
                relay_server: relay.clone(),
                socket_addr_v6: v6_bytes(*v6),
                control_permissions: control(*remarks),
                controlled_context: context(to, *remarks),
            },
        ),
        Reply::PunchRefused(failure) => wrap(
            out,
            member::PUNCH_HOLE_RESPONSE,
            &proto::PunchHoleResponse { failure: failed(*failure) as i32, ..Default::default() },
        ),
        Reply::PunchAnswer(answer) => {
            wrap(out, member::PUNCH_HOLE_RESPONSE, &punch_response(answer))
        }
        Reply::Forward(payload) => out.extend_from_slice(payload),
        Reply::Refused { said, relay } => refuse(out, said, *relay),
        #[cfg(feature = "accounts")]
        Reply::Denied { said, relay } => refuse(out, said, *relay),
        Reply::Nat { port } => wrap(
            out,
            member::TEST_NAT_RESPONSE,
            &proto::TestNatResponse { port: i32::from(*port), ..Default::default() },
        ),
        Reply::Online(states) => {
            wrap(out, member::ONLINE_RESPONSE, &proto::OnlineResponse { states: states.clone() })
        }
        Reply::NoApi => append(out, member::HTTP_PROXY_RESPONSE, NOT_FOUND),
    }
}

fn refuse(out: &mut Vec<u8>, said: &str, relay: bool) {
    if relay {
        let refusal = proto::RelayResponse { refuse_reason: said.into(), ..Default::default() };
        return wrap(out, member::RELAY_RESPONSE, &refusal);
    }
    let refusal = proto::PunchHoleResponse { other_failure: said.into(), ..Default::default() };
    wrap(out, member::PUNCH_HOLE_RESPONSE, &refusal);
}

fn v6_bytes(v6: Option<SocketV6>) -> Vec<u8> {
    v6.map(Vec::from).unwrap_or_default()
}

pub(super) fn control(remarks: Remarks) -> Option<proto::ControlPermissions> {
    let permissions = remarks.permissions;
    (permissions != 0).then_some(proto::ControlPermissions { permissions })
}

/// The initiator's address, by which its asks are one entry of the log of connections (C194).
pub(super) fn context(initiator: &Mangled, remarks: Remarks) -> Option<proto::ControlledContext> {
    let conn_audit_ref = || demangle(initiator.as_bytes()).ip().to_string();
    (cfg!(feature = "accounts") && remarks.reports)
        .then(|| proto::ControlledContext { conn_audit_ref: conn_audit_ref() })
}

fn punch_hole(punch: &Punch) -> proto::PunchHole {
    proto::PunchHole {
        socket_addr: punch.to.as_bytes().to_vec(),
        relay_server: punch.relay.clone(),
        nat_type: punch.nat.0,
        udp_port: punch.udp_port,
        force_relay: punch.force_relay,
        upnp_port: punch.upnp_port,
        socket_addr_v6: v6_bytes(punch.v6),
        control_permissions: control(punch.remarks),
        controlled_context: context(&punch.to, punch.remarks),
    }
}

fn punch_response(answer: &PunchAnswer) -> proto::PunchHoleResponse {
    proto::PunchHoleResponse {
        socket_addr: answer.addr.clone(),
        pk: answer.signed_key.clone().unwrap_or_default(),
        relay_server: answer.relay.clone(),
        path: Some(match answer.path {
            DirectPath::Nat(nat) => proto::punch_hole_response::Path::NatType(nat.0),
            DirectPath::Local => proto::punch_hole_response::Path::IsLocal(true),
        }),
        is_udp: answer.is_udp,
        upnp_port: answer.upnp_port,
        socket_addr_v6: v6_bytes(answer.v6),
        ..Default::default()
    }
}

fn registered(outcome: Registered) -> proto::register_pk_response::Outcome {
    use proto::register_pk_response::Outcome;
    match outcome {
        Registered::Ok => Outcome::Ok,
        Registered::UuidMismatch => Outcome::UuidMismatch,
        Registered::IdExists => Outcome::IdExists,
        Registered::TooFrequent => Outcome::TooFrequent,
        Registered::InvalidIdFormat => Outcome::InvalidIdFormat,
        Registered::NotSupport => Outcome::NotSupport,
        Registered::ServerError => Outcome::ServerError,
        #[cfg(feature = "accounts")]
        Registered::NotDeployed => Outcome::NotDeployed,
    }
}

fn failed(failure: Failure) -> proto::punch_hole_response::Failure {
    use proto::punch_hole_response::Failure as Wire;
    match failure {
        Failure::IdNotExist => Wire::IdNotExist,
        Failure::Offline => Wire::Offline,
        Failure::KeyMismatch => Wire::KeyMismatch,
    }
}

/// The KeyExchange that makes an offer (C26).
pub fn key_exchange_offer(signed: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    let offer = proto::KeyExchange { keys: vec![signed.to_vec()] };
    wrap(&mut payload, member::KEY_EXCHANGE, &offer);
    payload
}

fn wrap<M: Message>(out: &mut Vec<u8>, number: u32, message: &M) {
    append_header(out, number, message.encoded_len());
    message.encode_raw(out);
}
