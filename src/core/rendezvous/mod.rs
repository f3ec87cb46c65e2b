//! Who is registered, who is here, and who asks for whom: a pure machine that knows no socket,
//! clock, file or log, nor the relay. C11-C52, C55-C59, C87, C88, C95-C99, C129.

mod admin;
mod away;
mod challenge;
mod console;
mod dialing;
mod events;
mod join;
mod newcomers;
mod online;
mod policy;
#[cfg(feature = "accounts")]
mod private;
mod register;
mod registry;
mod rename;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::net::IpAddr;

use heapless::Deque;

use crate::base::address::Endpoint;
use crate::base::conn::{Conn, SaveOutcome, SaveRank, Ticket, Transport, Via};
use crate::base::counters::{Counters, DropReason};
use crate::base::limits::{
    CHALLENGES_MAX, EFFECTS_MAX, ELSEWHERE_MAX, Limits, ONLINE_WINDOW_MS, PUNCH_MS,
    SAVES_PENDING_MAX,
};
use crate::base::nonce::Nonces;
use crate::base::peer::{Change, PeerId, Record, RecordState, RelayToken};
use crate::base::table::{Seed, Table};
use crate::base::time::{RateWindow, Throttle, Time, earliest};
use crate::identity::ServerKey;
#[cfg(feature = "accounts")]
use crate::journal::Step;
use crate::wire::reply::Reply;
use crate::wire::request::Request;

pub use admin::{Occupancy, PeerQuery, PeerRow};
use challenge::Challenge;
use console::Journal;
pub use console::command_names;
use dialing::{Askers, Dial, Elsewhere, Grants, Meetings};
use events::Flaps;
pub use events::{Event, Held, RateLimit};
use newcomers::Newcomers;
use online::Reading;
pub use policy::here::NamedHost;
pub use policy::{LocalNetwork, Policy};
#[cfg(feature = "accounts")]
pub use private::{Approval, Deployed, Deployment, Invited, WaitingRow};
use register::PendingSave;
use registry::Registry;
use registry::kept::Kept;

/// What happens to the rendezvous.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A connection was accepted.
    Opened {
        /// Its handle until `Closed`.
        conn: Conn,
        /// The peer's address; behind a trusted proxy the one that the proxy tells.
        from: Endpoint,
        /// How its bytes are cut into messages.
        transport: Transport,
    },
    /// A message arrived.
    Request {
        /// Where it came from, and where its answer goes.
        via: Via,
        /// The decoded message.
        request: Request<'a>,
    },
    /// A connection is gone.
    Closed {
        /// Its handle, which stands for nothing from now on.
        conn: Conn,
    },
    /// Our relay was shown the new key or the old one, while both are good (C157).
    LegShowed {
        /// What the leg brought.
        token: RelayToken,
        /// Where it came from.
        from: IpAddr,
        /// Whether it was the old one.
        old: bool,
    },
    /// An operator wants a peer forgotten; `PeerForgotten`, `SaveFailed` or `PeerUnknown` follows.
    Forget {
        /// The peer's id.
        id: PeerId,
        /// Another device may have the id: the first that asks for it and proves its address.
        free: bool,
    },
    /// The store is done with a change.
    Saved {
        /// The ticket that [`Effect::Save`] gave it.
        ticket: Ticket,
        /// Whether the change is durable.
        outcome: SaveOutcome,
    },
}

/// What the rendezvous wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a message.
    Reply {
        /// Whom it is for: not always the sender of the input.
        via: Via,
        /// The message, not yet encoded.
        reply: Reply,
    },
    /// Send what waits for a connection, then close it.
    Close {
        /// As `Opened` gave it.
        conn: Conn,
        /// Why, for the log.
        reason: DropReason,
    },
    /// This connection is a peer's presence from now on: send heartbeats instead of closing it when
    /// it is idle (C28).
    Keep {
        /// As `Opened` gave it.
        conn: Conn,
        /// Whether the peer is a day old: one network may have more of those (C147).
        settled: bool,
    },
    /// An initiator wants this connection kept while its session runs: send heartbeats, for a
    /// bounded time (C102).
    Linger {
        /// Its handle.
        conn: Conn,
    },
    /// Make a change durable, then give `Saved`.
    Save {
        /// Comes back with `Saved`; never used twice.
        ticket: Ticket,
        /// What to store; in a box, as what is seldom would have every effect moved at its size.
        change: Box<Change>,
        /// Whose turn it is when others wait too.
        rank: SaveRank,
    },
    /// Two peers are about to meet at a relay: if it is ours, it is to expect them (C106).
    Meet {
        /// What both will bring.
        token: RelayToken,
        /// Where the one is who told the other.
        from: Endpoint,
    },
    /// Something an operator may want to read; `net/report.rs` words it.
    Report(Event),
}

/// Somebody who proved who it is, or that it has the key: its address is no stranger's (C101).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Where it is.
    pub ip: IpAddr,
    /// The connection on which it showed the key.
    pub conn: Option<Conn>,
    /// Whether that was the old one of two keys; None if there is one alone, or none was shown.
    pub shows_old: Option<bool>,
}

/// What one input or timeout led to, in order.
pub type Effects = Deque<Effect, EFFECTS_MAX>;

/// An open connection.
struct OpenConnection {
    from: Endpoint,
    transport: Transport,
    /// The peer that is present on it.
    registered: Option<PeerId>,
    /// A long query that is being answered on it.
    reading: Option<Box<Reading>>,
}

/// The rendezvous machine.
pub struct Rendezvous {
    policy: Policy,
    limits: Limits,
    key: Option<ServerKey>,
    registry: Registry,
    /// Ids with a change on its way to disk: one at a time for each.
    saving: Table<PeerId, ()>,
    pending: Table<Ticket, PendingSave>,
    tickets: u64,
    connections: Table<Conn, OpenConnection>,
    registered_connections: usize,
    dials: Table<Endpoint, Dial>,
    elsewhere: Table<PeerId, Elsewhere>,
    grants: Grants,
    askers: Askers,
    challenges: Table<PeerId, Challenge>,
    meetings: Meetings,
    flaps: Flaps,
    /// What the console tells of the past, where there is one (C161).
    journal: Option<Box<Journal>>,
    newcomers: Newcomers,
    /// Devices that wait for an operator.
    #[cfg(feature = "accounts")]
    waiting: private::Waiting,
    /// Codes by which others are let in.
    #[cfg(feature = "accounts")]
    invites: private::Invites,
    /// Ids whose presence was asked for, by source.
    online: Throttle,
    /// The same of sources of which nothing is known, by network and in all.
    online_networks: Throttle,
    online_strangers: RateWindow,
    /// Connections on which long queries are being answered, one after the other,
    reading: Vec<Conn>,
    /// and when the first of them has its turn again.
    reading_due: Time,
    nonces: Nonces,
    vouched: Option<Vouched>,
    /// What became of the ask that came in last.
    #[cfg(feature = "accounts")]
    step: Option<Step>,
    turn: usize,
    epoch_secs: u64,
    counters: Counters,
    #[cfg(feature = "accounts")]
    caller: Caller,
}

/// Who asks to connect, as the accounts have it.
#[cfg(feature = "accounts")]
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The user who is logged in there.
    pub user: Option<Box<str>>,
    /// That user's group; empty for none.
    pub group: Box<str>,
    /// The group that an operator put the device in that is asked for; empty for none.
    pub to_group: Box<str>,
    /// Devices report who is connected to them (C194).
    pub reports: bool,
    /// Why it is not known whether a user is, who seems to be, in words for the person (C220).
    pub doubt: Option<&'static str>,
    /// Why nobody may connect from there, in words for the person (C172).
    pub barred: Option<&'static str>,
}

impl Rendezvous {
    /// A rendezvous without peers. `key` signs peers' keys; without it sessions are not encrypted.
    /// `seed` keys the tables and the nonces that authenticate answers: it must be secret.
    pub fn new(limits: Limits, policy: Policy, key: Option<ServerKey>, seed: Seed) -> Self {
        Self {
            registry: Registry::new(limits.peers, seed),
            saving: Table::new(SAVES_PENDING_MAX, seed),
            pending: Table::new(SAVES_PENDING_MAX, seed),
            tickets: 0,
            connections: Table::new(limits.connections, seed),
            registered_connections: 0,
            dials: Table::new(limits.connections, seed),
            elsewhere: Table::new(ELSEWHERE_MAX, seed),
            grants: Grants::new(seed),
            askers: Askers::new(seed),
            challenges: Table::new(CHALLENGES_MAX, seed),
            meetings: Meetings::new(seed),
            flaps: Flaps::default(),
            journal: None,
            newcomers: Newcomers::new(seed),
            #[cfg(feature = "accounts")]
            waiting: private::Waiting::default(),
            #[cfg(feature = "accounts")]
            invites: private::Invites::default(),
            online: Throttle::new(ONLINE_WINDOW_MS, seed),
            online_networks: Throttle::new(ONLINE_WINDOW_MS, seed),
            online_strangers: RateWindow::EMPTY,
            reading: Vec::new(),
            reading_due: Time::START,
            nonces: Nonces::new(seed),
            vouched: None,
            #[cfg(feature = "accounts")]
            step: None,
            turn: 0,
            epoch_secs: 0,
            counters: Counters::default(),
            #[cfg(feature = "accounts")]
            caller: Caller::default(),
            policy,
            limits,
            key,
        }
    }

    /// Takes in a stored record at start, past the limit if need be; false above the ceiling.
    /// Of a forgotten device only the id is kept.
    pub fn restore(&mut self, record: Record) -> bool {
        let RecordState::Forgotten(secs) = record.state else {
            return self.registry.put(record, None).is_ok();
        };
        self.registry.kept.keep(record.id, Kept::earlier(secs, record.device, record.key));
        true
    }

    /// Changes limits and policy. Nothing is lost, also where a limit is lower than before.
    pub fn reconfigure(&mut self, limits: Limits, policy: Policy) {
        self.registry.set_limit(limits.peers);
        self.connections.set_limit(limits.connections);
        self.dials.set_limit(limits.connections);
        self.limits = limits;
        #[cfg(feature = "accounts")]
        self.registry.set_private(policy.private);
        #[cfg(feature = "accounts")]
        if !policy.private {
            self.waiting.clear();
            self.invites.clear();
        }
        let here = mem::take(&mut self.policy.here);
        self.policy = Policy { here, ..policy };
        #[cfg(feature = "accounts")]
        self.waiting.leave_out(&self.policy.bans);
    }

    /// Changes which relays are handed out: the reachable ones of the operator's list.
    pub fn set_relays(&mut self, relays: Vec<String>) {
        self.policy.relays = relays;
    }

    /// Sets the Unix time of [`Time::START`], in seconds; 0 while the clock is not set.
    pub fn set_epoch_secs(&mut self, epoch_secs: u64) {
        if self.epoch_secs == 0 && epoch_secs > 0 {
            self.registry.date(epoch_secs);
        }
        self.epoch_secs = epoch_secs;
    }

    /// Says who asks with the next input.
    #[cfg(feature = "accounts")]
    pub fn set_caller(&mut self, caller: Caller) {
        self.caller = caller;
    }

    /// Who proved something with the last input, told once.
    pub const fn take_vouched(&mut self) -> Option<Vouched> {
        self.vouched.take()
    }

    /// What was dropped since start, by reason.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes one input; at most `EFFECTS_MAX` effects follow.
    pub fn handle(&mut self, now: Time, input: Input<'_>, effects: &mut Effects) {
        match input {
            Input::Opened { conn, from, transport } => {
                if self.policy.bans.has_ip(from.ip()) {
                    self.drop(now, Via::Stream(conn), DropReason::Blocked, effects);
                    return;
                }
                self.newcomers.connected(now, from);
                // The shell's pool is no larger than this table.
                let _ = self.connections.insert(
                    conn,
                    OpenConnection { from, transport, registered: None, reading: None },
                );
            }
            Input::Closed { conn } => self.handle_closed(now, conn),
            Input::LegShowed { token, from, old } => self.leg_showed(&token, from, old),
            Input::Forget { id, free } => self.forget(now, (id, free), effects),
            Input::Saved { ticket, outcome } => self.handle_saved(now, ticket, outcome, effects),
            Input::Request { via, request } => {
                if let Err(reason) = self.handle_request(now, via, request, effects) {
                    self.drop(now, via, reason, effects);
                }
            }
        }
    }

    /// When `handle_timeout` next has something to do; None if nothing waits.
    pub fn next_timeout(&self) -> Option<Time> {
        let recalls = self.registry.recalls.due();
        earliest(&[self.dial_due(), self.challenge_due(), self.reading_due(), recalls])
    }

    /// Forgets one punch that nobody answered within `PUNCH_MS`, decides one claim to a phone, asks
    /// some devices to register that were here before the start, or goes on with one long query;
    /// at most `EFFECTS_MAX` effects follow.
    pub fn handle_timeout(&mut self, now: Time, effects: &mut Effects) {
        if self.dial_due().is_some_and(|due| due <= now) {
            self.dials.pop_oldest();
        } else if self.challenge_due().is_some_and(|due| due <= now) {
            self.end_challenge(now, effects);
        } else if self.registry.recalls.due().is_some_and(|due| due <= now) {
            self.ask_recalled(now, effects);
        } else if self.reading_due().is_some_and(|due| due <= now) {
            self.read_on(now, effects);
        }
    }

    fn dial_due(&self) -> Option<Time> {
        self.dials.oldest().map(|(_, dial)| dial.asked.after_ms(PUNCH_MS))
    }

    fn handle_request(
        &mut self,
        now: Time,
        via: Via,
        request: Request<'_>,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        if self.policy.bans.has_ip(self.source(via)?.ip()) {
            return Err(DropReason::Blocked);
        }
        self.heard_on(via);
        match request {
            Request::RegisterPeer { id } => self.register_peer(now, via, &id, effects),
            Request::RegisterPk(claim) => self.register_pk(now, via, claim, effects),
            Request::PunchHole(punch) => self.punch_hole(now, via, &punch, effects),
            Request::PunchSent(sent) => self.punch_sent(via, sent, effects),
            Request::LocalAddr(local) => self.local_addr(via, local, effects),
            Request::RequestRelay(relay) => self.request_relay(now, via, &relay, effects),
            Request::RelayResponse(answer) => self.relay_response(via, &answer, effects),
            Request::TestNat => self.test_nat(via, effects),
            Request::Online(query) => self.online(now, via, query, effects),
            Request::HealthCheck => health_check(via, effects),
            Request::HttpProxy => no_api(via, effects),
            Request::KeyExchange(_) | Request::Ignored => Err(DropReason::Unexpected),
        }
    }

    /// Counts and reports a message that went no further; its connection is closed.
    fn drop(&mut self, now: Time, via: Via, reason: DropReason, effects: &mut Effects) {
        self.refuse(now, via, reason, effects);
        if let Via::Stream(conn) = via {
            push(effects, Effect::Close { conn, reason });
        }
    }

    fn handle_closed(&mut self, now: Time, conn: Conn) {
        let Some(connection) = self.connections.remove(&conn) else { return };
        if connection.reading.is_some() {
            self.reading.retain(|reading| *reading != conn);
        }
        if let Some(id) = &connection.registered {
            self.registered_connections = self.registered_connections.saturating_sub(1);
            self.registry.left(now, id, conn);
            // It will be back.
            let ip = connection.from.ip();
            self.vouched = Some(Vouched { ip, conn: None, shows_old: None });
        }
        if self.dials.get(&connection.from).is_some_and(|dial| dial.call.conn == conn) {
            self.dials.remove(&connection.from);
        }
    }

    /// The address behind `via`.
    fn source(&self, via: Via) -> Result<Endpoint, DropReason> {
        match via {
            // None that anybody sent: no answer can go there.
            Via::Datagram(from) if from.port() == 0 => Err(DropReason::Unexpected),
            Via::Datagram(from) => Ok(from),
            Via::Stream(conn) => self.connection(conn).map(|connection| connection.from),
        }
    }

    fn connection(&self, conn: Conn) -> Result<&OpenConnection, DropReason> {
        self.connections.get(&conn).ok_or(DropReason::Bug)
    }
}

/// An initiator may keep a connection while its session runs. We never ask for that (feedback
/// stays 0); whoever does so all the same is kept for a while.
fn health_check(via: Via, effects: &mut Effects) -> Result<(), DropReason> {
    let Via::Stream(conn) = via else { return Err(DropReason::Unexpected) };
    push(effects, Effect::Linger { conn });
    Ok(())
}

/// A call of the HTTP API, by a client that found nobody on TCP P-2: there is none (C129). The
/// client hangs up then; so do we, as its place is wanted.
fn no_api(via: Via, effects: &mut Effects) -> Result<(), DropReason> {
    let Via::Stream(conn) = via else { return Err(DropReason::Unexpected) };
    reply(effects, via, Reply::NoApi);
    push(effects, Effect::Close { conn, reason: DropReason::Done });
    Ok(())
}

/// Adds an effect. No handler has more than [`EFFECTS_MAX`]; a debug build checks that.
fn push(effects: &mut Effects, effect: Effect) {
    let pushed = effects.push_back(effect).is_ok();
    debug_assert!(pushed, "more effects than EFFECTS_MAX");
}

fn reply(effects: &mut Effects, via: Via, reply: Reply) {
    push(effects, Effect::Reply { via, reply });
}
