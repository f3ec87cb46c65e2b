//! Turns the bytes of one relay leg into those of its partner where at least one speaks WebSocket:
//! message boundaries stay, payloads stream through, nothing is held but what came in fragments
//! and must leave as one frame. Pure over bytes. C68, C73.

use alloc::vec::Vec;

use heapless::Vec as Short;

use crate::base::conn::Transport;

use super::websocket::{FrameKind, Header, append, header, header_for, unmask};
use super::{WireError, frame};

/// The longest header of either kind.
const HEADER_BYTES_MAX: usize = 14;
/// Payload bytes copied and unmasked at once: they stay in the first cache between the two.
const STRIDE_BYTES: usize = 4096;

/// One direction of a session.
#[derive(Debug)]
pub struct Converter {
    from: Transport,
    to: Transport,
    state: Expected,
    /// The kind of the WebSocket message whose last fragment has not come.
    open: Option<FrameKind>,
    /// Fragments of a message that must leave as one frame.
    gathered: Vec<u8>,
    ping: Ping,
}

/// What comes next of the sender's bytes.
#[derive(Debug)]
enum Expected {
    /// A header, of which this much is known.
    Header(Short<u8, HEADER_BYTES_MAX>),
    /// The payload behind a header.
    Payload(Payload),
    /// Nothing before the gathered message, which is whole, is taken.
    Whole,
    /// Nothing any more: the sender closed.
    Closed,
}

impl Expected {
    const START: Self = Self::Header(Short::new());
}

/// The payload at hand.
#[derive(Clone, Copy, Debug)]
struct Payload {
    left: u64,
    done: u64,
    /// Zeros for a frame, which has no mask.
    mask: [u8; 4],
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its header is out, its bytes follow.
    Forward,
    /// It is a fragment; `last` tells whether of a message that is whole then.
    Gather { last: bool },
    /// A ping, to be answered with the same bytes.
    Answer,
    /// A close, whose payload does not matter.
    Close,
    /// Nobody needs it: a pong, or text, which no client sends.
    Skip,
}

/// The sender's latest ping. A session holds no memory for one that did not come.
#[derive(Debug)]
enum Ping {
    /// There is none to be answered.
    Answered,
    /// Its payload is on its way: 125 bytes at most, as [`header`] sees to.
    Coming(Vec<u8>),
    /// It is complete.
    Unanswered(Vec<u8>),
}

/// What a header of either kind tells, seen from WebSocket, of which a frame is a whole message.
#[derive(Clone, Copy)]
struct Piece {
    kind: FrameKind,
    last: bool,
    len: u64,
}

impl Converter {
    /// A converter of what `from` frames into what `to` frames.
    pub const fn new(from: Transport, to: Transport) -> Self {
        Self {
            from,
            to,
            state: Expected::START,
            open: None,
            gathered: Vec::new(),
            ping: Ping::Answered,
        }
    }

    /// Takes bytes from the front of `input` and tells how many: fewer than there are if `out` has
    /// reached its capacity, which never grows, if a gathered message is whole
    /// ([`Converter::take_whole`] first), or if the peer said that it closes.
    ///
    /// # Errors
    /// [`WireError::Malformed`] for what is no frame, [`WireError::Oversized`] for a message longer
    /// than the partner's header can tell or, if it must be gathered, than `gather_max` bytes.
    pub fn feed(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        gather_max: usize,
    ) -> Result<usize, WireError> {
        let mut rest = input;
        loop {
            let taken = match self.state {
                Expected::Header(_) if out.capacity() - out.len() < HEADER_BYTES_MAX => break,
                Expected::Header(_) => self.header(rest, out, gather_max)?,
                Expected::Payload(payload) => self.payload(payload, rest, out, gather_max)?,
                Expected::Whole | Expected::Closed => break,
            };
            rest = rest.get(taken..).unwrap_or_default();
            match self.state {
                Expected::Payload(Payload { left: 0, fate, .. }) => self.end(fate),
                _ if taken == 0 => break,
                _ => {}
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Bytes of memory that a message in fragments takes.
    pub const fn gathered_bytes(&self) -> usize {
        self.gathered.capacity()
    }

    /// The message gathered from fragments, once it is whole: the rest of a frame whose header is
    /// out.
    pub fn take_whole(&mut self) -> Option<Vec<u8>> {
        let Expected::Whole = self.state else { return None };
        self.state = Expected::START;
        Some(core::mem::take(&mut self.gathered))
    }

    /// The payload of the latest ping, once: 125 bytes at most.
    pub fn take_ping(&mut self) -> Option<Vec<u8>> {
        let Ping::Unanswered(said) = &mut self.ping else { return None };
        let said = core::mem::take(said);
        self.ping = Ping::Answered;
        Some(said)
    }

    /// Whether the peer said that it closes; nothing it sends counts from then on.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, Expected::Closed)
    }

    /// Whether something else may be put between the bytes that came out and those to come.
    pub const fn is_between_frames(&self) -> bool {
        !matches!(
            self.state,
            Expected::Whole
                | Expected::Payload(Payload {
                    fate: Fate::Forward | Fate::Gather { last: true },
                    ..
                })
        )
    }

    /// Takes a header, or what there is of it.
    fn header(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        gather_max: usize,
    ) -> Result<usize, WireError> {
        let Expected::Header(begin) = &mut self.state else { return Ok(0) };
        let known = begin.len();
        let more = input.get(..HEADER_BYTES_MAX - known).unwrap_or(input);
        let _ = begin.extend_from_slice(more);
        let (payload, header_len) = match self.from {
            Transport::Tcp => {
                let Some((header_len, len)) = frame::header(begin) else { return Ok(more.len()) };
                (self.frame(len as u64, out)?, header_len)
            }
            Transport::WebSocket => {
                let Some((found, header_len)) = header(begin)? else { return Ok(more.len()) };
                (self.fragment(&found, out, gather_max)?, header_len)
            }
        };
        self.state = Expected::Payload(payload);
        Ok(header_len.saturating_sub(known))
    }

    /// A frame begins; an empty one goes no further.
    fn frame(&self, len: u64, out: &mut Vec<u8>) -> Result<Payload, WireError> {
        if len > 0 {
            self.announce(Piece { kind: FrameKind::Binary, last: true, len }, out)?;
        }
        Ok(Payload { left: len, done: 0, mask: [0; 4], fate: Fate::Forward })
    }

    /// A WebSocket frame begins; its header is out if it goes on.
    fn fragment(
        &mut self,
        found: &Header,
        out: &mut Vec<u8>,
        gather_max: usize,
    ) -> Result<Payload, WireError> {
        let fate = self.fate(found, out)?;
        let held = self.gathered.len() as u64;
        if let Fate::Gather { last } = fate {
            let len = held.saturating_add(found.payload_len);
            if len > gather_max as u64 {
                return Err(WireError::Oversized);
            }
            if last && len > 0 {
                self.announce(Piece { kind: FrameKind::Binary, last, len }, out)?;
            }
        }
        Ok(Payload { left: found.payload_len, done: 0, mask: found.mask, fate })
    }

    fn fate(&mut self, found: &Header, out: &mut Vec<u8>) -> Result<Fate, WireError> {
        let &Header { kind, last, payload_len: len, .. } = found;
        let message = match (kind, self.open) {
            (FrameKind::Ping, _) => {
                self.ping = Ping::Coming(Vec::new());
                return Ok(Fate::Answer);
            }
            (FrameKind::Pong, _) => return Ok(Fate::Skip),
            (FrameKind::Close, _) => return Ok(Fate::Close),
            (FrameKind::Continuation, Some(message)) => message,
            (FrameKind::Text | FrameKind::Binary, None) => kind,
            _ => return Err(WireError::Malformed),
        };
        let alone = last && self.open.is_none();
        self.open = if last { None } else { Some(message) };
        if message == FrameKind::Text || (alone && len == 0) {
            return Ok(Fate::Skip);
        }
        if self.to == Transport::Tcp && !alone {
            return Ok(Fate::Gather { last });
        }
        self.announce(Piece { kind, last, len }, out)?;
        Ok(Fate::Forward)
    }

    /// Writes the partner's header, for which there is room.
    fn announce(&self, piece: Piece, out: &mut Vec<u8>) -> Result<(), WireError> {
        let Piece { kind, last, len } = piece;
        match self.to {
            Transport::WebSocket => out.extend_from_slice(&header_for(kind, last, len)),
            Transport::Tcp => {
                let len = usize::try_from(len).map_err(|_| WireError::Oversized)?;
                out.extend_from_slice(&frame::header_for(len)?);
            }
        }
        Ok(())
    }

    /// Takes what there is of the payload at hand, or as much as fits.
    fn payload(
        &mut self,
        payload: Payload,
        input: &[u8],
        out: &mut Vec<u8>,
        gather_max: usize,
    ) -> Result<usize, WireError> {
        let len = usize::try_from(payload.left).unwrap_or(usize::MAX).min(input.len());
        let len = match payload.fate {
            Fate::Forward => len.min(out.capacity() - out.len()),
            Fate::Gather { .. } | Fate::Answer | Fate::Close | Fate::Skip => len,
        };
        let gathers = matches!(payload.fate, Fate::Gather { .. });
        // Others may have gathered since the header came.
        if gathers && self.gathered.len() + len > gather_max {
            return Err(WireError::Oversized);
        }
        let (mut done, part) = (payload.done, input.get(..len).unwrap_or_default());
        for stride in part.chunks(STRIDE_BYTES) {
            let added = match (payload.fate, &mut self.ping) {
                (Fate::Forward, _) => append(out, stride),
                (Fate::Gather { .. }, _) => append(&mut self.gathered, stride),
                (Fate::Answer, Ping::Coming(said)) => append(said, stride),
                (Fate::Answer | Fate::Close | Fate::Skip, _) => &mut [],
            };
            if self.from == Transport::WebSocket {
                unmask(payload.mask, done, added);
            }
            done += stride.len() as u64;
        }
        self.state =
            Expected::Payload(Payload { left: payload.left - len as u64, done, ..payload });
        Ok(len)
    }

    /// The payload at hand is complete.
    fn end(&mut self, fate: Fate) {
        self.state = match fate {
            Fate::Close => Expected::Closed,
            Fate::Gather { last: true } if !self.gathered.is_empty() => Expected::Whole,
            Fate::Forward | Fate::Gather { .. } | Fate::Answer | Fate::Skip => Expected::START,
        };
        if let (Fate::Answer, Ping::Coming(said)) = (fate, &mut self.ping) {
            self.ping = Ping::Unanswered(core::mem::take(said));
        }
    }
}
