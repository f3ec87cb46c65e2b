//! The shell around the relay machine, modelled: every leg is fresh, parked or joined, and the
//! model must agree with the machine after every step. A session joins two legs of one token, and
//! none whose token passed our signalling gives way to another (C106).

use std::collections::BTreeMap;
use std::net::IpAddr;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Conn;
use hbb_core::base::limits::{EFFECTS_MAX, IDLE_MS, Limits, PARKED_MS, TOKEN_KNOWN_MS};
use hbb_core::base::peer::RelayToken;
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;
use hbb_core::relay::{Effect, Effects, Input, LegCounts, Relay};
use hbb_core::wire::message::decode;
use hbb_core::wire::request::{Given, Request};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Fresh,
    Parked { token: String },
    Joined { partner: Conn, known: bool },
}

struct Leg {
    conn: Conn,
    from: IpAddr,
    stage: Stage,
    since: u64,
}

/// The relay machine and its legs.
pub(crate) struct Legs {
    machine: Relay,
    limits: Limits,
    before: LegCounts,
    key: Option<Box<str>>,
    started: u64,
    legs: BTreeMap<u32, Leg>,
    generation: u32,
    /// Tokens that passed our signalling, and when.
    expected: BTreeMap<String, u64>,
    pub(crate) sessions: u64,
}

impl Legs {
    pub(crate) fn new(limits: Limits, key: Option<Box<str>>) -> Self {
        Self {
            machine: Relay::new(limits, key.clone(), Seed(3, 4)).beside_rendezvous(),
            limits,
            before: LegCounts::default(),
            key,
            started: 0,
            legs: BTreeMap::new(),
            generation: 0,
            expected: BTreeMap::new(),
            sessions: 0,
        }
    }

    pub(crate) fn restart(&mut self, now: u64, seed: Seed) {
        self.machine = Relay::new(self.limits, self.key.clone(), seed).beside_rendezvous();
        self.started = now;
        self.before = LegCounts::default();
        self.expected.clear();
        self.legs.clear();
    }

    pub(crate) fn reconfigure(&mut self, limits: Limits) {
        self.machine.reconfigure(limits, self.key.clone());
        self.limits = limits;
    }

    /// Two peers were told to meet here.
    pub(crate) fn expect(&mut self, now: u64, token: RelayToken, from: Endpoint) {
        self.expected.insert(format!("{token:?}"), now);
        self.handle(now, Input::Expected { token, from }, None);
    }

    /// A leg connects; None if the pool, which sessions leave, is empty.
    pub(crate) fn open(&mut self, now: u64, from: Endpoint) -> Option<Conn> {
        let waiting = self.count(|stage| !matches!(stage, Stage::Joined { .. }));
        let slot = (0..).find(|slot| !self.legs.contains_key(slot))?;
        if waiting >= self.limits.connections {
            return None;
        }
        self.generation += 1;
        let conn = Conn { slot, generation: self.generation };
        let leg = Leg { conn, from: from.ip(), stage: Stage::Fresh, since: now };
        self.legs.insert(slot, leg);
        self.handle(now, Input::Opened { conn, from }, None);
        Some(conn)
    }

    pub(crate) fn is_open(&self, conn: Conn) -> bool {
        self.legs.get(&conn.slot).is_some_and(|leg| leg.conn == conn)
    }

    pub(crate) fn hang_up(&mut self, now: u64, conn: Conn) {
        if !self.is_open(conn) {
            return;
        }
        if let Some(Leg { stage: Stage::Joined { partner, .. }, .. }) = self.legs.remove(&conn.slot)
        {
            self.legs.remove(&partner.slot);
        }
        self.handle(now, Input::Closed { conn }, None);
    }

    /// A leg's first frame; later bytes are none of the machine's business.
    pub(crate) fn receive(&mut self, now: u64, conn: Conn, payload: &[u8]) {
        let fresh = self.legs.get(&conn.slot).is_some_and(|leg| leg.stage == Stage::Fresh);
        if !self.is_open(conn) || !fresh {
            return;
        }
        match decode(payload) {
            Ok(request) => {
                let token = self.good_token(&request);
                self.handle(now, Input::Request { conn, request }, Some((conn, token)));
            }
            Err(_) => self.hang_up(now, conn),
        }
    }

    /// The token of a request that may be parked or paired; None if it must be refused.
    fn good_token(&self, request: &Request<'_>) -> Option<String> {
        let Request::RequestRelay(wish) = request else { return None };
        let good = self.key.as_deref().is_none_or(|key| key == wish.access_key);
        match &wish.token {
            Given::Value(token) if good => Some(format!("{token:?}")),
            _ => None,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<u64> {
        self.machine.next_timeout().map(|due| self.started + due.as_millis())
    }

    pub(crate) fn run_timeout(&mut self, now: u64) {
        let (due, full) = (self.machine.next_timeout(), self.machine.counts());
        let mut effects = Effects::new();
        self.machine.handle_timeout(self.time(now), &mut effects);
        self.carry_out(now, &mut effects, None);
        let moved = self.machine.next_timeout() != due || self.machine.counts() != full;
        assert!(moved, "a timeout at {due:?} did nothing");
    }

    fn time(&self, now: u64) -> Time {
        Time::from_millis(now - self.started)
    }

    fn handle(&mut self, now: u64, input: Input<'_>, said: Option<(Conn, Option<String>)>) {
        let mut effects = Effects::new();
        self.machine.handle(self.time(now), input, &mut effects);
        assert!(effects.len() <= EFFECTS_MAX);
        self.carry_out(now, &mut effects, said);
    }

    /// Does what the machine wants; `said` is the leg that just spoke, and its token if good.
    fn carry_out(&mut self, now: u64, effects: &mut Effects, said: Option<(Conn, Option<String>)>) {
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Park { conn, .. } => {
                    let token = said.clone().filter(|(by, _)| *by == conn).and_then(|(_, t)| t);
                    let token = token.expect("parked without a good request");
                    let taken = self.legs.values().any(|leg| leg.is_parked(&token));
                    assert!(!taken, "two legs parked under one token");
                    let leg = self.legs.get_mut(&conn.slot).unwrap();
                    (leg.stage, leg.since) = (Stage::Parked { token }, now);
                }
                Effect::Known { conn } | Effect::Showed { conn, .. } => {
                    assert!(self.is_open(conn));
                }
                Effect::Pair { waiting, joining, .. } => {
                    let (by, token) = said.clone().expect("paired out of nothing");
                    let token = token.expect("paired without a good request");
                    assert!(by == joining && self.is_open(joining) && self.is_open(waiting));
                    self.pair(now, [waiting, joining], &token);
                }
                Effect::Close { conn, .. } => {
                    assert!(self.is_open(conn), "{conn:?} is closed twice");
                    assert!(!self.legs[&conn.slot].is_known(), "a known session gave way");
                    self.legs.remove(&conn.slot);
                    let mut none = Effects::new();
                    self.machine.handle(self.time(now), Input::Closed { conn }, &mut none);
                    assert!(none.is_empty(), "{none:?} upon a close");
                }
            }
        }
        self.check(now);
    }

    fn pair(&mut self, now: u64, [waiting, joining]: [Conn; 2], token: &str) {
        let passed = self.expected.get(token).is_some_and(|at| now - at <= TOKEN_KNOWN_MS);
        let known = passed && self.has_share([waiting, joining]);
        assert!(self.legs[&waiting.slot].is_parked(token), "a pair of two tokens");
        assert_eq!(self.legs[&joining.slot].stage, Stage::Fresh, "a pair of three");
        self.legs.get_mut(&waiting.slot).unwrap().stage = Stage::Joined { partner: joining, known };
        self.legs.get_mut(&joining.slot).unwrap().stage = Stage::Joined { partner: waiting, known };
        self.sessions += 1;
    }

    /// Whether two known legs leave each address half of all places, each network three quarters.
    fn has_share(&self, pair: [Conn; 2]) -> bool {
        let known = self.legs.values().filter(|leg| leg.is_known()).map(|leg| leg.from);
        let new = pair.map(|conn| self.legs[&conn.slot].from);
        let all: Vec<_> = known.chain(new).collect();
        let places = 2 * self.limits.sessions;
        new.iter().all(|ip| {
            let of_address = all.iter().filter(|other| *other == ip).count();
            let of_network = all.iter().filter(|other| other.is_ipv4() == ip.is_ipv4()).count();
            of_address <= (places / 2).max(2) && of_network <= (places * 3 / 4).max(2)
        })
    }

    fn count(&self, is: impl Fn(&Stage) -> bool) -> usize {
        self.legs.values().filter(|leg| is(&leg.stage)).count()
    }

    /// The machine knows the legs the model knows, none above a limit, none over its time.
    fn check(&mut self, now: u64) {
        let fresh = self.count(|stage| *stage == Stage::Fresh);
        let parked = self.count(|stage| matches!(stage, Stage::Parked { .. }));
        let joined = self.count(|stage| matches!(stage, Stage::Joined { .. }));
        let (counts, most) = (self.machine.counts(), self.limits.sessions);
        assert_eq!(counts, LegCounts { fresh, parked, sessions: joined / 2 });
        // A limit may be lowered below what there is.
        let before = core::mem::replace(&mut self.before, counts);
        assert!(counts.sessions <= most.max(before.sessions), "{counts:?}");
        for leg in self.legs.values() {
            match leg.stage {
                Stage::Fresh => assert!(now - leg.since <= IDLE_MS, "silent for too long"),
                Stage::Parked { .. } => assert!(now - leg.since <= PARKED_MS, "parked too long"),
                Stage::Joined { partner, .. } => assert!(self.is_open(partner), "half a session"),
            }
        }
    }

    /// Nothing is left once everybody has gone.
    pub(crate) fn is_empty(&self) -> bool {
        self.machine.counts() == LegCounts::default()
    }
}

impl Leg {
    fn is_known(&self) -> bool {
        matches!(self.stage, Stage::Joined { known: true, .. })
    }

    fn is_parked(&self, under: &str) -> bool {
        matches!(&self.stage, Stage::Parked { token } if token == under)
    }
}
