//! Properties over random values, shrunk where they fail: codecs, JSON, the converter, the stores;
//! the bounded table and the rates, whose runs are long, by a seed alone.
//!
//! The seed is fixed, so that a run is the same everywhere. `HBB_LONG=1` draws a new one and tries
//! fifty times as many values; a failure names its seed, for `PROPTEST_RNG_SEED`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::hash::{BuildHasher, Hasher, RandomState};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

mod budget;
#[path = "../sim/chance.rs"]
mod chance;
mod codec;
mod convert;
mod disk;
mod json;
mod rules;
mod store;
mod table;
mod writes;

/// Runs `test`, which panics where it fails, on that many `values`.
fn check<S: Strategy>(cases: u32, values: &S, test: impl Fn(S::Value)) {
    let long = variable("HBB_LONG").is_some_and(|value| value == "1");
    let seed = match variable("PROPTEST_RNG_SEED") {
        Some(text) => text.parse().unwrap(),
        None if long => RandomState::new().build_hasher().finish(),
        None => 2026,
    };
    let config = Config {
        cases: if long { 50 * cases } else { cases },
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let run = TestRunner::new(config).run(values, |value| {
        test(value);
        Ok(())
    });
    let repeat = if long { "HBB_LONG=1 " } else { "" };
    run.unwrap_or_else(|failure| panic!("{failure}\n{repeat}PROPTEST_RNG_SEED={seed}"));
}

#[allow(clippy::disallowed_methods, reason = "switches for people, in a test only")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
