//! Moves the bytes of a session: each direction by itself, nothing added, nothing lost. It knows
//! no message. C65, C67, C69, C70.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use smol::{Async, Timer, future};

use crate::base::counters::DropReason;
use crate::base::limits::{CHUNK_BYTES, CHUNKS_PER_TURN, PARKED_BYTES_MAX};

use super::clock::Clock;
use super::tcp::read_some;

/// A connection to the relay and what was read of it but not passed on.
pub struct Leg {
    /// The connection.
    pub stream: Async<TcpStream>,
    /// Bytes that go to the partner before any others.
    pub leftover: Vec<u8>,
}

impl Leg {
    /// A leg of which nothing was read.
    pub const fn new(stream: Async<TcpStream>) -> Self {
        Self { stream, leftover: Vec::new() }
    }
}

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

/// Joins two legs until both have sent all, one breaks, or nothing moved for `idle_ms`.
/// A leg's end of file reaches the other after the last byte; the reverse direction goes on.
pub async fn join(first: Leg, second: Leg, idle_ms: u64) -> Ended {
    let (clock, moved) = (Clock::start(), Cell::new(0_u64));
    let reason = {
        let forth = one_way(&first.stream, &second.stream, first.leftover, &moved);
        let back = one_way(&second.stream, &first.stream, second.leftover, &moved);
        let both = async {
            match future::try_zip(forth, back).await {
                Ok(_) => DropReason::Done,
                Err(_) => DropReason::SendFailed,
            }
        };
        future::or(both, quiet(&moved, idle_ms)).await
    };
    Ended { bytes: moved.get(), secs: clock.now().as_millis() / 1000, reason }
}

/// Ready when nothing moved for `idle_ms`, up to a tenth late. No timer is touched by traffic.
async fn quiet(moved: &Cell<u64>, idle_ms: u64) -> DropReason {
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

/// Moves bytes from one leg to the other until the first has no more, then says so to the other.
async fn one_way(
    from: &Async<TcpStream>,
    to: &Async<TcpStream>,
    mut unsent: Vec<u8>,
    moved: &Cell<u64>,
) -> io::Result<()> {
    loop {
        while !unsent.is_empty() {
            match (&mut to.get_ref()).write(&unsent) {
                Ok(len) => {
                    moved.set(moved.get() + len as u64);
                    unsent.drain(..len.min(unsent.len()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
                Err(error) => return Err(error),
            }
        }
        // An idle direction holds no buffer.
        unsent = Vec::new();
        from.readable().await?;
        match transfer(from.get_ref(), to.get_ref(), moved)? {
            Transferred::End => {
                let _ = to.get_ref().shutdown(Shutdown::Write);
                return Ok(());
            }
            Transferred::Rest(rest) => unsent = rest,
            Transferred::Waiting => {}
            Transferred::Turn => future::yield_now().await,
        }
    }
}

enum Transferred {
    /// The sender has no more for now.
    Waiting,
    /// The turn is over though there may be more.
    Turn,
    /// The receiver took only a part; this is the rest.
    Rest(Vec<u8>),
    /// The sender has sent all.
    End,
}

/// Copies what is there, at most [`CHUNKS_PER_TURN`] chunks, so that a fast pair cannot delay the
/// others. The buffer is on the stack of this call.
fn transfer(
    mut from: &TcpStream,
    mut to: &TcpStream,
    moved: &Cell<u64>,
) -> io::Result<Transferred> {
    let mut buffer = [0; CHUNK_BYTES];
    for _ in 0..CHUNKS_PER_TURN {
        let len = match from.read(&mut buffer) {
            Ok(0) => return Ok(Transferred::End),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Transferred::Waiting);
            }
            Err(error) => return Err(error),
        };
        let chunk = buffer.get(..len).unwrap_or_default();
        let sent = match to.write(chunk) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        moved.set(moved.get() + sent as u64);
        if sent < len {
            return Ok(Transferred::Rest(chunk.get(sent..).unwrap_or_default().to_vec()));
        }
    }
    Ok(Transferred::Turn)
}

/// Ready when a waiting leg is gone. Reads at most [`PARKED_BYTES_MAX`] of what it sends
/// meanwhile, which is how the end shows early; a leg that sends more is not watched further.
pub async fn watch_parked(leg: &mut Leg) {
    while leg.leftover.len() < PARKED_BYTES_MAX {
        if leg.stream.readable().await.is_err() {
            return;
        }
        match read_some(&leg.stream, &mut leg.leftover) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    future::pending().await
}
