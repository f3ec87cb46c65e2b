//! A disk that remembers every write and sync, to show what a power cut would have left of it.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::chance::Chance;

/// One thing that was asked of the disk.
#[derive(Clone, Debug)]
enum Op {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
    Sync,
}

/// A disk in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    ops: Vec<Op>,
}

impl Disk {
    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { bytes, ops: Vec::new() })))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    /// How many operations there were so far.
    pub(crate) fn ops(&self) -> usize {
        self.0.lock().unwrap().ops.len()
    }

    /// How many of them were syncs.
    pub(crate) fn syncs(&self) -> usize {
        self.0.lock().unwrap().ops.iter().filter(|op| matches!(op, Op::Sync)).count()
    }

    fn ask(&self, op: Op) {
        let mut state = self.0.lock().unwrap();
        apply(&mut state.bytes, &op);
        state.ops.push(op);
    }

    /// What is on the disk if the power goes after operation `cut`, the disk having held `begin`
    /// before operation `first`: all up to the last sync, and of the later ones those that
    /// `chance` lets through.
    pub(crate) fn after_cut_from(
        &self,
        mut begin: Vec<u8>,
        (first, cut): (usize, usize),
        chance: &mut Chance,
    ) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let done = &state.ops[first..cut];
        let synced = done.iter().rposition(|op| matches!(op, Op::Sync)).map_or(0, |at| at + 1);
        // None, all, or some of what was not synced.
        let luck = chance.below(3);
        for (index, op) in done.iter().enumerate() {
            if index < synced || luck == 1 || (luck == 2 && chance.one_in(2)) {
                apply(&mut begin, op);
            }
        }
        begin
    }
}

fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { offset, data } => {
            // A write whose growing was lost finds no room; the file system drops it.
            if let Some(place) = bytes.get_mut(*offset..offset + data.len()) {
                place.copy_from_slice(data);
            }
        }
        Op::SetLen(len) => bytes.resize(*len, 0),
        Op::Sync => {}
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let from = state.bytes.get(offset..offset + out.len());
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.ask(Op::SetLen(usize::try_from(len).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.ask(Op::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.ask(Op::Write { offset, data: data.to_vec() });
        Ok(())
    }
}
