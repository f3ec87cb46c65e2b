//! One connection or socket: how it is opened, cut into payloads, sealed, counted. It knows no
//! machine and nobody's queue.

pub(crate) mod gate;
pub mod link;
pub(crate) mod pool;
pub(crate) mod proxied;
pub(crate) mod secrecy;
pub(crate) mod slots;
pub(crate) mod socket;
pub(crate) mod udp;
pub(crate) mod websocket;

use std::rc::Rc;

use hbb_core::base::address::Endpoint;

use link::Link;
use pool::Place;

/// A connection that was accepted.
pub(crate) struct Connection {
    /// Its stream, and what was read of it.
    pub(crate) link: Link,
    /// Where its client is: where it came from, unless a trusted proxy knows better (C54).
    pub(crate) from: Endpoint,
    /// Kept to its end.
    pub(crate) place: Rc<Place>,
}
