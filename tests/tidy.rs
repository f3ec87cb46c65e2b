//! Style as a test: direction of knowledge, lengths, words, layout.
//!
//! Each rule is a function over one file's path and text and gives findings,
//! `file:line: rule: what to do`. Beside each rule a test of its own shows that
//! it flags a bad sample. A rule that is wrong is mended here, not worked round.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::string_slice)] // a test may panic, anywhere in it

use std::{fs, io::Write as _, path::Path, process::Command};

#[path = "tidy/checks.rs"]
mod checks;
#[path = "tidy/knowledge.rs"]
mod knowledge;
#[path = "tidy/layout.rs"]
mod layout;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/words.rs"]
mod words;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) advice: String,
}

impl Finding {
    pub(crate) fn new(line: usize, rule: &'static str, advice: impl Into<String>) -> Self {
        Self { line, rule, advice: advice.into() }
    }
}

/// A rule looks at one file; the path is relative to the repository, with `/`.
pub(crate) type Rule = fn(path: &str, text: &str) -> Vec<Finding>;

/// True for Rust text that people write: the generated message code is exempt.
pub(crate) fn is_rust(path: &str) -> bool {
    path.ends_with(".rs") && (path.starts_with("src/") || path.starts_with("tests/"))
}

fn enforce(rule: Rule) {
    let files = tracked();
    assert!(files.iter().any(|(path, _)| path == "src/lib.rs"), "the file list is incomplete");
    let mut lines = Vec::new();
    for (path, text) in &files {
        for found in rule(path, text) {
            lines.push(format!("{path}:{}: {}: {}", found.line, found.rule, found.advice));
        }
    }
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// Every text file of the repository, committed or about to be.
fn tracked() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = listed_by_git(root).unwrap_or_else(|| walk(root, ""));
    paths.sort();
    paths.dedup();
    let read = |path: String| fs::read_to_string(root.join(&path)).ok().map(|text| (path, text));
    paths.into_iter().filter_map(read).collect()
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<_> = text.split('\0').filter(|path| !path.is_empty()).map(Into::into).collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

/// For an unpacked archive, which has no git.
fn walk(root: &Path, folder: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(folder)).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if [".git", "target", "dist"].contains(&path.as_str()) || path.ends_with("__pycache__") {
            continue;
        }
        if entry.path().is_dir() {
            paths.extend(walk(root, &path));
        } else {
            paths.push(path);
        }
    }
    paths
}

#[test]
fn knowledge_runs_downward() {
    enforce(knowledge::direction);
}

#[test]
fn outside_crates_stay_in_their_files() {
    enforce(knowledge::outside);
}

#[test]
fn machines_stay_pure() {
    enforce(knowledge::purity);
}

#[test]
fn the_library_root_only_declares_modules() {
    enforce(knowledge::library_root);
}

#[test]
fn files_are_short() {
    enforce(shape::file_length);
}

#[test]
fn lines_are_short() {
    enforce(shape::line_length);
}

#[test]
fn functions_are_short() {
    enforce(shape::function_length);
}

#[test]
fn functions_take_few_parameters() {
    enforce(shape::parameters);
}

#[test]
fn functions_are_shallow() {
    enforce(shape::nesting);
}

#[test]
fn files_open_with_their_purpose() {
    enforce(words::opening);
}

#[test]
fn file_names_say_what_is_inside() {
    enforce(words::file_names);
}

#[test]
fn names_follow_the_vocabulary() {
    enforce(words::identifiers);
}

#[test]
fn comments_leave_nothing_undone() {
    enforce(words::unfinished);
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    enforce(words::places);
}

#[test]
fn production_code_does_not_panic() {
    enforce(words::panics);
}

#[test]
fn the_top_level_holds_only_what_is_agreed() {
    enforce(layout::top_level);
}

#[test]
fn folder_readmes_are_short() {
    enforce(layout::readme_length);
}

#[test]
fn the_page_of_checks_names_the_tests_there_are() {
    let files = tracked();
    let page = files.iter().find(|(path, _)| path == checks::PAGE);
    let (path, page) = page.expect("the page of checks is there");
    let later = checks::later(page);
    // Past the harness, which keeps what a passing test prints to itself.
    writeln!(std::io::stdout(), "{} checks are later: {later:?}", later.len()).unwrap();
    let findings = checks::compare(page, &files);
    let line = |found: Finding| format!("{path}:{}: {}: {}", found.line, found.rule, found.advice);
    let lines: Vec<_> = findings.into_iter().map(line).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn both_file_lists_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let walked = walk(root, "");
    for (path, _) in tracked() {
        assert!(walked.contains(&path), "{path} is missing in the walk");
    }
}
