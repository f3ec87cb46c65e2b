//! Conformance: the numbered checks of README.md, a test's number in its name.
//! The `_machine` modules ask the pure machines, `register`, `punch` and `relay_signal` both, the
//! others over loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod amplification;
mod answers_machine;
mod books;
mod both;
mod bytes;
mod calls;
#[path = "../sim/chance.rs"]
mod chance;
mod connection_machine;
mod console;
mod console_machine;
mod crowds;
mod drive;
mod first_start;
mod flaps_machine;
mod half_minute;
mod ids;
mod ids_machine;
mod journal_machine;
mod keep;
mod keep_machine;
mod keyless;
mod keys;
mod log_flood;
mod loopback;
#[path = "../model/mod.rs"]
mod model;
mod nat_online;
mod nat_online_machine;
mod newcomers_machine;
mod phones;
mod phones_machine;
mod private_machine;
mod proxies;
mod punch;
mod punch_echo_machine;
mod punch_machine;
mod recall;
mod recall_machine;
mod refusals;
mod register;
mod register_machine;
mod relay_bridge;
mod relay_limits_machine;
mod relay_machine;
mod relay_pump;
mod relay_shares;
mod relay_shares_machine;
mod relay_signal;
mod relay_signal_machine;
mod relay_socket;
mod relay_speed;
mod relay_stream;
mod relay_websocket;
mod rename;
mod rename_machine;
mod rules_machine;
mod say;
mod sealed;
mod shares_machine;
mod udp;
mod websocket;
mod wire;
mod wire_machine;
mod worst;
mod writes;
