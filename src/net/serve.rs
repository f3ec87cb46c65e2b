//! Puts the shell together: opens every socket first, then runs both owners, the accept loops
//! and the signal handler on one executor until a signal says stop.

use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use log::{info, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::{Async, LocalExecutor, Task, Timer, future};

use crate::base::conn::Transport;
use crate::base::endpoint::Endpoint;
use crate::base::limits::{ACCEPT_PAUSE_MS, FILES_SPARE, INBOX_MAX, OUTBOX_MAX, SAVES_PENDING_MAX};
use crate::base::table::Seed;
use crate::identity::ServerKey;
use crate::relay::Relay;
use crate::rendezvous::Rendezvous;
use crate::store::Store;

use super::clock::Clock;
use super::health;
use super::pool::{Place, Pool};
use super::relaying::{self, LiveRelay, Relaying};
use super::secure::Offers;
use super::signal::{Listener, Wish};
use super::signalling::{Live, Queues, Signalling};
use super::socket;
use super::store::StoreThread;
use super::tcp::{self, FromStream, Owner};
use super::udp::Datagrams;

/// Which ports to open, of which address.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// One local address, or None for all of them.
    pub ip: Option<IpAddr>,
    /// P: UDP and TCP signalling; P-1 is the NAT test's second port.
    pub main: u16,
    /// The relay.
    pub relay: u16,
}

/// The rendezvous to run and its store.
pub struct RendezvousPart {
    /// The machine, peers restored.
    pub machine: Rendezvous,
    /// Where its changes go.
    pub store: Box<dyn Store>,
    /// Signs offers of a sealed channel, with 32 bytes nobody can guess for their secrets; None
    /// if there is no key to sign with.
    pub seal: Option<(ServerKey, [u8; 32])>,
}

/// Everything `run` needs.
pub struct Setup {
    /// Sockets.
    pub ports: Ports,
    /// Limits and policy as they are at start.
    pub live: Live,
    /// The rendezvous, unless this process is a relay only.
    pub rendezvous: Option<RendezvousPart>,
    /// The relay, unless this process is a rendezvous only.
    pub relay: Option<Relay>,
    /// Keys the shell's own tables: must be secret.
    pub seed: Seed,
    /// Reads the flags file again; None, after saying why, if it is not valid.
    pub reload: Box<dyn FnMut() -> Option<Live>>,
}

/// Why the shell could not start or had to stop.
#[derive(Debug)]
pub enum Error {
    /// A port could not be opened.
    Port {
        /// `TCP` or `UDP`.
        protocol: &'static str,
        /// Its number.
        port: u16,
        /// What the kernel said.
        cause: io::Error,
    },
    /// Signals could not be taken over, or the store thread not started.
    System(io::Error),
}

/// Opened sockets.
struct Sockets {
    datagrams: Option<Datagrams>,
    /// Port P, then port P-1.
    signalling: Vec<Async<TcpListener>>,
    relay: Option<Async<TcpListener>>,
}

/// Serves until SIGTERM or SIGINT; registrations on their way are durable on return.
///
/// # Errors
/// [`Error`] if a socket cannot be opened; nothing was served then.
pub fn run(setup: Setup) -> Result<(), Error> {
    let sockets = open(&setup)?;
    let executor = Rc::new(LocalExecutor::new());
    raise_file_limit(&setup.live);
    smol::block_on(executor.run(serve(setup, sockets, Rc::clone(&executor))))
}

fn open(setup: &Setup) -> Result<Sockets, Error> {
    let Ports { ip, main, relay } = setup.ports;
    let tcp =
        |port| socket::tcp(ip, port).map_err(|cause| Error::Port { protocol: "TCP", port, cause });
    let udp = |port| {
        socket::udp(ip, port)
            .and_then(|socket| Datagrams::new(socket, setup.live.limits.peers, setup.seed))
            .map_err(|cause| Error::Port { protocol: "UDP", port, cause })
    };
    let signalling = match setup.rendezvous.is_some() {
        true => vec![tcp(main)?, tcp(main.saturating_sub(1))?],
        false => Vec::new(),
    };
    Ok(Sockets {
        datagrams: setup.rendezvous.is_some().then(|| udp(main)).transpose()?,
        signalling,
        relay: setup.relay.is_some().then(|| tcp(relay)).transpose()?,
    })
}

/// Raises the soft limit of open files to what the limits need, or says that it cannot.
fn raise_file_limit(live: &Live) {
    let need = (live.limits.connections + 2 * live.limits.sessions + FILES_SPARE) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= need) {
        return;
    }
    let target = maximum.map_or(need, |maximum| maximum.min(need));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum });
    if raised.is_err() || target < need {
        warn!("file-limit-low limit={target} needed={need} help=raise-nofile");
    }
}

async fn serve(
    setup: Setup,
    sockets: Sockets,
    executor: Rc<LocalExecutor<'static>>,
) -> Result<(), Error> {
    let Setup { ports, live, rendezvous, relay, reload, .. } = setup;
    let signals = Listener::new().map_err(Error::System)?;
    let shell = Shell { executor, pool: Pool::new(live.limits.connections), clock: Clock::start() };
    let (live_in, live_out) = unbounded();
    let (live_relay_in, live_relay_out) = unbounded();
    let (stop_in, stop_out) = bounded::<()>(1);
    let (reachable, relays) = bounded(1);
    let lists = health::watch(reachable).map_err(Error::System)?;
    let _ = lists.send(live.policy.relays.clone());
    let mut owner = None;
    if let (Some(part), Some(datagrams)) = (rendezvous, sockets.datagrams) {
        let queues = (live_out, relays, stop_out);
        owner = Some(shell.start_signalling(part, (datagrams, sockets.signalling), queues)?);
    }
    if let (Some(machine), Some(listener)) = (relay, sockets.relay) {
        shell.start_relay(machine, listener, live_relay_out);
    }
    info!("ready port={} relay-port={}", ports.main, ports.relay);
    let grown = (shell.pool.clone(), live.limits.connections);
    until_stop(signals, reload, grown, (live_in, live_relay_in, lists)).await;
    info!("stopping");
    drop(stop_in);
    if let Some(owner) = owner {
        owner.await.stop();
    }
    Ok(())
}

/// What every part of the shell shares.
struct Shell {
    executor: Rc<LocalExecutor<'static>>,
    pool: Pool,
    clock: Clock,
}

impl Shell {
    /// Starts the rendezvous: its owner, which gives back the store in the end, and its listeners.
    fn start_signalling(
        &self,
        part: RendezvousPart,
        (datagrams, listeners): (Datagrams, Vec<Async<TcpListener>>),
        (live, relays, stop): (Receiver<Live>, Receiver<Vec<String>>, Receiver<()>),
    ) -> Result<Task<StoreThread>, Error> {
        let (saved_in, saved) = bounded(SAVES_PENDING_MAX);
        let store = StoreThread::start(part.store, saved_in).map_err(Error::System)?;
        let mut signalling = Signalling::new(part.machine, datagrams, store, self.clock);
        let (inbox_in, inbox) = bounded(INBOX_MAX);
        let offers = part.seal.map(|(key, seed)| Rc::new(Offers::new(self.clock, key, seed)));
        for (listener, offers) in listeners.into_iter().zip([offers, None]) {
            let executor = Rc::clone(&self.executor);
            let owner = Owner { inbox: inbox_in.clone(), offers };
            self.accept(listener, move |stream, from, place| {
                executor.spawn(signalling_task(stream, from, place, owner.clone())).detach();
            });
        }
        let queues = Queues { inbox, saved, live, relays };
        Ok(self.executor.spawn(async move {
            let stopped = async {
                let _ = stop.recv().await;
            };
            future::or(signalling.run(&queues), stopped).await;
            signalling.into_store()
        }))
    }

    fn start_relay(&self, machine: Relay, listener: Async<TcpListener>, live: Receiver<LiveRelay>) {
        let mut relaying = Relaying::new(machine, self.clock);
        let (inbox_in, inbox) = bounded(INBOX_MAX);
        self.executor.spawn(async move { relaying.run(&inbox, &live).await }).detach();
        let executor = Rc::clone(&self.executor);
        self.accept(listener, move |stream, from, place| {
            let shared = (inbox_in.clone(), Rc::clone(&executor));
            executor.spawn(relaying::serve(stream, from, place, shared)).detach();
        });
    }

    fn accept(
        &self,
        listener: Async<TcpListener>,
        open: impl Fn(Async<TcpStream>, Endpoint, Place) + 'static,
    ) {
        self.executor.spawn(accept(listener, self.pool.clone(), open)).detach();
    }
}

/// Applies reloads until a signal says stop.
async fn until_stop(
    mut signals: Listener,
    mut reload: Box<dyn FnMut() -> Option<Live>>,
    (pool, mut places): (Pool, usize),
    (rendezvous, relay, lists): (Sender<Live>, Sender<LiveRelay>, mpsc::Sender<Vec<String>>),
) {
    while signals.next().await == Wish::Reload {
        let Some(live) = reload() else { continue };
        pool.grow(places, live.limits.connections);
        places = places.max(live.limits.connections);
        let _ = lists.send(live.policy.relays.clone());
        let access_key = live.policy.access_key.clone();
        let _ = relay.try_send(LiveRelay { limits: live.limits, access_key });
        let _ = rendezvous.try_send(live);
        info!("reloaded");
    }
}

/// Accepts as long as there are places; when the kernel refuses (no file descriptors), waits.
async fn accept(
    listener: Async<TcpListener>,
    pool: Pool,
    open: impl Fn(Async<TcpStream>, Endpoint, Place),
) {
    loop {
        // A place is taken only for a connection that is there: listeners do not hoard them.
        let _ = listener.readable().await;
        let Some(place) = pool.place().await else { return };
        match listener.get_ref().accept().and_then(|(s, from)| Ok((Async::new(s)?, from))) {
            Ok((stream, from)) => {
                let _ = stream.get_ref().set_nodelay(true);
                open(stream, Endpoint::from(from), place);
            }
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
            Err(cause) => {
                warn!("accept-failed cause={}", cause.kind());
                Timer::after(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

/// One signalling connection, from accept to close.
async fn signalling_task(stream: Async<TcpStream>, from: Endpoint, place: Place, owner: Owner) {
    let conn = place.conn();
    let (outbox_in, outbox) = bounded(OUTBOX_MAX);
    let opened = FromStream::Opened { conn, from, transport: Transport::Tcp, outbox: outbox_in };
    if owner.inbox.send(opened).await.is_ok() {
        let reason = tcp::converse(stream, conn, &owner, outbox).await;
        let _ = owner.inbox.send(FromStream::Closed { conn, reason }).await;
    }
}
