//! Moves the messages of a session of which at least one leg speaks WebSocket. Like `splice.rs`
//! each direction goes by itself; unlike there, bytes are converted, pings answered and closing
//! is said. C68-C70, C73.

use core::mem::MaybeUninit;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;

use heapless::Vec as Short;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smol::channel::{Receiver, Sender, bounded};
use smol::{Async, future};

use crate::base::conn::Transport;
use crate::base::counters::DropReason;
use crate::base::limits::{CHUNK_BYTES, CHUNKS_PER_TURN};
use crate::wire::convert::Converter;
use crate::wire::websocket::{CLOSE_NORMAL, CONTROL_BYTES_MAX, Kind, control};

use super::lane::Flow;
use super::link::{Link, readable, writable};
use super::pace::Pace;
use super::splice::{Ended, quiet};

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

/// Joins two legs like [`super::splice::join`], as messages.
pub async fn join(
    mut first: Link,
    mut second: Link,
    (idle_ms, pace): (u64, &Pace),
    room: Room,
) -> Ended {
    let flows = [Flow::new(pace)];
    let [flow] = &flows;
    let unfed = [core::mem::take(&mut first.leftover), core::mem::take(&mut second.leftover)];
    let reason = {
        let [(tell_first, first_hears), (tell_second, second_hears)] = [bounded(1), bounded(1)];
        let [unfed_first, unfed_second] = unfed;
        let [closed_first, closed_second] = &[Cell::new(false), Cell::new(false)];
        let from_first = (tell_first, second_hears, [closed_first, closed_second]);
        let from_second = (tell_second, first_hears, [closed_second, closed_first]);
        let mut forth = Way::new((&first, &second), from_first, unfed_first, &room);
        let mut back = Way::new((&second, &first), from_second, unfed_second, &room);
        let both = async {
            match future::try_zip(forth.run(flow), back.run(flow)).await {
                Ok(((), ())) => DropReason::Done,
                // A tunnel that turned to raw bytes, or a peer that breaks the rules.
                Err(error) if error.raw_os_error() == Some(Errno::PROTO.raw_os_error()) => {
                    DropReason::Malformed
                }
                Err(_) => DropReason::SendFailed,
            }
        };
        let quiet = async {
            quiet(&flows, idle_ms, pace).await;
            DropReason::Idle
        };
        future::or(both, quiet).await
    };
    Ended { bytes: flow.moved(), secs: pace.age_secs(), reason }
}

/// One direction.
struct Way<'a> {
    from: &'a Link,
    to: &'a Link,
    converter: Converter,
    /// What was read and not yet converted.
    unfed: Vec<u8>,
    /// What was converted and not yet taken by the receiver; has memory while messages stream.
    rest: Vec<u8>,
    /// To the other direction: words for the leg we read.
    answers: Sender<Word>,
    /// Words for the leg we write to.
    words: Receiver<Word>,
    /// Whether our last word was said to the leg we read, and to the one we write to.
    closed: [&'a Cell<bool>; 2],
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
    /// The receiver is gone.
    Refused,
    /// The sender has sent all.
    End,
}

impl<'a> Way<'a> {
    fn new(
        (from, to): (&'a Link, &'a Link),
        (answers, words, closed): (Sender<Word>, Receiver<Word>, [&'a Cell<bool>; 2]),
        unfed: Vec<u8>,
        room: &Room,
    ) -> Self {
        let converter = Converter::new(from.transport(), to.transport());
        let share = Share { room: room.clone(), held: 0 };
        Self { from, to, converter, unfed, rest: Vec::new(), answers, words, closed, share }
    }

    /// Moves messages until the sender has no more, and says so to the receiver.
    ///
    /// # Errors
    /// The sender broke off, or what it sent is no message: the session is over.
    async fn run(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        let mut closing = false;
        loop {
            let step = match self.turn(flow) {
                Ok(Step::Rest) => match send_all(&self.to.stream, &self.rest, flow).await? {
                    true if self.converter.is_closed() => Step::End,
                    true => Step::Yield,
                    false => Step::Refused,
                },
                step => step?,
            };
            self.answer();
            flow.keep_pace().await;
            match step {
                Step::Wait => match self.pause().await? {
                    None => {}
                    Some(Word::Pong(said)) => self.say(&control(Kind::Pong, &said), flow).await?,
                    Some(Word::Close) => {
                        closing = true;
                        break;
                    }
                },
                Step::Yield | Step::Rest => future::yield_now().await,
                Step::Refused => return Ok(()),
                Step::End => break,
            }
        }
        self.finish(flow).await?;
        if closing { self.drain().await } else { Ok(()) }
    }

    /// Waits without any memory but what it needs.
    async fn pause(&mut self) -> io::Result<Option<Word>> {
        self.rest = Vec::new();
        self.wait().await
    }

    /// Waits for bytes, or for a word that may be said now.
    async fn wait(&self) -> io::Result<Option<Word>> {
        let readable = async { readable(&self.from.stream).await.map(|()| None) };
        let word = async {
            match self.words.recv().await {
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
            let _ = self.answers.force_send(Word::Pong(said));
        }
        if self.converter.is_closed() {
            let _ = self.answers.force_send(Word::Close);
        }
    }

    async fn say(&self, frame: &[u8], flow: &Flow<'_>) -> io::Result<()> {
        send_all(&self.to.stream, frame, flow).await.map(|_| ())
    }

    /// Tells the receiver that no more comes.
    async fn finish(&self, flow: &Flow<'_>) -> io::Result<()> {
        if self.to.transport() == Transport::WebSocket && self.converter.is_between_frames() {
            self.say(&control(Kind::Close, &CLOSE_NORMAL.to_be_bytes()), flow).await?;
        }
        let _ = self.to.stream.get_ref().shutdown(Shutdown::Write);
        let [_, closed] = self.closed;
        closed.set(true);
        Ok(())
    }

    /// Reads on for nothing: closing a connection with unread bytes would reset it, and what was
    /// sent to it before could be lost.
    async fn drain(&self) -> io::Result<()> {
        loop {
            readable(&self.from.stream).await?;
            let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
            match recv(self.from.stream.get_ref(), buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((([], _), _)) => return Ok(()),
                Ok(_) | Err(Errno::AGAIN) => future::yield_now().await,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Converts what is there, at most [`CHUNKS_PER_TURN`] chunks. No session has a buffer of its
    /// own: one is on the stack of this call, never cleared, and all share the other.
    #[inline(never)]
    fn turn(&mut self, flow: &Flow<'_>) -> io::Result<Step> {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; CHUNK_BYTES];
        let scratch = Rc::clone(&self.share.room.scratch);
        let mut out = scratch.borrow_mut();
        if out.capacity() == 0 {
            out.reserve_exact(OUT_BYTES);
        }
        for _ in 0..CHUNKS_PER_TURN {
            let saved = core::mem::take(&mut self.unfed);
            let (input, full) = if saved.is_empty() {
                let [closed, _] = self.closed;
                match receive(self.from.stream.get_ref(), &mut buffer) {
                    Ok(Some([])) => return Ok(Step::End),
                    Ok(Some(chunk)) => (chunk, chunk.len() == CHUNK_BYTES),
                    Ok(None) => return Ok(Step::Wait),
                    // It went without reading our last word; there is no more to come either.
                    Err(error) if closed.get() && is_reset(&error) => return Ok(Step::End),
                    Err(error) => return Err(error),
                }
            } else {
                (saved.as_slice(), true)
            };
            out.clear();
            let limit = self.share.limit();
            let taken = self.converter.feed(input, &mut out, limit).map_err(|_| Errno::PROTO)?;
            self.share.hold(self.converter.gathered_len());
            self.unfed = input.get(taken..).unwrap_or_default().to_vec();
            if let Some(step) = self.pass_on(&out, flow)? {
                return Ok(step);
            }
            if !full && self.unfed.is_empty() {
                return Ok(Step::Wait);
            }
        }
        Ok(Step::Yield)
    }

    /// Sends converted bytes, and behind them a gathered message; None if all went.
    fn pass_on(&mut self, out: &[u8], flow: &Flow<'_>) -> io::Result<Option<Step>> {
        let whole = self.converter.take_whole();
        let sent = match out {
            [] => 0,
            _ => match send_some(self.to.stream.get_ref(), out, flow)? {
                Some(sent) => sent,
                None => return Ok(Some(Step::Refused)),
            },
        };
        let unsent = out.get(sent..).unwrap_or_default();
        self.rest.clear();
        self.rest.extend_from_slice(unsent);
        Ok(match whole {
            Some(whole) => {
                self.rest.extend_from_slice(&whole);
                Some(Step::Rest)
            }
            None if !unsent.is_empty() => Some(Step::Rest),
            None if self.converter.is_closed() => Some(Step::End),
            None => None,
        })
    }
}

/// Sends all of `rest`; false if the receiver is gone.
async fn send_all(to: &Async<TcpStream>, rest: &[u8], flow: &Flow<'_>) -> io::Result<bool> {
    let mut unsent = rest;
    while !unsent.is_empty() {
        let Some(sent) = send_some(to.get_ref(), unsent, flow)? else { return Ok(false) };
        unsent = unsent.get(sent..).unwrap_or_default();
        if sent == 0 {
            writable(to).await?;
        }
    }
    Ok(true)
}

/// Sends what fits and tells how much that is; None if the receiver closed the connection.
fn send_some(to: &TcpStream, bytes: &[u8], flow: &Flow<'_>) -> Result<Option<usize>, Errno> {
    match send(to, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => {
            flow.count(sent);
            Ok(Some(sent))
        }
        Err(Errno::AGAIN) => Ok(Some(0)),
        Err(Errno::PIPE | Errno::CONNRESET) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}

/// What is there to read; empty at the end, None for nothing yet.
fn receive<'a>(
    stream: &TcpStream,
    buffer: &'a mut [MaybeUninit<u8>; CHUNK_BYTES],
) -> io::Result<Option<&'a [u8]>> {
    match recv(stream, buffer.as_mut_slice(), RecvFlags::empty()) {
        Ok(((chunk, _), _)) => Ok(Some(chunk)),
        Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
