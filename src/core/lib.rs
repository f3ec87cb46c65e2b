//! What hbb decides, as machines that a test can hold in its hand: who is registered, who meets
//! whom, which legs of the relay belong together. There is no clock, socket, file, lock or thread
//! here, because this crate has no standard library to take one from; time, bytes and seeds come
//! in as arguments, and what is to be done goes out as values.

#![no_std]
#![forbid(unsafe_code)]
// With `testing` it is checked; without, what tests reach is rightly out of reach.
#![cfg_attr(not(feature = "testing"), allow(unreachable_pub))]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(feature = "accounts")]
pub mod accounts;
pub mod base;
pub mod identity;
#[cfg(feature = "accounts")]
pub mod journal;
pub mod relay;
pub mod rendezvous;
#[cfg(feature = "accounts")]
pub mod rules;
pub mod wire;
