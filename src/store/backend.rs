//! What redb's reads, writes and syncs become: held back until the store is known to be ours,
//! passed on while it is open, and held back again when redb closes it. C14; the cuts of
//! tests/prop prove that no state it leaves is another than redb's own.

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redb::StorageBackend;

use crate::atomic::AtomicU64;

/// What happens to writes and syncs.
#[derive(Debug)]
enum Mode {
    /// Kept here in their order, for the store may turn out not to be ours. At most what redb
    /// mends at opening: a few pages.
    Held(Vec<Op>),
    /// Passed on but for syncs: nobody knows the file yet, and one sync will do for all.
    Draft,
    /// Passed on.
    Open,
}

#[derive(Debug)]
enum Op {
    Write { offset: u64, data: Vec<u8> },
    Sync,
}

/// A file as a backend, or another backend in tests, and what to do with what is asked of it.
#[derive(Debug)]
pub(super) struct Backend {
    below: Arc<dyn StorageBackend>,
    mode: Arc<Mutex<Mode>>,
}

/// Tells a [`Backend`] that redb has taken what to do next.
pub(super) struct BackendSwitch {
    below: Arc<dyn StorageBackend>,
    mode: Arc<Mutex<Mode>>,
    written: Arc<AtomicU64>,
}

impl Backend {
    /// Holds back what is written until [`BackendSwitch::release`].
    pub(super) fn held(below: impl StorageBackend) -> (Self, BackendSwitch) {
        Self::new(below, Mode::Held(Vec::new()))
    }

    /// Syncs nothing until [`BackendSwitch::release`].
    pub(super) fn draft(below: impl StorageBackend) -> (Self, BackendSwitch) {
        Self::new(below, Mode::Draft)
    }

    fn new(below: impl StorageBackend, mode: Mode) -> (Self, BackendSwitch) {
        let written = Arc::new(AtomicU64::new(0));
        let below = Arc::new(Counted { below, written: Arc::clone(&written) });
        let mode = Arc::new(Mutex::new(mode));
        let switch = BackendSwitch { below: below.clone(), mode: Arc::clone(&mode), written };
        (Self { below, mode }, switch)
    }
}

impl BackendSwitch {
    /// From now on all is passed on; what was held back is, and a draft is synced.
    ///
    /// # Errors
    /// The backend's own. Nothing more reaches it after one, as it would be out of order.
    pub(super) fn release(&self) -> io::Result<()> {
        let mut mode = lock(&self.mode);
        match mem::replace(&mut *mode, Mode::Held(Vec::new())) {
            Mode::Held(ops) => replay(&*self.below, ops)?,
            Mode::Draft => self.below.sync_data()?,
            Mode::Open => {}
        }
        *mode = Mode::Open;
        Ok(())
    }

    /// Counts the bytes that were passed on.
    pub(super) fn written(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }

    /// From now on nothing is passed on.
    pub(super) fn hold(&self) {
        let mut mode = lock(&self.mode);
        if !matches!(*mode, Mode::Held(_)) {
            *mode = Mode::Held(Vec::new());
        }
    }
}

fn lock(mode: &Mutex<Mode>) -> MutexGuard<'_, Mode> {
    mode.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opening writes the header twice, with a sync between. Nothing else hangs on the first.
fn hold(ops: &mut Vec<Op>, offset: u64, data: &[u8]) {
    if let [.., Op::Write { offset: at, data: earlier }, Op::Sync] = &**ops
        && (*at, earlier.len()) == (offset, data.len())
    {
        ops.truncate(ops.len().saturating_sub(2));
    }
    ops.push(Op::Write { offset, data: data.into() });
}

fn replay(below: &dyn StorageBackend, ops: Vec<Op>) -> io::Result<()> {
    ops.into_iter().try_for_each(|op| match op {
        Op::Write { offset, data } => below.write(offset, &data),
        Op::Sync => below.sync_data(),
    })
}

/// What `data`, written at `offset`, changes of `out`, which was read at `from`.
fn overlay((offset, data): (u64, &[u8]), from: u64, out: &mut [u8]) {
    let end = from.saturating_add(out.len() as u64);
    for (at, byte) in (offset..end).zip(data) {
        let place = at.checked_sub(from).and_then(|place| usize::try_from(place).ok());
        if let Some(place) = place.and_then(|place| out.get_mut(place)) {
            *place = *byte;
        }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.below.read(offset, out)?;
        if let Mode::Held(ops) = &*lock(&self.mode) {
            for op in ops {
                if let Op::Write { offset: at, data } = op {
                    overlay((*at, data), offset, out);
                }
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match *lock(&self.mode) {
            // Opening asks for no other length than the file has.
            Mode::Held(_) => Err(io::ErrorKind::InvalidData.into()),
            _ => self.below.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match &mut *lock(&self.mode) {
            Mode::Held(ops) => ops.push(Op::Sync),
            Mode::Draft => {}
            Mode::Open => return self.below.sync_data(),
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if let Mode::Held(ops) = &mut *lock(&self.mode) {
            hold(ops, offset, data);
            return Ok(());
        }
        self.below.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }
}

/// A backend, and how many bytes were written to it: flash wears out by them.
#[derive(Debug)]
struct Counted<B> {
    below: B,
    written: Arc<AtomicU64>,
}

impl<B: StorageBackend> StorageBackend for Counted<B> {
    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.below.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.below.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.below.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.written.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.below.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }
}

/// A file; who opens it locks it.
#[derive(Debug)]
pub(super) struct Plain(pub(super) File);

impl StorageBackend for Plain {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
