//! The store against the reference in memory, through reopening; redb through power cuts after
//! every write and sync: the old or the new state, never another, never an unopenable file.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use hbb::store::memory::Memory;
use hbb::store::redb::Redb;
use hbb::store::{Error, Store, open};
use hbb_core::base::peer::{Change, DeviceId, PeerId, PeerKey, Record};

use proptest::array::uniform32;
use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};

use crate::chance::Chance;
use crate::check;
use crate::disk::Disk;

type State = BTreeMap<PeerId, Record>;

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
    (id(), device, key, any::<u64>()).prop_map(|(id, device, key, first_seen_secs)| Record {
        id,
        device,
        key,
        first_seen_secs,
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => record().prop_map(Change::Put),
        1 => id().prop_map(Change::Remove),
        1 => (id(), record()).prop_map(|(from, to)| Change::Rename { from, to }),
    ]
}

fn batch() -> impl Strategy<Value = Vec<Change>> {
    vec(change(), 1..=12)
}

fn state(store: &mut dyn Store) -> State {
    let mut state = State::new();
    store.load(&mut |record| assert!(state.insert(record.id.clone(), record).is_none())).unwrap();
    state
}

#[test]
fn redb_does_what_memory_does_through_reopening() {
    // What is committed between two openings, and whether the file is compacted then.
    let rounds = vec((vec(batch(), 0..4), weighted(0.3)), 1..=20);
    check(6, &rounds, |rounds| {
        let (folder, mut model) = (Folder::new("redb"), Memory::default());
        for (batches, compacts) in rounds {
            let mut store = open(&folder.file()).unwrap();
            assert_eq!(state(store.as_mut()), state(&mut model));
            for batch in batches {
                store.commit(&batch).unwrap();
                model.commit(&batch).unwrap();
            }
            if compacts {
                store.compact().unwrap();
                assert_eq!(state(store.as_mut()), state(&mut model), "compacted");
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

/// Commits these, and cuts the power after every operation of theirs; gives the cuts made.
fn cut_everywhere(batches: &[Vec<Change>], mut luck: Chance) -> usize {
    let (disk, mut model) = (Disk::default(), Memory::default());
    let mut store = Redb::over(disk.clone()).unwrap();
    let (begin, first) = (disk.bytes(), disk.ops());
    // The state from which operation on it is acknowledged.
    let mut acknowledged = vec![(first, State::new())];
    for batch in batches {
        store.commit(batch).unwrap();
        model.commit(batch).unwrap();
        acknowledged.push((disk.ops(), state(&mut model)));
    }
    let last = disk.ops();
    for cut in first..=last {
        let left = disk.after_cut_from(begin.clone(), (first, cut), &mut luck);
        let what = format!("cut after {cut} of {last}");
        let mut store = Redb::over(Disk::holding(left)).unwrap_or_else(|e| panic!("{what}: {e}"));
        let found = state(&mut store);
        let at = acknowledged.iter().rposition(|(from, _)| *from <= cut).unwrap();
        let old_or_new = acknowledged[at..].iter().take(2).any(|(_, state)| *state == found);
        assert!(old_or_new, "{what}: neither the old nor the new state");
    }
    last - first
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let folder = Folder::new("foreign");
    let newer = newer_store(&folder);
    let mut cut_short = fs::read(folder.file()).unwrap();
    cut_short.truncate(700);
    let mut flipped = fs::read(folder.file()).unwrap();
    flipped.iter_mut().skip(64).step_by(3).for_each(|byte| *byte = !*byte);
    let cases: [(&str, &[u8], Option<Error>); 7] = [
        ("empty", b"", Some(Error::Foreign)),
        ("text", b"hello, this is my shopping list", Some(Error::Foreign)),
        ("sqlite", b"SQLite format 3\0 and more", Some(Error::Foreign)),
        ("cut short", &cut_short, None),
        ("flipped", &flipped, None),
        ("newer", &newer, Some(Error::NewerFormat)),
        ("journal", b"hbbjrnl\x01", Some(Error::Journal)),
    ];
    for (name, bytes, expected) in cases {
        fs::write(folder.file(), bytes).unwrap();
        let error = open(&folder.file()).map(|_| ()).expect_err(name);
        if let Some(expected) = expected {
            assert_eq!(error, expected, "{name}");
        }
        assert_eq!(fs::read(folder.file()).unwrap(), bytes, "{name} was changed");
    }
}

/// The bytes of a store of the next version; a good store stays in the folder.
fn newer_store(folder: &Folder) -> Vec<u8> {
    const PEERS: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("peers");
    drop(open(&folder.file()).unwrap());
    let good = fs::read(folder.file()).unwrap();
    let database = redb::Database::open(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(PEERS).unwrap().insert("", [2_u8].as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let newer = fs::read(folder.file()).unwrap();
    fs::write(folder.file(), good).unwrap();
    newer
}

#[test]
fn one_store_has_one_owner() {
    let folder = Folder::new("owner");
    let _first = open(&folder.file()).unwrap();
    assert_eq!(open(&folder.file()).map(|_| ()), Err(Error::InUse));
}

#[test]
fn a_directory_in_its_place_or_none_around_it_is_said() {
    let folder = Folder::new("place");
    assert!(matches!(open(&folder.0).map(|_| ()), Err(Error::Io(_))));
    let nowhere = folder.0.join("nowhere").join("hbb.store");
    assert_eq!(open(&nowhere).map(|_| ()), Err(Error::Io(std::io::ErrorKind::NotFound)));
}
