//! Who a peer is: its id, its device, its key, and the record that survives a restart.

use core::fmt;
use heapless::{String, Vec};

use super::limits::{DEVICE_ID_BYTES_MAX, PEER_ID_BYTES_MAX, RELAY_TOKEN_BYTES_MAX};

/// A peer's id as people dial it: 1 to 48 bytes of UTF-8 without blanks or control characters,
/// so that it can stand in a log line and in a file of lines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(String<PEER_ID_BYTES_MAX, u8>);

impl PeerId {
    /// Checks and copies `text`; None if it is empty, too long or unprintable.
    pub fn new(text: &str) -> Option<Self> {
        let printable = |c: char| !c.is_whitespace() && !c.is_control();
        if text.is_empty() || !text.chars().all(printable) {
            return None;
        }
        String::try_from(text).ok().map(Self)
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a device proves itself by when it registers again: opaque, 1 to 64 bytes, not public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceId(Vec<u8, DEVICE_ID_BYTES_MAX, u8>);

impl DeviceId {
    /// Copies `bytes`; None if there are none or too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        Vec::from_slice(bytes).ok().map(Self)
    }

    /// The bytes as the device sent them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// A device's Ed25519 public key, exactly as it registered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerKey(pub [u8; 32]);

impl PeerKey {
    /// Copies `bytes`; None unless there are 32.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// The text two relay legs are paired by: 1 to 64 bytes, a UUID in today's clients. Never logged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayToken(String<RELAY_TOKEN_BYTES_MAX, u8>);

impl RelayToken {
    /// Copies `text`; None if it is empty or too long.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        String::try_from(text).ok().map(Self)
    }
}

/// What is stored of a peer: its identity, never its presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The id it is dialled by.
    pub id: PeerId,
    /// What it must show to change anything here.
    pub device: DeviceId,
    /// The key handed, signed, to those who dial it.
    pub key: PeerKey,
    /// Unix time of the first registration, in seconds; 0 if the clock was not set.
    pub first_seen_secs: u64,
}

/// One change of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Insert or replace the record of this id.
    Put(Record),
    /// Forget this id.
    Remove(PeerId),
    /// Move a record to a new id in one step: the old id is gone when the new one is there.
    Rename {
        /// The id given up.
        from: PeerId,
        /// The record under its new id.
        to: Record,
    },
}

impl Change {
    /// The id that is gone first, and the record that is here then.
    pub const fn gone_and_here(&self) -> (Option<&PeerId>, Option<&Record>) {
        match self {
            Self::Put(record) => (None, Some(record)),
            Self::Remove(id) => (Some(id), None),
            Self::Rename { from, to } => (Some(from), Some(to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_refuses_empty_long_and_unprintable() {
        assert!(PeerId::new("").is_none());
        assert!(PeerId::new(&"x".repeat(PEER_ID_BYTES_MAX + 1)).is_none());
        for bad in ["a b", "a\nb", "a\u{0}b", "\u{7f}", "a\u{a0}b"] {
            assert!(PeerId::new(bad).is_none(), "{bad:?}");
        }
        assert!(PeerId::new(&"x".repeat(PEER_ID_BYTES_MAX)).is_some());
    }

    #[test]
    fn device_refuses_empty_and_long() {
        assert!(DeviceId::new(&[]).is_none());
        assert!(DeviceId::new(&[0; DEVICE_ID_BYTES_MAX + 1]).is_none());
    }
}
