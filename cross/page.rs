//! Packs the page of `--web` for the program, as gzip, which every browser takes; what only readers
//! of the source need is left out. Without the feature `web` it does nothing. C197.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=cross/page.rs");
    println!("cargo::rerun-if-changed=src/net/web/page");
    #[cfg(feature = "web")]
    pack()?;
    Ok(())
}

#[cfg(feature = "web")]
fn pack() -> Result<(), Box<dyn Error>> {
    use std::fs::{File, read_to_string};
    use std::path::PathBuf;

    #[expect(clippy::disallowed_methods, reason = "so cargo says where it goes")]
    let folder = PathBuf::from(std::env::var("OUT_DIR")?);
    for name in ["page.css", "page.js"] {
        let text = read_to_string(["src/net/web/page/", name].concat())?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let text = if name == "page.js" { script(&text) } else { style(&text) };
        let packed = File::create(folder.join([name, ".gz"].concat()))?;
        zopfli::compress(
            zopfli::Options::default(),
            zopfli::Format::Gzip,
            text.as_bytes(),
            packed,
        )?;
    }
    Ok(())
}

/// Without blanks beside brackets and what stands between values.
#[cfg(feature = "web")]
fn style(text: &str) -> String {
    let signs = ["\n", " {", "{ ", " }", "; ", ", "];
    signs.iter().fold(text.into(), |text: String, sign| text.replace(sign, sign.trim()))
}

/// Without blanks beside signs, and ends of lines where a line cannot end. Texts and patterns stay
/// as they are: a pattern begins with a slash that no blank follows.
#[cfg(feature = "web")]
fn script(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let (mut short, mut end, mut last) = (String::new(), None, ' ');
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let next = letters.peek().copied().unwrap_or(' ');
        match letter {
            '\\' if end.is_some() => {
                short.push(letter);
                short.extend(letters.next());
                continue;
            }
            _ if end.is_some() => end = end.filter(|end| *end != letter),
            '\'' | '"' | '`' => end = Some(letter),
            '/' if !matches!(next, ' ' | '=') => end = Some(letter),
            ' ' if last != next && !(is_word(last) && is_word(next)) => continue,
            '\n' if ";{,([".contains(last) || "})].?:".contains(next) => continue,
            _ => {}
        }
        short.push(letter);
        last = letter;
    }
    short
}
