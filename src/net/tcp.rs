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
use crate::base::limits::{FRAME_BYTES_MAX, IDLE_MS, WRITE_MS};
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
        outbox: Sender<Vec<u8>>,
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

/// Serves a connection until either side ends it, and tells why it ended.
pub async fn converse(
    stream: Async<TcpStream>,
    conn: Conn,
    inbox: &Sender<FromStream>,
    outbox: Receiver<Vec<u8>>,
) -> DropReason {
    let mut stream = stream;
    let mut partial = Vec::new();
    let mut idle = Timer::after(Duration::from_millis(IDLE_MS));
    loop {
        let wake = {
            let readable = async { Wake::Readable(stream.readable().await.is_ok()) };
            let outgoing = async { outbox.recv().await.map_or(Wake::Finished, Wake::Outgoing) };
            let idle = async {
                (&mut idle).await;
                Wake::Idle
            };
            future::or(outgoing, future::or(readable, idle)).await
        };
        let step = match wake {
            Wake::Readable(true) => {
                idle.set_after(Duration::from_millis(IDLE_MS));
                receive(&stream, &mut partial, conn, inbox).await
            }
            Wake::Outgoing(payload) => send(&mut stream, &payload).await,
            Wake::Readable(false) | Wake::Finished => Err(DropReason::Done),
            Wake::Idle => Err(DropReason::Idle),
        };
        if let Err(reason) = step {
            return reason;
        }
    }
}

enum Wake {
    Readable(bool),
    Outgoing(Vec<u8>),
    Finished,
    Idle,
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
