//! Mutants: each patch of `tests/mutants/` breaks one rule in the machines, and the simulation must
//! find it within a minute. Two in rotation by the day, all with `HBB_LONG=1`, one with
//! `HBB_MUTANT=NAME`. Only when it is asked for by name: each is a build of its own. One more, with
//! `HBB_LONG=1`, makes a call more for each datagram that is sent: the counts must show it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a test that waits and says")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How much of a processor's time the simulation may take to find one.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// For one that waits instead.
const PATIENCE: Duration = Duration::from_secs(900);
const IN_ROTATION: usize = 2;

/// What the simulation is built from.
const PARTS: [&str; 6] = ["Cargo.toml", "Cargo.lock", "cross", "src", "proto", "tests"];

/// A file of a patch and, for each of its hunks, the lines that are there and those to put there.
type Patch = BTreeMap<String, Vec<(String, String)>>;

/// Reads a unified diff. The numbers of lines are not looked at: the text must be there once.
fn read(text: &str) -> Patch {
    let (mut patch, mut file) = (Patch::new(), String::new());
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("+++ b/") {
            file = path.to_owned();
            patch.insert(file.clone(), Vec::new());
        } else if line.starts_with("@@") {
            patch.get_mut(&file).expect("a file before its hunk").push(Default::default());
        } else if let Some((old, new)) = patch.get_mut(&file).and_then(|hunks| hunks.last_mut()) {
            let (sign, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
            for (wanted, side) in [(sign != "+", old), (sign != "-", new)] {
                if wanted {
                    side.push_str(rest);
                    side.push('\n');
                }
            }
        }
    }
    assert!(patch.values().any(|hunks| !hunks.is_empty()), "no patch:\n{text}");
    patch
}

/// The text of a file once its hunks are in it.
fn broken(path: &Path, text: String, hunks: &[(String, String)]) -> String {
    hunks.iter().fold(text, |text, (old, new)| {
        assert_eq!(text.matches(old.as_str()).count(), 1, "once in {path:?}:\n{old}");
        text.replacen(old.as_str(), new, 1)
    })
}

/// A copy of the tree to be broken, with a target folder of its own: cargo tells two trees apart by
/// the age of their files alone.
struct Tree(PathBuf);

impl Tree {
    fn copied(name: &str) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| top().join("target"), PathBuf::from);
        let tree = target.join(name);
        fs::create_dir_all(&tree).unwrap();
        for part in PARTS {
            let _ = fs::remove_dir_all(tree.join(part));
            let done = Command::new("cp").arg("-r").arg(top().join(part)).arg(&tree).status();
            assert!(done.unwrap().success(), "cp {part}");
        }
        Self(tree)
    }

    /// Puts a patch in; gives what was there.
    fn break_by(&self, patch: &Patch) -> Vec<(PathBuf, String)> {
        let mut before = Vec::new();
        for (path, hunks) in patch {
            let path = self.0.join(path);
            let text = fs::read_to_string(&path).unwrap();
            before.push((path.clone(), text.clone()));
            fs::write(&path, broken(&path, text, hunks)).unwrap();
        }
        before
    }

    /// What cargo says, asked for `args` in this tree.
    fn cargo(&self, args: &[&str]) -> String {
        let mut cargo = Command::new(env!("CARGO"));
        // Built again for each mutant, by what is the same.
        cargo.args(args).args(["--locked"]).current_dir(&self.0).env("CARGO_INCREMENTAL", "1");
        let output = cargo.env("CARGO_TARGET_DIR", self.0.join("target")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    /// Builds the simulation; gives its program.
    fn built(&self) -> PathBuf {
        let said = self.cargo(&["test", "--test", "sim", "--no-run"]);
        let program = said.rsplit_once("(").and_then(|(_, rest)| rest.split_once(")"));
        self.0.join(program.expect("cargo names the program").0)
    }

    /// What the stage of counts says of the program that this tree makes. It is no release, and of
    /// another C library, which changes its instructions alone.
    fn counts(&self) -> String {
        self.cargo(&["build", "--bin", "hbb"]);
        let mut counts = Command::new(top().join("tests/bench/counts.py"));
        counts.args([std::env::consts::ARCH, "--binary"]).arg(self.0.join("target/debug/hbb"));
        let output = counts.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    }

    /// The words with which the simulation finds what is broken, once it says them; None if it
    /// does not.
    fn found(&self) -> Option<String> {
        let mut run = Command::new(self.built());
        let said = fs::File::create(self.0.join("said")).unwrap();
        run.arg("--nocapture").current_dir(&self.0).env("RUST_BACKTRACE", "0");
        run.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let (mut run, begin) = (run.spawn().unwrap(), Instant::now());
        let late = |pid| processor_time(pid) > FOUND_WITHIN || begin.elapsed() > PATIENCE;
        let words = loop {
            let ended = run.try_wait().unwrap();
            let words = self.words();
            if ended.is_some() || words.is_some() || late(run.id()) {
                break words;
            }
            sleep(Duration::from_millis(50));
        };
        // It may have ended.
        let _ = run.kill();
        run.wait().unwrap();
        words
    }

    /// What the simulation said of the first test that failed.
    fn words(&self) -> Option<String> {
        let said = String::from_utf8_lossy(&fs::read(self.0.join("said")).unwrap()).into_owned();
        let (_, behind) = said.split_once("panicked at ")?;
        let (_place, words) = behind.split_once('\n')?;
        words.split_once('\n').map(|(words, _)| words.to_owned())
    }
}

/// What a process took of the processors: it is not to blame for the time that others take beside
/// it. Zero once it has ended.
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name of the program, in hundredths of a second: in itself, in the kernel.
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind.split_whitespace().skip(11).take(2).map(|it| it.parse::<u64>().unwrap());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The mutants by name.
fn mutants() -> BTreeMap<String, Patch> {
    let files =
        fs::read_dir(top().join("tests/mutants")).unwrap().map(|entry| entry.unwrap().path());
    let patches = files.filter(|path| path.extension().is_some_and(|kind| kind == "patch"));
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    patches.map(|path| (name(&path), read(&fs::read_to_string(&path).unwrap()))).collect()
}

/// Those whose turn it is.
fn chosen(all: BTreeMap<String, Patch>) -> BTreeMap<String, Patch> {
    if std::env::var_os("HBB_LONG").is_some() {
        return all;
    }
    if let Some(name) = std::env::var_os("HBB_MUTANT") {
        return all.into_iter().filter(|(mutant, _)| name == mutant.as_str()).collect();
    }
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let count = all.len();
    let first = usize::try_from(days).unwrap() * IN_ROTATION % count;
    let turn = |number: usize| (number + count - first) % count < IN_ROTATION;
    all.into_iter().enumerate().filter(|(number, _)| turn(*number)).map(|(_, it)| it).collect()
}

#[test]
fn the_simulation_finds_each_mutant_within_a_minute() {
    let all = mutants();
    assert!(all.len() >= 12, "twelve mutants at least, not {}", all.len());
    let (chosen, tree, of) = (chosen(all.clone()), Tree::copied("mutants"), all.len());
    assert!(!chosen.is_empty(), "HBB_MUTANT names none");
    let mut alive = Vec::new();
    for (name, patch) in chosen {
        let (before, begin) = (tree.break_by(&patch), Instant::now());
        match tree.found() {
            Some(words) => {
                println!("mutant {name}, one of {of}: found, {words:?}, {:?}", begin.elapsed())
            }
            None => alive.push(name),
        }
        before.iter().for_each(|(path, text)| fs::write(path, text).unwrap());
    }
    assert!(alive.is_empty(), "not found: {alive:?}");
}

/// All of them, and not only those whose turn it is: a change of the sources renews its mutants.
#[test]
fn each_mutant_fits_the_sources() {
    for (path, hunks) in mutants().into_values().flatten() {
        let path = top().join(path);
        let text = fs::read_to_string(&path).unwrap();
        assert_ne!(broken(&path, text.clone(), &hunks), text, "{path:?}");
    }
}

#[test]
fn a_call_more_for_a_heartbeat_shows_in_the_counts() {
    if std::env::var_os("HBB_LONG").is_none() {
        println!("left out, as two builds are long: HBB_LONG=1");
        return;
    }
    let patch = read(include_str!("bench/one-call-more.patch"));
    let tree = Tree::copied("counted");
    let more = "'heartbeat' makes 4 calls, recorded are 3";
    let said = tree.counts();
    assert!(!said.contains("'heartbeat' makes"), "as it is:\n{said}");
    tree.break_by(&patch);
    let said = tree.counts();
    assert!(said.contains(more), "with a call more:\n{said}");
}

#[test]
fn a_hunk_replaces_its_lines_wherever_they_are() {
    let patch = read("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+zwei\n");
    assert_eq!(patch["x"], [("one\ntwo\n".to_owned(), "one\nzwei\n".to_owned())]);
}
