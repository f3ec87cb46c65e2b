//! Where upstream's programs take their words from: flags before `--config`, that before `.env`,
//! that before the environment. Names are told apart without case, `-` and `_` being the same.

use std::io::ErrorKind;
use std::path::Path;

use super::words::{Program, WORDS, Word};
use crate::cli::meant;
use crate::file::read_text;

/// The file of variables in the working directory.
const DOT_ENV: &str = ".env";
/// Longest file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// One word and what was said.
pub(super) struct Setting<'a> {
    pub(super) word: &'static Word,
    pub(super) value: &'a str,
    /// The word as it was given, and where, for a message, in parts.
    pub(super) given: [&'a str; 3],
}

/// All that was said, the first of each word being what counts.
pub(super) struct Sources<'a> {
    program: Program,
    said: Vec<Setting<'a>>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(
        program: Program,
        args: &[&'a str],
        variables: &'a [(String, String)],
    ) -> Result<Self, String> {
        let mut sources = Self { program, said: Vec::new() };
        sources.add_flags(args)?;
        if let Some(path) = sources.value("config") {
            sources.add_file(path, "--config")?;
        }
        sources.add_file(DOT_ENV, DOT_ENV)?;
        // As the tables have it, before other ways to write it.
        for is_exact in [true, false] {
            for (name, value) in variables {
                if let Some(word) = sources.named(name)
                    && (*name == word.variable()) == is_exact
                {
                    sources.add(word, value, ["variable ", name, ""]);
                }
            }
        }
        Ok(sources)
    }

    /// The word of that name in a file or as a variable.
    fn named(&self, name: &str) -> Option<&'static Word> {
        let name = name.to_ascii_lowercase().replace('_', "-");
        let mut known = words(self.program).filter(|word| word.has_value);
        known.find(|word| word.name == name)
    }

    /// What was said of a word.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        let setting = self.said.iter().find(|setting| setting.word.name == name);
        setting.map(|setting| setting.value)
    }

    /// Gives what was said, in the order in which it is obeyed.
    pub(super) fn each(&self, each: &mut dyn FnMut(&Setting<'a>)) {
        for word in WORDS {
            self.said.iter().filter(|it| core::ptr::eq(it.word, word)).for_each(&mut *each);
        }
    }

    /// What compose files set to nothing is not said; a key that is empty serves anybody.
    fn add(&mut self, word: &'static Word, value: &'a str, given: [&'a str; 3]) {
        let is_said = word.name == "key" || !value.is_empty();
        if is_said && self.value(word.name).is_none() {
            self.said.push(Setting { word, value, given });
        }
    }

    /// `NAME=value` lines, as in a shell or an INI file without sections.
    fn add_file(&mut self, path: &'a str, place: &str) -> Result<(), String> {
        let text = match read_text(Path::new(path), FILE_BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound && place == DOT_ENV => return Ok(()),
            read => read.map_err(|error| {
                let named = [place, " ", path].concat();
                let file = if place == DOT_ENV { DOT_ENV } else { &named };
                format!("Cannot read {file}: {error}")
            })?,
        };
        // There are two in the life of a process, and what they say is asked for until it serves.
        let text: &'static str = text.leak();
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, value)) = line.split_once('=') else { continue };
            if line.starts_with(['#', ';', '[']) {
                continue;
            }
            let (given, value) = (name.trim_end(), bare(value.trim()));
            if let Some(word) = self.named(given) {
                self.add(word, value, [given, " in ", path]);
            }
        }
        Ok(())
    }

    /// `-k VALUE`, `-kVALUE`, `-k=VALUE`, `--key VALUE`, `--key=VALUE`.
    fn add_flags(&mut self, args: &[&'a str]) -> Result<(), String> {
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            let unknown = || unknown(self.program, arg);
            let (word, given, value) = flag(self.program, arg).ok_or_else(unknown)?;
            let value = match (word.has_value, value) {
                (true, None) => args.next().ok_or([arg, ": a value must follow"].concat())?,
                (false, Some(_)) => return Err(unknown()),
                (_, value) => value.unwrap_or_default(),
            };
            self.said.push(Setting { word, value, given: [given, "", ""] });
        }
        Ok(())
    }
}

/// A value without its quotes, or without the comment behind it.
fn bare(value: &str) -> &str {
    match (value.chars().next(), value.split_once('#')) {
        (Some(quote @ ('"' | '\'')), _) => {
            value.strip_prefix(quote).and_then(|rest| rest.split(quote).next()).unwrap_or_default()
        }
        (_, Some((before, _))) if before.trim_end() != before || before.is_empty() => {
            before.trim_end()
        }
        _ => value,
    }
}

/// The words of a program.
fn words(program: Program) -> impl Iterator<Item = &'static Word> {
    WORDS.iter().filter(move |word| word.is_of(program))
}

/// The word that a flag is, the flag by itself, and the value in the same argument.
fn flag(program: Program, arg: &str) -> Option<(&'static Word, &str, Option<&str>)> {
    let short = arg.strip_prefix('-')?;
    let long = short.strip_prefix('-');
    let (name, rest) = match long {
        Some(long) => long.split_at(long.find('=').unwrap_or(long.len())),
        None => short.split_at_checked(1)?,
    };
    let value = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest));
    let mut known = words(program).filter(|word| word.letter.is_some());
    let word = known.find(|word| match long {
        Some(_) => word.flag() == name || word.name == name,
        None => name.chars().next() == word.letter,
    })?;
    Some((word, arg.strip_suffix(rest)?, value))
}

fn unknown(program: Program, arg: &str) -> String {
    let mut known = String::new();
    for word in words(program).filter(|word| word.letter.is_some()) {
        known.extend(["--", word.flag(), "\n"]);
    }
    let name = arg.trim_start_matches('-').split('=').next().unwrap_or_default();
    let mut meant = meant(&["--", name].concat(), &mut known.lines());
    if !meant.is_empty() {
        meant.push(' ');
    }
    format!("Unknown word '{arg}'. {meant}See '{} --help'.", program.name())
}
