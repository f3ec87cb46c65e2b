//! What a target says of those who are connected to it, joined with what was asked here. It is the
//! target's word, and of who is there theirs. C194.

use alloc::boxed::Box;
use core::net::IpAddr;

use super::entry::{Entry, Outcome, Report};
use super::{Journal, blank};
use crate::base::address::Endpoint;
use crate::base::limits::REPORT_JOINS_MS;
use crate::base::peer::PeerId;
use crate::base::time::Time;

/// One report of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The connection, as the target counts them.
    pub conn: i64,
    /// Where the target is.
    pub at: IpAddr,
    /// What happened to it.
    pub kind: AuditKind,
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditKind {
    /// It began; at this address somebody asked for it, or it comes from there.
    Began(Option<IpAddr>),
    /// Who is there, by their own account.
    Peer {
        /// Their id.
        id: Option<PeerId>,
        /// Their name, at most 64 bytes.
        name: Box<str>,
        /// What for: `remote`, `file`, `forward`, `camera`, `terminal`.
        session: &'static str,
    },
    /// It ended.
    Closed,
    /// Files went over it; the name of the last, at most 64 bytes.
    Files(Box<str>),
    /// An alarm, by the number that clients have for it.
    Alarm(i64),
}

impl Journal {
    /// A target that proved itself reports. What belongs to no ask is an entry of its own, among
    /// those of strangers.
    pub fn report(&mut self, now: Time, target: &PeerId, audit: Audit) {
        self.settle(now);
        let Audit { conn, at, kind } = audit;
        let from = match kind {
            AuditKind::Began(from) => from,
            _ => None,
        };
        let is_new = matches!(kind, AuditKind::Began(_));
        let is_alarm = matches!(kind, AuditKind::Alarm(_));
        let number = self.reported(now, (target, at), (conn, from, is_new));
        let Some(entry) = self.entry_mut(number) else { return };
        let report = entry.report.get_or_insert_with(|| Box::new(Report::new(conn, now)));
        match kind {
            AuditKind::Began(_) => {}
            AuditKind::Peer { id, name, session } => {
                (report.by, report.name, report.session) = (id, name, session);
            }
            AuditKind::Closed => report.secs = Some(now.since_ms(report.since) / 1000),
            AuditKind::Files(name) => {
                report.files = report.files.saturating_add(1);
                report.file = name;
            }
            AuditKind::Alarm(number) => report.alarm = Some(number),
        }
        // An alarm is told at once, and that a session is over, which our relay tells of its own.
        let is_over = report.secs.is_some() && entry.session.is_none();
        if is_over || is_alarm {
            self.tell(number);
        }
    }

    /// The entry that a report belongs to: that of the same connection, which has not ended, or of
    /// one that begins the newest ask for this target, from there if it is known from where.
    fn reported(
        &mut self,
        now: Time,
        (target, at): (&PeerId, IpAddr),
        (conn, from, is_new): (i64, Option<IpAddr>, bool),
    ) -> u64 {
        let is_open = |report: &Report| report.conn == conn && report.secs.is_none();
        let fits = |entry: &Entry| match &entry.report {
            Some(report) => !is_new && is_open(report),
            None => {
                !entry.outcome.is_refusal() && is_new && now.since_ms(entry.last) < REPORT_JOINS_MS
            }
        };
        let rank = |entry: &Entry| (from == Some(entry.from.ip()), entry.number);
        let mut best = None;
        self.each(&mut |entry| {
            if entry.to.as_ref() == Some(target) && fits(entry) {
                best = best.max(Some(rank(entry)));
            }
        });
        if let Some((_, number)) = best {
            return number;
        }
        let from = Endpoint::new(from.unwrap_or(IpAddr::from([0; 4])), 0);
        let blank = blank(from, Some(target.clone()));
        let target_at = Some(at);
        self.add(now, Entry { outcome: Outcome::Reported, target_at, asks: 0, ..blank })
    }
}
