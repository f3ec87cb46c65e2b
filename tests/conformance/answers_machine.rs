//! Who may answer for a target, asked of the machine alone: C50, C82-C84. Refusals first.

use hbb_core::base::conn::Via;
use hbb_core::base::counters::DropReason;
use hbb_core::wire::addr::{Mangled, demangle};

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Deeds, Drive, at};
use crate::punch_machine::{NEAR_B1, answer, asked, one_shot, told, told_local, with_b1};
use crate::say::proto::RelayResponse;
use crate::say::{self, take};

/// Neither B1's address nor an initiator's.
const STRANGER: &str = "192.0.2.66:40000";
/// B1's second uplink.
const OTHER_UPLINK: &str = "192.0.2.9:40000";
/// An initiator whose address has no room for a nonce.
const A6_AT: &str = "[2001:db8::7]:40001";

/// Says `payload` on a connection of its own, which must be closed then.
#[track_caller]
fn says(drive: &mut Drive, from: &str, payload: &[u8]) -> Deeds {
    let conn = drive.connect(from);
    let deeds = drive.stream(conn, payload);
    assert!(deeds.closed(conn).is_some(), "left open");
    drive.hang_up(conn);
    deeds
}

/// Whoever guesses is cut off and counted, and nobody else hears of it.
#[track_caller]
fn wrong_guess(drive: &mut Drive, from: &str, payload: &[u8]) {
    let counted = drive.machine.counters().of(DropReason::Unasked);
    says(drive, from, payload).silent();
    assert_eq!(drive.machine.counters().of(DropReason::Unasked), counted + 1);
}

/// The initiator's address in bytes that nobody told.
fn anew(from: &str) -> Vec<u8> {
    Mangled::new(at(from), 0x0bad_cafe).as_bytes().to_vec()
}

#[test]
fn c050_a_udp_answer_to_who_offered_no_udp_port_is_dropped() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    drive.datagram(B1_AT, &say::punch_sent(B1, &echo, |_| ())).silent();
    answer(&one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ())), conn);
    // A forced relay leaves no UDP path either.
    let conn = drive.connect(A_AT);
    let forced = say::punch(B1, |wish| (wish.udp_port, wish.force_relay) = (4000, true));
    let echo = told(&mut drive, conn, &forced).socket_addr;
    drive.datagram(B1_AT, &say::punch_sent(B1, &echo, |_| ())).silent();
}

#[test]
fn c082_a_stranger_gives_no_local_address() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(NEAR_B1);
    told_local(&mut drive, conn, &say::punch(B1, |_| ()));
    for id in [B1, ""] {
        wrong_guess(&mut drive, STRANGER, &say::local_addr(id, &anew(NEAR_B1), |_| ()));
    }
    answer(&one_shot(&mut drive, &say::local_addr(B1, &anew(NEAR_B1), |_| ())), conn);
}

#[test]
fn c082_a_stranger_does_not_answer_an_initiator_at_an_ipv6_address() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(A6_AT);
    let echo = told(&mut drive, conn, &say::punch(B1, |wish| wish.udp_port = 4000)).socket_addr;
    assert_eq!(echo, anew(A6_AT), "anybody can spell it");
    let sent = say::punch_sent(B1, &echo, |_| ());
    wrong_guess(&mut drive, STRANGER, &sent);
    wrong_guess(&mut drive, STRANGER, &say::relay_chosen(B1, &echo, |_| ()));
    drive.datagram(STRANGER, &sent).silent();
    let found = answer(&drive.datagram("203.0.113.9:33333", &sent), conn);
    assert_eq!(demangle(&found.socket_addr), at("203.0.113.9:33333"));
}

#[test]
fn c082_a_stranger_agrees_to_no_relay() {
    for from in [A_AT, A6_AT] {
        let mut drive = with_b1(Drive::open());
        told_relay(&mut drive, from);
        let conn = drive.connect(from);
        let deeds = drive.stream(conn, &say::request_relay(B1, |_| ()));
        take!(deeds.only_to(Via::Datagram(at(B1_AT))), RequestRelay);
        wrong_guess(&mut drive, STRANGER, &say::relay_agreed(&anew(from)));
        let refusal = RelayResponse {
            socket_addr: anew(from),
            refuse_reason: "go away".into(),
            ..Default::default()
        };
        wrong_guess(&mut drive, STRANGER, &say::payload(say::Body::RelayResponse(refusal)));
        let deeds = one_shot(&mut drive, &say::relay_agreed(&anew(from)));
        take!(deeds.stream_to(conn), RelayResponse);
    }
}

/// An initiator at `from` asks for B1, and B1 tells it `say`'s relay; it is gone then.
pub(crate) fn told_relay(drive: &mut Drive, from: &str) {
    let (conn, echo) = asked(drive, from);
    answer(&one_shot(drive, &say::punch_sent(B1, &echo, |_| ())), conn);
    drive.hang_up(conn);
}

/// B1 answers an initiator out of its second uplink, by the nonce.
#[track_caller]
fn proves_other_uplink(drive: &mut Drive) {
    let (conn, echo) = asked(drive, A_AT);
    answer(&says(drive, OTHER_UPLINK, &say::punch_sent(B1, &echo, |_| ())), conn);
    drive.hang_up(conn);
}

#[test]
fn c083_an_address_that_gave_a_right_nonce_is_the_devices_own() {
    let mut drive = with_b1(Drive::open());
    let local = say::local_addr(B1, &anew(NEAR_B1), |_| ());
    let conn = drive.connect(NEAR_B1);
    told_local(&mut drive, conn, &say::punch(B1, |_| ()));
    wrong_guess(&mut drive, OTHER_UPLINK, &local);
    proves_other_uplink(&mut drive);
    answer(&says(&mut drive, OTHER_UPLINK, &local), conn);
    drive.hang_up(conn);
    let conn = drive.connect(A6_AT);
    let echo = told(&mut drive, conn, &say::punch(B1, |_| ())).socket_addr;
    answer(&says(&mut drive, OTHER_UPLINK, &say::punch_sent(B1, &echo, |_| ())), conn);
}

#[test]
fn c083_another_device_inherits_no_address() {
    let mut drive = with_b1(Drive::open());
    drive.enroll("222222222", "192.0.2.2:2");
    proves_other_uplink(&mut drive);
    // Another device's answers.
    let conn = drive.connect(A6_AT);
    let deeds = drive.stream(conn, &say::punch("222222222", |_| ()));
    let echo = take!(deeds.datagram_to("192.0.2.2:2"), PunchHole).socket_addr;
    wrong_guess(&mut drive, OTHER_UPLINK, &say::punch_sent("222222222", &echo, |_| ()));
    drive.hang_up(conn);
    // The same id with another key.
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &[0x22; 32])).datagram_to(B1_AT);
    let conn = drive.connect(A6_AT);
    let echo = told(&mut drive, conn, &say::punch(B1, |_| ())).socket_addr;
    wrong_guess(&mut drive, OTHER_UPLINK, &say::punch_sent(B1, &echo, |_| ()));
}

#[test]
fn c083_a_devices_network_is_an_ipv6_64() {
    let mut drive = Drive::open();
    drive.enroll(B1, "[2001:db8:b::1]:50002");
    let conn = drive.connect(A6_AT);
    let deeds = drive.stream(conn, &say::punch(B1, |_| ()));
    let echo = take!(deeds.datagram_to("[2001:db8:b::1]:50002"), PunchHole).socket_addr;
    let sent = say::punch_sent(B1, &echo, |_| ());
    wrong_guess(&mut drive, "[2001:db8:b:1::1]:9", &sent);
    // Its short connections may come from the temporary address of another day.
    answer(&says(&mut drive, "[2001:db8:b::abcd]:9", &sent), conn);
}

#[test]
fn c084_the_second_ask_after_a_local_one_is_a_punch() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(NEAR_B1);
    told_local(&mut drive, conn, &say::punch(B1, |_| ()));
    // B1's answer comes out of an uplink nobody knows yet.
    wrong_guess(&mut drive, OTHER_UPLINK, &say::local_addr(B1, &anew(NEAR_B1), |_| ()));
    drive.wait(3000);
    let push = told(&mut drive, conn, &say::punch(B1, |_| ()));
    assert_eq!((demangle(&push.socket_addr), push.nat_type), (at(NEAR_B1), 1));
    let sent = say::punch_sent(B1, &push.socket_addr, |_| ());
    answer(&says(&mut drive, OTHER_UPLINK, &sent), conn);
}

#[test]
fn c084_a_late_local_address_is_good_after_the_second_ask() {
    let mut drive = with_b1(Drive::open());
    let conn = drive.connect(NEAR_B1);
    told_local(&mut drive, conn, &say::punch(B1, |_| ()));
    drive.wait(3000);
    told(&mut drive, conn, &say::punch(B1, |_| ()));
    answer(&one_shot(&mut drive, &say::local_addr(B1, &anew(NEAR_B1), |_| ())), conn);
}
