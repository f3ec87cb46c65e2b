//! hbb: a RustDesk ID server and relay in one small binary.
//!
//! `main`, `cmd`, `net`, `settings`, `config`, `cli`, with `store`, `log` and `file` beside
//! them, are the shell around the machines of `hbb-core`. Knowledge runs downward only, in that
//! order.

pub mod atomic;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod file;
pub mod log;
pub mod net;
mod qr;
pub mod settings;
pub mod sqlite;
pub mod store;
pub mod upstream;
