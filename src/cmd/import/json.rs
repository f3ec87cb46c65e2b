//! The rows of upstream's table as `sqlite3 -json` prints them: a list of objects. What is nested
//! in them is passed over.

use std::borrow::Cow;

use super::super::exit::Exit;
use super::found::{Found, address_in};
use super::{COLUMNS, not_ours};
use crate::store::hex;
use hbb_core::base::json::Value;

/// Gives `each` what every object says of a device.
pub(super) fn rows(
    text: &str,
    each: &mut dyn FnMut(Found<'_>) -> Result<(), Exit>,
) -> Result<(), Exit> {
    let rows = Value::parse(text);
    let rows =
        rows.map_err(|wrong| not_ours(&format!("its JSON is wrong at byte {}", wrong.at)))?;
    for row in rows.items() {
        let mut columns: [Cow<'_, str>; COLUMNS.len()] = Default::default();
        for (name, value) in row.members() {
            let place = COLUMNS.iter().position(|own| name.eq_ignore_ascii_case(own));
            if let Some(column) = place.and_then(|place| columns.get_mut(place)) {
                *column = column_of(value);
            }
        }
        let [id, device, key, created, info, more @ ..] = &columns;
        let bytes = |text| hex(text).unwrap_or_default().into();
        each(Found {
            id,
            device: bytes(device),
            key: bytes(key),
            created,
            address: address_in(info),
            has_more: more.iter().any(|it| !matches!(&**it, "" | "0")),
        })?;
    }
    Ok(())
}

/// A text; a number as it is written; empty for anything else.
fn column_of(value: Value<'_>) -> Cow<'_, str> {
    value.text().or(value.number().map(|_| value.raw().into())).unwrap_or_default()
}
