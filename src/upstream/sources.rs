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
pub(super) struct Setting {
    pub(super) word: &'static Word,
    pub(super) value: String,
    /// Where, for a message.
    pub(super) place: &'static str,
}

/// All that was said, the first of each word being what counts.
pub(super) struct Sources {
    said: Vec<Setting>,
}

impl Sources {
    pub(super) fn new(
        program: Program,
        args: &[&str],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut sources = Self { said: flags(program, args)? };
        if let Some(name) = sources.value("config").map(String::from) {
            let text = read_text(Path::new(&name), FILE_BYTES_MAX);
            let text = text.map_err(|error| format!("Cannot read --config {name}: {error}"))?;
            sources.add_lines(program, &text, "--config");
        }
        match read_text(Path::new(DOT_ENV), FILE_BYTES_MAX) {
            Ok(text) => sources.add_lines(program, &text, DOT_ENV),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("Cannot read {DOT_ENV}: {error}")),
        }
        for word in WORDS.iter().filter(|word| word.has_value && word.is_of(program)) {
            for spelling in 0..4 {
                let name =
                    if spelling % 2 == 0 { word.name.replace('-', "_") } else { word.name.into() };
                let name = if spelling < 2 { name.to_ascii_uppercase() } else { name };
                if let Some(value) = variable(&name) {
                    sources.add(word, value, "variable");
                }
            }
        }
        Ok(sources)
    }

    /// Whether the flag was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// What was said of a word.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let setting = self.said.iter().find(|setting| setting.word.name == name);
        setting.map(|setting| setting.value.as_str())
    }

    /// Gives what was said, in the order in which it is obeyed.
    pub(super) fn each(&self, each: &mut dyn FnMut(&Setting)) {
        for word in WORDS {
            self.said.iter().filter(|it| core::ptr::eq(it.word, word)).for_each(&mut *each);
        }
    }

    fn add(&mut self, word: &'static Word, value: String, place: &'static str) {
        if self.said.iter().all(|setting| setting.word.name != word.name) {
            self.said.push(Setting { word, value, place });
        }
    }

    /// `NAME=value` lines, as in a shell or an INI file without sections.
    fn add_lines(&mut self, program: Program, text: &str, place: &'static str) {
        for line in text.lines().map(str::trim) {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, value)) = line.split_once('=') else { continue };
            if line.starts_with(['#', ';', '[']) {
                continue;
            }
            let name = name.trim().to_ascii_lowercase().replace('_', "-");
            let value = value.trim();
            let quoted = |quote| value.strip_prefix(quote).and_then(|it| it.strip_suffix(quote));
            let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
            let is_it = |word: &&Word| word.name == name && word.has_value && word.is_of(program);
            if let Some(word) = WORDS.iter().find(is_it) {
                self.add(word, value.into(), place);
            }
        }
    }
}

fn unknown(program: Program, arg: &str) -> String {
    let known = WORDS.iter().filter(|word| word.letter.is_some() && word.is_of(program));
    let name = arg.trim_start_matches('-').split('=').next().unwrap_or_default();
    let mut meant = meant(name, &mut known.map(|word| word.name));
    if !meant.is_empty() {
        meant.push(' ');
    }
    format!("Unknown word '{arg}'. {meant}See '{} --help'.", program.name())
}

/// `-k VALUE`, `-kVALUE`, `-k=VALUE`, `--key VALUE`, `--key=VALUE`.
fn flags(program: Program, args: &[&str]) -> Result<Vec<Setting>, String> {
    let mut said: Vec<Setting> = Vec::new();
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        let unknown = || unknown(program, arg);
        let mut known = WORDS.iter().filter(|word| word.letter.is_some() && word.is_of(program));
        let (word, value) = if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
            let is_it =
                |word: &&Word| word.name == name || word.name == "relay-port" && name == "port";
            (known.find(is_it).ok_or_else(unknown)?, value)
        } else {
            let mut chars = arg.strip_prefix('-').ok_or_else(unknown)?.chars();
            let letter = chars.next();
            let rest = Some(chars.as_str()).filter(|rest| !rest.is_empty());
            let rest = rest.map(|rest| rest.strip_prefix('=').unwrap_or(rest));
            (known.find(|word| word.letter == letter).ok_or_else(unknown)?, rest)
        };
        let value = match (word.has_value, value) {
            (true, Some(value)) => value,
            (true, None) => args.next().ok_or_else(|| format!("{arg}: a value must follow"))?,
            (false, None) => "",
            (false, Some(_)) => return Err(unknown()),
        };
        said.push(Setting { word, value: value.into(), place: "flag" });
    }
    Ok(said)
}
