//! Words: what files open with, what things are called, what is never written.

use crate::source::File;

const LINES_MAX: usize = 500;
const COLUMNS_MAX: usize = 100;

/// A file fits in the head and beside another one, and opens with what it owns. rustfmt leaves
/// comments and texts as long as they are.
pub(crate) fn shape(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for File { path, text, .. } in files.iter().filter(|file| file.is_rust()) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            found
                .push(format!("{path}: {lines} lines, at most {LINES_MAX}; split by what it owns"));
        }
        if !text.starts_with("//! ") {
            found.push(format!("{path}:1: open the file with `//! ` and what it owns"));
        }
        let wide = |(_, line): &(usize, &str)| line.chars().count() > COLUMNS_MAX;
        let wide = text.lines().enumerate().filter(wide);
        found.extend(wide.map(|(at, _)| format!("{path}:{}: over {COLUMNS_MAX} columns", at + 1)));
    }
    found
}

const VAGUE_FILES: &str = " util utils common helper helpers misc types manager ";

/// A file or folder is named after what is inside.
pub(crate) fn file_names(files: &[File]) -> Vec<String> {
    let stem = |part: &str| part.split('.').next().unwrap_or_default().to_lowercase();
    let is_vague = |part: &str| VAGUE_FILES.contains(&format!(" {} ", stem(part)));
    let vague = |file: &&File| file.path.split('/').any(is_vague);
    let advice = |file: &File| format!("{}: the name says nothing; name what it owns", file.path);
    files.iter().filter(vague).map(advice).collect()
}

/// Words for types and what to say instead; words of the wire stay inside `wire/`.
const VOCABULARY: [(&[&str], &str); 6] = [
    (&["Client", "Node"], "Peer, Initiator or Target"),
    (&["Hole", "P2p"], "Punch"),
    (&["Tunnel", "Conduit"], "Leg, Session or Pipe"),
    (&["Sockaddr", "SockAddr"], "Endpoint"),
    (&["Licence", "License"], "AccessKey or ServerKey"),
    (&["Manager", "Helper", "Lane", "Bench", "Desk", "Guest", "Steward"], "what it does"),
];

/// Types are nouns of the vocabulary; functions do not `get`.
pub(crate) fn identifiers(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let wire = file.path.starts_with("src/core/wire/");
        for (keyword, name, line, _) in &file.defined {
            let place = format!("{}:{line}: `{name}`", file.path);
            // `get_mut` stands beside `get` as in every collection of std.
            if keyword == "fn" && name.starts_with("get_") && name != "get_mut" {
                found.push(format!("{place}: drop `get_`, or say what it does"));
            }
            let wrong = |row: &&(&[&str], &str)| row.0.iter().any(|word| holds_word(name, word));
            if let Some((_, instead)) = VOCABULARY.iter().find(wrong).filter(|_| !wire) {
                found.push(format!("{place}: say {instead}"));
            }
        }
    }
    found
}

/// True if the word stands in a name in camel case as a word of its own: `Hole` is in `PunchHole`
/// and `Holes`, but not in `Wholesale` or `Holed`.
fn holds_word(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(at, _)| {
        let rest = &name[at + word.len()..];
        !rest.starts_with(|next: char| next.is_lowercase()) || rest.starts_with('s')
    })
}

/// The words of a list, each spelled in two halves there, as this file is searched too.
fn whole(list: &str) -> Vec<String> {
    list.split(' ').map(|word| word.replace('|', "")).collect()
}

const UNFINISHED: &str = "TO|DO FIX|ME X|XX HA|CK";
const FOLDERS: &str = "/ro|ot/ /wo|rk/ /ho|me/";
const REGISTRIES: &str = "crates|.io pypi|.org python|hosted.org registry|.npmjs deb|.debian.org \
    archive|.ubuntu.com proxy|.golang.org";

/// Comments describe what is; plans live elsewhere.
pub(crate) fn unfinished(files: &[File]) -> Vec<String> {
    let (banned, mut found) = (whole(UNFINISHED), Vec::new());
    for (file, at, line) in files.iter().flat_map(File::prose) {
        let mut words = line.split(|next: char| !next.is_alphanumeric());
        if let Some(word) = words.find(|word| banned.iter().any(|banned| banned == word)) {
            found.push(format!("{}:{at}: `{word}`: do it, or describe what is", file.path));
        }
    }
    found
}

/// The tree builds anywhere: it names no machine's folders and no registry's host.
pub(crate) fn places(files: &[File]) -> Vec<String> {
    let (folders, hosts, mut found) = (whole(FOLDERS), whole(REGISTRIES), Vec::new());
    // The lock file's format holds the registry's address.
    for File { path, text, .. } in files.iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (at, line) in text.lines().enumerate() {
            let folder = folders.iter().find(|folder| starts_there(line, folder));
            let host = hosts.iter().find(|host| line.contains(*host));
            if let Some(place) = folder.or(host) {
                found.push(format!("{path}:{}: `{place}` is a place of one machine", at + 1));
            }
        }
    }
    found
}

/// True if an absolute path into `folder` stands in the line. In `"$stage"/dir` the quote ends a
/// word, in `"/dir` it opens one.
fn starts_there(line: &str, folder: &str) -> bool {
    let opens = |next: Option<char>| {
        next.is_none_or(|next| next.is_whitespace() || "([{<=,;|".contains(next))
    };
    line.match_indices(folder).any(|(at, _)| {
        let named = line[at + folder.len()..].starts_with(|next: char| next.is_alphanumeric());
        let mut before = line[..at].chars().rev();
        named
            && match before.next() {
                Some('"' | '\'' | '`') => opens(before.next()),
                first => opens(first),
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rule, found};

    fn count(rule: Rule, path: &str, text: &str) -> usize {
        found(rule, &[(path, text)]).len()
    }

    #[test]
    fn long_files_and_files_without_a_purpose_are_found() {
        let text = |lines: usize| format!("//! Owns.\n{}", "\n".repeat(lines - 1));
        assert_eq!(count(shape, "src/a.rs", &text(500)), 0);
        assert_eq!(count(shape, "src/a.rs", &text(501)), 1);
        assert_eq!(count(shape, "tests/a.rs", "use std::fs;\n"), 1);
        assert_eq!(count(shape, "src/a.rs", &format!("//! {}", "ä".repeat(96))), 0);
        assert_eq!(count(shape, "src/a.rs", &format!("//! {}", "ä".repeat(97))), 1);
    }

    #[test]
    fn vague_file_names_are_found() {
        assert_eq!(count(file_names, "tests/common/mod.rs", ""), 1);
        assert_eq!(count(file_names, "board/utils.py", ""), 1);
        assert_eq!(count(file_names, "src/net/commonwealth.rs", ""), 0);
    }

    #[test]
    fn names_off_the_vocabulary_are_found() {
        let names = |text| count(identifiers, "src/net/udp.rs", text);
        assert_eq!(names("fn get_peer() {}"), 1);
        assert_eq!(names("pub struct PunchHole; enum ClientKind {} trait Tunnels {}"), 3);
        assert_eq!(names("struct Wholesale; fn get_mut() {} use x::PunchHole;"), 0);
        assert_eq!(count(identifiers, "src/core/wire/message.rs", "struct PunchHole;"), 0);
    }

    #[test]
    fn unfinished_work_is_found() {
        let word = &whole(UNFINISHED)[0];
        assert_eq!(count(unfinished, "src/a.rs", &format!("const A: u8 = 1; // {word}: b")), 1);
        assert_eq!(count(unfinished, "tests/ci.sh", &format!("# {word}(me)")), 1);
        assert_eq!(count(unfinished, "src/a.rs", &format!("const A: &str = \"{word}\";")), 0);
        assert_eq!(count(unfinished, "tests/ci.sh", "mktemp /tmp/a.XXXXXX"), 0);
    }

    #[test]
    fn machines_and_registries_are_found() {
        let found = |line: &str| count(places, "board/rpi/build.sh", line) == 1;
        for folder in whole(FOLDERS) {
            assert!(found(&format!("cd {folder}x")) && found(&format!("X=\"{folder}x\"")));
            assert!(!found(&format!("cp a \"$stage\"{folder}x")));
            assert!(!found(&format!("cp a out{folder}x {folder}$user")));
        }
        assert!(found(&format!("https://{}/x", whole(REGISTRIES)[0])));
    }
}
