//! The UDP socket of port P. Who asks is answered from the address that was asked (C24). A send
//! never waits, and neighbours that do not answer take no room from others (C113).
//! What waits is read together (C152). It is sent one by one: each goes from its own address, for
//! which rustix has no word, and musl's sendmmsg makes a call for each where a pointer is 64 bits.
//! That is used all the same, since nix's sendmsg allocates for each.

use core::array;
use core::task::{Context, Poll};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd as _;

use heapless::Deque;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg,
    sendmmsg, sendmsg, setsockopt, sockopt,
};
use nix::{cmsg_space, libc};
use rustix::net::sockopt::socket_recv_buffer_size;

use hbb_core::base::address::{Asked, Endpoint, canonical};
use hbb_core::base::limits::{
    DATAGRAM_BYTES_MAX, DATAGRAMS_PER_READ, PRESSED_MS, PRESSED_SENDS_MAX, PRESSED_WINDOW_MS,
    TARGETS_MAX,
};
use hbb_core::base::table::{Seed, Table};
use hbb_core::base::time::{RateWindow, Time};

use crate::net::reactor::{First, Source};

/// Room for two control messages: an address of either kind, and a count.
const CONTROL_BYTES: usize = 96;
/// One byte more than the limit, so that longer datagrams show.
const SLOT_BYTES: usize = DATAGRAM_BYTES_MAX + 1;
/// What [`Datagrams::receive`] needs.
pub(crate) const BUFFER_BYTES: usize = DATAGRAMS_PER_READ * SLOT_BYTES;
/// How many are read at once where no more than one is expected: that there was no second tells
/// that there is none, which another call would have to ask.
const FEW: usize = 2;

/// A UDP socket that speaks canonical endpoints.
pub(crate) struct Datagrams {
    socket: Source<UdpSocket>,
    v6: bool,
    headers: MultiHeaders<SockaddrStorage>,
    /// Of a datagram that is sent from an address.
    sending: MultiHeaders<SockaddrStorage>,
    /// Read and not yet handed out.
    read: Deque<Received, DATAGRAMS_PER_READ>,
    /// The last read found as many as it had room for.
    many: bool,
    asked: Asked,
    /// Of neighbours known by a link-local address: the interface, without which that is nothing,
    /// and where they knock.
    links: Table<Endpoint, (u32, IpAddr)>,
    pressure: Pressure,
    /// What the kernel last said it dropped, and how much that is in all.
    overflowed: (u32, u64),
}

/// One datagram that was read.
struct Received {
    from: SocketAddr,
    /// At which of our addresses.
    asked: Option<IpAddr>,
    /// Where in the buffer.
    at: Range<usize>,
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
            socket: Source::new(socket)?,
            v6,
            headers: headers(),
            sending: MultiHeaders::preallocate(1, Some(control_room(v6))),
            read: Deque::new(),
            many: false,
            asked: Asked::new(peers, seed),
            links: Table::new(TARGETS_MAX, seed),
            pressure: Pressure { until: Time::START, targets },
            overflowed: (0, 0),
        })
    }

    /// Ready when there is a datagram or an error; else the task of `context` is woken when it is.
    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        if self.read.is_empty() { self.socket.poll_readable(context) } else { Poll::Ready(()) }
    }

    /// Has `first` called when something came, before the task that waits is woken.
    pub(crate) fn ask_first(&self, first: First) {
        self.socket.ask_first(first);
    }

    /// Whether there may be a datagram.
    pub(crate) fn is_readable(&self) -> bool {
        !self.read.is_empty() || self.socket.is_readable()
    }

    /// The next datagram, if one is there: where it is in `buffer`, of [`BUFFER_BYTES`], which must
    /// be the one of the call before. It is longer than [`DATAGRAM_BYTES_MAX`] if it did not fit.
    ///
    /// # Errors
    /// `WouldBlock` if there is none; others concern one sender.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(Range<usize>, Endpoint)> {
        if self.read.is_empty() {
            self.read(buffer)?;
        }
        let received = self.read.pop_front().ok_or(io::ErrorKind::InvalidData)?;
        let from = Endpoint::from(received.from);
        let mut own = None;
        match (received.from, received.asked) {
            (SocketAddr::V6(addr), Some(asked)) if addr.scope_id() != 0 => {
                self.links.insert_evicting(from, (addr.scope_id(), asked));
            }
            // Others need the interface of such an address, which the kernel finds by itself.
            (_, asked) => own = asked.filter(|asked| !is_link_local(*asked)),
        }
        self.asked.heard(from, own);
        Ok((received.at, from))
    }

    /// Reads what is there, as much as there is room for.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let (mut all, mut few);
        let slots = match self.many {
            true => {
                all = slots::<DATAGRAMS_PER_READ>(buffer);
                all.iter_mut()
            }
            false => {
                few = slots::<FEW>(buffer);
                few.iter_mut()
            }
        };
        let most = slots.len();
        let (socket, flags) = (self.socket.socket().as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let received = recvmmsg(socket, &mut self.headers, slots, flags, None);
        if matches!(received, Err(Errno::EAGAIN)) {
            self.socket.drained();
        }
        let (mut count, mut lost, mut cut) = (0, None, false);
        let mut received = received?;
        // Looked at in its place: it is 200 bytes.
        while let Some(message) = &received.next() {
            let at = count * SLOT_BYTES..count * SLOT_BYTES + message.bytes;
            count += 1;
            cut |= message.flags.contains(MsgFlags::MSG_CTRUNC);
            let mut asked_at = None;
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    ControlMessageOwned::RxqOvfl(count) => lost = Some(count),
                    other => asked_at = asked(other).or(asked_at),
                }
            }
            if let Some(from) = message.address.as_ref().and_then(address) {
                let _ = self.read.push_back(Received { from, asked: asked_at, at });
            }
        }
        // A read leaves as much room for control messages as it used, which is enough for the next
        // but for the first that tells of dropped ones. Those were dropped behind many.
        let anew = self.many || count == most || cut;
        self.many = count == most;
        if !self.many {
            self.socket.drained();
        }
        if anew {
            self.headers = headers();
        }
        if let Some(lost) = lost {
            let (before, all) = self.overflowed;
            self.overflowed = (lost, all + u64::from(lost.wrapping_sub(before)));
        }
        Ok(())
    }

    /// How the kernel's queue of what comes did since start.
    pub(crate) fn counts(&self) -> QueueCounts {
        let bytes = socket_recv_buffer_size(self.socket.socket()).unwrap_or(0);
        QueueCounts { bytes, overflowed: self.overflowed.1 }
    }

    /// At which of our addresses who asked.
    pub(crate) const fn asked(&mut self) -> &mut Asked {
        &mut self.asked
    }

    /// The address of ours at which a device is registered; None if that is not known, or is
    /// nothing without an interface.
    pub(crate) fn own_address(&self, peer: Endpoint) -> Option<IpAddr> {
        self.asked.registered_at(peer).filter(|_| !is_link_local(peer.ip()))
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

    fn send_anyhow(&mut self, payload: &[u8], to: Endpoint) -> io::Result<()> {
        let from = match self.link(to) {
            Some((_, asked)) => Some(asked),
            None => self.asked.answers_from(to),
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

    fn send_from(&mut self, payload: &[u8], to: Endpoint, from: IpAddr) -> io::Result<()> {
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
        &mut self,
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
        let socket = self.socket.socket().as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        if control.is_empty() {
            sendmsg(socket, &parts, control, flags, Some(&to))?;
        } else {
            sendmmsg(socket, &mut self.sending, [&parts], [Some(to)], control, flags)?;
        }
        Ok(())
    }
}

/// Where `N` datagrams go.
fn slots<const N: usize>(buffer: &mut [u8]) -> [[IoSliceMut<'_>; 1]; N] {
    let mut parts = buffer.chunks_exact_mut(SLOT_BYTES);
    array::from_fn(|_| [IoSliceMut::new(parts.next().unwrap_or_default())])
}

/// Exactly what [`Datagrams::send_from`] writes.
fn control_room(v6: bool) -> Vec<u8> {
    if v6 { cmsg_space!(libc::in6_pktinfo) } else { cmsg_space!(libc::in_pktinfo) }
}

fn headers() -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(DATAGRAMS_PER_READ, Some(Vec::with_capacity(CONTROL_BYTES)))
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rustix::net::sockopt::set_socket_recv_buffer_size;

    use super::*;
    use crate::net::reactor::block_on;

    /// Reads all that is there; how many of them were asked at the last byte that they bring.
    fn asked_where_they_say(datagrams: &mut Datagrams, buffer: &mut [u8]) -> (usize, usize) {
        let (mut all, mut right) = (0, 0);
        while let Ok((at, from)) = datagrams.receive(buffer) {
            let said = Ipv4Addr::new(127, 0, 0, *buffer[at].last().unwrap());
            let asked = datagrams.asked.answers_from(from);
            all += 1;
            right += usize::from(asked == Some(said.into()));
        }
        assert!(!datagrams.is_readable());
        (all, right)
    }

    #[test]
    fn c152_each_of_many_is_known_to_be_asked_where_it_was_also_after_some_were_dropped() {
        block_on(async {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            set_socket_recv_buffer_size(&socket, 64 * 1024).unwrap();
            let port = socket.local_addr().unwrap().port();
            let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let send = |count: u8| {
                for number in 0..count {
                    let at = 1 + number % 3;
                    peer.send_to(&[number, at], (Ipv4Addr::new(127, 0, 0, at), port)).unwrap();
                }
            };
            let mut datagrams = Datagrams::new(socket, 10, Seed(1, 2)).unwrap();
            let mut buffer = vec![0; BUFFER_BYTES];
            for count in [1, 2, 3, 40, 1, 16, 17, 0] {
                send(count);
                let seen = asked_where_they_say(&mut datagrams, &mut buffer);
                assert_eq!(seen, (count.into(), count.into()));
            }
            assert_eq!(datagrams.counts().overflowed, 0);
            for _ in 0..20 {
                send(250);
            }
            let (all, _) = asked_where_they_say(&mut datagrams, &mut buffer);
            assert!(all < 5_000, "none was dropped");
            // The first that comes tells of those that were dropped before it.
            for count in [1, 40, 1] {
                send(count);
                let seen = asked_where_they_say(&mut datagrams, &mut buffer);
                assert_eq!(seen, (count.into(), count.into()));
                assert_eq!(datagrams.counts().overflowed, 5_000 - all as u64);
            }
        })
        .unwrap();
    }
}
