//! Which entries are kept, and who gives way to whom: strangers to strangers, what was refused to
//! what was refused, and of each kind those networks first that hold more than a quarter. C188.

use crate::base::address::Prefix;
use crate::base::table::{Seed, Table};

use super::entry::{Entry, Outcome};

/// The kinds: of those who are trusted, of others who were served, of others who were not.
pub(super) const KINDS: usize = 3;
/// What each has of all places, in quarters.
const QUARTERS: [usize; KINDS] = [2, 1, 1];
/// As `Prefix::class` tells them.
pub(super) const CLASSES: usize = 256;

/// All entries but those whose session runs.
pub(super) struct Rings([Ring; KINDS]);

/// Those of one kind, by number, the oldest first.
struct Ring {
    entries: Table<u64, Entry>,
    /// How many there are of the networks in each class.
    networks: [u16; CLASSES],
}

impl Rings {
    /// Room for `limit` entries.
    pub(super) fn new(limit: usize, seed: Seed) -> Self {
        let ring = |quarters| Ring {
            entries: Table::new(limit / 4 * quarters, seed),
            networks: [0; CLASSES],
        };
        let [trusted, served, refused] = QUARTERS;
        Self([ring(trusted), ring(served), ring(refused)])
    }

    /// Entries held.
    #[cfg(feature = "testing")]
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|ring| ring.entries.len()).sum()
    }

    /// Adds one, in the place of another if need be.
    pub(super) fn add(&mut self, entry: Entry) {
        if let Some(ring) = self.0.get_mut(kind(&entry)) {
            ring.add(entry);
        }
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        self.0.iter_mut().find_map(|ring| ring.entries.get_mut(&number))
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, number: u64) -> Option<Entry> {
        self.0.iter_mut().find_map(|ring| ring.remove(number))
    }

    /// Gives all of them, in no order.
    pub(super) fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Entry)) {
        for ring in &self.0 {
            ring.entries.iter().for_each(|(_, entry)| see(entry));
        }
    }
}

/// Which ring an entry belongs to.
pub(super) const fn kind(entry: &Entry) -> usize {
    match (entry.trusted, entry.outcome) {
        (true, _) => 0,
        (false, Outcome::Offline | Outcome::UnknownId | Outcome::Refused(_)) => 2,
        (false, _) => 1,
    }
}

/// Whose share an entry counts for: that of who asked, and where nobody did, as one connection is
/// told of by a device alone, that of the device.
pub(super) fn class(entry: &Entry) -> usize {
    let at = entry.target_at.filter(|_| entry.outcome == Outcome::Reported);
    Prefix::of_network(at.unwrap_or(entry.from.ip())).class()
}

impl Ring {
    fn add(&mut self, entry: Entry) {
        if self.entries.is_full() {
            self.make_room();
        }
        self.count(class(&entry), 1);
        self.entries.insert_evicting(entry.number, entry);
    }

    /// Takes out the oldest of a class that holds more than its share, or the oldest of all.
    fn make_room(&mut self) {
        let share = self.entries.limit() / 4;
        let is_greedy = |held: &u16| usize::from(*held) > share;
        let mut gone = None;
        if self.networks.iter().any(is_greedy) {
            let greedy = |entry: &Entry| self.networks.get(class(entry)).is_some_and(is_greedy);
            gone = self.entries.iter().find(|(_, entry)| greedy(entry)).map(|(number, _)| *number);
        }
        let gone = gone.or_else(|| self.entries.oldest().map(|(number, _)| *number));
        gone.and_then(|number| self.remove(number));
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.count(class(&entry), -1);
        Some(entry)
    }

    fn count(&mut self, class: usize, by: i16) {
        if let Some(held) = self.networks.get_mut(class) {
            *held = held.saturating_add_signed(by);
        }
    }
}
