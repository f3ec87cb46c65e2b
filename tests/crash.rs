//! SIGKILL while devices register, change their keys, or the server starts: whoever was told OK
//! is known after the restart, with that very key. C14.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use chance::Chance;
use model::devices::{Device, Told, assert_known, assert_stored};
use model::server::Server;

/// Devices that register at once, each from an address of its own.
const DEVICES: u8 = 16;

/// Kills; fewer where a long run is not wanted.
#[allow(clippy::disallowed_methods, reason = "a test's own setting")]
fn kills() -> u32 {
    let asked = std::env::var("HBB_CRASH_KILLS").ok();
    asked.map_or(200, |kills| kills.parse().expect("HBB_CRASH_KILLS is a number"))
}

/// Servers that die beside each other: a kill is mostly waiting.
const SERVERS: u32 = 4;

#[test]
fn c014_whoever_was_acknowledged_is_known_after_a_kill() {
    let dying: Vec<_> = (0..SERVERS)
        .map(|number| {
            let kills = kills() / SERVERS + u32::from(number < kills() % SERVERS);
            thread::spawn(move || dies(kills, Chance::new(14 + u64::from(number))))
        })
        .collect();
    let told: Vec<Told> = dying.into_iter().map(|server| server.join().unwrap()).collect();
    let known: usize = told.iter().map(|told| told.acknowledged.len()).sum();
    let cut_off: usize = told.iter().map(|told| told.unanswered.len()).sum();
    println!("{known} acknowledged, {cut_off} cut off, {} kills", kills());
    assert!(known > 100, "only {known} were acknowledged at all");
    assert!(cut_off > 0, "no kill came while somebody registered");
}

/// A server that dies so often; what its devices were told.
fn dies(kills: u32, mut chance: Chance) -> Told {
    let flags = ["--max-peers", "131072", "--registrations-per-minute", "65535"];
    let more = ["--new-peers-per-day", "65535", "--writes-per-day", "0", "--key="];
    let mut server = Server::start(&[&flags[..], &more[..]].concat());
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let mut told = Told::default();
    for round in 0..kills {
        let device = |number| Device {
            server: at,
            from: [127, 0, 2, number].into(),
            number,
            patience: Duration::from_millis(200),
        };
        let devices: Vec<_> = (1..=DEVICES).map(|it| device(it).register(round)).collect();
        thread::sleep(Duration::from_millis(chance.below(60)));
        server.kill();
        let mut new = Told::default();
        for device in devices {
            new.merge(device.join().unwrap());
        }
        // One in four dies once more while it mends what the last kill left.
        if chance.one_in(4) {
            server.restart_and_kill(Duration::from_millis(chance.below(20)));
        }
        server.restart();
        assert_known(at, new.acknowledged.keys());
        told.merge(new);
    }
    // All of them, and not only those of the last round.
    assert_known(at, told.acknowledged.keys());
    server.kill();
    assert_stored(&server.data().join("hbb.store"), &told);
    told
}
