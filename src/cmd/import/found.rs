//! What was found of one device, and whether it is enough for a record.

use core::fmt;
use core::net::IpAddr;
use std::borrow::Cow;

use hbb_core::base::peer::{DeviceId, PeerId, PeerKey, Record, RecordState};
use hbb_core::base::time::Utc;

/// One device of another server.
#[derive(Default)]
pub(super) struct Found<'a> {
    pub(super) id: &'a str,
    pub(super) device: Cow<'a, [u8]>,
    pub(super) key: Cow<'a, [u8]>,
    pub(super) created: &'a str,
    pub(super) address: Option<IpAddr>,
    /// A user, a status or a note, which have no place here.
    pub(super) has_more: bool,
}

/// What a device lacks to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    Id,
    Device,
    Key,
}

impl Found<'_> {
    pub(super) fn record(&self) -> Result<Record, Lack> {
        Ok(Record {
            id: PeerId::new(self.id).ok_or(Lack::Id)?,
            key: PeerKey::new(&self.key).ok_or(Lack::Key)?,
            device: DeviceId::new(&self.device).ok_or(Lack::Device)?,
            first_seen_secs: Utc::parse(self.created).map_or(0, |utc| utc.unix_secs),
            state: RecordState::Registered(self.address),
        })
    }
}

/// The address in upstream's `{"ip":"::ffff:192.0.2.1"}`.
pub(super) fn address_in(info: &str) -> Option<IpAddr> {
    let (_, value) = info.split_once("\"ip\"")?;
    let address: IpAddr = value.split('"').nth(1)?.parse().ok()?;
    Some(address.to_canonical()).filter(|address| !address.is_unspecified())
}

/// How many were left out, and why; for the end of a sentence.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    ids: usize,
    devices: usize,
    keys: usize,
    /// Of one id the last one counts.
    pub(super) twice: usize,
    /// Of devices that are taken: how many lose what has no place here.
    pub(super) more: usize,
}

impl LeftOut {
    pub(super) fn count(&mut self, lack: Lack) {
        *match lack {
            Lack::Id => &mut self.ids,
            Lack::Device => &mut self.devices,
            Lack::Key => &mut self.keys,
        } += 1;
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, why) in [
            (self.keys, "have no key yet and register again by themselves"),
            (self.devices, "have no uuid of 1 to 64 bytes"),
            (self.ids, "have an ID that is empty, too long or not printable"),
            (self.twice, "stand there twice"),
        ] {
            if count > 0 {
                write!(out, "; left out: {count} that {why}")?;
            }
        }
        if self.more > 0 {
            write!(out, "; left behind: user, status or note of {}, see MIGRATING.md", self.more)?;
        }
        Ok(())
    }
}
