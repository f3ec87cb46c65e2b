//! Bytes and payloads over an open session: whole, in order, both ways at once, split at random
//! points.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use super::host::again;
use super::link::Link;
use crate::chance::Chance;

const PATTERN_BYTES: usize = 1 << 16;

/// Sends `total` bytes that `seed` makes, in pieces of any size, then the end; meanwhile receives
/// those of `other_seed` until their end.
pub(crate) fn exchange(stream: TcpStream, total: usize, (seed, other_seed): (u64, u64)) {
    let receiving = stream.try_clone().unwrap();
    let receiver = std::thread::spawn(move || receive_all(receiving, total, other_seed));
    let mut sending = stream;
    let pattern = pattern(seed);
    let (mut chance, mut sent) = (Chance::new(seed ^ 1), 0);
    while sent < total {
        let at = sent % PATTERN_BYTES;
        let room = (PATTERN_BYTES - at).min(total - sent);
        // Mostly large pieces, with small ones among them.
        let most = if chance.one_in(4) { 100 } else { PATTERN_BYTES };
        let len = (1 + chance.index(most)).min(room);
        sending.write_all(&pattern[at..at + len]).unwrap();
        sent += len;
    }
    sending.shutdown(Shutdown::Write).unwrap();
    receiver.join().unwrap();
}

fn receive_all(mut stream: TcpStream, total: usize, seed: u64) {
    let pattern = pattern(seed);
    let mut buffer = vec![0; PATTERN_BYTES];
    let mut received = 0;
    loop {
        let at = received % PATTERN_BYTES;
        let len = again(|| stream.read(&mut buffer[..PATTERN_BYTES - at])).unwrap();
        if len == 0 {
            break;
        }
        assert_eq!(buffer[..len], pattern[at..at + len], "after {received} bytes");
        received += len;
    }
    assert_eq!(received, total);
}

fn pattern(seed: u64) -> Vec<u8> {
    Chance::new(seed).bytes(PATTERN_BYTES)
}

/// Bytes that go one way: how many, and the seed that makes them and cuts them into payloads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) total: usize,
    pub(crate) seed: u64,
}

impl Load {
    /// The payloads, each a range of the pattern.
    fn payloads(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        // The lengths around which headers grow, and one that two WebSocket fragments make.
        const EDGES: [usize; 9] = [1, 63, 64, 125, 126, 16_383, 16_384, 65_536, 70_000];
        let (mut chance, mut left) = (Chance::new(self.seed ^ 1), self.total);
        std::iter::from_fn(move || {
            let len = match chance.one_in(4) {
                true => *chance.choose(&EDGES),
                false => 1 + chance.index(40_000),
            };
            let len = len.min(left);
            left -= len;
            let at = chance.index(PATTERN_BYTES);
            (len > 0).then_some(at..at + len)
        })
    }

    /// Long enough for the longest payload that begins at the end of the first third.
    fn pattern(self) -> Vec<u8> {
        pattern(self.seed).repeat(3)
    }
}

/// Sends and meanwhile receives payloads, which must come as they were sent: whole, in order, no
/// two joined and none split.
pub(crate) fn converse(link: Link, sends: Load, receives: Load) {
    let mut sending = link.twin();
    let sender = std::thread::spawn(move || {
        let pattern = sends.pattern();
        for payload in sends.payloads() {
            sending.send(&pattern[payload]).expect("the other end takes it");
        }
    });
    let (mut receiving, pattern) = (link, receives.pattern());
    let mut received = 0;
    for payload in receives.payloads() {
        let got = receiving
            .receive()
            .unwrap_or_else(|error| panic!("{error} after {received} of {} bytes", receives.total));
        assert_eq!(got.len(), payload.len(), "another length after {received} bytes");
        assert!(got == pattern[payload], "other bytes after {received}");
        received += got.len();
    }
    sender.join().unwrap();
}
