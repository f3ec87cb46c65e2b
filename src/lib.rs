//! hbb: a RustDesk ID server and relay in one small binary.
//!
//! `main` > `cli` > `config` > `cmd` > `net` are the shell around the machines of `hbb-core`.
//! Knowledge runs downward only.

pub mod atomic;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod log;
pub mod net;
pub mod store;
