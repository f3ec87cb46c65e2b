//! A connection and the way it cuts its bytes into payloads: length-prefixed frames, or the
//! messages of a WebSocket, whose pings it answers. It holds no buffer while nothing is half read,
//! and knows nothing of what payloads say. C01-C04, C31, C73, C107.

pub mod bytes;

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use log::warn;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smol::future;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Transport;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::WRITE_MS;
use hbb_core::wire::message::ONLINE_QUERY_BEGIN;
use hbb_core::wire::websocket::{self, Assembly, CLOSE_NORMAL, FrameKind, Received};
use hbb_core::wire::{WireError, frame, proxied};

use crate::net::conn::link::bytes::{Account, Held};
use crate::net::reactor::{Source, Timer, give_way};

/// Bytes read at once; a longer payload takes several reads.
const READ_BYTES: usize = 2048;
/// Memory for what was read grows by so much at least, and never to twice what is needed.
const STEP_BYTES: usize = 256;

/// How bytes are cut.
pub enum Codec {
    /// Length-prefixed frames.
    Frames,
    /// WebSocket messages.
    WebSocket(Assembly),
}

/// One connection.
pub struct Link {
    /// Its socket, non-blocking.
    pub stream: Source<TcpStream>,
    /// What was read of it and not yet used.
    pub leftover: Vec<u8>,
    /// How its bytes are cut.
    pub codec: Codec,
    /// Whether it is no stranger's, who get the smaller share of memory.
    pub familiar: bool,
    /// Whether a proxy made it that does not say for whom; told with its first frame.
    pub unnamed: bool,
    /// The memory of what was read.
    held: Held,
}

impl Link {
    /// What it speaks.
    pub const fn transport(&self) -> Transport {
        match self.codec {
            Codec::Frames => Transport::Tcp,
            Codec::WebSocket(_) => Transport::WebSocket,
        }
    }

    /// Reads once, if there is something.
    ///
    /// # Errors
    /// `Done` at the end of the stream or when it broke, `MemoryFull` if all that connections may
    /// hold is held.
    pub fn read(&mut self) -> Result<(), DropReason> {
        // On the stack of this call, not in the connection.
        let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
        match recv(self.stream.socket(), &mut buffer, RecvFlags::empty()) {
            Ok((_, 0)) => Err(DropReason::Done),
            Ok(((bytes, _), len)) => {
                if len < READ_BYTES {
                    self.stream.read_short();
                }
                self.keep(bytes);
                self.count_held()
            }
            Err(Errno::AGAIN) => {
                self.stream.drained();
                Ok(())
            }
            Err(_) => Err(DropReason::Done),
        }
    }

    /// Keeps bytes behind those that were read before.
    pub fn keep(&mut self, more: &[u8]) {
        if self.leftover.capacity() - self.leftover.len() < more.len() {
            self.leftover.reserve_exact(more.len().max(STEP_BYTES));
        }
        self.leftover.extend_from_slice(more);
    }

    /// Whether so many bytes more may be kept.
    pub fn has_room(&mut self, bytes: usize) -> bool {
        self.held.set(self.leftover.len() + bytes.max(STEP_BYTES), self.familiar)
    }

    /// What was read and not yet used, which somebody else holds from now on.
    pub fn take_leftover(&mut self) -> Vec<u8> {
        self.held.set(0, self.familiar);
        core::mem::take(&mut self.leftover)
    }

    /// The memory of a payload of so many bytes that came on it, or is to go.
    ///
    /// # Errors
    /// `MemoryFull`.
    pub fn hold(&self, bytes: usize) -> Result<Held, DropReason> {
        self.held.another(bytes, self.familiar).ok_or(DropReason::MemoryFull)
    }

    /// Whether what is half read may be an online query, as far as its first bytes are there.
    pub fn brings_query(&self) -> bool {
        let (before, header_len, mask) = match &self.codec {
            Codec::Frames => (&[][..], frame::header(&self.leftover).map(|(len, _)| len), [0; 4]),
            Codec::WebSocket(assembly) => {
                let header = websocket::header(&self.leftover).ok().flatten();
                let mask = header.map_or([0; 4], |(header, _)| header.mask);
                (assembly.fragments(), header.map(|(_, len)| len), mask)
            }
        };
        let here = header_len.and_then(|len| self.leftover.get(len..)).unwrap_or_default();
        let here = here.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        before.iter().copied().chain(here).zip(ONLINE_QUERY_BEGIN).all(|(byte, tag)| byte == tag)
    }

    /// Its client is at `ip`, as a proxy told.
    pub fn comes_from(&self, ip: IpAddr) {
        self.held.comes_from(ip);
    }

    /// It may hold a long query from now on, out of the part that is kept for who is known.
    pub fn may_hold_query(&self) {
        self.held.may_be_long();
    }

    /// Gives back memory that is not needed, and says how much the rest is.
    fn count_held(&mut self) -> Result<(), DropReason> {
        if self.leftover.capacity() - self.leftover.len() > READ_BYTES {
            self.leftover.shrink_to_fit();
        }
        let fragments = match &self.codec {
            Codec::Frames => 0,
            Codec::WebSocket(assembly) => assembly.held_bytes(),
        };
        let held = self.held.set(self.leftover.capacity() + fragments, self.familiar);
        if held { Ok(()) } else { Err(DropReason::MemoryFull) }
    }

    /// The next payload of what was read; None if it is not whole yet. An empty one is a sign of
    /// life and no more.
    ///
    /// # Errors
    /// `Oversized` as soon as more than `payload_max` is announced, `Malformed` for what is no
    /// frame, `Done` when a WebSocket says it is closed, `MemoryFull` as [`Link::read`].
    pub async fn payload(&mut self, payload_max: usize) -> Result<Option<Vec<u8>>, DropReason> {
        let payload = self.cut(payload_max).await?;
        self.count_held()?;
        Ok(payload)
    }

    async fn cut(&mut self, payload_max: usize) -> Result<Option<Vec<u8>>, DropReason> {
        loop {
            let (item, consumed) = match &mut self.codec {
                Codec::Frames => {
                    if self.warn_of_proxy() {
                        return Err(DropReason::Malformed);
                    }
                    match frame::split(&self.leftover, payload_max).map_err(drop_reason)? {
                        Some(frame) => {
                            let (consumed, len) = (frame.consumed, frame.payload.len());
                            (Received::Message(self.take(consumed, len)), consumed)
                        }
                        None => return Ok(None),
                    }
                }
                Codec::WebSocket(assembly) => {
                    match assembly.next(&mut self.leftover, payload_max).map_err(drop_reason)? {
                        Some(found) => found,
                        None => return Ok(None),
                    }
                }
            };
            self.leftover.drain(..consumed.min(self.leftover.len()));
            if self.leftover.is_empty() {
                self.leftover = Vec::new();
            }
            match item {
                Received::Message(payload) => return Ok(Some(payload)),
                Received::Nothing => {}
                Received::Ping(said) => {
                    self.write(&websocket::control(FrameKind::Pong, &said)).await?
                }
                Received::Close => {
                    let said = CLOSE_NORMAL.to_be_bytes();
                    self.write(&websocket::control(FrameKind::Close, &said)).await?;
                    return Err(DropReason::Done);
                }
            }
        }
    }

    /// Who made it, a client or a proxy of his; None once it is gone.
    pub fn peer(&self) -> Option<IpAddr> {
        self.stream.socket().peer_addr().ok().map(|at| Endpoint::from(at).ip())
    }

    /// Whether what comes is no message but the PROXY protocol, of a proxy from which it is not
    /// expected; that, and that it is missing where it should be, is said (C131).
    pub fn warn_of_proxy(&mut self) -> bool {
        let unexpected = proxied::begins(&self.leftover);
        let due = unexpected || (self.unnamed && self.leftover.len() > 1);
        // One that is gone already only looked whether we are there.
        if due && let Some(proxy) = self.peer() {
            let flag = "--proxy-protocol";
            match unexpected {
                true => warn!("proxy-protocol-unexpected proxy={proxy} help={flag}"),
                false => warn!("proxy-protocol-missing proxy={proxy} help={flag}"),
            }
            self.unnamed = false;
        }
        unexpected
    }

    /// The payload of so many bytes at the end of so many. A long one that is all there is gets no
    /// second copy.
    fn take(&mut self, consumed: usize, len: usize) -> Vec<u8> {
        let header_len = consumed.saturating_sub(len);
        if len < READ_BYTES || consumed < self.leftover.len() {
            return self.leftover.get(header_len..consumed).unwrap_or_default().to_vec();
        }
        let mut whole = core::mem::take(&mut self.leftover);
        whole.drain(..header_len.min(whole.len()));
        whole
    }

    /// Whether a payload has begun to come and is not whole.
    pub fn is_half_read(&self) -> bool {
        let in_fragments = match &self.codec {
            Codec::Frames => false,
            Codec::WebSocket(assembly) => assembly.is_open(),
        };
        in_fragments || !self.leftover.is_empty()
    }

    /// Whether a WebSocket's close is what comes next.
    pub fn takes_leave(&self) -> bool {
        self.leftover.first() == Some(&0x88) && matches!(self.codec, Codec::WebSocket(_))
    }

    /// Waits for the next payload.
    ///
    /// # Errors
    /// As [`Link::payload`] and [`Link::read`].
    pub async fn next_payload(&mut self, payload_max: usize) -> Result<Vec<u8>, DropReason> {
        loop {
            if let Some(payload) = self.payload(payload_max).await? {
                return Ok(payload);
            }
            self.read_more().await?;
        }
    }

    /// Waits until there is something to read, and reads once.
    ///
    /// # Errors
    /// As [`Link::read`].
    pub async fn read_more(&mut self) -> Result<(), DropReason> {
        self.stream.readable().await;
        self.read()?;
        self.let_others().await;
        Ok(())
    }

    /// Gives way if there may be more to read: whoever always has more keeps nobody from his turn,
    /// and whoever is through is answered before his end is seen.
    pub async fn let_others(&self) {
        if self.stream.is_unread() {
            give_way().await;
        } else if self.stream.is_readable() {
            // Nothing but the end: those who can go on do, and the kernel need not be asked.
            future::yield_now().await;
        }
    }

    /// Sends one payload.
    ///
    /// # Errors
    /// As [`Link::write`].
    pub async fn send(&self, payload: &[u8]) -> Result<(), DropReason> {
        self.write(&self.framed(payload)?).await
    }

    /// A payload as it goes out.
    ///
    /// # Errors
    /// `Bug` for one that no frame can hold.
    pub fn framed(&self, payload: &[u8]) -> Result<Vec<u8>, DropReason> {
        Ok(match self.codec {
            Codec::Frames => {
                let header = frame::header_for(payload.len()).map_err(|_| DropReason::Bug)?;
                [&header, payload].concat()
            }
            Codec::WebSocket(_) => {
                let len = payload.len() as u64;
                [&websocket::header_for(FrameKind::Binary, true, len), payload].concat()
            }
        })
    }

    /// Writes all of `bytes`, giving up on a peer that does not read.
    ///
    /// # Errors
    /// `SendFailed`, or `SlowReader`.
    pub async fn write(&self, bytes: &[u8]) -> Result<(), DropReason> {
        within(WRITE_MS, Err(DropReason::SlowReader), self.write_all(bytes)).await
    }

    async fn write_all(&self, mut bytes: &[u8]) -> Result<(), DropReason> {
        while !bytes.is_empty() {
            let sent = match send(self.stream.socket(), bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => sent,
                Err(Errno::AGAIN | Errno::INTR) => 0,
                Err(_) => return Err(DropReason::SendFailed),
            };
            bytes = bytes.get(sent..).unwrap_or_default();
            if !bytes.is_empty() {
                self.stream.full();
                self.stream.writable().await;
            }
        }
        Ok(())
    }

    /// Takes it out of this thread's reactor.
    pub fn unwatch(self) -> TravellingLink {
        let Self { stream, leftover, codec, familiar, unnamed, held } = self;
        TravellingLink { stream: stream.into_inner(), leftover, codec, familiar, unnamed, held }
    }
}

/// A connection on its way to a thread, that no reactor watches.
pub struct TravellingLink {
    /// Its socket, non-blocking.
    pub stream: TcpStream,
    /// As in [`Link`].
    pub leftover: Vec<u8>,
    /// As in [`Link`].
    pub codec: Codec,
    familiar: bool,
    unnamed: bool,
    held: Held,
}

impl TravellingLink {
    /// A connection of frames, of which nothing was read; what it holds is said in `account`. It
    /// must be non-blocking.
    pub fn new(stream: TcpStream, account: Arc<Account>) -> Self {
        let (leftover, codec, held) = (Vec::new(), Codec::Frames, Held::none(account));
        Self { stream, leftover, codec, familiar: false, unnamed: false, held }
    }

    /// Has this thread's reactor watch it. It is in a box, as it goes from hand to hand.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn watch(self) -> io::Result<Box<Link>> {
        let Self { stream, leftover, codec, familiar, unnamed, held } = self;
        let stream = Source::new(stream)?;
        Ok(Box::new(Link { stream, leftover, codec, familiar, unnamed, held }))
    }
}

/// What `work` comes to, or `late` if it takes longer than so many milliseconds. No async function:
/// that would keep `work` twice.
pub fn within<T>(ms: u64, late: T, work: impl Future<Output = T>) -> impl Future<Output = T> {
    future::or(work, async move {
        Timer::after(Duration::from_millis(ms)).await;
        late
    })
}

fn drop_reason(error: WireError) -> DropReason {
    match error {
        WireError::Malformed => DropReason::Malformed,
        WireError::Oversized => DropReason::Oversized,
    }
}
