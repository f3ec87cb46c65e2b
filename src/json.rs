//! Text in double quotes, as RFC 8259 has it for JSON; TOML reads it too. Checks: the tests of
//! `cmd/export.rs` and `net/control/format.rs`.

use std::fmt::Write as _;

use hbb_core::base::text::is_invisible;

/// Adds `value` in double quotes, with what nobody sees on a terminal spelled out. `ascii` spells
/// out all that is not ASCII, in pairs of 16 bits where needed, which TOML does not know.
pub fn quote(text: &mut String, value: &str, ascii: bool) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ if !ascii && (!is_invisible(c) || c > '\u{ffff}') => text.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}
