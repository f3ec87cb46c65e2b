//! Shares of those who dial, asked of the machine alone: C86. Refusals first.

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{
    GRANTS_MAX, GRANTS_PER_SOURCE, Limits, PUSHES_OF_STRANGERS, PUSHES_PER_SOURCE,
    PUSHES_UNGRANTED, PUSHES_UNGRANTED_PER_NETWORK,
};
use hbb_core::rendezvous::Policy;

use crate::drive::{A_AT, B1, DEVICE, Drive, KEY, server_key};
use crate::punch_machine::{told, with_b1};
use crate::say::{self, take};

/// Where a device is from which somebody dials.
const KNOWN_AT: &str = "198.51.100.77:50000";

/// What whoever asks too often reads.
const TOO_OFTEN: &str = "Too many attempts, try again in a minute";

/// How many of `tries` asks for B1 on connections from `from` B1 is told. Who asks beyond is told
/// why and closed.
fn pushes(drive: &mut Drive, from: &str, tries: u16) -> u16 {
    let mut told = 0;
    for _ in 0..tries {
        let conn = drive.connect(from);
        let deeds = drive.stream(conn, &say::punch(B1, |_| ()));
        match deeds.closed(conn) {
            None => {
                assert_eq!(deeds.sent().len(), 1);
                told += 1;
            }
            Some(reason) => {
                assert_eq!(reason, DropReason::TooFrequent);
                let answer = take!(deeds.stream_to(conn), PunchHoleResponse);
                assert_eq!(answer.other_failure, TOO_OFTEN);
                assert!(answer.socket_addr.is_empty());
            }
        }
        drive.hang_up(conn);
    }
    told
}

/// A device at [`KNOWN_AT`] that shows what is stored of it.
fn with_known(mut drive: Drive) -> Drive {
    drive.enroll("222222222", KNOWN_AT);
    let deeds = drive.datagram(KNOWN_AT, &say::register_pk("222222222", DEVICE, &KEY));
    deeds.datagram_to(KNOWN_AT);
    drive
}

#[test]
fn c086_one_source_does_not_flood_a_target() {
    let relays = vec!["relay.example".into()];
    let policy = Policy { relays, ..Policy::default() };
    let mut drive = with_b1(Drive::new(Limits::default(), policy));
    assert_eq!(pushes(&mut drive, A_AT, 1000), PUSHES_PER_SOURCE);
    // Asking for a relay is no way around, nor another address of its /64.
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::request_relay(B1, |_| ()));
    assert_eq!(deeds.closed(conn), Some(DropReason::TooFrequent));
    assert_eq!(take!(deeds.stream_to(conn), RelayResponse).refuse_reason, TOO_OFTEN);
    assert_eq!(pushes(&mut drive, "[2001:db8::1]:1", 30), 30);
    assert_eq!(pushes(&mut drive, "[2001:db8::2]:1", 1000), PUSHES_PER_SOURCE - 30);
    assert_eq!(pushes(&mut drive, "192.0.2.200:1", 1), 1, "others are served");
}

#[test]
fn c086_strangers_leave_a_target_to_who_is_known() {
    let mut drive = with_known(with_b1(Drive::open()));
    let mut told = 0;
    for network in 0..100 {
        told += pushes(&mut drive, &format!("10.0.{network}.1:1"), 10);
    }
    assert_eq!(told, PUSHES_OF_STRANGERS);
    assert_eq!(pushes(&mut drive, A_AT, 1), 0);
    let conn = drive.connect(KNOWN_AT);
    self::told(&mut drive, conn, &say::punch(B1, |_| ()));
}

/// A server that enforces its key, where somebody at [`A_AT`] showed it for B1.
fn with_key_shown() -> Drive {
    let relays = vec!["relay.example".into()];
    let access_key = Some(server_key().public_text().into());
    let policy = Policy { relays, access_key, ..Policy::default() };
    let mut drive = with_known(with_b1(Drive::new(Limits::default(), policy)));
    let shown = drive.connect(A_AT);
    told(&mut drive, shown, &with_key());
    drive
}

fn with_key() -> Vec<u8> {
    say::punch(B1, |wish| wish.access_key = server_key().public_text())
}

/// Whether B1 is sent to a relay; who is refused is told to dial again.
fn meets(drive: &mut Drive, from: &str) -> bool {
    let conn = drive.connect(from);
    let deeds = drive.stream(conn, &say::request_relay(B1, |_| ()));
    assert_eq!(deeds.closed(conn), None, "{from}");
    let [(_, payload)] = deeds.sent()[..] else { panic!("{deeds:?}") };
    let meets = match say::read(payload) {
        say::Body::RequestRelay(_) => true,
        say::Body::RelayResponse(answer) => {
            assert_eq!(answer.refuse_reason, "Your address changed, try again");
            false
        }
        _ => panic!("{deeds:?}"),
    };
    drive.hang_up(conn);
    meets
}

#[test]
fn c059_who_showed_no_key_has_few_pushes_and_takes_none_of_others() {
    let mut drive = with_key_shown();
    let asked = (0..100).map(|network| format!("10.0.{network}.1:1"));
    let flood = asked.filter(|from| meets(&mut drive, from)).count();
    assert_eq!(flood, usize::from(PUSHES_UNGRANTED));
    // Neither who is known is kept from the relay by that, nor who shows the key.
    assert!(meets(&mut drive, KNOWN_AT));
    let conn = drive.connect("192.0.2.200:1");
    told(&mut drive, conn, &with_key());
    assert!(meets(&mut drive, "192.0.2.200:2"));
}

#[test]
fn c145_one_network_uses_up_the_relay_of_no_other_that_showed_no_key() {
    let mut drive = with_key_shown();
    for (network, others) in [("198.18.0", "198.18.1.9:1"), ("192.0.2", "203.0.113.200:1")] {
        let asked = (0..100).map(|host| format!("{network}.{host}:1"));
        let flood = asked.filter(|from| meets(&mut drive, from)).count();
        assert_eq!(flood, usize::from(PUSHES_UNGRANTED_PER_NETWORK), "{network}");
        assert!(meets(&mut drive, others), "{network} leaves none");
    }
    // It may dial as before, and those who showed the key there meet their target.
    let conn = drive.connect("198.18.0.7:1");
    told(&mut drive, conn, &with_key());
    assert!(meets(&mut drive, "198.18.0.7:2"));
}

/// A server that enforces its key, with targets enough to fill the grants.
fn with_targets() -> Drive {
    let access_key = Some(server_key().public_text().into());
    let relays = vec!["relay.example".to_owned()];
    let limits = Limits {
        peers: 4096,
        registrations_per_source: 2000,
        newcomers_per_source: 2000,
        ..Limits::default()
    };
    let mut drive = Drive::new(limits, Policy { access_key, relays, ..Policy::default() });
    for target in 0..TARGETS {
        let from = format!("203.0.113.9:{}", 2000 + target);
        drive.prove(&from);
        drive.enroll(&id(target), &from);
    }
    drive
}

const TARGETS: usize = 1100;

fn id(target: usize) -> String {
    format!("{}", 300_000_000 + target)
}

/// Shows the key for a target.
#[track_caller]
fn shows_key(drive: &mut Drive, from: &str, target: usize) {
    let conn = drive.connect(from);
    let key = server_key().public_text();
    let deeds = drive.stream(conn, &say::punch(&id(target), |wish| wish.access_key = key));
    assert_eq!(deeds.sent().len(), 1);
    drive.hang_up(conn);
}

/// Whether the target is sent to a relay.
fn gets_relay(drive: &mut Drive, from: &str, target: usize) -> bool {
    let conn = drive.connect(from);
    let deeds = drive.stream(conn, &say::request_relay(&id(target), |_| ()));
    drive.hang_up(conn);
    let [(_, payload)] = deeds.sent()[..] else { panic!("{deeds:?}") };
    matches!(say::read(payload), say::Body::RequestRelay(_))
}

#[test]
fn c086_one_source_pushes_out_no_grant_but_its_own() {
    let mut drive = with_targets();
    shows_key(&mut drive, A_AT, 0);
    for target in 0..TARGETS {
        shows_key(&mut drive, "192.0.2.66:1", target);
    }
    assert!(gets_relay(&mut drive, A_AT, 0));
    assert_eq!(drive.machine.occupancy().grants, 1 + GRANTS_PER_SOURCE);
    // Its newest are good, and its oldest gone; that for the first target is another's too (C59).
    assert!(gets_relay(&mut drive, "192.0.2.66:1", TARGETS - 1));
    assert!(!gets_relay(&mut drive, "192.0.2.66:1", 1));
}

#[test]
fn c086_strangers_push_out_no_grant_of_who_is_known() {
    let mut drive = with_known(with_targets());
    shows_key(&mut drive, KNOWN_AT, 0);
    for source in 0..2 * GRANTS_MAX {
        shows_key(
            &mut drive,
            &format!("10.{}.{}.1:1", source / 256, source % 256),
            source % TARGETS,
        );
    }
    assert!(gets_relay(&mut drive, KNOWN_AT, 0));
    assert!(drive.machine.occupancy().grants < GRANTS_MAX);
    shows_key(&mut drive, KNOWN_AT, 1);
    assert!(gets_relay(&mut drive, KNOWN_AT, 1));
}
