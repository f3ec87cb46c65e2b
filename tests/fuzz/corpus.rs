//! The generated part of the corpus: edge cases by hand and cases under one seed, as small files.
//! Whoever finds a crash adds its bytes as a file of any other name.

use hbb_core::wire::addr::Mangled;
use hbb_core::wire::frame::header_for;

use crate::chance::Chance;
use crate::say;
use crate::script::{DEEDS, MESSAGES};

/// Folder, file name and bytes of every generated case.
pub(crate) fn generate() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut chance = Chance::new(2026);
    let folders = [
        ("frame", frames(&mut chance)),
        ("websocket", websockets(&mut Chance::new(6455))),
        ("handshake", handshakes()),
        ("message", messages(&mut chance)),
        ("address", addresses(&mut chance)),
        ("input", inputs(&mut chance)),
        ("flags", flags()),
    ];
    let mut cases = Vec::new();
    for (folder, contents) in folders {
        for (number, bytes) in contents.into_iter().enumerate() {
            cases.push((folder, format!("made-{number:02}"), bytes));
        }
    }
    cases
}

fn frames(chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut cases = vec![vec![], vec![0], vec![0xff; 4], vec![0xff; 3], vec![3, 0, 0, 0, 3]];
    // A longer header than needed, two frames behind each other, one byte too few.
    cases.push(vec![0x0f, 0, 0, 0, 7, 8, 9]);
    cases.push(vec![0x04, 1, 0x08, 2, 3, 0]);
    cases.push(vec![0x0c, 1, 2]);
    for len in [63, 64, 300] {
        cases.push([&header_for(len).unwrap()[..], &chance.bytes(len)].concat());
    }
    for len in [65_536, 65_537, 4_194_304] {
        cases.push(header_for(len).unwrap().to_vec());
    }
    cases
}

fn websockets(chance: &mut Chance) -> Vec<Vec<u8>> {
    let masked = |first: u8, len: &[u8], payload: &[u8]| {
        [&[first][..], len, &[9, 8, 7, 6], payload].concat()
    };
    let mut cases = vec![vec![], vec![0x82], vec![0x82, 0x05, 1], vec![0xff; 14]];
    cases.push(masked(0x82, &[0x83], b"abc"));
    cases.push(masked(0x82, &[0x80], b""));
    cases.push(masked(0x81, &[0x83], b"abc"));
    cases.push(masked(0x88, &[0x82], &[3, 232]));
    cases.push(masked(0x82, &[0xfe, 1, 44], &chance.bytes(300)));
    cases.push(masked(0x82, &[0xff, 0, 0, 0, 0, 0x40, 0, 0, 0], b"1 GiB"));
    // Fragments with a ping between, a continuation of nothing, a message within a message.
    let (begin, end) = (masked(0x02, &[0x82], b"ab"), masked(0x80, &[0x81], b"c"));
    cases.push([&begin[..], &masked(0x89, &[0x81], b"?"), &end].concat());
    cases.push([&end[..], &begin].concat());
    cases.push([&begin[..], &begin].concat());
    cases
}

fn handshakes() -> Vec<Vec<u8>> {
    let fields = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let proxied = "X-Forwarded-For: 192.0.2.1, [2001:db8::1]:80\r\nX-Real-IP: 192.0.2.1\r\n";
    let request = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n{fields}{more}\r\n").into_bytes()
    };
    vec![
        vec![],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"POST /api/login HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_vec(),
        request("/ws/id", ""),
        request("/ws/relay?a=b#c", proxied),
        request("/", &"X: y\r\n".repeat(50)),
    ]
}

fn messages(chance: &mut Chance) -> Vec<Vec<u8>> {
    let (id, echo) = ("123456789", Mangled::new(hbb_core::wire::addr::demangle(&[1; 10]), 5));
    let echo = echo.as_bytes();
    let mut cases = vec![
        say::register_peer(id),
        say::register_peer(""),
        say::register_pk(id, b"device", &[7; 32]),
        say::register_pk(id, &[1; 65], &[7; 31]),
        say::punch(id, |wish| wish.socket_addr_v6 = vec![6; 18]),
        say::punch_sent(id, echo, |sent| sent.socket_addr_v6 = vec![6; 17]),
        say::local_addr(id, echo, |_| ()),
        say::request_relay(id, |wish| wish.token = "secret".into()),
        say::relay_chosen(id, echo, |_| ()),
        say::relay_agreed(echo),
        say::test_nat(-1),
        say::online(&[id, "", "x"]),
        say::online(&[]),
    ];
    // Members without contents, an unknown one, unknown fields of each wire type, groups.
    let texts = ["3200", "7a00", "ca0100", "9a0600", "9201009a0100", "980601", "9d0601020304"];
    cases.extend(texts.map(say::unhex));
    cases.extend(["9906010203040506070832 00", "3300", "ffffffffffffffffffff01"].map(say::unhex));
    // A length past the end, a tag of ten bytes, one member inside another.
    cases.extend(["32ffffffff0f", "80808080808080808080", "920106320412020808"].map(say::unhex));
    cases.extend((0..4).map(|_| chance.bytes(40)));
    cases
}

fn addresses(chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut cases: Vec<Vec<u8>> = [0, 1, 2, 11, 15, 16, 17, 18, 19, 20, 64]
        .into_iter()
        .flat_map(|len| [vec![0xff; len], vec![0; len]])
        .collect();
    cases.push(say::unhex("00000000000000000000ffff7f0000011f90"));
    cases.extend((0..6).map(|len| chance.bytes(10 + len)));
    cases
}

/// Plays: registrations, a punch and its answers, relays, long waits; then deeds at random.
fn inputs(chance: &mut Chance) -> Vec<Vec<u8>> {
    let message = |kind: u8, byte: u8| [MESSAGES + kind, byte];
    let register = [&[0, 20][..], &message(0, 0), &[6]].concat();
    let ask = [&[2, 33, 3, 0][..], &message(6, 0)].concat();
    let mut cases = vec![Vec::new(), register.clone(), [&register[..], &ask].concat()];
    for answer in [0, 5, 10, 15] {
        // By datagram, and on a connection of its own.
        for kind in [0, 1] {
            cases.push([&register[..], &ask, &[9, kind, answer, 34, 35]].concat());
        }
    }
    let near = [&[2, 20, 3, 0][..], &message(6, 0), &[9, 1, 5, 20, 20]].concat();
    cases.push([&register[..], &near].concat());
    // Thirty days later another takes the place.
    let newcomers: Vec<u8> = (0..5)
        .flat_map(|id| [[0, 20 + id].to_vec(), message(0, id).to_vec(), vec![6]].concat())
        .collect();
    cases.push([&newcomers[..], &[8, 255, 25], &newcomers].concat());
    cases.push([&newcomers[..], &[7, 13, 1], &newcomers].concat());
    let leg = |number: u8, token: u8| {
        [&[10, 40 + number][..], &[11, number], &message(12, token)].concat()
    };
    let pair = [leg(0, 0), leg(1, 0)].concat();
    // One too many parked, a session that ends, one session more than allowed.
    cases.push([&pair[..], &leg(2, 1), &[8, 200, 8], &[12, 0]].concat());
    cases.push([&pair[..], &leg(2, 1), &leg(3, 1), &leg(2, 2), &leg(3, 3)].concat());
    for _ in 0..24 {
        let mut play = Vec::new();
        for _ in 0..chance.between(10, 60) {
            play.push(u8::try_from(chance.below(DEEDS.into())).unwrap());
            play.push(chance.byte());
            play.extend(message(u8::try_from(chance.below(16)).unwrap(), chance.byte()));
        }
        cases.push(play);
    }
    cases
}

fn flags() -> Vec<Vec<u8>> {
    let texts = [
        "",
        "# nothing\n\n",
        "--port 21116\n--relay-servers one.example,two.example:21117\n",
        "--port 0\n--port 65536\n--port\n--port -1\n",
        "--mask 192.168.0.0/16\n--local-ip 192.168.0.1\n--key -\n--key _\n",
        "--key AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJul\n",
        "port 21116\n--nonsense\n--flags other\n--data \u{1f600}\r\n",
        "--max-peers 99999999999999999999\n--bind ::1\n--role relay\n--help\n--version\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
