//! What this process and the system around it tell each other: signals, the supervisor that
//! started it, whose user it is, what it gives up, how many files it may open, and another program
//! that it runs; how often it ended badly.

// Who hands the list to the kernel knows no machine that is big-endian.
#[cfg(target_endian = "little")]
mod calls;
pub(crate) mod child;
pub(crate) mod confine;
pub(crate) mod crashes;
pub(crate) mod files;
pub(crate) mod signal;
pub(crate) mod supervisor;
pub(crate) mod user;
