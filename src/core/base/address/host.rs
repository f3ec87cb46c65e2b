//! Host names as an operator types them and clients dial them: a DNS name or an address, and
//! perhaps a port. Nothing here resolves anything.

use alloc::format;
use alloc::string::{String, ToString as _};
use core::net::{IpAddr, Ipv6Addr};

/// Longest DNS name.
const NAME_BYTES_MAX: usize = 253;
/// Longest part of a DNS name between two dots.
const NAME_PART_BYTES_MAX: usize = 63;

/// A host as clients write it: a DNS name, an IPv4 or an IPv6 address; brackets are taken off, and
/// IPv4 that is mapped into IPv6 is IPv4.
pub fn host(text: &str) -> Option<String> {
    let (name, port) = split_port(text);
    let unwrapped = || mapped(name).unwrap_or_else(|| name.into());
    (port.is_none() && is_host(name)).then(unwrapped)
}

/// A host, or a host and a port from 1, as clients write it; returned unchanged if it is one, but
/// for IPv4 that is mapped into IPv6.
pub fn host_port(text: &str) -> Option<String> {
    let (name, port) = split_port(text);
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let unwrapped = || match (mapped(name), port) {
        (Some(ip), Some(port)) => [&ip, ":", port].concat(),
        (Some(ip), None) => ip,
        (None, _) => text.into(),
    };
    (is_host(name) && port_fits).then(unwrapped)
}

/// The IPv4 address of a mapped one.
fn mapped(name: &str) -> Option<String> {
    let ip = name.parse::<Ipv6Addr>().ok()?.to_ipv4_mapped()?;
    Some(ip.to_string())
}

/// Takes `host`, `host:port`, `v6`, `[v6]` or `[v6]:port` apart. Brackets come off around an IPv6
/// address alone; nothing else is checked, so a port may be any text without a colon.
pub fn split_port(text: &str) -> (&str, Option<&str>) {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    if let Some((inner, rest)) = bracketed.filter(|(inner, _)| inner.parse::<Ipv6Addr>().is_ok()) {
        match (rest, rest.strip_prefix(':')) {
            ("", _) => return (inner, None),
            (_, Some(port)) => return (inner, Some(port)),
            _ => {}
        }
    }
    match text.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (text, None),
    }
}

fn is_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let part = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let length = 1..=NAME_PART_BYTES_MAX;
        length.contains(&part.len()) && part.bytes().all(allowed) && !part.starts_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    name.len() <= NAME_BYTES_MAX && name.split('.').all(part)
}

/// Host and port in one text, an IPv6 address in brackets.
pub fn with_port(host: &str, port: u16) -> String {
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    format!("{open}{host}{close}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        let bad_v6 = ["[::1", "[::1]1", "[h]", "[h]:1", "[1.2.3.4]:1", "[::1]:", "::1]:1", "1::2:"];
        let bad =
            ["", "a b", "a..b", "-:1", "h:", "h:0", "h:65536", "http://h", "h/", "ä.de", ":1"];
        for bad in bad.into_iter().chain(bad_v6) {
            assert_eq!(host_port(bad), None, "{bad}");
        }
        for good in ["h", "a.b-c.", "192.0.2.1:1", "::1", "[::1]", "[::1]:21117"] {
            assert!(host_port(good).is_some(), "{good}");
        }
        assert_eq!(host("[::1]").as_deref(), Some("::1"));
        assert_eq!(host("h:1"), None);
        for (text, one) in [
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::FFFF:c000:201]", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:1", "192.0.2.1:1"),
            ("[::192.0.2.1]:1", "[::192.0.2.1]:1"),
        ] {
            assert_eq!(host_port(text).as_deref(), Some(one), "{text}");
        }
        assert_eq!(host("::ffff:192.0.2.1").as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn a_port_is_what_stands_behind_the_only_colon_or_a_bracket() {
        for (text, parts) in [
            ("h:1", ("h", Some("1"))),
            ("192.0.2.1", ("192.0.2.1", None)),
            ("::1", ("::1", None)),
            ("[::1]", ("::1", None)),
            ("[::1]:21117", ("::1", Some("21117"))),
            ("h:x", ("h", Some("x"))),
        ] {
            assert_eq!(split_port(text), parts, "{text}");
        }
    }
}
