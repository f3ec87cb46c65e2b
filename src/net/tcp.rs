//! One TCP connection of port P or P-1: frames in, frames out, deadlines. It holds no buffer
//! while it is idle, and knows nothing of what the frames say but the key exchange of
//! `secure.rs`. C03-C05, C26-C29.

use std::io::{self, Read};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};

use crate::base::conn::{Conn, Transport};
use crate::base::counters::DropReason;
use crate::base::endpoint::Endpoint;
use crate::base::limits::{
    FRAME_BYTES_MAX, HEARTBEAT_MISSED_MS, HEARTBEAT_MS, IDLE_MS, OFFER_DELAY_MS, WRITE_MS,
};
use crate::wire::frame::{header_for, split};

use super::secure::{Offers, Secrecy};

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

/// What the time of a connection is up for.
enum Due {
    /// It is silent, which is how some clients ask for the sealed channel.
    Offer,
    /// The half of a heartbeat that sends nothing.
    Nothing,
    /// A heartbeat.
    Heartbeat,
}

/// When to make the offer, when to send a heartbeat, and when to end a silent connection.
struct Patience {
    timer: Timer,
    offers: bool,
    kept: bool,
    /// Half heartbeats since it is kept.
    beats: u64,
    /// Half heartbeats since something came.
    silent: u64,
}

impl Patience {
    fn new(offers: bool) -> Self {
        let first_ms = if offers { OFFER_DELAY_MS } else { IDLE_MS };
        let timer = Timer::after(Duration::from_millis(first_ms));
        Self { timer, offers, kept: false, beats: 0, silent: 0 }
    }

    /// Something came. The timer of a kept connection runs on: its heartbeats have their own beat.
    fn heard(&mut self) {
        self.silent = 0;
        self.offers = false;
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

    /// The timer rang.
    fn elapsed(&mut self) -> Result<Due, DropReason> {
        if core::mem::take(&mut self.offers) {
            self.timer.set_after(Duration::from_millis(IDLE_MS));
            return Ok(Due::Offer);
        }
        self.silent += 1;
        if !self.kept || self.silent * HEARTBEAT_MS / 2 >= HEARTBEAT_MISSED_MS {
            return Err(DropReason::Idle);
        }
        self.timer.set_after(Duration::from_millis(HEARTBEAT_MS / 2));
        self.beats += 1;
        Ok(if self.beats.is_multiple_of(2) { Due::Heartbeat } else { Due::Nothing })
    }
}

/// Where a conversation goes on: its owner and, on port P, the offers of a sealed channel.
#[derive(Clone)]
pub struct Owner {
    /// Takes what comes.
    pub inbox: Sender<FromStream>,
    /// Makes offers; None where clients do not expect any (C37).
    pub offers: Option<Rc<Offers>>,
}

/// Serves a connection until either side ends it, and tells why it ended.
pub async fn converse(
    stream: Async<TcpStream>,
    conn: Conn,
    owner: &Owner,
    outbox: Receiver<Outgoing>,
) -> DropReason {
    let mut patience = Patience::new(owner.offers.is_some());
    let mut talk = Talk { stream, conn, owner, secrecy: Secrecy::Silent, partial: Vec::new() };
    loop {
        let wake = {
            let readable = async { Wake::Readable(talk.stream.readable().await.is_ok()) };
            let outgoing = async { outbox.recv().await.map_or(Wake::Finished, Wake::Outgoing) };
            let elapsed = async {
                (&mut patience.timer).await;
                Wake::Elapsed
            };
            future::or(outgoing, future::or(readable, elapsed)).await
        };
        let step = match wake {
            Wake::Readable(true) => {
                patience.heard();
                talk.receive().await
            }
            Wake::Outgoing(Outgoing::Payload(payload)) => talk.send(payload).await,
            Wake::Outgoing(Outgoing::Keep) => {
                patience.keep();
                Ok(())
            }
            Wake::Readable(false) | Wake::Finished => Err(DropReason::Done),
            Wake::Elapsed => match patience.elapsed() {
                Ok(due) => talk.due(due).await,
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

/// One conversation.
struct Talk<'a> {
    stream: Async<TcpStream>,
    conn: Conn,
    owner: &'a Owner,
    secrecy: Secrecy,
    /// The begin of a frame that is not whole yet.
    partial: Vec<u8>,
}

impl Talk<'_> {
    /// Reads what is there and passes on every whole frame.
    async fn receive(&mut self) -> Result<(), DropReason> {
        match read_some(&self.stream, &mut self.partial) {
            Ok(0) => return Err(DropReason::Done),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(DropReason::Done),
        }
        let mut consumed = 0;
        while let Some(frame) =
            split(self.partial.get(consumed..).unwrap_or_default(), FRAME_BYTES_MAX)
                .map_err(|_| DropReason::Oversized)?
        {
            let payload = frame.payload.to_vec();
            consumed += frame.consumed;
            self.pass_on(payload).await?;
        }
        self.partial.drain(..consumed.min(self.partial.len()));
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
        Ok(())
    }

    /// Hands a payload to the owner; an empty one is a sign of life and no more.
    async fn pass_on(&mut self, payload: Vec<u8>) -> Result<(), DropReason> {
        if payload.is_empty() {
            return Ok(());
        }
        let Some(payload) = self.secrecy.incoming(payload, self.owner.offers.as_deref())? else {
            return Ok(());
        };
        let message = FromStream::Payload { conn: self.conn, payload };
        self.owner.inbox.send(message).await.map_err(|_| DropReason::Done)
    }

    async fn due(&mut self, due: Due) -> Result<(), DropReason> {
        match due {
            Due::Nothing => Ok(()),
            Due::Heartbeat => self.write(&[]).await,
            Due::Offer => {
                let Some(offers) = &self.owner.offers else { return Ok(()) };
                match self.secrecy.offer(offers) {
                    Some(payload) => self.write(&payload).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn send(&mut self, payload: Vec<u8>) -> Result<(), DropReason> {
        let payload = self.secrecy.outgoing(payload);
        self.write(&payload).await
    }

    /// Writes one frame, giving up on a peer that does not read.
    async fn write(&mut self, payload: &[u8]) -> Result<(), DropReason> {
        let header = header_for(payload.len()).map_err(|_| DropReason::Bug)?;
        let mut frame = Vec::with_capacity(header.len() + payload.len());
        frame.extend_from_slice(&header);
        frame.extend_from_slice(payload);
        let stream = &mut self.stream;
        let write = async { stream.write_all(&frame).await.map_err(|_| DropReason::SendFailed) };
        let give_up = async {
            Timer::after(Duration::from_millis(WRITE_MS)).await;
            Err(DropReason::SlowReader)
        };
        future::or(write, give_up).await
    }
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
