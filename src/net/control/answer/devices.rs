//! What devices told of themselves, beside what is known of all peers, and an end to whoever is
//! connected to one. C193.

use hbb_core::accounts::devices::DeviceRow;
use hbb_core::base::address::named_id;

use super::log::said;
use crate::net::control::format::Value;
use crate::net::control::owners::Owners;
use crate::net::message::{Answer, RelayQuestion, RendezvousQuestion};

/// The values behind those of all peers.
pub(super) fn values(told: Option<&DeviceRow>) -> [Value<'_>; 7] {
    let Some(DeviceRow { info, connections }) = told else { return [Value::Nothing; 7] };
    [
        said(&info.name),
        said(&info.system),
        said(&info.user),
        said(&info.version),
        Value::Number(u64::try_from(*connections).unwrap_or(u64::MAX)),
        said(&info.group),
        said(&info.login),
    ]
}

/// Ends all sessions of a device: those at our relay at once, others with its next word.
pub(super) fn disconnect(id: &str, owners: &Owners) -> Result<bool, String> {
    let Some(id) = named_id(id) else { return Ok(false) };
    let mut ended = false;
    if owners.relay.is_some() {
        let answer = owners.ask_relay(RelayQuestion::EndOf(id.clone()))?;
        ended |= matches!(answer, Answer::Ended(true));
    }
    if owners.rendezvous.is_some() {
        let answer = owners.ask_rendezvous(RendezvousQuestion::EndConnections(id))?;
        ended |= matches!(answer, Answer::Ended(true));
    }
    Ok(ended)
}
