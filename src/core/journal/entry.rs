//! One ask of an initiator for a target as it is remembered, and the steps that such an ask takes.

use alloc::boxed::Box;
use core::net::IpAddr;

use static_assertions::const_assert;

use crate::base::address::Endpoint;
use crate::base::counters::DropReason;
use crate::base::peer::{PeerId, RelayToken};
use crate::base::time::Time;

/// What happened to an ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who asks; of an answer, the connection that is answered.
    pub from: Endpoint,
    /// Who is asked for; None for what cannot be an id.
    pub to: Option<PeerId>,
    /// The user who is logged in where it is asked from; of an answer, None.
    pub user: Option<Box<str>>,
    /// What it is.
    pub kind: StepKind,
}

/// The kinds of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// The target was told.
    Asked {
        /// Where the target is.
        at: IpAddr,
        /// As in [`Entry::trusted`].
        trusted: bool,
        /// What both will bring to the relay, where the initiator chose that.
        token: Option<RelayToken>,
    },
    /// The initiator was told something else than a path.
    Refused {
        /// Why.
        outcome: Outcome,
        /// As in [`Entry::trusted`].
        trusted: bool,
    },
    /// The target answered.
    Answered {
        /// How the two will meet.
        outcome: Outcome,
        /// What both will bring to the relay, if that is how.
        token: Option<RelayToken>,
    },
}

/// What became of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target was told and has not answered yet.
    Waiting,
    /// It opened a path through the NATs; whether that was taken only the two know.
    Direct,
    /// The same inside one network.
    Lan,
    /// Both were told to meet at a relay.
    Relay,
    /// They met at ours.
    Relayed,
    /// The target did not answer.
    NoAnswer,
    /// The target is not here.
    Offline,
    /// The target reports it, and nobody asked for it here: by its address, for one.
    Reported,
    /// Nobody registered this id.
    UnknownId,
    /// The initiator was sent away.
    Refused(DropReason),
}

impl Outcome {
    /// The word for it in logs and in `ctl`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Direct => "direct",
            Self::Lan => "lan",
            Self::Relay => "relay",
            Self::Relayed => "relayed",
            Self::NoAnswer => "no-answer",
            Self::Offline => "offline",
            Self::Reported => "reported",
            Self::UnknownId => "unknown-id",
            Self::Refused(_) => "refused",
        }
    }

    /// Why it is no path, where there is more to say.
    pub const fn reason(self) -> Option<DropReason> {
        match self {
            Self::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether the initiator was told something else than a path.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Offline | Self::UnknownId | Self::Refused(_))
    }
}

/// An ask and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts up from 1 since start.
    pub number: u64,
    /// When it was first asked.
    pub at: Time,
    /// When it was last.
    pub last: Time,
    /// Who asked. Of a session that nobody asked for here, its leg that waited.
    pub from: Endpoint,
    /// For whom; None if that can be no id, or is not known.
    pub to: Option<PeerId>,
    /// Where the target is, if it was told. Of a session that nobody asked for, its other leg.
    pub target_at: Option<IpAddr>,
    /// How often in all: a client tries several ways at once, and one after the other.
    pub asks: u16,
    /// Whether a device of ours is where the initiator is. The key, which every client has, is not
    /// enough: whoever has it could push out what others asked.
    pub trusted: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// Its session at our relay.
    pub session: Option<RelayedSession>,
    /// What the target says of it.
    pub report: Option<Box<Report>>,
    /// The user who asked, if one was logged in there: a name of theirs, as it was then.
    pub user: Option<Box<str>>,
    /// Counts up with each outcome of any that becomes known; 0 while none of this one is.
    pub change: u64,
}

const_assert!(size_of::<Entry>() <= 240);

impl Entry {
    /// Seconds that the session lasted, if it is known and over.
    pub fn secs(&self) -> Option<u64> {
        let relayed = self.session.and_then(|session| session.end).map(|end| end.secs);
        relayed.or_else(|| self.report.as_ref()?.secs)
    }
}

/// What a target says of who is connected to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The connection, as the target counts them.
    pub conn: i64,
    /// Who is there, by their own account.
    pub by: Option<PeerId>,
    /// Their name; may be empty.
    pub name: Box<str>,
    /// What for; empty while that is not known.
    pub session: &'static str,
    /// When it began.
    pub since: Time,
    /// Seconds it lasted; None while it runs.
    pub secs: Option<u64>,
    /// How often files went over it.
    pub files: u16,
    /// The name of the last; empty if there was none.
    pub file: Box<str>,
    /// The last alarm, by its number.
    pub alarm: Option<i64>,
}

impl Report {
    /// Of a connection that begins.
    pub(super) fn new(conn: i64, since: Time) -> Self {
        let (name, file) = (Box::default(), Box::default());
        Self { conn, by: None, name, session: "", since, secs: None, files: 0, file, alarm: None }
    }
}

/// A session at our relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedSession {
    /// When it began.
    pub since: Time,
    /// How it ended; None while it runs.
    pub end: Option<SessionEnd>,
}

/// How a session at our relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Seconds it lasted.
    pub secs: u64,
    /// Bytes moved, both directions together.
    pub bytes: u64,
    /// What ended it.
    pub reason: DropReason,
}
