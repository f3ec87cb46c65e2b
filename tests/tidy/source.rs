//! What the rules see of the repository: its text files, and of a Rust file what syn and its
//! tokens say. What is compiled for tests alone is left out, but for the names of the tests.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::{fs, path::Path, process::Command};
use syn::{Attribute, ItemFn, ItemUse, UseTree, visit::Visit};

/// A path as the code spells it, and its line.
pub(crate) type Named = (Vec<String>, usize);

/// One text file; of one that is not Rust only `path` and `text` are filled.
#[derive(Default)]
pub(crate) struct File {
    /// From the repository's top, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// What `use` brings in, by the name it gets here.
    pub(crate) imports: Vec<(String, Named)>,
    /// Paths of two parts or more outside `use`, macros' arguments included.
    pub(crate) paths: Vec<Named>,
    /// Keyword, name and line of each definition, and whether it is `pub` without bounds.
    pub(crate) defined: Vec<(String, String, usize, bool)>,
    /// Every identifier outside `use` that is not being defined.
    pub(crate) used: Vec<String>,
    /// Functions with `#[test]`.
    pub(crate) tests: Vec<String>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut file = Self { path: path.into(), text: text.into(), ..Self::default() };
        if file.is_rust() {
            let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path}: {e}"));
            let production = syn::parse2(without_tests(tokens.clone()));
            Imports(&mut file.imports).visit_file(&production.expect(path));
            Tests(&mut file.tests).visit_file(&syn::parse2(tokens.clone()).expect(path));
            file.read(&flat(without_tests(tokens)));
        }
        file
    }

    /// True for Rust that people write: the generated message code is exempt.
    pub(crate) fn is_rust(&self) -> bool {
        let folders = ["src/", "tests/"];
        self.path.ends_with(".rs") && folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// The lines with their numbers; of Rust only what stands in comments.
    pub(crate) fn prose(&self) -> impl Iterator<Item = (&Self, usize, &str)> {
        let of_rust = self.path.ends_with(".rs");
        self.text.lines().enumerate().filter_map(move |(at, line)| {
            let whole = !of_rust || line.trim_start().starts_with("//");
            let from = if whole { Some(0) } else { line.find(" // ") };
            from.map(|from| (self, at + 1, &line[from..]))
        })
    }

    fn read(&mut self, tokens: &[(String, usize)]) {
        let text = |at: usize| tokens.get(at).map_or("", |(text, _)| text.as_str());
        let mut at = 0;
        while at < tokens.len() {
            // `use<'a>` in a return type is no import.
            if text(at) == "use" && text(at + 1) != "<" {
                while at < tokens.len() && text(at) != ";" {
                    at += 1;
                }
            }
            if !is_name(text(at)) {
                at += 1;
                continue;
            }
            let (start, line) = (at, tokens[at].1);
            let mut path = vec![text(at).to_owned()];
            while text(at + 1) == ":" && text(at + 2) == ":" && is_name(text(at + 3)) {
                at += 3;
                path.push(text(at).to_owned());
            }
            at += 1;
            let keyword = start.checked_sub(1).map_or("", text);
            // `*const T` and `&'static T` define nothing.
            let value = ["const", "static"].contains(&keyword);
            if DEFINING.contains(&keyword) && path.len() == 1 && (!value || text(at) == ":") {
                let before = tokens[..start - 1].iter().rev().map(|(text, _)| text.as_str());
                let public =
                    before.into_iter().find(|text| !MODIFIERS.contains(text)) == Some("pub");
                self.defined.push((keyword.into(), path.remove(0), line, public));
                continue;
            }
            self.used.extend(path.iter().cloned());
            if path.len() > 1 {
                self.paths.push((path, line));
            }
        }
    }
}

const DEFINING: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static"];
const MODIFIERS: [&str; 3] = ["async", "const", "unsafe"];

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The tokens one behind the other with their lines, brackets among them.
fn flat(tokens: TokenStream) -> Vec<(String, usize)> {
    let mut all = Vec::new();
    for token in tokens {
        let line = token.span().start().line;
        let TokenTree::Group(group) = token else {
            all.push((token.to_string(), line));
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        all.push((open.into(), line));
        all.extend(flat(group.stream()));
        all.push((close.into(), group.span_close().start().line));
    }
    all
}

/// Leaves out what has `#[cfg(test)]` or is there for the feature `testing`.
fn without_tests(tokens: TokenStream) -> TokenStream {
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let attribute = matches!(&token, TokenTree::Punct(sign) if sign.as_char() == '#')
            && rest.peek().is_some_and(|next| {
                let text = next.to_string().replace(' ', "");
                text.starts_with("[cfg(") && text.contains("test")
            });
        if attribute {
            let ends = |token: &TokenTree| match token {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                other => [";", ","].contains(&other.to_string().as_str()),
            };
            rest.by_ref().find(ends);
        } else if let TokenTree::Group(group) = token {
            let mut inner = Group::new(group.delimiter(), without_tests(group.stream()));
            inner.set_span(group.span());
            kept.push(inner.into());
        } else {
            kept.push(token);
        }
    }
    kept.into_iter().collect()
}

struct Imports<'a>(&'a mut Vec<(String, Named)>);

impl Visit<'_> for Imports<'_> {
    fn visit_item_use(&mut self, item: &ItemUse) {
        self.tree(&item.tree, &[]);
    }
}

impl Imports<'_> {
    fn tree(&mut self, tree: &UseTree, above: &[String]) {
        let (name, last) = match tree {
            UseTree::Path(path) => {
                let above = [above, &[path.ident.to_string()]].concat();
                return self.tree(&path.tree, &above);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.tree(tree, above));
            }
            UseTree::Glob(_) => return self.0.push(("*".into(), (above.to_vec(), 1))),
            UseTree::Name(name) => (&name.ident, &name.ident),
            UseTree::Rename(rename) => (&rename.rename, &rename.ident),
        };
        let own = *last == "self";
        let path = if own { above.to_vec() } else { [above, &[last.to_string()]].concat() };
        let name = if *name == "self" {
            path.last().cloned().unwrap_or_default()
        } else {
            name.to_string()
        };
        self.0.push((name, (path, last.span().start().line)));
    }
}

struct Tests<'a>(&'a mut Vec<String>);

impl Visit<'_> for Tests<'_> {
    fn visit_item_fn(&mut self, item: &ItemFn) {
        if item.attrs.iter().any(|attribute: &Attribute| attribute.path().is_ident("test")) {
            self.0.push(item.sig.ident.to_string());
        }
    }
}

/// Every text file of the repository, committed or about to be.
pub(crate) fn tracked() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = listed_by_git(root).unwrap_or_else(|| walk(root, ""));
    paths.sort();
    paths.dedup();
    let read = |path: &String| Some(File::new(path, &fs::read_to_string(root.join(path)).ok()?));
    let files: Vec<_> = paths.iter().filter_map(read).collect();
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the file list is incomplete");
    files
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<_> = text.split('\0').filter(|path| !path.is_empty()).map(Into::into).collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

/// For an unpacked archive, which has no git.
fn walk(root: &Path, folder: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(folder)).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if [".git", "target", "dist"].contains(&path.as_str()) || path.ends_with("__pycache__") {
            continue;
        }
        if entry.path().is_dir() {
            paths.extend(walk(root, &path));
        } else {
            paths.push(path);
        }
    }
    paths
}
