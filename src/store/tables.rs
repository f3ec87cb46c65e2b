//! What is in the file: a table of the devices, of where these were at the last stop, and of rows
//! that belong to no device. Earlier builds, and those without accounts, know nothing of the last
//! two and leave them as they are. All have texts as keys and bytes as values: redb's code for a
//! kind of table takes 12 KB. C138, C165; tests/prop/store.rs.

use ::redb::{ReadTransaction, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use super::Error;
use super::record::encode;
use hbb_core::base::peer::Change;

/// A kind of table.
type Definition = TableDefinition<'static, &'static str, &'static [u8]>;
/// What stands under a key from now on; None: nothing.
type Entry<'a> = (&'a str, Option<Vec<u8>>);

/// Devices by their ids.
pub(super) const PEERS: Definition = TableDefinition::new(PEERS_NAME);
/// The name of that.
pub(super) const PEERS_NAME: &str = "peers";
/// One text under the empty key, if nothing else keeps it.
const WHEREABOUTS: Definition = TableDefinition::new("whereabouts");
/// Rows of other owners.
#[cfg(feature = "accounts")]
pub(super) const ROWS: Definition = TableDefinition::new(ROWS_NAME);
/// The name of that.
#[cfg(feature = "accounts")]
pub(super) const ROWS_NAME: &str = "rows";

/// Keeps where devices are.
pub(super) fn keep_whereabouts(transaction: &WriteTransaction, text: &str) -> Result<(), Error> {
    put(transaction, WHEREABOUTS, vec![("", Some(text.into()))])
}

/// What was kept last; empty if nothing was.
pub(super) fn whereabouts(transaction: &ReadTransaction) -> Result<String, Error> {
    let mut kept = String::new();
    read(transaction, WHEREABOUTS, &mut |_, text| {
        kept = String::from_utf8(text.to_vec()).unwrap_or_default();
        true
    })?;
    Ok(kept)
}

/// What a batch changes.
pub(super) fn write(transaction: &WriteTransaction, batch: &[Change]) -> Result<(), Error> {
    let mut peers = Vec::with_capacity(batch.len());
    for change in batch {
        let (gone, here) = change.gone_and_here();
        peers.extend(gone.map(|id| (id.as_str(), None)));
        peers.extend(here.map(|record| (record.id.as_str(), Some(encode(record)))));
    }
    put(transaction, PEERS, peers)?;
    #[cfg(feature = "accounts")]
    {
        let mut rows = Vec::new();
        for row in batch.iter().flat_map(Change::rows) {
            let key = core::str::from_utf8(&row.key).map_err(|_| Error::Damaged)?;
            rows.push((key, row.value.clone()));
        }
        if !rows.is_empty() {
            put(transaction, ROWS, rows)?;
        }
    }
    Ok(())
}

/// Puts all of it there by key, as in any other order redb writes pages several times in one
/// commit: its cache is small. Of what has one key the last counts.
fn put(
    transaction: &WriteTransaction,
    table: Definition,
    mut entries: Vec<Entry<'_>>,
) -> Result<(), Error> {
    // Stable; the last of a key counts, so that the reverse leaves it first.
    entries.reverse();
    entries.sort_by_key(|(key, _)| *key);
    entries.dedup_by_key(|(key, _)| *key);
    let mut table = transaction.open_table(table)?;
    for (key, value) in entries {
        match value {
            Some(value) => drop(table.insert(key, value.as_slice())?),
            None => drop(table.remove(key)?),
        }
    }
    Ok(())
}

/// Gives all of a table, which need not be there, until `each` returns false.
pub(super) fn read(
    transaction: &ReadTransaction,
    table: Definition,
    each: &mut dyn FnMut(&str, &[u8]) -> bool,
) -> Result<(), Error> {
    let table = match transaction.open_table(table) {
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
