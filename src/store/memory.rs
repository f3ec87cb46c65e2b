//! The reference: what the others must do, in a map. Tests run one script against all.

use std::collections::BTreeMap;

use super::{Error, Store};
use hbb_core::base::peer::{Change, PeerId, Record};

/// A store that lives as long as the process.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    records: BTreeMap<PeerId, Record>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    whereabouts: String,
}

impl Store for Memory {
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> Result<(), Error> {
        self.records.values().cloned().for_each(each);
        Ok(())
    }

    fn commit(&mut self, batch: &[Change]) -> Result<(), Error> {
        for change in batch {
            let (gone, here) = change.gone_and_here();
            if let Some(id) = gone {
                self.records.remove(id);
            }
            if let Some(record) = here {
                self.records.insert(record.id.clone(), record.clone());
            }
            for row in change.rows() {
                match &row.value {
                    Some(value) => drop(self.rows.insert(row.key.clone(), value.clone())),
                    None => drop(self.rows.remove(&row.key)),
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, batch: &[Change], whereabouts: &str) -> Result<(), Error> {
        if !whereabouts.is_empty() {
            self.whereabouts = whereabouts.into();
        }
        self.commit(batch)
    }

    fn whereabouts(&mut self) -> Result<String, Error> {
        Ok(self.whereabouts.clone())
    }

    fn rows(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Error> {
        self.rows.iter().for_each(|(key, value)| each(key, value));
        Ok(())
    }
}
