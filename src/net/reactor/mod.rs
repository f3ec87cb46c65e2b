//! Waits for the sockets and deadlines of one thread, and runs its futures meanwhile. Executor,
//! channels and futures are smol's; its reactor is not used where calls count. That one is shared
//! by all threads and asks anew for each wait: of the kernel's calls, one `epoll_ctl` for the
//! socket, one for the timer, one for the alarm, a `timerfd_settime` and the read of an eventfd
//! come with every `epoll_wait` (polling 3.11), and a write to that eventfd with every timer. Here
//! a socket is registered once, edge-triggered (epoll(7)), and a wait is one call. A listener is
//! level-triggered: who took the only one who waited there need not ask for another.

mod alarm;
mod source;
mod timer;

use core::cell::{Cell, RefCell};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use smol::future;

use crate::net::clock;
use alarm::Alarm;
use source::Readiness;

pub use source::Source;
pub use timer::Timer;

/// Events taken from the kernel at once; more wait for the next turn.
const EVENTS_MAX: usize = 64;
/// The longest wait, 24 days.
const WAIT_MAX: Duration = Duration::from_millis(i32::MAX.unsigned_abs() as u64);
/// What the alarm's events carry in place of a source's number.
const ALARM: u64 = u64::MAX;

thread_local! {
    static HERE: RefCell<Option<Rc<Reactor>>> = const { RefCell::new(None) };
}

/// What one thread waits for.
struct Reactor {
    epoll: OwnedFd,
    alarm: Arc<Alarm>,
    sources: RefCell<Sources>,
    /// When, and the number of a timer; who is to be woken then. smol has a tree of the same type,
    /// whose code it shares.
    timers: RefCell<BTreeMap<(Instant, usize), Waker>>,
    timers_made: Cell<usize>,
    /// Who is asked first when something came to the source of this number.
    first: RefCell<Option<(u64, First)>>,
    /// Tasks that gave way until the others had their turn.
    yielded: RefCell<Vec<Waker>>,
    /// How often the kernel was asked,
    turns: Cell<u64>,
    /// and whether it told of more than one thing when it last was.
    busy: Cell<bool>,
    events: RefCell<Vec<epoll::Event>>,
}

/// Does what came to a source asks for; true if that leaves nothing to do for the task that waits.
pub type First = Box<dyn Fn() -> bool>;

/// Sources by number, and the numbers that are free.
#[derive(Default)]
struct Sources {
    all: Vec<Option<Rc<Readiness>>>,
    free: Vec<u32>,
}

/// Runs a future on this thread to its end, and what is waited for by it or by tasks it polls.
///
/// # Errors
/// What the kernel says if it has no reactor to give.
pub fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let reactor = Rc::new(Reactor::open()?);
    let before = HERE.with(|here| here.borrow_mut().replace(Rc::clone(&reactor)));
    let waker = Waker::from(Arc::clone(&reactor.alarm));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let done = loop {
        // Where nobody woke it, what happened was dealt with already.
        if reactor.alarm.hear()
            && let Poll::Ready(done) = future.as_mut().poll(&mut context)
        {
            break Ok(done);
        }
        if let Err(error) = reactor.wait() {
            break Err(error);
        }
    };
    HERE.with(|here| *here.borrow_mut() = before);
    done
}

/// Gives way until every other task that can go on did, and the kernel was asked who else can;
/// whatever else wakes the task meanwhile.
pub fn give_way() -> impl Future<Output = ()> {
    let mut began = None;
    future::poll_fn(move |context| {
        let Some(reactor) = here() else { return Poll::Ready(()) };
        let turn = reactor.turns.get();
        if *began.get_or_insert(turn) != turn {
            return Poll::Ready(());
        }
        reactor.yielded.borrow_mut().push(context.waker().clone());
        Poll::Pending
    })
}

/// Whether more than one thing happened at once when the kernel was last asked.
pub fn is_busy() -> bool {
    here().is_some_and(|reactor| reactor.busy.get())
}

fn here() -> Option<Rc<Reactor>> {
    HERE.with(|here| here.borrow().clone())
}

impl Reactor {
    fn open() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let alarm = Alarm::new()?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, alarm.bell(), epoll::EventData::new_u64(ALARM), flags)?;
        Ok(Self {
            epoll,
            alarm: Arc::new(alarm),
            sources: RefCell::default(),
            timers: RefCell::default(),
            timers_made: Cell::new(0),
            first: RefCell::default(),
            yielded: RefCell::default(),
            turns: Cell::new(0),
            busy: Cell::new(false),
            events: RefCell::new(Vec::with_capacity(EVENTS_MAX)),
        })
    }

    /// Waits until something happened, and wakes whom it concerns.
    fn wait(&self) -> io::Result<()> {
        let timeout = match self.yielded.borrow().is_empty() {
            true => self.until_next_timer(),
            false => Some(Duration::ZERO),
        };
        let timeout = match self.alarm.sleep() {
            true => timeout,
            false => Some(Duration::ZERO),
        };
        let mut events = self.events.borrow_mut();
        events.clear();
        let limit = timeout.map(timespec);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.alarm.wake_up();
        self.turns.set(self.turns.get().wrapping_add(1));
        self.busy.set(events.len() > 1);
        for event in events.iter() {
            self.happened(event.data.u64(), event.flags);
        }
        // Who comes all the time keeps no timer from its turn: one that is due makes the next wait
        // a short one, after which the clock is read.
        let may_be_due = events.is_empty() || timeout == Some(Duration::ZERO);
        drop(events);
        if may_be_due {
            self.wake_due();
        }
        // Those that give way again meanwhile have their turn after the next wait.
        let yielded = core::mem::take(&mut *self.yielded.borrow_mut());
        yielded.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn happened(&self, number: u64, flags: epoll::EventFlags) {
        let sources = self.sources.borrow();
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(Some(source)) = sources.all.get(at) else { return };
        let source = Rc::clone(source);
        drop(sources);
        if source.happened(flags) && !self.is_dealt_with(number) {
            source.wake_reader();
        }
    }

    /// Whether whoever is asked first about a source left nothing to do.
    fn is_dealt_with(&self, number: u64) -> bool {
        let first = self.first.borrow();
        first.as_ref().is_some_and(|(of, deal)| *of == number && deal())
    }

    /// None if no timer runs.
    fn until_next_timer(&self) -> Option<Duration> {
        let timers = self.timers.borrow();
        let ((at, _), _) = timers.first_key_value()?;
        Some(at.saturating_duration_since(clock::instant_now()))
    }

    fn wake_due(&self) {
        if self.timers.borrow().is_empty() {
            return;
        }
        let now = clock::instant_now();
        loop {
            let mut timers = self.timers.borrow_mut();
            let due = timers.first_entry().filter(|first| first.key().0 <= now);
            let Some(due) = due.map(|first| first.remove()) else { return };
            drop(timers);
            due.wake();
        }
    }
}

impl Sources {
    fn insert(&mut self, source: Rc<Readiness>) -> u32 {
        match self.free.pop() {
            Some(number) => {
                if let Some(place) = self.all.get_mut(number as usize) {
                    *place = Some(source);
                }
                number
            }
            None => {
                self.all.push(Some(source));
                u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
            }
        }
    }

    fn remove(&mut self, number: u32) {
        if let Some(place) = self.all.get_mut(number as usize)
            && place.take().is_some()
        {
            self.free.push(number);
        }
    }
}

/// At most what epoll_wait(2) takes; rustix makes it whole milliseconds, rounded up.
fn timespec(timeout: Duration) -> Timespec {
    Timespec::try_from(timeout.min(WAIT_MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::thread;

    use smol::LocalExecutor;

    use super::*;

    fn pair() -> (Source<UnixStream>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Source::new(ours).unwrap(), theirs)
    }

    #[test]
    fn bytes_that_were_not_read_are_still_there() {
        block_on(async {
            let (source, mut peer) = pair();
            peer.write_all(b"abc").unwrap();
            let mut buffer = [0; 2];
            source.readable().await;
            assert_eq!(source.socket().read(&mut buffer).unwrap(), 2);
            source.readable().await;
            assert_eq!(source.socket().read(&mut buffer).unwrap(), 1);
            source.drained();
            peer.write_all(b"d").unwrap();
            source.readable().await;
            assert_eq!(source.socket().read(&mut buffer).unwrap(), 1);
            source.drained();
            drop(peer);
            source.readable().await;
            assert_eq!(source.socket().read(&mut buffer).unwrap(), 0);
        })
        .unwrap();
    }

    #[test]
    fn a_task_sleeps_on_when_who_is_asked_first_leaves_it_nothing() {
        block_on(async {
            let (source, mut peer) = pair();
            let (source, polls) = (Rc::new(source), Cell::new(0));
            let (first, asked) = (Rc::downgrade(&source), Rc::new(Cell::new(0)));
            let counted = Rc::clone(&asked);
            source.ask_first(Box::new(move || {
                counted.set(counted.get() + 1);
                let source = first.upgrade().unwrap();
                let is_mine = counted.get() < 3;
                if is_mine {
                    assert_eq!(source.socket().read(&mut [0; 9]).unwrap(), 1);
                    source.drained();
                }
                is_mine
            }));
            let writer = thread::spawn(move || {
                for _ in 0..3 {
                    thread::sleep(Duration::from_millis(20));
                    peer.write_all(b"x").unwrap();
                }
                peer
            });
            future::poll_fn(|context| {
                polls.set(polls.get() + 1);
                source.poll_readable(context)
            })
            .await;
            assert_eq!((asked.get(), polls.get()), (3, 2));
            drop(writer.join().unwrap());
        })
        .unwrap();
    }

    #[test]
    fn an_end_behind_a_short_read_is_heard() {
        block_on(async {
            let (source, mut peer) = pair();
            peer.write_all(b"a").unwrap();
            drop(peer);
            source.readable().await;
            assert_eq!(source.socket().read(&mut [0; 9]).unwrap(), 1);
            source.drained();
            source.readable().await;
            assert!(!source.is_unread(), "there is nothing else");
            assert_eq!(source.socket().read(&mut [0; 9]).unwrap(), 0);
        })
        .unwrap();
    }

    #[test]
    fn a_listener_tells_again_of_whoever_still_waits_and_when_hushed_it_does_not() {
        block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let _peers = [(); 3].map(|()| TcpStream::connect(listener.local_addr().unwrap()));
            let listener = Source::listening(listener).unwrap();
            for _ in 0..2 {
                listener.readable().await;
                listener.socket().accept().unwrap();
                listener.drained();
            }
            listener.readable().await;
            let wakes = async |hushed| {
                listener.hush(hushed);
                let turns = || here().unwrap().turns.get();
                let before = turns();
                Timer::after(Duration::from_millis(50)).await;
                turns() - before
            };
            // The timer alone wakes, and the hush itself once.
            let (hushed, awake) = (wakes(true).await, wakes(false).await);
            assert!(hushed <= 3 && awake > 3, "{hushed} and {awake} wakes");
        })
        .unwrap();
    }

    #[test]
    fn a_full_socket_is_waited_for() {
        block_on(async {
            let (source, mut peer) = pair();
            let mut filled = 0;
            loop {
                match source.socket().write(&[0; 4096]) {
                    Ok(bytes) => filled += bytes,
                    Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            source.full();
            let reader = thread::spawn(move || {
                peer.read_exact(&mut vec![0; filled]).unwrap();
                peer
            });
            source.writable().await;
            assert!(source.socket().write(&[0; 1]).is_ok());
            drop(reader.join().unwrap());
        })
        .unwrap();
    }

    #[test]
    fn timers_run_out_in_order_and_later_ones_can_be_brought_forward() {
        block_on(async {
            let began = clock::instant_now();
            let mut moved = Timer::after(Duration::from_secs(60));
            let early = Timer::after(Duration::from_millis(5));
            future::or(async { (&mut moved).await }, early).await;
            moved.set_after(Duration::from_millis(5));
            (&mut moved).await;
            moved.set_after(Duration::from_millis(1));
            moved.set_after(Duration::from_millis(20));
            (&mut moved).await;
            let took = clock::instant_now().duration_since(began);
            assert!(took >= Duration::from_millis(30), "{took:?}");
        })
        .unwrap();
    }

    /// Counted in turns, not in time: whoever can always go on asks the kernel between two turns.
    #[test]
    fn a_task_that_can_always_go_on_keeps_no_other_from_its_socket() {
        let executor = LocalExecutor::new();
        let turns = Rc::new(Cell::new(0));
        let counted = Rc::clone(&turns);
        let busy = executor.spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                give_way().await;
            }
        });
        let echo = async {
            let (source, mut peer) = pair();
            for _ in 0..100 {
                peer.write_all(b"x").unwrap();
                let before = turns.get();
                source.readable().await;
                assert_eq!(source.socket().read(&mut [0; 9]).unwrap(), 1);
                source.drained();
                let waited = turns.get() - before;
                assert!(waited <= 2, "{waited} turns of another");
            }
        };
        block_on(executor.run(echo)).unwrap();
        drop(busy);
    }

    #[test]
    fn who_gives_way_and_is_woken_by_another_still_waits_for_the_kernel() {
        let executor = LocalExecutor::new();
        // The other half of this task wakes it at once, as two directions of a pair do.
        let turns = executor.spawn(async {
            let before = here().map(|reactor| reactor.turns.get());
            let other = async {
                future::yield_now().await;
                future::pending::<()>().await;
            };
            future::or(give_way(), other).await;
            (before, here().map(|reactor| reactor.turns.get()))
        });
        let (before, after) = block_on(executor.run(turns)).unwrap();
        assert!(after > before, "the kernel was not asked");
    }

    #[test]
    fn a_peer_that_sends_no_more_is_no_room_to_write() {
        block_on(async {
            let (source, peer) = pair();
            while source.socket().write(&[0; 4096]).is_ok() {}
            source.full();
            peer.shutdown(Shutdown::Write).unwrap();
            source.readable().await;
            let writable = async {
                source.writable().await;
                true
            };
            let late = async {
                Timer::after(Duration::from_millis(20)).await;
                false
            };
            assert!(!future::or(writable, late).await, "nobody read");
        })
        .unwrap();
    }
}
