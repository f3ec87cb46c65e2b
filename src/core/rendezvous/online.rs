//! Which peers are here (protocol §4.3). Whoever could ask for many ids would soon know all that
//! are used, so that an address may ask for so many and no more. C36-C38, C112, C137.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::base::address::Endpoint;
use crate::base::conn::{Conn, Via};
use crate::base::counters::DropReason;
use crate::base::limits::{
    ONLINE_IDS_MAX, ONLINE_IDS_OF_KNOWN_MAX, ONLINE_IDS_OF_NETWORK_MAX, ONLINE_IDS_OF_STRANGER_MAX,
    ONLINE_IDS_OF_STRANGERS_MAX, ONLINE_IDS_PER_TURN, ONLINE_TURN_MS, ONLINE_WINDOW_MS,
};
use crate::base::time::Time;
use crate::wire::reply::Reply;
use crate::wire::request::OnlineQuery;

use super::{Effects, Rendezvous, reply};

/// A long query that is being answered.
pub(super) struct Reading {
    /// What it asked for behind its first turn.
    ids: Vec<u8>,
    /// Bytes of that which are answered.
    taken: usize,
    states: Vec<u8>,
}

impl Rendezvous {
    /// One bit for each id, most significant first; a long query is answered turn by turn. Who asks
    /// too much, or again meanwhile, is not answered at all: zeros would say that nobody is here.
    pub(super) fn online(
        &mut self,
        now: Time,
        via: Via,
        query: OnlineQuery<'_>,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Via::Stream(conn) = via else {
            // Its answer could be longer than twice the request (C24).
            return Err(DropReason::Unexpected);
        };
        let connection = self.connection(conn)?;
        let (from, busy) = (connection.from, connection.reading.is_some());
        if busy || !self.may_ask(now, from, query) {
            return Err(DropReason::TooFrequent);
        }
        let (mut query, mut states) = (query, Vec::with_capacity(query.count().div_ceil(8)));
        if self.look_up(now, &mut query, &mut states) {
            reply(effects, via, Reply::Online(states));
            return Ok(());
        }
        let reading = Reading { ids: query.rest().to_vec(), taken: 0, states };
        if self.reading.is_empty() {
            self.reading_due = now.after_ms(ONLINE_TURN_MS);
        }
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.reading = Some(Box::new(reading));
            self.reading.push(conn);
        }
        Ok(())
    }

    /// Whether a long query of this connection is being answered; its bytes are kept for so long.
    pub fn is_reading(&self, conn: Conn) -> bool {
        self.connections.get(&conn).is_some_and(|connection| connection.reading.is_some())
    }

    /// When the query whose turn it is goes on.
    pub(super) fn reading_due(&self) -> Option<Time> {
        self.reading.first().map(|_| self.reading_due)
    }

    /// Goes on with the query whose turn it is.
    pub(super) fn read_on(&mut self, now: Time, effects: &mut Effects) {
        self.reading_due = now.after_ms(ONLINE_TURN_MS);
        let Some(&conn) = self.reading.first() else { return };
        let connection = self.connections.get_mut(&conn);
        let Some(mut reading) = connection.and_then(|found| found.reading.take()) else {
            self.reading.remove(0);
            return;
        };
        let mut query = OnlineQuery::new(reading.ids.get(reading.taken..).unwrap_or_default());
        let done = self.look_up(now, &mut query, &mut reading.states);
        reading.taken = reading.ids.len() - query.rest().len();
        if done {
            self.reading.remove(0);
            reply(effects, Via::Stream(conn), Reply::Online(reading.states));
        } else if let Some(connection) = self.connections.get_mut(&conn) {
            connection.reading = Some(reading);
        }
    }

    /// Takes so many ids as have one turn out of a query, and appends their states; true if it has
    /// no more.
    fn look_up(&self, now: Time, query: &mut OnlineQuery<'_>, states: &mut Vec<u8>) -> bool {
        for index in 0..ONLINE_IDS_PER_TURN {
            let Some(id) = query.next_id() else { return true };
            let here =
                id.and_then(|id| self.present(now, &id, self.registry.found(&id)?)).is_some();
            if index % 8 == 0 {
                states.push(0);
            }
            if let Some(last) = states.last_mut().filter(|_| here) {
                *last |= 0x80_u8 >> (index % 8);
            }
        }
        query.rest().is_empty()
    }

    /// Counts what is asked for, if it is not too much.
    fn may_ask(&mut self, now: Time, from: Endpoint, query: OnlineQuery<'_>) -> bool {
        let Ok(count) = u16::try_from(query.count()) else { return false };
        let known = self.is_at(now, from, query) || self.dialled(now, from);
        let limit = if known { ONLINE_IDS_OF_KNOWN_MAX } else { ONLINE_IDS_OF_STRANGER_MAX };
        let (source, in_all) = (from.prefix(), ONLINE_IDS_OF_STRANGERS_MAX);
        let (network, of_network) = (source.network(), ONLINE_IDS_OF_NETWORK_MAX);
        count <= ONLINE_IDS_MAX
            && self.online.allow_many(now, source, limit, count)
            && (known
                || self.online_networks.allow_many(now, network, of_network, count)
                    && self.online_strangers.allow_many(now, ONLINE_WINDOW_MS, in_all, count))
    }

    /// Whether who asks is the device it says it is, as far as its address tells.
    fn is_at(&self, now: Time, from: Endpoint, query: OnlineQuery<'_>) -> bool {
        let device = query.asker().and_then(|id| self.present(now, &id, self.registry.peer(&id)?));
        device.is_some_and(|here| here.from.prefix() == from.prefix())
    }

    /// Whether this address was let through to a target a short while ago.
    fn dialled(&self, now: Time, from: Endpoint) -> bool {
        self.grants.any_of(now, from.prefix())
    }
}
