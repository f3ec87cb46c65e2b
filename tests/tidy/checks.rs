//! The page of numbered checks beside the tests that exist: neither says what the other does not.

use crate::source::File;
use std::collections::BTreeMap;

/// The page: a table row for each check of what is built, a line for what is not.
pub(crate) const PAGE: &str = "tests/conformance/README.md";
/// The highest number a check may have, the last one below which none may be missing, and how many
/// have a row even while they are later.
const CHECKS: u16 = 230;
const WHOLE: u16 = 81;
const ROWS: u16 = 77;
/// Checks without tests as yet; what is built now must leave this list, nothing may join it.
const LATER: [u16; 1] = [79];
const TESTS_IN_ROW_MAX: usize = 3;

/// What the page says of one check.
struct Row<'a> {
    check: u16,
    /// What it names between backticks in its last column.
    tests: Vec<&'a str>,
    later: bool,
}

/// Rows are `| C01 | what it asks | tests |`.
fn rows(page: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for line in page.lines() {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", number, _, covered, ""] = columns[..] else { continue };
        let Some(check) = number.strip_prefix('C').and_then(|digits| digits.parse().ok()) else {
            continue;
        };
        let tests = covered.split('`').skip(1).step_by(2).collect();
        rows.push(Row { check, tests, later: covered.starts_with("later") });
    }
    rows
}

/// The checks in the line for those that need no row yet.
fn without_row(page: &str) -> Vec<u16> {
    let lines = page.lines().filter(|line| line.starts_with("Later"));
    let words = lines.flat_map(|line| line.split(|next: char| !next.is_alphanumeric()));
    words.filter_map(|word| word.strip_prefix('C')?.parse().ok()).collect()
}

/// The page names every check once, its tests exist, and no test claims another check.
pub(crate) fn compare(files: &[File]) -> Vec<String> {
    let page = files.iter().find(|file| file.path == PAGE).map_or("", |file| &file.text);
    let (rows, without_row) = (rows(page), without_row(page));
    let tests: BTreeMap<_, _> = files.iter().flat_map(tests).collect();
    let mut found = every_check_once(&rows, &without_row);
    found.extend(rows.iter().flat_map(|row| row_findings(row, &tests)));
    let later = rows.iter().filter(|row| row.later).map(|row| row.check);
    let later: Vec<_> = later.chain(without_row).collect();
    if later != LATER {
        found.push(format!("later are {later:?}, agreed are {LATER:?}"));
    }
    for (name, check) in tests.iter().filter_map(|(name, check)| Some((name, (*check)?))) {
        if !rows.iter().any(|row| row.check == check && !row.later) {
            found.push(format!("`{name}` tests C{check:02}, which is no row or later"));
        }
    }
    found.into_iter().map(|finding| format!("{PAGE}: {finding}")).collect()
}

fn every_check_once(rows: &[Row], without_row: &[u16]) -> Vec<String> {
    let mut found = Vec::new();
    for check in 1..=CHECKS {
        let count = rows.iter().filter(|row| row.check == check).count();
        let wanted = usize::from(check <= ROWS || !without_row.contains(&check));
        let agreed = if check <= WHOLE { count == wanted } else { count <= 1 };
        if !agreed {
            found.push(format!("C{check:02} has {count} rows, not {wanted}"));
        }
    }
    let beyond = rows.iter().filter(|row| !(1..=CHECKS).contains(&row.check));
    found.extend(beyond.map(|row| format!("there is no check C{:02}", row.check)));
    found
}

fn row_findings(row: &Row, tests: &BTreeMap<String, Option<u16>>) -> Vec<String> {
    let lost = row.tests.iter().filter(|name| !tests.contains_key(**name));
    let mut found: Vec<_> = lost.map(|name| format!("no test is called `{name}`")).collect();
    match (row.later, row.tests.len()) {
        (true, 0) | (false, 1..=TESTS_IN_ROW_MAX) => {}
        (true, _) => found.push("it is later and names a test; say one of the two".into()),
        (false, 0) => found.push("it names no test; write it, or say `later` and why".into()),
        (_, count) => found.push(format!("it names {count} tests, at most {TESTS_IN_ROW_MAX}")),
    }
    found.iter().map(|finding| format!("C{:02}: {finding}", row.check)).collect()
}

/// The tests of one file as `module::name`, each with the check in its name: 44 in
/// `c044_what_it_asks`.
fn tests(file: &File) -> Vec<(String, Option<u16>)> {
    let check = |name: &str| {
        let (digits, _) = name.strip_prefix('c')?.split_once('_')?;
        (digits.len() == 3).then(|| digits.parse().ok()).flatten()
    };
    let module = module(&file.path);
    file.tests.iter().map(|name| (format!("{module}::{name}"), check(name))).collect()
}

/// `udp` for tests/conformance/udp.rs, `prop::store` for tests/prop/store.rs, `net::store` for
/// src/net/store.rs, the modules below tests/conformance, tests or src.
fn module(path: &str) -> String {
    let inner = path.trim_start_matches("src/").trim_start_matches("tests/");
    let inner = inner.trim_start_matches("conformance/").trim_end_matches(".rs");
    inner.strip_suffix("/mod").unwrap_or(inner).replace('/', "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that is right, with `change` at the row of one check, and its findings.
    fn found((changed, change): (u16, &str), test: &str) -> usize {
        let mut page = String::from("# Checks\n\n| check | asks | tests |\n|---|---|---|\n");
        let mut file = String::from(test);
        for check in (1..=WHOLE).filter(|check| !LATER.contains(check)) {
            file.push_str(&format!("#[test]\n#[cfg(unix)]\nfn c{check:03}_holds() {{}}\n"));
            let row = format!("| C{check:02} | it | `udp::c{check:03}_holds` |\n");
            page.push_str(if check == changed { change } else { &row });
        }
        page.push_str("\nLater, with the account API: C79 (b).\n");
        let udp = File::new("tests/conformance/udp.rs", &file);
        compare(&[File::new(PAGE, &page), udp]).len()
    }

    #[test]
    fn a_page_that_agrees_is_fine() {
        assert_eq!(found((0, ""), "fn c099_no_test() {} #[test] fn other() {}"), 0);
        assert_eq!(found((9, "| C09 | it | `udp::c009_holds`, `udp::c008_holds` |\n"), ""), 0);
    }

    #[test]
    fn rows_that_are_missing_doubled_or_beyond_are_found() {
        assert_eq!(found((9, "\n"), ""), 2, "no row, and a test without one");
        let twice = "| C09 | it | `udp::c009_holds` |\n".repeat(2);
        assert_eq!(found((9, &twice), ""), 1);
        for beyond in [0, 79, 81] {
            let two = twice.replacen("C09", &format!("C{beyond:02}"), 1);
            assert_eq!(found((9, &two), ""), 1, "{two}");
        }
    }

    #[test]
    fn rows_that_name_no_test_or_a_wrong_one_are_found() {
        for covered in ["by hand", "`udp::c009_held`", "`wire::c009_holds`"] {
            assert_eq!(found((9, &format!("| C09 | it | {covered} |\n")), ""), 1);
        }
        let four = format!("| C09 | it |{} |\n", " `udp::c009_holds`".repeat(4));
        assert_eq!(found((9, &four), ""), 1);
    }

    #[test]
    fn later_is_neither_tested_nor_longer_than_agreed() {
        assert_eq!(found((9, "| C09 | it | later: not built |\n"), ""), 2);
        assert_eq!(found((0, ""), "#[test] fn c079_answers() {}"), 1);
        assert_eq!(found((0, ""), &format!("#[test] fn c{:03}_is_new() {{}}", CHECKS + 1)), 1);
    }

    #[test]
    fn modules_are_named_by_their_files() {
        let names = ["tests/conformance/udp.rs", "tests/prop/store.rs", "src/core/wire/mod.rs"];
        assert_eq!(names.map(module), ["udp", "prop::store", "core::wire"]);
    }
}
