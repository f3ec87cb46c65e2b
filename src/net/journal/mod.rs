//! The log of connections, which the owners of rendezvous and relay write into: in memory for
//! `hbb ctl log`, and where an operator wants it as log lines or in a file. It decides nothing; the
//! journal of the core does. C188 to C191; checks: tests/log.rs.

pub(crate) mod file;
mod line;

use core::mem;
use std::cell::RefCell;
use std::io;

use hbb_core::base::address::Endpoint;
use hbb_core::base::limits::Limits;
use hbb_core::base::peer::{PeerId, RelayToken};
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;
use hbb_core::journal::{Audit, Entry, Journal, SessionEnd as JournalEnd, Step, Wanted};

use crate::net::clock::Clock;
use crate::net::message::SessionEnd;
use crate::net::report;
use crate::net::store::Account;
use crate::net::tasks::lasting;
use file::{LogPath, LogWriter};
pub(crate) use line::{FIELDS, Field, fields, json_line};
use line::{lost_line, syslog_line};

/// Shared by the owners, which are on one thread.
#[derive(Clone, Default)]
pub(crate) struct ConnectionLog(Option<&'static RefCell<Kept>>);

/// Where outcomes go as they become known.
enum Told {
    /// Nowhere: they are in memory.
    Nobody,
    /// Into the log.
    Log,
    /// To the thread that has a file for them, a line each.
    File(LogWriter),
}

struct Kept {
    journal: Journal,
    told: Told,
    clock: Clock,
    /// Lines that the file's thread had no room for.
    lost: usize,
}

/// Where an operator wants to have what asks and sessions came to.
pub(crate) enum Target {
    /// Nowhere, not in memory either.
    Off,
    /// In memory alone.
    Memory,
    /// There and among the log lines.
    Log,
    /// There and in a file.
    File(LogPath),
}

/// The log for a target; a file has a thread of its own, which writes no more than `account`
/// allows.
///
/// # Errors
/// What the system says if it has no thread to give.
pub(crate) fn open(
    target: Target,
    limits: &Limits,
    (seed, clock): (Seed, Clock),
    account: &Account,
) -> io::Result<ConnectionLog> {
    let told = match target {
        Target::Off => return Ok(ConnectionLog::default()),
        Target::Memory => Told::Nobody,
        Target::Log => Told::Log,
        Target::File(path) => Told::File(file::start(path, account.clone(), clock)?),
    };
    let journal = Journal::new(limits, !matches!(told, Told::Nobody), seed);
    let kept = Kept { journal, told, clock, lost: 0 };
    Ok(ConnectionLog(Some(lasting(RefCell::new(kept)))))
}

impl ConnectionLog {
    /// Writes what is known, and tells of nothing any more.
    pub(crate) async fn finish(&self) {
        let mut told = Told::Nobody;
        self.with(|kept| {
            kept.journal.handle_timeout(kept.clock.now());
            kept.tell();
            told = mem::replace(&mut kept.told, Told::Nobody);
        });
        if let Told::File(LogWriter { lines, done }) = told {
            drop(lines);
            done.recv().await;
        }
    }

    /// What happened to an ask.
    pub(crate) fn step(&self, now: Time, step: Step) {
        self.with(|kept| {
            kept.journal.step(now, step);
            kept.tell();
        });
    }

    /// Two legs became a session: what it is to be ended by.
    pub(crate) fn started(
        &self,
        now: Time,
        token: &RelayToken,
        ends: [Endpoint; 2],
        known: bool,
    ) -> u64 {
        let mut number = 0;
        self.with(|kept| number = kept.journal.session_started(now, token, ends, known));
        number
    }

    /// A session is over.
    pub(crate) fn ended(&self, number: u64, end: &SessionEnd) {
        let &SessionEnd { bytes, secs, reason } = end;
        self.with(|kept| {
            kept.journal.session_ended(number, JournalEnd { secs, bytes, reason });
            kept.tell();
        });
    }

    /// A target that proved itself reports.
    pub(crate) fn report(&self, now: Time, target: &PeerId, audit: Audit) {
        self.with(|kept| {
            kept.journal.report(now, target, audit);
            kept.tell();
        });
    }

    /// What the sessions that run and were asked for under this id are to be ended by.
    pub(crate) fn running_of(&self, id: &PeerId) -> Vec<u64> {
        let mut found = Vec::new();
        self.with(|kept| found = kept.journal.running_of(id));
        found
    }

    /// The entries that are wanted, the lowest numbers first.
    pub(crate) fn read(&self, wanted: &Wanted) -> Vec<Entry> {
        let mut found = Vec::new();
        self.with(|kept| {
            found = kept.journal.read(kept.clock.now(), wanted);
            kept.tell();
        });
        found
    }

    /// When [`Self::handle_timeout`] next has something to tell.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        let kept = self.0.as_ref()?.try_borrow().ok()?;
        kept.journal.next_timeout()
    }

    /// Tells of asks that nobody answered.
    pub(crate) fn handle_timeout(&self, now: Time) {
        self.with(|kept| {
            kept.journal.handle_timeout(now);
            kept.tell();
        });
    }

    /// Nothing is borrowed for longer than `act` takes, which calls nobody else.
    fn with(&self, act: impl FnOnce(&mut Kept)) {
        if let Some(kept) = &self.0
            && let Ok(mut kept) = kept.try_borrow_mut()
        {
            act(&mut kept);
        }
    }
}

impl Kept {
    fn tell(&mut self) {
        if matches!(self.told, Told::Nobody) {
            return;
        }
        let now = self.clock.now();
        for entry in self.journal.take_told() {
            if !self.journal.may_tell(now, &entry) {
                self.lost += 1;
                continue;
            }
            match &self.told {
                Told::Nobody => {}
                Told::Log => report::connection(entry.trusted, &syslog_line(&entry)),
                Told::File(LogWriter { lines, .. }) => {
                    let line = json_line(&entry, self.clock.epoch_secs());
                    let line = lost_line(self.lost) + &line;
                    self.lost = if lines.try_send(line).is_ok() { 0 } else { self.lost + 1 };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tasks::queue::bounded;
    use hbb_core::base::limits::CONNECTION_LINES_WAITING_MAX;
    use hbb_core::journal::{Outcome, StepKind};

    #[test]
    fn c191_lines_that_nobody_takes_are_counted_and_that_is_said() {
        let (clock, seed) = (Clock::start(), Seed(1, 2));
        let (lines, queue) = bounded(CONNECTION_LINES_WAITING_MAX);
        let (_running, done) = bounded(1);
        let journal = Journal::new(&Limits::default(), true, seed);
        let told = Told::File(LogWriter { lines, done });
        let log =
            ConnectionLog(Some(lasting(RefCell::new(Kept { journal, told, clock, lost: 0 }))));
        let refused = |number: u32| {
            let from = Endpoint::new([192, 0, 2, 1].into(), 1);
            let to = PeerId::new(&(100_000_000 + number).to_string());
            let kind = StepKind::Refused { outcome: Outcome::UnknownId, trusted: true };
            log.step(clock.now(), Step { from, to, user: None, kind });
        };
        (0..256).for_each(refused);
        let mut lost = 0;
        log.with(|kept| lost = kept.lost);
        assert_eq!(lost, 0);
        (1_000..1_003).for_each(refused);
        let first = queue.recv_blocking().unwrap();
        assert!(first.contains(r#""to":"100000000""#), "{first}");
        refused(2_000);
        let rest: Vec<String> = (0..256).map(|_| queue.recv_blocking().unwrap()).collect();
        let last = rest.last().unwrap();
        assert!(last.starts_with("{\"lost\":3}\n{") && last.contains("100002000"), "{last}");
    }
}
