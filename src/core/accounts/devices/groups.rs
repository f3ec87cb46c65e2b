//! In which group an operator put a device: one at most, by a name that users have for theirs, too.
//! What a device says of itself is no group. A row lies under `g` and the id. C217.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::accounts::call::Changes;
use crate::accounts::row::{RowWriter, fields};
use crate::base::limits::DEVICES_MAX;
use crate::base::peer::PeerId;
use crate::base::table::{Seed, Table};

/// What the keys of their rows begin with.
pub(in crate::accounts) const GROUP_KEY: u8 = b'g';

/// All of them, at most [`DEVICES_MAX`]; nobody gives way.
pub(in crate::accounts) struct Groups(Table<PeerId, Box<str>>);

impl Groups {
    pub(super) fn new(seed: Seed) -> Self {
        Self(Table::new(DEVICES_MAX, seed))
    }

    /// What a row says, also when a change is taken back; the key is without its first byte.
    pub(in crate::accounts) fn load(&mut self, id: &[u8], row: Option<&[u8]>) -> bool {
        let Some(id) = core::str::from_utf8(id).ok().and_then(PeerId::new) else { return false };
        let name = row.and_then(|row| fields(row).find(|(number, _)| *number == 1));
        let name = name.and_then(|(_, name)| core::str::from_utf8(name).ok());
        let is_read = name.is_some() == row.is_some();
        self.set(&id, name.unwrap_or_default()) && is_read
    }

    /// The group of a device; empty for none.
    pub(in crate::accounts) fn get(&self, id: &PeerId) -> &str {
        self.0.get(id).map_or("", |name| name)
    }

    pub(in crate::accounts) fn iter(&self) -> impl Iterator<Item = (&PeerId, &str)> {
        self.0.iter().map(|(id, name)| (id, &**name))
    }

    /// Puts a device into a group, out of the one it is in; into none, if that is empty. False if
    /// there are too many.
    pub(in crate::accounts) fn put(
        &mut self,
        id: &PeerId,
        name: &str,
        changes: &mut Changes,
    ) -> bool {
        let (before, now) = (row(self.get(id)), row(name));
        let done = self.set(id, name);
        if done && before != now {
            let key = [&[GROUP_KEY], id.as_str().as_bytes()].concat();
            changes.put(key, before, now);
        }
        done
    }

    fn set(&mut self, id: &PeerId, name: &str) -> bool {
        self.0.remove(id);
        name.is_empty() || self.0.insert(id.clone(), name.into()).is_ok()
    }
}

fn row(name: &str) -> Option<Vec<u8>> {
    let mut row = RowWriter::new();
    row.field(1, name.as_bytes());
    (!name.is_empty()).then(|| row.end())
}
