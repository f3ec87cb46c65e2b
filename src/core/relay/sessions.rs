//! Which two legs are joined, how many there may be, and who gives way to whom. It must not know
//! tokens. C106.

use static_assertions::const_assert;

use crate::base::address::Prefix;
use crate::base::conn::Conn;
use crate::base::limits::SESSION_IDLE_MS;
use crate::base::table::{Seed, Table, TableFull};
use crate::base::time::Time;

use super::crowd::{Crowd, Share};

/// A leg of a session.
struct JoinedLeg {
    partner: Conn,
    source: Prefix,
    known: bool,
    /// When something was last seen to have moved.
    moved: Time,
}

const_assert!(size_of::<JoinedLeg>() <= 40);

/// Two legs that are to be joined.
pub(super) struct NewPair {
    /// The leg that waited and the one that came.
    pub(super) conns: [Conn; 2],
    /// Where they come from.
    pub(super) sources: [Prefix; 2],
    /// Whether their token passed our signalling.
    pub(super) known: bool,
}

/// All sessions; each leg finds its partner.
pub(super) struct SessionTable {
    /// Longest silent first.
    legs: Table<Conn, JoinedLeg>,
    crowd: Crowd,
}

impl SessionTable {
    /// Room for so many sessions; the tables hash under `seed`.
    pub(super) fn new(sessions: usize, seed: Seed) -> Self {
        Self { legs: Table::new(sessions.saturating_mul(2), seed), crowd: Crowd::new(seed) }
    }

    /// Changes how many sessions there may be. A lower number ends none.
    pub(super) fn set_limit(&mut self, sessions: usize) {
        self.legs.set_limit(sessions.saturating_mul(2));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.legs.len() / 2
    }

    /// Joins two legs; gives back both legs of the session that gave way to theirs, if one had to.
    /// Pairs that are not known have a quarter of all places, or all if nobody tells us tokens
    /// (`alone`), of which an address may have half and a network three quarters. So may known
    /// ones, of all places; what is beyond counts as not known.
    ///
    /// # Errors
    /// [`TableFull`] if there is no place, and nobody who must give way.
    pub(super) fn join(
        &mut self,
        now: Time,
        pair: &NewPair,
        alone: bool,
    ) -> Result<Option<[Conn; 2]>, TableFull> {
        let (places, sources) = (self.legs.limit(), pair.sources);
        let others = Share::of(if alone { places } else { places / 4 });
        let known = pair.known && self.crowd.fit(sources, true, Share::of(places));
        if self.legs.len() > places || (!known && !self.crowd.fit(sources, false, others)) {
            return Err(TableFull);
        }
        let full = self.legs.len() + 2 > places;
        let evicted = match full || (!known && self.crowd.others() + 2 > others.all) {
            true => Some(self.make_room(now, sources, known).ok_or(TableFull)?),
            false => None,
        };
        let [one, other] = pair.conns;
        for ((conn, partner), source) in [(one, other), (other, one)].into_iter().zip(sources) {
            self.legs.insert(conn, JoinedLeg { partner, source, known, moved: now })?;
            self.crowd.add(source, known);
        }
        Ok(evicted)
    }

    /// Ends the longest silent session of the address that has most. One that is known never gives
    /// way; one that is not gives way to a known one, and to another one only if it idles and the
    /// newcomer's addresses have less.
    fn make_room(&mut self, now: Time, sources: [Prefix; 2], known: bool) -> Option<[Conn; 2]> {
        let (greediest, held) = self.crowd.greediest()?;
        let mut legs = self.legs.iter();
        let (conn, leg) = legs.find(|(_, leg)| !leg.known && leg.source == greediest)?;
        let idles = now.since_ms(leg.moved) >= SESSION_IDLE_MS;
        let less = |source: &Prefix| self.crowd.of_address(*source, false) + 2 < held;
        let must = known || (idles && sources.iter().all(less));
        if !must {
            return None;
        }
        let (conn, partner) = (*conn, leg.partner);
        drop(legs);
        self.closed(conn);
        Some([conn, partner])
    }

    /// Forgets the session of a leg; gives back its partner.
    pub(super) fn closed(&mut self, conn: Conn) -> Option<Conn> {
        let partner = self.forget(conn)?;
        self.forget(partner);
        Some(partner)
    }

    fn forget(&mut self, conn: Conn) -> Option<Conn> {
        let leg = self.legs.remove(&conn)?;
        self.crowd.remove(leg.source, leg.known);
        Some(leg.partner)
    }

    /// Something moved in the session of this leg.
    pub(super) fn moved(&mut self, now: Time, conn: Conn) {
        let Some(partner) = self.legs.get(&conn).map(|leg| leg.partner) else { return };
        for conn in [conn, partner] {
            if let Some(leg) = self.legs.get_mut(&conn) {
                leg.moved = now;
            }
            self.legs.touch(&conn);
        }
    }
}
