//! Runs tasks on the thread it was made on: smol's executor over the reactor of that thread. Every
//! task is in a box, so that there is one copy of the executor in the program and not one for
//! each kind of task.

use core::cell::Cell;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::Poll;
use std::io;
use std::rc::Rc;

use smol::LocalExecutor;

use super::lasting;
use crate::net::reactor::block_on;

/// Turns of tasks, after which the kernel is asked what else happened.
const TURNS_MAX: usize = 200;

/// What a task does, in a box of its own.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()>>>;
/// A task that ends, with all it owns, when this is dropped; `detach` lets it go on by itself.
pub(crate) type Task = smol::Task<()>;

/// Owns tasks, for as long as the process lasts; clones share them.
#[derive(Clone)]
pub(crate) struct Executor(&'static LocalExecutor<'static>);

impl Default for Executor {
    fn default() -> Self {
        Self(lasting(LocalExecutor::new()))
    }
}

impl Executor {
    /// Adds a task, which first runs when its turn comes.
    pub(crate) fn spawn(&self, work: Work) -> Task {
        self.0.spawn(work)
    }

    /// Runs tasks on this thread, which sleeps while there is nothing to do, until `main` is done:
    /// a task like the others, so that it has no turn whenever one of them is woken. smol's own
    /// loop keeps a second queue, for threads that share tasks; here there is one thread.
    ///
    /// # Errors
    /// What the kernel says if it has no reactor to give.
    pub(crate) fn run(&self, main: Work) -> io::Result<()> {
        let done = Rc::new(Cell::new(false));
        let ended = Rc::clone(&done);
        let main = async move {
            main.await;
            ended.set(true);
        };
        self.spawn(Box::pin(main)).detach();
        let mut next = pin!(self.0.tick());
        block_on(poll_fn(|context| {
            for _ in 0..TURNS_MAX {
                if done.get() {
                    return Poll::Ready(());
                }
                if self.0.try_tick() {
                    continue;
                }
                // Whoever is woken from now on, by another thread too, wakes this one.
                if next.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                next.set(self.0.tick());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::net::tasks::queue::bounded;

    #[test]
    fn another_thread_wakes_a_sleeping_one() {
        let (there, here) = bounded(8);
        let thread = thread::spawn(move || {
            for number in 0..1000 {
                smol::block_on(there.send(number)).unwrap();
            }
        });
        let sum = Rc::new(Cell::new(0));
        let counted = Rc::clone(&sum);
        let main = async move {
            while let Some(number) = here.recv().await {
                counted.set(counted.get() + number);
            }
        };
        Executor::default().run(Box::pin(main)).unwrap();
        assert_eq!(sum.get(), 999 * 500);
        thread.join().unwrap();
    }
}
