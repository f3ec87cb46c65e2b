//! Sizes: files, lines, functions, parameters, nesting. Knows tokens, no meanings.

use crate::{
    Finding, is_rust,
    lexer::{Token, closing, read},
};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 60;
const COLUMNS_MAX: usize = 100;
const NESTING_MAX: usize = 3;
const PARAMETERS_MAX: usize = 4;

/// A file fits in the head, its tests included.
pub(crate) fn file_length(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if !is_rust(path) || lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let advice = format!("{lines} lines, at most {FILE_LINES_MAX}; split by what it owns");
    vec![Finding::new(FILE_LINES_MAX + 1, "file-length", advice)]
}

/// A line fits beside another.
pub(crate) fn line_length(path: &str, text: &str) -> Vec<Finding> {
    if !is_rust(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            let advice = format!("{columns} columns, at most {COLUMNS_MAX}; break the line");
            findings.push(Finding::new(at + 1, "line-length", advice));
        }
    }
    findings
}

struct Function<'a> {
    name: &'a Token,
    parameters: &'a [Token],
    body: &'a [Token],
}

/// The functions that have a body, in the order they open.
fn functions(tokens: &[Token]) -> Vec<Function<'_>> {
    let mut functions = Vec::new();
    for at in 0..tokens.len().saturating_sub(1) {
        if !tokens[at].is("fn") || !tokens[at + 1].is_name() {
            continue;
        }
        let Some(open) = parameters_open(tokens, at + 2) else { continue };
        let close = closing(tokens, open);
        if let Some(start) = body_open(tokens, close + 1) {
            functions.push(Function {
                name: &tokens[at + 1],
                parameters: &tokens[open + 1..close],
                body: &tokens[start..=closing(tokens, start)],
            });
        }
    }
    functions
}

/// The bracket that opens the parameters, behind any generics.
fn parameters_open(tokens: &[Token], from: usize) -> Option<usize> {
    let mut angles = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "<" => angles += 1,
            ">" => angles = angles.saturating_sub(1),
            "(" if angles == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// The brace that opens the body, behind the return type and its conditions; a
/// declaration in a trait has none.
fn body_open(tokens: &[Token], from: usize) -> Option<usize> {
    let mut at = from;
    while !tokens.get(at)?.is("{") {
        if tokens[at].is(";") {
            return None;
        }
        let group = tokens[at].is("(") || tokens[at].is("[");
        at = if group { closing(tokens, at) + 1 } else { at + 1 };
    }
    Some(at)
}

/// A function fits on a screen.
pub(crate) fn function_length(path: &str, text: &str) -> Vec<Finding> {
    if !is_rust(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for function in functions(&read(text).tokens) {
        let (first, name) = (function.name.line, &function.name.text);
        let lines = function.body.last().map_or(first, |last| last.line) - first + 1;
        if lines > FUNCTION_LINES_MAX {
            let advice = format!(
                "`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}; give a step its own name"
            );
            findings.push(Finding::new(first, "function-length", advice));
        }
    }
    findings
}

/// A call can be read without looking up the order.
pub(crate) fn parameters(path: &str, text: &str) -> Vec<Finding> {
    if !is_rust(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for function in functions(&read(text).tokens) {
        let count = count_parameters(function.parameters);
        let name = &function.name.text;
        if count > PARAMETERS_MAX {
            let advice = format!(
                "`{name}` takes {count}, at most {PARAMETERS_MAX} besides self; give them a struct"
            );
            findings.push(Finding::new(function.name.line, "parameters", advice));
        }
    }
    findings
}

fn count_parameters(tokens: &[Token]) -> usize {
    let (mut depth, mut count, mut at, mut start) = (0_usize, 0, 0, 0);
    while at <= tokens.len() {
        let end = at == tokens.len() || (depth == 0 && tokens[at].is(","));
        if end {
            // Only the first can be self: `self`, `&'a mut self`, `self: Box<Self>`.
            let part = &tokens[start..at];
            let own = part.iter().take_while(|token| !token.is(":")).any(|token| token.is("self"));
            count += usize::from(!part.is_empty() && !own);
            start = at + 1;
        } else {
            let opens = ["<", "(", "[", "{"].iter().any(|sign| tokens[at].is(sign));
            let closes = [">", ")", "]", "}"].iter().any(|sign| tokens[at].is(sign));
            depth = (depth + usize::from(opens)).saturating_sub(usize::from(closes));
        }
        at += 1;
    }
    count
}

/// Branches do not pile up: `if`, `match` and loops inside each other.
pub(crate) fn nesting(path: &str, text: &str) -> Vec<Finding> {
    if !is_rust(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for function in functions(&read(text).tokens) {
        if let Some(line) = too_deep(function.body) {
            let name = &function.name.text;
            let advice = format!(
                "`{name}` branches more than {NESTING_MAX} levels deep; return early or name a step"
            );
            findings.push(Finding::new(line, "nesting", advice));
        }
    }
    findings
}

/// The first line whose block stands inside too many others.
fn too_deep(body: &[Token]) -> Option<usize> {
    let blocks = control_blocks(body);
    let mut open: Vec<bool> = Vec::new();
    for (at, token) in body.iter().enumerate() {
        if token.is("{") {
            open.push(blocks.contains(&at));
        }
        if token.is("}") {
            open.pop();
        }
        if open.iter().filter(|control| **control).count() > NESTING_MAX {
            return Some(token.line);
        }
    }
    None
}

/// The opening braces of branches and loops.
fn control_blocks(body: &[Token]) -> Vec<usize> {
    let mut blocks = Vec::new();
    for (at, token) in body.iter().enumerate() {
        let next_is = |text: &str| body.get(at + 1).is_some_and(|next| next.is(text));
        match token.text.as_str() {
            _ if !token.is_name() => {}
            "else" if next_is("{") => blocks.push(at + 1),
            "loop" if next_is("{") => blocks.push(at + 1),
            "if" | "match" | "while" => blocks.extend(block_of(body, at)),
            "for" if !next_is("<") && !in_impl(body, at) => blocks.extend(block_of(body, at)),
            _ => {}
        }
    }
    blocks
}

/// `impl Trait for Type {`, where `for` loops over nothing.
fn in_impl(body: &[Token], at: usize) -> bool {
    let inside = |token: &&Token| ![";", "{", "}"].iter().any(|sign| token.is(sign));
    body[..at].iter().rev().take_while(inside).any(|token| token.is("impl"))
}

/// The brace that opens the block of the keyword at `at`; none for the guard of an arm.
fn block_of(body: &[Token], at: usize) -> Option<usize> {
    let mut pattern = body[at].is("for");
    let mut next = at + 1;
    while next < body.len() {
        let token = &body[next];
        if ["(", "["].iter().any(|sign| token.is(sign)) || (pattern && token.is("{")) {
            next = closing(body, next);
        } else if token.is("{") {
            return Some(next);
        } else if ["=>", ";", ")", "]", "}", ","].iter().any(|sign| token.is(sign)) && !pattern {
            return None;
        } else if token.is("let") {
            pattern = true;
        } else if token.is("=") || token.is("in") {
            pattern = false;
        }
        next += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "src/net/udp.rs";

    #[test]
    fn long_files_and_lines_are_flagged() {
        assert_eq!(file_length(FILE, &"\n".repeat(501)).len(), 1);
        assert!(file_length(FILE, &"\n".repeat(500)).is_empty());
        assert!(file_length("proto/rendezvous.rs", &"\n".repeat(900)).is_empty());
        let line = |columns| line_length(FILE, &format!("a\n{}", "ä".repeat(columns)));
        assert_eq!(line(101)[0].line, 2);
        assert!(line(100).is_empty());
    }

    #[test]
    fn long_functions_are_flagged() {
        let text = |lines| format!("trait T {{ fn g(); }}\nfn f() {{{}}}", "\n".repeat(lines));
        assert_eq!(function_length(FILE, &text(60))[0].line, 2);
        assert!(function_length(FILE, &text(59)).is_empty());
        let array = format!("fn f() -> [u8; 4] {{{}}}", "\n".repeat(60));
        assert_eq!(function_length(FILE, &array).len(), 1);
    }

    #[test]
    fn many_parameters_are_flagged() {
        let flagged = |text: &str| parameters(FILE, text).len() == 1;
        assert!(flagged("fn f(a: A, b: B, c: C, d: D, e: E) {}"));
        assert!(flagged("fn f<A: Fn(B) -> C>(&self, a: A, b: B, c: C, d: D, e: E) {}"));
        assert!(!flagged(
            "fn f(&'a mut self, a: A<B, C>, b: &dyn Fn(X, Y) -> Z, c: (C, C), d: D,) {}"
        ));
        assert!(!flagged("fn f() { g(1, 2, 3, 4, 5) }"));
    }

    #[test]
    fn deep_nesting_is_flagged() {
        let text = "fn f() {\n if a {\n for b in c {\n match d {\n _ => loop {\n} } } } }";
        assert_eq!(nesting(FILE, text)[0].line, 5);
        let deep = |inner: &str| {
            let text = format!("fn f() {{ if a {{ if b {{ {inner} }} }} }}");
            !nesting(FILE, &text).is_empty()
        };
        assert!(deep("if c { if let P { x } = y { z } }"));
        assert!(deep("while let P { x } = y { for P { z } in q { w } }"));
        assert!(deep("let Some(x) = y else { if z { return } };"));
    }

    #[test]
    fn what_looks_deep_is_not() {
        let deep = |inner: &str| {
            let text = format!("fn f() {{ if a {{ if b {{ if c {{ {inner} }} }} }} }}");
            !nesting(FILE, &text).is_empty()
        };
        assert!(!deep("let x = P { y: Q { z: R { w: S {} } } };"));
        assert!(!deep("impl T for U { } let f: for<'a> fn(&'a u8) = g;"));
        assert!(deep("if d {}"));
        let chain = "fn f() { if a {} else if b {} else if c {} else if d {} else {} }";
        assert!(nesting(FILE, chain).is_empty());
        let guard = "fn f() { match a { P { x } if b => {} Q if matches!(c, D { .. }) => { e } } }";
        assert!(nesting(FILE, guard).is_empty());
    }
}
