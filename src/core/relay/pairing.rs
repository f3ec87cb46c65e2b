//! Legs by their token: who waits, for how long, and how many may. It must not know messages.
//! C66, C67.

use alloc::vec;
use alloc::vec::Vec;

use static_assertions::const_assert;

use crate::base::address::{Endpoint, Prefix};
use crate::base::conn::Conn;
use crate::base::counters::DropReason;
use crate::base::limits::{IDLE_MS, Limits, PARKED_MS, RELAY_TOKEN_BYTES_MAX};
use crate::base::peer::RelayToken;
use crate::base::table::{Full, Seed, Table};
use crate::base::time::Time;
use crate::wire::ConnType;

/// What the two legs of a session brought into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The longer-lived kind of the two decides the idle rule (C69).
    pub conn_type: ConnType,
    /// One of them is blacklisted: the session gets the limited rate (C72).
    pub limited: bool,
}

impl Terms {
    const fn with(self, other: Self) -> Self {
        let conn_type = match (self.conn_type, other.conn_type) {
            (ConnType::Interactive, ConnType::Interactive) => ConnType::Interactive,
            (ConnType::Tunnel, _) | (_, ConnType::Tunnel) => ConnType::Tunnel,
        };
        Self { conn_type, limited: self.limited || other.limited }
    }
}

/// A connection that has not said what it wants.
struct Fresh {
    source: Prefix,
    since: Time,
    limited: bool,
}

/// A leg that waits for its partner.
struct Parked {
    conn: Conn,
    source: Prefix,
    terms: Terms,
    since: Time,
}

const_assert!(size_of::<Parked>() <= 40);
const_assert!(size_of::<RelayToken>() <= RELAY_TOKEN_BYTES_MAX + 8);

/// Every connection of the relay is in exactly one of fresh, parked and sessions. `tokens` finds
/// a parked leg by its connection, `crowds` those of one source, oldest first.
pub(super) struct Pairing {
    fresh: Table<Conn, Fresh>,
    parked: Table<RelayToken, Parked>,
    tokens: Table<Conn, RelayToken>,
    crowds: Table<Prefix, Vec<Conn>>,
    sessions: Table<Conn, Conn>,
    limits: Limits,
}

/// What became of a leg that named its token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// Nobody waits under it: the leg does now; `evicted` made room for it.
    Parked {
        /// The leg that waited longest, if room had to be made.
        evicted: Option<Conn>,
    },
    /// Its partner waited.
    Paired {
        /// The partner.
        waiting: Conn,
        /// Of both.
        terms: Terms,
    },
    /// Its partner waited, but there is no room for a session; both are forgotten.
    Refused {
        /// The partner.
        waiting: Conn,
    },
}

impl Pairing {
    /// No legs; every table hashes under `seed`.
    pub(super) fn new(limits: Limits, seed: Seed) -> Self {
        Self {
            fresh: Table::new(limits.connections, seed),
            parked: Table::new(limits.connections, seed),
            tokens: Table::new(limits.connections, seed),
            crowds: Table::new(limits.connections, seed),
            sessions: Table::new(limits.sessions.saturating_mul(2), seed),
            limits,
        }
    }

    /// Lower limits drop nobody who is there; they let nobody in until there is room again.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.fresh.set_limit(limits.connections);
        self.parked.set_limit(limits.connections);
        self.tokens.set_limit(limits.connections);
        self.crowds.set_limit(limits.connections);
        self.sessions.set_limit(limits.sessions.saturating_mul(2));
        self.limits = limits;
    }

    /// Fresh connections, parked legs, sessions.
    pub(super) fn occupancy(&self) -> (usize, usize, usize) {
        (self.fresh.len(), self.parked.len(), self.sessions.len() / 2)
    }

    /// A new connection; gives back the one to close if it found no room: whoever was silent
    /// longest, or itself while a lowered limit is exceeded.
    pub(super) fn opened(
        &mut self,
        now: Time,
        conn: Conn,
        (from, limited): (Endpoint, bool),
    ) -> Option<Conn> {
        let evicted = match self.fresh.len() == self.fresh.limit() {
            true => self.fresh.pop_oldest().map(|(evicted, _)| evicted),
            false => None,
        };
        let fresh = Fresh { source: from.prefix(), since: now, limited };
        match self.fresh.insert(conn, fresh) {
            Ok(_) => evicted,
            Err(Full) => Some(conn),
        }
    }

    /// A connection is gone; the session it was part of is over. Gives back the partner.
    pub(super) fn closed(&mut self, conn: Conn) -> Option<Conn> {
        self.fresh.remove(&conn);
        self.unpark(conn);
        let partner = self.sessions.remove(&conn)?;
        self.sessions.remove(&partner);
        Some(partner)
    }

    /// A connection names its token, its first message and its only one.
    ///
    /// # Errors
    /// `Unexpected` if it spoke before, `TableFull` if there is no place to wait in.
    pub(super) fn join(
        &mut self,
        now: Time,
        conn: Conn,
        (token, conn_type): (&RelayToken, ConnType),
    ) -> Result<Joined, DropReason> {
        let fresh = self.fresh.remove(&conn).ok_or(DropReason::Unexpected)?;
        let (source, terms) = (fresh.source, Terms { conn_type, limited: fresh.limited });
        let Some(waiting) = self.parked.get(token).map(|parked| parked.conn) else {
            let parked = Parked { conn, source, terms, since: now };
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

    /// Parks a leg. A source with too many waiting legs loses its own oldest, so that it cannot
    /// push out those of others; when all places are taken, the oldest leg of all gives way.
    fn park(&mut self, token: &RelayToken, parked: Parked) -> Result<Joined, DropReason> {
        let per_source = self.limits.parked_per_source;
        if per_source == 0 || self.parked.len() > self.parked.limit() {
            // Lowered limits: those who wait leave within PARKED_MS, nobody joins them.
            return Err(DropReason::TableFull);
        }
        let crowd = self.crowds.get(&parked.source);
        let evicted = match crowd.filter(|crowd| crowd.len() >= per_source) {
            Some(crowd) => crowd.first().copied(),
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
        match self.crowds.get_mut(&source) {
            Some(crowd) => crowd.push(conn),
            None => {
                let _ = self.crowds.insert(source, vec![conn]);
            }
        }
        Ok(Joined::Parked { evicted })
    }

    fn unpark(&mut self, conn: Conn) -> Option<Parked> {
        let token = self.tokens.remove(&conn)?;
        let parked = self.parked.remove(&token)?;
        let crowd = self.crowds.get_mut(&parked.source)?;
        crowd.retain(|other| *other != conn);
        if crowd.is_empty() {
            self.crowds.remove(&parked.source);
        }
        Some(parked)
    }

    /// When the first of those who must say or wait for something has run out of time.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let fresh = self.fresh.oldest().map(|(_, fresh)| fresh.since.after_ms(IDLE_MS));
        let parked = self.parked.oldest().map(|(_, parked)| parked.since.after_ms(PARKED_MS));
        match (fresh, parked) {
            (Some(fresh), Some(parked)) => Some(fresh.min(parked)),
            (one, other) => one.or(other),
        }
    }

    /// Takes out one connection whose time is up.
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
