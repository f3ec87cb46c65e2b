//! Datagrams as fast as this machine sends them: five seconds, or with `HBB_LONG=1` twenty times
//! thirty. The server lives, and answers what the kernel had room for.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::model::host::{Host, again};
use crate::model::initiator::nat_type;
use crate::model::server::Server;
use crate::model::target::Target;
use crate::{HONEST, Place, SERVER, is_long, rss_kib, say};

/// Of a hundred datagrams that the kernel delivered, so many are answered.
const ANSWERED_MIN: u64 = 99;
/// As many as this machine has processors, the server's among them.
const FLOODERS: u8 = 2;
/// Each sends so many before it looks whether it is over.
const BURST: usize = 64;

/// What the kernel threw away of what came to the UDP sockets of a port: it had no room. Of the
/// namespace that the calling thread is in.
fn dropped(port: u16) -> u64 {
    let lines = ["udp", "udp6"]
        .map(|kind| fs::read_to_string(format!("/proc/thread-self/net/{kind}")).unwrap());
    let end = format!(":{port:04X}");
    let mut all = 0;
    for line in lines.iter().flat_map(|text| text.lines().skip(1)) {
        let words: Vec<_> = line.split_whitespace().collect();
        if words[1].ends_with(&end) {
            all += words.last().unwrap().parse::<u64>().unwrap();
        }
    }
    all
}

/// Sends until it is told that it is over; how many datagrams that were, and how many were
/// answered. It reads no answer before: those it has no room for are dropped, and counted.
fn flood(host: &Host, server: SocketAddr, over: &AtomicBool) -> (u64, u64) {
    host.enter();
    let socket: UdpSocket = host.udp();
    socket.connect(server).unwrap();
    let datagram = say::register_peer("nobody-here");
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            sent += u64::from(socket.send(&datagram).is_ok());
        }
    }
    // What was delivered before is answered by then.
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut answered = 0;
    while again(|| socket.recv(&mut [0; 100])).is_ok() {
        answered += 1;
    }
    (sent, answered + dropped(socket.local_addr().unwrap().port()))
}

/// One flood; datagrams sent, delivered and answered.
fn run(place: &Place, server: SocketAddr, lasts: Duration) -> [u64; 3] {
    let (over, before) = (Arc::new(AtomicBool::new(false)), dropped(server.port()));
    let flooders: Vec<JoinHandle<_>> = (1..=FLOODERS)
        .map(|n| {
            let (host, over) = (place.host(&format!("198.18.7.{n}")), Arc::clone(&over));
            thread::spawn(move || flood(&host, server, &over))
        })
        .collect();
    thread::sleep(lasts);
    over.store(true, Ordering::Relaxed);
    let counts = flooders.into_iter().map(|flooder| flooder.join().unwrap());
    let (sent, answered) = counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    [sent, sent - (dropped(server.port()) - before), answered]
}

#[test]
fn a_flood_of_datagrams_is_answered_and_survived() {
    let (runs, secs) = if is_long() { (20, 30) } else { (1, 5) };
    let place = crate::place("flood");
    let server = Server::start_behind(&place.prefix(), &[]);
    let (key, rss) = (server.key(), rss_kib(&server));
    let main = SocketAddr::new(SERVER.parse().unwrap(), server.port);
    let honest = place.host(HONEST[0]);
    honest.enter();
    for number in 1..=runs {
        let begin = Instant::now();
        let [sent, delivered, answered] = run(&place, main, Duration::from_secs(secs));
        println!(
            "flood {number}: {sent} sent, {delivered} delivered, {answered} answered in {:?}",
            begin.elapsed()
        );
        assert!(delivered > 1_000 * secs, "this is no flood");
        assert!(answered * 100 >= delivered * ANSWERED_MIN, "{answered} of {delivered}");
        // It is alive, for everybody else too.
        nat_type(&honest, main);
        drop(Target::register(&honest, main, &format!("after-flood-{number}"), &key));
    }
    let grown = rss_kib(&server).saturating_sub(rss);
    println!("flood: {grown} KiB more");
    assert!(grown <= 1024, "{grown} KiB more");
}
