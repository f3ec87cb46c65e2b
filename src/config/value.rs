//! Reads the value of one flag: None if it cannot be one. Must not know the flag's name.
//! Checks: the refusals in `mod.rs`.

use core::net::IpAddr;
#[cfg(feature = "accounts")]
use std::path::PathBuf;

use rustix::thread::sched_getaffinity;

use super::ports::Role;
#[cfg(feature = "accounts")]
use hbb_core::base::address::split_port;
use hbb_core::base::address::{Network, canonical, host_port};
use hbb_core::base::limits::RELAY_THREADS_CEILING;
use hbb_core::base::rates::MEGABIT;

/// Most relays in a list; more cannot be told from a mistake.
const RELAY_SERVERS_MAX: usize = 32;
/// Most proxies in a list: every address of a content network fits.
const TRUSTED_PROXIES_MAX: usize = 64;

/// The least important line that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// We are stopping or cannot serve.
    Error,
    /// It works, an operator should look.
    Warn,
    /// Rare and wanted.
    Info,
    /// One line per decision.
    Debug,
    /// The same with addresses; compiled out of release builds.
    Trace,
}

/// The header in which trusted proxies tell whose request it is. A client may send the other one,
/// and a proxy pass that on: one alone is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Real-IP`: one address.
    #[default]
    RealIp,
    /// `X-Forwarded-For`: all hops, of which the last that is no trusted proxy counts.
    ForwardedFor,
}

impl ProxyHeader {
    /// As it is written in flags and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RealIp => "x-real-ip",
            Self::ForwardedFor => "x-forwarded-for",
        }
    }
}

pub(super) fn proxy_header(text: &str) -> Option<ProxyHeader> {
    [ProxyHeader::RealIp, ProxyHeader::ForwardedFor]
        .into_iter()
        .find(|header| header.name().eq_ignore_ascii_case(text))
}

/// A list of relays, separated by commas; at most `RELAY_SERVERS_MAX`.
pub fn relays(text: &str) -> Option<Vec<String>> {
    let mut list = Vec::new();
    for name in names(text) {
        list.push(host_port(name)?);
    }
    Some(list).filter(|list| list.len() <= RELAY_SERVERS_MAX)
}

pub(super) fn proxies(text: &str) -> Option<Vec<Network>> {
    let mut list = Vec::new();
    for name in names(text) {
        list.push(Network::parse(name)?);
    }
    Some(list).filter(|list| list.len() <= TRUSTED_PROXIES_MAX)
}

/// What stands between commas.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// An address, if one is given, and a port.
#[cfg(feature = "accounts")]
pub(super) fn api(text: &str) -> Option<(Option<IpAddr>, u16)> {
    let (host, port) = split_port(text);
    let (ip, port) = match port {
        Some(port) => (Some(ip(host)?), port),
        None => (None, text),
    };
    Some((ip, port.parse().ok().filter(|port| *port > 0)?))
}

pub(super) fn ipv4_network(text: &str) -> Option<Network> {
    Network::parse(text).filter(|network| !network.is_v6() && text.contains('/'))
}

/// Bytes a second of a number of Mb/s, of which six decimals count.
pub(super) fn bandwidth(text: &str) -> Option<u64> {
    let millionths = decimal(text, 6).filter(|millionths| *millionths <= 1_000_000_000_000)?;
    Some(millionths * MEGABIT / 1_000_000).filter(|bytes| *bytes > 0)
}

/// Hundredths of a part of one.
pub(super) fn hundredths(text: &str) -> Option<u64> {
    decimal(text, 2).filter(|hundredths| (1..=100).contains(hundredths))
}

/// Bytes a second as Mb/s, with no more decimals than need be to be as many bytes again.
pub(super) fn megabits(bytes: u64) -> String {
    let least = bytes.saturating_mul(1_000_000).div_ceil(MEGABIT);
    let mut step = 1_000_000;
    while least.next_multiple_of(step) * MEGABIT / 1_000_000 != bytes && step > 1 {
        step /= 10;
    }
    let millionths = least.next_multiple_of(step);
    decimals(&format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000))
}

/// Hundredths as a part of one.
pub(super) fn in_hundredths(part: u64) -> String {
    decimals(&format!("{}.{:02}", part / 100, part % 100))
}

fn decimals(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// A number as a whole number of its so many first decimals; further ones are cut off.
fn decimal(text: &str, decimals: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 12 || !digits(whole) || !digits(part) {
        return None;
    }
    let part = part.get(..decimals).unwrap_or(part);
    [whole, part, &"0".repeat(decimals - part.len())].concat().parse().ok()
}

/// A number of threads; `auto` is one for each processor. std's count is 2.7 KB, as it also reads
/// what cgroups allow of them.
pub(super) fn threads(text: &str) -> Option<usize> {
    if text == "auto" {
        let cores = sched_getaffinity(None).map_or(1, |cores| cores.count() as usize);
        return Some(cores.min(RELAY_THREADS_CEILING));
    }
    text.parse().ok().filter(|threads| (1..=RELAY_THREADS_CEILING).contains(threads))
}

/// Where an operator wants to have what asks and sessions came to.
#[cfg(feature = "accounts")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionsTo {
    /// Nowhere, not in memory either.
    Nowhere,
    /// In memory alone.
    Memory,
    /// There and among the log lines.
    Log,
    /// There and in this file.
    File(PathBuf),
}

#[cfg(feature = "accounts")]
pub(super) fn connections(text: &str) -> Option<ConnectionsTo> {
    Some(match text {
        "" => return None,
        "off" => ConnectionsTo::Nowhere,
        "memory" => ConnectionsTo::Memory,
        "log" => ConnectionsTo::Log,
        path => ConnectionsTo::File(path.into()),
    })
}

pub(super) fn ip(text: &str) -> Option<IpAddr> {
    text.trim_start_matches('[').trim_end_matches(']').parse().ok().map(canonical)
}

pub(super) fn not_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.into())
}

/// A path that fits into the address of a socket, with room for an end.
pub(super) fn socket(text: &str) -> Option<String> {
    not_empty(text).filter(|text| text.len() <= 100)
}

pub(super) fn role(text: &str) -> Option<Role> {
    [Role::All, Role::Rendezvous, Role::Relay].into_iter().find(|role| role.name() == text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidths_are_megabits_with_decimals() {
        assert_eq!(bandwidth("8"), Some(1024 * 1024));
        assert_eq!(bandwidth("0.5"), Some(65_536));
        assert_eq!(bandwidth("0.000008"), Some(1));
        for bad in ["", "0", "-1", ".5", "1e3", "1.2.3", "1000000.1", "0.0000001", "99999999999999"]
        {
            assert_eq!(bandwidth(bad), None, "{bad}");
        }
        for text in ["0.01", "0.1", "0.07", "0.3", "1.1", "2.3", "8", "100", "1000000"] {
            assert_eq!(bandwidth(text).map(megabits).as_deref(), Some(text));
        }
        for bytes in (1..3_000_000).step_by(997) {
            assert_eq!(bandwidth(&megabits(bytes)), Some(bytes));
        }
        assert_eq!((hundredths("0.66"), hundredths("1")), (Some(66), Some(100)));
        assert_eq!((hundredths("0"), hundredths("1.01")), (None, None));
        assert_eq!((hundredths("0.339"), bandwidth("1.23456789")), (Some(33), Some(161_817)));
    }
}
