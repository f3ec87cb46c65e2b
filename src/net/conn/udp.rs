//! The UDP socket of port P. A router has several addresses, and a client hears only the one it
//! asked: so it is noted at which address each peer knocks, and it is answered from there (C24). A
//! send never waits, and neighbours that do not answer take no room from others (C113).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use rustix::net::sockopt::socket_recv_buffer_size;
use smol::Async;

use hbb_core::base::address::{Endpoint, canonical};
use hbb_core::base::limits::{PRESSED_MS, PRESSED_SENDS_MAX, PRESSED_WINDOW_MS, TARGETS_MAX};
use hbb_core::base::table::{Seed, Table};
use hbb_core::base::time::{RateWindow, Time};

/// Room for two control messages: an address of either kind, and a count.
const CONTROL_BYTES: usize = 96;

/// A UDP socket that speaks canonical endpoints.
pub(crate) struct Datagrams {
    socket: Async<UdpSocket>,
    v6: bool,
    control: Vec<u8>,
    /// Where most peers knock: the address of the first datagram.
    usual: Option<IpAddr>,
    /// Those who knock elsewhere; the oldest is forgotten first and answered as the kernel likes.
    others: Table<Endpoint, IpAddr>,
    /// Of neighbours known by a link-local address: the interface, without which that is nothing,
    /// and where they knock.
    links: Table<Endpoint, (u32, IpAddr)>,
    pressure: Pressure,
    /// What the kernel last said it dropped, and how much that is in all.
    overflowed: (u32, u64),
}

/// What keeps the kernel's room for datagrams from a few targets when there is none left.
struct Pressure {
    until: Time,
    targets: Table<IpAddr, RateWindow>,
}

impl Pressure {
    /// Whether one more may be sent to `ip`.
    fn allow(&mut self, now: Time, ip: IpAddr) -> bool {
        if now >= self.until {
            return true;
        }
        let mut window = self.targets.get(&ip).copied().unwrap_or(RateWindow::EMPTY);
        let allowed = window.allow(now, PRESSED_WINDOW_MS, PRESSED_SENDS_MAX);
        if allowed {
            self.targets.insert_evicting(ip, window);
        }
        allowed
    }
}

/// How the kernel's queue of datagrams did.
#[derive(Clone, Copy, Debug)]
pub struct QueueCounts {
    /// Bytes it may hold, as the kernel counts them.
    pub bytes: usize,
    /// Datagrams it had no room for.
    pub overflowed: u64,
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
        // Without it nothing but a count is missing.
        let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
        let targets = Table::new(TARGETS_MAX, seed);
        Ok(Self {
            socket: Async::new(socket)?,
            v6,
            control: vec![0; CONTROL_BYTES],
            usual: None,
            others: Table::new(peers, seed),
            links: Table::new(TARGETS_MAX, seed),
            pressure: Pressure { until: Time::START, targets },
            overflowed: (0, 0),
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
        let addr = message.address.as_ref().and_then(address).ok_or(io::ErrorKind::InvalidData)?;
        let (mut asked_at, mut lost, len) = (None, None, message.bytes);
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::RxqOvfl(count) => lost = Some(count),
                other => asked_at = asked(other).or(asked_at),
            }
        }
        if let Some(lost) = lost {
            let (before, all) = self.overflowed;
            self.overflowed = (lost, all + u64::from(lost.wrapping_sub(before)));
        }
        let from = Endpoint::from(addr);
        match (addr, asked_at) {
            (SocketAddr::V6(addr), Some(asked)) if addr.scope_id() != 0 => {
                self.links.insert_evicting(from, (addr.scope_id(), asked));
            }
            // Others need the interface of such an address, which the kernel finds by itself.
            (_, asked) => self.note(from, asked.filter(|ip| !is_link_local(*ip))),
        }
        Ok((len, from))
    }

    /// How the kernel's queue of what comes did since start.
    pub(crate) fn counts(&self) -> QueueCounts {
        let bytes = socket_recv_buffer_size(&self.socket).unwrap_or(0);
        QueueCounts { bytes, overflowed: self.overflowed.1 }
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
    /// What the kernel says; it concerns this recipient alone. `WouldBlock` if there is no room.
    pub(crate) fn send(&mut self, now: Time, payload: &[u8], to: Endpoint) -> io::Result<()> {
        if !self.pressure.allow(now, to.ip()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let sent = self.send_anyhow(payload, to);
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.pressure.until = now.after_ms(PRESSED_MS);
        }
        sent
    }

    fn send_anyhow(&self, payload: &[u8], to: Endpoint) -> io::Result<()> {
        let from = match self.link(to) {
            Some((_, asked)) => Some(asked),
            None => self.others.get(&to).copied().or(self.usual),
        };
        match from.map(|from| self.send_from(payload, to, from)) {
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // The address may be gone, as on a line that gets a new one every day.
            None | Some(Err(_)) => self.send_with(payload, to, &[]),
            Some(Ok(())) => Ok(()),
        }
    }

    fn link(&self, to: Endpoint) -> Option<(u32, IpAddr)> {
        is_link_local(to.ip()).then(|| self.links.get(&to).copied()).flatten()
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
                let ipi6_ifindex = self.link(to).map_or(0, |(interface, _)| interface);
                let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex };
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
        let to = match ip {
            IpAddr::V6(ip) => {
                let scope = self.link(to).map_or(0, |(interface, _)| interface);
                SockaddrStorage::from(SocketAddrV6::new(ip, to.port(), 0, scope))
            }
            IpAddr::V4(ip) => SockaddrStorage::from(SocketAddrV4::new(ip, to.port())),
        };
        let parts = [IoSlice::new(payload)];
        let socket = self.socket.as_raw_fd();
        sendmsg(socket, &parts, control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }
}

fn address(addr: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = addr.as_sockaddr_in().map(|addr| SocketAddr::V4(SocketAddrV4::from(*addr)));
    let v6 = || addr.as_sockaddr_in6().map(|addr| SocketAddr::V6(SocketAddrV6::from(*addr)));
    v4.or_else(v6)
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// The address a datagram was sent to.
fn asked(control: ControlMessageOwned) -> Option<IpAddr> {
    match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(canonical(IpAddr::from(info.ipi6_addr.s6_addr)))
        }
        _ => None,
    }
}
