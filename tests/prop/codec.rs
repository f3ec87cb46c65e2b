//! Codec properties over random values: frames, mangled addresses, messages, patched pass-through.
//! What the server reads and writes is compared with the generated message code and with models.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hbb_core::base::address::Endpoint;
use hbb_core::wire::addr::{Mangled, demangle};
use hbb_core::wire::frame::{header_for, split};
use hbb_core::wire::message::{decode, encode, forward_relay_answer, forward_relay_request};
use hbb_core::wire::patch::{Fields, append, copy_without, last_member};
use hbb_core::wire::reply::{DirectPath, Punch, PunchAnswer, Remarks, Reply};
use hbb_core::wire::request::{Given, Request};
use hbb_core::wire::{NatType, SocketV6};

use proptest::array::uniform18;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select, subsequence};

#[path = "../conformance/say.rs"]
mod say;

use crate::check;
use say::proto::punch_hole_response;
use say::{Body, hex};

const CASES: u32 = 2_000;
const FRAME_MAX: usize = 1 << 20;

/// Empty in one of four, else text of up to `most` letters.
fn text(most: usize) -> impl Strategy<Value = String> {
    let letters = vec(b'a'..=b'z', 1..=most);
    let some = letters.prop_map(|letters| String::from_utf8(letters).unwrap());
    prop_oneof![1 => Just(String::new()), 3 => some]
}

fn blob(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => Just(Vec::new()), 3 => vec(any::<u8>(), 1..=most)]
}

/// 0, small, negative, or anything.
fn number() -> impl Strategy<Value = i32> {
    prop_oneof![6 => select(&[0, 1, 2, -1, i32::MIN, i32::MAX][..]), 1 => any::<i32>()]
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
    let v6 = any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
    let ip = prop_oneof![2 => v4, 1 => v6];
    (ip, any::<u16>()).prop_map(|(ip, port)| Endpoint::new(ip, port))
}

fn mangled() -> impl Strategy<Value = Mangled> {
    (endpoint(), any::<u32>()).prop_map(|(endpoint, nonce)| Mangled::new(endpoint, nonce))
}

fn socket_v6() -> impl Strategy<Value = Option<SocketV6>> {
    option::of(uniform18(any::<u8>()))
}

/// A frame whose header is `longer` bytes longer than the shortest, if there are such.
fn frame(payload: &[u8], longer: usize) -> Vec<u8> {
    let len = (header_for(payload.len()).unwrap().len() + longer).min(4);
    let value = u32::try_from(payload.len() << 2 | (len - 1)).unwrap();
    [&value.to_le_bytes()[..len], payload].concat()
}

#[test]
fn frames_come_out_as_they_went_in_however_the_stream_is_cut() {
    let len = select(&[0, 1, 63, 64, 65, 300, 16_383, 16_384, 20_000][..]);
    let payload = (len, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    let frames = vec((payload, 0..4_usize), 0..6);
    let pieces = vec(prop_oneof![1..=4_usize, 1..=100_000_usize], 1..20);
    check(300, &(frames, pieces), |(frames, pieces)| {
        let stream: Vec<u8> =
            frames.iter().flat_map(|(payload, longer)| frame(payload, *longer)).collect();
        let (mut buffer, mut rest, mut received) = (Vec::new(), &stream[..], Vec::new());
        for piece in pieces.iter().cycle() {
            let (sent, later) = rest.split_at(rest.len().min(*piece));
            buffer.extend_from_slice(sent);
            while let Some(frame) = split(&buffer, FRAME_MAX).unwrap() {
                received.push(frame.payload.to_vec());
                buffer.drain(..frame.consumed);
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        assert!(received.iter().eq(frames.iter().map(|(payload, _)| payload)));
        assert!(buffer.is_empty());
    });
}

#[test]
fn a_frame_lies_inside_its_buffer_and_below_its_cap() {
    check(CASES, &(blob(200), 0..150_usize), |(buffer, cap)| {
        if let Ok(Some(frame)) = split(&buffer, cap) {
            assert!(frame.consumed <= buffer.len() && frame.payload.len() <= cap);
            assert!(buffer[..frame.consumed].ends_with(frame.payload));
            assert!((1..=4).contains(&(frame.consumed - frame.payload.len())));
        }
    });
}

#[test]
fn headers_are_the_shortest_and_read_back() {
    check(CASES, &(0..0x4000_0000_usize, 0..30), |(len, shift)| {
        let len = len >> shift;
        let header = header_for(len).unwrap();
        assert_eq!(split(&header, len).map(|_| ()), Ok(()));
        assert!(len == 0 || split(&header, len - 1).is_err());
        let limits = [0, 0x40, 0x4000, 0x40_0000];
        assert_eq!(header.len(), limits.iter().filter(|limit| **limit <= len).count());
    });
}

#[test]
fn mangled_endpoints_hide_no_byte_and_carry_their_nonce() {
    check(CASES, &(endpoint(), any::<u32>()), |(endpoint, nonce)| {
        let mangled = Mangled::new(endpoint, nonce);
        let bytes = mangled.as_bytes();
        assert_eq!(demangle(bytes), endpoint);
        assert_eq!(Mangled::from_bytes(bytes).as_ref(), Some(&mangled));
        if endpoint.ip().is_ipv4() {
            assert!(bytes.len() <= 11 && bytes.last() != Some(&0));
            let others = Mangled::new(endpoint, nonce.wrapping_add(1));
            assert!(others != mangled && demangle(others.as_bytes()) == endpoint);
        } else {
            assert_eq!(bytes.len(), 18);
        }
    });
}

#[test]
fn requests_are_read_as_they_were_meant() {
    let values = (text(60), text(300), mangled(), number(), number(), blob(20));
    check(CASES, &values, |(id, relay, echo, nat, port, v6)| {
        let payload = say::punch_sent(&id, echo.as_bytes(), |sent| {
            sent.relay_server.clone_from(&relay);
            (sent.nat_type, sent.upnp_port) = (nat, port);
            sent.socket_addr_v6.clone_from(&v6);
        });
        let Ok(Request::PunchSent(sent)) = decode(&payload) else { panic!("{}", hex(&payload)) };
        assert_eq!((sent.nat, sent.upnp_port, sent.relay), (NatType(nat), port, relay));
        assert_eq!(sent.echo.exact, Some(echo.clone()));
        assert_eq!(sent.echo.endpoint, demangle(echo.as_bytes()));
        assert_eq!(sent.v6.map(Vec::from), (v6.len() == 18).then_some(v6));
        match sent.id {
            Given::Nothing => assert!(id.is_empty()),
            Given::Unusable => assert!(id.len() > 48),
            Given::Value(value) => assert_eq!(value.as_str(), id),
        }
    });
}

#[test]
fn every_request_survives_being_cut_and_spoilt() {
    let requests = vec![
        say::register_peer("123456789"),
        say::register_pk("123456789", b"device", &[7; 32]),
        say::punch("123456789", |wish| wish.socket_addr_v6 = vec![6; 18]),
        say::punch_sent("123456789", &[1; 10], |_| ()),
        say::local_addr("123456789", &[1; 10], |_| ()),
        say::request_relay("123456789", |_| ()),
        say::relay_chosen("123456789", &[1; 10], |_| ()),
        say::test_nat(3),
        say::online(&["123456789", "987654321"]),
    ];
    for request in &requests {
        assert!(decode(request).is_ok());
        for cut in 0..request.len() {
            assert!(decode(&request[..cut]).is_err(), "{cut} bytes of {}", hex(request));
        }
    }
    let values = (select(requests), any::<Index>(), any::<u8>());
    check(10 * CASES, &values, |(mut request, place, byte)| {
        *place.get_mut(&mut request) = byte;
        if let Ok(Request::Online(mut query)) = decode(&request) {
            let count = query.count();
            let ids = std::iter::from_fn(|| query.next_id()).count();
            assert!(ids == count && count <= request.len());
        }
    });
}

#[test]
fn answers_are_written_as_the_generated_code_reads_them() {
    let numbers = (number(), number(), number());
    let values = (mangled(), text(300), numbers, any::<bool>(), (socket_v6(), any::<u64>()));
    check(CASES, &values, |(to, relay, numbers, force_relay, (v6, permissions))| {
        let (nat, udp_port, upnp_port) = numbers;
        let nat = NatType(nat);
        let remarks = Remarks { permissions, reports: force_relay };
        let punch = Punch { to, relay, nat, udp_port, force_relay, upnp_port, v6, remarks };
        let payload = encode(&Reply::Punch(Box::new(punch.clone())));
        let Body::PunchHole(read) = say::read(&payload) else { panic!("{}", hex(&payload)) };
        assert_eq!(
            (read.socket_addr, read.relay_server),
            (punch.to.as_bytes().into(), punch.relay)
        );
        assert_eq!((read.nat_type, read.udp_port), (punch.nat.0, punch.udp_port));
        assert_eq!((read.force_relay, read.upnp_port), (punch.force_relay, punch.upnp_port));
        assert_eq!(read.socket_addr_v6, punch.v6.map(Vec::from).unwrap_or_default());
        let control = read.control_permissions.map_or(0, |control| control.permissions);
        assert_eq!(control, punch.remarks.permissions);
        let context = read.controlled_context.map(|context| context.conn_audit_ref);
        let from = demangle(punch.to.as_bytes()).ip().to_string();
        assert_eq!(context, force_relay.then_some(from));
    });
}

#[test]
fn punch_answers_are_written_as_the_generated_code_reads_them() {
    let path = prop_oneof![
        Just(DirectPath::Local),
        number().prop_map(|number| DirectPath::Nat(NatType(number)))
    ];
    let values = (blob(18), blob(120), text(300), path, any::<bool>(), number(), socket_v6());
    check(CASES, &values, |(addr, key, relay, path, is_udp, upnp_port, v6)| {
        let signed_key = Some(key).filter(|key| !key.is_empty());
        let answer = PunchAnswer { addr, signed_key, relay, path, is_udp, upnp_port, v6 };
        let payload = encode(&Reply::PunchAnswer(Box::new(answer.clone())));
        let Body::PunchHoleResponse(read) = say::read(&payload) else {
            panic!("{}", hex(&payload))
        };
        assert_eq!((read.socket_addr, read.relay_server), (answer.addr, answer.relay));
        assert_eq!(read.pk, answer.signed_key.unwrap_or_default());
        let path = match answer.path {
            DirectPath::Local => punch_hole_response::Path::IsLocal(true),
            DirectPath::Nat(nat) => punch_hole_response::Path::NatType(nat.0),
        };
        assert!(read.path == Some(path) && read.failure == 0 && read.other_failure.is_empty());
        assert_eq!((read.is_udp, read.upnp_port), (answer.is_udp, answer.upnp_port));
        assert_eq!(read.socket_addr_v6, answer.v6.map(Vec::from).unwrap_or_default());
    });
}

/// A message as a list of fields: number and the whole field's bytes.
type Model = Vec<(u32, Vec<u8>)>;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A field's wire type and what follows its tag.
fn contents() -> impl Strategy<Value = (u8, Vec<u8>)> {
    prop_oneof![
        1 => (any::<u64>(), 0..64).prop_map(|(value, shift)| (0, varint(value >> shift))),
        1 => vec(any::<u8>(), 8).prop_map(|bytes| (1, bytes)),
        3 => blob(200).prop_map(|bytes| (2, [varint(bytes.len() as u64), bytes].concat())),
        1 => vec(any::<u8>(), 4).prop_map(|bytes| (5, bytes)),
    ]
}

fn message() -> impl Strategy<Value = Model> {
    let field = (select(&NUMBERS[..]), contents()).prop_map(|(number, (kind, contents))| {
        let tag = varint(u64::from(number) << 3 | u64::from(kind));
        (number, [tag, contents].concat())
    });
    vec(field, 0..9)
}

fn bytes_of(model: &Model) -> Vec<u8> {
    model.iter().flat_map(|(_, whole)| whole.clone()).collect()
}

const NUMBERS: [u32; 14] = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 15, 16, 4000, (1 << 29) - 1];

#[test]
fn the_walker_sees_every_field_of_a_message_and_stops_at_a_cut() {
    check(CASES, &(message(), any::<Index>()), |(model, cut)| {
        let bytes = bytes_of(&model);
        let seen: Model =
            Fields::new(&bytes).map(|field| (field.number, field.whole.to_vec())).collect();
        assert!(seen == model && Fields::new(&bytes).is_complete());
        let cut = cut.index(bytes.len() + 1);
        let mut ends = vec![0];
        model.iter().for_each(|(_, whole)| ends.push(ends[ends.len() - 1] + whole.len()));
        assert_eq!(Fields::new(&bytes[..cut]).is_complete(), ends.contains(&cut));
    });
}

#[test]
fn the_walker_never_leaves_its_message() {
    check(CASES, &blob(60), |bytes| {
        let walked: Vec<u8> = Fields::new(&bytes).flat_map(|field| field.whole.to_vec()).collect();
        assert!(bytes.starts_with(&walked));
        assert_eq!(walked.len() == bytes.len(), Fields::new(&bytes).is_complete());
        if let Some((_, contents)) = last_member(&bytes, 1..=28) {
            assert!(contents.len() < bytes.len());
        }
    });
}

#[test]
fn a_copy_keeps_all_but_the_dropped_fields_in_their_order() {
    let dropped = subsequence(&NUMBERS[..], 0..=NUMBERS.len());
    let values = (message(), dropped, select(&NUMBERS[..]), blob(300));
    check(CASES, &values, |(model, dropped, number, contents)| {
        let kept: Model =
            model.iter().filter(|(number, _)| !dropped.contains(number)).cloned().collect();
        let mut copy = copy_without(&bytes_of(&model), &dropped);
        assert_eq!(copy, bytes_of(&kept));
        append(&mut copy, number, &contents);
        let last = Fields::new(&copy).last().unwrap();
        assert_eq!((last.number, last.contents), (number, Some(&contents[..])));
        assert_eq!(last_member(&copy, number..=number), Some((number, &contents[..])));
        assert!(copy.starts_with(&bytes_of(&kept)) && Fields::new(&copy).is_complete());
    });
}

/// The fields of the one member a payload holds.
fn body(payload: &[u8], member: u32) -> Model {
    let (_, body) = last_member(payload, member..=member).unwrap();
    Fields::new(body).map(|field| (field.number, field.whole.to_vec())).collect()
}

/// A field with these bytes.
fn member(number: u32, contents: &[u8]) -> (u32, Vec<u8>) {
    let mut whole = Vec::new();
    append(&mut whole, number, contents);
    (number, whole)
}

#[test]
fn a_forwarded_wish_keeps_what_is_unknown_and_nothing_confidential() {
    let values = (message(), mangled(), option::of(text(40)), any::<[bool; 2]>());
    check(CASES, &values, |(model, initiator, relay, [denied, reports])| {
        let remarks = Remarks { permissions: denied.into(), reports };
        let bytes = bytes_of(&model);
        let payload = forward_relay_request(&bytes, &initiator, relay.as_deref(), remarks);
        let mut expected = model;
        expected.retain(|(number, _)| ![3, 6, 8, 9, 10, 11].contains(number));
        expected.retain(|(number, _)| relay.is_none() || *number != 4);
        expected.push(member(3, initiator.as_bytes()));
        expected.extend(relay.map(|relay| member(4, relay.as_bytes())));
        expected.extend(denied.then(|| member(9, &[8, 1])));
        let from = demangle(initiator.as_bytes()).ip().to_string();
        expected.extend(reports.then(|| member(10, &member(1, from.as_bytes()).1)));
        assert!(body(&payload, 18) == expected, "{}", hex(&payload));
    });
}

#[test]
fn a_forwarded_answer_keeps_what_is_unknown_and_changes_what_it_must() {
    let values = (message(), option::of(blob(120)), option::of(text(40)), any::<bool>());
    check(CASES, &values, |(model, signed, relay, only)| {
        let (bytes, told) = (bytes_of(&model), relay.as_deref());
        let payload = forward_relay_answer(&bytes, signed.as_deref(), told, only);
        let mut expected = model;
        expected.retain(|(number, _)| ![1, 4, 5].contains(number));
        expected.retain(|(number, _)| relay.is_none() || *number != 3);
        expected.retain(|(number, _)| !only || *number != 10);
        expected.extend(signed.map(|signed| member(5, &signed)));
        expected.extend(relay.map(|relay| member(3, relay.as_bytes())));
        assert!(body(&payload, 19) == expected, "{}", hex(&payload));
    });
}
