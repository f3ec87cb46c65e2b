//! A client's side of RFC 6455 as the wire needs it: binary messages, no extensions.
//! Protocol §1.5.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// The key and its answer as RFC 6455 §1.3 gives them: no hash is needed to check the server's.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const MORE: u8 = 0x00;
const BINARY: u8 = 0x02;
const CLOSE: u8 = 0x08;
const PING: u8 = 0x09;
const PONG: u8 = 0x0a;
const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// A message longer than this goes in two fragments, which the other end must join.
const FRAGMENT_BYTES: usize = 50_000;

/// Asks for the upgrade and checks the answer.
pub(crate) fn shake_hands(stream: &mut (impl Read + Write), to: SocketAddr, path: &str) {
    shake_hands_if_let_in(stream, to, path).expect("the server answers the handshake");
}

/// The same with a server that may have no room.
pub(crate) fn shake_hands_if_let_in(
    stream: &mut (impl Read + Write),
    to: SocketAddr,
    path: &str,
) -> io::Result<()> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    // Not a byte more than the answer: a message may follow at once.
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let header = |wanted: &str| {
        let pairs = answer.lines().filter_map(|line| line.split_once(':'));
        let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.next().map(|(_, value)| value.trim().to_owned())
    };
    assert_eq!(header("Sec-WebSocket-Accept").as_deref(), Some(ACCEPT), "{answer}");
    assert!(header("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
    assert!(header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    assert_eq!(header("Sec-WebSocket-Extensions"), None);
    Ok(())
}

/// One binary message.
pub(crate) fn send(stream: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    if payload.len() <= FRAGMENT_BYTES {
        return send_frame(stream, BINARY | LAST, payload);
    }
    let (first, rest) = payload.split_at(FRAGMENT_BYTES);
    send_frame(stream, BINARY, first)?;
    send_frame(stream, MORE | LAST, rest)
}

fn send_frame(stream: &mut impl Write, first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(MASKED | u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            frame.push(MASKED | 127);
            frame.extend(u64::try_from(len).unwrap().to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    stream.write_all(&frame)
}

/// The next binary message; pings are answered, a close is the end of the stream.
pub(crate) fn receive(stream: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
    let mut message: Option<Vec<u8>> = None;
    loop {
        let (first, payload) = receive_frame(stream)?;
        match (first & 0x0f, &mut message) {
            (BINARY, None) => message = Some(payload),
            (MORE, Some(message)) => message.extend(payload),
            (PING, _) => {
                send_frame(stream, PONG | LAST, &payload)?;
                continue;
            }
            (PONG, _) => continue,
            (CLOSE, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => panic!("a frame that begins with {first:#04x}"),
        }
        if first & LAST != 0 {
            return Ok(message.unwrap_or_default());
        }
    }
}

fn receive_frame(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 2];
    stream.read_exact(&mut header)?;
    assert_eq!((header[0] & 0x70, header[1] & MASKED), (0, 0), "extended or masked");
    let mut len = [0; 8];
    let from = match header[1] {
        126 => 6,
        127 => 0,
        short => {
            len[7] = short;
            8
        }
    };
    stream.read_exact(&mut len[from..])?;
    let mut payload = vec![0; usize::try_from(u64::from_be_bytes(len)).unwrap()];
    stream.read_exact(&mut payload)?;
    Ok((header[0], payload))
}
