//! Approval: with `--private` a device that is not stored yet waits for an operator. What is stored
//! is approved, so that nothing else need be kept; who waits is in memory alone, and asks again by
//! itself every 30 s. C185-C187.

mod deploy;
mod invites;
mod waiting;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::base::address::Endpoint;
use crate::base::conn::{SaveOutcome, SaveRank};
use crate::base::counters::DropReason;
use crate::base::peer::{Change, PeerId, Record};
use crate::base::time::Time;
use crate::wire::reply::Registered;

use super::register::{PendingSave, answer};
use super::registry::Contact;
use super::{Effect, Effects, Event, Rendezvous, push};

pub use deploy::{Deployed, Deployment, Invited};
pub(super) use invites::Invites;
use waiting::Waiter;
pub(super) use waiting::Waiting;

/// A device that waits, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRow {
    /// The id it asks for.
    pub id: PeerId,
    /// Where it asked last.
    pub from: Endpoint,
    /// That is no forgery: a connection came from there.
    pub proved: bool,
    /// For how many seconds it has waited.
    pub waiting_secs: u64,
    /// Seconds since it last asked.
    pub seen_secs: u64,
}

/// What became of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// It is on its way to disk; `PeerApproved` or `SaveFailed` follows.
    Saving,
    /// Nobody waits for that id, or nobody at that address.
    Unknown,
    /// Several devices wait for it: an address must tell which.
    Several,
    /// The table of peers is full.
    Full,
    /// The store is at work on the id, or on as much as it takes on.
    Busy,
}

impl Rendezvous {
    /// A device that is not stored asks to be. It is told to wait, and listed as far as the shares
    /// of newcomers reach (C185).
    pub(super) fn wait_for_approval(
        &mut self,
        (contact, proved): (Contact, bool),
        record: Record,
        effects: &mut Effects,
    ) {
        let (Contact { from, seen: now, .. }, via) = (contact, contact.via());
        answer(effects, via, Registered::NotDeployed);
        if self.waiting.again(now, &record, from) {
            return;
        }
        let may_join = match proved {
            true => self.newcomers.may_join(now, from, self.limits.newcomers_per_source),
            false => self.newcomers.may_join_unproved(now),
        };
        if !may_join {
            return self.counters.count(DropReason::TooFrequent);
        }
        let id = record.id.clone();
        self.waiting.add(Waiter { record, from, proved, since: now, seen: now });
        push(effects, Effect::Report(Event::PeerWaiting { id, from, proved }));
    }

    /// Who waits, the longest silent first; at most `WAITING_MAX`.
    pub fn waiting(&self, now: Time) -> Vec<WaitingRow> {
        let mut rows = Vec::new();
        for waiter in self.waiting.iter() {
            rows.push(WaitingRow {
                id: waiter.record.id.clone(),
                from: waiter.from,
                proved: waiter.proved,
                waiting_secs: now.since_ms(waiter.since) / 1000,
                seen_secs: now.since_ms(waiter.seen) / 1000,
            });
        }
        rows
    }

    /// An operator approves the device that waits for an id, at an address if several do; what was
    /// there before, and is installed anew, has another port (C186).
    pub fn approve(
        &mut self,
        id: &PeerId,
        at: Option<Endpoint>,
        effects: &mut Effects,
    ) -> Approval {
        // By a change of its id another device may have it by now.
        if self.registry.peer(id).is_some() {
            self.waiting.remove(id);
        }
        // It may have come from another port since the operator looked.
        let there = self.only(id, &|from| at == Some(from));
        let there =
            there.or_else(|_| self.only(id, &|from| at.is_none_or(|at| at.ip() == from.ip())));
        match there {
            Ok(record) => self.store_approved(record, effects),
            Err(approval) => approval,
        }
    }

    /// The one device that waits for an id at such a place.
    fn only(&self, id: &PeerId, fits: &dyn Fn(Endpoint) -> bool) -> Result<Record, Approval> {
        let mut found = self.waiting.iter().filter(|it| it.record.id == *id && fits(it.from));
        match (found.next(), found.next()) {
            (Some(waiter), None) => Ok(waiter.record.clone()),
            (None, _) => Err(Approval::Unknown),
            _ => Err(Approval::Several),
        }
    }

    /// Makes a device one that is known: first on disk, then here.
    fn store_approved(&mut self, record: Record, effects: &mut Effects) -> Approval {
        if self.registry.is_full_with(self.saving.len()) {
            return Approval::Full;
        }
        if self.saving.get(&record.id).is_some() || !self.can_save() {
            return Approval::Busy;
        }
        let ticket = self.next_ticket();
        // `can_save` says that there is room.
        let _ = self.saving.insert(record.id.clone(), ());
        let _ = self.pending.insert(ticket, PendingSave::Approval(Box::new(record.clone())));
        let (change, rank) = (Box::new(Change::Put(record)), SaveRank::Operator);
        push(effects, Effect::Save { ticket, change, rank });
        Approval::Saving
    }

    /// An approval is durable, or failed. The device asks again and is known then.
    pub(super) fn approved(&mut self, record: Record, outcome: SaveOutcome, effects: &mut Effects) {
        let id = record.id.clone();
        self.saving.remove(&id);
        if outcome != SaveOutcome::Durable || self.registry.put(record, None).is_err() {
            self.counters.count(DropReason::StoreFailed);
            return push(effects, Effect::Report(Event::SaveFailed { id }));
        }
        self.registry.kept.release(&id);
        self.waiting.remove(&id);
        push(effects, Effect::Report(Event::PeerApproved { id }));
    }
}
