//! Devices that are in two places in turn: clones, with one id, device and key, each of which takes
//! the place of the other at its next sign of life. It must not know messages. C120.

use alloc::vec::Vec;

use crate::base::address::Endpoint;
use crate::base::limits::{FLAP_MOVES, FLAP_MS, FLAP_TOLD_MS, FLAPS_MAX};
use crate::base::peer::PeerId;
use crate::base::time::Time;

use super::super::registry::Contact;
use super::Event;

/// Peers that moved of late while they were present, [`FLAPS_MAX`] at most.
#[derive(Default)]
pub(in crate::rendezvous) struct Flaps(Vec<Flap>);

struct Flap {
    id: PeerId,
    /// Where it was before, and where it is.
    places: [Endpoint; 2],
    moved: Time,
    /// Moves in a row, none of them longer than [`FLAP_MS`] behind the one before.
    moves: u8,
    told: Option<Time>,
}

impl Flap {
    fn is_fresh(&self, now: Time) -> bool {
        now.since_ms(self.moved) < FLAP_MS
    }
}

impl Flaps {
    pub(in crate::rendezvous) const fn len(&self) -> usize {
        self.0.len()
    }

    /// A peer showed its key at another place than the one where it is present. What is to be
    /// reported, at most once in [`FLAP_TOLD_MS`] for each. Another port of the same address may be
    /// its NAT's doing, but not the one it had before; nor does a client leave a connection that
    /// lives for another again and again.
    pub(in crate::rendezvous) fn moved(
        &mut self,
        now: Time,
        id: &PeerId,
        contacts: [&Contact; 2],
    ) -> Option<Event> {
        let connected = contacts.iter().all(|contact| contact.conn.is_some());
        let places = contacts.map(|contact| contact.from);
        let [from, to] = places;
        let at = self.0.iter().position(|flap| flap.id == *id).unwrap_or_else(|| {
            let new = Flap { id: id.clone(), places, moved: now, moves: 0, told: None };
            self.place(now, new)
        });
        let flap = self.0.get_mut(at)?;
        let back = flap.places.first() == Some(&to);
        if !flap.is_fresh(now) {
            flap.moves = 0;
        }
        flap.moves = flap.moves.saturating_add(u8::from(back || connected || from.ip() != to.ip()));
        (flap.places, flap.moved) = (places, now);
        let told = flap.told.is_some_and(|told| now.since_ms(told) < FLAP_TOLD_MS);
        if flap.moves < FLAP_MOVES || told {
            return None;
        }
        flap.told = Some(now);
        Some(Event::PeerFlaps { id: id.clone(), places })
    }

    /// Puts an entry where there is room, or in the place of the one that says least.
    fn place(&mut self, now: Time, new: Flap) -> usize {
        if self.0.len() < FLAPS_MAX {
            self.0.push(new);
            return self.0.len() - 1;
        }
        let said = |flap: &Flap| (flap.is_fresh(now), flap.moves, flap.moved);
        let least = self.0.iter_mut().enumerate().min_by_key(|(_, flap)| said(flap));
        least.map_or(0, |(at, flap)| {
            *flap = new;
            at
        })
    }

    /// The other place of a peer that is in two of them in turn.
    pub(in crate::rendezvous) fn other_place(&self, now: Time, id: &PeerId) -> Option<Endpoint> {
        let flaps = |flap: &&Flap| flap.id == *id && flap.moves >= FLAP_MOVES && flap.is_fresh(now);
        self.0.iter().find(flaps).and_then(|flap| flap.places.first().copied())
    }
}
