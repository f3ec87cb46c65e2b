//! Addresses and names of hosts, and whom an operator shuts out by them. Nothing here resolves or
//! opens anything. C09.

mod asked;
mod bans;
mod endpoint;
mod host;
mod networks;

pub use asked::Asked;
pub use bans::{Banned, Bans, named_id};
pub(crate) use endpoint::Prefix;
pub use endpoint::{Endpoint, Network, canonical};
pub use host::{host, host_port, split_port, with_port};
pub use networks::NetworkSet;
