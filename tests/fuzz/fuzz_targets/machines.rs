//! A script for the machines of signalling and relay.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hbb_fuzz::targets::machines(bytes));
