//! A device changes its id (protocol §4.1.4). Knowing the device id is enough for that, so that
//! attempts are counted like registrations. C33, C81, C88.

use crate::base::counters::DropReason;
use crate::base::limits::{CHOSEN_ID_CHARS_MAX, CHOSEN_ID_CHARS_MIN};
use crate::base::peer::{PeerId, Record, RecordState};
use crate::wire::reply::Registered;
use crate::wire::request::{Given, Registration};

use super::newcomers::{Changer, is_settled};
use super::register::{PendingRegistration, RecordChange, answer};
use super::registry::Contact;
use super::registry::kept::Right;
use super::{Effects, RateLimit, Rendezvous};

impl Rendezvous {
    /// Moves the record of `request.old_id` to `request.id`.
    pub(super) fn change_id(
        &mut self,
        contact: Contact,
        request: Registration,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let (Contact { from, seen: now, .. }, via) = (contact, contact.via());
        let limit = self.limits.registrations_per_source;
        if !self.newcomers.may_ask(now, from, true, limit) {
            return self.too_frequent(now, via, RateLimit::Registrations, effects);
        }
        let banned = |id: &Given<PeerId>| id.value().is_some_and(|id| self.policy.bans.has_id(id));
        if banned(&request.id) || banned(&request.old_id) {
            return Err(DropReason::Blocked);
        }
        let Given::Value(device) = request.device else { return Err(DropReason::Incomplete) };
        let id = match request.id {
            Given::Value(id) if is_chosen(&id) => id,
            Given::Value(_) | Given::Nothing | Given::Unusable => {
                answer(effects, via, Registered::InvalidIdFormat);
                return Ok(());
            }
        };
        let old = request.old_id.value().and_then(|old| Some((old, self.registry.peer(old)?)));
        let Some((old, peer)) = old.filter(|(_, peer)| peer.device == device) else {
            // A mismatch makes a client throw its id away: only C16 to C18 are one.
            answer(effects, via, Registered::ServerError);
            return Ok(());
        };
        // What anybody knows is good only at the address where the peer is.
        let here = |at: Contact| at.from.prefix() == from.prefix();
        if peer.is_public() && !peer.present(now).is_some_and(here) {
            answer(effects, via, Registered::ServerError);
            return Ok(());
        }
        if self.registry.peer(&id).is_some_and(|other| other.device != device) {
            answer(effects, via, Registered::IdExists);
            return Ok(());
        }
        if self.saving.get(&id).is_some() || self.saving.get(old).is_some() {
            return self.too_frequent(now, via, RateLimit::Fixed, effects);
        }
        let first_seen_secs = peer.first_seen_secs;
        let settled = is_settled(first_seen_secs, self.unix_secs(now));
        let changer = Changer { from, proved: true, settled };
        if !self.newcomers.may_change(now, changer) {
            return self.too_frequent(now, via, RateLimit::Fixed, effects);
        }
        let state = RecordState::Registered(peer.last_ip());
        let record = Record { id, device, key: peer.key, first_seen_secs, state };
        if self.right(&record, &contact) == Right::Foreign {
            answer(effects, via, Registered::IdExists);
            return Ok(());
        }
        let change = RecordChange::Renamed(old.clone());
        let rank = self.newcomers.change_rank(now, changer);
        self.save(PendingRegistration { record, contact, change }, rank, effects)
    }
}

/// The client's rule for chosen ids, narrower than that for all: an ASCII letter, then letters and
/// digits of any script, `_` and `-`; 6 to 16 characters in all.
fn is_chosen(id: &PeerId) -> bool {
    let text = id.as_str();
    (CHOSEN_ID_CHARS_MIN..=CHOSEN_ID_CHARS_MAX).contains(&text.chars().count())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.contains('.')
        && id.is_well_formed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ids_follow_the_clients_rule() {
        for bad in ["ab", "1bad12", "abcde", "a234567890123456x", "abc.def", "äbcdef", "-abcdef"] {
            assert!(!is_chosen(&PeerId::new(bad).unwrap()), "{bad}");
        }
        for good in ["abcdef", "newname1", "a_b-c4", "aßçdéf", "ae\u{301}cdef", "a234567890123456"]
        {
            assert!(is_chosen(&PeerId::new(good).unwrap()), "{good}");
        }
    }
}
