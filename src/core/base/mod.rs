//! The words all other files speak: time, endpoints, peers, bounded tables, limits, counters.
//! Nothing here knows a socket, a message or a file.

pub mod address;
pub mod conn;
pub mod counters;
pub mod json;
pub mod limits;
pub(crate) mod nonce;
pub mod peer;
pub mod places;
pub mod rates;
#[cfg(feature = "accounts")]
pub mod rows;
pub mod table;
pub mod text;
pub mod time;
pub mod writes;
