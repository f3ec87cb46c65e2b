//! What a server knows of its devices after a restart, and what it keeps for those an operator had
//! forgotten, asked of the machine: C91-C94.

use hbb_core::base::peer::{Change, RecordState};
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
    assert!(drive.machine.last_changes().is_empty());
    drive.restart();
    assert!(drive.machine.last_changes().is_empty());
    assert_eq!(registers(&mut drive, B1_AT, KEY), OK);
    assert!(drive.machine.last_changes().is_empty());
    assert_eq!(registers(&mut drive, MOVED_TO, KEY), OK);
    let stored = drive.machine.last_changes();
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
    assert!(drive.machine.last_changes().is_empty());
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
    assert!(deeds.reported(&Event::PeerHeld { id, from: at(A_AT), why: Held::Unseen }));
    assert_eq!(drive.durable[0].key.0, KEY, "nothing changed");
    assert_eq!(registers(&mut drive, A_AT, KEY), OK, "its own key is good from anywhere");
    assert_eq!(registers(&mut drive, A_AT, NEW_KEY), OK, "and then a new one from there");
}
