//! What an initiator has shown and was told for a target: that it holds the access key, and the
//! relay of the session to come. C59, C85.

use alloc::boxed::Box;

use crate::base::address::Prefix;
use crate::base::limits::{GRANT_MS, GRANTS_MAX, RELAY_NAME_BYTES_MAX};
use crate::base::peer::PeerId;
use crate::base::table::{Seed, Table};
use crate::base::time::Time;

struct Grant {
    /// When it last passed the key check.
    at: Time,
    /// The relay it was told.
    relay: Option<Box<str>>,
}

/// Grants for a source and a target, [`GRANTS_MAX`] at most, the oldest out first.
pub(in crate::rendezvous) struct Grants(Table<(Prefix, PeerId), Grant>);

impl Grants {
    pub(in crate::rendezvous) fn new(seed: Seed) -> Self {
        Self(Table::new(GRANTS_MAX, seed))
    }

    pub(in crate::rendezvous) fn len(&self) -> usize {
        self.0.len()
    }

    /// A source passed the key check for a target. The relay it was told before stays good.
    pub(super) fn give(&mut self, now: Time, source: Prefix, target: PeerId) {
        let key = (source, target);
        let relay = self.0.get_mut(&key).and_then(|grant| grant.relay.take());
        self.0.insert_evicting(key, Grant { at: now, relay });
    }

    /// A source was told this relay for a target; one too long to be a name is not kept.
    pub(super) fn tell(&mut self, source: Prefix, target: &PeerId, relay: &str) {
        let fits = (1..=RELAY_NAME_BYTES_MAX).contains(&relay.len());
        if let Some(grant) = self.0.get_mut(&(source, target.clone())).filter(|_| fits) {
            grant.relay = Some(relay.into());
        }
    }

    /// Whether the source passed the key check for the target a short while ago.
    pub(super) fn holds(&self, now: Time, source: Prefix, target: &PeerId) -> bool {
        self.fresh(now, source, target).is_some()
    }

    /// Whether the source passed the key check for anybody a short while ago.
    pub(in crate::rendezvous) fn any_of(&self, now: Time, source: Prefix) -> bool {
        self.0.iter().any(|((of, _), grant)| *of == source && now.since_ms(grant.at) < GRANT_MS)
    }

    /// The relay that the source was told for the target a short while ago.
    pub(super) fn relay(&self, now: Time, source: Prefix, target: &PeerId) -> Option<&str> {
        self.fresh(now, source, target)?.relay.as_deref()
    }

    fn fresh(&self, now: Time, source: Prefix, target: &PeerId) -> Option<&Grant> {
        let grant = self.0.get(&(source, target.clone()))?;
        (now.since_ms(grant.at) < GRANT_MS).then_some(grant)
    }
}
