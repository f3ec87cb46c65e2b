//! A database of SQLite, and its log.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hbb_fuzz::targets::sqlite(bytes));
