//! Which of two server keys a device has: RegisterPk tells none, so it shows when the device comes
//! to our own relay for a session that we arranged (C157). It must not know the relay.

use crate::base::address::Prefix;
use crate::base::limits::MEETINGS_MAX;
use crate::base::peer::{PeerId, RelayToken};
use crate::base::table::{Seed, Table};

/// A session that two peers are about to have at a relay.
struct Meeting {
    target: PeerId,
    initiator: Prefix,
}

/// Sessions of late by the hash of their tokens, [`MEETINGS_MAX`] at most.
pub(in crate::rendezvous) struct Meetings {
    seed: Seed,
    held: Table<u64, Meeting>,
}

impl Meetings {
    /// None yet; `seed` keys the table and hashes.
    pub(in crate::rendezvous) fn new(seed: Seed) -> Self {
        Self { seed, held: Table::new(MEETINGS_MAX, seed) }
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(in crate::rendezvous) fn bytes(&self) -> usize {
        self.held.bytes()
    }

    /// An initiator there and a target will bring this token.
    pub(super) fn add(&mut self, token: &RelayToken, initiator: Prefix, target: PeerId) {
        self.held.insert_evicting(self.seed.hash(token), Meeting { target, initiator });
    }

    /// The target that will bring this token, if it can be told from its initiator at `from`.
    pub(in crate::rendezvous) fn target(
        &self,
        token: &RelayToken,
        from: Prefix,
    ) -> Option<&PeerId> {
        let meeting = self.held.get(&self.seed.hash(token))?;
        (meeting.initiator != from).then_some(&meeting.target)
    }
}
