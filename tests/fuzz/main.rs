//! Replays the corpus through every target; `tests/fuzz/run` searches on from it by libFuzzer and
//! leaves a crash it finds as a file of the corpus, which fails here until it is mended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

mod office;
#[path = "../conformance/say.rs"]
mod say;
mod script;
#[allow(unreachable_pub, reason = "public for the fuzzers, whose library it is a module of too")]
mod targets;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 11] = [
    ("address", targets::address),
    ("calls", targets::calls),
    ("flags", targets::flags),
    ("frame", targets::frame),
    ("handshake", targets::handshake),
    ("json", targets::json),
    ("machines", targets::machines),
    ("message", targets::message),
    ("rules", targets::rules),
    ("sqlite", targets::sqlite),
    ("websocket", targets::websocket),
];

/// What `tests/fuzz/<folder>` holds, in the order of the names.
fn entries(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(folder);
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn the_corpus_passes() {
    for (name, target) in TARGETS {
        for path in entries(&format!("corpus/{name}")) {
            // Shown if it fails: the last one is it.
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
        }
    }
}

#[test]
fn each_target_has_a_fuzzer_and_a_corpus() {
    let names = TARGETS.map(|(name, _)| name);
    for folder in ["corpus", "fuzz_targets"] {
        let paths = entries(folder);
        let found: Vec<_> = paths.iter().map(|path| path.file_stem().unwrap()).collect();
        assert_eq!(found, names, "tests/fuzz/{folder}");
    }
}
