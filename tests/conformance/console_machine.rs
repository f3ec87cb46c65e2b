//! What the ID server's console tells of the past, asked of the machine: C161.

use hbb_core::base::limits::{CONSOLE_DIALS_MAX, CONSOLE_SEEN_MAX};
use hbb_core::base::table::Seed;

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Drive, KEY};
use crate::say;

/// A machine with a console, in a morning of 2026.
fn drive() -> Drive {
    let mut drive = Drive::open();
    drive.machine.keep_journal(Seed(3, 5));
    drive.machine.set_epoch_secs(1_774_944_000);
    drive
}

fn dial(drive: &mut Drive, from: &str, target: &str) {
    let conn = drive.connect(from);
    drive.stream(conn, &say::punch(target, |_| ()));
    drive.hang_up(conn);
}

#[test]
fn c161_each_address_is_listed_with_what_it_asked() {
    let mut drive = drive();
    assert_eq!(drive.console("ib"), "0\n");
    for id in [B1, B1, "987654321"] {
        drive.datagram(B1_AT, &say::register_pk(id, DEVICE, &KEY));
    }
    drive.datagram("[2001:db8::7]:5", &say::register_pk("another1", DEVICE, &KEY));
    drive.wait(7_900);
    assert_eq!(drive.console("ib"), "2\n203.0.113.9: 3/7s 2/7s\n2001:db8::7: 1/7s 1/7s\n");
    assert_eq!(drive.console("ip-blocker 1"), "2\n2001:db8::7: 1/7s 1/7s\n");
    assert_eq!(drive.console("ib 203.0.113.9"), "2\n3/7s 2/7s\n");
    assert_eq!(drive.console("ib ::ffff:203.0.113.9"), "2\n3/7s 2/7s\n");
    assert_eq!(drive.console("ib 203.0.113.10"), "2\n");
    drive.wait(60_000);
    assert_eq!(drive.console("ib 203.0.113.9"), "2\n0/67s 2/67s\n", "a minute is over");
    drive.wait(24 * 3_600_000 - 67_900);
    assert_eq!(drive.console("ib"), "0\n", "a day is over");
    for host in 10..35 {
        drive.datagram(&format!("192.0.2.{host}:5"), &say::register_pk(B1, DEVICE, &KEY));
    }
    let page = drive.console("ib 20");
    assert_eq!(page.lines().count(), 6);
    assert!(page.starts_with("25\n192.0.2.30: 1/0s 1/0s\n"), "{page}");
    assert_eq!(drive.console("ib").lines().count(), 11, "ten and how many there are");
    assert_eq!(drive.console("ib x"), "25\n");
}

#[test]
fn c161_who_is_forgotten_by_the_console_may_ask_again() {
    let mut drive = drive();
    drive.prove(B1_AT);
    let new = |drive: &mut Drive, number: usize| {
        let id = format!("device{number:04}");
        let deeds = drive.datagram(B1_AT, &say::register_pk(&id, DEVICE, &KEY));
        say::hex(deeds.datagram_to(B1_AT))
    };
    let asked: Vec<_> = (0..100).map(|number| new(&mut drive, number)).collect();
    let refused = asked.last().unwrap().clone();
    assert_ne!(refused, "820100");
    assert_eq!(drive.console("ib 203.0.113.9 -"), "");
    assert_eq!(drive.console("ib"), "0\n");
    drive.prove(B1_AT);
    assert_eq!(new(&mut drive, 200), "820100");
}

#[test]
fn c161_what_one_list_forgets_stays_in_the_other() {
    let mut drive = drive();
    let other = "198.51.100.9:5";
    drive.enroll(B1, B1_AT);
    drive.enroll(B1, other);
    assert_eq!(drive.console("ib 198.51.100.9 -"), "");
    assert_eq!(drive.console("ib"), "1\n203.0.113.9: 1/0s 1/0s\n");
    let told = drive.console("ic");
    assert!(told.contains("198.51.100.9") && told.contains("203.0.113.9"), "{told}");
    drive.wait(7_000);
    drive.enroll(B1, other);
    assert_eq!(drive.console("ib 198.51.100.9"), "2\n1/0s 1/0s\n", "counted anew");
    assert!(drive.console("ic").contains("\"198.51.100.9\": 2"));
    assert_eq!(drive.console(&format!("ic {B1} -")), "");
    assert_eq!(drive.console("ic"), "0\n");
    let told = drive.console("ib");
    assert_eq!(told, "2\n198.51.100.9: 1/0s 1/0s\n203.0.113.9: 1/7s 1/7s\n");
    drive.enroll(B1, B1_AT);
    assert_eq!(drive.console("ic"), "0\n", "at one address since");
    drive.enroll(B1, other);
    assert!(drive.console("ic").contains("\"198.51.100.9\": 1"));
}

#[test]
fn c161_ids_that_were_at_several_addresses_are_listed() {
    let mut drive = drive();
    drive.enroll(B1, B1_AT);
    assert_eq!(drive.console("ic"), "0\n", "at one address alone");
    drive.wait(10_000);
    drive.enroll(B1, "198.51.100.9:5");
    drive.enroll(B1, "198.51.100.9:5");
    drive.enroll("otherone", "198.51.100.9:6");
    drive.wait(3_000);
    let map = "{\"198.51.100.9\": 2, \"203.0.113.9\": 1}";
    let sorted = |told: String| {
        // The order of a map is not told.
        told.replace("{\"203.0.113.9\": 1, \"198.51.100.9\": 2}", map)
    };
    assert_eq!(sorted(drive.console("ic")), format!("1\n{B1}: 3s {map}\n"));
    assert_eq!(sorted(drive.console("ip-changes 0")), format!("1\n{B1}: 3s {map}\n"));
    assert_eq!(drive.console("ic 1"), "1\n");
    assert_eq!(sorted(drive.console(&format!("ic {B1}"))), format!("1\n3s {map}\n"));
    assert_eq!(drive.console("ic otherone"), "1\n");
    assert_eq!(drive.console(&format!("ic {B1} -")), "");
    assert_eq!(drive.console("ic"), "0\n");
    drive.wait(7_000);
    drive.enroll(B1, B1_AT);
    drive.enroll(B1, "198.51.100.9:5");
    drive.wait(360_000);
    assert_eq!(drive.console("ic"), "0\n", "360 seconds are over");
}

#[test]
fn c161_who_asked_for_whom_is_listed() {
    let mut drive = drive();
    drive.enroll(B1, B1_AT);
    drive.wait(5_000);
    dial(&mut drive, A_AT, B1);
    dial(&mut drive, A_AT, B1);
    dial(&mut drive, A_AT, "nobody11");
    drive.wait(1_000);
    dial(&mut drive, "192.0.2.1:7", B1);
    let lines = [
        "2026-03-31T08:00:05Z 198.51.100.7 -> 123456789@203.0.113.9\n",
        "2026-03-31T08:00:06Z 192.0.2.1 -> 123456789@203.0.113.9\n",
    ];
    assert_eq!(drive.console("pr"), lines.concat());
    assert_eq!(drive.console("punch-requests 1"), lines[1]);
    assert_eq!(drive.console("pr 0 1"), lines[0]);
    assert_eq!(drive.console("pr 2"), "");
    assert_eq!(drive.console("pr -") + &drive.console("pr"), "");
    drive.enroll(B1, B1_AT);
    dial(&mut drive, A_AT, B1);
    drive.wait(25_000);
    drive.enroll(B1, B1_AT);
    drive.wait(25_000);
    drive.enroll(B1, B1_AT);
    dial(&mut drive, A_AT, B1);
    assert_eq!(drive.console("pr").lines().count(), 1, "50 s later");
    drive.wait(10_000);
    dial(&mut drive, A_AT, B1);
    assert_eq!(drive.console("pr").lines().count(), 2, "a minute later");
}

#[test]
fn c161_the_journal_is_bounded_and_is_not_kept_without_a_console() {
    let mut drive = drive();
    let mut plain = Drive::open();
    for number in 0..CONSOLE_SEEN_MAX + 10 {
        let from = format!("10.{}.{}.1:5", number / 200, number % 200);
        for drive in [&mut drive, &mut plain] {
            drive.datagram(&from, &say::register_pk(B1, DEVICE, &KEY));
            drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &KEY));
            drive.wait(7_000);
            dial(drive, &from, B1);
        }
    }
    assert_eq!(drive.machine.journal(), [CONSOLE_SEEN_MAX, CONSOLE_DIALS_MAX]);
    assert_eq!(plain.machine.journal(), [0, 0]);
    for word in ["ib", "ic", "pr"] {
        assert_eq!(plain.console(word), "");
    }
}
