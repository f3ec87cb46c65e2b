//! Bytes to values and back, without a machine: C01, C02, C04, C07-C10, and every vector of
//! protocol §1.2, §2.11 and §3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hbb_core::base::address::Endpoint;
use hbb_core::base::peer::PeerId;
use hbb_core::wire::addr::{Mangled, demangle};
use hbb_core::wire::frame::{header_for, split};
use hbb_core::wire::message::{decode, encode};
use hbb_core::wire::reply::{DirectPath, Failure, PunchAnswer, Registered, Reply};
use hbb_core::wire::request::{Given, Request};
use hbb_core::wire::{NatType, WireError};

use crate::chance::Chance;
use crate::drive::at;
use crate::say::{hex, unhex};

/// Payload length and header of protocol §1.2.
const HEADERS: [(usize, &str); 12] = [
    (0, "00"),
    (1, "04"),
    (5, "14"),
    (63, "fc"),
    (64, "0101"),
    (300, "b104"),
    (16_383, "fdff"),
    (16_384, "020001"),
    (70_000, "c24504"),
    (4_194_303, "feffff"),
    (4_194_304, "03000001"),
    (1_073_741_823, "ffffffff"),
];

#[test]
fn c001_payloads_above_30_bits_have_no_header() {
    assert_eq!(header_for(1_073_741_824), Err(WireError::Oversized));
    assert_eq!(header_for(usize::MAX), Err(WireError::Oversized));
}

#[test]
fn c001_header_vectors_encode_and_decode() {
    for (len, header) in HEADERS {
        assert_eq!(hex(&header_for(len).unwrap()), header);
        // The cap tells which length was read, without a gibibyte of payload.
        let bytes = unhex(header);
        let payload_is_missing = if len == 0 { 1 } else { 0 };
        assert_eq!(
            split(&bytes, len).unwrap().map_or(0, |frame| frame.consumed),
            payload_is_missing
        );
        if let Some(below) = len.checked_sub(1) {
            assert_eq!(split(&bytes, below), Err(WireError::Oversized), "{len}");
        }
    }
}

#[test]
fn c001_a_frame_cut_at_any_byte_waits_for_the_rest() {
    for (len, header) in HEADERS.into_iter().filter(|(len, _)| *len <= 70_000) {
        let payload: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut bytes = [unhex(header), payload.clone()].concat();
        for cut in (0..bytes.len()).step_by(1 + len / 100) {
            assert_eq!(split(&bytes[..cut], 70_000), Ok(None), "{cut} bytes of {len}");
        }
        let whole = bytes.len();
        assert_eq!(split(&bytes[..whole - 1], 70_000), Ok(None));
        bytes.extend(b"next frame");
        let frame = split(&bytes, 70_000).unwrap().unwrap();
        assert!(frame.payload == payload && frame.consumed == whole, "{len}");
    }
}

#[test]
fn c001_headers_of_every_length_split_at_every_byte() {
    for extra in 0..4_u32 {
        let header = &(5 << 2 | extra).to_le_bytes()[..=extra as usize];
        let bytes = [header, b"hello"].concat();
        for cut in 0..bytes.len() {
            assert_eq!(split(&bytes[..cut], 64), Ok(None), "{cut}");
        }
        assert_eq!(split(&bytes, 64).unwrap().unwrap().payload, b"hello");
    }
}

#[test]
fn c002_a_longer_header_than_needed_is_accepted() {
    let frame = split(&[0x0f, 0, 0, 0, 7, 8, 9], 64 * 1024).unwrap().unwrap();
    assert_eq!((frame.payload, frame.consumed), (&[7, 8, 9][..], 7));
}

#[test]
fn c004_the_header_alone_refuses_what_is_above_the_cap() {
    assert_eq!(split(&unhex("ffffffff"), 64 * 1024), Err(WireError::Oversized));
    let above = header_for(64 * 1024 + 1).unwrap();
    assert_eq!(split(&above, 64 * 1024), Err(WireError::Oversized));
    let exactly = header_for(64 * 1024).unwrap();
    assert_eq!(split(&exactly, 64 * 1024), Ok(None));
}

#[test]
fn c007_no_known_member_is_no_message() {
    for payload in ["", "9a0600", "0a00", "2a00", "ea0100", "3008", "ff", "32", "3205", "320d0a09"]
    {
        assert_eq!(decode(&unhex(payload)), Err(WireError::Malformed), "{payload}");
    }
}

#[test]
fn c007_unknown_fields_and_members_beside_known_ones_are_tolerated() {
    let id = PeerId::new("123456789").unwrap();
    let expected = Ok(Request::RegisterPeer { id: Given::Value(id) });
    // Unknown field 15 inside; unknown member 99 in front; unknown varint, fixed32 and fixed64.
    for payload in [
        "3210 0a09313233343536373839 1003 7a0178",
        "9a0600 320d0a093132333435363738391003",
        "320d0a093132333435363738391003 9a0600",
        "320d0a093132333435363738391003 980601 9d0601020304 99060102030405060708",
    ] {
        assert_eq!(decode(&unhex(payload)), expected, "{payload}");
    }
}

#[test]
fn c007_members_only_servers_send_are_ignored() {
    for payload in ["3a00", "4a00", "5a00", "6200", "7200", "8201 00", "8a0100", "aa0100"] {
        assert_eq!(decode(&unhex(payload)), Ok(Request::Ignored), "{payload}");
    }
}

/// Endpoint, time field and bytes of protocol §3.
const MANGLED: [(&str, u32, &str); 18] = [
    ("192.168.16.32:21116", 0x1234_5678, "f4a8f0ac682470fe8964"),
    ("1.2.3.4:1", 0, "01000000000002040608"),
    ("1.2.3.4:1", 1, "02000200000004040608"),
    ("0.0.0.0:0", 0, ""),
    ("0.0.0.0:0", 0x89ab_cdef, "efcdde9b5713df9b571301"),
    ("255.255.255.255:65535", 0xffff_ffff, "fefffffffffffdffffff03"),
    ("255.255.255.255:65535", 0x0000_ffff, "feffffff0100fcff010002"),
    ("203.0.113.7:0", 0xdead_beef, "efbede7d5bbd757f3dcc01"),
    ("203.0.113.7:65535", 0xdead_beef, "eebedf7d5bbd757f3dcc01"),
    ("10.0.0.1:21118", 0x0001_0000, "7e520000020014000202"),
    ("127.0.0.1:8080", 0x7fff_ffff, "8f1ffffffffffc00000201"),
    ("8.8.8.8:53", 0xffff_fffe, "3300fdffffff0d10101002"),
    ("[::ffff:127.0.0.1]:8080", 0x0102_0304, "94220806040206070404"),
    ("[::127.0.0.1]:8080", 0x0102_0304, "0000000000000000000000007f000001901f"),
    ("[2001:db8::1]:8080", 0, "20010db8000000000000000000000001901f"),
    ("[2001:db8:ff::1111]:80", 0, "20010db800ff000000000000000011115000"),
    ("[::1]:8080", 0, "00000000000000000000000000000001901f"),
    ("[fe80::1]:65535", 0, "fe800000000000000000000000000001ffff"),
];

#[test]
fn c008_junk_decodes_to_the_listed_endpoints() {
    let junk = |len| vec![0xff; len];
    let cases = [
        (vec![], "0.0.0.0:0"),
        (junk(2), "0.0.0.0:65535"),
        (junk(16), "0.0.0.0:0"),
        (junk(17), "[::]:0"),
        (junk(18), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
        (junk(20), "[::]:0"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(demangle(&bytes), at(expected), "{bytes:02x?}");
        assert_eq!(demangle(&bytes).port() == 0, [0, 16, 17, 20].contains(&bytes.len()));
    }
}

#[test]
fn c008_mangle_vectors_in_both_directions() {
    for (endpoint, time, bytes) in MANGLED {
        assert_eq!(hex(Mangled::new(at(endpoint), time).as_bytes()), bytes, "{endpoint}");
        assert_eq!(demangle(&unhex(bytes)), at(endpoint), "{bytes}");
    }
}

#[test]
fn c008_a_hundred_thousand_endpoints_round_trip() {
    let mut chance = Chance::new(8);
    for round in 0..100_000 {
        let ip = match round % 4 {
            0 => IpAddr::V6(Ipv6Addr::from_bits(
                u128::from(chance.draw()) << 64 | u128::from(chance.draw()),
            )),
            1 => IpAddr::V4(Ipv4Addr::from_bits(chance.u32() | chance.u32() | chance.u32())),
            _ => IpAddr::V4(Ipv4Addr::from_bits(chance.u32())),
        };
        let endpoint = Endpoint::new(ip, chance.u16());
        let mangled = Mangled::new(endpoint, chance.u32());
        assert_eq!(demangle(mangled.as_bytes()), endpoint);
        assert!(mangled.as_bytes().len() <= if endpoint.ip().is_ipv4() { 11 } else { 18 });
    }
}

#[test]
fn c008_a_hundred_thousand_junk_strings_decode_to_something() {
    let mut chance = Chance::new(88);
    for _ in 0..100_000 {
        let len = chance.index(24);
        let _ = demangle(&chance.bytes(len));
    }
}

#[test]
fn c009_mapped_addresses_are_ipv4_and_compatible_ones_are_not() {
    let bytes = |text: &str| Mangled::new(at(text), 0x0102_0304).as_bytes().to_vec();
    assert_eq!(bytes("[::ffff:192.0.2.1]:9"), bytes("192.0.2.1:9"));
    assert!(bytes("192.0.2.1:9").len() <= 11);
    assert_eq!(bytes("[::1]:9").len(), 18);
    assert_eq!(bytes("[::192.0.2.1]:9").len(), 18);
    // What a peer wrote in 18 bytes.
    let told = |ip: &str| {
        let ip: std::net::Ipv6Addr = ip.parse().unwrap();
        demangle(&[&ip.octets()[..], &[9, 0]].concat()).to_string()
    };
    assert_eq!(told("::ffff:192.0.2.1"), "192.0.2.1:9");
    assert_eq!(told("::192.0.2.1"), "[::c000:201]:9");
}

#[test]
fn c010_all_default_answers_are_present_and_empty() {
    let ok = Reply::RegisterPk { outcome: Registered::Ok, keep_alive_secs: 0 };
    assert_eq!(hex(&encode(&ok)), "820100");
    assert_eq!(hex(&encode(&Reply::RegisterPeer { request_pk: false })), "3a00");
    assert_eq!(hex(&encode(&Reply::PunchRefused(Failure::IdNotExist))), "5a00");
    assert_eq!(hex(&encode(&Reply::Online(Vec::new()))), "c20100");
}

#[test]
fn c010_request_vectors_decode() {
    let id = Given::Value(PeerId::new("123456789").unwrap());
    let bytes = unhex("320d0a093132333435363738391003");
    assert_eq!(decode(&bytes), Ok(Request::RegisterPeer { id }));
    assert_eq!(decode(&unhex("a20100")), Ok(Request::TestNat));
    assert_eq!(decode(&unhex("a201020803")), Ok(Request::TestNat));
    let bytes = unhex("9201081203752d3132016b");
    let Ok(Request::RequestRelay(relay)) = decode(&bytes) else { panic!("not RequestRelay") };
    assert_eq!(relay.target, Given::Nothing);
    assert!(matches!(relay.token, Given::Value(_)));
    assert_eq!(relay.access_key, "k");
}

#[test]
fn c010_answer_vectors_encode() {
    let registered = |outcome, keep_alive_secs| Reply::RegisterPk { outcome, keep_alive_secs };
    let punched = |path| {
        Reply::PunchAnswer(Box::new(PunchAnswer {
            addr: unhex("f4a8f0ac682470fe8964"),
            signed_key: None,
            relay: String::new(),
            path,
            is_udp: false,
            upnp_port: 0,
            v6: None,
        }))
    };
    let vectors = [
        (Reply::RegisterPeer { request_pk: true }, "3a021001"),
        (registered(Registered::Ok, 20), "8201021014"),
        (registered(Registered::UuidMismatch, 0), "8201020802"),
        (registered(Registered::NotSupport, 0), "8201020806"),
        (Reply::Nat { port: 54_321 }, "aa010408b1a803"),
        (Reply::Online(vec![0x80, 0x80]), "c201040a028080"),
        (Reply::NoApi, "e20103089403"),
        (Reply::PunchRefused(Failure::Offline), "5a021802"),
        (Reply::PunchRefused(Failure::KeyMismatch), "5a021803"),
        (punched(DirectPath::Nat(NatType(1))), "5a0e0a0af4a8f0ac682470fe89642801"),
        (punched(DirectPath::Nat(NatType(0))), "5a0e0a0af4a8f0ac682470fe89642800"),
        (punched(DirectPath::Local), "5a0e0a0af4a8f0ac682470fe89643001"),
    ];
    for (reply, expected) in vectors {
        assert_eq!(hex(&encode(&reply)), expected, "{reply:?}");
    }
}

#[test]
fn c010_frame_vectors() {
    let framed = |payload: &str| {
        let payload = unhex(payload);
        hex(&[&header_for(payload.len()).unwrap()[..], &payload].concat())
    };
    let vectors = [
        ("320d0a093132333435363738391003", "3c320d0a093132333435363738391003"),
        ("3a00", "083a00"),
        ("3a021001", "103a021001"),
        ("820100", "0c820100"),
        ("8201021014", "148201021014"),
        ("a20100", "0ca20100"),
        ("a201020803", "14a201020803"),
        ("aa010408b1a803", "1caa010408b1a803"),
        ("c201040a028080", "1cc201040a028080"),
        ("5a00", "085a00"),
        ("5a021802", "105a021802"),
        ("5a0e0a0af4a8f0ac682470fe89642801", "405a0e0a0af4a8f0ac682470fe89642801"),
        ("9201081203752d3132016b", "2c9201081203752d3132016b"),
    ];
    for (payload, frame) in vectors {
        assert_eq!(framed(payload), frame);
    }
}
