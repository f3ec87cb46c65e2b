//! Puts the shell together: opens every socket first, then runs both owners, the accept loops
//! and the signal handler on one executor until a signal says stop.

use std::fs;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc;

use log::{info, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smol::channel::{Receiver, bounded, unbounded};
use smol::{Async, LocalExecutor, Task, future};

use crate::config::{PortService, Ports, Role};
use crate::settings::{LiveSettings, RunningSettings};
use crate::store::Store;
use hbb_core::base::limits::{
    FILES_SPARE, INBOX_MAX, OFFER_DELAY_MS, OFFER_DELAY_SHARED_MS, SAVES_PENDING_MAX,
};
use hbb_core::base::rates::Rates;
use hbb_core::base::table::Seed;
use hbb_core::identity::ServerKey;
use hbb_core::relay::Relay;
use hbb_core::rendezvous::Rendezvous;

use crate::net::accept::{Acceptor, Entrance, SinglePort};
use crate::net::clock::Clock;
use crate::net::conn::pool::Pool;
use crate::net::conn::secrecy::Offers;
use crate::net::conn::socket;
use crate::net::conn::udp::Datagrams;
use crate::net::conn::websocket::Proxies;
use crate::net::control::reload::Steward;
use crate::net::control::{self, Desk};
use crate::net::health;
use crate::net::message::RelaySettings;
use crate::net::process::signal::SignalListener;
use crate::net::process::supervisor::Supervisor;
use crate::net::relaying::{Legs, Relaying};
use crate::net::session::{Sessions, Setting};
use crate::net::signalling::conversation::SignallingHandle;
use crate::net::signalling::{Queues, Signalling};
use crate::net::store::StoreThread;

/// Where to listen, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// One local address, or None for all of them.
    pub ip: Option<IpAddr>,
    /// The ports.
    pub ports: Ports,
    /// Which of them to open.
    pub role: Role,
    /// The console is on.
    pub console: bool,
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
    pub listening: Listening,
    /// Limits and policy as they are at start.
    pub live: LiveSettings,
    /// The rendezvous, unless this process is a relay only.
    pub rendezvous: Option<RendezvousPart>,
    /// The relay, unless this process is a rendezvous only.
    pub relay: Option<Relay>,
    /// How relayed sessions run.
    pub sessions: Setting,
    /// Keys the shell's own tables: must be secret.
    pub seed: Seed,
    /// The settings, to be changed while everything runs.
    pub settings: RunningSettings,
    /// Where operators ask.
    pub control: PathBuf,
}

/// Why the shell could not start or had to stop.
#[derive(Debug)]
pub enum ServeError {
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
    listeners: Vec<(PortService, Async<TcpListener>)>,
}

/// Serves until SIGTERM or SIGINT; registrations on their way are durable on return.
///
/// # Errors
/// [`ServeError`] if a socket cannot be opened; nothing was served then.
pub fn run(setup: Setup) -> Result<(), ServeError> {
    let sockets = open(&setup)?;
    let executor = Rc::new(LocalExecutor::new());
    raise_file_limit(&setup.live);
    smol::block_on(executor.run(serve(setup, sockets, Rc::clone(&executor))))
}

fn open(setup: &Setup) -> Result<Sockets, ServeError> {
    let Listening { ip, ports, role, .. } = setup.listening;
    let udp = |port| {
        socket::udp(ip, port)
            .and_then(|socket| Datagrams::new(socket, setup.live.limits.peers, setup.seed))
            .map_err(|cause| ServeError::Port { protocol: "UDP", port, cause })
    };
    let tcp = |(service, port)| match socket::tcp(ip, port) {
        Ok(listener) => Ok((service, listener)),
        Err(cause) => Err(ServeError::Port { protocol: "TCP", port, cause }),
    };
    Ok(Sockets {
        datagrams: ports.udp(role).map(udp).transpose()?,
        listeners: ports.tcp(role).into_iter().map(tcp).collect::<Result<_, _>>()?,
    })
}

/// Raises the soft limit of open files to what the limits need, or says that it cannot.
fn raise_file_limit(live: &LiveSettings) {
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
) -> Result<(), ServeError> {
    let Setup { listening, live, rendezvous, relay, sessions, settings, control, .. } = setup;
    let Listening { ports, console, .. } = listening;
    let signals = SignalListener::new().map_err(ServeError::System)?;
    let (pool, proxies) = (Pool::new(live.limits.connections), Proxies::default());
    proxies.set(live.proxies.clone());
    let shell = Shell { executor, pool, clock: Clock::start(), proxies };
    let (live_in, live_out) = unbounded();
    let (live_relay_in, live_relay_out) = unbounded();
    let (stop_in, stop_out) = bounded::<()>(1);
    let (reachable, relays) = bounded(1);
    let lists = health::watch(reachable).map_err(ServeError::System)?;
    let _ = lists.send(live.policy.relays.clone());
    let (mut store, mut owner, mut legs) = (None, None, None);
    if let (Some(part), Some(datagrams)) = (rendezvous, sockets.datagrams) {
        let queues = (live_out, (relays, lists.clone()), stop_out);
        let offer_ms = if ports.single { OFFER_DELAY_SHARED_MS } else { OFFER_DELAY_MS };
        let (task, started) = shell.start_signalling(part, (datagrams, offer_ms), queues)?;
        (store, owner) = (Some(task), Some(started));
    }
    if let Some(machine) = relay {
        let relay = (machine, sessions);
        legs = Some(shell.start_relay(relay, live.rates, live_relay_out)?);
    }
    for (service, listener) in sockets.listeners {
        shell.accept(listener, (service, console), owner.clone(), legs.clone());
    }
    let (orders_in, orders) = bounded(INBOX_MAX);
    let desk = Desk {
        settings: orders_in,
        rendezvous: owner.map(|owner| owner.inbox),
        relay: legs.map(|legs| legs.inbox),
        clock: shell.clock,
    };
    let control = start_control(control, desk);
    info!("ready port={} relay-port={}", ports.main, ports.relay);
    let supervisor = Supervisor::find();
    supervisor.ready();
    let places = live.limits.connections;
    let (pool, proxies) = (shell.pool.clone(), shell.proxies.clone());
    let senders = (live_in, live_relay_in, lists);
    let steward = Steward { settings, pool, places, proxies, senders, supervisor: &supervisor };
    future::or(steward.until_stop(signals, &orders), supervisor.beat()).await;
    info!("stopping");
    supervisor.stopping();
    if let Some(path) = control {
        let _ = fs::remove_file(path);
    }
    drop(stop_in);
    if let Some(store) = store {
        store.await.stop();
    }
    Ok(())
}

/// Relays that answer, and the way to have others watched.
type Watched = (Receiver<Vec<String>>, mpsc::Sender<Vec<String>>);

/// What every part of the shell shares.
struct Shell {
    executor: Rc<LocalExecutor<'static>>,
    pool: Pool,
    clock: Clock,
    proxies: Proxies,
}

impl Shell {
    /// Starts the owner of the rendezvous, which gives back the store in the end.
    fn start_signalling(
        &self,
        part: RendezvousPart,
        (datagrams, offer_delay_ms): (Datagrams, u64),
        (live, (relays, lists), stop): (Receiver<LiveSettings>, Watched, Receiver<()>),
    ) -> Result<(Task<StoreThread>, SignallingHandle), ServeError> {
        let (saved_in, saved) = bounded(SAVES_PENDING_MAX);
        let store = StoreThread::start(part.store, saved_in).map_err(ServeError::System)?;
        let mut signalling = Signalling::new(part.machine, (datagrams, store), lists, self.clock);
        let (inbox_in, inbox) = bounded(INBOX_MAX);
        let offers = part
            .seal
            .map(|(key, seed)| Rc::new(Offers::new(self.clock, key, seed, offer_delay_ms)));
        let owner = SignallingHandle { inbox: inbox_in, offers };
        let queues = Queues { inbox, saved, live, relays };
        let task = self.executor.spawn(async move {
            let stopped = async {
                let _ = stop.recv().await;
            };
            future::or(signalling.run(&queues), stopped).await;
            signalling.into_store()
        });
        Ok((task, owner))
    }

    fn start_relay(
        &self,
        (machine, setting): (Relay, Setting),
        rates: Rates,
        live: Receiver<RelaySettings>,
    ) -> Result<Legs, ServeError> {
        let sessions = Sessions::new(setting, &self.executor, (self.clock, rates));
        let sessions = Rc::new(sessions.map_err(ServeError::System)?);
        let mut relaying = Relaying::new(machine, Rc::clone(&sessions), self.clock);
        let (inbox_in, inbox) = bounded(INBOX_MAX);
        self.executor.spawn(async move { relaying.run(&inbox, &live).await }).detach();
        Ok(Legs { inbox: inbox_in, sessions })
    }

    /// Has the connections of a port accepted, if somebody here serves it.
    fn accept(
        &self,
        listener: Async<TcpListener>,
        (service, console): (PortService, bool),
        rendezvous: Option<SignallingHandle>,
        relay: Option<Legs>,
    ) -> Option<()> {
        let proxies = self.proxies.clone();
        let entrance = match service {
            PortService::Signalling => Entrance::Signalling(rendezvous?),
            PortService::NatTest => Entrance::NatTest { rendezvous: rendezvous?, console },
            PortService::SignallingWs => {
                Entrance::SignallingWs { rendezvous: rendezvous?, proxies }
            }
            PortService::Relay => Entrance::Relay { relay: relay?, console },
            PortService::RelayWs => Entrance::RelayWs { relay: relay?, proxies },
            PortService::Every => {
                let (rendezvous, relay) = (rendezvous?, relay?);
                Entrance::Single(SinglePort { rendezvous, relay, proxies })
            }
        };
        let (executor, pool) = (Rc::clone(&self.executor), self.pool.clone());
        let acceptor = Acceptor { executor, pool, entrance };
        self.executor.spawn(acceptor.run(listener)).detach();
        Some(())
    }
}

/// Opens the control socket. We serve without one, if need be.
fn start_control(path: PathBuf, desk: Desk) -> Option<PathBuf> {
    match control::start(&path, desk) {
        Ok(()) => Some(path),
        Err(cause) => {
            warn!("control-unavailable path={} cause='{cause}'", path.display());
            None
        }
    }
}
