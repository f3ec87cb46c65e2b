//! What peers ask, after parsing: the values machines decide on.

use alloc::string::String;
use alloc::vec::Vec;

use crate::base::address::Endpoint;
use crate::base::peer::{DeviceId, PeerId, PeerKey, RelayToken};

use super::addr::Mangled;
use super::patch::Fields;
use super::{ConnType, NatType, SocketV6};

/// A field a peer may leave out, or fill with something unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given<T> {
    /// Left out or empty.
    Nothing,
    /// Filled with what cannot be one: too long, unprintable, wrong length.
    Unusable,
    /// A good value.
    Value(T),
}

impl<T> Given<T> {
    /// The value, if there is a good one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Nothing | Self::Unusable => None,
        }
    }
}

/// One message from a client, as far as this server acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// "I am still here."
    RegisterPeer {
        /// The id the sender registers under; not proven.
        id: Given<PeerId>,
    },
    /// "This is my device and key", or "change my id".
    RegisterPk(Registration),
    /// An initiator asks for a path to a target.
    PunchHole(PunchRequest),
    /// The target opened its NAT.
    PunchSent(PunchSent),
    /// The target is in the same network and tells its address there.
    LocalAddr(LocalAddr),
    /// Ask the target to come to a relay (rendezvous), or be paired there (relay).
    RequestRelay(RelayRequest<'a>),
    /// The target comes to the relay.
    RelayResponse(RelayAnswer<'a>),
    /// "Which port do you see?"
    TestNat,
    /// "Which of these are online?"
    Online(OnlineQuery<'a>),
    /// The client's half of the secure channel: its public key and the boxed symmetric key.
    KeyExchange(KeyExchange),
    /// A session lasts; the initiator keeps the connection open as long.
    HealthCheck,
    /// An API call carried over port P.
    HttpProxy,
    /// A message this server knows and does not serve (protocol §4.10).
    Ignored,
}

/// RegisterPk: a device registers an id, or asks for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The id to register or to change to.
    pub id: Given<PeerId>,
    /// What the device proves itself by.
    pub device: Given<DeviceId>,
    /// The device's public key; nothing in an id change.
    pub key: Given<PeerKey>,
    /// The id to give up; something only in an id change.
    pub old_id: Given<PeerId>,
}

/// PunchHoleRequest. Its access token and switch code end here (C55).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PunchRequest {
    /// Who is wanted.
    pub target: Given<PeerId>,
    /// The initiator's NAT.
    pub nat: NatType,
    /// What must equal the server's access key.
    pub access_key: String,
    /// The initiator's outer UDP port, 0 for none.
    pub udp_port: i32,
    /// The initiator wants the relay and nothing else.
    pub force_relay: bool,
    /// Unused by clients, copied.
    pub upnp_port: i32,
    /// The initiator's IPv6 socket.
    pub v6: Option<SocketV6>,
}

/// What a target returns of the address it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The bytes, to compare with those sent; none if they were too many to be ours.
    pub exact: Option<Mangled>,
    /// The initiator they spell.
    pub endpoint: Endpoint,
}

/// PunchHoleSent: a target opened its NAT towards an initiator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PunchSent {
    /// Names the initiator it is for.
    pub echo: Echo,
    /// The id the target claims; compared with whom the initiator asked for.
    pub id: Given<PeerId>,
    /// The relay the target would use.
    pub relay: String,
    /// The target's NAT.
    pub nat: NatType,
    /// Whether the target told a version: without, the initiator gets no key (C46).
    pub versioned: bool,
    /// Unused by clients, copied.
    pub upnp_port: i32,
    /// The target's IPv6 socket.
    pub v6: Option<SocketV6>,
}

/// LocalAddr: a target tells its address in the network it shares with an initiator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddr {
    /// Whom it is for; re-encoded by the target, so only its endpoint counts.
    pub echo: Echo,
    /// The id the target claims; compared with whom the initiator asked for.
    pub id: Given<PeerId>,
    /// The target's own address, mangled; passed on verbatim (C45).
    pub local: Vec<u8>,
    /// The relay the target would use.
    pub relay: String,
    /// As in [`PunchSent`].
    pub versioned: bool,
    /// The target's IPv6 socket.
    pub v6: Option<SocketV6>,
}

/// RequestRelay, with the message it came as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayRequest<'a> {
    /// Who is wanted (towards S), or told for the record (towards R).
    pub target: Given<PeerId>,
    /// What pairs the two legs.
    pub token: Given<RelayToken>,
    /// The relay the initiator will go to: named towards S always, towards R never.
    pub relay: String,
    /// What must equal the relay's access key.
    pub access_key: String,
    /// What the session is for.
    pub conn_type: ConnType,
    /// The message's bytes, for `message::forward_relay_request`.
    pub raw: &'a [u8],
}

/// RelayResponse, with the message it came as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayAnswer<'a> {
    /// Names the initiator it is for.
    pub echo: Echo,
    /// Who says so; told only when the target chose the relay.
    pub id: Given<PeerId>,
    /// What pairs the two legs, if the target chose it.
    pub token: Given<RelayToken>,
    /// The relay the target chose, empty if the initiator did.
    pub relay: String,
    /// As in [`PunchSent`].
    pub versioned: bool,
    /// The message's bytes, for `message::forward_relay_answer`.
    pub raw: &'a [u8],
}

/// OnlineRequest: walked where it lies, so that a hostile one costs no memory.
#[derive(Clone, Copy, Debug)]
pub struct OnlineQuery<'a> {
    fields: Fields<'a>,
}

impl PartialEq for OnlineQuery<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.fields.eq(other.fields)
    }
}

impl Eq for OnlineQuery<'_> {}

impl<'a> OnlineQuery<'a> {
    /// What `message` asks for: the member alone, or what [`OnlineQuery::rest`] gave of one.
    pub const fn new(message: &'a [u8]) -> Self {
        Self { fields: Fields::new(message) }
    }

    /// Who asks, by its own account.
    pub fn asker(&self) -> Option<PeerId> {
        let text = self.fields.filter(|field| field.number == 1).last()?;
        PeerId::new(core::str::from_utf8(text.contents?).ok()?)
    }

    /// How many ids it has, good and bad.
    pub fn count(&self) -> usize {
        self.fields.filter(|field| field.number == 2).count()
    }

    /// The next of its ids, of which it has one less then; None within where that cannot be an id.
    pub fn next_id(&mut self) -> Option<Option<PeerId>> {
        let text = self.fields.find(|field| field.number == 2)?.contents;
        let text = text.and_then(|text| core::str::from_utf8(text).ok());
        Some(text.and_then(PeerId::new))
    }

    /// The bytes behind the last id taken.
    pub const fn rest(&self) -> &'a [u8] {
        self.fields.rest()
    }
}

/// KeyExchange with exactly two keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyExchange {
    /// The client's X25519 public key.
    pub public: [u8; 32],
    /// The symmetric key, boxed.
    pub boxed: [u8; 48],
}
