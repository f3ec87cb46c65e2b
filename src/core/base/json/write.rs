//! Writing: texts in double quotes, which TOML reads too, and values one behind the other.
//! Checks: C175, and the tests of `cmd/export.rs` and `net/control/format.rs`.

use alloc::string::String;
use core::fmt::Write as _;

use crate::base::text::is_invisible;

/// Adds `value` in double quotes, with what nobody sees on a terminal spelled out. `ascii` spells
/// out all that is not ASCII, in pairs of 16 bits where needed, which TOML does not know.
pub fn quote(text: &mut String, value: &str, ascii: bool) {
    text.push('"');
    escape(text, value, ascii);
    text.push('"');
}

/// Adds what [`quote`] does, without the quotes.
pub fn escape(text: &mut String, value: &str, ascii: bool) {
    let mut rest = value;
    loop {
        let is_odd = |byte: u8| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
        let end = rest.bytes().position(is_odd).unwrap_or(rest.len());
        let (plain, odd) = rest.split_at_checked(end).unwrap_or((rest, ""));
        text.push_str(plain);
        let mut odd = odd.chars();
        match odd.next() {
            None => break,
            Some(c @ ('"' | '\\')) => text.extend(['\\', c]),
            Some(c) if !ascii && (!is_invisible(c) || c > '\u{ffff}') => text.push(c),
            Some(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
        rest = odd.as_str();
    }
}

#[cfg(any(feature = "accounts", feature = "testing"))]
/// A text in the making. Whoever writes closes what was opened, and names each member; commas come
/// by themselves.
#[derive(Debug, Default)]
pub struct Writer(String);

#[cfg(any(feature = "accounts", feature = "testing"))]
impl Writer {
    /// An object that is open, until [`Self::end`].
    pub fn object() -> Self {
        Self("{".into())
    }

    /// Closes the object; gives all of it.
    pub fn end(mut self) -> String {
        self.close('}');
        self.0
    }

    /// Opens an object (`{`) or a list (`[`).
    pub fn open(&mut self, bracket: char) {
        self.comma();
        self.0.push(bracket);
    }

    /// Closes it.
    pub fn close(&mut self, bracket: char) {
        self.0.push(bracket);
    }

    /// The name of the value that comes next.
    pub fn name(&mut self, name: &str) {
        self.text(name);
        self.0.push(':');
    }

    /// A string.
    pub fn text(&mut self, text: &str) {
        self.comma();
        quote(&mut self.0, text, false);
    }

    /// A whole number.
    pub fn number(&mut self, number: i64) {
        self.raw(&alloc::string::ToString::to_string(&number));
    }

    /// True or false.
    pub fn flag(&mut self, flag: bool) {
        self.raw(if flag { "true" } else { "false" });
    }

    /// JSON as it is: one value, or several with commas between.
    pub fn raw(&mut self, json: &str) {
        self.comma();
        self.0.push_str(json);
    }

    /// A name and a string.
    pub fn member(&mut self, name: &str, text: &str) {
        self.name(name);
        self.text(text);
    }

    /// The same for several: names with a blank between, and a string for each.
    pub fn members(&mut self, names: &str, texts: &[&str]) {
        names.split(' ').zip(texts).for_each(|(name, text)| self.member(name, text));
    }

    /// All of it.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Values end in a quote, a digit, a letter or a bracket that closes.
    fn comma(&mut self) {
        if !matches!(self.0.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(',');
        }
    }
}

#[cfg(all(test, feature = "accounts"))]
mod tests {
    use super::*;

    #[test]
    fn c175_commas_stand_between_values_and_nowhere_else() {
        let mut writer = Writer::object();
        writer.member("a:", "{[:");
        writer.name("b");
        writer.open('[');
        writer.open('{');
        writer.close('}');
        writer.number(-1);
        writer.flag(false);
        writer.raw("null");
        writer.open('[');
        writer.close(']');
        writer.close(']');
        writer.member("c\"", "\u{202e}\n\\");
        writer.members("d e", &["", "f"]);
        writer.close('}');
        let text = writer.into_text();
        let expected =
            r#"{"a:":"{[:","b":[{},-1,false,null,[]],"c\"":"\u202e\u000a\\","d":"","e":"f"}"#;
        assert_eq!(text, expected);
        assert!(crate::base::json::Value::parse(&text).is_ok());
    }
}
