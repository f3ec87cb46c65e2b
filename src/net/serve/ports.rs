//! Where a server listens, and the sockets it opens there before anything else.

use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};

#[cfg(feature = "accounts")]
use crate::config::AccountSettings;
use crate::config::{PortService, Ports, Role};
use crate::net::conn::socket;
use crate::net::report;

/// Where to listen, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listening {
    /// One local address, or None for all of them.
    pub(crate) ip: Option<IpAddr>,
    /// P and what is counted from it.
    pub(crate) ports: Ports,
    /// Which of them to open.
    pub(crate) role: Role,
    /// The console is on.
    pub(crate) console: bool,
    /// At which addresses calls are answered by HTTP, and operators find their page.
    #[cfg(feature = "accounts")]
    pub(crate) accounts: AccountSettings,
}

/// Why the shell could not start or had to stop.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// A port could not be opened.
    Port {
        /// `TCP` or `UDP`.
        protocol: &'static str,
        /// As a flag gave it, or counted from there.
        port: u16,
        /// What the kernel said.
        cause: io::Error,
    },
    /// Signals could not be taken over, or the store thread not started.
    System(io::Error),
}

impl From<io::Error> for ServeError {
    fn from(cause: io::Error) -> Self {
        Self::System(cause)
    }
}

/// Opened sockets.
pub(super) struct Sockets {
    pub(super) datagrams: Option<UdpSocket>,
    pub(super) listeners: Vec<(PortService, TcpListener)>,
}

/// Opens every socket, or none.
///
/// # Errors
/// [`ServeError::Port`]
pub(super) fn open(listening: &Listening) -> Result<Sockets, ServeError> {
    let Listening { ip, ports, role, .. } = *listening;
    let udp = |port| {
        socket::udp(ip, port).map_err(|cause| ServeError::Port { protocol: "UDP", port, cause })
    };
    let mut without = Vec::new();
    #[cfg(feature = "accounts")]
    let at = |service| listening.accounts.ip_of(service, ip);
    #[cfg(not(feature = "accounts"))]
    let at = |_| ip;
    let datagrams = ports.udp(role).map(udp).transpose()?;
    let mut listeners = Vec::new();
    for (service, port) in ports.tcp(role) {
        match socket::tcp(at(service), port) {
            Ok(listener) => listeners.push((service, listener)),
            // Nearly all clients do without WebSockets, and all without being told of no API.
            Err(cause)
                if service.is_optional()
                    && (cause.kind() == io::ErrorKind::AddrInUse
                        || service == PortService::NoApi) =>
            {
                without.push((service, port));
            }
            Err(cause) => return Err(ServeError::Port { protocol: "TCP", port, cause }),
        }
    }
    report::ports_taken(&without);
    Ok(Sockets { datagrams, listeners })
}
