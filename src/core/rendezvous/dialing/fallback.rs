//! Relay signalling (protocol §4.5): bringing initiator and target to one relay when no direct
//! path opens. C52, C55-C59.

use crate::base::address::Prefix;
use crate::base::conn::Via;
use crate::base::counters::DropReason;
use crate::base::limits::{DATAGRAM_BYTES_MAX, GRANT_MS};
use crate::base::peer::PeerId;
use crate::base::time::Time;
use crate::wire::message::{forward_relay_answer, forward_relay_request};
use crate::wire::reply::{Failure, Reply};
use crate::wire::request::{Given, RelayAnswer, RelayRequest};

use super::answer::finish;
use super::punch::{Call, TargetTask};
use crate::rendezvous::{Effects, Rendezvous, reply};

const NO_SUCH_ID: &str = "ID does not exist";
const OFFLINE: &str = "Remote desktop is offline";
const NOT_GRANTED: &str = "Key mismatch";

impl Rendezvous {
    /// An initiator asks the target to come to a relay (C57-C59).
    pub(in crate::rendezvous) fn request_relay(
        &mut self,
        now: Time,
        via: Via,
        wish: &RelayRequest<'_>,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Via::Stream(conn) = via else { return Err(DropReason::Unexpected) };
        let from = self.connection(conn)?.from;
        if self.policy.access_key.is_some() && !self.granted(now, from.prefix(), &wish.target) {
            self.counters.count(DropReason::NotGranted);
            reply(effects, via, Reply::RelayRefused(NOT_GRANTED));
            return Ok(());
        }
        let (id, contact) = match self.find_target(now, &wish.target) {
            Ok(found) => found,
            Err(failure) => {
                let text = if failure == Failure::Offline { OFFLINE } else { NO_SUCH_ID };
                reply(effects, via, Reply::RelayRefused(text));
                return Ok(());
            }
        };
        let call = Call { conn, target: id, task: TargetTask::JoinRelay, udp: false };
        let told = self.dial(now, from, call);
        let payload = forward_relay_request(wish.raw, &told);
        if matches!(contact.via(), Via::Datagram(_)) && payload.len() > DATAGRAM_BYTES_MAX {
            return Err(DropReason::Oversized);
        }
        reply(effects, contact.via(), Reply::Forward(payload));
        Ok(())
    }

    /// Whether this source passed the key check for this target a short while ago.
    fn granted(&self, now: Time, source: Prefix, target: &Given<PeerId>) -> bool {
        let Some(id) = target.value() else { return false };
        let granted = self.grants.get(&(source, id.clone()));
        granted.is_some_and(|at| now.since_ms(*at) < GRANT_MS)
    }

    /// The target comes to the relay: on its own account, telling its id (C56), or because the
    /// initiator asked, telling none (C57).
    pub(in crate::rendezvous) fn relay_response(
        &mut self,
        via: Via,
        answer: &RelayAnswer<'_>,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Via::Stream(_) = via else { return Err(DropReason::Unexpected) };
        let own_account = answer.id != Given::Nothing;
        let task = if own_account { TargetTask::Punch } else { TargetTask::JoinRelay };
        let call = self.answered(via, &answer.echo, (&answer.id, task))?;
        let signed = own_account
            .then(|| self.signed_key(&call.target, answer.versioned).unwrap_or_default());
        let relay = self.relay_instead(&answer.echo, &answer.relay);
        let payload = forward_relay_answer(answer.raw, signed.as_deref(), relay.as_deref());
        reply(effects, Via::Stream(call.conn), Reply::Forward(payload));
        finish(via, effects);
        Ok(())
    }
}
