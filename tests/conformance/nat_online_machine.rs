//! NAT test and online query, asked of the machine: C34, C35, C38.

use crate::drive::{B1, B1_AT, Drive};
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
