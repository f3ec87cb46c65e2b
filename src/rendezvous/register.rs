//! Registration (protocol §4.1): RegisterPeer keeps a peer present, RegisterPk makes it known.
//! A registration is acknowledged when it is durable. C11-C22.

use crate::base::conn::{Outcome, Ticket, Via};
use crate::base::counters::DropReason;
use crate::base::endpoint::Endpoint;
use crate::base::limits::PEER_ID_BYTES_MIN;
use crate::base::peer::{Change, DeviceId, PeerId, PeerKey, Record};
use crate::base::time::Time;
use crate::wire::reply::{Registered, Reply};
use crate::wire::request::{Given, Registration};

use super::registry::Presence;
use super::{Effect, Effects, Event, Rendezvous, push, reply};

/// New ids are counted per source over a day.
pub(super) const NEWCOMERS_WINDOW_MS: u64 = 24 * 3_600_000;

/// A registration on its way to disk.
pub(super) struct Pending {
    record: Record,
    presence: Presence,
    new: bool,
}

impl Rendezvous {
    /// "I am still here": keeps a peer present at its known address, asks for RegisterPk
    /// otherwise, and changes nothing then (C11, C21, C22).
    pub(super) fn register_peer(
        &mut self,
        now: Time,
        via: Via,
        id: &Given<PeerId>,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Via::Datagram(from) = via else { return Err(DropReason::Unexpected) };
        let id = id.value().ok_or(DropReason::Incomplete)?;
        let settled = self.registry.peer(id).and_then(|peer| peer.moved(from)) == Some(false);
        if settled {
            self.registry.seen(id, Presence { via, from, seen: now });
        }
        reply(effects, via, Reply::RegisterPeer { request_pk: !settled });
        Ok(())
    }

    /// "This is my device and key" (C13-C20).
    pub(super) fn register_pk(
        &mut self,
        now: Time,
        via: Via,
        wish: Registration,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Via::Datagram(from) = via else {
            answer(effects, via, Registered::NotSupport);
            return Err(DropReason::Done);
        };
        let (device, key) = match (wish.device, wish.key) {
            (Given::Value(device), Given::Value(key)) => (device, key),
            (Given::Unusable, Given::Value(_)) => {
                answer(effects, via, Registered::NotSupport);
                return Ok(());
            }
            _ => return Err(DropReason::Incomplete),
        };
        let id = match wish.id {
            Given::Value(id) if id.as_str().len() >= PEER_ID_BYTES_MIN => id,
            Given::Value(_) | Given::Nothing => {
                answer(effects, via, Registered::UuidMismatch);
                return Ok(());
            }
            Given::Unusable => {
                answer(effects, via, Registered::InvalidIdFormat);
                return Ok(());
            }
        };
        let presence = Presence { via, from, seen: now };
        self.register_device(presence, (id, device, key), effects)
    }

    fn register_device(
        &mut self,
        presence: Presence,
        (id, device, key): (PeerId, DeviceId, PeerKey),
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Presence { via, from, seen: now } = presence;
        let most = self.limits.registrations_per_source;
        if !self.sources.allow(now, from.prefix(), most) {
            return self.too_frequent(via, effects);
        }
        if self.saving.get(&id).is_some() {
            // Its answer is on the way; the client asks again should that one be lost.
            return Err(DropReason::TooFrequent);
        }
        let Some(peer) = self.registry.peer_mut(&id) else {
            return self.register_new(presence, (id, device, key), effects);
        };
        let stolen = peer.device != device;
        if stolen || (peer.key != key && peer.moved(from) == Some(true)) {
            push(effects, Effect::Report(Event::PeerChangeRefused { id, from }));
            answer(effects, via, Registered::UuidMismatch);
            return Ok(());
        }
        if !peer.allow(now) {
            return self.too_frequent(via, effects);
        }
        if peer.key == key {
            self.registry.seen(&id, presence);
            answer(effects, via, Registered::Ok);
            return Ok(());
        }
        let first_seen_secs = peer.first_seen_secs;
        let record = Record { id, device, key, first_seen_secs };
        self.save(Pending { record, presence, new: false }, effects)
    }

    fn register_new(
        &mut self,
        presence: Presence,
        (id, device, key): (PeerId, DeviceId, PeerKey),
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Presence { via, from, seen: now } = presence;
        if !self.newcomers.allow(now, from.prefix(), self.limits.newcomers_per_source) {
            return self.too_frequent(via, effects);
        }
        if self.registry.is_full_with(self.saving.len()) {
            self.forget_one(now, effects);
        }
        // More than one peer above a limit that was lowered.
        if self.registry.is_full_with(self.saving.len()) {
            self.counters.count(DropReason::TableFull);
            push(effects, Effect::Report(Event::PeersFull { limit: self.limits.peers }));
            answer(effects, via, Registered::ServerError);
            return Ok(());
        }
        let first_seen_secs = match self.epoch_secs {
            0 => 0,
            epoch => epoch.saturating_add(now.as_millis() / 1000),
        };
        let record = Record { id, device, key, first_seen_secs };
        self.save(Pending { record, presence, new: true }, effects)
    }

    /// Makes room by the peer longest away, if it is away for long enough.
    fn forget_one(&mut self, now: Time, effects: &mut Effects) {
        let Self { registry, saving, .. } = self;
        let busy = |id: &PeerId| saving.get(id).is_some();
        let Some(gone) = registry.forget_absent(now, busy) else { return };
        let ticket = self.next_ticket();
        push(effects, Effect::Save { ticket, change: Change::Remove(gone.clone()) });
        push(effects, Effect::Report(Event::PeerForgotten { id: gone }));
    }

    fn save(&mut self, pending: Pending, effects: &mut Effects) -> Result<(), DropReason> {
        let ticket = self.next_ticket();
        let change = Change::Put(pending.record.clone());
        let id = pending.record.id.clone();
        self.saving.insert(id, ticket).map_err(|_| DropReason::InboxFull)?;
        self.pending.insert(ticket, pending).map_err(|_| DropReason::Bug)?;
        push(effects, Effect::Save { ticket, change });
        Ok(())
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Acknowledges what is durable, admits what is not (C14).
    pub(super) fn handle_saved(
        &mut self,
        now: Time,
        ticket: Ticket,
        outcome: Outcome,
        effects: &mut Effects,
    ) {
        // A forgotten peer's removal has a ticket nobody waits for.
        let Some(Pending { record, presence, new }) = self.pending.remove(&ticket) else { return };
        let id = record.id.clone();
        self.saving.remove(&id);
        // A slow store must not take a peer back to where it was when it asked.
        let here = self.registry.peer(&id).and_then(|peer| peer.seen_after(presence.seen));
        let here = here.unwrap_or(Presence { seen: now, ..presence });
        let kept = match outcome {
            Outcome::Durable => self.registry.put(record, Some(here)).is_ok(),
            Outcome::Failed => false,
        };
        if !kept {
            self.counters.count(DropReason::StoreFailed);
            push(effects, Effect::Report(Event::SaveFailed { id }));
            answer(effects, presence.via, Registered::ServerError);
            return;
        }
        answer(effects, presence.via, Registered::Ok);
        push(effects, Effect::Report(event(new, id)));
    }

    fn too_frequent(&mut self, via: Via, effects: &mut Effects) -> Result<(), DropReason> {
        self.counters.count(DropReason::TooFrequent);
        answer(effects, via, Registered::TooFrequent);
        Ok(())
    }

    /// The port this server sees (C34, C35, C38).
    pub(super) fn test_nat(&self, via: Via, effects: &mut Effects) -> Result<(), DropReason> {
        let from: Endpoint = self.source(via)?;
        reply(effects, via, Reply::Nat { port: from.port() });
        Ok(())
    }
}

fn event(new: bool, id: PeerId) -> Event {
    if new { Event::PeerAdded { id } } else { Event::PeerKeyChanged { id } }
}

fn answer(effects: &mut Effects, via: Via, outcome: Registered) {
    reply(effects, via, Reply::RegisterPk { outcome, keep_alive_secs: 0 });
}
