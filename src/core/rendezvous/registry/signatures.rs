//! Signatures under the old one of two server keys, of the devices that somebody dials who has that
//! (C156). It must not know devices but by id and key.

use crate::base::peer::{PeerId, PeerKey};
use crate::base::table::{Seed, Table};
use crate::identity::Signature;

/// One for each device and the key it had, as many as there may be devices; the oldest gives way.
pub(super) struct OldSignatures(Table<PeerId, (PeerKey, Signature)>);

impl OldSignatures {
    /// None yet, and no memory for any; `seed` keys the table.
    pub(super) fn new(limit: usize, seed: Seed) -> Self {
        Self(Table::new(limit, seed))
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Whether there is one over this key.
    pub(super) fn has(&self, id: &PeerId, key: PeerKey) -> bool {
        self.0.get(id).is_some_and(|(signed, _)| *signed == key)
    }

    /// The one over this key, made if there is none.
    pub(super) fn or_make(
        &mut self,
        id: &PeerId,
        key: PeerKey,
        make: impl FnOnce() -> Signature,
    ) -> Signature {
        match self.0.get(id) {
            Some((signed, signature)) if *signed == key => *signature,
            _ => {
                let signature = make();
                self.0.insert_evicting(id.clone(), (key, signature));
                signature
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        while self.0.pop_oldest().is_some() {}
    }
}
