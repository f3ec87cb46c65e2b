//! The page of numbered checks beside the tests that exist: neither says what the other does not.

use crate::{
    Finding,
    lexer::{Token, closing, read},
};
use std::collections::BTreeSet;

/// The page: a table row for each check of what is built, a line for what is not.
pub(crate) const PAGE: &str = "tests/conformance/README.md";
/// How many checks there are, and how many of them have a row even while they are later.
const CHECKS: u16 = 80;
const ROWS: u16 = 77;
/// Checks without tests as yet; what is built now must leave this list, nothing may join it.
const LATER: [u16; 3] = [78, 79, 80];
const TESTS_IN_ROW_MAX: usize = 3;

/// One test: `module::name`, the modules below tests/conformance, tests or src.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    path: String,
    /// The number in its name, if it has one.
    check: Option<u16>,
}

/// What the page says of one check.
struct Row {
    line: usize,
    check: u16,
    /// What it names between backticks in its last column.
    tests: Vec<String>,
    later: bool,
}

/// The checks the page calls later, in its order.
pub(crate) fn later(page: &str) -> Vec<u16> {
    let rows = rows(page).into_iter().filter(|row| row.later).map(|row| row.check);
    rows.chain(without_row(page)).collect()
}

/// The checks in the line for those that need no row yet.
fn without_row(page: &str) -> Vec<u16> {
    page.lines().filter(|line| line.starts_with("Later")).flat_map(numbers).collect()
}

/// Compares the page with the tests of all `files`, each a path and its text.
pub(crate) fn compare(page: &str, files: &[(String, String)]) -> Vec<Finding> {
    let tests: BTreeSet<Test> = files.iter().flat_map(|(path, text)| tests(path, text)).collect();
    let rows = rows(page);
    let mut findings = every_check_once(&rows, &without_row(page));
    findings.extend(rows.iter().flat_map(|row| row_findings(row, &tests)));
    let later = later(page);
    if later != LATER {
        let advice = format!("later are {later:?}, agreed are {LATER:?}");
        findings.push(Finding::new(1, "checks", advice));
    }
    for Test { path, check } in &tests {
        let Some(check) = check else { continue };
        let has_row = rows.iter().any(|row| row.check == *check && !row.later);
        if !has_row {
            let advice = format!("`{path}` tests C{check:02}, which is no row or later");
            findings.push(Finding::new(1, "checks", advice));
        }
    }
    findings
}

fn every_check_once(rows: &[Row], without_row: &[u16]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in 1..=CHECKS {
        let count = rows.iter().filter(|row| row.check == check).count();
        let wanted = usize::from(check <= ROWS || !without_row.contains(&check));
        if count != wanted {
            let advice = format!("C{check:02} has {count} rows, not {wanted}");
            findings.push(Finding::new(1, "checks", advice));
        }
    }
    for row in rows.iter().filter(|row| !(1..=CHECKS).contains(&row.check)) {
        let advice = format!("there is no check C{:02}", row.check);
        findings.push(Finding::new(row.line, "checks", advice));
    }
    findings
}

fn row_findings(row: &Row, tests: &BTreeSet<Test>) -> Vec<Finding> {
    let (check, count) = (row.check, row.tests.len());
    let mut findings = Vec::new();
    let mut found = |advice| findings.push(Finding::new(row.line, "checks", advice));
    match (row.later, count) {
        (true, 0) | (false, 1..=TESTS_IN_ROW_MAX) => {}
        (true, _) => found(format!("C{check:02} is later and names a test; say one of the two")),
        (false, 0) => found(format!("C{check:02} names no test; write it, or say `later` and why")),
        _ => found(format!("C{check:02} names {count} tests, at most {TESTS_IN_ROW_MAX}")),
    }
    for name in &row.tests {
        if !tests.iter().any(|test| test.path == *name) {
            found(format!("C{check:02}: no test is called `{name}`"));
        }
    }
    findings
}

/// Rows are `| C01 | what it asks | tests |`.
fn rows(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, line) in page.lines().enumerate() {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", number, _, covered, ""] = columns[..] else { continue };
        let Some(check) = number.strip_prefix('C').and_then(|digits| digits.parse().ok()) else {
            continue;
        };
        let tests = covered.split('`').skip(1).step_by(2).map(Into::into).collect();
        rows.push(Row { line: at + 1, check, tests, later: covered.starts_with("later") });
    }
    rows
}

/// The numbers of the checks a line names.
fn numbers(line: &str) -> Vec<u16> {
    let words = line.split(|next: char| !next.is_alphanumeric());
    words.filter_map(|word| word.strip_prefix('C')?.parse().ok()).collect()
}

/// Every function behind `#[test]` of one file.
fn tests(path: &str, text: &str) -> Vec<Test> {
    let (Some(module), true) = (module(path), path.ends_with(".rs")) else { return Vec::new() };
    let tokens = read(text).tokens;
    let mut tests = Vec::new();
    for at in 0..tokens.len().saturating_sub(3) {
        let marked = tokens[at].is("#") && tokens[at + 1].is("[") && tokens[at + 2].is("test");
        if let Some(name) = marked.then(|| function_behind(&tokens, at)).flatten() {
            tests.push(Test { path: format!("{module}::{name}"), check: check_in(name) });
        }
    }
    tests
}

/// The name of the function that has the attribute at `at`, behind its other attributes.
fn function_behind(tokens: &[Token], mut at: usize) -> Option<&str> {
    while tokens.get(at)?.is("#") {
        at = closing(tokens, at + 1) + 1;
    }
    let is_fn = tokens.get(at)?.is("fn");
    is_fn.then(|| tokens.get(at + 1).map(|name| &*name.text)).flatten()
}

/// 44 in `c044_what_it_asks`.
fn check_in(name: &str) -> Option<u16> {
    let (digits, _) = name.strip_prefix('c')?.split_once('_')?;
    (digits.len() == 3).then(|| digits.parse().ok()).flatten()
}

/// `udp` for tests/conformance/udp.rs, `prop::store` for tests/prop/store.rs, `net::ws` for
/// src/net/ws.rs.
fn module(path: &str) -> Option<String> {
    let inner = path.strip_prefix("src/").or_else(|| path.strip_prefix("tests/"))?;
    let inner = inner.strip_prefix("conformance/").unwrap_or(inner);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    Some(inner.strip_suffix("/mod").unwrap_or(inner).replace('/', "::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that is right, with `change` at the row of one check, and its findings.
    fn flagged(change: (u16, &str), test: &str) -> usize {
        let mut page = String::from("# Checks\n\n| check | asks | tests |\n|---|---|---|\n");
        let mut file = String::from(test);
        for check in 1..=ROWS {
            let name = format!("c{check:03}_holds");
            let mut row = format!("| C{check:02} | it | `udp::{name}` |\n");
            if LATER.contains(&check) {
                row = format!("| C{check:02} | it | later: not built |\n");
            } else {
                file.push_str(&format!("#[test]\n#[cfg(unix)]\nfn {name}() {{}}\n"));
            }
            page.push_str(if check == change.0 { change.1 } else { &row });
        }
        page.push_str("\nLater, with the account API: C78 (a), C79 (b), C80 (c).\n");
        compare(&page, &[("tests/conformance/udp.rs".into(), file)]).len()
    }

    #[test]
    fn a_page_that_agrees_is_fine() {
        assert_eq!(flagged((0, ""), ""), 0);
        assert_eq!(flagged((9, "| C09 | it | `udp::c009_holds`, `udp::c008_holds` |\n"), ""), 0);
        assert_eq!(flagged((0, ""), "fn c099_no_test() {}\n#[test]\nfn other() {}\n"), 0);
    }

    #[test]
    fn rows_that_are_missing_or_doubled_are_flagged() {
        assert_eq!(flagged((9, "\n"), ""), 2, "no row, and a test without one");
        let twice = "| C09 | it | `udp::c009_holds` |\n".repeat(2);
        assert_eq!(flagged((9, &twice), ""), 1);
        for beyond in [0, 78, 81] {
            let two = twice.replacen("C09", &format!("C{beyond:02}"), 1);
            assert_eq!(flagged((9, &two), ""), 1, "{two}");
        }
    }

    #[test]
    fn rows_that_name_no_test_or_a_wrong_one_are_flagged() {
        assert_eq!(flagged((9, "| C09 | it | by hand |\n"), ""), 1);
        assert_eq!(flagged((9, "| C09 | it | `udp::c009_held` |\n"), ""), 1);
        assert_eq!(flagged((9, "| C09 | it | `wire::c009_holds` |\n"), ""), 1);
        let four = format!("| C09 | it |{} |\n", " `udp::c009_holds`".repeat(4));
        assert_eq!(flagged((9, &four), ""), 1);
    }

    #[test]
    fn later_is_neither_tested_nor_longer_than_agreed() {
        assert_eq!(flagged((9, "| C09 | it | later: not built |\n"), ""), 2);
        assert_eq!(flagged((0, ""), "#[test]\nfn c078_answers() {}\n"), 1);
        assert_eq!(flagged((0, ""), "#[test]\nfn c081_is_new() {}\n"), 1);
    }

    #[test]
    fn modules_are_named_by_their_files() {
        let named = |path: &str| module(path).unwrap();
        assert_eq!(named("tests/conformance/udp.rs"), "udp");
        assert_eq!(named("tests/prop/store.rs"), "prop::store");
        assert_eq!(named("src/identity/mod.rs"), "identity");
        assert_eq!(module("proto/rendezvous.rs"), None);
    }
}
