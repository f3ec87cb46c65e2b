//! Runs the sessions of one thread as tasks of its executor, and ends them. C65, C68, C72; checks
//! besides: tests/ctl.rs.

use std::cell::RefCell;
use std::rc::Rc;

use hbb_core::base::conn::{Conn, Transport};
use hbb_core::base::limits::{PIPES_MAX, SESSION_IDLE_MS, TUNNEL_IDLE_MS};
use hbb_core::base::rates::Rates;
use hbb_core::wire::ConnType;

use crate::net::clock::Clock;
use crate::net::conn::link::Link;
use crate::net::conn::link::bytes::ByteBudget;
use crate::net::conn::socket::mark;
use crate::net::message::{SessionEnd, ToRelay};
use crate::net::session::idle::Bounds;
use crate::net::session::numbered::Numbered;
use crate::net::session::pair::{self, Leg};
use crate::net::session::pipe::PipePool;
use crate::net::session::rate::{RateLimit, RateLimits, TotalMeter};
use crate::net::session::websocket::{self, Scratch};
use crate::net::session::{LoadGuard, Session, SessionSettings};
use crate::net::tasks::executor::{Executor, Task};
use crate::net::tasks::lasting;
use crate::net::tasks::queue::Sender;

/// What the sessions of a thread begin with; all threads get the same.
#[derive(Clone)]
pub(super) struct RunnerSetup {
    pub(super) settings: SessionSettings,
    pub(super) clock: Clock,
    pub(super) rates: Rates,
    pub(super) total: &'static TotalMeter,
    pub(super) bytes: ByteBudget,
}

/// Runs the sessions of one thread.
pub(crate) struct Runner {
    executor: Executor,
    scratch: Scratch,
    limits: RateLimits,
    dscp: Option<u8>,
    shared: &'static ThreadSessions,
}

/// What every session of a thread may reach.
struct ThreadSessions {
    pipes: PipePool,
    bytes: ByteBudget,
    /// One that is taken out and dropped ends, with both its connections.
    tasks: RefCell<Numbered<Task>>,
}

/// What a session keeps. In a box, so that the task of an idle one is below a size the allocator
/// has.
struct Context {
    limit: RateLimit,
    known: bool,
    tunnel: bool,
    number: u64,
    conn: Conn,
    inbox: Sender<ToRelay>,
    shared: &'static ThreadSessions,
    /// Dropped with the session, however it ends.
    _load: Option<LoadGuard>,
}

impl Runner {
    /// One of as many runners as there are threads, with its part of what they share.
    pub(super) fn new(executor: Executor, setup: RunnerSetup) -> Self {
        let RunnerSetup { settings, clock, rates, total, bytes } = setup;
        let threads = settings.threads.max(1);
        let pipes = PipePool::new((PIPES_MAX / threads).max(1));
        Self {
            executor,
            scratch: Scratch::default(),
            limits: RateLimits::new(clock, total, rates),
            dscp: settings.dscp,
            shared: lasting(ThreadSessions { pipes, bytes, tasks: RefCell::default() }),
        }
    }

    /// Starts a session, unless an operator ended it on its way here.
    pub(super) fn start(&self, session: Session<Box<Link>>, load: Option<LoadGuard>) {
        if session.traffic.is_dismissed() {
            return;
        }
        let Session { waiting, joining, terms, number, traffic, conn, inbox } = session;
        if let Some(dscp) = self.dscp {
            mark(waiting.stream.socket(), dscp);
            mark(joining.stream.socket(), dscp);
        }
        let (limit, shared) = (self.limits.session(traffic), self.shared);
        let (known, tunnel) = (terms.known, terms.conn_type == ConnType::Tunnel);
        let context =
            Box::new(Context { limit, known, tunnel, number, conn, inbox, shared, _load: load });
        // Two kinds of tasks: one that converts messages is several times the size of the other,
        // of which there are many.
        let task = match (waiting.transport(), joining.transport()) {
            (Transport::Tcp, Transport::Tcp) => self.spawn_copying([waiting, joining], context),
            _ => self.spawn_converting([waiting, joining], context),
        };
        self.shared.tasks.borrow_mut().insert(number, task);
    }

    fn spawn_copying(&self, legs: [Box<Link>; 2], context: Box<Context>) -> Task {
        let legs = Box::new(legs.map(Leg::from));
        self.executor.spawn(Box::pin(async move {
            // What is moved in here stays to the end: that shall be a pointer, not both legs.
            let ended = {
                let legs = legs;
                let [first, second] = *legs;
                pair::join(first, second, context.bounds(), &context.shared.pipes)
            };
            let ended = ended.await;
            // In a box as well: an idle session has no memory for its end.
            Box::pin(context.finish(ended)).await;
        }))
    }

    fn spawn_converting(&self, legs: [Box<Link>; 2], context: Box<Context>) -> Task {
        let scratch = Rc::clone(&self.scratch);
        self.executor.spawn(Box::pin(async move {
            let ended = {
                let ([first, second], scratch) = (legs, scratch);
                websocket::join(*first, *second, context.bounds(), scratch)
            };
            let ended = ended.await;
            // In a box as well: an idle session has no memory for its end.
            Box::pin(context.finish(ended)).await;
        }))
    }

    /// Ends a session silently, if it runs here.
    pub(super) fn end(&self, number: u64) {
        drop(self.shared.take(number));
    }

    /// Changes the rates of sessions that run and of those to come.
    pub(super) fn set_rates(&self, rates: Rates) {
        self.limits.set(rates);
    }
}

impl ThreadSessions {
    fn take(&self, number: u64) -> Option<Task> {
        self.tasks.borrow_mut().remove(number)
    }
}

impl Context {
    fn bounds(&self) -> Bounds<'_> {
        let Self { limit, known, shared, .. } = self;
        let idle_ms = if self.tunnel { TUNNEL_IDLE_MS } else { SESSION_IDLE_MS };
        Bounds { idle_ms, limit, bytes: &shared.bytes, known: *known }
    }

    /// Tells everybody that the session is over.
    async fn finish(self: Box<Self>, end: SessionEnd) {
        // The task that runs this: dropped, it would end here.
        if let Some(task) = self.shared.take(self.number) {
            task.detach();
        }
        let (number, conn) = (self.number, self.conn);
        let _ = self.inbox.send(ToRelay::Ended { number, conn, end }).await;
    }
}
