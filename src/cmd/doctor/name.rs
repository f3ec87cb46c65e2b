//! The names that are looked up, and what is tried at each of their addresses. C159.

use super::Asked;
use super::probe::Kind;
use crate::config::PORT;
use hbb_core::base::address::{host, split_port};

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

/// What is tried at a port.
pub(super) struct Try {
    role: Role,
    pub(super) check: &'static str,
    pub(super) kind: Kind,
    /// Above the port of the name.
    above: i16,
    pub(super) path: &'static str,
}

const fn try_it(role: Role, check: &'static str, kind: Kind, above: i16) -> Try {
    let path = match kind {
        Kind::Web => "/ws/id",
        Kind::WebRelay => "/ws/relay",
        // What a client asks an API server first.
        _ => "/api/login-options",
    };
    Try { role, check, kind, above, path }
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
        let is_elsewhere = match self.check {
            "relay" | "websocket-relay" => !asked.relays.is_empty(),
            "api" => asked.single_port || asked.has_api,
            "nat" => asked.single_port,
            _ => false,
        };
        let is_left_out = asked.skip.split(',').any(|skipped| skipped == self.check)
            || self.role == Role::Server && is_elsewhere
            || name.is_tls && self.check == "proxy-relay";
        self.role == name.role && !is_left_out
    }

    /// The port for it.
    pub(super) fn port(&self, name: &Name, asked: &Asked) -> u16 {
        let above = if asked.single_port { 0 } else { self.above };
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
    let (scheme, rest) = url.split_once("://")?;
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
