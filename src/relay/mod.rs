//! Which relay legs belong together: a pure machine. It must not know sockets, clocks or logs,
//! nor the rendezvous. C65-C67, C69-C71.

pub mod pairing;

use heapless::Deque;

use crate::base::conn::Conn;
use crate::base::counters::DropReason;
use crate::base::endpoint::Endpoint;
use crate::base::limits::EFFECTS_MAX;
use crate::wire::ConnType;
use crate::wire::request::Request;

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
        /// On which connection.
        conn: Conn,
        /// What it says.
        request: Request<'a>,
    },
    /// The connection is gone, for whatever reason, before or after pairing.
    Closed {
        /// Which one.
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
    },
    /// Join the two connections; both stay known as one session until either is `Closed`.
    Pair {
        /// The leg that waited.
        waiting: Conn,
        /// The leg that completed the pair.
        joining: Conn,
        /// Whichever leg told the longer-lived kind decides the idle rule (C69).
        conn_type: ConnType,
    },
    /// Close the connection without a word (C66).
    Close {
        /// Which one.
        conn: Conn,
        /// Why.
        reason: DropReason,
    },
}

/// What one input or timeout led to, in order.
pub type Effects = Deque<Effect, EFFECTS_MAX>;
