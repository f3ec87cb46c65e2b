//! What the console tells of the past: who registered from where, and who asked for whom. Kept only
//! where there is a console, as it is memory that nobody else needs. It must not know how a line is
//! worded. C161.

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::base::limits::{
    CONSOLE_CHANGES_MS, CONSOLE_DIAL_MS, CONSOLE_DIALS_COMPARED, CONSOLE_DIALS_MAX,
    CONSOLE_SEEN_MAX, SOURCE_WINDOW_MS,
};
use crate::base::peer::PeerId;
use crate::base::table::{Seed, Table};
use crate::base::time::Time;

/// Bounded: the pair seen longest ago and the first dial give way.
pub(in crate::rendezvous) struct Journal {
    seen: Table<(IpAddr, PeerId), Seen>,
    dialled: Vec<Dialled>,
}

/// An id that asked to be registered from an address.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) last: Time,
    /// The minute that is counted began.
    since: Time,
    /// None once the console forgot its address.
    pub(super) in_minute: u32,
    /// How often, without a pause of [`CONSOLE_CHANGES_MS`]; none once the console forgot its id.
    pub(super) hits: u32,
}

impl Seen {
    /// How often within a minute.
    pub(super) const fn lately(&self, now: Time) -> u32 {
        if now.since_ms(self.since) < SOURCE_WINDOW_MS { self.in_minute } else { 0 }
    }
}

/// Somebody asked for a device.
pub(in crate::rendezvous) struct Dialled {
    pub(in crate::rendezvous) at: Time,
    pub(in crate::rendezvous) from: IpAddr,
    pub(in crate::rendezvous) target: PeerId,
    pub(in crate::rendezvous) target_ip: IpAddr,
}

impl Journal {
    pub(in crate::rendezvous) fn new(seed: Seed) -> Self {
        Self { seen: Table::new(CONSOLE_SEEN_MAX, seed), dialled: Vec::new() }
    }

    /// How much it holds: pairs, then dials.
    #[cfg(feature = "testing")]
    pub(in crate::rendezvous) fn len(&self) -> [usize; 2] {
        [self.seen.len(), self.dialled.len()]
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(in crate::rendezvous) fn bytes(&self) -> usize {
        self.seen.bytes() + self.dialled.capacity() * size_of::<Dialled>()
    }

    /// A device asked to be registered.
    pub(in crate::rendezvous) fn registers(&mut self, now: Time, ip: IpAddr, id: &PeerId) {
        let pair = (ip, id.clone());
        let before = self.seen.get(&pair).copied();
        let mut seen = before.unwrap_or(Seen { last: now, since: now, in_minute: 0, hits: 0 });
        if now.since_ms(seen.since) >= SOURCE_WINDOW_MS {
            (seen.since, seen.in_minute) = (now, 0);
        }
        if now.since_ms(seen.last) >= CONSOLE_CHANGES_MS {
            seen.hits = 0;
        }
        seen.last = now;
        seen.in_minute = seen.in_minute.saturating_add(1);
        seen.hits = seen.hits.saturating_add(1);
        self.seen.insert_evicting(pair, seen);
    }

    /// Somebody may ask for a device; who asked a minute ago is there already.
    pub(in crate::rendezvous) fn dials(&mut self, dialled: Dialled) {
        let first = self.dialled.len().saturating_sub(CONSOLE_DIALS_COMPARED);
        let is_there = self.dialled.get(first..).unwrap_or_default().iter().any(|it| {
            it.from == dialled.from
                && it.target == dialled.target
                && dialled.at.since_ms(it.at) < CONSOLE_DIAL_MS
        });
        if is_there {
            return;
        }
        if self.dialled.len() == CONSOLE_DIALS_MAX {
            self.dialled.remove(0);
        }
        self.dialled.push(dialled);
    }

    /// Those who asked, the first first.
    pub(super) fn dialled(&self) -> &[Dialled] {
        &self.dialled
    }

    pub(super) fn forget_dialled(&mut self) {
        self.dialled.clear();
    }

    /// Which ids asked from which addresses in the last `ms` milliseconds.
    pub(super) fn rows(&self, now: Time, ms: u64) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        for ((ip, id), seen) in self.seen.iter() {
            if now.since_ms(seen.last) < ms {
                rows.push(Row { ip: *ip, id, seen });
            }
        }
        rows
    }

    /// Changes what is known of those of which this is so.
    pub(super) fn forget(
        &mut self,
        is_meant: &dyn Fn(IpAddr, &PeerId) -> bool,
        forget: fn(&mut Seen),
    ) {
        self.seen.each_mut(|(ip, id), seen| {
            if is_meant(*ip, id) {
                forget(seen);
            }
        });
    }
}

/// An id and an address.
pub(super) struct Row<'a> {
    pub(super) ip: IpAddr,
    pub(super) id: &'a PeerId,
    pub(super) seen: &'a Seen,
}
