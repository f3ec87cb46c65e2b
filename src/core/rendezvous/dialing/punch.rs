//! Punching (protocol §4.4, §4.7): an initiator asks, the target is told. C39-C43, C47, C49, C84.

use alloc::boxed::Box;
use alloc::string::String;
use core::net::IpAddr;

use crate::base::address::Endpoint;
use crate::base::conn::{Conn, Transport, Via};
use crate::base::counters::DropReason;
use crate::base::peer::PeerId;
use crate::base::time::Time;
use crate::identity::ServerKey;
use crate::identity::rotation::OldKey;
use crate::wire::NatType;
use crate::wire::addr::Mangled;
use crate::wire::reply::{Failure, Punch, Remarks, Reply};
use crate::wire::request::{Given, PunchRequest};

use super::askers::TOO_OFTEN;
use super::steps::NoPath;
use super::terms::{Asks, Terms};
use crate::rendezvous::console::Dialled;
use crate::rendezvous::policy::{Ends, Route};
use crate::rendezvous::registry::{Contact, Signer};
use crate::rendezvous::{Effects, Rendezvous, Vouched, reply};

/// An initiator that waits for its target.
pub(in crate::rendezvous) struct Dial {
    /// What it asked for.
    pub(in crate::rendezvous) call: Call,
    /// The initiator's address as the target was told it.
    pub(super) told: Mangled,
    /// Whether the target was asked for its address in the initiator's network, now or before.
    pub(super) local: bool,
    /// Whether the initiator offered a UDP port, now or before, and the target was told it.
    pub(super) udp: bool,
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
    /// Whether it is told a UDP port to punch to.
    pub(super) udp: bool,
    /// Whether the initiator has the old one of two server keys, which is to sign its answer.
    pub(super) old_key: bool,
    /// What an operator's rules say of it.
    pub(super) terms: Terms,
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
    /// An initiator asks for a path (C39-C43, C47, C49, C86).
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
        let Some(old_key) = self.policy.admits(&wish.access_key) else {
            self.refuse(now, via, DropReason::WrongKey, effects);
            let why = NoPath::Failure(Failure::KeyMismatch);
            self.note_refused(from, &wish.target, why);
            reply(effects, via, Reply::PunchRefused(Failure::KeyMismatch));
            return Ok(());
        };
        let asks = Asks { via, from: from.ip(), target: &wish.target, relay: false };
        let Some(terms) = self.terms(now, &asks, effects) else {
            self.note_refused(from, &wish.target, NoPath::Denied);
            return Ok(());
        };
        let (id, contact) = match self.find_target(now, &wish.target, old_key) {
            Ok(found) => found,
            Err(failure) => {
                self.note_refused(from, &wish.target, NoPath::Failure(failure));
                reply(effects, via, Reply::PunchRefused(failure));
                return Ok(());
            }
        };
        let ends = self.ends(from.ip(), contact);
        let route = match wish.force_relay || terms.is_relay_only() {
            true => Route::Relay,
            false => self.policy.route(ends, wish.nat, nearby),
        };
        if route == Route::Relay && self.bars_relay(now, (via, terms), effects) {
            self.note_refused(from, &wish.target, NoPath::Denied);
            return Ok(());
        }
        let asker = self.askers.of(from.ip());
        if !self.askers.allow(now, asker, &id) {
            self.note_refused(from, &wish.target, NoPath::TooFrequent);
            reply(effects, via, Reply::Refused { said: TOO_OFTEN, relay: false });
            return Err(DropReason::TooFrequent);
        }
        if let Some(journal) = &mut self.journal {
            let (target, target_ip) = (id.clone(), contact.from.ip());
            journal.dials(Dialled { at: now, from: from.ip(), target, target_ip });
        }
        self.grants.give(now, asker, id.clone());
        let shows_old = self.policy.old_key.is_some().then_some(old_key);
        self.vouched = Some(Vouched { ip: from.ip(), conn: Some(conn), shows_old });
        // A target whose answer cannot be told from a stranger's proves itself by a nonce (C84).
        let route = match self.asked_before(from, conn, &id) {
            Some(dial) if dial.local && route == Route::Local => Route::Punch(wish.nat),
            _ => route,
        };
        // Who can punch over UDP asks twice for one dial, with its port and without.
        let turn = if wish.udp_port > 0 { self.turn } else { self.take_turn() };
        let relay = self.policy.relay_for(ends, turn);
        let udp = wish.udp_port > 0 && matches!(route, Route::Punch(_));
        self.note_asked((from, asker), (&id, contact.from.ip()), None);
        let task = TargetTask::for_route(route);
        let call = Call { conn, target: id, task, udp, old_key, terms };
        let told = self.dial(now, from, call);
        let push = push_to_target((wish, self.remarks(terms)), route, told, relay);
        reply(effects, contact.via(), push);
        Ok(())
    }

    /// The target and where it is; its key will be signed by the old one of two server keys if
    /// `old_key`.
    pub(super) fn find_target(
        &mut self,
        now: Time,
        target: &Given<PeerId>,
        old_key: bool,
    ) -> Result<(PeerId, Contact), Failure> {
        let id = target.value().ok_or(Failure::IdNotExist)?;
        let known = self.registry.found(id).filter(|_| !self.policy.bans.has_id(id));
        let peer = known.ok_or(Failure::IdNotExist)?;
        let contact = self.present(now, id, peer).ok_or(Failure::Offline)?;
        let Self { registry, key, policy, .. } = self;
        let signer = signer(key.as_ref(), policy.old_key, old_key);
        if signer.is_some_and(|signer| !registry.prepare_key(now, id, signer)) {
            return Err(Failure::Offline);
        }
        Ok((id.clone(), contact))
    }

    /// Where both are seen.
    pub(super) fn ends(&self, initiator: IpAddr, target: Contact) -> Ends {
        let target_web = target.conn.is_some_and(|conn| self.is_web(conn));
        Ends { initiator, target: target.from.ip(), target_web }
    }

    /// Whether a connection is a WebSocket.
    pub(super) fn is_web(&self, conn: Conn) -> bool {
        self.connection(conn).is_ok_and(|it| it.transport == Transport::WebSocket)
    }

    /// Remembers that an initiator at `from` waits for a target, and gives the bytes to tell that
    /// target. Asking again keeps them, so that the answer to either push is good (C47).
    pub(super) fn dial(&mut self, now: Time, from: Endpoint, call: Call) -> Mangled {
        let before = self.asked_before(from, call.conn, &call.target);
        let (local, udp) = before.map_or((false, false), |dial| (dial.local, dial.udp));
        let told = match before {
            Some(dial) => dial.told.clone(),
            None => Mangled::new(from, self.nonces.draw()),
        };
        let (local, udp) = (local || call.task == TargetTask::Local, udp || call.udp);
        self.dials.insert_evicting(from, Dial { call, told: told.clone(), local, udp, asked: now });
        told
    }

    /// The dial of an initiator that asks for the same target again on its connection.
    fn asked_before(&self, from: Endpoint, conn: Conn, target: &PeerId) -> Option<&Dial> {
        let same = |dial: &&Dial| dial.call.conn == conn && dial.call.target == *target;
        self.dials.get(&from).filter(same)
    }

    /// Counts up for relays that take turns: once a dial, or of two each would have the same turns.
    pub(in crate::rendezvous) fn take_turn(&mut self) -> usize {
        self.turn = self.turn.wrapping_add(1);
        self.turn
    }
}

/// What signs for an initiator that has the old one of two keys if `is_old`; None if nothing does.
pub(super) fn signer<'a>(
    key: Option<&'a ServerKey>,
    old: Option<&'a OldKey>,
    is_old: bool,
) -> Option<Signer<'a>> {
    let old = old.filter(|_| is_old).map(|old| Signer { key: &old.key, old: true });
    old.or_else(|| key.map(|key| Signer { key, old: false }))
}

/// What the target is told. Where only the relay will do, UDP and IPv6 stay untold: a target
/// would try them all the same (protocol §4.7).
fn push_to_target(
    (wish, remarks): (&PunchRequest, Remarks),
    route: Route,
    to: Mangled,
    relay: String,
) -> Reply {
    let (nat, relay_only) = match route {
        Route::Local => return Reply::FetchLocalAddr { to, relay, v6: wish.v6, remarks },
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
        remarks,
    }))
}
