//! Frames and mangled addresses as clients make them: written from the protocol page, not with
//! the server's codec.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The header and the payload behind it.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    let extra = match len {
        0..=0x3f => 0_u32,
        0x40..=0x3fff => 1,
        0x4000..=0x3f_ffff => 2,
        _ => 3,
    };
    let header = (len << 2 | extra).to_le_bytes();
    [&header[..=usize::try_from(extra).unwrap()], payload].concat()
}

pub(crate) fn send(stream: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    stream.write_all(&frame(payload))
}

/// The next payload; an error at the end of the stream.
pub(crate) fn receive(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut header = [0_u8; 4];
    stream.read_exact(&mut header[..1])?;
    let extra = usize::from(header[0] & 3);
    stream.read_exact(&mut header[1..=extra])?;
    let mut payload = vec![0; usize::try_from(u32::from_le_bytes(header) >> 2).unwrap()];
    stream.read_exact(&mut payload)?;
    Ok(payload)
}

/// An address spelled the wire's way, an IPv4 one with time 0x00012345.
pub(crate) fn mangle(addr: SocketAddr) -> Vec<u8> {
    const TIME: u128 = 0x0001_2345;
    let ip = match addr.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => return [&ip.octets()[..], &addr.port().to_le_bytes()].concat(),
    };
    let ip = u128::from(u32::from_le_bytes(ip.octets()));
    let value = ((ip + TIME) << 49) | (TIME << 17) | (u128::from(addr.port()) + (TIME & 0xffff));
    let mut bytes = value.to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

pub(crate) fn demangle(bytes: &[u8]) -> SocketAddr {
    if let [ip @ .., low, high] = bytes
        && let Ok(ip) = <[u8; 16]>::try_from(ip)
    {
        return SocketAddr::new(Ipv6Addr::from(ip).into(), u16::from_le_bytes([*low, *high]));
    }
    let mut padded = [0_u8; 16];
    padded[..bytes.len()].copy_from_slice(bytes);
    let value = u128::from_le_bytes(padded);
    let time = (value >> 17) & 0xffff_ffff;
    let ip = ((value >> 49) - time) & 0xffff_ffff;
    let port = ((value & 0xff_ffff) - (time & 0xffff)) & 0xffff;
    let ip = Ipv4Addr::from(u32::try_from(ip).unwrap().to_le_bytes());
    SocketAddr::new(ip.into(), u16::try_from(port).unwrap())
}
