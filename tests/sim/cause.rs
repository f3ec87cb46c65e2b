//! What made the machine act, and who was behind it.

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::{Ticket, Via};
use hbb_core::base::peer::{DeviceId, PeerId, Record, RecordState};
use hbb_core::rendezvous::Policy;
use hbb_core::wire::addr::Mangled;
use hbb_core::wire::request::{Given, Registration, Request};

/// Who really sent something, which the server cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Device(usize),
    Stranger,
}

/// What made the machine act.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) author: Author,
    pub(crate) via: Option<Via>,
    /// Where it came from; for a save, where the registration came from.
    pub(crate) from: Option<Endpoint>,
    pub(crate) kind: Kind,
}

impl Cause {
    /// Time passed.
    pub(crate) const DUE: Self = Self { kind: Kind::Due, ..Self::NONE };
    /// An operator let a device in.
    pub(crate) const APPROVED: Self = Self { kind: Kind::Approved, ..Self::NONE };
    /// Nothing anybody could answer.
    pub(crate) const NONE: Self =
        Self { author: Author::Stranger, via: None, from: None, kind: Kind::Other };
}

/// The part of a request its answer is judged by.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    RegisterPeer(PeerId),
    RegisterPk(Record),
    Saved(Ticket),
    /// A change of an id: old, new, and by whom.
    Rename(PeerId, PeerId, DeviceId),
    /// A wish for a path, and whether the access key shown was good.
    Punch(Option<PeerId>, bool),
    Relay(Option<PeerId>),
    /// An answer of a target, or what pretends to be one: the bytes it echoes, and whether it is of
    /// a kind that need not echo those told.
    Answer(Option<Mangled>, bool),
    /// "Keep this as long as my session lasts."
    HealthCheck,
    /// Time passed.
    Due,
    /// An operator let a device in.
    Approved,
    Other,
}

impl Kind {
    pub(crate) fn of(request: &Request<'_>, policy: &Policy) -> Self {
        match request {
            Request::RegisterPeer { id: Given::Value(id) } => Self::RegisterPeer(id.clone()),
            Request::RegisterPk(Registration {
                id: Given::Value(id),
                device: Given::Value(device),
                key: Given::Nothing,
                old_id: Given::Value(old),
            }) => Self::Rename(old.clone(), id.clone(), device.clone()),
            Request::RegisterPk(wish) => match (&wish.id, &wish.device, wish.key.value()) {
                (Given::Value(id), Given::Value(device), Some(key)) => Self::RegisterPk(Record {
                    id: id.clone(),
                    device: device.clone(),
                    key: *key,
                    first_seen_secs: 0,
                    state: RecordState::Registered(None),
                }),
                _ => Self::Other,
            },
            Request::PunchHole(wish) => {
                let good = policy.access_key.as_deref().is_none_or(|key| key == wish.access_key);
                Self::Punch(wish.target.value().cloned(), good)
            }
            Request::RequestRelay(wish) => Self::Relay(wish.target.value().cloned()),
            Request::PunchSent(sent) => Self::Answer(sent.echo.exact.clone(), false),
            Request::LocalAddr(local) => Self::Answer(local.echo.exact.clone(), true),
            Request::RelayResponse(answer) => {
                Self::Answer(answer.echo.exact.clone(), answer.id == Given::Nothing)
            }
            Request::HealthCheck => Self::HealthCheck,
            _ => Self::Other,
        }
    }
}
