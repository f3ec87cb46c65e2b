//! Handles the shell and the machines name connections and saves by. They are never addresses:
//! two clients can share one address behind a proxy.

use core::hash::{Hash, Hasher};

use super::address::Endpoint;

/// One live connection: a slot in the shell's pool and the generation of its tenant, so that a
/// late message for a closed connection cannot reach the next one in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conn {
    /// Index in the pool, below its limit.
    pub slot: u32,
    /// Counts the tenants of this slot.
    pub generation: u32,
}

/// In one word.
impl Hash for Conn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.slot) << 32 | u64::from(self.generation));
    }
}

/// How a connection's bytes are cut into payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Length-prefixed frames over TCP.
    Tcp,
    /// Binary WebSocket messages.
    WebSocket,
}

/// The way a request came and its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The UDP socket of port P, to or from this endpoint.
    Datagram(Endpoint),
    /// A connection.
    Stream(Conn),
}

/// Names one change on its way to disk, so that `Saved` finds what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What became of a change handed to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    /// It will be there after a power cut.
    Durable,
    /// It was not stored.
    Failed,
    /// It was not tried: what may be written in a day is spent (C110).
    Postponed,
}

/// Whose changes go to disk first when there are many, and whose are put off first when there is
/// little left to write ([`Writes`](super::writes::Writes)). Least is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SaveRank {
    /// An operator's: never put off.
    Operator,
    /// Of a device that was stored a day ago or earlier.
    Known,
    /// Of one that was stored since, the first of its network in an hour: no new id takes its share
    /// (C122).
    Recent,
    /// Of a new device that showed where it is, the first of its network in an hour: it does not
    /// wait until many changes are gathered (C122).
    Prompt,
    /// Of a new device that showed where it is: it came on a connection.
    Proved,
    /// Of whoever sent a datagram.
    Stranger,
}
