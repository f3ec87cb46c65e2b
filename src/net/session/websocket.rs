//! Moves the messages of a session of which at least one leg speaks WebSocket. As in `pair.rs` each
//! direction goes by itself; unlike there, bytes are converted, pings answered and closes sent.
//! C68-C70, C73; checks: relay_websocket, relay_bridge of conformance.

use core::mem::MaybeUninit;
use core::pin::pin;
use core::task::Poll;
use std::cell::{Cell, RefCell};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smol::future;

use hbb_core::base::conn::Transport;
use hbb_core::base::limits::{
    CHUNK_BYTES, CHUNKS_PER_TURN, DIRECTION_BYTES_FREE, GATHERED_BYTES_MAX, TURN_BYTES,
};
use hbb_core::wire::convert::Converter;
use hbb_core::wire::websocket::{CLOSE_NORMAL, FrameKind, control};

use crate::net::conn::link::Link;
use crate::net::conn::link::bytes::Purpose;
use crate::net::message::SessionEnd;
use crate::net::reactor::{Source, give_way};
use crate::net::session::copy::{DirectionEnd, Flow};
use crate::net::session::idle::{Bounds, until_idle};
use crate::net::session::pair::{Unread, until_over};

/// Converted bytes of one turn: one buffer for all sessions of a thread, made for the first of
/// them.
pub type Scratch = Rc<RefCell<Vec<u8>>>;

/// Bytes read at once: a message of a whole chunk with its header takes one call, not two.
const IN_BYTES: usize = CHUNK_BYTES + 64;
/// Converted bytes of one chunk: headers may grow a little, more waits for the next send.
const OUT_BYTES: usize = CHUNK_BYTES + 4096;

/// Joins two legs like [`crate::net::session::pair::join`], as messages.
pub fn join(
    mut first: Link,
    mut second: Link,
    bounds: Bounds<'_>,
    scratch: Scratch,
) -> impl Future<Output = SessionEnd> {
    let (flows, idle_ms) = (bounds.flows(), bounds.idle_ms);
    let unread = Unread::of([first.take_leftover(), second.take_leftover()]);
    let transports = [first.transport(), second.transport()];
    let streams = [first.stream, second.stream];
    async move {
        let end = {
            let ([from, to], [waiting, joining]) = (&streams, transports);
            let ends = [LegEnd::new(from, waiting), LegEnd::new(to, joining)];
            let ([one, other], [ahead, behind]) = (&ends, &flows);
            let [from_first, from_second] = unread.take();
            let forth = MessageCopier::new([one, other], from_first, ahead, &scratch);
            let back = MessageCopier::new([other, one], from_second, behind, &scratch);
            let (forth, back) = (pin!(forth.run()), pin!(back.run()));
            until_over(forth, back, pin!(until_idle(&flows, idle_ms))).await
        };
        end.settle(&streams, &flows).await
    }
}

/// A leg, and what the direction that reads it and the one that writes to it tell each other.
struct LegEnd<'a> {
    stream: &'a Source<TcpStream>,
    transport: Transport,
    /// From the direction that reads: what the leg is to be sent between messages.
    asked: Cell<Option<ControlFrame>>,
    writing: Cell<Writing>,
}

/// A control frame for a leg.
enum ControlFrame {
    Pong(Vec<u8>),
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
    const fn new(stream: &'a Source<TcpStream>, transport: Transport) -> Self {
        Self { stream, transport, asked: Cell::new(None), writing: Cell::new(Writing::Open) }
    }

    /// Has the other direction send the leg this, in place of what it did not send yet.
    async fn ask(&self, control: ControlFrame) {
        self.asked.set(Some(control));
        // Both directions are of one task, whose turn it is: the other may have had its part.
        future::poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Ready(())
        })
        .await;
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
        let converter = Converter::new(from.transport, to.transport);
        flow.limit().count(unconverted.len() as u64);
        Self { from, to, converter, unconverted, unsent: Vec::new(), flow, scratch }
    }

    /// Moves messages until it is over, and tells how.
    #[expect(clippy::manual_async_fn, reason = "an async function would keep `self` twice")]
    fn run(mut self) -> impl Future<Output = DirectionEnd> {
        async move {
            loop {
                if let Err(end) = self.step().await {
                    return end;
                }
            }
        }
    }

    /// One turn, and what must be waited for until the next. What is rare is in a box, so that an
    /// idle session has no memory for it.
    ///
    /// # Errors
    /// How it ended.
    async fn step(&mut self) -> Result<(), DirectionEnd> {
        let next = self.turn();
        self.say_held();
        self.answer().await;
        if let Some(wait) = self.flow.limit().obey() {
            wait.await;
        }
        match next? {
            Next::Wait => {
                if let Some(control) = self.wait().await {
                    Box::pin(self.say(control)).await?;
                }
            }
            Next::Yield => give_way().await,
            Next::Flush => {
                self.send_all(&self.unsent).await?;
                self.unsent = Vec::new();
                give_way().await;
            }
            Next::Finish => {
                Box::pin(self.finish()).await;
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
    async fn wait(&self) -> Option<ControlFrame> {
        future::poll_fn(|context| match self.to.asked.take() {
            // A pong in the middle of a frame may be left out: only the latest ping counts.
            Some(ControlFrame::Pong(_)) if !self.converter.is_between_frames() => Poll::Ready(None),
            Some(control) => Poll::Ready(Some(control)),
            None => self.from.stream.poll_readable(context).map(|()| None),
        })
        .await
    }

    /// Sends the receiver what the other direction asked for.
    ///
    /// # Errors
    /// How it ended.
    async fn say(&self, control_frame: ControlFrame) -> Result<(), DirectionEnd> {
        match control_frame {
            ControlFrame::Pong(said) => self.send_all(&control(FrameKind::Pong, &said)).await,
            ControlFrame::Close => {
                self.finish().await;
                Err(self.drain().await)
            }
        }
    }

    /// Has the other direction answer the sender's control frames.
    async fn answer(&mut self) {
        if let Some(said) = self.converter.take_ping() {
            self.from.ask(ControlFrame::Pong(said)).await;
        }
        if self.converter.is_closed() {
            self.from.ask(ControlFrame::Close).await;
        }
    }

    /// Tells the receiver that no more comes; it may be gone by now.
    async fn finish(&self) {
        if self.to.transport == Transport::WebSocket && self.converter.is_between_frames() {
            let close = control(FrameKind::Close, &CLOSE_NORMAL.to_be_bytes());
            let _ = self.send_all(&close).await;
        }
        let _ = self.to.stream.socket().shutdown(Shutdown::Write);
        self.to.writing.set(Writing::Finished);
    }

    /// Reads on and drops it: closing a connection with unread bytes would reset it, and what was
    /// sent to it before could be lost.
    async fn drain(&self) -> DirectionEnd {
        loop {
            match self.drop_some() {
                Ok(true) => match self.flow.limit().obey() {
                    Some(wait) => wait.await,
                    None => give_way().await,
                },
                Ok(false) => self.from.stream.readable().await,
                Err(end) => return end,
            }
        }
    }

    /// Reads once and drops it; false if there was nothing. The buffer is on the stack of this
    /// call: what drains shall not hold one while it waits.
    fn drop_some(&self) -> Result<bool, DirectionEnd> {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
        match self.receive(&mut buffer)? {
            ReadPart::End => Err(DirectionEnd::Finished),
            ReadPart::Bytes(_) => Ok(true),
            ReadPart::Nothing => Ok(false),
        }
    }

    /// Converts what is there, at most [`CHUNKS_PER_TURN`] chunks, and where the rate allows less
    /// one. No session has a buffer of its own: one is on the stack of this call, never cleared,
    /// and all share the other.
    #[inline(never)]
    fn turn(&mut self) -> Result<Next, DirectionEnd> {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; IN_BYTES];
        let mut out = self.scratch.borrow_mut();
        if out.capacity() == 0 {
            out.reserve_exact(OUT_BYTES);
        }
        let most = self.flow.limit().at_once();
        for _ in 0..if most == TURN_BYTES { CHUNKS_PER_TURN } else { 1 } {
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
                let room = room.min(IN_BYTES).min(most);
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
                self.flow.takes_again(self.to.stream).await;
                self.flow.took();
            }
        }
        Ok(())
    }

    /// Sends what fits and tells how much that is.
    fn send_some(&self, bytes: &[u8]) -> Result<usize, DirectionEnd> {
        match send(self.to.stream.socket(), bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                self.flow.passed(sent);
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
        let received = recv(self.from.stream.socket(), buffer, RecvFlags::empty());
        match (received.map(|((chunk, _), _)| &*chunk), self.from.writing.get()) {
            (Ok([]), Writing::Failed) => Err(DirectionEnd::SenderBroke),
            (Ok([]), _) => Ok(ReadPart::End),
            (Ok(chunk), _) => {
                // Here, as not all of it goes further.
                self.flow.limit().count(chunk.len() as u64);
                if chunk.len() < room {
                    self.from.stream.read_short();
                }
                Ok(ReadPart::Bytes(chunk))
            }
            (Err(Errno::AGAIN), _) => {
                self.from.stream.drained();
                Ok(ReadPart::Nothing)
            }
            // It went without reading our end; there is no more to come either.
            (Err(Errno::CONNRESET), Writing::Finished) => Ok(ReadPart::End),
            (Err(_), _) => Err(DirectionEnd::SenderBroke),
        }
    }
}
