//! The sessions that run, as the owner of the relay knows them: who, since when, how much.
//! Checks: tests/ctl.rs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Conn;
use hbb_core::base::time::Time;
use hbb_core::relay::SessionTerms;
use hbb_core::wire::ConnType;

use crate::atomic::AtomicU64;
use crate::net::message::SessionRow;

/// What the count of a session reads that an operator ended.
pub const DISMISSED: u64 = u64::MAX;
/// Shorter spans say little about a rate.
const RATE_MS_MIN: u64 = 1000;

/// One session.
pub struct Entry {
    /// Names it; counts up from 1 since start.
    pub number: u64,
    /// The handle the relay knows it by.
    pub conn: Conn,
    /// Where the leg that waited is, and the one that came.
    pub ends: [Endpoint; 2],
    since: Time,
    terms: SessionTerms,
    /// Bytes both directions moved; whoever runs the session counts.
    moved: Arc<AtomicU64>,
    /// When the rate was last asked for, and what had been moved by then.
    asked: (Time, u64),
    rate: u64,
}

/// All of them, in the order of their numbers.
#[derive(Default)]
pub struct Running {
    entries: Vec<Entry>,
    last: u64,
    /// Bytes of sessions that are over.
    over: u64,
}

impl Running {
    /// One more; its number, and what to count its bytes in.
    pub fn start(
        &mut self,
        now: Time,
        conn: Conn,
        (ends, terms): ([Endpoint; 2], SessionTerms),
    ) -> (u64, Arc<AtomicU64>) {
        self.last += 1;
        let (number, moved) = (self.last, Arc::new(AtomicU64::new(0)));
        let entry = Entry {
            number,
            conn,
            ends,
            since: now,
            terms,
            moved: Arc::clone(&moved),
            asked: (now, 0),
            rate: 0,
        };
        self.entries.push(entry);
        (number, moved)
    }

    /// One is over; what is known of it, unless that was said before.
    pub fn end(&mut self, number: u64) -> Option<Entry> {
        let at = self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        let entry = self.entries.remove(at);
        self.over = self.over.saturating_add(entry.bytes());
        if self.entries.is_empty() {
            self.entries = Vec::new();
        }
        Some(entry)
    }

    /// The session of this leg is over before it began.
    pub fn end_of(&mut self, conn: Conn) {
        let found = self.entries.iter().find(|entry| entry.conn == conn);
        if let Some(number) = found.map(|entry| entry.number) {
            self.end(number);
        }
    }

    /// Those with a leg at an address for which `matches` holds.
    pub fn numbers(&self, matches: impl Fn(Endpoint) -> bool) -> Vec<u64> {
        let found = self.entries.iter().filter(|entry| entry.ends.into_iter().any(&matches));
        found.map(|entry| entry.number).collect()
    }

    /// All of them; what was moved meanwhile gives their rates.
    pub fn show(&mut self, now: Time) -> Vec<SessionRow> {
        self.entries.iter_mut().map(|entry| entry.show(now)).collect()
    }

    /// Bytes moved since start.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(Entry::bytes).fold(self.over, u64::saturating_add)
    }
}

impl Entry {
    /// Bytes moved.
    pub fn bytes(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Should it be on its way to where it runs, it does not begin.
    pub fn dismiss(&self) {
        self.moved.store(DISMISSED, Ordering::Relaxed);
    }

    /// Seconds since it began.
    pub fn secs(&self, now: Time) -> u64 {
        now.since_ms(self.since) / 1000
    }

    fn show(&mut self, now: Time) -> SessionRow {
        let (bytes, (asked, before)) = (self.bytes(), self.asked);
        let span = now.since_ms(asked);
        if span >= RATE_MS_MIN {
            self.rate = bytes.saturating_sub(before).saturating_mul(1000) / span;
            self.asked = (now, bytes);
        }
        SessionRow {
            number: self.number,
            ends: self.ends,
            secs: self.secs(now),
            bytes,
            rate: self.rate,
            limited: self.terms.limited,
            tunnel: self.terms.conn_type == ConnType::Tunnel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_since_they_were_asked_for() {
        let mut running = Running::default();
        let ends = ["127.0.0.1:1", "127.0.0.1:2"]
            .map(|end| Endpoint::from(end.parse::<std::net::SocketAddr>().unwrap()));
        let terms = SessionTerms { conn_type: ConnType::Interactive, limited: false };
        let conn = Conn { slot: 1, generation: 0 };
        let (number, moved) = running.start(Time::START, conn, (ends, terms));
        moved.fetch_add(4000, Ordering::Relaxed);
        let rate = |running: &mut Running, ms| running.show(Time::from_millis(ms))[0].rate;
        assert_eq!(rate(&mut running, 2000), 2000);
        moved.fetch_add(500, Ordering::Relaxed);
        assert_eq!(rate(&mut running, 2500), 2000, "too short a span");
        assert_eq!(rate(&mut running, 3000), 500);
        assert_eq!(running.numbers(|end| end.port() == 2), [number]);
        assert_eq!(running.end(number).map(|entry| entry.bytes()), Some(4500));
        assert!(running.end(number).is_none());
        assert_eq!(running.bytes(), 4500);
    }
}
