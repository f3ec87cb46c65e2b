//! Legs by their token: which wait, for how long, and how many may. It must not know messages.
//! C66, C67.

use alloc::vec;
use alloc::vec::Vec;

use static_assertions::const_assert;

use crate::base::address::Prefix;
use crate::base::conn::Conn;
use crate::base::counters::DropReason;
use crate::base::limits::{IDLE_MS, Limits, PARKED_MS, RELAY_TOKEN_BYTES_MAX};
use crate::base::peer::RelayToken;
use crate::base::table::{Seed, Table, TableFull};
use crate::base::time::Time;
use crate::wire::ConnType;

/// The rules a session runs under, which follow from its two legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTerms {
    /// Decides how long the session may be idle (C69): a tunnel if either leg is one.
    pub conn_type: ConnType,
    /// Whether the session gets the limited rate: one of its legs is blacklisted (C72).
    pub limited: bool,
}

impl SessionTerms {
    const fn with(self, other: Self) -> Self {
        let conn_type = match (self.conn_type, other.conn_type) {
            (ConnType::Interactive, ConnType::Interactive) => ConnType::Interactive,
            (ConnType::Tunnel, _) | (_, ConnType::Tunnel) => ConnType::Tunnel,
        };
        Self { conn_type, limited: self.limited || other.limited }
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
    since: Time,
}

const_assert!(size_of::<ParkedLeg>() <= 40);
const_assert!(size_of::<RelayToken>() <= RELAY_TOKEN_BYTES_MAX + 8);

/// Every connection of the relay is in exactly one of `fresh`, `parked` and `sessions`. `tokens`
/// finds a parked leg by its connection, `by_source` those of one source, oldest first.
pub(super) struct Pairing {
    fresh: Table<Conn, Fresh>,
    parked: Table<RelayToken, ParkedLeg>,
    tokens: Table<Conn, RelayToken>,
    by_source: Table<Prefix, Vec<Conn>>,
    sessions: Table<Conn, Conn>,
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
    },
    /// Its partner waited.
    Paired {
        /// The leg that waited under the same token.
        waiting: Conn,
        /// What follows from both legs.
        terms: SessionTerms,
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
            by_source: Table::new(limits.connections, seed),
            sessions: Table::new(limits.sessions.saturating_mul(2), seed),
            limits,
        }
    }

    /// Changes the limits. Lower ones drop nobody; they let nobody in until there is room again.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.fresh.set_limit(limits.connections);
        self.parked.set_limit(limits.connections);
        self.tokens.set_limit(limits.connections);
        self.by_source.set_limit(limits.connections);
        self.sessions.set_limit(limits.sessions.saturating_mul(2));
        self.limits = limits;
    }

    pub(super) fn counts(&self) -> LegCounts {
        let (fresh, parked) = (self.fresh.len(), self.parked.len());
        LegCounts { fresh, parked, sessions: self.sessions.len() / 2 }
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
        let partner = self.sessions.remove(&conn)?;
        self.sessions.remove(&partner);
        Some(partner)
    }

    /// Takes the token of a connection, which is its first message and its only one.
    ///
    /// # Errors
    /// `Unexpected` if it sent one before, `TableFull` if there is no place to wait in.
    pub(super) fn join(
        &mut self,
        now: Time,
        conn: Conn,
        token: &RelayToken,
        conn_type: ConnType,
    ) -> Result<Joined, DropReason> {
        let fresh = self.fresh.remove(&conn).ok_or(DropReason::Unexpected)?;
        let (source, terms) = (fresh.source, SessionTerms { conn_type, limited: fresh.limited });
        let Some(waiting) = self.parked.get(token).map(|parked| parked.conn) else {
            let parked = ParkedLeg { conn, source, terms, since: now };
            return self.park(token, parked);
        };
        let terms = self.unpark(waiting).map_or(terms, |parked| parked.terms.with(terms));
        if self.sessions.len() + 2 > self.sessions.limit() {
            return Ok(Joined::Refused { waiting });
        }
        // There is room for two.
        let _ = self.sessions.insert(waiting, conn);
        let _ = self.sessions.insert(conn, waiting);
        Ok(Joined::Paired { waiting, terms })
    }

    /// Parks a leg. A source with too many parked legs loses its own oldest, so that it cannot
    /// push out those of others; when all places are taken, the oldest of all gives way.
    fn park(&mut self, token: &RelayToken, parked: ParkedLeg) -> Result<Joined, DropReason> {
        let per_source = self.limits.parked_per_source;
        if per_source == 0 || self.parked.len() > self.parked.limit() {
            // The limits were lowered: those who wait leave within PARKED_MS, nobody joins them.
            return Err(DropReason::TableFull);
        }
        let legs = self.by_source.get(&parked.source);
        let evicted = match legs.filter(|legs| legs.len() >= per_source) {
            Some(legs) => legs.first().copied(),
            None if self.parked.is_full() => self.parked.oldest().map(|(_, oldest)| oldest.conn),
            None => None,
        };
        if let Some(evicted) = evicted {
            self.unpark(evicted);
        }
        let (conn, source) = (parked.conn, parked.source);
        self.parked.insert(token.clone(), parked).map_err(|_| DropReason::TableFull)?;
        // Neither has more entries than `parked` nor a lower limit: there is room.
        let _ = self.tokens.insert(conn, token.clone());
        match self.by_source.get_mut(&source) {
            Some(legs) => legs.push(conn),
            None => {
                let _ = self.by_source.insert(source, vec![conn]);
            }
        }
        Ok(Joined::Parked { evicted })
    }

    fn unpark(&mut self, conn: Conn) -> Option<ParkedLeg> {
        let token = self.tokens.remove(&conn)?;
        let parked = self.parked.remove(&token)?;
        let legs = self.by_source.get_mut(&parked.source)?;
        legs.retain(|other| *other != conn);
        if legs.is_empty() {
            self.by_source.remove(&parked.source);
        }
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
