//! The calls of devices (protocol §9.2), which show no token: a device proves itself by its id, its
//! uuid and where it is. Whoever does not is answered as if all were well, to no effect. C192.

use alloc::vec::Vec;
use core::mem;

use ct_codecs::{Base64, Decoder as _};

use super::{DeviceInfo, Devices, audit, cut};
use crate::accounts::call::{Answer, Call, Method};
use crate::base::json::{Value, Writer};
use crate::base::limits::{AUDITS_REMEMBERED, DEVICE_CONNS_MAX, DEVICE_ID_BYTES_MAX};
use crate::base::peer::{DeviceId, PeerId};
use crate::base::time::Time;

/// What a device without a place among ours is told: it comes again in two minutes.
const NOT_NOW: &str = "{}";
/// What repeated reports are told by: the prime of a sum by Fowler, Noll and Vo.
const FNV: u64 = 0x0100_0000_01b3;
const UPDATED: &str = "SYSINFO_UPDATED";

/// Who a call says it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The device's id.
    pub id: PeerId,
    /// What it proves itself by.
    pub device: DeviceId,
}

/// The kinds of calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Heartbeat,
    SysInfo,
    Audit,
    /// Of users, who say on which device they are.
    User,
}

impl Kind {
    fn of(method: Method, path: &str) -> Option<Self> {
        if method != Method::Post {
            return None;
        }
        Some(match path {
            "/api/heartbeat" => Self::Heartbeat,
            "/api/sysinfo" => Self::SysInfo,
            "/api/audit/conn" | "/api/audit/file" | "/api/audit/alarm" => Self::Audit,
            "/api/login" | "/api/currentUser" => Self::User,
            _ => return None,
        })
    }
}

/// From which device this call says it comes, if such calls say so.
pub fn claim(call: &Call<'_>) -> Option<Claim> {
    Kind::of(call.method, call.path)?;
    let said = call.json()?;
    let id = PeerId::new(&said.text_of("id")?)?;
    let mut bytes = [0; DEVICE_ID_BYTES_MAX];
    let uuid = Base64::decode(&mut bytes, said.text_of("uuid")?.as_bytes(), None).ok()?;
    Some(Claim { id, device: DeviceId::new(uuid)? })
}

impl Devices {
    /// The answer to a call of `device`, which proved itself, or of somebody who did not; None if
    /// it is no call of devices.
    pub(in crate::accounts) fn call(
        &mut self,
        now: Time,
        call: &Call<'_>,
        device: Option<&PeerId>,
    ) -> Option<Answer> {
        let kind = Kind::of(call.method, call.path).filter(|kind| *kind != Kind::User)?;
        let proved = device.zip(call.json());
        Some(match (kind, proved) {
            (Kind::Heartbeat, Some((id, said))) => self.heartbeat(now, id, said),
            (Kind::SysInfo, Some((id, said))) => {
                self.sysinfo(id, said);
                Answer::text(UPDATED)
            }
            (Kind::Audit, Some((id, said))) => {
                if let Some(audit) = audit::read(call, said).filter(|_| self.is_new(call, said)) {
                    self.audit = Some((id.clone(), audit));
                }
                Answer::empty()
            }
            (Kind::Heartbeat | Kind::SysInfo, None) => Answer::json(NOT_NOW.into()),
            (Kind::Audit | Kind::User, _) => Answer::empty(),
        })
    }

    /// Whether a device says this for the first time: it repeats what it knows of no answer to.
    fn is_new(&mut self, call: &Call<'_>, said: Value<'_>) -> bool {
        if said.get("nonce").is_none() {
            return true;
        }
        let bytes = call.path.bytes().chain(call.body.iter().copied());
        let sum = bytes.fold(0, |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(FNV));
        if self.told.contains(&sum) {
            return false;
        }
        if self.told.len() >= AUDITS_REMEMBERED {
            self.told.remove(0);
        }
        self.told.push(sum);
        true
    }

    fn heartbeat(&mut self, now: Time, id: &PeerId, said: Value<'_>) -> Answer {
        let conns = said.items_of("conns");
        let conns: Vec<i64> = conns.filter_map(Value::number).take(DEVICE_CONNS_MAX).collect();
        let mut answer = Writer::object();
        if let Some(device) = self.heard(id) {
            device.conns = conns;
            if !device.is_told {
                answer.name("sysinfo");
                answer.flag(true);
            }
            // Once a heartbeat told of it they are ended, or new ones that nobody meant.
            let ends = device.ends.take().is_some_and(|until| now <= until);
            if ends && !device.conns.is_empty() {
                answer.name("disconnect");
                answer.open('[');
                device.conns.iter().for_each(|conn| answer.number(*conn));
                answer.close(']');
            }
        }
        Answer::json(answer.end().into_bytes())
    }

    fn sysinfo(&mut self, id: &PeerId, said: Value<'_>) {
        let text = |name| cut(&said.text_of(name).unwrap_or_default());
        let info = DeviceInfo {
            name: text("hostname"),
            system: text("os"),
            user: text("username"),
            version: text("version"),
            group: text("preset-device-group-name"),
            login: Default::default(),
        };
        if let Some(device) = self.heard(id) {
            let login = mem::take(&mut device.info.login);
            device.is_changed |= device.info != info;
            device.is_told = true;
            device.info = DeviceInfo { login, ..info };
        }
    }
}
