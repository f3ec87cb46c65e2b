//! The tables beside that of the devices: where these were at the last stop, and rows that belong
//! to no device. Earlier builds, and those without accounts, know nothing of them and leave them as
//! they are. C138, C165; tests/prop/store.rs.

#[cfg(feature = "accounts")]
use ::redb::ReadableTable as _;
use ::redb::{ReadTransaction, TableDefinition, TableError, WriteTransaction};

use super::Error;
#[cfg(feature = "accounts")]
use hbb_core::base::peer::Change;
#[cfg(feature = "accounts")]
use hbb_core::base::rows::RowChange;

/// One text under the empty key, if nothing else keeps it.
const WHEREABOUTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("whereabouts");

/// Keeps where devices are.
pub(super) fn keep_whereabouts(transaction: &WriteTransaction, text: &str) -> Result<(), Error> {
    transaction.open_table(WHEREABOUTS)?.insert("", text.as_bytes())?;
    Ok(())
}

/// What was kept last; empty if nothing was.
pub(super) fn whereabouts(transaction: &ReadTransaction) -> Result<String, Error> {
    let table = match transaction.open_table(WHEREABOUTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(String::new()),
        table => table?,
    };
    let kept = table.get("")?.map(|kept| kept.value().to_vec());
    Ok(String::from_utf8(kept.unwrap_or_default()).unwrap_or_default())
}

#[cfg(feature = "accounts")]
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(ROWS_NAME);
/// The name of the table of rows.
#[cfg(feature = "accounts")]
pub(super) const ROWS_NAME: &str = "accounts";

/// What a batch changes of them, in the order of their keys, as for devices.
#[cfg(feature = "accounts")]
pub(super) fn write(transaction: &WriteTransaction, batch: &[Change]) -> Result<(), Error> {
    let rows = batch.iter().flat_map(Change::rows);
    let mut rows: Vec<&RowChange> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    // Stable; the last of a key counts, so that the reverse leaves it first.
    rows.reverse();
    rows.sort_by_key(|row| &row.key);
    rows.dedup_by_key(|row| &row.key);
    let mut table = transaction.open_table(ROWS)?;
    for RowChange { key, value } in rows {
        match value {
            Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
            None => drop(table.remove(key.as_slice())?),
        }
    }
    Ok(())
}

/// Gives all of them, until `each` returns false.
#[cfg(feature = "accounts")]
pub(super) fn read(
    transaction: &ReadTransaction,
    each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), Error> {
    let table = match transaction.open_table(ROWS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    for entry in table.iter()? {
        let (key, value) = entry?;
        if !each(key.value(), value.value()) {
            break;
        }
    }
    Ok(())
}
