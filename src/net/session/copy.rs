//! One direction of a session: takes what one leg sent and gives it to the other, by copying
//! while it comes in small pieces, through a pipe of the kernel while it streams. C65, C69, C70,
//! C133; checks: relay_pump, relay_stream, relay_socket of conformance.

use core::mem::MaybeUninit;
use std::cell::Cell;
use std::net::{Shutdown, TcpStream};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use hbb_core::base::limits::{CHUNK_BYTES, DIRECTION_BYTES_FREE, STREAM_BYTES_MIN, TURN_BYTES};

use crate::net::conn::link::bytes::{ByteBudget, Purpose};
use crate::net::reactor::{Source, give_way};
use crate::net::session::pipe::{Pipe, PipePool, is_refusal};
use crate::net::session::rate::RateLimit;

/// What others may see of a direction while it runs.
pub struct Flow<'a> {
    /// Bytes that the receiver took.
    moved: Cell<u64>,
    /// The receiver takes none at the moment, though there are some.
    stalled: Cell<bool>,
    /// Whether its session is known.
    known: bool,
    /// Bytes it drew of those that all share: no more than a message may have.
    drawn: Cell<u32>,
    bytes: &'a ByteBudget,
    /// That of its session.
    limit: &'a RateLimit,
}

impl<'a> Flow<'a> {
    /// One that has moved nothing; what it holds beyond its own comes out of `bytes`.
    pub const fn new(limit: &'a RateLimit, bytes: &'a ByteBudget, known: bool) -> Self {
        let (moved, stalled, drawn) = (Cell::new(0), Cell::new(false), Cell::new(0));
        Self { moved, stalled, known, drawn, bytes, limit }
    }

    /// Bytes that the receiver took.
    pub const fn moved(&self) -> u64 {
        self.moved.get()
    }

    /// Whether the receiver takes none at the moment, though there are some.
    pub const fn is_stalled(&self) -> bool {
        self.stalled.get()
    }

    /// How many bytes more it may hold.
    pub fn room(&self, purpose: Purpose) -> usize {
        self.bytes.room(purpose, self.known)
    }

    /// Says how many bytes it holds now, of which a few are its own.
    pub fn hold(&self, bytes: usize) {
        let drawn = bytes.saturating_sub(DIRECTION_BYTES_FREE);
        let drawn = u32::try_from(drawn).unwrap_or(u32::MAX);
        let before = self.drawn.replace(drawn);
        if before != drawn {
            // Where it is counted is the same for both purposes.
            self.bytes.redraw(Purpose::Stalled, before as usize, drawn as usize);
        }
    }

    /// The receiver took some.
    pub fn count(&self, bytes: usize) {
        self.passed(bytes);
        self.limit.count(bytes as u64);
    }

    /// It took some that count already.
    pub fn passed(&self, bytes: usize) {
        self.moved.set(self.moved.get() + bytes as u64);
    }

    /// Waits until the receiver takes bytes again, or is gone.
    pub fn takes_again(&self, to: &Source<TcpStream>) -> impl Future<Output = ()> {
        self.stalled.set(true);
        to.full();
        to.writable()
    }

    /// It took some, or is gone.
    pub fn took(&self) {
        self.stalled.set(false);
    }

    /// That of its session.
    pub const fn limit(&self) -> &'a RateLimit {
        self.limit
    }
}

impl Drop for Flow<'_> {
    fn drop(&mut self) {
        self.hold(0);
    }
}

/// How a direction ended. All that was read was sent, unless the receiver is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectionEnd {
    /// The sender has sent all, and the receiver knows.
    Finished,
    /// As `Finished`, and the sender said that it will hear no more either.
    Closed,
    /// The sender broke off.
    SenderBroke,
    /// The receiver is gone; its last words may still be on their way back.
    ReceiverGone,
    /// What the sender sent is no message.
    Malformed,
}

/// Copies one direction of a session.
pub struct Copier<'a> {
    /// Whose bytes are read.
    pub from: &'a Source<TcpStream>,
    /// Who gets them.
    pub to: &'a Source<TcpStream>,
    /// What others may see of it.
    pub flow: &'a Flow<'a>,
    /// Where pipes come from.
    pub pipes: &'a PipePool,
}

/// What a direction waits for before it goes on.
enum Waiting<'a> {
    /// Nothing.
    Nothing,
    /// Bytes of the sender, which has no more for now, or that others had their turn.
    Sender,
    /// That the receiver takes this. Nothing is read before it does, so a stalled receiver stops
    /// this direction alone.
    Receiver(Unsent<'a>),
}

/// Bytes that were read and not yet taken by the receiver.
enum Unsent<'a> {
    Copied(Vec<u8>),
    Piped(Pipe<'a>),
}

/// What became of reading once and passing that on.
enum Passed<'a> {
    /// So many bytes passed, and there may be more.
    Bytes(usize),
    /// The sender has none for now.
    Nothing,
    /// The receiver did not take all.
    Stuck(Unsent<'a>),
}

impl Unsent<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Copied(bytes) => bytes.is_empty(),
            Self::Piped(pipe) => pipe.held() == 0,
        }
    }
}

impl Waiting<'_> {
    /// Bytes of our memory; those in a pipe are the kernel's.
    const fn held(&self) -> usize {
        match self {
            Self::Receiver(Unsent::Copied(bytes)) => bytes.capacity(),
            _ => 0,
        }
    }
}

impl<'a> Copier<'a> {
    /// Passes on `leftover` and all that comes after it.
    pub fn run(self, leftover: Vec<u8>) -> impl Future<Output = DirectionEnd> {
        let (mut streams, mut waiting) = (
            false,
            match leftover.is_empty() {
                true => Waiting::Sender,
                false => Waiting::Receiver(Unsent::Copied(leftover)),
            },
        );
        // An idle pair costs what this keeps; an async function would keep its arguments twice.
        async move {
            self.flow.hold(waiting.held());
            loop {
                // Whoever waited had no turn since the kernel was asked who is ready.
                let mut again = true;
                // Only looks at it: what it holds shall not be kept twice either.
                match waiting {
                    Waiting::Nothing => {}
                    Waiting::Sender => {
                        again = self.from.is_readable();
                        self.from.readable().await;
                    }
                    Waiting::Receiver(_) => {
                        again = false;
                        self.flow.takes_again(self.to).await;
                        self.flow.took();
                    }
                }
                if let Some(wait) = self.flow.limit.obey() {
                    wait.await;
                }
                if streams && again {
                    // Those who are ready and send little go first.
                    give_way().await;
                }
                let next = match waiting {
                    Waiting::Receiver(unsent) => self.deliver(unsent),
                    Waiting::Nothing | Waiting::Sender => self.turn(&mut streams),
                };
                waiting = match next {
                    Ok(next) => next,
                    Err(end) => return end,
                };
                self.flow.hold(waiting.held());
            }
        }
    }

    /// Gives what was left; when that is done there may be more.
    fn deliver(&self, mut unsent: Unsent<'a>) -> Result<Waiting<'a>, DirectionEnd> {
        let given = match &mut unsent {
            Unsent::Copied(bytes) => self.give(bytes).map(|given| drop(bytes.drain(..given))),
            Unsent::Piped(pipe) => self.pour(pipe),
        };
        Ok(match (given, unsent) {
            (Ok(()), unsent) if unsent.is_empty() => Waiting::Nothing,
            (Ok(()) | Err(Errno::AGAIN), unsent) => Waiting::Receiver(unsent),
            (Err(errno), Unsent::Piped(pipe)) if is_refusal(errno) => {
                Waiting::Receiver(self.unpipe(pipe))
            }
            (Err(_), _) => return Err(DirectionEnd::ReceiverGone),
        })
    }

    /// Passes on what is there, at most about [`TURN_BYTES`], and through no pipe where the rate
    /// allows less. Then the reactor is asked what else is ready, so a fast pair delays no other by
    /// more than its turn.
    fn turn(&self, streams: &mut bool) -> Result<Waiting<'a>, DirectionEnd> {
        let most = self.flow.limit().at_once();
        let mut left = most;
        while left > 0 {
            let piped = *streams && most == TURN_BYTES && !self.from.is_urgent();
            let pipe = if piped { self.pipes.lend() } else { None };
            let passed = match pipe {
                Some(pipe) => self.splice(pipe)?,
                None => self.copy(left.min(CHUNK_BYTES))?,
            };
            let bytes = match passed {
                Passed::Bytes(bytes) => bytes,
                Passed::Nothing => return Ok(Waiting::Sender),
                Passed::Stuck(unsent) => return Ok(Waiting::Receiver(unsent)),
            };
            *streams = bytes >= STREAM_BYTES_MIN;
            if bytes > 0 && !*streams {
                // Most likely that was all; if not, the sender is readable at once.
                return Ok(Waiting::Sender);
            }
            left = left.saturating_sub(bytes);
        }
        Ok(Waiting::Sender)
    }

    fn splice(&self, mut pipe: Pipe<'a>) -> Result<Passed<'a>, DirectionEnd> {
        match pipe.fill(self.from.socket()) {
            Ok(0) => return Err(self.finish()),
            Ok(_) => {}
            Err(Errno::AGAIN) => return Ok(self.nothing()),
            Err(errno) if is_refusal(errno) => {
                self.pipes.retire();
                return Ok(Passed::Bytes(0));
            }
            Err(_) => return Err(DirectionEnd::SenderBroke),
        }
        let taken = pipe.held();
        match self.pour(&mut pipe) {
            Ok(()) if pipe.held() == 0 => Ok(Passed::Bytes(taken)),
            Ok(()) | Err(Errno::AGAIN) => Ok(Passed::Stuck(Unsent::Piped(pipe))),
            Err(errno) if is_refusal(errno) => Ok(Passed::Stuck(self.unpipe(pipe))),
            Err(_) => Err(DirectionEnd::ReceiverGone),
        }
    }

    /// The buffer is on the stack of this call, so an idle pair has none, and never cleared: for a
    /// mouse movement that would cost more than the copy. Where there is no memory for what the
    /// receiver may not take, that stays in the kernel: what is read then was looked at before.
    #[inline(never)]
    fn copy(&self, room: usize) -> Result<Passed<'a>, DirectionEnd> {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; CHUNK_BYTES];
        let keeps = self.flow.room(Purpose::Stalled) >= CHUNK_BYTES;
        let flags = if keeps { RecvFlags::empty() } else { RecvFlags::PEEK };
        let part = buffer.get_mut(..room).unwrap_or_default();
        let chunk = match recv(self.from.socket(), part, flags) {
            Ok(((chunk, _), _)) => chunk,
            Err(Errno::AGAIN) => return Ok(self.nothing()),
            Err(_) => return Err(DirectionEnd::SenderBroke),
        };
        if chunk.is_empty() {
            return Err(self.finish());
        }
        let given = match self.give(chunk) {
            Ok(given) => given,
            Err(Errno::AGAIN) => 0,
            Err(_) => return Err(DirectionEnd::ReceiverGone),
        };
        let rest = chunk.get(given..).unwrap_or_default();
        if chunk.len() < room && (keeps || rest.is_empty()) {
            self.from.read_short();
        }
        if rest.is_empty() && keeps {
            return Ok(Passed::Bytes(given));
        }
        let (all, kept) = (rest.is_empty(), if keeps { rest.to_vec() } else { Vec::new() });
        if !keeps {
            self.discard(&mut buffer, given)?;
        }
        Ok(if all { Passed::Bytes(given) } else { Passed::Stuck(Unsent::Copied(kept)) })
    }

    /// Reads so many bytes again that were looked at, and passed on, before.
    fn discard(&self, buffer: &mut [MaybeUninit<u8>], bytes: usize) -> Result<(), DirectionEnd> {
        let mut left = bytes;
        while left > 0 {
            let part = buffer.get_mut(..left).unwrap_or_default();
            match recv(self.from.socket(), part, RecvFlags::empty()) {
                Ok(((read, _), _)) if !read.is_empty() => left -= read.len(),
                _ => return Err(DirectionEnd::SenderBroke),
            }
        }
        Ok(())
    }

    fn nothing(&self) -> Passed<'a> {
        self.from.drained();
        Passed::Nothing
    }

    /// What is in a pipe that the kernel refuses to empty into a socket.
    fn unpipe(&self, pipe: Pipe<'a>) -> Unsent<'a> {
        self.pipes.retire();
        Unsent::Copied(pipe.into_bytes())
    }

    /// Tells the receiver that no more comes.
    fn finish(&self) -> DirectionEnd {
        let _ = self.to.socket().shutdown(Shutdown::Write);
        DirectionEnd::Finished
    }

    fn give(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let given = send(self.to.socket(), bytes, SendFlags::NOSIGNAL)?;
        self.flow.count(given);
        Ok(given)
    }

    fn pour(&self, pipe: &mut Pipe<'a>) -> Result<(), Errno> {
        let given = pipe.pour(self.to.socket())?;
        self.flow.count(given);
        Ok(())
    }
}
