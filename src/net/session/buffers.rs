//! Memory that the sessions of a thread which convert messages share. C68; checks: relay_bridge of
//! conformance.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Memory for messages; clones share it.
#[derive(Clone)]
pub struct MessageBuffers {
    /// Bytes that may still be gathered, of messages that must be whole before they go on.
    gather_left: Rc<Cell<usize>>,
    /// Converted bytes of one turn: one buffer for all, made for the first of them.
    scratch: Rc<RefCell<Vec<u8>>>,
}

impl MessageBuffers {
    /// Buffers of which gathered messages may take so many bytes together.
    pub fn new(gather_bytes: usize) -> Self {
        Self { gather_left: Rc::new(Cell::new(gather_bytes)), scratch: Rc::default() }
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

    /// How much this direction may hold.
    pub(super) fn limit(&self) -> usize {
        self.held + self.buffers.gather_left.get()
    }

    /// Says how much it holds now.
    pub(super) fn hold(&mut self, bytes: usize) {
        self.buffers.gather_left.set(self.limit().saturating_sub(bytes));
        self.held = bytes;
    }
}

impl Drop for GatherShare {
    fn drop(&mut self) {
        self.hold(0);
    }
}
