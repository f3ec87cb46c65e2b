//! Which file may know which: layers from top to bottom, no circle, few files to a folder, and
//! the outside crates each in its place.

use crate::source::{File, Named};
use std::collections::{BTreeMap, BTreeSet};

/// Top to bottom. What stands in one row knows what is below and its own folder, not its
/// neighbours; what ends in `/` is a folder.
const LAYERS: &[&[&str]] = &[
    &["src/main.rs"],
    &["src/lib.rs"],
    &["src/cmd/"],
    &["src/net/mod.rs"],
    &["src/net/serve/"],
    &["src/net/accept.rs"],
    &["src/net/web/"],
    &["src/net/control/"],
    &["src/net/relaying/", "src/net/signalling/"],
    &["src/net/journal/"],
    &["src/net/session/", "src/net/store.rs", "src/net/health.rs", "src/net/process/"],
    &["src/net/report.rs", "src/net/recall.rs"],
    &["src/net/message.rs"],
    &["src/net/conn/"],
    &["src/net/tasks/"],
    &["src/net/reactor/"],
    &["src/net/clock.rs", "src/net/interfaces.rs"],
    &["src/settings/"],
    &["src/config/", "src/upstream/"],
    &["src/cli.rs"],
    &["src/cli/"],
    &["src/store/", "src/sqlite/"],
    &["src/log/", "src/file.rs", "src/atomic.rs", "src/qr.rs"],
    &["src/core/lib.rs"],
    &["src/core/accounts/", "src/core/rendezvous/", "src/core/relay/"],
    &["src/core/journal/"],
    &["src/core/rules/", "src/core/wire/", "src/core/identity/"],
    &["src/core/base/"],
];

/// Who may name an outside crate; static_assertions leaves nothing in the binary.
const CRATES: &[(&str, &[&str])] = &[
    ("argh", &["src/cli.rs", "src/cli/"]),
    ("argon2", &["src/core/accounts/access/password.rs"]),
    ("async_net", &["src/net/health.rs"]),
    ("blake2", &["src/core/accounts/access/tokens.rs"]),
    ("crypto_secretbox", &["src/core/identity/seal.rs"]),
    ("ct_codecs", CODECS),
    ("ed25519_compact", &["src/core/identity/"]),
    ("getrandom", &["src/cmd/keygen.rs"]),
    ("hashbrown", &["src/core/base/"]),
    ("heapless", &["src/core/", "src/net/conn/", "src/net/session/"]),
    ("httparse", &["src/core/wire/handshake.rs", "src/core/wire/http/"]),
    ("landlock", &["src/net/process/confine.rs"]),
    ("libc", &["src/net/process/calls.rs"]),
    ("log", &["src/log/", "src/cmd/", "src/net/", "src/settings/"]),
    ("nix", &["src/net/clock.rs", "src/net/conn/", "src/net/interfaces.rs", "src/net/process/"]),
    ("portable_atomic", &["src/atomic.rs"]),
    ("prost", &["src/core/wire/message/"]),
    ("qrcodegen", &["src/qr.rs"]),
    ("redb", &["src/store/redb.rs", "src/store/backend.rs", "src/store/tables.rs"]),
    ("rustix", &["src/cmd/", "src/config/value.rs", "src/file.rs", "src/log/", "src/net/"]),
    ("salsa20", &["src/core/identity/seal.rs"]),
    ("seccompiler", &["src/net/process/calls.rs"]),
    (
        "sha1_smol",
        &["src/cmd/backup/", "src/core/accounts/access/totp.rs", "src/core/wire/handshake.rs"],
    ),
    ("simple_logger", &["src/log/terminal.rs"]),
    ("siphasher", &["src/core/base/"]),
    ("smol", &["src/net/"]),
    ("static_assertions", &["src/"]),
    ("zopfli", &["cross/page.rs"]),
];
const CODECS: &[&str] = &[
    "src/core/accounts/access/tokens.rs",
    "src/core/accounts/devices/calls.rs",
    "src/cmd/",
    "src/core/identity/",
    "src/core/rendezvous/private/deploy.rs",
    "src/core/wire/handshake.rs",
    "src/store/lines.rs",
];
const FILES_MAX: usize = 10;

/// `from` names something of `to`.
struct Edge<'a> {
    from: &'a str,
    line: usize,
    to: &'a str,
}

fn is_below(path: &str, place: &&str) -> bool {
    path == *place || (place.ends_with('/') && path.starts_with(place))
}

/// The row of a file and its place there.
fn layer(path: &str) -> Option<(usize, usize)> {
    let place = |row: &&[&str]| row.iter().position(|place| is_below(path, place));
    LAYERS.iter().enumerate().find_map(|(depth, row)| Some((depth, place(row)?)))
}

/// The module a file is: `hbb::net::accept` for src/net/accept.rs.
fn module(path: &str) -> Vec<String> {
    let (root, inner) = match path.strip_prefix("src/core/") {
        Some(inner) => ("hbb_core", inner),
        None => ("hbb", path.trim_start_matches("src/")),
    };
    let inner = inner.trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    let parts = inner.split('/').filter(|part| *part != "lib");
    std::iter::once(root).chain(parts).map(Into::into).collect()
}

struct Modules<'a>(BTreeMap<Vec<String>, &'a File>);

impl<'a> Modules<'a> {
    fn new(files: &'a [File]) -> Self {
        let own = |file: &&File| file.path.starts_with("src/") && file.path.ends_with(".rs");
        Self(files.iter().filter(own).map(|file| (module(&file.path), file)).collect())
    }

    /// Every path in `file`, from the root of a crate.
    fn named(&self, file: &File) -> Vec<Named> {
        let imports = file.imports.iter().map(|(_, named)| named.clone());
        let bound: BTreeMap<_, _> =
            file.imports.iter().map(|(name, named)| (name, named)).collect();
        let through = |(path, line): &Named| match bound.get(&path[0]) {
            Some((import, _)) => (import.iter().chain(&path[1..]).cloned().collect(), *line),
            None => (path.clone(), *line),
        };
        let all = imports.chain(file.paths.iter().map(through));
        all.map(|(path, line)| (self.absolute(&module(&file.path), path), line)).collect()
    }

    fn absolute(&self, own: &[String], path: Vec<String>) -> Vec<String> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let child = [own, &path[..1]].concat();
        match path[0].as_str() {
            "crate" => [&own[..1], &path[1..]].concat(),
            "self" => [own, &path[1..]].concat(),
            "super" => [&own[..own.len() - ups], &path[ups..]].concat(),
            _ if self.0.contains_key(&child) => [own, &path].concat(),
            _ => path,
        }
    }

    /// What the files of src/ know of each other.
    fn edges(&self) -> Vec<Edge<'_>> {
        let mut edges = Vec::new();
        for file in self.0.values() {
            for (path, line) in self.named(file) {
                let known = (1..=path.len()).rev().find_map(|end| self.0.get(&path[..end]));
                if let Some(to) = known.filter(|to| to.path != file.path) {
                    edges.push(Edge { from: &file.path, line, to: &to.path });
                }
            }
        }
        edges
    }
}

/// Knowledge runs downward.
pub(crate) fn upward(files: &[File]) -> Vec<String> {
    let modules = Modules::new(files);
    let mut found = Vec::new();
    for Edge { from, line, to } in modules.edges() {
        let (Some(upper), Some(lower)) = (layer(from), layer(to)) else {
            found.push(format!("{from}:{line}: {from} or {to} is in no layer"));
            continue;
        };
        if upper != lower && upper.0 >= lower.0 {
            found.push(format!("{from}:{line}: {to} is not below; pass what is needed as a value"));
        }
    }
    found
}

/// Whatever stands in one folder, files and folders, knows each other without a circle. A file may
/// know the `mod.rs` of its own folders, whose words it speaks.
pub(crate) fn circles(files: &[File]) -> Vec<String> {
    let modules = Modules::new(files);
    let mut folders: BTreeMap<Vec<&str>, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for Edge { from, to, .. } in modules.edges() {
        let (from, to): (Vec<_>, Vec<_>) = (from.split('/').collect(), to.split('/').collect());
        let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        if to[same] != "mod.rs" {
            let knows = folders.entry(from[..same].to_vec()).or_default();
            knows.entry(from[same]).or_default().insert(to[same]);
        }
    }
    let mut found = Vec::new();
    for (folder, mut knows) in folders {
        // Whoever knows nobody that is left, or is known by none, is in no circle.
        while let Some(free) = knows.keys().copied().find(|a| {
            knows[a].iter().all(|b| !knows.contains_key(b))
                || !knows.values().any(|k| k.contains(a))
        }) {
            knows.remove(free);
        }
        if !knows.is_empty() {
            let left: Vec<_> = knows.keys().copied().collect();
            found.push(format!("{}: a circle goes through {}", folder.join("/"), left.join(", ")));
        }
    }
    found
}

/// A folder can be taken in at a glance.
pub(crate) fn crowds(files: &[File]) -> Vec<String> {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        *folders.entry(file.path.rsplit_once('/').unwrap_or_default().0).or_default() += 1;
    }
    let many = folders.into_iter().filter(|(_, count)| *count > FILES_MAX);
    many.map(|(folder, count)| format!("{folder}: {count} files, at most {FILES_MAX}")).collect()
}

/// An outside crate is used through the file that has it.
pub(crate) fn outside(files: &[File]) -> Vec<String> {
    let modules = Modules::new(files);
    let mut found = Vec::new();
    for file in modules.0.values() {
        for (path, line) in modules.named(file) {
            let homes = CRATES.iter().find(|(name, _)| *name == path[0]).map(|row| row.1);
            let home = |homes: &[&str]| homes.iter().any(|home| is_below(&file.path, home));
            if let Some(homes) = homes.filter(|homes| !home(homes)) {
                found.push(format!("{}:{line}: {} belongs to {homes:?}", file.path, path[0]));
            }
        }
    }
    found
}

/// Every dependency of what is shipped has its row in the table.
pub(crate) fn dependencies(files: &[File]) -> Vec<String> {
    let manifests = files.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    let manifests = manifests.filter(|file| !file.path.starts_with("tests/"));
    let tables =
        manifests.flat_map(|file| file.text.split("\n[").map(|table| table.split_once(']')));
    let ours = tables.flatten().filter(|(head, _)| head.ends_with("dependencies"));
    let rows =
        ours.filter(|(head, _)| *head != "dev-dependencies").flat_map(|(_, rows)| rows.lines());
    let names = rows.filter_map(|row| row.split(['=', '.', '#', ' ']).next());
    let lost = |name: &String| !CRATES.iter().any(|(known, _)| known == name);
    let names = names.map(|name| name.replace('-', "_")).filter(lost);
    let named = names.filter(|name| !name.is_empty() && name != "hbb_core");
    named.map(|name| format!("Cargo.toml: {name} has no row in tests/tidy/layers.rs")).collect()
}

/// The page names every layer and every outside crate.
pub(crate) fn told(files: &[File]) -> Vec<String> {
    const PAGE: &str = "ARCHITECTURE.md";
    let Some(page) = files.iter().find(|file| file.path == PAGE) else { return Vec::new() };
    let short = |place: &'static str| {
        ["src/net/", "src/core/", "src/"].iter().find_map(|top| place.strip_prefix(top))
    };
    let layers = LAYERS.iter().copied().flatten().filter_map(|place| short(place));
    let layers = layers.filter(|place| !["lib.rs", "mod.rs"].contains(place)).map(String::from);
    let crates = CRATES.iter().map(|(name, _)| name.to_string());
    let lost = layers.chain(crates).filter(|name| {
        let names = [name.clone(), name.replace('_', "-")];
        !names.iter().any(|name| page.text.contains(&format!("`{name}`")))
    });
    lost.map(|name| format!("{PAGE}: nothing of {name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::found;

    #[test]
    fn an_arrow_upward_is_found() {
        let name = |code: &str| {
            let files = [
                ("src/core/base/time.rs", code),
                ("src/core/wire/mod.rs", "use crate::base::time::Time; use self::frame::X;"),
                (
                    "src/core/wire/frame.rs",
                    "use super::Y; fn f() { super::super::base::time::z(); }",
                ),
                ("src/core/rendezvous/mod.rs", "use crate::wire; fn f(a: wire::frame::X) {}"),
                ("src/core/relay/mod.rs", "#[cfg(test)] mod t { use crate::rendezvous::X; }"),
                ("src/net/accept.rs", "use hbb_core::{relay, wire::*};"),
            ];
            found(upward, &files).len()
        };
        assert_eq!(name("use std::time; fn f() { g::<u8>(h.i::<J>()); }"), 0);
        assert_eq!(name("use crate::{wire as w, wire::frame::{self, X}};"), 3);
        assert_eq!(name("fn f() { crate::wire::go() }"), 1, "code");
        assert_eq!(name("fn f() { log!(1, super::super::relay::X) }"), 1, "a macro's argument");
        assert_eq!(name("fn f(a: impl T<crate::rendezvous::X>) {}"), 1, "a type");
        assert_eq!(
            found(
                upward,
                &[
                    ("src/core/relay/mod.rs", "use crate::rendezvous::X;"),
                    ("src/core/rendezvous/mod.rs", "")
                ]
            )
            .len(),
            1,
            "a neighbour"
        );
        assert_eq!(
            found(upward, &[("src/odd/mod.rs", ""), ("src/main.rs", "use hbb::odd;")]).len(),
            1
        );
    }

    #[test]
    fn a_circle_is_found() {
        let a = ("src/net/a.rs", "use super::b::B;");
        let over = |b: &str, c: &str| {
            let files =
                [a, ("src/net/b.rs", b), ("src/net/c/d.rs", c), ("src/net/c/mod.rs", "use d;")];
            found(circles, &files)
        };
        assert!(over("use crate::net::c::d::D;", "use super::D;").is_empty());
        assert_eq!(over("use super::a::A;", ""), ["src/net: a circle goes through a.rs, b.rs"]);
        let three = over("fn f() { super::c::d::g() }", "use crate::net::a;");
        assert_eq!(three, ["src/net: a circle goes through a.rs, b.rs, c"]);
    }

    #[test]
    fn an_eleventh_file_is_found() {
        let paths: Vec<_> = (0..11).map(|at| format!("src/net/f{at}.rs")).collect();
        let files: Vec<_> = paths.iter().map(|path| (path.as_str(), "")).collect();
        assert!(found(crowds, &files[1..]).is_empty());
        assert_eq!(found(crowds, &files), ["src/net: 11 files, at most 10"]);
    }

    #[test]
    fn a_crate_outside_its_file_is_found() {
        let uses = |path: &str, code: &str| found(outside, &[(path, code)]).len();
        assert_eq!(uses("src/store/redb.rs", "use ::redb::Database; use hbb_core::x;"), 0);
        assert_eq!(uses("src/store/mod.rs", "fn f() { redb::open() }"), 1);
        assert_eq!(uses("src/cmd/serve.rs", "use {redb as db, std::fs};"), 1);
        let own = [("src/store/mod.rs", "use redb::Redb;"), ("src/store/redb.rs", "")];
        assert!(found(outside, &own).is_empty(), "its own module of that name");
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        let rows = "[package]\na = 1\n[dependencies]\nredb = \"4\"\nhbb-core.path = \"b\"\n# c\n";
        assert!(found(dependencies, &[("Cargo.toml", rows)]).is_empty());
        let odd = [rows, "odd = \"1\"\n[dev-dependencies]\nsyn = \"2\"\n"].concat();
        assert_eq!(found(dependencies, &[("src/core/Cargo.toml", &odd)]).len(), 1);
    }

    #[test]
    fn a_layer_the_page_is_silent_about_is_found() {
        let page = |text| found(told, &[("ARCHITECTURE.md", text)]);
        let lost = |name: &str| format!("ARCHITECTURE.md: nothing of {name}");
        assert!(page("").contains(&lost("journal/")) && page("").contains(&lost("prost")));
        assert!(!page("| `journal/` |").contains(&lost("journal/")));
        assert!(!page("`ct-codecs`").contains(&lost("ct_codecs")));
    }
}
