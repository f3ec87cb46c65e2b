//! When the owner of the rendezvous does something: what wakes its task, what comes first in a
//! turn, and the datagrams that it answers without its task.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

#[cfg(feature = "accounts")]
use hbb_core::accounts::{Hashed, Input as AccountInput};
use hbb_core::base::conn::{SaveOutcome, Ticket};
use hbb_core::base::limits::{DATAGRAMS_PER_TURN, STREAMS_PER_TURN};
use hbb_core::base::time::{Time, earliest};

use super::Signalling;
use crate::net::health::Seen;
use crate::net::message::{Answer, ToRendezvous, Update};
use crate::net::reactor::{Timer, give_way};
use crate::net::tasks::queue::Receiver;
use crate::settings::LiveSettings;

/// How old the date may be that the machine knows.
const DATED_MS: u64 = 1_000;

/// The queues into this task.
pub(crate) struct Queues {
    /// From connections.
    pub(crate) inbox: Receiver<ToRendezvous>,
    /// From the store thread.
    pub(crate) saved: Receiver<(Ticket, SaveOutcome)>,
    /// From the owner of the settings.
    pub(crate) live: Receiver<Update<LiveSettings>>,
    /// From the watch over relays and names.
    pub(crate) seen: Receiver<Seen>,
}

enum SignallingWake {
    /// Datagrams, or something from connections: a turn takes them.
    Arrived,
    Saved((Ticket, SaveOutcome)),
    Live(Box<Update<LiveSettings>>),
    Seen(Seen),
    #[cfg(feature = "accounts")]
    Hashed(Hashed),
    Due,
}

impl Signalling {
    /// Runs until a queue into it is closed; who wants it to end closes that of the settings. Then
    /// the store is flushed and closed.
    pub(crate) async fn run(self, queues: Queues) {
        let owner = Rc::new(RefCell::new(self));
        // Most of what comes is a datagram that is answered at once: no task is woken for it.
        let first = Rc::downgrade(&owner);
        let answer = move || {
            let owner = first.upgrade();
            owner.is_some_and(|it| it.try_borrow_mut().is_ok_and(|mut it| it.answer_datagrams()))
        };
        owner.borrow().datagrams.ask_first(Box::new(answer));
        let mut due = Timer::default();
        loop {
            let wake = poll_fn(|context| owner.borrow_mut().poll_wake(&queues, &mut due, context));
            let Some(wake) = wake.await else { break };
            // A flood starves nobody. When there is no more this sleeps: nobody is owed a turn.
            if owner.borrow_mut().woken(wake, &queues) {
                give_way().await;
            }
        }
        if let Some(owner) = Rc::into_inner(owner) {
            owner.into_inner().into_store().stop();
        }
    }

    /// When something is due that nobody asks for.
    fn next_due(&self) -> Option<Time> {
        earliest(&[self.machine.next_timeout(), self.early.due(), self.log_due()])
    }

    /// When the log of connections has something to tell that nobody asked for.
    fn log_due(&self) -> Option<Time> {
        #[cfg(feature = "accounts")]
        return self.log.next_timeout();
        #[cfg(not(feature = "accounts"))]
        None
    }

    /// What the task has to do; None if it is to end.
    fn poll_wake(
        &mut self,
        queues: &Queues,
        due: &mut Timer,
        context: &mut Context<'_>,
    ) -> Poll<Option<SignallingWake>> {
        if let Poll::Ready(saved) = queues.saved.poll_recv(context) {
            return Poll::Ready(saved.map(SignallingWake::Saved));
        }
        #[cfg(feature = "accounts")]
        if let Poll::Ready(hashed) = self.accounts.poll_hashed(context) {
            return Poll::Ready(Some(SignallingWake::Hashed(hashed)));
        }
        if let Poll::Ready(live) = queues.live.poll_recv(context) {
            return Poll::Ready(live.map(|live| SignallingWake::Live(Box::new(live))));
        }
        // Where nobody watches, nothing is seen.
        if let Poll::Ready(Some(seen)) = queues.seen.poll_recv(context) {
            return Poll::Ready(Some(SignallingWake::Seen(seen)));
        }
        self.due = self.next_due();
        due.set(self.due.and_then(|at| self.clock.instant(at)));
        if Pin::new(due).poll(context).is_ready() {
            return Poll::Ready(Some(SignallingWake::Due));
        }
        if self.datagrams.poll_readable(context).is_ready() {
            return Poll::Ready(Some(SignallingWake::Arrived));
        }
        queues.inbox.poll_some(context).map(|some| some.then_some(SignallingWake::Arrived))
    }

    /// Does what it was woken for, and a turn; whether there may be more.
    fn woken(&mut self, wake: SignallingWake, queues: &Queues) -> bool {
        (self.turn, self.crowded) = (self.turn.wrapping_add(1), false);
        let now = self.date();
        match wake {
            SignallingWake::Arrived | SignallingWake::Due => {}
            SignallingWake::Saved((ticket, outcome)) => self.saved(now, ticket, outcome),
            #[cfg(feature = "accounts")]
            SignallingWake::Hashed(hashed) => {
                self.accounts.handle(AccountInput::Hashed(hashed), &self.store);
            }
            SignallingWake::Live(live) => {
                self.reconfigure(now, live.settings);
                let _ = live.in_force.try_send(Answer::InForce);
            }
            SignallingWake::Seen(Seen::Reachable(relays)) => self.machine.set_relays(relays),
            SignallingWake::Seen(Seen::Names(names)) => self.machine.set_names(names),
        }
        self.turn(now, queues)
    }

    /// What time it is; the machine knows the date within a second.
    fn date(&mut self) -> Time {
        let now = self.clock.now();
        if self.dated.is_none_or(|dated| now.since_ms(dated) >= DATED_MS) {
            self.dated = Some(now);
            self.machine.set_epoch_secs(self.clock.epoch_secs());
        }
        now
    }

    /// One turn: timeouts, datagrams, what is stored, then streams, each at most so many; whether
    /// there may be more of them. Streams wait where a connection was told as much as fits into its
    /// outbox, so that many wishes at once cut nobody off who reads (C30).
    fn turn(&mut self, now: Time, queues: &Queues) -> bool {
        while self.machine.next_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now, &mut self.effects);
            self.carry_out(now);
        }
        #[cfg(feature = "accounts")]
        if self.log_due().is_some_and(|due| due <= now) {
            self.log.handle_timeout(now);
        }
        let more_datagrams = self.datagrams(now);
        while let Some((ticket, outcome)) = queues.saved.try_recv() {
            self.saved(now, ticket, outcome);
        }
        let more_streams = (0..STREAMS_PER_TURN).all(|_| {
            let message = if self.crowded { None } else { queues.inbox.try_recv() };
            message.map(|message| self.stream(now, message)).is_some()
        });
        while let Some(claim) =
            self.early.take(now, |from, claim| self.machine.lacks_proof(now, from, claim))
        {
            self.claim(now, claim);
        }
        more_datagrams || more_streams || self.crowded
    }

    /// Answers the datagrams that came, without the task; false if there is something for that: a
    /// deadline that comes before the one it waits for, or more datagrams than a turn takes.
    fn answer_datagrams(&mut self) -> bool {
        let now = self.date();
        let due = self.due;
        let is_known = |next: Time| due.is_some_and(|due| due <= next);
        !is_known(now) && !self.datagrams(now) && self.next_due().is_none_or(is_known)
    }

    /// Handles at most a turn's datagrams; whether there may be more.
    fn datagrams(&mut self, now: Time) -> bool {
        (0..DATAGRAMS_PER_TURN).all(|_| self.datagrams.is_readable() && self.datagram(now))
    }
}
