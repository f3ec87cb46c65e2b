//! The store thread: takes changes, groups them into commits, tells the outcome of each. A quiet
//! network wakes it never and writes nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use smol::channel::Sender;

use crate::atomic::AtomicU64;
use crate::store::Store;
use hbb_core::base::conn::{SaveOutcome, Ticket};
use hbb_core::base::limits::{BATCH_MAX, COMMIT_GATHER_MS, SAVES_PENDING_MAX, STORE_STACK_BYTES};
use hbb_core::base::peer::Change;
use log::warn;

use crate::net::clock::Clock;
use crate::net::message::StoreCounts;

/// Hands changes to the thread that owns the store.
pub(crate) struct StoreThread {
    changes: SyncSender<(Ticket, Change)>,
    stats: Arc<Stats>,
    thread: JoinHandle<()>,
}

/// What the store did since start; each counts up from 0.
#[derive(Debug, Default)]
struct Stats {
    commits: AtomicU64,
    changes: AtomicU64,
    failures: AtomicU64,
}

/// More changes wait than [`SAVES_PENDING_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl StoreThread {
    /// Starts the thread; `saved` hears of every change.
    ///
    /// # Errors
    /// What the system says if it has no thread to give.
    pub(crate) fn start(
        store: Box<dyn Store>,
        saved: Sender<(Ticket, SaveOutcome)>,
    ) -> io::Result<Self> {
        let (changes, queue) = sync_channel(SAVES_PENDING_MAX);
        let stats = Arc::new(Stats::default());
        let counted = Arc::clone(&stats);
        let thread = Builder::new()
            .name("store".into())
            .stack_size(STORE_STACK_BYTES)
            .spawn(move || work(store, &queue, &saved, &counted))?;
        Ok(Self { changes, stats, thread })
    }

    /// Queues a change.
    ///
    /// # Errors
    /// [`QueueFull`] if too many wait; the change is not queued then.
    pub(crate) fn save(&self, ticket: Ticket, change: Change) -> Result<(), QueueFull> {
        self.changes.try_send((ticket, change)).map_err(|_| QueueFull)
    }

    /// What was done since start.
    pub(crate) fn counts(&self) -> StoreCounts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Stats { commits, changes, failures } = &*self.stats;
        StoreCounts { commits: load(commits), changes: load(changes), failures: load(failures) }
    }

    /// Commits what is queued and closes the store.
    pub(crate) fn stop(self) {
        drop(self.changes);
        let _ = self.thread.join();
    }
}

fn work(
    mut store: Box<dyn Store>,
    queue: &Receiver<(Ticket, Change)>,
    saved: &Sender<(Ticket, SaveOutcome)>,
    stats: &Stats,
) {
    let (mut tickets, mut batch) = (Vec::new(), Vec::new());
    while gather(queue, &mut tickets, &mut batch) {
        let outcome = match store.commit(&batch) {
            Ok(()) => SaveOutcome::Durable,
            Err(error) => {
                warn!("store-failed cause='{error}' changes={}", batch.len());
                stats.failures.fetch_add(1, Ordering::Relaxed);
                SaveOutcome::Failed
            }
        };
        stats.commits.fetch_add(1, Ordering::Relaxed);
        stats.changes.fetch_add(batch.len() as u64, Ordering::Relaxed);
        for ticket in tickets.drain(..) {
            // It has room for every ticket that can be pending; closed, nobody listens any more.
            let _ = saved.try_send((ticket, outcome));
        }
        batch.clear();
    }
}

/// Waits for a change, then takes what comes within [`COMMIT_GATHER_MS`], up to [`BATCH_MAX`];
/// false when there will be no more.
fn gather(
    queue: &Receiver<(Ticket, Change)>,
    tickets: &mut Vec<Ticket>,
    batch: &mut Vec<Change>,
) -> bool {
    let mut next = queue.recv().ok();
    let clock = Clock::start();
    while let Some((ticket, change)) = next {
        tickets.push(ticket);
        batch.push(change);
        if batch.len() >= BATCH_MAX {
            break;
        }
        let left = COMMIT_GATHER_MS.saturating_sub(clock.now().as_millis());
        next = queue.recv_timeout(Duration::from_millis(left)).ok();
    }
    !batch.is_empty()
}
