//! An operator's rules, asked of the machine alone: C180 to C182. What the binary is asked stands
//! in tests/rules.rs, what a text says in `src/core/rules/`.

use std::sync::Arc;

use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::Limits;
use hbb_core::rendezvous::{Caller, Policy};
use hbb_core::rules::{CLOCK_NOT_SET, DENIED, DIRECT_ONLY, RELAY_ONLY, Rules};

use crate::drive::{A_AT, B1, B1_AT, Drive, server_key};
use crate::punch_machine::{NEAR_B1, asked, one_shot, told, told_local};
use crate::say::proto::{ControlPermissions, ControlledContext, RequestRelay};
use crate::say::{self, take};

/// 2026-11-23 00:00 UTC, a Monday.
const MONDAY_SECS: u64 = 1_795_392_000;
/// Another device, and where it is.
const C1: &str = "234567890";
const C1_AT: &str = "198.51.100.99:50003";

fn policy(rules: &str) -> Policy {
    let rules = Some(Arc::new(Rules::parse(rules).unwrap()));
    Policy { rules, relays: vec!["relay.example".into()], ..Policy::default() }
}

fn with(rules: &str) -> Drive {
    let mut drive = Drive::new(Limits::default(), policy(rules));
    drive.enroll(B1, B1_AT);
    drive.enroll(C1, C1_AT);
    drive
}

/// What a new initiator there reads when it asks for B1; nobody else hears of it.
#[track_caller]
fn refused(drive: &mut Drive, from: &str) -> String {
    let conn = drive.connect(from);
    let deeds = drive.stream(conn, &say::punch(B1, |_| ()));
    let answer = take!(deeds.stream_to(conn), PunchHoleResponse);
    assert!(answer.socket_addr.is_empty() && answer.pk.is_empty() && answer.path.is_none());
    drive.hang_up(conn);
    answer.other_failure
}

/// The same of the relay.
#[track_caller]
fn refused_relay(drive: &mut Drive, from: &str) -> String {
    let conn = drive.connect(from);
    let deeds = drive.stream(conn, &say::request_relay(B1, |_| ()));
    let answer = take!(deeds.stream_to(conn), RelayResponse);
    assert!(answer.uuid.is_empty() && answer.relay_server.is_empty() && answer.peer.is_none());
    drive.hang_up(conn);
    answer.refuse_reason
}

fn asks(drive: &mut Drive, from: &str) -> bool {
    let conn = drive.connect(from);
    let deeds = drive.stream(conn, &say::punch(B1, |_| ()));
    let pushed = deeds.sent().len() == 1 && take!(deeds.sent()[0].1, PunchHole).udp_port == 0;
    drive.hang_up(conn);
    pushed
}

/// What B1 is told of an initiator that asks for the relay.
#[track_caller]
fn told_relay(drive: &mut Drive, conn: Conn, wish: &[u8]) -> RequestRelay {
    take!(drive.stream(conn, wish).datagram_to(B1_AT), RequestRelay)
}

#[test]
fn c180_who_is_denied_reads_why_by_either_way_and_the_target_hears_nothing() {
    let mut drive = with("deny to=123456789 say=\"Only in the evening.\"\n");
    for _ in 0..100 {
        assert_eq!(refused(&mut drive, A_AT), "Only in the evening.");
        assert_eq!(refused_relay(&mut drive, A_AT), "Only in the evening.");
    }
    assert_eq!(refused(&mut drive, NEAR_B1), "Only in the evening.", "in its own network too");
    assert_eq!(drive.machine.counters().of(DropReason::Denied), 201);
    assert!(drive.met.is_empty(), "the relay was told to expect somebody");
    assert_eq!(drive.machine.occupancy().grants, 0);
    let mut drive = with("deny to=12345*");
    assert_eq!(refused(&mut drive, A_AT), DENIED);
}

#[test]
fn c180_a_rule_tells_nothing_of_who_is_here_nor_to_who_has_no_key() {
    let access_key = Some(server_key().public_text().into());
    let denies = Policy { access_key, ..policy("deny to=123456789 say=\"No.\"") };
    let mut drive = Drive::new(Limits::default(), denies);
    let conn = drive.connect(A_AT);
    let answer = drive.stream(conn, &say::punch(B1, |_| ()));
    assert_eq!(say::hex(answer.stream_to(conn)), "5a021803");
    let key = server_key().public_text();
    let answer = drive.stream(conn, &say::punch(B1, |wish| wish.access_key = key));
    let answer = take!(answer.stream_to(conn), PunchHoleResponse);
    assert_eq!(answer.other_failure, "No.", "nobody has that id");
}

#[test]
fn c180_who_asks_is_known_by_address_and_by_the_devices_that_are_there() {
    let mut drive = with("allow from=234567890,192.0.2.0/24 to=group:b\ndeny\ngroup b 123456789");
    assert!(asks(&mut drive, "192.0.2.77:1"));
    assert!(asks(&mut drive, "198.51.100.99:40001"), "where C1 is");
    assert_eq!(refused(&mut drive, A_AT), DENIED);
    assert_eq!(refused_relay(&mut drive, A_AT), DENIED);
    drive.wait(30_000);
    assert_eq!(refused(&mut drive, "198.51.100.99:40001"), DENIED, "C1 is away");
}

#[test]
fn c180_a_user_is_who_is_logged_in_where_it_asks() {
    let mut drive = with("group staff = user:anna\nallow from=group:staff,user:otto\ndeny");
    for (user, may) in [(Some("anna"), true), (Some("otto"), true), (Some("ann"), false)] {
        drive.machine.set_caller(Caller { user: user.map(Box::from), ..Caller::default() });
        match may {
            true => assert!(asks(&mut drive, A_AT), "{user:?}"),
            false => assert_eq!(refused(&mut drive, A_AT), DENIED, "{user:?}"),
        }
    }
    drive.machine.set_caller(Caller::default());
    assert_eq!(refused_relay(&mut drive, A_AT), DENIED);
}

/// Whether a token is good still nobody knows then: who is denied for want of a user reads that.
#[test]
fn c220_whose_token_cannot_be_judged_reads_that_the_clock_is_not_set() {
    let mut drive = with("allow from=user:anna\ndeny say=\"No.\"");
    drive.machine.set_caller(Caller { doubt: Some("The clock."), ..Caller::default() });
    assert_eq!(refused(&mut drive, A_AT), "The clock.");
    assert_eq!(refused_relay(&mut drive, A_AT), "The clock.");
    drive.machine.set_caller(Caller::default());
    assert_eq!(refused(&mut drive, A_AT), "No.");
}

#[test]
fn c180_a_rule_with_hours_asks_the_clock_and_without_one_refuses() {
    let mut drive = with("zone +01:00\nallow to=123456789 days=Mon hours=17:00-20:00\ndeny");
    assert_eq!(refused(&mut drive, A_AT), CLOCK_NOT_SET);
    assert_eq!(refused_relay(&mut drive, A_AT), CLOCK_NOT_SET);
    for (hour, allowed) in [(15, false), (16, true), (18, true), (19, false), (40, false)] {
        drive.machine.set_epoch_secs(MONDAY_SECS + hour * 3_600);
        match allowed {
            true => assert!(asks(&mut drive, A_AT), "{hour}"),
            false => assert_eq!(refused(&mut drive, A_AT), DENIED, "{hour}"),
        }
    }
}

#[test]
fn c180_other_rules_count_at_once_and_for_who_asks_anew() {
    let mut drive = with("deny");
    assert_eq!(refused(&mut drive, A_AT), DENIED);
    drive.machine.reconfigure(Limits::default(), policy("allow"));
    let (conn, echo) = asked(&mut drive, A_AT);
    drive.machine.reconfigure(Limits::default(), policy("deny"));
    // It was asked while it might be.
    let answer = one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ()));
    assert!(!take!(answer.stream_to(conn), PunchHoleResponse).socket_addr.is_empty());
    let again = drive.stream(conn, &say::punch(B1, |_| ()));
    assert_eq!(take!(again.stream_to(conn), PunchHoleResponse).other_failure, DENIED);
}

#[test]
fn c181_where_only_a_direct_path_is_allowed_no_relay_is_told() {
    for (rule, said) in [
        ("allow only=direct", DIRECT_ONLY),
        ("deny to=999999999\nallow only=direct say=\"Come by VPN.\"", "Come by VPN."),
    ] {
        let mut drive = with(rule);
        assert_eq!(refused_relay(&mut drive, A_AT), said);
        let conn = drive.connect(A_AT);
        let forced = say::punch(B1, |wish| wish.force_relay = true);
        let answer = drive.stream(conn, &forced);
        assert_eq!(take!(answer.stream_to(conn), PunchHoleResponse).other_failure, said);
        drive.hang_up(conn);
        // The target finds that only the relay will do.
        let (conn, echo) = asked(&mut drive, A_AT);
        let answer = one_shot(&mut drive, &say::relay_chosen(B1, &echo, |_| ()));
        assert_eq!(take!(answer.stream_to(conn), PunchHoleResponse).other_failure, said);
        assert!(drive.met.is_empty());
        drive.hang_up(conn);
        let (conn, echo) = asked(&mut drive, A_AT);
        let answer = one_shot(&mut drive, &say::punch_sent(B1, &echo, |_| ()));
        assert!(!take!(answer.stream_to(conn), PunchHoleResponse).socket_addr.is_empty());
    }
}

#[test]
fn c181_where_only_the_relay_is_allowed_no_address_is_told() {
    let mut drive = with("allow only=relay");
    for from in [A_AT, NEAR_B1] {
        let conn = drive.connect(from);
        let push = told(&mut drive, conn, &say::punch(B1, |wish| wish.udp_port = 4000));
        assert!(push.force_relay && push.nat_type == 2 && push.udp_port == 0);
        // A target that does not obey.
        let answer = one_shot(&mut drive, &say::punch_sent(B1, &push.socket_addr, |_| ()));
        let answer = take!(answer.stream_to(conn), PunchHoleResponse);
        assert_eq!(answer.other_failure, RELAY_ONLY);
        assert!(answer.socket_addr.is_empty() && answer.pk.is_empty());
        drive.hang_up(conn);
    }
    let (conn, echo) = asked(&mut drive, A_AT);
    let chosen = say::relay_chosen(B1, &echo, |answer| answer.socket_addr_v6 = vec![1; 18]);
    let answer = one_shot(&mut drive, &chosen);
    let answer = take!(answer.stream_to(conn), RelayResponse);
    assert!(answer.refuse_reason.is_empty() && answer.socket_addr_v6.is_empty());
}

/// Where devices report, so that what two targets' connections came to is told apart.
#[test]
fn c194_each_push_names_the_address_that_asks_where_devices_report() {
    for reports in [true, false] {
        let mut drive = with("allow");
        drive.machine.set_caller(Caller { reports, ..Caller::default() });
        let named = |given: Option<ControlledContext>| given.map(|given| given.conn_audit_ref);
        let is = |ip: &str| reports.then(|| ip.to_owned());
        let conn = drive.connect(A_AT);
        let push = told(&mut drive, conn, &say::punch(B1, |_| ()));
        assert_eq!(named(push.controlled_context), is("198.51.100.7"));
        let wish = say::request_relay(B1, |wish| {
            wish.controlled_context = Some(ControlledContext { conn_audit_ref: "forged".into() });
        });
        let push = told_relay(&mut drive, conn, &wish);
        assert_eq!(named(push.controlled_context), is("198.51.100.7"));
        let conn = drive.connect(NEAR_B1);
        let push = told_local(&mut drive, conn, &say::punch(B1, |_| ()));
        assert_eq!(named(push.controlled_context), is("203.0.113.9"));
    }
}

#[test]
fn c182_permissions_go_to_the_target_by_each_push_and_no_others_do() {
    let mut drive = with("allow from=203.0.113.0/24 files=no\nallow keyboard=no audio=yes");
    let bits = |given: Option<ControlPermissions>| given.map(|given| given.permissions);
    let conn = drive.connect(A_AT);
    let push = told(&mut drive, conn, &say::punch(B1, |_| ()));
    assert_eq!(bits(push.control_permissions), Some(1 | 2 << 8));
    drive.hang_up(conn);
    let conn = drive.connect(NEAR_B1);
    let push = told_local(&mut drive, conn, &say::punch(B1, |_| ()));
    assert_eq!(bits(push.control_permissions), Some(1 << 6));
    drive.hang_up(conn);
    let conn = drive.connect(A_AT);
    let wish = say::request_relay(B1, |wish| {
        wish.control_permissions = Some(ControlPermissions { permissions: 0xaaaa });
    });
    let push = told_relay(&mut drive, conn, &wish);
    assert_eq!(bits(push.control_permissions), Some(1 | 2 << 8), "not those it asked for");
    let mut drive = with("allow");
    let conn = drive.connect(A_AT);
    let push = told(&mut drive, conn, &say::punch(B1, |_| ()));
    assert_eq!(bits(push.control_permissions), None);
    assert_eq!(bits(told_relay(&mut drive, conn, &wish).control_permissions), None);
}
