//! The pages stand alone: a section of the protocol that is cited is one of `proto/protocol.md`,
//! and a file or folder that a page names is in the tree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::string_slice)] // a test may panic, anywhere in it

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a build leaves and git does not keep.
const MADE: [&str; 3] = [".git", "target", "dist"];
/// Paths that begin so are of the tree, from its top.
const TOP: [&str; 8] =
    ["board/", "cross/", "openwrt/", "proto/", "size-report/", "src/", "tests/", ".github/"];

/// Words that only look like paths: a name to fill in, a line of opkg's.
const NO_PATHS: [&str; 2] = ["NAME", "src/gz"];

/// Every text file below the top, by its path from there.
fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    gather("", &mut files);
    assert!(files.iter().any(|(path, _)| path == "src/lib.rs"), "the walk is incomplete");
    files
}

fn gather(folder: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if MADE.contains(&path.as_str()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            gather(&path, files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push((path, text));
        }
    }
}

/// Each line of a text with its number from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

fn page(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The numbers of a page's headings: `### 4.8 Secure TCP` is 4.8.
fn headings(page: &str) -> BTreeSet<String> {
    let number = |line: &str| {
        let first = line.strip_prefix('#')?.trim_start_matches('#').split_whitespace().next()?;
        let starts = first.starts_with(|c: char| c.is_ascii_digit());
        starts.then(|| first.trim_end_matches('.').to_owned())
    };
    page.lines().filter_map(number).collect()
}

/// The sections of the protocol that `line` cites; those of an RFC are not ours.
fn cited(line: &str) -> Vec<String> {
    let section = |(at, _): (usize, &str)| {
        let digits = |c: char| c.is_ascii_digit() || c == '.';
        let rest = line[at..].trim_start_matches('§');
        let number = rest[..rest.find(|c| !digits(c)).unwrap_or(rest.len())].trim_end_matches('.');
        let before: Vec<_> = line[..at].split_whitespace().rev().take(2).collect();
        let foreign = before.get(1).is_some_and(|word| word.ends_with("RFC"));
        (!foreign && !number.is_empty()).then(|| number.to_owned())
    };
    line.match_indices('§').filter_map(section).collect()
}

#[test]
fn every_section_cited_is_in_the_protocol() {
    let headings = headings(&page("proto/protocol.md"));
    let (mut lost, mut count) = (Vec::new(), 0);
    for (path, text) in files().iter().filter(|(path, _)| path != "tests/pages.rs") {
        let sections = |(at, line)| cited(line).into_iter().map(move |section| (at, section));
        for (at, section) in numbered(text).flat_map(sections) {
            count += 1;
            if !headings.contains(&section) {
                lost.push(format!("{path}:{at}: the protocol has no §{section}"));
            }
        }
    }
    assert!(count > 50, "only {count} citations were found");
    assert!(lost.is_empty(), "\n{}\n", lost.join("\n"));
}

#[test]
fn citations_are_told_from_those_of_an_rfc() {
    assert_eq!(cited("// (protocol §4.4, §4.5): asks; §5.1."), ["4.4", "4.5", "5.1"]);
    assert!(cited("(RFC 6455 §5.5)").is_empty());
    let numbers: Vec<_> = headings("# The page\n### 4.8 Secure\n## 12. Open").into_iter().collect();
    assert_eq!(numbers, ["12", "4.8"]);
}

/// The words a line gives to type or to look up: of a command, between backticks, of a link.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let command = line.starts_with("    ").then_some(line);
    let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let texts = line.split('`').skip(1).step_by(2).chain(command).chain(links);
    texts.flat_map(str::split_whitespace)
}

/// The path from the top that `word`, on the page `from`, means; None if it is no path.
fn meant(word: &str, from: &str) -> Option<String> {
    let word = word.split(['#', '*', '{']).next()?.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let filled_in = NO_PATHS.iter().any(|no_path| word.contains(no_path));
    if word.is_empty() || filled_in || !word.chars().all(plain) {
        return None;
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    if TOP.iter().any(|top| word.starts_with(top)) {
        return Some(word.to_owned());
    }
    let own = word.ends_with(".md") || word.starts_with("../");
    own.then(|| {
        let mut parts: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in word.split('/') {
            match part {
                ".." => parts.truncate(parts.len().saturating_sub(1)),
                _ => parts.push(part),
            }
        }
        parts.join("/")
    })
}

#[test]
fn pages_name_files_that_are_there() {
    let files = files();
    let there = |path: &str| {
        let folder = format!("{path}/");
        files.iter().any(|(file, _)| file == path || file.starts_with(&folder))
    };
    let (mut lost, mut count) = (Vec::new(), 0);
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".md")) {
        let paths = |(at, line)| {
            named(line).filter_map(|word| meant(word, path)).map(move |meant| (at, meant))
        };
        for (at, meant) in numbered(text).flat_map(paths) {
            count += 1;
            if !there(&meant) {
                lost.push(format!("{path}:{at}: there is no {meant}"));
            }
        }
    }
    assert!(count > 60, "only {count} paths were found");
    assert!(lost.is_empty(), "\n{}\n", lost.join("\n"));
}

#[test]
fn paths_are_read_from_their_page() {
    assert_eq!(meant("tests/bench/", "README.md").as_deref(), Some("tests/bench"));
    assert_eq!(meant("manual.md", "board/rpi/README.md").as_deref(), Some("board/rpi/manual.md"));
    assert_eq!(meant("../tests/x", "openwrt/README.md").as_deref(), Some("tests/x"));
    assert_eq!(meant("hbb serve", "README.md"), None);
}
