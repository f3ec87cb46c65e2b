//! One TCP connection of port P or P-1: frames in, frames out, deadlines. It holds no buffer
//! while it is idle, and knows nothing of what the frames say. C03-C05.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use smol::channel::{Receiver, Sender};
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};

use crate::base::conn::{Conn, Transport};
use crate::base::counters::DropReason;
use crate::base::endpoint::Endpoint;
use crate::base::limits::{FRAME_BYTES_MAX, HEARTBEAT_MISSED_MS, HEARTBEAT_MS, IDLE_MS, WRITE_MS};
use crate::wire::frame::{header_for, split};

/// Bytes read at once; a longer frame takes several reads.
const READ_BYTES: usize = 2048;

/// What connections tell the owner of the rendezvous.
pub enum FromStream {
    /// A new connection; its answers go to `outbox`, closing that closes it.
    Opened {
        /// Its handle.
        conn: Conn,
        /// Where it came from.
        from: Endpoint,
        /// What it speaks.
        transport: Transport,
        /// Payloads for it.
        outbox: Sender<Outgoing>,
    },
    /// One payload.
    Payload {
        /// From which connection.
        conn: Conn,
        /// The bytes.
        payload: Vec<u8>,
    },
    /// It is gone.
    Closed {
        /// Which one.
        conn: Conn,
        /// Why.
        reason: DropReason,
    },
}

/// What the owner of the rendezvous tells a connection.
pub enum Outgoing {
    /// Send this.
    Payload(Vec<u8>),
    /// You are a peer's presence: send heartbeats, and end when they are not answered (C28).
    Keep,
}

/// When to end a silent connection, and when to send a heartbeat on a kept one.
struct Patience {
    timer: Timer,
    kept: bool,
    /// Half heartbeats since it is kept.
    beats: u64,
    /// Half heartbeats since something came.
    silent: u64,
}

impl Patience {
    fn new() -> Self {
        let timer = Timer::after(Duration::from_millis(IDLE_MS));
        Self { timer, kept: false, beats: 0, silent: 0 }
    }

    /// Something came. The timer of a kept connection runs on: its heartbeats have their own beat.
    fn heard(&mut self) {
        self.silent = 0;
        if !self.kept {
            self.timer.set_after(Duration::from_millis(IDLE_MS));
        }
    }

    fn keep(&mut self) {
        if !self.kept {
            self.kept = true;
            self.timer.set_after(Duration::from_millis(HEARTBEAT_MS / 2));
        }
    }

    /// The time is up: either for a heartbeat, or for the connection.
    fn elapsed(&mut self) -> Result<bool, DropReason> {
        self.silent += 1;
        if !self.kept || self.silent * HEARTBEAT_MS / 2 >= HEARTBEAT_MISSED_MS {
            return Err(DropReason::Idle);
        }
        self.timer.set_after(Duration::from_millis(HEARTBEAT_MS / 2));
        self.beats += 1;
        Ok(self.beats.is_multiple_of(2))
    }
}

/// Serves a connection until either side ends it, and tells why it ended.
pub async fn converse(
    stream: Async<TcpStream>,
    conn: Conn,
    inbox: &Sender<FromStream>,
    outbox: Receiver<Outgoing>,
) -> DropReason {
    let mut stream = stream;
    let mut partial = Vec::new();
    let mut patience = Patience::new();
    loop {
        let wake = {
            let readable = async { Wake::Readable(stream.readable().await.is_ok()) };
            let outgoing = async { outbox.recv().await.map_or(Wake::Finished, Wake::Outgoing) };
            let idle = async {
                (&mut patience.timer).await;
                Wake::Elapsed
            };
            future::or(outgoing, future::or(readable, idle)).await
        };
        let step = match wake {
            Wake::Readable(true) => {
                patience.heard();
                receive(&stream, &mut partial, conn, inbox).await
            }
            Wake::Outgoing(Outgoing::Payload(payload)) => send(&mut stream, &payload).await,
            Wake::Outgoing(Outgoing::Keep) => {
                patience.keep();
                Ok(())
            }
            Wake::Readable(false) | Wake::Finished => Err(DropReason::Done),
            Wake::Elapsed => match patience.elapsed() {
                Ok(true) => send(&mut stream, &[]).await,
                Ok(false) => Ok(()),
                Err(reason) => Err(reason),
            },
        };
        if let Err(reason) = step {
            return reason;
        }
    }
}

enum Wake {
    Readable(bool),
    Outgoing(Outgoing),
    Finished,
    Elapsed,
}

/// Reads what is there and passes on every whole frame.
async fn receive(
    stream: &Async<TcpStream>,
    partial: &mut Vec<u8>,
    conn: Conn,
    inbox: &Sender<FromStream>,
) -> Result<(), DropReason> {
    match read_some(stream, partial) {
        Ok(0) => return Err(DropReason::Done),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(_) => return Err(DropReason::Done),
    }
    let mut consumed = 0;
    while let Some(frame) = split(partial.get(consumed..).unwrap_or_default(), FRAME_BYTES_MAX)
        .map_err(|_| DropReason::Oversized)?
    {
        let payload = frame.payload.to_vec();
        consumed += frame.consumed;
        if !payload.is_empty() {
            inbox
                .send(FromStream::Payload { conn, payload })
                .await
                .map_err(|_| DropReason::Done)?;
        }
    }
    partial.drain(..consumed.min(partial.len()));
    if partial.is_empty() {
        *partial = Vec::new();
    }
    Ok(())
}

/// One read into `partial`; 0 is the end. The buffer lives on the stack of this call, not in the
/// connection.
pub fn read_some(stream: &Async<TcpStream>, partial: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; READ_BYTES];
    let mut socket = stream.get_ref();
    let len = socket.read(&mut buffer)?;
    partial.extend_from_slice(buffer.get(..len).unwrap_or_default());
    Ok(len)
}

/// Writes one frame, giving up on a peer that does not read.
async fn send(stream: &mut Async<TcpStream>, payload: &[u8]) -> Result<(), DropReason> {
    let header = header_for(payload.len()).map_err(|_| DropReason::Bug)?;
    let mut frame = Vec::with_capacity(header.len() + payload.len());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    let write = async { stream.write_all(&frame).await.map_err(|_| DropReason::SendFailed) };
    let give_up = async {
        Timer::after(Duration::from_millis(WRITE_MS)).await;
        Err(DropReason::SlowReader)
    };
    future::or(write, give_up).await
}
