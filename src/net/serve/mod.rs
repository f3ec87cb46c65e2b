//! Puts the shell together: opens every socket first, then runs both owners, the accept loops
//! and the signal handler on one executor until a signal says stop.

mod ports;

use std::cell::Cell;
#[cfg(feature = "accounts")]
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;

use log::{info, warn};
use smol::future;

pub(crate) use ports::{Listening, ServeError};
use ports::{Sockets, open};

use crate::config::{PortService, Ports, Role};
use crate::settings::{LiveSettings, RunningSettings};
use crate::store::Store;
#[cfg(feature = "accounts")]
use hbb_core::accounts::Accounts;
use hbb_core::base::address::Endpoint;
#[cfg(feature = "accounts")]
use hbb_core::base::limits::Limits;
use hbb_core::base::limits::{
    INBOX_MAX, OFFER_DELAY_MS, OFFER_DELAY_SHARED_MS, SAVES_PENDING_MAX, SAVES_WAITING_MAX,
};
use hbb_core::base::rates::Rates;
use hbb_core::base::table::Seed;
use hbb_core::base::writes::Writes;
use hbb_core::identity::ServerKey;
use hbb_core::identity::rotation::OldKey;
use hbb_core::relay::Relay;
use hbb_core::rendezvous::Rendezvous;

use crate::net::accept::{Acceptor, Entrance, SinglePort};
use crate::net::clock::Clock;
use crate::net::conn::gate::{Gate, GateRules};
use crate::net::conn::pool::Pool;
use crate::net::conn::secrecy::Offers;
use crate::net::conn::udp::Datagrams;
use crate::net::control::{
    self, Controller, Holders, OrderBook, Orders, Owners, SettingsOwner, orders,
};
use crate::net::health::{self, Seen, ToWatch, WORDS_MAX};
#[cfg(feature = "accounts")]
use crate::net::journal::{self, ConnectionLog};
use crate::net::message::{RelaySettings, ToRelay, ToRendezvous, Update};
use crate::net::process::confine::Confinement;
use crate::net::process::signal::{HeldSignals, Reloads};
use crate::net::process::supervisor::Supervisor;
use crate::net::reactor::Source;
use crate::net::recall::Keep;
use crate::net::relaying::{RelayHandle, RelayQueues, Relaying};
use crate::net::session::{SessionSettings, Sessions};
#[cfg(feature = "accounts")]
use crate::net::signalling::accounts::Accounting;
use crate::net::signalling::conversation::SignallingHandle;
use crate::net::signalling::{Queues, Signalling, SignallingIo};
use crate::net::store::{Account, StoreThread};
use crate::net::tasks::executor::Executor;
use crate::net::tasks::lasting;
use crate::net::tasks::queue::{Receiver, Sender, bounded};
#[cfg(feature = "web")]
use crate::net::web::WebHandle;

/// The rendezvous to run and its store.
pub(crate) struct RendezvousPart {
    /// The machine, peers restored. Behind a pointer: it passes through many hands before it
    /// serves, and each would leave a touched page of the stack.
    pub(crate) machine: &'static mut Rendezvous,
    /// Where its changes go.
    pub(crate) store: Box<dyn Store>,
    /// What offers of a sealed channel are made with; None if there is no key to sign them.
    pub(crate) offering: Option<Offering>,
    /// Where devices are to be asked after the start, and from which of our addresses.
    pub(crate) recalled: Vec<(Endpoint, IpAddr)>,
    /// Where it is kept who is to be asked after the next start; None if nobody is.
    pub(crate) keep: Option<Keep>,
    /// Who has an account, if anybody has one.
    #[cfg(feature = "accounts")]
    pub(crate) accounts: Option<&'static mut Accounts>,
    /// Whether only users who are logged in may connect.
    #[cfg(feature = "accounts")]
    pub(crate) must_login: bool,
}

/// What offers of a sealed channel are made with.
pub(crate) struct Offering {
    /// Signs them.
    pub(crate) key: ServerKey,
    /// Whether clients may do without it.
    pub(crate) keyless: bool,
    /// The key before, while that is good.
    pub(crate) old: Option<&'static OldKey>,
    /// Their secrets come from it: must be secret.
    pub(crate) entropy: [u8; 32],
}

/// Everything `run` needs.
pub(crate) struct Setup {
    /// Sockets.
    pub(crate) listening: Listening,
    /// Limits and policy as they are at start.
    pub(crate) live: LiveSettings,
    /// The rendezvous, unless this process is a relay only.
    pub(crate) rendezvous: Option<RendezvousPart>,
    /// The relay, unless this process is a rendezvous only.
    pub(crate) relay: Option<&'static mut Relay>,
    /// How relayed sessions run.
    pub(crate) sessions: SessionSettings,
    /// Keys the shell's own tables: must be secret.
    pub(crate) seed: Seed,
    /// The settings, to be changed while everything runs.
    pub(crate) settings: RunningSettings,
    /// Where operators ask.
    pub(crate) control: PathBuf,
    /// Where asks and sessions are noted.
    #[cfg(feature = "accounts")]
    pub(crate) connections: journal::Target,
    /// What was given up already, and is given up before strangers are served.
    pub(crate) confinement: Confinement,
}

/// Serves until SIGTERM or SIGINT; registrations on their way are durable on return. `opened` is
/// called as soon as all ports are ours.
///
/// # Errors
/// [`ServeError`] if a socket cannot be opened; nothing was served then.
pub(crate) fn run(setup: Setup, signals: Reloads, opened: &dyn Fn()) -> Result<(), ServeError> {
    let signals = signals.and_stops()?;
    let sockets = open(&setup.listening)?;
    opened();
    let executor = Executor::default();
    let ended = Rc::new(Cell::new(Ok(())));
    let (serving, end) = (serve(setup, signals, sockets, executor.clone()), Rc::clone(&ended));
    executor.run(Box::pin(async move { end.set(serving.await) }))?;
    ended.replace(Ok(()))
}

async fn serve(
    setup: Setup,
    signals: HeldSignals,
    sockets: Sockets,
    executor: Executor,
) -> Result<(), ServeError> {
    let Setup { listening, live, rendezvous, relay, sessions, settings, control, .. } = setup;
    #[cfg_attr(not(feature = "accounts"), expect(unused_mut, reason = "it has no log"))]
    let mut shell = Shell::new(&live, setup.seed, listening, executor);
    #[cfg(feature = "accounts")]
    shell.log_to(setup.connections, (&live.limits, setup.seed))?;
    // The control thread sends the next settings when these are obeyed.
    let ((live_in, live_out), (relay_in, relay_out)) = (bounded(1), bounded(1));
    let (seen_in, seen) = bounded(WORDS_MAX);
    let watch = health::watch(shell.clock, seen_in)?;
    let (expect, expected) = bounded(INBOX_MAX);
    let (mut stopped, mut servers) = (None, Servers::default());
    let records = rendezvous.as_ref().and_then(|part| part.store.reader());
    if let Some((part, socket)) = rendezvous.zip(sockets.datagrams) {
        let datagrams = Datagrams::new(socket, live.limits.peers, setup.seed)?;
        health::tell(&watch, &live);
        let watch = watch.clone();
        let inputs = SignallingInputs { datagrams, live: live_out, seen, watch, expect };
        let (stored, handle) = shell.start_signalling(part, inputs)?;
        (stopped, servers.rendezvous) = (Some(stored), Some(handle));
    }
    if let Some(machine) = relay {
        let inputs =
            RelayInputs { setting: sessions, rates: live.rates, live: relay_out, expected };
        let beside = servers.rendezvous.as_ref().map(|handle| handle.inbox.clone());
        servers.relay = Some(shell.start_relay(machine, inputs, beside)?);
    }
    let signals = signals.listen()?;
    let (orders, book) = orders()?;
    servers.take(orders.clone(), listening.console);
    shell.accept(sockets.listeners, &servers)?;
    let owners = servers.owners();
    let supervisor = &*lasting(Supervisor::find());
    let (updates_in, updates) = bounded(1);
    let settings =
        SettingsOwner { settings, updates: updates_in, machines: owners.machines(), supervisor };
    let parts = Controller { settings, owners, clock: shell.clock, records };
    let control = start_control(control, parts, book)?;
    setup.confinement.finish();
    report_ready(&listening);
    supervisor.ready();
    let (pool, gate) = (shell.pool.clone(), shell.gate.clone());
    let holders = Holders { pool, gate, watch, rendezvous: live_in, relay: relay_in };
    future::or(holders.until_stop(signals, orders, updates), supervisor.beat()).await;
    info!("stopping");
    supervisor.stopping();
    control.iter().for_each(|path| control::close(path));
    // The holders are gone, and with them the queue of settings: the rendezvous ends.
    if let Some(stopped) = stopped {
        stopped.recv().await;
    }
    #[cfg(feature = "accounts")]
    shell.log.finish().await;
    Ok(())
}

/// What the owner of the rendezvous works with.
struct SignallingInputs {
    datagrams: Datagrams,
    /// Closed when the rendezvous shall end.
    live: Receiver<Update<LiveSettings>>,
    /// Of relays and names.
    seen: Receiver<Seen>,
    /// Has other relays watched.
    watch: Sender<ToWatch>,
    /// To the relay beside it; nobody reads it if there is none.
    expect: Sender<ToRelay>,
}

/// What the owner of the relay works with.
struct RelayInputs {
    setting: SessionSettings,
    rates: Rates,
    live: Receiver<Update<RelaySettings>>,
    /// Whom the rendezvous says to expect.
    expected: Receiver<ToRelay>,
}

/// The servers that were started.
#[derive(Default)]
struct Servers {
    rendezvous: Option<&'static SignallingHandle>,
    relay: Option<&'static RelayHandle>,
    /// Where lines typed into a console go, if there is one.
    console: Option<&'static Orders>,
    /// Where the page of operators has its commands carried out.
    #[cfg(feature = "web")]
    orders: Option<&'static Orders>,
}

impl Servers {
    /// Where what operators type goes; `console`: also what is typed into consoles.
    fn take(&mut self, orders: Orders, console: bool) {
        let orders = &*lasting(orders);
        self.console = console.then_some(orders);
        #[cfg(feature = "web")]
        {
            self.orders = Some(orders);
        }
    }

    fn owners(self) -> Owners {
        Owners {
            rendezvous: self.rendezvous.map(|handle| handle.inbox.clone()),
            relay: self.relay.map(|handle| handle.inbox.clone()),
        }
    }
}

/// What every part of the shell shares.
struct Shell {
    executor: Executor,
    pool: Pool,
    clock: Clock,
    gate: Gate,
    listening: Listening,
    /// What may be written.
    account: Account,
    #[cfg(feature = "accounts")]
    log: ConnectionLog,
}

impl Shell {
    fn new(live: &LiveSettings, seed: Seed, listening: Listening, executor: Executor) -> Self {
        let (clock, gate) = (Clock::start(), Gate::default());
        gate.set(GateRules::from(live));
        Self {
            pool: Pool::new(&live.limits, seed, clock),
            account: Account::new(Writes::new(live.limits.writes_a_day), clock),
            executor,
            clock,
            gate,
            listening,
            #[cfg(feature = "accounts")]
            log: ConnectionLog::default(),
        }
    }

    /// Begins the log of connections.
    #[cfg(feature = "accounts")]
    fn log_to(
        &mut self,
        target: journal::Target,
        (limits, seed): (&Limits, Seed),
    ) -> io::Result<()> {
        self.log = journal::open(target, limits, (seed, self.clock), &self.account)?;
        Ok(())
    }

    /// Starts the owner of the rendezvous. In the end it stops the store, then closes the queue.
    fn start_signalling(
        &self,
        part: RendezvousPart,
        inputs: SignallingInputs,
    ) -> Result<(Receiver<()>, &'static SignallingHandle), ServeError> {
        let SignallingInputs { mut datagrams, live, seen, watch, expect: relay } = inputs;
        if self.listening.role == Role::All {
            part.machine.relays_at(self.listening.ports.relay);
        }
        part.recalled.into_iter().for_each(|(at, own)| datagrams.asked().note_recalled(at, own));
        // Each change that its machine waits for, of devices and of accounts.
        let (saved_in, saved) = bounded(SAVES_PENDING_MAX + SAVES_WAITING_MAX);
        let store = StoreThread::start(part.store, saved_in, self.account.clone())?;
        let (clock, pool) = (self.clock, self.pool.clone());
        let (keep, bind) = (part.keep, self.listening.ip);
        let offers = self.offers(part.offering);
        #[cfg(feature = "accounts")]
        let answers_calls = part.accounts.is_some();
        let io = SignallingIo {
            datagrams,
            store,
            watch,
            relay,
            clock,
            pool,
            offers,
            keep,
            bind,
            #[cfg(feature = "accounts")]
            log: self.log.clone(),
            #[cfg(feature = "accounts")]
            accounts: Accounting::new(part.accounts, part.must_login, clock),
        };
        let signalling = Signalling::new(part.machine, io);
        let (inbox_in, inbox) = bounded(INBOX_MAX);
        let handle = lasting(SignallingHandle {
            inbox: inbox_in,
            offers,
            #[cfg(feature = "accounts")]
            answers_calls,
        });
        let queues = Queues { inbox, saved, live, seen };
        let (running, stopped) = bounded(1);
        let run = async move {
            signalling.run(queues).await;
            drop(running);
        };
        self.executor.spawn(Box::pin(run)).detach();
        Ok((stopped, handle))
    }

    fn offers(&self, offering: Option<Offering>) -> Option<&'static Offers> {
        let Offering { key, keyless, old, entropy } = offering?;
        let single = self.listening.ports.single;
        let delay_ms = if single { OFFER_DELAY_SHARED_MS } else { OFFER_DELAY_MS };
        Some(lasting(Offers::new(self.clock, (key, keyless, old), entropy, delay_ms)))
    }

    fn start_relay(
        &self,
        machine: &'static mut Relay,
        inputs: RelayInputs,
        rendezvous: Option<Sender<ToRendezvous>>,
    ) -> Result<&'static RelayHandle, ServeError> {
        let RelayInputs { setting, rates, live, expected } = inputs;
        let sessions =
            Sessions::new(setting, &self.executor, self.clock, (rates, self.pool.bytes()))?;
        let sessions: &Sessions = lasting(sessions);
        let shared = (self.pool.clone(), self.clock);
        let mut relaying = Relaying::new(machine, sessions, shared, rendezvous);
        #[cfg(feature = "accounts")]
        relaying.log_to(self.log.clone());
        let (inbox_in, inbox) = bounded(INBOX_MAX);
        let (legs_in, legs) = bounded(INBOX_MAX);
        let queues = RelayQueues { legs, inbox, expected, live };
        self.executor.spawn(Box::pin(async move { relaying.run(&queues).await })).detach();
        Ok(lasting(RelayHandle { legs: legs_in, inbox: inbox_in, sessions }))
    }

    /// What stands behind a port; None if nobody here serves it.
    fn entrance(&self, service: PortService, servers: &Servers) -> Option<Entrance> {
        let (rendezvous, relay) = (servers.rendezvous, servers.relay);
        let console = servers.console;
        Some(match service {
            PortService::Signalling => Entrance::Signalling(rendezvous?),
            PortService::NatTest => Entrance::NatTest { rendezvous: rendezvous?, console },
            PortService::SignallingWs => Entrance::SignallingWs(rendezvous?),
            PortService::Relay => Entrance::Relay { relay: relay?, console },
            PortService::NoApi => Entrance::NoApi(rendezvous?),
            #[cfg(feature = "accounts")]
            PortService::Api => Entrance::Api(rendezvous?),
            #[cfg(feature = "web")]
            PortService::Web => Entrance::Web(WebHandle {
                rendezvous: rendezvous?,
                orders: servers.orders?,
                at_home_alone: self.listening.accounts.web_ip.is_none(),
            }),
            PortService::RelayWs => Entrance::RelayWs(relay?),
            PortService::Every => {
                let (rendezvous, relay) = (rendezvous?, relay?);
                Entrance::Single(SinglePort { rendezvous, relay })
            }
        })
    }

    /// Lets in whoever comes from now on, by the ports that somebody here serves.
    fn accept(
        &self,
        listeners: Vec<(PortService, TcpListener)>,
        servers: &Servers,
    ) -> Result<(), ServeError> {
        for (service, listener) in listeners {
            let Some(entrance) = self.entrance(service, servers) else { continue };
            let listener = Source::listening(listener)?;
            let (executor, pool) = (self.executor.clone(), self.pool.clone());
            let acceptor = Acceptor { executor, pool, gate: self.gate.clone(), entrance };
            self.executor.spawn(Box::pin(acceptor.run(listener))).detach();
        }
        Ok(())
    }
}

/// A role names its own port alone.
fn report_ready(listening: &Listening) {
    let Ports { main, relay, .. } = listening.ports;
    match listening.role {
        Role::All => info!("ready port={main} relay-port={relay}"),
        Role::Rendezvous => info!("ready port={main}"),
        Role::Relay => info!("ready relay-port={relay}"),
    }
}

/// Starts the control thread. We serve without its socket, if need be.
fn start_control(
    path: PathBuf,
    parts: Controller,
    book: OrderBook,
) -> Result<Option<PathBuf>, ServeError> {
    let (path, listener) = match control::open(&path) {
        Ok(listener) => (Some(path), Some(listener)),
        Err(cause) => {
            warn!("control-unavailable path={} cause='{cause}'", path.display());
            (None, None)
        }
    };
    control::start(parts, listener, book)?;
    Ok(path)
}
