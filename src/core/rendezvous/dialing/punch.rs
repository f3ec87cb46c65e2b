//! Punching (protocol §4.4, §4.7): an initiator asks, the target is told, its answer goes back.
//! C39-C52.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::base::address::Endpoint;
use crate::base::conn::{Conn, Transport, Via};
use crate::base::counters::DropReason;
use crate::base::peer::PeerId;
use crate::base::time::Time;
use crate::wire::NatType;
use crate::wire::addr::Mangled;
use crate::wire::reply::{DirectPath, Failure, Punch, PunchAnswer, Reply};
use crate::wire::request::{Echo, Given, LocalAddr, PunchRequest, PunchSent};

use crate::rendezvous::policy::{Ends, Route};
use crate::rendezvous::registry::Contact;
use crate::rendezvous::{Effect, Effects, Rendezvous, push, reply};

/// An initiator that waits for its target.
pub(in crate::rendezvous) struct Dial {
    /// What it asked for.
    pub(in crate::rendezvous) call: Call,
    /// The initiator's address as the target was told it.
    pub(super) told: Mangled,
    /// When it last asked.
    pub(in crate::rendezvous) asked: Time,
}

/// Who wants what of whom.
pub(in crate::rendezvous) struct Call {
    /// The initiator's connection, which gets the answer.
    pub(in crate::rendezvous) conn: Conn,
    /// The peer that is asked.
    pub(super) target: PeerId,
    /// What that peer is asked to do.
    pub(super) task: TargetTask,
}

/// What a target is asked to do, which decides what its answer must echo (C52): the answers to
/// `Local` and `JoinRelay` may spell the initiator's address anew, all others repeat the very
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetTask {
    /// Open a path, or choose a relay.
    Punch,
    /// Choose a relay, as nothing else will do: IPv6 sockets are not told.
    ChooseRelay,
    /// Tell its address in the initiator's network.
    Local,
    /// Come to the relay the initiator chose.
    JoinRelay,
}

impl TargetTask {
    const fn for_route(route: Route) -> Self {
        match route {
            Route::Local => Self::Local,
            Route::Punch(_) => Self::Punch,
            Route::Relay => Self::ChooseRelay,
        }
    }
}

impl Rendezvous {
    /// An initiator asks for a path (C39-C43, C47, C49).
    pub(in crate::rendezvous) fn punch_hole(
        &mut self,
        now: Time,
        via: Via,
        wish: &PunchRequest,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let Via::Stream(conn) = via else { return Err(DropReason::Unexpected) };
        let connection = self.connection(conn)?;
        let (from, nearby) = (connection.from, connection.transport == Transport::Tcp);
        if self.policy.access_key.as_deref().is_some_and(|key| key != wish.access_key) {
            self.counters.count(DropReason::WrongKey);
            reply(effects, via, Reply::PunchRefused(Failure::KeyMismatch));
            return Ok(());
        }
        let (id, contact) = match self.find_target(now, &wish.target) {
            Ok(found) => found,
            Err(failure) => {
                reply(effects, via, Reply::PunchRefused(failure));
                return Ok(());
            }
        };
        self.grants.insert_evicting((from.prefix(), id.clone()), now);
        let ends = Ends { initiator: from.ip(), target: contact.from.ip() };
        let route = match wish.force_relay {
            true => Route::Relay,
            false => self.policy.route(ends, wish.nat, nearby),
        };
        let turn = self.take_turn();
        let relay = self.policy.relay_for(ends, turn);
        let call = Call { conn, target: id, task: TargetTask::for_route(route) };
        let told = self.dial(now, from, call);
        reply(effects, contact.via(), push_to_target(wish, route, told, relay));
        Ok(())
    }

    /// The target and where it is.
    pub(super) fn find_target(
        &self,
        now: Time,
        target: &Given<PeerId>,
    ) -> Result<(PeerId, Contact), Failure> {
        let id = target.value().ok_or(Failure::IdNotExist)?;
        let known = self.registry.peer(id).filter(|_| !self.policy.bans.has_id(id));
        let peer = known.ok_or(Failure::IdNotExist)?;
        let contact = self.present(now, id, peer).ok_or(Failure::Offline)?;
        Ok((id.clone(), contact))
    }

    /// Remembers that an initiator at `from` waits for a target, and gives the bytes to tell that
    /// target. Asking again keeps them, so that the answer to either push is good (C47).
    pub(super) fn dial(&mut self, now: Time, from: Endpoint, call: Call) -> Mangled {
        let again = |dial: &&Dial| dial.call.conn == call.conn && dial.call.target == call.target;
        let told = match self.dials.get(&from).filter(again) {
            Some(dial) => dial.told.clone(),
            None => Mangled::new(from, self.nonces.draw()),
        };
        self.dials.insert_evicting(from, Dial { call, told: told.clone(), asked: now });
        told
    }

    /// Takes out the dial that an answer to `task` belongs to, and gives what was asked for. The
    /// answer must echo the very bytes told, unless the target was asked for the kind of answer
    /// that need not (C52).
    pub(super) fn answered(
        &mut self,
        echo: &Echo,
        id: &Given<PeerId>,
        task: TargetTask,
    ) -> Result<Call, DropReason> {
        let dial = self.dials.get(&echo.endpoint).ok_or(DropReason::Unasked)?;
        let exact = task == TargetTask::Punch || task != dial.call.task;
        let from_another = match id {
            Given::Value(id) => *id != dial.call.target,
            Given::Nothing => false,
            Given::Unusable => true,
        };
        if from_another || (exact && echo.exact.as_ref() != Some(&dial.told)) {
            return Err(DropReason::Unasked);
        }
        self.dials.remove(&echo.endpoint).map(|dial| dial.call).ok_or(DropReason::Bug)
    }

    /// The target opened its NAT: its address is where this message came from (C44, C50).
    pub(in crate::rendezvous) fn punch_sent(
        &mut self,
        via: Via,
        sent: PunchSent,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        let from = self.source(via)?;
        let call = self.answered(&sent.echo, &sent.id, TargetTask::Punch)?;
        let relay = self.relay_instead(&sent.echo, &sent.relay).unwrap_or(sent.relay);
        let answer = PunchAnswer {
            addr: Mangled::new(from, self.nonces.draw()).as_bytes().to_vec(),
            signed_key: self.signed_key(&call.target, sent.versioned),
            relay,
            path: DirectPath::Nat(sent.nat),
            is_udp: matches!(via, Via::Datagram(_)),
            upnp_port: sent.upnp_port,
            v6: sent.v6.filter(|_| call.task != TargetTask::ChooseRelay),
        };
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
        let call = self.answered(&local.echo, &local.id, TargetTask::Local)?;
        let relay = self.relay_instead(&local.echo, &local.relay).unwrap_or(local.relay);
        let answer = PunchAnswer {
            addr: local.local,
            signed_key: self.signed_key(&call.target, local.versioned),
            relay,
            path: DirectPath::Local,
            is_udp: false,
            upnp_port: 0,
            v6: local.v6.filter(|_| call.task != TargetTask::ChooseRelay),
        };
        reply(effects, Via::Stream(call.conn), Reply::PunchAnswer(Box::new(answer)));
        finish(via, effects);
        Ok(())
    }

    /// The target's key for an initiator, if the target is new enough to be verified (C46).
    pub(super) fn signed_key(&mut self, target: &PeerId, versioned: bool) -> Option<Vec<u8>> {
        let key = self.key.as_ref().filter(|_| versioned)?;
        self.registry.signed_key(target, key)
    }

    /// What the initiator behind `echo` is told instead of the relay its target chose, if that
    /// one is not for it.
    pub(super) fn relay_instead(&mut self, echo: &Echo, chosen: &str) -> Option<String> {
        let turn = self.take_turn();
        self.policy.relay_instead(echo.endpoint.ip(), chosen, turn)
    }

    /// Counts up for relays that take turns.
    fn take_turn(&mut self) -> usize {
        self.turn = self.turn.wrapping_add(1);
        self.turn
    }
}

/// A target's one-shot connection has said all it had to (C44).
pub(super) fn finish(via: Via, effects: &mut Effects) {
    if let Via::Stream(conn) = via {
        push(effects, Effect::Close { conn, reason: DropReason::Done });
    }
}

/// What the target is told. Where only the relay will do, UDP and IPv6 stay untold: a target
/// would try them all the same (protocol §4.7).
fn push_to_target(wish: &PunchRequest, route: Route, to: Mangled, relay: String) -> Reply {
    let (nat, relay_only) = match route {
        Route::Local => return Reply::FetchLocalAddr { to, relay, v6: wish.v6 },
        Route::Punch(nat) => (nat, false),
        Route::Relay => (NatType::SYMMETRIC, true),
    };
    Reply::Punch(Box::new(Punch {
        to,
        relay,
        nat,
        udp_port: if relay_only { 0 } else { wish.udp_port },
        force_relay: relay_only,
        upnp_port: wish.upnp_port,
        v6: wish.v6.filter(|_| !relay_only),
    }))
}
