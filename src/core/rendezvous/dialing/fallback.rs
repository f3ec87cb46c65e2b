//! Relay signalling (protocol §4.5): bringing initiator and target to one relay when no direct
//! path opens. C52, C55-C59, C85, C106, C125.

use alloc::string::String;
use core::net::IpAddr;

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
use super::askers::{Asker, TOO_OFTEN};
use super::grants::Told;
use super::punch::{Call, TargetTask};
use super::steps::{Meeting, NoPath};
use super::terms::Asks;
use crate::rendezvous::policy::{Ends, is_same_relay};
use crate::rendezvous::{Effect, Effects, Rendezvous, push, reply};

const NO_SUCH_ID: &str = "ID does not exist";
const OFFLINE: &str = "Remote desktop is offline";
const ADDRESS_CHANGED: &str = "Your address changed, try again";
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
        let asks = Asks { via, from: from.ip(), target: &wish.target, relay: true };
        let Some(terms) = self.terms(now, &asks, effects) else {
            self.note_refused(from, &wish.target, NoPath::Denied);
            return Ok(());
        };
        let [own, any] = self.grants_for(now, from.prefix(), &wish.target);
        let must_show = self.policy.access_key.is_some();
        if must_show && !any {
            self.counters.count(DropReason::NotGranted);
            self.note_refused(from, &wish.target, NoPath::NotGranted);
            refuse(effects, via, ADDRESS_CHANGED);
            return Ok(());
        }
        let (id, contact) = match self.find_target(now, &wish.target, false) {
            Ok(found) => found,
            Err(failure) => {
                self.note_refused(from, &wish.target, NoPath::Failure(failure));
                let text = if failure == Failure::Offline { OFFLINE } else { NO_SUCH_ID };
                refuse(effects, via, text);
                return Ok(());
            }
        };
        let ends = self.ends(from.ip(), contact);
        let instead = match self.relay_named(now, (ends, &id), &wish.relay) {
            Ok(instead) => instead,
            Err(reason) => {
                self.counters.count(reason);
                self.note_refused(from, &wish.target, NoPath::NotGranted);
                let text = if own { NO_RELAY } else { ADDRESS_CHANGED };
                refuse(effects, via, text);
                return Ok(());
            }
        };
        let asker = Asker { granted: own || !must_show, ..self.askers.of(from.ip()) };
        if !self.askers.allow(now, asker, &id) {
            self.note_refused(from, &wish.target, NoPath::TooFrequent);
            if asker.granted {
                refuse(effects, via, TOO_OFTEN);
                return Err(DropReason::TooFrequent);
            }
            // To dial again, and so to show the key from here, helps.
            self.refuse(now, via, DropReason::TooFrequent, effects);
            refuse(effects, via, ADDRESS_CHANGED);
            return Ok(());
        }
        let (task, target) = (TargetTask::JoinRelay, id.clone());
        let call = Call { conn, target, task, udp: false, old_key: false, terms };
        self.note_asked((from, asker), (&id, contact.from.ip()), Some(&wish.token));
        let told = self.dial(now, from, call);
        let remarks = self.remarks(terms);
        let payload = forward_relay_request(wish.raw, &told, instead.as_deref(), remarks);
        // No client's is as long, and three of a frame's length would cut a connection off.
        if payload.len() > DATAGRAM_BYTES_MAX {
            return Err(DropReason::Oversized);
        }
        reply(effects, contact.via(), Reply::Forward(payload));
        self.meet(&wish.token, (from, from.prefix()), &id, effects);
        Ok(())
    }

    /// Whether this source passed the key check for this target a short while ago, and whether
    /// anybody did: a client may ask from another address than the one it showed the key from.
    fn grants_for(&self, now: Time, source: Prefix, target: &Given<PeerId>) -> [bool; 2] {
        let Some(id) = target.value() else { return [false; 2] };
        let own = self.grants.holds(now, source, id);
        [own, own || self.grants.any_for(now, id)]
    }

    /// What the target is told in place of the relay the initiator names, if anything: clients
    /// name the one they were told for this target, or have one of ours typed in; a target must not
    /// be sent to any other (C85). Who was told none may be the client that was, at another
    /// address: if we do not know what our relay is called, it is what others were told for the
    /// target, by the target itself (C59). A relay of ours it is told as it named it itself, or as
    /// it finds it (C125). Refused if there is none to name.
    fn relay_named(
        &self,
        now: Time,
        (ends, target): (Ends, &PeerId),
        named: &str,
    ) -> Result<Option<String>, DropReason> {
        let relay = self.grants.relay(now, Prefix::of(ends.initiator), target);
        let chosen = relay.map(|relay| self.as_chosen(ends, relay));
        if relay.is_some_and(|relay| is_same_relay(&relay.told, named)) {
            return Ok(chosen.filter(|chosen| !is_same_relay(chosen, named)));
        }
        if self.policy.hands_out(ends, named) {
            return Ok(self.policy.relay_of_target(ends, named));
        }
        let ours = || self.policy.own_relay(ends, self.turn);
        let of_any = || Some(self.as_chosen(ends, self.grants.relay_of_any(now, target)?));
        let here = || self.policy.relay_here(ends.target);
        let instead = chosen.or_else(ours).or_else(of_any).or_else(here);
        instead.map(Some).ok_or(DropReason::NotGranted)
    }

    /// What the target calls a relay that was told for it: as it named that, unless it moved since
    /// and finds it elsewhere now (C125).
    fn as_chosen(&self, ends: Ends, relay: &Told) -> String {
        let moved = relay.target != Some(Prefix::of(ends.target));
        let now = moved.then(|| self.policy.relay_of_target(ends, &relay.chosen)).flatten();
        now.unwrap_or_else(|| String::from(&*relay.chosen))
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
        if self.withholds((call.conn, call.terms), true, effects) {
            self.note_answered(answer.echo.endpoint, &call.target, Meeting::Denied);
            finish(via, effects);
            return Ok(());
        }
        let signed = match own_account {
            true => Some(self.signed_key(&call, answer.versioned)?.unwrap_or_default()),
            false => None,
        };
        let relay = self.relay_to_tell(&answer.echo, &call, &answer.relay);
        // No address of a target is told where it shall be reached through the relay alone (C181).
        let relay_only = call.task == TargetTask::ChooseRelay || call.terms.is_relay_only();
        let (signed, relay) = (signed.as_deref(), relay.as_deref());
        let payload = forward_relay_answer(answer.raw, signed, relay, relay_only);
        reply(effects, Via::Stream(call.conn), Reply::Forward(payload));
        let initiator = answer.echo.endpoint;
        self.note_answered(initiator, &call.target, Meeting::Relay(&answer.token));
        let ends = (self.source(via)?, initiator.prefix());
        self.meet(&answer.token, ends, &call.target, effects);
        finish(via, effects);
        Ok(())
    }

    /// Two peers will bring this token to a relay: ours shall know them by it (C106), and tell
    /// which key the target shows there (C157). `from` is who says so.
    fn meet(
        &mut self,
        token: &Given<RelayToken>,
        (from, initiator): (Endpoint, Prefix),
        target: &PeerId,
        effects: &mut Effects,
    ) {
        let Given::Value(token) = token else { return };
        if self.policy.old_key.is_some() {
            self.meetings.add(token, initiator, target.clone());
        }
        push(effects, Effect::Meet { token: token.clone(), from });
    }

    /// Our relay was shown a key by who is at `from` and brought this token (C157).
    pub(in crate::rendezvous) fn leg_showed(
        &mut self,
        token: &RelayToken,
        from: IpAddr,
        old: bool,
    ) {
        let from = Prefix::of(from);
        let Some(id) = self.meetings.target(token, from).cloned() else { return };
        let at = self.registry.peer(&id).and_then(|peer| peer.last());
        if at.is_some_and(|contact| contact.from.prefix() == from) {
            self.registry.note_shown(&id, old);
        }
    }
}

fn refuse(effects: &mut Effects, via: Via, said: &'static str) {
    reply(effects, via, Reply::Refused { said, relay: true });
}
