//! Codec properties over random values: frames, mangled addresses, messages, patched pass-through.
//! What the server reads and writes is compared with the generated message code and with models.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hbb_core::base::address::Endpoint;
use hbb_core::wire::addr::{Mangled, demangle};
use hbb_core::wire::frame::{header_for, split};
use hbb_core::wire::message::{decode, encode, forward_relay_answer, forward_relay_request};
use hbb_core::wire::patch::{Fields, append, copy_without, last_member};
use hbb_core::wire::reply::{DirectPath, Punch, PunchAnswer, Reply};
use hbb_core::wire::request::{Given, Request};
use hbb_core::wire::{NatType, SocketV6};

#[path = "../conformance/say.rs"]
mod say;

use crate::chance::Chance;
use say::proto::punch_hole_response;
use say::{Body, hex};

const ROUNDS: u32 = 20_000;
const FRAME_MAX: usize = 1 << 20;

/// Empty in one of four, else text of up to `most` letters.
fn text(chance: &mut Chance, most: usize) -> String {
    let len = if chance.one_in(4) { 0 } else { 1 + chance.index(most) };
    (0..len).map(|_| char::from(b'a' + chance.byte() % 26)).collect()
}

fn blob(chance: &mut Chance, most: usize) -> Vec<u8> {
    let len = if chance.one_in(4) { 0 } else { 1 + chance.index(most) };
    chance.bytes(len)
}

/// 0, small, negative, or anything.
fn number(chance: &mut Chance) -> i32 {
    let any = i32::from_le_bytes(chance.u32().to_le_bytes());
    *chance.choose(&[0, 1, 2, -1, i32::MIN, i32::MAX, any])
}

fn endpoint(chance: &mut Chance) -> Endpoint {
    let bits = u128::from(chance.draw()) << 64 | u128::from(chance.draw());
    let ip = match chance.below(3) {
        0 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        _ => IpAddr::V4(Ipv4Addr::from_bits(chance.u32())),
    };
    Endpoint::new(ip, chance.u16())
}

fn socket_v6(chance: &mut Chance) -> Option<SocketV6> {
    let bytes = chance.bytes(18);
    if chance.one_in(2) { None } else { SocketV6::try_from(bytes).ok() }
}

/// A frame with the shortest header, or with a longer one.
fn frame(chance: &mut Chance, payload: &[u8]) -> Vec<u8> {
    let shortest = header_for(payload.len()).unwrap();
    let len = shortest.len() + chance.index(5 - shortest.len());
    let value = u32::try_from(payload.len() << 2 | (len - 1)).unwrap();
    [&value.to_le_bytes()[..len], payload].concat()
}

#[test]
fn frames_come_out_as_they_went_in_however_the_stream_is_cut() {
    let mut chance = Chance::new(1);
    for _ in 0..300 {
        let lens = [0, 1, 63, 64, 65, 300, 16_383, 16_384, 20_000];
        let payloads: Vec<Vec<u8>> = (0..chance.index(6))
            .map(|_| {
                let len = *chance.choose(&lens);
                chance.bytes(len)
            })
            .collect();
        let mut stream = Vec::new();
        for payload in &payloads {
            stream.extend(frame(&mut chance, payload));
        }
        let (mut buffer, mut sent, mut received) = (Vec::new(), 0, Vec::new());
        while sent < stream.len() {
            let most = if chance.one_in(2) { 4 } else { stream.len() };
            let piece = (1 + chance.index(most)).min(stream.len() - sent);
            buffer.extend_from_slice(&stream[sent..sent + piece]);
            sent += piece;
            while let Some(frame) = split(&buffer, FRAME_MAX).unwrap() {
                received.push(frame.payload.to_vec());
                buffer.drain(..frame.consumed);
            }
        }
        assert!(received == payloads && buffer.is_empty());
    }
}

#[test]
fn a_frame_lies_inside_its_buffer_and_below_its_cap() {
    let mut chance = Chance::new(2);
    for _ in 0..ROUNDS {
        let (buffer, cap) = (blob(&mut chance, 200), chance.index(150));
        if let Ok(Some(frame)) = split(&buffer, cap) {
            assert!(frame.consumed <= buffer.len() && frame.payload.len() <= cap);
            assert!(buffer[..frame.consumed].ends_with(frame.payload));
            assert!((1..=4).contains(&(frame.consumed - frame.payload.len())));
        }
    }
}

#[test]
fn headers_are_the_shortest_and_read_back() {
    let mut chance = Chance::new(3);
    for _ in 0..ROUNDS {
        let most = 1 << chance.between(1, 31);
        let len = chance.index(most).min(0x3fff_ffff);
        let header = header_for(len).unwrap();
        assert_eq!(split(&header, len).map(|_| ()), Ok(()));
        assert!(len == 0 || split(&header, len - 1).is_err());
        let limits = [0, 0x40, 0x4000, 0x40_0000];
        assert_eq!(header.len(), limits.iter().filter(|limit| **limit <= len).count());
    }
}

#[test]
fn mangled_endpoints_hide_no_byte_and_carry_their_nonce() {
    let mut chance = Chance::new(4);
    for _ in 0..ROUNDS {
        let (endpoint, nonce) = (endpoint(&mut chance), chance.u32());
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
    }
}

#[test]
fn requests_are_read_as_they_were_meant() {
    let mut chance = Chance::new(5);
    for _ in 0..ROUNDS {
        let (id, relay) = (text(&mut chance, 60), text(&mut chance, 300));
        let echo = Mangled::new(endpoint(&mut chance), chance.u32());
        let (nat, port, v6) = (number(&mut chance), number(&mut chance), blob(&mut chance, 20));
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
    }
}

#[test]
fn every_request_survives_being_cut_and_spoilt() {
    let mut chance = Chance::new(6);
    let requests = [
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
    for request in requests {
        assert!(decode(&request).is_ok());
        for cut in 0..request.len() {
            assert!(decode(&request[..cut]).is_err(), "{cut} bytes of {}", hex(&request));
        }
        for _ in 0..2000 {
            let mut spoilt = request.clone();
            let place = chance.index(spoilt.len());
            spoilt[place] = chance.byte();
            if let Ok(Request::Online(query)) = decode(&spoilt) {
                assert!(query.ids().count() <= spoilt.len());
            }
        }
    }
}

#[test]
fn answers_are_written_as_the_generated_code_reads_them() {
    let mut chance = Chance::new(7);
    for _ in 0..ROUNDS {
        let punch = Punch {
            to: Mangled::new(endpoint(&mut chance), chance.u32()),
            relay: text(&mut chance, 300),
            nat: NatType(number(&mut chance)),
            udp_port: number(&mut chance),
            force_relay: chance.one_in(2),
            upnp_port: number(&mut chance),
            v6: socket_v6(&mut chance),
        };
        let payload = encode(&Reply::Punch(Box::new(punch.clone())));
        let Body::PunchHole(read) = say::read(&payload) else { panic!("{}", hex(&payload)) };
        assert_eq!(
            (read.socket_addr, read.relay_server),
            (punch.to.as_bytes().into(), punch.relay)
        );
        assert_eq!((read.nat_type, read.udp_port), (punch.nat.0, punch.udp_port));
        assert_eq!((read.force_relay, read.upnp_port), (punch.force_relay, punch.upnp_port));
        assert_eq!(read.socket_addr_v6, punch.v6.map(Vec::from).unwrap_or_default());
    }
}

#[test]
fn punch_answers_are_written_as_the_generated_code_reads_them() {
    let mut chance = Chance::new(8);
    for _ in 0..ROUNDS {
        let nat = NatType(number(&mut chance));
        let answer = PunchAnswer {
            addr: blob(&mut chance, 18),
            signed_key: Some(blob(&mut chance, 120)).filter(|key| !key.is_empty()),
            relay: text(&mut chance, 300),
            path: if chance.one_in(2) { DirectPath::Local } else { DirectPath::Nat(nat) },
            is_udp: chance.one_in(2),
            upnp_port: number(&mut chance),
            v6: socket_v6(&mut chance),
        };
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
    }
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

fn field(chance: &mut Chance, number: u32) -> Vec<u8> {
    let kind = *chance.choose(&[0_u8, 1, 2, 2, 2, 5]);
    let contents = match kind {
        0 => varint(chance.draw() >> chance.below(64)),
        1 => chance.bytes(8),
        5 => chance.bytes(4),
        _ => {
            let bytes = blob(chance, 200);
            [varint(bytes.len() as u64), bytes].concat()
        }
    };
    [varint(u64::from(number) << 3 | u64::from(kind)), contents].concat()
}

fn message(chance: &mut Chance, numbers: &[u32]) -> Model {
    let count = chance.index(9);
    let number = |chance: &mut Chance| *chance.choose(numbers);
    (0..count)
        .map(|_| number(chance))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|number| (number, field(chance, number)))
        .collect()
}

fn bytes_of(model: &Model) -> Vec<u8> {
    model.iter().flat_map(|(_, whole)| whole.clone()).collect()
}

const NUMBERS: [u32; 14] = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 15, 16, 4000, (1 << 29) - 1];

#[test]
fn the_walker_sees_every_field_of_a_message_and_stops_at_a_cut() {
    let mut chance = Chance::new(9);
    for _ in 0..ROUNDS {
        let model = message(&mut chance, &NUMBERS);
        let bytes = bytes_of(&model);
        let seen: Model =
            Fields::new(&bytes).map(|field| (field.number, field.whole.to_vec())).collect();
        assert!(seen == model && Fields::new(&bytes).is_complete());
        let cut = chance.index(bytes.len() + 1);
        let mut ends = vec![0];
        model.iter().for_each(|(_, whole)| ends.push(ends[ends.len() - 1] + whole.len()));
        assert_eq!(Fields::new(&bytes[..cut]).is_complete(), ends.contains(&cut));
    }
}

#[test]
fn the_walker_never_leaves_its_message() {
    let mut chance = Chance::new(10);
    for _ in 0..ROUNDS {
        let bytes = blob(&mut chance, 60);
        let walked: Vec<u8> = Fields::new(&bytes).flat_map(|field| field.whole.to_vec()).collect();
        assert!(bytes.starts_with(&walked));
        assert_eq!(walked.len() == bytes.len(), Fields::new(&bytes).is_complete());
        if let Some((_, contents)) = last_member(&bytes, 1..=28) {
            assert!(contents.len() < bytes.len());
        }
    }
}

#[test]
fn a_copy_keeps_all_but_the_dropped_fields_in_their_order() {
    let mut chance = Chance::new(11);
    for _ in 0..ROUNDS {
        let model = message(&mut chance, &NUMBERS);
        let dropped: Vec<u32> = NUMBERS.into_iter().filter(|_| chance.one_in(3)).collect();
        let kept: Model =
            model.iter().filter(|(number, _)| !dropped.contains(number)).cloned().collect();
        let mut copy = copy_without(&bytes_of(&model), &dropped);
        assert_eq!(copy, bytes_of(&kept));
        let (number, contents) = (*chance.choose(&NUMBERS), blob(&mut chance, 300));
        append(&mut copy, number, &contents);
        let last = Fields::new(&copy).last().unwrap();
        assert_eq!((last.number, last.contents), (number, Some(&contents[..])));
        assert_eq!(last_member(&copy, number..=number), Some((number, &contents[..])));
        assert!(copy.starts_with(&bytes_of(&kept)) && Fields::new(&copy).is_complete());
    }
}

/// The fields of the one member a payload holds.
fn body(payload: &[u8], member: u32) -> Model {
    let (_, body) = last_member(payload, member..=member).unwrap();
    Fields::new(body).map(|field| (field.number, field.whole.to_vec())).collect()
}

#[test]
fn a_forwarded_wish_keeps_what_is_unknown_and_nothing_confidential() {
    let mut chance = Chance::new(12);
    for _ in 0..ROUNDS {
        let model = message(&mut chance, &NUMBERS);
        let initiator = Mangled::new(endpoint(&mut chance), chance.u32());
        let payload = forward_relay_request(&bytes_of(&model), &initiator);
        let mut expected: Model = model.clone();
        expected.retain(|(number, _)| ![3, 6, 8, 9, 10, 11].contains(number));
        let mut address = Vec::new();
        append(&mut address, 3, initiator.as_bytes());
        expected.push((3, address));
        assert!(body(&payload, 18) == expected, "{}", hex(&payload));
    }
}

#[test]
fn a_forwarded_answer_keeps_what_is_unknown_and_changes_what_it_must() {
    let mut chance = Chance::new(13);
    for _ in 0..ROUNDS {
        let model = message(&mut chance, &NUMBERS);
        let signed = Some(blob(&mut chance, 120)).filter(|_| chance.one_in(2));
        let relay = Some(text(&mut chance, 40)).filter(|_| chance.one_in(2));
        let payload = forward_relay_answer(&bytes_of(&model), signed.as_deref(), relay.as_deref());
        let mut expected: Model = model.clone();
        expected.retain(|(number, _)| ![1, 4, 5].contains(number));
        expected.retain(|(number, _)| relay.is_none() || *number != 3);
        let appended = [(5, signed), (3, relay.map(String::into_bytes))];
        for (number, contents) in appended {
            let Some(contents) = contents else { continue };
            let mut whole = Vec::new();
            append(&mut whole, number, &contents);
            expected.push((number, whole));
        }
        assert!(body(&payload, 19) == expected, "{}", hex(&payload));
    }
}
