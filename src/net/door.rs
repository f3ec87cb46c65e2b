//! From accept to the task that serves: what a connection is, by its port and, where one port
//! serves all, by its first bytes. C31, C37.

use std::net::TcpStream;
use std::time::Duration;

use smol::channel::bounded;
use smol::{Async, Timer, future};

use crate::base::counters::DropReason;
use crate::base::endpoint::Endpoint;
use crate::base::limits::{
    FRAME_BYTES_MAX, IDLE_MS, OFFER_DELAY_SHARED_MS, OUTBOX_MAX, RELAY_FRAME_BYTES_MAX,
};
use crate::wire::handshake::Path;
use crate::wire::message::decode;
use crate::wire::request::Request;

use super::link::Link;
use super::pool::Place;
use super::relaying::{self, Legs};
use super::tcp::{self, FromStream, Owner};
use super::ws::{self, Proxies};

/// How every HTTP request for a WebSocket begins. As the header of a frame it announces 129 MiB.
const GET: &[u8] = b"GET ";

/// What a port serves.
#[derive(Clone)]
pub enum Door {
    /// Signalling in frames.
    Signalling(Owner),
    /// Signalling over WebSocket.
    SignallingWs(Owner, Proxies),
    /// The relay, its first message in a frame.
    Relay(Legs),
    /// The relay over WebSocket.
    RelayWs(Legs, Proxies),
    /// All of these.
    Every(Owner, Legs, Proxies),
}

/// A connection from accept to close.
pub async fn enter(door: Door, stream: Async<TcpStream>, (from, place): (Endpoint, Place)) {
    let mut link = Link::new(stream);
    let conn = place.conn();
    match door {
        Door::Signalling(owner) => signal(link, None, (from, place), owner).await,
        Door::Relay(legs) => relaying::serve(link, None, (from, place), legs).await,
        Door::SignallingWs(owner, proxies) => {
            if let Ok((from, _)) = ws::greet(&mut link, (from, conn), &proxies).await {
                signal(link, None, (from, place), owner.without_offers()).await;
            }
        }
        Door::RelayWs(legs, proxies) => {
            if let Ok((from, _)) = ws::greet(&mut link, (from, conn), &proxies).await {
                relaying::serve(link, None, (from, place), legs).await;
            }
        }
        Door::Every(owner, legs, proxies) => {
            let mut guest = Guest { link, from, first: None };
            let asked = asked_for(&mut guest, &place, &proxies).await;
            let Guest { link, from, first } = guest;
            match asked {
                Some(Asked::Signalling) => signal(link, first, (from, place), owner).await,
                Some(Asked::SignallingWs) => {
                    signal(link, first, (from, place), owner.without_offers()).await;
                }
                Some(Asked::Relay) => relaying::serve(link, first, (from, place), legs).await,
                None => {}
            }
        }
    }
}

/// One signalling connection.
async fn signal(
    link: Link,
    first: Option<Vec<u8>>,
    (from, place): (Endpoint, Place),
    owner: Owner,
) {
    let (conn, transport) = (place.conn(), link.transport());
    let (outbox_in, outbox) = bounded(OUTBOX_MAX);
    let opened = FromStream::Opened { conn, from, transport, outbox: outbox_in };
    if owner.inbox.send(opened).await.is_ok() {
        let reason = tcp::converse(link, first, (conn, &owner), outbox).await;
        let _ = owner.inbox.send(FromStream::Closed { conn, reason }).await;
    }
}

struct Guest {
    link: Link,
    from: Endpoint,
    first: Option<Vec<u8>>,
}

enum Asked {
    Signalling,
    SignallingWs,
    Relay,
}

/// What a connection to the one port wants; None if it did not say so in time. A silent one waits
/// for the offer of a sealed channel.
async fn asked_for(guest: &mut Guest, place: &Place, proxies: &Proxies) -> Option<Asked> {
    let silent = async {
        Timer::after(Duration::from_millis(OFFER_DELAY_SHARED_MS)).await;
        false
    };
    let spoke = async { guest.link.stream.readable().await.is_ok() };
    if !future::or(spoke, silent).await {
        return Some(Asked::Signalling);
    }
    let late = async {
        Timer::after(Duration::from_millis(IDLE_MS)).await;
        None
    };
    future::or(async { first_words(guest, place, proxies).await.ok() }, late).await
}

async fn first_words(
    guest: &mut Guest,
    place: &Place,
    proxies: &Proxies,
) -> Result<Asked, DropReason> {
    let Guest { link, from, first } = guest;
    loop {
        link.read()?;
        let begin = link.leftover.get(..GET.len()).unwrap_or(&link.leftover);
        if begin == GET || !GET.starts_with(begin) {
            break;
        }
        link.stream.readable().await.map_err(|_| DropReason::Done)?;
    }
    let signalling = if link.leftover.starts_with(GET) {
        let (real, path) = ws::greet(link, (*from, place.conn()), proxies).await?;
        *from = real;
        match path {
            Path::Signalling => return Ok(Asked::SignallingWs),
            Path::Relay => return Ok(Asked::Relay),
            Path::Other => Asked::SignallingWs,
        }
    } else {
        Asked::Signalling
    };
    let payload = link.next_payload(FRAME_BYTES_MAX).await?;
    let leg = payload.len() <= RELAY_FRAME_BYTES_MAX && is_leg(&payload);
    *first = Some(payload);
    Ok(if leg { Asked::Relay } else { signalling })
}

/// Whether a first message is meant for the relay: asking a server for a relay names one, coming
/// to a relay does not.
fn is_leg(payload: &[u8]) -> bool {
    matches!(decode(payload), Ok(Request::RequestRelay(wish)) if !wish.names_relay)
}
