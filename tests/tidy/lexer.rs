//! Rust text to tokens and comments: enough to see names, paths and braces.
//! Knows nothing of the rules.

use std::{iter::Peekable, str::Chars};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Name,
    Sign,
    Text,
}

/// One token; comments are not tokens.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// The name or sign; for a literal its inner text, as written.
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Inside an item that is compiled for tests only.
    pub(crate) test: bool,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }

    pub(crate) fn is_name(&self) -> bool {
        self.kind == Kind::Name
    }
}

/// A file taken apart.
pub(crate) struct Source {
    pub(crate) tokens: Vec<Token>,
    /// Line and text of each comment line.
    pub(crate) comments: Vec<(usize, String)>,
}

const SIGNS: [&str; 10] = ["::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", ".."];

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    source: Source,
}

/// Takes a file apart.
pub(crate) fn read(text: &str) -> Source {
    let source = Source { tokens: Vec::new(), comments: Vec::new() };
    let mut lexer = Lexer { rest: text.chars().peekable(), line: 1, source };
    while let Some(first) = lexer.next() {
        lexer.token(first);
    }
    mark_tests(&mut lexer.source.tokens);
    lexer.source
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.source.tokens.push(Token { kind, text, line, test: false });
    }

    fn token(&mut self, first: char) {
        let line = self.line;
        match first {
            '/' if self.peek() == Some('/') => self.line_comment(),
            '/' if self.peek() == Some('*') => self.block_comment(),
            '"' => self.quoted('"'),
            '\'' => self.tick(),
            _ if first.is_alphanumeric() || first == '_' => self.word(first),
            _ if first.is_whitespace() => {}
            _ => self.sign(first, line),
        }
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let mut text = String::from("/");
        while let Some(next) = self.rest.next_if(|next| *next != '\n') {
            text.push(next);
        }
        self.source.comments.push((line, text));
    }

    fn block_comment(&mut self) {
        let (mut depth, mut last, mut text) = (1, ' ', String::new());
        self.next();
        while depth > 0 {
            let Some(next) = self.next() else { break };
            if next == '\n' {
                self.source.comments.push((self.line - 1, std::mem::take(&mut text)));
            }
            text.push(next);
            // A sign that closed or opened cannot take part in another one.
            let pair = (std::mem::replace(&mut last, next), next);
            depth += i32::from(pair == ('/', '*')) - i32::from(pair == ('*', '/'));
            if matches!(pair, ('/', '*') | ('*', '/')) {
                last = ' ';
            }
        }
        self.source.comments.push((self.line, text));
    }

    fn quoted(&mut self, end: char) {
        let line = self.line;
        let mut text = String::new();
        while let Some(next) = self.next() {
            if next == end {
                break;
            }
            text.push(next);
            if next == '\\' {
                text.extend(self.next());
            }
        }
        self.push(Kind::Text, text, line);
    }

    /// A character or a lifetime: a lifetime has no second tick after one character.
    fn tick(&mut self) {
        let mut ahead = self.rest.clone();
        let (first, second) = (ahead.next(), ahead.next());
        if first == Some('\\') || second == Some('\'') {
            return self.quoted('\'');
        }
        let line = self.line;
        let mut name = String::from("'");
        while let Some(next) = self.rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
            name.push(next);
        }
        self.push(Kind::Text, name, line);
    }

    fn word(&mut self, first: char) {
        let line = self.line;
        let mut word = String::from(first);
        while let Some(next) = self.rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
            word.push(next);
        }
        let raw = ["r", "br", "cr"].contains(&word.as_str());
        let prefix = raw || ["b", "c"].contains(&word.as_str());
        match self.peek() {
            Some('"') if raw => self.raw_quoted(0),
            Some('"' | '\'') if prefix => {
                let end = self.next().unwrap();
                self.quoted(end);
            }
            Some('#') if raw => self.raw(),
            _ => {
                let number = first.is_ascii_digit();
                self.push(if number { Kind::Text } else { Kind::Name }, word, line);
            }
        }
    }

    /// Behind `r#`: a raw string, or a raw name.
    fn raw(&mut self) {
        let mut hashes = 0;
        while self.rest.next_if_eq(&'#').is_some() {
            hashes += 1;
        }
        if self.peek() == Some('"') {
            self.raw_quoted(hashes);
        }
    }

    fn raw_quoted(&mut self, hashes: usize) {
        let line = self.line;
        let end = format!("\"{}", "#".repeat(hashes));
        let mut text = String::new();
        self.next();
        while !text.ends_with(&end) {
            let Some(next) = self.next() else { break };
            text.push(next);
        }
        self.push(Kind::Text, text, line);
    }

    fn sign(&mut self, first: char, line: usize) {
        let mut sign = String::from(first);
        if let Some(second) = self.peek() {
            sign.push(second);
        }
        if SIGNS.contains(&sign.as_str()) {
            self.next();
        } else {
            sign.truncate(first.len_utf8());
        }
        self.push(Kind::Sign, sign, line);
    }
}

/// The index of the bracket that closes the one at `open`, or the last token.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if ["(", "[", "{"].iter().any(|sign| token.is(sign)) {
            depth += 1;
        }
        if [")", "]", "}"].iter().any(|sign| token.is(sign)) {
            depth -= 1;
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

fn mark_tests(tokens: &mut [Token]) {
    let mut at = 0;
    while at + 1 < tokens.len() {
        if !(tokens[at].is("#") && tokens[at + 1].is("[")) {
            at += 1;
            continue;
        }
        let end = closing(tokens, at + 1);
        let has = |name: &str| tokens[at..end].iter().any(|token| token.is(name));
        if has("test") && !has("not") {
            let last = item_end(tokens, end + 1);
            tokens[at..=last].iter_mut().for_each(|token| token.test = true);
        }
        at = end + 1;
    }
}

/// The last token of the item that starts at `at`: its closing brace or its semicolon.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while at + 1 < tokens.len() {
        if tokens[at].is(";") {
            return at;
        }
        if tokens[at].is("{") {
            return closing(tokens, at);
        }
        at = if ["(", "["].iter().any(|sign| tokens[at].is(sign)) {
            closing(tokens, at) + 1
        } else {
            at + 1
        };
    }
    tokens.len() - 1
}

#[test]
fn text_and_comments_are_not_names() {
    let text = "let a = \"crate::x // \\\" no\"; // b::c\n/* d /* e */ f */ let g = r#\"h\"i\"#;\n";
    let source = read(text);
    let names: Vec<_> =
        source.tokens.iter().filter(|token| token.is_name()).map(|token| &*token.text).collect();
    assert_eq!(names, ["let", "a", "let", "g"]);
    assert_eq!(source.comments[0], (1, "// b::c".into()));
    assert_eq!(source.tokens.last().unwrap().line, 2);
}

#[test]
fn ticks_are_characters_or_lifetimes() {
    let source = read("fn f<'a>(x: &'a str) { g('{', '\\'', b'}', 'ä', '\\u{7b}') }");
    assert_eq!(source.tokens.iter().filter(|token| token.is("{")).count(), 1);
    assert_eq!(source.tokens.iter().filter(|token| token.is("}")).count(), 1);
}

#[test]
fn items_for_tests_are_marked() {
    let source =
        read("fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n#[cfg(not(test))] fn c() {}");
    let test = |name: &str| source.tokens.iter().find(|token| token.is(name)).unwrap().test;
    assert_eq!([test("a"), test("b"), test("c")], [false, true, false]);
}
