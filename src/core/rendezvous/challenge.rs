//! Phones send their public key for a device id (protocol §2.3), and every initiator is given that
//! key: whoever claims such an id from another place shows nothing that a stranger could not. So
//! the place where the peer is gets asked for its key first, and keeps the id if anything comes
//! from there in time. C87, C88.

use crate::base::conn::Via;
use crate::base::counters::DropReason;
use crate::base::limits::CHALLENGE_MS;
use crate::base::peer::{PeerId, PeerKey};
use crate::base::time::Time;
use crate::wire::reply::{Registered, Reply};

use super::register::answer;
use super::registry::Contact;
use super::{Effects, RateLimit, Rendezvous, reply};

/// A claim that waits for the peer to speak up where it is.
pub(super) struct Challenge {
    /// Who says to be the peer.
    claim: Contact,
    /// The key it showed.
    key: PeerKey,
    /// Where the peer was asked.
    asked: Via,
    /// It spoke up there.
    answered: bool,
}

impl Rendezvous {
    /// Whether the key in a claim to a public device id leaves open whose it is: the peer is at
    /// another place, or was asked there a moment ago.
    pub(super) fn is_contested(&self, id: &PeerId, claim: &Contact) -> bool {
        let Some(peer) = self.registry.peer(id).filter(|peer| peer.is_public()) else {
            return false;
        };
        let asked = self.challenges.get(id).map(|challenge| challenge.asked);
        let here = self.present(claim.seen, id, peer).map(|here| here.via());
        asked.or(here).is_some_and(|place| place != claim.via())
    }

    /// Asks the peer, at the place it is at, for its key. One claim to an id waits at a time: while
    /// it does, others get no answer, so that a device asks again soon.
    pub(super) fn challenge(
        &mut self,
        claim: Contact,
        (id, key): (PeerId, PeerKey),
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let here = self.registry.peer(&id).and_then(|peer| self.present(claim.seen, &id, peer));
        let free = self.challenges.get(&id).is_none() && !self.challenges.is_full();
        let Some(here) = here.filter(|_| free) else {
            return match claim.via() {
                Via::Datagram(_) => Err(DropReason::TooFrequent),
                via @ Via::Stream(_) => {
                    self.too_frequent(claim.seen, via, RateLimit::Fixed, effects)
                }
            };
        };
        let challenge = Challenge { claim, key, asked: here.via(), answered: false };
        self.challenges.insert(id, challenge).map_err(|_| DropReason::Bug)?;
        reply(effects, here.via(), Reply::RegisterPeer { request_pk: true });
        Ok(())
    }

    /// Notes that the peer spoke up where it was asked; false if it was not asked there.
    pub(super) fn answers_challenge(&mut self, id: &PeerId, via: Via) -> bool {
        let challenge = self.challenges.get_mut(id).filter(|challenge| challenge.asked == via);
        challenge.map(|challenge| challenge.answered = true).is_some()
    }

    /// Notes that something came on a connection: if a peer that was asked is present on it, that
    /// is its answer.
    pub(super) fn heard_on(&mut self, via: Via) {
        let Via::Stream(conn) = via else { return };
        if self.challenges.is_empty() {
            return;
        }
        let registered = self.connections.get(&conn).and_then(|found| found.registered.clone());
        if let Some(id) = registered {
            self.answers_challenge(&id, via);
        }
    }

    /// When the oldest claim has waited long enough.
    pub(super) fn challenge_due(&self) -> Option<Time> {
        self.challenges.oldest().map(|(_, oldest)| oldest.claim.seen.after_ms(CHALLENGE_MS))
    }

    /// The oldest claim has waited: it counts, unless the peer spoke up, is another now, or is at a
    /// third place.
    pub(super) fn end_challenge(&mut self, now: Time, effects: &mut Effects) {
        let Some((id, challenge)) = self.challenges.pop_oldest() else { return };
        let Challenge { claim, key, asked, answered } = challenge;
        let Some(peer) = self.registry.peer(&id).filter(|peer| peer.key == key) else { return };
        let moved = peer.present(now).is_some_and(|here| here.via() != asked);
        let gone =
            self.source(claim.via()).is_err() || self.is_crowded(now, claim.via(), Some(&id));
        if answered || moved || gone {
            return;
        }
        answer(effects, claim.via(), Registered::Ok);
        self.arrive(&id, Contact { seen: now, ..claim }, effects);
    }
}
