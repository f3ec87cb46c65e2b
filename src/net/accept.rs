//! From accept to who serves: what a connection is, by its port and by the first bytes it sends.
//! Each connection is looked at once and handed over with its owner. C26, C31, C37,
//! C100-C104, C130.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use log::warn;
use smol::future;

use hbb_core::base::address::Endpoint;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{
    ACCEPT_PAUSE_MS, CONSOLE_MS, IDLE_MS, MESSAGE_MS, OFFER_DELAY_SHARED_MS, RELAY_FRAME_BYTES_MAX,
};
use hbb_core::base::places::Origin;
use hbb_core::wire::message::decode;
use hbb_core::wire::request::Request;

use crate::net::conn::Connection;
use crate::net::conn::gate::{Door, Gate, Web};
use crate::net::conn::link::bytes::Purpose;
use crate::net::conn::link::{Link, TravellingLink, within};
use crate::net::conn::pool::{Place, Pool};
use crate::net::conn::proxied::identify;
use crate::net::conn::socket;
#[cfg(feature = "accounts")]
use crate::net::conn::websocket::end_answered;
use crate::net::conn::websocket::{refuse_call, upgrade};
use crate::net::control::{ConsoleOf, Orders, console};
use crate::net::message::{FromLeg, ToRendezvous};
use crate::net::reactor::{Source, Timer, is_busy};
use crate::net::relaying::{self, RelayHandle};
use crate::net::report;
#[cfg(feature = "accounts")]
use crate::net::signalling::calls;
use crate::net::signalling::conversation::{self, Beginning, SignallingHandle};
use crate::net::tasks::executor::Executor;
#[cfg(feature = "web")]
use crate::net::web::{self, WebHandle};

/// How every HTTP request for a WebSocket begins. As the header of a frame it announces 129 MiB.
const GET: &[u8] = b"GET ";

/// Who takes the connections of a port.
pub(crate) struct Acceptor {
    pub(crate) executor: Executor,
    pub(crate) pool: Pool,
    pub(crate) gate: Gate,
    pub(crate) entrance: Entrance,
}

impl Acceptor {
    /// Admits all who come; when the kernel refuses (no file descriptors), waits.
    pub(crate) async fn run(self, listener: Source<TcpListener>) {
        loop {
            listener.readable().await;
            match socket::accept(listener.socket()) {
                Ok((stream, from)) => {
                    // One that came alone is no sign of another, of which the kernel would tell.
                    if !is_busy() {
                        listener.drained();
                    }
                    if let Err(reason) = self.admit(stream, from.into()).await {
                        let ip = Endpoint::from(from).ip();
                        self.entrance.refuse((ip, reason), &self.gate).await;
                    }
                }
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => listener.drained(),
                // It was gone before it was its turn.
                Err(cause) if cause.kind() == ErrorKind::ConnectionAborted => {}
                Err(cause) => {
                    warn!("accept-failed cause='{cause}'");
                    listener.hush(true);
                    Timer::after(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    listener.hush(false);
                }
            }
            // A flood of connections starves nobody.
            if listener.is_readable() {
                future::yield_now().await;
            }
        }
    }

    /// Gives a connection a place and has it served; the banned have none (C100), nor have those
    /// for whom nobody gives way (C101).
    async fn admit(&self, stream: TcpStream, from: Endpoint) -> Result<(), DropReason> {
        let ip = from.ip();
        if self.entrance.door(&self.gate).refuses(ip) {
            return Err(DropReason::Blocked);
        }
        let origin = Origin { ip, exempt: self.gate.trusts(ip) };
        let place = Rc::new(self.pool.place(origin).await.ok_or(DropReason::ConnectionsFull)?);
        let account = place.account(Purpose::HalfRead, origin.exempt);
        let link = TravellingLink::new(stream, account).watch();
        let mut link = link.map_err(|_| DropReason::Done)?;
        link.unnamed = self.gate.hides_clients(ip);
        let connection = Connection { link, from, place };
        let serving = serve(connection, self.entrance, self.gate.clone());
        self.executor.spawn(Box::pin(serving)).detach();
        Ok(())
    }
}

/// What a port serves, and whose connections those are.
#[derive(Clone, Copy)]
pub(crate) enum Entrance {
    /// P: signalling in frames, with an offer for the silent (C26).
    Signalling(&'static SignallingHandle),
    /// P-1: NAT tests and online queries, never an offer (C37); perhaps the console.
    NatTest { rendezvous: &'static SignallingHandle, console: Option<&'static Orders> },
    /// P+2: signalling over WebSocket, never an offer (C31).
    SignallingWs(&'static SignallingHandle),
    /// The relay, its first message in a frame; perhaps the console.
    Relay { relay: &'static RelayHandle, console: Option<&'static Orders> },
    /// The relay over WebSocket.
    RelayWs(&'static RelayHandle),
    /// P-2: each HTTP request is told that there is no API (C130).
    NoApi(&'static SignallingHandle),
    /// `--api`: calls of the API (C165).
    #[cfg(feature = "accounts")]
    Api(&'static SignallingHandle),
    /// `--web`: the page for operators (C195).
    #[cfg(feature = "web")]
    Web(WebHandle),
    /// The only port: all of these but NAT tests' second port and the console.
    Single(SinglePort),
}

/// Who is behind the only port.
#[derive(Clone, Copy)]
pub(crate) struct SinglePort {
    pub(crate) rendezvous: &'static SignallingHandle,
    pub(crate) relay: &'static RelayHandle,
}

/// What a connection turned out to be, with its owner.
enum Accepted {
    Signalling(&'static SignallingHandle, Beginning),
    /// Its first message, if that was read already.
    Relay(&'static RelayHandle, Option<Vec<u8>>),
    Console(&'static Orders, ConsoleOf),
    /// A request of HTTP, for whoever answers those of its port.
    #[cfg(feature = "accounts")]
    Call,
}

/// Serves a connection to its end, or until it must give way.
async fn serve(connection: Connection, entrance: Entrance, gate: Gate) {
    let place = Rc::clone(&connection.place);
    let served = async {
        serve_whole(connection, entrance, &gate).await;
        false
    };
    let evicted = async {
        place.evicted().await;
        true
    };
    if future::or(served, evicted).await {
        entrance.gone(&place).await;
    }
}

async fn serve_whole(mut connection: Connection, entrance: Entrance, gate: &Gate) {
    let door = entrance.door(gate);
    let decided = async {
        identify(&mut connection, door).await?;
        entrance.decide(&mut connection, door).await
    };
    let reason = match decided.await {
        Ok(Accepted::Signalling(rendezvous, beginning)) => {
            return conversation::serve(connection, beginning, rendezvous).await;
        }
        Ok(Accepted::Relay(relay, first)) => {
            return relaying::serve(connection, first, relay).await;
        }
        Ok(Accepted::Console(orders, of)) => {
            return console::serve(connection.link, orders, of).await;
        }
        #[cfg(feature = "accounts")]
        Ok(Accepted::Call) => entrance.answer(&mut connection, door).await,
        Err(reason) => reason,
    };
    entrance.refuse((connection.place.ip(), reason), gate).await;
}

impl Entrance {
    async fn decide(
        self,
        connection: &mut Connection,
        door: Door<'_>,
    ) -> Result<Accepted, DropReason> {
        if let Some((orders, of)) = self.console()
            && is_typed_into(connection, door).await?
        {
            return Ok(Accepted::Console(orders, of));
        }
        match self {
            Self::Signalling(rendezvous) => Ok(Accepted::Signalling(rendezvous, Beginning::Fresh)),
            Self::NatTest { rendezvous, .. } => {
                Ok(Accepted::Signalling(rendezvous, Beginning::Unoffered))
            }
            Self::SignallingWs(rendezvous) => {
                upgrade(connection, door).await?;
                Ok(Accepted::Signalling(rendezvous, Beginning::Unoffered))
            }
            Self::NoApi(_) => Err(refuse_call(&mut connection.link).await),
            Self::Relay { relay, .. } => Ok(Accepted::Relay(relay, None)),
            #[cfg(feature = "accounts")]
            Self::Api(_) => Ok(Accepted::Call),
            #[cfg(feature = "web")]
            Self::Web(_) => Ok(Accepted::Call),
            Self::RelayWs(relay) => {
                upgrade(connection, door).await?;
                Ok(Accepted::Relay(relay, None))
            }
            Self::Single(port) => {
                let ms_max = OFFER_DELAY_SHARED_MS + MESSAGE_MS;
                within(ms_max, Err(DropReason::Idle), port.decide(connection, door)).await
            }
        }
    }

    /// Answers the one request of a connection; why it ends.
    #[cfg(feature = "accounts")]
    async fn answer(self, connection: &mut Connection, door: Door<'_>) -> DropReason {
        let answered = match self {
            #[cfg(feature = "web")]
            Self::Web(page) => web::answer(connection, door, &page).await,
            _ => match self.rendezvous() {
                Some(rendezvous) => calls::answer(connection, door, &rendezvous.inbox).await,
                None => Err(DropReason::Bug),
            },
        };
        match answered {
            Ok(()) => end_answered(&mut connection.link).await,
            Err(reason) => reason,
        }
    }

    /// Has the owner count why a connection from `ip` ended before it was anything. It was complete
    /// all the same, which a proxy's says of nobody.
    async fn refuse(self, (ip, reason): (IpAddr, DropReason), gate: &Gate) {
        report::refused(ip, reason);
        match self.rendezvous() {
            None => {
                if let Some(relay) = self.relay() {
                    let _ = relay.legs.send(FromLeg::Refused(reason)).await;
                }
            }
            Some(rendezvous) => {
                let is_proof = reason != DropReason::Blocked && !gate.trusts(ip);
                let proves = is_proof.then_some(ip);
                let _ = rendezvous.inbox.send(ToRendezvous::Refused { reason, proves }).await;
            }
        }
    }

    /// Tells the owner, whoever it is by now, of a connection that gave way. The place is another's
    /// only after that.
    async fn gone(self, place: &Place) {
        let (conn, reason) = (place.conn(), DropReason::ConnectionsFull);
        report::refused(place.ip(), reason);
        match self.rendezvous() {
            Some(rendezvous) => {
                let _ = rendezvous.inbox.send(ToRendezvous::Closed { conn, reason }).await;
            }
            None => {
                if let Some(relay) = self.relay() {
                    let _ = relay.legs.send(FromLeg::Refused(reason)).await;
                }
            }
        }
        if let Some(relay) = self.relay() {
            let _ = relay.legs.send(FromLeg::Closed { conn }).await;
        }
    }

    /// The owner of signalling, if it is behind this port.
    const fn rendezvous(self) -> Option<&'static SignallingHandle> {
        match self {
            Self::Signalling(rendezvous)
            | Self::NatTest { rendezvous, .. }
            | Self::SignallingWs(rendezvous)
            | Self::NoApi(rendezvous)
            | Self::Single(SinglePort { rendezvous, .. }) => Some(rendezvous),
            #[cfg(feature = "accounts")]
            Self::Api(rendezvous) => Some(rendezvous),
            #[cfg(feature = "web")]
            Self::Web(page) => Some(page.rendezvous),
            Self::Relay { .. } | Self::RelayWs(_) => None,
        }
    }

    /// That of the relay.
    const fn relay(self) -> Option<&'static RelayHandle> {
        match self {
            Self::Relay { relay, .. }
            | Self::RelayWs(relay)
            | Self::Single(SinglePort { relay, .. }) => Some(relay),
            _ => None,
        }
    }

    /// The console behind this port, if there is one.
    const fn console(self) -> Option<(&'static Orders, ConsoleOf)> {
        match self {
            Self::NatTest { console: Some(orders), .. } => Some((orders, ConsoleOf::Rendezvous)),
            Self::Relay { console: Some(orders), .. } => Some((orders, ConsoleOf::Relay)),
            _ => None,
        }
    }

    const fn door(self, gate: &Gate) -> Door<'_> {
        let only_relay = matches!(self, Self::Relay { .. } | Self::RelayWs(_));
        let web = match self {
            Self::SignallingWs(_) | Self::RelayWs(_) | Self::Single(_) => Web::Sockets,
            Self::NoApi(_) => Web::Calls,
            #[cfg(feature = "accounts")]
            Self::Api(_) => Web::Calls,
            #[cfg(feature = "web")]
            Self::Web(_) => Web::Page,
            Self::Signalling(_) | Self::NatTest { .. } | Self::Relay { .. } => Web::Nothing,
        };
        let console = matches!(self, Self::Relay { console: Some(_), .. });
        Door { gate, only_relay, console, web }
    }
}

impl SinglePort {
    /// The first bytes tell, or their absence: who is silent waits for the offer of a sealed
    /// channel.
    async fn decide(
        self,
        connection: &mut Connection,
        door: Door<'_>,
    ) -> Result<Accepted, DropReason> {
        let signalling = |beginning| Accepted::Signalling(self.rendezvous, beginning);
        let link = &connection.link;
        let spoke = async {
            if link.leftover.is_empty() {
                link.stream.readable().await;
            }
            true
        };
        if !within(OFFER_DELAY_SHARED_MS, false, spoke).await {
            return Ok(signalling(Beginning::Silent));
        }
        #[cfg(feature = "accounts")]
        if self.rendezvous.answers_calls && calls::begins(&mut connection.link).await? {
            return Ok(Accepted::Call);
        }
        if begins_with_get(&mut connection.link).await? {
            // Its path tells nothing: clients name the ID server's wherever the port is the same.
            upgrade(connection, door).await?;
        }
        let payload = connection.next_payload().await?;
        Ok(match payload.len() <= RELAY_FRAME_BYTES_MAX && is_leg(&payload) {
            true => Accepted::Relay(self.relay, Some(payload)),
            false => signalling(Beginning::Spoke(payload)),
        })
    }
}

/// Whether somebody on this machine begins with text, where there is a console. Nobody is on this
/// machine whom a proxy told of, nor, where proxies tell, who came from one (C163). Whom the relay
/// blocks is not waited for as long.
async fn is_typed_into(connection: &mut Connection, door: Door<'_>) -> Result<bool, DropReason> {
    if !connection.from.is_loopback() {
        return Ok(false);
    }
    let ms_max = if door.blocks(connection.from.ip()) { CONSOLE_MS } else { IDLE_MS };
    console::begins_with_text(&mut connection.link, ms_max).await
}

async fn begins_with_get(link: &mut Link) -> Result<bool, DropReason> {
    loop {
        let begin = link.leftover.get(..GET.len()).unwrap_or(&link.leftover);
        if begin == GET || !GET.starts_with(begin) {
            return Ok(begin == GET);
        }
        link.read_more().await?;
    }
}

/// Whether a first message is meant for the relay: asking a server for a relay names one, coming
/// to a relay does not.
fn is_leg(payload: &[u8]) -> bool {
    matches!(decode(payload), Ok(Request::RequestRelay(request)) if request.relay.is_empty())
}
