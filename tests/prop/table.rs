//! The bounded table against a vector of entries, oldest first.

use hbb_core::base::table::{Seed, Table, TableFull};

use crate::chance::Chance;

/// Entries from oldest to newest: slow and plain.
struct Model {
    entries: Vec<(u16, u32)>,
    limit: usize,
}

impl Model {
    fn at(&self, key: u16) -> Option<usize> {
        self.entries.iter().position(|(other, _)| *other == key)
    }

    fn insert(&mut self, key: u16, value: u32) -> Result<(), TableFull> {
        let old = self.at(key).map(|at| self.entries.remove(at).1);
        if old.is_none() && self.entries.len() >= self.limit {
            return Err(TableFull);
        }
        self.entries.push((key, value));
        Ok(())
    }

    fn touch(&mut self, key: u16) {
        if let Some(at) = self.at(key) {
            let entry = self.entries.remove(at);
            self.entries.push(entry);
        }
    }

    fn pop_oldest(&mut self) -> Option<(u16, u32)> {
        (!self.entries.is_empty()).then(|| self.entries.remove(0))
    }
}

#[test]
fn does_what_a_list_does() {
    for seed in 0..30 {
        let mut chance = Chance::new(seed);
        let limit = chance.index(300);
        let mut table = Table::new(limit, Seed(chance.draw(), chance.draw()));
        let mut model = Model { entries: Vec::new(), limit };
        for step in 0..5_000 {
            let key = chance.u16() % 400;
            step_both(&mut table, &mut model, key, &mut chance);
            assert_eq!(table.len(), model.entries.len(), "seed {seed}, step {step}");
            assert_eq!(table.get(&key).copied(), model.at(key).map(|at| model.entries[at].1));
        }
        let entries: Vec<_> = table.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(entries, model.entries, "seed {seed}");
    }
}

/// Does one thing to both, and compares what they say to it.
fn step_both(table: &mut Table<u16, u32>, model: &mut Model, key: u16, chance: &mut Chance) {
    let value = chance.u32();
    match chance.below(6) {
        0 | 1 => assert_eq!(table.insert(key, value), model.insert(key, value)),
        2 => {
            let full = model.at(key).is_none() && model.entries.len() >= model.limit;
            let evicted = if full { model.pop_oldest() } else { None };
            let _ = model.insert(key, value);
            assert_eq!(table.evicted_by(&key).copied(), evicted.map(|(key, _)| key));
            table.insert_evicting(key, value);
        }
        3 => {
            model.touch(key);
            table.touch(&key);
        }
        4 => {
            let removed = model.at(key).map(|at| model.entries.remove(at).1);
            assert_eq!(table.remove(&key), removed);
        }
        _ => assert_eq!(table.pop_oldest(), model.pop_oldest()),
    }
}
