//! Who asked for whom, when, and what became of it: a bounded memory, told of steps and of sessions
//! as they happen. It knows no message and no machine, and decides nothing. C188, C189, C190.

mod audit;
mod entry;
mod rings;

use alloc::vec::Vec;
use core::mem;

use crate::base::address::{Endpoint, Network};
use crate::base::limits::{
    ASK_AGAIN_MS, ASKS_OPEN_MAX, CONNECTIONS_TOLD_MAX, Limits, RELAY_ASK_AGAIN_MS, TOLD_AN_HOUR,
};
use crate::base::peer::{PeerId, RelayToken};
use crate::base::table::{Seed, Table};
use crate::base::time::{RateWindow, Time};

pub use audit::{Audit, AuditKind};
pub use entry::{Entry, Outcome, RelayedSession, SessionEnd, Step, StepKind};
use rings::{CLASSES, KINDS, Rings, class, kind};

const HOUR_MS: u64 = 3_600_000;

/// See the file's head.
pub struct Journal {
    seed: Seed,
    rings: Rings,
    /// Those whose session runs: nothing pushes them out.
    running: Table<u64, Entry>,
    /// By who asks whom, as which user, the entry that further asks belong to, and since when; by
    /// who asked longest ago.
    open: Table<u64, (u64, Time)>,
    /// By the connection that asks, and for whom, the same: an answer names no user.
    answers: Table<u64, (u64, Time)>,
    /// The same of those that were refused, which many may be.
    refusals: Table<u64, (u64, Time)>,
    /// By the hash of what both bring to a relay, the entry of the session to come.
    meetings: Table<u64, (u64, Time)>,
    last_number: u64,
    last_change: u64,
    /// What is to be told of at once; None if nobody wants to know.
    told: Option<Vec<Entry>>,
    /// What was told of within an hour, by kind, and by the class of the network.
    told_of_kind: [RateWindow; KINDS],
    told_of: [RateWindow; CLASSES],
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only those of a higher number, or of a higher change.
    pub after: u64,
    /// By their changes and in the order of these; those of which nothing is known yet are none.
    pub by_change: bool,
    /// Only those that somebody asked for since then.
    pub since: Option<Time>,
    /// Only those that ask for this id.
    pub id: Option<PeerId>,
    /// Only those of initiators in this network.
    pub from: Option<Network>,
    /// So many at most.
    pub count: usize,
}

impl Journal {
    /// An empty one; tables hash under `seed`. With `tells` each outcome is to be taken by
    /// [`Self::take_told`].
    pub fn new(limits: &Limits, tells: bool, seed: Seed) -> Self {
        Self {
            seed,
            rings: Rings::new(limits.connections_kept(), seed),
            running: Table::new(limits.sessions, seed),
            open: Table::new(ASKS_OPEN_MAX, seed),
            answers: Table::new(ASKS_OPEN_MAX, seed),
            refusals: Table::new(ASKS_OPEN_MAX, seed),
            meetings: Table::new(ASKS_OPEN_MAX, seed),
            last_number: 0,
            last_change: 0,
            told: tells.then(Vec::new),
            told_of_kind: [RateWindow::EMPTY; KINDS],
            told_of: [RateWindow::EMPTY; CLASSES],
        }
    }

    /// Entries held.
    #[cfg(feature = "testing")]
    pub fn len(&self) -> usize {
        self.rings.len() + self.running.len()
    }

    /// Whether there are none.
    #[cfg(feature = "testing")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in what happened to an ask.
    pub fn step(&mut self, now: Time, step: Step) {
        self.settle(now);
        let Step { from, to, user, kind } = step;
        let one = self.seed.hash(&(from, to.as_ref()));
        let key = self.seed.hash(&(from.prefix(), to.as_ref(), user.as_deref()));
        match kind {
            StepKind::Asked { at, trusted, token } => {
                let number = match self.open_for(now, key, token.is_some()) {
                    Some(number) => number,
                    None => self.add(now, Entry { trusted, user, ..blank(from, to) }),
                };
                self.note(key, (number, now));
                self.answers.insert_evicting(one, (number, now));
                self.change(number, |entry| {
                    entry.last = now;
                    entry.target_at = Some(at);
                    entry.asks = entry.asks.saturating_add(1);
                });
                self.meet(now, number, token);
            }
            StepKind::Refused { outcome, trusted } => {
                self.refused(now, key, Entry { trusted, outcome, user, ..blank(from, to) });
            }
            StepKind::Answered { outcome, token } => {
                let Some((number, since)) = self.answers.get(&one).copied() else { return };
                if now.since_ms(since) >= RELAY_ASK_AGAIN_MS {
                    return;
                }
                self.become_known(number, outcome);
                self.meet(now, number, token);
            }
        }
    }

    /// When [`Self::handle_timeout`] next has something to tell; None if nobody wants to know.
    pub fn next_timeout(&self) -> Option<Time> {
        self.told.as_ref()?;
        self.open.oldest().map(|(_, (_, since))| since.after_ms(RELAY_ASK_AGAIN_MS))
    }

    /// Knows of asks that were not answered in time that they are not.
    pub fn handle_timeout(&mut self, now: Time) {
        self.settle(now);
    }

    /// Two legs that brought this token became a session at our relay; gives what it is to be
    /// ended by. `trusted` if the token passed our signalling, or none does.
    pub fn session_started(
        &mut self,
        now: Time,
        token: &RelayToken,
        ends: [Endpoint; 2],
        trusted: bool,
    ) -> u64 {
        let [waited, came] = ends;
        let asked = self.meetings.remove(&self.seed.hash(token));
        let asked = asked.and_then(|(number, _)| self.rings.remove(number));
        let mut entry = asked.unwrap_or_else(|| {
            self.last_number += 1;
            let target_at = Some(came.ip());
            let (number, asks) = (self.last_number, 1);
            Entry { number, at: now, last: now, target_at, asks, trusted, ..blank(waited, None) }
        });
        entry.outcome = Outcome::Relayed;
        entry.session = Some(RelayedSession { since: now, end: None });
        let number = entry.number;
        // There are no more sessions than places, but while a limit is being lowered.
        self.running.insert_evicting(number, entry);
        number
    }

    /// The numbers of sessions that run and were asked for under this id.
    pub fn running_of(&self, id: &PeerId) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (number, entry) in self.running.iter() {
            if entry.to.as_ref() == Some(id) {
                numbers.push(*number);
            }
        }
        numbers
    }

    /// A session is over.
    pub fn session_ended(&mut self, number: u64, end: SessionEnd) {
        let Some(mut entry) = self.running.remove(&number) else { return };
        if let Some(session) = &mut entry.session {
            session.end = Some(end);
        }
        self.rings.add(entry);
        self.tell(number);
    }

    /// The entries that are wanted, the lowest numbers or changes first.
    pub fn read(&mut self, now: Time, wanted: &Wanted) -> Vec<Entry> {
        self.settle(now);
        // Whoever read of the process before begins anew.
        let is_ours = !wanted.by_change || wanted.after <= self.last_change;
        let after = if is_ours { wanted.after } else { 0 };
        let Wanted { since, id, from, .. } = wanted;
        let mut found: Vec<(u64, &Entry)> = Vec::new();
        self.each(&mut |entry| {
            let place = wanted.place(entry);
            if place > after
                && since.is_none_or(|since| entry.last >= since)
                && (id.is_none() || entry.to == *id)
                && from.is_none_or(|network| network.contains(entry.from.ip()))
            {
                found.push((place, entry));
            }
        });
        found.sort_unstable_by_key(|(place, _)| *place);
        found.truncate(wanted.count);
        let mut page = Vec::with_capacity(found.len());
        found.iter().for_each(|(_, entry)| page.push(Entry::clone(entry)));
        page
    }

    /// Gives all entries, in no order.
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Entry)) {
        self.rings.each(see);
        self.running.iter().for_each(|(_, entry)| see(entry));
    }

    /// What became known since this was last called, at most `CONNECTIONS_TOLD_MAX`.
    pub fn take_told(&mut self) -> Vec<Entry> {
        self.told.as_mut().map_or_else(Vec::new, mem::take)
    }

    /// Whether what became known of this entry may be told on: so much an hour of its network and
    /// of its kind. All of it is in the memory.
    pub fn may_tell(&mut self, now: Time, entry: &Entry) -> bool {
        let (class, kind) = (class(entry), kind(entry));
        let windows = [self.told_of.get_mut(class), self.told_of_kind.get_mut(kind)];
        let limits = TOLD_AN_HOUR.get(kind).copied().unwrap_or_default();
        let mut both = windows.into_iter().flatten().zip(limits);
        both.all(|(window, limit)| window.allow(now, HOUR_MS, limit))
    }

    /// The entry that one more ask belongs to: clients ask for a path several times, at once and
    /// one after the other, then for the relay.
    fn open_for(&mut self, now: Time, key: u64, relay: bool) -> Option<u64> {
        let (number, _) = *self.open.get(&key)?;
        let entry = self.rings.get_mut(number)?;
        let within_ms = match entry.outcome {
            Outcome::Waiting => RELAY_ASK_AGAIN_MS,
            Outcome::Direct | Outcome::Lan | Outcome::Relay if relay => RELAY_ASK_AGAIN_MS,
            Outcome::Direct | Outcome::Lan | Outcome::Relay => ASK_AGAIN_MS,
            _ => return None,
        };
        let is_same = entry.session.is_none() && now.since_ms(entry.last) < within_ms;
        is_same.then_some(number)
    }

    /// One more refusal within a while of its first adds no entry; one that follows upon a path
    /// says what became of that.
    fn refused(&mut self, now: Time, key: u64, refusal: Entry) {
        let outcome = refusal.outcome;
        let (open, before) = (self.open.get(&key).copied(), self.refusals.get(&key).copied());
        let before = before.filter(|(_, since)| now.since_ms(*since) < RELAY_ASK_AGAIN_MS);
        for (number, _) in [open, before].into_iter().flatten() {
            if let Some(entry) = self.rings.get_mut(number)
                && entry.session.is_none()
                && (entry.outcome == outcome || !entry.outcome.is_refusal())
            {
                entry.last = now;
                entry.asks = entry.asks.saturating_add(1);
                return self.become_known(number, outcome);
            }
        }
        let number = self.add(now, Entry { asks: 1, ..refusal });
        self.refusals.insert_evicting(key, (number, now));
        self.tell(number);
    }

    fn add(&mut self, now: Time, mut entry: Entry) -> u64 {
        self.last_number += 1;
        (entry.number, entry.at, entry.last) = (self.last_number, now, now);
        self.rings.add(entry);
        self.last_number
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.rings.get_mut(number) {
            change(entry);
        }
    }

    /// What further asks of the same two belong to.
    fn note(&mut self, key: u64, open: (u64, Time)) {
        if self.open.is_full()
            && self.open.get(&key).is_none()
            && let Some((_, (number, _))) = self.open.pop_oldest()
        {
            self.give_up(number);
        }
        self.open.insert_evicting(key, open);
    }

    fn meet(&mut self, now: Time, number: u64, token: Option<RelayToken>) {
        if let Some(token) = token {
            self.meetings.insert_evicting(self.seed.hash(&token), (number, now));
        }
    }

    /// An outcome that tells more than the one before.
    fn become_known(&mut self, number: u64, outcome: Outcome) {
        let Some(entry) = self.rings.get_mut(number) else { return };
        if entry.outcome == outcome || entry.session.is_some() {
            return;
        }
        entry.outcome = outcome;
        self.tell(number);
    }

    /// Those who asked so long ago that nothing more belongs to it.
    fn settle(&mut self, now: Time) {
        while let Some((_, (number, since))) = self.open.oldest()
            && now.since_ms(*since) >= RELAY_ASK_AGAIN_MS
        {
            let number = *number;
            self.open.pop_oldest();
            self.give_up(number);
        }
    }

    fn give_up(&mut self, number: u64) {
        if self.rings.get_mut(number).is_some_and(|entry| entry.outcome == Outcome::Waiting) {
            self.become_known(number, Outcome::NoAnswer);
        }
    }

    fn tell(&mut self, number: u64) {
        self.last_change += 1;
        let change = self.last_change;
        let has_room = self.told.as_ref().is_some_and(|told| told.len() < CONNECTIONS_TOLD_MAX);
        let Some(entry) = self.entry_mut(number) else { return };
        entry.change = change;
        let entry = has_room.then(|| entry.clone());
        if let (Some(told), Some(entry)) = (&mut self.told, entry) {
            told.push(entry);
        }
    }

    fn entry_mut(&mut self, number: u64) -> Option<&mut Entry> {
        match self.running.get(&number).is_some() {
            true => self.running.get_mut(&number),
            false => self.rings.get_mut(number),
        }
    }
}

impl Wanted {
    /// Where an entry stands among those that are wanted.
    pub const fn place(&self, entry: &Entry) -> u64 {
        if self.by_change { entry.change } else { entry.number }
    }
}

/// An ask of which nothing is known yet.
const fn blank(from: Endpoint, to: Option<PeerId>) -> Entry {
    Entry {
        number: 0,
        at: Time::START,
        last: Time::START,
        from,
        to,
        target_at: None,
        asks: 0,
        trusted: false,
        outcome: Outcome::Waiting,
        session: None,
        report: None,
        user: None,
        change: 0,
    }
}
