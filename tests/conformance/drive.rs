//! Drives the rendezvous machine alone: a virtual clock, payload bytes in and out, and a store
//! that keeps, refuses or holds back what it is given. It must not know any check.

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::{Conn, SaveOutcome, Ticket, Transport, Via};
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::Limits;
use hbb_core::base::peer::{Change, Record, RelayToken};
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;
use hbb_core::identity::ServerKey;
use hbb_core::journal::Journal;
use hbb_core::rendezvous::{Effect, Effects, Event, Input, Policy, Rendezvous};
use hbb_core::wire::message::{decode, encode};

/// A registered target and where it usually is.
pub(crate) const B1: &str = "123456789";
pub(crate) const B1_AT: &str = "203.0.113.9:50002";
pub(crate) const DEVICE: &[u8] = b"5c3e9a0d-device-one";
pub(crate) const KEY: [u8; 32] = [0x11; 32];

/// Where the initiator usually is.
pub(crate) const A_AT: &str = "198.51.100.7:40001";

pub(crate) fn at(text: &str) -> Endpoint {
    Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap())
}

/// The server key of protocol §4.8.
pub(crate) fn server_key() -> ServerKey {
    ServerKey::from_seed(core::array::from_fn(|i| u8::try_from(i).unwrap())).unwrap()
}

/// What the machine did, messages as the bytes that go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Sent(Via, Vec<u8>),
    Closed(Conn, DropReason),
    Kept(Conn),
    Lingers(Conn),
    Reported(Event),
}

/// All the machine did upon one input, saves included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deeds(pub(crate) Vec<Did>);

impl Deeds {
    /// Payloads sent, whereto ever.
    pub(crate) fn sent(&self) -> Vec<(Via, &[u8])> {
        let sent = self.0.iter().filter_map(|did| match did {
            Did::Sent(via, payload) => Some((*via, payload.as_slice())),
            Did::Closed(..) | Did::Kept(_) | Did::Lingers(_) | Did::Reported(_) => None,
        });
        sent.collect()
    }

    /// The one payload sent, which must go to `via`.
    #[track_caller]
    pub(crate) fn only_to(&self, via: Via) -> &[u8] {
        let sent = self.sent();
        assert!(sent.len() == 1 && sent[0].0 == via, "not one message to {via:?}: {}", self.text());
        sent[0].1
    }

    /// The one payload sent, a datagram to `endpoint`.
    #[track_caller]
    pub(crate) fn datagram_to(&self, endpoint: &str) -> &[u8] {
        self.only_to(Via::Datagram(at(endpoint)))
    }

    /// The one payload sent, on `conn`.
    #[track_caller]
    pub(crate) fn stream_to(&self, conn: Conn) -> &[u8] {
        self.only_to(Via::Stream(conn))
    }

    /// Nothing was sent to anybody.
    #[track_caller]
    pub(crate) fn silent(&self) {
        assert!(self.sent().is_empty(), "{}", self.text());
    }

    fn text(&self) -> String {
        let line = |(via, payload): (Via, &[u8])| format!("\n{via:?} {}", crate::say::hex(payload));
        self.sent().into_iter().map(line).collect()
    }

    /// Why `conn` was closed, if it was.
    pub(crate) fn closed(&self, conn: Conn) -> Option<DropReason> {
        self.0.iter().find_map(|did| match did {
            Did::Closed(closed, reason) if *closed == conn => Some(*reason),
            Did::Closed(..) | Did::Sent(..) | Did::Kept(_) | Did::Lingers(_) | Did::Reported(_) => {
                None
            }
        })
    }

    /// Whether `conn` is kept for a while.
    pub(crate) fn lingers(&self, conn: Conn) -> bool {
        self.0.contains(&Did::Lingers(conn))
    }

    /// Whether `conn` is a peer's presence from now on.
    pub(crate) fn kept(&self, conn: Conn) -> bool {
        self.0.contains(&Did::Kept(conn))
    }

    /// Whether `event` was reported.
    pub(crate) fn reported(&self, event: &Event) -> bool {
        self.0.contains(&Did::Reported(event.clone()))
    }
}

/// What the store does with changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Keeps,
    Fails,
    /// May write no more today.
    Spent,
    /// Waits for [`Drive::release`].
    Holds,
}

/// The machine, its clock, its store.
pub(crate) struct Drive {
    pub(crate) machine: Rendezvous,
    pub(crate) durable: Vec<Record>,
    pub(crate) store: Store,
    limits: Limits,
    policy: Policy,
    now: Time,
    slots: u32,
    held: Vec<(Ticket, Change)>,
    /// Tokens that a relay was told to expect.
    pub(crate) met: Vec<RelayToken>,
    /// Told of what asks come to.
    pub(crate) journal: Journal,
}

impl Drive {
    /// A server whom everybody may ask.
    pub(crate) fn open() -> Self {
        Self::new(Limits::default(), Policy::default())
    }

    /// A server that enforces the text of its public key.
    pub(crate) fn enforcing() -> Self {
        let access_key = Some(server_key().public_text().into());
        Self::new(Limits::default(), Policy { access_key, ..Policy::default() })
    }

    pub(crate) fn new(limits: Limits, policy: Policy) -> Self {
        let machine = Rendezvous::new(limits, policy.clone(), Some(server_key()), Seed(7, 11));
        Self {
            machine,
            durable: Vec::new(),
            store: Store::Keeps,
            limits,
            policy,
            now: Time::START,
            slots: 0,
            held: Vec::new(),
            met: Vec::new(),
            journal: Journal::new(&limits, false, Seed(7, 11)),
        }
    }

    /// Starts anew with what is durable; connections and presence are gone.
    pub(crate) fn restart(&mut self) {
        let mut fresh = Self::new(self.limits, self.policy.clone());
        for record in &self.durable {
            assert!(fresh.machine.restore(record.clone()), "no room for {}", record.id);
        }
        fresh.durable = std::mem::take(&mut self.durable);
        fresh.slots = self.slots;
        *self = fresh;
    }

    /// Stops cleanly, which stores what is to be stored last, and starts anew, with what the stop
    /// left to know of devices that were here.
    pub(crate) fn stop_and_start(&mut self) {
        let here = self.machine.whereabouts(self.now);
        let here: Vec<_> = here.map(|(id, at)| (id.clone(), at)).collect();
        let away = self.machine.away(self.now);
        let away: Vec<_> = away.map(|(id, secs)| (id.clone(), secs)).collect();
        for change in self.machine.last_changes(self.now) {
            self.keep(change);
        }
        self.restart();
        self.machine.were_away(away);
        here.into_iter().for_each(|(id, at)| self.machine.recall(id, at));
    }

    /// The time it is.
    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    /// What a clean stop now is to store.
    pub(crate) fn last_changes(&self) -> Vec<Change> {
        self.machine.last_changes(self.now)
    }

    /// What the console says to a line.
    pub(crate) fn console(&mut self, line: &str) -> String {
        self.machine.console(self.now, line, |_| None).text
    }

    /// Lets time pass, timeouts included; gives what the machine did in it.
    pub(crate) fn wait(&mut self, ms: u64) -> Deeds {
        let mut deeds = Deeds::default();
        self.now = self.now.after_ms(ms);
        while self.machine.next_timeout().is_some_and(|due| due <= self.now) {
            let mut effects = Effects::new();
            self.machine.handle_timeout(self.now, &mut effects);
            deeds.0.extend(self.carry_out(&mut effects).0);
        }
        deeds
    }

    /// One datagram; nothing reaches the machine if it is no message.
    pub(crate) fn datagram(&mut self, from: &str, payload: &[u8]) -> Deeds {
        self.request(Via::Datagram(at(from)), payload)
    }

    /// One payload on a connection.
    pub(crate) fn stream(&mut self, conn: Conn, payload: &[u8]) -> Deeds {
        self.request(Via::Stream(conn), payload)
    }

    /// A new TCP connection.
    pub(crate) fn connect(&mut self, from: &str) -> Conn {
        self.accept(from, Transport::Tcp)
    }

    /// The address of `from` is no forgery: a connection came from there, and is gone again.
    pub(crate) fn prove(&mut self, from: &str) {
        let conn = self.connect(from);
        self.hang_up(conn).silent();
    }

    /// A new WebSocket.
    pub(crate) fn connect_web(&mut self, from: &str) -> Conn {
        self.accept(from, Transport::WebSocket)
    }

    pub(crate) fn hang_up(&mut self, conn: Conn) -> Deeds {
        self.input(Input::Closed { conn })
    }

    /// An operator has `id` forgotten.
    pub(crate) fn forget(&mut self, id: &str) -> Deeds {
        let id = hbb_core::base::peer::PeerId::new(id).unwrap();
        self.input(Input::Forget { id, free: false })
    }

    /// An operator has `id` forgotten and gives it to the next that asks.
    pub(crate) fn free(&mut self, id: &str) -> Deeds {
        let id = hbb_core::base::peer::PeerId::new(id).unwrap();
        self.input(Input::Forget { id, free: true })
    }

    /// Says of everything held that it is kept.
    pub(crate) fn release(&mut self) -> Deeds {
        self.commit(usize::MAX)
    }

    /// Says of the first `batch` changes held that they are kept, as one commit of the store does.
    pub(crate) fn commit(&mut self, batch: usize) -> Deeds {
        let mut deeds = Deeds::default();
        let rest = self.held.split_off(batch.min(self.held.len()));
        for (ticket, change) in std::mem::replace(&mut self.held, rest) {
            self.keep(change);
            deeds.0.extend(self.input(Input::Saved { ticket, outcome: SaveOutcome::Durable }).0);
        }
        deeds
    }

    /// Registers `id` from `from` and sees that it is accepted.
    #[track_caller]
    pub(crate) fn enroll(&mut self, id: &str, from: &str) {
        let deeds = self.datagram(from, &crate::say::register_pk(id, DEVICE, &KEY));
        assert_eq!(crate::say::hex(deeds.datagram_to(from)), "820100");
    }

    fn accept(&mut self, from: &str, transport: Transport) -> Conn {
        self.slots += 1;
        let conn = Conn { slot: self.slots, generation: 1 };
        self.input(Input::Opened { conn, from: at(from), transport }).silent();
        conn
    }

    fn request(&mut self, via: Via, payload: &[u8]) -> Deeds {
        match decode(payload) {
            Ok(request) => self.input(Input::Request { via, request }),
            Err(_) => Deeds::default(),
        }
    }

    fn input(&mut self, input: Input<'_>) -> Deeds {
        let mut effects = Effects::new();
        self.machine.handle(self.now, input, &mut effects);
        if let Some(step) = self.machine.take_step() {
            self.journal.step(self.now, step);
        }
        self.carry_out(&mut effects)
    }

    /// Does what the machine wants, in order; what the store answers comes last.
    pub(crate) fn carry_out(&mut self, effects: &mut Effects) -> Deeds {
        let (mut deeds, mut saved) = (Deeds::default(), Vec::new());
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Reply { via, reply } => deeds.0.push(Did::Sent(via, encode(&reply))),
                Effect::Close { conn, reason } => deeds.0.push(Did::Closed(conn, reason)),
                Effect::Keep { conn, .. } => deeds.0.push(Did::Kept(conn)),
                Effect::Linger { conn } => deeds.0.push(Did::Lingers(conn)),
                Effect::Meet { token, .. } => self.met.push(token),
                Effect::Report(event) => deeds.0.push(Did::Reported(event)),
                Effect::Save { ticket, change, .. } => match self.store {
                    Store::Keeps => {
                        self.keep(*change);
                        saved.push((ticket, SaveOutcome::Durable));
                    }
                    Store::Fails => saved.push((ticket, SaveOutcome::Failed)),
                    Store::Spent => saved.push((ticket, SaveOutcome::Postponed)),
                    Store::Holds => self.held.push((ticket, *change)),
                },
            }
        }
        for (ticket, outcome) in saved {
            deeds.0.extend(self.input(Input::Saved { ticket, outcome }).0);
        }
        deeds
    }

    fn keep(&mut self, change: Change) {
        let (gone, new) = match change {
            Change::Put(record) => (record.id.clone(), Some(record)),
            Change::Remove(id) => (id, None),
            Change::Rows(_) => panic!("the rendezvous has no rows"),
            Change::Rename { from, to } => (from, Some(to)),
        };
        let replaced = new.as_ref().map(|record| record.id.clone());
        self.durable.retain(|kept| kept.id != gone && Some(&kept.id) != replaced.as_ref());
        self.durable.extend(new);
    }
}
