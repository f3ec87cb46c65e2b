//! Calls of the API on their way to the accounts, with the device that proved itself by one; what
//! devices told, for operators. C192 to C194.

use hbb_core::accounts::Input;
use hbb_core::accounts::call::{Call, HttpCall, Source};
use hbb_core::accounts::devices::claim;
use hbb_core::base::conn::Conn;
use hbb_core::base::peer::PeerId;
use hbb_core::rendezvous::{Event, PeerRow};

use super::Signalling;
use crate::net::message::{Answer, AnswerTo, Devices};

impl Signalling {
    /// A call came. A device proves itself by what it registered with, from where it is.
    pub(super) fn called(&mut self, conn: Conn, (call, source): (&HttpCall, Source), to: AnswerTo) {
        let call = Call::new(call, source);
        let claimed = claim(&call);
        let claimed = claimed.filter(|it| self.machine.is_device(&it.id, &it.device, source.ip));
        let device = claimed.map(|claim| claim.id);
        self.accounts.call(conn, (call, device), to, &self.store);
        let audit = self.accounts.machine().and_then(|machine| machine.take_audit());
        if let Some((id, audit)) = audit {
            self.log.report(self.clock.now(), &id, audit);
        }
    }

    /// What these told of themselves; None without accounts.
    pub(super) fn devices(&mut self, peers: &[PeerRow]) -> Devices {
        let machine = self.accounts.machine()?;
        let mut told = Vec::with_capacity(peers.len());
        peers.iter().for_each(|peer| told.push(machine.device(&peer.id)));
        Some(told)
    }

    /// An operator wants everybody off a device.
    pub(super) fn end_connections(&mut self, id: &PeerId) -> Answer {
        let now = self.clock.now();
        let machine = self.accounts.machine();
        Answer::Ended(machine.is_some_and(|machine| machine.end_connections(now, id)))
    }

    /// A device has another id now, or an operator had it forgotten.
    pub(super) fn follow_device(&mut self, event: &Event) {
        let (from, to) = match event {
            Event::PeerForgotten { id } => (id, None),
            Event::PeerRenamed { from, id, .. } => (from, Some(id)),
            _ => return,
        };
        self.accounts.handle(Input::Moved(from, to), &self.store);
    }
}
