//! Addresses and names of hosts, and whom an operator shuts out by them. Nothing here resolves or
//! opens anything. C09.

mod bans;
mod endpoint;
mod host;

pub use bans::{Banned, Bans};
pub use endpoint::{Endpoint, Network, Prefix, canonical};
pub use host::{host, host_port, with_port};
