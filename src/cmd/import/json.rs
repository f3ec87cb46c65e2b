//! The rows of upstream's table as `sqlite3 -json` prints them: a list of objects. What is nested
//! in them is passed over.

use super::found::{COLUMNS, Found};
use crate::store::hex;
use hbb_core::base::json::Value;

/// The columns that are hexadecimal digits here.
const BYTES: [&str; 2] = ["uuid", "pk"];

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
            for (column, own) in columns.iter_mut().zip(COLUMNS) {
                if name.eq_ignore_ascii_case(own) {
                    *column = column_of(value, BYTES.contains(&own));
                }
            }
        }
        let [id, device, key, created, info, user, status, note] = &columns;
        found.take_row([id, device, key, created, info, user, status, note])?;
    }
    Ok(())
}

/// A text, or what its digits say; a number as it is written; empty for anything else.
fn column_of(value: Value<'_>, is_bytes: bool) -> Vec<u8> {
    let text = match value.text() {
        Some(text) => text,
        None if value.number().is_some() => value.raw().into(),
        None => return Vec::new(),
    };
    if is_bytes { hex(&text).unwrap_or_default() } else { text.into_owned().into() }
}
