//! `hbb import`: every device of a database that SQLite itself wrote arrives, whatever its form;
//! of a damaged one nothing does, with a clear error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "programs are found by PATH")]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hbb::sqlite::{Bytes, Database};
use hbb_core::base::peer::{Change, Record, RecordState};

mod back;
#[path = "../sim/chance.rs"]
mod chance;

use chance::Chance;

/// Damaged copies that are read, and of these how many by the program itself.
const DAMAGED: u64 = 2_000;
const DAMAGED_BY_PROGRAM: u64 = 60;

/// A directory of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hbb-import-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn base(&self) -> PathBuf {
        self.at("db_v2.sqlite3")
    }

    /// Makes the database; gives the lines that stand for its rows.
    fn fill(&self, rows: usize, page_bytes: usize, form: &str) -> String {
        let [rows, page_bytes] = [rows, page_bytes].map(|number| number.to_string());
        python(&[self.base().to_str().unwrap(), &rows, &page_bytes, form])
    }

    fn hbb(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
        command.args(words).arg("--data").arg(&self.0);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// The same, which must end by itself (C142).
    fn in_time(&self, words: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["20", env!("CARGO_BIN_EXE_hbb")]).args(words).arg("--data").arg(&self.0);
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn import(&self, flags: &[&str]) -> Output {
        self.hbb(&[&["import", self.base().to_str().unwrap()], flags].concat())
    }

    /// The lines of all devices, without the title.
    fn peers(&self) -> String {
        let output = self.hbb(&["export", "--peers"]);
        let text = succeeded(&output);
        let (title, lines) = text.split_once('\n').unwrap();
        assert!(title.starts_with("# hbb peers 1"));
        lines.to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn python(words: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/database.py");
    let output = Command::new("python3").arg(script).args(words).output();
    succeeded(&output.expect("install the package python3")).to_owned()
}

#[track_caller]
fn succeeded(output: &Output) -> &str {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    core::str::from_utf8(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32, word: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(told.contains(word), "{told}");
}

#[test]
fn every_form_of_a_database_is_read_whole() {
    for (form, rows, page_bytes) in [
        ("wal", 300, 4096),
        ("wal", 3_000, 512),
        ("wal", 3_000, 65_536),
        ("shut", 3_000, 1024),
        ("rowid", 3_000, 2048),
        ("long", 60, 512),
        ("long", 60, 8192),
        ("gaps", 3_000, 4096),
    ] {
        let folder = Folder::new(form);
        let expected = folder.fill(rows, page_bytes, form);
        assert!(expected.lines().count() >= rows / 4);
        succeeded(&folder.import(&[]));
        assert!(folder.peers() == expected, "{form}, {rows} rows, pages of {page_bytes}");
    }
}

#[test]
fn fifty_thousand_devices_arrive() {
    let folder = Folder::new("many");
    let expected = folder.fill(50_000, 4096, "upstream's own");
    let told = folder.import(&[]);
    assert!(succeeded(&told).contains("50000 new devices, 0 known here"));
    assert!(succeeded(&told).contains("--max-peers of at least 50000"));
    assert!(folder.peers() == expected);
    // Again, from lines and where all are known already, in 20 MB of memory.
    fs::write(folder.at("lines"), folder.peers()).unwrap();
    let mut bounded = Command::new("sh");
    bounded.args(["-c", "ulimit -d 20480; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_hbb")]);
    let words = ["import", "--merge", "replace", "--data"];
    let output = bounded.args(words).arg(&folder.0).arg(folder.at("lines")).output().unwrap();
    assert!(succeeded(&output).contains("50000 known here already"), "{output:?}");
}

#[test]
fn a_dry_run_writes_nothing_and_json_and_lines_say_the_same() {
    let folder = Folder::new("forms");
    let expected = folder.fill(200, 4096, "wal");
    refused(&folder.hbb(&["export", "--peers", "--format", "json"]), 2, "not together");
    let told = folder.import(&["--dry-run"]);
    assert!(succeeded(&told).contains("200 new devices") && !folder.at("hbb.store").exists());

    let text = python(&[folder.base().to_str().unwrap(), "json"]);
    // As SQLite names columns that are given no name.
    let unnamed = text.replace("\"uuid\"", "\"hex(uuid)\"").replace("\"pk\"", "\"hex(pk)\"");
    for (name, text) in [("json", &text), ("unnamed", &unnamed), ("lines", &expected)] {
        let other = Folder::new(name);
        fs::write(other.at(name), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
        command.args(["import", "-", "--data"]).arg(&other.0);
        if name == "json" {
            command = Command::new(env!("CARGO_BIN_EXE_hbb"));
            command.args(["import", "--data"]).arg(&other.0);
        }
        let from = File::open(other.at(name)).unwrap();
        succeeded(&command.stdin(from).output().unwrap());
        assert!(other.peers() == expected, "{name}");
    }
}

/// Nothing here has a place for them; upstream's own server never writes them.
#[test]
fn users_states_and_notes_are_told_where_they_are_lost() {
    let folder = Folder::new("more");
    let expected = folder.fill(20, 4096, "more");
    let lost = "left behind: user, status or note of 10, see MIGRATING.md";
    assert!(succeeded(&folder.import(&["--dry-run"])).contains(lost));
    let text = python(&[folder.base().to_str().unwrap(), "json"]);
    fs::write(folder.at("json"), text).unwrap();
    let told = folder.hbb(&["import", folder.at("json").to_str().unwrap()]);
    assert!(succeeded(&told).contains(lost), "{told:?}");
    assert_eq!(folder.peers(), expected);
    let none = Folder::new("no-more");
    none.fill(20, 4096, "gaps");
    assert!(!succeeded(&none.import(&["--dry-run"])).contains("left behind"));
}

#[test]
fn who_is_known_here_already_is_kept_or_replaced_as_asked() {
    let folder = Folder::new("merge");
    let here = format!("100000001 {} {} - -\n", "ab".repeat(16), "cd".repeat(32));
    let lines = folder.at("lines");
    fs::write(&lines, &here).unwrap();
    let lines = lines.to_str().unwrap().to_owned();
    succeeded(&folder.hbb(&["import", &lines]));
    let expected = folder.fill(3, 4096, "wal");
    let stored = fs::read(folder.at("hbb.store")).unwrap();

    let told = folder.import(&[]);
    assert!(
        succeeded(&told).contains("2 new devices, 0 known here already, 1 known here as other")
    );
    assert!(folder.peers().contains(&here) && folder.peers().lines().count() == 3);
    assert_eq!(fs::read(folder.at("hbb.store.before-import")).unwrap(), stored, "the way back");

    succeeded(&folder.import(&["--merge", "replace"]));
    assert_eq!(folder.peers(), expected);
    assert!(succeeded(&folder.import(&[])).contains("nothing to write"));
    refused(&folder.import(&["--merge", "both"]), 2, "must be keep or replace");
}

/// As one is whose id another device has here.
#[test]
fn who_was_forgotten_here_is_brought_back_only_if_asked_for() {
    let folder = Folder::new("forgotten");
    let expected = folder.fill(3, 4096, "wal");
    succeeded(&folder.import(&[]));
    let mut forgotten = Vec::new();
    let mut store = hbb::store::open(&folder.at("hbb.store")).unwrap();
    let mut forget = |record: Record| {
        let state = RecordState::Forgotten(1_796_000_000);
        forgotten.push(Change::Put(Record { state, ..record }));
    };
    store.load(&mut forget).unwrap();
    store.commit(&forgotten).unwrap();
    drop(store);
    succeeded(&folder.import(&[]));
    assert_eq!(folder.peers(), "");
    succeeded(&folder.import(&["--merge", "replace"]));
    assert_eq!(folder.peers(), expected);
}

/// What stands in the store beside the devices is no other server's to give.
#[cfg(feature = "accounts")]
#[test]
fn accounts_are_as_they_were() {
    use hbb_core::base::rows::RowChange;

    let folder = Folder::new("accounts");
    let open = || hbb::store::open(&folder.at("hbb.store")).unwrap();
    let row = RowChange { key: b"user".into(), value: Some(b"anna".into()) };
    open().commit(&[Change::Rows(vec![row])]).unwrap();
    folder.fill(3, 4096, "wal");
    assert!(succeeded(&folder.import(&[])).contains("3 new devices"));
    let mut rows = Vec::new();
    open().rows(&mut |key, value| rows.push([key.to_vec(), value.to_vec()])).unwrap();
    assert_eq!(rows, [[b"user".to_vec(), b"anna".to_vec()]]);
}

/// A power cut between two moves would leave none, and the next start would make an empty one, in
/// which each ID is for whoever comes first.
#[test]
fn there_is_a_store_at_every_moment_of_an_import() {
    let folder = Folder::new("moment");
    let lines = ["11", "22"].map(|key| {
        let path = folder.at(key);
        fs::write(&path, format!("123456789 aa {} - -\n", key.repeat(32))).unwrap();
        path
    });
    let import = |number: usize| {
        let file = lines[number % 2].to_str().unwrap();
        succeeded(&folder.hbb(&["import", file, "--merge", "replace"]));
    };
    import(0);
    let (store, done) = (folder.at("hbb.store"), AtomicBool::new(false));
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut looks = 0_u64;
            while !done.load(Ordering::Relaxed) {
                assert!(store.exists(), "there was a moment without a store");
                looks += 1;
            }
            looks
        });
        (1..=30).for_each(import);
        done.store(true, Ordering::Relaxed);
        assert!(watch.join().unwrap() > 1_000);
    });
    assert_ne!(fs::read(store).unwrap(), fs::read(folder.at("hbb.store.before-import")).unwrap());
}

/// It is asked for again when all is read: here it stops while it writes its draft.
#[test]
fn a_store_that_a_server_made_meanwhile_is_not_replaced() {
    let folder = Folder::new("meanwhile");
    folder.fill(3_000, 4096, "wal");
    let store = folder.at("hbb.store");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    command.arg("import").arg(folder.base()).arg("--data").arg(&folder.0);
    let mut import = command.stderr(Stdio::piped()).spawn().unwrap();
    let pid = import.id().to_string();
    let signal = |name: &str| Command::new("kill").args([name, &pid]).status().unwrap();
    while !folder.at("hbb.store.new").exists() {
        assert!(import.try_wait().unwrap().is_none(), "it is over already");
        thread::yield_now();
    }
    assert!(signal("-STOP").success());
    // As a server's that began to serve.
    fs::write(&store, "a server's").unwrap();
    assert!(signal("-CONT").success());
    refused(&import.wait_with_output().unwrap(), 1, "The store is as it was");
    assert_eq!(fs::read(&store).unwrap(), b"a server's");
    assert!(!folder.at("hbb.store.new").exists() && !folder.at("hbb.store.before-import").exists());
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let folder = Folder::new("bad");
    let name = folder.at("text").to_str().unwrap().to_owned();
    for (bad, code, word) in [
        ("100000001 ab\n", 2, "line 1"),
        ("[{\"id\": \"100000001\", \"uuid\": [", 2, "wrong at byte"),
        ("[{\"id\":\"100000001\"}] more", 2, "wrong at byte"),
        ("[{\"id\":\"100000001\",\"uuid\":\"uu-1\",\"pk\":\"00\"}]", 2, "hex(pk) pk"),
        ("SQLite format 3\0 and no more of it", 3, "no SQLite database"),
    ] {
        fs::write(&name, bad).unwrap();
        refused(&folder.hbb(&["import", &name]), code, word);
    }
    refused(&Folder(folder.at("no")).hbb(&["import", &name]), 3, "Name the directory with --data");
    fs::write(&name, b"SQLite f\xff").unwrap();
    refused(&folder.hbb(&["import", &name]), 2, "it is no SQLite database, and no text");
    refused(&folder.hbb(&["import", "/nonexistent"]), 2, "No such file");
    refused(&folder.hbb(&["import", "/"]), 2, "a directory");
    let pipe = |name: &str| {
        assert!(Command::new("mkfifo").arg(folder.at(name)).status().unwrap().success());
        folder.at(name).to_str().unwrap().to_owned()
    };
    refused(&folder.in_time(&["import", &pipe("pipe")]), 2, "it is a pipe");
    folder.fill(20, 4096, "shut");
    drop(fs::remove_file(folder.at("db_v2.sqlite3-wal")));
    pipe("db_v2.sqlite3-wal");
    refused(
        &folder.in_time(&["import", folder.base().to_str().unwrap()]),
        3,
        "the -wal beside it cannot be opened",
    );
    fs::remove_file(folder.at("db_v2.sqlite3-wal")).unwrap();
    fs::write(folder.at("db_v2.sqlite3-journal"), "half").unwrap();
    refused(&folder.import(&[]), 3, "cut short");
    assert!(!folder.at("hbb.store").exists());
}

/// SQLite, too, looks for it there, and not beside the link.
#[test]
fn the_log_is_beside_what_a_link_leads_to() {
    let folder = Folder::new("link");
    let expected = folder.fill(30, 4096, "wal");
    let (link, more) = (folder.at("link"), folder.at("more"));
    fs::create_dir(&more).unwrap();
    symlink("more/link", &link).unwrap();
    symlink(folder.base(), more.join("link")).unwrap();
    succeeded(&folder.hbb(&["import", link.to_str().unwrap()]));
    assert_eq!(folder.peers(), expected);
}

/// Who copies the database alone copies next to nothing.
#[test]
fn a_log_that_was_left_behind_is_asked_for() {
    let folder = Folder::new("no-log");
    folder.fill(30, 4096, "wal");
    let log = folder.at("db_v2.sqlite3-wal");
    assert!(!succeeded(&folder.import(&["--dry-run"])).contains("-wal"));
    fs::rename(&log, folder.at("log")).unwrap();
    refused(&folder.import(&[]), 3, "no such table, and no -wal is beside it");
    let other = Folder::new("no-log-either");
    other.fill(3_000, 4096, "upstream's own");
    fs::remove_file(other.at("db_v2.sqlite3-wal")).unwrap();
    let told = other.import(&["--dry-run"]);
    assert!(succeeded(&told).contains("No -wal is beside it"), "{told:?}");
}

/// Root imports for the server's own user, who must be able to read it then.
#[test]
fn the_store_belongs_to_whom_its_folder_belongs() {
    let folder = Folder::new("owner");
    folder.fill(3, 4096, "wal");
    chown(&folder.0, Some(65_534), Some(65_534)).expect("run this test as root");
    for round in ["made", "replaced"] {
        succeeded(&folder.import(&[]));
        let told = fs::metadata(folder.at("hbb.store")).unwrap();
        assert_eq!(
            (told.uid(), told.gid(), told.mode() & 0o777),
            (65_534, 65_534, 0o600),
            "{round}"
        );
        let told = fs::metadata(folder.at("hbb.store.imported")).unwrap();
        assert_eq!((told.uid(), told.gid()), (65_534, 65_534), "{round}");
        fs::remove_file(folder.base()).unwrap();
        folder.fill(4, 4096, "shut");
    }
}

/// A disk that fails is mounted read-only, and there is still to be a backup of it.
#[test]
fn who_only_reads_needs_no_right_to_write() {
    let folder = Folder::new("read-only");
    folder.fill(3, 4096, "wal");
    succeeded(&folder.hbb(&["keygen"]));
    succeeded(&folder.import(&[]));
    let script =
        "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && shift && exec \"$@\"";
    for (words, said) in [
        (&["export", "--peers"][..], "100000002 "),
        (&["backup", "-"], "@end 3\n"),
        (&["import", folder.base().to_str().unwrap(), "--dry-run"], "3 known here already"),
    ] {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).arg(&folder.0);
        command.arg(env!("CARGO_BIN_EXE_hbb")).args(words).arg("--data").arg(&folder.0);
        let output = command.output().unwrap();
        assert!(succeeded(&output).contains(said), "{output:?}");
    }
}

/// None mixes what it makes with what the other one does.
#[test]
fn of_two_at_once_one_is_told_to_wait() {
    let folder = Folder::new("two");
    folder.fill(3, 4096, "wal");
    succeeded(&folder.hbb(&["keygen"]));
    let backup = folder.at("backup").to_str().unwrap().to_owned();
    succeeded(&folder.hbb(&["backup", &backup]));
    let other = File::open(&folder.0).unwrap();
    other.lock().unwrap();
    for words in [
        &["import", folder.base().to_str().unwrap()][..],
        &["restore", &backup, "--force"],
        &["keygen", "--force"],
        &["keygen", "--rotate"],
        &["keygen", "--end-rotation"],
    ] {
        refused(&folder.hbb(words), 1, "Another command of hbb is at work in");
    }
    drop(other);
    succeeded(&folder.hbb(&["restore", &backup, "--force"]));
}

#[test]
fn devices_without_a_key_are_left_out_and_told() {
    let folder = Folder::new("keyless");
    let text = r#"[{"id":"1\u0030\u00e40\ud83d\ude00","uuid":"AB","pk":"","info":null},
        {"id":"100000002","uuid":"","pk":null,"created_at":5}, {}]"#;
    fs::write(folder.at("json"), text).unwrap();
    let told = folder.hbb(&["import", folder.at("json").to_str().unwrap()]);
    assert!(succeeded(&told).contains("2 that have no key yet"), "{told:?}");
    assert!(succeeded(&told).contains("1 that have an ID that is empty"), "{told:?}");
}

#[test]
fn a_damaged_database_is_read_whole_or_refused() {
    let folder = Folder::new("damaged");
    folder.fill(300, 1024, "gaps");
    let whole =
        ["", "-wal"].map(|ending| fs::read(folder.at(&format!("db_v2.sqlite3{ending}"))).unwrap());
    let expected = rows(&whole).unwrap();
    let mut refusals = 0;
    for seed in 0..DAMAGED {
        let copy = damaged(&whole, seed);
        let read = rows(&copy);
        refusals += u64::from(read.is_err());
        assert!(read.is_ok_and(|rows| rows <= 2 * expected) || read.is_err(), "seed {seed}");
        if seed < DAMAGED_BY_PROGRAM {
            let there = Folder::new("damaged-copy");
            fs::write(there.base(), &copy[0]).unwrap();
            fs::write(there.at("db_v2.sqlite3-wal"), &copy[1]).unwrap();
            let output = there.import(&[]);
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 2 | 3)), "seed {seed}: {output:?}");
            let told = String::from_utf8_lossy(&output.stdout).contains("nothing to write");
            assert_eq!(code == Some(0) && !told, there.at("hbb.store").exists(), "seed {seed}");
        }
    }
    println!("{refusals} of {DAMAGED} refused");
    assert!(refusals > DAMAGED / 10, "only {refusals} were refused");
}

/// A byte, a page or the end of the file or the log is gone or another.
fn damaged(whole: &[Vec<u8>; 2], seed: u64) -> [Vec<u8>; 2] {
    let (mut chance, mut copy) = (Chance::new(seed), whole.clone());
    for _ in 0..=chance.below(3) {
        let bytes = &mut copy[usize::from(chance.one_in(3))];
        let at = chance.index(bytes.len().max(1));
        match chance.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.iter_mut().skip(at / 1024 * 1024).take(1024).for_each(|byte| *byte = 0),
            2 => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte ^= 0x5a),
            // The pages' headers, where it hurts.
            3 => bytes.iter_mut().skip(at / 1024 * 1024).take(12).for_each(|byte| *byte ^= 1),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = byte.wrapping_add(1)),
        }
    }
    copy
}

fn rows([file, log]: &[Vec<u8>; 2]) -> Result<usize, hbb::sqlite::Error> {
    let database = Database::new(file, Some(log as &dyn Bytes))?;
    let mut rows = 0;
    database.rows("peer", &["id"], &mut |_, _| {
        rows += 1;
        Ok(())
    })?;
    Ok(rows)
}
