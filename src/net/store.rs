//! The store thread: takes changes, groups them into commits, those of the known first, and tells
//! the outcome of each. It writes no more in a day than is allowed, whoever asks. A quiet network
//! wakes it never and writes nothing. C14, C110, C122, C150.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::atomic::AtomicU64;
use crate::store::{Error, Store};
use hbb_core::base::conn::{SaveOutcome, SaveRank, Ticket};
use hbb_core::base::limits::{BATCH_MAX, COMMIT_GATHER_MS, SAVES_PENDING_MAX, STORE_STACK_BYTES};
use hbb_core::base::peer::Change;
use hbb_core::base::time::Time;
use hbb_core::base::writes::Writes;
use log::warn;

use crate::net::clock::Clock;
use crate::net::message::StoreCounts;
use crate::net::recall::Leaving;
use crate::net::tasks::lasting;
use crate::net::tasks::queue::{Closed, Receiver, Sender, bounded};
use crate::net::tasks::thread;

/// A change on its way to disk.
pub(crate) struct PendingChange {
    /// Least goes first.
    pub(crate) rank: SaveRank,
    /// What its outcome is told by.
    pub(crate) ticket: Ticket,
    /// What to store.
    pub(crate) change: Change,
}

/// Hands changes to the thread that owns the store.
pub(crate) struct StoreThread {
    changes: Sender<PendingChange>,
    shared: &'static Shared,
    clock: Clock,
    /// Gives the store back when the thread is done.
    done: Receiver<Box<dyn Store>>,
    /// What to commit at the stop.
    last: Ending,
}

/// What a clean stop is to keep.
#[derive(Default)]
pub(crate) struct Ending {
    /// Committed last.
    pub(crate) changes: Vec<Change>,
    /// What the next start is to know of devices.
    pub(crate) leaving: Leaving,
}

/// What both sides see; counts are since start and from 0.
#[derive(Debug)]
struct Shared {
    commits: AtomicU64,
    changes: AtomicU64,
    failures: AtomicU64,
    /// Held for a moment at a time.
    writes: Mutex<Writes>,
}

impl Shared {
    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What may be written in a day, for the store and for who writes beside it.
#[derive(Clone)]
pub(crate) struct Account {
    shared: &'static Shared,
    clock: Clock,
}

impl Account {
    /// One that nobody has written from.
    pub(crate) fn new(writes: Writes, clock: Clock) -> Self {
        let [commits, changes, failures] = [(); 3].map(|()| AtomicU64::new(0));
        let writes = Mutex::new(writes);
        Self { shared: lasting(Shared { commits, changes, failures, writes }), clock }
    }

    /// Takes out so many bytes; false, taking none, if what is left is for registrations.
    #[cfg(feature = "accounts")]
    pub(crate) fn spend(&self, bytes: u64) -> bool {
        let mut writes = self.shared.writes();
        writes.pass(self.clock.now());
        let allowed = writes.allow(SaveRank::Stranger);
        if allowed {
            writes.count(bytes);
            writes.spend(bytes);
        }
        allowed
    }
}

/// More changes wait than [`SAVES_PENDING_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl StoreThread {
    /// Starts the thread; `saved` hears of every change. It writes what `account` allows.
    ///
    /// # Errors
    /// What the system says if it has no thread to give.
    pub(crate) fn start(
        store: Box<dyn Store>,
        saved: Sender<(Ticket, SaveOutcome)>,
        account: Account,
    ) -> io::Result<Self> {
        let (changes, queue) = bounded(SAVES_PENDING_MAX);
        let Account { shared, clock } = account;
        let seen = store.written();
        let (waiting, ended) = (Vec::new(), None);
        let mut committer = Committer { store, queue, saved, shared, seen, waiting, ended, clock };
        let (done_in, done) = bounded(1);
        let run = move || {
            committer.work();
            let _ = done_in.try_send(committer.store);
        };
        thread::start("store", STORE_STACK_BYTES, Box::new(run))?;
        Ok(Self { changes, shared, clock, done, last: Ending::default() })
    }

    /// Queues a change.
    ///
    /// # Errors
    /// [`QueueFull`] if too many wait; the change is not queued then.
    pub(crate) fn save(&self, change: PendingChange) -> Result<(), QueueFull> {
        self.changes.try_send(change).map_err(|_| QueueFull)
    }

    /// Changes what may be written in a day, from the next commit on.
    pub(crate) fn set_writes(&self, a_day: u16) {
        self.shared.writes().set(a_day);
    }

    /// What was done since start.
    pub(crate) fn counts(&self) -> StoreCounts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Shared { commits, changes, failures, .. } = self.shared;
        let mut writes = self.shared.writes();
        writes.pass(self.clock.now());
        StoreCounts {
            commits: load(commits),
            changes: load(changes),
            failures: load(failures),
            written: writes.today(),
            left: writes.left(),
        }
    }

    /// Sets what the stop is to commit after all else.
    pub(crate) fn ending_with(self, last: Ending) -> Self {
        Self { last, ..self }
    }

    /// Commits what is queued and what is to be stored last, and closes the store.
    pub(crate) fn stop(self) {
        drop(self.changes);
        let Some(mut store) = self.done.recv_blocking() else { return };
        let Ending { changes, leaving } = self.last;
        if let Err(error) = store.finish(&changes, &leaving.put()) {
            failed(error, &changes);
        }
    }
}

/// The thread's side.
struct Committer {
    store: Box<dyn Store>,
    queue: Receiver<PendingChange>,
    saved: Sender<(Ticket, SaveOutcome)>,
    shared: &'static Shared,
    /// What the store had written when it was last asked.
    seen: u64,
    /// Changes taken from the queue, in the order they came; at most [`SAVES_PENDING_MAX`] of
    /// clients'.
    waiting: Vec<PendingChange>,
    /// When the last commit ended that took all there was.
    ended: Option<Time>,
    clock: Clock,
}

impl Committer {
    fn work(&mut self) {
        while let Some(last) = self.gather() {
            self.put_off();
            let batch = self.batch(last);
            let Some(first) = batch.first() else { continue };
            let charged = first.rank != SaveRank::Operator;
            self.commit(batch, charged);
            if last == SaveRank::Stranger {
                self.ended = Some(self.clock.now());
            }
        }
    }

    /// Waits for a change, then takes what comes, up to [`BATCH_MAX`], until it is time for the
    /// next commit: at once for one that comes alone, so that it waits but for the disk. It keeps
    /// no operator waiting, and nobody prompt for long. Gives the last rank that the next commit
    /// takes, None when there will be no more.
    fn gather(&mut self) -> Option<SaveRank> {
        if self.waiting.is_empty() {
            self.waiting.push(self.queue.recv_blocking()?);
        }
        let gather_ms = self.passed().gather_ms();
        let until = self.ended.map_or(Time::START, |ended| ended.after_ms(gather_ms));
        let mut soon = None;
        loop {
            // Whatever is there: the known behind many strangers shall go first.
            while let Some(next) = self.queue.try_recv() {
                self.waiting.push(next);
            }
            let now = self.clock.now();
            let waits = |rank| self.waiting.iter().any(|it| it.rank == rank);
            if waits(SaveRank::Operator) {
                return Some(SaveRank::Operator);
            }
            if self.waiting.len() >= BATCH_MAX || now >= until {
                return Some(SaveRank::Stranger);
            }
            if soon.is_none() && waits(SaveRank::Prompt) {
                soon = Some(now.after_ms(COMMIT_GATHER_MS));
            }
            if soon.is_some_and(|soon| now >= soon) {
                return Some(SaveRank::Prompt);
            }
            let left = until.min(soon.unwrap_or(until)).since_ms(now);
            match self.queue.recv_within(left) {
                Ok(Some(next)) => self.waiting.push(next),
                Ok(None) => {}
                Err(Closed) => return Some(SaveRank::Stranger),
            }
        }
    }

    /// What may be written now.
    fn passed(&self) -> MutexGuard<'_, Writes> {
        let mut writes = self.shared.writes();
        writes.pass(self.clock.now());
        writes
    }

    /// Refuses for now those for whom nothing is left to write.
    fn put_off(&mut self) {
        let writes = self.passed().clone();
        let before = self.waiting.len();
        let Self { waiting, saved, .. } = self;
        waiting.retain(|it| {
            let allowed = writes.allow(it.rank);
            if !allowed {
                tell(saved, it.ticket, SaveOutcome::Postponed);
            }
            allowed
        });
        let count = before - self.waiting.len();
        if count > 0 {
            warn!("writes-spent changes={count} help=--writes-per-day");
        }
    }

    /// Takes out what goes into the next commit: of the ranks up to `last`, least first.
    fn batch(&mut self, last: SaveRank) -> Vec<PendingChange> {
        // What came first of one id is first, as its rank is one; so are rows, which have several.
        #[cfg(feature = "accounts")]
        self.waiting.iter_mut().rev().filter(|it| !it.change.rows().is_empty()).fold(
            SaveRank::Stranger,
            |least, it| {
                it.rank = it.rank.min(least);
                it.rank
            },
        );
        self.waiting.sort_by_key(|it| it.rank);
        let count = self.waiting.partition_point(|it| it.rank <= last).min(BATCH_MAX);
        self.waiting.drain(..count).collect()
    }

    fn commit(&mut self, batch: Vec<PendingChange>, charged: bool) {
        let (mut tickets, mut changes) = (Vec::new(), Vec::new());
        for PendingChange { ticket, change, .. } in batch {
            tickets.push(ticket);
            changes.push(change);
        }
        let outcome = match self.store.commit(&changes) {
            Ok(()) => SaveOutcome::Durable,
            Err(error) => {
                failed(error, &changes);
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                SaveOutcome::Failed
            }
        };
        self.account(charged);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.changes.fetch_add(changes.len() as u64, Ordering::Relaxed);
        tickets.into_iter().for_each(|ticket| tell(&self.saved, ticket, outcome));
    }

    /// Counts what the store wrote.
    fn account(&mut self, charged: bool) {
        let before = core::mem::replace(&mut self.seen, self.store.written());
        // Reopened after a failure, the store counts on.
        let bytes = self.seen.saturating_sub(before);
        let mut writes = self.passed();
        writes.count(bytes);
        if charged {
            writes.spend(bytes);
        }
    }
}

fn failed(error: Error, batch: &[Change]) {
    warn!("store-failed cause='{error}' changes={}", batch.len());
}

fn tell(saved: &Sender<(Ticket, SaveOutcome)>, ticket: Ticket, outcome: SaveOutcome) {
    // It has room for every ticket that can be pending; closed, nobody listens any more.
    let _ = saved.try_send((ticket, outcome));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use hbb_core::base::limits::WRITES_UNIT_BYTES;
    use hbb_core::base::peer::{PeerId, Record};
    use hbb_core::base::rows::RowChange;

    /// A store that waits before each commit for leave to make it, and tells of it.
    struct Slow {
        leave: mpsc::Receiver<()>,
        seen: mpsc::Sender<Vec<String>>,
        written: u64,
        cost: u64,
    }

    impl Store for Slow {
        fn load(&mut self, _: &mut dyn FnMut(Record)) -> Result<(), Error> {
            Ok(())
        }

        fn commit(&mut self, batch: &[Change]) -> Result<(), Error> {
            self.leave.recv().unwrap();
            self.written += self.cost;
            let ids = batch.iter().map(|change| match change.rows() {
                [row, ..] => String::from_utf8(row.key.clone()).unwrap(),
                [] => change.gone_and_here().0.unwrap().as_str().into(),
            });
            self.seen.send(ids.collect()).unwrap();
            Ok(())
        }

        fn finish(&mut self, batch: &[Change], _: &str) -> Result<(), Error> {
            if batch.is_empty() { Ok(()) } else { self.commit(batch) }
        }

        fn whereabouts(&mut self) -> Result<String, Error> {
            Ok(String::new())
        }

        fn rows(&mut self, _: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Error> {
            Ok(())
        }

        fn written(&self) -> u64 {
            self.written
        }
    }

    struct Bench {
        thread: StoreThread,
        leave: mpsc::Sender<()>,
        seen: mpsc::Receiver<Vec<String>>,
        saved: Receiver<(Ticket, SaveOutcome)>,
        tickets: u64,
    }

    impl Bench {
        /// Each commit costs so many bytes, of 1 MiB a day.
        fn new(cost: u64) -> Self {
            Self::with(cost, Writes::new(1))
        }

        fn with(cost: u64, writes: Writes) -> Self {
            let (leave, allowed) = mpsc::channel();
            let (told, seen) = mpsc::channel();
            let (saved_in, saved) = bounded(SAVES_PENDING_MAX);
            let store = Slow { leave: allowed, seen: told, written: 0, cost };
            let account = Account::new(writes, Clock::start());
            let thread = StoreThread::start(Box::new(store), saved_in, account);
            Self { thread: thread.unwrap(), leave, seen, saved, tickets: 0 }
        }

        fn save(&mut self, rank: SaveRank, id: &str) {
            self.tickets += 1;
            let change = match id.strip_prefix("row of ") {
                Some(key) => Change::Rows([RowChange { key: key.into(), value: None }].into()),
                None => Change::Remove(PeerId::new(id).unwrap()),
            };
            self.thread.save(PendingChange { rank, ticket: Ticket(self.tickets), change }).unwrap();
        }

        fn commit(&self) -> Vec<String> {
            self.leave.send(()).unwrap();
            self.seen.recv_timeout(Duration::from_secs(15)).unwrap()
        }

        fn outcome(&self) -> (u64, SaveOutcome) {
            let (Ticket(number), outcome) = self.saved.recv_blocking().unwrap();
            (number, outcome)
        }
    }

    /// By the ten seconds between two commits when little is left to write: in them two threads
    /// are sure to have run.
    #[test]
    fn c150_a_change_that_comes_alone_is_committed_at_once_and_the_next_waits() {
        let mut writes = Writes::new(1);
        writes.spend(WRITES_UNIT_BYTES / 32 * 23);
        assert_eq!((writes.gather_ms(), writes.allow(SaveRank::Known)), (10_000, true));
        let (mut bench, clock) = (Bench::with(0, writes), Clock::start());
        bench.save(SaveRank::Known, "first1");
        assert_eq!(bench.commit(), ["first1"]);
        let waited = clock.now().as_millis();
        assert!(waited < 5_000, "committed after {waited} ms");
        bench.save(SaveRank::Known, "second");
        thread::sleep(Duration::from_millis(200));
        bench.save(SaveRank::Operator, "operator");
        assert_eq!(bench.commit(), ["operator"]);
    }

    #[test]
    fn c110_of_those_that_wait_operators_go_first_then_the_known() {
        let mut bench = Bench::new(0);
        bench.save(SaveRank::Stranger, "first");
        // It has been taken: what follows waits.
        thread::sleep(Duration::from_millis(200));
        for (rank, id) in [
            (SaveRank::Stranger, "stranger"),
            (SaveRank::Known, "known1"),
            (SaveRank::Stranger, "row of anna, 1"),
            (SaveRank::Proved, "proved"),
            (SaveRank::Operator, "row of anna, 2"),
            (SaveRank::Known, "row of anna, 3"),
            (SaveRank::Operator, "operator"),
            (SaveRank::Known, "known2"),
        ] {
            bench.save(rank, id);
        }
        assert_eq!(bench.commit(), ["first"]);
        assert_eq!(bench.commit(), ["anna, 1", "anna, 2", "operator"]);
        assert_eq!(bench.commit(), ["known1", "anna, 3", "known2", "proved", "stranger"]);
    }

    #[test]
    fn c110_a_flood_is_put_off_and_an_operator_is_not() {
        let mut bench = Bench::new(WRITES_UNIT_BYTES);
        bench.save(SaveRank::Stranger, "first");
        bench.commit();
        assert_eq!(bench.outcome(), (1, SaveOutcome::Durable));
        // Gathered for ten seconds, unless an operator wants something.
        bench.save(SaveRank::Known, "known");
        bench.save(SaveRank::Operator, "operator");
        assert_eq!(bench.outcome(), (2, SaveOutcome::Postponed));
        assert_eq!(bench.commit(), ["operator"]);
        assert_eq!(bench.outcome(), (3, SaveOutcome::Durable));
        let counts = bench.thread.counts();
        assert_eq!((counts.written, counts.left), (2 * WRITES_UNIT_BYTES, Some(0)));
        bench.thread.set_writes(0);
        bench.save(SaveRank::Stranger, "last");
        assert_eq!(bench.commit(), ["last"]);
    }

    #[test]
    fn c122_the_first_of_a_network_does_not_wait_for_what_strangers_spent() {
        // So much that changes are gathered for ten seconds.
        let mut bench = Bench::new(WRITES_UNIT_BYTES / 16 * 9);
        bench.save(SaveRank::Stranger, "first");
        bench.commit();
        bench.save(SaveRank::Proved, "crowd");
        let begin = Clock::start();
        bench.save(SaveRank::Prompt, "prompt");
        bench.save(SaveRank::Known, "known");
        assert_eq!(bench.commit(), ["known", "prompt"]);
        assert!(begin.now().as_millis() < 3_000, "{:?}", begin.now());
        // What waits goes on waiting from when it came, and is not allowed any more then.
        let outcomes: Vec<_> = (0..4).map(|_| bench.outcome()).collect();
        assert_eq!(outcomes[3], (2, SaveOutcome::Postponed));
        assert!(begin.now().as_millis() < 11_000, "{:?}", begin.now());
    }
}
