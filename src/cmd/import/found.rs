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
    /// Takes what stands in the columns of a row, if it is enough for a record.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub(super) fn take_row(&mut self, row: [&[u8]; COLUMNS.len()]) -> Result<(), &'static str> {
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

    /// Takes a device.
    ///
    /// # Errors
    /// There are more than a server ever has.
    pub(super) fn take(&mut self, record: Record) -> Result<(), &'static str> {
        self.records.push(record);
        if self.records.len() > PEERS_CEILING {
            return Err("it holds more devices than one server has");
        }
        Ok(())
    }

    fn leave_out(&mut self, lack: Lack, count: usize) -> Result<(), &'static str> {
        if let Some(left_out) = self.left_out.get_mut(lack as usize) {
            *left_out += count;
        }
        Ok(())
    }

    /// Keeps those that are to be written: what the store lacks, and, if it is to be replaced, what
    /// is another there. Gives how many devices the store has; how many of those here are new, the
    /// same there, and others there. The store is read as needed: a router has no room for both.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn compare(
        &mut self,
        here: Option<&dyn Store>,
        replace: bool,
    ) -> Result<[usize; 4], Error> {
        self.order();
        let [mut before, mut same, mut other] = [0; 3];
        let mut is_wanted = vec![true; self.records.len()];
        let mut look = |own: Record| {
            before += 1;
            let at = self.records.partition_point(|it| it.id < own.id);
            if let (Some(it), Some(is_wanted)) = (self.records.get(at), is_wanted.get_mut(at))
                && it.id == own.id
            {
                // Who was forgotten is not here.
                let is_here = matches!(own.state, RecordState::Registered(_));
                let is_same = is_here && it.device == own.device && it.key == own.key;
                *if is_same { &mut same } else { &mut other } += 1;
                *is_wanted = replace && !is_same;
            }
            true
        };
        if let Some(reader) = here.and_then(Store::reader) {
            reader.read(&mut look)?;
        }
        let new = is_wanted.len() - same - other;
        let mut is_wanted = is_wanted.into_iter();
        self.records.retain(|_| is_wanted.next() == Some(true));
        Ok([before, new, same, other])
    }

    /// Puts them in the order of IDs, each of which is there once then.
    fn order(&mut self) {
        let all = self.records.len();
        self.records.reverse();
        self.records.sort_by(|one, other| one.id.cmp(&other.id));
        self.records.dedup_by(|earlier, kept| earlier.id == kept.id);
        let _ = self.leave_out(Lack::Twice, all - self.records.len());
    }
}

/// The end of a sentence: who is left out, and why.
impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, why) in self.left_out.iter().zip(LEFT_OUT).filter(|(count, _)| **count > 0) {
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
    let address: IpAddr = value.split('"').nth(1)?.parse().ok()?;
    Some(address.to_canonical()).filter(|address| !address.is_unspecified())
}
