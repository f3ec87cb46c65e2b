//! What was meant by a word that is none of ours: a flag or command of almost that name, or one
//! that upstream's programs take. Checks: below; tests/cli.rs.

use hbb_core::base::text::holds;
use hbb_core::identity::unquoted;

/// How many letters may be others, or too many, or left out.
const LETTERS_MAX: usize = 2;
/// Letters of a beginning that stands for a word.
const BEGIN_MIN: usize = 3;
/// Longest word that is compared.
const WORD_BYTES_MAX: usize = 40;

/// What most guides begin with.
const RELAYS: &str = "--relay-servers";

/// The commands and flags of the parts that this program may have been built without.
#[cfg(any(test, not(all(feature = "accounts", feature = "doctor", feature = "web"))))]
const PARTS: &str = "doctor rules --rules --private --accounts --api --web --must-login \
    --max-users --password-memory --connection-log";

/// What helps where argh said that it does not know a word: a line, or nothing. What stood without
/// its flag was a relay. Each line of `known` begins with a word that was perhaps meant.
pub(super) fn hint(said: &str, known: &dyn Fn() -> String) -> String {
    let Some(word) = said.trim_end().strip_prefix("Unrecognized argument: ") else {
        return String::new();
    };
    let bare = unquoted(word);
    #[cfg(any(test, not(all(feature = "accounts", feature = "doctor", feature = "web"))))]
    if PARTS.split(' ').any(|part| part == bare) {
        return "This hbb was built without it; hbb-full and those of other machines have it.\n"
            .into();
    }
    let name = bare.trim_start_matches(is_dash);
    let is_flag = name.len() < bare.len();
    let known = known();
    // Before a command any may be meant.
    let is_taken = |flag: &str| holds(&known, flag) || !known.starts_with("--");
    if !is_flag && bare.contains(['.', ':']) && is_taken(RELAYS) {
        return ["A relay is named by its flag: ", RELAYS, " ", bare, "\n"].concat();
    }
    // As other programs have them: one dash, capitals, `_` between words.
    let spelled = name.split('=').next().unwrap_or(name).to_ascii_lowercase().replace('_', "-");
    let flag = if is_flag && !spelled.is_empty() { ["--", &spelled].concat() } else { bare.into() };
    let meant = meant(&flag, &mut known.lines().filter_map(|line| line.split(' ').next()));
    if !meant.is_empty() {
        return meant + "\n";
    }
    // A letter, or one with its value behind it.
    let is_letter = is_flag && (name.len() == 1 || !bare.starts_with("--"));
    match of_letter(name).filter(|flag| is_letter && is_taken(flag)) {
        Some(flag) => {
            let letter = if name.len() == 1 { word } else { word.get(..2).unwrap_or(word) };
            [letter, " is ", flag, " here.\n"].concat()
        }
        None => meant,
    }
}

/// What upstream's programs call so, by its first letter.
fn of_letter(name: &str) -> Option<&'static str> {
    Some(match name.bytes().next()? {
        b'r' => RELAYS,
        b'k' => "--key",
        b'p' => "--port",
        b'm' => "--mask",
        b'b' => "--bind",
        _ => return None,
    })
}

/// A dash, or what pages and word processors make of one or of two.
const fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// `Did you mean ...?` with those of `known` that are nearest to `word`; empty if none is near.
pub(crate) fn meant(word: &str, known: &mut dyn Iterator<Item = &str>) -> String {
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
    let far = match is_begin {
        true => usize::from(word.len() < one.len()),
        false => edits(word.as_bytes(), one.as_bytes()),
    };
    (far < word.len()).then_some(far)
}

/// Letters to change, add and take out.
fn edits(word: &[u8], one: &[u8]) -> usize {
    let mut row = Vec::new();
    for cell in 0..one.len() {
        row.push(cell + 1);
    }
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
    fn what_this_program_was_built_without_is_told() {
        for word in PARTS.split(' ') {
            let said = ["Unrecognized argument: ", word, "\n"].concat();
            let told = hint(&said, &|| "--role".into());
            assert!(told.starts_with("This hbb was built without it"), "{word}: {told}");
        }
        #[cfg(all(feature = "accounts", feature = "doctor", feature = "web"))]
        for word in PARTS.split(' ') {
            let all = crate::cli::known(if word.starts_with("--") { "serve" } else { "" });
            let is_one = all.lines().any(|line| line.split(' ').next() == Some(word));
            assert!(is_one, "{word} is no word of the whole program");
        }
    }

    #[test]
    fn what_is_nearly_a_word_is_told() {
        let known =
            ["--relay-servers", "--relay-port", "--port", "--public", "--key", "--key-file"];
        for (word, said) in [
            ("--relay-server", "Did you mean --relay-servers?"),
            ("--relay", "Did you mean --relay-servers, --relay-port?"),
            ("--prot", "Did you mean --port?"),
            ("--key", "Did you mean --key?"),
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
            assert_eq!(meant(word, &mut known.into_iter()), said, "{word}");
        }
        assert_eq!(meant("serv", &mut ["serve", "store"].into_iter()), "Did you mean serve?");
    }

    #[test]
    fn flags_in_the_manner_of_other_programs_are_told_in_ours() {
        for word in ["-relay-servers", "--RELAY-SERVERS", "--relay_servers", "-relayservers"] {
            let said = ["Unrecognized argument: ", word, "\n"].concat();
            let known = || "--relay-servers LIST\n--key\n".into();
            assert_eq!(hint(&said, &known), "Did you mean --relay-servers?\n", "{word}");
        }
        for (word, hinted) in [
            ("\u{2014}key", "Did you mean --key?\n"),
            ("\u{2013}key=abc.def", "Did you mean --key?\n"),
            ("\u{2014}relay-servers=rd.example.org", "Did you mean --relay-servers?\n"),
            ("\u{201c}--key\u{201d}", "Did you mean --key?\n"),
            ("\u{2014}r", "\u{2014}r is --relay-servers here.\n"),
            ("-rrd.example.org", "-r is --relay-servers here.\n"),
            ("-r=rd.example.org", "-r is --relay-servers here.\n"),
            ("-k_", "-k is --key here.\n"),
            ("-b", "-b is --bind here.\n"),
            ("-x1.2", ""),
            ("\u{2014}", ""),
            (
                "\u{201c}rd.example.org\u{201d}",
                "A relay is named by its flag: --relay-servers rd.example.org\n",
            ),
        ] {
            let said = ["Unrecognized argument: ", word, "\n"].concat();
            assert_eq!(
                hint(&said, &|| "--relay-servers LIST\n--key\n--bind IP".into()),
                hinted,
                "{word}"
            );
        }
        // A command that knows no relays, and this program's own words, before a command.
        for (known, is_hinted) in [("--data DIR\n", false), ("serve\ncheck", true)] {
            for word in ["rd.example.org", "-r", "-krd"] {
                let said = ["Unrecognized argument: ", word, "\n"].concat();
                assert_eq!(!hint(&said, &|| known.into()).is_empty(), is_hinted, "{word} {known}");
            }
        }
        for said in ["Unrecognized argument: -x\n", "No value provided for option '--key'.\n", ""] {
            assert_eq!(hint(said, &|| "--xyz\n--key\n".into()), "", "{said}");
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
