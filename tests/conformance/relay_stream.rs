//! Joined legs whose bytes stream through pipes of the kernel, or must not: none left, none
//! allowed, a receiver that stalls or breaks while bytes are inside. C65, C69, C70.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use hbb::net::clock::Clock;
use hbb::net::conn::link::TravellingLink;
use hbb::net::conn::link::bytes::{ByteBudget, Purpose};
use hbb::net::message::SessionEnd;
use hbb::net::reactor::block_on;
use hbb::net::session::idle::Bounds;
use hbb::net::session::pair::join;
use hbb::net::session::pipe::PipePool;
use hbb_core::base::counters::DropReason::{Done, Idle, SendFailed};
use hbb_core::base::limits::{PIPE_BYTES, PIPES_MAX, SHARED_BYTES_MIN, STREAM_BYTES_MIN};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use smol::LocalExecutor;

use crate::chance::Chance;
use crate::model::host::again;
use crate::relay_pump::{
    NEVER_MS, connect, receive_all, reset, send_in_pieces, session, unlimited,
};

/// Runs `pairs` on one thread with one pool of `limit` pipes; how they ended, and the pipes lent
/// and at rest then.
fn run(
    pairs: Vec<(TravellingLink, TravellingLink)>,
    limit: usize,
) -> thread::JoinHandle<(Vec<SessionEnd>, (usize, usize))> {
    run_with(pairs, limit, ByteBudget::default())
}

/// With this memory.
fn run_with(
    pairs: Vec<(TravellingLink, TravellingLink)>,
    limit: usize,
    bytes: ByteBudget,
) -> thread::JoinHandle<(Vec<SessionEnd>, (usize, usize))> {
    thread::spawn(move || {
        let (pipes, rate_limit) = (PipePool::new(limit), unlimited());
        let bounds = Bounds { idle_ms: NEVER_MS, limit: &rate_limit, bytes: &bytes, known: true };
        let executor = LocalExecutor::new();
        let ended = block_on(executor.run(async {
            let running: Vec<_> = pairs
                .into_iter()
                .map(|(first, second)| {
                    let legs = (first.watch().unwrap().into(), second.watch().unwrap().into());
                    executor.spawn(join(legs.0, legs.1, bounds, &pipes))
                })
                .collect();
            let mut ended = Vec::new();
            for one in running {
                ended.push(one.await);
            }
            ended
        }));
        drop(executor);
        (ended.unwrap(), pipes.count())
    })
}

/// Two peers and the legs the relay holds of them.
fn pair() -> ((TcpStream, TcpStream), (TravellingLink, TravellingLink)) {
    let ((a, first), (b, second)) = (connect(), connect());
    ((a, b), (first, second))
}

/// Sends until nothing more is taken for a while; how much that was.
pub(crate) fn fill(peer: &mut TcpStream, said: &[u8]) -> usize {
    peer.set_nonblocking(true).unwrap();
    let (mut sent, mut stalls) = (0, 0);
    while stalls < 20 && sent < said.len() {
        match peer.write(&said[sent..]) {
            Ok(len) => (sent, stalls) = (sent + len, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                thread::sleep(Duration::from_millis(10));
                stalls += 1;
            }
        }
    }
    peer.set_nonblocking(false).unwrap();
    sent
}

/// Both ways at once through every pair; what arrives is what was sent.
fn exchange_all(peers: &[(TcpStream, TcpStream)], len: usize) {
    let seed = |at: usize, way: u64| 2 * at as u64 + way;
    let mut expected = Vec::new();
    for (at, (a, b)) in peers.iter().enumerate() {
        for (way, from, to) in [(0, a, b), (1, b, a)] {
            let said = Chance::new(seed(at, way)).bytes(len);
            let sender = send_in_pieces(from, said.clone(), seed(at, way));
            expected.push((said, sender, receive_all(to)));
        }
    }
    for (at, (said, sender, receiver)) in expected.into_iter().enumerate() {
        assert!(receiver.join().unwrap() == said, "direction {at} differs");
        sender.join().unwrap();
    }
}

#[test]
fn c065_streams_pass_with_any_number_of_pipes() {
    for limit in [0, 1, 2, PIPES_MAX] {
        let (peers, legs): (Vec<_>, Vec<_>) = (0..3).map(|_| pair()).unzip();
        let running = run(legs, limit);
        exchange_all(&peers, 6 << 20);
        let (ended, (lent, resting)) = running.join().unwrap();
        for ended in ended {
            assert_eq!((ended.bytes, ended.reason), (12 << 20, Done));
        }
        assert!(lent == 0 && resting <= limit, "{lent} lent, {resting} at rest of {limit}");
        assert!(resting > 0 || limit == 0, "nothing streamed");
    }
}

#[test]
fn c114_what_no_receiver_takes_stays_in_the_kernel_where_memory_is_short() {
    let bytes = ByteBudget::default();
    bytes.redraw(Purpose::Stalled, 0, SHARED_BYTES_MIN);
    let (mut peers, legs): (Vec<_>, Vec<_>) = (0..2).map(|_| pair()).unzip();
    let running = run_with(legs, 0, bytes.clone());
    let said = Chance::new(12).bytes(64 << 20);
    let sent = fill(&mut peers[0].0, &said);
    bytes.redraw(Purpose::Stalled, SHARED_BYTES_MIN, 0);
    assert_eq!(bytes.room(Purpose::Stalled, true), room(), "the stalled one holds its own at most");
    bytes.redraw(Purpose::Stalled, 0, SHARED_BYTES_MIN);
    let mut got = vec![0; sent];
    peers[0].1.read_exact(&mut got).unwrap();
    assert!(got == said[..sent], "other bytes than were sent");
    exchange_all(&peers, 3 << 20);
    for ended in running.join().unwrap().0 {
        assert_eq!(ended.reason, Done);
    }
}

/// For what is stalled, of memory that nobody drew on.
fn room() -> usize {
    ByteBudget::default().room(Purpose::Stalled, true)
}

#[test]
fn c065_small_messages_need_no_pipe() {
    let ((mut a, mut b), legs) = pair();
    let running = run(vec![legs], PIPES_MAX);
    for len in [1, 1_400, STREAM_BYTES_MIN - 1] {
        let (said, mut got) = (vec![7; len], vec![0; len]);
        a.write_all(&said).unwrap();
        b.read_exact(&mut got).unwrap();
        assert!(got == said);
    }
    drop((a, b));
    assert_eq!(running.join().unwrap().1, (0, 0));
}

#[test]
fn c065_stalled_streams_leave_the_others_their_pace() {
    // Two stalled pairs hold both pipes; the third copies.
    let (mut peers, legs): (Vec<_>, Vec<_>) = (0..3).map(|_| pair()).unzip();
    let running = run(legs, 2);
    let said = Chance::new(11).bytes(64 << 20);
    let sent: Vec<_> = peers[..2].iter_mut().map(|(a, _)| fill(a, &said)).collect();
    let third = [peers.pop().unwrap()];
    exchange_all(&third, 8 << 20);
    for ((a, b), sent) in peers.iter().zip(sent) {
        assert!(sent < said.len(), "it stalls");
        a.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(receive_all(b).join().unwrap() == said[..sent]);
    }
    drop((peers, third));
    let (ended, (lent, _)) = running.join().unwrap();
    assert!(ended.iter().all(|ended| ended.reason == Done) && lent == 0);
}

#[test]
fn c065_a_reverse_stream_passes_a_stalled_one() {
    for limit in [1, PIPES_MAX] {
        let ((mut a, b), legs) = pair();
        let running = run(vec![legs], limit);
        let said = Chance::new(12).bytes(64 << 20);
        let sent = fill(&mut a, &said);
        let back = Chance::new(13).bytes(16 << 20);
        let sender = send_in_pieces(&b, back.clone(), 14);
        assert!(receive_all(&a).join().unwrap() == back);
        sender.join().unwrap();
        a.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(receive_all(&b).join().unwrap() == said[..sent]);
        let (ended, _) = running.join().unwrap();
        assert_eq!((ended[0].bytes, ended[0].reason), ((sent + back.len()) as u64, Done));
    }
}

#[test]
fn c065_bytes_are_copied_where_the_kernel_will_not_splice() {
    let ((a, b), (first, second)) = pair();
    // The kernel does not splice into what is open for appending: EINVAL, bytes in the pipe.
    let flags = fcntl_getfl(&second.stream).unwrap();
    fcntl_setfl(&second.stream, flags | OFlags::APPEND).unwrap();
    let running = run(vec![(first, second)], PIPES_MAX);
    exchange_all(&[(a, b)], 6 << 20);
    let (ended, count) = running.join().unwrap();
    assert_eq!((ended[0].bytes, ended[0].reason), (12 << 20, Done));
    assert_eq!(count, (0, 0), "nobody tries again");
}

#[test]
fn c070_a_break_comes_after_all_that_was_passed_on() {
    let ((mut a, mut b), legs) = pair();
    let running = run(vec![legs], PIPES_MAX);
    let said = Chance::new(15).bytes(64 << 20);
    let sent = fill(&mut a, &said);
    assert!(sent > PIPE_BYTES);
    reset(a);
    // What the relay had of it arrives, slowly taken or not, then the break.
    let (mut got, mut buffer) = (Vec::new(), vec![0; 50_000]);
    let end = loop {
        match again(|| b.read(&mut buffer)) {
            Ok(0) => break None,
            Ok(len) => got.extend_from_slice(&buffer[..len]),
            Err(error) => break Some(error.kind()),
        }
        if got.len() < 1 << 20 {
            thread::sleep(Duration::from_millis(5));
        }
    };
    assert_eq!(end, Some(ErrorKind::ConnectionReset));
    let (ended, (lent, _)) = running.join().unwrap();
    assert_eq!((ended[0].bytes, ended[0].reason, lent), (got.len() as u64, SendFailed, 0));
    assert!(got == said[..got.len()] && got.len() > PIPE_BYTES);
}

#[test]
fn c070_a_receiver_that_breaks_ends_its_pair_alone() {
    let (mut peers, legs): (Vec<_>, Vec<_>) = (0..2).map(|_| pair()).unzip();
    let running = run(legs, PIPES_MAX);
    let (mut a, mut b) = peers.pop().unwrap();
    let said = vec![7; 64 << 20];
    fill(&mut a, &said);
    b.write_all(b"last words").unwrap();
    thread::sleep(Duration::from_millis(50));
    reset(b);
    let mut got = [0; 10];
    a.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"last words");
    let broken = loop {
        match a.write_all(&said[..10_000]) {
            Ok(()) => thread::sleep(Duration::from_millis(5)),
            Err(error) => break error.kind(),
        }
    };
    assert!(matches!(broken, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{broken}");
    exchange_all(&peers, 2 << 20);
    drop(peers);
    let (ended, (lent, _)) = running.join().unwrap();
    assert_eq!((ended[0].reason, lent), (Done, 0));
}

#[test]
fn c069_a_receiver_that_takes_nothing_ends_its_pair() {
    let (mut a, mut b, joined) = session(1_000);
    let clock = Clock::start();
    let sent = fill(&mut a, &vec![7; 64 << 20]);
    // Though the other direction is busy all the time.
    while !joined.is_finished() && b.write_all(b"x").is_ok() {
        a.read_exact(&mut [0]).ok();
        thread::sleep(Duration::from_millis(10));
    }
    let (ended, took) = (joined.join().unwrap(), clock.now().as_millis());
    assert_eq!(ended.reason, Idle);
    assert!((1_000..2_500).contains(&took), "{took} ms");
    assert!(ended.bytes < sent as u64 + 400);
}
#[test]
fn an_idle_session_keeps_little() {
    let (_peers, (first, second)) = pair();
    let pipes = PipePool::new(PIPES_MAX);
    let rate_limit = unlimited();
    let bytes = ByteBudget::default();
    let bounds = Bounds { idle_ms: NEVER_MS, limit: &rate_limit, bytes: &bytes, known: true };
    let kept = block_on(async {
        let (first, second) = (first.watch().unwrap(), second.watch().unwrap());
        size_of_val(&join(first.into(), second.into(), bounds, &pipes))
    });
    let kept = kept.unwrap();
    assert!(kept <= 704, "{kept} bytes");
}
