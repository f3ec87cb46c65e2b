//! What an operator asks of the owner of the rendezvous, and what it answers.

use hbb_core::base::counters::Counters;
use hbb_core::base::peer::PeerId;
use hbb_core::rendezvous::{Occupancy, Wanted};

/// A question.
pub enum Ask {
    /// How much there is to do.
    Load,
    /// Who is registered, some of them at a time.
    Peers(Wanted),
    /// Forget a peer.
    Forget(PeerId),
}

/// How much the rendezvous has to do.
#[derive(Clone, Debug)]
pub struct Load {
    /// Of its tables.
    pub occupancy: Occupancy,
    /// Peers that are here.
    pub online: usize,
    /// Commits, changes in them, failed commits.
    pub store: (u64, u64, u64),
    /// What was dropped.
    pub dropped: [Counters; 2],
}

/// What became of a peer that was to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It is, on disk too.
    Durably,
    /// There is none.
    Unknown,
    /// The store did not do it, or is at work on it.
    Failed,
}
