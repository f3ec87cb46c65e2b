//! Clones: one id, device and key in two places, asked of the machine alone. C120.

use hbb_core::base::conn::Conn;
use hbb_core::base::limits::{FLAP_MOVES, FLAP_MS, FLAP_TOLD_MS, FLAPS_MAX};
use hbb_core::base::peer::PeerId;
use hbb_core::rendezvous::{Event, PeerQuery};

use crate::drive::{B1, B1_AT, DEVICE, Drive, KEY, at};
use crate::say::{self, hex};

const CLONE_AT: &str = "198.51.100.9:2000";

/// `id` shows itself at `from`, as it does every 15 s when it was asked for its key; whether that
/// was reported.
#[track_caller]
fn shows(drive: &mut Drive, id: &str, from: &str) -> Option<Event> {
    let deeds = drive.datagram(from, &say::register_pk(id, DEVICE, &KEY));
    assert_eq!(hex(deeds.datagram_to(from)), "820100");
    let known = [B1_AT, CLONE_AT, NEAR_AT].map(at);
    let pairs = known.into_iter().flat_map(|one| known.map(|other| [one, other]));
    let id = PeerId::new(id).unwrap();
    let mut events = pairs.map(|places| Event::PeerFlaps { id: id.clone(), places });
    events.find(|event| deeds.reported(event))
}

/// Another port of the first address: behind one NAT.
const NEAR_AT: &str = "203.0.113.9:4444";

fn also_at(drive: &Drive, now_ms: u64) -> Option<String> {
    let now = hbb_core::base::time::Time::from_millis(now_ms);
    let rows = drive.machine.list(now, &PeerQuery { count: 9, ..PeerQuery::default() });
    rows.into_iter().find(|row| row.id.as_str() == B1).unwrap().also_at.map(|at| at.to_string())
}

fn places(event: Event) -> [String; 2] {
    let Event::PeerFlaps { places, .. } = event else { panic!("{event:?}") };
    places.map(|at| at.to_string())
}

#[test]
fn c120_one_device_in_two_places_is_reported_once_and_listed() {
    for other in [CLONE_AT, NEAR_AT] {
        let mut drive = Drive::open();
        drive.enroll(B1, B1_AT);
        let mut reports = Vec::new();
        for round in 0..40 {
            drive.wait(7_500);
            let from = if round % 2 == 0 { other } else { B1_AT };
            reports.extend(shows(&mut drive, B1, from).map(|event| (round, places(event))));
        }
        // The first move to another port is no return yet.
        let first = if other == NEAR_AT { 4 } else { 3 };
        let mut expected = [B1_AT.to_owned(), other.to_owned()];
        expected.rotate_left(usize::from(first == 3));
        assert_eq!(reports, [(first, expected)]);
        let now = 40 * 7_500;
        assert_eq!(also_at(&drive, now).as_deref(), Some(other));
        assert_eq!(also_at(&drive, now + FLAP_MS), None, "it was long ago");
    }
}

/// B1 shows itself on a new connection of the first address; whether that was reported.
fn connects(drive: &mut Drive, port: u16) -> (Conn, bool) {
    let conn = drive.connect(&format!("203.0.113.9:{port}"));
    let deeds = drive.stream(conn, &say::register_pk(B1, DEVICE, &KEY));
    assert_eq!(hex(deeds.stream_to(conn)), "820102102d");
    let id = PeerId::new(B1).unwrap();
    let places = [port - 1, port].map(|port| at(&format!("203.0.113.9:{port}")));
    (conn, deeds.reported(&Event::PeerFlaps { id, places }))
}

#[test]
fn c120_clones_on_connections_behind_one_address_are_reported_once_and_listed() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.wait(60_000);
    let told: Vec<_> = (0..9)
        .filter(|n| {
            drive.wait(18_000);
            connects(&mut drive, 5_001 + n).1
        })
        .collect();
    // The first was alone.
    assert_eq!(told, [u16::from(FLAP_MOVES)]);
    assert_eq!(also_at(&drive, 60_000 + 9 * 18_000).as_deref(), Some("203.0.113.9:5008"));
}

#[test]
fn c120_a_device_that_comes_again_after_it_left_is_no_clone() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.wait(60_000);
    for n in 0..40 {
        drive.wait(5_000);
        let (conn, told) = connects(&mut drive, 5_001 + n);
        assert!(!told, "it left each time");
        drive.hang_up(conn);
    }
    // It loses a connection in silence now and then.
    for n in 0..9 {
        drive.wait(FLAP_MS);
        assert!(!connects(&mut drive, 6_001 + n).1, "{n}");
    }
}

#[test]
fn c120_it_is_reported_again_if_it_goes_on() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let mut told = 0;
    let rounds = 2 * FLAP_TOLD_MS / 7_500;
    for round in 0..rounds {
        drive.wait(7_500);
        told += usize::from(
            shows(&mut drive, B1, if round % 2 == 0 { CLONE_AT } else { B1_AT }).is_some(),
        );
    }
    assert_eq!(told, 2);
}

#[test]
fn c120_a_journey_and_a_nat_that_changes_ports_are_no_clones() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    for round in 1..100 {
        drive.wait(15_000);
        let from = format!("203.0.113.9:{}", 5_000 + round);
        assert_eq!(shows(&mut drive, B1, &from), None, "another port each time");
    }
    for round in 0..9 {
        // To the office and home: it was away in between, or it stays a while.
        let from = if round % 2 == 0 { CLONE_AT } else { B1_AT };
        for beat in 0..=FLAP_MS / 15_000 {
            drive.wait(15_000);
            let moved = if beat == 0 { shows(&mut drive, B1, from) } else { None };
            assert_eq!(moved, None);
            drive.datagram(from, &say::register_peer(B1));
        }
    }
    assert_eq!(also_at(&drive, 99 * 15_000), None);
}

#[test]
fn c120_travellers_take_no_room_from_clones() {
    let mut drive = Drive::open();
    let ids: Vec<_> = (0..2 * FLAPS_MAX).map(|n| format!("{}", 300_000_000 + n)).collect();
    let at = |n: usize, port: u64| format!("10.0.{n}.1:{}", 2_000 + port);
    for (n, id) in ids.iter().enumerate() {
        drive.prove(&at(n, 0));
        drive.enroll(id, &at(n, 0));
    }
    drive.prove(B1_AT);
    drive.enroll(B1, B1_AT);
    let mut told = 0;
    for round in 0..u64::from(FLAP_MOVES) {
        drive.wait(7_500);
        told += usize::from(
            shows(&mut drive, B1, if round % 2 == 0 { CLONE_AT } else { B1_AT }).is_some(),
        );
        for (n, id) in ids.iter().enumerate() {
            drive.datagram(&at(n, round + 1), &say::register_pk(id, DEVICE, &KEY));
        }
        assert!(drive.machine.occupancy().flaps <= FLAPS_MAX);
    }
    assert_eq!(told, 1);
}
