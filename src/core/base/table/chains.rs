//! Who is alike: places of a table threaded into chains, one for each class, the oldest first. So
//! the few of one class are found without a walk through all, and how many others there are costs
//! nothing. It knows neither keys nor values; whoever takes or frees a place tells it.

use alloc::vec;
use alloc::vec::Vec;

/// No place.
const NONE: u16 = u16::MAX;

#[derive(Clone, Copy)]
struct Chain {
    oldest: u16,
    newest: u16,
    held: u16,
}

#[derive(Clone, Copy)]
struct Link {
    older: u16,
    newer: u16,
}

/// Chains of the places of one table, which has fewer than 65,535; a place is in one at most.
pub struct Chains {
    chains: Vec<Chain>,
    /// Of each place up to the highest that was ever in a chain.
    links: Vec<Link>,
}

impl Chains {
    /// So many chains, all of them empty.
    pub fn new(classes: usize) -> Self {
        let empty = Chain { oldest: NONE, newest: NONE, held: 0 };
        Self { chains: vec![empty; classes], links: Vec::new() }
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub fn bytes(&self) -> usize {
        let chains = self.chains.capacity().saturating_mul(size_of::<Chain>());
        self.links.capacity().saturating_mul(size_of::<Link>()).saturating_add(chains)
    }

    /// How many places are in a chain; of one that there is not, none.
    pub fn held(&self, class: usize) -> usize {
        self.chains.get(class).map_or(0, |chain| chain.held.into())
    }

    /// The places of a chain, the oldest first.
    pub fn places(&self, class: usize) -> impl Iterator<Item = u32> {
        let mut at = self.chains.get(class).map_or(NONE, |chain| chain.oldest);
        core::iter::from_fn(move || {
            let link = self.links.get(usize::from(at))?;
            Some(u32::from(core::mem::replace(&mut at, link.newer)))
        })
    }

    /// Puts a place that is in no chain into one, as its newest.
    pub fn join(&mut self, class: usize, place: u32) {
        let Some(chain) = self.chains.get_mut(class) else { return };
        let Some(at) = u16::try_from(place).ok().filter(|at| *at != NONE) else { return };
        let index = usize::from(at);
        if self.links.len() <= index {
            self.links.resize(index + 1, Link { older: NONE, newer: NONE });
        }
        let older = core::mem::replace(&mut chain.newest, at);
        chain.held += 1;
        match self.links.get_mut(usize::from(older)) {
            Some(link) => link.newer = at,
            None => chain.oldest = at,
        }
        if let Some(link) = self.links.get_mut(index) {
            *link = Link { older, newer: NONE };
        }
    }

    /// Takes a place out of the chain that it is in.
    pub fn leave(&mut self, class: usize, place: u32) {
        let Some(chain) = self.chains.get_mut(class) else { return };
        let Some(Link { older, newer }) = self.links.get(place as usize).copied() else { return };
        chain.held -= 1;
        match self.links.get_mut(usize::from(older)) {
            Some(link) => link.newer = newer,
            None => chain.oldest = newer,
        }
        match self.links.get_mut(usize::from(newer)) {
            Some(link) => link.older = older,
            None => chain.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_holds_its_own_oldest_first_whoever_leaves() {
        let mut chains = Chains::new(3);
        let mut held: [Vec<u32>; 3] = Default::default();
        let mut random = 7_u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (class, place) = ((random >> 8) as usize % 3, (random >> 16) % 40);
            match held.iter_mut().enumerate().find(|(_, places)| places.contains(&place)) {
                Some((class, places)) => {
                    places.retain(|other| *other != place);
                    chains.leave(class, place);
                }
                None => {
                    chains.join(class, place);
                    held[class].push(place);
                }
            }
            for (class, places) in held.iter().enumerate() {
                assert_eq!(chains.places(class).collect::<Vec<_>>(), *places);
                assert_eq!(chains.held(class), places.len());
            }
        }
        assert_eq!((chains.held(3), chains.places(3).next()), (0, None));
    }
}
