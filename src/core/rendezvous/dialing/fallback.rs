//! Relay signalling (protocol §4.5): bringing initiator and target to one relay when no direct
//! path opens. C52, C55-C59, C85, C106.

use alloc::string::String;

use crate::base::address::{Endpoint, Prefix};
use crate::base::conn::Via;
use crate::base::counters::DropReason;
use crate::base::limits::DATAGRAM_BYTES_MAX;
use crate::base::peer::{PeerId, RelayToken};
use crate::base::time::Time;
use crate::wire::message::{forward_relay_answer, forward_relay_request};
use crate::wire::reply::{Failure, Reply};
use crate::wire::request::{Given, RelayAnswer, RelayRequest};

use super::answer::finish;
use super::punch::{Call, TargetTask};
use crate::rendezvous::policy::{Ends, is_same_relay};
use crate::rendezvous::{Effect, Effects, Rendezvous, push, reply};

const NO_SUCH_ID: &str = "ID does not exist";
const OFFLINE: &str = "Remote desktop is offline";
const NOT_GRANTED: &str = "Key mismatch";
const NO_RELAY: &str = "The relay is not one of this ID server";

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
        let ends = Ends { initiator: from.ip(), target: contact.from.ip() };
        let told_relay = self.grants.relay(now, from.prefix(), &id).map(String::from);
        let instead = match self.relay_named(ends, &wish.relay, told_relay) {
            Ok(instead) => instead,
            Err(reason) => {
                self.counters.count(reason);
                reply(effects, via, Reply::RelayRefused(NO_RELAY));
                return Ok(());
            }
        };
        let asker = self.askers.of(from.ip());
        if !self.askers.allow(now, asker, &id) {
            return Err(DropReason::TooFrequent);
        }
        let call = Call { conn, target: id, task: TargetTask::JoinRelay, udp: false };
        let told = self.dial(now, from, call);
        let payload = forward_relay_request(wish.raw, &told, instead.as_deref());
        if matches!(contact.via(), Via::Datagram(_)) && payload.len() > DATAGRAM_BYTES_MAX {
            return Err(DropReason::Oversized);
        }
        reply(effects, contact.via(), Reply::Forward(payload));
        meet(&wish.token, from, effects);
        Ok(())
    }

    /// Whether this source passed the key check for this target a short while ago.
    fn granted(&self, now: Time, source: Prefix, target: &Given<PeerId>) -> bool {
        let Some(id) = target.value() else { return false };
        self.grants.holds(now, source, id)
    }

    /// What the target is told in place of the relay the initiator names, if anything: clients
    /// name the one they were told for this target, or have one of ours typed in; a target must not
    /// be sent to any other (C85). Refused if that one is not good and there is none to name.
    fn relay_named(
        &mut self,
        ends: Ends,
        named: &str,
        told: Option<String>,
    ) -> Result<Option<String>, DropReason> {
        let as_told = told.as_deref().is_some_and(|told| is_same_relay(told, named));
        if as_told || self.policy.hands_out(ends, named) {
            return Ok(None);
        }
        let turn = self.take_turn();
        let instead = told.or_else(|| self.policy.own_relay(ends, turn));
        instead.map(Some).ok_or(DropReason::NotGranted)
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
        let signed = match own_account {
            true => Some(self.signed_key(&call.target, answer.versioned)?.unwrap_or_default()),
            false => None,
        };
        let relay = self.relay_instead(&answer.echo, &answer.relay);
        self.note_relay(&answer.echo, &call, relay.as_deref().unwrap_or(&answer.relay));
        let payload = forward_relay_answer(answer.raw, signed.as_deref(), relay.as_deref());
        reply(effects, Via::Stream(call.conn), Reply::Forward(payload));
        meet(&answer.token, self.source(via)?, effects);
        finish(via, effects);
        Ok(())
    }
}

/// Two peers will bring this token to a relay: ours shall know them by it (C106).
fn meet(token: &Given<RelayToken>, from: Endpoint, effects: &mut Effects) {
    if let Given::Value(token) = token {
        push(effects, Effect::Meet { token: token.clone(), from });
    }
}
