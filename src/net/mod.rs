//! The shell: sockets, clock, signals, store thread, and the tasks that own the machines. It
//! decides nothing about the protocol.

pub mod accept;
pub mod clock;
pub mod conn;
pub mod control;
pub mod health;
pub mod message;
pub mod process;
pub mod relaying;
pub mod report;
pub mod serve;
pub mod session;
pub mod signalling;
pub mod store;
