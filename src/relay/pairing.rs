//! Legs by their token: who waits, for how long, and how many may. C66, C67.

use crate::base::conn::Conn;
use crate::base::counters::DropReason;
use crate::base::endpoint::{Endpoint, Prefix};
use crate::base::limits::{IDLE_MS, Limits, PARKED_MS};
use crate::base::peer::RelayToken;
use crate::base::table::{Seed, Table};
use crate::base::time::Time;
use crate::wire::ConnType;

/// A connection that has not said what it wants.
struct Fresh {
    source: Prefix,
    since: Time,
}

/// A leg that waits for its partner.
struct Parked {
    conn: Conn,
    source: Prefix,
    conn_type: ConnType,
    since: Time,
}

/// Every connection of the relay is in exactly one of fresh, parked and sessions.
pub(super) struct Pairing {
    fresh: Table<Conn, Fresh>,
    parked: Table<RelayToken, Parked>,
    tokens: Table<Conn, RelayToken>,
    crowds: Table<Prefix, usize>,
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
        /// The longer-lived kind of the two.
        conn_type: ConnType,
    },
    /// Its partner waited, but there is no room for a session; both are forgotten.
    Refused {
        /// The partner.
        waiting: Conn,
    },
}

impl Pairing {
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

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.fresh.set_limit(limits.connections);
        self.parked.set_limit(limits.connections);
        self.tokens.set_limit(limits.connections);
        self.crowds.set_limit(limits.connections);
        self.sessions.set_limit(limits.sessions.saturating_mul(2));
        self.limits = limits;
    }

    pub(super) fn occupancy(&self) -> (usize, usize, usize) {
        (self.fresh.len(), self.parked.len(), self.sessions.len() / 2)
    }

    /// A new connection; gives back the one that was silent longest if that had to make room.
    pub(super) fn opened(&mut self, now: Time, conn: Conn, from: Endpoint) -> Option<Conn> {
        let fresh = Fresh { source: from.prefix(), since: now };
        self.fresh.insert_evicting(conn, fresh).map(|(evicted, _)| evicted)
    }

    /// A connection is gone; the session it was part of is over.
    pub(super) fn closed(&mut self, conn: Conn) {
        self.fresh.remove(&conn);
        self.unpark(conn);
        if let Some(partner) = self.sessions.remove(&conn) {
            self.sessions.remove(&partner);
        }
    }

    /// A connection names its token.
    pub(super) fn join(
        &mut self,
        now: Time,
        conn: Conn,
        (token, conn_type): (&RelayToken, ConnType),
    ) -> Result<Joined, DropReason> {
        let Fresh { source, .. } = self.fresh.remove(&conn).ok_or(DropReason::Unexpected)?;
        let Some(waiting) = self.parked.get(token).map(|parked| parked.conn) else {
            let parked = Parked { conn, source, conn_type, since: now };
            return self.park(token, parked);
        };
        let other = self.unpark(waiting).map_or(conn_type, |parked| parked.conn_type);
        if self.sessions.len() + 2 > self.sessions.limit() {
            return Ok(Joined::Refused { waiting });
        }
        let _ = self.sessions.insert(waiting, conn);
        let _ = self.sessions.insert(conn, waiting);
        let conn_type = match (conn_type, other) {
            (ConnType::Interactive, ConnType::Interactive) => ConnType::Interactive,
            (ConnType::Tunnel, _) | (_, ConnType::Tunnel) => ConnType::Tunnel,
        };
        Ok(Joined::Paired { waiting, conn_type })
    }

    /// Parks a leg. A source with too many waiting legs is refused another, so that it cannot
    /// push out those of others; when all places are taken, the oldest leg gives way.
    fn park(&mut self, token: &RelayToken, parked: Parked) -> Result<Joined, DropReason> {
        let crowd = self.crowds.get(&parked.source).copied().unwrap_or(0);
        if crowd >= self.limits.parked_per_source {
            return Err(DropReason::TooFrequent);
        }
        let oldest = self.parked.oldest().map(|(_, oldest)| oldest.conn);
        let evicted = oldest.filter(|_| self.parked.is_full());
        if let Some(conn) = evicted {
            self.unpark(conn);
        }
        let (conn, source) = (parked.conn, parked.source);
        self.parked.insert(token.clone(), parked).map_err(|_| DropReason::TableFull)?;
        let _ = self.tokens.insert(conn, token.clone());
        let _ = self.crowds.insert(source, crowd + 1);
        Ok(Joined::Parked { evicted })
    }

    fn unpark(&mut self, conn: Conn) -> Option<Parked> {
        let token = self.tokens.remove(&conn)?;
        let parked = self.parked.remove(&token)?;
        match self.crowds.get_mut(&parked.source) {
            Some(crowd) if *crowd > 1 => *crowd -= 1,
            _ => {
                self.crowds.remove(&parked.source);
            }
        }
        Some(parked)
    }

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
