//! Approval, asked of the machine alone: C185 to C187. What the binary is asked stands in
//! tests/ctl/approval.rs.

use hbb_core::base::address::{Banned, Bans};
use hbb_core::base::conn::Via;
use hbb_core::base::limits::{Limits, WAITING_MAX, WAITING_PER_NETWORK, WAITING_UNPROVED};
use hbb_core::base::peer::PeerId;
use hbb_core::base::time::Time;
use hbb_core::rendezvous::{Approval, Deployed, Deployment, Effects, Event, Invited, Policy};

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Deeds, Drive, KEY, Store, at};
use crate::say::{self, hex, take};

/// RegisterPkResponse NOT_DEPLOYED.
const NOT_DEPLOYED: &str = "8201020808";
const OK: &str = "820100";
const OK_AND_KEPT: &str = "820102102d";

fn private() -> Drive {
    Drive::new(Limits::default(), Policy { private: true, ..Policy::default() })
}

fn claim(drive: &mut Drive, from: &str, id: &str) -> String {
    let deeds = drive.datagram(from, &say::register_pk(id, DEVICE, &KEY));
    hex(deeds.datagram_to(from))
}

/// What an operator hears who approves an id, and what the machine does then.
fn approve(drive: &mut Drive, id: &str, address: Option<&str>) -> (Approval, Deeds) {
    let mut effects = Effects::new();
    let address = address.map(at);
    let told = drive.machine.approve(&PeerId::new(id).unwrap(), address, &mut effects);
    (told, drive.carry_out(&mut effects))
}

fn is_approved(deeds: &Deeds, id: &str) -> bool {
    deeds.reported(&Event::PeerApproved { id: PeerId::new(id).unwrap() })
}

fn waiting(drive: &Drive) -> Vec<String> {
    let rows = drive.machine.waiting(Time::START);
    rows.iter().map(|row| format!("{} {}", row.id, row.from.ip())).collect()
}

#[test]
fn c185_a_device_that_is_not_stored_waits_and_is_no_peer() {
    let mut drive = private();
    let from = "203.0.113.9:50002";
    for _ in 0..3 {
        assert_eq!(
            hex(drive.datagram(from, &say::register_peer(B1)).datagram_to(from)),
            "3a021001"
        );
        assert_eq!(claim(&mut drive, from, B1), NOT_DEPLOYED);
        drive.wait(30_000);
    }
    assert_eq!(waiting(&drive), ["123456789 203.0.113.9"]);
    let occupancy = drive.machine.occupancy();
    assert_eq!((occupancy.peers, occupancy.provisional, occupancy.waiting), (0, 0, 1));
    let conn = drive.connect(A_AT);
    let answer = drive.stream(conn, &say::punch(B1, |_| ()));
    assert_eq!(hex(answer.stream_to(conn)), "5a00", "nobody has that id");
    // Over a connection it is the same.
    let deeds = drive.stream(conn, &say::register_pk("234567890", b"another", &[2; 32]));
    assert_eq!(hex(deeds.stream_to(conn)), NOT_DEPLOYED);
    assert!(!deeds.kept(conn) && drive.durable.is_empty());
    // Who waits no more is asked for nothing.
    drive.machine.reconfigure(Limits::default(), Policy::default());
    assert!(waiting(&drive).is_empty());
    drive.enroll(B1, from);
}

#[test]
fn c185_what_was_stored_before_is_approved_and_what_is_forgotten_is_not() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    drive.enroll("987654321", B1_AT);
    drive.machine.reconfigure(Limits::default(), Policy { private: true, ..Policy::default() });
    assert_eq!(claim(&mut drive, B1_AT, B1), OK);
    // A new key at its address, and another address with its key, are the device's own matter.
    let deeds = drive.datagram(B1_AT, &say::register_pk("987654321", DEVICE, &[9; 32]));
    assert_eq!(hex(deeds.datagram_to(B1_AT)), OK);
    assert_eq!(claim(&mut drive, A_AT, B1), OK);
    // A stranger's claim to it is what it always was.
    let deeds = drive.datagram(A_AT, &say::register_pk(B1, b"another", &[9; 32]));
    assert_eq!(hex(deeds.datagram_to(A_AT)), "8201020802");
    drive.forget(B1);
    assert_eq!(claim(&mut drive, B1_AT, B1), NOT_DEPLOYED);
    drive.free(B1);
    drive.prove(A_AT);
    let deeds = drive.datagram(A_AT, &say::register_pk(B1, b"another", &[9; 32]));
    assert_eq!(hex(deeds.datagram_to(A_AT)), NOT_DEPLOYED, "given away, and yet to be approved");
    assert_eq!(waiting(&drive).len(), 2);
}

#[test]
fn c185_a_flood_of_newcomers_leaves_a_place_to_others() {
    let mut drive = private();
    let mut flood = |network: u8, count: usize, proved: bool| {
        for number in 0..count {
            let from = format!("198.51.{network}.{}:4000", number % 250);
            if proved {
                drive.prove(&from);
            }
            let id = format!("9{network:03}{number:05}");
            drive.datagram(&from, &say::register_pk(&id, DEVICE, &KEY));
        }
        drive.wait(61_000);
        drive.machine.occupancy().waiting
    };
    assert_eq!(flood(1, 300, true), WAITING_PER_NETWORK);
    for network in 2..40 {
        assert!(flood(network, 40, false) <= WAITING_PER_NETWORK + WAITING_UNPROVED);
    }
    for network in 40..60 {
        assert!(flood(network, 60, true) <= WAITING_MAX);
    }
    assert_eq!(drive.machine.occupancy().waiting, WAITING_MAX);
    drive.prove(B1_AT);
    assert_eq!(claim(&mut drive, B1_AT, B1), NOT_DEPLOYED);
    let last = waiting(&drive);
    assert_eq!(last.last().unwrap(), "123456789 203.0.113.9");
}

#[test]
fn c186_who_is_approved_is_stored_and_known_when_it_asks_again() {
    let mut drive = private();
    assert_eq!(approve(&mut drive, B1, None).0, Approval::Unknown);
    assert_eq!(claim(&mut drive, B1_AT, B1), NOT_DEPLOYED);
    let (told, deeds) = approve(&mut drive, B1, None);
    assert!(told == Approval::Saving && is_approved(&deeds, B1));
    deeds.silent();
    assert_eq!(drive.durable.len(), 1);
    assert!(waiting(&drive).is_empty());
    // It is offline until it asks, and a restart does not change that it may.
    let conn = drive.connect(A_AT);
    let answer = drive.stream(conn, &say::punch(B1, |_| ()));
    assert_eq!(hex(answer.stream_to(conn)), "5a021802");
    drive.restart();
    assert_eq!(claim(&mut drive, B1_AT, B1), OK);
    let conn = drive.connect(A_AT);
    take!(drive.stream(conn, &say::punch(B1, |_| ())).only_to(Via::Datagram(at(B1_AT))), PunchHole);
}

#[test]
fn c186_of_two_that_ask_for_one_id_the_operator_names_one() {
    let mut drive = private();
    assert_eq!(claim(&mut drive, B1_AT, B1), NOT_DEPLOYED);
    let deeds = drive.datagram(A_AT, &say::register_pk(B1, b"thief", &[9; 32]));
    assert_eq!(hex(deeds.datagram_to(A_AT)), NOT_DEPLOYED);
    assert_eq!(approve(&mut drive, B1, None).0, Approval::Several);
    assert_eq!(approve(&mut drive, B1, Some("192.0.2.1:1")).0, Approval::Unknown);
    assert_eq!(approve(&mut drive, B1, Some(B1_AT)).0, Approval::Saving);
    assert!(waiting(&drive).is_empty());
    let deeds = drive.datagram(A_AT, &say::register_pk(B1, b"thief", &[9; 32]));
    assert_eq!(hex(deeds.datagram_to(A_AT)), "8201020802");
    assert_eq!(claim(&mut drive, B1_AT, B1), OK);
}

/// Another device took it by a change of its id while it was waited for.
#[test]
fn c186_an_id_that_somebody_has_by_now_is_given_to_nobody() {
    let mut drive = private();
    for (from, id, key) in [(B1_AT, B1, KEY), (A_AT, "chosen-1", [9; 32])] {
        let deeds = drive.datagram(from, &say::register_pk(id, DEVICE, &key));
        assert_eq!(hex(deeds.datagram_to(from)), NOT_DEPLOYED);
    }
    assert_eq!(approve(&mut drive, B1, None).0, Approval::Saving);
    assert_eq!(claim(&mut drive, B1_AT, B1), OK);
    let conn = drive.connect(B1_AT);
    let deeds = drive.stream(conn, &say::change_id(B1, "chosen-1", DEVICE));
    assert_eq!(hex(deeds.stream_to(conn)), OK_AND_KEPT);
    assert_eq!(approve(&mut drive, "chosen-1", None).0, Approval::Unknown);
    assert!(waiting(&drive).is_empty());
    assert_eq!(claim(&mut drive, B1_AT, "chosen-1"), OK, "it has its id still");
}

/// Who could be dialled before it was stored cannot once approval is asked for.
#[test]
fn c185_who_was_not_stored_when_approval_began_cannot_be_dialled() {
    let mut drive = Drive::open();
    let mut newcomers = Vec::new();
    for number in 0..400 {
        let (from, id) = (format!("198.51.100.{}:4000", number % 250), format!("9{number:08}"));
        let deeds = drive.datagram(&from, &say::register_pk(&id, DEVICE, &KEY));
        if hex(deeds.datagram_to(&from)) != OK {
            newcomers.push((from, id));
        }
    }
    let (from, id) = newcomers.last().expect("one that is not stored");
    assert!(drive.machine.occupancy().provisional > 0);
    let conn = drive.connect(A_AT);
    take!(drive.stream(conn, &say::punch(id, |_| ())).only_to(Via::Datagram(at(from))), PunchHole);
    drive.machine.reconfigure(Limits::default(), Policy { private: true, ..Policy::default() });
    let conn = drive.connect(A_AT);
    let answer = drive.stream(conn, &say::punch(id, |_| ()));
    assert_eq!(hex(answer.stream_to(conn)), "5a00", "nobody has that id");
}

#[test]
fn c186_who_is_banned_waits_no_more() {
    let mut drive = private();
    for (from, id) in [(B1_AT, B1), (A_AT, "234567890"), (B1_AT, "345678901")] {
        assert_eq!(claim(&mut drive, from, id), NOT_DEPLOYED);
    }
    let mut bans = Bans::default();
    for (banned, left) in [
        ("id=123456789", &["234567890 198.51.100.7", "345678901 203.0.113.9"][..]),
        ("198.51.100.0/24", &["345678901 203.0.113.9"]),
    ] {
        bans.add(Banned::parse(banned).unwrap());
        let policy = Policy { private: true, bans: bans.clone(), ..Policy::default() };
        drive.machine.reconfigure(Limits::default(), policy);
        assert_eq!(waiting(&drive), left, "{banned}");
    }
    assert_eq!(approve(&mut drive, B1, None).0, Approval::Unknown);
    drive.datagram(B1_AT, &say::register_pk(B1, DEVICE, &KEY));
    assert_eq!(drive.machine.occupancy().waiting, 1, "it asks for nothing");
}

#[test]
fn c186_an_approval_that_is_not_stored_is_none() {
    let mut drive = private();
    assert_eq!(claim(&mut drive, B1_AT, B1), NOT_DEPLOYED);
    drive.store = Store::Fails;
    let (_, deeds) = approve(&mut drive, B1, None);
    assert!(!is_approved(&deeds, B1));
    assert!(deeds.reported(&Event::SaveFailed { id: PeerId::new(B1).unwrap() }));
    assert_eq!(claim(&mut drive, B1_AT, B1), NOT_DEPLOYED);
    drive.store = Store::Holds;
    assert_eq!(approve(&mut drive, B1, None).0, Approval::Saving);
    assert_eq!(approve(&mut drive, B1, None).0, Approval::Busy);
    assert!(is_approved(&drive.release(), B1));
    let full = Limits { peers: 1, ..Limits::default() };
    drive.machine.reconfigure(full, Policy { private: true, ..Policy::default() });
    drive.wait(61_000);
    let deeds = drive.datagram(A_AT, &say::register_pk("234567890", DEVICE, &KEY));
    assert_eq!(hex(deeds.datagram_to(A_AT)), NOT_DEPLOYED);
    assert_eq!(approve(&mut drive, "234567890", None).0, Approval::Full);
}

/// What a device says that is deployed; `uuid` and `pk` as clients write them.
fn body(id: &str) -> String {
    let (uuid, pk) = (base64(DEVICE), base64(&KEY));
    format!(r#"{{"id":"{id}","uuid":"{uuid}","pk":"{pk}"}}"#)
}

fn base64(bytes: &[u8]) -> String {
    use ct_codecs::{Base64, Encoder as _};
    Base64::encode_to_string(bytes).unwrap()
}

fn deploy(drive: &mut Drive, code: &str, is_admin: bool, body: &str) -> Deployed {
    let mut effects = Effects::new();
    let from = at(B1_AT).ip();
    let wish = Deployment { from, code, is_admin, body: body.as_bytes() };
    let deployed = drive.machine.deploy(Time::START, &wish, &mut effects);
    drive.carry_out(&mut effects).silent();
    deployed
}

fn invite(drive: &mut Drive) -> String {
    match drive.machine.invite(Time::START, 1) {
        Invited::Code(code) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn c187_a_code_lets_one_device_in_and_no_second() {
    let mut drive = private();
    let code = invite(&mut drive);
    assert_eq!(deploy(&mut drive, "aaaa-aaaa-aaaa-aaaa", false, &body(B1)), Deployed::WrongCode);
    let id = PeerId::new(B1).unwrap();
    assert_eq!(deploy(&mut drive, &code, false, &body(B1)), Deployed::Saving(id));
    assert_eq!(claim(&mut drive, B1_AT, B1), OK);
    // It never heard that, and asks again; another key is another device's.
    assert_eq!(deploy(&mut drive, &code, false, &body(B1)), Deployed::Known);
    let other = body(B1).replace(&base64(&KEY), &base64(&[9; 32]));
    assert_eq!(deploy(&mut drive, &code, false, &other), Deployed::WrongCode);
    assert_eq!(deploy(&mut drive, &code, false, &body("234567890")), Deployed::WrongCode);
    // An administrator's token does as well, as often as it likes.
    let id = PeerId::new("234567890").unwrap();
    assert_eq!(deploy(&mut drive, "", true, &body("234567890")), Deployed::Saving(id));
    assert_eq!(deploy(&mut drive, "", true, &body("234567890")), Deployed::Known);
    drive.restart();
    assert_eq!(claim(&mut drive, B1_AT, "234567890"), OK);
}

#[test]
fn c187_a_code_takes_no_id_of_another_and_what_makes_no_sense_leaves_it() {
    let mut drive = private();
    let code = invite(&mut drive);
    deploy(&mut drive, "", true, &body(B1));
    let other = body(B1).replace(&base64(&KEY), &base64(&[9; 32]));
    assert_eq!(deploy(&mut drive, &code, false, &other), Deployed::IdTaken);
    drive.forget(B1);
    assert_eq!(deploy(&mut drive, &code, false, &other), Deployed::IdTaken, "kept for a day");
    let key = base64(&KEY);
    for bad in [
        "",
        "{}",
        "[1]",
        "{\"id\":1}",
        &body("12345"),
        &body("a b c d e f"),
        &body("234567890").replace(&key, ""),
        &body("234567890").replace(&key, key.split_at(4).1),
        &body("234567890").replace(&base64(DEVICE), "?"),
        &body("234567890").replace(&base64(DEVICE), &"A".repeat(400)),
    ] {
        assert_eq!(deploy(&mut drive, &code, false, bad), Deployed::InvalidInput, "{bad}");
    }
    assert!(matches!(deploy(&mut drive, &code, false, &body(B1)), Deployed::Saving(_)));
    drive.machine.reconfigure(Limits::default(), Policy::default());
    assert_eq!(drive.machine.invite(Time::START, 1), Invited::NotEnabled);
    assert_eq!(deploy(&mut drive, &code, true, &body(B1)), Deployed::NotEnabled);
}
