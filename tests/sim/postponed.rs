//! Claims by datagram of ids that nobody has, answered that they are to come again. The machine may
//! have their ids dialled meanwhile, or not: what it does must fit one of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Via;
use hbb_core::base::limits::{ONLINE_MS, PUNCH_MS};
use hbb_core::base::peer::{PeerId, PeerKey};

struct Claim {
    key: PeerKey,
    from: Endpoint,
    seen: u64,
}

/// By id; a claim counts until nobody can be answered for it any more.
#[derive(Default)]
pub(crate) struct Postponed(BTreeMap<PeerId, Vec<Claim>>);

impl Postponed {
    pub(crate) fn note(&mut self, id: &PeerId, key: PeerKey, (from, now): (Endpoint, u64)) {
        let claims = self.0.entry(id.clone()).or_default();
        claims.retain(|claim| now - claim.seen < ONLINE_MS + PUNCH_MS);
        claims.push(Claim { key, from, seen: now });
    }

    pub(crate) fn contains(&self, id: &PeerId) -> bool {
        self.0.contains_key(id)
    }

    /// Whether the id was claimed from there a short while ago.
    pub(crate) fn is_at(&self, id: &PeerId, via: Via, now: u64) -> bool {
        let here = |claim: &Claim| Via::Datagram(claim.from) == via && now - claim.seen < ONLINE_MS;
        self.0.get(id).is_some_and(|claims| claims.iter().any(here))
    }

    /// Whether the id was claimed from that address, not too long ago to be answered.
    pub(crate) fn came_from(&self, id: &PeerId, ip: IpAddr) -> bool {
        self.0.get(id).is_some_and(|claims| claims.iter().any(|claim| claim.from.ip() == ip))
    }

    /// The keys that were claimed for an id.
    pub(crate) fn keys(&self, id: &PeerId) -> impl Iterator<Item = &PeerKey> {
        self.0.get(id).into_iter().flatten().map(|claim| &claim.key)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
