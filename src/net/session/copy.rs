//! One direction of a session: takes what one leg sent and gives it to the other, by copying
//! while it comes in small pieces, through a pipe of the kernel while it streams. C65, C69, C70.

use core::mem::MaybeUninit;
use std::cell::Cell;
use std::net::{Shutdown, TcpStream};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smol::{Async, future};

use hbb_core::base::limits::{CHUNK_BYTES, STREAM_BYTES_MIN, TURN_BYTES};

use crate::net::conn::link::{readable, writable};
use crate::net::session::pipe::{Pipe, PipePool, is_refusal};
use crate::net::session::rate::RateLimit;

/// What others may see of a direction while it runs.
pub struct Flow<'a> {
    /// Bytes that the receiver took.
    moved: Cell<u64>,
    /// The receiver takes none at the moment, though there are some.
    stalled: Cell<bool>,
    /// Of its session.
    limit: &'a RateLimit,
}

impl<'a> Flow<'a> {
    /// One that has moved nothing.
    pub const fn new(limit: &'a RateLimit) -> Self {
        Self { moved: Cell::new(0), stalled: Cell::new(false), limit }
    }

    /// Bytes that the receiver took.
    pub const fn moved(&self) -> u64 {
        self.moved.get()
    }

    /// Whether the receiver takes none at the moment, though there are some.
    pub const fn is_stalled(&self) -> bool {
        self.stalled.get()
    }

    /// The receiver took some.
    pub fn count(&self, bytes: usize) {
        self.moved.set(self.moved.get() + bytes as u64);
        self.limit.count(bytes as u64);
    }

    /// Waits until the receiver takes bytes again; false if it is gone.
    pub async fn takes_again(&self, to: &Async<TcpStream>) -> bool {
        self.stalled.set(true);
        let writable = writable(to).await;
        self.stalled.set(false);
        writable.is_ok()
    }

    /// Waits until more may be moved.
    pub async fn obey_limit(&self) {
        self.limit.keep().await;
    }
}

/// How a direction ended. Nothing that was read is left unsent, unless `Refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectionEnd {
    /// The sender has sent all, and the receiver knows.
    Finished,
    /// The sender broke off.
    Broken,
    /// The receiver is gone; its last words may still be on their way back.
    Refused,
    /// As `Finished`, and the sender said that it will hear no more either.
    Closed,
    /// What the sender sent is no message.
    Malformed,
}

/// One direction of a session.
pub struct Copier<'a> {
    /// The sender.
    pub from: &'a Async<TcpStream>,
    /// The receiver.
    pub to: &'a Async<TcpStream>,
    /// What it reports.
    pub flow: &'a Flow<'a>,
    /// Where pipes come from.
    pub pipes: &'a PipePool,
}

/// What a direction does next.
enum Step<'a> {
    /// This many bytes passed and there may be more.
    More(usize),
    /// The sender has no more for now, or others shall have their turn.
    Wait,
    /// The receiver did not take this; nothing is read before it does, so a stalled receiver
    /// stops this direction alone.
    Rest(Rest<'a>),
    /// It is over.
    End(DirectionEnd),
}

/// Bytes on their way.
enum Rest<'a> {
    Copied(Vec<u8>),
    Piped(Pipe<'a>),
}

impl Step<'_> {
    fn start(leftover: Vec<u8>) -> Self {
        if leftover.is_empty() { Self::Wait } else { Self::Rest(Rest::Copied(leftover)) }
    }
}

impl Rest<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Copied(bytes) => bytes.is_empty(),
            Self::Piped(pipe) => pipe.held() == 0,
        }
    }
}

impl<'a> Copier<'a> {
    /// Passes on `leftover` and all that comes after it.
    pub fn run(self, leftover: Vec<u8>) -> impl Future<Output = DirectionEnd> {
        let (mut streams, mut step) = (false, Step::start(leftover));
        // An idle pair costs what this keeps; an async function would keep its arguments twice.
        async move {
            loop {
                // Only looks at the step: what it holds shall not be kept twice either.
                match step {
                    Step::More(_) => {}
                    Step::Wait if readable(self.from).await.is_ok() => {}
                    Step::Wait => return DirectionEnd::Broken,
                    Step::Rest(_) if self.flow.takes_again(self.to).await => {}
                    Step::Rest(_) => return DirectionEnd::Refused,
                    Step::End(outcome) => return outcome,
                }
                self.flow.obey_limit().await;
                if streams {
                    // Those who are ready and send little go first.
                    future::yield_now().await;
                }
                step = match step {
                    Step::Rest(rest) => self.deliver(rest),
                    _ => self.turn(&mut streams),
                };
            }
        }
    }

    /// Gives what was left; when that is done there may be more.
    fn deliver(&self, mut rest: Rest<'a>) -> Step<'a> {
        let given = match &mut rest {
            Rest::Copied(bytes) => self.give(bytes).map(|given| drop(bytes.drain(..given))),
            Rest::Piped(pipe) => self.pour(pipe),
        };
        match (given, rest) {
            (Ok(()), rest) if rest.is_empty() => Step::More(0),
            (Ok(()) | Err(Errno::AGAIN), rest) => Step::Rest(rest),
            (Err(errno), Rest::Piped(pipe)) if is_refusal(errno) => Step::Rest(self.unpipe(pipe)),
            (Err(_), _) => Step::End(DirectionEnd::Refused),
        }
    }

    /// Passes on what is there, at most about [`TURN_BYTES`]. Then the reactor is asked what else
    /// is ready, so a fast pair delays no other by more than its turn.
    fn turn(&self, streams: &mut bool) -> Step<'a> {
        let mut left = TURN_BYTES;
        while left > 0 {
            let pipe = if *streams { self.pipes.lend() } else { None };
            let step = match pipe {
                Some(pipe) => self.splice(pipe),
                None => self.copy(),
            };
            let Step::More(bytes) = step else { return step };
            *streams = bytes >= STREAM_BYTES_MIN;
            if bytes > 0 && !*streams {
                // Most likely that was all; if not, the sender is readable at once.
                return Step::Wait;
            }
            left = left.saturating_sub(bytes);
        }
        Step::Wait
    }

    fn splice(&self, mut pipe: Pipe<'a>) -> Step<'a> {
        match pipe.fill(self.from.get_ref()) {
            Ok(0) => return self.finish(),
            Ok(_) => {}
            Err(Errno::AGAIN) => return Step::Wait,
            Err(errno) if is_refusal(errno) => {
                self.pipes.retire();
                return Step::More(0);
            }
            Err(_) => return Step::End(DirectionEnd::Broken),
        }
        let taken = pipe.held();
        match self.pour(&mut pipe) {
            Ok(()) if pipe.held() == 0 => Step::More(taken),
            Ok(()) | Err(Errno::AGAIN) => Step::Rest(Rest::Piped(pipe)),
            Err(errno) if is_refusal(errno) => Step::Rest(self.unpipe(pipe)),
            Err(_) => Step::End(DirectionEnd::Refused),
        }
    }

    /// The buffer is on the stack of this call, so an idle pair has none, and never cleared: for a
    /// mouse movement that would cost more than the copy.
    #[inline(never)]
    fn copy(&self) -> Step<'a> {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; CHUNK_BYTES];
        let chunk = match recv(self.from.get_ref(), buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok(((chunk, _), _)) => chunk,
            Err(Errno::AGAIN) => return Step::Wait,
            Err(_) => return Step::End(DirectionEnd::Broken),
        };
        if chunk.is_empty() {
            return self.finish();
        }
        match self.give(chunk) {
            Ok(given) if given == chunk.len() => Step::More(given),
            Ok(given) => {
                let rest = chunk.get(given..).unwrap_or_default();
                Step::Rest(Rest::Copied(rest.to_vec()))
            }
            Err(Errno::AGAIN) => Step::Rest(Rest::Copied(chunk.to_vec())),
            Err(_) => Step::End(DirectionEnd::Refused),
        }
    }

    fn unpipe(&self, pipe: Pipe<'a>) -> Rest<'a> {
        self.pipes.retire();
        Rest::Copied(pipe.into_bytes())
    }

    fn finish(&self) -> Step<'a> {
        let _ = self.to.get_ref().shutdown(Shutdown::Write);
        Step::End(DirectionEnd::Finished)
    }

    fn give(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let given = send(self.to.get_ref(), bytes, SendFlags::NOSIGNAL)?;
        self.flow.count(given);
        Ok(given)
    }

    fn pour(&self, pipe: &mut Pipe<'a>) -> Result<(), Errno> {
        let given = pipe.pour(self.to.get_ref())?;
        self.flow.count(given);
        Ok(())
    }
}
