//! New devices among floods of forged ones, asked of the machine: which sources are proved, who is
//! stored and who is provisional, what nobody can use up for others. C96-C99.

use hbb_core::base::conn::Via;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{
    BATCH_MAX, CHANGES_IN_ALL, CHANGES_PER_SOURCE, CHANGES_UNPROVED, Limits, NEWCOMERS_PENDING_MAX,
    PROVISIONAL_MAX, PROVISIONAL_SIGNATURES, UNPROVED_NEWCOMERS, UNPROVED_PART,
};
use hbb_core::rendezvous::Policy;

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Drive, KEY, Store, at, server_key};
use crate::say::{self, hex, take};

const OTHER_DEVICE: &[u8] = b"another device";
/// A new device's address, and another's.
const NEW_AT: &str = "198.51.100.50:40000";
const NEW_STREAM: &str = "198.51.100.50:50000";
const ELSEWHERE: &str = "192.0.2.33:50002";

const OK: &str = "820100";
const UUID_MISMATCH: &str = "8201020802";
const TOO_FREQUENT: &str = "8201020804";
const SERVER_ERROR: &str = "8201020807";
const NO_SUCH_ID: &str = "5a00";

fn id(number: u32) -> String {
    format!("{}", 500_000_000 + number)
}

/// An address of its own for each number, no two in one network.
fn forged(number: u32) -> String {
    format!("{}.{}.{}.7:1000", 11 + (number >> 16), number >> 8 & 255, number & 255)
}

/// A RegisterPk over UDP and the outcome, which must go back to its source.
#[track_caller]
fn claim(drive: &mut Drive, from: &str, id: &str, device: &[u8]) -> String {
    hex(drive.datagram(from, &say::register_pk(id, device, &KEY)).datagram_to(from))
}

/// New ids from forged addresses, `count` of them from `first` on; how many were stored.
fn flood(drive: &mut Drive, first: u32, count: u32) -> usize {
    let before = drive.machine.occupancy().peers;
    for number in first..first + count {
        drive.datagram(&forged(number), &say::register_pk(&id(number), OTHER_DEVICE, &KEY));
    }
    drive.machine.occupancy().peers - before
}

/// What an initiator hears who dials `id`; None if the target is told.
fn dialled(drive: &mut Drive, id: &str) -> Option<String> {
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::punch(id, |_| ()));
    drive.hang_up(conn);
    let (via, payload) = deeds.sent()[0];
    (via == Via::Stream(conn)).then(|| hex(payload))
}

#[test]
fn c096_a_connection_buys_its_address_four_new_ids_within_a_minute() {
    let mut drive = Drive::open();
    flood(&mut drive, 0, u32::from(UNPROVED_NEWCOMERS));
    assert_eq!(claim(&mut drive, NEW_AT, B1, DEVICE), TOO_FREQUENT);
    drive.prove(NEW_STREAM);
    for number in 0..4 {
        assert_eq!(claim(&mut drive, NEW_AT, &id(1000 + number), DEVICE), OK, "{number}");
    }
    assert_eq!(claim(&mut drive, NEW_AT, &id(1004), DEVICE), TOO_FREQUENT);
    drive.prove(NEW_STREAM);
    drive.wait(59_999);
    // The minute of the forgers is not over: all of them arrived in an instant.
    assert_eq!(claim(&mut drive, NEW_AT, &id(1005), DEVICE), OK);
    assert_eq!(claim(&mut drive, ELSEWHERE, &id(1006), DEVICE), TOO_FREQUENT);
    drive.wait(1);
    flood(&mut drive, 100, u32::from(UNPROVED_NEWCOMERS));
    assert_eq!(claim(&mut drive, NEW_AT, &id(1007), DEVICE), TOO_FREQUENT);
}

#[test]
fn c096_a_connection_proves_what_comes_on_it() {
    let mut drive = Drive::open();
    flood(&mut drive, 0, 2000);
    let conn = drive.connect(NEW_STREAM);
    for number in 1..=8 {
        let deeds = drive.stream(conn, &say::register_pk(&id(9_000 + number), DEVICE, &KEY));
        assert_eq!(take!(deeds.stream_to(conn), RegisterPkResponse).outcome, 0);
    }
}

#[test]
fn c096_a_forger_uses_up_nothing_of_the_address_it_forges() {
    let mut drive = Drive::open();
    drive.enroll(B1, NEW_AT);
    for number in 0..2000 {
        drive.datagram(NEW_AT, &say::register_pk(&id(number), OTHER_DEVICE, &KEY));
        drive.datagram(NEW_AT, &say::register_pk(B1, OTHER_DEVICE, &KEY));
    }
    drive.wait(6_000);
    assert_eq!(claim(&mut drive, NEW_AT, B1, DEVICE), OK);
    drive.prove(NEW_STREAM);
    assert_eq!(claim(&mut drive, NEW_AT, &id(5000), DEVICE), OK);
    let conn = drive.connect(NEW_STREAM);
    let deeds = drive.stream(conn, &say::change_id(B1, "newname1", DEVICE));
    assert_eq!(take!(deeds.stream_to(conn), RegisterPkResponse).outcome, 0);
}

#[test]
fn c097_forged_sources_never_fill_the_table() {
    let mut drive = Drive::open();
    let part = Limits::default().peers / UNPROVED_PART;
    for minute in 0..60 {
        let stored = flood(&mut drive, minute * 1000, 1000);
        assert!(stored <= usize::from(UNPROVED_NEWCOMERS));
        let full = drive.machine.occupancy();
        assert!(full.peers <= part && full.provisional <= PROVISIONAL_MAX, "{full:?}");
        drive.wait(60_000);
    }
    assert_eq!(drive.machine.occupancy().peers, part);
    drive.restart();
    assert_eq!(flood(&mut drive, 60_000, 1000), 0);
    drive.prove(NEW_STREAM);
    assert_eq!(claim(&mut drive, NEW_AT, B1, DEVICE), OK);
}

#[test]
fn c097_who_is_not_stored_yet_can_be_dialled() {
    let mut drive = Drive::open();
    flood(&mut drive, 0, u32::from(UNPROVED_NEWCOMERS));
    assert_eq!(claim(&mut drive, NEW_AT, B1, DEVICE), TOO_FREQUENT);
    assert_eq!(drive.machine.counters().of(DropReason::TooFrequent), 1);
    assert!(drive.durable.iter().all(|record| record.id.as_str() != B1));
    let initiator = drive.connect(A_AT);
    let pushed = drive.stream(initiator, &say::punch(B1, |_| ()));
    let echo = take!(pushed.datagram_to(NEW_AT), PunchHole).socket_addr;
    let target = drive.connect(NEW_STREAM);
    let answer = drive.stream(target, &say::punch_sent(B1, &echo, |_| ()));
    let pk = take!(answer.stream_to(initiator), PunchHoleResponse).pk;
    let (signature, id_pk) = pk.split_at(64);
    assert_eq!(signature, server_key().sign(id_pk).0);
    assert_eq!(id_pk[id_pk.len() - 32..], KEY);
    // It asks again within 15 s as long as it runs; its heartbeats ask for its key.
    assert_eq!(
        hex(drive.datagram(NEW_AT, &say::register_peer(B1)).datagram_to(NEW_AT)),
        "3a021001"
    );
    drive.wait(30_000);
    assert_eq!(dialled(&mut drive, B1).as_deref(), Some("5a021802"));
    // The connection it answered on proved it.
    assert_eq!(claim(&mut drive, NEW_AT, B1, DEVICE), OK);
    assert_eq!(drive.machine.occupancy().provisional, 0);
}

#[test]
fn c097_a_provisional_entry_is_no_mismatch_and_gives_way_to_who_is_proved() {
    let mut drive = Drive::open();
    flood(&mut drive, 0, u32::from(UNPROVED_NEWCOMERS));
    assert_eq!(claim(&mut drive, ELSEWHERE, B1, OTHER_DEVICE), TOO_FREQUENT);
    // A second forger does not take it from the first, and no owner loses its id.
    assert_eq!(claim(&mut drive, NEW_AT, B1, DEVICE), TOO_FREQUENT);
    let conn = drive.connect(A_AT);
    drive.stream(conn, &say::punch(B1, |_| ())).datagram_to(ELSEWHERE);
    drive.prove(NEW_STREAM);
    assert_eq!(claim(&mut drive, NEW_AT, B1, DEVICE), OK);
    drive.stream(conn, &say::punch(B1, |_| ())).datagram_to(NEW_AT);
    assert_eq!(claim(&mut drive, ELSEWHERE, B1, OTHER_DEVICE), UUID_MISMATCH);
}

#[test]
fn c097_the_oldest_provisional_entry_goes_first_and_their_keys_cost_little() {
    let mut drive = Drive::open();
    flood(&mut drive, 0, u32::from(UNPROVED_NEWCOMERS));
    let first = 100;
    flood(&mut drive, first, u32::try_from(PROVISIONAL_MAX).unwrap() + 1);
    assert_eq!(dialled(&mut drive, &id(first)).as_deref(), Some(NO_SUCH_ID));
    let told = (1..100).filter(|number| dialled(&mut drive, &id(first + number)).is_none());
    assert_eq!(told.count(), usize::from(PROVISIONAL_SIGNATURES));
    // A registered device is dialled all the same.
    drive.prove(NEW_STREAM);
    claim(&mut drive, NEW_AT, B1, DEVICE);
    assert_eq!(dialled(&mut drive, B1), None);
}

/// Registers `id` from `from`, then gives it new keys until it is refused; how often it got one.
fn rekeys(drive: &mut Drive, from: &str, id: &str, proved: bool) -> usize {
    drive.prove(from);
    claim(drive, from, id, DEVICE);
    let mut key = KEY;
    for count in 0..1000 {
        drive.wait(2_000);
        if proved {
            drive.prove(from);
        }
        key[..8].copy_from_slice(&(count + 1_u64).to_be_bytes());
        let deeds = drive.datagram(from, &say::register_pk(id, DEVICE, &key));
        match hex(deeds.datagram_to(from)).as_str() {
            OK => {}
            TOO_FREQUENT => return usize::try_from(count).unwrap(),
            other => panic!("{other}"),
        }
    }
    panic!("no end of new keys");
}

#[test]
fn c098_new_keys_have_a_share_for_an_address_a_network_and_in_all() {
    let mut drive = Drive::open();
    // The clock is set; devices of yesterday have a share of their own.
    drive.machine.set_epoch_secs(1_800_000_000);
    claim(&mut drive, ELSEWHERE, B1, DEVICE);
    drive.wait(25 * 3_600_000);
    assert_eq!(rekeys(&mut drive, "198.51.100.1:1", &id(1), true), usize::from(CHANGES_PER_SOURCE));
    let mut others = 0;
    for host in 2..=5_u32 {
        others += rekeys(&mut drive, &format!("198.51.100.{host}:1"), &id(host), true);
    }
    assert!(others < usize::from(CHANGES_IN_ALL), "{others}");
    drive.prove(ELSEWHERE);
    let new_key = say::register_pk(B1, DEVICE, &[9; 32]);
    assert_eq!(hex(drive.datagram(ELSEWHERE, &new_key).datagram_to(ELSEWHERE)), OK);
}

#[test]
fn c098_new_keys_from_addresses_that_may_be_forged_have_a_small_share() {
    let mut drive = Drive::open();
    let got = rekeys(&mut drive, NEW_AT, &id(1), false);
    // The connection at its beginning bought four ids, one of which registered it.
    assert_eq!(got, usize::from(CHANGES_UNPROVED) + 3);
    drive.wait(6_000);
    drive.prove(NEW_STREAM);
    let new_key = say::register_pk(&id(1), DEVICE, &[9; 32]);
    assert_eq!(hex(drive.datagram(NEW_AT, &new_key).datagram_to(NEW_AT)), OK);
}

#[test]
fn c098_new_names_have_the_same_share_and_no_refusal_is_a_mismatch() {
    let mut drive = Drive::open();
    let mut name = String::from(B1);
    drive.prove(NEW_STREAM);
    assert_eq!(claim(&mut drive, NEW_AT, B1, DEVICE), OK);
    for count in 0..=CHANGES_PER_SOURCE {
        drive.wait(3_000);
        let conn = drive.connect(NEW_STREAM);
        let to = format!("name-{count}");
        let answer = drive.stream(conn, &say::change_id(&name, &to, DEVICE));
        let outcome = take!(answer.stream_to(conn), RegisterPkResponse).outcome;
        assert_eq!(outcome, if count < CHANGES_PER_SOURCE { 0 } else { 4 }, "{count}");
        drive.hang_up(conn);
        name = to;
    }
    let conn = drive.connect(ELSEWHERE);
    let deeds = drive.stream(conn, &say::change_id("unknown1", "newname1", DEVICE));
    assert_eq!(hex(deeds.stream_to(conn)), SERVER_ERROR);
}

#[test]
fn c099_a_slow_store_serves_an_honest_newcomer_within_three_commits() {
    let limits = Limits { peers: 100_000, ..Limits::default() };
    let mut drive = Drive::new(limits, Policy::default());
    drive.store = Store::Holds;
    for minute in 0..10 {
        flood(&mut drive, minute * 5000, 5000);
        drive.wait(60_000);
    }
    drive.prove(NEW_STREAM);
    drive.datagram(NEW_AT, &say::register_pk(B1, DEVICE, &KEY)).silent();
    let served = (1..=3).find(|_| {
        let deeds = drive.commit(BATCH_MAX);
        deeds.sent().contains(&(Via::Datagram(at(NEW_AT)), &say::unhex(OK)[..]))
    });
    assert_eq!(served, Some(1));
}

#[test]
fn c099_a_crowd_of_proved_newcomers_keeps_nobody_known_waiting() {
    let limits = Limits { peers: 100_000, ..Limits::default() };
    let mut drive = Drive::new(limits, Policy::default());
    drive.enroll(B1, B1_AT);
    drive.store = Store::Holds;
    let crowd = u32::try_from(NEWCOMERS_PENDING_MAX - 1).unwrap();
    for number in 0..crowd {
        drive.prove(&forged(number));
        drive.datagram(&forged(number), &say::register_pk(&id(number), DEVICE, &KEY)).silent();
    }
    drive.prove(NEW_STREAM);
    drive.datagram(NEW_AT, &say::register_pk("newdevice", DEVICE, &KEY)).silent();
    drive.prove(ELSEWHERE);
    drive.datagram(ELSEWHERE, &say::register_pk("onemore", DEVICE, &KEY)).silent();
    assert_eq!(drive.machine.counters().of(DropReason::Busy), 1);
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &[9; 32])).silent();
    assert_eq!(drive.machine.counters().of(DropReason::Busy), 1);
    let deeds = drive.commit(BATCH_MAX);
    for served in [NEW_AT, B1_AT] {
        assert!(deeds.sent().contains(&(Via::Datagram(at(served)), &say::unhex(OK)[..])));
    }
}
