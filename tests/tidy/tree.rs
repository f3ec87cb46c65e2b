//! The tree: what stands at its top, how long its pages are.

use crate::{checks, source::File};

/// The agreed folders, and beside them pages and support files only.
const TOP: &str = "ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md Cargo.lock Cargo.toml \
    LICENSE-APACHE LICENSE-MIT MIGRATING.md README.md SECURITY.md clippy.toml deny.toml \
    rustfmt.toml .cargo .ci .editorconfig .gitattributes .github .gitignore board cross openwrt \
    proto size-report src tests";
/// For strangers, and of a folder: what is here, how to run it, how to add one.
const MANUAL_LINES_MAX: usize = 150;
const README_LINES_MAX: usize = 40;
/// Where the table is the page, its rows do not count.
const TABLES: [&str; 3] = [checks::PAGE, "size-report/README.md", "openwrt/README.md"];

/// Nothing new appears at the top by accident, no build script either.
pub(crate) fn top_level(files: &[File]) -> Vec<String> {
    let strange =
        |file: &&File| !TOP.split(' ').any(|top| file.path.split('/').next() == Some(top));
    let advice = |file: &File| format!("{}: not agreed at the top; move it", file.path);
    files.iter().filter(strange).map(advice).collect()
}

pub(crate) fn readme_length(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for File { path, text, .. } in files.iter().filter(|file| file.path.ends_with("README.md")) {
        let table = TABLES.contains(&path.as_str());
        let lines = text.lines().filter(|line| !table || !line.starts_with('|')).count();
        let max = if path == "README.md" { MANUAL_LINES_MAX } else { README_LINES_MAX };
        if lines > max {
            found.push(format!("{path}: {lines} lines, at most {max}"));
        }
    }
    found
}

#[test]
fn strangers_at_the_top_are_found() {
    let found = |path| !top_level(&[File::new(path, "")]).is_empty();
    assert!(found("build.rs") && found("docs/design.md"));
    assert!(!found("src/build.rs") && !found("SECURITY.md"));
}

#[test]
fn long_readmes_are_found() {
    let found = |path, text: &str| !readme_length(&[File::new(path, text)]).is_empty();
    let lines = |count| "line\n".repeat(count);
    assert!(found("README.md", &lines(151)) && !found("README.md", &lines(150)));
    assert!(found("board/README.md", &lines(41)) && !found("board/README.md", &lines(40)));
    assert!(found("board/README.md", &"| row |\n".repeat(41)));
    assert!(!found(checks::PAGE, &"| row |\n".repeat(41)) && found(checks::PAGE, &lines(41)));
}
