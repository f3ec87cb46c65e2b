//! Who is here and who is known, and what may be said to those who get no place: new ids for which
//! there is no room, claims that are to come again, and mismatches.

use hbb_core::base::conn::Via;
use hbb_core::base::limits::{ONLINE_MS, PUNCH_MS};
use hbb_core::base::peer::{PeerId, Record};

use super::Ledger;
use crate::cause::{Cause, Kind};
use crate::kept::Acked;

impl Ledger {
    /// A new id is refused for want of room: then nobody may be forgotten.
    pub(super) fn has_no_room(&self, cause: &Cause) {
        let (Kind::RegisterPk(_), Some(Via::Datagram(_))) = (&cause.kind, cause.via) else {
            return;
        };
        for id in self.acked.keys().filter(|_| !self.made_room) {
            let busy = self.saves.values().any(|save| save.is_about(id));
            assert!(busy || self.is_near(id), "{id} could make room");
        }
    }

    /// Only another device, or another key, makes a client throw its id away.
    pub(super) fn mismatches(&self, cause: &Cause) {
        // An id that is too short is nobody's (C16).
        let Kind::RegisterPk(claim) = &cause.kind else { return };
        let acked = self.acked.get(&claim.id).expect("a mismatch with nobody");
        let other = acked.device != claim.device || acked.key != claim.key;
        assert!(other, "{} is no mismatch", claim.id);
    }

    /// A claim that is to come again: one of those for an id that nobody has can be dialled.
    pub(super) fn postpones(&mut self, cause: &Cause) {
        let (claim, via) = match &cause.kind {
            Kind::RegisterPk(claim) => (claim.clone(), cause.via),
            // The store was to do no more today.
            Kind::Saved(ticket) => {
                let Some(save) = self.saves.remove(&ticket.0) else { return };
                (save.record, Some(save.here.via))
            }
            _ => return,
        };
        if let Some(Via::Datagram(from)) = via
            && !self.acked.contains_key(&claim.id)
        {
            self.postponed.note(&claim.id, claim.key, (from, self.now));
            self.proven.insert(from);
        }
    }

    /// Whether an id that nobody has may be dialled for what was claimed of it.
    pub(crate) fn may_be_dialled(&self, id: &PeerId) -> bool {
        !self.acked.contains_key(id) && self.postponed.contains(id) && !self.policy.private
    }

    /// Whether a peer is here, or was too short a while ago to make room for another.
    pub(super) fn is_near(&self, id: &PeerId) -> bool {
        let seen = self.presence.get(id).map_or(0, |here| here.seen);
        let seen = seen.max(self.changed.get(id).copied().unwrap_or(0));
        let away = self.forget_after_ms.is_some_and(|absent| self.now - seen >= absent);
        self.is_present(id) || !away
    }

    /// What an operator let in is durable; the device is not here by that.
    pub(crate) fn comes_to_be_known(&mut self, record: Record) {
        let Record { id, device, key, .. } = record;
        self.changed.insert(id.clone(), self.now);
        self.acked.insert(id, Acked { device, key });
    }

    /// Initiators that may still be answered.
    pub(crate) fn asking(&self) -> usize {
        self.asks.values().filter(|ask| self.now - ask.asked <= PUNCH_MS).count()
    }

    /// When the peer that was seen last goes offline, on the machine's clock.
    pub(crate) fn next_offline(&self) -> Option<u64> {
        self.presence.values().map(|here| here.seen + ONLINE_MS).max()
    }

    /// Whether the model says that `id` is present.
    pub(crate) fn is_present(&self, id: &PeerId) -> bool {
        self.presence.get(id).is_some_and(|here| match here.via {
            Via::Datagram(_) => self.now - here.seen < ONLINE_MS,
            Via::Stream(_) => !here.left,
        })
    }
}
