//! Bytes to values and back: framing, messages, mangled addresses, patched pass-through.
//! Behind this folder there are no raw strings, no mapped addresses, no "empty means absent".

#[cfg(not(feature = "testing"))]
pub(crate) mod addr;
#[cfg(feature = "testing")]
pub mod addr;
pub mod convert;
pub mod frame;
pub mod handshake;
#[cfg(feature = "accounts")]
pub mod http;
pub mod message;
#[cfg(not(feature = "testing"))]
mod patch;
#[cfg(feature = "testing")]
pub mod patch;
pub mod proxied;
pub mod reply;
pub mod request;
pub mod websocket;

use core::fmt;

use static_assertions::const_assert;

/// Why bytes are no message of ours. Always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Not decodable, or nothing we know inside (C06, C07).
    Malformed,
    /// Announces more than the cap (C04).
    Oversized,
}

const_assert!(size_of::<WireError>() <= 4);

impl fmt::Display for WireError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Malformed => "not a message of this protocol",
            Self::Oversized => "longer than allowed",
        })
    }
}

/// A peer's opinion of its NAT. Values beyond the known ones pass through unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatType(pub i32);

impl NatType {
    /// On the wire this always means "do not try, use the relay".
    pub(crate) const SYMMETRIC: Self = Self(2);
}

/// What a session is for; decides how long it may be idle (C69).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnType {
    /// Screen, files, camera, terminal: always some traffic.
    Interactive,
    /// Port forward or RDP: may be quiet for long, and turns to raw bytes after login.
    Tunnel,
}

/// An IPv6 socket as the wire spells it: 16 address bytes and a little-endian port. Only copied.
pub type SocketV6 = [u8; 18];
