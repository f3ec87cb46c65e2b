//! Where sessions run: on the thread that owns the machines, or spread over threads of their own,
//! each session on one of them to its end. Between threads go values, never locks. C65, C68, C72.

pub mod copy;
pub mod idle;
pub(crate) mod numbered;
pub mod pair;
pub mod pipe;
pub mod rate;
mod runner;
pub mod websocket;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use log::error;

use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{INBOX_MAX, RELAY_STACK_BYTES};
use hbb_core::base::rates::Rates;
use hbb_core::relay::SessionTerms;

use crate::net::clock::Clock;
use crate::net::conn::link::bytes::ByteBudget;
use crate::net::conn::link::{Link, TravellingLink};
use crate::net::message::{SessionEnd, ToRelay, Traffic};
use crate::net::session::rate::TotalMeter;
use crate::net::session::runner::{Runner, RunnerSetup};
use crate::net::tasks::executor::Executor;
use crate::net::tasks::lasting;
use crate::net::tasks::queue::{Receiver, Sender, bounded};
use crate::net::tasks::thread;

/// Two legs that found each other.
pub(crate) struct Session<L> {
    /// The leg that waited.
    pub(crate) waiting: L,
    /// The leg that came.
    pub(crate) joining: L,
    /// The rules it runs under.
    pub(crate) terms: SessionTerms,
    /// Tells it from others.
    pub(crate) number: u64,
    /// What its bytes are counted in.
    pub(crate) traffic: Arc<Traffic>,
    /// The handle under which the relay machine knows it.
    pub(crate) conn: Conn,
    /// Where its end is told.
    pub(crate) inbox: Sender<ToRelay>,
}

impl Session<Box<Link>> {
    fn unwatch(self) -> Session<TravellingLink> {
        let Self { waiting, joining, terms, number, traffic, conn, inbox } = self;
        let (waiting, joining) = (waiting.unwatch(), joining.unwatch());
        Session { waiting, joining, terms, number, traffic, conn, inbox }
    }
}

impl Session<TravellingLink> {
    fn watch(self) -> io::Result<Session<Box<Link>>> {
        let Self { waiting, joining, terms, number, traffic, conn, inbox } = self;
        let (waiting, joining) = (waiting.watch()?, joining.watch()?);
        Ok(Session { waiting, joining, terms, number, traffic, conn, inbox })
    }
}

/// How sessions run.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    /// Threads for them; 1 is none but the main one.
    pub threads: usize,
    /// What their traffic is marked with, 0 to 63.
    pub dscp: Option<u8>,
}

/// Runs sessions.
pub(crate) enum Sessions {
    /// Beside everything else.
    Here(Runner),
    /// On threads of their own, the least busy one next.
    Spread(Vec<Worker>),
}

/// A thread for sessions.
pub(crate) struct Worker {
    inbox: Sender<ToWorker>,
    load: Load,
}

/// How many sessions a thread has, those on their way to it included.
#[derive(Clone, Default)]
struct Load(Arc<AtomicUsize>);

/// Counts a session in a thread's load until it is dropped.
struct LoadGuard(Load);

/// What a thread for sessions is told.
enum ToWorker {
    Start(Box<Session<TravellingLink>>, LoadGuard),
    SetRates(Rates),
    End(u64),
}

impl Sessions {
    /// Sessions on the thread that calls this if the settings name one thread, else on so many
    /// others.
    ///
    /// # Errors
    /// What the system says if it has no thread to give.
    pub(crate) fn new(
        settings: SessionSettings,
        executor: &Executor,
        clock: Clock,
        (rates, bytes): (Rates, ByteBudget),
    ) -> io::Result<Self> {
        let setup =
            RunnerSetup { settings, clock, rates, total: lasting(TotalMeter::default()), bytes };
        if settings.threads <= 1 {
            return Ok(Self::Here(Runner::new(executor.clone(), setup)));
        }
        let mut workers = Vec::new();
        for _ in 0..settings.threads {
            workers.push(Worker::start(setup.clone())?);
        }
        Ok(Self::Spread(workers))
    }

    /// Starts a session; it tells its inbox when it is over.
    pub(crate) async fn start(&self, session: Session<Box<Link>>) {
        match self {
            Self::Here(runner) => runner.start(session, None),
            Self::Spread(workers) => {
                let idlest = workers.iter().min_by_key(|worker| worker.load.sessions());
                let Some(worker) = idlest else { return };
                let start = ToWorker::Start(Box::new(session.unwatch()), worker.load.guard());
                let _ = worker.inbox.send(start).await;
            }
        }
    }

    /// Ends a session silently; it does not tell its inbox.
    pub(crate) async fn end(&self, number: u64) {
        match self {
            Self::Here(runner) => runner.end(number),
            Self::Spread(workers) => {
                for worker in workers {
                    let _ = worker.inbox.send(ToWorker::End(number)).await;
                }
            }
        }
    }

    /// Changes the rates of all sessions.
    pub(crate) async fn set_rates(&self, rates: Rates) {
        match self {
            Self::Here(runner) => runner.set_rates(rates),
            Self::Spread(workers) => {
                for worker in workers {
                    let _ = worker.inbox.send(ToWorker::SetRates(rates)).await;
                }
            }
        }
    }
}

impl Worker {
    fn start(setup: RunnerSetup) -> io::Result<Self> {
        let (inbox, received) = bounded(INBOX_MAX);
        thread::start("relay", RELAY_STACK_BYTES, Box::new(move || work(received, setup)))?;
        Ok(Self { inbox, load: Load::default() })
    }
}

/// What a thread for sessions does until we stop.
fn work(received: Receiver<ToWorker>, setup: RunnerSetup) {
    let executor = Executor::default();
    let runner = Runner::new(executor.clone(), setup);
    let served = executor.run(Box::pin(async move {
        while let Some(message) = received.recv().await {
            match message {
                ToWorker::Start(session, guard) => {
                    let (number, conn, inbox) =
                        (session.number, session.conn, session.inbox.clone());
                    match session.watch() {
                        Ok(session) => runner.start(session, Some(guard)),
                        Err(_) => {
                            let end =
                                SessionEnd { bytes: 0, secs: 0, reason: DropReason::SendFailed };
                            let _ = inbox.send(ToRelay::Ended { number, conn, end }).await;
                        }
                    }
                }
                ToWorker::SetRates(rates) => runner.set_rates(rates),
                ToWorker::End(number) => runner.end(number),
            }
        }
    }));
    if let Err(cause) = served {
        error!("relay-thread-ended cause='{cause}'");
    }
}

impl Load {
    fn sessions(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn guard(&self) -> LoadGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        LoadGuard(self.clone())
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
