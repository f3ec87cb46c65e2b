//! Whose connection it is, where a trusted proxy made it: the PROXY protocol, or what the request
//! of a WebSocket says. Whoever a proxy does not name comes from outside. C53, C103, C104,
//! C131.

use std::net::IpAddr;

use log::warn;

use hbb_core::base::address::{Endpoint, canonical};
use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{CONNECTIONS_CEILING, MESSAGE_MS, OFFER_DELAY_SHARED_MS};
use hbb_core::wire::handshake::{Forwarded, Refusal};
use hbb_core::wire::proxied::{Client, parse};

use crate::config::ProxyHeader;
use crate::net::conn::Connection;
use crate::net::conn::gate::Door;
#[cfg(feature = "web")]
use crate::net::conn::gate::Web;
use crate::net::conn::link::{Link, within};

/// Reads what a proxy says before its client's first byte, if proxies are to say something. From
/// now on the connection comes from where its client is.
///
/// # Errors
/// Why the connection must end.
pub(crate) async fn identify(
    connection: &mut Connection,
    door: Door<'_>,
) -> Result<(), DropReason> {
    if !door.gate.hears_of_clients(connection.from.ip()) {
        return Ok(());
    }
    let link = &mut connection.link;
    // Proxies say it at once, a client may be silent.
    within(OFFER_DELAY_SHARED_MS, Ok(()), link.read_more()).await?;
    let client = match link.leftover.is_empty() {
        true => None,
        false => within(MESSAGE_MS, Err(DropReason::Idle), header(link)).await?,
    };
    if let Some(Client::At(at)) = client
        && at.port() != 0
        && door.gate.is_client(at.ip())
    {
        return is_at(connection, door, at);
    }
    if client.is_some() && link.leftover.is_empty() {
        // A proxy that only looks whether we are there names itself or nobody, and leaves.
        within(OFFER_DELAY_SHARED_MS, Ok(()), link.read_more()).await?;
    }
    match client {
        Some(Client::Proxy) => is_outside(connection, door),
        // The request tells.
        None if door.takes_request(&connection.link.leftover) => Ok(()),
        Some(Client::At(_) | Client::Unknown) | None => {
            warn_of(connection, "proxy-protocol");
            is_outside(connection, door)
        }
    }
}

/// The client that is told at the front of what comes; None if what comes is something else.
async fn header(link: &mut Link) -> Result<Option<Client>, DropReason> {
    loop {
        match parse(&link.leftover) {
            Ok(Some((client, consumed))) => {
                link.leftover = link.leftover.split_off(consumed);
                return Ok(Some(client));
            }
            Ok(None) => link.read_more().await?,
            Err(_) => return Ok(None),
        }
    }
}

/// Takes a proxy's word for where the client of a WebSocket is.
///
/// # Errors
/// Why the connection must end.
pub(crate) fn take_word(
    connection: &mut Connection,
    door: Door<'_>,
    forwarded: &Forwarded,
) -> Result<(), DropReason> {
    let from = connection.from.ip();
    // Somebody near says that the client is elsewhere still; who is far away is a client.
    let hides_another = |ip| is_near(ip) && door.gate.names_another(forwarded, ip);
    if !door.gate.trusts(from) {
        let speaks = forwarded.real_ip.is_some() || !forwarded.forwarded_for.is_empty();
        // Whom the PROXY protocol told of may be a client, whose headers a proxy set.
        if speaks && (hides_another(from) || connection.link.peer() == Some(from)) {
            warn_of_unbelieved(from);
        }
        return Ok(());
    }
    match door.gate.told(forwarded) {
        Some(ip) => {
            if hides_another(ip) {
                warn_of_unbelieved(ip);
            }
            let port = own_port(connection.place.conn());
            is_at(connection, door, Endpoint::new(ip, port))
        }
        None => {
            let header = door.gate.header();
            // Somebody on this machine opens the page of operators.
            #[cfg(feature = "web")]
            if door.web == Web::Page && from.is_loopback() && forwarded.is_empty() {
                return is_outside(connection, door);
            }
            let is_chain = forwarded.real_ip.is_some_and(|ip| door.gate.trusts(canonical(ip)));
            match header {
                ProxyHeader::RealIp if is_chain => {
                    warn_of(connection, "x-real-ip names=a-proxy help=--proxy-header");
                }
                _ => warn_of(connection, header.name()),
            }
            is_outside(connection, door)
        }
    }
}

/// Says what is missing of a request that opens no WebSocket: a client that sent its key sent the
/// rest too, whether or not whoever lost it is a proxy that somebody named.
pub(super) fn refused(connection: &Connection, refusal: Refusal) {
    if refusal == Refusal::UpgradeLost {
        warn_of(connection, "upgrade");
    }
}

fn warn_of_unbelieved(ip: IpAddr) {
    warn!("proxy-not-trusted proxy={ip} help='--trusted-proxies, if it is yours'");
}

/// Whether an address is of a network of our own, as far as its kind tells.
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn warn_of(connection: &Connection, missing: &str) {
    warn!("proxy-header-missing proxy={} header={missing}", connection.from.ip());
}

fn is_at(connection: &mut Connection, door: Door<'_>, at: Endpoint) -> Result<(), DropReason> {
    connection.from = at;
    connection.link.comes_from(at.ip());
    connection.link.unnamed = false;
    if door.refuses(at.ip()) {
        return Err(DropReason::Blocked);
    }
    connection.place.told(at.ip()).map_err(|_| DropReason::ConnectionsFull)
}

/// Nobody knows where the client is.
fn is_outside(connection: &mut Connection, door: Door<'_>) -> Result<(), DropReason> {
    let conn = connection.place.conn();
    let port = connection.from.port();
    is_at(connection, door, Endpoint::nowhere(conn.slot, port))
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
    use crate::config::{ProxyHeader, TrustedProxies};
    use crate::net::conn::gate::{Gate, GateRules};

    fn told(header: ProxyHeader, real_ip: &str, forwarded_for: &[&str]) -> Option<IpAddr> {
        let networks = ["10.0.0.0/8", "::1/128"].map(|text| Network::parse(text).unwrap()).to_vec();
        let proxies = TrustedProxies { networks, header, protocol: false };
        let gate = Gate::default();
        gate.set(GateRules { proxies, ..GateRules::default() });
        gate.told(&Forwarded {
            real_ip: real_ip.parse().ok(),
            forwarded_for: forwarded_for.iter().map(|ip| ip.parse().ok()).collect(),
        })
    }

    #[test]
    fn c103_one_header_counts_and_in_it_the_last_that_is_no_proxy() {
        use ProxyHeader::{ForwardedFor, RealIp};
        let client: Option<IpAddr> = "192.0.2.7".parse().ok();
        assert_eq!(told(RealIp, "192.0.2.7", &[]), client);
        assert_eq!(told(RealIp, "::ffff:192.0.2.7", &["203.0.113.9"]), client);
        for bad in [
            "",
            "junk",
            "10.0.0.2",
            "::1",
            "127.0.0.1",
            "::",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert_eq!(told(RealIp, bad, &["192.0.2.7"]), None, "{bad}");
            assert_eq!(told(ForwardedFor, "192.0.2.7", &["192.0.2.7", bad, "10.0.0.2"]), {
                if ["10.0.0.2", "::1"].contains(&bad) { client } else { None }
            });
        }
        assert_eq!(told(ForwardedFor, "203.0.113.9", &["junk", "1.2.3.4", "192.0.2.7"]), client);
        assert_eq!(told(ForwardedFor, "", &["192.0.2.7", "10.0.0.2", "::1"]), client);
        assert_eq!(told(ForwardedFor, "192.0.2.7", &[]), None);
        assert_eq!(told(ForwardedFor, "192.0.2.7", &["10.0.0.3"]), None);
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
