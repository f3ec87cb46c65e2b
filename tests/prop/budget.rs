//! What sessions may move, on a clock of its own: nobody overspends, shares are fair, small talk
//! does not wait for bulk, heavy use is slowed down. C72.

use hbb::net::session::rate::{SessionMeter, TotalMeter};
use hbb_core::base::rates::{MEGABIT, Rates};
use hbb_core::base::time::Time;
use hbb_core::relay::budget::Verdict;

use crate::chance::Chance;

/// What all sessions of a server have used: nothing yet.
fn unused() -> &'static TotalMeter {
    Box::leak(Box::default())
}

/// A session that moves `chunk` bytes whenever it may, at most every `pause_ms`.
struct Session {
    meter: SessionMeter,
    chunk: u64,
    pause_ms: u64,
    next: Time,
    /// The longest it was kept from moving.
    waited_ms: u64,
}

impl Session {
    fn new(total: &'static TotalMeter, chunk: u64, pause_ms: u64) -> Self {
        let meter = total.meter(Time::START);
        Self { meter, chunk, pause_ms, next: Time::START, waited_ms: 0 }
    }

    fn step(&mut self, rates: &Rates) {
        let now = self.next;
        let free = now.after_ms(self.pause_ms);
        self.next = match self.meter.spend(now, self.chunk, false, rates) {
            Verdict::Go => free,
            Verdict::WaitUntil(at) => at.max(free),
        };
        self.waited_ms = self.waited_ms.max(self.next.since_ms(free));
    }
}

/// Runs all until `ms`; the bytes of each.
fn run(sessions: &mut [Session], rates: &Rates, ms: u64) -> Vec<u64> {
    while let Some(first) = sessions.iter_mut().min_by_key(|session| session.next) {
        if first.next > Time::from_millis(ms) {
            break;
        }
        first.step(rates);
    }
    sessions.iter().map(|session| session.meter.own().moved()).collect()
}

fn near(value: u64, wanted: u64, percent: u64) -> bool {
    value.abs_diff(wanted) * 100 <= wanted * percent
}

#[test]
fn c072_a_pair_of_8_megabits_moves_a_mebibyte_a_second() {
    let (total, rates) = (unused(), Rates { single: 8 * MEGABIT, ..Rates::default() });
    for chunk in [1_400, 65_536, 262_144] {
        let mut pair = [Session::new(total, chunk, 0)];
        let moved = run(&mut pair, &rates, 20_000)[0];
        assert!(near(moved, 20 * 1024 * 1024, 2), "{chunk}: {moved} in 20 s");
    }
}

#[test]
fn c072_two_pairs_share_the_total_within_a_second() {
    let (total, rates) = (unused(), Rates { total: 8 * MEGABIT, ..Rates::default() });
    let mut pairs = [(); 2].map(|()| Session::new(total, 65_536, 0));
    let first = run(&mut pairs, &rates, 1_000);
    let second = run(&mut pairs, &rates, 2_000);
    let [one, other] = [0, 1].map(|index| second[index] - first[index]);
    assert!(near(one, 512 * 1024, 15) && near(other, 512 * 1024, 15), "{one} and {other}");
    // Others leave: the rest is the last one's within a second.
    let [mut last, gone] = pairs;
    drop(gone);
    let before = run(core::slice::from_mut(&mut last), &rates, 3_000)[0];
    let after = run(core::slice::from_mut(&mut last), &rates, 8_000)[0];
    assert!(near(after - before, 5 * 1024 * 1024, 5), "{} in 5 s", after - before);
}

#[test]
fn c072_small_talk_does_not_wait_beside_bulk() {
    let (total, rates) = (unused(), Rates { total: 8 * MEGABIT, ..Rates::default() });
    let mut pairs: Vec<_> = (0..5).map(|_| Session::new(total, 65_536, 0)).collect();
    pairs.push(Session::new(total, 200, 10));
    let moved = run(&mut pairs, &rates, 10_000);
    assert_eq!(pairs[5].waited_ms, 0, "20 kB/s beside bulk waited");
    assert!(near(moved.iter().sum(), 10 * 1024 * 1024, 5), "{moved:?}");
}

#[test]
fn c072_who_uses_much_for_long_is_slowed_down_once_and_for_good() {
    let rates = Rates { downgrade_after_ms: 60_000, ..Rates::default() };
    let total = unused();
    // Two thirds of the single rate for a minute is enough; a little less is not.
    let paced = |hundredths: u64| rates.single * hundredths / 100 / 100;
    let mut pairs = [Session::new(total, paced(70), 10), Session::new(total, paced(60), 10)];
    run(&mut pairs, &rates, 59_000);
    assert!(!pairs[0].meter.own().is_limited(), "before its time");
    let before = run(&mut pairs, &rates, 61_000);
    assert!(pairs[0].meter.own().is_limited() && !pairs[1].meter.own().is_limited());
    let after = run(&mut pairs, &rates, 71_000);
    assert!(near(after[0] - before[0], 10 * rates.limited, 5), "{}", after[0] - before[0]);
    // A blacklisted address is slow from its first second on.
    let mut meter = total.meter(Time::START);
    assert_ne!(meter.spend(Time::START, rates.limited, true, &rates), Verdict::Go);
    // Taken from the list it has its own rate again.
    let later = Time::from_millis(10_000);
    assert_eq!(meter.spend(later, rates.limited / 10, false, &rates), Verdict::Go);
    assert!(!meter.own().is_limited());
}

#[test]
fn nobody_overspends_whatever_the_chunks() {
    for seed in 0..100 {
        let (total, mut chance) = (unused(), Chance::new(seed));
        let rates = Rates {
            total: MEGABIT * (1 + chance.below(100)),
            single: MEGABIT * (1 + chance.below(100)),
            ..Rates::default()
        };
        let count = 1 + chance.index(6);
        let mut sessions: Vec<_> = (0..count)
            .map(|_| Session::new(total, 1 + chance.below(200_000), chance.below(20)))
            .collect();
        let largest: u64 = sessions.iter().map(|session| session.chunk).sum();
        let moved = run(&mut sessions, &rates, 10_000);
        // A tenth of a second ahead for all and for the shares, the last chunk of each, and one
        // more of each while the others wait.
        let allowed = rates.total * 10 + rates.total / 5 + 2 * largest;
        let all: u64 = moved.iter().sum();
        assert!(all <= allowed, "seed {seed}: {all} of {allowed}");
        for bytes in moved {
            let allowed = rates.single * 10 + rates.single / 10 + largest;
            assert!(bytes <= allowed, "seed {seed}: {bytes} of {allowed}");
        }
    }
}
