//! The manual page and the operator's manual say what `--help` says: each
//! flag of each command, and none that is not there. The operator's manual has every event the log
//! can name and every reason for a drop; README opens with the two commands and stays short.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hbb::cli::{CtlCommand, ctl_commands};
use hbb_core::base::counters::DropReason;

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
        let foreign = ["--with", "--allow-untrusted", "--help", "--free"];
        let of_ctl = ["--csv", "--lines", "--follow", "--replace"];
        let foreign = [&foreign[..], &of_ctl].concat();
        for flag in named.iter().filter(|flag| !foreign.contains(&flag.as_str())) {
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
    let all = ctl_commands().map(|command| command.name.to_owned());
    assert_eq!(named, all.collect());
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
                let call = call.trim_start();
                let call = call.strip_prefix("target: OPERATOR, ").unwrap_or(call);
                let line = call.strip_prefix('"')?;
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

/// What stands in the sources' text, all files in one.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all += &if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap() };
    }
    all
}

/// A reader comes with a line of the log, a message or what a client shows.
#[test]
fn the_trouble_table_says_what_the_log_says() {
    let source = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    // A literal may go on in the next line.
    let source = source.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let source = source.replace("target: OPERATOR, ", "").replace("!( \"", "!(\"");
    let text = page("README.md");
    let rows = first_column(&text, "| what you see | cause");
    let (mut events, mut words) = (0, 0);
    for row in &rows {
        for quote in quoted(row).filter(|quote| !quote.starts_with("--") && *quote != "disable-udp")
        {
            events += 1;
            if let Some((begin, rest)) = quote.split_once("...") {
                let known = match rest.trim() {
                    "" => format!("!(\"{begin}"),
                    rest => rest.to_owned(),
                };
                assert!(source.contains(&known), "{quote}");
                continue;
            }
            let (event, keys) = quote.split_once(' ').unwrap_or((quote, ""));
            let call = format!("!(\"{event}");
            let lines = source.split(&call).skip(1);
            let mut lines = lines.filter_map(|line| line.split('"').next());
            let is_whole = |line: &str| {
                let keys = keys.split(' ').filter(|key| !key.is_empty());
                let mut keys = keys.filter_map(|key| key.split('=').next());
                (line.is_empty() || line.starts_with(' '))
                    && keys.all(|key| line.contains(&format!(" {key}=")))
            };
            assert!(lines.any(is_whole), "{quote} is not what the log says");
        }
        let ours = row.starts_with("exit code");
        for word in row.split('*').skip(1).step_by(2).filter(|_| ours) {
            words += 1;
            assert!(source.contains(word), "{word}");
        }
    }
    assert!(events > 10 && words > 1, "{rows:?}");
}

#[test]
fn the_operators_manual_explains_every_reason_for_a_drop() {
    let text = page("board/manual.md");
    let explained = first_column(&text, "| reason | means");
    assert_eq!(explained, DropReason::ALL.map(|reason| format!("`{}`", reason.as_str())));
    // In the words of `ctl status`, with which a reader comes here.
    let text = text.replace('`', "");
    for reason in DropReason::ALL {
        let row = format!("| {} | {}", reason.as_str(), reason.meaning());
        assert!(text.contains(&row), "{row}");
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

/// The words of a command that stand for values, in small letters.
fn values(command: &CtlCommand) -> Vec<String> {
    let words = command.arguments.split_whitespace().filter(|word| !word.contains('='));
    words.map(str::to_lowercase).collect()
}

#[test]
fn the_manual_page_has_the_commands_of_ctl_as_the_help_has() {
    let page = page("board/debian/hbb.1");
    let list = page.split_once(".nf\n").unwrap().1.split_once(".fi\n").unwrap().0;
    let plain =
        ["\\fB", "\\fI", "\\fR"].iter().fold(list.to_owned(), |text, mark| text.replace(mark, ""));
    let plain = plain.replace("\\(aq", "'").replace("\\-", "-");
    let help = help("ctl");
    let explained = help.split_once("\nCommands:\n").unwrap().1;
    let explained: Vec<_> =
        explained.lines().map(|line| line.strip_prefix("  ").unwrap()).collect();
    assert_eq!(plain.lines().collect::<Vec<_>>(), explained);
    assert!(help.lines().all(|line| line.chars().count() <= 80));
}

/// Commands of the feature `accounts`, for which LuCI's pages have no room yet.
const NOT_OF_RPCD: [&str; 8] =
    ["pending", "approve", "invite", "log", "user", "group", "book", "rule"];
/// What OpenWrt's rpcd answers beside the commands of ctl.
const OF_RPCD: [&str; 3] = ["export", "zones", "wake"];

#[test]
fn rpcd_has_every_command_of_ctl_with_its_words_and_rights() {
    let script = page("openwrt/luci-app-hbb/root/usr/share/rpcd/ucode/hbb.uc");
    let methods = script.split_once("\nreturn { hbb: {\n").unwrap().1;
    // A method begins after one tab; its arguments stand behind 'args', or are those of 'about'.
    let mut offered = BTreeMap::new();
    for method in methods.replace("\n\t\t", " ").lines().filter(|line| line.starts_with('\t')) {
        let (name, rest) = method.trim().split_once(": ").unwrap_or(("", ""));
        let args =
            rest.split_once("args: { ").map_or("", |(_, rest)| rest.split('}').next().unwrap());
        let args = if rest.starts_with("about(") { "what: ''" } else { args };
        let words = args.split(", ").filter_map(|word| word.split_once(':'));
        if !name.is_empty() {
            offered.insert(
                name.to_owned(),
                words.map(|(word, _)| word.to_owned()).collect::<Vec<_>>(),
            );
        }
    }
    for name in OF_RPCD {
        assert!(offered.remove(name).is_some(), "{name}: {methods}");
    }
    let rights = page("openwrt/luci-app-hbb/root/usr/share/rpcd/acl.d/luci-app-hbb.json");
    let (read, write) = rights.split_once("\"write\"").unwrap();
    // A form with a flag is its method's argument of that name.
    let flagged = |command: &CtlCommand| command.arguments.contains("--");
    let shown = |command: &CtlCommand| !NOT_OF_RPCD.contains(&command.name);
    for command in ctl_commands().filter(shown).filter(|command| !flagged(command)) {
        let values = values(&command);
        let name = match (command.name, values.len()) {
            ("limits", 2) => "set_limit",
            (name, _) => name,
        };
        let mut words = offered.remove(name).unwrap_or_else(|| panic!("rpcd has no {name}"));
        if name == "peers" {
            assert_eq!(words, ["after", "count", "part"]);
            words.clear();
        }
        if ctl_commands().any(|other| other.name == name && flagged(&other)) {
            assert_eq!(words.pop().as_deref(), Some("free"), "{name}");
        }
        assert_eq!(words, values, "{name}");
        let changes = !values.is_empty() || name == "reload";
        let quoted = format!("\"{name}\"");
        assert_eq!(
            (read.contains(&quoted), write.contains(&quoted)),
            (!changes, changes),
            "{name}"
        );
    }
    assert!(offered.is_empty(), "not of ctl: {offered:?}");
}
