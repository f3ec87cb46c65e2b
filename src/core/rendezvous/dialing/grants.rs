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
    /// Where the target was then; None if it was gone.
    pub(super) target: Option<Prefix>,
}

/// How many grants are held of the sources and of the networks in each class, and of strangers: as
/// each punch asks, a share is counted one by one only where it may be held.
struct Classes {
    sources: [u16; CLASSES],
    networks: [u16; CLASSES],
    strangers: u16,
}

const CLASSES: usize = 256;

impl Classes {
    /// One grant more, or one less.
    fn count(&mut self, source: Prefix, grant: &Grant, by: i16) {
        let source = self.sources.get_mut(source.class());
        let network = self.networks.get_mut(grant.network.class());
        let stranger = (!grant.known).then_some(&mut self.strangers);
        for held in [source, network, stranger].into_iter().flatten() {
            *held = held.saturating_add_signed(by);
        }
    }
}

/// Whether as many are held in its class: at least all that are its own.
fn may_hold(classes: &[u16; CLASSES], prefix: Prefix, many: usize) -> bool {
    classes.get(prefix.class()).is_some_and(|held| usize::from(*held) >= many)
}

/// Grants for a source and a target, [`GRANTS_MAX`] at most. Each source and network has a share,
/// and so have all that are not known: who is above it loses the oldest of its own (C86).
pub(in crate::rendezvous) struct Grants {
    held: Table<(Prefix, PeerId), Grant>,
    classes: Classes,
}

impl Grants {
    pub(in crate::rendezvous) fn new(seed: Seed) -> Self {
        let none = [0; CLASSES];
        let classes = Classes { sources: none, networks: none, strangers: 0 };
        Self { held: Table::new(GRANTS_MAX, seed), classes }
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(in crate::rendezvous) fn bytes(&self) -> usize {
        self.held.bytes()
    }

    pub(in crate::rendezvous) fn len(&self) -> usize {
        self.held.len()
    }

    /// A source passed the key check for a target. The relay it was told before stays good.
    pub(super) fn give(&mut self, now: Time, asker: Asker, target: PeerId) {
        while let Some(key) = self.oldest(|grant| now.since_ms(grant.at) >= GRANT_MS) {
            self.remove(&key);
        }
        let key = (asker.source, target);
        let relay = match self.remove(&key) {
            Some(grant) => grant.relay,
            None => {
                self.make_room(asker);
                None
            }
        };
        let Asker { source, network, known, .. } = asker;
        let grant = Grant { at: now, relay, network, known };
        self.classes.count(source, &grant, 1);
        self.held.insert_evicting(key, grant);
    }

    fn remove(&mut self, key: &(Prefix, PeerId)) -> Option<Grant> {
        let grant = self.held.remove(key)?;
        self.classes.count(key.0, &grant, -1);
        Some(grant)
    }

    /// The oldest, if that is so of it.
    fn oldest(&self, is: impl Fn(&Grant) -> bool) -> Option<(Prefix, PeerId)> {
        self.held.oldest().filter(|(_, grant)| is(grant)).map(|(key, _)| key.clone())
    }

    /// Takes away one grant if whoever asks holds its share, or all are held.
    fn make_room(&mut self, asker: Asker) {
        let Asker { source, network, .. } = asker;
        let Self { held, classes } = self;
        let share = |limit: usize, fits: &dyn Fn(Prefix, &Grant) -> bool| {
            let mut own = held.iter().filter(|((source, _), grant)| fits(*source, grant));
            let (oldest, _) = own.next()?;
            (own.count() + 1 >= limit).then(|| oldest.clone())
        };
        let full = held.is_full();
        let too_many_strangers = match (asker.known, full) {
            (false, _) => usize::from(classes.strangers) >= GRANTS_OF_STRANGERS,
            (true, full) => full,
        };
        let mut gone = None;
        if may_hold(&classes.sources, source, GRANTS_PER_SOURCE) {
            gone = share(GRANTS_PER_SOURCE, &|of, _| of == source);
        }
        if gone.is_none() && may_hold(&classes.networks, network, GRANTS_PER_NETWORK) {
            gone = share(GRANTS_PER_NETWORK, &|_, grant| grant.network == network);
        }
        if gone.is_none() && too_many_strangers {
            let mut strangers = held.iter().filter(|(_, grant)| !grant.known);
            gone = strangers.next().map(|(key, _)| key.clone());
        }
        if gone.is_none() && full {
            gone = self.oldest(|_| true);
        }
        if let Some(gone) = gone {
            self.remove(&gone);
        }
    }

    /// A source was told this relay for a target; one too long to be a name is not kept.
    pub(super) fn tell(&mut self, source: Prefix, target: &PeerId, relay: Told) {
        let fits = |name: &str| (1..=RELAY_NAME_BYTES_MAX).contains(&name.len());
        let fit = fits(&relay.told) && fits(&relay.chosen);
        if let Some(grant) = self.held.get_mut(&(source, target.clone())).filter(|_| fit) {
            grant.relay = Some(relay);
        }
    }

    /// Whether the source passed the key check for the target a short while ago.
    pub(super) fn holds(&self, now: Time, source: Prefix, target: &PeerId) -> bool {
        self.fresh(now, source, target).is_some()
    }

    /// Whether the source passed the key check for anybody a short while ago.
    pub(in crate::rendezvous) fn any_of(&self, now: Time, source: Prefix) -> bool {
        let fresh = |grant: &Grant| now.since_ms(grant.at) < GRANT_MS;
        may_hold(&self.classes.sources, source, 1)
            && self.held.iter().any(|((of, _), grant)| *of == source && fresh(grant))
    }

    /// Whether anybody passed the key check for the target a short while ago: a client that has two
    /// addresses shows the key from one and asks from the other (C59).
    pub(super) fn any_for(&self, now: Time, target: &PeerId) -> bool {
        self.all_for(now, target).next().is_some()
    }

    /// The relay of the target's last session of a short while ago.
    pub(super) fn relay_of_any(&self, now: Time, target: &PeerId) -> Option<&Told> {
        self.all_for(now, target).filter_map(|grant| grant.relay.as_ref()).last()
    }

    /// The fresh grants for a target, whoever has them, the newest last.
    fn all_for(&self, now: Time, target: &PeerId) -> impl Iterator<Item = &Grant> {
        let fits =
            move |id: &PeerId, grant: &Grant| id == target && now.since_ms(grant.at) < GRANT_MS;
        self.held.iter().filter_map(move |((_, id), grant)| fits(id, grant).then_some(grant))
    }

    /// The relay that the source was told for the target a short while ago.
    pub(super) fn relay(&self, now: Time, source: Prefix, target: &PeerId) -> Option<&Told> {
        self.fresh(now, source, target)?.relay.as_ref()
    }

    fn fresh(&self, now: Time, source: Prefix, target: &PeerId) -> Option<&Grant> {
        let grant = self.held.get(&(source, target.clone()))?;
        (now.since_ms(grant.at) < GRANT_MS).then_some(grant)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;
    use core::net::IpAddr;

    use super::*;

    #[test]
    fn classes_count_what_is_held() {
        let mut grants = Grants::new(Seed(1, 2));
        let mut random = 7_u32;
        let mut below = |most: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % most
        };
        for turn in 0..20_000_u64 {
            let ip = IpAddr::from(((below(40) << 8) | below(12)).to_be_bytes());
            let (source, network) = (Prefix::of(ip), Prefix::of_network(ip));
            let asker = Asker { source, known: below(3) > 0, network, granted: true };
            let target = PeerId::new(&format!("{}", 100_000_000 + below(200))).unwrap();
            grants.give(Time::START.after_ms(turn * 90), asker, target);
            assert!(grants.len() <= GRANTS_MAX);
        }
        let mut counted = Classes { sources: [0; CLASSES], networks: [0; CLASSES], strangers: 0 };
        let held: Vec<_> = grants.held.iter().collect();
        assert!(held.len() > 1_000, "{}", held.len());
        for ((source, _), grant) in held {
            counted.count(*source, grant, 1);
        }
        let all = |classes: &Classes| (classes.sources, classes.networks, classes.strangers);
        assert_eq!(all(&counted), all(&grants.classes));
        assert!(may_hold(&grants.classes.networks, Prefix::of_network([0, 0, 1, 0].into()), 1));
    }
}
