//! Payloads to requests. C06, C07.

use prost::Message;

use crate::base::peer::{DeviceId, PeerId, PeerKey, RelayToken};
use crate::wire::addr::{Mangled, demangle};
use crate::wire::patch::{Fields, member_of_whole};
use crate::wire::request::{
    Echo, Given, KeyExchange, LocalAddr, OnlineQuery, PunchRequest, PunchSent, Registration,
    RelayAnswer, RelayRequest, Request,
};
use crate::wire::{ConnType, NatType, SocketV6, WireError};

use super::{member, proto};

/// Reads one payload.
///
/// # Errors
/// [`WireError::Malformed`] if it is not well-formed or holds no member we know (C06, C07).
pub fn decode(payload: &[u8]) -> Result<Request<'_>, WireError> {
    let (number, body) = member_of_whole(payload, member::ALL).ok_or(WireError::Malformed)?;
    Ok(match number {
        member::REGISTER_PEER => Request::RegisterPeer { id: peer_id(register_peer(body)?) },
        member::HEALTH_CHECK => Request::HealthCheck,
        member::HTTP_PROXY_REQUEST => Request::HttpProxy,
        // prost passes groups over, which nothing here sends and what is passed on cannot hold.
        _ if !Fields::new(body).is_complete() => return Err(WireError::Malformed),
        member::REGISTER_PK => Request::RegisterPk(registration(&parse(body)?)),
        member::PUNCH_HOLE_REQUEST => Request::PunchHole(punch_request(parse(body)?)),
        member::PUNCH_HOLE_SENT => Request::PunchSent(punch_sent(parse(body)?)),
        member::LOCAL_ADDR => Request::LocalAddr(local_addr(parse(body)?)),
        member::REQUEST_RELAY => Request::RequestRelay(relay_request(parse(body)?, body)),
        member::RELAY_RESPONSE => Request::RelayResponse(relay_answer(parse(body)?, body)),
        member::TEST_NAT_REQUEST => {
            parse::<proto::TestNatRequest>(body).map(|_| Request::TestNat)?
        }
        member::ONLINE_REQUEST => Request::Online(OnlineQuery::new(body)),
        member::KEY_EXCHANGE => Request::KeyExchange(key_exchange(&parse(body)?)?),
        _ => Request::Ignored,
    })
}

fn parse<M: Message + Default>(body: &[u8]) -> Result<M, WireError> {
    M::decode(body).map_err(|_| WireError::Malformed)
}

/// The id of a RegisterPeer. Nothing comes as often, so that it is read in its place.
fn register_peer(body: &[u8]) -> Result<&str, WireError> {
    const ID: u32 = 1;
    let (mut fields, mut id) = (Fields::new(body), &[][..]);
    for field in fields.by_ref().filter(|field| field.number == ID) {
        id = field.contents.ok_or(WireError::Malformed)?;
    }
    let whole = fields.rest().is_empty();
    str::from_utf8(id).ok().filter(|_| whole).ok_or(WireError::Malformed)
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
        relay: message.relay_server,
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
        token: given(message.uuid.is_empty(), RelayToken::new(&message.uuid)),
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
