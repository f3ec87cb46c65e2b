//! What an address that has proved nothing can have sent to it: bytes out for bytes in, of each
//! request by UDP, whose source anybody can forge. The table in `SECURITY.md` is made here;
//! `HBB_WRITE=1` writes it anew. C24.

use std::fmt::Write as _;
use std::{env, fs};

use crate::loopback::{B_IP, B1, Caller, DEVICE, Device, ELSEWHERE, KEY, enforcing, main_port};
use crate::model::server::Server;
use crate::model::wire::frame;
use crate::say::proto::{HealthCheck, PunchHoleRequest, RegisterPeer, RegisterPk};
use crate::say::{self, Body, payload};

/// IPv4 and UDP, before each payload on the wire.
const HEADER_BYTES: usize = 28;
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/SECURITY.md");
const HEAD: &str = "| request by UDP, as short as it can be | bytes in | bytes out | out for in |";

/// Answered when it is durable, behind whatever is answered at once.
const NEW_ID: &str = "RegisterPk, new id";

/// A request and what came back, as bytes on the wire.
struct Row {
    name: &'static str,
    bytes_in: usize,
    bytes_out: usize,
}

/// Each request that has an answer, at its shortest, and each that has none.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let echo = say::unhex("f4a8f0ac682470fe8964");
    let unknown = RegisterPeer { id: "a".into(), ..Default::default() };
    let punch = PunchHoleRequest { id: B1.into(), ..Default::default() };
    vec![
        ("nothing at all", Vec::new()),
        ("bytes that are no message", vec![0xff; 16]),
        ("RegisterPeer, id not registered", payload(Body::RegisterPeer(unknown))),
        ("RegisterPeer, id of a device elsewhere", say::register_peer(B1)),
        (NEW_ID, say::register_pk("ghijkl", b"d", &KEY)),
        ("RegisterPk, another device's id", say::register_pk(B1, b"d", &KEY)),
        ("RegisterPk, the device's own key and uuid", say::register_pk(B1, DEVICE, &KEY)),
        ("RegisterPk, id too short", say::register_pk("a", b"d", &KEY)),
        ("RegisterPk without device and key", payload(Body::RegisterPk(RegisterPk::default()))),
        ("TestNatRequest", say::test_nat(0)),
        ("OnlineRequest", say::online(&[B1])),
        ("PunchHoleRequest", payload(Body::PunchHoleRequest(punch))),
        ("RequestRelay", say::request_relay(B1, |_| ())),
        ("PunchHoleSent", say::punch_sent(B1, &echo, |_| ())),
        ("LocalAddr", say::local_addr(B1, &echo, |_| ())),
        ("RelayResponse", say::relay_agreed(&echo)),
        ("HealthCheck", payload(Body::HealthCheck(HealthCheck::default()))),
    ]
}

/// What the server sends for a request, from an address that it has not heard of.
fn measured(server: &Server, name: &'static str, request: &[u8]) -> Row {
    let device = Device::at(ELSEWHERE, server);
    device.say(request);
    // Its answer is unlike all before it, and comes behind them.
    let is_nat = name == "TestNatRequest";
    let last = if is_nat { say::register_peer("zzzzzz") } else { say::test_nat(0) };
    device.say(&last);
    let mut bytes_out = 0;
    loop {
        let answer = device.next();
        let ends = matches!(say::read(&answer), Body::TestNatResponse(_)) != is_nat;
        if ends {
            break;
        }
        bytes_out += HEADER_BYTES + answer.len();
    }
    if name == NEW_ID {
        bytes_out += HEADER_BYTES + device.next().len();
    }
    Row { name, bytes_in: HEADER_BYTES + request.len(), bytes_out }
}

/// Rounded up, in hundredths, so that no row seems less than it is.
fn hundredths(row: &Row) -> usize {
    (row.bytes_out * 100).div_ceil(row.bytes_in)
}

fn table(rows: &[Row]) -> String {
    let mut table = format!("{HEAD}\n|---|--:|--:|--:|\n");
    for row in rows {
        let ratio = hundredths(row);
        let Row { name, bytes_in, bytes_out } = row;
        let (whole, part) = (ratio / 100, ratio % 100);
        writeln!(table, "| {name} | {bytes_in} | {bytes_out} | {whole}.{part:02} |").unwrap();
    }
    table
}

/// The page with its table replaced by `made`.
fn with_table(page: &str, made: &str) -> String {
    let (before, rest) = page.split_once(HEAD).expect("SECURITY.md holds the head of the table");
    let (_, after) = rest.split_once("\n\n").expect("text follows the table");
    format!("{before}{made}\n{after}")
}

#[test]
fn c024_no_address_gets_more_than_was_sent_in_its_name_but_for_the_nat_test() {
    let server = enforcing();
    let _known = Device::enrolled(B_IP, &server, B1);
    let rows: Vec<Row> =
        requests().iter().map(|(name, request)| measured(&server, name, request)).collect();
    for row in &rows {
        let most = if row.name == "TestNatRequest" { 125 } else { 100 };
        assert!(hundredths(row) <= most, "{}: {} for {}", row.name, row.bytes_out, row.bytes_in);
    }
    assert!(rows.iter().filter(|row| row.bytes_out > 0).count() >= 6, "answers were not seen");
    let page = fs::read_to_string(PAGE).unwrap();
    let wanted = with_table(&page, &table(&rows));
    if env::var_os("HBB_WRITE").is_some() {
        fs::write(PAGE, wanted).unwrap();
    } else {
        assert!(page == wanted, "SECURITY.md: HBB_WRITE=1 makes its table, now\n{}", table(&rows));
    }
}

/// IPv4 and TCP, before each payload of a connection that is open.
const TCP_HEADER_BYTES: usize = 40;

/// A registration in the victim's name, and then dials of that id: what the victim is sent, beside
/// what the forger spent on it. Opening the connection, and acknowledging, is not even counted.
#[test]
fn c024_a_forged_registration_and_dials_send_a_victim_at_most_twice_what_they_cost() {
    let server = enforcing();
    let (victim, key) = (Device::at(B_IP, &server), server.key());
    let forged = say::register_pk(B1, b"d", &KEY);
    let mut got = HEADER_BYTES + victim.ask(&forged).len();
    let mut spent = HEADER_BYTES + forged.len();
    let mut forger = Caller::from(ELSEWHERE, main_port(&server));
    let dial = say::punch(B1, |wish| wish.access_key = key);
    for _ in 0..30 {
        forger.say(&dial);
        spent += TCP_HEADER_BYTES + frame(&dial).len();
        got += HEADER_BYTES + victim.next().len();
        assert!(got <= 2 * spent, "{got} bytes for {spent}");
    }
}
