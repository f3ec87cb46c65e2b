//! What this process and the system around it tell each other: signals, and the supervisor that
//! started it.

pub(crate) mod signal;
pub(crate) mod supervisor;
