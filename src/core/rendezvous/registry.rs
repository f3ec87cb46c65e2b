//! The table of peers: identity from the store, presence in memory. C13, C14, C18-C23.

use alloc::vec::Vec;

use static_assertions::const_assert;

use crate::base::address::Endpoint;
use crate::base::conn::{Conn, Via};
use crate::base::limits::{
    FORGET_ABSENT_MS, ID_WINDOW_MS, ONLINE_MS, PEERS_CEILING, REGISTRATIONS_PER_ID,
};
use crate::base::peer::{DeviceId, PeerId, PeerKey, Record};
use crate::base::table::{Seed, Table, TableFull};
use crate::base::time::{RateWindow, Time};
use crate::identity::{ServerKey, Signature};
use crate::wire::message::id_pk;

/// A registered device.
pub(super) struct Peer {
    pub(super) device: DeviceId,
    pub(super) key: PeerKey,
    pub(super) first_seen_secs: u64,
    presence: Option<Presence>,
    /// When it came, if it is here, in seconds since start: 136 years of them.
    since_secs: u32,
    /// Its connection was closed, or another took over.
    left: bool,
    signature: Option<Signature>,
    registrations: RateWindow,
}

/// Where a peer is or was last. Over UDP it is there for [`ONLINE_MS`] after it was seen, on a
/// connection as long as that is open.
#[derive(Clone, Copy)]
pub(super) struct Presence {
    /// How to reach it.
    pub(super) via: Via,
    /// Its address, however it is reached.
    pub(super) from: Endpoint,
    /// When it last registered.
    pub(super) seen: Time,
}

/// Peers passed over for being connected, however long ago they registered, in one search for
/// somebody to forget; the next search goes on behind them.
const CONNECTED_PASSED_MAX: usize = 16;

const_assert!(size_of::<(PeerId, Peer)>() <= 288);
const_assert!(PEERS_CEILING * size_of::<(PeerId, Peer)>() <= 40 * 1024 * 1024);

impl Peer {
    /// Its presence, if it is there (C23, C32).
    pub(super) fn present(&self, now: Time) -> Option<Presence> {
        self.presence.filter(|presence| match presence.via {
            Via::Datagram(_) => now.since_ms(presence.seen) < ONLINE_MS,
            Via::Stream(_) => !self.left,
        })
    }

    /// Where it was last, though it may be away.
    pub(super) fn last(&self) -> Option<Presence> {
        self.presence
    }

    /// When it came, if it is here, in seconds since start.
    pub(super) const fn since_secs(&self) -> u32 {
        self.since_secs
    }

    /// The open connection it is present on.
    pub(super) fn connection(&self) -> Option<Conn> {
        match self.presence?.via {
            Via::Stream(conn) if !self.left => Some(conn),
            Via::Stream(_) | Via::Datagram(_) => None,
        }
    }

    /// Its presence, if it was seen after `then` and has not left since.
    pub(super) fn seen_after(&self, then: Time) -> Option<Presence> {
        self.presence.filter(|presence| presence.seen > then && !self.left)
    }

    /// Whether it was last seen at another address than `from`; None if it was not seen yet.
    pub(super) fn moved(&self, from: Endpoint) -> Option<bool> {
        self.presence.map(|presence| presence.from.ip() != from.ip())
    }

    /// Counts a registration; false if there were too many (C19).
    pub(super) fn allow(&mut self, now: Time) -> bool {
        self.registrations.allow(now, ID_WINDOW_MS, REGISTRATIONS_PER_ID)
    }
}

/// All registered devices, the one longest away first.
pub(super) struct Registry {
    peers: Table<PeerId, Peer>,
}

impl Registry {
    pub(super) fn new(limit: usize, seed: Seed) -> Self {
        Self { peers: Table::new(limit, seed) }
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.peers.set_limit(limit);
    }

    /// Whether `more` new peers on their way leave no room for another.
    pub(super) fn is_full_with(&self, more: usize) -> bool {
        self.peers.len().saturating_add(more) >= self.peers.limit()
    }

    pub(super) fn peer(&self, id: &PeerId) -> Option<&Peer> {
        self.peers.get(id)
    }

    pub(super) fn peer_mut(&mut self, id: &PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(id)
    }

    /// Inserts or replaces a durable record, past the limit if need be: it is on disk, and were it
    /// not known here, another device could take its id. New ids are held to the limit before
    /// they are stored, by `is_full_with`. A signature over another key is dropped.
    pub(super) fn put(
        &mut self,
        record: Record,
        presence: Option<Presence>,
    ) -> Result<(), TableFull> {
        let Record { id, device, key, first_seen_secs } = record;
        let old = self.peers.get(&id);
        let mut registrations = old.map_or(RateWindow::EMPTY, |old| old.registrations);
        if let Some(presence) = presence.filter(|_| old.is_none()) {
            registrations.allow(presence.seen, ID_WINDOW_MS, REGISTRATIONS_PER_ID);
        }
        let peer = Peer {
            device,
            key,
            first_seen_secs,
            presence: presence.or(old.and_then(|old| old.presence)),
            since_secs: old.map_or(presence.map_or(0, |p| secs(p.seen)), |old| old.since_secs),
            left: presence.is_none() && old.is_some_and(|old| old.left),
            signature: None,
            registrations,
        };
        let limit = self.peers.limit();
        self.peers.set_limit(PEERS_CEILING);
        let kept = self.peers.insert(id, peer).map(|_| ());
        self.peers.set_limit(limit);
        kept
    }

    /// All of them, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.peers.iter()
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, id: &PeerId) -> bool {
        self.peers.remove(id).is_some()
    }

    /// Notes that a peer is there.
    pub(super) fn seen(&mut self, id: &PeerId, presence: Presence) {
        if let Some(peer) = self.peers.get_mut(id) {
            if peer.present(presence.seen).is_none() {
                peer.since_secs = secs(presence.seen);
            }
            peer.presence = Some(presence);
            peer.left = false;
            self.peers.touch(id);
        }
    }

    /// Notes that the connection a peer was present on is closed (C32): it is away from `now` on.
    pub(super) fn left(&mut self, now: Time, id: &PeerId, conn: Conn) {
        if let Some(peer) = self.peers.get_mut(id)
            && peer.connection() == Some(conn)
        {
            peer.left = true;
            peer.presence = peer.presence.map(|presence| Presence { seen: now, ..presence });
            self.peers.touch(id);
        }
    }

    /// Moves a peer to another id, where `record` is durable now.
    pub(super) fn rename(&mut self, from: &PeerId, record: Record) -> Result<(), TableFull> {
        let old = self.peers.remove(from).and_then(|peer| Some((peer.presence?, peer.left)));
        let id = record.id.clone();
        self.put(record, old.map(|(presence, _)| presence))?;
        if let (Some(peer), Some((_, left))) = (self.peers.get_mut(&id), old) {
            peer.left = left;
        }
        Ok(())
    }

    /// Lets a peer that is coming back be the last to make room.
    pub(super) fn touch(&mut self, id: &PeerId) {
        self.peers.touch(id);
    }

    /// Removes the peer longest away to make room, if it is away for long enough and not `busy`
    /// coming back.
    pub(super) fn forget_absent(
        &mut self,
        now: Time,
        busy: impl Fn(&PeerId) -> bool,
    ) -> Option<PeerId> {
        for _ in 0..CONNECTED_PASSED_MAX {
            let connected = self.peers.oldest().filter(|(_, peer)| peer.connection().is_some());
            let Some(id) = connected.map(|(id, _)| id.clone()) else { break };
            self.peers.touch(&id);
        }
        let (id, oldest) = self.peers.oldest()?;
        let seen = oldest.presence.map_or(Time::START, |presence| presence.seen);
        let here = oldest.connection().is_some() || now.since_ms(seen) < FORGET_ABSENT_MS;
        if here || busy(id) {
            return None;
        }
        self.peers.pop_oldest().map(|(id, _)| id)
    }

    /// The peer's id and key under the server's signature, which is made once per stored key.
    pub(super) fn signed_key(&mut self, id: &PeerId, key: &ServerKey) -> Option<Vec<u8>> {
        let peer = self.peers.get_mut(id)?;
        let message = id_pk(id, &peer.key);
        let signature = peer.signature.get_or_insert_with(|| key.sign(&message));
        let mut signed = signature.0.to_vec();
        signed.extend_from_slice(&message);
        Some(signed)
    }
}

fn secs(at: Time) -> u32 {
    u32::try_from(at.as_millis() / 1000).unwrap_or(u32::MAX)
}
