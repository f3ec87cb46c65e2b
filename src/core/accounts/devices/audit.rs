//! Reads what a target reports of those who are connected to it (protocol §9.2). C194.

use super::cut;
use crate::accounts::call::Call;
use crate::base::json::Value;
use crate::base::peer::PeerId;
use crate::journal::{Audit, AuditKind};

/// The report in a call; None for one that says nothing.
pub(super) fn read(call: &Call<'_>, said: Value<'_>) -> Option<Audit> {
    let number = |name| said.get(name).and_then(Value::number);
    let address = |name| said.text_of(name).and_then(|text| text.parse().ok());
    let conn = number("conn_id").unwrap_or_default();
    let kind = match call.path.rsplit('/').next()? {
        "file" => {
            let path = said.text_of("path").unwrap_or_default().replace('\\', "/");
            let name = path.rsplit('/').find(|part| !part.is_empty());
            AuditKind::Files(cut(name.unwrap_or_default()))
        }
        "alarm" => AuditKind::Alarm(number("typ")?),
        _ => match said.text_of("action").as_deref() {
            // Through a relay it sees the relay, and was told who asks.
            Some("new") => AuditKind::Began(address("conn_audit_ref").or_else(|| address("ip"))),
            Some("close") => AuditKind::Closed,
            _ => {
                let mut peer = said.get("peer")?.items();
                let id = peer.next().and_then(Value::text);
                let name = peer.next().and_then(Value::text).unwrap_or_default();
                let session = session(number("type").unwrap_or_default());
                let id = id.and_then(|id| PeerId::new(&id));
                AuditKind::Peer { id, name: cut(&name), session }
            }
        },
    };
    Some(Audit { conn, at: call.source.ip, kind })
}

/// What a session is for, by its number.
const fn session(number: i64) -> &'static str {
    match number {
        1 => "file",
        2 => "forward",
        3 => "camera",
        4 => "terminal",
        _ => "remote",
    }
}
