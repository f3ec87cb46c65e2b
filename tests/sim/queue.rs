//! The virtual clock's agenda: what happens when. Equal times keep the order they were added in,
//! so a run repeats exactly. It must not know what an event means.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Events by virtual time, in milliseconds.
pub(crate) struct Queue<E> {
    entries: BinaryHeap<Entry<E>>,
    added: u64,
}

struct Entry<E> {
    at: u64,
    number: u64,
    event: E,
}

impl<E> Queue<E> {
    pub(crate) const fn new() -> Self {
        Self { entries: BinaryHeap::new(), added: 0 }
    }

    pub(crate) fn add(&mut self, at: u64, event: E) {
        self.added += 1;
        self.entries.push(Entry { at, number: self.added, event });
    }

    /// When the next event is due.
    pub(crate) fn next(&self) -> Option<u64> {
        self.entries.peek().map(|entry| entry.at)
    }

    /// The next event.
    pub(crate) fn pop(&mut self) -> Option<E> {
        self.entries.pop().map(|entry| entry.event)
    }
}

impl<E> Ord for Entry<E> {
    /// Earliest is greatest: the heap gives out its greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Entry<E> {}
