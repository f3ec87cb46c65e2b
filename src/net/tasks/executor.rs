//! Runs tasks on the thread it was made on, in the order they are woken. Checks: here.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Tasks that run before the system is asked what happened meanwhile.
const TASKS_PER_TURN: usize = 200;

/// What a task does, in a box of its own.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Owns tasks; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Executor(Rc<Shared>);

/// A task that ends, with all it owns, when this is dropped.
#[must_use]
pub(crate) struct Task {
    shared: Weak<Shared>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Shared {
    tasks: RefCell<Tasks>,
    ready: Arc<Ready>,
}

/// Tasks by their slot.
#[derive(Default)]
struct Tasks {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
}

struct Slot {
    /// None while it runs.
    work: Option<Work>,
    bell: Arc<Bell>,
}

/// What wakes a task, from any thread; also tells it from others that had its slot.
struct Bell {
    slot: usize,
    rung: AtomicBool,
    ready: Arc<Ready>,
}

/// Slots of woken tasks, once each, and whom to wake when there is one again.
#[derive(Default)]
struct Ready(Mutex<(VecDeque<usize>, Option<Waker>)>);

impl Executor {
    /// Adds a task, which first runs when its turn comes.
    pub(crate) fn spawn(&self, work: Work) -> Task {
        let mut tasks = self.0.tasks.borrow_mut();
        let slot = tasks.free.pop().unwrap_or(tasks.slots.len());
        let (rung, ready) = (AtomicBool::new(false), Arc::clone(&self.0.ready));
        let bell = Arc::new(Bell { slot, rung, ready });
        let entry = Some(Slot { work: Some(work), bell: Arc::clone(&bell) });
        match tasks.slots.get_mut(slot) {
            Some(free) => *free = entry,
            None => tasks.slots.push(entry),
        }
        bell.wake_by_ref();
        Task { shared: Rc::downgrade(&self.0), bell }
    }

    /// Runs tasks on this thread, which sleeps while there is nothing to do, until `main` is done.
    pub(crate) fn run(&self, mut main: Pin<&mut dyn Future<Output = ()>>) {
        smol::block_on(poll_fn(|context| {
            // While tasks run, a task that wakes another wakes no thread.
            self.0.ready.lock().1 = None;
            if main.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            for _ in 0..TASKS_PER_TURN {
                let Some(slot) = self.0.ready.next(context.waker()) else { return Poll::Pending };
                self.0.step(slot);
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }));
    }
}

impl Shared {
    /// Runs a task once. It may have ended since it was woken, and another have its slot: that one
    /// is none the worse for it.
    fn step(&self, slot: usize) {
        let Some((mut work, bell)) = self.tasks.borrow_mut().take(slot) else { return };
        bell.rung.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&bell));
        let done = work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        // What the task owns is dropped after the borrow: it may end other tasks.
        let rest = self.tasks.borrow_mut().put_back(&bell, work, done);
        drop(rest);
    }
}

impl Tasks {
    fn take(&mut self, slot: usize) -> Option<(Work, Arc<Bell>)> {
        let entry = self.slots.get_mut(slot)?.as_mut()?;
        Some((entry.work.take()?, Arc::clone(&entry.bell)))
    }

    /// Keeps what a task goes on with, and gives back what is to be dropped: that of a task that
    /// is done, or was ended while it ran.
    fn put_back(&mut self, bell: &Arc<Bell>, work: Work, done: bool) -> Option<Work> {
        if done {
            self.remove(bell);
            return Some(work);
        }
        match self.of(bell) {
            Some(Some(entry)) => {
                entry.work = Some(work);
                None
            }
            _ => Some(work),
        }
    }

    /// The slot of a task, if it is still there.
    fn of(&mut self, bell: &Arc<Bell>) -> Option<&mut Option<Slot>> {
        let slot = self.slots.get_mut(bell.slot)?;
        let same = slot.as_ref().is_some_and(|entry| Arc::ptr_eq(&entry.bell, bell));
        same.then_some(slot)
    }

    fn remove(&mut self, bell: &Arc<Bell>) -> Option<Slot> {
        let entry = self.of(bell)?.take();
        self.free.push(bell.slot);
        entry
    }
}

impl Task {
    /// Lets it go on by itself.
    pub(crate) fn detach(mut self) {
        self.shared = Weak::new();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let ended = shared.tasks.borrow_mut().remove(&self.bell);
        drop(ended);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let asleep = {
            let mut ready = self.ready.lock();
            ready.0.push_back(self.slot);
            ready.1.take()
        };
        if let Some(waker) = asleep {
            waker.wake();
        }
    }
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<usize>, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next slot; if there is none, `sleeper` is woken when there is.
    fn next(&self, sleeper: &Waker) -> Option<usize> {
        let mut ready = self.lock();
        let slot = ready.0.pop_front();
        if slot.is_none() {
            ready.1 = Some(sleeper.clone());
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::thread;
    use std::time::Duration;

    use smol::{Timer, future};

    use super::*;
    use crate::net::tasks::queue::bounded;

    /// Notes its name each time it runs, so many times.
    async fn note(name: char, times: usize, seen: Rc<RefCell<String>>) {
        for _ in 0..times {
            seen.borrow_mut().push(name);
            future::yield_now().await;
        }
    }

    #[test]
    fn tasks_take_turns_and_main_ends_it() {
        let (executor, seen) = (Executor::default(), Rc::new(RefCell::default()));
        for name in ['a', 'b', 'c'] {
            let times = if name == 'b' { 1 } else { 3 };
            executor.spawn(Box::pin(note(name, times, Rc::clone(&seen)))).detach();
        }
        executor.run(pin!(async {
            Timer::after(Duration::from_millis(20)).await;
        }));
        assert_eq!(*seen.borrow(), "abcacac");
        let tasks = executor.0.tasks.borrow();
        assert_eq!((tasks.slots.len(), tasks.free.len()), (3, 3));
    }

    #[test]
    fn a_task_dropped_ends_with_all_it_owns_and_nobody_else() {
        let executor = Executor::default();
        let owned = Rc::new(());
        let held = Rc::clone(&owned);
        let forever = executor.spawn(Box::pin(async move {
            future::pending::<()>().await;
            drop(held);
        }));
        executor.run(pin!(future::yield_now()));
        assert_eq!(Rc::strong_count(&owned), 2);
        drop(forever);
        assert_eq!(Rc::strong_count(&owned), 1);
        // One that is over lets another have its slot, and ends that one not.
        let over = executor.spawn(Box::pin(async {}));
        executor.run(pin!(future::yield_now()));
        let (told, heard) = bounded(1);
        executor
            .spawn(Box::pin(async move {
                future::yield_now().await;
                assert!(told.send(7).await.is_ok());
            }))
            .detach();
        drop(over);
        assert_eq!(executor.0.tasks.borrow().slots.len(), 1);
        executor.run(pin!(async { assert_eq!(heard.recv().await, Some(7)) }));
    }

    #[test]
    fn a_task_may_end_itself_and_others() {
        let executor = Executor::default();
        let tasks = Rc::new(RefCell::new(Vec::new()));
        let (all, owned) = (Rc::clone(&tasks), Rc::new(()));
        let held = Rc::clone(&owned);
        let ends_all = executor.spawn(Box::pin(async move {
            let _held = held;
            let ended = core::mem::take(&mut *all.borrow_mut());
            drop(ended);
            future::pending::<()>().await;
        }));
        tasks.borrow_mut().push(ends_all);
        let other = Rc::clone(&owned);
        tasks.borrow_mut().push(executor.spawn(Box::pin(async move {
            let _other = other;
            future::pending::<()>().await;
        })));
        executor.run(pin!(future::yield_now()));
        assert_eq!(Rc::strong_count(&owned), 1);
    }

    #[test]
    fn another_thread_wakes_a_task() {
        let executor = Executor::default();
        let (told, heard) = bounded(1);
        let (done_in, done) = bounded(1);
        executor
            .spawn(Box::pin(async move {
                let _ = done_in.try_send(heard.recv().await);
            }))
            .detach();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            told.try_send('x')
        });
        executor.run(pin!(async { assert_eq!(done.recv().await, Some(Some('x'))) }));
        assert_eq!(other.join().unwrap(), Ok(()));
    }
}
