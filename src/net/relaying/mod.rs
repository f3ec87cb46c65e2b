//! The task that owns the relay, and the tasks of its legs: first frame, parking, session.
//! A leg's stream travels: its task reads the first message and hands the stream to the owner; a
//! leg that must wait gets it back, a leg that completes a pair does not. C65-C67, C69-C71.

use std::rc::Rc;

use smol::channel::{Receiver, Sender, bounded};
use smol::{Timer, future};

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Conn;
use hbb_core::base::counters::{Counters, DropReason};
use hbb_core::base::limits::{RELAY_FRAME_BYTES_MAX, STREAMS_PER_TURN};
use hbb_core::relay::{Effect, Effects, Input, LegCounts, Relay, SessionTerms};
use hbb_core::wire::message::decode;

use crate::net::clock::Clock;
use crate::net::conn::Connection;
use crate::net::conn::link::Link;
use crate::net::conn::slots::SlotTable;
use crate::net::message::{
    Answer, Paired, RelayLoad, RelayQuestion, RelaySettings, SessionEnd, ToLeg, ToRelay, Update,
};
use crate::net::report;
use crate::net::session::list::Running;
use crate::net::session::pair;
use crate::net::session::{Session, Sessions};

/// The machine and the legs it decides about.
pub struct Relaying {
    machine: Relay,
    sessions: Rc<Sessions>,
    effects: Effects,
    clock: Clock,
    legs: SlotTable<Held>,
    running: Running,
    counters: Counters,
}

struct Held {
    from: Endpoint,
    outbox: Sender<ToLeg>,
    /// Boxed, as most of the time there is none.
    leg: Option<Box<Link>>,
}

enum Wake {
    Leg(ToRelay),
    Live(Update<RelaySettings>),
    Due,
}

impl Relaying {
    /// Takes over a machine.
    pub fn new(machine: Relay, sessions: Rc<Sessions>, clock: Clock) -> Self {
        let (effects, counters) = (Effects::new(), Counters::default());
        let (legs, running) = (SlotTable::new(), Running::default());
        Self { machine, sessions, effects, clock, legs, running, counters }
    }

    /// Runs until every queue into it is closed.
    pub async fn run(&mut self, inbox: &Receiver<ToRelay>, live: &Receiver<Update<RelaySettings>>) {
        loop {
            let wake = {
                let leg = async { inbox.recv().await.ok().map(Wake::Leg) };
                let live = async { live.recv().await.ok().map(Wake::Live) };
                let due = async {
                    match self.machine.next_timeout().and_then(|at| self.clock.instant(at)) {
                        Some(at) => Timer::at(at).await,
                        None => future::pending().await,
                    };
                    Some(Wake::Due)
                };
                future::or(live, future::or(due, leg)).await
            };
            match wake {
                None => return,
                Some(Wake::Due) => {}
                Some(Wake::Leg(message)) => self.message(message).await,
                Some(Wake::Live(live)) => {
                    self.reconfigure(live.settings).await;
                    let _ = live.in_force.try_send(Answer::InForce);
                }
            }
            for _ in 0..STREAMS_PER_TURN {
                let Ok(message) = inbox.try_recv() else { break };
                self.message(message).await;
            }
            self.timeouts();
            future::yield_now().await;
        }
    }

    async fn reconfigure(&mut self, live: RelaySettings) {
        self.machine.reconfigure(live.limits, live.access_key);
        self.sessions.set_rates(live.rates).await;
        let blocked = |end: Endpoint| live.lists.block.iter().any(|net| net.contains(end.ip()));
        for number in self.running.numbers(blocked) {
            self.end(number).await;
        }
        self.machine.set_lists(live.lists);
    }

    /// Ends a session as the operator wants; whether there was one.
    async fn end(&mut self, number: u64) -> bool {
        let Some(entry) = self.running.end(number) else { return false };
        let now = self.clock.now();
        let (bytes, secs) = (entry.bytes(), entry.secs(now));
        entry.dismiss();
        self.sessions.end(number).await;
        report::session_ended(&SessionEnd { bytes, secs, reason: DropReason::Dismissed });
        self.machine.handle(now, Input::Closed { conn: entry.conn }, &mut self.effects);
        self.carry_out();
        true
    }

    async fn asked(&mut self, question: RelayQuestion) -> Answer {
        match question {
            RelayQuestion::Load => {
                let LegCounts { parked: waiting, sessions: running, .. } = self.machine.counts();
                let dropped = [self.machine.counters().clone(), self.counters.clone()];
                let bytes = self.running.bytes();
                Answer::RelayLoad(RelayLoad { running, waiting, bytes, dropped })
            }
            RelayQuestion::Sessions => Answer::Sessions(self.running.show(self.clock.now())),
            RelayQuestion::End(number) => Answer::Ended(self.end(number).await),
        }
    }

    fn timeouts(&mut self) {
        let now = self.clock.now();
        while self.machine.next_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now, &mut self.effects);
            self.carry_out();
        }
    }

    async fn message(&mut self, message: ToRelay) {
        let now = self.clock.now();
        match message {
            ToRelay::Opened { conn, from, outbox } => {
                self.legs.insert(conn, Held { from, outbox, leg: None });
                self.machine.handle(now, Input::Opened { conn, from }, &mut self.effects);
            }
            ToRelay::Refused(reason) => self.counters.count(reason),
            ToRelay::Closed { conn } => {
                self.legs.remove(conn);
                self.running.end_of(conn);
                self.machine.handle(now, Input::Closed { conn }, &mut self.effects);
            }
            ToRelay::Ended { number, conn } => {
                self.running.end(number);
                self.machine.handle(now, Input::Closed { conn }, &mut self.effects);
            }
            ToRelay::Asked(question, to) => drop(to.try_send(self.asked(question).await)),
            ToRelay::Joined { conn, payload, leg } => match decode(&payload) {
                Ok(request) => {
                    let Some(held) = self.legs.get_mut(conn) else { return };
                    held.leg = Some(Box::new(leg));
                    let input = Input::Request { conn, request };
                    self.machine.handle(now, input, &mut self.effects);
                }
                Err(_) => {
                    self.counters.count(DropReason::Malformed);
                    self.legs.remove(conn);
                    self.machine.handle(now, Input::Closed { conn }, &mut self.effects);
                }
            },
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Park { conn } => {
                    if let Some(held) = self.legs.get_mut(conn)
                        && let Some(leg) = held.leg.take()
                    {
                        let _ = held.outbox.try_send(ToLeg::Park(*leg));
                    }
                }
                Effect::Pair { waiting, joining, terms } => {
                    self.pair(waiting, joining, terms);
                }
                Effect::Close { conn, reason } => {
                    self.counters.count(reason);
                    report::leg_closed(conn, reason);
                    self.legs.remove(conn);
                }
            }
        }
    }

    fn pair(&mut self, waiting: Conn, joining: Conn, terms: SessionTerms) {
        let partner = self.legs.remove(joining).and_then(|mut held| {
            let leg = held.leg.take()?;
            Some((leg, held.from))
        });
        let Some((leg, joining_from)) = partner else { return };
        if let Some(held) = self.legs.remove(waiting) {
            report::session_started(held.from, joining_from);
            let between = ([held.from, joining_from], terms);
            let (number, moved) = self.running.start(self.clock.now(), waiting, between);
            let paired = Paired { partner: *leg, terms, number, moved };
            if held.outbox.try_send(ToLeg::Pair(Box::new(paired))).is_err() {
                self.running.end(number);
            }
        }
    }
}

/// What every leg needs.
#[derive(Clone)]
pub struct Legs {
    /// The owner of the relay.
    pub inbox: Sender<ToRelay>,
    /// Where they go in pairs.
    pub sessions: Rc<Sessions>,
}

/// A leg of the relay, from its first message, which may have been read already, to the end of
/// its session.
pub(crate) async fn serve(connection: Connection, first: Option<Vec<u8>>, legs: Legs) {
    let Connection { mut link, from, place } = connection;
    let (conn, inbox) = (place.conn(), &legs.inbox);
    // Two orders at most are ever sent: park, then pair.
    let (outbox, mut next) = bounded(2);
    if inbox.send(ToRelay::Opened { conn, from, outbox }).await.is_err() {
        return;
    }
    let first = match first {
        Some(payload) => Some(payload),
        None => first_message(&mut link, &next).await,
    };
    let Some(payload) = first else {
        let _ = inbox.send(ToRelay::Closed { conn }).await;
        return;
    };
    if inbox.send(ToRelay::Joined { conn, payload, leg: link }).await.is_err() {
        return;
    }
    let Ok(ToLeg::Park(mut leg)) = next.recv().await else { return };
    match parked(&mut leg, &mut next).await {
        Parked::Paired(paired) => {
            let Paired { partner: joining, terms, number, moved } = *paired;
            let inbox = inbox.clone();
            let session = Session { waiting: leg, joining, terms, number, moved, conn, inbox };
            legs.sessions.start(session).await;
        }
        Parked::Gone => {
            let _ = inbox.send(ToRelay::Closed { conn }).await;
        }
        Parked::Dismissed => {}
    }
    drop(place);
}

enum Parked {
    Paired(Box<Paired>),
    Gone,
    Dismissed,
}

async fn parked(leg: &mut Link, next: &mut Receiver<ToLeg>) -> Parked {
    let order = async {
        match next.recv().await {
            Ok(ToLeg::Pair(paired)) => Parked::Paired(paired),
            Ok(ToLeg::Park(_)) | Err(_) => Parked::Dismissed,
        }
    };
    let gone = async {
        pair::watch_parked(leg).await;
        Parked::Gone
    };
    future::or(order, gone).await
}

/// The first message; None if the peer or the owner ends it before.
async fn first_message(leg: &mut Link, next: &Receiver<ToLeg>) -> Option<Vec<u8>> {
    let dismissed = async {
        let _ = next.recv().await;
        None
    };
    future::or(dismissed, async { leg.next_payload(RELAY_FRAME_BYTES_MAX).await.ok() }).await
}
