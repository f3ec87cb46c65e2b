//! The ids of peers that an operator had forgotten. Each is kept for its device a day, in which
//! nobody else may have it, unless the operator gives it to another. It must not know who is
//! registered. C91, C92.

use crate::base::limits::{GIVEN_MS, KEPT_MAX, KEPT_MS};
use crate::base::peer::{DeviceId, PeerId, PeerKey, Record};
use crate::base::table::{Seed, Table};
use crate::base::time::Time;

/// Whose an id was.
pub(in crate::rendezvous) struct Kept {
    device: DeviceId,
    key: PeerKey,
    /// When it was forgotten; the start, if that was before.
    since: Time,
    /// If it was before the start, when: Unix time in seconds; 0 if nobody knows.
    earlier_secs: u64,
    /// Before this moment another device may have it, and its own may not.
    given_until: Time,
}

impl Kept {
    /// It is forgotten now.
    pub(in crate::rendezvous) const fn now(now: Time, device: DeviceId, key: PeerKey) -> Self {
        Self { device, key, since: now, earlier_secs: 0, given_until: Time::START }
    }

    /// It was forgotten before this start, at `secs` in Unix time.
    pub(in crate::rendezvous) const fn earlier(secs: u64, device: DeviceId, key: PeerKey) -> Self {
        let (since, given_until) = (Time::START, Time::START);
        Self { device, key, since, earlier_secs: secs, given_until }
    }

    /// A wall clock that jumps touches only what was forgotten before this start.
    fn is_over(&self, at: Moment) -> bool {
        let over_at = self.earlier_secs.saturating_add(KEPT_MS / 1000);
        at.now.since_ms(self.since) >= KEPT_MS || (self.earlier_secs > 0 && at.unix_secs >= over_at)
    }
}

/// Now, by both clocks.
#[derive(Clone, Copy)]
pub(in crate::rendezvous) struct Moment {
    pub(in crate::rendezvous) now: Time,
    /// Unix time in seconds, 0 while the clock is not set.
    pub(in crate::rendezvous) unix_secs: u64,
}

/// What a claim to an id that nobody has is worth here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rendezvous) enum Right {
    /// It is kept for nobody.
    Open,
    /// It is kept for this device, or was given to another, and this one proved its address.
    Entitled,
    /// It is kept for another.
    Foreign,
}

/// Kept ids, at most [`KEPT_MAX`]; one more lets go of the one forgotten longest ago.
pub(in crate::rendezvous) struct KeptIds(Table<PeerId, Kept>);

impl KeptIds {
    pub(super) fn new(seed: Seed) -> Self {
        Self(Table::new(KEPT_MAX, seed))
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    pub(in crate::rendezvous) fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps an id; gives back one that is kept no more.
    pub(in crate::rendezvous) fn keep(&mut self, id: PeerId, kept: Kept) -> Option<PeerId> {
        let gone = self.0.evicted_by(&id).cloned();
        self.0.insert_evicting(id, kept);
        gone
    }

    /// Gives an id to the next that asks for it within [`GIVEN_MS`] and is not its device; false
    /// if it is not kept.
    pub(in crate::rendezvous) fn give(&mut self, at: Moment, id: &PeerId) -> bool {
        let kept = self.0.get_mut(id).filter(|kept| !kept.is_over(at));
        kept.map(|kept| kept.given_until = at.now.after_ms(GIVEN_MS)).is_some()
    }

    /// What `claim` is worth; `proved` tells if its address is.
    pub(in crate::rendezvous) fn right(
        &self,
        at: Moment,
        claim: &Record,
        proved: impl FnOnce() -> bool,
    ) -> Right {
        let Some(kept) = self.0.get(&claim.id).filter(|kept| !kept.is_over(at)) else {
            return Right::Open;
        };
        let own = kept.device == claim.device && kept.key == claim.key;
        let given = at.now < kept.given_until;
        match (given, own) {
            (false, true) => Right::Entitled,
            // The old device, should it still run, must not be faster than the new one.
            (true, false) if proved() => Right::Entitled,
            _ => Right::Foreign,
        }
    }

    /// An id is registered again.
    pub(in crate::rendezvous) fn release(&mut self, id: &PeerId) {
        self.0.remove(id);
    }

    /// Ids whose day is over.
    pub(in crate::rendezvous) fn over(&self, at: Moment) -> impl Iterator<Item = &PeerId> {
        self.0.iter().filter(move |(_, kept)| kept.is_over(at)).map(|(id, _)| id)
    }
}
