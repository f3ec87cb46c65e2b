//! A WebSocket's bytes, and the converter between relay legs.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hbb_fuzz::targets::websocket(bytes));
