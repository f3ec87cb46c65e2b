//! What an owner keeps for each live connection, by the connection's place in the pool. As large
//! as the highest place in use, so bounded by the pool. C53.

use alloc::vec::Vec;

use crate::base::conn::Conn;

/// Values by connection. A handle whose connection is gone finds nothing, even after its place
/// went to another.
pub struct SlotTable<T>(Vec<Option<(Conn, T)>>);

impl<T> Default for SlotTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> SlotTable<T> {
    /// An empty one, without memory.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps `value` for `conn`, in the place of whoever was there before.
    pub fn insert(&mut self, conn: Conn, value: T) {
        let slot = conn.slot as usize;
        if self.0.len() <= slot {
            self.0.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.0.get_mut(slot) {
            *place = Some((conn, value));
        }
    }

    /// What is kept for `conn`.
    pub fn get(&self, conn: Conn) -> Option<&T> {
        let (tenant, value) = self.0.get(conn.slot as usize)?.as_ref()?;
        (*tenant == conn).then_some(value)
    }

    /// The same, to change in place.
    pub fn get_mut(&mut self, conn: Conn) -> Option<&mut T> {
        let (tenant, value) = self.0.get_mut(conn.slot as usize)?.as_mut()?;
        (*tenant == conn).then_some(value)
    }

    /// Keeps nothing for `conn` any more, and gives back what it did.
    pub fn remove(&mut self, conn: Conn) -> Option<T> {
        let place = self.0.get_mut(conn.slot as usize)?;
        place.take_if(|(tenant, _)| *tenant == conn).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_finds_its_own_connection_and_never_its_successor() {
        let mut table = SlotTable::new();
        let old = Conn { slot: 2, generation: 0 };
        let new = Conn { slot: 2, generation: 1 };
        let never = Conn { slot: 9, generation: 0 };
        table.insert(old, 'a');
        assert_eq!(table.get_mut(old).copied(), Some('a'));
        table.insert(new, 'b');
        assert_eq!(table.get_mut(old), None);
        assert_eq!(
            [old, never, new, new].map(|conn| table.remove(conn)),
            [None, None, Some('b'), None]
        );
    }
}
