//! Which relay legs belong together: a pure machine. It must not know sockets, clocks, logs or
//! the rendezvous. C65-C67, C69-C71, C106, C118.

pub mod budget;
mod crowd;
mod known;
mod pairing;
mod sessions;

use alloc::boxed::Box;
use core::net::IpAddr;

use heapless::Deque;

use crate::base::address::{Endpoint, NetworkSet};
use crate::base::conn::Conn;
use crate::base::counters::{Counters, DropReason};
use crate::base::limits::{EFFECTS_MAX, Limits};
use crate::base::peer::RelayToken;
use crate::base::table::Seed;
use crate::base::time::Time;
use crate::wire::request::{Given, Request};

use pairing::{Fresh, Joined, Pairing};
pub use pairing::{LegCounts, SessionTerms};

/// What happens to the relay.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A connection was accepted.
    Opened {
        /// Its handle, until `Closed`.
        conn: Conn,
        /// Where it came from.
        from: Endpoint,
    },
    /// Its first message arrived.
    Request {
        /// The connection it came on.
        conn: Conn,
        /// What it says, decoded.
        request: Request<'a>,
    },
    /// Two peers were told to meet here: legs that bring this token are known for a while.
    Expected {
        /// What both will bring.
        token: RelayToken,
        /// Whoever told the other one: so many tokens an address or network are remembered.
        from: Endpoint,
    },
    /// Bytes moved in a session since the shell last looked.
    Moved {
        /// One of its legs.
        conn: Conn,
    },
    /// A connection is gone, for whatever reason, before or after pairing.
    Closed {
        /// Its handle, free for another from now on.
        conn: Conn,
    },
}

/// What the relay wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep the connection and whatever arrives on it until its partner comes.
    Park {
        /// The waiting leg.
        conn: Conn,
        /// Its token passed our signalling: it gives way to nobody (C106).
        known: bool,
    },
    /// The token of a leg that waits passed our signalling now.
    Known {
        /// The waiting leg.
        conn: Conn,
    },
    /// Join the two connections; both stay known as one session until either is `Closed`.
    Pair {
        /// The leg that waited.
        waiting: Conn,
        /// The leg that completed the pair.
        joining: Conn,
        /// The rules of the session.
        terms: SessionTerms,
    },
    /// Tell the rendezvous beside us which of two keys a leg showed (C157).
    Showed {
        /// The leg.
        conn: Conn,
        /// What it brought.
        token: RelayToken,
        /// Whether it was the old key.
        old: bool,
    },
    /// Close the connection silently (C66).
    Close {
        /// A fresh connection, a parked leg, one of a pair that breaks a rule, or one of a session
        /// that gives way to another (C106): then its partner is told of as well.
        conn: Conn,
        /// What it did or failed to do, for log and counters.
        reason: DropReason,
    },
}

/// What one input or timeout led to, in order.
pub type Effects = Deque<Effect, EFFECTS_MAX>;

/// Addresses to slow down or to shut out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLists {
    /// Sessions from here get the limited rate.
    pub black: NetworkSet,
    /// Connections from here are closed at once.
    pub block: NetworkSet,
    /// So are those of whoever is shut out.
    pub banned: NetworkSet,
}

impl SourceLists {
    /// Whether nobody from there is relayed.
    pub fn refuse(&self, ip: IpAddr) -> bool {
        self.block.contains(ip) || self.banned.contains(ip)
    }
}

/// The relay machine.
pub struct Relay {
    pairing: Pairing,
    lists: SourceLists,
    access_key: Option<Box<str>>,
    /// The key before, which is as good for a while yet (C156).
    old_key: Option<&'static str>,
    counters: Counters,
}

impl Relay {
    /// A relay without legs. Legs must present `access_key` if there is one; `seed` keys the
    /// tables.
    pub fn new(limits: Limits, access_key: Option<Box<str>>, seed: Seed) -> Self {
        let pairing = Pairing::new(limits, seed);
        let (lists, counters) = (SourceLists::default(), Counters::default());
        Self { pairing, lists, access_key, old_key: None, counters }
    }

    /// The same relay beside a rendezvous which tells it tokens ([`Input::Expected`]): legs that
    /// bring others share a quarter of the places.
    #[must_use]
    pub fn beside_rendezvous(mut self) -> Self {
        self.pairing.heed_tokens();
        self
    }

    /// Changes limits and access key; no leg and no session is lost.
    pub fn reconfigure(&mut self, limits: Limits, access_key: Option<Box<str>>) {
        self.pairing.set_limits(limits);
        self.access_key = access_key;
    }

    /// Changes which key is as good as the access key, while that one is new (C156).
    pub fn set_old_key(&mut self, old_key: Option<&'static str>) {
        self.old_key = old_key;
    }

    /// Changes the lists, for connections to come.
    pub fn set_lists(&mut self, lists: SourceLists) {
        self.lists = lists;
    }

    /// What was dropped so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many connections there are, by what they wait for.
    pub fn counts(&self) -> LegCounts {
        self.pairing.counts()
    }

    /// Takes one input; at most `EFFECTS_MAX` effects follow.
    pub fn handle(&mut self, now: Time, input: Input<'_>, effects: &mut Effects) {
        match input {
            Input::Opened { conn, from } => self.opened(now, conn, from, effects),
            Input::Request { conn, request } => self.requested(now, conn, &request, effects),
            Input::Expected { token, from } => {
                if let Some(conn) = self.pairing.expect(now, &token, from) {
                    self.push(effects, Effect::Known { conn });
                }
            }
            Input::Moved { conn } => self.pairing.moved(now, conn),
            // The shell closes both legs of a session itself.
            Input::Closed { conn } => {
                let _ = self.pairing.closed(conn);
            }
        }
    }

    /// The next moment `handle_timeout` has something to do.
    pub fn next_timeout(&self) -> Option<Time> {
        self.pairing.next_timeout()
    }

    /// Closes one connection whose time is up (C66, C67).
    pub fn handle_timeout(&mut self, now: Time, effects: &mut Effects) {
        if let Some((conn, reason)) = self.pairing.expire(now) {
            self.push(effects, Effect::Close { conn, reason });
        }
    }

    fn opened(&mut self, now: Time, conn: Conn, from: Endpoint, effects: &mut Effects) {
        if self.lists.refuse(from.ip()) {
            return self.push(effects, Effect::Close { conn, reason: DropReason::Blocked });
        }
        let limited = self.lists.black.contains(from.ip());
        let fresh = Fresh { source: from.prefix(), since: now, limited };
        if let Some(conn) = self.pairing.opened(conn, fresh) {
            self.push(effects, Effect::Close { conn, reason: DropReason::ConnectionsFull });
        }
    }

    /// A leg that breaks a rule is closed silently, and its partner if it had one.
    fn requested(&mut self, now: Time, conn: Conn, request: &Request<'_>, effects: &mut Effects) {
        let Err(reason) = self.join(now, conn, request, effects) else { return };
        let partner = self.pairing.closed(conn);
        for conn in [Some(conn), partner].into_iter().flatten() {
            self.push(effects, Effect::Close { conn, reason });
        }
    }

    fn join(
        &mut self,
        now: Time,
        conn: Conn,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Request::RequestRelay(asked) = request else { return Err(DropReason::Unexpected) };
        let shown = Some(asked.access_key.as_str());
        let old = self.old_key.is_some() && self.old_key == shown;
        if !old && self.access_key.is_some() && self.access_key.as_deref() != shown {
            let token = asked.token.value();
            let waiting = token.and_then(|token| self.pairing.refuse(now, conn, token));
            if let Some(conn) = waiting {
                self.push(effects, Effect::Close { conn, reason: DropReason::PartnerRefused });
            }
            return Err(DropReason::WrongKey);
        }
        let token = match &asked.token {
            Given::Value(token) => token,
            Given::Nothing => return Err(DropReason::Incomplete),
            Given::Unusable => return Err(DropReason::Malformed),
        };
        if self.old_key.is_some() {
            self.push(effects, Effect::Showed { conn, token: token.clone(), old });
        }
        match self.pairing.join(now, conn, token, asked.conn_type)? {
            Joined::Parked { evicted, known } => {
                self.push(effects, Effect::Park { conn, known });
                if let Some(conn) = evicted {
                    self.push(effects, Effect::Close { conn, reason: DropReason::LegsFull });
                }
            }
            Joined::Paired { waiting, terms, evicted } => {
                for conn in evicted.into_iter().flatten() {
                    self.push(effects, Effect::Close { conn, reason: DropReason::SessionsFull });
                }
                self.push(effects, Effect::Pair { waiting, joining: conn, terms });
            }
            Joined::Refused { waiting } => {
                self.push(
                    effects,
                    Effect::Close { conn: waiting, reason: DropReason::SessionsFull },
                );
                self.push(effects, Effect::Close { conn, reason: DropReason::SessionsFull });
            }
        }
        Ok(())
    }

    /// Adds an effect and counts it if it ends a connection.
    fn push(&mut self, effects: &mut Effects, effect: Effect) {
        if let Effect::Close { reason, .. } = &effect {
            self.counters.count(*reason);
        }
        let pushed = effects.push_back(effect).is_ok();
        debug_assert!(pushed, "more effects than EFFECTS_MAX");
    }
}
