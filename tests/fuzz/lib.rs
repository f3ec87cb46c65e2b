//! The targets of tests/fuzz as a library, for libFuzzer.

#[path = "../conformance/say.rs"]
mod say;
mod script;
pub mod targets;
