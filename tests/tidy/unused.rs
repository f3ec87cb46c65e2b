//! Nothing is public for tests alone: rustc sees no dead code behind `pub`, so names are compared.

use crate::source::File;
use std::collections::BTreeSet;

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
