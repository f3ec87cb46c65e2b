//! The completions for bash, zsh and fish are made of the flags and of ctl's commands, and do in
//! the shells what they should. `HBB_WRITE=1 cargo test --test completion` makes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests have settings")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use argh::{CommandInfoWithArgs, FlagInfo, SubCommandInfo};
use argh_complete::{Generator, bash::Bash, fish::Fish, zsh::Zsh};
use hbb::cli::{ctl_commands, flags_of_all};

/// What some flags take.
const VALUES: [(&str, &str); 3] = [
    ("role", "all rendezvous relay"),
    ("log-level", "error warn info debug"),
    ("format", "text string qr exe toml json"),
];
/// Flags that take a file or a folder.
const PATHS: [&str; 5] = ["data", "flags", "control", "to", "rules"];

/// What `store` is told to do.
const STORE_COMMANDS: [(&str, &str); 2] = [
    ("check", "read all of the store and change nothing"),
    ("salvage", "write what a damaged store still holds to a new file"),
];

/// What `rules` is told to do.
const RULES_COMMANDS: [(&str, &str); 2] = [
    ("check", "name each wrong line of the rules"),
    ("test", "say what they decide of FROM and TO"),
];

/// Asks bash as it asks itself.
const IN_BASH: &str = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hbb
    printf '%s\n' "${COMPREPLY[@]}""#;
/// Asks fish for words, and for flags, which it offers behind a hyphen alone.
const IN_FISH: &str = r#"source $argv[1]; set -l words (string join -- ' ' $argv[2..])
    complete -C "$words"; if string match -q -- '* ' "$words"; complete -C "$words--"; end"#;
/// Stands in for zsh's own functions: tells what they are given last.
const IN_ZSH: &str = r#"compdef() { }
    _arguments() {
        got=("${@##\(*\)}")
        [[ ${@[-1]} == *subcmd ]] || return 0
        shift words; (( CURRENT -= 1 )); state=subcmd; return 1
    }
    _describe() { got+=("${(@P)4}") }
    file=$1; shift; words=("$@"); CURRENT=$#; source $file; _hbb; print -rl -- $got"#;

fn file(shell: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("board/debian").join(format!("hbb.{shell}"))
}

/// All commands without what help hides, and those of ctl, store and rules below them.
fn commands() -> CommandInfoWithArgs {
    let mut all = shown(flags_of_all());
    let ctl = all.commands.iter_mut().find(|command| command.name == "ctl").unwrap();
    for command in ctl_commands() {
        let (name, description) = (command.name, command.help);
        if ctl.command.commands.iter().all(|known| known.name != name) {
            let command = CommandInfoWithArgs { name, description, ..Default::default() };
            ctl.command.commands.push(SubCommandInfo { name, command });
        }
    }
    ctl.command.positionals = &[];
    for (named, words) in [("store", STORE_COMMANDS), ("rules", RULES_COMMANDS)] {
        let found = all.commands.iter_mut().find(|command| command.name == named).unwrap();
        for (name, description) in words {
            let command = CommandInfoWithArgs { name, description, ..Default::default() };
            found.command.commands.push(SubCommandInfo { name, command });
        }
        found.command.positionals = &[];
    }
    all
}

fn shown(mut command: CommandInfoWithArgs) -> CommandInfoWithArgs {
    let flags = command.flags.iter().filter(|flag| !flag.hidden).map(|flag| FlagInfo {
        kind: match flag.kind {
            argh::FlagInfoKind::Switch => argh::FlagInfoKind::Switch,
            argh::FlagInfoKind::Option { arg_name } => argh::FlagInfoKind::Option { arg_name },
        },
        long: flag.long.split(',').next().unwrap(),
        short: flag.short,
        // The derived text has braces doubled, for a format string.
        description: flag.description.replace("{{", "{").replace("}}", "}").leak(),
        ..FlagInfo::default()
    });
    command.flags = Vec::leak(flags.collect());
    let below = command.commands.into_iter();
    let below = below.map(|sub| SubCommandInfo { name: sub.name, command: shown(sub.command) });
    command.commands = below.collect();
    command
}

/// Adds what the generators do not know: the values and kinds of files that flags take.
fn made(shell: &str) -> String {
    let tree = commands();
    let head = format!("# Completion of hbb(1) for {shell}, made by tests/completion.rs.\n");
    match shell {
        "bash" => {
            let mut text = Bash::generate("hbb", &tree);
            for (flag, values) in VALUES {
                let nothing = format!("--{flag})\n                    COMPREPLY=()\n");
                let offer = format!("COMPREPLY=( $(compgen -W \"{values}\" -- \"${{cur}}\") )");
                let some = nothing.replace("COMPREPLY=()", &offer);
                assert!(text.contains(&nothing), "{flag}");
                text = text.replace(&nothing, &some);
            }
            format!("# shellcheck shell=bash disable=SC2068,SC2207\n{head}\n{text}")
        }
        "zsh" => {
            let text = mended(
                &Zsh::generate("hbb", &tree),
                |flag| format!("'--{flag}["),
                |line, takes| {
                    let action = takes.map_or("_files".into(), |values| format!("({values})"));
                    line.replace("': :'", &format!("': :{action}'"))
                },
            );
            text.replacen('\n', &format!("\n{head}"), 1)
        }
        _ => {
            let text = mended(
                &Fish::generate("hbb", &tree),
                |flag| format!(" -l {flag} "),
                |line, takes| {
                    let values = takes.unwrap_or("(__fish_complete_path)");
                    line.replace(" -r ", &format!(" -x -a '{values}' "))
                },
            );
            // Its `-x` is of fish 4, and Debian 12 has 3.6; its `-f` stops files only behind flags.
            let text = text.replace("commandline -xpc", "commandline -opc");
            head + "complete -c hbb -f\n" + &text
        }
    }
}

/// Changes the lines of flags that take one of some values, or with None a path.
fn mended(
    text: &str,
    mark: impl Fn(&str) -> String,
    mend: impl Fn(&str, Option<&str>) -> String,
) -> String {
    let takes = |line: &str| {
        let valued = VALUES.iter().find(|(flag, _)| line.contains(&mark(flag)));
        let path = PATHS.iter().any(|flag| line.contains(&mark(flag)));
        valued.map(|(_, values)| Some(*values)).or(path.then_some(None))
    };
    let lines = text.lines().map(|line| match takes(line) {
        Some(takes) => {
            let mended = mend(line, takes);
            assert_ne!(mended, line);
            mended
        }
        None => line.to_owned(),
    });
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_files_are_those_made_of_the_flags() {
    for shell in ["bash", "zsh", "fish"] {
        if std::env::var_os("HBB_WRITE").is_some() {
            std::fs::write(file(shell), made(shell)).unwrap();
        }
        let kept = std::fs::read_to_string(file(shell)).unwrap();
        assert!(kept == made(shell), "make hbb.{shell} anew: HBB_WRITE=1");
    }
}

fn hbb(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_hbb")).args(arguments).output().unwrap()
}

/// The long flags that `hbb COMMAND --help` has.
fn flags(command: &str) -> BTreeSet<String> {
    let command = if command == "check" { "serve" } else { command };
    let text = String::from_utf8(hbb(&[command, "--help"]).stdout).unwrap();
    let options = text.split_once("Options:\n").unwrap().1.split("\n\n").next().unwrap();
    let lines = options.lines().filter(|line| line.starts_with("  -"));
    let words = lines.flat_map(|line| line.split_whitespace().take(2));
    let flags = words.filter(|word| word.starts_with("--"));
    flags.map(|flag| flag.trim_end_matches(',').to_owned()).collect()
}

/// What a shell offers behind these words, short flags left out.
fn offered(shell: &str, words: &[&str]) -> BTreeSet<String> {
    let (script, options) = match shell {
        "bash" => (IN_BASH, &["--norc", "-ec"][..]),
        "fish" => (IN_FISH, &["--no-config", "-c"][..]),
        _ => (IN_ZSH, &["-f", "-c"][..]),
    };
    let mut command = Command::new(shell);
    command.args(options).arg(script);
    if shell != "fish" {
        command.arg(shell);
    }
    let output = command.arg(file(shell)).arg("hbb").args(words).output();
    let output = output.unwrap_or_else(|_| panic!("install the package {shell}"));
    assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let first = |line: &str| line.split(['\t', '[', ':']).next().unwrap().to_owned();
    let words = text.lines().map(first);
    words.filter(|word| word.starts_with("--") || word.starts_with(char::is_alphabetic)).collect()
}

#[test]
fn every_shell_offers_each_flag_and_command_and_no_other() {
    let names = "serve keygen export check ctl doctor import store backup restore rules";
    let names: Vec<_> = names.split(' ').map(str::to_owned).collect();
    let top = ["--help", "--version"].map(str::to_owned).into_iter().chain(names.clone());
    let top: BTreeSet<_> = top.collect();
    for shell in ["bash", "zsh", "fish"] {
        assert_eq!(offered(shell, &[""]), top, "{shell}");
        for name in &names {
            let mut expected = flags(name);
            assert!(expected.len() > 2, "{expected:?}");
            if name == "ctl" {
                expected.extend(ctl_commands().map(|command| command.name.to_owned()));
            }
            if name == "store" {
                expected.extend(STORE_COMMANDS.map(|(command, _)| command.to_owned()));
            }
            if name == "rules" {
                expected.extend(RULES_COMMANDS.map(|(command, _)| command.to_owned()));
            }
            assert_eq!(offered(shell, &[name, ""]), expected, "{shell}: hbb {name}");
        }
    }
}

#[test]
fn values_are_offered_and_those_offered_are_taken() {
    for (flag, values) in [("--role", 3), ("--log-level", 4)] {
        let in_bash = offered("bash", &["serve", flag, ""]);
        assert_eq!(in_bash.len(), values, "{in_bash:?}");
        for value in &in_bash {
            let said = String::from_utf8(hbb(&["check", "--data", "/", flag, value]).stderr);
            assert!(!said.unwrap().contains(flag), "{flag} {value}");
        }
    }
    assert_eq!(offered("bash", &["serve", "--role", "ren"]), BTreeSet::from(["rendezvous".into()]));
    let in_fish = offered("fish", &["export", "--format", "q"]);
    assert_eq!(in_fish, BTreeSet::from(["qr".into()]));
}
