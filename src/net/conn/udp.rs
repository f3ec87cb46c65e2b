//! The UDP socket of port P. A router has several addresses, and a client hears only the one it
//! asked: so it is noted at which address each peer knocks, and it is answered from there (C24).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use smol::Async;

use hbb_core::base::address::{Endpoint, canonical};
use hbb_core::base::table::{Seed, Table};

/// Room for one control message, an address of either kind.
const CONTROL_BYTES: usize = 64;

/// A UDP socket that speaks canonical endpoints.
pub(crate) struct Datagrams {
    socket: Async<UdpSocket>,
    v6: bool,
    control: Vec<u8>,
    /// Where most peers knock: the address of the first datagram.
    usual: Option<IpAddr>,
    /// Those who knock elsewhere; the oldest is forgotten first and answered as the kernel likes.
    others: Table<Endpoint, IpAddr>,
}

impl Datagrams {
    /// Takes over a bound socket; up to `peers` are remembered at other addresses than the first.
    ///
    /// # Errors
    /// What the reactor or the kernel says.
    pub(crate) fn new(socket: UdpSocket, peers: usize, seed: Seed) -> io::Result<Self> {
        let v6 = socket.local_addr()?.is_ipv6();
        if v6 {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        Ok(Self {
            socket: Async::new(socket)?,
            v6,
            control: vec![0; CONTROL_BYTES],
            usual: None,
            others: Table::new(peers, seed),
        })
    }

    /// Waits until there is a datagram or an error.
    ///
    /// # Errors
    /// What the reactor says.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// One datagram, if one is there; its length is that of `buffer` if it did not fit.
    ///
    /// # Errors
    /// `WouldBlock` if there is none; others concern one sender.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Endpoint)> {
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut self.control),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let from = message.address.as_ref().and_then(endpoint).ok_or(io::ErrorKind::InvalidData)?;
        let asked = message.cmsgs().ok().and_then(|mut control| control.find_map(asked));
        let len = message.bytes;
        self.note(from, asked);
        Ok((len, from))
    }

    fn note(&mut self, from: Endpoint, asked: Option<IpAddr>) {
        let Some(asked) = asked else { return };
        let usual = *self.usual.get_or_insert(asked);
        if asked != usual {
            self.others.insert_evicting(from, asked);
        } else if !self.others.is_empty() {
            self.others.remove(&from);
        }
    }

    /// Sends one datagram, from the address its receiver knocked at, or drops it; never waits.
    ///
    /// # Errors
    /// What the kernel says; it concerns this recipient alone.
    pub(crate) fn send(&self, payload: &[u8], to: Endpoint) -> io::Result<()> {
        let from = self.others.get(&to).copied().or(self.usual);
        match from.map(|from| self.send_from(payload, to, from)) {
            // The address may be gone, as on a line that gets a new one every day.
            None | Some(Err(_)) => self.send_with(payload, to, &[]),
            Some(Ok(())) => Ok(()),
        }
    }

    fn send_from(&self, payload: &[u8], to: Endpoint, from: IpAddr) -> io::Result<()> {
        match from {
            IpAddr::V4(from) if !self.v6 => {
                let addr = libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
                let unset = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: addr, ipi_addr: unset };
                self.send_with(payload, to, &[ControlMessage::Ipv4PacketInfo(&info)])
            }
            from => {
                let from = match from {
                    IpAddr::V4(from) => from.to_ipv6_mapped(),
                    IpAddr::V6(from) => from,
                };
                let ipi6_addr = libc::in6_addr { s6_addr: from.octets() };
                let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                self.send_with(payload, to, &[ControlMessage::Ipv6PacketInfo(&info)])
            }
        }
    }

    fn send_with(
        &self,
        payload: &[u8],
        to: Endpoint,
        control: &[ControlMessage<'_>],
    ) -> io::Result<()> {
        let ip = match to.ip() {
            IpAddr::V4(ip) if self.v6 => IpAddr::V6(ip.to_ipv6_mapped()),
            ip => ip,
        };
        let to = SockaddrStorage::from(SocketAddr::new(ip, to.port()));
        let parts = [IoSlice::new(payload)];
        let socket = self.socket.as_raw_fd();
        sendmsg(socket, &parts, control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }
}

fn endpoint(addr: &SockaddrStorage) -> Option<Endpoint> {
    let v4 = addr.as_sockaddr_in().map(|addr| SocketAddr::V4(SocketAddrV4::from(*addr)));
    let v6 = || addr.as_sockaddr_in6().map(|addr| SocketAddr::V6(SocketAddrV6::from(*addr)));
    v4.or_else(v6).map(Endpoint::from)
}

/// The address a datagram was sent to. Link-local ones need their interface, which the kernel
/// finds by itself.
fn asked(control: ControlMessageOwned) -> Option<IpAddr> {
    let ip = match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            canonical(IpAddr::from(info.ipi6_addr.s6_addr))
        }
        _ => return None,
    };
    let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    (!link_local).then_some(ip)
}
