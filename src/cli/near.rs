//! What was meant by a word that is none of ours: a flag or command of almost that name, or one
//! that upstream's programs take. Checks: below; tests/cli.rs.

/// How many letters may be others, or too many, or left out.
const LETTERS_MAX: usize = 2;
/// Letters of a beginning that stands for a word.
const BEGIN_MIN: usize = 3;
/// Longest word that is compared.
const WORD_BYTES_MAX: usize = 40;

/// What helps where argh said that it does not know a word: a line, or nothing. What stood without
/// its flag was a relay. Each line of `known` begins with a word that was perhaps meant.
pub(super) fn hint(said: &str, known: impl FnOnce() -> String) -> String {
    let Some(word) = said.trim_end().strip_prefix("Unrecognized argument: ") else {
        return String::new();
    };
    let flag = match word {
        "-r" => "--relay-servers",
        "-k" => "--key",
        "-p" => "--port",
        "-m" => "--mask",
        word if !word.starts_with('-') && word.contains(['.', ':']) => {
            return ["A relay is named by its flag: --relay-servers ", word, "\n"].concat();
        }
        word => {
            // As other programs have them: one dash, capitals, `_` between words.
            let flag = word.trim_start_matches('-').to_ascii_lowercase().replace('_', "-");
            let flag = if word.starts_with('-') && flag.len() > 1 {
                ["--", &flag].concat()
            } else {
                word.into()
            };
            let known = known();
            let words = known.lines().filter_map(|line| line.split_whitespace().next());
            let meant = meant(&flag, words);
            return if meant.is_empty() { meant } else { meant + "\n" };
        }
    };
    [word, " is ", flag, " here.\n"].concat()
}

/// `Did you mean ...?` with those of `known` that are nearest to `word`; empty if none is near.
pub(crate) fn meant<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let (mut nearest, mut least) = (Vec::new(), LETTERS_MAX + 1);
    for one in known {
        let Some(far) = distance(word, one) else { continue };
        if far < least {
            (nearest, least) = (Vec::new(), far);
        }
        if far == least && !nearest.contains(&one) {
            nearest.push(one);
        }
    }
    match nearest.is_empty() {
        true => String::new(),
        false => ["Did you mean ", &nearest.join(", "), "?"].concat(),
    }
}

/// How far apart two words are that begin alike, the beginning of a longer one being one letter;
/// None if they are not worth comparing.
fn distance(word: &str, one: &str) -> Option<usize> {
    let dashes = word.bytes().take_while(|byte| *byte == b'-').count();
    let (word, one) = (word.get(dashes..)?, one.strip_prefix(word.get(..dashes)?)?);
    if word.len() > WORD_BYTES_MAX || word.is_empty() || word.bytes().next() != one.bytes().next() {
        return None;
    }
    let is_begin = word.len() >= BEGIN_MIN && one.starts_with(word);
    let far = if is_begin { 1 } else { edits(word.as_bytes(), one.as_bytes()) };
    (far < word.len()).then_some(far)
}

/// Letters to change, add and take out.
fn edits(word: &[u8], one: &[u8]) -> usize {
    let mut row: Vec<usize> = (1..=one.len()).collect();
    for (line, letter) in word.iter().enumerate() {
        let (mut corner, mut left) = (line, line + 1);
        for (cell, theirs) in row.iter_mut().zip(one) {
            let changed = corner + usize::from(letter != theirs);
            corner = *cell;
            left = changed.min(corner + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_a_word_is_told() {
        let known =
            ["--relay-servers", "--relay-port", "--port", "--public", "--key", "--key-file"];
        for (word, said) in [
            ("--relay-server", "Did you mean --relay-servers?"),
            ("--relay", "Did you mean --relay-servers, --relay-port?"),
            ("--prot", "Did you mean --port?"),
            ("--pubic", "Did you mean --public?"),
            ("--keyfile", "Did you mean --key-file?"),
            ("--kee", "Did you mean --key?"),
            ("--Port", ""),
            ("--host", ""),
            ("--frobnicate", ""),
            ("relay-port", ""),
            ("-p", ""),
            ("--", ""),
            ("--é", ""),
            ("", ""),
            (&"--port".repeat(99), ""),
        ] {
            assert_eq!(meant(word, known.into_iter()), said, "{word}");
        }
        assert_eq!(meant("serv", ["serve", "store"].into_iter()), "Did you mean serve?");
    }

    #[test]
    fn flags_in_the_manner_of_other_programs_are_told_in_ours() {
        for word in ["-relay-servers", "--RELAY-SERVERS", "--relay_servers", "-relayservers"] {
            let said = ["Unrecognized argument: ", word, "\n"].concat();
            let known = || "--relay-servers LIST\n--key\n".into();
            assert_eq!(hint(&said, known), "Did you mean --relay-servers?\n", "{word}");
        }
        for said in ["Unrecognized argument: -x\n", "No value provided for option '--key'.\n", ""] {
            assert_eq!(hint(said, || "--xyz\n--key\n".into()), "", "{said}");
        }
    }

    #[test]
    fn edits_are_counted() {
        for (word, one, count) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edits(word.as_bytes(), one.as_bytes()), count, "{word} {one}");
        }
    }
}
