//! Every path a file names, made absolute: imports with their nested braces,
//! and paths in code, resolved through the imports. Knows nothing of the rules.

use crate::lexer::{Token, read};
use std::collections::BTreeMap;

/// A path as `["crate", "base", "time"]` or `["std", "fs"]`.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    pub(crate) test: bool,
    /// The path names a macro: `a::b!`.
    pub(crate) call: bool,
}

struct Import {
    path: Vec<String>,
    binding: String,
    at: usize,
}

/// The module path of a file: `src/a/mod.rs` is `crate::a`, `src/a/b.rs` is `crate::a::b`.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    let roots = ["lib", "main"];
    let parts = inner.split('/').filter(|part| !roots.contains(part));
    std::iter::once("crate").chain(parts).map(Into::into).collect()
}

/// All paths with a known root: `crate`, an outside crate, `std`. Own children are left out.
pub(crate) fn named(file: &str, text: &str) -> Vec<Named> {
    let tokens = read(text).tokens;
    let module = module_of(file);
    let depths = inline_depths(&tokens);
    let (imports, skip) = imports(&tokens);
    let local = local_modules(&tokens);
    let bound: BTreeMap<_, _> =
        imports.iter().map(|import| (import.binding.as_str(), &import.path)).collect();
    let mut all = Vec::new();
    for import in &imports {
        all.push((import.at, import.path.clone(), false));
    }
    for (at, path, call) in code_paths(&tokens, &skip) {
        let through = bound.get(path[0].as_str()).map(|import| (*import).clone());
        let path = match through {
            Some(import) => import.into_iter().chain(path.into_iter().skip(1)).collect(),
            None => path,
        };
        all.push((at, path, call));
    }
    all.retain(|(_, path, _)| !local.contains(&path[0]));
    let absolute = |(at, path, call): (usize, Vec<String>, bool)| Named {
        path: absolute(&module, depths[at], path),
        line: tokens[at].line,
        test: tokens[at].test,
        call,
    };
    all.into_iter().map(absolute).collect()
}

/// Replaces `self`, `super` and the crate's own name; `inline` counts the modules
/// around the place that are written inside this very file.
fn absolute(module: &[String], inline: usize, path: Vec<String>) -> Vec<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let own = path.iter().take_while(|part| *part == "self").count();
    if path[0] == "hbb" {
        return std::iter::once("crate".into()).chain(path.into_iter().skip(1)).collect();
    }
    if ups + own == 0 {
        return path;
    }
    let kept = module.len() - ups.saturating_sub(inline).min(module.len() - 1);
    module[..kept].iter().cloned().chain(path.into_iter().skip(ups + own)).collect()
}

/// For each token, in how many `mod name { }` of this file it stands.
fn inline_depths(tokens: &[Token]) -> Vec<usize> {
    let mut open = Vec::new();
    let mut depths = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        if token.is("{") {
            open.push(at >= 2 && tokens[at - 2].is("mod"));
        }
        if token.is("}") {
            open.pop();
        }
        depths.push(open.iter().filter(|is_module| **is_module).count());
    }
    depths
}

/// Modules this file declares: their names hide outside crates of the same name.
fn local_modules(tokens: &[Token]) -> Vec<String> {
    let declared = tokens.windows(2).filter(|pair| pair[0].is("mod") && pair[1].is_name());
    declared.map(|pair| pair[1].text.clone()).collect()
}

/// The imports, and for each token whether it belongs to one.
fn imports(tokens: &[Token]) -> (Vec<Import>, Vec<bool>) {
    let mut imports = Vec::new();
    let mut skip = vec![false; tokens.len()];
    for at in 0..tokens.len() {
        let first = tokens[at].is("extern") && tokens.get(at + 1).is_some_and(|t| t.is("crate"));
        if !first && !tokens[at].is("use") {
            continue;
        }
        // `use<'a>` in a return type is no import.
        if tokens.get(at + 1).is_some_and(|next| next.is("<")) {
            continue;
        }
        let mut next = at + 1 + usize::from(first);
        tree(tokens, &mut next, &[], &mut imports);
        skip[at..next.min(tokens.len())].iter_mut().for_each(|skipped| *skipped = true);
    }
    (imports, skip)
}

/// One branch of an import, up to its `,`, `;` or `}`.
fn tree(tokens: &[Token], at: &mut usize, prefix: &[String], imports: &mut Vec<Import>) {
    let mut path = prefix.to_vec();
    let start = *at;
    while *at < tokens.len() {
        let token = &tokens[*at];
        *at += 1;
        if token.is("{") {
            while *at < tokens.len() && !tokens[*at].is("}") {
                tree(tokens, at, &path, imports);
                *at += usize::from(tokens.get(*at).is_some_and(|token| token.is(",")));
            }
            *at += 1;
            return;
        }
        if token.is(",") || token.is(";") || token.is("}") {
            *at -= 1;
            break;
        }
        if token.is("as") {
            let binding = tokens[*at].text.clone();
            *at += 1;
            return imports.push(Import { path, binding, at: start });
        }
        if token.is_name() || token.is("*") {
            path.push(token.text.clone());
        }
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(binding) = path.last().cloned() {
        imports.push(Import { path, binding, at: start });
    }
}

/// Paths outside imports: their first token, their parts, and whether they are macro calls.
fn code_paths(tokens: &[Token], skip: &[bool]) -> Vec<(usize, Vec<String>, bool)> {
    let mut paths = Vec::new();
    for at in 0..tokens.len() {
        if skip[at] || !tokens[at].is_name() || !starts_path(tokens, at) {
            continue;
        }
        let mut path = vec![tokens[at].text.clone()];
        let mut next = at + 1;
        while next + 1 < tokens.len() && tokens[next].is("::") && tokens[next + 1].is_name() {
            path.push(tokens[next + 1].text.clone());
            next += 2;
        }
        let call = tokens.get(next).is_some_and(|token| token.is("!"));
        if path.len() > 1 || call {
            paths.push((at, path, call));
        }
    }
    paths
}

/// False in the middle of a path and behind a dot.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| &tokens[before]) else { return true };
    if !before.is("::") {
        return !before.is(".");
    }
    // A leading `::` names an outside crate; behind a name or `>` it continues a path.
    !at.checked_sub(2).is_some_and(|more| tokens[more].is_name() || tokens[more].is(">"))
}

#[cfg(test)]
fn flat(file: &str, text: &str) -> Vec<String> {
    named(file, text).into_iter().map(|named| named.path.join("::")).collect()
}

#[test]
fn nested_imports_are_flattened() {
    let text = "use crate::{base::{time::Time, peer}, wire::*};\npub(crate) use std::fs as files;";
    let expected = ["crate::base::time::Time", "crate::base::peer", "crate::wire::*", "std::fs"];
    assert_eq!(flat("src/relay/mod.rs", text), expected);
}

#[test]
fn code_is_resolved_through_imports() {
    let text = "use std::time;\nfn f() { time::Instant::now(); a.b::<u8>(); ::prost::g(); }";
    assert_eq!(flat("src/a.rs", text), ["std::time", "std::time::Instant::now", "prost::g"]);
}

#[test]
fn relative_paths_become_absolute() {
    let text = "use super::registry;\nmod tests { use super::super::x; use super::y; }";
    let expected = ["crate::rendezvous::registry", "crate::rendezvous::x"];
    let found = flat("src/rendezvous/punch.rs", text);
    assert_eq!(found, [&expected[..], &["crate::rendezvous::punch::y"]].concat());
    assert_eq!(flat("src/rendezvous/mod.rs", "use super::relay;"), ["crate::relay"]);
    assert_eq!(flat("src/main.rs", "use hbb::cli;"), ["crate::cli"]);
}

#[test]
fn a_declared_module_hides_a_crate_of_its_name() {
    assert!(flat("src/store/mod.rs", "mod redb;\nfn f() { redb::open(); }").is_empty());
}
