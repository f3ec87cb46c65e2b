//! The store against the reference in memory, through reopening; redb through power cuts after
//! every write and sync: the old or the new state, never another, never an unopenable file.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use ::redb::ReadableDatabase as _;
use hbb::store::memory::Memory;
use hbb::store::redb::Redb;
use hbb::store::{Error, Store, open};
use hbb_core::base::peer::{Change, DeviceId, PeerId, PeerKey, Record, RecordState};
use hbb_core::base::rows::RowChange;

use proptest::array::uniform32;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any, prop_oneof};

use crate::chance::Chance;
use crate::check;
use crate::disk::Disk;

/// Devices, and rows of none.
type State = (BTreeMap<PeerId, Record>, BTreeMap<Vec<u8>, Vec<u8>>);

/// A directory of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hbb-prop-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("hbb.store")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn id() -> impl Strategy<Value = PeerId> {
    (0..40).prop_map(|number| PeerId::new(&format!("peer{number:05}")).unwrap())
}

fn record() -> impl Strategy<Value = Record> {
    let device = vec(any::<u8>(), 1..=64).prop_map(|bytes| DeviceId::new(&bytes).unwrap());
    let key = uniform32(any::<u8>()).prop_map(PeerKey);
    let record = (id(), device, key, any::<u64>(), record_state());
    record.prop_map(|(id, device, key, first_seen_secs, state)| Record {
        id,
        device,
        key,
        first_seen_secs,
        state,
    })
}

fn record_state() -> impl Strategy<Value = RecordState> {
    prop_oneof![
        option::of(any::<IpAddr>()).prop_map(RecordState::Registered),
        any::<u64>().prop_map(RecordState::Forgotten),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => record().prop_map(Change::Put),
        1 => id().prop_map(Change::Remove),
        1 => (id(), record()).prop_map(|(from, to)| Change::Rename { from, to }),
        1 => vec(row(), 1..=4).prop_map(Change::Rows),
    ]
}

fn row() -> impl Strategy<Value = RowChange> {
    let value = option::weighted(0.7, vec(any::<u8>(), 0..80));
    ((0..12_u8), value).prop_map(|(key, value)| RowChange { key: vec![b'u', key], value })
}

fn batch() -> impl Strategy<Value = Vec<Change>> {
    vec(change(), 1..=12)
}

fn state(store: &mut dyn Store) -> State {
    let (mut peers, mut rows) = State::default();
    store.load(&mut |record| assert!(peers.insert(record.id.clone(), record).is_none())).unwrap();
    let mut row =
        |key: &[u8], value: &[u8]| assert!(rows.insert(key.into(), value.into()).is_none());
    store.rows(&mut row).unwrap();
    (peers, rows)
}

#[test]
fn redb_does_what_memory_does_through_reopening() {
    // What is committed between two openings.
    let rounds = vec(vec(batch(), 0..4), 1..=20);
    check(6, &rounds, |rounds| {
        let (folder, mut model) = (Folder::new("redb"), Memory::default());
        for batches in rounds {
            let mut store = open(&folder.file()).unwrap();
            assert_eq!(state(store.as_mut()), state(&mut model));
            for batch in batches {
                store.commit(&batch).unwrap();
                model.commit(&batch).unwrap();
            }
        }
        assert_eq!(state(open(&folder.file()).unwrap().as_mut()), state(&mut model));
    });
}

#[test]
fn a_power_cut_leaves_the_old_state_or_the_new() {
    let cuts = Cell::new(0);
    check(32, &(vec(batch(), 1..=10), any::<u64>()), |(batches, luck)| {
        cuts.set(cuts.get() + cut_everywhere(&batches, Chance::new(luck)));
    });
    assert!(cuts.get() > 900, "{} cuts", cuts.get());
}

/// Commits these, closes the store, and cuts the power after every operation of it all; gives the
/// cuts made.
fn cut_everywhere(batches: &[Vec<Change>], mut luck: Chance) -> usize {
    let (disk, mut model) = (Disk::default(), Memory::default());
    let mut store = Redb::over(disk.clone()).unwrap();
    let (begin, first) = (disk.bytes(), disk.ops());
    // The state from which operation on it is acknowledged.
    let mut acknowledged = vec![(first, State::default())];
    for batch in batches {
        store.commit(batch).unwrap();
        model.commit(batch).unwrap();
        acknowledged.push((disk.ops(), state(&mut model)));
    }
    drop(store);
    let last = disk.ops();
    for cut in first..=last {
        let left = disk.after_cut_from(begin.clone(), (first, cut), &mut luck);
        let at = acknowledged.iter().rposition(|(from, _)| *from <= cut).unwrap();
        let old_or_new: Vec<_> = acknowledged[at..].iter().take(2).map(|(_, it)| it).collect();
        let what = format!("cut after {cut} of {last}");
        let mended = Disk::holding(left.clone());
        assert_holds_one_of(mended.clone(), &old_or_new, &what);
        // And once more while what the first one left is mended and the store is closed again.
        let again = luck.index(mended.ops() + 1);
        let left = mended.after_cut_from(left, (0, again), &mut luck);
        assert_holds_one_of(Disk::holding(left), &old_or_new, &format!("{what}, then {again}"));
    }
    last - first
}

fn assert_holds_one_of(disk: Disk, states: &[&State], what: &str) {
    // What a cut left is no damage, and whoever looks changes nothing.
    let ops = disk.ops();
    let survey = Redb::survey_over(disk.clone());
    let peers = survey.unwrap_or_else(|error| panic!("{what}: surveyed: {error}"));
    let registered = |record: &&Record| matches!(record.state, RecordState::Registered(_));
    let count = |state: &&State| state.0.values().filter(registered).count();
    assert!(states.iter().map(count).any(|count| count == peers), "{what}: {peers} surveyed");
    assert_eq!(disk.ops(), ops, "{what}: a survey wrote");
    let mut store = Redb::over(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = state(&mut store);
    assert!(states.contains(&&found), "{what}: neither the old nor the new state");
}

/// What was acknowledged is durable already, so that a cut while the store is closed takes nothing.
#[test]
fn a_clean_stop_costs_two_syncs_and_a_start_one() {
    let mut chance = Chance::new(3);
    for round in 0..8 {
        let disk = Disk::default();
        drop(Redb::over(disk.clone()).unwrap());
        assert_eq!(disk.syncs(), 1, "a new store, round {round}");
        let (mut model, mut peers) = (Memory::default(), 0);
        for start in 0..6 {
            let what = format!("round {round}, start {start}");
            let before = disk.syncs();
            let mut store = Redb::over(disk.clone()).unwrap();
            assert_eq!(disk.syncs() - before, 1, "{what}");
            assert_eq!(state(&mut store), state(&mut model), "{what}");
            for _ in 0..chance.below(4) {
                let some = some_numbered(&mut peers, &mut chance);
                store.commit(&some).unwrap();
                model.commit(&some).unwrap();
            }
            let last = match chance.one_in(2) {
                true => some_numbered(&mut peers, &mut chance),
                false => Vec::new(),
            };
            let here = "x".repeat(chance.index(2) * chance.index(6_000));
            stop_and_cut((store, &last, &here), &disk, &what, &mut chance);
            model.finish(&last, &here).unwrap();
            let kept = Redb::over(disk.clone()).unwrap().whereabouts();
            assert_eq!(kept, model.whereabouts(), "{what}");
        }
    }
}

/// A batch of changes of many peers: new ones, or the latest ones go.
fn some_numbered(peers: &mut usize, chance: &mut Chance) -> Vec<Change> {
    let (some, begin) = (chance.index(400), *peers);
    if chance.one_in(3) {
        *peers = begin.saturating_sub(some);
        (*peers..begin).map(|at| Change::Remove(numbered(at, chance).id)).collect()
    } else {
        *peers += some;
        (begin..*peers).map(|at| Change::Put(numbered(at, chance))).collect()
    }
}

/// Stops with some last changes and word of who is here, or without, and cuts the power at every
/// operation of that.
fn stop_and_cut(
    (mut store, last, here): (Redb, &[Change], &str),
    disk: &Disk,
    what: &str,
    chance: &mut Chance,
) {
    let (before, syncs) = (state(&mut store), disk.syncs());
    let mut model = Memory::default();
    let put = |record: &Record| Change::Put(record.clone());
    model.commit(&before.0.values().map(put).collect::<Vec<_>>()).unwrap();
    model.finish(last, here).unwrap();
    let after = state(&mut model);
    let (begin, first) = (disk.bytes(), disk.ops());
    store.finish(last, here).unwrap();
    let done = disk.ops();
    drop(store);
    assert!(disk.syncs() - syncs <= 2, "{what}: {} syncs", disk.syncs() - syncs);
    for cut in first..=disk.ops() {
        let left = disk.after_cut_from(begin.clone(), (first, cut), chance);
        let what = format!("{what}, cut after {cut} of closing from {first}");
        let states = if cut < done { [&before, &after] } else { [&after; 2] };
        assert_holds_one_of(Disk::holding(left), &states, &what);
    }
}

/// Nor at any fill of the file, which grows on the way.
#[test]
fn a_clean_stop_costs_two_syncs_however_full_the_file_is() {
    let (disk, mut chance, mut model) = (Disk::default(), Chance::new(4), Memory::default());
    for start in 0..300 {
        let mut store = Redb::over(disk.clone()).unwrap();
        let some = (0..15).map(|at| Change::Put(numbered(start * 15 + at, &mut chance)));
        let some: Vec<_> = some.collect();
        store.commit(&some).unwrap();
        model.commit(&some).unwrap();
        let syncs = disk.syncs();
        let moved: Vec<_> = match start % 2 {
            0 => (0..15).map(|at| Change::Put(numbered(start * 5 + at, &mut chance))).collect(),
            _ => Vec::new(),
        };
        store.finish(&moved, "").unwrap();
        model.finish(&moved, "").unwrap();
        drop(store);
        assert!(disk.syncs() - syncs <= 2, "start {start}: {} syncs", disk.syncs() - syncs);
    }
    assert_eq!(state(&mut Redb::over(disk).unwrap()), state(&mut model));
}

fn numbered(at: usize, chance: &mut Chance) -> Record {
    let len = 1 + chance.index(64);
    Record {
        id: PeerId::new(&format!("peer{at:05}")).unwrap(),
        device: DeviceId::new(&chance.bytes(len)).unwrap(),
        key: PeerKey(chance.bytes(32).try_into().unwrap()),
        first_seen_secs: chance.draw(),
        state: RecordState::Registered(Some(IpAddr::from(
            chance.draw().to_be_bytes().map(u16::from),
        ))),
    }
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let folder = Folder::new("foreign");
    let (newer, cut_off) = (newer_store(&folder, true), newer_store(&folder, false));
    let mut cut_short = fs::read(folder.file()).unwrap();
    cut_short.truncate(700);
    let mut flipped = fs::read(folder.file()).unwrap();
    flipped.iter_mut().skip(64).step_by(3).for_each(|byte| *byte = !*byte);
    let cases: [(&str, &[u8], Option<Error>); 8] = [
        ("empty", b"", Some(Error::Damaged)),
        ("text", b"hello, this is my shopping list", Some(Error::Foreign)),
        ("sqlite", b"SQLite format 3\0 and more", Some(Error::Foreign)),
        ("cut short", &cut_short, Some(Error::Damaged)),
        ("flipped", &flipped, None),
        ("newer", &newer, Some(Error::NewerFormat)),
        ("newer, cut off", &cut_off, Some(Error::NewerFormat)),
        ("journal", b"hbbjrnl\x01", Some(Error::Journal)),
    ];
    for (name, bytes, expected) in cases {
        fs::write(folder.file(), bytes).unwrap();
        let error = open(&folder.file()).map(|_| ()).expect_err(name);
        if let Some(expected) = expected {
            assert_eq!(error, expected, "{name}");
        }
        assert!(fs::read(folder.file()).unwrap() == bytes, "{name} was changed");
    }
}

/// The bytes of a store of the next version, closed or as a power cut leaves it; a good store
/// stays in the folder.
fn newer_store(folder: &Folder, closed: bool) -> Vec<u8> {
    const PEERS: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("peers");
    drop(open(&folder.file()).unwrap());
    let good = fs::read(folder.file()).unwrap();
    let database = redb::Database::open(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(PEERS).unwrap().insert("", [2_u8].as_slice()).unwrap();
    transaction.commit().unwrap();
    let mut newer = fs::read(folder.file()).unwrap();
    drop(database);
    if closed {
        newer = fs::read(folder.file()).unwrap();
    }
    fs::write(folder.file(), good).unwrap();
    newer
}

/// Earlier builds stored no addresses: such a record is read, and stays as it is.
#[test]
fn a_record_of_version_1_is_read_and_not_rewritten() {
    const PEERS: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("peers");
    let folder = Folder::new("version-1");
    drop(open(&folder.file()).unwrap());
    let database = redb::Database::open(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    let bytes = [&[1][..], &7_u64.to_le_bytes(), &[9; 32], b"a device"].concat();
    transaction.open_table(PEERS).unwrap().insert("123456789", bytes.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let mut store = open(&folder.file()).unwrap();
    let found = state(store.as_mut());
    store.finish(&[], "").unwrap();
    drop(store);
    let record = &found.0[&PeerId::new("123456789").unwrap()];
    assert_eq!((record.first_seen_secs, record.key.0), (7, [9; 32]));
    assert_eq!(record.state, RecordState::Registered(None));
    let database = redb::Database::open(folder.file()).unwrap();
    let table = database.begin_read().unwrap().open_table(PEERS).unwrap();
    assert_eq!(table.get("123456789").unwrap().unwrap().value(), bytes);
}

#[test]
fn one_store_has_one_owner() {
    let folder = Folder::new("owner");
    let _first = open(&folder.file()).unwrap();
    assert_eq!(open(&folder.file()).map(|_| ()), Err(Error::InUse));
}

#[test]
fn of_starts_at_the_same_instant_one_has_the_store() {
    for round in 0..50 {
        let folder = Folder::new("instant");
        let (path, barrier) = (folder.file(), Barrier::new(4));
        let start = || {
            barrier.wait();
            let mut store = open(&path)?;
            let mut chance = Chance::new(round);
            store.commit(&[Change::Put(numbered(1, &mut chance))]).unwrap();
            // Held until everybody tried.
            barrier.wait();
            Ok::<_, Error>(())
        };
        let refused = |error| {
            barrier.wait();
            error
        };
        let ended: Vec<_> = thread::scope(|scope| {
            let starts = [(); 4].map(|()| scope.spawn(|| start().map_err(refused)));
            starts.map(|start| start.join().unwrap()).into()
        });
        assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1, "{ended:?}");
        assert!(ended.iter().all(|e| *e == Ok(()) || *e == Err(Error::InUse)), "{ended:?}");
        assert_eq!(state(open(&path).unwrap().as_mut()).0.len(), 1, "what was acknowledged");
    }
}

#[test]
fn a_directory_in_its_place_or_none_around_it_is_said() {
    let folder = Folder::new("place");
    assert_eq!(open(&folder.0).map(|_| ()), Err(Error::NotAFile));
    let nowhere = folder.0.join("nowhere").join("hbb.store");
    assert_eq!(open(&nowhere).map(|_| ()), Err(Error::Io(std::io::ErrorKind::NotFound, 2)));
}
