//! Bytes over an open session: whole, in order, both ways at once, split at random points.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

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
        let len = stream.read(&mut buffer[..PATTERN_BYTES - at]).unwrap();
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
