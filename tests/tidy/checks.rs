//! The page of numbered checks beside the tests that exist: neither says what the other does not.

use crate::source::File;
use std::collections::BTreeMap;

/// The page: a table row for each check.
pub(crate) const PAGE: &str = "tests/conformance/README.md";
/// The highest number a check may have, and the last one up to which none may be missing.
const CHECKS: u16 = 230;
const WHOLE: u16 = 81;
const TESTS_IN_ROW_MAX: usize = 3;

/// What the page says of one check.
struct Row<'a> {
    check: u16,
    /// What it names between backticks in its last column.
    tests: Vec<&'a str>,
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
        rows.push(Row { check, tests });
    }
    rows
}

/// The page names every check once, its tests exist, and no test claims another check.
pub(crate) fn compare(files: &[File]) -> Vec<String> {
    let page = files.iter().find(|file| file.path == PAGE).map_or("", |file| &file.text);
    let rows = rows(page);
    let tests: BTreeMap<_, _> = files.iter().flat_map(tests).collect();
    let mut found = every_check_once(&rows);
    found.extend(rows.iter().flat_map(|row| row_findings(row, &tests)));
    for (name, check) in tests.iter().filter_map(|(name, check)| Some((name, (*check)?))) {
        if !rows.iter().any(|row| row.check == check) {
            found.push(format!("`{name}` tests C{check:02}, which is no row"));
        }
    }
    found.into_iter().map(|finding| format!("{PAGE}: {finding}")).collect()
}

fn every_check_once(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for check in 1..=CHECKS {
        let count = rows.iter().filter(|row| row.check == check).count();
        if count > 1 || (count == 0 && check <= WHOLE) {
            found.push(format!("C{check:02} has {count} rows, not one"));
        }
    }
    let beyond = rows.iter().filter(|row| !(1..=CHECKS).contains(&row.check));
    found.extend(beyond.map(|row| format!("there is no check C{:02}", row.check)));
    found
}

fn row_findings(row: &Row, tests: &BTreeMap<String, Option<u16>>) -> Vec<String> {
    let lost = row.tests.iter().filter(|name| !tests.contains_key(**name));
    let mut found: Vec<_> = lost.map(|name| format!("no test is called `{name}`")).collect();
    match row.tests.len() {
        1..=TESTS_IN_ROW_MAX => {}
        0 => found.push("it names no test; write it".into()),
        count => found.push(format!("it names {count} tests, at most {TESTS_IN_ROW_MAX}")),
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
        for check in 1..=WHOLE {
            file.push_str(&format!("#[test]\n#[cfg(unix)]\nfn c{check:03}_holds() {{}}\n"));
            let row = format!("| C{check:02} | it | `udp::c{check:03}_holds` |\n");
            page.push_str(if check == changed { change } else { &row });
        }
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
        for beyond in [0, 81] {
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
    fn a_test_without_a_row_is_found() {
        assert_eq!(found((0, ""), "#[test] fn c100_answers() {}"), 1);
        assert_eq!(found((0, ""), &format!("#[test] fn c{:03}_is_new() {{}}", CHECKS + 1)), 1);
    }

    #[test]
    fn modules_are_named_by_their_files() {
        let names = ["tests/conformance/udp.rs", "tests/prop/store.rs", "src/core/wire/mod.rs"];
        assert_eq!(names.map(module), ["udp", "prop::store", "core::wire"]);
    }
}
