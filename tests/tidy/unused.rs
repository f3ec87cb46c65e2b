//! Nothing is public for tests alone: rustc sees no dead code behind `pub`, so names are compared.
//! Every reason for a drop is given somewhere.

use crate::source::{File, without_tests};
use hbb_core::base::counters::DropReason;
use std::collections::BTreeSet;
use syn::{BinOp, ExprBinary, ExprPath, Pat, visit};

/// What is `pub` in src/ is named somewhere in src/, beside its definition and `use`, and outside
/// what is compiled for tests.
pub(crate) fn public(files: &[File]) -> Vec<String> {
    let own = || files.iter().filter(|file| file.path.starts_with("src/"));
    let used: BTreeSet<_> = own().flat_map(|file| &file.used).collect();
    let mut found = Vec::new();
    for file in own() {
        for (keyword, name, line, public) in &file.defined {
            if *public && !used.contains(name) {
                let place = format!("{}:{line}", file.path);
                found.push(format!("{place}: nobody but tests uses {keyword} `{name}`"));
            }
        }
    }
    found
}

/// Where the reasons are listed and worded.
const REASONS: &str = "src/core/base/counters.rs";

/// Each `DropReason` is the value of an expression in src/, outside its own file: one that is only
/// matched or compared with shows operators a count that stays 0.
pub(crate) fn drop_reasons(files: &[File]) -> Vec<String> {
    let mut given = Given::default();
    for file in files.iter().filter(|file| file.path.starts_with("src/") && file.path != REASONS) {
        if file.is_rust() && file.text.contains("DropReason") {
            let production = without_tests(file.text.parse().expect(&file.path));
            visit::visit_file(&mut given, &syn::parse2(production).expect(&file.path));
        }
    }
    let names = DropReason::ALL.map(|reason| format!("{reason:?}"));
    let missing = names.into_iter().filter(|name| !given.0.contains(name));
    missing.map(|name| format!("{REASONS}: nothing is dropped for `{name}`: give or go")).collect()
}

/// The reasons that expressions have as their value.
#[derive(Default)]
struct Given(BTreeSet<String>);

impl visit::Visit<'_> for Given {
    /// A pattern is no expression, though syn has one type for the paths of both.
    fn visit_pat(&mut self, _: &Pat) {}

    fn visit_expr_binary(&mut self, binary: &ExprBinary) {
        if !matches!(binary.op, BinOp::Eq(_) | BinOp::Ne(_)) {
            visit::visit_expr_binary(self, binary);
        }
    }

    fn visit_expr_path(&mut self, path: &ExprPath) {
        let mut last = path.path.segments.iter().rev().map(|segment| segment.ident.to_string());
        if let (Some(name), Some(owner)) = (last.next(), last.next())
            && owner == "DropReason"
        {
            self.0.insert(name);
        }
    }
}

#[test]
fn a_reason_that_is_never_given_is_found() {
    let found = |code: &str| {
        let all = DropReason::ALL.iter().skip(1);
        let others = all.map(|reason| format!("count(base::DropReason::{reason:?});"));
        let rest = format!("fn rest() {{ {} }}", others.collect::<String>());
        crate::found(drop_reasons, &[("src/net/a.rs", &rest), ("src/net/b.rs", code)])
    };
    assert_eq!(DropReason::ALL[0], DropReason::Malformed);
    assert!(found("fn f() -> Result<(), DropReason> { Err(DropReason::Malformed) }").is_empty());
    for elsewhere in [
        "",
        "fn f(r: DropReason) -> bool { r == DropReason::Malformed }",
        "fn f(r: DropReason) { if let DropReason::Malformed = r {} }",
        "#[cfg(test)] mod t { fn f() { g(DropReason::Malformed) } }",
    ] {
        assert_eq!(found(elsewhere).len(), 1, "{elsewhere}");
    }
}

#[test]
fn what_only_tests_use_is_found() {
    let found = |code: &str| {
        let net = "use crate::store::spare; #[cfg(test)] mod t { fn f() { spare() } }";
        public(&[File::new("src/store/mod.rs", code), File::new("src/net/mod.rs", net)]).len()
    };
    assert_eq!(found("pub fn spare() {} pub struct A; impl B { pub const fn c() {} }"), 3);
    assert_eq!(found("pub(crate) fn spare() {} const A: u8 = 1;"), 0, "rustc sees it");
    assert_eq!(found("pub fn spare() {} fn g() { spare() }"), 0);
    let gated = "#[cfg(any(test, feature = \"testing\"))] pub fn spare() -> Result<A, B> { C }";
    assert_eq!(found(gated), 0);
    assert_eq!(found("#[cfg(not(feature = \"testing\"))] pub fn spare() {}"), 1);
}
