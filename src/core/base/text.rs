//! Characters: those that names are made of, those that nobody sees, and how text of strangers
//! stands in a line for people. C81.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

/// Whether names may hold it: a letter or digit of any script, or a mark that combines with one,
/// as Indic scripts, Hebrew and decomposed Latin have them.
pub fn is_letter(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    c.is_alphanumeric() && !is_invisible(c) || is_mark(c)
}

/// What stands before the first `part` of `text`, and behind it. std has 2 KB of code to be quick
/// in long texts; none is long here.
pub fn around<'t>(text: &'t str, part: &str) -> Option<(&'t str, &'t str)> {
    (0..=text.len()).find_map(|at| {
        let (before, rest) = text.split_at_checked(at)?;
        Some((before, rest.strip_prefix(part)?))
    })
}

/// Whether `part` stands in `text`.
pub fn holds(text: &str, part: &str) -> bool {
    around(text, part).is_some()
}

/// Whether it shows nothing or changes how its neighbours are shown: controls, what joins, breaks,
/// fills or has no width, what turns the direction of text, and what is for private use.
pub fn is_invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control()
        || matches!(u32::from(c),
            0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f
            | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x1d173..=0x1d17a | 0xe000..=0xf8ff
            | 0xe_0000..)
}

/// Whether programs may read `text` as an IPv4 address or the beginning of one, as inet_aton(3)
/// does: numbers with dots between or behind, each decimal, octal or, after `0x`, hexadecimal; or
/// one octal or hexadecimal number. One that is decimal they read as an address too, but clients
/// make their ids of that kind. Digits are those of any script, as many programs fold them.
/// IPv6 addresses and networks hold `:` or `/`, as no id does.
pub(crate) fn reads_as_ipv4(text: &str) -> bool {
    // Some digits bring a dot along.
    let is_dot = |c| matches!(c, '.' | '\u{2488}'..='\u{249b}' | '\u{1f100}');
    let alone = !text.contains(is_dot);
    text.split('.').all(|part| is_number(part, alone))
}

/// Whether it is a number, or nothing; `alone`: one that nobody takes for an id.
fn is_number(part: &str, alone: bool) -> bool {
    let mut digits = part.chars().map(folded);
    let mut all = digits.clone();
    match (digits.next(), digits.clone().next()) {
        (Some('0'), Some('x')) => digits.skip(1).all(|c| c.is_ascii_hexdigit()),
        (Some('0'), Some(_)) if alone => digits.all(|c| c.is_digit(8)),
        _ => !alone && all.all(|c| c.is_ascii_digit()),
    }
}

/// A character of full width as the ASCII one, and a digit of another script as 0 or 1: the first
/// of each ten is their zero, and before it there is no digit. In lower case.
fn folded(c: char) -> char {
    let code = u32::from(c);
    let is_digit = |code| char::from_u32(code).is_some_and(char::is_numeric);
    let ascii = match code {
        0..=0x7f => c,
        0xff01..=0xff5e => u8::try_from(code - 0xfee0).map_or(c, char::from),
        // Five alphabets of mathematics in a row.
        0x1d7ce..=0x1d7ff if (code - 0x1d7ce).is_multiple_of(10) => '0',
        _ if !is_digit(code) => c,
        _ if is_digit(code - 1) => '1',
        _ => '0',
    };
    ascii.to_ascii_lowercase()
}

/// Whether it combines with the letter before it. [`char::is_alphanumeric`] has the vowel signs
/// alone, so these are the other marks; between two of them letters or nothing at all may lie.
fn is_mark(c: char) -> bool {
    let code = u32::from(c);
    let (marks, base) = if code < 0x1_0000 { (BASIC, 0) } else { (BEYOND, 0x1_0000) };
    let Ok(code) = u16::try_from(code.saturating_sub(base)) else { return false };
    let next = marks.partition_point(|(_, last)| *last < code);
    marks.get(next).is_some_and(|(first, _)| *first <= code)
}

/// First and last of the marks (categories Mn, Mc, Me) that are no letters, without the invisible.
const BASIC: &[(u16, u16)] = &[
    (0x0300, 0x034e),
    (0x0350, 0x0362),
    (0x0483, 0x0489),
    (0x0591, 0x05af),
    (0x0658, 0x0658),
    (0x06df, 0x06e0),
    (0x06ea, 0x06ec),
    (0x0740, 0x07f3),
    (0x07fd, 0x07fd),
    (0x0818, 0x082d),
    (0x0859, 0x085b),
    (0x0898, 0x08e1),
    (0x08ea, 0x0954),
    (0x09bc, 0x09cd),
    (0x09fe, 0x0a4d),
    (0x0abc, 0x0acd),
    (0x0afd, 0x0b55),
    (0x0bcd, 0x0bcd),
    (0x0c3c, 0x0c4d),
    (0x0cbc, 0x0d4d),
    (0x0dca, 0x0dca),
    (0x0e47, 0x0e4e),
    (0x0eba, 0x0ecc),
    (0x0f18, 0x0f19),
    (0x0f35, 0x0f35),
    (0x0f37, 0x0f37),
    (0x0f39, 0x0f39),
    (0x0f3e, 0x0f84),
    (0x0f86, 0x0f87),
    (0x0fc6, 0x0fc6),
    (0x1037, 0x103a),
    (0x135d, 0x135f),
    (0x1714, 0x1734),
    (0x17c9, 0x17d3),
    (0x17dd, 0x17dd),
    (0x1939, 0x193b),
    (0x1a60, 0x1a7f),
    (0x1ab0, 0x1b44),
    (0x1b6b, 0x1b73),
    (0x1baa, 0x1bf3),
    (0x1c37, 0x1c37),
    (0x1cd0, 0x1cd2),
    (0x1cd4, 0x1dff),
    (0x20d0, 0x20f0),
    (0x2cef, 0x2cf1),
    (0x2d7f, 0x2d7f),
    (0x302a, 0x302f),
    (0x3099, 0x309a),
    (0xa66f, 0xa672),
    (0xa67c, 0xa67d),
    (0xa6f0, 0xa6f1),
    (0xa806, 0xa806),
    (0xa82c, 0xa82c),
    (0xa8c4, 0xa8c4),
    (0xa8e0, 0xa8f1),
    (0xa92b, 0xa92d),
    (0xa953, 0xa953),
    (0xa9b3, 0xa9c0),
    (0xaabf, 0xaac1),
    (0xaaf6, 0xaaf6),
    (0xabec, 0xabed),
    (0xfe20, 0xfe2f),
];

/// The same from U+10000 on, counted from there; without those of music and of signs.
const BEYOND: &[(u16, u16)] = &[
    (0x01fd, 0x02e0),
    (0x0a38, 0x0a3f),
    (0x0ae5, 0x0ae6),
    (0x0f46, 0x0f50),
    (0x0f82, 0x0f85),
    (0x1046, 0x1046),
    (0x1070, 0x10ba),
    (0x1133, 0x1134),
    (0x1173, 0x1173),
    (0x11c0, 0x11c0),
    (0x11c9, 0x11cc),
    (0x1235, 0x1236),
    (0x12e9, 0x1446),
    (0x145e, 0x14c3),
    (0x15bf, 0x15c0),
    (0x163f, 0x163f),
    (0x16b6, 0x16b7),
    (0x172b, 0x172b),
    (0x1839, 0x183a),
    (0x193d, 0x1943),
    (0x19e0, 0x19e0),
    (0x1a33, 0x1a34),
    (0x1a47, 0x1a99),
    (0x1c3f, 0x1c3f),
    (0x1d42, 0x1d97),
    (0x6af0, 0x6af4),
    (0x6b30, 0x6b36),
    (0x6fe4, 0x6fe4),
    (0xe000, 0xe136),
    (0xe2ae, 0xe2ef),
    (0xe8d0, 0xe94a),
];

/// Text of strangers as one word of a line: what could be taken for something else is spelled out,
/// so that no value forges a `key=value`, an end of line or a direction.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' | '=' | '\'' => write_code(out, c)?,
                '!'..='~' => out.write_char(c)?,
                c if is_letter(c) => out.write_char(c)?,
                c => write_code(out, c)?,
            }
        }
        out.write_char('"')
    }
}

fn write_code(out: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    write!(out, "\\u{{{:x}}}", u32::from(c))
}

/// How a formula begins, to programs for tables; and what is written before it.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', APOSTROPHE];
/// See [`csv_cell`].
pub const APOSTROPHE: char = '\'';

/// A cell of a table (CSV, RFC 4180), in quotes where it could end too soon. What a program would
/// take for a formula has an apostrophe before it.
pub fn csv_cell(value: &str) -> String {
    let formula = if value.starts_with(FORMULA) { "'" } else { "" };
    match value.contains([',', ';', '"', '\r', '\n', '\t']) || !formula.is_empty() {
        true => ["\"", formula, &value.replace('"', "\"\""), "\""].concat(),
        false => value.into(),
    }
}

/// The names of columns, each with its width, of such as `id:17 user:0`.
pub fn named(columns: &str) -> Vec<(&str, usize)> {
    let mut read = Vec::new();
    for (name, width) in columns.split(' ').filter_map(|column| column.split_once(':')) {
        read.push((name, width.parse().unwrap_or_default()));
    }
    read
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn letters_are_of_any_script_and_with_their_marks() {
        // Devanagari with virama, Thai with tone marks, Hebrew with points, decomposed Latin.
        for word in ["क्षमा", "เครื่อง", "שָׁלוֹם", "u\u{308}ber", "தமிழ்", "한국어", "٣٤٥", "東京"]
        {
            for c in word.chars() {
                assert!(is_letter(c), "U+{:04X} in {word}", u32::from(c));
            }
        }
        assert!(is_letter('\u{1e8d0}') && is_letter('\u{11133}'));
    }

    #[test]
    fn nothing_invisible_or_of_punctuation_is_a_letter() {
        for code in 0..=u32::from(char::MAX) {
            let Some(c) = char::from_u32(code) else { continue };
            assert!(!(is_letter(c) && (is_invisible(c) || c.is_whitespace())), "U+{code:04X}");
        }
        for c in
            " -_.<>&'\"`$(){}[]/\\:;,=#@!?%*|~^+\u{964}\u{2026}\u{202e}\u{3164}\u{fe0f}\u{1f4a9}"
                .chars()
        {
            assert!(!is_letter(c), "{c:?}");
        }
    }

    #[test]
    fn cells_of_csv_are_no_formulas_and_end_where_they_end() {
        for (value, cell) in [
            ("123456789", "123456789"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("@x,y", "\"'@x,y\""),
        ] {
            assert_eq!(csv_cell(value), cell);
        }
    }

    #[test]
    fn both_tables_are_in_order() {
        for marks in [BASIC, BEYOND] {
            let bounds = marks.iter().flat_map(|(first, last)| [*first, *last]);
            assert!(bounds.is_sorted());
        }
    }

    #[test]
    fn quoted_text_is_one_word_without_an_equals() {
        assert_eq!(
            Quoted("a x=1 \"\\\n\u{202e}é").to_string(),
            r#""a\u{20}x\u{3d}1\u{20}\u{22}\u{5c}\u{a}\u{202e}é""#
        );
    }
}
