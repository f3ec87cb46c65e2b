//! Registration (protocol §4.1): RegisterPeer keeps a peer present, RegisterPk makes it known.
//! A registration is acknowledged once it is durable. One that arrives on a connection makes that
//! connection the peer's presence; the newest registration counts. C11-C22, C27-C32.

use alloc::boxed::Box;

use crate::base::address::Endpoint;
use crate::base::conn::{Conn, SaveOutcome, SaveRank, Ticket, Via};
use crate::base::counters::DropReason;
use crate::base::limits::{KEEP_ALIVE_SECS, PEER_ID_BYTES_MIN};
use crate::base::peer::{Change, PeerId, Record, RecordState};
use crate::base::time::Time;
use crate::wire::reply::{Registered, Reply};
use crate::wire::request::{Given, Registration};

use super::newcomers::{Changer, is_settled};
use super::registry::Contact;
use super::registry::kept::Right;
use super::{
    Effect, Effects, Event, Held, OpenConnection, RateLimit, Rendezvous, Vouched, push, reply,
};

/// A change on its way to disk that somebody waits for.
#[expect(clippy::large_enum_variant, reason = "nearly all are registrations")]
pub(super) enum PendingSave {
    Registration(PendingRegistration),
    /// An operator wants this peer forgotten.
    Removal {
        id: PeerId,
        free: bool,
    },
    /// An operator approved this device.
    #[cfg(feature = "accounts")]
    Approval(Box<Record>),
}

/// A registration that is answered once its record is durable.
pub(super) struct PendingRegistration {
    pub(super) record: Record,
    pub(super) contact: Contact,
    pub(super) change: RecordChange,
}

/// What a registration changes.
pub(super) enum RecordChange {
    /// The id is new.
    Added,
    /// The id gets another key.
    Rekeyed,
    /// The device gives up this id for the new one (C33).
    Renamed(PeerId),
}

/// How a claim stands to what is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Device and key are those stored.
    Known,
    /// The stored device has another key.
    Rekeyed,
    /// Nobody has the id.
    New,
    /// Nobody has it, and an operator who had its device forgotten gave it to this one, or keeps it
    /// for it (C91, C92).
    Entitled,
    /// The id is another device's, or key and address are both new.
    Refused,
    /// The operator must decide.
    Held(Held),
}

impl Rendezvous {
    /// "I am still here": keeps a peer present at the endpoint it registered from. From any other
    /// it asks for RegisterPk and changes nothing: who shares an address shows no less than who
    /// comes from elsewhere (C11, C21, C22).
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
        // A connection gives way to a RegisterPk only, which proves who it is (C32).
        let renews = self.registry.seen_again(id, Contact::new(via, from, now));
        if renews == Some(true) {
            self.vouch(now, from);
        }
        reply(effects, via, Reply::RegisterPeer { request_pk: renews.is_none() });
        Ok(())
    }

    /// A device proved itself at this address.
    fn vouch(&mut self, now: Time, from: Endpoint) {
        self.askers.note_device(now, from.ip());
        self.vouched = Some(Vouched { ip: from.ip(), conn: None, shows_old: None });
    }

    /// "This is my device and key" (C13-C20, C95).
    pub(super) fn register_pk(
        &mut self,
        now: Time,
        via: Via,
        request: Registration,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let from = self.source(via)?;
        if let (Via::Stream(_), Given::Nothing) = (via, &request.key)
            && request.old_id != Given::Nothing
        {
            return self.change_id(Contact::new(via, from, now), request, effects);
        }
        let (device, key) = match (request.device, request.key) {
            (Given::Value(device), Given::Value(key)) => (device, key),
            (Given::Unusable, Given::Value(_)) => {
                answer(effects, via, Registered::NotSupport);
                return Ok(());
            }
            _ => return Err(DropReason::Incomplete),
        };
        let id = match request.id {
            Given::Nothing => {
                answer(effects, via, Registered::UuidMismatch);
                return Ok(());
            }
            Given::Value(id) if id.as_str().len() < PEER_ID_BYTES_MIN => {
                answer(effects, via, Registered::UuidMismatch);
                return Ok(());
            }
            // Ids stored by earlier versions keep working.
            Given::Value(id) if id.is_well_formed() || self.registry.peer(&id).is_some() => id,
            Given::Value(_) | Given::Unusable => {
                answer(effects, via, Registered::InvalidIdFormat);
                return Ok(());
            }
        };
        let (first_seen_secs, state) =
            (self.unix_secs(now), RecordState::Registered(Some(from.ip())));
        let record = Record { id, device, key, first_seen_secs, state };
        self.register_device(Contact::new(via, from, now), record, effects)
    }

    /// Registers what a device claims to be, if nothing speaks against it.
    fn register_device(
        &mut self,
        contact: Contact,
        claim: Record,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let (Contact { from, seen: now, .. }, via) = (contact, contact.via());
        if let Some(journal) = &mut self.journal {
            journal.registers(now, from.ip(), &claim.id);
        }
        if self.policy.bans.has_id(&claim.id) {
            return Err(DropReason::Blocked);
        }
        let standing = self.standing(&claim, &contact);
        let asked = standing == Standing::Known && self.answers_challenge(&claim.id, via);
        if self.saving.get(&claim.id).is_some() {
            return self.claim_again(now, via, effects);
        }
        // A forged address must not use up what a real one is entitled to (C96).
        let pays = matches!(standing, Standing::New | Standing::Rekeyed);
        let proved =
            matches!(via, Via::Stream(_)) || (pays && self.newcomers.take_proof(now, from));
        // Who is known pays nothing: after a restart all behind one address are back at once (C95).
        let limit = self.limits.registrations_per_source;
        let is_counted = !matches!(standing, Standing::Known | Standing::Entitled);
        if is_counted && !self.newcomers.may_ask(now, from, proved, limit) {
            return self.too_frequent(now, via, RateLimit::Registrations, effects);
        }
        let known = (standing == Standing::Known).then_some(&claim.id);
        if self.is_crowded(now, via, known) {
            self.counters.count(DropReason::TableFull);
            answer(effects, via, Registered::ServerError);
            return Ok(());
        }
        let proved_here = self.is_proved(&contact);
        if let Some((event, outcome)) = refusal(standing, &claim.id, (from, proved_here)) {
            push(effects, Effect::Report(event));
            answer(effects, via, outcome);
            return Ok(());
        }
        if standing == Standing::Known && self.is_contested(&claim.id, &contact) {
            return self.challenge(contact, (claim.id, claim.key), effects);
        }
        let today = self.unix_secs(now);
        let Some(peer) = self.registry.peer_mut(&claim.id) else {
            let entitled = standing == Standing::Entitled;
            return self.register_unknown((contact, proved), entitled, claim, effects);
        };
        // Who was asked to speak up may do so: a stranger can have that asked.
        if !asked && !peer.allow(now) {
            return self.too_frequent(now, via, RateLimit::Fixed, effects);
        }
        if standing == Standing::Known {
            self.arrive_known(&claim.id, contact, effects);
            return Ok(());
        }
        let settled = is_settled(peer.first_seen_secs, today);
        let record = Record { first_seen_secs: peer.first_seen_secs, ..claim };
        let changer = Changer { from, proved, settled };
        if !self.newcomers.may_change(now, changer) {
            return self.too_frequent(now, via, RateLimit::Fixed, effects);
        }
        let rank = self.newcomers.change_rank(now, changer);
        self.registry.touch(&record.id);
        let change = RecordChange::Rekeyed;
        self.save(PendingRegistration { record, contact, change }, rank, effects)
    }

    /// Who is stored is here: known at once, and reported if it is in two places in turn (C120).
    fn arrive_known(&mut self, id: &PeerId, contact: Contact, effects: &mut Effects) {
        let Contact { from, seen: now, .. } = contact;
        answer(effects, contact.via(), Registered::Ok);
        self.vouch(now, from);
        let before = self.registry.peer(id).and_then(|peer| peer.present(now));
        if let Some(before) = before.filter(|before| before.from != from)
            && let Some(event) = self.flaps.moved(now, id, [&before, &contact])
        {
            push(effects, Effect::Report(event));
        }
        self.arrive(id, contact, effects);
    }

    /// What a claim is worth (C17, C18).
    fn standing(&self, claim: &Record, contact: &Contact) -> Standing {
        let Some(peer) = self.registry.peer(&claim.id) else {
            return match self.right(claim, contact) {
                Right::Open => Standing::New,
                Right::Entitled => Standing::Entitled,
                Right::Foreign => Standing::Held(Held::Forgotten),
            };
        };
        if peer.device != claim.device {
            return Standing::Refused;
        }
        if peer.key == claim.key {
            return Standing::Known;
        }
        match peer.last_ip() {
            // A public device id with another key is another device, whichever its address.
            _ if peer.is_public() => Standing::Refused,
            Some(ip) if ip == contact.from.ip() => Standing::Rekeyed,
            Some(_) => Standing::Refused,
            // It may well be the device, and must not throw its id away (C94).
            None => Standing::Held(Held::Unseen),
        }
    }

    /// What is kept of an id that nobody has says of a claim to it.
    pub(super) fn right(&self, claim: &Record, contact: &Contact) -> Right {
        let here = |open: &OpenConnection| open.from.ip() == contact.from.ip();
        let proved = || self.is_proved(contact) || self.connections.iter().any(|(_, it)| here(it));
        self.registry.kept.right(self.moment(contact.seen), claim, proved)
    }

    /// Whether who is there came on a connection, or opened one within a minute.
    fn is_proved(&self, contact: &Contact) -> bool {
        contact.conn.is_some() || self.newcomers.is_proved(contact.seen, contact.from)
    }

    /// Unix time in seconds, 0 while the clock is not set.
    pub(super) const fn unix_secs(&self, now: Time) -> u64 {
        match self.epoch_secs {
            0 => 0,
            epoch => epoch.saturating_add(now.as_millis() / 1000),
        }
    }

    pub(super) fn save(
        &mut self,
        pending: PendingRegistration,
        rank: SaveRank,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let ticket = self.next_ticket();
        let record = pending.record.clone();
        let change = match &pending.change {
            RecordChange::Added | RecordChange::Rekeyed => Change::Put(record),
            RecordChange::Renamed(from) => Change::Rename { from: from.clone(), to: record },
        };
        if !self.can_save() {
            return Err(DropReason::Busy);
        }
        if let RecordChange::Renamed(from) = &pending.change {
            self.saving.insert(from.clone(), ()).map_err(|_| DropReason::Bug)?;
        }
        let id = pending.record.id.clone();
        self.saving.insert(id, ()).map_err(|_| DropReason::Bug)?;
        let pending = PendingSave::Registration(pending);
        self.pending.insert(ticket, pending).map_err(|_| DropReason::Bug)?;
        push(effects, Effect::Save { ticket, change: Box::new(change), rank });
        Ok(())
    }

    /// Whether another change may wait for the store. A rename occupies two ids.
    pub(super) fn can_save(&self) -> bool {
        self.saving.len() + 2 <= self.saving.limit()
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// The store is done with a change. Nobody waits for the removal of a peer that made room for
    /// another.
    pub(super) fn handle_saved(
        &mut self,
        now: Time,
        ticket: Ticket,
        outcome: SaveOutcome,
        effects: &mut Effects,
    ) {
        match self.pending.remove(&ticket) {
            Some(PendingSave::Registration(pending)) => {
                self.registered(now, pending, outcome, effects);
            }
            Some(PendingSave::Removal { id, free }) => {
                self.forgotten(now, (id, free), outcome, effects);
            }
            #[cfg(feature = "accounts")]
            Some(PendingSave::Approval(record)) => self.approved(*record, outcome, effects),
            None => {}
        }
    }

    /// Acknowledges what is durable and refuses what is not (C14).
    fn registered(
        &mut self,
        now: Time,
        pending: PendingRegistration,
        outcome: SaveOutcome,
        effects: &mut Effects,
    ) {
        let PendingRegistration { record, contact, change } = pending;
        let id = record.id.clone();
        self.saving.remove(&id);
        if let RecordChange::Renamed(from) = &change {
            self.saving.remove(from);
        }
        // The peer may have moved while a slow store was at work.
        let here = self.registry.peer(&id).and_then(|peer| peer.seen_after(contact.seen));
        let newest = here.is_none();
        let here = here.unwrap_or(Contact { seen: now, ..contact });
        let kept = match (outcome, &change) {
            (SaveOutcome::Durable, RecordChange::Renamed(from)) => {
                self.registry.rename(from, record).is_ok()
            }
            (SaveOutcome::Durable, RecordChange::Added) => {
                self.registry.put(record, Some(here)).is_ok()
            }
            // `arrive` must still see the connection that this registration replaces.
            (SaveOutcome::Durable, RecordChange::Rekeyed) => {
                self.registry.put(record, None).is_ok()
            }
            (SaveOutcome::Failed, _) => false,
            (SaveOutcome::Postponed, change) => {
                self.counters.count(DropReason::WritesSpent);
                if matches!((change, here.conn), (RecordChange::Added, None)) {
                    self.registry.put_provisional(record, here);
                }
                self.acknowledge(contact.via(), Registered::TooFrequent, effects);
                return;
            }
        };
        if !kept {
            self.counters.count(DropReason::StoreFailed);
            push(effects, Effect::Report(Event::SaveFailed { id }));
            self.acknowledge(contact.via(), Registered::ServerError, effects);
            return;
        }
        self.registry.kept.release(&id);
        self.acknowledge(contact.via(), Registered::Ok, effects);
        match change {
            RecordChange::Renamed(_) => self.rename_connection(&id),
            RecordChange::Added | RecordChange::Rekeyed if newest => {
                self.arrive(&id, here, effects);
            }
            RecordChange::Added | RecordChange::Rekeyed => {}
        }
        push(effects, Effect::Report(event(change, id, (contact.from, self.is_proved(&contact)))));
    }

    /// Answers a request that arrived a while ago, if its sender is still there.
    fn acknowledge(&self, via: Via, outcome: Registered, effects: &mut Effects) {
        if self.source(via).is_ok() {
            answer(effects, via, outcome);
        }
    }

    /// A peer is here now. If it registered on a connection, that is kept as its presence, and the
    /// connection it was present on before is closed (C32).
    pub(super) fn arrive(&mut self, id: &PeerId, contact: Contact, effects: &mut Effects) {
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
            // The connection was closed while the store was at work.
            self.registry.left(contact.seen, id, conn);
            return;
        };
        connection.registered = Some(id.clone());
        self.registered_connections += 1;
        push(effects, Effect::Keep { conn, settled: self.is_a_day_old(contact.seen, id) });
    }

    /// Tells the connection a renamed peer is present on about its new id.
    fn rename_connection(&mut self, id: &PeerId) {
        let conn = self.registry.peer(id).and_then(|peer| peer.connection());
        if let Some(connection) = conn.and_then(|conn| self.connections.get_mut(&conn)) {
            connection.registered = Some(id.clone());
        }
    }

    /// Detaches a connection from the peer that is present on it; gives that peer's id.
    fn release(&mut self, conn: Conn) -> Option<PeerId> {
        let id = self.connections.get_mut(&conn)?.registered.take()?;
        self.registered_connections = self.registered_connections.saturating_sub(1);
        Some(id)
    }

    pub(super) fn too_frequent(
        &mut self,
        now: Time,
        via: Via,
        limit: RateLimit,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        self.refuse_by(now, via, (DropReason::TooFrequent, limit), effects);
        answer(effects, via, Registered::TooFrequent);
        Ok(())
    }

    /// Tells the sender's port as the server sees it (C34, C35, C38).
    pub(super) fn test_nat(&self, via: Via, effects: &mut Effects) -> Result<(), DropReason> {
        let port = self.source(via)?.port();
        reply(effects, via, Reply::Nat { port });
        Ok(())
    }
}

/// What is said to a claim that another device's stands against, and to whom.
fn refusal(
    standing: Standing,
    id: &PeerId,
    (from, proved): (Endpoint, bool),
) -> Option<(Event, Registered)> {
    let id = id.clone();
    match standing {
        Standing::Held(why) => {
            Some((Event::PeerHeld { id, from, proved, why }, Registered::ServerError))
        }
        Standing::Refused => {
            Some((Event::PeerChangeRefused { id, from, proved }, Registered::UuidMismatch))
        }
        Standing::Known | Standing::Rekeyed | Standing::New | Standing::Entitled => None,
    }
}

fn event(change: RecordChange, id: PeerId, (at, proved): (Endpoint, bool)) -> Event {
    match change {
        RecordChange::Added => Event::PeerAdded { id, from: at, proved },
        RecordChange::Rekeyed => Event::PeerKeyChanged { id, from: at },
        RecordChange::Renamed(from) => Event::PeerRenamed { from, id, at },
    }
}

pub(super) fn answer(effects: &mut Effects, via: Via, outcome: Registered) {
    let keep_alive_secs = match (via, outcome) {
        (Via::Stream(_), Registered::Ok) => KEEP_ALIVE_SECS,
        _ => 0,
    };
    reply(effects, via, Reply::RegisterPk { outcome, keep_alive_secs });
}
