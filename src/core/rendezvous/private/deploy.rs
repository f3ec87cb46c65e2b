//! A device that shows a code, or an administrator's token, as it is deployed (`rustdesk --deploy`,
//! protocol §9.5). C187.

use alloc::string::String;
use core::net::IpAddr;

use ct_codecs::{Base64, Decoder as _};

use crate::base::address::Endpoint;
use crate::base::json::Value;
use crate::base::limits::DEVICE_ID_BYTES_MAX;
use crate::base::peer::{DeviceId, PeerId, PeerKey, Record, RecordState};
use crate::base::time::Time;
use crate::rendezvous::registry::Contact;
use crate::rendezvous::registry::kept::Right;
use crate::rendezvous::{Effects, Rendezvous};

use super::Approval;

const HOUR_MS: u64 = 3_600_000;

/// A device as it asks to be deployed.
#[derive(Clone, Copy, Debug)]
pub struct Deployment<'a> {
    /// Where it is.
    pub from: IpAddr,
    /// What it shows.
    pub code: &'a str,
    /// An administrator showed a token instead, which is good.
    pub is_admin: bool,
    /// What it says of itself, in JSON.
    pub body: &'a [u8],
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deployed {
    /// It is on its way to disk; `PeerApproved` or `SaveFailed` of this id follows.
    Saving(PeerId),
    /// It is known already.
    Known,
    /// Devices need not be approved here.
    NotEnabled,
    /// An id, a device id and a key are what it must say.
    InvalidInput,
    /// The id is another's.
    IdTaken,
    /// The code is none, or over, or used up.
    WrongCode,
    /// There is no room, or the store has too much to do.
    Busy,
}

/// What became of a wish for a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invited {
    /// The code.
    Code(String),
    /// Devices need not be approved here.
    NotEnabled,
    /// There are as many codes as may be.
    Full,
}

impl Rendezvous {
    /// A code that lets one device in within so many hours.
    pub fn invite(&mut self, now: Time, hours: u16) -> Invited {
        if !self.policy.private {
            return Invited::NotEnabled;
        }
        let until = now.after_ms(u64::from(hours) * HOUR_MS);
        let code = self.invites.draw(now, until, &mut self.nonces);
        code.map_or(Invited::Full, Invited::Code)
    }

    /// A device asks to be approved by what it shows. A code is used up when the device is on its
    /// way to disk.
    pub fn deploy(&mut self, now: Time, wish: &Deployment<'_>, effects: &mut Effects) -> Deployed {
        if !self.policy.private {
            return Deployed::NotEnabled;
        }
        let record = record(wish, self.unix_secs(now));
        let peer = record.as_ref().and_then(|record| self.registry.peer(&record.id));
        // Who did not hear that it was let in shows a code that is used up.
        if let (Some(peer), Some(record)) = (peer, &record)
            && peer.device == record.device
            && peer.key == record.key
        {
            return Deployed::Known;
        }
        if !wish.is_admin && !self.invites.has(now, wish.code) {
            return Deployed::WrongCode;
        }
        if peer.is_some() {
            return Deployed::IdTaken;
        }
        let Some(record) = record else { return Deployed::InvalidInput };
        let contact = Contact { from: Endpoint::new(wish.from, 0), conn: None, seen: now };
        let foreign = self.right(&record, &contact) == Right::Foreign;
        if foreign || self.policy.bans.has_id(&record.id) {
            return Deployed::IdTaken;
        }
        let id = record.id.clone();
        match self.store_approved(record, effects) {
            Approval::Saving => {
                let _ = wish.is_admin || self.invites.take(now, wish.code);
                Deployed::Saving(id)
            }
            _ => Deployed::Busy,
        }
    }
}

/// What is to be stored of it.
fn record(wish: &Deployment<'_>, first_seen_secs: u64) -> Option<Record> {
    let said = Value::parse(core::str::from_utf8(wish.body).ok()?).ok()?;
    let (uuid, pk) = (said.text_of("uuid")?, said.text_of("pk")?);
    let (mut device, mut key) = ([0; DEVICE_ID_BYTES_MAX], [0; DEVICE_ID_BYTES_MAX]);
    let device = Base64::decode(&mut device, &*uuid, None).ok()?;
    let key = Base64::decode(&mut key, &*pk, None).ok()?;
    let id = PeerId::new(&said.text_of("id")?).filter(PeerId::is_well_formed)?;
    let (device, key) = (DeviceId::new(device)?, PeerKey::new(key)?);
    let state = RecordState::Registered(Some(wish.from));
    Some(Record { id, device, key, first_seen_secs, state })
}
