//! Who is let in, who is put off, and who makes room: ids that nobody has, and connections that are
//! to be kept. C32, C96, C97, C99, C116, C122.

use alloc::boxed::Box;

use core::net::IpAddr;

use crate::base::address::Endpoint;
use crate::base::conn::{SaveRank, Via};
use crate::base::counters::DropReason;
use crate::base::limits::{NEWCOMERS_PENDING_MAX, UNPROVED_PENDING_MAX};
use crate::base::peer::{Change, PeerId, Record};
use crate::base::time::Time;
use crate::wire::reply::Registered;
use crate::wire::request::Registration;

use super::newcomers::is_settled;
use super::register::{PendingRegistration, RecordChange, answer};
use super::registry::Contact;
use super::{Effect, Effects, Event, RateLimit, Rendezvous, push};

impl Rendezvous {
    /// A claim to what is being stored: its answer is on its way, and the client asks again if that
    /// gets lost. A connection that got no answer to this one would be closed.
    pub(super) fn claim_again(
        &mut self,
        now: Time,
        via: Via,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Via::Stream(_) = via else { return Err(DropReason::Unexpected) };
        self.refuse(now, via, DropReason::Unexpected, effects);
        answer(effects, via, Registered::TooFrequent);
        Ok(())
    }

    /// A connection from there was complete, and never opened (C96).
    pub fn proved(&mut self, now: Time, ip: IpAddr) {
        self.newcomers.connected(now, Endpoint::new(ip, 0));
    }

    /// Whether a claim in a datagram is to a new id or of a new key, and a connection from there
    /// would be worth something to it (C96).
    pub fn lacks_proof(&self, now: Time, from: Endpoint, claim: &Registration) -> bool {
        let (Some(id), Some(device), Some(key)) =
            (claim.id.value(), claim.device.value(), claim.key.value())
        else {
            return false;
        };
        let pays = match self.registry.peer(id) {
            Some(peer) => peer.device == *device && peer.key != *key,
            None => id.is_well_formed(),
        };
        pays && !self.newcomers.has_ids(now, from)
    }

    pub(super) fn is_a_day_old(&self, now: Time, id: &PeerId) -> bool {
        let peer = self.registry.peer(id);
        peer.is_some_and(|peer| is_settled(peer.first_seen_secs, self.unix_secs(now)))
    }

    /// Whether peers are present on so many connections that no more may be kept: a quarter stays
    /// free, half of it for those who only ask and half for devices a day old (C116).
    pub(super) fn is_crowded(&self, now: Time, via: Via, known: Option<&PeerId>) -> bool {
        let Via::Stream(conn) = via else { return false };
        let settled = known.is_some_and(|id| self.is_a_day_old(now, id));
        let eighths = if settled { 7 } else { 6 };
        let kept =
            self.connections.get(&conn).is_some_and(|connection| connection.registered.is_some());
        !kept && self.registered_connections >= self.limits.connections * eighths / 8
    }

    /// Registers a device whose id nobody has; `entitled` if an operator keeps it for this one.
    pub(super) fn register_unknown(
        &mut self,
        (contact, proved): (Contact, bool),
        entitled: bool,
        claim: Record,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        #[cfg(feature = "accounts")]
        if self.policy.private {
            self.wait_for_approval((contact, proved), claim, effects);
            return Ok(());
        }
        match proved {
            _ if entitled => self.register_new(contact, (claim, SaveRank::Known), effects),
            true => self.register_new(contact, (claim, SaveRank::Proved), effects),
            false => self.register_unproved(contact, claim, effects),
        }
    }

    /// A new id of a proved source, or one of `Known` rank that is the device's to have.
    pub(super) fn register_new(
        &mut self,
        contact: Contact,
        (record, rank): (Record, SaveRank),
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let (Contact { from, seen: now, .. }, via) = (contact, contact.via());
        if rank != SaveRank::Known {
            if self.saving.len() >= NEWCOMERS_PENDING_MAX {
                return Err(DropReason::Busy);
            }
            if !self.newcomers.may_join(now, from, self.limits.newcomers_per_source) {
                return self.too_frequent(now, via, RateLimit::Newcomers, effects);
            }
        }
        if self.registry.is_full_with(self.saving.len()) {
            self.forget_one(now, effects);
        }
        // Nobody could be forgotten, or the limit was lowered and is exceeded by more than one.
        if self.registry.is_full_with(self.saving.len()) {
            self.counters.count(DropReason::TableFull);
            push(effects, Effect::Report(Event::PeersFull { limit: self.limits.peers }));
            answer(effects, via, Registered::ServerError);
            return Ok(());
        }
        let rank = if rank == SaveRank::Proved { self.newcomers.rank(now, from) } else { rank };
        let change = RecordChange::Added;
        self.save(PendingRegistration { record, contact, change }, rank, effects)
    }

    /// A new id of which UDP alone tells where it comes from. A few are stored; the others can be
    /// dialled, and are told to ask again (C97).
    pub(super) fn register_unproved(
        &mut self,
        contact: Contact,
        record: Record,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let waiting = self.saving.len();
        if waiting < UNPROVED_PENDING_MAX
            && self.registry.has_room_for_unproved(waiting)
            && self.newcomers.may_join_unproved(contact.seen)
        {
            let (change, rank) = (RecordChange::Added, SaveRank::Stranger);
            return self.save(PendingRegistration { record, contact, change }, rank, effects);
        }
        self.registry.put_provisional(record, contact);
        self.too_frequent(contact.seen, contact.via(), RateLimit::Unproved, effects)
    }

    /// Makes room by forgetting the peer that has been away longest, if that is as long as the
    /// operator said.
    fn forget_one(&mut self, now: Time, effects: &mut Effects) {
        let Some(absent_ms) = self.limits.forget_after_ms() else { return };
        let Self { registry, saving, .. } = self;
        let busy = |id: &PeerId| saving.get(id).is_some();
        let Some(gone) = registry.forget_absent(now, absent_ms, busy) else { return };
        let ticket = self.next_ticket();
        // Before the new one and any return of the old one.
        let (change, rank) = (Box::new(Change::Remove(gone.clone())), SaveRank::Known);
        push(effects, Effect::Save { ticket, change, rank });
        push(effects, Effect::Report(Event::PeerForgotten { id: gone }));
    }
}
