//! What joined legs carry, over loopback sockets: every byte, in order, each direction by
//! itself; ends, breaks and silence. C65, C67, C69, C70.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hbb::net::clock::Clock;
use hbb::net::conn::link::TravellingLink;
use hbb::net::conn::link::bytes::{ByteBudget, Purpose};
use hbb::net::message::SessionEnd;
use hbb::net::reactor::{Timer, block_on};
use hbb::net::relaying::parked::until_gone;
use hbb::net::session::idle::Bounds;
use hbb::net::session::pair::join;
use hbb::net::session::pipe::PipePool;
use hbb::net::session::rate::{RateLimit, RateLimits};
use hbb_core::base::counters::DropReason::{Done, Idle, SendFailed};
use hbb_core::base::limits::{PARKED_BYTES_MAX, PIPES_MAX};
use hbb_core::base::rates::Rates;
use smol::future;

use crate::chance::Chance;

/// Long enough that no test meets it by accident.
pub(crate) const NEVER_MS: u64 = 60_000;

/// A peer's end and the leg the relay holds of it.
pub(crate) fn connect() -> (TcpStream, TravellingLink) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    peer.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let stream = listener.accept().unwrap().0;
    stream.set_nonblocking(true).unwrap();
    (peer, TravellingLink::new(stream, ByteBudget::default().account(Purpose::HalfRead, None)))
}

/// A rate limit nobody can reach.
pub(crate) fn unlimited() -> RateLimit {
    limited(u64::MAX)
}

/// So many bytes a second.
pub(crate) fn limited(single: u64) -> RateLimit {
    let rates = Rates { total: u64::MAX, single, limited: u64::MAX, ..Rates::default() };
    RateLimits::new(Clock::start(), Box::leak(Box::default()), rates).session(Arc::default())
}

pub(crate) fn start(
    first: TravellingLink,
    second: TravellingLink,
    idle_ms: u64,
) -> JoinHandle<SessionEnd> {
    start_at(u64::MAX, [first, second], idle_ms)
}

fn start_at(
    rate: u64,
    [first, second]: [TravellingLink; 2],
    idle_ms: u64,
) -> JoinHandle<SessionEnd> {
    thread::spawn(move || {
        let pipes = PipePool::new(PIPES_MAX);
        let ended = block_on(async {
            let (first, second) = (first.watch().unwrap(), second.watch().unwrap());
            let bytes = ByteBudget::default();
            let bounds = Bounds { idle_ms, limit: &limited(rate), bytes: &bytes, known: true };
            join(first.into(), second.into(), bounds, &pipes).await
        });
        let ended = ended.unwrap();
        assert_eq!(pipes.count().0, 0, "all pipes came back");
        ended
    })
}

/// Two peers whose legs are joined.
pub(crate) fn session(idle_ms: u64) -> (TcpStream, TcpStream, JoinHandle<SessionEnd>) {
    let ((a, first), (b, second)) = (connect(), connect());
    (a, b, start(first, second, idle_ms))
}

/// Sends `bytes` in pieces of random length, then says that was all.
pub(crate) fn send_in_pieces(peer: &TcpStream, bytes: Vec<u8>, seed: u64) -> JoinHandle<()> {
    let mut peer = peer.try_clone().unwrap();
    thread::spawn(move || {
        let (chance, mut rest) = (&mut Chance::new(seed), bytes.as_slice());
        while !rest.is_empty() {
            let most = *chance.choose(&[1, 7, 1400, 70_000]);
            let (piece, later) = rest.split_at(1 + chance.index(most.min(rest.len())));
            peer.write_all(piece).unwrap();
            rest = later;
        }
        peer.shutdown(Shutdown::Write).unwrap();
    })
}

pub(crate) fn receive_all(peer: &TcpStream) -> JoinHandle<Vec<u8>> {
    let mut peer = peer.try_clone().unwrap();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Both ways at once, `kept` bytes of each having been read before the legs were joined.
fn exchange(len: usize, kept: (usize, usize), seed: u64) {
    let ((a, mut first), (b, mut second)) = (connect(), connect());
    let from_a = Chance::new(seed).bytes(len);
    let from_b = Chance::new(!seed).bytes(len);
    first.leftover = from_a[..kept.0].to_vec();
    second.leftover = from_b[..kept.1].to_vec();
    let joined = start(first, second, NEVER_MS);
    let senders = [
        send_in_pieces(&a, from_a[kept.0..].to_vec(), seed),
        send_in_pieces(&b, from_b[kept.1..].to_vec(), seed + 1),
    ];
    let (at_a, at_b) = (receive_all(&a), receive_all(&b));
    assert!(at_b.join().unwrap() == from_a, "seed {seed}: first to second differs");
    assert!(at_a.join().unwrap() == from_b, "seed {seed}: second to first differs");
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let ended = joined.join().unwrap();
    assert_eq!((ended.bytes, ended.reason), (2 * len as u64, Done));
}

/// Breaks the connection off: the other side sees a reset.
pub(crate) fn reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    drop(peer);
}

#[test]
fn c065_every_byte_arrives_wherever_it_was_split() {
    for seed in 0..24 {
        let chance = &mut Chance::new(seed + 100);
        let len = 1 + chance.index(200_000);
        let kept = (chance.index(len.min(17_000)), chance.index(len.min(300)));
        exchange(len, kept, seed);
    }
    exchange(5_000, (5_000, 0), 24);
    exchange(0, (0, 0), 25);
}

#[test]
fn c065_twenty_megabytes_pass_both_ways() {
    exchange(20 << 20, (1_000, 16_384), 7);
}

#[test]
fn c065_a_stalled_leg_stops_only_its_own_direction() {
    let (mut a, b, joined) = session(NEVER_MS);
    // B does not read: A fills every buffer on the way.
    a.set_nonblocking(true).unwrap();
    let (mut sent, mut stalls) = (0, 0);
    while stalls < 20 {
        match a.write(&[7; 10_000]) {
            Ok(len) => (sent, stalls) = (sent + len, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                thread::sleep(Duration::from_millis(10));
                stalls += 1;
            }
        }
    }
    a.set_nonblocking(false).unwrap();
    // Meanwhile 4 MB come back.
    let back = Chance::new(1).bytes(4 << 20);
    let sender = send_in_pieces(&b, back.clone(), 2);
    assert!(receive_all(&a).join().unwrap() == back);
    sender.join().unwrap();
    // And all that was stalled is still there.
    let at_b = receive_all(&b);
    a.write_all(&[8; 5]).unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    let got = at_b.join().unwrap();
    assert_eq!(got.len(), sent + 5);
    assert!(got[..sent].iter().all(|byte| *byte == 7) && got[sent..] == [8; 5]);
    assert_eq!(joined.join().unwrap().reason, Done);
}

#[test]
fn c067_a_parked_leg_that_leaves_is_noticed_at_once() {
    for breaks in [false, true] {
        let (mut peer, leg) = connect();
        let watched = thread::spawn(move || {
            block_on(async {
                let mut leg = leg.watch().unwrap();
                until_gone(&mut leg).await;
                leg.unwatch()
            })
        });
        peer.write_all(b"hello").unwrap();
        thread::sleep(Duration::from_millis(100));
        assert!(!watched.is_finished(), "it still waits");
        if breaks {
            reset(peer)
        } else {
            drop(peer)
        }
        assert_eq!(watched.join().unwrap().unwrap().leftover, b"hello");
    }
}

#[test]
fn c067_a_parked_leg_is_read_up_to_a_limit() {
    let (mut peer, mut leg) = connect();
    let said = Chance::new(3).bytes(PARKED_BYTES_MAX + 1_000);
    leg.leftover = said[..100].to_vec();
    peer.write_all(&said[100..]).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let waited = async {
        let mut leg = leg.watch().unwrap();
        let gone = async {
            until_gone(&mut leg).await;
            true
        };
        let late = async {
            Timer::after(Duration::from_millis(300)).await;
            false
        };
        let gone = future::or(gone, late).await;
        (gone, leg.unwatch())
    };
    let (gone, leg) = block_on(waited).unwrap();
    assert!(!gone, "what it sent is not lost");
    assert_eq!(leg.leftover, said[..PARKED_BYTES_MAX]);
    let (mut partner, other) = connect();
    let joined = start(leg, other, NEVER_MS);
    let mut got = Vec::new();
    partner.read_to_end(&mut got).unwrap();
    assert_eq!(got, said);
    drop((peer, partner));
    assert_eq!(joined.join().unwrap().reason, Done);
}

#[test]
fn c069_a_quiet_pair_ends() {
    let clock = Clock::start();
    let (mut a, b, joined) = session(600);
    let ended = joined.join().unwrap();
    let took = clock.now().as_millis();
    assert_eq!((ended.bytes, ended.reason), (0, Idle));
    assert!((600..1_500).contains(&took), "{took} ms");
    assert_eq!(a.read(&mut [0; 9]).unwrap(), 0, "both are closed");
    drop(b);
}

#[test]
fn c069_traffic_in_one_direction_keeps_a_pair() {
    let (mut a, b, joined) = session(600);
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(200));
        a.write_all(b"x").unwrap();
    }
    assert!(!joined.is_finished());
    let ended = joined.join().unwrap();
    assert_eq!((ended.bytes, ended.reason), (8, Idle));
    drop(b);
}

#[test]
fn c069_a_pair_that_waits_for_its_rate_is_not_idle() {
    let ((a, first), (b, second)) = (connect(), connect());
    // What fits into a pipe would be paid for in half a second.
    let joined = start_at(256 * 1024, [first, second], 200);
    let said = Chance::new(7).bytes(512 * 1024);
    let sender = send_in_pieces(&a, said.clone(), 8);
    assert!(receive_all(&b).join().unwrap() == said);
    sender.join().unwrap();
    drop((a, b));
    assert_eq!(joined.join().unwrap().reason, Done);
}

#[test]
fn c070_an_end_flushes_what_is_pending_and_the_reverse_goes_on() {
    let (mut a, mut b, joined) = session(NEVER_MS);
    let said = Chance::new(5).bytes(6 << 20);
    let sender = send_in_pieces(&a, said.clone(), 6);
    thread::sleep(Duration::from_millis(200));
    assert!(receive_all(&b).join().unwrap() == said);
    sender.join().unwrap();
    thread::sleep(Duration::from_millis(50));
    assert!(!joined.is_finished(), "half open");
    b.write_all(b"still here").unwrap();
    let mut got = [0; 10];
    a.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"still here");
    drop(b);
    assert_eq!(a.read(&mut got).unwrap(), 0);
    assert_eq!(joined.join().unwrap().reason, Done);
}

#[test]
fn c070_a_break_passes_on() {
    let (mut a, mut b, joined) = session(NEVER_MS);
    a.write_all(b"first").unwrap();
    thread::sleep(Duration::from_millis(50));
    reset(a);
    b.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(b.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(joined.join().unwrap().reason, SendFailed);
}

#[test]
fn c070_last_words_of_a_leg_that_breaks_arrive() {
    let ((mut a, first), (mut b, second)) = (connect(), connect());
    b.write_all(b"closed by user").unwrap();
    reset(b);
    a.write_all(&[1; 1000]).unwrap();
    thread::sleep(Duration::from_millis(50));
    // The first write finds the second leg broken while its last words are unread.
    let joined = start(first, second, NEVER_MS);
    let mut got = [0; 14];
    a.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"closed by user");
    joined.join().unwrap();
}
