//! The tree: what stands at its top, how long a folder's page is.

use crate::{Finding, checks};

/// The agreed folders, and beside them support files only.
const TOP: [&str; 23] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
    ".cargo",
    ".ci",
    ".editorconfig",
    ".gitattributes",
    ".github",
    ".gitignore",
    "board",
    "cross",
    "openwrt",
    "proto",
    "size-report",
    "src",
    "tests",
];
const README_LINES_MAX: usize = 40;

/// Nothing new appears at the top by accident; there is no `build.rs`.
pub(crate) fn top_level(path: &str, _text: &str) -> Vec<Finding> {
    let first = path.split('/').next().unwrap_or_default();
    if TOP.contains(&first) {
        return Vec::new();
    }
    let advice = format!("`{first}` is not agreed; move it into a folder of the architecture");
    vec![Finding::new(1, "top-level", advice)]
}

/// A folder's page says what is here, how to run it, how to add one.
pub(crate) fn readme_length(path: &str, text: &str) -> Vec<Finding> {
    // The one at the top is the manual; the one of the size report is a generated table.
    let exempt = ["README.md", "size-report/README.md"].contains(&path);
    // Where the table is the page, its rows do not count.
    let counts = |line: &&str| path != checks::PAGE || !line.starts_with('|');
    let lines = text.lines().filter(counts).count();
    if exempt || !path.ends_with("/README.md") || lines <= README_LINES_MAX {
        return Vec::new();
    }
    let advice =
        format!("{lines} lines, at most {README_LINES_MAX}; keep what, how to run, how to add");
    vec![Finding::new(README_LINES_MAX + 1, "readme-length", advice)]
}

#[test]
fn strangers_at_the_top_are_flagged() {
    assert_eq!(top_level("build.rs", "").len(), 1);
    assert_eq!(top_level("docs/design.md", "").len(), 1);
    assert!(top_level("src/build.rs", "").is_empty());
}

#[test]
fn long_readmes_are_flagged() {
    let long = "line\n".repeat(41);
    assert_eq!(readme_length("board/rpi/README.md", &long)[0].line, 41);
    assert!(readme_length("README.md", &long).is_empty());
    assert!(readme_length("board/README.md", &"line\n".repeat(40)).is_empty());
    assert!(readme_length(checks::PAGE, &"| row |\n".repeat(41)).is_empty());
    assert_eq!(readme_length("board/README.md", &"| row |\n".repeat(41)).len(), 1);
    assert_eq!(readme_length(checks::PAGE, &long).len(), 1);
}
