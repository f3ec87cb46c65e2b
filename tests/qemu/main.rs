//! The release binary of each ARM triple under a real kernel of that machine, in an emulator:
//! start, register, punch, relay, reload, a clock that jumps, a crowd in little memory, SIGTERM,
//! power cuts; that for PCs on raw flash. C14, C34, C42, C43, C45, C57, C65, C70.
//!
//! Modelled clients run outside and reach the guest through two networks, so that it sees them at
//! two addresses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]

mod board;
#[path = "../sim/chance.rs"]
mod chance;
mod console;
mod crowd;
mod flash;
mod machine;
#[path = "../model/mod.rs"]
mod model;
mod nand;
mod network;
mod power;
#[path = "../conformance/say.rs"]
mod say;
mod service;
mod sessions;

use std::time::Duration;

use board::{AARCH64, ARMV7, Board, PC};
use crowd::{Crowd, is_online};
use model::initiator::{Asks, Path};
use model::target::Target;
use power::FileSystem;
use service::Service;
use sessions::{Pair, Scene};

const RELAYED_BYTES: usize = 50_000_000;
const PEERS: usize = 1_000;
const SESSIONS: usize = 30;
/// No limit of speed is in the way, and one address may be many devices.
const FLAGS: &str = "--single-bandwidth 1000000\n--total-bandwidth 1000000\n\
                     --registrations-per-minute 65535\n--new-peers-per-day 65535\n\
                     --writes-per-day 0\n";

#[test]
fn aarch64_serves() {
    serves(&AARCH64);
}

#[test]
fn armv7_serves() {
    serves(&ARMV7);
}

#[test]
fn aarch64_survives_power_cuts_on_ext4_or_f2fs() {
    let today = power::by_turns([FileSystem::Ext4, FileSystem::F2fs]);
    today.into_iter().for_each(|system| power::cut_again_and_again(&AARCH64, system));
}

/// What the other machine does not have today.
#[test]
fn armv7_survives_power_cuts_on_f2fs_or_ext4() {
    let today = power::by_turns([FileSystem::F2fs, FileSystem::Ext4]);
    today.into_iter().for_each(|system| power::cut_again_and_again(&ARMV7, system));
}

#[test]
fn pc_survives_power_cuts_on_jffs2() {
    power::cut_again_and_again(&PC, FileSystem::Jffs2);
}

#[test]
fn pc_survives_power_cuts_on_ubifs() {
    power::cut_again_and_again(&PC, FileSystem::Ubifs);
}

#[test]
fn armv7_survives_emulated_power_cuts_on_nand() {
    nand::cut_again_and_again(&ARMV7);
}

/// One machine from power on to power off.
fn serves(board: &Board) {
    let mut service = Service::boot(board, None);
    service.start(FLAGS);
    let ready = service.since_power_on();
    let idle = service.memory_kib("VmRSS");
    sessions_in_every_way(&mut service);
    reload_keeps_sessions(&mut service);
    operator_steers(&mut service);
    clock_jumps(&mut service);
    let crowded = crowd(&mut service, board.streams);
    let most = service.memory_kib("VmHWM");
    let (code, end) = service.terminate();
    assert_eq!(code, 0, "{}", service.log());
    assert!(end < Duration::from_secs(2), "{end:?} from SIGTERM to the end");
    let row = format!(
        "{:<31} kernel {}  binary {} B  machine {} MB  boot to ready {:.1} s  RSS idle \
         {idle} KiB, {PEERS} peers {crowded} KiB, most {most} KiB  SIGTERM {} ms",
        board.triple,
        service.machine.run("uname -r"),
        board.binary_bytes(),
        board.memory_mb,
        ready.as_secs_f64(),
        end.as_millis()
    );
    println!("{row}");
}

/// Punch, direct path inside one network, relay by streams and with a WebSocket leg.
fn sessions_in_every_way(service: &mut Service) {
    let (one, two) = (service.at(0), service.at(1));
    sessions::punch(&Scene { target: one, initiator: two, key: service.key() });
    let within = Scene { target: one, initiator: one, key: service.key() };
    let pair = within.dial("100000001", Asks::Tcp);
    assert_eq!(pair.path, Path::Local);
    pair.stream(1_000_000);

    let between = Scene { target: one, initiator: two, key: service.key() };
    let pair = between.dial("100000002", Asks::Tcp);
    assert_eq!(pair.path, Path::RelayByInitiator);
    assert_eq!(service.pipes(), 0, "nothing has streamed yet");
    pair.stream(RELAYED_BYTES);
    assert!(service.pipes() > 0, "what streams goes through pipes of the kernel");

    let pair = between.dial("100000003", Asks::WebSocket);
    assert_eq!(pair.path, Path::RelayByTarget);
    pair.converse(RELAYED_BYTES);
    assert!(service.is_alive());
}

/// SIGHUP changes a limit, a wrong file changes nothing, and a session lives through both.
fn reload_keeps_sessions(service: &mut Service) {
    let scene = Scene { target: service.at(0), initiator: service.at(1), key: service.key() };
    let mut pair = Pair::at_relay(&scene, "first");
    assert!(pair.talks());
    service.reload(&format!("{FLAGS}--max-sessions 1\n"), "info reloaded");
    assert!(pair.talks());
    assert!(!Pair::at_relay(&scene, "second").talks(), "one session is all it may have");
    service.reload("--max-sessions none\n", "warn reload-refused");
    assert!(pair.talks());
    service.reload(FLAGS, "info reloaded");
    assert!(Pair::at_relay(&scene, "third").talks());
    assert!(pair.talks());
}

/// Over the control socket: who is relayed, the end of one session, and who is shut out.
fn operator_steers(service: &mut Service) {
    let scene = Scene { target: service.at(0), initiator: service.at(1), key: service.key() };
    // One after the other, so that the last one listed is the one to end.
    let mut kept = Pair::at_relay(&scene, "kept");
    assert!(kept.talks());
    let mut ended = Pair::at_relay(&scene, "ended");
    assert!(ended.talks());
    let sessions = service.ctl("sessions");
    let number = sessions.lines().last().and_then(|line| line.split(' ').next()).unwrap();
    assert!(service.ctl(&format!("disconnect {number}")).ends_with("was ended."));
    assert!(!ended.talks() && kept.talks());
    let target = Target::register(&sessions::host(), scene.target, "200000003", &scene.key);
    service.ctl("ban 200000003");
    assert_eq!(is_online(scene.target, &["200000003"]), [false]);
    assert!(service.machine.run("cat /data/banned.txt").ends_with("200000003"));
    service.ctl("unban 200000003");
    target.keep();
    assert!(service.ctl("--json status").contains("\"sessions\":{\"running\":1,"));
}

/// The calendar jumps, and nobody is gone or counted as long here.
fn clock_jumps(service: &mut Service) {
    let scene = Scene { target: service.at(0), initiator: service.at(1), key: service.key() };
    let target = Target::register(&sessions::host(), scene.target, "200000001", &scene.key);
    let mut pair = Pair::at_relay(&scene, "clock");
    for (date, year) in [("2037-07-01 12:00", "2037"), ("1999-01-01 12:00", "1999")] {
        service.machine.run(&format!("date -s '{date}'"));
        assert_eq!(service.machine.run("date +%Y"), year);
        assert_eq!(is_online(scene.target, &["200000001", "nobody1"]), [true, false]);
        target.keep();
        assert!(pair.talks());
        // A punch and a relay begin, too.
        scene.dial("200000002", Asks::Tcp).stream(100_000);
    }
}

/// Many devices, then many sessions at once, in a machine that has little; its memory between.
fn crowd(service: &mut Service, streams: usize) -> u64 {
    let networks = [service.at(0), service.at(1)];
    // Legs that nobody signalled have a quarter of the places.
    service.reload(&format!("{FLAGS}--max-sessions {}\n", 4 * SESSIONS), "info reloaded");
    let crowd = Crowd::register(networks, PEERS);
    // Each proved its address first: under emulation the first are away when the last are there.
    crowd.keep();
    assert_eq!(crowd.online(), PEERS);
    let memory = service.memory_kib("VmRSS");
    let scene = Scene { target: networks[0], initiator: networks[1], key: service.key() };
    // One after the other: an address may have a few legs that wait, and no more.
    let open = |number| {
        let mut pair = Pair::at_relay(&scene, &format!("crowd {number}"));
        assert!(pair.talks(), "session {number}");
        pair
    };
    let mut pairs: Vec<Pair> = (0..SESSIONS).map(open).collect();
    while !pairs.is_empty() {
        assert!(pairs.iter_mut().all(Pair::talks), "those whose turn comes later");
        let turn = pairs.drain(..streams.min(pairs.len()));
        let streams = turn.map(|pair| std::thread::spawn(|| pair.stream(500_000)));
        for stream in streams.collect::<Vec<_>>() {
            stream.join().unwrap();
        }
    }
    crowd.keep();
    assert_eq!(crowd.online(), PEERS);
    assert!(service.is_alive());
    let starved = service.machine.run("dmesg | grep -ci 'out of memory' || true");
    assert_eq!(starved, "0", "the kernel had to end something");
    memory
}
