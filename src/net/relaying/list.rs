//! The sessions that run, as the owner of the relay knows them: who, since when, how much.
//! Checks: tests/ctl.rs.

use std::sync::Arc;

use hbb_core::base::address::{Endpoint, NetworkSet};
use hbb_core::base::conn::Conn;
use hbb_core::base::time::Time;
use hbb_core::relay::SessionTerms;
use hbb_core::wire::ConnType;

use crate::net::message::{SessionRow, Traffic};
use crate::net::session::numbered::Numbered;

/// Shorter spans say little about a rate.
const RATE_MS_MIN: u64 = 1000;

/// What is known of a session when it starts.
pub(crate) struct NewSession {
    /// The handle the relay machine knows it by: that of the leg that waited.
    pub(crate) conn: Conn,
    /// Where the leg that waited is, and the one that came.
    pub(crate) ends: [Endpoint; 2],
    /// The rules it runs under.
    pub(crate) terms: SessionTerms,
    /// Its number in the log of connections.
    #[cfg(feature = "accounts")]
    pub(crate) logged: u64,
}

/// How a listed session is told from others, and what its bytes are counted in.
pub(crate) struct Listed {
    /// Counts up from 1 since start.
    pub(crate) number: u64,
    /// Shared with whoever runs the session.
    pub(crate) traffic: Arc<Traffic>,
}

/// A session that runs.
pub(crate) struct RunningSession {
    session: NewSession,
    since: Time,
    traffic: Arc<Traffic>,
    sample: RateSample,
    /// Bytes when it was last asked which sessions move.
    seen: u64,
}

/// The rate when it was last asked for.
struct RateSample {
    at: Time,
    /// Bytes moved by then.
    bytes: u64,
    /// Bytes a second before that.
    rate: u64,
    /// The highest of them, and of the averages since the start, a second being the least.
    peak: u64,
}

/// All sessions that run.
#[derive(Default)]
pub(crate) struct SessionList {
    sessions: Numbered<RunningSession>,
    last_number: u64,
    /// Bytes of sessions that are over.
    ended_bytes: u64,
}

impl SessionList {
    /// Adds a session that starts now.
    pub(crate) fn start(&mut self, now: Time, session: NewSession) -> Listed {
        self.last_number += 1;
        let (number, traffic) = (self.last_number, Arc::<Traffic>::default());
        traffic.limit(session.terms.limited);
        let sample = RateSample { at: now, bytes: 0, rate: 0, peak: 0 };
        let running =
            RunningSession { session, since: now, traffic: Arc::clone(&traffic), sample, seen: 0 };
        self.sessions.insert(number, running);
        Listed { number, traffic }
    }

    /// Removes a session that is over; what is known of it, unless it was removed before.
    pub(crate) fn end(&mut self, number: u64) -> Option<RunningSession> {
        let ended = self.sessions.remove(number)?;
        self.ended_bytes = self.ended_bytes.saturating_add(ended.bytes());
        Some(ended)
    }

    /// Removes the session of a leg that is gone before it began.
    pub(crate) fn end_of(&mut self, conn: Conn) -> Option<RunningSession> {
        self.number_of(conn).and_then(|number| self.end(number))
    }

    /// The number of the session that the machine knows by this handle.
    pub(crate) fn number_of(&self, conn: Conn) -> Option<u64> {
        let mut all = self.sessions.iter();
        all.find(|(_, running)| running.conn() == conn).map(|(number, _)| number)
    }

    /// The handles of those in which bytes moved since this was last asked.
    pub(crate) fn moved(&mut self) -> impl Iterator<Item = Conn> {
        self.sessions.iter_mut().filter_map(|(_, running)| {
            let bytes = running.bytes();
            let before = core::mem::replace(&mut running.seen, bytes);
            (before != bytes).then(|| running.conn())
        })
    }

    /// Gives the limited rate to those with a leg at such an address, and to no others.
    pub(crate) fn limit(&self, black: &NetworkSet) {
        for (_, running) in self.sessions.iter() {
            let ends = running.session.ends;
            running.traffic.limit(ends.iter().any(|end| black.contains(end.ip())));
        }
    }

    /// The numbers of those with a leg at an address for which `matches` holds.
    pub(crate) fn numbers(&self, matches: impl Fn(Endpoint) -> bool) -> Vec<u64> {
        self.found(&|running| running.session.ends.into_iter().any(&matches))
    }

    /// The numbers of those that are these entries of the log of connections.
    #[cfg(feature = "accounts")]
    pub(crate) fn logged(&self, logged: &[u64]) -> Vec<u64> {
        self.found(&|running| logged.contains(&running.logged()))
    }

    fn found(&self, is_wanted: &dyn Fn(&RunningSession) -> bool) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (number, _) in self.sessions.iter().filter(|(_, running)| is_wanted(running)) {
            numbers.push(number);
        }
        numbers
    }

    /// All of them, as an operator sees them.
    pub(crate) fn rows(&mut self, now: Time) -> Vec<SessionRow> {
        let mut rows = Vec::new();
        for (number, running) in self.sessions.iter_mut() {
            rows.push(running.row(number, now));
        }
        rows
    }

    /// Bytes moved since start.
    pub(crate) fn bytes(&self) -> u64 {
        let running = self.sessions.iter().map(|(_, running)| running.bytes());
        running.fold(self.ended_bytes, u64::saturating_add)
    }
}

impl RunningSession {
    /// Where the leg is that waited for the other.
    pub(crate) const fn waited(&self) -> Endpoint {
        let [waited, _] = self.session.ends;
        waited
    }

    /// The handle the relay machine knows it by.
    pub(crate) const fn conn(&self) -> Conn {
        self.session.conn
    }

    /// Its number in the log of connections.
    #[cfg(feature = "accounts")]
    pub(crate) const fn logged(&self) -> u64 {
        self.session.logged
    }

    /// Bytes moved.
    pub(crate) fn bytes(&self) -> u64 {
        self.traffic.bytes()
    }

    /// Keeps it from beginning, should it be on its way to where it is to run.
    pub(crate) fn dismiss(&self) {
        self.traffic.dismiss();
    }

    /// Seconds since it started.
    pub(crate) fn secs(&self, now: Time) -> u64 {
        now.since_ms(self.since) / 1000
    }

    fn row(&mut self, number: u64, now: Time) -> SessionRow {
        let (bytes, sample) = (self.bytes(), &self.sample);
        let span = now.since_ms(sample.at);
        if span >= RATE_MS_MIN {
            let rate = bytes.saturating_sub(sample.bytes).saturating_mul(1000) / span;
            self.sample = RateSample { at: now, bytes, rate, peak: sample.peak.max(rate) };
        }
        let average = bytes.saturating_mul(1000) / now.since_ms(self.since).max(RATE_MS_MIN);
        self.sample.peak = self.sample.peak.max(average);
        let NewSession { ends, terms, .. } = self.session;
        SessionRow {
            number,
            ends,
            secs: self.secs(now),
            bytes,
            rate: self.sample.rate,
            average,
            peak: self.sample.peak,
            limited: self.traffic.is_limited(),
            tunnel: terms.conn_type == ConnType::Tunnel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_since_they_were_asked_for() {
        let mut running = SessionList::default();
        let ends = ["127.0.0.1:1", "127.0.0.1:2"]
            .map(|end| Endpoint::from(end.parse::<std::net::SocketAddr>().unwrap()));
        let terms = SessionTerms { conn_type: ConnType::Interactive, limited: false, known: true };
        let conn = Conn { slot: 1, generation: 0 };
        let session = NewSession {
            conn,
            ends,
            terms,
            #[cfg(feature = "accounts")]
            logged: 0,
        };
        let Listed { number, traffic } = running.start(Time::START, session);
        traffic.add(4000);
        let rate = |running: &mut SessionList, ms| running.rows(Time::from_millis(ms))[0].rate;
        let peak = |running: &mut SessionList, ms| running.rows(Time::from_millis(ms))[0].peak;
        assert_eq!(peak(&mut running, 500), 4000, "the average of a second");
        assert_eq!(rate(&mut running, 2000), 2000);
        assert_eq!(peak(&mut running, 2000), 4000, "it never falls");
        traffic.add(500);
        assert_eq!(rate(&mut running, 2500), 2000, "too short a span");
        assert_eq!(rate(&mut running, 3000), 500);
        assert_eq!(running.numbers(|end| end.port() == 2), [number]);
        assert_eq!(running.end(number).map(|entry| entry.bytes()), Some(4500));
        assert!(running.end(number).is_none());
        assert_eq!(running.bytes(), 4500);
    }
}
