//! Reads the value of one flag: None if it cannot be one. Must not know the flag's name.
//! Checks: the refusals in `mod.rs`.

use core::net::IpAddr;

use super::{LogLevel, RELAY_SERVERS_MAX, Role, TRUSTED_PROXIES_MAX};
use crate::base::endpoint::Network;
use crate::base::host::host_port;

/// A list of relays, with commas between.
pub fn relays(text: &str) -> Option<Vec<String>> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let list: Option<Vec<String>> = names.map(host_port).collect();
    list.filter(|list| list.len() <= RELAY_SERVERS_MAX)
}

pub(super) fn proxies(text: &str) -> Option<Vec<Network>> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let list: Option<Vec<Network>> = names.map(Network::parse).collect();
    list.filter(|list| list.len() <= TRUSTED_PROXIES_MAX)
}

pub(super) fn ipv4_network(text: &str) -> Option<Network> {
    Network::parse(text).filter(|network| !network.is_v6() && text.contains('/'))
}

pub(super) fn ip(text: &str) -> Option<IpAddr> {
    text.trim_matches(['[', ']']).parse().ok()
}

pub(super) fn not_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.into())
}

pub(super) fn role(text: &str) -> Option<Role> {
    Some(match text {
        "all" => Role::All,
        "rendezvous" => Role::Rendezvous,
        "relay" => Role::Relay,
        _ => return None,
    })
}

pub(super) fn log_level(text: &str) -> Option<LogLevel> {
    Some(match text {
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "info" => LogLevel::Info,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => return None,
    })
}

/// The number as 16 bits; its bounds were checked.
pub(super) fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
