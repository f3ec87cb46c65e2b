//! What was dropped, refused and evicted, counted by reason: strangers' mistakes are counted, not
//! logged. board/manual.md words the reasons for operators.

/// Why a message or a connection of a peer went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DropReason {
    /// The bytes are no message we know (C06, C07).
    Malformed,
    /// A message or frame is longer than it may be (C04).
    Oversized,
    /// A message that has no business on this port or transport.
    Unexpected,
    /// A field the message cannot do without is empty (C12, C15).
    Incomplete,
    /// Its id or address is banned, or its address on the blocklist.
    Blocked,
    /// The access key is wrong (C39, C66).
    WrongKey,
    /// A relay request for a target that nobody passed the key check for (C59), or that names a
    /// relay nobody told while we have none to name (C85).
    NotGranted,
    /// An operator's rules deny it (C180).
    #[cfg(feature = "accounts")]
    Denied,
    /// An answer that nobody waits for, or from someone who was not asked (C47, C52).
    Unasked,
    /// A source or an id asks too often (C19, C20).
    TooFrequent,
    /// The table of peers is at its limit, or devices are present on as many connections as may be.
    TableFull,
    /// No connection gives way to this one, or this one gives way to another (C101).
    ConnectionsFull,
    /// As many legs wait at the relay as may, of this address or in all (C106).
    LegsFull,
    /// No session of the relay gives way to this one, or this one gives way to another (C106).
    SessionsFull,
    /// The server has as much to do as it takes on: key exchanges in a second, or changes waiting
    /// for the store.
    Busy,
    /// The peer does not read what it is sent.
    SlowReader,
    /// Nothing came for too long (C05, C66).
    Idle,
    /// The partner of a parked leg did not come (C67).
    Unpaired,
    /// The partner of a leg was refused for its key (C118).
    PartnerRefused,
    /// A send failed.
    SendFailed,
    /// The store could not keep a change.
    StoreFailed,
    /// What the store may write in a day is spent (C110).
    WritesSpent,
    /// All that messages may hold which are not whole, or which nobody took, is held (C107).
    MemoryFull,
    /// An operator ended it.
    Dismissed,
    /// An invariant of ours broke.
    Bug,
    /// The conversation is over, nothing is wrong.
    Done,
}

/// How many reasons there are; the last variant is `Done`.
pub const DROP_REASONS: usize = DropReason::Done as usize + 1;

impl DropReason {
    /// All reasons, in order.
    pub const ALL: [Self; DROP_REASONS] = [
        Self::Malformed,
        Self::Oversized,
        Self::Unexpected,
        Self::Incomplete,
        Self::Blocked,
        Self::WrongKey,
        Self::NotGranted,
        #[cfg(feature = "accounts")]
        Self::Denied,
        Self::Unasked,
        Self::TooFrequent,
        Self::TableFull,
        Self::ConnectionsFull,
        Self::LegsFull,
        Self::SessionsFull,
        Self::Busy,
        Self::SlowReader,
        Self::Idle,
        Self::Unpaired,
        Self::PartnerRefused,
        Self::SendFailed,
        Self::StoreFailed,
        Self::WritesSpent,
        Self::MemoryFull,
        Self::Dismissed,
        Self::Bug,
        Self::Done,
    ];

    /// The word for it in logs and in `ctl`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::Unexpected => "unexpected",
            Self::Incomplete => "incomplete",
            Self::Blocked => "blocked",
            Self::WrongKey => "wrong-key",
            Self::NotGranted => "not-granted",
            #[cfg(feature = "accounts")]
            Self::Denied => "denied",
            Self::Unasked => "unasked",
            Self::TooFrequent => "too-frequent",
            Self::TableFull => "table-full",
            Self::ConnectionsFull => "connections-full",
            Self::LegsFull => "legs-full",
            Self::SessionsFull => "sessions-full",
            Self::Busy => "busy",
            Self::SlowReader => "slow-reader",
            Self::Idle => "idle",
            Self::Unpaired => "unpaired",
            Self::PartnerRefused => "partner-refused",
            Self::SendFailed => "send-failed",
            Self::StoreFailed => "store-failed",
            Self::WritesSpent => "writes-spent",
            Self::MemoryFull => "memory-full",
            Self::Dismissed => "dismissed",
            Self::Bug => "bug",
            Self::Done => "done",
        }
    }

    /// What it says to an operator: `ctl status` and board/manual.md in the same words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Malformed => "no message of the protocol, or a sealed one that does not open",
            Self::Oversized => "longer than a message of its kind may be",
            Self::Unexpected => "a message that has no business on this port or transport",
            Self::Incomplete => "an id, device or token that the message needs is missing",
            Self::Blocked => "the id or address is banned, or on the blocklist",
            Self::WrongKey => "the client has another key than this server",
            Self::NotGranted => "a relay for a device that nobody dialled of late, or one not ours",
            #[cfg(feature = "accounts")]
            Self::Denied => "the rules deny it, or the path it needed",
            Self::Unasked => "an answer nobody waits for, or not of the device asked",
            Self::TooFrequent => "asked more often than it may; the client tries again",
            Self::TableFull => "no room for more devices: --max-peers, --max-connections",
            Self::ConnectionsFull => {
                "no place for it, or its place went to another: --max-connections"
            }
            Self::LegsFull => "too many wait at the relay, of one address or in all",
            Self::SessionsFull => {
                "no room for its session, or that went to another: --max-sessions"
            }
            Self::Busy => "too many key exchanges, or changes that wait for the disk",
            Self::SlowReader => "a client does not read what it is sent",
            Self::Idle => "nothing came for too long",
            Self::Unpaired => "the other end did not come to the relay",
            Self::PartnerRefused => "the other end came to the relay with another key",
            Self::SendFailed => "the kernel refused to send",
            Self::StoreFailed => "the disk refused a change",
            Self::WritesSpent => "--writes-per-day is spent; the client tries again",
            Self::MemoryFull => "no memory for half-read messages; the client tries again",
            Self::Dismissed => "an operator ended it",
            Self::Bug => "an error in hbb: please report it",
            Self::Done => "a conversation that ended as it should",
        }
    }

    /// Whether somebody was sent away whom more room or the right key would have let in: worth a
    /// warning.
    pub const fn is_refusal(self) -> bool {
        let full = matches!(self, Self::ConnectionsFull | Self::LegsFull | Self::SessionsFull);
        full || matches!(self, Self::WrongKey | Self::TooFrequent | Self::Busy | Self::MemoryFull)
    }
}

/// A count for every reason; counts stay at their end instead of wrapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters([u64; DROP_REASONS]);

impl Counters {
    /// One more for `reason`.
    pub fn count(&mut self, reason: DropReason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How often `reason` was counted.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_own_index() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
