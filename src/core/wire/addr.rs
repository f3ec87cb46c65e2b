//! Mangled addresses: how `socket_addr` fields spell an endpoint so that dumb NATs do not rewrite
//! it. C08, C09.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heapless::Vec;

use crate::base::address::Endpoint;

/// An encoded endpoint: at most 11 bytes for IPv4, exactly 18 for IPv6.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Mangled(Vec<u8, 18, u8>);

impl Mangled {
    /// Encodes `endpoint`. `nonce` is the wire's time field; a peer that answers echoes it byte
    /// for byte with IPv4, so an unguessable one authenticates the answer (C52).
    pub fn new(endpoint: Endpoint, nonce: u32) -> Self {
        let mut bytes = Vec::new();
        // Neither push can fail: 16 - trailing zeros and 18 both fit 18.
        match endpoint.ip() {
            IpAddr::V4(ip) => {
                let v4 = mangle_v4(ip, endpoint.port(), nonce).to_le_bytes();
                let len = v4.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                let _ = bytes.extend_from_slice(v4.get(..len).unwrap_or_default());
            }
            IpAddr::V6(ip) => {
                let _ = bytes.extend_from_slice(&ip.octets());
                let _ = bytes.extend_from_slice(&endpoint.port().to_le_bytes());
            }
        }
        Self(bytes)
    }

    /// Keeps what a peer sent as it is; None if it is too long to be an endpoint.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Vec::from_slice(bytes).ok().map(Self)
    }

    /// The bytes for the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn mangle_v4(ip: Ipv4Addr, port: u16, nonce: u32) -> u128 {
    let ip = u128::from(u32::from_le_bytes(ip.octets()));
    let time = u128::from(nonce);
    // The sum of ip and time needs 33 bits, the low part 17: neither is reduced.
    (ip + time) << 49 | time << 17 | (u128::from(port) + (time & 0xffff))
}

/// Decodes any bytes: junk gives some endpoint, as peers do it, and never fails (C08).
/// Port 0 means there is no endpoint.
pub fn demangle(bytes: &[u8]) -> Endpoint {
    let mut padded = [0_u8; 16];
    if let Some(front) = padded.get_mut(..bytes.len()) {
        front.copy_from_slice(bytes);
        return demangle_v4(u128::from_le_bytes(padded));
    }
    let unset = Endpoint::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
    let Ok(bytes) = <[u8; 18]>::try_from(bytes) else { return unset };
    let [ip @ .., low, high] = bytes;
    Endpoint::new(IpAddr::V6(Ipv6Addr::from(ip)), u16::from_le_bytes([low, high]))
}

#[expect(clippy::cast_possible_truncation, reason = "the wire keeps the low bits")]
fn demangle_v4(value: u128) -> Endpoint {
    let time = u128::from((value >> 17) as u32);
    let ip = (value >> 49).wrapping_sub(time) as u32;
    let port = (value & 0x00ff_ffff).wrapping_sub(time & 0xffff) as u16;
    Endpoint::new(IpAddr::V4(Ipv4Addr::from(ip.to_le_bytes())), port)
}
