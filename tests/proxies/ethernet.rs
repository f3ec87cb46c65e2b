//! Where the server, the proxies and the clients are: namespaces of their own.

use std::process::Command;

use super::model::host::Host;
use super::model::server::Server;
use super::{CLIENT, HAPROXY, NGINX, SERVER, TARGET};

/// Three namespaces on one Ethernet; removed when dropped.
pub(crate) struct Ethernet {
    prefix: String,
}

impl Ethernet {
    pub(crate) fn new(name: &str) -> Self {
        let net = Self { prefix: format!("hbb-{name}-{}", std::process::id()) };
        let [server, proxy, client] = ["s", "p", "c"].map(|part| net.name(part));
        for part in [&server, &proxy, &client] {
            ip(&format!("netns add {part}"));
            ip(&format!("-n {part} link set lo up"));
        }
        ip(&format!("-n {proxy} link add br0 type bridge"));
        ip(&format!("-n {proxy} link set br0 up"));
        for (part, port) in [(&server, "s0"), (&client, "c0")] {
            ip(&format!("-n {proxy} link add {port} type veth peer name e0 netns {part}"));
            ip(&format!("-n {proxy} link set {port} master br0 up"));
            ip(&format!("-n {part} link set e0 up"));
        }
        for (part, device, address) in [
            (&server, "e0", SERVER),
            (&proxy, "br0", NGINX),
            (&proxy, "br0", HAPROXY),
            (&client, "e0", CLIENT),
            (&client, "e0", TARGET),
        ] {
            ip(&format!("-n {part} addr add {address}/24 dev {device}"));
        }
        for (part, device, others) in [
            (&server, "e0", "203.0.113.0/24"),
            (&proxy, "br0", "203.0.113.0/24"),
            (&client, "e0", "10.9.0.0/24"),
        ] {
            ip(&format!("-n {part} route add {others} dev {device}"));
        }
        net
    }

    pub(crate) fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    pub(crate) fn serve(&self, flags: &[&str]) -> Server {
        let flags = [&["--key="], flags].concat();
        Server::start_behind(&["ip", "netns", "exec", &self.name("s")], &flags)
    }

    pub(crate) fn host(&self, ip: &str) -> Host {
        Host::inside(&self.name("c"), ip)
    }
}

impl Drop for Ethernet {
    fn drop(&mut self) {
        for part in ["s", "p", "c"] {
            let _ = Command::new("ip").args(["netns", "del", &self.name(part)]).status();
        }
    }
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status();
    assert!(done.expect("ip of the package iproute2").success(), "ip {words}");
}
