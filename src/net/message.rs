//! What the queues of the shell carry: to the owners of rendezvous, relay and settings, from them
//! to connections and legs, and what operators ask and hear. Values only; nothing here acts.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "accounts")]
use hbb_core::accounts::call::{HttpCall, Source};
#[cfg(feature = "accounts")]
use hbb_core::accounts::devices::DeviceRow;
#[cfg(feature = "accounts")]
use hbb_core::accounts::{self, AccountLoad, Command, Hashed, Told};
use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::{Conn, Transport};
use hbb_core::base::counters::{Counters, DropReason};
use hbb_core::base::limits::Limits;
use hbb_core::base::peer::{PeerId, RelayToken};
use hbb_core::base::rates::Rates;
#[cfg(feature = "accounts")]
use hbb_core::journal::{Entry, Wanted};
use hbb_core::relay::{SessionTerms, SourceLists};
#[cfg(feature = "accounts")]
use hbb_core::rendezvous::{Approval, Invited, WaitingRow};
use hbb_core::rendezvous::{Occupancy, PeerQuery, PeerRow};

use crate::atomic::AtomicU64;
use crate::net::conn::link::Link;
use crate::net::conn::link::bytes::Held;
use crate::net::conn::udp::QueueCounts;
use crate::net::tasks::queue::Sender;

/// What the owner of the rendezvous is told.
pub enum ToRendezvous {
    /// A new connection; closing `outbox` closes it.
    Opened {
        /// Names it until `Closed`.
        conn: Conn,
        /// Where it came from.
        from: Endpoint,
        /// What it speaks.
        transport: Transport,
        /// What it is to send.
        outbox: Outbox,
    },
    /// One payload of a connection.
    Payload {
        /// The connection's handle.
        conn: Conn,
        /// The bytes, in clear.
        payload: Vec<u8>,
        /// The memory they take.
        held: Held,
    },
    /// A call of the API.
    #[cfg(feature = "accounts")]
    Called {
        /// The connection's handle.
        conn: Conn,
        /// The call.
        call: Box<HttpCall>,
        /// Where it came from.
        source: Source,
        /// Takes [`Answer::Called`].
        to: AnswerTo,
    },
    /// A leg showed our relay the new key or the old one (C157).
    LegShowed {
        /// What it brought.
        token: RelayToken,
        /// Where it came from.
        from: IpAddr,
        /// Whether it was the old one.
        old: bool,
    },
    /// An operator asks.
    Asked(RendezvousQuestion, AnswerTo),
    /// A connection ended before it was known what it is.
    Refused {
        /// Why.
        reason: DropReason,
        /// Where it came from, if it proves that somebody is there (C96).
        proves: Option<IpAddr>,
    },
    /// A connection is gone.
    Closed {
        /// Its handle, free for another from now on.
        conn: Conn,
        /// What ended it.
        reason: DropReason,
    },
}

/// The way to a connection.
pub struct Outbox {
    /// Takes what it is told.
    pub queue: Sender<ToConnection>,
    /// Nothing, of the memory that it holds.
    pub held: Held,
    /// What it said that is still being answered.
    pub asked: Option<Held>,
    /// The turn in which it was last told something, and how much in that turn.
    pub told: (u32, usize),
}

/// What the owner of the rendezvous tells a connection.
pub enum ToConnection {
    /// Send this, which takes so much memory.
    Payload(Vec<u8>, Held),
    /// What comes next is for a moment from now (C139).
    Pause,
    /// You are a peer's presence: send heartbeats, and end when they are not answered (C28).
    Keep,
    /// The same, for a bounded time (C102).
    Linger,
}

/// What the owner of the relay is told by legs, which are on its thread.
pub(crate) enum FromLeg {
    /// A new connection; closing `outbox` ends it.
    Opened {
        /// Names it until `Closed`.
        conn: Conn,
        /// Where it came from.
        from: Endpoint,
        /// What it is to do.
        outbox: Sender<ToLeg>,
    },
    /// A leg's first message, with the connection itself.
    Joined {
        /// The connection's handle.
        conn: Conn,
        /// The bytes, as they came.
        payload: Vec<u8>,
        /// The connection and what came behind the message.
        leg: Box<Link>,
    },
    /// A connection ended before it was known what it is; why.
    Refused(DropReason),
    /// A leg is gone without a session.
    Closed {
        /// Its handle, free for another from now on.
        conn: Conn,
    },
}

/// What the owner of the relay is told from other threads.
pub enum ToRelay {
    /// Two peers were told to meet here.
    Expected {
        /// What both will bring.
        token: RelayToken,
        /// Whoever told the other one.
        from: Endpoint,
    },
    /// A session is over.
    Ended {
        /// The session's number.
        number: u64,
        /// The handle of the leg that waited.
        conn: Conn,
        /// How it ended.
        end: SessionEnd,
    },
    /// An operator asks.
    Asked(RelayQuestion, AnswerTo),
}

/// What the owner of the relay tells a leg.
pub enum ToLeg {
    /// Wait with your connection for a partner.
    Park(Box<Link>),
    /// Here is your partner.
    Pair(Box<Paired>),
}

/// What a leg that waited needs to begin its session.
pub struct Paired {
    /// The leg that came.
    pub partner: Box<Link>,
    /// What holds for both.
    pub terms: SessionTerms,
    /// The session's number.
    pub number: u64,
    /// What the session's bytes are counted in.
    pub traffic: Arc<Traffic>,
}

/// What a session that runs and the owner of the relay share, perhaps across threads.
#[derive(Debug, Default)]
pub struct Traffic {
    bytes: AtomicU64,
    dismissed: AtomicBool,
    limited: AtomicBool,
}

impl Traffic {
    /// Gives the session the limited rate, or takes it away: an address is blacklisted or not.
    pub fn limit(&self, limited: bool) {
        self.limited.store(limited, Ordering::Relaxed);
    }

    /// Whether it has the limited rate because of an address.
    pub fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }

    /// Counts bytes that one direction moved.
    pub fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of both directions since the session started.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Says that an operator ended the session, for the case that it does not run yet.
    pub fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Relaxed);
    }

    /// Whether an operator ended the session.
    pub fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Relaxed)
    }
}

/// What a reload changes of the relay.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// How many legs and sessions there may be.
    pub limits: Limits,
    /// What legs must show; None lets all in.
    pub access_key: Option<Box<str>>,
    /// The key before, while that is as good.
    pub old_key: Option<&'static str>,
    /// Addresses with the limited rate, and those that are closed at once.
    pub lists: SourceLists,
    /// How fast sessions may go, in bytes a second.
    pub rates: Rates,
}

/// New settings on their way to a machine.
pub struct Update<T> {
    /// All of them, changed or not.
    pub settings: T,
    /// Whoever changed them waits at the other end for [`Answer::InForce`] of each machine.
    pub in_force: AnswerTo,
}

/// What an operator asks of the rendezvous.
pub enum RendezvousQuestion {
    /// How much there is to do.
    Load,
    /// Who is registered, some of them at a time.
    Peers(PeerQuery),
    /// Carry out a line that was typed into upstream's console.
    Typed(String),
    /// Who asked for whom.
    #[cfg(feature = "accounts")]
    Log(Wanted),
    /// Have everybody leave this device.
    #[cfg(feature = "accounts")]
    EndConnections(PeerId),
    /// Forget a peer, and perhaps let another device have its id.
    Forget {
        /// The peer's id.
        id: PeerId,
        /// The first that asks for the id and proves its address gets it.
        free: bool,
    },
    /// Which devices wait to be approved.
    #[cfg(feature = "accounts")]
    Waiting,
    /// A code that lets one in within so many hours.
    #[cfg(feature = "accounts")]
    Invite(u16),
    /// Approve the one that waits for an id.
    #[cfg(feature = "accounts")]
    Approve {
        /// The id it asked for.
        id: PeerId,
        /// Where it is, if several ask for that.
        at: Option<Endpoint>,
    },
    /// Do something with accounts.
    #[cfg(feature = "accounts")]
    Accounts(Command),
}

/// What an operator asks of the relay.
pub enum RelayQuestion {
    /// How much there is to do.
    Load,
    /// Who is in a session.
    Sessions,
    /// Who asked for whom, where no rendezvous is beside it.
    #[cfg(feature = "accounts")]
    Log(Wanted),
    /// End those that were asked for under this id.
    #[cfg(feature = "accounts")]
    EndOf(PeerId),
    /// End the session of this number.
    End(u64),
}

/// What any owner answers: one type, as each costs the code of a queue, and small, as it is moved.
pub enum Answer {
    /// New settings are obeyed from now on.
    InForce,
    /// Of the owner of the rendezvous.
    RendezvousLoad(Box<RendezvousLoad>),
    /// What is said to a line of the console.
    Typed(String),
    /// Registered peers.
    Peers(Vec<PeerRow>, Devices),
    /// What became of one.
    Forgotten(Forgotten),
    /// Devices that wait to be approved.
    #[cfg(feature = "accounts")]
    Waiting(Vec<WaitingRow>),
    /// What became of one that waits; `Saving` if it is approved, on disk too.
    #[cfg(feature = "accounts")]
    Approved(Approval),
    /// A code, or why there is none.
    #[cfg(feature = "accounts")]
    Invited(Invited),
    /// Of the owner of the relay.
    RelayLoad(Box<RelayLoad>),
    /// Sessions that run.
    Sessions(Vec<SessionRow>),
    /// Whether there was one to end.
    Ended(bool),
    /// Who asked for whom.
    #[cfg(feature = "accounts")]
    Log(Vec<Entry>),
    /// What a call of the API is told.
    #[cfg(feature = "accounts")]
    Called(accounts::call::Answer),
    /// What an operator of accounts is told.
    #[cfg(feature = "accounts")]
    Accounts(Told),
    /// A password was hashed, or compared with a hash.
    #[cfg(feature = "accounts")]
    Hashed(Hashed),
}

/// What registered peers told of themselves, in their order; None without accounts.
#[cfg(feature = "accounts")]
pub type Devices = Option<Vec<Option<DeviceRow>>>;
/// They tell nothing of themselves.
#[cfg(not(feature = "accounts"))]
pub type Devices = ();

/// Where an answer goes.
pub type AnswerTo = Sender<Answer>;

/// How much the rendezvous has to do.
#[derive(Clone, Debug)]
pub struct RendezvousLoad {
    /// How full its tables are.
    pub occupancy: Occupancy,
    /// Peers that are here.
    pub online: usize,
    /// Ids kept for forgotten devices.
    pub kept: usize,
    /// What the store did.
    pub store: StoreCounts,
    /// How the queue of datagrams did.
    pub datagrams: QueueCounts,
    /// The accounts; None without.
    #[cfg(feature = "accounts")]
    pub accounts: Option<Box<AccountLoad>>,
    /// What was dropped, by the machine and by the shell.
    pub dropped: [Counters; 2],
}

/// What the store did since start.
#[derive(Clone, Copy, Debug)]
pub struct StoreCounts {
    /// Commits, failed ones too.
    pub commits: u64,
    /// Changes in them.
    pub changes: u64,
    /// Commits that failed.
    pub failures: u64,
    /// Bytes written to the file in the present day of uptime.
    pub written: u64,
    /// Bytes that may still be written now; None without a limit.
    pub left: Option<u64>,
}

/// How much the relay has to do.
#[derive(Clone, Debug)]
pub struct RelayLoad {
    /// Sessions that run.
    pub running: usize,
    /// Legs that wait for their partner.
    pub waiting: usize,
    /// Bytes moved since start.
    pub bytes: u64,
    /// What was dropped, by the machine and by the shell.
    pub dropped: [Counters; 2],
}

/// What became of a peer that was to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It is, on disk too.
    Durably,
    /// There is none.
    Unknown,
    /// The store did not do it, or is at work on it.
    Failed,
}

/// One session as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Names it; counts up from 1 since start.
    pub number: u64,
    /// Where the leg that waited is, and the one that came.
    pub ends: [Endpoint; 2],
    /// Seconds since it began.
    pub secs: u64,
    /// Bytes of both directions.
    pub bytes: u64,
    /// Bytes a second since it was last asked for, or since it began.
    pub rate: u64,
    /// Bytes a second since it began.
    pub average: u64,
    /// The highest of the rates and averages that were asked for.
    pub peak: u64,
    /// Its rate is the limited one because of an address.
    pub limited: bool,
    /// It may be quiet for an hour (C69).
    pub tunnel: bool,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Bytes moved, both directions together.
    pub bytes: u64,
    /// Seconds it lasted.
    pub secs: u64,
    /// `Done`, `Idle`, `SendFailed` if a leg broke, `Malformed` if it sent what is no message.
    pub reason: DropReason,
}
