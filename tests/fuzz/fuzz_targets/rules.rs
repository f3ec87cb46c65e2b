//! A file of rules, and a dial that they decide.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hbb_fuzz::targets::rules(bytes));
