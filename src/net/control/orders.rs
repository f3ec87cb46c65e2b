//! The way from signals and consoles to the control thread: a queue of lines, and a counter in the
//! kernel by which it is woken.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, retry_on_intr, write};

use crate::net::message::{Answer, AnswerTo};
use crate::net::tasks::lasting;
use crate::net::tasks::queue::{Receiver, Sender, bounded};

/// Lines that wait; whoever types another waits too.
const TYPED_MAX: usize = 4;
/// What a line adds to the counter, and what the wish for a reload does.
const LINE: u64 = 1;
const RELOAD: u64 = 1 << 32;

/// What the control thread is to do, from threads that must not wait for it.
#[derive(Clone)]
pub struct Orders {
    bell: &'static OwnedFd,
    typed: Sender<Typed>,
}

/// The end at which that comes out.
pub struct OrderBook {
    bell: &'static OwnedFd,
    typed: Receiver<Typed>,
}

/// Whose console.
#[derive(Clone, Copy)]
pub(crate) enum ConsoleOf {
    /// On P-1.
    Rendezvous,
    /// On the relay's port.
    Relay,
    /// None: the page of operators, whose lines are those of `hbb ctl`.
    #[cfg(feature = "web")]
    Page,
}

/// A line typed into one.
pub(super) struct Typed {
    pub(super) of: ConsoleOf,
    /// Without its end.
    pub(super) line: String,
    /// Takes what is said to it: [`Answer::Typed`].
    pub(super) answer: AnswerTo,
}

/// # Errors
/// What the system says if it has no file descriptor to give.
pub fn orders() -> io::Result<(Orders, OrderBook)> {
    let bell = lasting(eventfd(0, EventfdFlags::CLOEXEC)?);
    let (sender, receiver) = bounded(TYPED_MAX);
    let orders = Orders { bell, typed: sender };
    Ok((orders, OrderBook { bell, typed: receiver }))
}

impl Orders {
    /// Has the flags file and the lists read again; asked several times before that begins, it is
    /// done once.
    pub fn reload(&self) {
        self.ring(RELOAD);
    }

    /// Has a line carried out; what is said to it, nothing if the control thread is gone.
    pub(super) async fn typed(&self, of: ConsoleOf, line: String) -> String {
        let (answer, told) = bounded(1);
        if self.typed.send(Typed { of, line, answer }).await.is_err() {
            return String::new();
        }
        self.ring(LINE);
        match told.recv().await {
            Some(Answer::Typed(said)) => said,
            _ => String::new(),
        }
    }

    /// Has lines carried out as if `hbb ctl` had sent them; what is said to them, nothing if the
    /// control thread is gone.
    #[cfg(feature = "web")]
    pub(crate) async fn command(&self, lines: String) -> String {
        self.typed(ConsoleOf::Page, lines).await
    }

    fn ring(&self, what: u64) {
        // It fails only if it was asked for 2^32 times.
        let _ = write(self.bell, &what.to_ne_bytes());
    }
}

impl OrderBook {
    /// Takes what the bell was rung for: whether a reload is due. Blocks if it was not.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn take(&self) -> io::Result<bool> {
        let mut rung = [0; 8];
        retry_on_intr(|| read(self.bell, &mut rung))?;
        Ok(u64::from_ne_bytes(rung) >= RELOAD)
    }

    /// The next line, if one waits.
    pub(super) fn typed(&self) -> Option<Typed> {
        self.typed.try_recv()
    }
}

impl AsFd for OrderBook {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
