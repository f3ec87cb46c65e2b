//! Where sessions run: on the thread that owns the machines, or spread over threads of their own,
//! each session on one of them to its end. Between threads go values, never locks. C65, C68, C72.

pub mod copy;
pub mod list;
pub mod pair;
pub mod pipe;
pub mod rate;
pub mod websocket;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use smol::channel::{Receiver, Sender, bounded};
use smol::{LocalExecutor, Task};

use hbb_core::base::conn::{Conn, Transport};
use hbb_core::base::limits::{
    GATHERED_BYTES_MAX, INBOX_MAX, PIPES_MAX, RELAY_STACK_BYTES, SESSION_IDLE_MS, TUNNEL_IDLE_MS,
};
use hbb_core::base::rates::Rates;
use hbb_core::relay::SessionTerms;
use hbb_core::wire::ConnType;

use crate::atomic::AtomicU64;
use crate::net::clock::Clock;
use crate::net::conn::link::Link;
use crate::net::conn::socket::mark;
use crate::net::message::{SessionEnd, ToRelay};
use crate::net::report;
use crate::net::session::list::DISMISSED;
use crate::net::session::pair::Leg;
use crate::net::session::pipe::PipePool;
use crate::net::session::rate::{RateLimits, TotalMeter};
use crate::net::session::websocket::Room;

/// Two legs that found each other.
pub struct Session {
    /// The leg that waited.
    pub waiting: Link,
    /// The leg that came.
    pub joining: Link,
    /// What holds for them.
    pub terms: SessionTerms,
    /// Names it.
    pub number: u64,
    /// What its bytes are counted in.
    pub moved: Arc<AtomicU64>,
    /// The handle the session ends under, and who wants to know.
    pub conn: Conn,
    /// The owner of the relay.
    pub inbox: Sender<ToRelay>,
}

/// How sessions run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Threads for them; 1 is none but the main one.
    pub threads: usize,
    /// What their traffic is marked with, 0 to 63.
    pub dscp: Option<u8>,
}

/// Runs sessions.
pub enum Sessions {
    /// Beside everything else.
    Here(Bench),
    /// On threads of their own, the least busy one next.
    Spread(Vec<Worker>),
}

/// What the sessions of one thread share.
pub struct Bench {
    executor: Rc<LocalExecutor<'static>>,
    room: Room,
    pipes: Rc<PipePool>,
    limits: RateLimits,
    dscp: Option<u8>,
    tasks: Tasks,
}

/// The sessions that run here by their numbers, which only grow. What is taken out and dropped
/// ends, with both its connections.
type Tasks = Rc<RefCell<Vec<(u64, Task<()>)>>>;

/// A thread for sessions.
pub struct Worker {
    orders: Sender<Order>,
    running: Arc<AtomicUsize>,
}

enum Order {
    Start(Box<Session>),
    Rates(Rates),
    End(u64),
}

impl Sessions {
    /// Sessions on the thread that calls this if `threads` is 1, else on so many others.
    ///
    /// # Errors
    /// What the system says if it has no thread to give.
    pub fn new(
        Setting { threads, dscp }: Setting,
        executor: &Rc<LocalExecutor<'static>>,
        (clock, rates): (Clock, Rates),
    ) -> io::Result<Self> {
        let total = Arc::new(TotalMeter::default());
        if threads <= 1 {
            let setting = Setting { threads: 1, dscp };
            let bench = Bench::new(Rc::clone(executor), setting, (clock, total, rates));
            return Ok(Self::Here(bench));
        }
        let worker = |_| {
            let (orders, received) = bounded(INBOX_MAX);
            let running = Arc::new(AtomicUsize::new(0));
            let shared = (clock, Arc::clone(&total), rates);
            let count = Arc::clone(&running);
            let thread = Builder::new().name("relay".into()).stack_size(RELAY_STACK_BYTES);
            thread.spawn(move || work(&received, Setting { threads, dscp }, shared, &count))?;
            Ok(Worker { orders, running })
        };
        Ok(Self::Spread((0..threads).map(worker).collect::<io::Result<_>>()?))
    }

    /// Starts one; it tells its inbox when it is over.
    pub async fn start(&self, session: Session) {
        match self {
            Self::Here(bench) => bench.start(session, None),
            Self::Spread(workers) => {
                let idlest = workers.iter().min_by_key(|worker| worker.load());
                let Some(worker) = idlest else { return };
                worker.running.fetch_add(1, Ordering::Relaxed);
                let _ = worker.orders.send(Order::Start(Box::new(session))).await;
            }
        }
    }

    /// Ends one without a word; it does not tell its inbox.
    pub async fn end(&self, number: u64) {
        match self {
            Self::Here(bench) => drop(bench.end(number)),
            Self::Spread(workers) => {
                for worker in workers {
                    let _ = worker.orders.send(Order::End(number)).await;
                }
            }
        }
    }

    /// Changes the rates of all.
    pub async fn set_rates(&self, rates: Rates) {
        match self {
            Self::Here(bench) => bench.limits.set(rates),
            Self::Spread(workers) => {
                for worker in workers {
                    let _ = worker.orders.send(Order::Rates(rates)).await;
                }
            }
        }
    }
}

impl Worker {
    fn load(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }
}

fn work(
    orders: &Receiver<Order>,
    setting: Setting,
    shared: (Clock, Arc<TotalMeter>, Rates),
    running: &Arc<AtomicUsize>,
) {
    let executor = Rc::new(LocalExecutor::new());
    let bench = Bench::new(Rc::clone(&executor), setting, shared);
    smol::block_on(executor.run(async {
        while let Ok(order) = orders.recv().await {
            match order {
                Order::Start(session) => bench.start(*session, Some(Arc::clone(running))),
                Order::Rates(rates) => bench.limits.set(rates),
                Order::End(number) => {
                    if bench.end(number).is_some() {
                        running.fetch_sub(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }));
}

impl Bench {
    /// One of `threads`, with its part of what they share.
    fn new(
        executor: Rc<LocalExecutor<'static>>,
        Setting { threads, dscp }: Setting,
        (clock, total, rates): (Clock, Arc<TotalMeter>, Rates),
    ) -> Self {
        let room = Room::new(GATHERED_BYTES_MAX / threads);
        let pipes = Rc::new(PipePool::new((PIPES_MAX / threads).max(1)));
        let limits = RateLimits::new(clock, total, rates);
        Self { executor, room, pipes, limits, dscp, tasks: Tasks::default() }
    }

    /// The two kinds of sessions are two kinds of tasks: one that converts messages is several
    /// times the size of the other, whose many shall not pay for it.
    fn start(&self, session: Session, running: Option<Arc<AtomicUsize>>) {
        let Session { waiting, joining, terms, number, moved, conn, inbox } = session;
        if moved.load(Ordering::Relaxed) == DISMISSED {
            if let Some(running) = running {
                running.fetch_sub(1, Ordering::Relaxed);
            }
            return;
        }
        let idle_ms = match terms.conn_type {
            ConnType::Interactive => SESSION_IDLE_MS,
            ConnType::Tunnel => TUNNEL_IDLE_MS,
        };
        // In a box, so that the task of an idle session is below a size the allocator has.
        if let Some(dscp) = self.dscp {
            mark(waiting.stream.get_ref(), dscp);
            mark(joining.stream.get_ref(), dscp);
        }
        let over = Over { number, conn, inbox, running, tasks: Rc::clone(&self.tasks) };
        let limit = self.limits.session(terms.limited, moved);
        let kept = Box::new((limit, over, Rc::clone(&self.pipes)));
        if let (Transport::Tcp, Transport::Tcp) = (waiting.transport(), joining.transport()) {
            let legs = Box::new((Leg::from(waiting), Leg::from(joining)));
            let session = async move {
                // What is moved in here stays to the end: that shall be a pointer, not both legs.
                let ended = {
                    let legs = legs;
                    let (first, second) = *legs;
                    pair::join(first, second, (idle_ms, &kept.0), &kept.2)
                };
                let ended = ended.await;
                kept.1.tell(&ended).await;
            };
            return self.keep(number, self.executor.spawn(session));
        }
        let room = self.room.clone();
        let session = async move {
            let ended = websocket::join(waiting, joining, (idle_ms, &kept.0), room).await;
            kept.1.tell(&ended).await;
        };
        self.keep(number, self.executor.spawn(session));
    }

    fn keep(&self, number: u64, task: Task<()>) {
        self.tasks.borrow_mut().push((number, task));
    }

    fn end(&self, number: u64) -> Option<Task<()>> {
        take(&self.tasks, number)
    }
}

fn take(tasks: &Tasks, number: u64) -> Option<Task<()>> {
    let mut tasks = tasks.borrow_mut();
    let at = tasks.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    let (_, task) = tasks.remove(at);
    if tasks.is_empty() {
        *tasks = Vec::new();
    }
    Some(task)
}

/// What remains to be done when a session is over.
struct Over {
    number: u64,
    conn: Conn,
    inbox: Sender<ToRelay>,
    running: Option<Arc<AtomicUsize>>,
    tasks: Tasks,
}

impl Over {
    async fn tell(&self, ended: &SessionEnd) {
        if let Some(task) = take(&self.tasks, self.number) {
            task.detach();
        }
        if let Some(running) = &self.running {
            running.fetch_sub(1, Ordering::Relaxed);
        }
        report::session_ended(ended);
        let (number, conn) = (self.number, self.conn);
        let _ = self.inbox.send(ToRelay::Ended { number, conn }).await;
    }
}
