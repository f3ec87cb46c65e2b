//! The list of those who wait for an operator, the longest silent first: a share for each network
//! and for those whose address may be forged, whose own oldest gives way. C185.

use alloc::vec::Vec;

use crate::base::address::{Bans, Endpoint, Prefix};
use crate::base::limits::{WAITING_MAX, WAITING_PER_NETWORK, WAITING_UNPROVED};
use crate::base::peer::{PeerId, Record};
use crate::base::time::Time;

/// A device that waits.
pub(super) struct Waiter {
    /// What is stored of it, should it be approved.
    pub(super) record: Record,
    pub(super) from: Endpoint,
    pub(super) proved: bool,
    pub(super) since: Time,
    pub(super) seen: Time,
}

/// See the file's head. Two devices may wait for one id.
#[derive(Default)]
pub(in crate::rendezvous) struct Waiting(Vec<Waiter>);

impl Waiting {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.0.iter()
    }

    pub(in crate::rendezvous) fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes allocated.
    #[cfg(feature = "testing")]
    pub(in crate::rendezvous) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Waiter>()
    }

    /// Nobody waits any more.
    pub(in crate::rendezvous) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// Notes that a device asks again, perhaps from elsewhere; false if it does not wait yet.
    pub(super) fn again(&mut self, now: Time, record: &Record, from: Endpoint) -> bool {
        let same = |it: &Waiter| {
            let other = &it.record;
            other.id == record.id && other.key == record.key && other.device == record.device
        };
        let Some(at) = self.0.iter().position(same) else { return false };
        let waiter = self.0.remove(at);
        let record = Record { state: record.state, ..waiter.record };
        // What is proved is so of the address it was proved for.
        let proved = waiter.proved && waiter.from.prefix() == from.prefix();
        self.0.push(Waiter { record, from, proved, seen: now, ..waiter });
        true
    }

    /// Adds one. Who is above a share takes the place of the one of it that is silent longest.
    pub(super) fn add(&mut self, new: Waiter) {
        let network = |waiter: &Waiter| Prefix::of_network(waiter.from.ip());
        let own = network(&new);
        let unproved = |it: &Waiter| !it.proved;
        let gone = if self.0.iter().filter(|it| network(it) == own).count() >= WAITING_PER_NETWORK {
            self.0.iter().position(|it| network(it) == own)
        } else if !new.proved && self.0.iter().filter(|it| unproved(it)).count() >= WAITING_UNPROVED
        {
            self.0.iter().position(unproved)
        } else if self.0.len() >= WAITING_MAX {
            self.0.iter().position(unproved).or(Some(0))
        } else {
            None
        };
        if let Some(gone) = gone {
            self.0.remove(gone);
        }
        self.0.push(new);
    }

    /// Who is banned waits no more, as nothing that it asks is heard.
    pub(in crate::rendezvous) fn leave_out(&mut self, bans: &Bans) {
        self.0.retain(|it| !bans.has_id(&it.record.id) && !bans.has_ip(it.from.ip()));
    }

    /// Nobody waits for this id any more.
    pub(super) fn remove(&mut self, id: &PeerId) {
        self.0.retain(|waiter| waiter.record.id != *id);
    }
}
