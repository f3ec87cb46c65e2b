//! What a file holds for us: the devices, how many were left out, and how they stand to the store
//! that is there.

use core::fmt;
use core::net::IpAddr;

use crate::store::{Error, Store};
use hbb_core::base::limits::PEERS_CEILING;
use hbb_core::base::peer::{DeviceId, PeerId, PeerKey, Record, RecordState};
use hbb_core::base::text::around;
use hbb_core::base::time::Utc;

/// What of upstream's table is read; of the last three no more than whether anything is there.
pub(super) const COLUMNS: [&str; 8] =
    ["id", "uuid", "pk", "created_at", "info", "user", "status", "note"];
/// The first of those three, which have no place here.
pub(super) const USER: usize = 5;
/// What is wrong with a file of more.
pub(super) const TOO_MANY: &str = "it holds more devices than one server has";
/// What became of those that were left out, by [`Lack`].
const LEFT_OUT: [&str; 4] = [
    "have no key yet and register again by themselves",
    "have no uuid of 1 to 64 bytes",
    "have an ID that is empty, too long or not printable",
    "stand there twice",
];

/// Why a device is left out.
#[derive(Clone, Copy)]
enum Lack {
    Key,
    Device,
    Id,
    /// Of one ID the last one counts.
    Twice,
}

/// The devices of another server.
#[derive(Default)]
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// Which of them are to be written, once they were compared with those that are there.
    pub(super) is_wanted: Vec<bool>,
    /// How many were left out, by [`Lack`].
    left_out: [usize; LEFT_OUT.len()],
    /// How many lose a user, a status or a note.
    left_behind: usize,
    /// Behind what was read more was written, and is not whole.
    pub(super) is_cut_short: bool,
    /// No log is beside it, and one may have been.
    pub(super) lacks_log: bool,
    pub(super) is_database: bool,
}

impl Found {
    /// Takes what stands in the columns of a row, if it is enough for a record; None as
    /// [`Self::take`].
    pub(super) fn take_row(&mut self, row: [&[u8]; COLUMNS.len()]) -> Option<()> {
        let [id, device, key, created, info, more @ ..] = row;
        let text = |bytes| core::str::from_utf8(bytes).unwrap_or_default();
        let Some(id) = PeerId::new(text(id)) else { return self.leave_out(Lack::Id, 1) };
        let Some(key) = PeerKey::new(key) else { return self.leave_out(Lack::Key, 1) };
        let Some(device) = DeviceId::new(device) else { return self.leave_out(Lack::Device, 1) };
        self.left_behind += usize::from(more.iter().any(|it| !matches!(*it, b"" | b"0")));
        let first_seen_secs = Utc::parse(text(created)).map_or(0, |utc| utc.unix_secs);
        let state = RecordState::Registered(address_in(text(info)));
        self.take(Record { id, device, key, first_seen_secs, state })
    }

    /// Takes a device; None if they are [`TOO_MANY`].
    pub(super) fn take(&mut self, record: Record) -> Option<()> {
        self.records.push(record);
        (self.records.len() <= PEERS_CEILING).then_some(())
    }

    fn leave_out(&mut self, lack: Lack, count: usize) -> Option<()> {
        *self.left_out.get_mut(lack as usize)? += count;
        Some(())
    }

    /// Marks those that are to be written: what the store lacks, and, if it is to be replaced, what
    /// is another there. Gives how many devices the store has; how many of those here are new, the
    /// same there, and others there. The store is read as needed: a router has no room for both.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn compare(
        &mut self,
        here: &mut Option<Box<dyn Store>>,
        replace: bool,
    ) -> Result<[usize; 4], Error> {
        let mut new = self.order();
        let [mut before, mut same, mut other] = [0; 3];
        let Self { records, is_wanted, .. } = self;
        let mut look = |own: Record| {
            before += 1;
            let up_to = records.partition_point(|it| it.id <= own.id);
            let Some(at) = up_to.checked_sub(1) else { return };
            if let (Some(it), Some(is_wanted)) = (records.get(at), is_wanted.get_mut(at))
                && it.id == own.id
            {
                // Who was forgotten is not here.
                let is_here = matches!(own.state, RecordState::Registered(_));
                let is_same = is_here && it.device == own.device && it.key == own.key;
                *if is_same { &mut same } else { &mut other } += 1;
                *is_wanted = replace && !is_same;
                new -= 1;
            }
        };
        if let Some(here) = here {
            here.load(&mut look)?;
        }
        Ok([before, new, same, other])
    }

    /// Puts them in the order of IDs, of each of which the last one is wanted; how many that are.
    /// Not a part of its caller: to sort takes 4 KiB of stack.
    #[inline(never)]
    fn order(&mut self) -> usize {
        self.records.sort_by(|one, other| one.id.cmp(&other.id));
        let id = |at: usize| self.records.get(at).map(|it| &it.id);
        for at in 0..self.records.len() {
            self.is_wanted.push(id(at) != id(at + 1));
        }
        let last = self.is_wanted.iter().filter(|is_last| **is_last).count();
        let _ = self.leave_out(Lack::Twice, self.records.len() - last);
        last
    }
}

/// The end of a sentence: who is left out, and why.
impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, why) in self.left_out.iter().zip(&LEFT_OUT).filter(|(count, _)| **count > 0) {
            write!(out, "; left out: {count} that {why}")?;
        }
        if self.left_behind > 0 {
            let count = self.left_behind;
            write!(out, "; left behind: user, status or note of {count}, see MIGRATING.md")?;
        }
        Ok(())
    }
}

/// The address in upstream's `{"ip":"::ffff:192.0.2.1"}`.
fn address_in(info: &str) -> Option<IpAddr> {
    let (_, value) = around(info, "\"ip\"")?;
    let (_, value) = value.split_once('"')?;
    let address: IpAddr = value.split('"').next()?.parse().ok()?;
    Some(address.to_canonical()).filter(|address| !address.is_unspecified())
}
