//! The targets of tests/fuzz as a library, for libFuzzer.

mod office;
#[path = "../conformance/say.rs"]
mod say;
mod script;
pub mod targets;
