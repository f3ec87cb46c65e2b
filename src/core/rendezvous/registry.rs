//! The table of peers: identity from the store, presence in memory. C13, C14, C18-C23.

pub(super) mod kept;
pub(super) mod recalls;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use static_assertions::const_assert;

use crate::base::address::Endpoint;
use crate::base::conn::{Conn, Via};
use crate::base::limits::{
    ID_WINDOW_MS, ONLINE_MS, PEERS_CEILING, PROVISIONAL_MAX, PROVISIONAL_SIGNATURES,
    REGISTRATIONS_PER_ID, UNPROVED_PART, VOUCHED_MS,
};
use crate::base::peer::{DeviceId, PeerId, PeerKey, Record, RecordState};
use crate::base::table::{Seed, Table, TableFull};
use crate::base::time::{RateWindow, Time};
use crate::identity::{ServerKey, Signature};
use crate::wire::message::id_pk;

use kept::KeptIds;
use recalls::Recalls;

/// A registered device.
pub(super) struct Peer {
    pub(super) device: DeviceId,
    pub(super) key: PeerKey,
    pub(super) first_seen_secs: u64,
    presence: Presence,
    /// When it came, in seconds since start, for 136 years; before, how long it had been away.
    pub(super) since_secs: u32,
    /// Whether the address it was last at is the stored one.
    stored: bool,
    /// In a box: few of many devices are ever dialled.
    signature: Option<Box<Signature>>,
    /// The same under the old one of two server keys (C156).
    old_signature: Option<Box<Signature>>,
    /// Whether it was seen with the old one of two server keys; None if that is not known (C157).
    shows_old: Option<bool>,
    /// The [`span`] in which it last renewed what is known of its address; 0 if it never did.
    vouched: u8,
    registrations: RateWindow,
}

/// Whether a peer is here, as far as it told us.
#[derive(Clone, Copy)]
enum Presence {
    /// It has not registered since start. Before, it was at this address, if that is stored.
    Never(Option<IpAddr>),
    /// It has registered: over UDP it is here until [`ONLINE_MS`] after that, on a connection as
    /// long as that is open.
    Here(Contact),
    /// The connection it was present on is closed. It was seen until then.
    Left(Contact),
}

/// One registration as it arrived: how to reach the peer, and since when that is known.
#[derive(Clone, Copy)]
pub(super) struct Contact {
    /// The peer's address, also if it is reached on a connection.
    pub(super) from: Endpoint,
    /// The connection it came on; None over UDP.
    pub(super) conn: Option<Conn>,
    /// When it arrived.
    pub(super) seen: Time,
}

impl Contact {
    pub(super) const fn new(via: Via, from: Endpoint, seen: Time) -> Self {
        let conn = match via {
            Via::Stream(conn) => Some(conn),
            Via::Datagram(_) => None,
        };
        Self { from, conn, seen }
    }

    /// The way to the peer. In each of its callers it would be 140 bytes.
    #[inline(never)]
    pub(super) fn via(&self) -> Via {
        self.conn.map_or(Via::Datagram(self.from), Via::Stream)
    }
}

impl Presence {
    /// The last contact, though the peer may be away.
    const fn last(&self) -> Option<&Contact> {
        match self {
            Self::Never(_) => None,
            Self::Here(contact) | Self::Left(contact) => Some(contact),
        }
    }

    /// The last address that is known.
    const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Never(ip) => *ip,
            Self::Here(contact) | Self::Left(contact) => Some(contact.from.ip()),
        }
    }
}

/// The window of [`PROVISIONAL_SIGNATURES`].
const SIGNATURES_WINDOW_MS: u64 = 1_000;

const_assert!(size_of::<Option<(PeerId, Peer)>>() <= 240);
/// A device that is dialled, with the box of its signature as allocators round it up.
const DIALLED_BYTES: usize = size_of::<(PeerId, Peer)>() + 80;
const_assert!(PEERS_CEILING * DIALLED_BYTES <= 40 * 1024 * 1024);

impl Peer {
    fn new(record: Record, presence: Presence) -> (PeerId, Self) {
        let Record { id, device, key, first_seen_secs, state: _ } = record;
        let seen = presence.last().map(|contact| contact.seen);
        let peer = Self {
            device,
            key,
            first_seen_secs,
            presence,
            since_secs: seen.map_or(0, secs),
            stored: false,
            signature: None,
            old_signature: None,
            shows_old: None,
            vouched: 0,
            registrations: RateWindow::EMPTY,
        };
        (id, peer)
    }

    /// How to reach it, if it is here (C23, C32).
    pub(super) fn present(&self, now: Time) -> Option<Contact> {
        match self.presence {
            Presence::Here(contact) => {
                let here = contact.conn.is_some() || now.since_ms(contact.seen) < ONLINE_MS;
                here.then_some(contact)
            }
            Presence::Never(_) | Presence::Left(_) => None,
        }
    }

    /// Its last contact, though it may be away; None if it was not seen since start.
    pub(super) const fn last(&self) -> Option<&Contact> {
        self.presence.last()
    }

    /// The address it was last at, perhaps before this start; None if that is not known.
    pub(super) const fn last_ip(&self) -> Option<IpAddr> {
        self.presence.ip()
    }

    fn record(&self, id: &PeerId) -> Record {
        Record {
            id: id.clone(),
            device: self.device.clone(),
            key: self.key,
            first_seen_secs: self.first_seen_secs,
            state: RecordState::Registered(self.last_ip()),
        }
    }

    /// Whether it was seen with the old one of two server keys; None if that is not known.
    pub(super) const fn shows_old(&self) -> Option<bool> {
        self.shows_old
    }

    /// When it came, if it is here, in seconds since start.
    pub(super) const fn since_secs(&self) -> u32 {
        self.since_secs
    }

    /// Whether its device id proves nothing, as it is the key that initiators are given (C87).
    pub(super) fn is_public(&self) -> bool {
        self.device.as_bytes() == self.key.0
    }

    /// The open connection it is present on.
    pub(super) const fn connection(&self) -> Option<Conn> {
        match self.presence {
            Presence::Here(contact) => contact.conn,
            Presence::Never(_) | Presence::Left(_) => None,
        }
    }

    /// Its contact, if it registered after `then` and has not left since.
    pub(super) fn seen_after(&self, then: Time) -> Option<Contact> {
        match self.presence {
            Presence::Here(contact) if contact.seen > then => Some(contact),
            Presence::Never(_) | Presence::Here(_) | Presence::Left(_) => None,
        }
    }

    /// What was signed of it by that key.
    const fn signature(&mut self, signer: Signer<'_>) -> &mut Option<Box<Signature>> {
        if signer.old { &mut self.old_signature } else { &mut self.signature }
    }

    /// Counts a registration; false if there were too many (C19).
    pub(super) fn allow(&mut self, now: Time) -> bool {
        self.registrations.allow(now, ID_WINDOW_MS, REGISTRATIONS_PER_ID)
    }
}

/// All registered devices, the one seen longest ago first, and ids that nobody has and that are
/// kept for the devices they were of.
pub(super) struct Registry {
    pub(super) peers: Table<PeerId, Peer>,
    pub(super) kept: KeptIds,
    pub(super) recalls: Recalls,
    /// Those that can be dialled though nothing of them is stored (C97).
    provisional: Table<PeerId, Peer>,
    provisional_signatures: RateWindow,
    /// None of these can any more: an operator must let them in first (C185).
    #[cfg(feature = "accounts")]
    private: bool,
}

impl Registry {
    pub(super) fn new(limit: usize, seed: Seed) -> Self {
        Self {
            peers: Table::new(limit, seed),
            kept: KeptIds::new(seed),
            recalls: Recalls::default(),
            provisional: Table::new(PROVISIONAL_MAX, seed),
            provisional_signatures: RateWindow::EMPTY,
            #[cfg(feature = "accounts")]
            private: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Bytes allocated, if every device is dialled.
    #[cfg(feature = "testing")]
    pub(super) fn bytes(&self) -> usize {
        let peers = || self.peers.iter().chain(self.provisional.iter());
        let old = peers().filter(|(_, peer)| peer.old_signature.is_some()).count();
        let signatures = (peers().count() + old) * size_of::<Signature>();
        let tables = self.peers.bytes() + self.provisional.bytes() + self.kept.bytes();
        signatures + tables
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.peers.set_limit(limit);
    }

    /// Whether there is no room for another peer besides `more` that are being saved.
    pub(super) fn is_full_with(&self, more: usize) -> bool {
        self.peers.len().saturating_add(more) >= self.peers.limit()
    }

    /// The same for one from a source that is not proved: a part of the table is not for those.
    pub(super) fn has_room_for_unproved(&self, more: usize) -> bool {
        self.peers.len().saturating_add(more).saturating_mul(UNPROVED_PART) < self.peers.limit()
    }

    pub(super) fn peer(&self, id: &PeerId) -> Option<&Peer> {
        self.peers.get(id)
    }

    /// A peer that can be dialled if it is here: registered or provisional.
    pub(super) fn found(&self, id: &PeerId) -> Option<&Peer> {
        let stored = self.peers.get(id);
        #[cfg(feature = "accounts")]
        if self.private {
            return stored;
        }
        stored.or_else(|| self.provisional.get(id))
    }

    /// Whether those alone can be dialled who are stored.
    #[cfg(feature = "accounts")]
    pub(super) fn set_private(&mut self, private: bool) {
        self.private = private;
    }

    pub(super) fn provisional_len(&self) -> usize {
        self.provisional.len()
    }

    /// Has a device be dialled until it is registered, or forgotten as the oldest. Another one
    /// keeps the id as long as it is here: whoever of them is proved registers it.
    pub(super) fn put_provisional(&mut self, record: Record, contact: Contact) {
        let Record { id, device, key, .. } = &record;
        if let Some(peer) = self.provisional.get_mut(id) {
            if peer.device == *device && peer.key == *key {
                peer.presence = Presence::Here(contact);
                self.provisional.touch(id);
                return;
            }
            if peer.present(contact.seen).is_some() {
                return;
            }
        }
        let (id, peer) = Peer::new(record, Presence::Here(contact));
        self.provisional.insert_evicting(id, peer);
    }

    pub(super) fn peer_mut(&mut self, id: &PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(id)
    }

    /// Inserts or replaces a durable record, past the limit if need be: it is on disk, and were it
    /// not known here, another device could take its id. New ids are held to the limit before
    /// they are stored, by `is_full_with`. Whoever registered it is here now; without `contact`
    /// its presence stays as it is.
    ///
    /// # Errors
    /// [`TableFull`] at [`PEERS_CEILING`].
    pub(super) fn put(
        &mut self,
        record: Record,
        contact: Option<Contact>,
    ) -> Result<(), TableFull> {
        self.replace(record, contact.map(Presence::Here))
    }

    /// `put` with what a peer is now; None leaves what it was. A signature over another key is
    /// dropped.
    fn replace(&mut self, record: Record, presence: Option<Presence>) -> Result<(), TableFull> {
        let stored_ip = match record.state {
            RecordState::Registered(ip) => ip,
            RecordState::Forgotten(_) => None,
        };
        let presence = presence.unwrap_or(Presence::Never(stored_ip));
        let (peers, seen) = (&mut self.peers, presence.last().map(|contact| contact.seen));
        let (id, mut peer) = Peer::new(record, presence);
        self.provisional.remove(&id);
        if let Some(old) = peers.get(&id) {
            if seen.is_none() {
                peer.presence = old.presence;
            }
            if seen.is_none_or(|seen| old.present(seen).is_some()) {
                peer.since_secs = old.since_secs;
            }
            (peer.registrations, peer.shows_old) = (old.registrations, old.shows_old);
        } else if let Some(seen) = seen {
            peer.allow(seen);
        }
        peer.stored = peer.last_ip() == stored_ip;
        let limit = peers.limit();
        peers.set_limit(PEERS_CEILING);
        let kept = peers.insert(id, peer);
        peers.set_limit(limit);
        kept
    }

    /// The clock is set: who came before that is dated by when it came, and stored as who moved.
    pub(super) fn date(&mut self, epoch_secs: u64) {
        self.peers.each_mut(|_, peer| {
            if peer.first_seen_secs == 0 && peer.last().is_some() {
                peer.first_seen_secs = epoch_secs.saturating_add(peer.since_secs.into());
                peer.stored = false;
            }
        });
    }

    /// The records of all peers whose stored address is not the one they were last at.
    pub(super) fn relocated(&self) -> impl Iterator<Item = Record> {
        self.iter().filter(|(_, peer)| !peer.stored).map(|(id, peer)| peer.record(id))
    }

    /// What is to be stored of a peer.
    pub(super) fn record(&self, id: &PeerId) -> Option<Record> {
        self.peers.get(id).map(|peer| peer.record(id))
    }

    /// All peers; callers must not rely on the order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.peers.iter()
    }

    /// Removes a peer.
    pub(super) fn remove(&mut self, id: &PeerId) -> Option<Peer> {
        self.peers.remove(id)
    }

    /// Notes that a peer is here.
    pub(super) fn seen(&mut self, id: &PeerId, contact: Contact) {
        self.peers.touch_if(id, |peer| {
            if peer.present(contact.seen).is_none() {
                peer.since_secs = secs(contact.seen);
            }
            peer.stored &= peer.last_ip() == Some(contact.from.ip());
            peer.presence = Presence::Here(contact);
            true
        });
    }

    /// Notes that a peer is still where it is, and says whether what is known of its address is to
    /// be renewed; None, and nothing is changed, if it is not there.
    pub(super) fn seen_again(&mut self, id: &PeerId, contact: Contact) -> Option<bool> {
        let (mut renews, span) = (None, span(contact.seen));
        self.peers.touch_if(id, |peer| {
            if peer.present(contact.seen).is_some_and(|here| here.via() == contact.via()) {
                renews = Some(peer.vouched != span);
                (peer.presence, peer.vouched) = (Presence::Here(contact), span);
            }
            renews.is_some()
        });
        renews
    }

    /// Notes that the connection a peer was present on is closed (C32): it is away from `now` on.
    pub(super) fn left(&mut self, now: Time, id: &PeerId, conn: Conn) {
        if let Some(peer) = self.peers.get_mut(id)
            && let Presence::Here(contact) = peer.presence
            && contact.conn == Some(conn)
        {
            peer.presence = Presence::Left(Contact { seen: now, ..contact });
            self.peers.touch(id);
        }
    }

    /// Moves a peer to another id, where `record` is durable now. It is where it was.
    pub(super) fn rename(&mut self, from: &PeerId, record: Record) -> Result<(), TableFull> {
        let presence = self.peers.remove(from).map(|peer| peer.presence);
        self.replace(record, presence)
    }

    /// Makes a peer that is coming back the last one to be forgotten.
    pub(super) fn touch(&mut self, id: &PeerId) {
        self.peers.touch(id);
    }

    /// Signs the key of a provisional peer, before it is asked for; false if there were too many:
    /// anybody can make such peers, and their keys. Of a registered one there is nothing to do yet.
    pub(super) fn prepare_key(&mut self, now: Time, id: &PeerId, signer: Signer<'_>) -> bool {
        let waits = |peer: &mut Peer| peer.signature(signer).is_none();
        if self.peers.get(id).is_some() || !self.provisional.get_mut(id).is_some_and(waits) {
            return true;
        }
        let window = &mut self.provisional_signatures;
        window.allow(now, SIGNATURES_WINDOW_MS, PROVISIONAL_SIGNATURES)
            && self.signed_key(id, signer).is_some()
    }

    /// The peer's id and key under the server's signature, which is made once per stored key and
    /// server key; None if it is gone.
    pub(super) fn signed_key(&mut self, id: &PeerId, signer: Signer<'_>) -> Option<Vec<u8>> {
        let Self { peers, provisional, .. } = self;
        let peer = peers.get_mut(id).or_else(|| provisional.get_mut(id))?;
        let message = id_pk(id, &peer.key);
        let sign = || Box::new(signer.key.sign(&message));
        let signature = peer.signature(signer).get_or_insert_with(sign);
        Some([signature.0.as_slice(), &message].concat())
    }

    /// Notes which of two server keys a peer has.
    pub(super) fn note_shown(&mut self, id: &PeerId, old: bool) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.shows_old = Some(old);
        }
    }
}

/// What signs, for an initiator that has it.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) key: &'a ServerKey,
    /// Whether it is the old one of two.
    pub(super) old: bool,
}

/// Which of the spans of [`VOUCHED_MS`] it is, from 1; they are told apart for four hours.
fn span(at: Time) -> u8 {
    u8::try_from(at.as_millis() / VOUCHED_MS % 255 + 1).unwrap_or(u8::MAX)
}

fn secs(at: Time) -> u32 {
    u32::try_from(at.as_millis() / 1000).unwrap_or(u32::MAX)
}
