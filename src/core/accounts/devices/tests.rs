//! C192, C193 and C194 by the devices alone: a call, a clock, and what is to be stored.

use alloc::format;
use alloc::string::String;

use super::calls::Claim;
use super::*;
use crate::accounts::call::{Answer, Call, Changes, Door, Method, Source};
use crate::base::peer::DeviceId;
use crate::journal::AuditKind;

const HOUR_MS: u64 = 3_600_000;

fn call<'a>(path: &'a str, body: &'a str) -> Call<'a> {
    let source = Source { ip: [192, 0, 2, 1].into(), known: true, door: Door::Http };
    let (method, body) = (Method::Post, body.as_bytes());
    Call { method, path, query: "", token: None, body, source }
}

fn id(number: usize) -> PeerId {
    PeerId::new(&format!("{}", 100_000_000 + number)).unwrap()
}

/// What stands behind the first byte of a row's key.
fn name_of(key: &[u8]) -> &str {
    core::str::from_utf8(&key[1..]).unwrap()
}

fn said(answer: &Answer) -> &str {
    core::str::from_utf8(&answer.body).unwrap()
}

/// What a device hears that proved itself.
fn told(devices: &mut Devices, ms: u64, id: &PeerId, (path, body): (&str, &str)) -> String {
    let answer = devices.call(Time::from_millis(ms), &call(path, body), Some(id)).unwrap();
    assert_eq!(answer.status, 200);
    said(&answer).into()
}

fn sysinfo(user: &str) -> String {
    format!(
        "{{\"version\":\"1.4.9\",\"os\":\"Linux / Debian 13\",\"hostname\":\"desk\\u202e\",\
         \"username\":\"{user}\",\"cpu\":\"x\",\"memory\":\"8GB\"}}"
    )
}

#[test]
fn c192_a_stranger_s_calls_are_answered_and_have_no_effect() {
    let mut devices = Devices::new(Seed(1, 2));
    for (path, body, answer) in [
        ("/api/heartbeat", "{\"id\":\"100000001\",\"conns\":[1]}", "{}"),
        ("/api/sysinfo", &sysinfo("otto"), "{}"),
        ("/api/audit/conn", "{\"id\":\"100000001\",\"action\":\"new\"}", ""),
        ("/api/audit/file", "{", ""),
        ("/api/heartbeat", "no json", "{}"),
    ] {
        let heard = devices.call(Time::START, &call(path, body), None).unwrap();
        assert_eq!((heard.status, said(&heard)), (200, answer), "{path}");
    }
    assert!(devices.table.is_empty() && devices.take_audit().is_none());
    assert!(devices.call(Time::START, &call("/api/login", "{}"), Some(&id(1))).is_none());
    // What is no JSON changes nothing of a device either.
    assert_eq!(told(&mut devices, 0, &id(1), ("/api/sysinfo", "\"x\\")), "{}");
    assert!(devices.row(&id(1)).is_none());
}

#[test]
fn c192_a_call_says_who_it_comes_from() {
    let body = "{\"id\":\"100000001\",\"uuid\":\"ZGV2aWNl\",\"ver\":1004090}";
    let device = DeviceId::new(b"device").unwrap();
    let claimed = Claim { id: id(1), device };
    for path in ["/api/heartbeat", "/api/sysinfo", "/api/audit/alarm", "/api/currentUser"] {
        assert_eq!(claim(&call(path, body)).as_ref(), Some(&claimed), "{path}");
    }
    assert_eq!(claim(&call("/api/ab", body)), None);
    for bad in [
        "",
        "{}",
        "{\"id\":\"100000001\"}",
        "{\"id\":\"1 2\",\"uuid\":\"ZGV2aWNl\"}",
        "{\"id\":\"100000001\",\"uuid\":\"?\"}",
        "{\"id\":\"100000001\",\"uuid\":\"\"}",
        "[1]",
    ] {
        assert_eq!(claim(&call("/api/heartbeat", bad)), None, "{bad}");
    }
    let long = "QUFB".repeat(400);
    let body = format!("{{\"id\":\"100000001\",\"uuid\":\"{long}\"}}");
    assert_eq!(claim(&call("/api/heartbeat", &body)), None);
}

#[test]
fn c193_a_device_tells_what_it_is_once_it_is_asked() {
    let mut devices = Devices::new(Seed(1, 2));
    let beat = ("/api/heartbeat", "{\"ver\":1004090,\"modified_at\":0}");
    assert_eq!(told(&mut devices, 0, &id(1), beat), "{\"sysinfo\":true}");
    let info = sysinfo(&"o".repeat(500));
    assert_eq!(told(&mut devices, 0, &id(1), ("/api/sysinfo", &info)), "SYSINFO_UPDATED");
    assert_eq!(told(&mut devices, 0, &id(1), beat), "{}");
    let DeviceInfo { name, system, user, version, .. } = devices.row(&id(1)).unwrap().info;
    assert_eq!((&*name, &*system, &*version), ("desk", "Linux / Debian 13", "1.4.9"));
    assert_eq!(user.len(), DEVICE_TEXT_BYTES_MAX);
    for number in 0..2 * DEVICES_MAX {
        told(&mut devices, 0, &id(number), beat);
    }
    assert_eq!(devices.table.len(), DEVICES_MAX);
    assert!(devices.gone.len() <= DEVICES_MAX);
}

#[test]
fn c193_an_operator_s_wish_ends_each_connection_with_the_next_heartbeat() {
    let mut devices = Devices::new(Seed(1, 2));
    let many: Vec<String> = (0..100).map(|conn| format!("{conn}")).collect();
    let body = format!("{{\"conns\":[{}]}}", many.join(","));
    told(&mut devices, 0, &id(1), ("/api/sysinfo", &sysinfo("otto")));
    assert!(!devices.end_connections(Time::START, &id(1)), "nobody is connected");
    assert_eq!(told(&mut devices, 1_000, &id(1), ("/api/heartbeat", "{\"conns\":[7,9]}")), "{}");
    assert_eq!(devices.row(&id(1)).unwrap().connections, 2);
    assert!(devices.end_connections(Time::from_millis(2_000), &id(1)));
    let ended = told(&mut devices, 4_000, &id(1), ("/api/heartbeat", "{\"conns\":[7,9]}"));
    assert_eq!(ended, "{\"disconnect\":[7,9]}");
    assert_eq!(told(&mut devices, 7_000, &id(1), ("/api/heartbeat", "{}")), "{}");
    // A wish that was not heard in time is none any more.
    told(&mut devices, 8_000, &id(1), ("/api/heartbeat", &body));
    assert_eq!(devices.row(&id(1)).unwrap().connections, 32);
    assert!(devices.end_connections(Time::from_millis(8_000), &id(1)));
    assert_eq!(told(&mut devices, 39_000, &id(1), ("/api/heartbeat", &body)), "{}");
}

/// Stepped by the minute: devices call every 15 s, and every 3 s with a session.
#[test]
fn c193_a_day_of_a_hundred_devices_writes_nothing_after_the_first_hour() {
    let mut devices = Devices::new(Seed(1, 2));
    let (mut early, mut late) = (0, 0);
    for number in 0..100 {
        told(&mut devices, 0, &id(number), ("/api/sysinfo", &sysinfo("otto")));
    }
    for ms in (0..24 * HOUR_MS).step_by(60_000) {
        for number in 0..100_u64 {
            let body = if (ms / 60_000) % 100 < number { "{\"conns\":[1]}" } else { "{}" };
            told(&mut devices, ms, &id(usize::try_from(number).unwrap()), ("/api/heartbeat", body));
        }
        let rows = devices.rows(Time::from_millis(ms));
        if !rows.is_empty() {
            devices.stored(true);
        }
        *(if ms < HOUR_MS { &mut early } else { &mut late }) += rows.len();
    }
    assert_eq!((early, late), (100, 0));
    // One that changes all the time is stored once an hour.
    let mut commits = 0;
    for ms in (24 * HOUR_MS..34 * HOUR_MS).step_by(60_000) {
        let user = if ms % 120_000 == 0 { "otto" } else { "anna" };
        told(&mut devices, ms, &id(1), ("/api/sysinfo", &sysinfo(user)));
        commits += usize::from(!devices.rows(Time::from_millis(ms)).is_empty());
        devices.stored(true);
    }
    assert!((9..=11).contains(&commits), "{commits}");
}

#[test]
fn c193_many_devices_are_stored_five_hundred_at_a_time_an_hour_apart() {
    let mut devices = Devices::new(Seed(1, 2));
    for number in 0..600 {
        told(&mut devices, 0, &id(number), ("/api/sysinfo", &sysinfo("otto")));
    }
    let first_ms = 600_000;
    for (ms, rows) in [
        (first_ms - 1, 0),
        (first_ms, 512),
        (first_ms + HOUR_MS - 1, 0),
        (first_ms + HOUR_MS, 88),
        (first_ms + 2 * HOUR_MS, 0),
    ] {
        assert_eq!(devices.rows(Time::from_millis(ms)).len(), rows, "after {ms} ms");
        devices.stored(true);
    }
}

#[test]
fn c193_what_is_stored_comes_back_and_what_was_not_is_tried_again() {
    let mut devices = Devices::new(Seed(1, 2));
    told(&mut devices, 0, &id(1), ("/api/sysinfo", &sysinfo("otto")));
    devices.note_login(&id(1), "anna");
    let first = devices.rows(Time::from_millis(HOUR_MS));
    assert_eq!(first.len(), 1);
    assert!(devices.rows(Time::from_millis(3 * HOUR_MS)).is_empty(), "they are on their way");
    devices.stored(false);
    let again = devices.rows(Time::from_millis(3 * HOUR_MS));
    assert_eq!(first, again);
    devices.stored(true);
    let mut fresh = Devices::new(Seed(1, 2));
    for row in &again {
        assert!(fresh.load(name_of(&row.key), row.value.as_deref()));
    }
    assert_eq!(fresh.row(&id(1)).unwrap().info, devices.row(&id(1)).unwrap().info);
    devices.moved(&id(1), None);
    let rows = devices.rows(Time::from_millis(5 * HOUR_MS));
    assert_eq!(rows, [RowChange { key: key(&id(1)), value: None }]);
    assert!(!fresh.load("", Some(&[1])) && !fresh.load("1 2", Some(&[1])));
}

#[test]
fn c217_a_device_is_in_one_group_and_nobody_gives_way() {
    let mut devices = Devices::new(Seed(1, 2));
    let mut put = |number: usize, name: &str| {
        let mut changes = Changes::default();
        (devices.groups.put(&id(number), name, &mut changes), changes)
    };
    for number in 0..DEVICES_MAX {
        assert!(put(number, "one").0);
    }
    assert!(!put(DEVICES_MAX, "one").0, "one more");
    let (done, moved) = put(7, "two");
    assert!(done && moved.rows.len() == 1 && put(7, "two").1.is_empty(), "as it was");
    let row = &moved.rows[0];
    let (_, gone) = put(7, "");
    assert_eq!(gone.rows[0], RowChange { key: row.key.clone(), value: None });
    assert_eq!(([7, 8].map(|number| devices.groups.get(id(number).as_str()))), ["", "one"]);
    // As after a start, and taken back.
    assert!(devices.groups.load(name_of(&row.key), row.value.as_deref()));
    assert_eq!(devices.row(&id(7)).map(|row| row.info.group), Some("two".into()));
    assert!(devices.groups.load(name_of(&row.key), None) && devices.row(&id(7)).is_none());
    assert!(!devices.groups.load("", row.value.as_deref()));
    assert!(!devices.groups.load(name_of(&row.key), Some(&[9])));
    // What operators say counts, what the device says does not.
    let body = r#"{"preset-device-group-name":"mine"}"#;
    told(&mut devices, 0, &id(8), ("/api/sysinfo", body));
    assert_eq!(devices.row(&id(8)).map(|row| row.info.group), Some("one".into()));
}

#[test]
fn c194_reports_of_a_device_are_read_for_the_log() {
    let mut devices = Devices::new(Seed(1, 2));
    let mut report = |path: &str, body: &str| {
        told(&mut devices, 0, &id(1), (path, body));
        devices.take_audit().map(|(_, audit)| (audit.conn, audit.kind))
    };
    let began =
        report("/api/audit/conn", "{\"conn_id\":5,\"action\":\"new\",\"ip\":\"192.0.2.7\"}");
    assert_eq!(began, Some((5, AuditKind::Began(Some([192, 0, 2, 7].into())))));
    for (named, from) in [("192.0.2.9", [192, 0, 2, 9]), ("what", [192, 0, 2, 7])] {
        let began = format!(
            "{{\"conn_id\":5,\"action\":\"new\",\"ip\":\"192.0.2.7\",\
             \"conn_audit_ref\":\"{named}\"}}"
        );
        let began = report("/api/audit/conn", &began);
        assert_eq!(began, Some((5, AuditKind::Began(Some(from.into())))));
    }
    let body = "{\"conn_id\":5,\"peer\":[\"100000002\",\"Otto\"],\"type\":1}";
    let peer = AuditKind::Peer { id: Some(id(2)), name: "Otto".into(), session: "file" };
    assert_eq!(report("/api/audit/conn", body), Some((5, peer)));
    let closed = report("/api/audit/conn", "{\"conn_id\":5,\"action\":\"close\"}");
    assert_eq!(closed, Some((5, AuditKind::Closed)));
    for (path, name) in [
        ("/data/anna/plan.pdf", "plan.pdf"),
        ("C:\\\\Users\\\\Anna\\\\", "Anna"),
        ("/", ""),
        ("x".repeat(500).as_str(), "x".repeat(64).as_str()),
    ] {
        let body = format!("{{\"conn_id\":5,\"path\":\"{path}\",\"info\":\"{{}}\"}}");
        let file = report("/api/audit/file", &body);
        assert_eq!(file, Some((5, AuditKind::Files(name.into()))), "{path}");
    }
    let file = report("/api/audit/file", "{\"conn_id\":5}");
    assert_eq!(file, Some((5, AuditKind::Files("".into()))));
    let alarm = report("/api/audit/alarm", "{\"typ\":1,\"conn_id\":5}");
    assert_eq!(alarm, Some((5, AuditKind::Alarm(1))));
    for nothing in ["{}", "{\"action\":\"odd\"}", "[]", "{\"peer\":{}}"] {
        let found = report("/api/audit/conn", nothing);
        assert!(found.is_none() || nothing.contains("peer"), "{nothing}: {found:?}");
    }
}
