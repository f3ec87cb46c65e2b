//! Messages to values and values to messages; prost and the generated code stay in here.
//! A payload is one RendezvousMessage; the last member it holds is the one that counts.
//! C06, C07, C10, C46, C51, C55-C57.

use alloc::vec;
use alloc::vec::Vec;

use prost::Message;

use crate::base::peer::{DeviceId, PeerId, PeerKey, RelayToken};

use super::addr::{Mangled, demangle};
use super::patch::{Fields, append, copy_without, last_member};
use super::reply::{DirectPath, Failure, Punch, PunchAnswer, Registered, Reply};
use super::request::{
    Echo, Given, KeyExchange, LocalAddr, OnlineQuery, PunchRequest, PunchSent, Registration,
    RelayAnswer, RelayRequest, Request,
};
use super::{ConnType, NatType, SocketV6, WireError};

#[allow(clippy::all, dead_code, missing_docs, unreachable_pub, reason = "made by prost")]
#[path = "../../../proto/rendezvous.rs"]
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
    pub(super) const ALL: core::ops::RangeInclusive<u32> = 6..=28;
}

/// Reads one payload.
///
/// # Errors
/// [`WireError::Malformed`] if it is not well-formed or holds no member we know (C06, C07).
pub fn decode(payload: &[u8]) -> Result<Request<'_>, WireError> {
    if !Fields::new(payload).is_complete() {
        return Err(WireError::Malformed);
    }
    let (number, body) = last_member(payload, member::ALL).ok_or(WireError::Malformed)?;
    Ok(match number {
        member::REGISTER_PEER => {
            Request::RegisterPeer { id: peer_id(&parse::<proto::RegisterPeer>(body)?.id) }
        }
        member::REGISTER_PK => Request::RegisterPk(registration(&parse(body)?)),
        member::PUNCH_HOLE_REQUEST => Request::PunchHole(punch_request(parse(body)?)),
        member::PUNCH_HOLE_SENT => Request::PunchSent(punch_sent(parse(body)?)),
        member::LOCAL_ADDR => Request::LocalAddr(local_addr(parse(body)?)),
        member::REQUEST_RELAY => Request::RequestRelay(relay_request(parse(body)?, body)),
        member::RELAY_RESPONSE => Request::RelayResponse(relay_answer(parse(body)?, body)),
        member::TEST_NAT_REQUEST => {
            parse::<proto::TestNatRequest>(body).map(|_| Request::TestNat)?
        }
        member::ONLINE_REQUEST if Fields::new(body).is_complete() => {
            Request::Online(OnlineQuery::new(body))
        }
        member::ONLINE_REQUEST => return Err(WireError::Malformed),
        member::KEY_EXCHANGE => Request::KeyExchange(key_exchange(&parse(body)?)?),
        member::HEALTH_CHECK => Request::HealthCheck,
        member::HTTP_PROXY_REQUEST => Request::HttpProxy,
        _ => Request::Ignored,
    })
}

fn parse<M: Message + Default>(body: &[u8]) -> Result<M, WireError> {
    M::decode(body).map_err(|_| WireError::Malformed)
}

fn peer_id(text: &str) -> Given<PeerId> {
    given(text.is_empty(), PeerId::new(text))
}

fn given<T>(empty: bool, value: Option<T>) -> Given<T> {
    match value {
        _ if empty => Given::Nothing,
        None => Given::Unusable,
        Some(value) => Given::Value(value),
    }
}

fn socket_v6(bytes: &[u8]) -> Option<SocketV6> {
    bytes.try_into().ok()
}

fn echo(bytes: &[u8]) -> Echo {
    Echo { exact: Mangled::from_bytes(bytes), endpoint: demangle(bytes) }
}

fn registration(message: &proto::RegisterPk) -> Registration {
    Registration {
        id: peer_id(&message.id),
        device: given(message.uuid.is_empty(), DeviceId::new(&message.uuid)),
        key: given(message.pk.is_empty(), PeerKey::new(&message.pk)),
        old_id: peer_id(&message.old_id),
    }
}

fn punch_request(message: proto::PunchHoleRequest) -> PunchRequest {
    PunchRequest {
        target: peer_id(&message.id),
        nat: NatType(message.nat_type),
        access_key: message.access_key,
        udp_port: message.udp_port,
        force_relay: message.force_relay,
        upnp_port: message.upnp_port,
        v6: socket_v6(&message.socket_addr_v6),
    }
}

fn punch_sent(message: proto::PunchHoleSent) -> PunchSent {
    PunchSent {
        echo: echo(&message.socket_addr),
        id: peer_id(&message.id),
        relay: message.relay_server,
        nat: NatType(message.nat_type),
        versioned: !message.version.is_empty(),
        upnp_port: message.upnp_port,
        v6: socket_v6(&message.socket_addr_v6),
    }
}

fn local_addr(message: proto::LocalAddr) -> LocalAddr {
    LocalAddr {
        echo: echo(&message.socket_addr),
        id: peer_id(&message.id),
        local: message.local_addr,
        relay: message.relay_server,
        versioned: !message.version.is_empty(),
        v6: socket_v6(&message.socket_addr_v6),
    }
}

fn relay_request(message: proto::RequestRelay, raw: &[u8]) -> RelayRequest<'_> {
    let tunnel = [proto::ConnType::PortForward as i32, proto::ConnType::Rdp as i32];
    RelayRequest {
        target: peer_id(&message.id),
        token: given(message.uuid.is_empty(), RelayToken::new(&message.uuid)),
        names_relay: !message.relay_server.is_empty(),
        access_key: message.access_key,
        conn_type: match tunnel.contains(&message.conn_type) {
            true => ConnType::Tunnel,
            false => ConnType::Interactive,
        },
        raw,
    }
}

fn relay_answer(message: proto::RelayResponse, raw: &[u8]) -> RelayAnswer<'_> {
    let id = match message.peer {
        Some(proto::relay_response::Peer::Id(id)) => peer_id(&id),
        Some(proto::relay_response::Peer::Pk(_)) | None => Given::Nothing,
    };
    RelayAnswer {
        echo: echo(&message.socket_addr),
        id,
        relay: message.relay_server,
        versioned: !message.version.is_empty(),
        raw,
    }
}

fn key_exchange(message: &proto::KeyExchange) -> Result<KeyExchange, WireError> {
    let [public, boxed] = message.keys.as_slice() else { return Err(WireError::Malformed) };
    let public = public.as_slice().try_into().map_err(|_| WireError::Malformed)?;
    let boxed = boxed.as_slice().try_into().map_err(|_| WireError::Malformed)?;
    Ok(KeyExchange { public, boxed })
}

/// The payload that says `reply`. All-default answers are present and empty (C10).
pub fn encode(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::RegisterPeer { request_pk } => wrap(
            member::REGISTER_PEER_RESPONSE,
            &proto::RegisterPeerResponse { request_pk: *request_pk },
        ),
        Reply::RegisterPk { outcome, keep_alive_secs } => wrap(
            member::REGISTER_PK_RESPONSE,
            &proto::RegisterPkResponse {
                outcome: registered(*outcome) as i32,
                keep_alive: i32::from(*keep_alive_secs),
            },
        ),
        Reply::Punch(punch) => wrap(member::PUNCH_HOLE, &punch_hole(punch)),
        Reply::FetchLocalAddr { to, relay, v6 } => wrap(
            member::FETCH_LOCAL_ADDR,
            &proto::FetchLocalAddr {
                socket_addr: to.as_bytes().to_vec(),
                relay_server: relay.clone(),
                socket_addr_v6: v6_bytes(*v6),
                ..Default::default()
            },
        ),
        Reply::PunchRefused(failure) => wrap(
            member::PUNCH_HOLE_RESPONSE,
            &proto::PunchHoleResponse { failure: failed(*failure) as i32, ..Default::default() },
        ),
        Reply::PunchRefusedText(text) => wrap(
            member::PUNCH_HOLE_RESPONSE,
            &proto::PunchHoleResponse { other_failure: (*text).into(), ..Default::default() },
        ),
        Reply::PunchAnswer(answer) => wrap(member::PUNCH_HOLE_RESPONSE, &punch_response(answer)),
        Reply::Forward(payload) => payload.clone(),
        Reply::RelayRefused(text) => wrap(
            member::RELAY_RESPONSE,
            &proto::RelayResponse { refuse_reason: (*text).into(), ..Default::default() },
        ),
        Reply::Nat { port } => wrap(
            member::TEST_NAT_RESPONSE,
            &proto::TestNatResponse { port: i32::from(*port), ..Default::default() },
        ),
        Reply::Online(states) => {
            wrap(member::ONLINE_RESPONSE, &proto::OnlineResponse { states: states.clone() })
        }
    }
}

fn wrap<M: Message>(number: u32, message: &M) -> Vec<u8> {
    wrap_bytes(number, &message.encode_to_vec())
}

fn wrap_bytes(number: u32, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(body.len() + 6);
    append(&mut payload, number, body);
    payload
}

fn v6_bytes(v6: Option<SocketV6>) -> Vec<u8> {
    v6.map(Vec::from).unwrap_or_default()
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
        ..Default::default()
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
    wrap(member::KEY_EXCHANGE, &proto::KeyExchange { keys: vec![signed.to_vec()] })
}

/// The bytes under a peer key's signature: IdPk (protocol §4.9).
pub fn id_pk(id: &PeerId, key: &PeerKey) -> Vec<u8> {
    proto::IdPk { id: id.as_str().into(), pk: key.0.to_vec() }.encode_to_vec()
}

/// RequestRelay for the target (C57): the initiator's address in; out go its secrets (C55) and
/// what only a server may say, permissions and audit context; every other field as it came.
pub fn forward_relay_request(raw: &[u8], initiator: &Mangled) -> Vec<u8> {
    const SOCKET_ADDR: u32 = 3;
    const ACCESS_KEY: u32 = 6;
    const TOKEN: u32 = 8;
    const CONTROL_PERMISSIONS: u32 = 9;
    const CONTROLLED_CONTEXT: u32 = 10;
    const SWITCH_CODE: u32 = 11;
    let dropped =
        [SOCKET_ADDR, ACCESS_KEY, TOKEN, CONTROL_PERMISSIONS, CONTROLLED_CONTEXT, SWITCH_CODE];
    let mut body = copy_without(raw, &dropped);
    append(&mut body, SOCKET_ADDR, initiator.as_bytes());
    wrap_bytes(member::REQUEST_RELAY, &body)
}

/// RelayResponse for the initiator (C56): its own address out, the target's id replaced by
/// `signed_key` if the target told one, the relay replaced if `relay` is some.
pub fn forward_relay_answer(raw: &[u8], signed_key: Option<&[u8]>, relay: Option<&str>) -> Vec<u8> {
    const SOCKET_ADDR: u32 = 1;
    const RELAY_SERVER: u32 = 3;
    const ID: u32 = 4;
    const PK: u32 = 5;
    let fixed = [SOCKET_ADDR, ID, PK];
    let with_relay = [SOCKET_ADDR, ID, PK, RELAY_SERVER];
    let mut body = copy_without(raw, if relay.is_some() { &with_relay } else { &fixed });
    if let Some(signed) = signed_key {
        append(&mut body, PK, signed);
    }
    if let Some(relay) = relay {
        append(&mut body, RELAY_SERVER, relay.as_bytes());
    }
    wrap_bytes(member::RELAY_RESPONSE, &body)
}
