//! The shell: sockets, clock, signals, store thread, and the tasks that own the machines. It
//! decides nothing about the protocol.

pub mod bridge;
pub mod clock;
pub mod conduit;
pub mod console;
pub mod control;
pub mod door;
pub mod health;
pub mod lane;
pub mod link;
pub mod notify;
pub mod pace;
pub mod pool;
pub mod relaying;
pub mod report;
pub mod roll;
pub mod running;
pub mod secure;
pub mod serve;
pub mod session;
pub mod signal;
pub mod signalling;
pub mod socket;
pub mod splice;
pub mod steward;
pub mod store;
pub mod tcp;
pub mod udp;
pub mod ws;
