//! Turns the bytes of one relay leg into those of its partner where at least one speaks WebSocket:
//! message boundaries stay, payloads stream through, nothing is held but what came in fragments
//! and must leave as one frame. Pure over bytes. C68, C73.

use alloc::vec::Vec;

use heapless::Vec as Short;

use crate::base::conn::Transport;

use super::websocket::{CONTROL_BYTES_MAX, FrameKind, header, header_for, unmask};
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
    /// The begin of a header that is not whole yet.
    begin: Short<u8, HEADER_BYTES_MAX>,
    payload: Option<Payload>,
    /// The kind of the WebSocket message whose last fragment has not come.
    open: Option<FrameKind>,
    /// Fragments of a message that must leave as one frame, and whether that is whole.
    gathered: Vec<u8>,
    whole: bool,
    control: Short<u8, CONTROL_BYTES_MAX>,
    ping: bool,
    closed: bool,
}

/// The payload at hand.
#[derive(Clone, Copy, Debug)]
struct Payload {
    left: u64,
    done: u64,
    mask: [u8; 4],
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its header is out, its bytes follow.
    Forward,
    /// It is a fragment; `last` tells whether of a message that is whole then.
    Gather { last: bool },
    /// It is for us.
    Control(FrameKind),
    /// Text, which nobody here sends.
    Drop,
}

impl Converter {
    /// From the first way of cutting bytes to the second.
    pub const fn new(from: Transport, to: Transport) -> Self {
        Self {
            from,
            to,
            begin: Short::new(),
            payload: None,
            open: None,
            gathered: Vec::new(),
            whole: false,
            control: Short::new(),
            ping: false,
            closed: false,
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
        while !self.whole && !self.closed {
            let taken = match self.payload {
                Some(payload) => self.payload(payload, rest, out),
                None if out.capacity() - out.len() < HEADER_BYTES_MAX => break,
                None => self.header(rest, out, gather_max)?,
            };
            rest = rest.get(taken..).unwrap_or_default();
            let ended = self.payload.is_some_and(|payload| payload.left == 0);
            if ended {
                self.end();
            } else if taken == 0 {
                break;
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Bytes held of a message in fragments.
    pub const fn gathered_len(&self) -> usize {
        self.gathered.len()
    }

    /// The message gathered from fragments, as a frame, once it is whole.
    pub fn take_whole(&mut self) -> Option<Vec<u8>> {
        if !core::mem::take(&mut self.whole) {
            return None;
        }
        let mut whole = core::mem::take(&mut self.gathered);
        let header = frame::header_for(whole.len()).ok()?;
        whole.splice(0..0, header);
        Some(whole)
    }

    /// What the latest ping said, once.
    pub fn take_ping(&mut self) -> Option<Short<u8, CONTROL_BYTES_MAX>> {
        core::mem::take(&mut self.ping).then(|| core::mem::take(&mut self.control))
    }

    /// Whether the peer said that it closes; nothing it sends counts from then on.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether something else may be put between the bytes that came out and those to come.
    pub fn is_between_frames(&self) -> bool {
        !self.payload.is_some_and(|payload| payload.fate == Fate::Forward)
    }

    /// Takes a header, or what there is of it.
    fn header(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        gather_max: usize,
    ) -> Result<usize, WireError> {
        let known = self.begin.len();
        let more = input.get(..HEADER_BYTES_MAX - known).unwrap_or(input);
        let _ = self.begin.extend_from_slice(more);
        let (payload, header_len) = match self.from {
            Transport::Tcp => match frame::header(&self.begin) {
                Some((header_len, len)) => (self.frame(len as u64, out)?, header_len),
                None => return Ok(more.len()),
            },
            Transport::WebSocket => match header(&self.begin)? {
                Some((found, header_len)) => {
                    let fate = self.fate(found.kind, (found.last, found.payload_len), out)?;
                    let left = found.payload_len;
                    let held = self.gathered.len() as u64;
                    let gathers = matches!(fate, Fate::Gather { .. });
                    if gathers && held.saturating_add(left) > gather_max as u64 {
                        return Err(WireError::Oversized);
                    }
                    (Payload { left, done: 0, mask: found.mask, fate }, header_len)
                }
                None => return Ok(more.len()),
            },
        };
        self.begin.clear();
        self.payload = Some(payload);
        Ok(header_len.saturating_sub(known))
    }

    /// A frame begins; an empty one goes no further.
    fn frame(&self, left: u64, out: &mut Vec<u8>) -> Result<Payload, WireError> {
        if left > 0 {
            self.announce(FrameKind::Binary, (true, left), out)?;
        }
        Ok(Payload { left, done: 0, mask: [0; 4], fate: Fate::Forward })
    }

    /// What becomes of a WebSocket frame; its header is out if it goes on.
    fn fate(
        &mut self,
        kind: FrameKind,
        (last, len): (bool, u64),
        out: &mut Vec<u8>,
    ) -> Result<Fate, WireError> {
        if kind.is_control() {
            self.control.clear();
            return Ok(Fate::Control(kind));
        }
        let message = match (kind, self.open) {
            (FrameKind::Continuation, Some(message)) => message,
            (FrameKind::Text | FrameKind::Binary, None) => kind,
            _ => return Err(WireError::Malformed),
        };
        let alone = last && self.open.is_none();
        self.open = if last { None } else { Some(message) };
        if message == FrameKind::Text || (alone && len == 0) {
            return Ok(Fate::Drop);
        }
        if self.to == Transport::Tcp && !alone {
            return Ok(Fate::Gather { last });
        }
        self.announce(kind, (last, len), out)?;
        Ok(Fate::Forward)
    }

    /// Writes the partner's header.
    fn announce(
        &self,
        kind: FrameKind,
        (last, len): (bool, u64),
        out: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        // Room was there for the longest header.
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
    fn payload(&mut self, payload: Payload, input: &[u8], out: &mut Vec<u8>) -> usize {
        let len = usize::try_from(payload.left).unwrap_or(usize::MAX).min(input.len());
        let len = match payload.fate {
            Fate::Forward => len.min(out.capacity() - out.len()),
            Fate::Gather { .. } | Fate::Control(_) | Fate::Drop => len,
        };
        let (mut done, part) = (payload.done, input.get(..len).unwrap_or_default());
        for stride in part.chunks(STRIDE_BYTES) {
            let added = match payload.fate {
                Fate::Forward => append(out, stride),
                Fate::Gather { .. } => append(&mut self.gathered, stride),
                Fate::Control(_) => {
                    let before = self.control.len();
                    let _ = self.control.extend_from_slice(stride);
                    self.control.get_mut(before..).unwrap_or_default()
                }
                Fate::Drop => &mut [],
            };
            // Frames have no mask.
            if self.from == Transport::WebSocket {
                unmask(payload.mask, done, added);
            }
            done += stride.len() as u64;
        }
        self.payload = Some(Payload { left: payload.left - len as u64, done, ..payload });
        len
    }

    /// The payload at hand is complete.
    fn end(&mut self) {
        match self.payload.take().map(|payload| payload.fate) {
            Some(Fate::Control(FrameKind::Ping)) => self.ping = true,
            Some(Fate::Control(FrameKind::Close)) => self.closed = true,
            Some(Fate::Gather { last: true }) => self.whole = !self.gathered.is_empty(),
            _ => {}
        }
    }
}

/// What was added.
fn append<'a>(bytes: &'a mut Vec<u8>, more: &[u8]) -> &'a mut [u8] {
    let before = bytes.len();
    bytes.extend_from_slice(more);
    bytes.get_mut(before..).unwrap_or_default()
}
