//! What an operator asks of the rendezvous: to list peers, to forget one, to ban some.
//! Checks: tests/ctl.rs, C138.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::base::address::Endpoint;
use crate::base::conn::{Conn, SaveOutcome, SaveRank, Transport, Via};
use crate::base::counters::DropReason;
use crate::base::limits::{EFFECTS_MAX, RECALLS_MAX};
use crate::base::peer::{Change, PeerId, RecordState};
use crate::base::text::holds;
use crate::base::time::Time;
use crate::wire::reply::Reply;

use super::register::PendingSave;
use super::registry::kept::{Kept, Moment};
use super::registry::{Contact, Peer};
use super::{Effect, Effects, Event, Rendezvous, push, reply};

/// One registered peer, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    /// The id it is dialled by.
    pub id: PeerId,
    /// Where it is or was last; None if it was not here since start.
    pub at: Option<Endpoint>,
    /// How it is or was reached; None if it was not here since start.
    pub via: Option<Via>,
    /// What its connection speaks; None over UDP and if it is away.
    pub transport: Option<Transport>,
    /// Seconds since it last registered or left; None if it was not here since start.
    pub seen_secs: Option<u64>,
    /// For how many seconds it has been here; None if it is away.
    pub online_secs: Option<u64>,
    /// Where it is too, if it is in two places in turn (C120).
    pub also_at: Option<Endpoint>,
    /// Unix time of its first registration, in seconds; 0 if the clock was not set then.
    pub first_seen_secs: u64,
    /// Whether it was last seen with the old one of two server keys; None if that is not known, or
    /// there is one alone (C157).
    pub shows_old: Option<bool>,
}

/// Which peers to list.
#[derive(Clone, Debug, Default)]
pub struct PeerQuery {
    /// Only ids that sort after this one, by their bytes.
    pub after: Option<PeerId>,
    /// Only ids that contain this text; all do if it is empty.
    pub part: String,
    /// Only those of which this is so: seen with the old key, with the new one, or neither known.
    pub shows_old: Option<Option<bool>>,
    /// At most this many.
    pub count: usize,
}

/// How many entries the tables have: none may outgrow its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Registered peers, here or not; at most `Limits::peers` unless that was lowered.
    pub peers: usize,
    /// Ids kept for forgotten devices, at most `KEPT_MAX` (C91).
    pub kept: usize,
    /// Ids that can be dialled and are not stored; bounded, oldest out (C97).
    pub provisional: usize,
    /// Ids with a change that waits for the store, at most `SAVES_PENDING_MAX`.
    pub saving: usize,
    /// Open connections, at most `Limits::connections`.
    pub connections: usize,
    /// Initiators that wait for a target, at most `Limits::connections`.
    pub dials: usize,
    /// Devices that answered from another network than they registered from; bounded, oldest out
    /// (C83).
    pub elsewhere: usize,
    /// Pairs of a source and a target it showed the access key for; bounded, oldest out (C59).
    pub grants: usize,
    /// Addresses with a device of ours; bounded, new ones wait until the oldest is stale (C86).
    pub known_askers: usize,
    /// Windows of pushes to a target; bounded, oldest out (C86).
    pub pushes: usize,
    /// Claims to phones that wait for them to speak up, at most `CHALLENGES_MAX` (C87).
    pub challenges: usize,
    /// Devices that wait for an operator, at most `WAITING_MAX` (C185).
    #[cfg(feature = "accounts")]
    pub waiting: usize,
    /// Peers that moved of late, at most `FLAPS_MAX` (C120).
    pub flaps: usize,
    /// Sources in the fullest of the rate limits; bounded, oldest out (C20).
    pub throttled: usize,
}

impl Rendezvous {
    /// How full the tables are.
    pub fn occupancy(&self) -> Occupancy {
        Occupancy {
            peers: self.registry.len(),
            kept: self.registry.kept.len(),
            provisional: self.registry.provisional_len(),
            saving: self.pending.len().max(self.saving.len()),
            connections: self.connections.len(),
            dials: self.dials.len(),
            elsewhere: self.elsewhere.len(),
            grants: self.grants.len(),
            known_askers: self.askers.len().0,
            pushes: self.askers.len().1,
            challenges: self.challenges.len(),
            #[cfg(feature = "accounts")]
            waiting: self.waiting.len(),
            flaps: self.flaps.len(),
            throttled: self.newcomers.remembered().max(self.online.remembered()),
        }
    }

    /// What the console's journal holds: pairs of an address and an id, at most `CONSOLE_SEEN_MAX`,
    /// and dials, at most `CONSOLE_DIALS_MAX` (C161).
    #[cfg(feature = "testing")]
    pub fn journal(&self) -> [usize; 2] {
        self.journal.as_ref().map_or([0; 2], |journal| journal.len())
    }

    /// Bytes that the tables have allocated, free places among them; not what their entries hold
    /// elsewhere, as names of relays.
    #[cfg(feature = "testing")]
    pub fn bytes(&self) -> usize {
        let tables = [
            self.registry.bytes(),
            self.saving.bytes(),
            self.pending.bytes(),
            self.connections.bytes(),
            self.dials.bytes(),
            self.elsewhere.bytes(),
            self.grants.bytes(),
            self.askers.bytes(),
            self.challenges.bytes(),
            self.meetings.bytes(),
            self.newcomers.bytes(),
            #[cfg(feature = "accounts")]
            self.waiting.bytes(),
            self.online.bytes(),
            self.online_networks.bytes(),
            self.journal.as_ref().map_or(0, |journal| journal.bytes()),
        ];
        tables.iter().sum()
    }

    /// The next peers in the order of their ids. It looks at every peer, so that one that comes or
    /// goes between two calls neither hides nor repeats another.
    pub fn list(&self, now: Time, wanted: &PeerQuery) -> Vec<PeerRow> {
        let mut ids: Vec<&PeerId> = Vec::with_capacity(wanted.count.saturating_add(1));
        for (id, peer) in self.registry.iter() {
            let after = wanted.after.as_ref().is_none_or(|after| id > after);
            let early = ids.len() < wanted.count || ids.last().is_some_and(|last| id < *last);
            let fits = wanted.shows_old.is_none_or(|shows| shows == self.shows_old(peer));
            if after && early && fits && holds(id.as_str(), &wanted.part) {
                let at = ids.partition_point(|other| *other < id);
                ids.insert(at, id);
                ids.truncate(wanted.count);
            }
        }
        let mut rows = Vec::new();
        for id in ids {
            if let Some(row) = self.listed(now, id) {
                rows.push(row);
            }
        }
        rows
    }

    fn listed(&self, now: Time, id: &PeerId) -> Option<PeerRow> {
        let peer = self.registry.peer(id)?;
        let last = peer.last();
        let connection = peer.connection().and_then(|conn| self.connections.get(&conn));
        let here = self.present(now, id, peer);
        let now_secs = now.as_millis() / 1000;
        Some(PeerRow {
            id: id.clone(),
            at: last.map(|last| last.from),
            via: last.map(Contact::via),
            transport: connection.map(|connection| connection.transport),
            seen_secs: last.map(|last| now.since_ms(last.seen) / 1000),
            online_secs: here.map(|_| now_secs.saturating_sub(peer.since_secs().into())),
            also_at: self.flaps.other_place(now, id),
            first_seen_secs: peer.first_seen_secs,
            shows_old: self.shows_old(peer),
        })
    }

    /// Which of two keys a peer has, while there are two.
    fn shows_old(&self, peer: &Peer) -> Option<bool> {
        self.policy.old_key.and_then(|_| peer.shows_old())
    }

    /// What a clean stop is to store: where peers are that moved since their records were written,
    /// and that ids are kept no more. Ids with a change on its way are left out, as it may be the
    /// newer one. At most one an id.
    pub fn last_changes(&self, now: Time) -> Vec<Change> {
        let settled = |id: &PeerId| self.saving.get(id).is_none();
        let mut changes = Vec::new();
        for record in self.registry.relocated().filter(|record| settled(&record.id)) {
            changes.push(Change::Put(record));
        }
        for id in self.registry.kept.over(self.moment(now)).filter(|id| settled(id)) {
            changes.push(Change::Remove(id.clone()));
        }
        changes
    }

    /// Where devices are that are here over UDP, for the next start to ask them; at most
    /// `RECALLS_MAX` (C138).
    pub fn whereabouts(&self, now: Time) -> impl Iterator<Item = (&PeerId, Endpoint)> {
        let here = self.registry.iter().filter_map(move |(id, peer)| {
            let contact = self.present(now, id, peer)?;
            contact.conn.is_none().then_some((id, contact.from))
        });
        here.take(RECALLS_MAX)
    }

    /// How long devices have been away, in seconds, longest first, for the next start to know: at
    /// most `RECALLS_MAX`, and none where none is forgotten for that.
    pub fn away(&self, now: Time) -> impl Iterator<Item = (&PeerId, u32)> {
        let most = if self.limits.forget_after_ms().is_some() { RECALLS_MAX } else { 0 };
        self.registry.away(now).take(most)
    }

    /// Before the first input: so long these had been away at the stop before, longest first.
    pub fn were_away(&mut self, away: Vec<(PeerId, u32)>) {
        self.registry.were_away(away);
    }

    /// Before the first input: has a device asked to register where it was at the stop before.
    pub fn recall(&mut self, id: PeerId, at: Endpoint) {
        self.registry.recalls.add(id, at);
    }

    /// Asks a few, each at the address that is stored with its key; those that came by themselves
    /// since, and those that are banned, are left alone.
    pub(super) fn ask_recalled(&mut self, now: Time, effects: &mut Effects) {
        for _ in 0..EFFECTS_MAX {
            let Some((id, at)) = self.registry.recalls.take() else { break };
            let peer = self.registry.peer(&id).filter(|peer| peer.last().is_none());
            let bans = &self.policy.bans;
            let banned = bans.has_id(&id) || bans.has_ip(at.ip());
            if peer.is_some_and(|peer| peer.last_ip() == Some(at.ip()) && !banned) {
                reply(effects, Via::Datagram(at), Reply::RegisterPeer { request_pk: true });
            }
        }
        self.registry.recalls.pause(now);
    }

    /// How many ids are kept for forgotten devices (C91). Looks at every one.
    pub fn kept_ids(&self, now: Time) -> usize {
        self.registry.kept.len() - self.registry.kept.over(self.moment(now)).count()
    }

    /// How many peers are here and not banned (C23, C32). Looks at every peer.
    pub fn online_peers(&self, now: Time) -> usize {
        self.registry.iter().filter(|(id, peer)| self.present(now, id, peer).is_some()).count()
    }

    /// How to reach a peer, if it is here and not banned.
    pub(super) fn present(&self, now: Time, id: &PeerId, peer: &Peer) -> Option<Contact> {
        let bans = &self.policy.bans;
        peer.present(now).filter(|here| !bans.has_id(id) && !bans.has_ip(here.from.ip()))
    }

    /// A connection whose address or peer has been banned; the shell closes it and asks again.
    pub fn banned_connection(&self) -> Option<Conn> {
        let bans = &self.policy.bans;
        let banned = self.connections.iter().find(|(_, connection)| {
            let id = connection.registered.as_ref();
            bans.has_ip(connection.from.ip()) || id.is_some_and(|id| bans.has_id(id))
        });
        banned.map(|(conn, _)| *conn)
    }

    /// An operator wants a peer forgotten, and perhaps its id free for another: first on disk, then
    /// here. Its record becomes that of a kept id. One that still runs registers anew by itself.
    pub(super) fn forget(&mut self, now: Time, (id, free): (PeerId, bool), effects: &mut Effects) {
        let Some(mut record) = self.registry.record(&id) else {
            let at = self.moment(now);
            // Forgotten before, it may still be given away.
            let event = match free && self.registry.kept.give(at, &id) {
                true => Event::PeerForgotten { id },
                false => Event::PeerUnknown { id },
            };
            return push(effects, Effect::Report(event));
        };
        if self.saving.get(&id).is_some() || !self.can_save() {
            return push(effects, Effect::Report(Event::SaveFailed { id }));
        }
        record.state = RecordState::Forgotten(self.unix_secs(now));
        let ticket = self.next_ticket();
        // `can_save` says that there is room.
        let _ = self.saving.insert(id.clone(), ());
        let _ = self.pending.insert(ticket, PendingSave::Removal { id, free });
        let (change, rank) = (Box::new(Change::Put(record)), SaveRank::Operator);
        push(effects, Effect::Save { ticket, change, rank });
    }

    /// The removal of a peer is durable, or failed.
    pub(super) fn forgotten(
        &mut self,
        now: Time,
        (id, free): (PeerId, bool),
        outcome: SaveOutcome,
        effects: &mut Effects,
    ) {
        self.saving.remove(&id);
        if outcome != SaveOutcome::Durable {
            self.counters.count(DropReason::StoreFailed);
            return push(effects, Effect::Report(Event::SaveFailed { id }));
        }
        let Some(peer) = self.registry.remove(&id) else { return };
        let conn = peer.connection();
        self.keep(now, (id.clone(), peer), effects);
        if free {
            self.registry.kept.give(self.moment(now), &id);
        }
        if let Some(conn) = conn {
            self.handle_closed(now, conn);
            self.counters.count(DropReason::Dismissed);
            push(effects, Effect::Close { conn, reason: DropReason::Dismissed });
        }
        push(effects, Effect::Report(Event::PeerForgotten { id }));
    }

    /// Keeps the id of a forgotten peer for it; its record says so. The record of an id that has to
    /// make room is removed.
    fn keep(&mut self, now: Time, (id, peer): (PeerId, Peer), effects: &mut Effects) {
        let kept = Kept::now(now, peer.device, peer.key);
        let Some(gone) = self.registry.kept.keep(id, kept) else { return };
        if self.saving.get(&gone).is_none() {
            let ticket = self.next_ticket();
            let (change, rank) = (Box::new(Change::Remove(gone)), SaveRank::Operator);
            push(effects, Effect::Save { ticket, change, rank });
        }
    }

    /// Now, by both clocks.
    pub(super) const fn moment(&self, now: Time) -> Moment {
        Moment { now, unix_secs: self.unix_secs(now) }
    }
}
