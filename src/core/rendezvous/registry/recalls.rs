//! Devices that were here over UDP when we stopped, and are to be asked once after the start to
//! register: nobody has to wait for their next heartbeat then. It must not know what they are
//! asked. C138.

use alloc::vec::Vec;

use crate::base::address::Endpoint;
use crate::base::limits::{RECALL_PAUSE_MS, RECALLS_MAX};
use crate::base::peer::PeerId;
use crate::base::time::Time;

/// Those that were not asked yet, at most [`RECALLS_MAX`].
#[derive(Default)]
pub(in crate::rendezvous) struct Recalls {
    waiting: Vec<(PeerId, Endpoint)>,
    /// When some may be asked again.
    due: Time,
}

impl Recalls {
    /// One more; dropped if there are too many: it will come by itself.
    pub(in crate::rendezvous) fn add(&mut self, id: PeerId, at: Endpoint) {
        if self.waiting.len() < RECALLS_MAX {
            self.waiting.push((id, at));
        }
    }

    /// When the next are due; None if none wait.
    pub(in crate::rendezvous) fn due(&self) -> Option<Time> {
        (!self.waiting.is_empty()).then_some(self.due)
    }

    /// Puts the others off for a moment.
    pub(in crate::rendezvous) fn pause(&mut self, now: Time) {
        self.due = now.after_ms(RECALL_PAUSE_MS);
    }

    /// Takes one out; with the last one goes the memory.
    pub(in crate::rendezvous) fn take(&mut self) -> Option<(PeerId, Endpoint)> {
        let taken = self.waiting.pop();
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        taken
    }
}
