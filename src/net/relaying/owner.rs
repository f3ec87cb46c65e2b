//! The task that owns the relay machine: tells it what legs do, and does what it decides. C65-C67,
//! C69-C71, C106; checks: relay_socket, relay_speed of conformance, tests/ctl.rs.

use smol::future;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Conn;
use hbb_core::base::counters::{Counters, DropReason};
use hbb_core::base::limits::STREAMS_PER_TURN;
#[cfg(feature = "accounts")]
use hbb_core::base::peer::RelayToken;
use hbb_core::base::places::SlotTable;
use hbb_core::base::time::Time;
use hbb_core::relay::{Effect, Effects, Input, LegCounts, Relay};
use hbb_core::wire::message::decode;
#[cfg(feature = "accounts")]
use hbb_core::wire::request::Request;

use crate::net::clock::Clock;
use crate::net::conn::link::Link;
use crate::net::conn::pool::Pool;
#[cfg(feature = "accounts")]
use crate::net::journal::ConnectionLog;
use crate::net::message::{
    Answer, FromLeg, Paired, RelayLoad, RelayQuestion, RelaySettings, SessionEnd, ToLeg, ToRelay,
    ToRendezvous, Update,
};
use crate::net::reactor::{Timer, give_way};
use crate::net::relaying::list::{Listed, NewSession, RunningSession, SessionList};
use crate::net::report;
use crate::net::session::Sessions;
use crate::net::tasks::queue::{Receiver, Sender};

/// Which sessions move is looked at no more often.
const LOOK_MS: u64 = 1_000;

/// The machine and the legs it decides about.
pub(crate) struct Relaying {
    machine: &'static mut Relay,
    sessions: &'static Sessions,
    /// Learns which legs are no strangers'.
    pool: Pool,
    /// To the rendezvous beside us, if there is one.
    rendezvous: Option<Sender<ToRendezvous>>,
    effects: Effects,
    clock: Clock,
    /// Those that are in no session.
    legs: SlotTable<LegEntry>,
    running: SessionList,
    #[cfg(feature = "accounts")]
    log: ConnectionLog,
    /// What the leg brought whose first message is being handled.
    #[cfg(feature = "accounts")]
    token: Option<RelayToken>,
    /// Sessions to be ended since others need their place.
    evicted: Vec<u64>,
    /// When it was last looked which sessions move.
    looked: Time,
    /// What the machine never hears of.
    counters: Counters,
}

/// The queues into this task.
pub(crate) struct RelayQueues {
    /// From legs.
    pub(crate) legs: Receiver<FromLeg>,
    /// From sessions and operators.
    pub(crate) inbox: Receiver<ToRelay>,
    /// From the rendezvous beside us: whom to expect. No leg fills this one.
    pub(crate) expected: Receiver<ToRelay>,
    /// From the owner of the settings.
    pub(crate) live: Receiver<Update<RelaySettings>>,
}

/// A leg; its task has the stream.
struct LegEntry {
    from: Endpoint,
    outbox: Sender<ToLeg>,
}

/// What ended a wait.
enum RelayWake {
    Leg(FromLeg),
    Message(ToRelay),
    Settings(Update<RelaySettings>),
    Timeout,
}

impl Relaying {
    /// Takes over a machine.
    pub(crate) fn new(
        machine: &'static mut Relay,
        sessions: &'static Sessions,
        (pool, clock): (Pool, Clock),
        rendezvous: Option<Sender<ToRendezvous>>,
    ) -> Self {
        let (effects, counters) = (Effects::new(), Counters::default());
        let (legs, running) = (SlotTable::new(), SessionList::default());
        let (evicted, looked) = (Vec::new(), Time::START);
        Self {
            machine,
            sessions,
            pool,
            rendezvous,
            effects,
            clock,
            legs,
            running,
            #[cfg(feature = "accounts")]
            log: ConnectionLog::default(),
            #[cfg(feature = "accounts")]
            token: None,
            evicted,
            looked,
            counters,
        }
    }

    /// Notes sessions there.
    #[cfg(feature = "accounts")]
    pub(crate) fn log_to(&mut self, log: ConnectionLog) {
        self.log = log;
    }

    /// Runs until every queue into it is closed.
    pub(crate) async fn run(&mut self, queues: &RelayQueues) {
        let mut due = Timer::default();
        loop {
            due.set(self.machine.next_timeout().and_then(|at| self.clock.instant(at)));
            let Some(woken) = self.wait(queues, &mut due).await else { return };
            // Before the legs that may bring them.
            while let Some(message) = queues.expected.try_recv() {
                self.message(message).await;
            }
            match woken {
                RelayWake::Timeout => {}
                RelayWake::Leg(message) => self.leg(message).await,
                RelayWake::Message(message) => self.message(message).await,
                RelayWake::Settings(update) => {
                    self.reconfigure(update.settings).await;
                    let _ = update.in_force.try_send(Answer::InForce);
                }
            }
            let mut left = STREAMS_PER_TURN;
            while left > 0
                && let Some(message) = queues.legs.try_recv()
            {
                self.leg(message).await;
                left -= 1;
            }
            while let Some(message) = queues.inbox.try_recv() {
                self.message(message).await;
            }
            self.timeouts();
            match left {
                0 => give_way().await,
                _ => future::yield_now().await,
            }
        }
    }

    async fn wait(&self, queues: &RelayQueues, due: &mut Timer) -> Option<RelayWake> {
        let leg = async { queues.legs.recv().await.map(RelayWake::Leg) };
        let message = async { queues.inbox.recv().await.map(RelayWake::Message) };
        let settings = async { queues.live.recv().await.map(RelayWake::Settings) };
        let expected = async {
            match queues.expected.recv().await {
                Some(message) => Some(RelayWake::Message(message)),
                // There is no rendezvous beside us.
                None => future::pending().await,
            }
        };
        let timeout = async {
            due.await;
            Some(RelayWake::Timeout)
        };
        future::or(future::or(settings, expected), future::or(timeout, future::or(message, leg)))
            .await
    }

    async fn reconfigure(&mut self, settings: RelaySettings) {
        self.machine.reconfigure(settings.limits, settings.access_key);
        self.machine.set_old_key(settings.old_key);
        self.sessions.set_rates(settings.rates).await;
        let refused = |end: Endpoint| settings.lists.refuse(end.ip());
        for number in self.running.numbers(refused) {
            self.end(number).await;
        }
        self.running.limit(&settings.lists.black);
        self.machine.set_lists(settings.lists);
    }

    async fn leg(&mut self, message: FromLeg) {
        match message {
            FromLeg::Opened { conn, from, outbox } => {
                self.legs.insert(conn, LegEntry { from, outbox });
                self.handle(Input::Opened { conn, from });
            }
            FromLeg::Joined { conn, payload, leg } => {
                self.look();
                self.joined(conn, &payload, leg);
                self.end_evicted().await;
            }
            FromLeg::Closed { conn } => {
                self.legs.remove(conn);
                if let Some(session) = self.running.end_of(conn) {
                    self.log_end(&session, DropReason::Done);
                }
                self.handle(Input::Closed { conn });
            }
            FromLeg::Refused(reason) => self.counters.count(reason),
        }
    }

    async fn message(&mut self, message: ToRelay) {
        match message {
            ToRelay::Expected { token, from } => self.handle(Input::Expected { token, from }),
            ToRelay::Ended { number, conn, end } => {
                if let Some(session) = self.running.end(number) {
                    report::session_ended(&end, session.waited().ip());
                    #[cfg(feature = "accounts")]
                    self.log.ended(session.logged(), &end);
                }
                self.handle(Input::Closed { conn });
            }
            ToRelay::Asked(question, to) => drop(to.try_send(self.asked(question).await)),
        }
    }

    /// Takes a leg's first message. Its connection goes where the machine wants it, and is closed
    /// if that is nowhere.
    fn joined(&mut self, conn: Conn, payload: &[u8], link: Box<Link>) {
        match decode(payload) {
            Ok(request) if self.legs.get_mut(conn).is_some() => {
                #[cfg(feature = "accounts")]
                if let Request::RequestRelay(asked) = &request {
                    self.token = asked.token.value().cloned();
                }
                let input = Input::Request { conn, request };
                self.machine.handle(self.clock.now(), input, &mut self.effects);
                self.carry_out(Some(link));
            }
            // The owner closed it while its message was on its way.
            Ok(_) => {}
            Err(_) => {
                self.counters.count(DropReason::Malformed);
                self.legs.remove(conn);
                self.handle(Input::Closed { conn });
            }
        }
    }

    /// Has the machine handle what is no leg's first message.
    fn handle(&mut self, input: Input<'_>) {
        self.machine.handle(self.clock.now(), input, &mut self.effects);
        self.carry_out(None);
    }

    fn timeouts(&mut self) {
        let now = self.clock.now();
        while self.machine.next_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now, &mut self.effects);
            self.carry_out(None);
        }
    }

    /// Does what the machine decided; `joined` is the connection of a leg whose first message led
    /// to it. Only such a leg is parked or completes a pair.
    fn carry_out(&mut self, mut joined: Option<Box<Link>>) {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Park { conn, known } => self.park(conn, known, joined.take()),
                Effect::Known { conn } => self.pool.tie(conn),
                Effect::Showed { conn, token, old } => {
                    if let Some(leg) = self.legs.get_mut(conn)
                        && let Some(rendezvous) = &self.rendezvous
                    {
                        let from = leg.from.ip();
                        let _ = rendezvous.try_send(ToRendezvous::LegShowed { token, from, old });
                    }
                }
                Effect::Pair { waiting, joining, terms } => {
                    let entries = (self.legs.remove(waiting), self.legs.remove(joining));
                    if let ((Some(waits), Some(joins)), Some(link)) = (entries, joined.take()) {
                        let ends = [waits.from, joins.from];
                        let session = NewSession {
                            conn: waiting,
                            ends,
                            terms,
                            #[cfg(feature = "accounts")]
                            logged: self.log_start(ends, terms.known),
                        };
                        self.pair(&waits.outbox, link, session);
                    }
                }
                Effect::Close { conn, reason } => {
                    // Its task ends, unless there is still a message for it.
                    let leg = self.legs.remove(conn);
                    report::leg_closed(conn, leg.as_ref().map(|leg| leg.from.ip()), reason);
                    if leg.is_none() {
                        self.evicted.extend(self.running.number_of(conn));
                    }
                }
            }
        }
    }

    /// Sends a leg back its connection, to wait with it.
    fn park(&mut self, conn: Conn, known: bool, link: Option<Box<Link>>) {
        let (Some(entry), Some(link)) = (self.legs.get_mut(conn), link) else { return };
        if known {
            self.pool.tie(conn);
        }
        let _ = entry.outbox.try_send(ToLeg::Park(link));
    }

    /// Sends a leg that waits its partner.
    fn pair(&mut self, outbox: &Sender<ToLeg>, partner: Box<Link>, session: NewSession) {
        let NewSession { terms, ends: [waiting, joining], .. } = session;
        report::session_started(waiting, joining);
        let Listed { number, traffic } = self.running.start(self.clock.now(), session);
        let paired = Paired { partner, terms, number, traffic };
        if outbox.try_send(ToLeg::Pair(Box::new(paired))).is_err()
            && let Some(session) = self.running.end(number)
        {
            self.log_end(&session, DropReason::Done);
        }
    }

    /// Notes a session that starts, by what its legs brought.
    #[cfg(feature = "accounts")]
    fn log_start(&mut self, ends: [Endpoint; 2], known: bool) -> u64 {
        let token = self.token.take();
        token.map_or(0, |token| self.log.started(self.clock.now(), &token, ends, known))
    }

    /// Notes that a session is over of which no end was told.
    fn log_end(&self, session: &RunningSession, reason: DropReason) {
        #[cfg(feature = "accounts")]
        {
            let secs = session.secs(self.clock.now());
            self.log.ended(session.logged(), &SessionEnd { bytes: session.bytes(), secs, reason });
        }
        #[cfg(not(feature = "accounts"))]
        let _ = (session, reason);
    }

    async fn asked(&mut self, question: RelayQuestion) -> Answer {
        match question {
            RelayQuestion::Load => {
                let LegCounts { parked: waiting, sessions: running, .. } = self.machine.counts();
                let dropped = [self.machine.counters().clone(), self.counters.clone()];
                let bytes = self.running.bytes();
                Answer::RelayLoad(Box::new(RelayLoad { running, waiting, bytes, dropped }))
            }
            RelayQuestion::Sessions => Answer::Sessions(self.running.rows(self.clock.now())),
            #[cfg(feature = "accounts")]
            RelayQuestion::Log(wanted) => Answer::Log(self.log.read(&wanted)),
            #[cfg(feature = "accounts")]
            RelayQuestion::EndOf(id) => {
                let logged = self.log.running_of(&id);
                let mut ended = false;
                for number in self.running.logged(&logged) {
                    ended |= self.end(number).await;
                }
                Answer::Ended(ended)
            }
            RelayQuestion::End(number) => Answer::Ended(self.end(number).await),
        }
    }

    /// Ends a session because an operator wants it; whether there was one.
    async fn end(&mut self, number: u64) -> bool {
        let ended = self.end_as(number, DropReason::Dismissed).await;
        if ended {
            self.counters.count(DropReason::Dismissed);
        }
        ended
    }

    /// Ends the sessions that gave way to others (C106).
    async fn end_evicted(&mut self) {
        while let Some(number) = self.evicted.pop() {
            self.end_as(number, DropReason::SessionsFull).await;
        }
    }

    async fn end_as(&mut self, number: u64, reason: DropReason) -> bool {
        let Some(session) = self.running.end(number) else { return false };
        let (bytes, secs) = (session.bytes(), session.secs(self.clock.now()));
        report::refused(session.waited().ip(), reason);
        session.dismiss();
        self.sessions.end(number).await;
        report::session_ended(&SessionEnd { bytes, secs, reason }, session.waited().ip());
        self.log_end(&session, reason);
        self.handle(Input::Closed { conn: session.conn() });
        true
    }

    /// Tells the machine in which sessions something moved, at most once in [`LOOK_MS`], so that it
    /// knows who was silent longest.
    fn look(&mut self) {
        let now = self.clock.now();
        if now.since_ms(self.looked) < LOOK_MS {
            return;
        }
        self.looked = now;
        for conn in self.running.moved() {
            self.machine.handle(now, Input::Moved { conn }, &mut self.effects);
        }
    }
}
