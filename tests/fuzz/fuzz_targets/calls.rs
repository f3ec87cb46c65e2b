//! Calls of the HTTP API, up to the accounts.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hbb_fuzz::targets::calls(bytes));
