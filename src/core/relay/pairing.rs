//! Legs by their token: which wait, for how long, and how many may. It must not know messages.
//! C66, C67, C106, C118.

use static_assertions::const_assert;

use crate::base::address::{Endpoint, Prefix};
use crate::base::conn::Conn;
use crate::base::counters::DropReason;
use crate::base::limits::{IDLE_MS, Limits, PARKED_MS, RELAY_TOKEN_BYTES_MAX, TOKENS_REFUSED_MAX};
use crate::base::peer::RelayToken;
use crate::base::table::{Seed, Table, TableFull};
use crate::base::time::Time;
use crate::wire::ConnType;

use super::crowd::{Crowd, Share};
use super::known::{KnownTokens, RecentTokens};
use super::sessions::{NewPair, SessionTable};

/// The rules a session runs under, which follow from its two legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTerms {
    /// Decides how long the session may be idle (C69): a tunnel if either leg is one.
    pub conn_type: ConnType,
    /// Whether the session gets the limited rate: one of its legs is blacklisted (C72).
    pub limited: bool,
    /// Its token passed our signalling, or nobody tells us of any (C106).
    pub known: bool,
}

impl SessionTerms {
    const fn with(self, other: Self) -> Self {
        let conn_type = match (self.conn_type, other.conn_type) {
            (ConnType::Interactive, ConnType::Interactive) => ConnType::Interactive,
            (ConnType::Tunnel, _) | (_, ConnType::Tunnel) => ConnType::Tunnel,
        };
        let (limited, known) = (self.limited || other.limited, self.known || other.known);
        Self { conn_type, limited, known }
    }
}

/// A connection that has not yet sent its first message.
pub(super) struct Fresh {
    /// The source it counts against.
    pub(super) source: Prefix,
    /// When it was accepted.
    pub(super) since: Time,
    /// Whether its address is blacklisted.
    pub(super) limited: bool,
}

/// A leg that waits for its partner.
struct ParkedLeg {
    conn: Conn,
    source: Prefix,
    terms: SessionTerms,
    /// Whether its token passed our signalling.
    known: bool,
    since: Time,
}

const_assert!(size_of::<ParkedLeg>() <= 40);
const_assert!(size_of::<RelayToken>() <= RELAY_TOKEN_BYTES_MAX + 8);

/// Every connection of the relay is in exactly one of `fresh`, `parked` and `sessions`. `tokens`
/// finds a parked leg by its connection.
pub(super) struct Pairing {
    fresh: Table<Conn, Fresh>,
    parked: Table<RelayToken, ParkedLeg>,
    tokens: Table<Conn, RelayToken>,
    /// Where those that are parked come from.
    crowd: Crowd,
    sessions: SessionTable,
    known: KnownTokens,
    /// Of legs that were refused before their partner came.
    refused: RecentTokens,
    /// Whether nobody tells us tokens, as there is no signalling beside us.
    alone: bool,
    limits: Limits,
}

/// How many connections a relay has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegCounts {
    /// Connections that have not sent their first message.
    pub fresh: usize,
    /// Legs that wait for a partner.
    pub parked: usize,
    /// Sessions, of two legs each.
    pub sessions: usize,
}

/// What became of a leg that sent its token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// No leg waits under this token: now this one does.
    Parked {
        /// The leg that gave way to it, if room had to be made.
        evicted: Option<Conn>,
        /// Its token passed our signalling.
        known: bool,
    },
    /// Its partner waited.
    Paired {
        /// The leg that waited under the same token.
        waiting: Conn,
        /// What follows from both legs.
        terms: SessionTerms,
        /// The legs of a session that gave way to this one.
        evicted: Option<[Conn; 2]>,
    },
    /// Its partner waited, but there is no room for a session; both legs are forgotten.
    Refused {
        /// The leg that waited under the same token, to be closed like the new one.
        waiting: Conn,
    },
}

impl Pairing {
    /// Starts without legs; every table hashes under `seed`.
    pub(super) fn new(limits: Limits, seed: Seed) -> Self {
        Self {
            fresh: Table::new(limits.connections, seed),
            parked: Table::new(limits.connections, seed),
            tokens: Table::new(limits.connections, seed),
            crowd: Crowd::new(seed),
            sessions: SessionTable::new(limits.sessions, seed),
            known: KnownTokens::new(seed),
            refused: RecentTokens::new(TOKENS_REFUSED_MAX, seed),
            alone: true,
            limits,
        }
    }

    /// From now on somebody tells us tokens.
    pub(super) const fn heed_tokens(&mut self) {
        self.alone = false;
    }

    /// Changes the limits. Lower ones drop nobody; they let nobody in until there is room again.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.fresh.set_limit(limits.connections);
        self.parked.set_limit(limits.connections);
        self.tokens.set_limit(limits.connections);
        self.sessions.set_limit(limits.sessions);
        self.limits = limits;
    }

    pub(super) fn counts(&self) -> LegCounts {
        let (fresh, parked) = (self.fresh.len(), self.parked.len());
        LegCounts { fresh, parked, sessions: self.sessions.len() }
    }

    /// A token passed our signalling; a leg that waits under it is known from now on, and given
    /// back.
    pub(super) fn expect(&mut self, now: Time, token: &RelayToken, from: Endpoint) -> Option<Conn> {
        if !self.known.add(now, token, from) {
            return None;
        }
        let parked = self.parked.get_mut(token).filter(|parked| !parked.known)?;
        parked.known = true;
        parked.terms.known = true;
        self.crowd.remove(parked.source, false);
        self.crowd.add(parked.source, true);
        Some(parked.conn)
    }

    /// Something moved in the session of this leg.
    pub(super) fn moved(&mut self, now: Time, conn: Conn) {
        self.sessions.moved(now, conn);
    }

    /// Adds a connection. If there is no room, gives back the one to close: whoever was silent
    /// longest, or the new one while a lowered limit is exceeded.
    pub(super) fn opened(&mut self, conn: Conn, fresh: Fresh) -> Option<Conn> {
        let evicted = match self.fresh.len() == self.fresh.limit() {
            true => self.fresh.pop_oldest().map(|(evicted, _)| evicted),
            false => None,
        };
        match self.fresh.insert(conn, fresh) {
            Ok(_) => evicted,
            Err(TableFull) => Some(conn),
        }
    }

    /// Forgets a connection and the session it was part of; gives back its partner.
    pub(super) fn closed(&mut self, conn: Conn) -> Option<Conn> {
        self.fresh.remove(&conn);
        self.unpark(conn);
        self.sessions.closed(conn)
    }

    /// Takes the token of a connection, which is its first message and its only one.
    ///
    /// # Errors
    /// `Unexpected` if it sent one before, `LegsFull` if there is no place to wait in,
    /// `PartnerRefused` if its partner came and was refused.
    pub(super) fn join(
        &mut self,
        now: Time,
        conn: Conn,
        token: &RelayToken,
        conn_type: ConnType,
    ) -> Result<Joined, DropReason> {
        let fresh = self.fresh.remove(&conn).ok_or(DropReason::Unexpected)?;
        let Fresh { source, limited, .. } = fresh;
        let known = self.known.has(now, token);
        let terms = SessionTerms { conn_type, limited, known: known || self.alone };
        let Some(waiting) = self.parked.get(token).map(|parked| parked.conn) else {
            if self.refused.has(now, token) {
                return Err(DropReason::PartnerRefused);
            }
            let parked = ParkedLeg { conn, source, terms, known, since: now };
            return self.park(token, parked);
        };
        let parked = self.unpark(waiting).ok_or(DropReason::Bug)?;
        let pair = NewPair {
            conns: [waiting, conn],
            sources: [parked.source, source],
            known: known || parked.known,
        };
        Ok(match self.sessions.join(now, &pair, self.alone) {
            Ok(evicted) => Joined::Paired { waiting, terms: parked.terms.with(terms), evicted },
            Err(TableFull) => Joined::Refused { waiting },
        })
    }

    /// A leg that brought this token was refused: whoever waits under it is forgotten and given
    /// back (C118). Who comes under it later is not to wait, where our signalling told us the token
    /// or nobody tells us any: then so many of each source and network count.
    pub(super) fn refuse(&mut self, now: Time, conn: Conn, token: &RelayToken) -> Option<Conn> {
        if let Some(waiting) = self.parked.get(token).map(|parked| parked.conn) {
            self.unpark(waiting);
            return Some(waiting);
        }
        let counts = self.known.has(now, token) || {
            let fresh = self.fresh.get(&conn).filter(|_| self.alone);
            fresh.is_some_and(|fresh| self.known.may_add(now, fresh.source))
        };
        if counts {
            self.refused.add(now, token);
        }
        None
    }

    /// Parks a leg in the place of the one that must give way to it, if there is no other.
    fn park(&mut self, token: &RelayToken, parked: ParkedLeg) -> Result<Joined, DropReason> {
        if self.limits.parked_per_source == 0 || self.parked.len() > self.parked.limit() {
            // The limits were lowered: those who wait leave within PARKED_MS, nobody joins them.
            return Err(DropReason::LegsFull);
        }
        let evicted = self.must_give_way(&parked);
        if let Some(evicted) = evicted {
            self.unpark(evicted);
        }
        let (conn, source, known) = (parked.conn, parked.source, parked.known);
        self.parked.insert(token.clone(), parked).map_err(|_| DropReason::LegsFull)?;
        // It has no more entries than `parked` nor a lower limit: there is room.
        let _ = self.tokens.insert(conn, token.clone());
        self.crowd.add(source, known);
        Ok(Joined::Parked { evicted, known })
    }

    /// Who makes room for a leg that comes. A source with too many parked legs loses its own
    /// oldest, so that it cannot push out those of others. Of those that are not known, a network
    /// has three quarters of a quarter of the places, and all together that quarter (alone, all of
    /// them); then the oldest goes. No known one ever makes room for one that is not.
    fn must_give_way(&self, leg: &ParkedLeg) -> Option<Conn> {
        let &ParkedLeg { source, known, .. } = leg;
        if self.crowd.of_address(source, known) >= self.limits.parked_per_source {
            return self.oldest(|parked| parked.source == source && parked.known == known);
        }
        let places = self.limits.connections;
        let others = Share::of(if self.alone { places } else { places / 4 });
        if !known && self.crowd.of_network(source, false) >= others.network {
            let network = source.network();
            return self.oldest(|parked| !parked.known && parked.source.network() == network);
        }
        if self.parked.is_full() || (!known && self.crowd.others() >= others.all) {
            let other = self.oldest(|parked| !parked.known);
            return other.or_else(|| self.oldest(|_| known));
        }
        None
    }

    /// The oldest parked leg of some.
    fn oldest(&self, which: impl Fn(&ParkedLeg) -> bool) -> Option<Conn> {
        self.parked.iter().find(|(_, parked)| which(parked)).map(|(_, parked)| parked.conn)
    }

    fn unpark(&mut self, conn: Conn) -> Option<ParkedLeg> {
        let token = self.tokens.remove(&conn)?;
        let parked = self.parked.remove(&token)?;
        self.crowd.remove(parked.source, parked.known);
        Some(parked)
    }

    /// When the next fresh connection or parked leg runs out of time.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let fresh = self.fresh.oldest().map(|(_, fresh)| fresh.since.after_ms(IDLE_MS));
        let parked = self.parked.oldest().map(|(_, parked)| parked.since.after_ms(PARKED_MS));
        match (fresh, parked) {
            (Some(fresh), Some(parked)) => Some(fresh.min(parked)),
            (one, other) => one.or(other),
        }
    }

    /// Removes one connection whose time is up.
    pub(super) fn expire(&mut self, now: Time) -> Option<(Conn, DropReason)> {
        if let Some((conn, fresh)) = self.fresh.oldest()
            && now.since_ms(fresh.since) >= IDLE_MS
        {
            let conn = *conn;
            self.fresh.remove(&conn);
            return Some((conn, DropReason::Idle));
        }
        let (_, parked) = self.parked.oldest()?;
        if now.since_ms(parked.since) < PARKED_MS {
            return None;
        }
        let conn = parked.conn;
        self.unpark(conn);
        Some((conn, DropReason::Unpaired))
    }
}
