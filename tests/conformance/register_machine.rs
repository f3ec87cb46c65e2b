//! Registration over UDP, asked of the machine, as far as it takes a clock, a store that
//! fails or small limits: C06, C12, C14-C17, C19-C21, C23, C95. The rest stands in `register.rs`.

use hbb_core::base::conn::Via;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::Limits;
use hbb_core::base::peer::Change;
use hbb_core::rendezvous::{Event, PeerQuery, Policy};

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Drive, KEY, Store, at, server_key};
use crate::say::{self, hex, take};

const OTHER_DEVICE: &[u8] = b"another device";
const OTHER_KEY: [u8; 32] = [0x22; 32];
/// B1's address with another port, and another address.
const B1_NEW_PORT: &str = "203.0.113.9:50999";
const B1_MOVED: &str = "192.0.2.33:50002";

const OK: &str = "820100";
const UUID_MISMATCH: &str = "8201020802";
const TOO_FREQUENT: &str = "8201020804";
const INVALID_ID_FORMAT: &str = "8201020805";
const NOT_SUPPORT: &str = "8201020806";
const SERVER_ERROR: &str = "8201020807";
const SEEN: &str = "3a00";
const REQUEST_PK: &str = "3a021001";

/// What a new device is answered whose address is no forgery.
#[track_caller]
fn joins(drive: &mut Drive, from: &str, payload: &[u8]) -> String {
    drive.prove(from);
    ask(drive, from, payload)
}

/// Sends a datagram and gives the one answer in hex, which must go back to its source.
#[track_caller]
fn ask(drive: &mut Drive, from: &str, payload: &[u8]) -> String {
    hex(drive.datagram(from, payload).datagram_to(from))
}

#[track_caller]
fn register(drive: &mut Drive, from: &str, device: &[u8], key: &[u8]) -> String {
    ask(drive, from, &say::register_pk(B1, device, key))
}

fn is_online(drive: &mut Drive, id: &str) -> bool {
    let conn = drive.connect("192.0.2.200:1000");
    let answer = drive.stream(conn, &say::online(&[id]));
    let states = take!(answer.stream_to(conn), OnlineResponse).states;
    drive.hang_up(conn);
    states == [0x80]
}

/// Where a push to B1 goes now; None if B1 counts as away.
fn pushed_to(drive: &mut Drive) -> Option<Via> {
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::punch(B1, |_| ()));
    drive.hang_up(conn);
    let via = deeds.sent()[0].0;
    (via != Via::Stream(conn)).then_some(via)
}

#[test]
fn c006_garbage_datagrams_are_not_answered_and_leave_nothing() {
    let mut drive = Drive::open();
    let mut chance = crate::chance::Chance::new(6);
    drive.datagram(B1_AT, &[]).silent();
    for _ in 0..1000 {
        let payload = chance.bytes(1500);
        drive.datagram(B1_AT, &payload).silent();
    }
    assert_eq!(drive.machine.occupancy().peers, 0);
}

#[test]
fn c006_a_datagram_that_no_answer_can_go_back_to_leaves_nothing() {
    let mut drive = Drive::open();
    drive.prove("198.51.100.2:0");
    for payload in [say::register_pk(B1, DEVICE, &KEY), say::register_peer(B1), say::test_nat(3)] {
        drive.datagram("198.51.100.2:0", &payload).silent();
    }
    assert_eq!(drive.machine.occupancy().peers, 0);
    assert_eq!(drive.machine.counters().of(DropReason::Unexpected), 3);
}

#[test]
fn c012_register_peer_without_an_id_is_not_answered() {
    let mut drive = Drive::open();
    drive.datagram(B1_AT, &say::register_peer("")).silent();
    drive.datagram(B1_AT, &say::unhex("3200")).silent();
    assert_eq!(drive.machine.counters().of(DropReason::Incomplete), 2);
}

#[test]
fn c014_a_failed_save_is_not_acknowledged() {
    let mut drive = Drive::open();
    drive.store = Store::Fails;
    assert_eq!(register(&mut drive, B1_AT, DEVICE, &KEY), SERVER_ERROR);
    assert!(!is_online(&mut drive, B1));
    drive.store = Store::Keeps;
    assert_eq!(register(&mut drive, B1_AT, DEVICE, &KEY), OK);
}

#[test]
fn c014_a_failed_save_of_a_new_key_keeps_the_old_one() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.store = Store::Fails;
    assert_eq!(register(&mut drive, B1_AT, DEVICE, &OTHER_KEY), SERVER_ERROR);
    assert_eq!(signed_key(&mut drive), KEY);
}

#[test]
fn c014_a_registration_is_acknowledged_when_it_is_durable() {
    let mut drive = Drive::open();
    drive.store = Store::Holds;
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &KEY)).silent();
    assert!(!is_online(&mut drive, B1));
    // The client repeats itself: the one answer is on its way.
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &KEY)).silent();
    assert_eq!(hex(drive.release().datagram_to(B1_AT)), OK);
    assert!(is_online(&mut drive, B1));
}

#[test]
fn c014_a_slow_store_takes_nobody_back_to_where_it_was() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.store = Store::Holds;
    drive.datagram(B1_NEW_PORT, &say::register_pk(B1, DEVICE, &OTHER_KEY)).silent();
    drive.wait(10_000);
    assert_eq!(ask(&mut drive, B1_AT, &say::register_peer(B1)), SEEN);
    drive.wait(25_000);
    assert_eq!(hex(drive.release().datagram_to(B1_NEW_PORT)), OK);
    assert_eq!(pushed_to(&mut drive), Some(Via::Datagram(at(B1_AT))));
}

#[test]
fn c014_a_peer_on_its_way_to_disk_is_not_forgotten_for_another() {
    let limits = Limits { peers: 1, forget_after_days: 30, ..Limits::default() };
    let mut drive = Drive::new(limits, Policy::default());
    drive.enroll(B1, B1_AT);
    drive.wait(31 * 24 * 3_600_000);
    drive.store = Store::Holds;
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &OTHER_KEY)).silent();
    let newcomer = say::register_pk("222222222", OTHER_DEVICE, &KEY);
    assert_eq!(joins(&mut drive, B1_MOVED, &newcomer), SERVER_ERROR);
    assert_eq!(hex(drive.release().datagram_to(B1_AT)), OK);
    drive.restart();
    assert_eq!(register(&mut drive, B1_MOVED, OTHER_DEVICE, &KEY), UUID_MISMATCH);
}

#[test]
fn c014_by_default_an_absent_owner_keeps_its_id() {
    let mut drive = Drive::new(Limits { peers: 1, ..Limits::default() }, Policy::default());
    drive.enroll(B1, B1_AT);
    drive.wait(400 * 24 * 3_600_000);
    let newcomer = say::register_pk("222222222", OTHER_DEVICE, &KEY);
    assert_eq!(joins(&mut drive, B1_MOVED, &newcomer), SERVER_ERROR);
    assert_eq!(register(&mut drive, B1_MOVED, OTHER_DEVICE, &KEY), UUID_MISMATCH);
    assert_eq!(register(&mut drive, B1_AT, DEVICE, &KEY), OK);
}

#[test]
fn c014_one_long_away_makes_room_for_a_newcomer() {
    let limits = Limits { peers: 1, forget_after_days: 30, ..Limits::default() };
    let mut drive = Drive::new(limits, Policy::default());
    drive.enroll(B1, B1_AT);
    let newcomer = say::register_pk("222222222", OTHER_DEVICE, &KEY);
    drive.wait(30 * 24 * 3_600_000 - 1);
    assert_eq!(joins(&mut drive, B1_MOVED, &newcomer), SERVER_ERROR);
    drive.wait(1);
    assert_eq!(joins(&mut drive, B1_MOVED, &newcomer), OK);
    assert_eq!(drive.durable.len(), 1);
}

/// A router that starts anew each week would else forget nobody.
#[test]
fn c014_time_away_counts_through_clean_stops() {
    const DAY_MS: u64 = 24 * 3_600_000;
    let limits = Limits { peers: 3, forget_after_days: 30, ..Limits::default() };
    let mut drive = Drive::new(limits, Policy::default());
    let (first, second, third) = ("111111111", B1, "333333333");
    let here = |drive: &mut Drive, id: &str| {
        assert_eq!(joins(drive, B1_AT, &say::register_pk(id, DEVICE, &KEY)), OK, "{id}");
    };
    [second, first, third].iter().for_each(|id| here(&mut drive, id));
    let newcomer = say::register_pk("222222222", OTHER_DEVICE, &KEY);
    for week in 1..=5 {
        drive.wait(DAY_MS);
        // One is here each week, and one was, once.
        here(&mut drive, third);
        if week == 1 {
            here(&mut drive, first);
        }
        drive.wait(6 * DAY_MS);
        let refused = joins(&mut drive, B1_MOVED, &newcomer) == SERVER_ERROR;
        assert_eq!(refused, week < 5, "week {week}");
        drive.stop_and_start();
    }
    let gone = drive.durable.iter().all(|record| record.id.as_str() != second);
    assert!(gone && drive.durable.len() == 3, "the one that was away longest gave way");
    // A cut leaves nothing to know, and nobody gives way too early.
    let another = say::register_pk("444444444", OTHER_DEVICE, &OTHER_KEY);
    drive.wait(DAY_MS);
    drive.restart();
    assert_eq!(joins(&mut drive, B1_MOVED, &another), SERVER_ERROR);
}

#[test]
fn c014_online_at_once_after_a_slow_store() {
    let mut drive = Drive::open();
    drive.store = Store::Holds;
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &KEY)).silent();
    drive.wait(40_000);
    assert_eq!(hex(drive.release().datagram_to(B1_AT)), OK);
    assert_eq!(pushed_to(&mut drive), Some(Via::Datagram(at(B1_AT))));
}

#[test]
fn c014_online_at_once_after_a_restart_with_an_unchanged_record() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.restart();
    assert!(!is_online(&mut drive, B1));
    // A client that was confirmed once starts with RegisterPeer.
    assert_eq!(ask(&mut drive, B1_AT, &say::register_peer(B1)), REQUEST_PK);
    assert_eq!(register(&mut drive, B1_AT, DEVICE, &KEY), OK);
    assert!(is_online(&mut drive, B1));
    assert_eq!(drive.durable.len(), 1);
}

#[test]
fn c015_unusable_device_or_key_registers_nothing() {
    let mut drive = Drive::open();
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &[1; 31])).silent();
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &[1; 33])).silent();
    assert_eq!(register(&mut drive, B1_AT, &[1; 65], &KEY), NOT_SUPPORT);
    assert_eq!(drive.machine.occupancy().peers, 0);
}

#[test]
fn c016_unusable_ids_have_an_invalid_format() {
    let mut drive = Drive::open();
    for id in ["with blank", &"x".repeat(49)] {
        let answer = ask(&mut drive, B1_AT, &say::register_pk(id, DEVICE, &KEY));
        assert_eq!(answer, INVALID_ID_FORMAT, "{id:?}");
    }
}

#[test]
fn c017_another_device_is_a_mismatch_and_changes_nothing() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let before = drive.durable.clone();
    for (from, key) in [(B1_AT, KEY), (B1_MOVED, KEY), (B1_AT, OTHER_KEY)] {
        let deeds = drive.datagram(from, &say::register_pk(B1, OTHER_DEVICE, &key));
        assert_eq!(hex(deeds.datagram_to(from)), UUID_MISMATCH);
        let id = hbb_core::base::peer::PeerId::new(B1).unwrap();
        assert!(deeds.reported(&Event::PeerChangeRefused { id, from: at(from), proved: false }));
    }
    assert_eq!(drive.durable, before);
    assert_eq!(signed_key(&mut drive), KEY);
    assert_eq!(pushed_to(&mut drive), Some(Via::Datagram(at(B1_AT))));
}

/// The key of B1 that an initiator is given, which must be well signed.
fn signed_key(drive: &mut Drive) -> Vec<u8> {
    let initiator = drive.connect(A_AT);
    let pushed = drive.stream(initiator, &say::punch(B1, |_| ()));
    let echo = take!(pushed.sent()[0].1, PunchHole).socket_addr;
    let target = drive.connect(B1_AT);
    let answer = drive.stream(target, &say::punch_sent(B1, &echo, |_| ()));
    let pk = take!(answer.stream_to(initiator), PunchHoleResponse).pk;
    drive.hang_up(target);
    drive.hang_up(initiator);
    let (signature, id_pk) = pk.split_at(64);
    assert_eq!(signature, server_key().sign(id_pk).0);
    id_pk[id_pk.len() - 32..].to_vec()
}

#[test]
fn c019_fourth_registration_of_an_id_within_six_seconds_is_too_frequent() {
    let mut drive = Drive::open();
    for _ in 0..3 {
        assert_eq!(register(&mut drive, B1_AT, DEVICE, &KEY), OK);
        drive.wait(1000);
    }
    assert_eq!(register(&mut drive, B1_AT, DEVICE, &KEY), TOO_FREQUENT);
    drive.wait(5001);
    assert_eq!(register(&mut drive, B1_AT, DEVICE, &KEY), OK);
}

#[test]
fn c019_a_new_key_counts_like_the_same_one() {
    let mut drive = Drive::open();
    for key in [KEY, OTHER_KEY, KEY] {
        assert_eq!(register(&mut drive, B1_AT, DEVICE, &key), OK);
    }
    assert_eq!(register(&mut drive, B1_AT, DEVICE, &OTHER_KEY), TOO_FREQUENT);
    assert_eq!(signed_key(&mut drive), KEY);
}

#[test]
fn c020_the_33rd_registration_of_a_source_within_a_minute_is_too_frequent() {
    let mut drive = Drive::open();
    let id = |number: u32| format!("{}", 200_000_000 + number);
    for number in 0..32 {
        let answer = joins(&mut drive, B1_AT, &say::register_pk(&id(number), DEVICE, &KEY));
        assert_eq!(answer, OK, "{number}");
        drive.wait(1000);
    }
    let payload = say::register_pk(&id(32), DEVICE, &KEY);
    assert_eq!(joins(&mut drive, B1_AT, &payload), TOO_FREQUENT);
    assert_eq!(joins(&mut drive, B1_MOVED, &payload), OK);
    drive.wait(30_000);
    assert_eq!(joins(&mut drive, B1_AT, &say::register_pk(&id(33), DEVICE, &KEY)), OK);
}

#[test]
fn c095_after_a_restart_all_known_devices_behind_one_address_are_back_at_once() {
    let mut drive = Drive::open();
    let claim = |number: u32| say::register_pk(&format!("{}", 200_000_000 + number), DEVICE, &KEY);
    for number in 0..150 {
        assert_eq!(ask(&mut drive, B1_AT, &claim(number)), OK, "{number}");
        drive.wait(2_000);
    }
    drive.restart();
    for number in 0..150 {
        assert_eq!(ask(&mut drive, B1_AT, &claim(number)), OK, "{number}");
    }
    // Whoever is new, or is another device, pays: the known ones took nothing from them.
    for number in 0..32 {
        let other = say::register_pk(&format!("{}", 200_000_000 + number), OTHER_DEVICE, &KEY);
        assert_eq!(ask(&mut drive, B1_AT, &other), UUID_MISMATCH, "{number}");
    }
    assert_eq!(ask(&mut drive, B1_AT, &claim(150)), TOO_FREQUENT);
    assert_eq!(ask(&mut drive, B1_AT, &claim(0)), OK);
}

#[test]
fn c020_an_ipv6_source_is_a_64() {
    let limits = Limits { registrations_per_source: 1, ..Limits::default() };
    let mut drive = Drive::new(limits, Policy::default());
    let first = ask(&mut drive, "[2001:db8::1]:1", &say::register_pk("200000001", DEVICE, &KEY));
    let second = ask(&mut drive, "[2001:db8::2]:1", &say::register_pk("200000002", DEVICE, &KEY));
    let third =
        ask(&mut drive, "[2001:db8:0:1::1]:1", &say::register_pk("200000003", DEVICE, &KEY));
    assert_eq!((first.as_str(), second.as_str(), third.as_str()), (OK, TOO_FREQUENT, OK));
}

#[test]
fn c021_register_peer_from_a_new_address_changes_nothing_until_register_pk() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    assert_eq!(ask(&mut drive, B1_MOVED, &say::register_peer(B1)), REQUEST_PK);
    assert_eq!(pushed_to(&mut drive), Some(Via::Datagram(at(B1_AT))));
    drive.wait(29_999);
    assert_eq!(ask(&mut drive, B1_MOVED, &say::register_peer(B1)), REQUEST_PK);
    drive.wait(1);
    assert_eq!(pushed_to(&mut drive), None);
    assert_eq!(register(&mut drive, B1_MOVED, DEVICE, &KEY), OK);
    assert_eq!(pushed_to(&mut drive), Some(Via::Datagram(at(B1_MOVED))));
}

#[test]
fn c022_a_rebound_port_is_believed_after_one_exchange_and_no_write() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let before = drive.durable.clone();
    drive.store = Store::Fails;
    drive.wait(15_000);
    assert_eq!(ask(&mut drive, B1_NEW_PORT, &say::register_peer(B1)), REQUEST_PK);
    assert_eq!(pushed_to(&mut drive), Some(Via::Datagram(at(B1_AT))));
    assert_eq!(register(&mut drive, B1_NEW_PORT, DEVICE, &KEY), OK);
    assert_eq!(pushed_to(&mut drive), Some(Via::Datagram(at(B1_NEW_PORT))));
    assert_eq!(ask(&mut drive, B1_AT, &say::register_peer(B1)), REQUEST_PK);
    assert_eq!(pushed_to(&mut drive), Some(Via::Datagram(at(B1_NEW_PORT))));
    assert_eq!(drive.durable, before);
}

#[test]
fn c022_the_port_of_a_connection_that_closed_says_nothing_over_udp() {
    let mut drive = Drive::open();
    let conn = drive.connect(B1_AT);
    drive.stream(conn, &say::register_pk(B1, DEVICE, &KEY));
    drive.hang_up(conn);
    assert_eq!(ask(&mut drive, B1_AT, &say::register_peer(B1)), REQUEST_PK);
    assert_eq!(pushed_to(&mut drive), None);
}

#[test]
fn c023_offline_30_seconds_after_the_last_registration() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.wait(29_999);
    assert!(is_online(&mut drive, B1));
    assert_eq!(ask(&mut drive, B1_AT, &say::register_peer(B1)), SEEN);
    drive.wait(29_000);
    assert!(is_online(&mut drive, B1));
    drive.wait(1_000);
    assert!(!is_online(&mut drive, B1));
    assert_eq!(pushed_to(&mut drive), None);
    // Its port may be another's by now (C22).
    assert_eq!(ask(&mut drive, B1_AT, &say::register_peer(B1)), REQUEST_PK);
    assert_eq!(pushed_to(&mut drive), None);
    assert_eq!(register(&mut drive, B1_AT, DEVICE, &KEY), OK);
    assert!(is_online(&mut drive, B1));
}

#[test]
fn c023_offline_stays_offline_past_32_bits_of_milliseconds() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    for days in [24, 25, 49, 50, 365] {
        drive.wait(days * 24 * 3_600_000);
        assert!(!is_online(&mut drive, B1), "{days}");
    }
}

#[test]
fn c101_a_device_that_stays_renews_its_address_with_its_first_sign_of_life_and_once_a_minute() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.machine.take_vouched();
    let renews = |_: &u32| {
        drive.wait(12_000);
        assert_eq!(ask(&mut drive, B1_AT, &say::register_peer(B1)), SEEN);
        drive.machine.take_vouched().is_some()
    };
    let renewed: Vec<_> = (0..100).filter(renews).collect();
    assert_eq!((renewed[0], renewed.len()), (0, 21));
    assert!(renewed.windows(2).all(|next| next[1] - next[0] <= 5), "{renewed:?}");
}

/// A router without a battery learns the time from the network, after its devices came.
#[test]
fn c013_who_came_before_the_clock_was_set_is_dated_by_when_it_came() {
    const START: u64 = 1_800_000_000;
    let mut drive = Drive::open();
    drive.wait(7_000);
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &KEY));
    drive.wait(5_000);
    let seen = |drive: &Drive| {
        let all = PeerQuery { after: None, part: String::new(), count: 1, shows_old: None };
        drive.machine.list(drive.now(), &all)[0].first_seen_secs
    };
    assert_eq!(seen(&drive), 0);
    drive.machine.set_epoch_secs(START);
    assert_eq!(seen(&drive), START + 7);
    // That is stored once it is not known otherwise.
    let stored = drive.machine.last_changes(drive.now());
    let is_it =
        |change: &Change| matches!(change, Change::Put(it) if it.first_seen_secs == START + 7);
    assert!(stored.iter().any(is_it), "{stored:?}");
    drive.machine.set_epoch_secs(START + 3_600);
    assert_eq!(seen(&drive), START + 7, "a clock that is set again changes nothing");
}
