//! How fast relayed sessions may go: settings with upstream's names and units (protocol §7.3).
//! `relay/budget.rs` keeps them. C72.

/// Bytes a second in one Mb/s, as upstream counts it: 1024 · 1024 bits.
pub const MEGABIT: u64 = 1024 * 1024 / 8;

/// Rates in bytes a second; an operator's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// All sessions together.
    pub total: u64,
    /// One session, both directions summed.
    pub single: u64,
    /// One session of a blacklisted address, or downgraded.
    pub limited: u64,
    /// Of `single`, in hundredths: who uses more on average is downgraded.
    pub downgrade_threshold: u64,
    /// But not before it is this old.
    pub downgrade_after_ms: u64,
}

impl Default for Rates {
    /// Upstream's.
    fn default() -> Self {
        Self {
            total: 1024 * MEGABIT,
            single: 128 * MEGABIT,
            limited: 32 * MEGABIT,
            downgrade_threshold: 66,
            downgrade_after_ms: 1_800_000,
        }
    }
}
