//! The HTTP request that opens a WebSocket (RFC 6455 §4.2) and our answer to it. Pure over bytes;
//! it must not know whom to believe about forwarded addresses. C31, C53, C54.

use alloc::vec::Vec;
use core::net::IpAddr;

use ct_codecs::{Base64, Encoder};
use heapless::String;
use httparse::{EMPTY_HEADER, Header, Request, Status};
use sha1_smol::Sha1;

use crate::base::address::split_port;

/// Headers we read; a browser behind two proxies sends 20.
pub(super) const HEADERS_MAX: usize = 48;
/// What RFC 6455 §4.2.2 appends to the client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request to open a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The whole answer that accepts it.
    pub answer: String<160>,
    /// What proxies say of where the client is.
    pub forwarded: Forwarded,
    /// Bytes of the request.
    pub consumed: usize,
}

/// Where the client is, as headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// `X-Real-IP`, as one proxy writes it; None if it is not there once, or is no address.
    pub real_ip: Option<IpAddr>,
    /// `X-Forwarded-For`, the nearest hop last; None for one that is no address.
    pub forwarded_for: Vec<Option<IpAddr>>,
}

/// Why a request opens nothing; each has its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no HTTP/1.1 request.
    Malformed,
    /// It is HTTP, and asks for no WebSocket of version 13.
    NotWebSocket,
    /// The same, with the key of one: a proxy on the way did not pass on the rest.
    UpgradeLost,
}

impl Refusal {
    /// The whole answer.
    pub const fn answer(self) -> &'static str {
        match self {
            Self::Malformed => {
                "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            }
            Self::NotWebSocket | Self::UpgradeLost => {
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade, close\r\n\
                 Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n"
            }
        }
    }
}

/// Reads the request at the front of `buffer`; None while it is incomplete.
///
/// # Errors
/// [`Refusal`], with the answer to send before closing.
pub fn parse(buffer: &[u8]) -> Result<Option<Opening>, Refusal> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    let consumed = match request.parse(buffer) {
        Ok(Status::Complete(consumed)) => consumed,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Refusal::Malformed),
    };
    opening(&request, consumed).map(Some)
}

/// The values of a header.
fn values<'a>(headers: &'a [Header<'_>], name: &str) -> Vec<&'a str> {
    let mut values = Vec::new();
    for header in headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)) {
        values.push(core::str::from_utf8(header.value).unwrap_or_default().trim());
    }
    values
}

impl Forwarded {
    /// What these say.
    pub(super) fn of(headers: &[Header<'_>]) -> Self {
        let mut forwarded_for = Vec::new();
        for value in values(headers, "x-forwarded-for") {
            value.split(',').for_each(|hop| forwarded_for.push(address(hop)));
        }
        let real_ip = match *values(headers, "x-real-ip") {
            [ip] => address(ip),
            _ => None,
        };
        Self { real_ip, forwarded_for }
    }

    /// Whether they say nothing that is read.
    #[cfg(feature = "web")]
    pub fn is_empty(&self) -> bool {
        self.real_ip.is_none() && self.forwarded_for.is_empty()
    }
}

/// What a whole request opens.
pub(super) fn opening(request: &Request<'_, '_>, consumed: usize) -> Result<Opening, Refusal> {
    let values = |name| values(request.headers, name);
    let lists = |name, word: &str| {
        let is_it = |one: &str| one.trim().eq_ignore_ascii_case(word);
        values(name).iter().any(|value| value.split(',').any(is_it))
    };
    let key = values("sec-websocket-key").first().copied().filter(|key| key.len() == 24);
    let wanted = request.method == Some("GET")
        && lists("upgrade", "websocket")
        && lists("connection", "upgrade")
        && values("sec-websocket-version").contains(&"13");
    let key = match (key, wanted) {
        (Some(key), true) => key,
        (Some(_), false) => return Err(Refusal::UpgradeLost),
        (None, _) => return Err(Refusal::NotWebSocket),
    };
    let answer = answer(key).ok_or(Refusal::Malformed)?;
    Ok(Opening { answer, forwarded: Forwarded::of(request.headers), consumed })
}

/// An address as proxies write it: bare, in brackets, or with a port behind.
fn address(text: &str) -> Option<IpAddr> {
    split_port(text.trim()).0.parse().ok()
}

fn answer(key: &str) -> Option<String<160>> {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    let mut accept = [0; 28];
    let accept = Base64::encode_to_str(&mut accept, hash.digest().bytes()).ok()?;
    let mut answer = String::new();
    for part in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: ",
        accept,
        "\r\n\r\n",
    ] {
        answer.push_str(part).ok()?;
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const RFC: &str = "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n";

    fn parse_with(more: &str) -> Result<Option<Opening>, Refusal> {
        parse([RFC, more, "\r\n"].concat().as_bytes())
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted_with_its_answer() {
        let opening = parse_with("").unwrap().unwrap();
        assert!(opening.answer.contains("Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
        assert_eq!(opening.consumed, RFC.len() + 2);
        let none = Forwarded { real_ip: None, forwarded_for: Vec::new() };
        assert_eq!(opening.forwarded, none);
        for cut in 0..RFC.len() {
            assert_eq!(parse(&RFC.as_bytes()[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_opening_is_refused() {
        for (from, to, refusal) in [
            ("GET", "POST", Refusal::UpgradeLost),
            ("Upgrade: WebSocket", "Upgrade: h2c", Refusal::UpgradeLost),
            ("keep-alive, Upgrade", "keep-alive", Refusal::UpgradeLost),
            ("Version: 13", "Version: 12", Refusal::UpgradeLost),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short", Refusal::NotWebSocket),
        ] {
            let text = [RFC.replace(from, to).as_str(), "\r\n"].concat();
            assert_eq!(parse(text.as_bytes()), Err(refusal), "{to}");
        }
        assert_eq!(parse(b"\x16\x03\x01\x02\x00"), Err(Refusal::Malformed));
        assert_eq!(parse(b"GET / HTTP/2.7\r\n\r\n"), Err(Refusal::Malformed));
    }

    #[test]
    fn forwarded_addresses_are_read_as_proxies_write_them() {
        let real_ip = |text: &str| {
            parse_with(&format!("X-Real-IP: {text}\r\n")).unwrap().unwrap().forwarded.real_ip
        };
        assert_eq!(real_ip("192.0.2.1"), "192.0.2.1".parse().ok());
        assert_eq!(real_ip("[2001:db8::1]:80"), "2001:db8::1".parse().ok());
        assert_eq!(real_ip("192.0.2.1, 192.0.2.2"), None);
        let twice = "X-Real-IP: 192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n";
        assert_eq!(parse_with(twice).unwrap().unwrap().forwarded.real_ip, None);
        let hops = |text: &str| parse_with(text).unwrap().unwrap().forwarded.forwarded_for;
        let told =
            hops("X-Forwarded-For: 192.0.2.1, 192.0.2.2:80,junk\r\nx-forwarded-for: ::1\r\n");
        let all = ["192.0.2.1", "192.0.2.2", "junk", "::1"].map(|text| text.parse().ok());
        assert_eq!(told, all);
    }
}
