//! The checked-in message code: is it what `proto/*.proto` says, and does it
//! put the bytes of the protocol's vectors on the wire.
//!
//! `HBB_REGENERATE=1 cargo test --test proto` writes the file anew.

#![allow(clippy::unwrap_used, clippy::string_slice)] // helpers of tests may panic

use prost::Message as _;
use std::{error::Error, fs, path::Path};

#[allow(missing_docs, unreachable_pub, dead_code, clippy::all)]
mod rendezvous {
    include!("../proto/rendezvous.rs");
}

use rendezvous::{
    ConnType, IdPk, KeyExchange, NatType, OnlineResponse, PublicKey, PunchHoleResponse,
    RegisterPeer, RegisterPeerResponse, RegisterPkResponse, RelayResponse, RendezvousMessage,
    RequestRelay, SessionMessage, SignedId, TestNatRequest, TestNatResponse,
    control_permissions::Permission, punch_hole_response, punch_hole_response::Failure,
    register_pk_response::Outcome, relay_response, rendezvous_message::Body, session_message,
};

const SOURCES: [&str; 2] = ["rendezvous.proto", "session.proto"];
const REGENERATE: &str = "HBB_REGENERATE=1 cargo test --test proto";

fn generate() -> Result<String, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proto");
    fs::create_dir_all(&out)?;
    let descriptors = protox::compile(SOURCES, [&folder])?;
    // Debug text for every message would cost bytes and is never printed.
    prost_build::Config::new().skip_debug(["."]).out_dir(&out).compile_fds(descriptors)?;
    Ok(fs::read_to_string(out.join("rendezvous.rs"))?)
}

#[test]
#[allow(clippy::disallowed_methods)] // a switch for people, in a test only
fn checked_in_code_is_the_generated_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/rendezvous.rs");
    let fresh = generate().unwrap();
    if std::env::var("HBB_REGENERATE").is_ok_and(|value| value == "1") {
        fs::write(&path, &fresh).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept == fresh, "proto/rendezvous.rs is stale: run {REGENERATE} and commit it");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Checks both directions: the value gives the bytes, the bytes give the value.
fn check(body: Body, expected: &str) {
    let message = RendezvousMessage { body: Some(body) };
    assert_eq!(hex(&message.encode_to_vec()), expected);
    assert!(
        RendezvousMessage::decode(unhex(expected).as_slice()).unwrap() == message,
        "{expected}"
    );
}

fn punch_failed(failure: Failure) -> Body {
    let failure = i32::from(failure);
    Body::PunchHoleResponse(PunchHoleResponse { failure, ..Default::default() })
}

fn punch_done(path: punch_hole_response::Path) -> Body {
    Body::PunchHoleResponse(PunchHoleResponse {
        socket_addr: unhex("f4a8f0ac682470fe8964"),
        path: Some(path),
        ..Default::default()
    })
}

fn registered(outcome: Outcome, keep_alive: i32) -> Body {
    Body::RegisterPkResponse(RegisterPkResponse { outcome: i32::from(outcome), keep_alive })
}

#[test]
fn registration_vectors() {
    let register = RegisterPeer { id: "123456789".into(), serial: 3 };
    check(Body::RegisterPeer(register), "320d0a093132333435363738391003");
    let answer = |request_pk| Body::RegisterPeerResponse(RegisterPeerResponse { request_pk });
    check(answer(false), "3a00");
    check(answer(true), "3a021001");
    check(registered(Outcome::Ok, 0), "820100");
    check(registered(Outcome::Ok, 20), "8201021014");
    check(registered(Outcome::UuidMismatch, 0), "8201020802");
    check(registered(Outcome::NotSupport, 0), "8201020806");
}

#[test]
fn nat_and_online_vectors() {
    let request = |serial| Body::TestNatRequest(TestNatRequest { serial });
    check(request(0), "a20100");
    check(request(3), "a201020803");
    let port = TestNatResponse { port: 54321, cu: None };
    check(Body::TestNatResponse(port), "aa010408b1a803");
    let states = OnlineResponse { states: vec![0x80, 0x80] };
    check(Body::OnlineResponse(states), "c201040a028080");
}

#[test]
fn punch_vectors() {
    check(punch_failed(Failure::IdNotExist), "5a00");
    check(punch_failed(Failure::Offline), "5a021802");
    check(punch_failed(Failure::KeyMismatch), "5a021803");
    let nat = |nat| punch_done(punch_hole_response::Path::NatType(i32::from(nat)));
    check(nat(NatType::Asymmetric), "5a0e0a0af4a8f0ac682470fe89642801");
    check(nat(NatType::Unknown), "5a0e0a0af4a8f0ac682470fe89642800");
    check(punch_done(punch_hole_response::Path::IsLocal(true)), "5a0e0a0af4a8f0ac682470fe89643001");
}

#[test]
fn relay_vectors() {
    let request = RequestRelay { uuid: "u-1".into(), access_key: "k".into(), ..Default::default() };
    check(Body::RequestRelay(request), "9201081203752d3132016b");
    // From here on the numbers of the tables, which have no vector of their own.
    let peer = Some(relay_response::Peer::Pk(vec![7]));
    let refused = RelayResponse { peer, refuse_reason: "no".into(), ..Default::default() };
    check(Body::RelayResponse(refused), "9a01072a010732026e6f");
    check(Body::KeyExchange(KeyExchange { keys: vec![vec![1], vec![2]] }), "ca01060a01010a0102");
    let rdp = RequestRelay { conn_type: i32::from(ConnType::Rdp), ..Default::default() };
    check(Body::RequestRelay(rdp), "9201023803");
}

#[test]
fn session_messages() {
    let id_pk = IdPk { id: "123456789".into(), pk: vec![0x11; 32] };
    let expected = format!("0a093132333435363738391220{}", "11".repeat(32));
    assert_eq!(hex(&id_pk.encode_to_vec()), expected);
    let container = |body| hex(&SessionMessage { body: Some(body) }.encode_to_vec());
    let signed = SignedId { id: vec![5] };
    assert_eq!(container(session_message::Body::SignedId(signed)), "1a030a0105");
    let key = PublicKey { asymmetric_value: vec![1], symmetric_value: vec![2] };
    assert_eq!(container(session_message::Body::PublicKey(key)), "22060a0101120102");
}

#[test]
fn every_member_has_its_number() {
    // One all-default member each: the tag alone says which number it got.
    for number in 6..=28_u32 {
        let mut bytes = Vec::new();
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
        bytes.push(0);
        let message = RendezvousMessage::decode(bytes.as_slice()).unwrap();
        assert!(message.body.is_some(), "member {number} is missing");
        assert_eq!(message.encode_to_vec(), bytes);
    }
}

/// A field is overridden by appending it, the last one wins; but an appended
/// sub-message is merged, so an empty one does not clear what was there.
#[test]
fn an_appended_field_wins_and_an_appended_message_merges() {
    let decode = |text: &str| RequestRelay::decode(unhex(text).as_slice()).unwrap();
    let (sent, token_cleared, empty, zeroed) = ("42017a4a020802", "4200", "4a00", "4a020800");
    assert_eq!(decode(sent).control_permissions.unwrap().permissions, 2);
    assert_eq!(decode(&[sent, token_cleared].concat()).token, "");
    assert_eq!(decode(&[sent, empty].concat()).control_permissions.unwrap().permissions, 2);
    assert_eq!(decode(&[sent, zeroed].concat()).control_permissions.unwrap().permissions, 0);
}

#[test]
fn enumerations_have_their_numbers() {
    assert_eq!(i32::from(Outcome::NotDeployed), 8);
    assert_eq!(i32::from(Failure::KeyOveruse), 4);
    assert_eq!(i32::from(ConnType::Terminal), 5);
    assert_eq!(i32::from(NatType::Symmetric), 2);
    assert_eq!(i32::from(Permission::PrivacyMode), 12);
}

#[test]
fn unknown_fields_and_members_are_tolerated() {
    // C07: RegisterPeer with an unknown field 15, and an unknown member 99.
    let known = RendezvousMessage::decode(unhex("32050a01617801").as_slice()).unwrap();
    let peer = RegisterPeer { id: "a".into(), serial: 0 };
    assert!(known.body == Some(Body::RegisterPeer(peer)));
    assert!(RendezvousMessage::decode(unhex("9a0600").as_slice()).unwrap().body.is_none());
}
