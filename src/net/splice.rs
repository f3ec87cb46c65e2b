//! Moves the bytes of a session: each direction by itself, nothing added, nothing lost. It knows
//! no message. C65, C67, C69, C70.

use core::mem::MaybeUninit;
use std::cell::Cell;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smol::{Async, Timer, future};

use crate::base::counters::DropReason;
use crate::base::limits::{CHUNK_BYTES, CHUNKS_PER_TURN, PARKED_BYTES_MAX};

use super::clock::Clock;
use super::link::Link;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Bytes moved, both directions together.
    pub bytes: u64,
    /// How long it lasted.
    pub secs: u64,
    /// `Done`, `Idle`, or `SendFailed` if a leg broke.
    pub reason: DropReason,
}

/// Joins two legs until both have sent all, one breaks, or nothing moved for `idle_ms`, which is
/// noticed up to a tenth late. A leg's end of file reaches the other after the last byte; the
/// reverse direction goes on. Both connections are closed on return.
pub async fn join(first: Link, second: Link, idle_ms: u64) -> Ended {
    let (clock, moved) = (Clock::start(), Cell::new(0));
    let reason = {
        let forth = one_way(&first.stream, &second.stream, first.leftover, &moved);
        let back = one_way(&second.stream, &first.stream, second.leftover, &moved);
        let both = async {
            match future::try_zip(forth, back).await {
                Ok(((), ())) => DropReason::Done,
                Err(_) => DropReason::SendFailed,
            }
        };
        future::or(both, quiet(&moved, idle_ms)).await
    };
    Ended { bytes: moved.get(), secs: clock.now().as_millis() / 1000, reason }
}

/// Ready when nothing moved for `idle_ms`, up to a tenth late. No timer is touched by traffic.
pub(super) async fn quiet(moved: &Cell<u64>, idle_ms: u64) -> DropReason {
    const TICKS: u32 = 10;
    let tick = Duration::from_millis(idle_ms / u64::from(TICKS));
    let (mut last, mut still) = (moved.get(), 0);
    while still < TICKS {
        Timer::after(tick).await;
        still = if moved.get() == last { still + 1 } else { 0 };
        last = moved.get();
    }
    DropReason::Idle
}

/// Moves bytes from one leg to the other until the first has no more, then says so to the other;
/// or until the other is gone, whose last words may still be on their way back.
///
/// # Errors
/// The sender broke off, or the system failed: the session is over.
async fn one_way(
    from: &Async<TcpStream>,
    to: &Async<TcpStream>,
    leftover: Vec<u8>,
    moved: &Cell<u64>,
) -> io::Result<()> {
    let mut step = Step::Rest(leftover);
    loop {
        match step {
            Step::Wait => from.readable().await?,
            Step::Yield => future::yield_now().await,
            // Nothing is read before this is sent: a stalled receiver stops this direction alone.
            Step::Rest(rest) => {
                if !send_all(to, &rest, moved).await? {
                    return Ok(());
                }
            }
            Step::Refused => return Ok(()),
            Step::End => {
                let _ = to.get_ref().shutdown(Shutdown::Write);
                return Ok(());
            }
        }
        step = transfer(from.get_ref(), to.get_ref(), moved)?;
    }
}

/// Sends all of `rest`; false if the receiver is gone.
pub(super) async fn send_all(
    to: &Async<TcpStream>,
    rest: &[u8],
    moved: &Cell<u64>,
) -> io::Result<bool> {
    let mut unsent = rest;
    while !unsent.is_empty() {
        let Some(sent) = send_some(to.get_ref(), unsent, moved)? else { return Ok(false) };
        unsent = unsent.get(sent..).unwrap_or_default();
        if sent == 0 {
            to.writable().await?;
        }
    }
    Ok(true)
}

/// What a direction does next.
enum Step {
    /// The sender has no more for now.
    Wait,
    /// Others get their turn though there may be more.
    Yield,
    /// The receiver took only a part; this is what it still gets.
    Rest(Vec<u8>),
    /// The receiver is gone.
    Refused,
    /// The sender has sent all.
    End,
}

/// Copies what is there, at most [`CHUNKS_PER_TURN`] chunks, so that a fast pair cannot delay the
/// others. The buffer is on the stack of this call, so an idle pair has none, and never cleared:
/// for a mouse movement that would cost more than the copy.
#[inline(never)]
fn transfer(from: &TcpStream, to: &TcpStream, moved: &Cell<u64>) -> Result<Step, Errno> {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; CHUNK_BYTES];
    for _ in 0..CHUNKS_PER_TURN {
        let chunk = match recv(from, buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok(((chunk, _), _)) => chunk,
            Err(Errno::AGAIN) => return Ok(Step::Wait),
            Err(errno) => return Err(errno),
        };
        if chunk.is_empty() {
            return Ok(Step::End);
        }
        let Some(sent) = send_some(to, chunk, moved)? else { return Ok(Step::Refused) };
        if sent < chunk.len() {
            return Ok(Step::Rest(chunk.get(sent..).unwrap_or_default().to_vec()));
        }
        if sent < CHUNK_BYTES {
            // Most likely that was all; if not, the sender is readable at once.
            return Ok(Step::Wait);
        }
    }
    Ok(Step::Yield)
}

/// Sends what fits and tells how much that is; None if the receiver closed the connection.
pub(super) fn send_some(
    to: &TcpStream,
    bytes: &[u8],
    moved: &Cell<u64>,
) -> Result<Option<usize>, Errno> {
    match send(to, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => {
            moved.set(moved.get() + sent as u64);
            Ok(Some(sent))
        }
        Err(Errno::AGAIN) => Ok(Some(0)),
        Err(Errno::PIPE | Errno::CONNRESET) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Ready when a waiting leg is gone. Reads at most [`PARKED_BYTES_MAX`] of what it sends
/// meanwhile, which is how the end shows early; a leg that sends more is not watched further.
pub async fn watch_parked(leg: &mut Link) {
    while leg.leftover.len() < PARKED_BYTES_MAX {
        if leg.stream.readable().await.is_err() || !keep_some(leg) {
            return;
        }
    }
    future::pending().await
}

/// Keeps what a leg sent, up to [`PARKED_BYTES_MAX`] in all; false if it is gone.
fn keep_some(leg: &mut Link) -> bool {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 2048];
    let room = PARKED_BYTES_MAX.saturating_sub(leg.leftover.len()).min(buffer.len());
    let part = buffer.get_mut(..room).unwrap_or_default();
    match recv(leg.stream.get_ref(), part, RecvFlags::empty()) {
        Ok(((read, _), _)) => {
            leg.leftover.extend_from_slice(read);
            !read.is_empty()
        }
        Err(errno) => errno == Errno::AGAIN,
    }
}
