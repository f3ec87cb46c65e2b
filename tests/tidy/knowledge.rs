//! Which file may know which: the architecture's table as data.
//!
//! Knowledge runs downward. A file may use its own folder and the modules its row
//! names, and of outside crates those its row names; the first matching row counts.

use crate::{
    Finding,
    lexer::{Token, closing, read},
    paths::{Named, named},
};

struct Row {
    /// A file, or a folder if it ends in `/`.
    files: &'static str,
    modules: &'static [&'static str],
    crates: &'static [&'static str],
    /// No sockets, files, clock, environment, output, locks: time and bytes are arguments.
    pure: bool,
}

const fn shell(
    files: &'static str,
    modules: &'static [&'static str],
    crates: &'static [&'static str],
) -> Row {
    Row { files, modules, crates, pure: false }
}

const fn pure(
    files: &'static str,
    modules: &'static [&'static str],
    crates: &'static [&'static str],
) -> Row {
    Row { files, modules, crates, pure: true }
}

const BELOW_CMD: &[&str] =
    &["net", "config", "cli", "log", "store", "rendezvous", "relay", "wire", "identity", "base"];
const BELOW_NET: &[&str] =
    &["config", "cli", "log", "store", "rendezvous", "relay", "wire", "identity", "base"];
/// Checked at compile time, leaves nothing in the binary: everyone may use it.
const EVERYONE: &[&str] = &["static_assertions"];

const TABLE: &[Row] = &[
    shell("src/main.rs", &["cli", "cmd", "log"], &["argh"]),
    shell("src/cmd/keygen.rs", BELOW_CMD, &["getrandom"]),
    shell("src/cmd/export.rs", BELOW_CMD, &["qrcodegen", "ct_codecs"]),
    shell("src/cmd/", BELOW_CMD, &[]),
    shell("src/net/udp.rs", BELOW_NET, &["smol", "nix"]),
    shell("src/net/socket.rs", BELOW_NET, &["smol", "rustix", "nix"]),
    shell("src/net/clock.rs", BELOW_NET, &["nix"]),
    shell("src/net/bridge.rs", BELOW_NET, &["smol", "rustix", "heapless"]),
    shell("src/net/", BELOW_NET, &["smol", "async_signal", "log", "rustix"]),
    shell("src/config/", &["cli", "base"], &["argh"]),
    shell("src/cli.rs", &["config", "base"], &["argh"]),
    shell("src/log.rs", &["base"], &["log"]),
    shell("src/store/redb.rs", &["identity", "base"], &["redb"]),
    shell("src/store/batch.rs", &["identity", "base"], &["siphasher"]),
    shell("src/store/", &["identity", "base"], &[]),
    pure("src/rendezvous/", &["wire", "identity", "base"], &["heapless"]),
    pure("src/relay/", &["wire", "base"], &["heapless"]),
    pure("src/wire/message.rs", &["base"], &["prost", "heapless"]),
    pure("src/wire/handshake.rs", &["base"], &["httparse", "sha1_smol", "ct_codecs", "heapless"]),
    pure("src/wire/", &["base"], &["heapless"]),
    pure("src/identity/seal.rs", &["base"], &["ed25519_compact", "crypto_secretbox", "salsa20"]),
    pure("src/identity/", &["base"], &["ed25519_compact", "ct_codecs"]),
    pure("src/base/table.rs", &[], &["heapless", "siphasher", "hashbrown"]),
    pure("src/base/atomic.rs", &[], &["portable_atomic"]),
    pure("src/base/nonce.rs", &[], &["siphasher"]),
    pure("src/base/", &[], &["heapless"]),
];

/// What a pure file must not name; a path below one of these is named as well.
const IMPURE: &[&str] = &[
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::os",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::cell::RefCell",
    "std::cell::OnceCell",
    "std::cell::LazyCell",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::OnceLock",
    "std::sync::LazyLock",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "log",
];
const IMPURE_MACROS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg", "thread_local"];

fn row(path: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| match row.files.strip_suffix('/') {
        Some(_) => path.starts_with(row.files),
        None => path == row.files,
    })
}

/// The crate module a row's files make up: `src/store/` and `src/store/redb.rs` are `store`.
fn module(files: &str) -> &str {
    let inner = files.trim_start_matches("src/");
    inner.split(['/', '.']).next().unwrap_or(inner)
}

fn applies(path: &str) -> bool {
    path.starts_with("src/") && path.ends_with(".rs") && path != "src/lib.rs"
}

/// Says each thing once per file, at its first line.
fn once(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| finding.line);
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        if !kept.iter().any(|earlier| earlier.advice == finding.advice) {
            kept.push(finding);
        }
    }
    kept
}

/// A file uses only the modules its row names; its tests too.
pub(crate) fn direction(path: &str, text: &str) -> Vec<Finding> {
    if !applies(path) {
        return Vec::new();
    }
    let Some(row) = row(path) else {
        let advice = "no row of the table covers this file; add one in architecture and here";
        return vec![Finding::new(1, "direction", advice)];
    };
    let own = module(row.files);
    let mut findings = Vec::new();
    for named in named(path, text).iter().filter(|named| named.path[0] == "crate") {
        let Some(target) = named.path.get(1) else { continue };
        let exported_macro = named.call && named.path.len() == 2;
        let allowed = target == own || row.modules.contains(&target.as_str());
        if !allowed && !exported_macro {
            findings.push(Finding::new(
                named.line,
                "direction",
                direction_advice(own, target, row),
            ));
        }
    }
    once(findings)
}

fn direction_advice(own: &str, target: &str, row: &Row) -> String {
    if !TABLE.iter().any(|row| module(row.files) == target) {
        return format!(
            "`crate::{target}` is no module of the table; name the module, not the root"
        );
    }
    let allowed = if row.modules.is_empty() { "nothing".into() } else { row.modules.join(", ") };
    format!(
        "`{own}` must not know `{target}`; it may use {allowed}: pass what is needed as a value"
    )
}

/// The names of `[dependencies]`, as they are written in code.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside) {
            let name = name.trim().split('.').next().unwrap_or_default();
            names.push(name.replace('-', "_"));
        }
    }
    names
}

/// A file uses only the outside crates its row names.
pub(crate) fn outside(path: &str, text: &str) -> Vec<Finding> {
    let Some(row) = row(path).filter(|_| applies(path)) else { return Vec::new() };
    let known = dependencies(include_str!("../../Cargo.toml"));
    assert!(known.iter().any(|name| name == "prost"), "the manifest is read wrongly");
    let mut findings = Vec::new();
    for named in named(path, text).iter().filter(|named| !named.test) {
        let name = named.path[0].as_str();
        let allowed = row.crates.contains(&name) || EVERYONE.contains(&name);
        let bare_macro = named.call && named.path.len() == 1;
        if known.iter().any(|known| known == name) && !allowed && !bare_macro {
            let homes = TABLE.iter().filter(|row| row.crates.contains(&name));
            let homes: Vec<_> = homes.map(|row| row.files).collect();
            let advice = format!("`{name}` belongs to {}; use it through there", homes.join(", "));
            findings.push(Finding::new(named.line, "outside", advice));
        }
    }
    let generated = |token: &&Token| token.text.ends_with("proto/rendezvous.rs");
    for token in read(text).tokens.iter().filter(generated) {
        if path != "src/wire/message.rs" {
            let advice = "generated code belongs to src/wire/message.rs; use the values of `wire`";
            findings.push(Finding::new(token.line, "outside", advice));
        }
    }
    once(findings)
}

/// Machines and what is below them decide; they do not act.
pub(crate) fn purity(path: &str, text: &str) -> Vec<Finding> {
    if !applies(path) || !row(path).is_some_and(|row| row.pure) {
        return Vec::new();
    }
    let mut findings: Vec<_> =
        named(path, text).iter().filter(|named| !named.test).filter_map(impure).collect();
    for token in read(text).tokens.iter().filter(|token| !token.test) {
        if token.is("async") || token.is("await") {
            let advice = "no machine awaits; return an effect and let `net` wait";
            findings.push(Finding::new(token.line, "purity", advice));
        }
    }
    once(findings)
}

fn impure(named: &Named) -> Option<Finding> {
    let joined = named.path.join("::");
    let output = named.call && IMPURE_MACROS.contains(&joined.as_str());
    if output {
        let advice = format!("`{joined}!` acts; report an event as an effect");
        return Some(Finding::new(named.line, "purity", advice));
    }
    // `use std::fs::*` is below `std::fs`, `use std::time::*` is above `std::time::Instant`.
    let above = joined.strip_suffix('*').unwrap_or("?");
    let found = IMPURE.iter().find(|banned| {
        let below = joined.strip_prefix(**banned);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            || banned.starts_with(above)
    })?;
    let advice = format!("`{found}` has no place here; take time, bytes and seeds as arguments");
    Some(Finding::new(named.line, "purity", advice))
}

/// `src/lib.rs` only declares modules.
pub(crate) fn library_root(path: &str, text: &str) -> Vec<Finding> {
    if path != "src/lib.rs" {
        return Vec::new();
    }
    let tokens = read(text).tokens;
    let mut at = 0;
    while at < tokens.len() {
        let end = declaration(&tokens, at);
        if end == at {
            let advice = "the library root holds `pub mod name;` and nothing else";
            return vec![Finding::new(tokens[at].line, "library-root", advice)];
        }
        at = end;
    }
    Vec::new()
}

/// Behind an attribute or a `mod name;` that starts at `at`; `at` itself for anything else.
fn declaration(tokens: &[Token], at: usize) -> usize {
    let is = |ahead: usize, text: &str| tokens.get(at + ahead).is_some_and(|token| token.is(text));
    if is(0, "#") {
        let open = at + 1 + usize::from(is(1, "!"));
        return closing(tokens, open) + 1;
    }
    if is(0, "pub") && is(1, "(") {
        return closing(tokens, at + 1) + 1;
    }
    if is(0, "pub") && is(1, "mod") {
        return at + 1;
    }
    if is(0, "mod") && is(2, ";") { at + 3 } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn upward_knowledge_is_flagged() {
        let text = "use crate::base::Time;\nuse crate::{relay::Leg, wire::{frame}};\n\
                    fn f() {\n    super::super::net::go();\n}\n";
        let found = direction("src/rendezvous/punch.rs", text);
        assert_eq!(lines(&found), [2, 4], "{found:?}");
        assert_eq!(lines(&direction("src/relay/mod.rs", "use super::rendezvous::X;")), [1]);
        assert_eq!(lines(&direction("src/base/peer.rs", "use crate::wire;")), [1]);
        assert_eq!(lines(&direction("src/main.rs", "use hbb::{cli, net::serve};")), [1]);
        assert_eq!(lines(&direction("src/odd/a.rs", "")), [1]);
        assert_eq!(lines(&direction("src/net/a.rs", "use crate::Thing;")), [1]);
    }

    #[test]
    fn downward_knowledge_is_fine() {
        let text = "use crate::{rendezvous::Effect, base::*, net::udp};\nuse super::tcp;\n";
        assert!(direction("src/net/udp.rs", text).is_empty());
        assert!(direction("src/store/redb.rs", "use super::Store;").is_empty());
        assert!(direction("src/relay/mod.rs", "mod tests { use super::*; }").is_empty());
        assert!(direction("src/base/a.rs", "crate::ensure!(x);").is_empty());
    }

    #[test]
    fn crates_outside_their_file_are_flagged() {
        assert_eq!(lines(&outside("src/wire/frame.rs", "use prost::Message;")), [1]);
        assert_eq!(lines(&outside("src/relay/mod.rs", "fn f() {\n ::log::warn!(); }")), [2]);
        assert_eq!(lines(&outside("src/cmd/serve.rs", "use {smol::net, std::fs};")), [1]);
        let generated = "#[path = \"../../proto/rendezvous.rs\"] mod proto;";
        assert_eq!(lines(&outside("src/wire/mod.rs", generated)), [1]);
        assert!(outside("src/wire/message.rs", generated).is_empty());
        assert_eq!(lines(&outside("src/store/mod.rs", "extern crate redb;")), [1]);
    }

    #[test]
    fn crates_in_their_file_are_fine() {
        assert!(outside("src/wire/message.rs", "use prost::Message;").is_empty());
        assert!(outside("src/store/mod.rs", "mod redb; use redb::Redb;").is_empty());
        assert!(outside("src/cmd/serve.rs", "use crate::log; fn f() { log::start() }").is_empty());
        assert!(outside("src/base/a.rs", "#[cfg(test)] mod tests { use prost::x; }").is_empty());
        assert!(outside("src/base/a.rs", "static_assertions::const_assert!(true);").is_empty());
    }

    #[test]
    fn impure_machines_are_flagged() {
        let flagged = |text| lines(&purity("src/relay/mod.rs", text)) == [1];
        assert!(flagged("use std::{net::UdpSocket, time::Duration};"));
        assert!(flagged("use std::time; fn f() { time::Instant::now(); }"));
        assert!(flagged("use std::time::*;"));
        assert!(flagged("fn f() { std::env::args(); }"));
        assert!(flagged("fn f() { println!(); }"));
        assert!(flagged("async fn f() {}"));
        assert!(!flagged("use std::{net::SocketAddr, time::Duration, collections::BTreeMap};"));
        assert!(purity("src/net/clock.rs", "use std::time::Instant;").is_empty());
    }

    #[test]
    fn a_root_with_code_is_flagged() {
        let good = "//! x\n#![no_std]\n/// d\n#[cfg(feature = \"a\")]\npub mod base;\nmod b;\n";
        assert!(library_root("src/lib.rs", good).is_empty());
        assert_eq!(lines(&library_root("src/lib.rs", "mod a;\npub use a::B;")), [2]);
        assert_eq!(lines(&library_root("src/lib.rs", "mod a { fn f() {} }")), [1]);
    }

    #[test]
    fn the_table_is_ordered() {
        for row in TABLE {
            let own = TABLE.iter().position(|other| module(other.files) == module(row.files));
            for name in row.modules {
                let target = TABLE.iter().position(|other| module(other.files) == *name);
                let pair = [module(row.files), *name];
                assert!(own < target || pair == ["cli", "config"], "{pair:?} runs upward");
            }
        }
    }
}
