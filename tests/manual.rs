//! The manual page, the operator's manual and the completion of bash say what `--help` says: each
//! flag of each command, and none that is not there. The operator's manual has every event the log
//! can name; README opens with the two commands and stays short.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("board/debian").join(name)
}

fn help(command: &str) -> String {
    let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let output = hbb.args([command, "--help"]).output().unwrap();
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that `hbb --help` lists.
fn commands() -> Vec<String> {
    let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let text = String::from_utf8(hbb.arg("--help").output().unwrap().stdout).unwrap();
    let list = text.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let commands: Vec<_> = list.lines().filter_map(first).collect();
    assert!(commands.len() >= 4, "{commands:?}");
    commands
}

/// The long flags at the start of the lines of its options, without `--help`.
fn flags(command: &str) -> BTreeSet<String> {
    let text = help(command);
    let Some((_, options)) = text.split_once("Options:\n") else { return BTreeSet::new() };
    let options = options.split("\n\n").next().unwrap();
    let flag = |line: &str| {
        let word = line.strip_prefix("  ")?.split_whitespace().next()?;
        word.starts_with("--").then(|| word.to_owned())
    };
    options.lines().filter_map(flag).collect()
}

/// `hbb check` takes the flags of `serve`, and its help says so.
fn flags_taken(command: &str) -> BTreeSet<String> {
    let own = flags(command);
    if !own.is_empty() {
        return own;
    }
    assert!(help(command).contains("<flags of 'hbb serve'>"), "{command} names no flags");
    flags("serve")
}

#[test]
fn every_flag_is_in_the_manual_page_and_no_other() {
    let page = fs::read_to_string(file("hbb.1")).unwrap();
    for command in commands() {
        let section = page.split(&format!(".SS hbb {command}\n")).nth(1);
        let section = section.unwrap_or_else(|| panic!("hbb.1 has no section .SS hbb {command}"));
        let section = section.split("\n.S").next().unwrap();
        let named = section
            .split("\n.TP\n\\fB")
            .skip(1)
            .map(|item| item.split("\\fR").next().unwrap().replace("\\-", "-"));
        assert_eq!(named.collect::<BTreeSet<_>>(), flags(&command), "hbb {command} in hbb.1");
    }
}

/// A page of the tree.
fn page(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What stands between backticks in `text`, code of more lines left out.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The rows of the table behind a line that begins with `head`, their first columns.
fn first_column<'a>(text: &'a str, head: &str) -> Vec<&'a str> {
    let table = text.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('|').nth(1)).map(str::trim).collect()
}

#[test]
fn the_operators_manual_names_no_flag_that_is_not_there() {
    let all: BTreeSet<_> = commands().iter().flat_map(|command| flags_taken(command)).collect();
    for path in ["README.md", "board/manual.md"] {
        let text = page(path);
        let words = quoted(&text).flat_map(str::split_whitespace);
        let flag = |word: &str| {
            let end = word.find(|c: char| c != '-' && !c.is_ascii_lowercase());
            word.split_at(end.unwrap_or(word.len())).0.to_owned()
        };
        let named: Vec<_> = words.filter(|word| word.starts_with("--")).map(flag).collect();
        assert!(named.len() > 5, "{path}: {named:?}");
        let foreign = ["--with", "--allow-untrusted", "--help"].map(str::to_owned);
        for flag in named.iter().filter(|flag| !foreign.contains(flag)) {
            assert!(all.contains(flag), "{path} names {flag}, which no command has");
        }
    }
}

#[test]
fn the_operators_manual_has_every_word_of_ctl() {
    let text = page("board/manual.md");
    let rows = first_column(&text, "| command | does | JSON");
    let word = |row: &str| row.trim_matches('`').split_whitespace().next().map(str::to_owned);
    let named: BTreeSet<_> = rows.into_iter().filter_map(word).collect();
    assert_eq!(named, words_of_ctl());
}

/// The events that the sources below `folder` log, at `levels`.
fn logged(folder: &Path, levels: &[&str], events: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            logged(&path, levels, events);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for level in levels {
            let macro_call = format!("{level}!(");
            let calls = text.split(&macro_call).skip(1);
            let event = |call: &str| {
                let line = call.trim_start().strip_prefix('"')?;
                line.split([' ', '"']).next().map(str::to_owned)
            };
            events.extend(calls.filter_map(event));
        }
    }
}

#[test]
fn the_operators_manual_explains_every_event_of_the_log() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut events, mut details) = (BTreeSet::new(), BTreeSet::new());
    logged(&source, &["info", "warn", "error"], &mut events);
    logged(&source, &["debug"], &mut details);
    assert!(events.len() > 20 && details.len() > 3, "{events:?} {details:?}");
    let text = page("board/manual.md");
    let (_, section) = text.split_once("\n## Log\n").unwrap();
    let rows = first_column(section, "| event | means").join(" ");
    let event = |quote: &str| quote.split(' ').next().map(str::to_owned);
    let explained: BTreeSet<_> = quoted(&rows).filter_map(event).collect();
    assert_eq!(explained, events);
    let behind = section.rsplit("|\n\n").next().unwrap();
    let named: BTreeSet<_> = quoted(behind).filter_map(event).collect();
    for detail in details {
        assert!(named.contains(&detail), "{detail} is not named: {named:?}");
    }
}

#[test]
fn readme_is_short_and_opens_with_the_two_commands() {
    let text = page("README.md");
    let lines = text.lines().count();
    assert!(
        lines <= 150,
        "README.md has {lines} lines, at most 150: move what is for later readers"
    );
    let commands: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(commands.get(..2), Some(&["cross/here serve --data .", "tests/ci.sh"][..]));
}

/// What bash offers behind these words.
fn offered(words: &[&str]) -> BTreeSet<String> {
    let script = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _hbb; \
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-euc", script, "bash"]).arg(file("hbb.bash")).arg("hbb").args(words);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

/// The commands that `hbb ctl --help` explains.
fn words_of_ctl() -> BTreeSet<String> {
    let text = help("ctl");
    let (_, list) = text.split_once("Commands:\n").unwrap();
    // What explains goes on far to the right of them.
    let word = |line: &str| {
        let line = line.trim_start_matches(' ');
        line.split_whitespace().next().filter(|_| !line.is_empty()).map(str::to_owned)
    };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let first = list.lines().next().map(indent).unwrap();
    let own = list.lines().take_while(|line| indent(line) >= first);
    let words: BTreeSet<_> = own.filter(|line| indent(line) == first).filter_map(word).collect();
    assert!(words.contains("status") && words.contains("reload"), "{words:?}");
    words
}

#[test]
fn the_completion_offers_every_flag_and_no_other() {
    let global: BTreeSet<_> = offered(&[""]);
    let named = ["--help", "--version"].map(str::to_owned).into_iter().chain(commands());
    assert_eq!(global, named.collect());
    for command in commands() {
        let mut expected = flags_taken(&command);
        expected.insert("--help".into());
        if command == "ctl" {
            expected.extend(words_of_ctl());
        }
        assert_eq!(offered(&[&command, ""]), expected, "hbb {command}");
    }
    assert_eq!(offered(&["serve", "--single"]).len(), 2);
    assert_eq!(offered(&["serve", "--role", "ren"]), BTreeSet::from(["rendezvous".into()]));
}

#[test]
fn the_values_it_offers_are_taken() {
    for (flag, values) in [("--role", 3), ("--log-level", 4)] {
        let offered = offered(&["serve", flag, ""]);
        assert_eq!(offered.len(), values, "{offered:?}");
        for value in offered {
            let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
            let output = hbb.args(["check", "--data", "/", flag, &value]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains(flag), "{flag} {value}: {said}");
        }
    }
}
