//! From accept to the task that serves: what a connection is, by its port and, where one port
//! serves all, by its first bytes. C31, C37.

use std::net::TcpStream;

use smol::Async;
use smol::channel::bounded;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Transport;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{
    FRAME_BYTES_MAX, IDLE_MS, OFFER_DELAY_SHARED_MS, OUTBOX_MAX, RELAY_FRAME_BYTES_MAX,
};
use hbb_core::wire::handshake::Service;
use hbb_core::wire::message::decode;
use hbb_core::wire::request::Request;

use crate::net::conn::link::{Link, readable, within};
use crate::net::conn::pool::Place;
use crate::net::conn::websocket::{self, Proxies};
use crate::net::control::console;
use crate::net::message::ToRendezvous;
use crate::net::relaying::{self, Legs};
use crate::net::signalling::conversation::{self, SignallingHandle};

/// How every HTTP request for a WebSocket begins. As the header of a frame it announces 129 MiB.
const GET: &[u8] = b"GET ";

/// What a port serves.
#[derive(Clone)]
pub enum Door {
    /// Signalling in frames.
    Signalling(SignallingHandle),
    /// NAT tests and online queries; perhaps the console.
    Asking(SignallingHandle, bool),
    /// Signalling over WebSocket.
    SignallingWs(SignallingHandle, Proxies),
    /// The relay, its first message in a frame; perhaps the console.
    Relay(Legs, bool),
    /// The relay over WebSocket.
    RelayWs(Legs, Proxies),
    /// All of these.
    Every(SignallingHandle, Legs, Proxies),
}

/// A connection from accept to close.
pub async fn enter(door: Door, stream: Async<TcpStream>, (from, place): (Endpoint, Place)) {
    let mut guest = Guest { link: Link::new(stream), from, first: None };
    let Ok(asked) = asked_for(&mut guest, &place, &door).await else { return };
    let Guest { link, from, first } = guest;
    let (owner, legs) = door.behind();
    match asked {
        Asked::Signalling => {
            if let Some(owner) = owner {
                signal(link, first, (from, place), owner).await;
            }
        }
        Asked::Console => console::serve(link, owner).await,
        Asked::Relay => {
            if let Some(legs) = legs {
                relaying::serve(link, first, (from, place), legs).await;
            }
        }
    }
}

impl Door {
    fn behind(self) -> (Option<SignallingHandle>, Option<Legs>) {
        match self {
            Self::Signalling(owner) | Self::SignallingWs(owner, _) => (Some(owner), None),
            Self::Asking(owner, _) => (Some(owner.without_offers()), None),
            Self::Relay(legs, _) | Self::RelayWs(legs, _) => (None, Some(legs)),
            Self::Every(owner, legs, _) => (Some(owner), Some(legs)),
        }
    }
}

/// One signalling connection.
async fn signal(
    link: Link,
    first: Option<Vec<u8>>,
    (from, place): (Endpoint, Place),
    owner: SignallingHandle,
) {
    // Over WebSocket nobody expects an offer.
    let owner = match link.transport() {
        Transport::Tcp => owner,
        Transport::WebSocket => owner.without_offers(),
    };
    let (conn, transport) = (place.conn(), link.transport());
    let (outbox_in, outbox) = bounded(OUTBOX_MAX);
    let opened = ToRendezvous::Opened { conn, from, transport, outbox: outbox_in };
    if owner.inbox.send(opened).await.is_ok() {
        let reason = conversation::converse(link, first, (conn, &owner), outbox).await;
        let _ = owner.inbox.send(ToRendezvous::Closed { conn, reason }).await;
    }
}

struct Guest {
    link: Link,
    from: Endpoint,
    first: Option<Vec<u8>>,
}

enum Asked {
    Signalling,
    Relay,
    Console,
}

/// What a connection wants, its handshake done and, where one port serves all, its first message
/// read.
async fn asked_for(guest: &mut Guest, place: &Place, door: &Door) -> Result<Asked, DropReason> {
    let (asked, proxies) = match door {
        Door::Signalling(_) => return Ok(Asked::Signalling),
        Door::Asking(_, console) => return text_or(guest, *console, Asked::Signalling).await,
        Door::Relay(_, console) => return text_or(guest, *console, Asked::Relay).await,
        Door::SignallingWs(_, proxies) => (Asked::Signalling, proxies),
        Door::RelayWs(_, proxies) => (Asked::Relay, proxies),
        Door::Every(_, _, proxies) => {
            let words = first_words(guest, place, proxies);
            return within(IDLE_MS, Err(DropReason::Idle), words).await;
        }
    };
    open_websocket(guest, place, proxies).await?;
    Ok(asked)
}

/// The console, if it is on and somebody on this machine begins with text.
async fn text_or(guest: &mut Guest, console: bool, other: Asked) -> Result<Asked, DropReason> {
    let may = console && guest.from.is_loopback();
    let text = may && console::begins_with_text(&mut guest.link).await?;
    Ok(if text { Asked::Console } else { other })
}

async fn open_websocket(
    guest: &mut Guest,
    place: &Place,
    proxies: &Proxies,
) -> Result<Service, DropReason> {
    let (from, service) =
        websocket::upgrade(&mut guest.link, (guest.from, place.conn()), proxies).await?;
    guest.from = from;
    Ok(service)
}

/// The first bytes tell, or their absence: who is silent waits for the offer of a sealed channel.
async fn first_words(
    guest: &mut Guest,
    place: &Place,
    proxies: &Proxies,
) -> Result<Asked, DropReason> {
    let spoke = async { readable(&guest.link.stream).await.is_ok() };
    if !within(OFFER_DELAY_SHARED_MS, false, spoke).await {
        return Ok(Asked::Signalling);
    }
    if begins_with_get(&mut guest.link).await? {
        match open_websocket(guest, place, proxies).await? {
            Service::Signalling => return Ok(Asked::Signalling),
            Service::Relay => return Ok(Asked::Relay),
            Service::Other => {}
        }
    }
    let payload = guest.link.next_payload(FRAME_BYTES_MAX).await?;
    let leg = payload.len() <= RELAY_FRAME_BYTES_MAX && is_leg(&payload);
    guest.first = Some(payload);
    Ok(if leg { Asked::Relay } else { Asked::Signalling })
}

async fn begins_with_get(link: &mut Link) -> Result<bool, DropReason> {
    loop {
        link.read_more().await?;
        let begin = link.leftover.get(..GET.len()).unwrap_or(&link.leftover);
        if begin == GET || !GET.starts_with(begin) {
            return Ok(begin == GET);
        }
    }
}

/// Whether a first message is meant for the relay: asking a server for a relay names one, coming
/// to a relay does not.
fn is_leg(payload: &[u8]) -> bool {
    matches!(decode(payload), Ok(Request::RequestRelay(wish)) if !wish.names_relay)
}
