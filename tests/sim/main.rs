//! Simulation: the production machines with modelled devices and strangers under one seed per
//! run. `HBB_SIM_SEEDS=N` runs N seeds, `HBB_SIM_SEED=N` runs the one that failed; a seed that
//! failed joins `seeds.txt` in the commit that mends what it found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod addresses;
mod approval;
mod asks;
mod cause;
mod chance;
mod claims;
mod denials;
mod device;
mod dial;
mod flash;
mod flood;
mod kept;
mod ledger;
mod legs;
mod postponed;
mod queue;
mod recalls;
mod run;
#[path = "../conformance/say.rs"]
mod say;
mod server;
mod stranger;
mod stream;
mod world;

use flood::{run_crowded, run_flooded};
use run::{Summary, run, run_awake, run_closed};

const SEEDS: u64 = 170;
/// Of those in which devices wait for an operator.
const CLOSED_SEEDS: u64 = 30;

#[allow(clippy::disallowed_methods, reason = "a switch for people, in a test only")]
fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Says which seed it was should the run panic.
struct Naming(u64);

impl Drop for Naming {
    #[allow(clippy::print_stderr, reason = "a failure must name its seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\nHBB_SIM_SEED={} cargo test --test sim\n", self.0);
        }
    }
}

fn run_named(seed: u64) -> Summary {
    let _naming = Naming(seed);
    run(seed)
}

/// Runs `seeds` on two threads: every run is alone in its world.
fn run_all(seeds: &[u64]) -> Summary {
    let (even, odd) = seeds.split_at(seeds.len() / 2);
    let sum = |seeds: &[u64]| {
        let mut total = Summary::default();
        seeds.iter().for_each(|seed| total.add(&run_named(*seed)));
        total
    };
    std::thread::scope(|scope| {
        let half = scope.spawn(|| sum(even));
        let mut total = sum(odd);
        total.add(&half.join().unwrap());
        total
    })
}

#[test]
fn a_seed_repeats_exactly() {
    let (one, other) = (run_named(1), run_named(1));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

#[test]
fn seeds_that_failed_once_hold_now() {
    let kept = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let seeds: Vec<u64> = kept.map(|line| line.trim().parse().unwrap()).collect();
    run_all(&seeds);
}

#[test]
fn sixty_days_hold_under_every_seed() {
    let total = match number_of("HBB_SIM_SEED") {
        Some(seed) => run_named(seed),
        None => {
            let count = number_of("HBB_SIM_SEEDS").unwrap_or(SEEDS);
            let total = run_all(&(0..count).collect::<Vec<_>>());
            let parts = [total.acks, total.answers, total.sessions, total.restarts, total.dials];
            assert!(total.refused >= count / 2, "the rules refused nearly nobody: {total:?}");
            assert!(parts.iter().all(|part| *part >= count), "little happened: {total:?}");
            total
        }
    };
    println!("{total:?}");
}

#[test]
fn c185_sixty_days_hold_where_devices_wait_for_an_operator() {
    let seeds = match number_of("HBB_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_of("HBB_SIM_SEEDS").unwrap_or(CLOSED_SEEDS),
    };
    let (count, mut total) = (seeds.end - seeds.start, Summary::default());
    for seed in seeds {
        let _naming = Naming(seed);
        total.add(&run_closed(seed));
    }
    println!("{total:?}");
    let parts = [total.approved, total.acks, total.sessions, total.dials, total.barred];
    assert!(count == 1 || parts.iter().all(|part| *part >= count), "little happened: {total:?}");
}

#[test]
fn sixty_days_awake_hold() {
    let total = run_awake(60);
    assert!(total.events > 1_000_000, "{total:?}");
}

#[test]
fn c122_newcomers_of_many_networks_leave_the_known_their_share() {
    let seed = number_of("HBB_SIM_SEED").unwrap_or(0);
    let _naming = Naming(seed);
    run_crowded(seed);
}

#[test]
fn a_flood_of_forged_ids_and_new_keys_stays_in_memory_and_flash() {
    let seed = number_of("HBB_SIM_SEED").unwrap_or(0);
    let _naming = Naming(seed);
    run_flooded(seed);
}
