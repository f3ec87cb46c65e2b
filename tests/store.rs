//! A damaged store: the server ends with exit 3 and says what to do, or serves every record; the
//! file stays as it was, and `hbb store` says and saves what it still holds.

#![allow(clippy::disallowed_methods, reason = "tests wait by the clock")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
#[cfg(feature = "accounts")]
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hbb::store;
use hbb_core::base::peer::{Change, DeviceId, PeerId, PeerKey, Record, RecordState};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use chance::Chance;
use model::server::{Server, command, free_ports};

const PAGE: usize = 4096;
const PEERS: usize = 300;

type State = BTreeMap<PeerId, Record>;

/// A directory of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hbb-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn store(&self) -> PathBuf {
        self.0.join("hbb.store")
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = command(&["timeout".to_owned(), "30".to_owned()]);
        command.args(words).arg("--data").arg(&self.0);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Ends by itself, or is ended once it serves.
    fn serve(&self) -> Output {
        self.serve_with("")
    }

    fn serve_with(&self, flags: &str) -> Output {
        let port = free_ports().to_string();
        let binary = command(&[]);
        let words: Vec<&OsStr> =
            [binary.get_program()].into_iter().chain(binary.get_args()).collect();
        let script = r#"log=$1/log; dir=$1; port=$2; shift 2; rm -f "$log"
            "$@" serve --data "$dir" --port "$port" $HBB_FLAGS >"$log" 2>&1 & pid=$!
            while kill -0 $pid 2>/dev/null && ! grep -q ' info ready ' "$log"; do sleep 0.01; done
            kill -TERM $pid 2>/dev/null; code=0; wait $pid || code=$?; cat "$log"; exit $code"#;
        let mut shell = Command::new("timeout");
        shell.args(["30", "bash", "-c", script, "bash"]).arg(&self.0).arg(port).args(words);
        shell.env("HBB_FLAGS", flags).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn record(number: usize, key: u8) -> Record {
    Record {
        id: PeerId::new(&format!("{:09}", 100_000_000 + number * 7919 % 900_000_000)).unwrap(),
        device: DeviceId::new(&[u8::try_from(number % 251).unwrap(); 36]).unwrap(),
        key: PeerKey([key; 32]),
        first_seen_secs: 1_800_000_000 + number as u64,
        state: RecordState::Registered(None),
    }
}

fn load(path: &Path) -> State {
    let mut state = State::new();
    // A process that another test starts holds for a moment what this one has locked.
    let opened = (0..100).find_map(|_| match store::open(path) {
        Err(store::Error::InUse) => {
            thread::sleep(Duration::from_millis(10));
            None
        }
        opened => Some(opened.unwrap()),
    });
    let mut store = opened.unwrap();
    store.load(&mut |record| drop(state.insert(record.id.clone(), record))).unwrap();
    state
}

/// A store of many commits, some of which put a key in the place of another; closed as a server
/// closes it, or copied while it is open, as a power cut would leave it.
fn fill(path: &Path, close: bool) -> Vec<u8> {
    let mut store = store::open(path).unwrap();
    for batch in 0..30 {
        let new = (0..PEERS / 30).map(|at| Change::Put(record(batch * PEERS / 30 + at, 1)));
        let again = (0..batch / 3).map(|at| Change::Put(record(at * 11, 2)));
        store.commit(&new.chain(again).collect::<Vec<_>>()).unwrap();
    }
    let open = fs::read(path).unwrap();
    drop(store);
    if close { fs::read(path).unwrap() } else { open }
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].concat().iter().map(|byte| char::from(*byte)).collect()
}

/// It ended with 3 and says this; the file is as it was.
#[track_caller]
fn refused(output: &Output, folder: &Folder, bytes: &[u8], words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(3), "{}: {said}", output.status);
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert!(!said.contains("newer version") && !said.contains("panicked"), "{said}");
    assert!(fs::read(folder.store()).unwrap() == bytes, "the file was changed");
}

/// What became of a damaged store when it was served, judged and salvaged.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    served: usize,
    salvaged_all: usize,
    fewest: usize,
}

fn try_damaged(folder: &Folder, damaged: &[u8], whole: &State, tally: &mut Tally) {
    fs::write(folder.store(), damaged).unwrap();
    let checked = folder.run(&["store", "check"]);
    let salvaged = folder.run(&["store", "salvage"]);
    assert!(fs::read(folder.store()).unwrap() == damaged, "check or salvage changed the file");
    let served = folder.serve();
    if checked.status.success() {
        assert!(served.status.success(), "{}", said(&served));
        assert_eq!(&load(&folder.store()), whole);
        tally.served += 1;
    } else {
        refused(&checked, folder, damaged, &["hbb.store: it is damaged", "hbb store salvage"]);
        refused(&served, folder, damaged, &["hbb.store: it is damaged", "hbb store salvage"]);
        tally.refused += 1;
    }
    assert!(salvaged.status.success(), "{}", said(&salvaged));
    let new = folder.0.join("hbb.store.salvaged");
    let found = load(&new);
    fs::remove_file(new).unwrap();
    for (id, record) in &found {
        let now = &whole[id];
        assert!(
            (&record.device, record.first_seen_secs) == (&now.device, now.first_seen_secs),
            "{record:?} was never registered"
        );
    }
    tally.salvaged_all += usize::from(&found == whole);
    tally.fewest = tally.fewest.min(found.len());
}

#[test]
fn each_page_zeroed_is_damage_told_or_no_damage() {
    let folder = Folder::new("pages");
    let begin = fill(&folder.store(), true);
    let whole = load(&folder.store());
    assert_eq!(whole.len(), PEERS);
    let mut tally = Tally { fewest: PEERS, ..Tally::default() };
    for page in 0..begin.len() / PAGE {
        let mut damaged = begin.clone();
        damaged[page * PAGE..][..PAGE].fill(0);
        if damaged != begin {
            try_damaged(&folder, &damaged, &whole, &mut tally);
        }
    }
    eprintln!("{tally:?} of {} pages", begin.len() / PAGE);
    assert!(tally.refused > 10, "{tally:?}");
    // A leaf holds some forty devices; a page that is zeroed cannot take more than it held.
    assert!(tally.fewest > PEERS - 60 && tally.salvaged_all > 5, "{tally:?}");
}

/// A user, a book and its entries, as a server leaves them, and some devices.
#[cfg(feature = "accounts")]
fn fill_accounts(path: &Path) -> Vec<u8> {
    let mut server = Server::start(&["--accounts", "--password-memory", "4"]);
    let table: String = (0..300).map(|id| format!("{},Room {id}\n", 200_000_000 + id)).collect();
    let table = format!("id,alias\n{table}");
    for (words, stdin) in [
        (&["user", "add", "anna"][..], "correct horse battery\n"),
        (&["book", "add", "anna"], ""),
        (&["book", "import", "anna"], &table),
    ] {
        let mut ctl = command(&[]);
        ctl.args(["ctl", "--data"]).arg(server.data()).args(words).stdin(Stdio::piped());
        let mut child = ctl.stdout(Stdio::null()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        assert!(child.wait().unwrap().success(), "{words:?}");
    }
    assert!(server.terminate(Duration::from_secs(10)).success());
    fs::copy(server.data().join("hbb.store"), path).unwrap();
    let mut store = store::open(path).unwrap();
    store.commit(&(0..90).map(|at| Change::Put(record(at, 1))).collect::<Vec<_>>()).unwrap();
    drop(store);
    fs::read(path).unwrap()
}

/// The same of accounts: a start finds all of them, or says that the store is damaged, and what is
/// salvaged serves.
#[cfg(feature = "accounts")]
#[test]
fn each_page_zeroed_of_accounts_is_damage_told_or_no_damage() {
    let folder = Folder::new("accounts");
    let begin = fill_accounts(&folder.store());
    let all = "info accounts-loaded users=1 rows=";
    let whole = said(&folder.serve_with("--accounts --private"));
    let rows = whole.split(all).nth(1).expect("accounts").split_whitespace().next().unwrap();
    let all = &format!("{all}{rows}\n");
    let (mut refusals, step) = (0, if long() { 1 } else { 5 });
    for page in (0..begin.len() / PAGE).step_by(step) {
        let mut damaged = begin.clone();
        damaged[page * PAGE..][..PAGE].fill(0);
        fs::write(folder.store(), &damaged).unwrap();
        let served = folder.serve_with("--accounts --private");
        if served.status.success() {
            assert!(said(&served).contains(all), "page {page}: {}", said(&served));
            continue;
        }
        refused(&served, &folder, &damaged, &["hbb.store: it is damaged"]);
        refusals += 1;
        let salvaged = folder.run(&["store", "salvage"]);
        let (text, ended) = (said(&salvaged), salvaged.status);
        assert!(ended.success() && text.contains(" rows of accounts to "), "page {page}: {text}");
        fs::rename(folder.0.join("hbb.store.salvaged"), folder.store()).unwrap();
        let again = folder.serve_with("--accounts --private");
        let text = said(&again);
        assert!(again.status.success() && text.contains("info accounts-loaded"), "{text}");
    }
    assert!(refusals > 2, "{refusals} refused of {}", begin.len() / PAGE);
}

/// A power cut may leave the newest commit unfinished, and damage to its pages looks the same: then
/// the one before it is served, as it must be after a cut.
#[test]
fn a_store_that_a_cut_left_is_judged_before_it_is_mended() {
    let folder = Folder::new("cut");
    let begin = fill(&folder.store(), false);
    fs::write(folder.store(), &begin).unwrap();
    let whole = load(&folder.store());
    assert_eq!(whole.len(), PEERS);
    let (mut refusals, mut before) = (0, 0);
    for page in 0..begin.len() / PAGE {
        let mut damaged = begin.clone();
        damaged[page * PAGE..][..PAGE].fill(0);
        fs::write(folder.store(), &damaged).unwrap();
        let served = folder.serve();
        if served.status.success() {
            let state = load(&folder.store());
            before += usize::from(state != whole);
            assert!(state.len() >= PEERS - PEERS / 30, "{} peers", state.len());
        } else {
            refused(&served, &folder, &damaged, &["hbb.store: it is damaged"]);
            refusals += 1;
        }
    }
    eprintln!("{refusals} refused, {before} served without the last commit");
    assert!(refusals > 2 && before < 12, "{refusals} refused, {before} as before");
}

#[test]
fn random_damage_is_damage_and_no_newer_version() {
    let folder = Folder::new("random");
    let begin = fill(&folder.store(), true);
    let whole = load(&folder.store());
    let mut chance = Chance::new(11);
    let (mut refusals, rounds) = (0, if long() { 2000 } else { 40 });
    for round in 0..rounds {
        let mut damaged = begin.clone();
        // Behind the word that says what the file is.
        let at = 4 + chance.index(damaged.len() - 4 - 64);
        let len = if round % 2 == 0 { 1 } else { 1 + chance.index(64) };
        for byte in &mut damaged[at..at + len] {
            *byte ^= 1 + u8::try_from(chance.below(255)).unwrap();
        }
        if round % 8 == 7 {
            damaged.truncate(PAGE + chance.index(damaged.len() - PAGE));
        }
        fs::write(folder.store(), &damaged).unwrap();
        let served = folder.serve();
        if served.status.success() {
            assert_eq!(load(&folder.store()), whole, "round {round}");
        } else {
            refused(&served, &folder, &damaged, &["hbb.store: it is damaged"]);
            refusals += 1;
        }
    }
    assert!(refusals > rounds / 8, "{refusals} refused of {rounds}");
}

#[allow(clippy::disallowed_methods, reason = "a test's own setting")]
fn long() -> bool {
    std::env::var("HBB_LONG").is_ok_and(|value| value == "1")
}

#[test]
fn what_is_no_store_is_called_by_its_name() {
    let folder = Folder::new("odd");
    drop(folder.serve());
    fs::remove_file(folder.store()).unwrap();
    let each = |words: &[&str]| {
        for command in [&["serve"][..], &["store", "check"]] {
            let output = folder.run(command);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(3), "{command:?} {}: {said}", output.status);
            assert!(words.iter().all(|word| said.contains(word)), "{command:?}: {said}");
        }
        let said = said(&folder.run(&["check"]));
        assert!(said.contains("problem  Cannot use the store"), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    fs::create_dir(folder.store()).unwrap();
    each(&["hbb.store: it is not a file", "move it away"]);
    fs::remove_dir(folder.store()).unwrap();
    mknodat(CWD, folder.store(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    each(&["hbb.store: it is not a file", "move it away"]);
    fs::remove_file(folder.store()).unwrap();
    symlink("/not/mounted/hbb.store", folder.store()).unwrap();
    each(&["leads nowhere", "Mount the disk"]);
    assert!(fs::symlink_metadata(folder.store()).unwrap().is_symlink());
    fs::remove_file(folder.store()).unwrap();
    for short in ["", "r", "redb", "redb\u{1a}\n"] {
        fs::write(folder.store(), short).unwrap();
        each(&["hbb.store: it is damaged", "backup"]);
    }
    fs::write(folder.store(), [0; 9000]).unwrap();
    each(&["hbb.store: it is damaged", "backup"]);
    fs::write(folder.store(), "a shopping list").unwrap();
    each(&["hbb.store: it is not a store of hbb", "move it away"]);
}

/// `check` looks into the store; it neither mends what a power cut left nor keeps a server out.
#[test]
fn check_leaves_the_store_as_it_is_and_lets_a_server_start_meanwhile() {
    let folder = Folder::new("beside");
    let bytes = fill(&folder.store(), false);
    fs::write(folder.store(), &bytes).unwrap();
    let port = free_ports().to_string();
    let words = ["check", "--port", &port];
    let alone = said(&folder.run(&words));
    assert!(alone.contains("with 300 peers"), "{alone}");
    assert!(fs::read(folder.store()).unwrap() == bytes, "check changed the store");
    // Each time stopped while its judge reads.
    for _ in 0..50 {
        let mut check = command(&[]);
        check.args(words).arg("--data").arg(&folder.0).stdout(Stdio::piped());
        let mut check = check.spawn().unwrap();
        let Some(judge) = child_of(check.id()) else {
            check.wait().unwrap();
            continue;
        };
        let was_there = kill_process(judge, Signal::STOP).is_ok();
        let opened = store::open(&folder.store());
        let written = opened.and_then(|mut store| {
            let put = Change::Put(record(7, 9));
            store.commit(&[put])
        });
        let _ = kill_process(judge, Signal::CONT);
        let output = check.wait_with_output().unwrap();
        assert_eq!(written, Ok(()), "check keeps a server out");
        if was_there {
            assert!(said(&output).contains("is open in another hbb"), "{}", said(&output));
            return;
        }
    }
    panic!("no judge was seen in 50 checks");
}

/// The first process that `parent` starts.
fn child_of(parent: u32) -> Option<Pid> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        let children = fs::read_to_string(&path).ok()?;
        if let Some(child) = children.split_whitespace().next() {
            return Pid::from_raw(child.parse().unwrap());
        }
    }
    None
}

/// Who looks whether the store is in use has it locked for a moment.
#[test]
fn a_start_waits_for_who_looks() {
    let folder = Folder::new("look");
    fill(&folder.store(), true);
    let look = fs::File::open(folder.store()).unwrap();
    look.try_lock_shared().unwrap();
    let opened = thread::scope(|scope| {
        let start = scope.spawn(|| store::open(&folder.store()).map(drop));
        thread::sleep(Duration::from_millis(15));
        drop(look);
        start.join().unwrap()
    });
    assert_eq!(opened, Ok(()));
}

#[test]
fn store_says_what_is_whole_and_overwrites_nothing() {
    let folder = Folder::new("whole");
    refused_words(&folder.run(&["store", "mend"]), 2, &["store mend", "salvage"]);
    refused_words(
        &folder.run(&["store", "check"]),
        3,
        &["hbb.store: No such file or directory", "--data"],
    );
    let bytes = fill(&folder.store(), true);
    let checked = folder.run(&["store", "check"]);
    assert!(said(&checked).contains("is whole, with 300 peers"), "{}", said(&checked));
    assert!(checked.status.success());
    let to = folder.0.join("there");
    fs::write(&to, "precious").unwrap();
    let output = folder.run(&["store", "check", "--to", to.to_str().unwrap()]);
    refused_words(&output, 2, &["--to: only together with salvage"]);
    let output = folder.run(&["store", "salvage", "--to", to.to_str().unwrap()]);
    refused_words(&output, 2, &["already", "not overwritten"]);
    assert_eq!(fs::read_to_string(&to).unwrap(), "precious");
    for (to, why) in [("not/there", "No such file"), (".", "already")] {
        let to = folder.0.join(to);
        let output = folder.run(&["store", "salvage", "--to", to.to_str().unwrap()]);
        refused_words(&output, 2, &[why, to.to_str().unwrap(), "with --to"]);
        assert!(!said(&output).contains("--data"), "{}", said(&output));
    }
    let output = folder.run(&["store", "salvage"]);
    assert!(said(&output).starts_with("Wrote 300 peers"), "{}", said(&output));
    assert_eq!(load(&folder.0.join("hbb.store.salvaged")), load(&folder.store()));
    fs::write(folder.store(), [7; 9000]).unwrap();
    fs::remove_file(folder.0.join("hbb.store.salvaged")).unwrap();
    refused_words(&folder.run(&["store", "salvage"]), 3, &["Nothing can be read"]);
    assert!(!folder.0.join("hbb.store.salvaged").exists() && bytes.len() > PAGE);
}

#[track_caller]
fn refused_words(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

#[test]
fn a_store_in_use_is_judged_by_nobody() {
    let server = Server::start(&[]);
    for what in ["check", "salvage"] {
        let mut command = command(&[]);
        let output = command.args(["store", what, "--data"]).arg(server.data()).output().unwrap();
        refused_words(&output, 1, &["open in another hbb"]);
    }
}

/// In a jail without `/proc` the program finds itself by its name; if that leads nowhere, the
/// server serves and says that it did not look.
#[test]
fn without_proc_the_store_is_judged_or_that_nobody_did_is_said() {
    let folder = Folder::new("alone");
    let bytes = fill(&folder.store(), true);
    let binary = command(&[]);
    let serve = |name: &str| {
        let script = r#"mount -t tmpfs tmpfs /proc; name=$1; shift
            exec timeout 2 bash -c 'name=$1; shift; exec -a "$name" "$@"' bash "$name" "$@""#;
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "--propagation", "private", "sh", "-eu", "-c", script, "sh", name]);
        shell.arg(binary.get_program()).args(binary.get_args());
        let port = free_ports().to_string();
        shell.args(["serve", "--port", &port, "--data"]).arg(&folder.0);
        shell.output().expect("unshare is needed: install the package util-linux")
    };
    let itself = binary.get_program().to_str().unwrap();
    for (name, unchecked) in [(itself, false), ("/nowhere/hbb", true)] {
        let said = said(&serve(name));
        assert_eq!(said.contains("warn store-unchecked cause="), unchecked, "{said}");
        assert!(said.contains("peers-loaded count=300") && said.contains("info ready"), "{said}");
    }
    let mut damaged = bytes;
    damaged[PAGE..].fill(0);
    fs::write(folder.store(), &damaged).unwrap();
    refused(&serve(itself), &folder, &damaged, &["it is damaged"]);
}
