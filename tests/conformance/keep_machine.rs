//! What a server knows of its devices after a restart, and what it keeps for those an operator had
//! forgotten, asked of the machine: C91-C94.

use hbb_core::base::limits::KEPT_MAX;
use hbb_core::base::peer::{Change, RecordState};
use hbb_core::base::time::Time;
use hbb_core::rendezvous::{Event, Held};

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Drive, KEY, at};
use crate::say::{self, hex};

const OK: &str = "820100";
const UUID_MISMATCH: &str = "8201020802";
const SERVER_ERROR: &str = "8201020807";
const NEW_KEY: [u8; 32] = [0x22; 32];
/// The device's other address, and another port of its first.
const MOVED_TO: &str = "198.51.100.77:50002";
const OTHER_PORT: &str = "203.0.113.9:50777";

fn registers(drive: &mut Drive, from: &str, key: [u8; 32]) -> String {
    hex(drive.datagram(from, &say::register_pk(B1, DEVICE, &key)).datagram_to(from))
}

#[test]
fn c093_a_new_key_from_a_new_address_is_a_mismatch_after_a_restart_too() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.restart();
    assert_eq!(registers(&mut drive, A_AT, NEW_KEY), UUID_MISMATCH);
    assert_eq!(registers(&mut drive, OTHER_PORT, NEW_KEY), OK, "as before the restart");
}

#[test]
fn c093_a_stored_address_alone_makes_nobody_present() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.restart();
    let asked = drive.datagram(B1_AT, &say::register_peer(B1));
    assert_eq!(hex(asked.datagram_to(B1_AT)), "3a021001", "request_pk");
}

#[test]
fn c093_a_clean_stop_stores_where_devices_moved_and_a_crash_does_not() {
    for clean in [true, false] {
        let mut drive = Drive::open();
        drive.enroll(B1, B1_AT);
        assert_eq!(registers(&mut drive, MOVED_TO, KEY), OK);
        match clean {
            true => drive.stop_and_start(),
            false => drive.restart(),
        }
        let (here, gone) = if clean { (MOVED_TO, B1_AT) } else { (B1_AT, MOVED_TO) };
        assert_eq!(registers(&mut drive, gone, NEW_KEY), UUID_MISMATCH, "{clean}");
        assert_eq!(registers(&mut drive, here, NEW_KEY), OK, "{clean}");
    }
}

#[test]
fn c093_who_did_not_move_is_not_stored_again() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    assert_eq!(registers(&mut drive, OTHER_PORT, KEY), OK);
    assert!(drive.last_changes().is_empty());
    drive.restart();
    assert!(drive.last_changes().is_empty());
    assert_eq!(registers(&mut drive, B1_AT, KEY), OK);
    assert!(drive.last_changes().is_empty());
    assert_eq!(registers(&mut drive, MOVED_TO, KEY), OK);
    let stored = drive.last_changes();
    let [Change::Put(record)] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!(record.state, RecordState::Registered(Some(at(MOVED_TO).ip())));
}

#[test]
fn c093_a_clean_stop_takes_back_no_key_that_is_on_its_way_to_disk() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    assert_eq!(registers(&mut drive, MOVED_TO, KEY), OK);
    drive.store = crate::drive::Store::Holds;
    drive.datagram(MOVED_TO, &say::register_pk(B1, DEVICE, &NEW_KEY)).silent();
    assert!(drive.last_changes().is_empty());
}

#[test]
fn c093_a_new_name_takes_the_address_along() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let conn = drive.connect(B1_AT);
    drive.stream(conn, &say::change_id(B1, "newname", DEVICE)).stream_to(conn);
    let [record] = drive.durable.as_slice() else { panic!("{:?}", drive.durable) };
    assert_eq!(record.id.as_str(), "newname");
    assert_eq!(record.state, RecordState::Registered(Some(at(B1_AT).ip())));
}

#[test]
fn c094_with_no_address_known_a_new_key_waits_for_the_operator() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    for record in &mut drive.durable {
        record.state = RecordState::Registered(None);
    }
    drive.restart();
    let deeds = drive.datagram(A_AT, &say::register_pk(B1, DEVICE, &NEW_KEY));
    assert_eq!(hex(deeds.datagram_to(A_AT)), SERVER_ERROR);
    let id = drive.durable[0].id.clone();
    assert!(deeds.reported(&Event::PeerHeld {
        id,
        from: at(A_AT),
        proved: false,
        why: Held::Unseen
    }));
    assert_eq!(drive.durable[0].key.0, KEY, "nothing changed");
    assert_eq!(registers(&mut drive, A_AT, KEY), OK, "its own key is good from anywhere");
    assert_eq!(registers(&mut drive, A_AT, NEW_KEY), OK, "and then a new one from there");
}

const NEW_DEVICE: &[u8] = b"0f0e0d0c-device-two";
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// What another device is answered that asks for B1 by UDP.
fn another(drive: &mut Drive) -> String {
    hex(drive.datagram(A_AT, &say::register_pk(B1, NEW_DEVICE, &NEW_KEY)).datagram_to(A_AT))
}

fn forgotten() -> Drive {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.forget(B1).silent();
    drive
}

#[test]
fn c091_a_forgotten_id_is_kept_for_its_device() {
    let mut drive = forgotten();
    let deeds = drive.datagram(A_AT, &say::register_pk(B1, NEW_DEVICE, &NEW_KEY));
    assert_eq!(hex(deeds.datagram_to(A_AT)), SERVER_ERROR);
    let id = drive.durable[0].id.clone();
    assert!(deeds.reported(&Event::PeerHeld {
        id,
        from: at(A_AT),
        proved: false,
        why: Held::Forgotten
    }));
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::register_pk(B1, NEW_DEVICE, &NEW_KEY));
    assert_eq!(hex(deeds.stream_to(conn)), SERVER_ERROR, "a connection proves no device");
    assert_eq!(registers(&mut drive, B1_AT, NEW_KEY), SERVER_ERROR, "nor does half of it");
    let initiator = drive.connect(A_AT);
    let dialled = drive.stream(initiator, &say::punch(B1, |_| ()));
    assert_eq!(hex(dialled.stream_to(initiator)), "5a00", "nobody is there");
    assert_eq!(registers(&mut drive, MOVED_TO, KEY), OK, "its own");
    assert_eq!(another(&mut drive), UUID_MISMATCH, "and registered as before");
}

#[test]
fn c091_a_forgotten_id_is_free_after_a_day() {
    let mut drive = forgotten();
    drive.wait(DAY_MS - 1);
    assert_eq!(another(&mut drive), SERVER_ERROR);
    drive.wait(1);
    assert_eq!(another(&mut drive), OK);
}

#[test]
fn c091_a_kept_id_is_kept_through_a_restart_until_its_day_is_over() {
    const FORGOTTEN_AT: u64 = 1_800_000_000;
    for (passed_secs, outcome) in [(0, SERVER_ERROR), (86_399, SERVER_ERROR), (86_400, OK)] {
        let mut drive = Drive::open();
        drive.machine.set_epoch_secs(FORGOTTEN_AT);
        drive.enroll(B1, B1_AT);
        drive.forget(B1).silent();
        drive.restart();
        drive.machine.set_epoch_secs(FORGOTTEN_AT + passed_secs);
        assert_eq!(another(&mut drive), outcome, "{passed_secs}");
    }
    // Nobody knows the time: a day from the start.
    let mut drive = forgotten();
    drive.restart();
    drive.machine.set_epoch_secs(FORGOTTEN_AT);
    assert_eq!(another(&mut drive), SERVER_ERROR);
    assert_eq!(registers(&mut drive, B1_AT, KEY), OK);
}

#[test]
fn c091_a_clean_stop_removes_what_is_kept_no_more() {
    let mut drive = forgotten();
    assert!(drive.last_changes().is_empty());
    drive.wait(DAY_MS);
    let id = drive.durable[0].id.clone();
    assert_eq!(drive.last_changes(), [Change::Remove(id)]);
    drive.stop_and_start();
    assert!(drive.durable.is_empty());
}

#[test]
fn c091_no_device_takes_a_kept_id_by_a_change_of_its_own() {
    let mut drive = Drive::open();
    let conn = drive.connect(B1_AT);
    drive.stream(conn, &say::register_pk("newname", NEW_DEVICE, &NEW_KEY)).stream_to(conn);
    drive.forget("newname");
    drive.enroll(B1, B1_AT);
    let conn = drive.connect(B1_AT);
    let mut change =
        || hex(drive.stream(conn, &say::change_id(B1, "newname", DEVICE)).stream_to(conn));
    assert_eq!(change(), "8201020803", "ID_EXISTS");
}

#[test]
fn c091_the_oldest_kept_ids_make_room() {
    let mut drive = Drive::open();
    for number in 0..=KEPT_MAX {
        let id = format!("kept{number:05}");
        let from = format!("10.{}.{}.1:500", number / 256, number % 256);
        let conn = drive.connect(&from);
        drive.stream(conn, &say::register_pk(&id, DEVICE, &KEY)).stream_to(conn);
        drive.forget(&id);
        drive.hang_up(conn);
    }
    assert_eq!(drive.machine.kept_ids(Time::START), KEPT_MAX);
    assert_eq!(drive.durable.len(), KEPT_MAX, "on disk too");
    assert!(drive.durable.iter().all(|record| record.id.as_str() != "kept00000"));
}

#[test]
fn c092_a_freed_id_goes_to_the_next_that_proves_its_address() {
    for known_before in [false, true] {
        let mut drive = Drive::open();
        drive.enroll(B1, B1_AT);
        if known_before {
            drive.forget(B1);
        }
        let id = drive.durable[0].id.clone();
        assert!(drive.free(B1).reported(&Event::PeerForgotten { id }));
        assert_eq!(registers(&mut drive, B1_AT, KEY), SERVER_ERROR, "the old one waits");
        assert_eq!(another(&mut drive), SERVER_ERROR, "any address could be told");
        drive.connect("198.51.100.7:777");
        assert_eq!(another(&mut drive), OK);
        assert_eq!(registers(&mut drive, B1_AT, KEY), UUID_MISMATCH, "it is another's now");
        drive.restart();
        assert_eq!(another(&mut drive), OK, "for good");
    }
}

#[test]
fn c092_a_freed_id_goes_to_a_connection_and_to_the_same_device_with_a_new_key() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.free(B1);
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::register_pk(B1, DEVICE, &NEW_KEY));
    assert_eq!(hex(deeds.stream_to(conn)), "820102102d");
}

#[test]
fn c092_after_ten_minutes_it_is_the_old_device_s_again() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.free(B1);
    drive.wait(10 * MINUTE_MS);
    drive.connect(A_AT);
    assert_eq!(another(&mut drive), SERVER_ERROR);
    assert_eq!(registers(&mut drive, B1_AT, KEY), OK);
}

#[test]
fn c092_a_restart_ends_the_ten_minutes() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.free(B1);
    drive.restart();
    drive.connect(A_AT);
    assert_eq!(another(&mut drive), SERVER_ERROR);
    assert_eq!(registers(&mut drive, B1_AT, KEY), OK);
}

#[test]
fn c092_what_cannot_be_stored_is_not_forgotten() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.store = crate::drive::Store::Fails;
    drive.free(B1);
    drive.store = crate::drive::Store::Keeps;
    drive.connect(A_AT);
    assert_eq!(another(&mut drive), UUID_MISMATCH);
    assert_eq!(registers(&mut drive, B1_AT, KEY), OK);
}
