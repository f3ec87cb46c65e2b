//! The shell around the rendezvous machine, modelled: connections in a pool of slots that are
//! reused at once, a store that commits later or fails, restarts from what is durable. Every
//! effect passes the ledger.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::{Conn, SaveOutcome, SaveRank, Ticket, Transport, Via};
use hbb_core::base::limits::{
    CHALLENGES_MAX, CONSOLE_DIALS_MAX, CONSOLE_SEEN_MAX, EFFECTS_MAX, ELSEWHERE_MAX, FLAPS_MAX,
    GRANTS_MAX, KNOWN_ASKERS_MAX, Limits, PROVISIONAL_MAX, PUSHES_MAX, SAVES_PENDING_MAX,
    THROTTLED_MAX, WAITING_MAX,
};
use hbb_core::base::peer::{Change, PeerId, Record, RelayToken};
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;
use hbb_core::identity::ServerKey;
use hbb_core::rendezvous::{Effect, Effects, Input, Occupancy, Policy, Rendezvous};
use hbb_core::wire::message::{decode, encode};
use hbb_core::wire::reply::Reply;

use crate::addresses::Addresses;
use crate::flash::Flash;
use crate::ledger::{Author, Cause, Kind, Ledger};

/// What the network and the store are to do.
#[derive(Debug)]
pub(crate) enum Deed {
    Datagram {
        to: Endpoint,
        payload: Vec<u8>,
    },
    Stream {
        conn: Conn,
        payload: Vec<u8>,
    },
    Closed {
        conn: Conn,
    },
    /// A change was handed to the store.
    Saving,
    /// The relay is to expect two legs.
    Meet {
        token: RelayToken,
        from: Endpoint,
    },
}

/// A change on its way to disk, and where it came from.
struct Commit {
    ticket: Ticket,
    change: Change,
    rank: SaveRank,
    via: Option<Via>,
    from: Option<Endpoint>,
}

/// The machine and the state a shell keeps around it.
pub(crate) struct Server {
    pub(crate) machine: Rendezvous,
    pub(crate) limits: Limits,
    pub(crate) ledger: Ledger,
    /// Counts restarts.
    pub(crate) epoch: u32,
    pub(crate) durable: BTreeMap<PeerId, Record>,
    key: ServerKey,
    started: u64,
    callers: BTreeMap<u32, (Conn, Endpoint)>,
    kept: BTreeSet<u32>,
    generation: u32,
    in_flight: VecDeque<Commit>,
    pub(crate) flash: Flash,
    addresses: Addresses,
    before: (Occupancy, usize),
}

impl Server {
    pub(crate) fn new(limits: Limits, policy: Policy, key: ServerKey) -> Self {
        let mut machine = Rendezvous::new(limits, policy.clone(), Some(key.clone()), Seed(1, 2));
        machine.keep_journal(Seed(3, 4));
        Self {
            before: (machine.occupancy(), machine.bytes()),
            flash: Flash::new(limits.writes_a_day),
            addresses: Addresses::new(limits.peers),
            machine,
            limits,
            ledger: Ledger::new(key.clone(), policy, limits.forget_after_ms()),
            epoch: 0,
            durable: BTreeMap::new(),
            key,
            started: 0,
            callers: BTreeMap::new(),
            kept: BTreeSet::new(),
            generation: 0,
            in_flight: VecDeque::new(),
        }
    }

    /// Stops without a word and starts anew; all connections are gone. Of the changes on their
    /// way to disk the first `kept` arrived there, unsaid; None for a clean stop, which keeps all
    /// and leaves word of where devices are.
    pub(crate) fn restart(&mut self, now: u64, seed: Seed, kept: Option<usize>) {
        let most = kept.unwrap_or(usize::MAX);
        for commit in self.in_flight.drain(..).take(most).collect::<Vec<_>>() {
            self.apply(commit.change);
        }
        let (time, mut here) = (self.time(now), Vec::new());
        if kept.is_none() {
            let last = self.machine.last_changes(time);
            last.into_iter().for_each(|change| self.apply(change));
            here.extend(self.machine.whereabouts(time).map(|(id, at)| (id.clone(), at)));
        }
        self.ledger.stopped(time.as_millis(), kept.is_none());
        self.epoch += 1;
        self.started = now;
        self.callers.clear();
        self.kept.clear();
        let (limits, policy) = (self.limits, self.ledger.policy.clone());
        self.machine = Rendezvous::new(limits, policy, Some(self.key.clone()), seed);
        self.machine.keep_journal(seed);
        for record in self.durable.values() {
            assert!(self.machine.restore(record.clone()), "no room for stored {}", record.id);
        }
        self.addresses.restart(limits.peers, &here);
        here.into_iter().for_each(|(id, at)| self.machine.recall(id, at));
        self.before = (self.machine.occupancy(), self.machine.bytes());
        self.flash.restart(limits.writes_a_day);
        self.ledger.restarted(&self.durable);
    }

    pub(crate) fn reconfigure(&mut self, limits: Limits, policy: Policy) {
        self.machine.reconfigure(limits, policy.clone());
        self.addresses.set_peers(limits.peers);
        self.limits = limits;
        self.ledger.policy = policy;
        self.ledger.forget_after_ms = limits.forget_after_ms();
    }

    /// A connection comes in; None if the pool is empty.
    pub(crate) fn accept(&mut self, now: u64, from: Endpoint, web: bool) -> Option<Conn> {
        let limit = u32::try_from(self.limits.connections).unwrap();
        let slot = (0..limit).find(|slot| !self.callers.contains_key(slot))?;
        if self.callers.len() >= self.limits.connections {
            return None;
        }
        self.generation += 1;
        let conn = Conn { slot, generation: self.generation };
        self.callers.insert(slot, (conn, from));
        let transport = if web { Transport::WebSocket } else { Transport::Tcp };
        let deeds = self.handle(now, Input::Opened { conn, from, transport }, &Cause::NONE);
        assert!(deeds.is_empty(), "{deeds:?} upon an open connection");
        Some(conn)
    }

    pub(crate) fn is_open(&self, conn: Conn) -> bool {
        self.callers.get(&conn.slot).is_some_and(|(open, _)| *open == conn)
    }

    /// Where an open connection came from.
    pub(crate) fn source(&self, conn: Conn) -> Option<Endpoint> {
        self.callers.get(&conn.slot).filter(|(open, _)| *open == conn).map(|(_, from)| *from)
    }

    /// Places left for connections.
    pub(crate) fn places(&self) -> usize {
        self.limits.connections.saturating_sub(self.callers.len())
    }

    /// Whether a connection is some peer's presence, or was.
    pub(crate) fn is_kept(&self, conn: Conn) -> bool {
        self.is_open(conn) && self.kept.contains(&conn.slot)
    }

    /// Whether a further connection would not be kept.
    pub(crate) fn is_crowded(&self) -> bool {
        self.kept.len() >= self.limits.connections * 3 / 4
    }

    /// The connection is gone.
    pub(crate) fn hang_up(&mut self, now: u64, conn: Conn) -> Vec<Deed> {
        if !self.is_open(conn) {
            return Vec::new();
        }
        self.callers.remove(&conn.slot);
        self.kept.remove(&conn.slot);
        self.ledger.hung_up(self.time(now).as_millis(), conn);
        let mut deeds = self.handle(now, Input::Closed { conn }, &Cause::NONE);
        deeds.push(Deed::Closed { conn });
        deeds
    }

    /// A datagram comes in, at one of two addresses.
    pub(crate) fn datagram(
        &mut self,
        now: u64,
        (from, own): (Endpoint, IpAddr),
        said: (Author, &[u8]),
    ) -> Vec<Deed> {
        self.addresses.heard(from, own, said.1);
        self.receive(now, Via::Datagram(from), said)
    }

    /// Bytes come in. What is no message is dropped; a connection ends with it.
    pub(crate) fn receive(
        &mut self,
        now: u64,
        via: Via,
        (author, payload): (Author, &[u8]),
    ) -> Vec<Deed> {
        let from = match via {
            Via::Datagram(from) => Some(from),
            Via::Stream(conn) => self.source(conn),
        };
        let Some(from) = from else { return Vec::new() };
        match (decode(payload), via) {
            (Ok(request), via) => {
                if via == Via::Datagram(from) {
                    self.ledger.datagram_in(from, payload.len());
                }
                let kind = Kind::of(&request, &self.ledger.policy);
                let cause = Cause { author, via: Some(via), from: Some(from), kind };
                self.ledger.hears(&cause);
                self.set_author(author);
                let deeds = self.handle(now, Input::Request { via, request }, &cause);
                self.ledger.approvals.nobody_asks();
                deeds
            }
            (Err(_), Via::Stream(conn)) => self.hang_up(now, conn),
            (Err(_), Via::Datagram(_)) => Vec::new(),
        }
    }

    /// The store is done with the oldest change of this life, or with all that were gathered: of
    /// those that may be written, those of the known go first.
    pub(crate) fn committed(&mut self, now: u64, epoch: u32, fails: bool) -> Vec<Deed> {
        if epoch != self.epoch {
            return Vec::new();
        }
        let count = self.flash.takes(self.in_flight.len());
        let mut batch: Vec<Commit> = self.in_flight.drain(..count).collect();
        batch.sort_by_key(|commit| commit.rank);
        let time = self.time(now);
        let ranks = batch.iter().map(|commit| commit.rank);
        let allowed = self.flash.allows(time, ranks);
        let written = batch.iter().take(allowed).map(|commit| &commit.change);
        self.flash.write(time, &written.cloned().collect::<Vec<_>>());
        let mut deeds = Vec::new();
        for (number, commit) in batch.into_iter().enumerate() {
            let outcome = match commit.ticket.0 % 2 {
                _ if number >= allowed => SaveOutcome::Postponed,
                _ if !fails => SaveOutcome::Durable,
                0 => SaveOutcome::Failed,
                _ => SaveOutcome::Postponed,
            };
            deeds.extend(self.saved(now, commit, outcome));
        }
        deeds
    }

    fn saved(&mut self, now: u64, commit: Commit, outcome: SaveOutcome) -> Vec<Deed> {
        let Commit { ticket, change, via, from, .. } = commit;
        let durable = outcome == SaveOutcome::Durable;
        if durable {
            self.apply(change);
        }
        let cause = Cause { from, kind: Kind::Saved(ticket), ..Cause::NONE };
        let deeds = self.handle(now, Input::Saved { ticket, outcome }, &cause);
        if self.ledger.let_in(ticket, durable) {
            return deeds;
        }
        if let Some(Via::Stream(conn)) = via
            && durable
            && !self.is_open(conn)
        {
            self.ledger.kept_unheard(ticket);
        }
        deeds
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put(record) => drop(self.durable.insert(record.id.clone(), record)),
            Change::Remove(id) => drop(self.durable.remove(&id)),
            Change::Rows(_) => panic!("the rendezvous has no rows"),
            Change::Rename { from, to } => {
                self.durable.remove(&from);
                self.durable.insert(to.id.clone(), to);
            }
        }
    }

    /// The next moment in virtual time at which a peer goes offline.
    pub(crate) fn next_offline(&self) -> Option<u64> {
        self.ledger.next_offline().map(|at| self.started + at)
    }

    /// When the machine wants to be called, in virtual time.
    pub(crate) fn next_timeout(&self) -> Option<u64> {
        self.machine.next_timeout().map(|due| self.started + due.as_millis())
    }

    /// Lets the machine do what is due at `now`.
    pub(crate) fn run_timeout(&mut self, now: u64) -> Vec<Deed> {
        let mut effects = Effects::new();
        let (due, full) = (self.machine.next_timeout(), self.machine.occupancy());
        self.ledger.input(self.time(now).as_millis());
        self.machine.handle_timeout(self.time(now), &mut effects);
        let moved = self.machine.next_timeout() != due || self.machine.occupancy() != full;
        assert!(moved, "a timeout at {due:?} did nothing");
        self.carry_out(now, effects, &Cause::DUE)
    }

    pub(crate) fn time(&self, now: u64) -> Time {
        Time::from_millis(now - self.started)
    }

    fn handle(&mut self, now: u64, input: Input<'_>, cause: &Cause) -> Vec<Deed> {
        let mut effects = Effects::new();
        let time = self.time(now);
        self.ledger.input(time.as_millis());
        self.machine.handle(time, input, &mut effects);
        self.carry_out(now, effects, cause)
    }

    pub(crate) fn carry_out(&mut self, now: u64, mut effects: Effects, cause: &Cause) -> Vec<Deed> {
        assert!(effects.len() <= EFFECTS_MAX);
        let mut deeds = Vec::new();
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Reply { via, reply } => deeds.push(self.reply(cause, via, &reply)),
                Effect::Close { conn, .. } => deeds.extend(self.hang_up(now, conn)),
                Effect::Save { ticket, change, rank } => {
                    deeds.push(self.save((ticket, rank), *change, cause));
                }
                Effect::Keep { conn, .. } => {
                    assert!(self.is_open(conn), "{conn:?} is kept, and closed");
                    self.ledger.keeps(conn);
                    self.kept.insert(conn.slot);
                }
                Effect::Linger { conn } => {
                    assert!(self.is_open(conn), "{conn:?} is kept, and closed");
                    self.kept.insert(conn.slot);
                }
                Effect::Meet { token, from } => deeds.push(Deed::Meet { token, from }),
                Effect::Report(_) => {}
            }
        }
        self.check_tables();
        deeds
    }

    fn reply(&mut self, cause: &Cause, via: Via, reply: &Reply) -> Deed {
        if let Some(record) = self.ledger.sends(cause, via, reply) {
            let kept = self.durable.get(&record.id);
            let exact =
                kept.is_some_and(|kept| kept.device == record.device && kept.key == record.key);
            assert!(exact, "{} is acknowledged and not on disk", record.id);
        }
        let payload = encode(reply);
        match via {
            Via::Datagram(to) => {
                self.addresses.sends(to, reply);
                Deed::Datagram { to, payload }
            }
            Via::Stream(conn) => {
                assert!(self.is_open(conn), "a message for {conn:?}, which is closed");
                Deed::Stream { conn, payload }
            }
        }
    }

    fn save(&mut self, (ticket, rank): (Ticket, SaveRank), change: Change, cause: &Cause) -> Deed {
        self.ledger.saving(ticket, &change, cause);
        let (via, from) = (cause.via, cause.from);
        self.in_flight.push_back(Commit { ticket, change, rank, via, from });
        Deed::Saving
    }

    /// No table is above its limit, nor grows where the limit was lowered below its length.
    fn check_tables(&mut self) {
        let (now, bytes, limits) = (self.machine.occupancy(), self.machine.bytes(), self.limits);
        let (before, bytes_before) = self.before;
        let within = |now: usize, before: usize, limit: usize| now <= limit.max(before);
        assert!(within(now.peers, before.peers, limits.peers), "{now:?}");
        assert!(within(now.connections, before.connections, limits.connections), "{now:?}");
        assert!(within(now.dials, before.dials, limits.connections), "{now:?}");
        assert!(now.provisional <= PROVISIONAL_MAX, "{now:?}");
        assert!(now.saving <= SAVES_PENDING_MAX && now.grants <= GRANTS_MAX, "{now:?}");
        assert!(now.flaps <= FLAPS_MAX, "{now:?}");
        assert!(now.throttled <= THROTTLED_MAX && now.elsewhere <= ELSEWHERE_MAX, "{now:?}");
        assert!(now.pushes <= PUSHES_MAX && now.known_askers <= KNOWN_ASKERS_MAX, "{now:?}");
        assert!(now.challenges <= CHALLENGES_MAX && now.waiting <= WAITING_MAX, "{now:?}");
        let [seen, dials] = self.machine.journal();
        assert!(seen <= CONSOLE_SEEN_MAX && dials <= CONSOLE_DIALS_MAX, "{seen}, {dials}");
        assert_eq!(now.connections, self.callers.len());
        assert!(now.dials <= self.ledger.asking(), "{now:?}, {} asking", self.ledger.asking());
        assert!(within(bytes, bytes_before, most_bytes(&limits)), "{bytes} bytes for {now:?}");
        self.before = (now, bytes);
    }
}

/// What all tables may take: for each peer and each place for a connection, and for tables whose
/// limits are constants.
const fn most_bytes(limits: &Limits) -> usize {
    limits.peers * 336 + limits.connections * 1024 + 2944 * 1024
}
