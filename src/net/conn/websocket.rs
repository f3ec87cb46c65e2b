//! Opens WebSockets: the handshake within its deadline and size, and whose address the client
//! has when a trusted proxy tells it. C31, C53, C54.

use std::net::IpAddr;

use hbb_core::base::address::{Endpoint, canonical};
use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{CONNECTIONS_CEILING, HANDSHAKE_BYTES_MAX, HANDSHAKE_MS};
use hbb_core::wire::handshake::{Opening, Service, parse};
use hbb_core::wire::websocket::Assembly;

use crate::net::conn::Connection;
use crate::net::conn::gate::Gate;
use crate::net::conn::link::{Codec, Link, within};

/// Where a client is, or None if it is where its connection comes from. A proxy appends to one
/// header and may pass the other as the client sent it; where the two differ nobody can tell which
/// is the forged one, and neither is believed.
fn forwarded(gate: &Gate, from: Endpoint, opening: &Opening) -> Option<IpAddr> {
    if !gate.trusts(from.ip()) {
        return None;
    }
    let mut hops = opening.forwarded_for.iter().rev().copied().map(canonical);
    let last = hops.find(|hop| !gate.trusts(*hop));
    let real = opening.real_ip.map(canonical).filter(|ip| !gate.trusts(*ip));
    match (last, real) {
        (Some(last), Some(real)) => (last == real).then_some(last),
        (one, other) => one.or(other),
    }
}

/// Turns a fresh connection into a WebSocket; what it asks for is returned. From now on it comes
/// from where its client is.
///
/// # Errors
/// Why the connection must end; a request that opens no WebSocket was answered.
pub(crate) async fn upgrade(
    connection: &mut Connection,
    gate: &Gate,
    only_relay: bool,
) -> Result<Service, DropReason> {
    let link = &mut connection.link;
    let opening = within(HANDSHAKE_MS, Err(DropReason::Idle), opening(link)).await?;
    if let Some(ip) = forwarded(gate, connection.from, &opening) {
        connection.from = Endpoint::new(ip, own_port(connection.place.conn()));
        if gate.refuses(ip, only_relay) {
            return Err(DropReason::Blocked);
        }
        connection.place.told(ip).map_err(|_| DropReason::TableFull)?;
    }
    let link = &mut connection.link;
    link.write(opening.answer.as_bytes()).await?;
    link.codec = Codec::WebSocket(Assembly::default());
    Ok(opening.service)
}

async fn opening(link: &mut Link) -> Result<Opening, DropReason> {
    loop {
        match parse(&link.leftover) {
            Ok(Some(opening)) => {
                link.leftover = link.leftover.split_off(opening.consumed);
                return Ok(opening);
            }
            Ok(None) if link.leftover.len() > HANDSHAKE_BYTES_MAX => {
                return Err(DropReason::Oversized);
            }
            Ok(None) => link.read_more().await?,
            Err(refusal) => {
                link.write(refusal.answer().as_bytes()).await?;
                return Err(DropReason::Malformed);
            }
        }
    }
}

/// A port no other live connection has: behind one proxy many clients share one address, and the
/// port tells them apart (C53). Nobody connects to it.
fn own_port(conn: Conn) -> u16 {
    const FIRST: usize = 1024;
    let turn = conn.generation as usize % 3;
    let slot = conn.slot as usize % CONNECTIONS_CEILING;
    u16::try_from(FIRST + turn * CONNECTIONS_CEILING + slot).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use hbb_core::base::address::Network;

    use super::*;
    use crate::net::conn::gate::GateRules;

    fn told(from: &str, real_ip: &str, forwarded_for: &[&str]) -> Option<IpAddr> {
        let proxies = ["10.0.0.0/8", "::1/128"].map(|text| Network::parse(text).unwrap());
        let gate = Gate::default();
        gate.set(GateRules { proxies: proxies.to_vec(), ..GateRules::default() });
        let opening = Opening {
            service: Service::Other,
            answer: heapless::String::new(),
            real_ip: real_ip.parse().ok(),
            forwarded_for: forwarded_for.iter().map(|ip| ip.parse().unwrap()).collect(),
            consumed: 0,
        };
        forwarded(&gate, Endpoint::new(from.parse().unwrap(), 1), &opening)
    }

    #[test]
    fn c054_addresses_are_believed_from_trusted_proxies_alone() {
        let client: Option<IpAddr> = "192.0.2.7".parse().ok();
        assert_eq!(told("10.0.0.1", "192.0.2.7", &[]), client);
        assert_eq!(told("::1", "", &["203.0.113.1", "192.0.2.7", "10.0.0.2"]), client);
        assert_eq!(told("10.0.0.1", "192.0.2.7", &["192.0.2.7"]), client);
        assert_eq!(told("10.0.0.1", "10.0.0.2", &["192.0.2.7"]), client, "an inner proxy's view");
        assert_eq!(told("192.0.2.99", "192.0.2.7", &["192.0.2.7"]), None, "a stranger");
        assert_eq!(told("10.0.0.1", "192.0.2.8", &["192.0.2.7"]), None, "one is forged");
        assert_eq!(told("10.0.0.1", "", &["10.0.0.3"]), None);
    }

    #[test]
    fn c053_every_live_connection_has_a_port_of_its_own() {
        let mut ports: Vec<u16> = (0..3)
            .flat_map(|generation| (0..16_384).map(move |slot| own_port(Conn { slot, generation })))
            .collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!((ports.len(), ports[0]), (3 * 16_384, 1024));
    }
}
