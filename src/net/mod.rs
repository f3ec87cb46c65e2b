//! The shell: sockets, clock, signals, store thread, and the tasks that own the machines. It
//! decides nothing about the protocol.

mod accept;
pub mod clock;
pub mod conn;
pub mod control;
pub(crate) mod health;
pub(crate) mod interfaces;
#[cfg(feature = "accounts")]
pub(crate) mod journal;
pub mod message;
pub(crate) mod process;
pub mod reactor;
pub(crate) mod recall;
pub mod relaying;
pub mod report;
pub(crate) mod serve;
pub mod session;
pub(crate) mod signalling;
pub(crate) mod store;
pub mod tasks;
#[cfg(feature = "web")]
mod web;
