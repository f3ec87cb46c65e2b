//! Words: what files open with, what things are called, what is never written.

use crate::{
    Finding, is_rust,
    lexer::{Token, read},
};

/// Every Rust file opens with what it owns.
pub(crate) fn opening(path: &str, text: &str) -> Vec<Finding> {
    if !is_rust(path) || text.starts_with("//! ") {
        return Vec::new();
    }
    vec![Finding::new(1, "opening", "open the file with `//! ` and what it owns")]
}

const VAGUE_FILES: [&str; 8] =
    ["util", "utils", "common", "helper", "helpers", "misc", "types", "manager"];

/// A file or folder is named after what is inside.
pub(crate) fn file_names(path: &str, _text: &str) -> Vec<Finding> {
    let stem = |part: &str| part.split('.').next().unwrap_or_default().to_lowercase();
    let vague = path.split('/').map(stem).find(|stem| VAGUE_FILES.contains(&stem.as_str()));
    let Some(vague) = vague else { return Vec::new() };
    vec![Finding::new(1, "file-name", format!("`{vague}` says nothing; name what it owns"))]
}

/// Words for types and what to say instead; words of the wire stay inside `wire/`.
const VOCABULARY: [(&str, &str); 12] = [
    ("Client", "Peer, Initiator or Target"),
    ("Node", "Peer"),
    ("Hole", "Punch"),
    ("P2p", "Punch"),
    ("Tunnel", "Relay, Leg or Session"),
    ("Pipe", "Relay, Leg or Session"),
    ("Sockaddr", "Endpoint"),
    ("SockAddr", "Endpoint"),
    ("Licence", "AccessKey or ServerKey"),
    ("License", "AccessKey or ServerKey"),
    ("Manager", "a noun for what it owns"),
    ("Helper", "a noun for what it owns"),
];

/// Types are nouns of the vocabulary; functions do not `get`.
pub(crate) fn identifiers(path: &str, text: &str) -> Vec<Finding> {
    if !is_rust(path) {
        return Vec::new();
    }
    let tokens = read(text).tokens;
    let mut findings = Vec::new();
    for pair in tokens.windows(2).filter(|pair| pair[1].is_name()) {
        let [keyword, name] = [&pair[0], &pair[1]];
        // `get_mut` stands beside `get` as in every collection of std.
        let gets = name.text.starts_with("get_") && !name.is("get_mut");
        if keyword.is("fn") && gets {
            let advice = format!("`{}`: drop `get_`, or say what it does", name.text);
            findings.push(Finding::new(name.line, "identifiers", advice));
        }
        let defines = ["struct", "enum", "union", "trait", "type"].iter().any(|k| keyword.is(k));
        if defines && path.starts_with("src/") && !path.starts_with("src/wire/") {
            findings.extend(banned_type(name));
        }
    }
    findings
}

fn banned_type(name: &Token) -> Option<Finding> {
    let (word, instead) = VOCABULARY.iter().find(|(word, _)| holds_word(&name.text, word))?;
    let advice = format!("`{}`: not `{word}` but {instead}", name.text);
    Some(Finding::new(name.line, "identifiers", advice))
}

/// True if the word stands in a name in camel case as a word of its own: `Hole` is
/// in `PunchHole`, but not in `Wholesale`, and `Pipe` is not in `Pipeline`.
fn holds_word(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(at, _)| {
        let rest = &name[at + word.len()..];
        !rest.starts_with(|next: char| next.is_lowercase()) || rest.starts_with('s')
    })
}

/// Spelled in two halves, as this file is searched too.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("HA", "CK")];

/// Comments describe what is; plans live elsewhere.
pub(crate) fn unfinished(path: &str, text: &str) -> Vec<Finding> {
    let lines: Vec<(usize, String)> = if path.ends_with(".rs") {
        read(text).comments
    } else {
        text.lines().enumerate().map(|(at, line)| (at + 1, line.into())).collect()
    };
    let mut findings = Vec::new();
    for (line, text) in lines {
        let mut words = text.split(|next: char| !next.is_alphanumeric());
        if let Some(word) = words.find(|word| UNFINISHED.contains(word)) {
            let advice = format!("`{word}`: do it, or describe what is");
            findings.push(Finding::new(line, "unfinished", advice));
        }
    }
    findings
}

const FOLDERS: [&str; 2] = [concat!("/ro", "ot/"), concat!("/wo", "rk/")];
const HOMES: &str = concat!("/ho", "me/");
const REGISTRIES: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("registry.", "npmjs"),
    concat!("deb.", "debian.org"),
    concat!("archive.", "ubuntu.com"),
    concat!("proxy.", "golang.org"),
];

/// The tree builds anywhere: it names no machine's folders and no registry's host.
pub(crate) fn places(path: &str, text: &str) -> Vec<Finding> {
    // The lock file's format holds the registry's address.
    if path == "Cargo.lock" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if let Some(folder) = machine_folder(line) {
            let advice = format!("`{folder}` is a folder of one machine; use a relative path");
            findings.push(Finding::new(at + 1, "places", advice));
        }
        if let Some(host) = REGISTRIES.iter().find(|host| line.contains(**host)) {
            let advice =
                format!("`{host}` is a registry's host; say what is needed, not where from");
            findings.push(Finding::new(at + 1, "places", advice));
        }
    }
    findings
}

fn machine_folder(line: &str) -> Option<&'static str> {
    let absolute = |folder: &&&str| line.match_indices(**folder).any(|(at, _)| is_start(line, at));
    let home = |(at, _): (usize, &str)| {
        let next = line[at + HOMES.len()..].chars().next();
        is_start(line, at) && next.is_some_and(|next| next.is_ascii_alphanumeric())
    };
    let homes = line.match_indices(HOMES).any(home);
    FOLDERS.iter().find(absolute).copied().or_else(|| homes.then_some(HOMES))
}

/// True if a path starts at `at`. In `"$stage"/dir` the quote ends a word, in `"/dir` it opens one.
fn is_start(line: &str, at: usize) -> bool {
    let mut before = line[..at].chars().rev();
    let opens = |next: Option<char>| {
        next.is_none_or(|next| next.is_whitespace() || "([{<=,;|".contains(next))
    };
    match before.next() {
        Some('"' | '\'' | '`') => opens(before.next()),
        first => opens(first),
    }
}

const PANICKING: [&str; 2] = ["unwrap", "expect"];
const PANICKING_MACROS: [&str; 4] = ["todo", "unimplemented", "panic", "unreachable"];

/// Nothing from the network can panic, and nothing else should.
pub(crate) fn panics(path: &str, text: &str) -> Vec<Finding> {
    if !path.starts_with("src/") || !path.ends_with(".rs") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let tokens = read(text).tokens;
    for trio in tokens.windows(3).filter(|trio| !trio[1].test) {
        let [before, name, after] = [&trio[0], &trio[1], &trio[2]];
        let is_in = |list: &[&str]| list.iter().any(|banned| name.is(banned));
        let called = (before.is(".") || before.is("::")) && is_in(&PANICKING);
        let expanded = after.is("!") && is_in(&PANICKING_MACROS) && path != "src/base/trap.rs";
        if called || expanded {
            let advice =
                format!("`{}`: return an error, or `.trap()` for our own fault", name.text);
            findings.push(Finding::new(name.line, "panics", advice));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "src/net/udp.rs";

    #[test]
    fn a_file_without_a_purpose_is_flagged() {
        assert_eq!(opening(FILE, "use std::fs;\n").len(), 1);
        assert!(opening(FILE, "//! Owns the socket.\n").is_empty());
    }

    #[test]
    fn vague_file_names_are_flagged() {
        assert_eq!(file_names("tests/common/mod.rs", "").len(), 1);
        assert_eq!(file_names("board/utils.py", "").len(), 1);
        assert!(file_names("src/net/commonwealth.rs", "").is_empty());
    }

    #[test]
    fn names_off_the_vocabulary_are_flagged() {
        assert_eq!(identifiers(FILE, "fn get_peer() {}").len(), 1);
        assert_eq!(identifiers(FILE, "pub struct PunchHole;").len(), 1);
        assert_eq!(identifiers(FILE, "enum ClientKind {}\ntrait Tunnels {}").len(), 2);
        assert!(identifiers("src/wire/message.rs", "struct PunchHole;").is_empty());
        assert!(identifiers(FILE, "struct Pipeline; fn get_mut() {} use x::PunchHole;").is_empty());
    }

    #[test]
    fn unfinished_work_is_flagged() {
        let [first, ..] = UNFINISHED;
        assert_eq!(unfinished(FILE, &format!("let a = 1; // {first}: b")).len(), 1);
        assert_eq!(unfinished("tests/ci.sh", &format!("# {first}(me)")).len(), 1);
        assert!(unfinished(FILE, &format!("let a = \"{first}\";")).is_empty());
        assert!(unfinished("tests/ci.sh", "mktemp /tmp/a.XXXXXX").is_empty());
    }

    #[test]
    fn machines_and_registries_are_flagged() {
        let flagged = |line: &str| !places("board/rpi/build.sh", line).is_empty();
        for folder in FOLDERS {
            assert!(flagged(&format!("cd {folder}x")));
            assert!(flagged(&format!("X=\"{folder}x\"")));
            assert!(!flagged(&format!("cp a \"$stage\"{folder}x")));
            assert!(!flagged(&format!("cp a out{folder}x")));
            assert!(!flagged(&format!("scp a root@router:{folder}")));
        }
        assert!(flagged(&format!("({HOMES}me/x)")));
        assert!(!flagged(&format!("{HOMES}$user")));
        assert!(flagged(&format!("https://{}/x", REGISTRIES[0])));
    }

    #[test]
    fn panicking_code_is_flagged() {
        assert_eq!(panics(FILE, "fn f() { a.unwrap(); b.map(Option::unwrap); todo!() }").len(), 3);
        assert!(panics(FILE, "fn f() { a.unwrap_or(1); }").is_empty());
        assert!(panics(FILE, "#[cfg(test)] mod tests { fn f() { a.unwrap(); } }").is_empty());
    }
}
