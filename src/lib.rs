//! hbb: a RustDesk ID server and relay in one small binary.
//!
//! `main` > `cli` > `config` > `cmd` > `net` hold the shell; `rendezvous` and `relay` are pure
//! machines over `wire`, `identity` and `base`. Knowledge runs downward only.

pub mod base;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod identity;
pub mod log;
pub mod net;
pub mod relay;
pub mod rendezvous;
pub mod store;
pub mod wire;
