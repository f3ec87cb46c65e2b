//! SIGKILL while devices register: whoever was told OK is known after the restart. C14.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use chance::Chance;
use model::server::Server;
use model::wire::{receive, send};
use say::{Body, take};

/// Devices that register at once, each from an address of its own.
const DEVICES: u8 = 16;

/// Kills; fewer where a long run is not wanted.
#[allow(clippy::disallowed_methods, reason = "a test's own setting")]
fn kills() -> u32 {
    let asked = std::env::var("HBB_CRASH_KILLS").ok();
    asked.map_or(200, |kills| kills.parse().expect("HBB_CRASH_KILLS is a number"))
}

#[test]
fn c014_whoever_was_acknowledged_is_known_after_a_kill() {
    let flags = ["--max-peers", "131072", "--registrations-per-minute", "65535"];
    let more = ["--new-peers-per-day", "65535", "--key", ""];
    let mut server = Server::start(&[&flags[..], &more[..]].concat());
    let mut chance = Chance::new(14);
    let (mut acknowledged, mut unanswered) = (Vec::new(), 0);
    for round in 0..kills() {
        let stop = Arc::new(AtomicBool::new(false));
        let devices: Vec<_> =
            (1..=DEVICES).map(|device| register(&server, round, device, &stop)).collect();
        thread::sleep(Duration::from_millis(chance.below(60)));
        server.kill_and_restart();
        stop.store(true, Ordering::Relaxed);
        let before = acknowledged.len();
        for device in devices {
            let (known, asked) = device.join().unwrap();
            unanswered += asked - known.len();
            acknowledged.extend(known);
        }
        assert_known(&server, &acknowledged[before..]);
    }
    // All of them, and not only those of the last round.
    assert_known(&server, &acknowledged);
    println!("{} acknowledged, {unanswered} cut off, {} kills", acknowledged.len(), kills());
    assert!(acknowledged.len() > 100, "only {} were acknowledged at all", acknowledged.len());
    assert!(unanswered > 0, "no kill came while somebody registered");
}

/// Registers new ids one after the other until told to stop; those acknowledged, and how many
/// were asked for.
fn register(
    server: &Server,
    round: u32,
    device: u8,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<(Vec<String>, usize)> {
    let (stop, port) = (Arc::clone(stop), server.port);
    thread::spawn(move || {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 2, device], 0))).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let (mut known, mut asked) = (Vec::new(), 0);
        while !stop.load(Ordering::Relaxed) && asked < 1_000 {
            let id = format!("id{round:04}-{device:02}-{asked:03}");
            let wish = say::register_pk(&id, b"a device", &[device; 32]);
            asked += 1;
            let sent = socket.send_to(&wish, ("127.0.0.1", port));
            let mut buffer = [0; 100];
            match sent.and_then(|_| socket.recv(&mut buffer)) {
                Ok(len) if take!(&buffer[..len], RegisterPkResponse).outcome == 0 => known.push(id),
                Ok(len) => panic!("{}", say::hex(&buffer[..len])),
                Err(_) => break,
            }
        }
        (known, asked)
    })
}

/// Dialling each gives OFFLINE: it is known and not here. Nobody knows a stranger.
fn assert_known(server: &Server, ids: &[String]) {
    let mut control = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server.port))).unwrap();
    control.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for id in ids {
        assert_eq!(failure(&mut control, id), 2, "{id} was acknowledged and is not known");
    }
    assert_eq!(failure(&mut control, "nobody1"), 0);
}

fn failure(control: &mut TcpStream, id: &str) -> i32 {
    send(control, &say::punch(id, |_| {})).unwrap();
    match say::read(&receive(control).unwrap()) {
        Body::PunchHoleResponse(answer) => answer.failure,
        _ => panic!("not an answer to a punch"),
    }
}
