//! One conversation with port P, P-1 or P+2: payloads in, payloads out, deadlines. It knows
//! nothing of what the payloads say but the key exchange of `conn/secrecy.rs`.
//! C03-C05, C26-C29, C31.

use std::rc::Rc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};
use smol::{Timer, future};

use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{FRAME_BYTES_MAX, HEARTBEAT_MISSED_MS, HEARTBEAT_MS, IDLE_MS};

use crate::net::conn::link::{Link, readable};
use crate::net::conn::secrecy::{Offers, Secrecy};
use crate::net::message::{ToConnection, ToRendezvous};

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
struct IdleTimer {
    timer: Timer,
    offers: bool,
    kept: bool,
    /// Half heartbeats since it is kept.
    beats: u64,
    /// Half heartbeats since something came.
    silent: u64,
}

impl IdleTimer {
    /// `offer_ms` is when to make an offer, if at all.
    fn new(offer_ms: Option<u64>) -> Self {
        let (offers, first_ms) = (offer_ms.is_some(), offer_ms.unwrap_or(IDLE_MS));
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
pub struct SignallingHandle {
    /// Takes what comes.
    pub inbox: Sender<ToRendezvous>,
    /// Makes offers; None where clients do not expect any (C37).
    pub offers: Option<Rc<Offers>>,
    /// How long a client may stay silent before the offer.
    pub offer_delay_ms: u64,
}

impl SignallingHandle {
    /// The same for clients that do not expect an offer.
    #[must_use]
    pub fn without_offers(&self) -> Self {
        Self { offers: None, ..self.clone() }
    }
}

/// Serves a connection until either side ends it, and tells why it ended. `first` is a payload
/// that was read of it already.
pub async fn converse(
    link: Link,
    first: Option<Vec<u8>>,
    (conn, owner): (Conn, &SignallingHandle),
    outbox: Receiver<ToConnection>,
) -> DropReason {
    let offers = owner.offers.is_some() && first.is_none();
    let mut idle = IdleTimer::new(offers.then_some(owner.offer_delay_ms));
    let mut talk = Talk { link, conn, owner, secrecy: Secrecy::Silent };
    let mut step = talk.begin(first).await;
    while step.is_ok() {
        let wake = {
            let readable = async { Happening::Readable(readable(&talk.link.stream).await.is_ok()) };
            let outgoing =
                async { outbox.recv().await.map_or(Happening::Finished, Happening::Outgoing) };
            let elapsed = async {
                (&mut idle.timer).await;
                Happening::Elapsed
            };
            future::or(outgoing, future::or(readable, elapsed)).await
        };
        step = match wake {
            Happening::Readable(true) => {
                idle.heard();
                talk.receive().await
            }
            Happening::Outgoing(ToConnection::Payload(payload)) => talk.send(payload).await,
            Happening::Outgoing(ToConnection::Keep) => {
                idle.keep();
                Ok(())
            }
            Happening::Readable(false) | Happening::Finished => Err(DropReason::Done),
            Happening::Elapsed => match idle.elapsed() {
                Ok(due) => talk.due(due).await,
                Err(reason) => Err(reason),
            },
        };
    }
    step.err().unwrap_or(DropReason::Done)
}

enum Happening {
    Readable(bool),
    Outgoing(ToConnection),
    Finished,
    Elapsed,
}

/// One conversation.
struct Talk<'a> {
    link: Link,
    conn: Conn,
    owner: &'a SignallingHandle,
    secrecy: Secrecy,
}

impl Talk<'_> {
    /// Passes on what was read before.
    async fn begin(&mut self, first: Option<Vec<u8>>) -> Result<(), DropReason> {
        if let Some(payload) = first {
            self.pass_on(payload).await?;
        }
        self.pass_on_whole().await
    }

    /// Reads what is there and passes on every whole payload.
    async fn receive(&mut self) -> Result<(), DropReason> {
        self.link.read()?;
        self.pass_on_whole().await
    }

    async fn pass_on_whole(&mut self) -> Result<(), DropReason> {
        while let Some(payload) = self.link.payload(FRAME_BYTES_MAX).await? {
            self.pass_on(payload).await?;
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
        let message = ToRendezvous::Payload { conn: self.conn, payload };
        self.owner.inbox.send(message).await.map_err(|_| DropReason::Done)
    }

    async fn due(&mut self, due: Due) -> Result<(), DropReason> {
        match due {
            Due::Nothing => Ok(()),
            Due::Heartbeat => self.link.send(&[]).await,
            Due::Offer => {
                let Some(offers) = &self.owner.offers else { return Ok(()) };
                match self.secrecy.offer(offers) {
                    Some(payload) => self.link.send(&payload).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn send(&mut self, payload: Vec<u8>) -> Result<(), DropReason> {
        let payload = self.secrecy.outgoing(payload);
        self.link.send(&payload).await
    }
}
