//! What the rules see of the repository: its text files, and of a Rust file what syn and its
//! tokens say. What is compiled for tests alone is left out, but for the names of the tests.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::{fs, path::Path};
use syn::{ItemFn, ItemUse, UseTree, visit::Visit};

/// A path as the code spells it, and its line.
pub(crate) type Named = (Vec<String>, usize);

/// One file; all but `path`, `text` and `tests` is read of src/ alone.
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
            Tests(&mut file.tests).visit_file(&syn::parse2(tokens.clone()).expect(path));
            if path.starts_with("src/") {
                let production = without_tests(tokens);
                Imports(&mut file.imports)
                    .visit_file(&syn::parse2(production.clone()).expect(path));
                file.read(&flat(production));
            }
        }
        file
    }

    /// True for Rust that people write: the generated message code is exempt.
    pub(crate) fn is_rust(&self) -> bool {
        let folders = ["src/", "tests/"];
        self.path.ends_with(".rs") && folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// The lines of a page; of Rust and of scripts only what stands in comments.
    pub(crate) fn prose(&self) -> impl Iterator<Item = (&Self, usize, &str)> {
        let page = self.path.ends_with(".md");
        let slashes = [".rs", ".js", ".c"].iter().any(|kind| self.path.ends_with(kind));
        let sign = if slashes { "//" } else { "#" };
        self.text.lines().enumerate().filter_map(move |(at, line)| {
            let whole = page || line.trim_start().starts_with(sign);
            let behind = || line.match_indices(sign).find(|(at, _)| line[..*at].ends_with(' '));
            let from = if whole { 0 } else { behind()?.0 };
            Some((self, at + 1, &line[from..]))
        })
    }

    fn read(&mut self, tokens: &[(String, usize)]) {
        let text = |at: usize| tokens.get(at).map_or("", |(text, _)| text.as_str());
        let is_name = |at| text(at).starts_with(|c: char| c.is_alphabetic() || c == '_');
        let mut at = 0;
        while at < tokens.len() {
            // `use<'a>` in a return type is no import.
            if text(at) == "use" && text(at + 1) != "<" {
                at += tokens[at..].iter().take_while(|(text, _)| text != ";").count();
            }
            let start = at;
            at += 1;
            if !is_name(start) {
                continue;
            }
            while text(at) == ":" && text(at + 1) == ":" && is_name(at + 2) {
                at += 3;
            }
            let path: Vec<_> = (start..at).step_by(3).map(|at| text(at).to_owned()).collect();
            let line = tokens[start].1;
            let mut before = tokens[..start].iter().rev().map(|(text, _)| text.as_str());
            let keyword = before.next().unwrap_or_default();
            // `*const T` and `&'static T` define nothing.
            let value = ["const", "static"].contains(&keyword);
            if DEFINING.contains(&keyword) && (!value || text(at) == ":") {
                let public = before.find(|text| !MODIFIERS.contains(text)) == Some("pub");
                self.defined.push((keyword.into(), path.concat(), line, public));
                continue;
            }
            self.used.extend(path.iter().cloned());
            self.paths.extend((path.len() > 1).then_some((path, line)));
        }
    }
}

const DEFINING: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static"];
const MODIFIERS: [&str; 3] = ["async", "const", "unsafe"];

/// The tokens one behind the other with their lines, every bracket a round one.
fn flat(tokens: TokenStream) -> Vec<(String, usize)> {
    let one = |token: TokenTree| {
        let line = token.span().start().line;
        let TokenTree::Group(group) = token else { return vec![(token.to_string(), line)] };
        [vec![("(".into(), line)], flat(group.stream()), vec![(")".into(), line)]].concat()
    };
    tokens.into_iter().flat_map(one).collect()
}

/// Leaves out what has `#[cfg(test)]` or is there for the feature `testing`.
pub(crate) fn without_tests(tokens: TokenStream) -> TokenStream {
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let text = rest.peek().map(|next| next.to_string().replace(' ', "")).unwrap_or_default();
        let for_tests = text.contains("test") && !text.contains("not(");
        if token.to_string() == "#" && text.starts_with("[cfg(") && for_tests {
            let mut function = false;
            rest.by_ref().find(|token| match (token, token.to_string().as_str()) {
                (TokenTree::Group(group), _) => group.delimiter() == Delimiter::Brace,
                // A member ends with a comma; among the types of a function there are some.
                (_, text) => {
                    function |= text == "fn";
                    text == ";" || (text == "," && !function)
                }
            });
            // Behind the braces of a `use`.
            rest.next_if(|token| token.to_string() == ";");
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
        let with = |ident: &syn::Ident| match ident.to_string() {
            own if own == "self" => above.to_vec(),
            other => [above, &[other]].concat(),
        };
        let (path, name, ident) = match tree {
            UseTree::Path(path) => return self.tree(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.tree(tree, above));
            }
            UseTree::Glob(_) => return self.0.push(("*".into(), (above.to_vec(), 1))),
            UseTree::Name(name) => {
                (with(&name.ident), with(&name.ident).pop().unwrap(), &name.ident)
            }
            UseTree::Rename(new) => (with(&new.ident), new.rename.to_string(), &new.ident),
        };
        self.0.push((name, (path, ident.span().start().line)));
    }
}

struct Tests<'a>(&'a mut Vec<String>);

impl Visit<'_> for Tests<'_> {
    fn visit_item_fn(&mut self, item: &ItemFn) {
        let test = item.attrs.iter().any(|attribute| attribute.path().is_ident("test"));
        self.0.extend(test.then(|| item.sig.ident.to_string()));
    }
}

/// Every file of the repository but what a build leaves; one that is no text counts as empty.
pub(crate) fn tracked() -> Vec<File> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignored = fs::read_to_string(top.join(".gitignore")).unwrap();
    let ignored: Vec<_> = ignored.lines().chain(["/.git"]).collect();
    let (mut files, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            if ignored.contains(&&*name) || ignored.contains(&&*path) {
                continue;
            }
            let path = path.trim_start_matches('/');
            if top.join(path).is_dir() {
                folders.push(path.into());
            } else {
                let text = fs::read_to_string(top.join(path)).unwrap_or_default();
                files.push(File::new(path, &text));
            }
        }
    }
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the file list is incomplete");
    files
}
