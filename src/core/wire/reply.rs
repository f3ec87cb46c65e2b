//! What this server says, before encoding: the values machines make.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::addr::Mangled;
use super::{NatType, SocketV6};

/// One message to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Answer to RegisterPeer.
    RegisterPeer {
        /// "Send me RegisterPk."
        request_pk: bool,
    },
    /// Answer to RegisterPk.
    RegisterPk {
        /// What became of it.
        outcome: Registered,
        /// Seconds between signs of life on a connection, 0 over UDP.
        keep_alive_secs: u16,
    },
    /// To a target: open your NAT towards an initiator.
    Punch(Box<Punch>),
    /// To a target: an initiator is in your network, tell your address there.
    FetchLocalAddr {
        /// The initiator as it is seen here, and the nonce to be echoed.
        to: Mangled,
        /// The relay to fall back to; empty leaves it to the target.
        relay: String,
        /// The initiator's IPv6 socket.
        v6: Option<SocketV6>,
        /// What it is told beside.
        remarks: Remarks,
    },
    /// To an initiator: there is no path.
    PunchRefused(Failure),
    /// To an initiator: where the target is.
    PunchAnswer(Box<PunchAnswer>),
    /// A patched message that passes through, ready for the wire.
    Forward(Vec<u8>),
    /// To an initiator: no path, or no relay, in words shown to the person (C58, C86).
    Refused {
        /// What the person reads.
        said: &'static str,
        /// It asked for the relay.
        relay: bool,
    },
    /// To an initiator: no path, or no relay, in an operator's words (C180).
    #[cfg(feature = "accounts")]
    Denied {
        /// What the person reads.
        said: Box<str>,
        /// It asked for the relay.
        relay: bool,
    },
    /// The port this server sees (C34, C35).
    Nat {
        /// 1 to 65535.
        port: u16,
    },
    /// One bit for each id asked for, most significant first (C36).
    Online(Vec<u8>),
    /// Answer to a call of the HTTP API: nothing is there (C129).
    NoApi,
}

impl Reply {
    /// Whether it tells a device that it is registered at the address it asked.
    pub fn welcomes(&self) -> bool {
        match self {
            Self::RegisterPeer { request_pk } => !request_pk,
            Self::RegisterPk { outcome, .. } => *outcome == Registered::Ok,
            _ => false,
        }
    }

    /// Whether it names a port at which somebody listens a moment from now, who closes another
    /// connection there first (C139). A socket for datagrams is open already.
    pub fn is_early(&self) -> bool {
        matches!(self, Self::PunchAnswer(answer) if !answer.is_udp)
    }
}

/// PunchHole: what a target needs to open its NAT towards an initiator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Punch {
    /// The initiator as it is seen here, and the nonce to be echoed.
    pub to: Mangled,
    /// The relay to fall back to; empty leaves it to the target.
    pub relay: String,
    /// The initiator's NAT; `SYMMETRIC` makes the target relay.
    pub nat: NatType,
    /// The initiator's outer UDP port, 0 for none.
    pub udp_port: i32,
    /// Use the relay and nothing else.
    pub force_relay: bool,
    /// Unused by clients, copied.
    pub upnp_port: i32,
    /// The initiator's IPv6 socket.
    pub v6: Option<SocketV6>,
    /// What it is told beside.
    pub remarks: Remarks,
}

/// What a server alone may say to a target of who asks for it (protocol §2.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// ControlPermissions, 0 for none.
    pub permissions: u64,
    /// Its reports are to repeat at which address somebody asked (ControlledContext).
    pub reports: bool,
}

/// PunchHoleResponse on success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PunchAnswer {
    /// The target's address, mangled.
    pub addr: Vec<u8>,
    /// The target's key under the server's signature.
    pub signed_key: Option<Vec<u8>>,
    /// The relay to fall back to.
    pub relay: String,
    /// How the address is to be reached.
    pub path: DirectPath,
    /// The address is the target's UDP socket.
    pub is_udp: bool,
    /// Unused by clients, copied.
    pub upnp_port: i32,
    /// The target's IPv6 socket.
    pub v6: Option<SocketV6>,
}

/// The two kinds of direct path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectPath {
    /// Through the NATs; this is the target's.
    Nat(NatType),
    /// Inside one network.
    Local,
}

/// Results of RegisterPk this server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Accepted and durable.
    Ok,
    /// Another device holds this id; the client will choose a new one at random.
    UuidMismatch,
    /// The wanted id is taken.
    IdExists,
    /// Ask again later.
    TooFrequent,
    /// The id breaks the rules.
    InvalidIdFormat,
    /// Not served on this transport.
    NotSupport,
    /// The store failed or the table is full; the client keeps its id and asks again.
    ServerError,
    /// An operator has to approve the device; the client asks again every 30 s.
    #[cfg(feature = "accounts")]
    NotDeployed,
}

/// Failures of a punch this server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody registered this id.
    IdNotExist,
    /// It is registered and not here.
    Offline,
    /// The access key is wrong.
    KeyMismatch,
}
