//! Fuzzing without a fuzzer: the corpus and seeded mutations of it through every decoder and,
//! as plays, through the machines. `HBB_REGENERATE=1` writes the generated files anew,
//! `HBB_FUZZ_ROUNDS=N` mutates N times; bytes that fail become a file in their folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};
use std::{fs, thread};

#[path = "../sim/chance.rs"]
mod chance;
mod corpus;
#[path = "../conformance/say.rs"]
mod say;
mod script;
mod targets;

use chance::Chance;

const ROUNDS: u64 = 10_000;
/// Longest mutated input; a datagram, or a play nobody would read.
const LEN_MAX: usize = 1500;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

/// Every file of a folder, in the order of their names.
fn files(name: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

#[allow(clippy::disallowed_methods, reason = "switches for people, in a test only")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Tells the bytes that make a target panic.
struct Telling<'a>(&'a str, &'a [u8]);

impl Drop for Telling<'_> {
    #[allow(clippy::print_stderr, reason = "a failure must show its bytes")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("\nadd to tests/fuzz/corpus/{}: {}\n", self.0, say::hex(self.1));
        }
    }
}

/// All files of `name` through `target`, then mutations of them.
fn throw(name: &str, target: fn(&[u8])) {
    let corpus = files(name);
    for bytes in &corpus {
        let _telling = Telling(name, bytes);
        target(bytes);
    }
    let rounds = variable("HBB_FUZZ_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut chance = Chance::new(name.len() as u64);
    for _ in 0..rounds {
        let bytes = mutated(&mut chance, &corpus);
        let _telling = Telling(name, &bytes);
        target(&bytes);
    }
}

/// One of the corpus, changed a few times.
fn mutated(chance: &mut Chance, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = chance.choose(corpus).clone();
    for _ in 0..chance.between(1, 6) {
        let place = chance.index(bytes.len() + 1);
        let other = chance.choose(corpus).clone();
        match chance.below(7) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, chance.byte()),
            2 => drop(bytes.splice(place..place, other)),
            3 => bytes.extend_from_within(place..),
            4 if place < bytes.len() => drop(bytes.remove(place)),
            5 if place < bytes.len() => bytes[place] ^= 1 << chance.below(8),
            _ if place < bytes.len() => {
                bytes[place] = *chance.choose(&[0, 1, 0x7f, 0x80, 0xff, 0x32, 0x92, 0xf0]);
            }
            _ => {}
        }
    }
    bytes.truncate(LEN_MAX);
    bytes
}

#[test]
fn the_corpus_is_the_generated_one() {
    let regenerate = variable("HBB_REGENERATE").is_some_and(|value| value == "1");
    for (name, file, bytes) in corpus::generate() {
        let path = folder(name).join(file);
        if regenerate {
            fs::create_dir_all(folder(name)).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let kept = fs::read(&path).unwrap_or_default();
        assert!(kept == bytes, "{} is stale: HBB_REGENERATE=1", path.display());
    }
}

#[test]
fn frames() {
    throw("frame", targets::frame);
}

#[test]
fn websockets() {
    throw("websocket", targets::websocket);
}

#[test]
fn handshakes() {
    throw("handshake", targets::handshake);
}

#[test]
fn messages() {
    throw("message", targets::message);
}

#[test]
fn addresses() {
    throw("address", targets::address);
}

#[test]
fn flags_files() {
    throw("flags", targets::flags);
}

#[test]
fn inputs_of_the_machines() {
    throw("input", script::play);
}
