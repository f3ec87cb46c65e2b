//! In which group an operator put a device: one at most, by a name that users have for theirs, too.
//! What a device says of itself is no group. A row lies under `g` and the id. C217.

use crate::accounts::call::Changes;
use crate::accounts::row::{Row, Rows, row};
use crate::base::limits::DEVICES_MAX;
use crate::base::peer::PeerId;

/// What the keys of their rows begin with.
pub(in crate::accounts) const GROUP_KEY: u8 = b'g';
/// The field of the group's name.
const NAME: u8 = 1;

/// All of them, at most [`DEVICES_MAX`]; nobody gives way.
pub(in crate::accounts) struct Groups(Rows);

impl Groups {
    pub(super) const fn new() -> Self {
        Self(Rows::new(GROUP_KEY, DEVICES_MAX))
    }

    /// What a row says, also when a change is taken back; the key is without its first byte.
    pub(in crate::accounts) fn load(&mut self, id: &str, row: Option<&[u8]>) -> bool {
        let is_read = row.is_none_or(|row| !Row(row).text(NAME).is_empty());
        is_read && PeerId::new(id).is_some() && self.0.set(id, row.map(Into::into))
    }

    /// The group of a device; empty for none.
    pub(in crate::accounts) fn get(&self, id: &str) -> &str {
        self.0.get(id).map_or("", |row| row.text(NAME))
    }

    pub(in crate::accounts) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(id, row)| (id, row.text(NAME)))
    }

    /// Puts a device into a group, out of the one it is in; into none, if that is empty. False if
    /// there are too many.
    pub(in crate::accounts) fn put(
        &mut self,
        id: &PeerId,
        name: &str,
        changes: &mut Changes,
    ) -> bool {
        let row = (!name.is_empty()).then(|| row(&[(NAME, name.as_bytes())]));
        self.0.put(id.as_str(), row, changes)
    }
}
