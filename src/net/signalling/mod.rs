//! The task that owns the rendezvous: datagrams, streams, saves and timeouts go in, effects come
//! out. It decides nothing; the machine does.

#[cfg(feature = "accounts")]
pub(crate) mod accounts;
#[cfg(feature = "accounts")]
pub(crate) mod calls;
pub(crate) mod conversation;
#[cfg(feature = "accounts")]
mod deploy;
#[cfg(feature = "accounts")]
mod devices;
mod early;
mod operator;
mod surroundings;
mod turns;

use std::io;
use std::net::IpAddr;

use log::debug;

#[cfg(feature = "accounts")]
use accounts::Accounting;
use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::{Conn, SaveOutcome, Ticket, Via};
use hbb_core::base::counters::{Counters, DropReason};
use hbb_core::base::limits::{DATAGRAM_BYTES_MAX, OUTBOX_MAX, TOLD_AT_ONCE_MAX};
use hbb_core::base::peer::PeerId;
use hbb_core::base::places::SlotTable;
use hbb_core::base::time::Time;
use hbb_core::rendezvous::{Effect, Effects, Input, Rendezvous, Vouched};
use hbb_core::wire::message::{decode, encode_into};
use hbb_core::wire::reply::Reply;
use hbb_core::wire::request::{Registration, Request};

use crate::net::clock::Clock;
use crate::net::conn::pool::Pool;
use crate::net::conn::secrecy::Offers;
use crate::net::conn::udp::{BUFFER_BYTES, Datagrams};
use crate::net::health::ToWatch;
#[cfg(feature = "accounts")]
use crate::net::journal::ConnectionLog;
use crate::net::message::{AnswerTo, Outbox, ToConnection, ToRelay, ToRendezvous};
use crate::net::recall::{self, Keep, Leaving, Whereabouts};
use crate::net::report;
use crate::net::signalling::early::Early;
use crate::net::signalling::surroundings::Surroundings;
use crate::net::store::{Ending, PendingChange, StoreThread};
use crate::net::tasks::queue::{Refused, Sender};
use crate::settings::LiveSettings;

pub(crate) use turns::Queues;

/// The machine and all it talks through.
pub(crate) struct Signalling {
    machine: &'static mut Rendezvous,
    effects: Effects,
    clock: Clock,
    datagrams: Datagrams,
    buffer: Box<[u8]>,
    /// What is being sent, encoded.
    answer: Vec<u8>,
    store: StoreThread,
    /// To the watch over relays.
    watch: Sender<ToWatch>,
    /// To the relay beside us; nobody reads it if there is none.
    relay: Sender<ToRelay>,
    outboxes: SlotTable<Outbox>,
    /// Learns which connections and addresses are no strangers'.
    pool: Pool,
    /// Learn who has which of two keys; None without a key to sign with.
    offers: Option<&'static Offers>,
    /// Where it is kept who is to be asked after the next start; None if nobody is.
    keep: Option<Keep>,
    surroundings: Surroundings,
    early: Early,
    /// Which turn it is, and whether some connection was told as much in it as fits: it must read
    /// before there is more for it.
    turn: u32,
    crowded: bool,
    /// When the task is to be woken, and when the machine was last told the date.
    due: Option<Time>,
    dated: Option<Time>,
    #[cfg(feature = "accounts")]
    log: ConnectionLog,
    /// An operator who waits for a peer to be forgotten, or approved: they come one at a time.
    forgetting: Option<(PeerId, AnswerTo)>,
    counters: Counters,
    #[cfg(feature = "accounts")]
    accounts: Accounting,
    /// Devices that show a code, and wait for the store.
    #[cfg(feature = "accounts")]
    deploying: deploy::Waiting,
}

/// What the machine acts through.
pub(crate) struct SignallingIo {
    pub(crate) datagrams: Datagrams,
    pub(crate) store: StoreThread,
    /// Has relays watched.
    pub(crate) watch: Sender<ToWatch>,
    /// Told whom to expect.
    pub(crate) relay: Sender<ToRelay>,
    pub(crate) clock: Clock,
    pub(crate) pool: Pool,
    /// Made to connections; None without a key to sign with.
    pub(crate) offers: Option<&'static Offers>,
    /// Where it is kept who is to be asked after the next start; None if nobody is.
    pub(crate) keep: Option<Keep>,
    /// The only address we listen on; None for all of them.
    pub(crate) bind: Option<IpAddr>,
    /// Hears what asks come to.
    #[cfg(feature = "accounts")]
    pub(crate) log: ConnectionLog,
    /// Who has an account.
    #[cfg(feature = "accounts")]
    pub(crate) accounts: Accounting,
}

impl Signalling {
    /// Joins a machine to what it acts through.
    pub(crate) fn new(machine: &'static mut Rendezvous, io: SignallingIo) -> Self {
        let SignallingIo {
            datagrams, store, watch, relay, clock, pool, offers, keep, bind, ..
        } = io;
        Self {
            #[cfg(feature = "accounts")]
            log: io.log,
            #[cfg(feature = "accounts")]
            accounts: io.accounts,
            #[cfg(feature = "accounts")]
            deploying: deploy::Waiting::new(),
            machine,
            effects: Effects::new(),
            clock,
            datagrams,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            answer: Vec::new(),
            store,
            watch,
            relay,
            outboxes: SlotTable::new(),
            pool,
            offers,
            keep,
            surroundings: Surroundings::new(bind),
            early: Early::default(),
            turn: 0,
            crowded: false,
            due: None,
            dated: None,
            forgetting: None,
            counters: Counters::default(),
        }
    }

    /// Gives the store back, to flush and close it; it knows what to store last.
    fn into_store(self) -> StoreThread {
        let Self { machine, clock, datagrams, store, keep, .. } = self;
        let now = clock.now();
        let away = recall::away_text(machine.away(now));
        let mut leaving = Leaving { here: String::new(), away, keep };
        if leaving.keep.is_some() {
            let here = machine.whereabouts(now).filter_map(|(id, at)| {
                let own = datagrams.own_address(at)?;
                Some(Whereabouts { id: id.clone(), at, own })
            });
            leaving.here = recall::text(here);
        }
        store.ending_with(Ending { changes: machine.last_changes(now), leaving })
    }

    /// Handles one datagram; false if there is none.
    fn datagram(&mut self, now: Time) -> bool {
        let (at, from) = match self.datagrams.receive(&mut self.buffer) {
            Ok(received) => received,
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        };
        let payload = self.buffer.get(at).unwrap_or_default();
        if payload.len() > DATAGRAM_BYTES_MAX {
            self.counters.count(DropReason::Oversized);
            return true;
        }
        match decode(payload) {
            Ok(Request::RegisterPk(claim)) => {
                self.datagrams.asked().note_waiting(from);
                let claim = match self.machine.lacks_proof(now, from, &claim) {
                    true => self.early.keep(now, (from, claim)),
                    false => Some((from, claim)),
                };
                claim.into_iter().for_each(|claim| self.claim(now, claim));
            }
            Ok(request) => {
                let input = Input::Request { via: Via::Datagram(from), request };
                self.machine.handle(now, input, &mut self.effects);
                self.carry_out(now);
            }
            Err(_) => self.counters.count(DropReason::Malformed),
        }
        true
    }

    fn claim(&mut self, now: Time, (from, claim): (Endpoint, Registration)) {
        let request = Request::RegisterPk(claim);
        let input = Input::Request { via: Via::Datagram(from), request };
        self.machine.handle(now, input, &mut self.effects);
        self.carry_out(now);
    }

    fn stream(&mut self, now: Time, message: ToRendezvous) {
        match message {
            ToRendezvous::Opened { conn, from, transport, outbox } => {
                self.outboxes.insert(conn, outbox);
                let input = Input::Opened { conn, from, transport };
                self.machine.handle(now, input, &mut self.effects);
            }
            ToRendezvous::LegShowed { token, from, old } => {
                let input = Input::LegShowed { token, from, old };
                self.machine.handle(now, input, &mut self.effects);
            }
            ToRendezvous::Refused { reason, proves } => {
                self.counters.count(reason);
                proves.into_iter().for_each(|ip| self.machine.proved(now, ip));
            }
            ToRendezvous::Closed { conn, reason } => {
                self.counters.count(reason);
                self.hang_up(conn);
                self.machine.handle(now, Input::Closed { conn }, &mut self.effects);
            }
            ToRendezvous::Asked(question, to) => self.asked(question, to),
            #[cfg(feature = "accounts")]
            ToRendezvous::Called { conn, call, source, to } => {
                if let Some(to) = self.deploys(&call, source, to) {
                    self.called(conn, (&call, source), to);
                }
            }
            ToRendezvous::Payload { conn, payload, held } => match decode(&payload) {
                Ok(request) => {
                    if matches!(request, Request::PunchHole(_) | Request::RequestRelay(_)) {
                        self.surroundings.look(now, self.machine, &self.watch);
                        #[cfg(feature = "accounts")]
                        self.machine.set_caller(self.accounts.caller(&payload, &request));
                    }
                    let input = Input::Request { via: Via::Stream(conn), request };
                    self.machine.handle(now, input, &mut self.effects);
                    if self.machine.is_reading(conn)
                        && let Some(outbox) = self.outboxes.get_mut(conn)
                    {
                        outbox.asked.get_or_insert(held);
                    }
                }
                Err(_) => {
                    self.counters.count(DropReason::Malformed);
                    self.hang_up(conn);
                }
            },
        }
        self.carry_out(now);
    }

    /// New limits and policy; whoever is shut out by it goes at once.
    fn reconfigure(&mut self, now: Time, mut live: LiveSettings) {
        self.store.set_writes(live.limits.writes_a_day);
        self.datagrams.asked().set_peers(live.limits.peers);
        if live.policy.old_key.is_none() {
            self.offers.iter().for_each(|offers| offers.end_rotation());
        }
        if !live.reread {
            self.machine.keep_typed(&mut live.policy);
        }
        self.machine.reconfigure(live.limits, live.policy);
        #[cfg(feature = "accounts")]
        self.accounts.reconfigure(&live.accounts);
        while let Some(conn) = self.machine.banned_connection() {
            self.counters.count(DropReason::Blocked);
            self.hang_up(conn);
            self.machine.handle(now, Input::Closed { conn }, &mut self.effects);
        }
    }

    fn saved(&mut self, now: Time, ticket: Ticket, outcome: SaveOutcome) {
        #[cfg(feature = "accounts")]
        if self.accounts.saved(ticket, outcome, &self.store) {
            return;
        }
        let input = Input::Saved { ticket, outcome };
        self.machine.handle(now, input, &mut self.effects);
        self.carry_out(now);
    }

    /// Does what the machine wants. A refused save comes back as a failed one, whose effects are
    /// carried out too; those hold no save.
    fn carry_out(&mut self, now: Time) {
        if let Some(Vouched { ip, conn, shows_old }) = self.machine.take_vouched() {
            self.pool.vouch(now, ip);
            if let (Some(offers), Some(old)) = (&self.offers, shows_old) {
                offers.showed(ip, old);
            }
            conn.into_iter().for_each(|conn| self.pool.tie(conn));
        }
        #[cfg(feature = "accounts")]
        if let Some(step) = self.machine.take_step() {
            self.log.step(now, step);
        }
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Reply { via, ref reply } => {
                    self.answer.clear();
                    encode_into(&mut self.answer, reply);
                    self.reply(now, via, reply);
                }
                Effect::Keep { conn, settled } => {
                    self.pool.tie_device(conn, settled);
                    self.tell(conn, ToConnection::Keep);
                }
                Effect::Linger { conn } => self.tell(conn, ToConnection::Linger),
                Effect::Close { conn, reason } => {
                    debug!("connection-closing slot={} reason={}", conn.slot, reason.as_str());
                    self.hang_up(conn);
                }
                Effect::Save { ticket, change, rank } => {
                    if self.store.save(PendingChange { rank, ticket, change: *change }).is_err() {
                        let failed = Input::Saved { ticket, outcome: SaveOutcome::Failed };
                        self.machine.handle(now, failed, &mut self.effects);
                    }
                }
                Effect::Meet { token, from } => {
                    let _ = self.relay.try_send(ToRelay::Expected { token, from });
                }
                Effect::Report(event) => {
                    // Who is told of it finds it in the log.
                    report::rendezvous(&event);
                    #[cfg(feature = "accounts")]
                    self.follow_device(&event);
                    self.tell_operator(&event);
                    #[cfg(feature = "accounts")]
                    self.tell_deployed(&event);
                }
            }
        }
    }

    /// Sends the answer that is encoded.
    fn reply(&mut self, now: Time, via: Via, reply: &Reply) {
        match via {
            Via::Datagram(to) => {
                if reply.welcomes() {
                    self.datagrams.asked().note_device(to);
                }
                if self.datagrams.send(now, &self.answer, to).is_err() {
                    self.counters.count(DropReason::SendFailed);
                }
            }
            Via::Stream(conn) => {
                if reply.is_early() {
                    self.tell(conn, ToConnection::Pause);
                }
                self.push(conn, self.answer.as_slice().to_vec());
            }
        }
    }

    /// A payload for a connection; one for which there is no memory is not read fast enough.
    fn push(&mut self, conn: Conn, payload: Vec<u8>) {
        let familiar = self.pool.is_familiar(conn);
        let Some(outbox) = self.outboxes.get_mut(conn) else { return };
        if !self.machine.is_reading(conn) {
            outbox.asked = None;
        }
        match outbox.held.another(payload.len(), familiar) {
            Some(held) => self.tell(conn, ToConnection::Payload(payload, held)),
            None => self.give_up(conn),
        }
    }

    /// A peer that does not read is closed. A connection gone meanwhile is none of this message's
    /// business.
    fn tell(&mut self, conn: Conn, message: ToConnection) {
        let Some(outbox) = self.outboxes.get_mut(conn) else { return };
        let before = if outbox.told.0 == self.turn { outbox.told.1 } else { 0 };
        outbox.told = (self.turn, before + 1);
        self.crowded |= before + 1 > OUTBOX_MAX - TOLD_AT_ONCE_MAX;
        if outbox.queue.try_send(message) == Err(Refused::Full) {
            self.give_up(conn);
        }
    }

    fn give_up(&mut self, conn: Conn) {
        self.hang_up(conn);
        self.counters.count(DropReason::SlowReader);
    }

    /// The connection flushes what waits for it, then ends.
    fn hang_up(&mut self, conn: Conn) {
        if let Some(outbox) = self.outboxes.remove(conn) {
            outbox.queue.close();
        }
    }
}
