//! Opening sockets: IPv6 with mapped IPv4 where the kernel has it, IPv4 alone elsewhere, one
//! address where the operator names one. It must not know what the sockets are for. C105, C151.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use hbb_core::base::limits::DATAGRAM_QUEUE_BYTES;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, listen, socket_with, sockopt,
};

use hbb_core::base::limits::{KEEPALIVE_IDLE_SECS, KEEPALIVE_INTERVAL_SECS, KEEPALIVE_PROBES};

/// Connections the kernel may hold for us before we accept them: as many as it will, which
/// `net.core.somaxconn` says.
const BACKLOG: i32 = i32::MAX;

/// Listens for TCP on `port` of `ip`, or of every address if that is None.
///
/// # Errors
/// What the kernel says; `AddrInUse` is the usual one.
pub(crate) fn tcp(ip: Option<IpAddr>, port: u16) -> io::Result<TcpListener> {
    let socket = open(ip, port, SocketType::STREAM)?;
    notice_the_dead(&socket)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    // Urgent data are bytes like others: they stay in their place, and wake who waits for them.
    sockopt::set_socket_oobinline(&socket, true)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Takes a connection from a listener, non-blocking as it is.
///
/// # Errors
/// What the kernel says; `WouldBlock` if there is none.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, from) = acceptfrom_with(listener, flags)?;
    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
    Ok((TcpStream::from(socket), from.ok_or(io::ErrorKind::InvalidData)?))
}

/// Binds UDP to `port` of `ip`, or of every address if that is None.
///
/// # Errors
/// What the kernel says; `AddrInUse` is the usual one.
pub(crate) fn udp(ip: Option<IpAddr>, port: u16) -> io::Result<UdpSocket> {
    let socket = open(ip, port, SocketType::DGRAM)?;
    enlarge(&socket);
    Ok(UdpSocket::from(socket))
}

/// Asks for [`DATAGRAM_QUEUE_BYTES`] each way, or for as much as whoever may not decide it is
/// given. With less, only bursts are lost.
fn enlarge(socket: &OwnedFd) {
    let bytes = DATAGRAM_QUEUE_BYTES;
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(socket, bytes);
    }
    if sockopt::set_socket_send_buffer_size_force(socket, bytes).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(socket, bytes);
    }
}

/// Marks what is sent on a connection with a DSCP (RFC 2474), for queues on the way. A kernel that
/// will not is no reason to refuse the session.
pub(crate) fn mark(stream: &impl AsFd, dscp: u8) {
    let class = dscp << 2;
    // The first is for IPv4, mapped or not, the second for IPv6.
    let _ = sockopt::set_ip_tos(stream, class);
    let _ = sockopt::set_ipv6_tclass(stream, class.into());
}

/// Has the kernel ask peers that are silent whether they are still there (RFC 9293 §3.8.4). What a
/// listener has every connection of it gets, without a call for each.
///
/// No TCP_USER_TIMEOUT (RFC 5482) beside it. Linux applies it to a window that stays shut as well,
/// also where the receiver acknowledges every probe: measured with 8 s on Linux 6.18, such a one
/// was cut off after 8.6 s, and a tunnel may be read as slowly as its user likes. Keepalive alone
/// left it, and so it does one that is idle. Its price: a peer that dies with bytes on their way to
/// it is noticed when the kernel has sent them `tcp_retries2` times, a quarter of an hour.
fn notice_the_dead(listener: &OwnedFd) -> io::Result<()> {
    sockopt::set_socket_keepalive(listener, true)?;
    sockopt::set_tcp_keepidle(listener, Duration::from_secs(KEEPALIVE_IDLE_SECS))?;
    sockopt::set_tcp_keepintvl(listener, Duration::from_secs(KEEPALIVE_INTERVAL_SECS))?;
    Ok(sockopt::set_tcp_keepcnt(listener, KEEPALIVE_PROBES)?)
}

fn open(ip: Option<IpAddr>, port: u16, kind: SocketType) -> io::Result<OwnedFd> {
    let Some(ip) = ip else {
        let any_v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        let any_v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        return match open_at(any_v6, kind) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => open_at(any_v4, kind),
            opened => opened,
        };
    };
    open_at(SocketAddr::new(ip, port), kind)
}

fn open_at(addr: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let v6 = addr.is_ipv6();
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, kind, flags, None)?;
    if v6 {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    if kind == SocketType::STREAM {
        // Restart while old connections linger; a live listener still keeps the port to itself.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &addr)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::fs::read_to_string;

    use super::*;

    #[test]
    fn c151_as_many_may_wait_to_be_accepted_as_the_kernel_allows() {
        let most: usize =
            read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
        let listener = tcp(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
        let at = listener.local_addr().unwrap();
        let waiting: Result<Vec<_>, _> = (0..most.min(200))
            .map(|_| TcpStream::connect_timeout(&at, Duration::from_millis(900)))
            .collect();
        assert_eq!(waiting.map(|waiting| waiting.len()).unwrap(), most.min(200));
    }

    #[test]
    fn c105_every_connection_is_probed_as_its_listener_says() {
        let listener = tcp(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (stream, _) = accept(&listener).unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap().as_secs(), KEEPALIVE_IDLE_SECS);
        assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap().as_secs(), KEEPALIVE_INTERVAL_SECS);
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), KEEPALIVE_PROBES);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 0, "a shut window is no death");
    }
}
