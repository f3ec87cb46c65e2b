//! What an ask comes to, told to whoever keeps the log of connections; without that, to nobody.
//! And whether who reports is a device of ours. C188, C192.

use core::net::IpAddr;

use crate::base::address::Endpoint;
#[cfg(feature = "accounts")]
use crate::base::address::Prefix;
#[cfg(feature = "accounts")]
use crate::base::counters::DropReason;
#[cfg(feature = "accounts")]
use crate::base::peer::DeviceId;
use crate::base::peer::{PeerId, RelayToken};
#[cfg(feature = "accounts")]
use crate::journal::{Outcome, Step, StepKind};
use crate::rendezvous::Rendezvous;
use crate::wire::reply::Failure;
use crate::wire::request::Given;

use super::askers::Asker;

/// Why an initiator is told no path.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "accounts"), allow(dead_code, reason = "nobody keeps a log then"))]
pub(super) enum NoPath {
    Failure(Failure),
    NotGranted,
    TooFrequent,
    /// By the rules, and so is what comes to a path that they do not allow.
    Denied,
}

/// How two are about to meet.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "accounts"), allow(dead_code, reason = "nobody keeps a log then"))]
pub(super) enum Meeting<'a> {
    Direct,
    Lan,
    Relay(&'a Given<RelayToken>),
    Denied,
}

#[cfg(feature = "accounts")]
impl Rendezvous {
    /// The last step of an ask, told once.
    pub const fn take_step(&mut self) -> Option<Step> {
        self.step.take()
    }

    /// Whether a call comes from a registered device: it knows what that proves itself by, and is
    /// where that is, as far as one can tell: of a name with addresses of both families a device
    /// may take one to register at and the other to call (C192).
    pub fn is_device(&self, id: &PeerId, device: &DeviceId, from: IpAddr) -> bool {
        let from = Prefix::of(from);
        let found = self.registry.found(id).filter(|_| !self.policy.bans.has_id(id));
        let Some(peer) = found.filter(|peer| peer.device == *device) else { return false };
        peer.last().is_some_and(|contact| contact.from.prefix().may_be_host_of(from))
            || self.is_of(id, from)
    }

    /// A target is told, which is at `at`; with what both will bring to the relay, if the initiator
    /// chose that.
    pub(super) fn note_asked(
        &mut self,
        (from, asker): (Endpoint, Asker),
        (to, at): (&PeerId, IpAddr),
        token: Option<&Given<RelayToken>>,
    ) {
        let trusted = asker.known;
        let token = token.and_then(Given::value).cloned();
        let kind = StepKind::Asked { at, trusted, token };
        let user = self.caller.user.clone();
        self.step = Some(Step { from, to: Some(to.clone()), user, kind });
    }

    /// An initiator is told no path.
    pub(super) fn note_refused(&mut self, from: Endpoint, to: &Given<PeerId>, why: NoPath) {
        let outcome = match why {
            NoPath::Failure(Failure::IdNotExist) => Outcome::UnknownId,
            NoPath::Failure(Failure::Offline) => Outcome::Offline,
            NoPath::Failure(Failure::KeyMismatch) => Outcome::Refused(DropReason::WrongKey),
            NoPath::NotGranted => Outcome::Refused(DropReason::NotGranted),
            NoPath::TooFrequent => Outcome::Refused(DropReason::TooFrequent),
            NoPath::Denied => Outcome::Refused(DropReason::Denied),
        };
        let trusted = self.askers.of(from.ip()).known;
        let kind = StepKind::Refused { outcome, trusted };
        let user = self.caller.user.clone();
        self.step = Some(Step { from, to: to.value().cloned(), user, kind });
    }

    /// The target answered the initiator at `from`.
    pub(super) fn note_answered(&mut self, from: Endpoint, to: &PeerId, how: Meeting<'_>) {
        let (outcome, token) = match how {
            Meeting::Direct => (Outcome::Direct, None),
            Meeting::Lan => (Outcome::Lan, None),
            Meeting::Denied => (Outcome::Refused(DropReason::Denied), None),
            Meeting::Relay(token) => (Outcome::Relay, token.value().cloned()),
        };
        let kind = StepKind::Answered { outcome, token };
        self.step = Some(Step { from, to: Some(to.clone()), user: None, kind });
    }
}

#[cfg(not(feature = "accounts"))]
impl Rendezvous {
    pub(super) const fn note_asked(
        &self,
        _: (Endpoint, Asker),
        _: (&PeerId, IpAddr),
        _: Option<&Given<RelayToken>>,
    ) {
    }

    pub(super) const fn note_refused(&self, _: Endpoint, _: &Given<PeerId>, _: NoPath) {}

    pub(super) const fn note_answered(&self, _: Endpoint, _: &PeerId, _: Meeting<'_>) {}
}
