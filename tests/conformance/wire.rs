//! Frames and messages as they cross a socket: C01-C05, C07, C10.
//! Silence for half a minute (C05) stands in `half_minute.rs`.

use std::fs;
use std::io::Read as _;
use std::thread;
use std::time::Duration;

use crate::loopback::{
    A_IP, B_IP, B1, Caller, DEVICE, Device, KEY, enforcing, main_port, nat_port, open, relay_port,
};
use crate::model::server::Server;
use crate::model::wire::frame;
use crate::say::proto::{OnlineRequest, RequestRelay};
use crate::say::{self, Body, hex, take, unhex};

/// A frame with a header of `width` bytes, more than needed or not.
fn frame_of(width: usize, payload: &[u8]) -> Vec<u8> {
    let header = u32::try_from(payload.len() << 2 | (width - 1)).unwrap().to_le_bytes();
    [&header[..width], payload].concat()
}

/// Sends a frame in two segments that are read apart, most likely.
fn say_split(caller: &mut Caller, frame: &[u8], at: usize) {
    caller.say_raw(&frame[..at]);
    thread::sleep(Duration::from_millis(2));
    caller.say_raw(&frame[at..]);
}

/// An online query for B1 of exactly `len` bytes.
fn query(len: usize) -> Vec<u8> {
    let of = |id: String| {
        say::payload(Body::OnlineRequest(OnlineRequest { id, peers: vec![B1.into()] }))
    };
    // Around an id of this length stand a tag and a length in three bytes at most, twice.
    (0..=8).map(|less| of("i".repeat(len - 12 - less))).find(|query| query.len() == len).unwrap()
}

#[track_caller]
fn hears_port(caller: &mut Caller) {
    let port = take!(&caller.next(), TestNatResponse).port;
    assert_eq!(port, i32::from(caller.port()));
}

#[test]
fn c001_a_frame_split_at_any_byte_is_understood() {
    let server = open();
    let mut caller = Caller::from(A_IP, main_port(&server));
    for width in 1..=4 {
        let frame = frame_of(width, &say::test_nat(3));
        for at in 1..frame.len() {
            say_split(&mut caller, &frame, at);
            hears_port(&mut caller);
        }
    }
}

#[test]
fn c001_frames_at_both_sides_of_each_header_length() {
    let server = open();
    let _b1 = Device::enrolled(B_IP, &server, B1);
    for (len, header) in [(63, 1), (64, 2), (300, 2), (16383, 2), (16384, 3), (65536, 3)] {
        let frame = frame(&query(len));
        assert_eq!(frame.len(), len + header);
        for at in 1..=header + 1 {
            let mut caller = Caller::from(A_IP, nat_port(&server));
            say_split(&mut caller, &frame, at);
            assert_eq!(take!(&caller.next(), OnlineResponse).states, [0x80], "{len} split at {at}");
        }
    }
}

#[test]
fn c001_answers_have_the_shortest_header() {
    let server = open();
    let _b1 = Device::enrolled(A_IP, &server, B1);
    for (wish, expected) in [
        // Seven bytes, of which the last three are the port.
        (say::test_nat(3), "1c aa010408"),
        // 256 bytes of states make 263 of payload; so many ids are for those who are known.
        (say::online_as(B1, &["nobody1"; 2048]), "1d04 c20183020a8002 0000"),
    ] {
        let mut caller = Caller::from(A_IP, nat_port(&server));
        caller.say(&wish);
        let mut begin = vec![0; unhex(expected).len()];
        caller.0.read_exact(&mut begin).unwrap();
        assert_eq!(begin, unhex(expected), "{}", hex(&begin));
    }
}

#[test]
fn c002_a_longer_header_than_needed_is_accepted_everywhere() {
    let server = open();
    for at in [main_port(&server), nat_port(&server)] {
        let mut caller = Caller::from(A_IP, at);
        caller.say_raw(&frame_of(4, &say::test_nat(3)));
        hears_port(&mut caller);
    }
    let wish = RequestRelay { uuid: say::TOKEN.into(), ..Default::default() };
    let wish = say::payload(Body::RequestRelay(wish));
    let mut legs = [A_IP, B_IP].map(|ip| Caller::from(ip, relay_port(&server)));
    legs[0].say_raw(&frame_of(4, &wish));
    legs[1].say_raw(&frame_of(3, &wish));
    legs[0].say(b"through");
    assert_eq!(crate::model::wire::receive(&mut legs[1].0).unwrap(), b"through");
}

#[test]
fn c003_two_frames_in_one_segment_are_answered_in_order() {
    let server = enforcing();
    let mut caller = Caller::from(A_IP, main_port(&server));
    let right = say::punch("nobody1", |wish| wish.access_key = server.key());
    let wrong = say::punch("nobody1", |wish| wish.access_key = "wrong".into());
    caller.say_raw(&[frame(&right), frame(&wrong), frame(&right)].concat());
    let answers = [caller.next(), caller.next(), caller.next()].map(|answer| hex(&answer));
    assert_eq!(answers, ["5a00", "5a021803", "5a00"]);
}

#[test]
fn c003_a_segment_of_fifty_frames_is_answered_whole() {
    let server = enforcing();
    let mut caller = Caller::from(A_IP, main_port(&server));
    let wish = |number| {
        let access_key = if number % 2 == 0 { server.key() } else { "wrong".into() };
        frame(&say::punch("nobody1", |wish| wish.access_key = access_key))
    };
    caller.say_raw(&(0..50).flat_map(wish).collect::<Vec<_>>());
    for number in 0..50 {
        let answer = if number % 2 == 0 { "5a00" } else { "5a021803" };
        assert_eq!(hex(&caller.next()), answer, "{number}");
    }
}

#[test]
fn c004_a_frame_above_the_cap_closes_at_its_header() {
    let server = open();
    let relay = relay_port(&server);
    for (at, header) in [
        (main_port(&server), "060004"),
        (nat_port(&server), "060004"),
        (main_port(&server), "ffffffff"),
        (relay, "0540"),
        (relay, "ffffffff"),
    ] {
        let mut caller = Caller::from(A_IP, at);
        caller.say_raw(&unhex(header));
        caller.is_closed();
    }
}

#[test]
fn c004_announcing_a_gigabyte_costs_the_server_nothing() {
    let server = open();
    let before = memory_mib(&server);
    for _ in 0..100 {
        for at in [main_port(&server), nat_port(&server), relay_port(&server)] {
            let mut caller = Caller::from(A_IP, at);
            caller.say_raw(&unhex("ffffffff92019201"));
            caller.is_closed();
        }
    }
    let after = memory_mib(&server);
    // A thread more may reserve a tenth of a gigabyte; none of it is used.
    assert!(after[0] < before[0] + 512 && after[1] < before[1] + 16, "{before:?} {after:?}");
}

/// The most address space and the most memory the server ever had.
fn memory_mib(server: &Server) -> [u64; 2] {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    ["VmPeak:", "VmHWM:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    })
}

#[test]
fn c005_coming_and_leaving_at_once_is_not_worth_a_line() {
    let server = open();
    // Who speaks from this machine may be a proxy's client: that is one (C131).
    drop(Caller::from(A_IP, main_port(&server)).ask(&say::test_nat(3)));
    let before = server.log();
    for _ in 0..50 {
        for at in [main_port(&server), nat_port(&server), relay_port(&server)] {
            drop(Caller::from(A_IP, at));
            Caller::from(A_IP, at).reset();
        }
    }
    let mut last = Caller::from(A_IP, main_port(&server));
    last.say(&say::test_nat(3));
    hears_port(&mut last);
    assert_eq!(server.log(), before);
}

/// Member 29, which no version has; then fields 99 and 100 of all four wire types.
const UNKNOWN_MEMBER: &str = "ea0102 0801";
const UNKNOWN_FIELDS: &str = "980601 a206020102 9d0601020304 a1060102030405060708";

#[test]
fn c007_unknown_members_are_ignored_and_unknown_fields_tolerated_over_udp() {
    let server = open();
    let device = Device::at(B_IP, &server);
    device.say(&unhex(UNKNOWN_MEMBER));
    device.say(&unhex(UNKNOWN_FIELDS));
    let inside = [&unhex("0a09")[..], B1.as_bytes(), &unhex(UNKNOWN_FIELDS)].concat();
    let len = u8::try_from(inside.len()).unwrap();
    let beside = [&[0x32, len][..], &inside, &unhex(UNKNOWN_FIELDS)].concat();
    assert_eq!(hex(&device.ask(&beside)), "3a021001");
}

#[test]
fn c007_unknown_members_and_fields_over_tcp_harm_nobody() {
    let server = open();
    for at in [main_port(&server), nat_port(&server), relay_port(&server)] {
        for junk in [UNKNOWN_MEMBER, UNKNOWN_FIELDS, "ff", "5a05", "0000"] {
            Caller::from(A_IP, at).say(&unhex(junk));
        }
    }
    let mut caller = Caller::from(A_IP, main_port(&server));
    let wish = [say::punch("nobody1", |_| ()), unhex(UNKNOWN_FIELDS)].concat();
    assert_eq!(hex(&caller.ask(&wish)), "5a00");
}

#[test]
fn c010_answers_without_contents_are_present_and_empty() {
    let server = open();
    let device = Device::at(B_IP, &server);
    assert_eq!(hex(&device.ask(&unhex("320d0a093132333435363738391003"))), "3a021001");
    assert_eq!(hex(&device.ask(&say::register_pk(B1, DEVICE, &KEY))), "820100");
    assert_eq!(hex(&device.ask(&unhex("320d0a093132333435363738391003"))), "3a00");
    let mut caller = Caller::from(A_IP, main_port(&server));
    assert_eq!(hex(&caller.ask(&say::punch("nobody1", |_| ()))), "5a00");
}
