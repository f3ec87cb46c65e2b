//! A network namespace in which a server and those who ask it have addresses of their own.

use std::process::Command;

use super::host::Host;

/// Removed when dropped.
pub(crate) struct Place(String);

impl Place {
    /// Makes it, with these addresses; the name is this process's own.
    pub(crate) fn new(name: &str, addresses: &[&str]) -> Self {
        let place = Self(format!("hbb-{name}-{}", std::process::id()));
        ip(&format!("netns add {}", place.0));
        place.ip("link set lo up");
        addresses.iter().for_each(|address| place.ip(&format!("addr add {address} dev lo")));
        place
    }

    /// Has this whole network.
    pub(crate) fn own(&self, network: &str) {
        if !network.contains(':') {
            return self.ip(&format!("route add local {network} dev lo"));
        }
        // Who has a network needs no address of it on an interface.
        ip(&format!("netns exec {} sysctl -qw net.ipv6.ip_nonlocal_bind=1", self.0));
        self.ip(&format!("-6 route add local {network} dev lo"));
    }

    /// What a program that runs there is started behind.
    pub(crate) fn prefix(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.0]
    }

    /// One of its addresses.
    pub(crate) fn host(&self, address: &str) -> Host {
        Host::inside(&self.0, address)
    }

    fn ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.0));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status();
    let status = status.expect("the program ip is needed: install the package iproute2");
    assert!(status.success(), "ip {words} failed; it needs root");
}
