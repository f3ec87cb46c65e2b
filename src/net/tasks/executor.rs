//! Runs tasks on the thread it was made on: smol's executor over the reactor of that thread. Every
//! task is in a box, so that there is one copy of the executor in the program and not one for
//! each kind of task.

use core::pin::Pin;
use std::io;
use std::rc::Rc;

use smol::LocalExecutor;

use crate::net::reactor::block_on;

/// What a task does, in a box of its own.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()>>>;
/// A task that ends, with all it owns, when this is dropped; `detach` lets it go on by itself.
pub(crate) type Task = smol::Task<()>;

/// Owns tasks; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Executor(Rc<LocalExecutor<'static>>);

impl Executor {
    /// Adds a task, which first runs when its turn comes.
    pub(crate) fn spawn(&self, work: Work) -> Task {
        self.0.spawn(work)
    }

    /// Runs tasks on this thread, which sleeps while there is nothing to do, until `main` is done.
    ///
    /// # Errors
    /// What the kernel says if it has no reactor to give.
    pub(crate) fn run(&self, main: Pin<&mut dyn Future<Output = ()>>) -> io::Result<()> {
        block_on(self.0.run(main))
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
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
        let mut sum = 0;
        let main = async {
            while let Some(number) = here.recv().await {
                sum += number;
            }
        };
        Executor::default().run(pin!(main)).unwrap();
        assert_eq!(sum, 999 * 500);
        thread.join().unwrap();
    }
}
