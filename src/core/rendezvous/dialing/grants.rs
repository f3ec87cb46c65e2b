//! What an initiator has shown and was told for a target: that it holds the access key, and the
//! relay of the session to come. C59, C85, C86, C125.

use alloc::boxed::Box;

use crate::base::address::Prefix;
use crate::base::limits::{
    GRANT_MS, GRANTS_MAX, GRANTS_OF_STRANGERS, GRANTS_PER_NETWORK, GRANTS_PER_SOURCE,
    RELAY_NAME_BYTES_MAX,
};
use crate::base::peer::PeerId;
use crate::base::table::{Seed, Table};
use crate::base::time::Time;

use super::askers::Asker;

struct Grant {
    /// When it last passed the key check.
    at: Time,
    /// The relay it was told.
    relay: Option<Told>,
    network: Prefix,
    /// Whether a device of ours was where it came from.
    known: bool,
}

/// The relay of one session.
#[derive(Clone)]
pub(super) struct Told {
    /// What its initiator was told.
    pub(super) told: Box<str>,
    /// What its target calls the same one: in another network it may have another address (C125).
    pub(super) chosen: Box<str>,
}

/// Grants for a source and a target, [`GRANTS_MAX`] at most. Each source and network has a share,
/// and so have all that are not known: who is above it loses the oldest of its own (C86).
pub(in crate::rendezvous) struct Grants(Table<(Prefix, PeerId), Grant>);

impl Grants {
    pub(in crate::rendezvous) fn new(seed: Seed) -> Self {
        Self(Table::new(GRANTS_MAX, seed))
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(in crate::rendezvous) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    pub(in crate::rendezvous) fn len(&self) -> usize {
        self.0.len()
    }

    /// A source passed the key check for a target. The relay it was told before stays good.
    pub(super) fn give(&mut self, now: Time, asker: Asker, target: PeerId) {
        let stale = |at: Time| now.since_ms(at) >= GRANT_MS;
        while self.0.oldest().is_some_and(|(_, grant)| stale(grant.at)) {
            self.0.pop_oldest();
        }
        let key = (asker.source, target);
        let relay = match self.0.get_mut(&key) {
            Some(grant) => grant.relay.take(),
            None => {
                self.make_room(asker);
                None
            }
        };
        let Asker { network, known, .. } = asker;
        self.0.insert_evicting(key, Grant { at: now, relay, network, known });
    }

    /// Takes away one grant if whoever asks holds its share, or all are held.
    fn make_room(&mut self, asker: Asker) {
        if self.0.len() < GRANTS_PER_SOURCE {
            return;
        }
        let share = |limit: usize, fits: &dyn Fn(Prefix, &Grant) -> bool| {
            let mut held = self.0.iter().filter(|((source, _), grant)| fits(*source, grant));
            let (oldest, _) = held.next()?;
            (held.count() + 1 >= limit).then(|| oldest.clone())
        };
        let of_strangers = match (asker.known, self.0.is_full()) {
            (false, _) => GRANTS_OF_STRANGERS,
            (true, true) => 1,
            (true, false) => usize::MAX,
        };
        let gone = share(GRANTS_PER_SOURCE, &|source, _| source == asker.source)
            .or_else(|| share(GRANTS_PER_NETWORK, &|_, grant| grant.network == asker.network))
            .or_else(|| share(of_strangers, &|_, grant| !grant.known));
        if let Some(gone) = gone {
            self.0.remove(&gone);
        }
    }

    /// A source was told this relay for a target; one too long to be a name is not kept.
    pub(super) fn tell(&mut self, source: Prefix, target: &PeerId, relay: Told) {
        let fits = |name: &str| (1..=RELAY_NAME_BYTES_MAX).contains(&name.len());
        let fit = fits(&relay.told) && fits(&relay.chosen);
        if let Some(grant) = self.0.get_mut(&(source, target.clone())).filter(|_| fit) {
            grant.relay = Some(relay);
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

    /// Whether anybody passed the key check for the target a short while ago: a client that has two
    /// addresses shows the key from one and asks from the other (C59).
    pub(super) fn any_for(&self, now: Time, target: &PeerId) -> bool {
        self.all_for(now, target).next().is_some()
    }

    /// The relay of the target's last session of a short while ago, as the target named it.
    pub(super) fn relay_of_any(&self, now: Time, target: &PeerId) -> Option<&str> {
        self.all_for(now, target)
            .filter_map(|grant| grant.relay.as_ref())
            .last()
            .map(|it| &*it.chosen)
    }

    /// The fresh grants for a target, whoever has them, the newest last.
    fn all_for(&self, now: Time, target: &PeerId) -> impl Iterator<Item = &Grant> {
        let fits =
            move |id: &PeerId, grant: &Grant| id == target && now.since_ms(grant.at) < GRANT_MS;
        self.0.iter().filter_map(move |((_, id), grant)| fits(id, grant).then_some(grant))
    }

    /// The relay that the source was told for the target a short while ago.
    pub(super) fn relay(&self, now: Time, source: Prefix, target: &PeerId) -> Option<&Told> {
        self.fresh(now, source, target)?.relay.as_ref()
    }

    fn fresh(&self, now: Time, source: Prefix, target: &PeerId) -> Option<&Grant> {
        let grant = self.0.get(&(source, target.clone()))?;
        (now.since_ms(grant.at) < GRANT_MS).then_some(grant)
    }
}
