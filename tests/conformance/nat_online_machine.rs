//! NAT test and online query, asked of the machine: C34, C35, C38, C112.

use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;

use crate::drive::{A_AT, B1, B1_AT, Drive};
use crate::say::{self, take, unhex};

#[test]
fn c034_the_nat_test_tells_the_source_port_on_each_connection() {
    let mut drive = Drive::open();
    for from in ["198.51.100.7:40001", "198.51.100.7:1", "[2001:db8::7]:65535"] {
        let port = from.rsplit(':').next().unwrap().parse::<i32>().unwrap();
        // Two connections from one port: to P and to P - 1.
        for _ in 0..2 {
            let conn = drive.connect(from);
            let answer = drive.stream(conn, &say::test_nat(3));
            let nat = take!(answer.stream_to(conn), TestNatResponse);
            assert!(nat.port == port && nat.cu.is_none(), "{from}");
            drive.hang_up(conn);
        }
    }
}

#[test]
fn c035_the_nat_test_over_udp_tells_the_udp_port() {
    let mut drive = Drive::open();
    let answer = drive.datagram("198.51.100.7:54321", &say::test_nat(0));
    assert_eq!(answer.datagram_to("198.51.100.7:54321"), unhex("aa010408b1a803"));
}

#[test]
fn c038_loopback_sources_are_served_like_others() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    for from in ["127.0.0.1:40001", "[::1]:40001", "[::ffff:127.0.0.1]:40001"] {
        let conn = drive.connect(from);
        let nat = drive.stream(conn, &say::test_nat(0));
        assert_eq!(take!(nat.stream_to(conn), TestNatResponse).port, 40_001);
        let online = drive.stream(conn, &say::online(&[B1]));
        assert_eq!(take!(online.stream_to(conn), OnlineResponse).states, [0x80]);
        drive.hang_up(conn);
    }
}

/// How many bytes of states an address gets for so many ids, the last one's B1; None if it is
/// closed without a word.
fn states(drive: &mut Drive, (from, asker): (&str, &str), count: usize) -> Option<usize> {
    let conn: Conn = drive.connect(from);
    let mut ids = vec!["nobody1"; count - 1];
    ids.push(B1);
    let deeds = drive.stream(conn, &say::online_as(asker, &ids));
    if deeds.sent().is_empty() {
        assert_eq!(deeds.closed(conn), Some(DropReason::TooFrequent));
        drive.hang_up(conn);
        return None;
    }
    let states = take!(deeds.stream_to(conn), OnlineResponse).states;
    let last = states[(count - 1) / 8];
    assert_eq!(last, 0x80 >> ((count - 1) % 8), "the last of {count}");
    drive.hang_up(conn);
    Some(states.len())
}

#[test]
fn c112_an_address_book_is_answered_and_a_stranger_s_is_not() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let here = format!("{}:1000", B1_AT.split(':').next().unwrap());
    let (device, stranger) = ((here.as_str(), B1), (A_AT, B1));
    assert_eq!(states(&mut drive, device, 20_000), Some(2_500));
    assert_eq!(states(&mut drive, device, 1), None);
    // Another's id is of no use elsewhere, and here not one that is not ours.
    assert_eq!(states(&mut drive, stranger, 257), None);
    assert_eq!(states(&mut drive, stranger, 256), Some(32));
    assert_eq!(states(&mut drive, stranger, 1), None);
    drive.wait(6_000);
    assert_eq!(states(&mut drive, stranger, 256), Some(32));
    assert_eq!(states(&mut drive, (here.as_str(), "nobody1"), 257), None);
    assert_eq!(states(&mut drive, device, 20_000), Some(2_500));
    assert_eq!(states(&mut drive, device, 70_000), None);
}

#[test]
fn c112_who_dialled_may_ask_and_strangers_share_a_limit() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let dialling = drive.connect(A_AT);
    drive.stream(dialling, &say::punch(B1, |_| ()));
    assert_eq!(states(&mut drive, (A_AT, ""), 5_000), Some(625));
    let strangers = (1..40).filter(|number| {
        let from = format!("192.0.2.{number}:7");
        states(&mut drive, (from.as_str(), ""), 256).is_some()
    });
    assert_eq!(strangers.count(), 16);
    // Who is known does not pay for them.
    assert_eq!(states(&mut drive, (A_AT, ""), 5_000), Some(625));
}
