//! Who may answer for a target (protocol §3, §4.4, §4.7): the device asked, once for each
//! question. A guess costs who makes it, never who waits. C44-C47, C50-C52, C82, C83.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::base::address::Prefix;
use crate::base::conn::Via;
use crate::base::counters::DropReason;
use crate::base::peer::{PeerId, PeerKey};
use crate::rendezvous::{Effect, Effects, Rendezvous, push, reply};
use crate::wire::addr::Mangled;
use crate::wire::reply::{DirectPath, PunchAnswer, Reply};
use crate::wire::request::{Echo, Given, LocalAddr, PunchSent};

use super::grants::Told;
use super::punch::{Call, Dial, TargetTask, signer};
use super::steps::Meeting;

/// Another network than it registered from, out of which a device proved itself by a nonce (C83):
/// it has several uplinks, or its provider gives each connection another address.
pub(in crate::rendezvous) struct Elsewhere {
    /// The key of the device that did so; another device may have its id since.
    key: PeerKey,
    network: Prefix,
}

impl Dial {
    /// Whether `echo` holds the nonce its target alone was told. IPv6 has no room for one.
    fn is_proved_by(&self, echo: &Echo) -> bool {
        echo.endpoint.ip().is_ipv4() && echo.exact.as_ref() == Some(&self.told)
    }

    /// Whether an answer of this kind may spell the address anew: clients do so for these two.
    fn may_be_respelled(&self, task: TargetTask) -> bool {
        match task {
            TargetTask::Local => self.local,
            TargetTask::JoinRelay => self.call.task == task,
            TargetTask::Punch | TargetTask::ChooseRelay => false,
        }
    }
}

impl Rendezvous {
    /// Takes out the dial that an answer belongs to, `said` being the name it is given in and what
    /// it answers to; gives what was asked for. Whoever echoes the nonce told is the device asked,
    /// wherever it is (C52). What holds none, because the initiator is at an IPv6 address or the
    /// target spells it anew, counts from the target's own addresses alone (C82).
    pub(super) fn answered(
        &mut self,
        via: Via,
        echo: &Echo,
        (id, task): (&Given<PeerId>, TargetTask),
    ) -> Result<Call, DropReason> {
        let from = self.source(via)?;
        let dial = self.dials.get(&echo.endpoint).ok_or(DropReason::Unasked)?;
        let from_another = match id {
            Given::Value(id) => *id != dial.call.target,
            Given::Nothing => false,
            Given::Unusable => true,
        };
        let unoffered = matches!(via, Via::Datagram(_)) && !dial.udp;
        let proved = dial.is_proved_by(echo);
        let repeated = dial.may_be_respelled(task) || echo.exact.as_ref() == Some(&dial.told);
        let own = proved || (repeated && self.is_of(&dial.call.target, from.prefix()));
        if from_another || unoffered || !own {
            return Err(DropReason::Unasked);
        }
        let dial = self.dials.remove(&echo.endpoint).ok_or(DropReason::Bug)?;
        if proved {
            self.note_elsewhere(&dial.call.target, from.prefix());
        }
        Ok(dial.call)
    }

    /// Whether `network` is where a device is registered, or out of which it proved itself.
    pub(super) fn is_of(&self, id: &PeerId, network: Prefix) -> bool {
        let Some(peer) = self.registry.found(id) else { return false };
        peer.last().is_some_and(|contact| contact.from.prefix() == network)
            || self.elsewhere.get(id).is_some_and(|at| at.key == peer.key && at.network == network)
    }

    fn note_elsewhere(&mut self, id: &PeerId, network: Prefix) {
        if self.is_of(id, network) {
            return self.elsewhere.touch(id);
        }
        if let Some(key) = self.registry.found(id).map(|peer| peer.key) {
            self.elsewhere.insert_evicting(id.clone(), Elsewhere { key, network });
        }
    }

    /// The target opened its NAT: its address is where this message came from (C44, C50).
    pub(in crate::rendezvous) fn punch_sent(
        &mut self,
        via: Via,
        sent: PunchSent,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let from = self.source(via)?;
        let call = self.answered(via, &sent.echo, (&sent.id, TargetTask::Punch))?;
        if self.withholds((call.conn, call.terms), false, effects) {
            self.note_answered(sent.echo.endpoint, &call.target, Meeting::Denied);
            finish(via, effects);
            return Ok(());
        }
        let relay = self.relay_to_tell(&sent.echo, &call, &sent.relay).unwrap_or(sent.relay);
        let answer = PunchAnswer {
            addr: Mangled::new(from, self.nonces.draw()).as_bytes().to_vec(),
            signed_key: self.signed_key(&call, sent.versioned)?,
            relay,
            path: DirectPath::Nat(sent.nat),
            is_udp: matches!(via, Via::Datagram(_)),
            upnp_port: sent.upnp_port,
            v6: sent.v6.filter(|_| call.task != TargetTask::ChooseRelay),
        };
        self.note_answered(sent.echo.endpoint, &call.target, Meeting::Direct);
        reply(effects, Via::Stream(call.conn), Reply::PunchAnswer(Box::new(answer)));
        finish(via, effects);
        Ok(())
    }

    /// The target is in the initiator's network (C45).
    pub(in crate::rendezvous) fn local_addr(
        &mut self,
        via: Via,
        local: LocalAddr,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Via::Stream(_) = via else { return Err(DropReason::Unexpected) };
        let call = self.answered(via, &local.echo, (&local.id, TargetTask::Local))?;
        if self.withholds((call.conn, call.terms), false, effects) {
            self.note_answered(local.echo.endpoint, &call.target, Meeting::Denied);
            finish(via, effects);
            return Ok(());
        }
        let relay = self.relay_to_tell(&local.echo, &call, &local.relay).unwrap_or(local.relay);
        let answer = PunchAnswer {
            addr: local.local,
            signed_key: self.signed_key(&call, local.versioned)?,
            relay,
            path: DirectPath::Local,
            is_udp: false,
            upnp_port: 0,
            v6: local.v6.filter(|_| call.task != TargetTask::ChooseRelay),
        };
        self.note_answered(local.echo.endpoint, &call.target, Meeting::Lan);
        reply(effects, Via::Stream(call.conn), Reply::PunchAnswer(Box::new(answer)));
        finish(via, effects);
        Ok(())
    }

    /// The target's key for an initiator, if the target is new enough to be verified (C46).
    ///
    /// # Errors
    /// The target is gone meanwhile: without its key the session would not be encrypted.
    pub(super) fn signed_key(
        &mut self,
        call: &Call,
        versioned: bool,
    ) -> Result<Option<Vec<u8>>, DropReason> {
        let signer = signer(self.key.as_ref(), self.policy.old_key, call.old_key);
        let Some(signer) = signer.filter(|_| versioned) else { return Ok(None) };
        self.registry.signed_key(&call.target, signer).map(Some).ok_or(DropReason::Unasked)
    }

    /// What the initiator behind `echo` is told instead of the relay its target chose, if that
    /// one is not for it. It may name what it is told (C85).
    pub(super) fn relay_to_tell(
        &mut self,
        echo: &Echo,
        call: &Call,
        chosen: &str,
    ) -> Option<String> {
        let at = (echo.endpoint.ip(), self.is_web(call.conn));
        let instead = self.policy.relay_instead(at, chosen, self.turn);
        let told = instead.as_deref().unwrap_or(chosen).into();
        let found = self.registry.found(&call.target).and_then(|peer| peer.last());
        let target = found.map(|contact| contact.from.prefix());
        let relay = Told { told, chosen: chosen.into(), target };
        self.grants.tell(echo.endpoint.prefix(), &call.target, relay);
        instead
    }
}

/// A target's one-shot connection has said all it had to (C44).
pub(super) fn finish(via: Via, effects: &mut Effects) {
    if let Via::Stream(conn) = via {
        push(effects, Effect::Close { conn, reason: DropReason::Done });
    }
}
