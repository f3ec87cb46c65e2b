//! Registration (protocol §4.1): RegisterPeer keeps a peer present, RegisterPk makes it known.
//! A registration is acknowledged when it is durable. One that comes on a connection makes that
//! connection the peer's presence; the newest registration counts. C11-C22, C27-C32.

use crate::base::address::Endpoint;
use crate::base::conn::{Conn, SaveOutcome, Ticket, Via};
use crate::base::counters::DropReason;
use crate::base::limits::{KEEP_ALIVE_SECS, PEER_ID_BYTES_MIN};
use crate::base::peer::{Change, DeviceId, PeerId, PeerKey, Record};
use crate::base::time::Time;
use crate::wire::reply::{Registered, Reply};
use crate::wire::request::{Given, Registration};

use super::registry::Contact;
use super::{Effect, Effects, Event, Rendezvous, push, reply};

/// New ids are counted per source over a day.
pub(super) const NEWCOMERS_WINDOW_MS: u64 = 24 * 3_600_000;

/// A registration on its way to disk.
pub(super) struct Pending {
    pub(super) record: Record,
    pub(super) contact: Contact,
    pub(super) kind: Kind,
}

/// What a pending registration is to its id.
pub(super) enum Kind {
    /// Nobody had it.
    New,
    /// It gets another key.
    Rekeyed,
    /// Its device had this id before (C33).
    Renamed(PeerId),
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
        if self.policy.bans.has_id(id) {
            return Err(DropReason::Blocked);
        }
        let settled = self.registry.peer(id).is_some_and(|peer| {
            // A connection gives way to a RegisterPk only, which proves who it is (C32).
            peer.moved(from) == Some(false) && peer.connection().is_none()
        });
        if settled {
            self.registry.seen(id, Contact::new(via, from, now));
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
        let from = self.source(via)?;
        if let (Via::Stream(_), Given::Nothing) = (via, &wish.key)
            && wish.old_id != Given::Nothing
        {
            return self.change_id(Contact::new(via, from, now), wish, effects);
        }
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
        let contact = Contact::new(via, from, now);
        self.register_device(contact, (id, device, key), effects)
    }

    fn register_device(
        &mut self,
        contact: Contact,
        (id, device, key): (PeerId, DeviceId, PeerKey),
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let (Contact { from, seen: now, .. }, via) = (contact, contact.via());
        if self.policy.bans.has_id(&id) {
            return Err(DropReason::Blocked);
        }
        let most = self.limits.registrations_per_source;
        if !self.sources.allow(now, from.prefix(), most) {
            return self.too_frequent(via, effects);
        }
        if self.is_crowded(via) {
            self.counters.count(DropReason::TableFull);
            answer(effects, via, Registered::ServerError);
            return Ok(());
        }
        if self.saving.get(&id).is_some() {
            // Its answer is on the way; the client asks again should that one be lost.
            return Err(DropReason::TooFrequent);
        }
        let Some(peer) = self.registry.peer_mut(&id) else {
            return self.register_new(contact, (id, device, key), effects);
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
            answer(effects, via, Registered::Ok);
            self.arrive(&id, contact, effects);
            return Ok(());
        }
        let first_seen_secs = peer.first_seen_secs;
        self.registry.touch(&id);
        let record = Record { id, device, key, first_seen_secs };
        self.save(Pending { record, contact, kind: Kind::Rekeyed }, effects)
    }

    fn register_new(
        &mut self,
        contact: Contact,
        (id, device, key): (PeerId, DeviceId, PeerKey),
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let (Contact { from, seen: now, .. }, via) = (contact, contact.via());
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
        self.save(Pending { record, contact, kind: Kind::New }, effects)
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

    pub(super) fn save(
        &mut self,
        pending: Pending,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let ticket = self.next_ticket();
        let record = pending.record.clone();
        let change = match &pending.kind {
            Kind::New | Kind::Rekeyed => Change::Put(record),
            Kind::Renamed(from) => Change::Rename { from: from.clone(), to: record },
        };
        // One change of an id at a time, and a change of a name concerns two ids.
        if self.saving.len() + 2 > self.saving.limit() {
            return Err(DropReason::Busy);
        }
        if let Kind::Renamed(from) = &pending.kind {
            self.saving.insert(from.clone(), ticket).map_err(|_| DropReason::Bug)?;
        }
        let id = pending.record.id.clone();
        self.saving.insert(id, ticket).map_err(|_| DropReason::Bug)?;
        self.pending.insert(ticket, pending).map_err(|_| DropReason::Bug)?;
        push(effects, Effect::Save { ticket, change });
        Ok(())
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Acknowledges what is durable, admits what is not (C14).
    pub(super) fn handle_saved(
        &mut self,
        now: Time,
        ticket: Ticket,
        outcome: SaveOutcome,
        effects: &mut Effects,
    ) {
        let Some(Pending { record, contact, kind }) = self.pending.remove(&ticket) else {
            return self.forgotten(now, ticket, outcome, effects);
        };
        let id = record.id.clone();
        self.saving.remove(&id);
        if let Kind::Renamed(from) = &kind {
            self.saving.remove(from);
        }
        // A slow store must not take a peer back to where it was when it asked.
        let here = self.registry.peer(&id).and_then(|peer| peer.seen_after(contact.seen));
        let newest = here.is_none();
        let here = here.unwrap_or(Contact { seen: now, ..contact });
        let kept = match (outcome, &kind) {
            (SaveOutcome::Durable, Kind::Renamed(from)) => {
                self.registry.rename(from, record).is_ok()
            }
            (SaveOutcome::Durable, Kind::New) => self.registry.put(record, Some(here)).is_ok(),
            // Whom this registration replaces is for `arrive` to see.
            (SaveOutcome::Durable, Kind::Rekeyed) => self.registry.put(record, None).is_ok(),
            (SaveOutcome::Failed, _) => false,
        };
        if !kept {
            self.counters.count(DropReason::StoreFailed);
            push(effects, Effect::Report(Event::SaveFailed { id }));
            self.acknowledge(contact.via(), Registered::ServerError, effects);
            return;
        }
        self.acknowledge(contact.via(), Registered::Ok, effects);
        match kind {
            Kind::Renamed(_) => self.carry_name(&id),
            Kind::New | Kind::Rekeyed if newest => self.arrive(&id, here, effects),
            Kind::New | Kind::Rekeyed => {}
        }
        push(effects, Effect::Report(event(kind, id)));
    }

    /// Answers what came a while ago, if whoever asked is still there.
    fn acknowledge(&self, via: Via, outcome: Registered, effects: &mut Effects) {
        if self.source(via).is_ok() {
            answer(effects, via, outcome);
        }
    }

    /// A peer is here now. If it comes on a connection, that is kept as its presence; the
    /// connection it was present on before gives way (C32).
    fn arrive(&mut self, id: &PeerId, contact: Contact, effects: &mut Effects) {
        let before = self.registry.peer(id).and_then(|peer| peer.connection());
        self.registry.seen(id, contact);
        if let Some(conn) = before.filter(|conn| contact.conn != Some(*conn)) {
            self.release(conn);
            push(effects, Effect::Close { conn, reason: DropReason::Done });
        }
        let Some(conn) = contact.conn else { return };
        match self.release(conn) {
            Some(other) if other != *id => self.registry.left(contact.seen, &other, conn),
            _ => {}
        }
        let Some(connection) = self.connections.get_mut(&conn) else {
            // It was closed while the store was at work.
            self.registry.left(contact.seen, id, conn);
            return;
        };
        connection.registered = Some(id.clone());
        self.registered_connections += 1;
        push(effects, Effect::Keep { conn });
    }

    /// The connection a renamed peer is present on is that of its new id.
    fn carry_name(&mut self, id: &PeerId) {
        let conn = self.registry.peer(id).and_then(|peer| peer.connection());
        if let Some(connection) = conn.and_then(|conn| self.connections.get_mut(&conn)) {
            connection.registered = Some(id.clone());
        }
    }

    /// A connection is no peer's presence any more; whose it was.
    fn release(&mut self, conn: Conn) -> Option<PeerId> {
        let id = self.connections.get_mut(&conn)?.registered.take()?;
        self.registered_connections = self.registered_connections.saturating_sub(1);
        Some(id)
    }

    /// Whether a further connection must not be kept: some places stay for those who only ask.
    fn is_crowded(&self, via: Via) -> bool {
        let Via::Stream(conn) = via else { return false };
        let kept =
            self.connections.get(&conn).is_some_and(|connection| connection.registered.is_some());
        !kept && self.registered_connections >= self.limits.connections * 3 / 4
    }

    pub(super) fn too_frequent(
        &mut self,
        via: Via,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
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

fn event(kind: Kind, id: PeerId) -> Event {
    match kind {
        Kind::New => Event::PeerAdded { id },
        Kind::Rekeyed => Event::PeerKeyChanged { id },
        Kind::Renamed(from) => Event::PeerRenamed { from, id },
    }
}

pub(super) fn answer(effects: &mut Effects, via: Via, outcome: Registered) {
    let keep_alive_secs = match (via, outcome) {
        (Via::Stream(_), Registered::Ok) => KEEP_ALIVE_SECS,
        _ => 0,
    };
    reply(effects, via, Reply::RegisterPk { outcome, keep_alive_secs });
}
