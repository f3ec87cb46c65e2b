//! The rows of upstream's table as `sqlite3 -json` prints them: a list of objects. What is nested
//! in them is passed over.

use std::borrow::Cow;

use super::super::exit::Exit;
use super::found::{Found, address_in};
use crate::store::hex;
use hbb_core::base::json::Value;

/// Why reading ended early.
pub(super) enum Stop {
    /// No such JSON, at this byte.
    At(usize),
    /// Who was given the rows wants no more.
    Exit(Exit),
}

/// Gives `each` what every object says of a device.
pub(super) fn rows(
    text: &str,
    each: &mut dyn FnMut(Found<'_>) -> Result<(), Exit>,
) -> Result<(), Stop> {
    let rows = Value::parse(text).map_err(|wrong| Stop::At(wrong.at))?;
    for row in rows.items() {
        let [id, device, key, created, info, more @ ..] =
            super::COLUMNS.map(|name| column(row, name));
        let has_more = more.iter().any(|it| !matches!(&**it, "" | "0"));
        let [device, key] = [device, key].map(|text| hex(&text).unwrap_or_default().into());
        let address = address_in(&info);
        let found = Found { id: &id, device, key, created: &created, address, has_more };
        each(found).map_err(Stop::Exit)?;
    }
    Ok(())
}

/// A text; a number as it is written; empty for anything else.
fn column<'a>(row: Value<'a>, name: &str) -> Cow<'a, str> {
    let found = row.members().find(|(own, _)| own.eq_ignore_ascii_case(name));
    let text =
        found.and_then(|(_, value)| value.text().or(value.number().map(|_| value.raw().into())));
    text.unwrap_or_default()
}
