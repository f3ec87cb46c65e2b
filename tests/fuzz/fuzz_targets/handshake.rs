//! A request for a WebSocket.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hbb_fuzz::targets::handshake(bytes));
