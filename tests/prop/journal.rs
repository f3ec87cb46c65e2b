//! The journal cut off at every byte, with whatever a file system may leave behind the cut: the old
//! or the new state, never another. What cannot have come from a cut is refused and left as it is.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use hbb::base::peer::{Change, DeviceId, PeerId, PeerKey, Record};
use hbb::store::journal::Journal;
use hbb::store::memory::Memory;
use hbb::store::{Error, Store as _};
use rustix::process::{Resource, Rlimit};

use crate::chance::Chance;
use crate::store::{Folder, batch, state};

/// What may lie in the part of a file that grew and was not written.
const UNWRITTEN: [u8; 3] = [0, 0xff, b'+'];
/// Of a batch, before its entries.
const HEAD_BYTES: usize = 12;

#[test]
fn a_power_cut_at_any_byte_leaves_the_old_state_or_the_new() {
    let cuts: usize = (0..4).map(cut_everywhere).sum();
    assert!(cuts > 700, "{cuts} cuts");
}

/// Cuts the last of a few batches after each of its bytes; gives the cuts made.
fn cut_everywhere(seed: u64) -> usize {
    let folder = Folder::new(&format!("cut{seed}"));
    let (mut chance, mut model) = (Chance::new(seed), Memory::default());
    let mut journal = Journal::open(&folder.file()).unwrap();
    let batches: Vec<_> = (0..4).map(|_| batch(&mut chance)).collect();
    let (last, first) = batches.split_last().unwrap();
    for batch in first {
        journal.commit(batch).unwrap();
        model.commit(batch).unwrap();
    }
    let (begin, old) = (fs::read(folder.file()).unwrap().len(), state(&mut model));
    journal.commit(last).unwrap();
    model.commit(last).unwrap();
    drop(journal);
    let (whole, new) = (fs::read(folder.file()).unwrap(), state(&mut model));
    for cut in begin..=whole.len() {
        let mut left = whole[..cut].to_vec();
        if let Some(byte) = UNWRITTEN.get(chance.index(UNWRITTEN.len() + 1)) {
            left.resize(whole.len() + chance.index(100), *byte);
        }
        fs::write(folder.file(), &left).unwrap();
        let what = format!("seed {seed}, cut {cut} of {}, {} bytes", whole.len(), left.len());
        let mut journal = Journal::open(&folder.file()).expect(&what);
        let expected = if left.starts_with(&whole) { &new } else { &old };
        assert_eq!(state(&mut journal), *expected, "{what}");
        journal.commit(last).unwrap();
        drop(journal);
        let mut journal = Journal::open(&folder.file()).expect(&what);
        assert_eq!(state(&mut journal), new, "{what}, gone on");
    }
    whole.len() - begin
}

#[test]
fn what_a_power_cut_left_of_a_new_journal_is_written_over() {
    let folder = Folder::new("draft");
    let mut chance = Chance::new(7);
    let draft = folder.file().with_extension("store.new");
    fs::write(&draft, "half of something").unwrap();
    let mut journal = Journal::open(&folder.file()).unwrap();
    assert!(!draft.exists());
    let mut model = Memory::default();
    for _ in 0..20 {
        let batch = batch(&mut chance);
        journal.commit(&batch).unwrap();
        model.commit(&batch).unwrap();
    }
    let before = fs::read(folder.file()).unwrap();
    fs::write(&draft, [&before[..], b"more"].concat()).unwrap();
    journal.compact().unwrap();
    assert!(!draft.exists());
    assert!(fs::read(folder.file()).unwrap().len() < before.len());
    drop(journal);
    assert_eq!(state(&mut Journal::open(&folder.file()).unwrap()), state(&mut model));
}

#[test]
fn a_journal_that_no_cut_can_have_left_is_refused_and_left_as_it_is() {
    let folder = Folder::new("damaged");
    let mut chance = Chance::new(3);
    let mut journal = Journal::open(&folder.file()).unwrap();
    let first = batch(&mut chance);
    journal.commit(&first).unwrap();
    let begin = fs::read(folder.file()).unwrap().len();
    journal.commit(&batch(&mut chance)).unwrap();
    drop(journal);
    let good = fs::read(folder.file()).unwrap();
    // Every byte of a batch that another follows, one after the other.
    for at in 8..begin {
        let mut bad = good.clone();
        bad[at] ^= 1;
        refused(&folder, &bad, Error::Damaged);
    }
    let mut long = good[..begin].to_vec();
    long.resize(begin + 70_000, 0);
    refused(&folder, &long, Error::Damaged);
    for (begin, error) in [
        (&b"hbbjrnl\x02"[..], Error::NewerFormat),
        (b"hbbjrnl\0", Error::Damaged),
        (b"hbbjrn", Error::Foreign),
        (b"", Error::Foreign),
        (b"a shopping list", Error::Foreign),
        (b"redb\x1a\x0a\xa9\x0d\x0a", Error::OtherStore),
    ] {
        refused(&folder, begin, error);
    }
}

fn refused(folder: &Folder, bytes: &[u8], expected: Error) {
    fs::write(folder.file(), bytes).unwrap();
    assert_eq!(Journal::open(&folder.file()).map(|_| ()), Err(expected));
    assert_eq!(fs::read(folder.file()).unwrap(), bytes, "it was changed");
}

/// A device may choose bytes that look like a batch; in a cut batch they are none.
#[test]
fn a_batch_within_a_cut_batch_is_no_batch() {
    let folder = Folder::new("within");
    let mut journal = Journal::open(&folder.file()).unwrap();
    journal.commit(&[Change::Remove(PeerId::new("123456").unwrap())]).unwrap();
    let whole = fs::read(folder.file()).unwrap();
    let device = DeviceId::new(&whole[8..]).unwrap();
    let id = PeerId::new("234567").unwrap();
    let record = Record { id, device, key: PeerKey([1; 32]), first_seen_secs: 1 };
    journal.commit(&[Change::Put(record)]).unwrap();
    drop(journal);
    let mut cut = fs::read(folder.file()).unwrap();
    cut[whole.len() + HEAD_BYTES] ^= 1;
    fs::write(folder.file(), cut).unwrap();
    let mut journal = Journal::open(&folder.file()).unwrap();
    assert!(state(&mut journal).is_empty());
    assert_eq!(fs::read(folder.file()).unwrap(), whole);
}

#[test]
fn it_stays_short_and_has_one_owner() {
    let folder = Folder::new("short");
    let mut chance = Chance::new(5);
    let (mut journal, mut model) = (Journal::open(&folder.file()).unwrap(), Memory::default());
    for _ in 0..2_000 {
        let batch = batch(&mut chance);
        journal.commit(&batch).unwrap();
        model.commit(&batch).unwrap();
    }
    // Forty peers and 64 KiB; all of the batches would be about a megabyte.
    let bytes = fs::read(folder.file()).unwrap().len();
    assert!(bytes < 90_000, "{bytes} bytes");
    assert_eq!(state(&mut journal), state(&mut model));
    assert_eq!(Journal::open(&folder.file()).map(|_| ()), Err(Error::InUse));
}

/// What the test below runs itself with: the folder.
const FULL_DISK: &str = "HBB_TEST_FULL_DISK";

/// A limit on the length of files stands for a disk that is full, and its end for room.
#[test]
#[allow(clippy::disallowed_methods, reason = "it runs itself as another process")]
fn a_full_disk_costs_the_batch_that_finds_it_full() {
    if let Some(path) = std::env::var_os(FULL_DISK) {
        return fill(Path::new(&path));
    }
    let folder = Folder::new("full");
    let name = std::thread::current().name().map(str::to_owned).unwrap();
    // 8 KiB; a write beyond is refused, and not a reason to end the process.
    let mut itself = Command::new("sh");
    itself.args(["-c", r#"trap "" XFSZ; ulimit -S -f 16; exec "$0" --exact "$1" --nocapture"#]);
    itself.arg(std::env::current_exe().unwrap()).arg(name).env(FULL_DISK, folder.file());
    let output = itself.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::metadata(folder.file()).unwrap().len() > 8192, "it was never full");
}

fn fill(path: &Path) {
    let (mut chance, mut model) = (Chance::new(11), Memory::default());
    let mut journal = Journal::open(path).unwrap();
    let mut refused = 0;
    while refused < 3 {
        let batch = batch(&mut chance);
        match journal.commit(&batch) {
            Ok(()) => model.commit(&batch).unwrap(),
            Err(error) => refused += usize::from(error == Error::Io(ErrorKind::FileTooLarge)),
        }
        assert_eq!(state(&mut journal), state(&mut model));
    }
    let limit = |current| {
        let rlimit = Rlimit { current, maximum: None };
        rustix::process::setrlimit(Resource::Fsize, rlimit).unwrap();
    };
    // Not even for what counts alone.
    limit(Some(1000));
    assert!(journal.compact().is_err());
    assert!(!path.with_extension("store.new").exists());
    assert_eq!(state(&mut journal), state(&mut model));
    limit(None);
    for _ in 0..20 {
        let batch = batch(&mut chance);
        journal.commit(&batch).unwrap();
        model.commit(&batch).unwrap();
    }
    drop(journal);
    assert_eq!(state(&mut Journal::open(path).unwrap()), state(&mut model));
}

#[test]
fn a_batch_that_does_not_fit_is_refused_whole() {
    let folder = Folder::new("large");
    let mut chance = Chance::new(9);
    let mut journal = Journal::open(&folder.file()).unwrap();
    let large: Vec<_> = (0..400).flat_map(|_| batch(&mut chance)).collect();
    assert!(matches!(journal.commit(&large), Err(Error::Io(_))));
    assert!(state(&mut journal).is_empty());
    journal.commit(&large[..100]).unwrap();
    assert!(!state(&mut journal).is_empty());
}
