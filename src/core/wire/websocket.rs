//! WebSocket frames (RFC 6455 §5): headers both ways, masks, and whole messages put together from
//! fragments. Pure over bytes; it must not know what a message means. C31, C73.

use alloc::vec::Vec;

use heapless::Vec as Short;

use super::WireError;

/// Longest payload of a control frame (RFC 6455 §5.5).
pub const CONTROL_BYTES_MAX: usize = 125;
/// A normal end (RFC 6455 §7.4.1).
pub const CLOSE_NORMAL: u16 = 1000;

const FIN: u8 = 0x80;
/// Beside the length: a mask follows, as in all that clients send (RFC 6455 §5.2).
pub const MASKED: u8 = 0x80;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A further fragment of a message.
    Continuation,
    /// Text, or the first fragment of one.
    Text,
    /// Bytes, or the first fragment of them.
    Binary,
    /// The last word of a side.
    Close,
    /// Wants a pong with the same payload.
    Ping,
    /// Answers a ping.
    Pong,
}

impl FrameKind {
    fn from_opcode(opcode: u8) -> Option<Self> {
        Some(match opcode {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn opcode(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    /// Whether it may stand between the fragments of a message.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: FrameKind,
    /// Whether it is the last of its message.
    pub last: bool,
    /// Bytes that follow.
    pub payload_len: u64,
    /// What they are masked with.
    pub mask: [u8; 4],
}

/// The header at the front of `buffer` and its length, at most 14; None while it is incomplete.
///
/// # Errors
/// [`WireError::Malformed`] for what a client may not send: no mask, extension bits, an unknown
/// kind, a long or fragmented control frame.
pub fn header(buffer: &[u8]) -> Result<Option<(Header, usize)>, WireError> {
    let Some((&[first, second], rest)) = buffer.split_first_chunk() else { return Ok(None) };
    let kind = FrameKind::from_opcode(first & 0x0f).ok_or(WireError::Malformed)?;
    let (last, short) = (first & FIN != 0, second & !MASKED);
    let control_fits = last && usize::from(short) <= CONTROL_BYTES_MAX;
    if first & 0x70 != 0 || second & MASKED == 0 || (kind.is_control() && !control_fits) {
        return Err(WireError::Malformed);
    }
    let (payload_len, rest, len_len) = match short {
        126 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest, 2),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest, 8),
            None => return Ok(None),
        },
        _ => (u64::from(short), rest, 0),
    };
    let Some(mask) = rest.first_chunk() else { return Ok(None) };
    Ok(Some((Header { kind, last, payload_len, mask: *mask }, 2 + len_len + 4)))
}

/// Our header, without a mask as servers write it, for `payload_len` bytes.
pub fn header_for(kind: FrameKind, last: bool, payload_len: u64) -> Short<u8, 10> {
    let mut header = Short::new();
    let _ = header.push(kind.opcode() | if last { FIN } else { 0 });
    if let Some(short) = u8::try_from(payload_len).ok().filter(|len| *len < 126) {
        let _ = header.push(short);
    } else if let Ok(len) = u16::try_from(payload_len) {
        let _ = header.push(126);
        let _ = header.extend_from_slice(&len.to_be_bytes());
    } else {
        let _ = header.push(127);
        let _ = header.extend_from_slice(&payload_len.to_be_bytes());
    }
    header
}

/// A control frame of ours; of a longer payload than allowed the front.
pub fn control(kind: FrameKind, payload: &[u8]) -> Short<u8, { 2 + CONTROL_BYTES_MAX }> {
    let payload = payload.get(..CONTROL_BYTES_MAX).unwrap_or(payload);
    let mut frame = Short::new();
    let _ = frame.extend_from_slice(&header_for(kind, true, payload.len() as u64));
    let _ = frame.extend_from_slice(payload);
    frame
}

/// Applies a mask to bytes of which `done` came before, in place. Bulk passes here: sixteen bytes
/// at a time, four times that in each turn of the loop, as nobody unrolls it where size counts.
pub fn unmask(mask: [u8; 4], done: u64, bytes: &mut [u8]) {
    // In the order in which the bytes come: shifting an array is two calls, a number one step.
    let mask = u32::from_be_bytes(mask).rotate_left(u32::try_from(done % 4).unwrap_or(0) * 8);
    let twice = u64::from(mask) << 32 | u64::from(mask);
    let wide = u128::from(twice) << 64 | u128::from(twice);
    let wide = u128::from_ne_bytes(wide.to_be_bytes());
    let apply = |word: &mut [u8; 16]| *word = (u128::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    let (words, rest) = bytes.as_chunks_mut::<16>();
    let (blocks, few) = words.as_chunks_mut::<4>();
    for [first, second, third, fourth] in blocks {
        apply(first);
        apply(second);
        apply(third);
        apply(fourth);
    }
    few.iter_mut().for_each(apply);
    for (byte, mask) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= mask;
    }
}

/// Adds bytes, and gives them where they are now. Memory grows by an eighth at most, as one of
/// these can be as long as all may be.
pub(super) fn append<'a>(bytes: &'a mut Vec<u8>, more: &[u8]) -> &'a mut [u8] {
    let before = bytes.len();
    if bytes.capacity() - before < more.len() {
        bytes.reserve_exact(more.len().max(before / 8));
    }
    bytes.extend_from_slice(more);
    bytes.get_mut(before..).unwrap_or_default()
}

/// What a frame led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole binary message.
    Message(Vec<u8>),
    /// Nothing yet, or nothing for us: a fragment, a pong, a text message.
    Nothing,
    /// To be answered with the same payload.
    Ping(Short<u8, CONTROL_BYTES_MAX>),
    /// The client will say no more.
    Close,
}

/// Puts messages together. Holds no memory between messages.
#[derive(Clone, Debug, Default)]
pub struct Assembly {
    fragments: Vec<u8>,
    /// The kind of the message that is not whole yet.
    open: Option<FrameKind>,
}

impl Assembly {
    /// Whether fragments of a message came and its last one did not.
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// What came of a message that is not whole yet.
    pub fn fragments(&self) -> &[u8] {
        &self.fragments
    }

    /// Bytes of memory that fragments take.
    pub const fn held_bytes(&self) -> usize {
        self.fragments.capacity()
    }

    /// The frame at the front of `buffer`, which is unmasked in place, and the bytes it took;
    /// None while it is incomplete.
    ///
    /// # Errors
    /// [`WireError::Oversized`] as soon as a header announces more than `message_max` with what is
    /// there already; [`WireError::Malformed`] as [`header`], or fragments out of order.
    pub fn next(
        &mut self,
        buffer: &mut [u8],
        message_max: usize,
    ) -> Result<Option<(Received, usize)>, WireError> {
        let Some((header, header_len)) = header(buffer)? else { return Ok(None) };
        let len = usize::try_from(header.payload_len).map_err(|_| WireError::Oversized)?;
        if !header.kind.is_control() && len > message_max.saturating_sub(self.fragments.len()) {
            return Err(WireError::Oversized);
        }
        let consumed = header_len + len;
        let Some(payload) = buffer.get_mut(header_len..consumed) else { return Ok(None) };
        unmask(header.mask, 0, payload);
        Ok(Some((self.take(header, payload)?, consumed)))
    }

    fn take(&mut self, header: Header, payload: &[u8]) -> Result<Received, WireError> {
        let kind = match header.kind {
            FrameKind::Ping => {
                return Ok(Received::Ping(Short::from_slice(payload).unwrap_or_default()));
            }
            FrameKind::Pong => return Ok(Received::Nothing),
            FrameKind::Close => return Ok(Received::Close),
            FrameKind::Continuation => self.open.take(),
            FrameKind::Text | FrameKind::Binary if self.open.is_some() => None,
            kind @ (FrameKind::Text | FrameKind::Binary) => Some(kind),
        };
        let kind = kind.ok_or(WireError::Malformed)?;
        if kind == FrameKind::Binary {
            append(&mut self.fragments, payload);
        }
        if !header.last {
            self.open = Some(kind);
            return Ok(Received::Nothing);
        }
        let message = core::mem::take(&mut self.fragments);
        Ok(if kind == FrameKind::Binary { Received::Message(message) } else { Received::Nothing })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn refuses_what_clients_may_not_send() {
        for bad in [[0x82, 0x01], [0xc2, 0x81], [0x83, 0x81], [0x09, 0x80], [0x88, 0xfe]] {
            assert_eq!(header(&bad), Err(WireError::Malformed), "{bad:02x?}");
        }
    }

    #[test]
    fn headers_tell_every_length() {
        for (len, bytes) in [(0, 2), (125, 2), (126, 4), (0xffff, 4), (0x1_0000, 10)] {
            let mut frame = header_for(FrameKind::Binary, true, len).to_vec();
            assert_eq!(frame.len(), bytes, "{len}");
            frame[1] |= MASKED;
            assert_eq!(header(&frame), Ok(None), "the mask is not there yet");
            frame.extend_from_slice(&[1, 2, 3, 4]);
            let whole = Header {
                kind: FrameKind::Binary,
                last: true,
                payload_len: len,
                mask: [1, 2, 3, 4],
            };
            assert_eq!(header(&frame), Ok(Some((whole, bytes + 4))));
            for cut in 0..frame.len() {
                assert_eq!(header(&frame[..cut]), Ok(None), "{len} cut at {cut}");
            }
        }
    }

    #[test]
    fn masks_go_on_where_the_last_part_ended() {
        let plain: Vec<u8> = (0..=99).collect();
        for cut in 0..plain.len() {
            let mut bytes = plain.clone();
            unmask([7, 77, 177, 255], 0, &mut bytes);
            let (front, back) = bytes.split_at_mut(cut);
            unmask([7, 77, 177, 255], 0, front);
            unmask([7, 77, 177, 255], cut as u64, back);
            assert_eq!(bytes, plain, "{cut}");
        }
    }

    #[test]
    fn fragments_with_a_ping_between_are_one_message() {
        let mut assembly = Assembly::default();
        let mut next = |bytes: &[u8]| {
            let mut buffer = bytes.to_vec();
            assembly.next(&mut buffer, 4).map(|item| item.map(|(item, _)| item))
        };
        let masked = |first: u8, payload: &[u8]| {
            [&[first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0], payload].concat()
        };
        assert_eq!(next(&masked(0x02, b"ab")), Ok(Some(Received::Nothing)));
        let ping = Received::Ping(Short::from_slice(b"hi").unwrap());
        assert_eq!(next(&masked(0x89, b"hi")), Ok(Some(ping)));
        assert_eq!(next(&masked(0x80, b"cde")), Err(WireError::Oversized));
        assert_eq!(next(&masked(0x80, b"cd")), Ok(Some(Received::Message(b"abcd".to_vec()))));
        assert_eq!(next(&masked(0x80, b"x")), Err(WireError::Malformed));
        assert_eq!(next(&masked(0x01, b"text")), Ok(Some(Received::Nothing)));
        assert_eq!(next(&masked(0x80, b"more")), Ok(Some(Received::Nothing)));
        assert_eq!(next(&masked(0x82, b"")), Ok(Some(Received::Message(Vec::new()))));
    }
}
