//! From accept to who serves: what a connection is, by its port and by the first bytes it sends.
//! Each connection is looked at once and handed over with its owner. C26, C31, C37.

use std::net;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_net::TcpListener;
use log::warn;
use smol::{Async, LocalExecutor, Timer};

use hbb_core::base::address::Endpoint;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{
    ACCEPT_PAUSE_MS, FRAME_BYTES_MAX, IDLE_MS, OFFER_DELAY_SHARED_MS, RELAY_FRAME_BYTES_MAX,
};
use hbb_core::wire::handshake::Service;
use hbb_core::wire::message::decode;
use hbb_core::wire::request::Request;

use crate::net::conn::Connection;
use crate::net::conn::link::{Link, readable, within};
use crate::net::conn::pool::Pool;
use crate::net::conn::websocket::{Proxies, upgrade};
use crate::net::control::console;
use crate::net::message::{ToRelay, ToRendezvous};
use crate::net::relaying::{self, RelayHandle};
use crate::net::signalling::conversation::{self, Beginning, SignallingHandle};

/// How every HTTP request for a WebSocket begins. As the header of a frame it announces 129 MiB.
const GET: &[u8] = b"GET ";

/// Who takes the connections of a port.
pub(crate) struct Acceptor {
    pub(crate) executor: Rc<LocalExecutor<'static>>,
    pub(crate) pool: Pool,
    pub(crate) entrance: Entrance,
}

impl Acceptor {
    /// Accepts as long as there are places; when the kernel refuses (no file descriptors), waits.
    pub(crate) async fn run(self, listener: TcpListener) {
        let arrivals: Arc<Async<net::TcpListener>> = listener.clone().into();
        loop {
            // A place is taken only for a connection that is there: listeners do not hoard them.
            // Should it be gone again, its listener keeps the one place for the next.
            let _ = arrivals.readable().await;
            let Some(place) = self.pool.place().await else { return };
            match listener.accept().await {
                Ok((stream, from)) => {
                    // Nobody shares the stream inside yet.
                    let stream: Arc<Async<net::TcpStream>> = stream.into();
                    let Some(stream) = Arc::into_inner(stream) else { continue };
                    let _ = stream.get_ref().set_nodelay(true);
                    let (link, from) = (Link::new(stream), Endpoint::from(from));
                    let connection = Connection { link, from, place };
                    self.executor.spawn(serve(connection, self.entrance.clone())).detach();
                }
                Err(cause) => {
                    warn!("accept-failed cause={}", cause.kind());
                    Timer::after(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                }
            }
        }
    }
}

/// What a port serves, and whose connections those are.
#[derive(Clone)]
pub(crate) enum Entrance {
    /// P: signalling in frames, with an offer for the silent (C26).
    Signalling(SignallingHandle),
    /// P-1: NAT tests and online queries, never an offer (C37); perhaps the console.
    NatTest { rendezvous: SignallingHandle, console: bool },
    /// P+2: signalling over WebSocket, never an offer (C31).
    SignallingWs { rendezvous: SignallingHandle, proxies: Proxies },
    /// The relay, its first message in a frame; perhaps the console.
    Relay { relay: RelayHandle, console: bool },
    /// The relay over WebSocket.
    RelayWs { relay: RelayHandle, proxies: Proxies },
    /// The only port: all of these but NAT tests' second port and the console.
    Single(SinglePort),
}

/// Who is behind the only port.
#[derive(Clone)]
pub(crate) struct SinglePort {
    pub(crate) rendezvous: SignallingHandle,
    pub(crate) relay: RelayHandle,
    pub(crate) proxies: Proxies,
}

/// What a connection turned out to be, with its owner.
enum Accepted {
    Signalling(SignallingHandle, Beginning),
    /// Its first message, if that was read already.
    Relay(RelayHandle, Option<Vec<u8>>),
    /// On the relay's port nobody is asked.
    Console(Option<SignallingHandle>),
}

/// Serves a connection to its end.
async fn serve(mut connection: Connection, entrance: Entrance) {
    match entrance.decide(&mut connection).await {
        Ok(Accepted::Signalling(rendezvous, beginning)) => {
            conversation::serve(connection, beginning, rendezvous).await;
        }
        Ok(Accepted::Relay(relay, first)) => relaying::serve(connection, first, relay).await,
        Ok(Accepted::Console(rendezvous)) => console::serve(connection.link, rendezvous).await,
        Err(reason) => entrance.count(reason).await,
    }
}

impl Entrance {
    async fn decide(&self, connection: &mut Connection) -> Result<Accepted, DropReason> {
        match self {
            Self::Signalling(rendezvous) => {
                Ok(Accepted::Signalling(rendezvous.clone(), Beginning::Fresh))
            }
            Self::NatTest { rendezvous, console } => {
                Ok(match *console && is_console(connection).await? {
                    true => Accepted::Console(Some(rendezvous.clone())),
                    false => Accepted::Signalling(rendezvous.clone(), Beginning::Unoffered),
                })
            }
            Self::SignallingWs { rendezvous, proxies } => {
                upgrade(connection, proxies).await?;
                Ok(Accepted::Signalling(rendezvous.clone(), Beginning::Unoffered))
            }
            Self::Relay { relay, console } => {
                Ok(match *console && is_console(connection).await? {
                    true => Accepted::Console(None),
                    false => Accepted::Relay(relay.clone(), None),
                })
            }
            Self::RelayWs { relay, proxies } => {
                upgrade(connection, proxies).await?;
                Ok(Accepted::Relay(relay.clone(), None))
            }
            Self::Single(port) => {
                within(IDLE_MS, Err(DropReason::Idle), port.decide(connection)).await
            }
        }
    }

    /// Has the owner count why a connection ended before it was anything.
    async fn count(&self, reason: DropReason) {
        match self {
            Self::Signalling(rendezvous)
            | Self::NatTest { rendezvous, .. }
            | Self::SignallingWs { rendezvous, .. }
            | Self::Single(SinglePort { rendezvous, .. }) => {
                let _ = rendezvous.inbox.send(ToRendezvous::Refused(reason)).await;
            }
            Self::Relay { relay, .. } | Self::RelayWs { relay, .. } => {
                let _ = relay.inbox.send(ToRelay::Refused(reason)).await;
            }
        }
    }
}

impl SinglePort {
    /// The first bytes tell, or their absence: who is silent waits for the offer of a sealed
    /// channel.
    async fn decide(&self, connection: &mut Connection) -> Result<Accepted, DropReason> {
        let signalling = |beginning| Accepted::Signalling(self.rendezvous.clone(), beginning);
        let relay = |first| Accepted::Relay(self.relay.clone(), first);
        let spoke = async { readable(&connection.link.stream).await.is_ok() };
        if !within(OFFER_DELAY_SHARED_MS, false, spoke).await {
            return Ok(signalling(Beginning::Silent));
        }
        if begins_with_get(&mut connection.link).await? {
            match upgrade(connection, &self.proxies).await? {
                Service::Signalling => return Ok(signalling(Beginning::Unoffered)),
                Service::Relay => return Ok(relay(None)),
                Service::Other => {}
            }
        }
        let payload = connection.link.next_payload(FRAME_BYTES_MAX).await?;
        Ok(match payload.len() <= RELAY_FRAME_BYTES_MAX && is_leg(&payload) {
            true => relay(Some(payload)),
            false => signalling(Beginning::Spoke(payload)),
        })
    }
}

/// Whether it is somebody on this machine who begins with text.
async fn is_console(connection: &mut Connection) -> Result<bool, DropReason> {
    Ok(connection.from.is_loopback() && console::begins_with_text(&mut connection.link).await?)
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
    matches!(decode(payload), Ok(Request::RequestRelay(request)) if !request.names_relay)
}
