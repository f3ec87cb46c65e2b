//! A payload, decoded and forwarded.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hbb_fuzz::targets::message(bytes));
