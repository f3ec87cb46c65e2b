//! Host names as an operator types them and clients dial them: a DNS name or an address, and
//! perhaps a port. Nothing here resolves anything.

use alloc::format;
use alloc::string::String;
use core::net::{IpAddr, Ipv6Addr};

/// Longest DNS name.
const NAME_BYTES_MAX: usize = 253;
/// Longest part of a DNS name between two dots.
const NAME_PART_BYTES_MAX: usize = 63;

/// A host as clients write it: a DNS name, an IPv4 or an IPv6 address; brackets are taken off.
pub fn host(text: &str) -> Option<String> {
    if text.parse::<IpAddr>().is_ok() {
        return Some(text.into());
    }
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Some(inner) = inner {
        return inner.parse::<Ipv6Addr>().is_ok().then(|| inner.into());
    }
    let part = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let length = 1..=NAME_PART_BYTES_MAX;
        length.contains(&part.len()) && part.bytes().all(allowed) && !part.starts_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    (name.len() <= NAME_BYTES_MAX && name.split('.').all(part)).then(|| text.into())
}

/// A host, or a host and a port from 1, as clients write it; returned unchanged if it is one.
pub fn host_port(text: &str) -> Option<String> {
    let is_one = host(text).is_some()
        || text.rsplit_once(':').is_some_and(|(name, port)| {
            let bare_v6 = name.contains(':') && !name.starts_with('[');
            !bare_v6 && host(name).is_some() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
    is_one.then(|| text.into())
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
        for bad in ["", "a b", "a..b", "-:1", "h:0", "h:65536", "[::1", "http://h", "h/", "ä.de"] {
            assert_eq!(host_port(bad), None, "{bad}");
        }
        for good in ["h", "a.b-c.", "192.0.2.1:1", "::1", "[::1]", "[::1]:21117"] {
            assert!(host_port(good).is_some(), "{good}");
        }
        assert_eq!(host("[::1]").as_deref(), Some("::1"));
        assert_eq!(host("h:1"), None);
    }
}
