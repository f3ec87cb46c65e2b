//! JSON (RFC 8259), read and written without allocating more than what is asked for: a [`Value`]
//! is a view on text that was checked whole, [`Writer`] and [`quote`] add to a text. Must not know
//! what is read. Checks: C175; tests/prop/json.rs, the fuzz target `json`.

mod read;
mod write;

pub use read::Value;
#[cfg(any(feature = "accounts", feature = "testing"))]
pub use write::Writer;
pub use write::{escape, quote};
