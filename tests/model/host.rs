//! A place clients run at: an address, perhaps in a network namespace of its own.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with, sockopt,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::wire::{receive, send};
use crate::say;

/// How long a modelled client waits for anything: the client's own longest wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(18);

/// An address and the namespace it is in.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) ip: IpAddr,
    /// Its IPv6 address besides, if it has one that others reach.
    pub(crate) v6: Option<Ipv6Addr>,
    /// Others see it at another address, perhaps another port.
    pub(crate) behind_nat: bool,
    /// Where WebSockets of the server's name arrive, and the port that was typed with the name.
    pub(crate) by_name: Option<SocketAddr>,
    namespace: Option<String>,
}

impl Host {
    /// An address of this machine.
    pub(crate) fn local(ip: &str) -> Self {
        let ip = ip.parse().unwrap();
        Self { ip, v6: None, behind_nat: false, by_name: None, namespace: None }
    }

    /// An address in a namespace made by `ip netns add`.
    pub(crate) fn inside(namespace: &str, ip: &str) -> Self {
        Self { namespace: Some(namespace.into()), ..Self::local(ip) }
    }

    /// The same, where a NAT stands before `ip` and nothing before `v6`.
    pub(crate) fn behind_nat(namespace: &str, ip: &str, v6: &str) -> Self {
        let v6 = Some(v6.parse().unwrap());
        Self { v6, behind_nat: true, ..Self::inside(namespace, ip) }
    }

    /// The same host at another of its addresses.
    pub(crate) fn at(&self, ip: IpAddr) -> Self {
        Self { ip, ..self.clone() }
    }

    /// The same host, which uses its IPv6 address for everything.
    pub(crate) fn over_v6(self) -> Self {
        let ip = self.v6.expect("a host with an IPv6 address").into();
        Self { ip, behind_nat: false, ..self }
    }

    /// The same host, in which the server is typed as a name; what comes to that is passed on to
    /// the server's only port.
    pub(crate) fn knowing_by_name(self, server: SocketAddr) -> Self {
        Self { by_name: Some(server), ..self }
    }

    /// Where a WebSocket goes instead of `to`, and its path: of a name the port is left out, and
    /// tells the path alone (protocol §1.5).
    pub(crate) fn web(&self, to: SocketAddr) -> (SocketAddr, &'static str) {
        match self.by_name {
            None => (SocketAddr::new(to.ip(), to.port() + 2), "/"),
            Some(server) if (server.port() - 1..=server.port()).contains(&to.port()) => {
                (server, "/ws/id")
            }
            Some(server) => (server, "/ws/relay"),
        }
    }

    /// Moves the calling thread to where this host is; sockets it makes from then on are there.
    pub(crate) fn enter(&self) {
        let Some(name) = &self.namespace else { return };
        let file = File::open(format!("/run/netns/{name}")).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("entering a network namespace needs root");
    }

    pub(crate) fn udp(&self) -> UdpSocket {
        udp(self.ip)
    }

    /// A socket at its IPv6 address.
    pub(crate) fn udp_v6(&self) -> UdpSocket {
        udp(self.v6.expect("a host with an IPv6 address").into())
    }

    /// Connects from `port` of this host, any if 0; the port may be shared with a listener.
    pub(crate) fn connect(&self, port: u16, to: SocketAddr) -> io::Result<TcpStream> {
        self.connect_within(PATIENCE, port, to)
    }

    /// The same, if it succeeds in this time.
    pub(crate) fn connect_within(
        &self,
        patience: Duration,
        port: u16,
        to: SocketAddr,
    ) -> io::Result<TcpStream> {
        let socket = self.bound(port)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(patience))?;
        connect(&socket, &to)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Shows the server that its address is no forgery, by a NAT test as clients make one at their
    /// start: four new ids may come from it by datagram then (C96).
    pub(crate) fn prove(&self, server: SocketAddr) {
        let mut stream = self.connect(0, server).unwrap();
        send(&mut stream, &say::test_nat(3)).unwrap();
        receive(&mut stream).expect("an answer to a NAT test");
    }

    /// Listens on `port`, which a connection of this host may share.
    pub(crate) fn listen(&self, port: u16) -> TcpListener {
        let socket = self.bound(port).unwrap();
        listen(&socket, 8).unwrap();
        TcpListener::from(socket)
    }

    fn bound(&self, port: u16) -> io::Result<OwnedFd> {
        let family = if self.ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        // A server that another test starts meanwhile must not keep it open.
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_socket_reuseport(&socket, true)?;
        bind(&socket, &SocketAddr::new(self.ip, port))?;
        Ok(socket)
    }
}

/// Calls again what the kernel breaks off: where there is a time to wait it may, without a signal
/// that anybody sees.
pub(crate) fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            called => return called,
        }
    }
}

fn udp(ip: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}
