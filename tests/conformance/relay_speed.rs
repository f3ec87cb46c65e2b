//! The relay's rates against the real binary: C72. Only lower bounds of time are judged, and
//! shares; how fast it can go is asked in tests/bench.

use std::fs;
use std::io::{Read as _, Write as _};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::console::says;
use crate::half_minute::Watch;
use crate::loopback::{A_IP, B_IP, Caller, relay_port};
use crate::model::server::Server;
use crate::relay_socket::{is_pair, leg};

const MEBIBYTE: usize = 1024 * 1024;

fn pair(server: &Server, token: &str) -> [Caller; 2] {
    let mut legs = [A_IP, B_IP].map(|ip| leg(ip, relay_port(server), token));
    let [one, other] = &mut legs;
    is_pair(one, other);
    legs
}

/// Sends so many bytes through a pair; the seconds that took.
fn seconds([from, to]: &mut [Caller; 2], bytes: usize) -> f64 {
    let mut sending = from.0.try_clone().unwrap();
    let watch = Watch::start();
    let sender = thread::spawn(move || sending.write_all(&vec![7; bytes]).unwrap());
    let mut heard = vec![0; bytes];
    to.0.read_exact(&mut heard).unwrap();
    sender.join().unwrap();
    watch.secs()
}

#[test]
fn c072_a_pair_keeps_to_its_rate_and_a_reload_changes_it() {
    let file = |text: &str| format!("--key=\n{text}\n");
    let folder = std::env::temp_dir().join(format!("hbb-speed-{}", std::process::id()));
    fs::write(&folder, file("--single-bandwidth 8")).unwrap();
    let server = Server::start(&["--flags", folder.to_str().unwrap()]);
    let mut pair = pair(&server, "slow");
    // A tenth of a second's worth goes ahead, and what is on its way.
    let slow = seconds(&mut pair, 2 * MEBIBYTE);
    assert!(slow > 1.5, "2 MiB in {slow} s at 1 MiB/s");
    fs::write(&folder, file("--single-bandwidth 800")).unwrap();
    server.signal(Signal::HUP);
    let reloaded = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(20));
        server.log().contains("reloaded")
    });
    assert!(reloaded, "{}", server.log());
    let fast = seconds(&mut pair, 2 * MEBIBYTE);
    assert!(fast < slow, "{fast} s after the rate was raised, {slow} s before");
    fs::remove_file(folder).unwrap();
}

#[test]
fn c072_a_blacklisted_address_is_slow_and_a_blocked_one_is_out() {
    let lists =
        [("blacklist.txt", "127.0.8.0/24 the whole net\n"), ("blocklist.txt", "127.0.7.7\n")];
    let server = Server::start_with(&lists, &["--key=", "--limit-speed", "8"]);
    let mut slow = [A_IP, "127.0.8.8"].map(|ip| leg(ip, relay_port(&server), "slow"));
    let secs = seconds(&mut slow, 2 * MEBIBYTE);
    assert!(secs > 1.5, "2 MiB in {secs} s at 1 MiB/s");
    let mut fast = pair(&server, "fast");
    let others = seconds(&mut fast, 2 * MEBIBYTE);
    assert!(others < secs, "others took {others} s, the blacklisted {secs} s");
    let mut blocked = leg("127.0.7.7", relay_port(&server), "fast");
    blocked.is_closed();
}

#[test]
fn c072_a_list_counts_for_sessions_that_run() {
    let server = Server::start(&["--key=", "--console", "--limit-speed", "8"]);
    let mut pair = pair(&server, "listed");
    let typed = |line: &str| says("127.0.0.1", relay_port(&server), line);
    assert_eq!(typed(&format!("ba {B_IP}\n")), "");
    let slow = seconds(&mut pair, 2 * MEBIBYTE);
    assert!(slow > 1.5, "2 MiB in {slow} s at 1 MiB/s");
    assert_eq!(typed("br all\n"), "");
    let fast = seconds(&mut pair, 2 * MEBIBYTE);
    assert!(fast < slow, "{fast} s after it was taken out, {slow} s before");
}

#[test]
fn c072_two_pairs_share_the_total_and_small_talk_passes() {
    let server = Server::start(&["--key=", "--total-bandwidth", "16"]);
    let mut bulk = [pair(&server, "one"), pair(&server, "two")];
    let [small, echo] = &mut pair(&server, "small");
    let (mut longest, mut count) = (0.0_f64, 0);
    let took = thread::scope(|scope| {
        let took = bulk.each_mut().map(|pair| scope.spawn(|| seconds(pair, 3 * MEBIBYTE)));
        while !took.iter().all(|one| one.is_finished()) {
            let watch = Watch::start();
            small.say_raw(b"a key is pressed");
            let mut heard = [0; 16];
            echo.0.read_exact(&mut heard).unwrap();
            longest = longest.max(watch.secs());
            count += 1;
            thread::sleep(Duration::from_millis(20));
        }
        took.map(|one| one.join().unwrap())
    });
    // 6 MiB at 2 MiB/s.
    let [one, two] = took;
    assert!(one.max(two) > 2.3, "{one} s and {two} s");
    assert!((one - two).abs() < 1.0, "unfair: {one} s and {two} s");
    assert!(count > 20, "small talk passed {count} times, the longest took {longest} s");
}

/// Every pair on one of three threads, one of them over WebSocket; the total is of all threads.
#[test]
fn c072_several_threads_keep_to_one_total() {
    let flags = ["--key=", "--relay-threads", "3", "--total-bandwidth", "16"];
    let server = Server::start(&flags);
    let watch = Watch::start();
    thread::scope(|scope| {
        for number in 0..4 {
            let mut pair = pair(&server, &format!("pair {number}"));
            scope.spawn(move || seconds(&mut pair, 3 * MEBIBYTE / 2));
        }
    });
    // 6 MiB at 2 MiB/s.
    assert!(watch.secs() > 2.3, "{} s", watch.secs());
}
