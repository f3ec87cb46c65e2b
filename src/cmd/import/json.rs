//! The rows of upstream's table as `sqlite3 -json` prints them: a list of objects. What is nested
//! in them is passed over.

use super::found::{COLUMNS, Found, TOO_MANY};
use crate::store::hex;
use hbb_core::base::json::Value;

/// The columns that are hexadecimal digits here.
const BYTES: [&str; 2] = ["uuid", "pk"];
/// What is wrong where they are not, as `SELECT *` prints them.
const NO_DIGITS: &str = "it needs uuid and pk in hexadecimal: SELECT hex(uuid) uuid, hex(pk) pk";

/// Takes every object for a device.
///
/// # Errors
/// Why it is no such list.
pub(super) fn rows(text: &str, found: &mut Found) -> Result<(), String> {
    let rows = Value::parse(text);
    let rows = rows.map_err(|wrong| format!("its JSON is wrong at byte {}", wrong.at))?;
    for row in rows.items() {
        let mut columns: [Vec<u8>; COLUMNS.len()] = Default::default();
        for (name, value) in row.members() {
            // As SQLite names what is not given a name.
            let name = name.strip_prefix("hex(").map_or(&*name, |name| name.trim_end_matches(')'));
            for (column, own) in columns.iter_mut().zip(&COLUMNS) {
                if name.eq_ignore_ascii_case(own) {
                    *column = column_of(value, BYTES.contains(own)).ok_or(NO_DIGITS)?;
                }
            }
        }
        let [id, device, key, created, info, user, status, note] = &columns;
        found.take_row([id, device, key, created, info, user, status, note]).ok_or(TOO_MANY)?;
    }
    Ok(())
}

/// A text, or what its digits say, if they are some; a whole number as it is written; empty for
/// anything else.
fn column_of(value: Value<'_>, is_bytes: bool) -> Option<Vec<u8>> {
    let is_whole = |raw: &str| raw.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    let text = match value.text() {
        Some(text) => text,
        None if is_whole(value.raw()) => value.raw().into(),
        None => return Some(Vec::new()),
    };
    if is_bytes { hex(&text) } else { Some(text.into_owned().into()) }
}
