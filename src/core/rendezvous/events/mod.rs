//! What the rendezvous reports, for operators. It must not know how that is worded.

mod flaps;

use crate::base::address::Endpoint;
use crate::base::conn::Via;
use crate::base::counters::DropReason;
use crate::base::peer::PeerId;
use crate::base::time::Time;

use super::{Effect, Effects, Rendezvous, push};

pub(super) use flaps::Flaps;

/// What the rendezvous reports, in the past tense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new id is registered and durable.
    PeerAdded {
        /// The new id.
        id: PeerId,
        /// Where it registered.
        from: Endpoint,
        /// That is no forgery: a connection came from there within a minute.
        proved: bool,
    },
    /// A registered device has a new key, durable.
    PeerKeyChanged {
        /// The device's id, as before.
        id: PeerId,
        /// Where it registered.
        from: Endpoint,
    },
    /// A registered device goes by another id, durable.
    PeerRenamed {
        /// The id given up.
        from: PeerId,
        /// The id it goes by now.
        id: PeerId,
        /// Where it asked for that.
        at: Endpoint,
    },
    /// Somebody else asked for a registered id, or for a new key from another address.
    PeerChangeRefused {
        /// The registered id.
        id: PeerId,
        /// The address that asked.
        from: Endpoint,
        /// As for a new id.
        proved: bool,
    },
    /// A device is in two places in turn: there are two of it (C120).
    PeerFlaps {
        /// Its id.
        id: PeerId,
        /// Where it was, and where it is now.
        places: [Endpoint; 2],
    },
    /// Somebody asked for what only an operator can give, by `forget --free`.
    PeerHeld {
        /// The id.
        id: PeerId,
        /// The address that asked.
        from: Endpoint,
        /// As for a new id.
        proved: bool,
        /// Why it was refused.
        why: Held,
    },
    /// A new id was refused because the table is full.
    PeersFull {
        /// How many peers may be registered.
        limit: usize,
    },
    /// A peer was forgotten: an operator wished it, or it was away so long that it made room for a
    /// new one ([`crate::base::limits::Limits::forget_after_days`]).
    PeerForgotten {
        /// The id that is free again.
        id: PeerId,
    },
    /// A device waits for an operator, who was not told of it yet (C185).
    #[cfg(feature = "accounts")]
    PeerWaiting {
        /// The id it asks for.
        id: PeerId,
        /// The address that asked.
        from: Endpoint,
        /// As for a new id.
        proved: bool,
    },
    /// An operator approved a device, and it is durable (C186).
    #[cfg(feature = "accounts")]
    PeerApproved {
        /// The device's id.
        id: PeerId,
    },
    /// An operator wants a peer forgotten that is not registered.
    PeerUnknown {
        /// The id the operator gave.
        id: PeerId,
    },
    /// The store could not keep a registration or a removal.
    SaveFailed {
        /// The id to be registered or removed.
        id: PeerId,
    },
    /// A message went no further.
    Dropped {
        /// Where it came from.
        via: Via,
        /// Why; counted as well.
        reason: DropReason,
    },
    /// Somebody was sent away for what an operator can change.
    Refused {
        /// Who.
        from: Endpoint,
        /// As for a new id.
        proved: bool,
        /// Why; counted as well.
        reason: DropReason,
        /// What is behind `TooFrequent`.
        limit: RateLimit,
    },
}

impl Rendezvous {
    /// Counts and reports what went no further.
    pub(super) fn refuse(
        &mut self,
        now: Time,
        via: Via,
        reason: DropReason,
        effects: &mut Effects,
    ) {
        self.refuse_by(now, via, (reason, RateLimit::Fixed), effects);
    }

    /// The same, with the limit that was reached.
    pub(super) fn refuse_by(
        &mut self,
        now: Time,
        via: Via,
        (reason, limit): (DropReason, RateLimit),
        effects: &mut Effects,
    ) {
        self.counters.count(reason);
        let event = match self.source(via) {
            Ok(from) if reason.is_refusal() => {
                let proved = matches!(via, Via::Stream(_)) || self.newcomers.is_proved(now, from);
                Event::Refused { from, proved, reason, limit }
            }
            _ => Event::Dropped { via, reason },
        };
        push(effects, Effect::Report(event));
    }
}

/// How often something may be asked for, as far as an operator can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// `Limits::registrations_per_source` (C20).
    Registrations,
    /// `Limits::newcomers_per_source` (C98).
    Newcomers,
    /// That of new ids of which UDP alone tells where they come from (C97): a connection lifts it.
    Unproved,
    /// A constant.
    Fixed,
}

/// Why a claim waits for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A registered device asks for a new key, and nobody knows the address it was last at (C93).
    Unseen,
    /// The id is kept for the device that an operator had forgotten (C91).
    Forgotten,
}

impl Held {
    /// The word for log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unseen => "last-address-unknown",
            Self::Forgotten => "forgotten",
        }
    }
}
