//! Pages stand alone: a file that is named is in the tree, a section that is cited is on its page.

use crate::source::File;

/// Whoever names a file of these kinds means one of ours.
const KINDS: [&str; 5] = [".md", ".rs", ".py", ".sh", ".proto"];
/// Words that only look like our paths: a name to fill in, a line of opkg's.
const NO_PATHS: [&str; 2] = ["NAME", "src/gz"];

/// Comments, pages and the comments of scripts name files and folders, from the top or from any
/// folder below it.
pub(crate) fn paths(files: &[File]) -> Vec<String> {
    let there = |path: &str| {
        let (below, inside) = (format!("/{path}"), format!("/{path}/"));
        let named = |file: &File| format!("/{}/", file.path).contains(&inside);
        files.iter().any(|file| file.path.ends_with(&below) || named(file))
    };
    let top = |path: &str| {
        path.split_once('/').is_some_and(|(first, _)| {
            files.iter().any(|file| file.path.split_once('/').is_some_and(|(top, _)| top == first))
        })
    };
    let mut found = Vec::new();
    for (file, at, line) in files.iter().flat_map(File::prose) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/$~".contains(c);
        for word in line.split(|c| !plain(c)) {
            let path = word.trim_start_matches("../").trim_end_matches(['.', '/']);
            let kind = KINDS.iter().any(|kind| path.len() > kind.len() && path.ends_with(kind));
            let ours = (kind || top(path)) && !word.starts_with('/');
            if ours && !NO_PATHS.iter().any(|no_path| path.contains(no_path)) && !there(path) {
                found.push(format!("{}:{at}: there is no {path}", file.path));
            }
        }
    }
    found
}

/// `protocol §4.8` and `§4.8` are sections of the protocol, those of the architecture
/// are so called; those
/// of an RFC are not ours.
pub(crate) fn sections(files: &[File]) -> Vec<String> {
    let pages = ["proto/protocol.md", "ARCHITECTURE.md"];
    let headings = pages.map(|page| {
        let text = files.iter().find(|file| file.path == page).map_or("", |file| &file.text);
        let headings = text.lines().filter(|line| line.starts_with('#'));
        let numbers = headings.filter_map(|line| line.split_whitespace().nth(1));
        numbers.map(|number| number.trim_end_matches('.')).collect::<Vec<_>>()
    });
    let mut found = Vec::new();
    for (file, at, line) in files.iter().flat_map(File::prose) {
        for (from, _) in line.match_indices('§') {
            let rest = line[from..].trim_start_matches('§');
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let number = rest[..end].trim_end_matches('.');
            let before: Vec<_> = line[..from].split_whitespace().rev().take(2).collect();
            if before.get(1).is_some_and(|word| word.ends_with("RFC")) || number.is_empty() {
                continue;
            }
            let page =
                before.first().is_some_and(|word| word.to_lowercase().contains("architecture"));
            if !headings[usize::from(page)].contains(&number) {
                found.push(format!(
                    "{}:{at}: {} has no §{number}",
                    file.path,
                    pages[usize::from(page)]
                ));
            }
        }
    }
    found
}

#[test]
fn a_file_that_is_not_there_is_found() {
    let found = |path, text: &str| {
        let tree = [File::new("board/rpi/manual.md", ""), File::new(path, text)];
        paths(&tree).len()
    };
    for line in ["see lost.md", "`board/lost/`", "(../shared/rpi/manual.md)", "net/lost.rs."] {
        assert_eq!(found("src/a.rs", &format!("//! Owns. {line}\n")), 1, "{line}");
        assert_eq!(found("openwrt/README.md", line), 1, "{line}");
        assert_eq!(found("src/a.rs", &format!("const A: &str = \"{line}\";")), 0);
    }
    let there = "manual.md, ../board/rpi, rpi/manual.md; board/NAME.toml hbb/ping /etc/board/x";
    assert_eq!(found("README.md", there), 0);
}

#[test]
fn a_section_that_is_not_there_is_found() {
    let protocol = "# The page\n### 4.8 Secure\n## 12. Open";
    let found = |line: &str| {
        let tree = [File::new("proto/protocol.md", protocol), File::new("src/a.rs", line)];
        sections(&tree).len()
    };
    assert_eq!(found("// (protocol §4.8, §12): asks; §4.8. RFC 6455 §5.5"), 0);
    assert_eq!(found("// protocol §4.9 and §12.1"), 2);
    assert_eq!(found("// architecture §4.8"), 1);
}
