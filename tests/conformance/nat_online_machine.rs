//! NAT test and online query, asked of the machine: C34, C35, C38, C112, C137.

use hbb_core::base::conn::{Conn, Via};
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

/// What an address gets for so many ids, the last one's B1: how many bytes of states, and after how
/// many turns of a millisecond; None if it is closed without a word.
fn asked(drive: &mut Drive, (from, asker): (&str, &str), count: usize) -> Option<(usize, usize)> {
    let conn: Conn = drive.connect(from);
    let mut ids = vec!["nobody1"; count - 1];
    ids.push(B1);
    let mut deeds = drive.stream(conn, &say::online_as(asker, &ids));
    if let Some(reason) = deeds.closed(conn) {
        assert_eq!((reason, deeds.sent().len()), (DropReason::TooFrequent, 0));
        drive.hang_up(conn);
        return None;
    }
    let mut turns = 0;
    while deeds.sent().is_empty() {
        assert!(drive.machine.is_reading(conn), "forgotten");
        (deeds, turns) = (drive.wait(1), turns + 1);
    }
    let states = take!(deeds.stream_to(conn), OnlineResponse).states;
    let last = states[(count - 1) / 8];
    assert_eq!(last, 0x80 >> ((count - 1) % 8), "the last of {count}");
    assert!(!drive.machine.is_reading(conn));
    drive.hang_up(conn);
    Some((states.len(), turns))
}

fn states(drive: &mut Drive, who: (&str, &str), count: usize) -> Option<usize> {
    asked(drive, who, count).map(|(bytes, _)| bytes)
}

#[test]
fn c137_a_long_query_is_answered_turn_by_turn() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let here = (B1_AT, B1);
    for (count, turns) in [(511, 0), (512, 0), (513, 1), (1_024, 1), (1_025, 2), (16_000, 31)] {
        drive.wait(6_000);
        drive.datagram(B1_AT, &say::register_peer(B1));
        assert_eq!(asked(&mut drive, here, count), Some((count.div_ceil(8), turns)), "{count}");
    }
}

#[test]
fn c137_others_have_their_turn_meanwhile_and_who_left_takes_none() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let query = say::online_as(B1, &[B1; 6_000]);
    let [one, gone, other] = [(); 3].map(|()| {
        let conn = drive.connect(B1_AT);
        drive.stream(conn, &query).silent();
        conn
    });
    let third = drive.connect(A_AT);
    assert!(
        take!(drive.stream(third, &say::test_nat(3)).stream_to(third), TestNatResponse).port > 0
    );
    // Asking again before the answer ends it.
    let hasty = drive.connect(B1_AT);
    let two = [say::online_as(B1, &[B1; 600]), say::online(&[B1])];
    drive.stream(hasty, &two[0]).silent();
    assert_eq!(drive.stream(hasty, &two[1]).closed(hasty), Some(DropReason::TooFrequent));
    drive.hang_up(hasty);
    drive.hang_up(gone);
    let mut answered = Vec::new();
    for turn in 1..=22 {
        let deeds = drive.wait(1);
        answered.extend(deeds.sent().into_iter().map(|(via, payload)| {
            let states = take!(payload, OnlineResponse).states;
            assert!(states.len() == 750 && states.iter().all(|byte| *byte == 0xff));
            (turn, via)
        }));
    }
    assert_eq!(answered, [(11, Via::Stream(one)), (22, Via::Stream(other))]);
    assert_eq!(drive.machine.next_timeout(), None);
}

#[test]
fn c112_an_address_book_is_answered_and_a_stranger_s_is_not() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let here = format!("{}:1000", B1_AT.split(':').next().unwrap());
    let (device, stranger) = ((here.as_str(), B1), (A_AT, B1));
    // Others behind the same NAT have such a book, too.
    for _ in 0..3 {
        assert_eq!(states(&mut drive, device, 20_000), Some(2_500));
    }
    assert_eq!(states(&mut drive, device, 1), None);
    // Another's id is of no use elsewhere, and here not one that is not ours.
    assert_eq!(states(&mut drive, stranger, 257), None);
    assert_eq!(states(&mut drive, stranger, 256), Some(32));
    assert_eq!(states(&mut drive, stranger, 1), None);
    drive.wait(6_000);
    assert_eq!(states(&mut drive, stranger, 256), Some(32));
    assert_eq!(states(&mut drive, (here.as_str(), "nobody1"), 257), None);
    assert_eq!(states(&mut drive, device, 20_000), Some(2_500));
    assert_eq!(states(&mut drive, device, 20_001), None);
    assert_eq!(states(&mut drive, device, 70_000), None);
}

#[test]
fn c112_who_dialled_may_ask_and_strangers_share_a_limit() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let dialling = drive.connect(A_AT);
    drive.stream(dialling, &say::punch(B1, |_| ()));
    assert_eq!(states(&mut drive, (A_AT, ""), 5_000), Some(625));
    let mut answered = |from: &dyn Fn(u8) -> String| {
        let answered = |number: &u8| states(&mut drive, (&from(*number), ""), 256).is_some();
        (1..40).filter(answered).count()
    };
    // One network has a quarter of what all strangers have, and none of what is others'.
    assert_eq!(answered(&|host| format!("192.0.2.{host}:7")), 4);
    assert_eq!(answered(&|net| format!("[2001:db8:1:{net:x}::1]:7")), 4);
    assert_eq!(answered(&|net| format!("198.51.{net}.1:7")), 8);
    // Who is known does not pay for them.
    assert_eq!(states(&mut drive, (A_AT, ""), 5_000), Some(625));
}
