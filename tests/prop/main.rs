//! Properties over random values: codecs, the bounded table, the stores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod budget;
#[path = "../sim/chance.rs"]
mod chance;
mod codec;
mod convert;
mod disk;
mod store;
mod table;
