//! The relay between sockets and sessions: the task that owns the machine, and a task for each leg
//! until its session begins. C65-C67, C69-C71.

mod leg;
mod list;
mod owner;
pub mod parked;

pub(crate) use leg::{RelayHandle, serve};
pub(crate) use owner::{RelayQueues, Relaying};
