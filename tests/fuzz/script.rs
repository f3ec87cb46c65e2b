//! Bytes as a play for the machines: each byte is a deed, its arguments follow. Any bytes are a
//! play, so mutations never waste a run. After every deed no table is above its limit.

use std::collections::{BTreeMap, BTreeSet};

use hbb_core::base::address::{Banned, Bans, Endpoint};
use hbb_core::base::conn::{Conn, SaveOutcome, Ticket, Transport, Via};
use hbb_core::base::limits::{EFFECTS_MAX, GRANTS_MAX, Limits, SAVES_PENDING_MAX, THROTTLED_MAX};
use hbb_core::base::peer::PeerId;
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;
use hbb_core::identity::ServerKey;
use hbb_core::relay::{self, LegCounts};
use hbb_core::rendezvous::{Effect, Effects, Input, PeerQuery, Policy, Rendezvous};
use hbb_core::wire::message::{decode, encode};
use hbb_core::wire::reply::Reply;

use crate::say;

/// Small, so that a short play reaches them.
const LIMITS: Limits = Limits {
    peers: 3,
    connections: 4,
    sessions: 1,
    parked_per_source: 2,
    registrations_per_source: 5,
    newcomers_per_source: 4,
    writes_a_day: 8,
    forget_after_days: 30,
};
/// Payload lengths from here on name a message instead (see [`Stage::message`]).
const MESSAGES: u8 = 0xf0;
const DEEDS: u8 = 16;

/// Both machines and what a shell would hold for them.
struct Stage<'a> {
    script: std::slice::Iter<'a, u8>,
    machine: Rendezvous,
    relay: relay::Relay,
    now: Time,
    open: BTreeMap<u32, Conn>,
    legs: BTreeMap<u32, Conn>,
    /// The partner of each leg of a session.
    partners: BTreeMap<u32, Conn>,
    /// Who is speaking, and who waits for a target's answer.
    speaker: Option<Conn>,
    waiting: BTreeSet<u32>,
    saves: Vec<Ticket>,
    /// The initiator's address as the last target was told it.
    told: Vec<u8>,
    generation: u32,
}

/// Plays `script` to its end.
pub(crate) fn play(script: &[u8]) {
    let key = ServerKey::from_seed([1; 32]).unwrap();
    let enforced = script.first().is_some_and(|first| first % 2 == 1).then(|| "key".into());
    let policy = Policy { access_key: enforced.clone(), ..Policy::default() };
    let mut stage = Stage {
        script: script.iter(),
        machine: Rendezvous::new(LIMITS, policy, Some(key), Seed(1, 2)),
        relay: relay::Relay::new(LIMITS, enforced, Seed(3, 4)),
        now: Time::START,
        open: BTreeMap::new(),
        legs: BTreeMap::new(),
        partners: BTreeMap::new(),
        speaker: None,
        waiting: BTreeSet::new(),
        saves: Vec::new(),
        told: Vec::new(),
        generation: 0,
    };
    while let Some(deed) = stage.script.next().copied() {
        stage.act(deed % DEEDS);
        stage.check();
    }
}

impl Stage<'_> {
    fn act(&mut self, deed: u8) {
        match deed {
            0 | 1 => {
                let (from, payload) = (self.endpoint(), self.payload());
                self.say(Via::Datagram(from), &payload);
            }
            2 => drop(self.connect()),
            3 | 4 => {
                let (number, payload) = (self.byte(), self.payload());
                let conn = nth(&self.open, number);
                conn.into_iter().for_each(|conn| self.say(Via::Stream(conn), &payload));
            }
            5 => {
                let number = self.byte();
                nth(&self.open, number).into_iter().for_each(|conn| self.hang_up(conn));
            }
            6 | 7 => {
                let failed = [SaveOutcome::Failed, SaveOutcome::Postponed];
                for ticket in std::mem::take(&mut self.saves) {
                    let failed = failed[usize::from(ticket.0 % 2 == 0)];
                    let outcome = if deed == 6 { SaveOutcome::Durable } else { failed };
                    self.input(Input::Saved { ticket, outcome });
                }
            }
            8 => {
                let (count, shift) = (u64::from(self.byte()), self.byte() % 26);
                self.wait(count << shift);
            }
            9 => {
                let (kind, payload) = (self.byte(), self.answer());
                let from = self.endpoint();
                match if kind.is_multiple_of(2) { None } else { self.connect() } {
                    Some(conn) => self.say(Via::Stream(conn), &payload),
                    None => self.say(Via::Datagram(from), &payload),
                }
            }
            10 => self.open_leg(),
            11 => {
                let (number, payload) = (self.byte(), self.payload());
                nth(&self.legs, number).into_iter().for_each(|leg| self.say_on_leg(leg, &payload));
            }
            12 => {
                let number = self.byte();
                nth(&self.legs, number).into_iter().for_each(|leg| self.hang_up_leg(leg));
            }
            14 => {
                let number = self.byte();
                let id = PeerId::new(&format!("10000000{}", number % 5)).unwrap();
                self.input(Input::Forget { id, free: number >= 128 });
            }
            15 => self.ban(),
            _ => {
                let connections = usize::from(self.byte() % 5);
                let limits = Limits { connections, ..LIMITS };
                self.machine.reconfigure(limits, Policy::default());
                self.machine.reconfigure(LIMITS, Policy::default());
            }
        }
    }

    /// Shuts out an id or an address as an operator would: those who are there go at once.
    fn ban(&mut self) {
        let byte = self.byte();
        let mut bans = Bans::default();
        let text = match byte % 3 {
            0 => format!("10000000{}", byte % 5),
            1 => format!("192.0.2.{}", byte % 4),
            _ => "2001:db8::/32".into(),
        };
        assert!(bans.add(Banned::parse(&text).unwrap()));
        self.machine.reconfigure(LIMITS, Policy { bans, ..Policy::default() });
        while let Some(conn) = self.machine.banned_connection() {
            assert!(self.open.contains_key(&conn.slot), "a caller nobody opened");
            self.hang_up(conn);
        }
        let wanted = PeerQuery { count: usize::from(byte), ..PeerQuery::default() };
        let listed = self.machine.list(self.now, &wanted);
        assert!(listed.len() <= wanted.count && listed.is_sorted_by(|a, b| a.id < b.id));
        if byte >= 128 {
            self.machine.reconfigure(LIMITS, Policy::default());
        }
    }

    /// The next byte; 0 behind the end.
    fn byte(&mut self) -> u8 {
        self.script.next().copied().unwrap_or(0)
    }

    fn endpoint(&mut self) -> Endpoint {
        let byte = self.byte();
        let ip =
            if byte < 16 { "2001:db8::1".parse().unwrap() } else { [192, 0, 2, byte % 4].into() };
        Endpoint::new(ip, 5000 + u16::from(byte))
    }

    /// That many bytes of the script, or a message.
    fn payload(&mut self) -> Vec<u8> {
        let len = self.byte();
        if len >= MESSAGES {
            return self.message(len - MESSAGES);
        }
        self.script.by_ref().take(len.into()).copied().collect()
    }

    /// A well-formed message with ids and keys out of few.
    fn message(&mut self, kind: u8) -> Vec<u8> {
        let byte = self.byte();
        let (id, key) = (format!("10000000{}", byte % 5), [byte / 5 % 3; 32]);
        let device = [b'a' + byte / 15 % 3];
        match kind {
            0..=3 => say::register_pk(&id, &device, &key),
            4 | 5 => say::register_peer(&id),
            6..=8 => say::punch(&id, |wish| {
                wish.access_key = "key".into();
                (wish.force_relay, wish.udp_port) = (byte > 128, byte.into());
            }),
            9 => say::request_relay(&id, |_| ()),
            10 => say::online(&vec![id.as_str(); usize::from(byte)]),
            11 if byte < 128 => say::test_nat(byte.into()),
            11 => say::change_id(&id, &format!("name-{}", byte % 3), &device),
            _ => say::request_relay(&id, |wish| {
                (wish.uuid, wish.access_key) = (format!("token-{}", byte % 3), "key".into());
            }),
        }
    }

    /// An answer to the last push.
    fn answer(&mut self) -> Vec<u8> {
        let byte = self.byte();
        let id = format!("10000000{}", byte % 5);
        match byte / 5 % 4 {
            0 => say::punch_sent(&id, &self.told, |_| ()),
            1 => say::local_addr(&id, &self.told, |_| ()),
            2 => say::relay_chosen(&id, &self.told, |_| ()),
            _ => say::relay_agreed(&self.told),
        }
    }

    fn connect(&mut self) -> Option<Conn> {
        let from = self.endpoint();
        let slot = (0..4).find(|slot| !self.open.contains_key(slot))?;
        self.generation += 1;
        let conn = Conn { slot, generation: self.generation };
        self.open.insert(slot, conn);
        let web = self.generation.is_multiple_of(3);
        let transport = if web { Transport::WebSocket } else { Transport::Tcp };
        self.input(Input::Opened { conn, from, transport });
        Some(conn)
    }

    fn hang_up(&mut self, conn: Conn) {
        if self.open.remove(&conn.slot).is_some() {
            self.waiting.remove(&conn.slot);
            self.input(Input::Closed { conn });
        }
    }

    fn say(&mut self, via: Via, payload: &[u8]) {
        match (decode(payload), via) {
            (Ok(request), _) => {
                self.speaker = if let Via::Stream(conn) = via { Some(conn) } else { None };
                self.input(Input::Request { via, request });
            }
            (Err(_), Via::Stream(conn)) => self.hang_up(conn),
            (Err(_), Via::Datagram(_)) => {}
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let mut effects = Effects::new();
        self.machine.handle(self.now, input, &mut effects);
        assert!(effects.len() <= EFFECTS_MAX);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Reply { via, reply } => self.sent(via, &reply),
                Effect::Close { conn, .. } => self.hang_up(conn),
                Effect::Save { ticket, .. } => self.saves.push(ticket),
                Effect::Keep { conn, .. } | Effect::Linger { conn } => {
                    assert_eq!(self.open.get(&conn.slot), Some(&conn))
                }
                Effect::Meet { token, from } => {
                    self.relay_input(relay::Input::Expected { token, from });
                }
                Effect::Report(_) => {}
            }
        }
    }

    fn sent(&mut self, via: Via, reply: &Reply) {
        assert!(!encode(reply).is_empty());
        if let Via::Stream(conn) = via {
            assert_eq!(self.open.get(&conn.slot), Some(&conn), "a message for a closed one");
        }
        match reply {
            Reply::Punch(punch) => self.pushed(punch.to.as_bytes()),
            Reply::FetchLocalAddr { to, .. } => self.pushed(to.as_bytes()),
            Reply::PunchAnswer(_) => self.answered(via),
            Reply::Forward(payload) => match say::read(payload) {
                say::Body::RequestRelay(push) => self.pushed(&push.socket_addr),
                _ => self.answered(via),
            },
            _ => {}
        }
    }

    fn pushed(&mut self, told: &[u8]) {
        self.told = told.into();
        let speaker = self.speaker.expect("a push without an initiator");
        self.waiting.insert(speaker.slot);
    }

    fn answered(&mut self, via: Via) {
        let Via::Stream(conn) = via else { panic!("an answer by datagram") };
        assert!(self.waiting.remove(&conn.slot), "an answer nobody waits for");
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now.after_ms(ms);
        while let Some(due) = self.machine.next_timeout().filter(|due| *due <= until) {
            let before = self.machine.occupancy();
            // A claim to a phone may be acknowledged: to whom is the simulation's to judge.
            self.machine.handle_timeout(due, &mut Effects::new());
            assert!(self.machine.occupancy() != before, "a timeout did nothing");
        }
        while let Some(due) = self.relay.next_timeout().filter(|due| *due <= until) {
            let mut effects = relay::Effects::new();
            self.relay.handle_timeout(due, &mut effects);
            assert!(!effects.is_empty(), "a timeout of the relay did nothing");
            self.carry_out(&mut effects);
        }
        self.now = until;
    }

    fn open_leg(&mut self) {
        let from = self.endpoint();
        let Some(slot) = (0..8).find(|slot| !self.legs.contains_key(slot)) else { return };
        self.generation += 1;
        let conn = Conn { slot, generation: self.generation };
        self.legs.insert(slot, conn);
        self.relay_input(relay::Input::Opened { conn, from });
    }

    fn say_on_leg(&mut self, conn: Conn, payload: &[u8]) {
        match decode(payload) {
            Ok(request) => self.relay_input(relay::Input::Request { conn, request }),
            Err(_) => self.hang_up_leg(conn),
        }
    }

    fn hang_up_leg(&mut self, conn: Conn) {
        if self.legs.remove(&conn.slot).is_some() {
            if let Some(partner) = self.partners.remove(&conn.slot) {
                self.partners.remove(&partner.slot);
                self.legs.remove(&partner.slot);
            }
            self.relay_input(relay::Input::Closed { conn });
        }
    }

    fn relay_input(&mut self, input: relay::Input<'_>) {
        let mut effects = relay::Effects::new();
        self.relay.handle(self.now, input, &mut effects);
        self.carry_out(&mut effects);
    }

    fn carry_out(&mut self, effects: &mut relay::Effects) {
        assert!(effects.len() <= EFFECTS_MAX);
        while let Some(effect) = effects.pop_front() {
            match effect {
                relay::Effect::Close { conn, .. } => self.hang_up_leg(conn),
                relay::Effect::Park { conn, .. }
                | relay::Effect::Known { conn }
                | relay::Effect::Showed { conn, .. } => {
                    assert!(self.legs.contains_key(&conn.slot))
                }
                relay::Effect::Pair { waiting, joining, .. } => {
                    assert_ne!(waiting, joining);
                    assert_eq!(self.partners.insert(waiting.slot, joining), None);
                    assert_eq!(self.partners.insert(joining.slot, waiting), None);
                }
            }
        }
    }

    fn check(&self) {
        let full = self.machine.occupancy();
        assert!(full.peers <= LIMITS.peers && full.saving <= SAVES_PENDING_MAX, "{full:?}");
        assert!(full.dials <= full.connections && full.saving <= 2 * self.saves.len(), "{full:?}");
        assert!(full.dials <= LIMITS.connections && full.grants <= GRANTS_MAX, "{full:?}");
        assert!(full.throttled <= THROTTLED_MAX && full.connections == self.open.len(), "{full:?}");
        let LegCounts { fresh, parked, sessions } = self.relay.counts();
        assert!(fresh <= LIMITS.connections && parked <= LIMITS.connections);
        assert!(sessions <= LIMITS.sessions && sessions == self.partners.len() / 2);
        assert_eq!(fresh + parked + 2 * sessions, self.legs.len());
    }
}

fn nth(conns: &BTreeMap<u32, Conn>, number: u8) -> Option<Conn> {
    let index = usize::from(number).checked_rem(conns.len())?;
    conns.values().nth(index).copied()
}
