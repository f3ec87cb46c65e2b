//! A 64-bit counter that threads share, also where the processor has none (32-bit MIPS): there
//! portable-atomic makes one of smaller parts, elsewhere it is not even built.

#[cfg(target_has_atomic = "64")]
pub use core::sync::atomic::AtomicU64;
#[cfg(not(target_has_atomic = "64"))]
pub use portable_atomic::AtomicU64;
