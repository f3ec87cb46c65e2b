//! What an initiator has shown and was told for a target: that it holds the access key, and the
//! relay of the session to come. C59, C85, C86, C125.

use alloc::boxed::Box;

use static_assertions::const_assert;

use crate::base::address::Prefix;
use crate::base::limits::{
    GRANT_MS, GRANTS_MAX, GRANTS_OF_STRANGERS, GRANTS_PER_NETWORK, GRANTS_PER_SOURCE,
    RELAY_NAME_BYTES_MAX,
};
use crate::base::peer::PeerId;
use crate::base::table::{Chains, Seed, Table};
use crate::base::time::Time;

use super::askers::Asker;

const_assert!(GRANTS_MAX < u16::MAX as usize);

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

/// The places of the grants of the sources and of the networks in each class, and of strangers: as
/// each punch asks, whose share it counts for is found without a walk through all.
struct Classes {
    sources: Chains,
    networks: Chains,
    strangers: Chains,
}

/// Whether a grant, of this source, counts for a share.
type Fits<'a> = &'a dyn Fn(Prefix, &Grant) -> bool;

const CLASSES: usize = 256;
/// The one class of strangers.
const STRANGERS: usize = 0;

impl Classes {
    /// Each that a grant counts for, and its class there.
    fn of(&mut self, source: Prefix, grant: &Grant) -> impl Iterator<Item = (&mut Chains, usize)> {
        let Self { sources, networks, strangers } = self;
        let stranger = (!grant.known).then_some((strangers, STRANGERS));
        let of_all = [(sources, source.class()), (networks, grant.network.class())];
        of_all.into_iter().chain(stranger)
    }
}

/// Grants for a source and a target, [`GRANTS_MAX`] at most. Each source and network has a share,
/// and so have all that are not known: who is above it loses the oldest of its own (C86).
pub(in crate::rendezvous) struct Grants {
    held: Table<(Prefix, PeerId), Grant>,
    classes: Classes,
}

impl Grants {
    pub(in crate::rendezvous) fn new(seed: Seed) -> Self {
        let [sources, networks, strangers] = [CLASSES, CLASSES, 1].map(Chains::new);
        let classes = Classes { sources, networks, strangers };
        Self { held: Table::new(GRANTS_MAX, seed), classes }
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(in crate::rendezvous) fn bytes(&self) -> usize {
        let Classes { sources, networks, strangers } = &self.classes;
        [self.held.bytes(), sources.bytes(), networks.bytes(), strangers.bytes()].iter().sum()
    }

    pub(in crate::rendezvous) fn len(&self) -> usize {
        self.held.len()
    }

    /// A source passed the key check for a target. The relay it was told before stays good.
    pub(super) fn give(&mut self, now: Time, asker: Asker, target: PeerId) {
        let outlived = |grant: &Grant| now.since_ms(grant.at) >= GRANT_MS;
        while let Some(oldest) = self.held.oldest_place()
            && self.held.at(oldest).is_some_and(|(_, grant)| outlived(grant))
        {
            self.remove(oldest);
        }
        let key = (asker.source, target);
        let relay = match self.held.place(&key) {
            Some(place) => self.remove(place).and_then(|grant| grant.relay),
            None => {
                self.make_room(asker);
                None
            }
        };
        let Asker { source, network, known, .. } = asker;
        let grant = Grant { at: now, relay, network, known };
        // There is room: one was removed if all were held.
        if let Ok(place) = self.held.insert_at(key, grant)
            && let Some((_, grant)) = self.held.at(place)
        {
            self.classes.of(source, grant).for_each(|(chains, class)| chains.join(class, place));
        }
    }

    fn remove(&mut self, place: u32) -> Option<Grant> {
        let ((source, _), grant) = self.held.remove_at(place)?;
        self.classes.of(source, &grant).for_each(|(chains, class)| chains.leave(class, place));
        Some(grant)
    }

    /// Takes away one grant if whoever asks holds its share, or all are held.
    fn make_room(&mut self, asker: Asker) {
        let Asker { source, network, known, .. } = asker;
        let Self { held, classes: Classes { sources, networks, strangers } } = self;
        let share = |limit: usize, (chains, class): (&Chains, usize), fits: Fits| {
            // All of its class are at least all of its own.
            if chains.held(class) < limit {
                return None;
            }
            let fits = |place: &u32| held.at(*place).is_some_and(|(of, grant)| fits(of.0, grant));
            let mut own = chains.places(class).filter(fits);
            let oldest = own.next()?;
            (own.count() + 1 >= limit).then_some(oldest)
        };
        let of_source = || {
            let fits = |of, _: &Grant| of == source;
            share(GRANTS_PER_SOURCE, (sources, source.class()), &fits)
        };
        let of_network = || {
            let fits = |_, grant: &Grant| grant.network == network;
            share(GRANTS_PER_NETWORK, (networks, network.class()), &fits)
        };
        let many_strangers = strangers.held(STRANGERS) >= GRANTS_OF_STRANGERS;
        let too_many_strangers = if known { held.is_full() } else { many_strangers };
        let of_strangers = || strangers.places(STRANGERS).next().filter(|_| too_many_strangers);
        let of_all = || held.oldest_place().filter(|_| held.is_full());
        if let Some(gone) = of_source().or_else(of_network).or_else(of_strangers).or_else(of_all) {
            self.remove(gone);
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
        let mut of_class = self.classes.sources.places(source.class());
        of_class.any(|place| {
            self.held.at(place).is_some_and(|((of, _), grant)| *of == source && fresh(grant))
        })
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
    fn classes_hold_what_is_held_the_oldest_first() {
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
        let held: Vec<_> = grants.held.iter().collect();
        assert!(held.len() > 1_000, "{}", held.len());
        let places_of = |fits: &dyn Fn(Prefix, &Grant) -> bool| -> Vec<u32> {
            let own = held.iter().filter(|((source, _), grant)| fits(*source, grant));
            own.map(|(key, _)| grants.held.place(key).unwrap()).collect()
        };
        let Classes { sources, networks, strangers } = &grants.classes;
        for class in 0..CLASSES {
            let own = places_of(&|source, _| source.class() == class);
            assert_eq!(sources.places(class).collect::<Vec<_>>(), own);
            let own = places_of(&|_, grant| grant.network.class() == class);
            assert_eq!(networks.places(class).collect::<Vec<_>>(), own);
        }
        let own = places_of(&|_, grant| !grant.known);
        assert_eq!(strangers.places(STRANGERS).collect::<Vec<_>>(), own);
    }
}
