//! Who may answer a punch, and for how long, asked of the machine: C47, C48, C52, C55.
//! Refusals first.

use hbb_core::base::conn::Via;
use hbb_core::base::counters::DropReason;
use hbb_core::wire::addr::Mangled;

use crate::drive::{A_AT, B1, B1_AT, Drive, at, server_key};
use crate::punch_machine::{NEAR_B1, answer, asked, one_shot, told, with_b1};
use crate::say;

#[test]
fn c052_answers_in_another_name_are_dropped() {
    let mut drive = with_b1(Drive::open());
    drive.enroll("222222222", "192.0.2.2:2");
    let (conn, echo) = asked(&mut drive, A_AT);
    for id in ["222222222", "987654321", "with blank"] {
        one_shot(&mut drive, &say::punch_sent(id, &echo, |_| ())).silent();
        one_shot(&mut drive, &say::local_addr(id, &echo, |_| ())).silent();
        one_shot(&mut drive, &say::relay_chosen(id, &echo, |_| ())).silent();
    }
    answer(&one_shot(&mut drive, &say::punch_sent("", &echo, |_| ())), conn);
}

#[test]
fn c052_answers_that_do_not_echo_the_very_bytes_are_dropped() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    let anew = Mangled::new(at(A_AT), 0x0bad_cafe).as_bytes().to_vec();
    let padded = [&echo[..], &[0]].concat();
    for wrong in [anew, padded, Vec::new(), vec![0xff; 40]] {
        one_shot(&mut drive, &say::punch_sent(B1, &wrong, |_| ())).silent();
        one_shot(&mut drive, &say::relay_chosen(B1, &wrong, |_| ())).silent();
        drive.datagram(B1_AT, &say::punch_sent(B1, &wrong, |_| ())).silent();
    }
    answer(&one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ())), conn);
}

#[test]
fn c052_who_was_not_asked_for_a_local_address_cannot_give_one() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    let anew = Mangled::new(at(A_AT), 0x0bad_cafe);
    for id in [B1, ""] {
        one_shot(&mut drive, &say::local_addr(id, anew.as_bytes(), |_| ())).silent();
    }
    answer(&one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ())), conn);
}

#[test]
fn c052_who_was_not_asked_to_a_relay_cannot_agree_to_one() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    let anew = Mangled::new(at(A_AT), 0x0bad_cafe);
    one_shot(&mut drive, &say::relay_agreed(anew.as_bytes())).silent();
    let nameless = say::relay_chosen(B1, anew.as_bytes(), |chosen| chosen.peer = None);
    one_shot(&mut drive, &nameless).silent();
    answer(&one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ())), conn);
}

#[test]
fn c052_each_ask_has_bytes_of_its_own() {
    let mut drive = with_b1(Drive::open());
    let mut seen = Vec::new();
    for port in 40_000..40_032 {
        let (conn, echo) = asked(&mut drive, &format!("198.51.100.7:{port}"));
        // All but the port is equal, so equal bytes would mean equal nonces.
        seen.push(Mangled::new(at("198.51.100.7:1"), nonce(&echo)).as_bytes().to_vec());
        drive.hang_up(conn);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 32);
}

/// The time field of mangled IPv4 (protocol §3).
fn nonce(echo: &[u8]) -> u32 {
    let mut padded = [0; 16];
    padded[..echo.len()].copy_from_slice(echo);
    u32::try_from(u128::from_le_bytes(padded) >> 17 & u128::from(u32::MAX)).unwrap()
}

#[test]
fn c055_what_an_initiator_keeps_secret_does_not_reach_the_target() {
    let mut drive = with_b1(Drive::enforcing());
    let key = server_key().public_text();
    let payload = say::punch(B1, |wish| {
        wish.access_key.clone_from(&key);
        wish.token = "bearer-of-the-user".into();
        wish.switch_code = "code-for-switching".into();
    });
    for from in [A_AT, NEAR_B1] {
        let conn = drive.connect(from);
        let deeds = drive.stream(conn, &payload);
        let pushed = deeds.only_to(Via::Datagram(at(B1_AT)));
        for secret in [key.as_str(), "bearer-of-the-user", "code-for-switching"] {
            let found = pushed.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
            assert!(!found, "{secret} reached the target");
        }
    }
}

#[test]
fn c047_a_late_second_answer_is_dropped_silently() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    let sent = say::punch_sent(B1, &echo, |_| ());
    answer(&one_shot(&mut drive, &sent), conn);
    one_shot(&mut drive, &sent).silent();
    one_shot(&mut drive, &say::relay_chosen(B1, &echo, |_| ())).silent();
    assert_eq!(drive.machine.counters().of(DropReason::Unasked), 2);
}

#[test]
fn c047_asking_again_pushes_again_and_either_push_can_be_answered() {
    for answered in [0, 1] {
        let mut drive = with_b1(Drive::open());
        let conn = drive.connect(A_AT);
        let mut echoes = Vec::new();
        for _ in 0..2 {
            echoes.push(told(&mut drive, conn, &say::punch(B1, |_| ())).socket_addr);
            drive.wait(3000);
        }
        let sent = say::punch_sent(B1, &echoes[answered], |_| ());
        answer(&one_shot(&mut drive, &sent), conn);
        one_shot(&mut drive, &sent).silent();
    }
}

#[test]
fn c047_an_answer_after_forty_seconds_is_too_late() {
    let mut drive = with_b1(Drive::open());
    let (_, echo) = asked(&mut drive, A_AT);
    drive.wait(39_999);
    assert!(drive.machine.next_timeout().is_some());
    drive.wait(1);
    assert_eq!(drive.machine.next_timeout(), None);
    one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ())).silent();
}

#[test]
fn c048_an_initiator_that_left_is_forgotten() {
    let mut drive = with_b1(Drive::open());
    let (conn, echo) = asked(&mut drive, A_AT);
    drive.hang_up(conn).silent();
    assert_eq!(drive.machine.next_timeout(), None);
    one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ())).silent();
}

#[test]
fn c048_the_next_connection_from_that_port_gets_no_answer_of_the_last() {
    let mut drive = with_b1(Drive::open());
    let (first, echo) = asked(&mut drive, A_AT);
    drive.connect(A_AT);
    drive.hang_up(first).silent();
    one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ())).silent();
}

#[test]
fn c048_the_next_connection_from_that_port_outlives_the_last() {
    let mut drive = with_b1(Drive::open());
    let (first, old_echo) = asked(&mut drive, A_AT);
    let (second, echo) = asked(&mut drive, A_AT);
    drive.hang_up(first).silent();
    one_shot(&mut drive, &say::punch_sent(B1, &old_echo, |_| ())).silent();
    answer(&one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ())), second);
}
