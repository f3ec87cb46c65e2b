//! One connection or socket: how it is opened, cut into payloads, sealed, counted. It knows no
//! machine and nobody's queue.

pub mod link;
pub mod pool;
pub mod secrecy;
pub(crate) mod slots;
pub mod socket;
pub mod udp;
pub mod websocket;
