//! Moves the messages of a session of which at least one leg speaks WebSocket. Like `pair.rs`
//! each direction goes by itself; unlike there, bytes are converted, pings answered and closing
//! is said. C68-C70, C73.

use core::mem::MaybeUninit;
use core::pin::pin;
use std::cell::{Cell, RefCell};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;

use heapless::Vec as Short;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smol::channel::{Receiver, Sender, bounded};
use smol::{Async, future};

use hbb_core::base::conn::Transport;
use hbb_core::base::limits::{CHUNK_BYTES, CHUNKS_PER_TURN};
use hbb_core::wire::convert::Converter;
use hbb_core::wire::websocket::{CLOSE_NORMAL, CONTROL_BYTES_MAX, FrameKind, control};

use crate::net::conn::link::{Link, readable};
use crate::net::message::SessionEnd;
use crate::net::session::copy::{DirectionEnd, Flow};
use crate::net::session::pair::{quiet, until_over};
use crate::net::session::rate::RateLimit;

/// Converted bytes of one chunk: headers may grow a little, more waits for the next send.
const OUT_BYTES: usize = CHUNK_BYTES + 4096;

/// Memory for messages that must be whole before they go on; clones share it.
#[derive(Clone)]
pub struct Room {
    left: Rc<Cell<usize>>,
    /// Converted bytes of one turn: one buffer for all, made for the first of them.
    scratch: Rc<RefCell<Vec<u8>>>,
}

impl Room {
    /// So many bytes of it.
    pub fn new(bytes: usize) -> Self {
        Self { left: Rc::new(Cell::new(bytes)), scratch: Rc::default() }
    }
}

/// What one direction holds of the room.
struct Share {
    room: Room,
    held: usize,
}

impl Share {
    /// How much this direction may hold.
    fn limit(&self) -> usize {
        self.held + self.room.left.get()
    }

    fn hold(&mut self, bytes: usize) {
        self.room.left.set(self.limit().saturating_sub(bytes));
        self.held = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold(0);
    }
}

/// What is said to a leg between messages.
enum Word {
    Pong(Short<u8, CONTROL_BYTES_MAX>),
    /// The leg closed; this is our close, and the last that it hears.
    Close,
}

/// Joins two legs like [`crate::net::session::pair::join`], as messages.
pub async fn join(
    mut first: Link,
    mut second: Link,
    (idle_ms, limit): (u64, &RateLimit),
    room: Room,
) -> SessionEnd {
    let flows = [Flow::new(limit), Flow::new(limit)];
    let unfed = [core::mem::take(&mut first.leftover), core::mem::take(&mut second.leftover)];
    let over = {
        let sides = [Side::new(&first), Side::new(&second)];
        let ([one, other], [ahead, behind]) = (&sides, &flows);
        let [from_first, from_second] = unfed;
        let mut forth = Way::new((one, other), from_first, ahead, &room);
        let mut back = Way::new((other, one), from_second, behind, &room);
        let quiet = pin!(quiet(&flows, idle_ms, limit));
        until_over(pin!(forth.run()), pin!(back.run()), quiet).await
    };
    over.settle([&first.stream, &second.stream], &flows, limit).await
}

/// A leg, and what the direction that reads it and the one that writes to it tell each other.
struct Side<'a> {
    link: &'a Link,
    /// From the direction that reads: words for the leg.
    asks: Sender<Word>,
    words: Receiver<Word>,
    /// Our last word was said to it.
    told: Cell<bool>,
    /// Who wrote to it found that it broke, and who reads it will be told of an end.
    broke: Cell<bool>,
}

impl<'a> Side<'a> {
    fn new(link: &'a Link) -> Self {
        let (asks, words) = bounded(1);
        Self { link, asks, words, told: Cell::new(false), broke: Cell::new(false) }
    }

    const fn stream(&self) -> &Async<TcpStream> {
        &self.link.stream
    }
}

/// One direction.
struct Way<'a> {
    from: &'a Side<'a>,
    to: &'a Side<'a>,
    converter: Converter,
    /// What was read and not yet converted.
    unfed: Vec<u8>,
    /// What was converted and not yet taken by the receiver; has memory while messages stream.
    rest: Vec<u8>,
    flow: &'a Flow<'a>,
    share: Share,
}

/// What a direction does next.
enum Step {
    /// The sender has no more for now.
    Wait,
    /// Others get their turn though there may be more.
    Yield,
    /// The receiver took only a part; the rest waits in its place.
    Rest,
    /// The sender has sent all.
    End,
}

impl<'a> Way<'a> {
    fn new(
        (from, to): (&'a Side<'a>, &'a Side<'a>),
        unfed: Vec<u8>,
        flow: &'a Flow<'a>,
        room: &Room,
    ) -> Self {
        let converter = Converter::new(from.link.transport(), to.link.transport());
        let share = Share { room: room.clone(), held: 0 };
        Self { from, to, converter, unfed, rest: Vec::new(), flow, share }
    }

    /// Moves messages until it is over, and tells how.
    async fn run(&mut self) -> DirectionEnd {
        loop {
            if let Err(over) = self.step().await {
                return over;
            }
        }
    }

    /// One turn, and what must be waited for until the next.
    ///
    /// # Errors
    /// How it ended.
    async fn step(&mut self) -> Result<(), DirectionEnd> {
        let step = self.turn();
        self.answer();
        self.flow.obey_limit().await;
        match step? {
            Step::Wait => match self.pause().await? {
                None => {}
                Some(Word::Pong(said)) => self.send_all(&control(FrameKind::Pong, &said)).await?,
                Some(Word::Close) => {
                    self.finish().await;
                    return Err(self.drain().await);
                }
            },
            Step::Rest => {
                self.send_all(&self.rest).await?;
                future::yield_now().await;
            }
            Step::Yield => future::yield_now().await,
            Step::End => {
                self.finish().await;
                let said = self.converter.is_closed();
                return Err(if said { DirectionEnd::Closed } else { DirectionEnd::Finished });
            }
        }
        Ok(())
    }

    /// Waits without any memory but what it needs.
    async fn pause(&mut self) -> Result<Option<Word>, DirectionEnd> {
        self.rest = Vec::new();
        self.wait().await
    }

    /// Waits for bytes, or for a word that may be said now.
    async fn wait(&self) -> Result<Option<Word>, DirectionEnd> {
        let readable = async {
            let readable = readable(self.from.stream()).await;
            readable.map(|()| None).map_err(|_| DirectionEnd::Broken)
        };
        let word = async {
            match self.to.words.recv().await {
                Ok(word) if self.converter.is_between_frames() => Ok(Some(word)),
                // A pong in the middle of a frame may be left out: only the latest ping counts.
                Ok(Word::Pong(_)) => Ok(None),
                Ok(Word::Close) => Ok(Some(Word::Close)),
                Err(_) => future::pending().await,
            }
        };
        future::or(word, readable).await
    }

    /// Has the other direction answer what the sender said to us.
    fn answer(&mut self) {
        if let Some(said) = self.converter.take_ping() {
            let _ = self.from.asks.force_send(Word::Pong(said));
        }
        if self.converter.is_closed() {
            let _ = self.from.asks.force_send(Word::Close);
        }
    }

    /// Tells the receiver that no more comes; it may be gone by now.
    async fn finish(&self) {
        if self.to.link.transport() == Transport::WebSocket && self.converter.is_between_frames() {
            let _ = self.send_all(&control(FrameKind::Close, &CLOSE_NORMAL.to_be_bytes())).await;
        }
        let _ = self.to.stream().get_ref().shutdown(Shutdown::Write);
        self.to.told.set(true);
    }

    /// Reads on for nothing: closing a connection with unread bytes would reset it, and what was
    /// sent to it before could be lost.
    async fn drain(&self) -> DirectionEnd {
        loop {
            let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
            match self.receive(&mut buffer) {
                Ok(Some([])) => return DirectionEnd::Finished,
                Ok(Some(_)) => future::yield_now().await,
                Ok(None) if readable(self.from.stream()).await.is_ok() => {}
                Ok(None) => return DirectionEnd::Broken,
                Err(outcome) => return outcome,
            }
        }
    }

    /// Converts what is there, at most [`CHUNKS_PER_TURN`] chunks. No session has a buffer of its
    /// own: one is on the stack of this call, never cleared, and all share the other.
    #[inline(never)]
    fn turn(&mut self) -> Result<Step, DirectionEnd> {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; CHUNK_BYTES];
        let scratch = Rc::clone(&self.share.room.scratch);
        let mut out = scratch.borrow_mut();
        if out.capacity() == 0 {
            out.reserve_exact(OUT_BYTES);
        }
        for _ in 0..CHUNKS_PER_TURN {
            if self.converter.is_closed() {
                return Ok(Step::End);
            }
            let saved = core::mem::take(&mut self.unfed);
            let (input, full) = if saved.is_empty() {
                match self.receive(&mut buffer)? {
                    Some([]) => return Ok(Step::End),
                    Some(chunk) => (chunk, chunk.len() == CHUNK_BYTES),
                    None => return Ok(Step::Wait),
                }
            } else {
                (saved.as_slice(), true)
            };
            out.clear();
            let limit = self.share.limit();
            let fed = self.converter.feed(input, &mut out, limit);
            let taken = fed.map_err(|_| DirectionEnd::Malformed)?;
            self.share.hold(self.converter.gathered_len());
            self.unfed = input.get(taken..).unwrap_or_default().to_vec();
            if !self.pass_on(&out)? {
                return Ok(Step::Rest);
            }
            if !full && self.unfed.is_empty() && !self.converter.is_closed() {
                return Ok(Step::Wait);
            }
        }
        Ok(Step::Yield)
    }

    /// Sends converted bytes, and behind them a gathered message; false if some are left.
    fn pass_on(&mut self, out: &[u8]) -> Result<bool, DirectionEnd> {
        let sent = if out.is_empty() { 0 } else { self.send_some(out)? };
        self.rest.clear();
        self.rest.extend_from_slice(out.get(sent..).unwrap_or_default());
        self.rest.extend(self.converter.take_whole().unwrap_or_default());
        Ok(self.rest.is_empty())
    }

    async fn send_all(&self, bytes: &[u8]) -> Result<(), DirectionEnd> {
        let mut unsent = bytes;
        while !unsent.is_empty() {
            let sent = self.send_some(unsent)?;
            unsent = unsent.get(sent..).unwrap_or_default();
            if sent == 0 && !self.flow.takes_again(self.to.stream()).await {
                return Err(DirectionEnd::Refused);
            }
        }
        Ok(())
    }

    /// Sends what fits and tells how much that is.
    fn send_some(&self, bytes: &[u8]) -> Result<usize, DirectionEnd> {
        match send(self.to.stream().get_ref(), bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                self.flow.count(sent);
                Ok(sent)
            }
            Err(Errno::AGAIN) => Ok(0),
            Err(errno) => {
                // This one comes behind a real end.
                self.to.broke.set(errno != Errno::PIPE);
                Err(DirectionEnd::Refused)
            }
        }
    }

    /// What is there to read; empty at the end, None for nothing yet.
    fn receive<'b>(
        &self,
        buffer: &'b mut [MaybeUninit<u8>],
    ) -> Result<Option<&'b [u8]>, DirectionEnd> {
        let received = recv(self.from.stream().get_ref(), buffer, RecvFlags::empty());
        match received.map(|((chunk, _), _)| &*chunk) {
            Ok([]) if self.from.broke.get() && !self.from.told.get() => Err(DirectionEnd::Broken),
            Ok(chunk) => Ok(Some(chunk)),
            Err(Errno::AGAIN) => Ok(None),
            // It went without reading our last word; there is no more to come either.
            Err(Errno::CONNRESET) if self.from.told.get() => Ok(Some(&[])),
            Err(_) => Err(DirectionEnd::Broken),
        }
    }
}
