//! Who a peer is: its id, its device, its key, and the record that survives a restart.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;

use heapless::{String, Vec};

use super::limits::{
    DEVICE_ID_BYTES_MAX, PEER_ID_BYTES_MAX, PEER_ID_BYTES_MIN, RELAY_TOKEN_BYTES_MAX,
};
#[cfg(feature = "accounts")]
use super::rows::RowChange;
use super::text::{Quoted, is_letter, reads_as_ipv4};

/// A peer's id as people dial it: 1 to 48 bytes of UTF-8 without blanks or control characters,
/// so that it can stand in a file of lines. Which of them may register anew is
/// [`PeerId::is_well_formed`]; earlier versions stored others, and those are served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerId(String<PEER_ID_BYTES_MAX, u8>);

impl PeerId {
    /// Checks and copies `text`, which may be a stored id's; None if it is empty, too long, or
    /// holds blanks or control characters.
    pub fn new(text: &str) -> Option<Self> {
        let printable = |c: char| !c.is_whitespace() && !c.is_control();
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || !plain && !text.chars().all(printable) {
            return None;
        }
        String::try_from(text).ok().map(Self)
    }

    /// Whether nobody can take it for anything but an id, so that it may register: 6 to 48 bytes
    /// of letters and digits of any script, `-`, `_` and `.`, the first a letter or digit; and it
    /// reads as no address (C81).
    pub fn is_well_formed(&self) -> bool {
        let text = self.as_str();
        text.len() >= PEER_ID_BYTES_MIN
            && text.starts_with(char::is_alphanumeric)
            && (text.bytes().all(is_plain) || text.chars().all(|c| is_letter(c) || is_between(c)))
            && !reads_as_ipv4(text)
    }

    /// The id's text, without quotes.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// An id is a key by itself or the last part of one, so its end needs no mark: a call less for each
/// look-up.
impl Hash for PeerId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_str().as_bytes());
    }
}

/// As one word of a line for people: quoted unless it is well-formed.
impl fmt::Display for PeerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_well_formed() {
            true => out.write_str(self.as_str()),
            false => Quoted(self.as_str()).fmt(out),
        }
    }
}

/// Whether `byte` may stand in an id by itself, as all of most ids do: quicker than asking
/// [`is_letter`].
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_between(byte as char)
}

const fn is_between(c: char) -> bool {
    matches!(c, '-' | '_' | '.')
}

/// What a device proves itself by when it registers again: opaque, 1 to 64 bytes; no secret where
/// it is the device's public key (C87).
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

/// What is stored of a peer: its identity, never its presence; or of an id that an operator had
/// forgotten.
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
    /// Whether it is registered.
    pub state: RecordState,
}

/// Whether a record's device is registered under its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// It is. With it the address it was at when the record was last written, not always its last
    /// one; None in records of versions that stored none.
    Registered(Option<IpAddr>),
    /// An operator had it forgotten at this Unix time, in seconds, 0 if the clock was not set: its
    /// id is kept for it a while (C91).
    Forgotten(u64),
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
    /// Rows of no device.
    #[cfg(feature = "accounts")]
    Rows(alloc::vec::Vec<RowChange>),
}

impl Change {
    /// The id that is gone first, and the record that is here then.
    pub const fn gone_and_here(&self) -> (Option<&PeerId>, Option<&Record>) {
        match self {
            Self::Put(record) => (None, Some(record)),
            Self::Remove(id) => (Some(id), None),
            Self::Rename { from, to } => (Some(from), Some(to)),
            #[cfg(feature = "accounts")]
            Self::Rows(_) => (None, None),
        }
    }

    /// The rows of no device that it changes, in this order.
    #[cfg(feature = "accounts")]
    pub fn rows(&self) -> &[RowChange] {
        match self {
            Self::Rows(rows) => rows,
            _ => &[],
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
    fn well_formed_ids_are_names_and_read_as_nothing_else() {
        let is_well_formed = |text: &str| PeerId::new(text).is_some_and(|id| id.is_well_formed());
        for bad in [
            "12345",
            "<img/src=\"x\"/onerror=alert(1)>",
            "$(reboot)",
            "--help",
            "-123456",
            ".hidden",
            "../../etc",
            "a/b/c/d",
            "ab\u{202e}cdef",
            "abc\u{200d}def",
            "\u{308}abcdef",
            "\u{3164}\u{3164}\u{3164}",
            "10.0.0.1",
            "10.0.0",
            "1234567.",
            "127.0.0.0x1",
            "0x7f000001",
            "0X7F.1",
            "017700000001",
            "１０.0.0.1",
            "٠.١.٢.٣",
            "𝟏𝟎.𝟎.𝟎.𝟏",
            "⒈⒈⒈⒈",
            "０ｘ７ｆ０",
            "٠١٧٧",
            "::1:2:3",
            "fd00::1",
            "name=value",
            "peer'1234",
            "#12345678",
            &"x".repeat(49),
        ] {
            assert!(!is_well_formed(bad), "{bad:?}");
        }
        for good in [
            "123456",
            "123456789",
            "1234567890",
            "4294967296",
            "0987654321",
            "0x7f-name",
            "0xcafe.org",
            "١٢٣٤٥٦٧٨٩",
            "host-name.example",
            "Büro_1",
            "bu\u{308}ro-1",
            "क्षमा",
            "10.0.0.1a",
            "1-2-3.",
            "東京",
            &"x".repeat(48),
        ] {
            assert!(is_well_formed(good), "{good:?}");
        }
    }

    #[test]
    fn an_id_that_is_not_well_formed_is_shown_in_quotes() {
        use alloc::string::ToString as _;
        let shown = |text| PeerId::new(text).unwrap().to_string();
        assert_eq!(shown("123456789"), "123456789");
        assert_eq!(shown("x\u{202e}from=1"), r#""x\u{202e}from\u{3d}1""#);
    }

    #[test]
    fn device_refuses_empty_and_long() {
        assert!(DeviceId::new(&[]).is_none());
        assert!(DeviceId::new(&[0; DEVICE_ID_BYTES_MAX + 1]).is_none());
    }
}
