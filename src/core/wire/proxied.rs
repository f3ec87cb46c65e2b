//! The PROXY protocol, versions 1 and 2, of HAProxy's `proxy-protocol.txt`: what a proxy says of
//! its client before the client's first byte. Pure over bytes; whom to believe is not known here.
//! C104.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::WireError;
use crate::base::address::Endpoint;

/// How version 1 begins, which ends with its line.
const V1: &[u8] = b"PROXY ";
/// Longest line of version 1, its end included.
const V1_BYTES_MAX: usize = 107;
/// How version 2 begins.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before the addresses: that, version and command, family, two of length.
const V2_FIXED: usize = 16;
/// Most bytes of version 2 with what proxies append: certificates' names and the like.
const V2_BYTES_MAX: usize = 2048;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// That of somebody here.
    At(Endpoint),
    /// The proxy's own: it looks whether we are there.
    Proxy,
    /// The proxy does not know, it is neither TCP over IPv4 nor over IPv6, or the header is wrong.
    Unknown,
}

/// Whether `buffer` begins with such a header and with no frame of ours: one would hold a message
/// that begins as none does.
pub fn begins(buffer: &[u8]) -> bool {
    buffer.starts_with(V1) || buffer.starts_with(V2)
}

/// The header at the front of `buffer` and its length; None while it is incomplete, which an empty
/// buffer is too. One that is wrong and has an end tells of nobody.
///
/// # Errors
/// [`WireError::Malformed`] for what does not begin as one, [`WireError::Oversized`] for one that
/// is too long: nobody knows where that ends.
pub fn parse(buffer: &[u8]) -> Result<Option<(Client, usize)>, WireError> {
    let begins = |mark: &[u8]| {
        let len = mark.len().min(buffer.len());
        buffer.get(..len) == mark.get(..len)
    };
    match (begins(V1), begins(V2)) {
        (true, _) => line(buffer),
        (_, true) => binary(buffer),
        _ => Err(WireError::Malformed),
    }
}

fn line(buffer: &[u8]) -> Result<Option<(Client, usize)>, WireError> {
    let front = buffer.get(..V1_BYTES_MAX).unwrap_or(buffer);
    let Some(end) = front.windows(2).position(|two| two == b"\r\n") else {
        return if front.len() < V1_BYTES_MAX { Ok(None) } else { Err(WireError::Oversized) };
    };
    let text = front.get(V1.len()..end).and_then(|text| str::from_utf8(text).ok());
    Ok(Some((text.and_then(told).unwrap_or(Client::Unknown), end + 2)))
}

/// The client in a line of version 1; None if it names none.
fn told(line: &str) -> Option<Client> {
    let mut words = line.split(' ');
    let family = words.next()?;
    let (from, _, port, _) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (ip, port): (IpAddr, u16) = (from.parse().ok()?, port.parse().ok()?);
    let fits = family == if ip.is_ipv6() { "TCP6" } else { "TCP4" };
    (fits && words.next().is_none()).then(|| Client::At(Endpoint::new(ip, port)))
}

fn binary(buffer: &[u8]) -> Result<Option<(Client, usize)>, WireError> {
    let Some([version, family, high, low]) = buffer.get(V2.len()..).and_then(<[u8]>::first_chunk)
    else {
        return Ok(None);
    };
    let whole = V2_FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if whole > V2_BYTES_MAX {
        return Err(WireError::Oversized);
    }
    let Some(addresses) = buffer.get(V2_FIXED..whole) else { return Ok(None) };
    let client = match (version, family) {
        (0x20, _) => Some(Client::Proxy),
        (0x21, 0x11) => v4(addresses),
        (0x21, 0x21) => v6(addresses),
        _ => None,
    };
    Ok(Some((client.unwrap_or(Client::Unknown), whole)))
}

/// Source and destination, then their ports.
fn v4(addresses: &[u8]) -> Option<Client> {
    let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses.first_chunk()?;
    let port = u16::from_be_bytes([high, low]);
    Some(Client::At(Endpoint::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)))
}

fn v6(addresses: &[u8]) -> Option<Client> {
    let ip: [u8; 16] = *addresses.first_chunk()?;
    let [high, low, _, _] = *addresses.get(32..)?.first_chunk()?;
    let port = u16::from_be_bytes([high, low]);
    Some(Client::At(Endpoint::new(IpAddr::V6(Ipv6Addr::from(ip)), port)))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn at(ip: &str, port: u16) -> Client {
        Client::At(Endpoint::new(ip.parse().unwrap(), port))
    }

    fn v2(version: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let len = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [V2, &[version, family], &len, addresses].concat()
    }

    #[test]
    fn c104_both_versions_tell_the_client_and_every_cut_is_incomplete() {
        let ipv6 = [&[0x20; 16][..], &[1; 16], &[0x12, 0x34, 0, 80, 9, 9, 9]].concat();
        for (header, client) in [
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 4660 21116\r\n".to_vec(), at("192.0.2.1", 4660)),
            (b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(), at("2001:db8::1", 1)),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n".to_vec(), at("192.0.2.1", 1)),
            (b"PROXY UNKNOWN\r\n".to_vec(), Client::Unknown),
            (b"PROXY UNKNOWN what ever\r\n".to_vec(), Client::Unknown),
            (v2(0x21, 0x11, &[192, 0, 2, 1, 9, 9, 9, 9, 0x12, 0x34, 0, 80]), at("192.0.2.1", 4660)),
            (v2(0x21, 0x21, &ipv6), at("2020:2020:2020:2020:2020:2020:2020:2020", 4660)),
            (v2(0x20, 0, &[]), Client::Proxy),
            (v2(0x21, 0x31, &[0; 216]), Client::Unknown),
        ] {
            let with_more = [&header[..], b"\xa1more"].concat();
            assert_eq!(parse(&with_more), Ok(Some((client, header.len()))));
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut]), Ok(None), "cut at {cut}");
            }
        }
    }

    #[test]
    fn c148_a_wrong_header_with_an_end_tells_of_nobody() {
        for bad in [
            &b"PROXY \r\n"[..],
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 \xff 192.0.2.2 1 2\r\n",
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x2f, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 35]),
        ] {
            let with_more = [bad, b"\xa1more"].concat();
            assert_eq!(parse(&with_more), Ok(Some((Client::Unknown, bad.len()))), "{bad:?}");
        }
    }

    #[test]
    fn c104_what_is_no_header_or_has_no_end_is_refused() {
        for bad in [&b"GET / HTTP/1.1\r\n"[..], b"\x92\x01", b"\r\n\r\n\0\r\nQUIT\r"] {
            assert_eq!(parse(bad), Err(WireError::Malformed), "{bad:?}");
        }
        assert_eq!(parse(&v2(0x21, 0x11, &[0; 2040])), Err(WireError::Oversized));
        let long = [b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat();
        assert_eq!(parse(&long), Err(WireError::Oversized));
    }
}
