//! The places connections occupy: who gets one and who gives way is decided by `base/places/`;
//! here those wait who were promised one, and those learn of it who must go. C101.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use hbb_core::base::conn::Conn;
use hbb_core::base::limits::Limits;
use hbb_core::base::places::{Admission, Origin, PlaceRefused, Places, SlotTable};
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;

use crate::net::clock::Clock;
use crate::net::conn::link::bytes::{Account, ByteBudget, Purpose};
use crate::net::tasks::lasting;
use crate::net::tasks::queue::{Sender, bounded};

/// Hands out places; clones share them.
#[derive(Clone)]
pub(crate) struct Pool(&'static Shared);

struct Shared {
    clock: Clock,
    places: RefCell<Places>,
    bytes: ByteBudget,
    tenants: RefCell<SlotTable<Rc<Notice>>>,
    /// Those who wait for a place that was promised to them; each hears of one given back.
    promised: RefCell<VecDeque<Sender<Conn>>>,
}

/// Tells a connection that it must go.
#[derive(Default)]
struct Notice {
    given: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// One place, free again, for the next generation, when dropped.
pub(crate) struct Place {
    conn: Conn,
    /// Where its connection comes from, as far as that is known.
    ip: Cell<IpAddr>,
    notice: Rc<Notice>,
    pool: Pool,
}

impl Pool {
    /// A pool of as many places as these limits have; `seed` keys its tables.
    pub(crate) fn new(limits: &Limits, seed: Seed, clock: Clock) -> Self {
        let places = RefCell::new(Places::new(limits.connections, seed));
        let tenants = RefCell::new(SlotTable::new());
        let bytes = ByteBudget::default();
        bytes.grow(limits.shared_bytes());
        Self(lasting(Shared { clock, places, bytes, tenants, promised: RefCell::default() }))
    }

    /// Adds places, and memory, as these limits have them. None is ever taken away while we run:
    /// lower limits hold from the next start.
    pub(crate) fn grow(&self, limits: &Limits) {
        self.0.places.borrow_mut().grow(limits.connections);
        self.0.bytes.grow(limits.shared_bytes());
    }

    /// The memory that connections and sessions share.
    pub(crate) fn bytes(&self) -> ByteBudget {
        self.0.bytes.clone()
    }

    /// A place for a connection; None if there is none for it. It waits for as long as another
    /// takes to go.
    pub(crate) async fn place(&self, origin: Origin) -> Option<Place> {
        let admission = self.0.places.borrow_mut().admit(self.0.clock.now(), origin);
        let conn = match admission {
            Admission::Refused => return None,
            Admission::Now { conn, evicted } => {
                self.evict(evicted);
                conn
            }
            Admission::Instead(evicted) => {
                let (promise, freed) = bounded(1);
                self.0.promised.borrow_mut().push_back(promise);
                self.evict(Some(evicted));
                let conn = freed.recv().await?;
                self.0.places.borrow_mut().occupy(self.0.clock.now(), conn, origin);
                conn
            }
        };
        let notice = Rc::<Notice>::default();
        self.0.tenants.borrow_mut().insert(conn, Rc::clone(&notice));
        Some(Place { conn, ip: Cell::new(origin.ip), notice, pool: self.clone() })
    }

    /// Ties a connection to the key it showed.
    pub(crate) fn tie(&self, conn: Conn) {
        self.0.places.borrow_mut().tie(conn, false);
    }

    /// Ties a connection to the device that is present on it; `settled`: a day old.
    pub(crate) fn tie_device(&self, conn: Conn, settled: bool) {
        self.0.places.borrow_mut().tie(conn, settled);
    }

    /// Whether a connection is tied to either, or came from a known address.
    pub(crate) fn is_familiar(&self, conn: Conn) -> bool {
        self.0.places.borrow().is_familiar(conn)
    }

    /// Remembers an address as one of a known device, or of somebody who has the key.
    pub(crate) fn vouch(&self, now: Time, ip: IpAddr) {
        self.0.places.borrow_mut().vouch(now, ip);
    }

    fn evict(&self, conn: Option<Conn>) {
        let Some(conn) = conn else { return };
        if let Some(notice) = self.0.tenants.borrow_mut().get_mut(conn) {
            notice.given.set(true);
            if let Some(waker) = notice.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Place {
    /// The handle of the connection in here.
    pub(crate) const fn conn(&self) -> Conn {
        self.conn
    }

    /// Where the connection comes from: where its proxy is until that tells.
    pub(crate) const fn ip(&self) -> IpAddr {
        self.ip.get()
    }

    /// What its connection holds, for a purpose, of the memory that all share; as that of somebody
    /// where it comes from, or `unnamed`, of a proxy that has not told.
    pub(crate) fn account(&self, purpose: Purpose, unnamed: bool) -> Arc<Account> {
        self.pool.0.bytes.account(purpose, (!unnamed).then_some(self.ip()))
    }

    /// Whether the connection comes from an address that is known.
    pub(crate) fn is_known(&self) -> bool {
        let Shared { places, clock, .. } = self.pool.0;
        places.borrow().is_known(clock.now(), self.conn)
    }

    /// As [`Pool::is_familiar`].
    pub(crate) fn is_familiar(&self) -> bool {
        self.pool.is_familiar(self.conn)
    }

    /// Waits until somebody else shall have the place: the connection must end.
    pub(crate) async fn evicted(&self) {
        poll_fn(|context| {
            self.notice.waker.set(Some(context.waker().clone()));
            if self.notice.given.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The connection begins a session: nobody gets its place before it is given back.
    pub(crate) fn settle(&self) {
        self.notice.given.set(false);
        self.pool.0.places.borrow_mut().settle(self.conn);
    }

    /// A proxy told that the client is at `ip`, where it counts from now on.
    ///
    /// # Errors
    /// As [`Places::told`].
    pub(crate) fn told(&self, ip: IpAddr) -> Result<(), PlaceRefused> {
        self.ip.set(ip);
        let now = self.pool.0.clock.now();
        let evicted = self.pool.0.places.borrow_mut().told(now, self.conn, ip)?;
        self.pool.evict(evicted);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Shared { places, tenants, promised, .. } = self.pool.0;
        tenants.borrow_mut().remove(self.conn);
        let next = places.borrow_mut().release(self.conn);
        if let (Some(next), Some(promise)) = (next, promised.borrow_mut().pop_front()) {
            let _ = promise.try_send(next);
        }
    }
}
