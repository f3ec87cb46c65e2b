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
    /// An answer that nobody waits for, or from someone who was not asked (C47, C52).
    Unasked,
    /// A source or an id asks too often (C19, C20).
    TooFrequent,
    /// A table is at its limit.
    TableFull,
    /// The server has as much to do as it takes on: key exchanges in a second, or changes waiting
    /// for the store.
    Busy,
    /// The peer does not read what it is sent.
    SlowReader,
    /// Nothing came for too long (C05, C66).
    Idle,
    /// The partner of a parked leg did not come (C67).
    Unpaired,
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
        Self::Unasked,
        Self::TooFrequent,
        Self::TableFull,
        Self::Busy,
        Self::SlowReader,
        Self::Idle,
        Self::Unpaired,
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
            Self::Unasked => "unasked",
            Self::TooFrequent => "too-frequent",
            Self::TableFull => "table-full",
            Self::Busy => "busy",
            Self::SlowReader => "slow-reader",
            Self::Idle => "idle",
            Self::Unpaired => "unpaired",
            Self::SendFailed => "send-failed",
            Self::StoreFailed => "store-failed",
            Self::WritesSpent => "writes-spent",
            Self::MemoryFull => "memory-full",
            Self::Dismissed => "dismissed",
            Self::Bug => "bug",
            Self::Done => "done",
        }
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
