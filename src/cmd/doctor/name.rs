//! The names that are looked up, what is tried at each of their addresses, and the jobs that come
//! of both. C159.

use super::Asked;
use super::report::{Finding, Place, State};
use super::wire::Patience;
use crate::config::PORT;
use hbb_core::base::address::{host, split_port};
use hbb_core::base::text::around;

/// What stands behind a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Relay,
    Proxy,
    Api,
}

/// A name to look up and to try.
pub(super) struct Name {
    pub(super) role: Role,
    pub(super) host: String,
    pub(super) port: u16,
    /// What is in front of the path of a URL.
    pub(super) path: String,
    pub(super) is_tls: bool,
}

/// What is found out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The addresses behind a name.
    LookUp,
    /// P: signalling, the offer of a sealed channel, the key.
    Signalling,
    /// P-1, with P: both see one port, or the NAT here is symmetric.
    Nat,
    /// P, datagrams.
    Udp,
    /// Two legs in frames.
    Relay,
    /// Signalling over a WebSocket.
    Web,
    /// Two legs over WebSockets.
    WebRelay,
    /// An HTTP request.
    Api,
    /// Whether it is open, and no more.
    Open,
}

impl Kind {
    /// What is asked for by HTTP, behind the path of a URL.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Web => "/ws/id",
            Self::WebRelay => "/ws/relay",
            // What a client asks an API server first.
            _ => "/api/login-options",
        }
    }
}

/// One thing to find out, in a thread.
pub(super) struct Job {
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) name: &'static Name,
    pub(super) patience: Patience,
}

impl Job {
    /// What was found, of this check or of another one that showed there.
    pub(super) fn finding(&self, check: &'static str, state: State, text: &str) -> Finding {
        let mut finding = Finding::new(Place { check, ..self.place }, state, text);
        if self.place.at.is_none() {
            finding.name = &self.name.host;
        }
        finding
    }
}

/// What is tried at a port.
pub(super) struct Try {
    role: Role,
    pub(super) check: &'static str,
    pub(super) kind: Kind,
    /// Above the port of the name.
    above: i16,
}

const fn try_it(role: Role, check: &'static str, kind: Kind, above: i16) -> Try {
    Try { role, check, kind, above }
}

/// In the order in which they are told.
pub(super) const TRIES: &[Try] = &[
    try_it(Role::Server, "tcp", Kind::Signalling, 0),
    try_it(Role::Server, "udp", Kind::Udp, 0),
    try_it(Role::Server, "nat", Kind::Nat, -1),
    try_it(Role::Server, "websocket", Kind::Web, 2),
    try_it(Role::Server, "relay", Kind::Relay, 1),
    try_it(Role::Server, "websocket-relay", Kind::WebRelay, 3),
    try_it(Role::Server, "api", Kind::Api, -2),
    try_it(Role::Relay, "relay", Kind::Relay, 0),
    try_it(Role::Relay, "websocket-relay", Kind::WebRelay, 2),
    try_it(Role::Proxy, "proxy", Kind::Web, 0),
    try_it(Role::Proxy, "proxy-relay", Kind::WebRelay, 0),
    try_it(Role::Api, "api", Kind::Api, 0),
];

impl Try {
    /// Whether it is tried at `name`.
    pub(super) fn is_for(&self, name: &Name, asked: &Asked) -> bool {
        let is_elsewhere = match self.kind {
            Kind::Relay | Kind::WebRelay => {
                asked.names.iter().any(|named| named.role == Role::Relay)
            }
            Kind::Api => asked.flags.single_port || asked.flags.api.is_some(),
            Kind::Nat => asked.flags.single_port,
            _ => false,
        };
        let is_left_out = asked.is_skipped(self.check)
            || self.role == Role::Server && is_elsewhere
            || name.is_tls && self.kind == Kind::WebRelay;
        self.role == name.role && !is_left_out
    }

    /// The port for it.
    pub(super) fn port(&self, name: &Name, asked: &Asked) -> u16 {
        let above = if asked.flags.single_port { 0 } else { self.above };
        name.port.saturating_add_signed(above)
    }
}

/// A relay as servers name it.
pub(super) fn relay(named: &str) -> Name {
    let (host, port) = split_port(named);
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(PORT + 1);
    Name { role: Role::Relay, host: host.into(), port, path: String::new(), is_tls: false }
}

/// Who is at a URL; None if it is none.
pub(super) fn url(role: Role, url: &str) -> Option<Name> {
    let (scheme, rest) = around(url, "://")?;
    let (is_tls, usual) = match scheme {
        "http" | "ws" => (false, 80),
        "https" | "wss" => (true, 443),
        _ => return None,
    };
    let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (name, port) = split_port(place);
    let port = port.map_or(Some(usual), |port| port.parse().ok())?;
    let path = path.trim_end_matches('/').to_owned();
    Some(Name { role, host: host(name)?, port, path, is_tls })
}
