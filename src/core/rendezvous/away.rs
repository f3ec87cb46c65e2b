//! Who is away for how long, through clean stops too, and gives way to a newcomer. C14.

use alloc::vec::Vec;

use crate::base::peer::PeerId;
use crate::base::time::Time;

use super::registry::{Peer, Registry};

/// Most peers that one search for somebody to forget skips because they are connected, however long
/// ago they registered. They count as newest then, so that the next search goes on behind them.
const CONNECTED_PASSED_MAX: usize = 16;

/// Who is away for less is not noted at a stop.
const AWAY_SECS_MIN: u32 = 3_600;

/// How long a peer has been away, 0 if it is present on a connection: what of that was before the
/// start counts, as far as a clean stop noted it.
fn away_ms(peer: &Peer, now: Time) -> u64 {
    match peer.last() {
        None => now.as_millis() + u64::from(peer.since_secs()) * 1000,
        Some(_) if peer.connection().is_some() => 0,
        Some(contact) => now.since_ms(contact.seen),
    }
}

impl Registry {
    /// Removes the peer that has been away longest, if that is at least `absent_ms` and it is not
    /// `busy` coming back.
    pub(super) fn forget_absent(
        &mut self,
        now: Time,
        absent_ms: u64,
        busy: impl Fn(&PeerId) -> bool,
    ) -> Option<PeerId> {
        for _ in 0..CONNECTED_PASSED_MAX {
            let connected = self.peers.oldest().filter(|(_, peer)| peer.connection().is_some());
            let Some(id) = connected.map(|(id, _)| id.clone()) else { break };
            self.peers.touch(&id);
        }
        let (id, oldest) = self.peers.oldest()?;
        if away_ms(oldest, now) < absent_ms || busy(id) {
            return None;
        }
        self.peers.pop_oldest().map(|(id, _)| id)
    }

    /// Those who are away for long, with the seconds, longest first.
    pub(super) fn away(&self, now: Time) -> impl Iterator<Item = (&PeerId, u32)> {
        self.iter().filter_map(move |(id, peer)| {
            let secs = u32::try_from(away_ms(peer, now) / 1000).unwrap_or(u32::MAX);
            (secs >= AWAY_SECS_MIN).then_some((id, secs))
        })
    }

    /// Before anybody came: these were away so long already, longest first, all others less.
    pub(super) fn were_away(&mut self, away: Vec<(PeerId, u32)>) {
        let mut others = if away.is_empty() { 0 } else { self.len() };
        for (id, secs) in away {
            let noted = self.peers.touch_if(&id, |peer| {
                peer.since_secs = secs;
                true
            });
            others = others.saturating_sub(usize::from(noted));
        }
        for _ in 0..others {
            let Some(id) = self.peers.oldest().map(|(id, _)| id.clone()) else { break };
            self.peers.touch(&id);
        }
    }
}
