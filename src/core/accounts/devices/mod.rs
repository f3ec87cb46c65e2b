//! What devices tell of themselves, who is connected to them, and which of that is stored: what
//! changed, once an hour at most. Only a device that proved itself is heard; who that is, whoever
//! gives the call says. C192, C193.

mod audit;
mod calls;
mod groups;
mod lists;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use super::row::{Row, row};
use crate::base::limits::{
    DEVICE_END_MS, DEVICE_ROWS_PER_SAVE, DEVICE_TEXT_BYTES_MAX, DEVICES_MAX, DEVICES_SAVE_MS,
    DEVICES_SETTLE_MS,
};
use crate::base::peer::PeerId;
use crate::base::rows::RowChange;
use crate::base::table::{Seed, Table};
use crate::base::time::Time;
use crate::journal::Audit;

pub use calls::claim;
pub(super) use groups::{GROUP_KEY, Groups};
pub(super) use lists::Sight;

/// What the keys of devices begin with.
pub(super) const DEVICE_KEY: u8 = b'd';

/// What a device tells of itself; each text is of so many bytes at most, and may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its name in its network.
    pub name: Box<str>,
    /// Its system: `Linux / Debian 13`.
    pub system: Box<str>,
    /// Who sits there.
    pub user: Box<str>,
    /// The client's version.
    pub version: Box<str>,
    /// The group that an operator put it in, else what its installer was given.
    pub group: Box<str>,
    /// The user who logged in there last.
    pub login: Box<str>,
}

/// A device as an operator sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceRow {
    /// What it told.
    pub info: DeviceInfo,
    /// How many are connected to it, by its last word.
    pub connections: usize,
}

#[derive(Default)]
struct Device {
    info: DeviceInfo,
    /// Whether it told anything since the start, or before.
    is_told: bool,
    /// Whether the store has something else.
    is_changed: bool,
    /// The connections to it, as it counts them.
    conns: Vec<i64>,
    /// An operator wants them ended; until then.
    ends: Option<Time>,
}

/// All of them, the one that was silent longest first.
pub(super) struct Devices {
    table: Table<PeerId, Device>,
    /// Where an operator put them.
    pub(super) groups: Groups,
    /// Rows of those that gave way or were forgotten.
    gone: Vec<PeerId>,
    /// What is on its way to the store.
    saving: Vec<PeerId>,
    /// When the store was last given something.
    saved: Option<Time>,
    /// Sums of what devices reported of late, the oldest first.
    told: Vec<u64>,
    /// What a device reported last, for the log of connections.
    audit: Option<(PeerId, Audit)>,
}

impl Devices {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            table: Table::new(DEVICES_MAX, seed),
            groups: Groups::new(),
            gone: Vec::new(),
            saving: Vec::new(),
            saved: None,
            told: Vec::new(),
            audit: None,
        }
    }

    /// Takes in a row at the start; false for one that says nothing.
    pub(super) fn load(&mut self, id: &str, value: Option<&[u8]>) -> bool {
        let (Some(id), Some(row)) = (PeerId::new(id), value) else { return false };
        let text = |number| cut(Row(row).text(number));
        let info = DeviceInfo {
            name: text(1),
            system: text(2),
            user: text(3),
            version: text(4),
            group: text(5),
            login: text(6),
        };
        let device = Device { info, is_told: true, ..Device::default() };
        self.table.insert(id, device).is_ok()
    }

    /// A device has another id now, or an operator had it forgotten.
    pub(super) fn moved(&mut self, from: &PeerId, to: Option<&PeerId>) {
        let Some(device) = self.table.remove(from) else { return };
        self.gone.push(from.clone());
        if let Some(it) = to.and_then(|to| self.heard(to)) {
            *it = Device { is_changed: true, ..device };
        }
    }

    /// An operator wants everybody off this device: it is told with its next word. False if
    /// nobody is known to be connected to it.
    pub(super) fn end_connections(&mut self, now: Time, id: &PeerId) -> bool {
        let Some(device) = self.table.get_mut(id).filter(|it| !it.conns.is_empty()) else {
            return false;
        };
        device.ends = Some(now.after_ms(DEVICE_END_MS));
        true
    }

    /// What is known of a device.
    pub(super) fn row(&self, id: &PeerId) -> Option<DeviceRow> {
        let (device, group) = (self.table.get(id), self.groups.get(id.as_str()));
        if device.is_none() && group.is_empty() {
            return None;
        }
        let mut info = device.map(|device| device.info.clone()).unwrap_or_default();
        if !group.is_empty() {
            info.group = group.into();
        }
        Some(DeviceRow { info, connections: device.map_or(0, |device| device.conns.len()) })
    }

    /// Somebody logs in there, or is logged in.
    pub(super) fn note_login(&mut self, id: &PeerId, user: &str) {
        if let Some(device) = self.heard(id) {
            device.is_changed |= *device.info.login != *user;
            device.info.login = cut(user);
        }
    }

    pub(super) fn take_audit(&mut self) -> Option<(PeerId, Audit)> {
        self.audit.take()
    }

    /// The device whose word comes in, which is the newest now.
    fn heard(&mut self, id: &PeerId) -> Option<&mut Device> {
        let device = self.table.remove(id).unwrap_or_default();
        let gone = self.table.evicted_by(id).filter(|_| self.gone.len() < DEVICES_MAX);
        self.gone.extend(gone.cloned());
        self.table.insert_evicting(id.clone(), device);
        self.table.get_mut(id)
    }

    /// What is to be stored now, if it is time: an hour after the last time, and a while after the
    /// first word.
    pub(super) fn rows(&mut self, now: Time) -> Vec<RowChange> {
        let due = match self.saved {
            None => Time::START.after_ms(DEVICES_SETTLE_MS),
            Some(saved) => saved.after_ms(DEVICES_SAVE_MS),
        };
        if now < due || !self.saving.is_empty() {
            return Vec::new();
        }
        let (mut changed, mut rows) = (Vec::new(), Vec::new());
        let is_changed = self.table.iter().filter(|(_, device)| device.is_changed);
        is_changed.take(DEVICE_ROWS_PER_SAVE).for_each(|(id, _)| changed.push(id.clone()));
        for id in mem::take(&mut self.gone) {
            if self.table.get(&id).is_none() {
                rows.push(RowChange { key: key(&id), value: None });
            }
        }
        for id in &changed {
            if let Some(device) = self.table.get_mut(id) {
                device.is_changed = false;
                rows.push(RowChange { key: key(id), value: Some(device.info.row()) });
            }
        }
        if !rows.is_empty() {
            self.saved = Some(now);
            self.saving = changed;
        }
        rows
    }

    /// The store is done with them: what it did not take is tried again an hour later.
    pub(super) fn stored(&mut self, is_durable: bool) {
        for id in mem::take(&mut self.saving) {
            if let Some(device) = self.table.get_mut(&id).filter(|_| !is_durable) {
                device.is_changed = true;
            }
        }
    }
}

impl DeviceInfo {
    fn row(&self) -> Vec<u8> {
        row(&[
            (1, self.name.as_bytes()),
            (2, self.system.as_bytes()),
            (3, self.user.as_bytes()),
            (4, self.version.as_bytes()),
            (5, self.group.as_bytes()),
            (6, self.login.as_bytes()),
        ])
    }
}

fn key(id: &PeerId) -> Vec<u8> {
    [&[DEVICE_KEY], id.as_str().as_bytes()].concat()
}

/// As much of a text as is kept, without what nobody sees.
fn cut(text: &str) -> Box<str> {
    let mut kept = String::new();
    for c in text.chars().filter(|c| !crate::base::text::is_invisible(*c)) {
        if kept.len() + c.len_utf8() > DEVICE_TEXT_BYTES_MAX {
            break;
        }
        kept.push(c);
    }
    kept.into()
}
