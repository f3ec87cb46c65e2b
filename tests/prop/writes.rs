//! What the store may write in a day: never exceeded, whoever asks for what; and enough at a start
//! for as many devices as each class of board holds. C110.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use hbb::store::Store as _;
use hbb::store::redb::Redb;
use hbb_core::base::conn::SaveRank;
use hbb_core::base::limits::{BATCH_MAX, WRITES_UNIT_BYTES};
use hbb_core::base::peer::{Change, DeviceId, PeerId, PeerKey, Record, RecordState};
use hbb_core::base::time::Time;
use hbb_core::base::writes::Writes;

use crate::chance::Chance;
use crate::disk::Disk;

const DAY_MS: u64 = 24 * 3_600_000;
const RANKS: [SaveRank; 4] =
    [SaveRank::Known, SaveRank::Recent, SaveRank::Proved, SaveRank::Stranger];

/// Seven days of commits, each as soon as it may be, or after a pause; none costs more than an
/// eighth of a day's bytes. Whatever is gathered for longer is gathered before it is refused.
#[test]
fn c110_no_24_hours_see_more_than_a_day_s_bytes() {
    for seed in 0..40 {
        let mut chance = Chance::new(seed);
        let a_day = [1, 8, 64, 2_000][chance.index(4)];
        let day = u64::from(a_day) * WRITES_UNIT_BYTES;
        let (mut writes, mut window) = (Writes::new(a_day), VecDeque::new());
        let (mut now, mut sum, mut most) = (0, 0, 0);
        while now < 7 * DAY_MS {
            let pause = if chance.one_in(500) { chance.below(DAY_MS) } else { 0 };
            writes.pass(Time::from_millis(now + pause));
            let gather = writes.gather_ms();
            now += pause + gather;
            writes.pass(Time::from_millis(now));
            let rank = RANKS[chance.index(4)];
            if !writes.allow(rank) {
                assert_eq!(gather, 10_000, "refused before others waited");
                now += 600_000;
                continue;
            }
            let cost = chance.between(4_096, day / 8);
            writes.spend(cost);
            window.push_back((now, cost));
            sum += cost;
            while window.front().is_some_and(|(at, _)| at + DAY_MS <= now) {
                sum -= window.pop_front().unwrap().1;
            }
            most = sum.max(most);
        }
        assert!(most <= day, "seed {seed}: {most} of {day}");
        assert!(most > day / 4, "seed {seed}: only {most} of {day}, so nobody tried");
    }
}

/// The classes of `board/*.toml`: their peers register in full batches, in no order of ids.
#[test]
fn c110_a_full_table_fits_what_a_start_may_write() {
    for class in ["router-small", "router-large", "raspberry-pi"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("board/{class}.toml"));
        let text = fs::read_to_string(path).unwrap();
        let number = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
            let digits = line.split_once('=').unwrap().1.split('#').next().unwrap();
            digits.trim().replace('_', "").parse::<usize>().unwrap()
        };
        let mut chance = Chance::new(1);
        let mut store = Redb::over(Disk::default()).unwrap();
        let mut writes = Writes::new(u16::try_from(number("writes_a_day")).unwrap());
        let (peers, mut most) = (number("peers"), 0);
        for batch in 0..peers / BATCH_MAX {
            assert!(writes.allow(SaveRank::Stranger), "{class}: {batch} batches and no more");
            let changes: Vec<_> =
                (0..BATCH_MAX).map(|_| Change::Put(record(&mut chance))).collect();
            let before = store.written();
            store.commit(&changes).unwrap();
            most = most.max(store.written() - before);
            writes.spend(store.written() - before);
        }
        println!("{class}: {} bytes for {peers}, at most {most} a commit", store.written());
        assert!(most <= number("writes_a_day") as u64 * WRITES_UNIT_BYTES / 8, "{class}: {most}");
    }
}

fn record(chance: &mut Chance) -> Record {
    Record {
        id: PeerId::new(&chance.between(100_000_000, 999_999_999).to_string()).unwrap(),
        device: DeviceId::new(&chance.bytes(36)).unwrap(),
        key: PeerKey(chance.bytes(32).try_into().unwrap()),
        first_seen_secs: chance.draw(),
        state: RecordState::Registered(Some([203, 0, 113, 9].into())),
    }
}
