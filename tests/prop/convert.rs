//! The converter between relay legs: whatever messages go in, cut anywhere, through whatever
//! room, come out whole and in order. C68.

use hbb_core::base::conn::Transport::{self, Tcp, WebSocket};
use hbb_core::wire::WireError;
use hbb_core::wire::convert::Converter;
use hbb_core::wire::frame;
use hbb_core::wire::websocket::{Assembly, FrameKind, Received, header_for, unmask};

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::select;

use crate::check;

const GATHER_MAX: usize = 4096;
const MASK: [u8; 4] = [1, 2, 3, 4];

/// A frame as a client masks it.
fn masked(kind: FrameKind, last: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header_for(kind, last, payload.len() as u64).to_vec();
    bytes[1] |= 0x80;
    bytes.extend(MASK);
    let mut body = payload.to_vec();
    unmask(MASK, 0, &mut body);
    bytes.extend(body);
    bytes
}

/// What a client sends in one frame of a message.
#[derive(Clone, Debug)]
struct Fragment {
    len: usize,
    byte: u8,
    /// Whether a ping follows, if this is not the last fragment.
    ping: bool,
}

fn fragment(len: impl Strategy<Value = usize>) -> impl Strategy<Value = Fragment> {
    (len, any::<u8>(), any::<bool>()).prop_map(|(len, byte, ping)| Fragment { len, byte, ping })
}

/// A message's fragments, together at most [`GATHER_MAX`] long.
fn message() -> impl Strategy<Value = Vec<Fragment>> {
    let few = fragment(select(&[0, 1, 63, 64, 125, 126, 1000][..]));
    let whole = fragment(select(&[1, 125, GATHER_MAX][..]));
    prop_oneof![vec(few, 1..=4), vec(whole, 1)]
}

fn payload(message: &[Fragment]) -> Vec<u8> {
    message.iter().flat_map(|part| vec![part.byte; part.len]).collect()
}

/// A message as a client sends it; on a plain connection, in one frame.
fn sent(from: Transport, message: &[Fragment]) -> Vec<u8> {
    if from == Tcp {
        let payload = payload(message);
        return [&frame::header_for(payload.len()).unwrap()[..], &payload].concat();
    }
    let (mut bytes, mut kind) = (Vec::new(), FrameKind::Binary);
    for (index, part) in message.iter().enumerate() {
        let last = index + 1 == message.len();
        bytes.extend(masked(kind, last, &vec![part.byte; part.len]));
        if part.ping && !last {
            bytes.extend(masked(FrameKind::Ping, true, b"?"));
        }
        kind = FrameKind::Continuation;
    }
    bytes
}

/// Everything through a converter, in pieces of these lengths by turns, with little room.
fn converted(mut converter: Converter, bytes: &[u8], pieces: &[usize]) -> Vec<u8> {
    let (mut heard, mut rest) = (Vec::new(), bytes);
    for piece in pieces.iter().cycle() {
        let (mut unfed, later) = rest.split_at(rest.len().min(*piece));
        while !unfed.is_empty() {
            let mut out = Vec::with_capacity(64);
            let taken = converter.feed(unfed, &mut out, GATHER_MAX).unwrap();
            unfed = &unfed[taken..];
            heard.extend_from_slice(&out);
            if let Some(whole) = converter.take_whole() {
                heard.extend(whole);
            } else {
                assert!(taken > 0 || !out.is_empty(), "stuck with {} bytes", unfed.len());
            }
            converter.take_ping();
        }
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    assert!(converter.is_between_frames() && !converter.is_closed());
    heard
}

/// What a client makes of it.
fn received(to: Transport, mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let (mut messages, mut assembly) = (Vec::new(), Assembly::default());
    while !bytes.is_empty() {
        let consumed = if to == Tcp {
            let frame = frame::split(&bytes, usize::MAX).unwrap().expect("a whole frame");
            messages.push(frame.payload.to_vec());
            frame.consumed
        } else {
            // Our parser wants a client's mask: put one of zeros in.
            bytes[1] |= 0x80;
            let at = match bytes[1] & 0x7f {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            bytes.splice(at..at, [0; 4]);
            let (item, consumed) = assembly.next(&mut bytes, usize::MAX).unwrap().expect("whole");
            if let Received::Message(message) = item {
                messages.push(message);
            }
            consumed
        };
        bytes.drain(..consumed);
    }
    messages
}

#[test]
fn messages_come_out_as_they_went_in() {
    let ways = select(&[(Tcp, WebSocket), (WebSocket, Tcp), (WebSocket, WebSocket)][..]);
    let values = (ways, vec(message(), 1..=8), vec(1..=300_usize, 1..10));
    check(300, &values, |((from, to), messages, pieces)| {
        let bytes: Vec<u8> = messages.iter().flat_map(|message| sent(from, message)).collect();
        let heard = converted(Converter::new(from, to), &bytes, &pieces);
        let mut meant: Vec<_> = messages.iter().map(|message| payload(message)).collect();
        let mut heard = received(to, heard);
        // An empty one is a heartbeat and need not arrive.
        for messages in [&mut meant, &mut heard] {
            messages.retain(|message| !message.is_empty());
        }
        assert!(heard == meant);
    });
}

#[test]
fn what_must_be_gathered_is_refused_beyond_its_room() {
    let half = vec![7; GATHER_MAX / 2 + 1];
    let mut bytes = masked(FrameKind::Binary, false, &half);
    bytes.extend(masked(FrameKind::Continuation, true, &half));
    let mut out = Vec::with_capacity(64);
    let fed = Converter::new(WebSocket, Tcp).feed(&bytes, &mut out, GATHER_MAX);
    assert_eq!(fed, Err(WireError::Oversized));
    // What is not gathered has no such limit: it streams through.
    let whole = masked(FrameKind::Binary, true, &vec![7; 10 * GATHER_MAX]);
    let heard = converted(Converter::new(WebSocket, Tcp), &whole, &[300]);
    assert_eq!(heard.len(), 3 + 10 * GATHER_MAX);
}

#[test]
fn a_ping_is_answered_with_its_own_bytes_whatever_comes_behind_it() {
    for to in [Tcp, WebSocket] {
        let mut converter = Converter::new(WebSocket, to);
        let mut bytes = masked(FrameKind::Ping, true, b"are you there");
        bytes.extend(masked(FrameKind::Pong, true, b"here I am"));
        bytes.extend(masked(FrameKind::Binary, true, b"a message"));
        let mut out = Vec::with_capacity(64);
        assert_eq!(converter.feed(&bytes, &mut out, GATHER_MAX), Ok(bytes.len()));
        assert_eq!(converter.take_ping().as_deref(), Some(&b"are you there"[..]));
        assert_eq!(converter.take_ping(), None);
        // The latest one counts, and none that has not come whole.
        let first = masked(FrameKind::Ping, true, b"first");
        let second = masked(FrameKind::Ping, true, b"second");
        converter.feed(&first, &mut out, GATHER_MAX).unwrap();
        converter.feed(&second[..9], &mut out, GATHER_MAX).unwrap();
        assert_eq!(converter.take_ping(), None);
        converter.feed(&second[9..], &mut out, GATHER_MAX).unwrap();
        assert_eq!(converter.take_ping().as_deref(), Some(&b"second"[..]));
        assert_eq!(converter.take_ping(), None);
    }
}
