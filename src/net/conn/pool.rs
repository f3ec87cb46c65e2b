//! The places connections occupy: counted, handed out before accepting, given back on drop.

use smol::channel::{Receiver, Sender, unbounded};

use hbb_core::base::conn::Conn;

/// Hands out places; clones share them.
#[derive(Clone)]
pub(crate) struct Pool {
    free: Receiver<Conn>,
    back: Sender<Conn>,
}

/// One place, free again, for the next generation, when dropped.
pub(crate) struct Place {
    conn: Conn,
    back: Sender<Conn>,
}

impl Pool {
    /// A pool of `limit` places.
    pub(crate) fn new(limit: usize) -> Self {
        let (back, free) = unbounded();
        let pool = Self { free, back };
        pool.grow(0, limit);
        pool
    }

    /// Adds the places from `from` up to `to`. Places are never taken away while we run: a lower
    /// limit holds from the next start.
    pub(crate) fn grow(&self, from: usize, to: usize) {
        for slot in from..to {
            let Ok(slot) = u32::try_from(slot) else { return };
            let _ = self.back.try_send(Conn { slot, generation: 0 });
        }
    }

    /// A place, as soon as there is one.
    pub(crate) async fn place(&self) -> Option<Place> {
        let conn = self.free.recv().await.ok()?;
        Some(Place { conn, back: self.back.clone() })
    }
}

impl Place {
    /// The handle of the connection in here.
    pub(crate) const fn conn(&self) -> Conn {
        self.conn
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Conn { slot, generation } = self.conn;
        let next = Conn { slot, generation: generation.wrapping_add(1) };
        let _ = self.back.try_send(next);
    }
}
