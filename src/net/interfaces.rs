//! Where this machine is: the addresses of its interfaces, and the routers it sends through. Read
//! when it is asked for, so that nothing wakes up where nobody dials. Must not know what for.
//! Checks: C127 in tests/lans.rs.

use std::env::var_os;
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// The kernel's IPv4 routes, those for all other networks first. A service that sees no processes
/// but its own sees this one.
const ROUTES: &str = "/proc/self/net/route";
/// Bytes read of them: 32 lines.
const ROUTES_BYTES: usize = 4096;

/// The addresses of the interfaces that are up, each once.
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    own_networks().into_iter().map(|(ip, _)| ip).collect()
}

/// The same, each with the bits of its network; empty if the kernel does not tell.
pub(crate) fn own_networks() -> Vec<(IpAddr, u8)> {
    let mut found: Vec<(IpAddr, u8)> = Vec::new();
    for interface in getifaddrs().into_iter().flatten() {
        let up = interface.flags.contains(InterfaceFlags::IFF_UP);
        let Some(ip) = interface.address.filter(|_| up).and_then(address) else { continue };
        let mask = interface.netmask.and_then(address);
        if !found.iter().any(|(known, _)| *known == ip) {
            found.push((ip, mask.map_or(u8::MAX, bits)));
        }
    }
    found
}

fn address(storage: SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip())))
}

fn bits(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    u8::try_from(ones).unwrap_or(u8::MAX)
}

/// The router this machine sends through over IPv4; None if it cannot be known.
pub(crate) fn gateway() -> Option<IpAddr> {
    let mut buffer = [0; ROUTES_BYTES];
    let read = File::open(ROUTES).and_then(|mut file| file.read(&mut buffer));
    let text = buffer.get(..read.unwrap_or(0)).unwrap_or_default();
    str::from_utf8(text).ok()?.lines().find_map(gateway_of)
}

/// Whether who comes from an address of ours may be anywhere: without root Podman takes in what
/// comes to a container's ports, and passes it on from the container's own address. It says there
/// in the environment that it is Podman; its file in /run is not in a container of `--read-only`.
pub(crate) fn hides_clients() -> bool {
    var_os("container").is_some_and(|engine| engine == "podman")
}

/// The gateway of a line: its third word, as the kernel's processor reads the four bytes.
fn gateway_of(line: &str) -> Option<IpAddr> {
    let word = line.split_whitespace().nth(2)?;
    let number = u32::from_str_radix(word, 16).ok().filter(|number| *number > 0)?;
    Some(Ipv4Addr::from(number.to_ne_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_read_as_the_kernel_writes_it() {
        let written = format!("{:08X}", u32::from_ne_bytes([192, 168, 1, 254]));
        let line = format!("eth0\t00000000\t{written}\t0003\t0\t0\t0\t00000000\t0\t0\t0");
        assert_eq!(gateway_of(&line), Some([192, 168, 1, 254].into()));
        for none in ["", "Iface\tDestination\tGateway", "eth0\t0001A8C0\t00000000\t0001", "a b"] {
            assert_eq!(gateway_of(none), None, "{none}");
        }
    }

    #[test]
    fn loopback_is_an_interface_with_a_network() {
        let found = own_networks();
        assert!(found.contains(&([127, 0, 0, 1].into(), 8)), "{found:?}");
    }
}
