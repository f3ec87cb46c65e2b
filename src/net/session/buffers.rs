//! Memory that the sessions of a thread which convert messages share. C68, C108; checks:
//! relay_bridge and bytes of conformance.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hbb_core::base::limits::GATHERED_PARTS;

/// Memory for messages; clones share it.
#[derive(Clone)]
pub struct MessageBuffers {
    /// Bytes that may still be gathered, of messages that must be whole before they go on.
    gather_left: Rc<Cell<usize>>,
    /// And how many of them by one direction.
    gather_max: usize,
    /// Converted bytes of one turn: one buffer for all, made for the first of them.
    scratch: Rc<RefCell<Vec<u8>>>,
}

impl MessageBuffers {
    /// Buffers of which gathered messages may take so many bytes together.
    pub fn new(gather_bytes: usize) -> Self {
        let gather_left = Rc::new(Cell::new(gather_bytes));
        Self { gather_left, gather_max: gather_bytes / GATHERED_PARTS, scratch: Rc::default() }
    }

    pub(super) fn scratch(&self) -> Rc<RefCell<Vec<u8>>> {
        Rc::clone(&self.scratch)
    }

    /// A share that holds nothing yet.
    pub(super) fn share(&self) -> GatherShare {
        GatherShare { buffers: self.clone(), held: 0 }
    }
}

/// What one direction holds of the memory for gathered messages, until it is dropped.
pub(super) struct GatherShare {
    buffers: MessageBuffers,
    held: usize,
}

impl GatherShare {
    pub(super) const fn buffers(&self) -> &MessageBuffers {
        &self.buffers
    }

    /// How much this direction may hold: what it holds and what is left, up to its part.
    pub(super) fn limit(&self) -> usize {
        self.room().min(self.buffers.gather_max)
    }

    fn room(&self) -> usize {
        self.held + self.buffers.gather_left.get()
    }

    /// Says how much it holds now.
    pub(super) fn hold(&mut self, bytes: usize) {
        self.buffers.gather_left.set(self.room().saturating_sub(bytes));
        self.held = bytes;
    }
}

impl Drop for GatherShare {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c108_a_direction_holds_its_part_at_most_and_gives_it_back() {
        let buffers = MessageBuffers::new(100);
        let mut shares: Vec<_> = (0..=GATHERED_PARTS).map(|_| buffers.share()).collect();
        let [last, others @ ..] = shares.as_mut_slice() else { panic!() };
        for share in others {
            assert_eq!(share.limit(), 100 / GATHERED_PARTS);
            share.hold(20);
        }
        assert_eq!(last.limit(), 100 - 20 * GATHERED_PARTS);
        last.hold(15);
        assert_eq!(last.limit(), 100 - 20 * GATHERED_PARTS, "what it holds counts as its own");
        drop(shares);
        assert_eq!(buffers.gather_left.get(), 100);
    }
}
