//! Moves the messages of a session of which at least one leg speaks WebSocket. As in `pair.rs` each
//! direction goes by itself; unlike there, bytes are converted, pings answered and closes sent.
//! C68-C70, C73; checks: relay_websocket, relay_bridge of conformance.

use core::mem::MaybeUninit;
use core::pin::pin;
use std::cell::{Cell, RefCell};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;

use heapless::Vec as Short;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smol::future;

use hbb_core::base::conn::Transport;
use hbb_core::base::limits::{
    CHUNK_BYTES, CHUNKS_PER_TURN, DIRECTION_BYTES_FREE, GATHERED_BYTES_MAX,
};
use hbb_core::wire::convert::Converter;
use hbb_core::wire::websocket::{CLOSE_NORMAL, CONTROL_BYTES_MAX, FrameKind, control};

use crate::net::conn::link::Link;
use crate::net::conn::link::bytes::Purpose;
use crate::net::message::SessionEnd;
use crate::net::reactor::{Source, give_way};
use crate::net::session::copy::{DirectionEnd, Flow};
use crate::net::session::idle::{Bounds, until_idle};
use crate::net::session::pair::until_over;
use crate::net::tasks::queue::{Receiver, Sender, bounded};

/// Converted bytes of one turn: one buffer for all sessions of a thread, made for the first of
/// them.
pub type Scratch = Rc<RefCell<Vec<u8>>>;

/// Converted bytes of one chunk: headers may grow a little, more waits for the next send.
const OUT_BYTES: usize = CHUNK_BYTES + 4096;

/// Joins two legs like [`crate::net::session::pair::join`], as messages.
pub async fn join(
    mut first: Link,
    mut second: Link,
    bounds: Bounds<'_>,
    scratch: Scratch,
) -> SessionEnd {
    let flows = bounds.flows();
    let unread = [first.take_leftover(), second.take_leftover()];
    let end = {
        let ends = [LegEnd::new(&first), LegEnd::new(&second)];
        let ([one, other], [ahead, behind]) = (&ends, &flows);
        let [from_first, from_second] = unread;
        let mut forth = MessageCopier::new([one, other], from_first, ahead, &scratch);
        let mut back = MessageCopier::new([other, one], from_second, behind, &scratch);
        let idle = pin!(until_idle(&flows, bounds));
        until_over(pin!(forth.run()), pin!(back.run()), idle).await
    };
    end.settle([&first.stream, &second.stream], &flows, bounds.limit).await
}

/// A leg, and what the direction that reads it and the one that writes to it tell each other.
struct LegEnd<'a> {
    link: &'a Link,
    /// From the direction that reads: what the leg is to be sent between messages.
    asks: Sender<ControlFrame>,
    asked: Receiver<ControlFrame>,
    writing: Cell<Writing>,
}

/// A control frame for a leg.
enum ControlFrame {
    Pong(Short<u8, CONTROL_BYTES_MAX>),
    /// Answers the leg's own close, and is the last that it gets.
    Close,
}

/// How writing to a leg stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Open,
    /// It failed: an end that reading finds now is that of a connection that broke.
    Failed,
    /// The leg was sent our end; that it breaks from now on means no more than an end.
    Finished,
}

impl<'a> LegEnd<'a> {
    fn new(link: &'a Link) -> Self {
        let (asks, asked) = bounded(1);
        Self { link, asks, asked, writing: Cell::new(Writing::Open) }
    }

    const fn stream(&self) -> &Source<TcpStream> {
        &self.link.stream
    }
}

/// Copies one direction, message by message.
struct MessageCopier<'a> {
    from: &'a LegEnd<'a>,
    to: &'a LegEnd<'a>,
    converter: Converter,
    /// What was read and not yet converted.
    unconverted: Vec<u8>,
    /// What was converted and not yet taken by the receiver.
    unsent: Vec<u8>,
    flow: &'a Flow<'a>,
    scratch: &'a Scratch,
}

/// What a direction does after a turn.
enum Next {
    /// Waits, as the sender has no more for now.
    Wait,
    /// Lets others have their turn, though there may be more.
    Yield,
    /// Waits until the receiver has taken what is unsent.
    Flush,
    /// Tells the receiver that the sender has sent all.
    Finish,
}

/// What ended a wait.
enum Woken {
    /// There is something to read, or there may be.
    Read,
    /// The receiver is to be sent this.
    Send(ControlFrame),
}

/// What reading once gave.
enum ReadPart<'b> {
    Bytes(&'b [u8]),
    Nothing,
    End,
}

impl<'a> MessageCopier<'a> {
    fn new(
        [from, to]: [&'a LegEnd<'a>; 2],
        unconverted: Vec<u8>,
        flow: &'a Flow<'a>,
        scratch: &'a Scratch,
    ) -> Self {
        let converter = Converter::new(from.link.transport(), to.link.transport());
        Self { from, to, converter, unconverted, unsent: Vec::new(), flow, scratch }
    }

    /// Moves messages until it is over, and tells how.
    async fn run(&mut self) -> DirectionEnd {
        loop {
            if let Err(end) = self.step().await {
                return end;
            }
        }
    }

    /// One turn, and what must be waited for until the next.
    ///
    /// # Errors
    /// How it ended.
    async fn step(&mut self) -> Result<(), DirectionEnd> {
        let next = self.turn();
        self.say_held();
        self.answer();
        self.flow.obey_limit().await;
        match next? {
            Next::Wait => match self.wait().await {
                Woken::Read => {}
                Woken::Send(ControlFrame::Pong(said)) => {
                    self.send_all(&control(FrameKind::Pong, &said)).await?;
                }
                Woken::Send(ControlFrame::Close) => {
                    self.finish().await;
                    return Err(self.drain().await);
                }
            },
            Next::Yield => give_way().await,
            Next::Flush => {
                self.send_all(&self.unsent).await?;
                self.unsent = Vec::new();
                give_way().await;
            }
            Next::Finish => {
                self.finish().await;
                return Err(match self.converter.is_closed() {
                    true => DirectionEnd::Closed,
                    false => DirectionEnd::Finished,
                });
            }
        }
        Ok(())
    }

    /// Says how much memory it holds.
    fn say_held(&self) {
        let waits = self.unconverted.capacity() + self.unsent.capacity();
        self.flow.hold(waits + self.converter.gathered_bytes());
    }

    /// Waits for bytes, or for a control frame that may be sent now.
    async fn wait(&self) -> Woken {
        let read = async {
            self.from.stream().readable().await;
            Woken::Read
        };
        let send = async {
            match self.to.asked.recv().await {
                // A pong in the middle of a frame may be left out: only the latest ping counts.
                Some(ControlFrame::Pong(_)) if !self.converter.is_between_frames() => Woken::Read,
                Some(control) => Woken::Send(control),
                None => future::pending().await,
            }
        };
        future::or(send, read).await
    }

    /// Has the other direction answer the sender's control frames.
    fn answer(&mut self) {
        if let Some(said) = self.converter.take_ping() {
            let _ = self.from.asks.force_send(ControlFrame::Pong(said));
        }
        if self.converter.is_closed() {
            let _ = self.from.asks.force_send(ControlFrame::Close);
        }
    }

    /// Tells the receiver that no more comes; it may be gone by now.
    async fn finish(&self) {
        if self.to.link.transport() == Transport::WebSocket && self.converter.is_between_frames() {
            let close = control(FrameKind::Close, &CLOSE_NORMAL.to_be_bytes());
            let _ = self.send_all(&close).await;
        }
        let _ = self.to.stream().socket().shutdown(Shutdown::Write);
        self.to.writing.set(Writing::Finished);
    }

    /// Reads on and drops it: closing a connection with unread bytes would reset it, and what was
    /// sent to it before could be lost.
    async fn drain(&self) -> DirectionEnd {
        loop {
            let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
            match self.receive(&mut buffer) {
                Ok(ReadPart::End) => return DirectionEnd::Finished,
                Ok(ReadPart::Bytes(_)) => give_way().await,
                Ok(ReadPart::Nothing) => self.from.stream().readable().await,
                Err(end) => return end,
            }
        }
    }

    /// Converts what is there, at most [`CHUNKS_PER_TURN`] chunks. No session has a buffer of its
    /// own: one is on the stack of this call, never cleared, and all share the other.
    #[inline(never)]
    fn turn(&mut self) -> Result<Next, DirectionEnd> {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; CHUNK_BYTES];
        let mut out = self.scratch.borrow_mut();
        if out.capacity() == 0 {
            out.reserve_exact(OUT_BYTES);
        }
        for _ in 0..CHUNKS_PER_TURN {
            if self.converter.is_closed() {
                return Ok(Next::Finish);
            }
            if let Some(whole) = self.converter.take_whole() {
                self.unsent = whole;
                return Ok(Next::Flush);
            }
            let kept = core::mem::take(&mut self.unconverted);
            let (input, more) = if kept.is_empty() {
                // It may be that the receiver takes none of it.
                let room = self.flow.room(Purpose::Stalled).max(DIRECTION_BYTES_FREE);
                let room = room.min(CHUNK_BYTES);
                match self.receive(buffer.get_mut(..room).unwrap_or_default())? {
                    ReadPart::Bytes(chunk) => (chunk, chunk.len() == room),
                    ReadPart::Nothing => return Ok(Next::Wait),
                    ReadPart::End => return Ok(Next::Finish),
                }
            } else {
                (kept.as_slice(), true)
            };
            self.convert(input, &mut out)?;
            if !self.pass_on(&out)? {
                return Ok(Next::Flush);
            }
            if !more && self.unconverted.is_empty() && !self.converter.is_closed() {
                return Ok(Next::Wait);
            }
        }
        Ok(Next::Yield)
    }

    /// Converts as much as fits; the rest is kept.
    fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), DirectionEnd> {
        out.clear();
        let room = self.converter.gathered_bytes() + self.flow.room(Purpose::Gathered);
        let taken = self.converter.feed(input, out, room.min(GATHERED_BYTES_MAX));
        let taken = taken.map_err(|_| DirectionEnd::Malformed)?;
        self.say_held();
        self.unconverted = input.get(taken..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// Sends converted bytes; false if some are left, or a gathered message is to follow.
    fn pass_on(&mut self, out: &[u8]) -> Result<bool, DirectionEnd> {
        let sent = if out.is_empty() { 0 } else { self.send_some(out)? };
        self.unsent = out.get(sent..).unwrap_or_default().to_vec();
        if self.unsent.is_empty()
            && let Some(whole) = self.converter.take_whole()
        {
            self.unsent = whole;
        }
        Ok(self.unsent.is_empty())
    }

    async fn send_all(&self, bytes: &[u8]) -> Result<(), DirectionEnd> {
        let mut unsent = bytes;
        while !unsent.is_empty() {
            let sent = self.send_some(unsent)?;
            unsent = unsent.get(sent..).unwrap_or_default();
            if !unsent.is_empty() {
                self.flow.takes_again(self.to.stream()).await;
            }
        }
        Ok(())
    }

    /// Sends what fits and tells how much that is.
    fn send_some(&self, bytes: &[u8]) -> Result<usize, DirectionEnd> {
        match send(self.to.stream().socket(), bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                self.flow.count(sent);
                Ok(sent)
            }
            Err(Errno::AGAIN) => Ok(0),
            // This one comes behind a real end.
            Err(Errno::PIPE) => Err(DirectionEnd::ReceiverGone),
            Err(_) => {
                self.to.writing.set(Writing::Failed);
                Err(DirectionEnd::ReceiverGone)
            }
        }
    }

    /// Reads once.
    fn receive<'b>(&self, buffer: &'b mut [MaybeUninit<u8>]) -> Result<ReadPart<'b>, DirectionEnd> {
        let room = buffer.len();
        let received = recv(self.from.stream().socket(), buffer, RecvFlags::empty());
        match (received.map(|((chunk, _), _)| &*chunk), self.from.writing.get()) {
            (Ok([]), Writing::Failed) => Err(DirectionEnd::SenderBroke),
            (Ok([]), _) => Ok(ReadPart::End),
            (Ok(chunk), _) => {
                if chunk.len() < room {
                    self.from.stream().drained();
                }
                Ok(ReadPart::Bytes(chunk))
            }
            (Err(Errno::AGAIN), _) => {
                self.from.stream().drained();
                Ok(ReadPart::Nothing)
            }
            // It went without reading our end; there is no more to come either.
            (Err(Errno::CONNRESET), Writing::Finished) => Ok(ReadPart::End),
            (Err(_), _) => Err(DirectionEnd::SenderBroke),
        }
    }
}
