//! Canonical addresses: an IPv4 peer is IPv4 here, however the socket spelled it.
//! Covers C09's normalisation; `wire/addr.rs` gives endpoints their bytes.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A canonical IP address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    ip: IpAddr,
    port: u16,
}

impl Endpoint {
    /// Makes `ip` canonical: IPv4-mapped IPv6 becomes IPv4, all else stays (C09).
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self { ip: canonical(ip), port }
    }

    /// For somebody who may be anywhere: an address that is nobody's (RFC 6666), neither this
    /// machine's nor in a LAN. Each `number` has another, all in the /64 that limits count by.
    pub fn nowhere(number: u32, port: u16) -> Self {
        let ip = u128::from(Prefix::NOWHERE.bits) << 64 | (u128::from(number) + 1);
        Self::new(Ipv6Addr::from_bits(ip).into(), port)
    }

    /// The address without its port.
    pub const fn ip(self) -> IpAddr {
        self.ip
    }

    /// The port, 0 where a peer meant "none".
    pub const fn port(self) -> u16 {
        self.port
    }

    /// The same address with another port.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self { ip: self.ip, port }
    }

    /// What limits count by: one IPv4 address, or one IPv6 /64, since a host owns all of a /64.
    pub(crate) fn prefix(self) -> Prefix {
        Prefix::of(self.ip)
    }

    /// Whether the peer runs on this host, or came through a proxy on it.
    pub const fn is_loopback(self) -> bool {
        self.ip.is_loopback()
    }
}

/// In one word where it is IPv4, as most are.
impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (port, ip) = (u64::from(self.port), self.ip);
        match ip {
            IpAddr::V4(ip) => state.write_u64(u64::from(ip.to_bits()) << 16 | port),
            IpAddr::V6(ip) => (ip.octets(), port).hash(state),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip(), addr.port())
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.ip, endpoint.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(out, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(out, "[{ip}]:{}", self.port),
        }
    }
}

/// Bits in front of IPv4 that is mapped into IPv6, `::ffff:0:0/96`.
const MAPPED_BITS: u8 = 96;

/// The one form of an address, wherever it comes from: `::ffff:a.b.c.d` is IPv4. The compatible
/// form `::a.b.c.d`, which RFC 4291 gave up, is not: no socket gives it, so it is only a stranger's
/// word, to look like somebody in the LAN or to get around a ban.
pub const fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The unit throttles count by: an IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    bits: u64,
    v6: bool,
}

/// In one word: no more than one other, of the other kind, has the same.
impl Hash for Prefix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.bits);
    }
}

impl Prefix {
    const NOWHERE: Self = Self { bits: 0x0100 << 48, v6: true };

    /// Whether one host may be at both: a name with addresses of both families leads it to either.
    #[cfg(feature = "accounts")]
    pub(crate) fn may_be_host_of(self, other: Self) -> bool {
        self == other || (self.v6 != other.v6 && ![self, other].contains(&Self::NOWHERE))
    }

    /// The prefix that `ip` belongs to.
    pub(crate) fn of(ip: IpAddr) -> Self {
        match canonical(ip) {
            IpAddr::V4(v4) => Self { bits: u64::from(v4.to_bits()), v6: false },
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self { bits: u64::from_be_bytes([a, b, c, d, e, f, g, h]), v6: true }
            }
        }
    }

    /// As it is kept: the same bytes for the same prefix.
    #[cfg(feature = "accounts")]
    pub(crate) fn to_bytes(self) -> [u8; 9] {
        let [a, b, c, d, e, f, g, h] = self.bits.to_le_bytes();
        [u8::from(self.v6), a, b, c, d, e, f, g, h]
    }

    /// The network that `ip` belongs to, see [`Self::network`].
    pub(crate) fn of_network(ip: IpAddr) -> Self {
        Self::of(ip).network()
    }

    /// The network it belongs to, as providers hand them out: an IPv4 /24 or an IPv6 /48.
    pub(crate) const fn network(self) -> Self {
        let Self { bits, v6 } = self;
        Self { bits: if v6 { bits & !0xffff } else { bits & !0xff }, v6 }
    }

    /// One of 256 classes, which have about as many networks each.
    pub(crate) fn class(self) -> usize {
        let [class, ..] = self.bits.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        class.into()
    }
}

/// A network such as `192.168.0.0/16` or `fd00::/8`. In order, one comes right before those that
/// lie in it, IPv4 before IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    v6: bool,
    /// Big-endian bytes of the number that is its lowest address: lists hold 65,536 of them.
    base: [u8; 16],
    bits: u8,
}

impl Network {
    /// Reads an address and the bits that count, all of them if none are told; None if it is
    /// anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().ok()?;
        let (mut whole, mut width, mut v6) = number(ip);
        let mut bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width)?,
            None => width,
        };
        // IPv4 that is mapped into IPv6 is IPv4 wherever it comes in.
        if let IpAddr::V6(ip) = ip
            && let Some(mapped) = ip.to_ipv4_mapped().filter(|_| bits >= MAPPED_BITS)
        {
            (whole, width, v6) = number(IpAddr::V4(mapped));
            bits -= MAPPED_BITS;
        }
        Some(Self { v6, base: cut(whole, width - bits).to_be_bytes(), bits })
    }

    /// The network around `ip` of which so many bits count; all of them if it has fewer.
    pub fn around(ip: IpAddr, bits: u8) -> Self {
        let (whole, width, v6) = number(canonical(ip));
        let bits = bits.min(width);
        Self { v6, base: cut(whole, width - bits).to_be_bytes(), bits }
    }

    /// The network of this address alone.
    pub(super) fn of_host(ip: IpAddr) -> Self {
        let (whole, bits, v6) = number(canonical(ip));
        Self { v6, base: whole.to_be_bytes(), bits }
    }

    /// Whether all of the other lies inside.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let width = if self.v6 { 128 } else { 32 };
        let base = cut(u128::from_be_bytes(other.base), width - self.bits);
        self.v6 == other.v6 && self.bits <= other.bits && base.to_be_bytes() == self.base
    }

    /// Whether `ip`, made canonical, lies inside.
    pub fn contains(self, ip: IpAddr) -> bool {
        self.includes(&Self::of_host(ip))
    }

    /// Whether it is one of IPv6.
    pub const fn is_v6(self) -> bool {
        self.v6
    }
}

/// An address, and the bits that count unless all do.
impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, width) = match u32::try_from(u128::from_be_bytes(self.base)) {
            Ok(base) if !self.v6 => (IpAddr::from(base.to_be_bytes()), 32),
            _ => (IpAddr::from(self.base), 128),
        };
        ip.fmt(out)?;
        if self.bits == width { Ok(()) } else { write!(out, "/{}", self.bits) }
    }
}

/// The address as a number, its width in bits, and whether it is IPv6.
fn number(ip: IpAddr) -> (u128, u8, bool) {
    match ip {
        IpAddr::V4(v4) => (v4.to_bits().into(), 32, false),
        IpAddr::V6(v6) => (v6.to_bits(), 128, true),
    }
}

/// Clears the lowest bits.
fn cut(number: u128, bits: u8) -> u128 {
    number.checked_shr(bits.into()).and_then(|high| high.checked_shl(bits.into())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_refuses_what_is_none() {
        for bad in ["", "1.2.3.4/33", "1.2.3/8", "::1/129", "1.2.3.4/-1", "a/b", "1.2.3.4/"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn network_contains_by_its_bits() {
        let net = Network::parse("192.168.7.9/16").unwrap();
        assert!(net.contains("192.168.1.1".parse().unwrap()));
        assert!(net.contains("::ffff:192.168.1.1".parse().unwrap()));
        assert!(!net.contains("192.169.1.1".parse().unwrap()));
        let inside =
            |net: &str, ip: &str| Network::parse(net).unwrap().contains(ip.parse().unwrap());
        assert!(inside("0.0.0.0/0", "8.8.8.8") && !inside("0.0.0.0/0", "::1"));
        assert!(inside("::/0", "2001:db8::1") && !inside("::/0", "8.8.8.8"));
        assert!(inside("fd00::/8", "fdff::1") && !inside("fd00::/8", "fe80::1"));
        assert!(inside("::ffff:10.0.0.1", "10.0.0.1") && inside("::ffff:10.0.0.0/104", "10.9.9.9"));
        assert!(!inside("::ffff:10.0.0.0/104", "11.0.0.1") && inside("::ffff:0:0/96", "8.8.8.8"));
        assert!(inside("10.0.0.1", "10.0.0.1") && !inside("10.0.0.1", "10.0.0.0"));
        assert!(!inside("10.0.0.0/8", "::10.0.0.1") && !inside("::10.0.0.1", "10.0.0.1"));
        assert!(inside("::10.0.0.1", "::10.0.0.1"));
    }

    #[test]
    fn prefix_is_a_host_in_ipv4_and_a_64_in_ipv6() {
        let of = |text: &str| Prefix::of(text.parse().unwrap());
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("::10.0.0.1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
    }

    #[test]
    fn a_network_is_a_24_or_a_48() {
        let of = |text: &str| Prefix::of(text.parse().unwrap()).network();
        assert_eq!(of("10.0.0.1"), of("10.0.0.255"));
        assert_ne!(of("10.0.0.1"), of("10.0.1.1"));
        assert_eq!(of("2001:db8:1::1"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
    }
}
