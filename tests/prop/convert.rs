//! The converter between relay legs: whatever messages go in, cut anywhere, through whatever
//! room, come out whole and in order. C68.

use hbb_core::base::conn::Transport::{self, Tcp, WebSocket};
use hbb_core::wire::WireError;
use hbb_core::wire::convert::Converter;
use hbb_core::wire::frame;
use hbb_core::wire::websocket::{Assembly, FrameKind, Received, header_for, unmask};

use crate::chance::Chance;

const GATHER_MAX: usize = 4096;

/// A masked frame.
fn masked(chance: &mut Chance, kind: FrameKind, (last, payload): (bool, &[u8])) -> Vec<u8> {
    let mut bytes = header_for(kind, last, payload.len() as u64).to_vec();
    bytes[1] |= 0x80;
    let mask = [chance.byte(), chance.byte(), chance.byte(), chance.byte()];
    bytes.extend(mask);
    let mut body = payload.to_vec();
    unmask(mask, 0, &mut body);
    bytes.extend(body);
    bytes
}

/// A message as a client sends it, perhaps in fragments with pings between.
fn sent(chance: &mut Chance, from: Transport, message: &[u8]) -> Vec<u8> {
    if from == Tcp {
        return [&frame::header_for(message.len()).unwrap()[..], message].concat();
    }
    if chance.one_in(2) {
        return masked(chance, FrameKind::Binary, (true, message));
    }
    let (mut bytes, mut rest, mut kind) = (Vec::new(), message, FrameKind::Binary);
    loop {
        let (part, later) = rest.split_at(chance.index(rest.len() + 1));
        let last = later.is_empty();
        bytes.extend(masked(chance, kind, (last, part)));
        if last {
            return bytes;
        }
        if chance.one_in(3) {
            bytes.extend(masked(chance, FrameKind::Ping, (true, b"?")));
        }
        (rest, kind) = (later, FrameKind::Continuation);
    }
}

/// Everything through a converter, in pieces, with little room.
fn converted(chance: &mut Chance, mut converter: Converter, bytes: &[u8]) -> Vec<u8> {
    let (mut heard, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(1 + chance.index(rest.len().min(300)));
        let mut unfed = piece;
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
    for seed in 0..300 {
        let mut chance = Chance::new(seed);
        let (from, to) =
            *chance.choose(&[(Tcp, WebSocket), (WebSocket, Tcp), (WebSocket, WebSocket)]);
        let count = 1 + chance.index(8);
        let messages: Vec<_> = (0..count)
            .map(|_| {
                let len = *chance.choose(&[1, 63, 64, 125, 126, 1000, GATHER_MAX]);
                chance.bytes(len)
            })
            .collect();
        let bytes: Vec<u8> =
            messages.iter().flat_map(|message| sent(&mut chance, from, message)).collect();
        let heard = converted(&mut chance, Converter::new(from, to), &bytes);
        assert!(received(to, heard) == messages, "seed {seed}: {from:?} to {to:?}");
    }
}

#[test]
fn what_must_be_gathered_is_refused_beyond_its_room() {
    let mut chance = Chance::new(1);
    let half = vec![7; GATHER_MAX / 2 + 1];
    let mut bytes = masked(&mut chance, FrameKind::Binary, (false, &half));
    bytes.extend(masked(&mut chance, FrameKind::Continuation, (true, &half)));
    let mut out = Vec::with_capacity(64);
    let fed = Converter::new(WebSocket, Tcp).feed(&bytes, &mut out, GATHER_MAX);
    assert_eq!(fed, Err(WireError::Oversized));
    // What is not gathered has no such limit: it streams through.
    let whole = masked(&mut chance, FrameKind::Binary, (true, &vec![7; 10 * GATHER_MAX]));
    let heard = converted(&mut chance, Converter::new(WebSocket, Tcp), &whole);
    assert_eq!(heard.len(), 3 + 10 * GATHER_MAX);
}

#[test]
fn a_ping_is_answered_with_its_own_bytes_whatever_comes_behind_it() {
    let mut chance = Chance::new(2);
    for to in [Tcp, WebSocket] {
        let mut converter = Converter::new(WebSocket, to);
        let mut bytes = masked(&mut chance, FrameKind::Ping, (true, b"are you there"));
        bytes.extend(masked(&mut chance, FrameKind::Pong, (true, b"here I am")));
        bytes.extend(masked(&mut chance, FrameKind::Binary, (true, b"a message")));
        let mut out = Vec::with_capacity(64);
        assert_eq!(converter.feed(&bytes, &mut out, GATHER_MAX), Ok(bytes.len()));
        assert_eq!(converter.take_ping().as_deref(), Some(&b"are you there"[..]));
        assert_eq!(converter.take_ping(), None);
        // The latest one counts, and none that has not come whole.
        let first = masked(&mut chance, FrameKind::Ping, (true, b"first"));
        let second = masked(&mut chance, FrameKind::Ping, (true, b"second"));
        converter.feed(&first, &mut out, GATHER_MAX).unwrap();
        converter.feed(&second[..9], &mut out, GATHER_MAX).unwrap();
        assert_eq!(converter.take_ping(), None);
        converter.feed(&second[9..], &mut out, GATHER_MAX).unwrap();
        assert_eq!(converter.take_ping().as_deref(), Some(&b"second"[..]));
        assert_eq!(converter.take_ping(), None);
    }
}
