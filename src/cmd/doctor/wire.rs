//! One connection to a server that is tried: opened in time, spoken to in frames or as a WebSocket,
//! and what may go wrong with it. Must not know what is asked. C159.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

use crate::net::clock::Clock;
use hbb_core::base::time::Time;
use hbb_core::wire::frame;

/// Longest message and longest head of an HTTP answer.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// 16 bytes in base64, as RFC 6455 §4.1 wants them.
const WEBSOCKET_KEY: &str = "aGJiIGRvY3RvciBhc2tzLg==";

/// What went wrong with a connection or a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The machine, or a firewall, says no.
    Refused,
    /// Nothing comes back.
    Silent,
    /// It was taken, and then nothing came.
    Mute,
    /// A router, or the network that it should be in, says that it is not there.
    Unreachable,
    /// This machine has no way there.
    NoRoute,
    /// This machine's own firewall says no.
    Barred,
    /// It was taken, and closed without a word.
    Closed,
    /// Somebody answers who is no server of this protocol.
    Foreign,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::HostUnreachable => Self::Unreachable,
            ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => Self::NoRoute,
            ErrorKind::PermissionDenied => Self::Barred,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected => Self::Closed,
            _ => Self::Silent,
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) clock: Clock,
    /// For one answer.
    pub(super) wait_ms: u64,
    /// For all that is asked at one port.
    pub(super) until: Time,
}

impl Patience {
    /// What is left of `ms` milliseconds, which is more than nothing.
    fn left(self, ms: u64) -> Result<Duration, Fault> {
        match self.until.since_ms(self.clock.now()).min(ms) {
            0 => Err(Fault::Silent),
            left => Ok(Duration::from_millis(left)),
        }
    }
}

/// A connection, and what came on it.
pub(super) struct Wire {
    tcp: TcpStream,
    bytes: Vec<u8>,
    is_websocket: bool,
    patience: Patience,
}

impl Wire {
    /// Connects, from an address of another such connection if that is given.
    pub(super) fn connect(
        to: SocketAddr,
        from: Option<SocketAddr>,
        patience: Patience,
    ) -> Result<Self, Fault> {
        Self::open(to, from, SocketType::STREAM, patience)
    }

    /// The same for datagrams, which [`Self::ask`] is for and nothing else here.
    pub(super) fn datagrams(to: SocketAddr, patience: Patience) -> Result<Self, Fault> {
        Self::open(to, None, SocketType::DGRAM, patience)
    }

    /// Sends a datagram, and gives the next one within `ms` milliseconds.
    pub(super) fn ask(&mut self, datagram: &[u8], ms: u64) -> Result<Vec<u8>, Fault> {
        let mut buffer = [0; 1500];
        self.tcp.write_all(datagram)?;
        self.tcp.set_read_timeout(Some(self.patience.left(ms)?))?;
        let length = self.tcp.read(&mut buffer)?;
        Ok(buffer.get(..length).unwrap_or_default().to_vec())
    }

    fn open(
        to: SocketAddr,
        from: Option<SocketAddr>,
        kind: SocketType,
        patience: Patience,
    ) -> Result<Self, Fault> {
        let family = if to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let left = patience.left(patience.wait_ms)?;
        let open = || -> io::Result<TcpStream> {
            let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            let tcp = TcpStream::from(socket);
            // Linux ends a connect after this time, too.
            tcp.set_write_timeout(Some(left))?;
            if let Some(from) = from {
                bind(&tcp, &from)?;
            }
            let Err(error) = connect(&tcp, &to) else { return Ok(tcp) };
            // In vain until the end, it still knows what an ICMP message said meanwhile.
            Err(tcp.take_error()?.unwrap_or(error.into()))
        };
        let tcp = open()?;
        Ok(Self { tcp, bytes: Vec::new(), is_websocket: false, patience })
    }

    /// Where it comes from.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.tcp.local_addr().ok()
    }

    /// Sends an HTTP request without a body.
    pub(super) fn get(&mut self, path: &str, host: &str, more: &str) -> Result<Head, Fault> {
        let request = ["GET ", path, " HTTP/1.1\r\nHost: ", host, "\r\n", more, "\r\n"].concat();
        self.tcp.write_all(request.as_bytes())?;
        loop {
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.bytes.drain(..end + 4).collect();
                return Head::new(String::from_utf8_lossy(&head).into_owned());
            }
            self.fill(self.patience.wait_ms)?;
        }
    }

    /// Makes it a WebSocket (RFC 6455 §4.1); the answer, whether it does or not.
    pub(super) fn upgrade(&mut self, path: &str, host: &str) -> Result<Head, Fault> {
        let wish = [
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: ",
            WEBSOCKET_KEY,
            "\r\n",
        ];
        let head = self.get(path, host, &wish.concat())?;
        self.is_websocket = true;
        Ok(head)
    }

    /// Sends one message.
    pub(super) fn send(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let mut bytes = Vec::with_capacity(payload.len() + 8);
        if self.is_websocket {
            // The mask is for caches on the way, which nothing here could mislead.
            match u8::try_from(payload.len()) {
                Ok(short @ ..126) => bytes.extend([0x82, 0x80 | short]),
                _ => {
                    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
                    bytes.extend([0x82, 0xfe]);
                    bytes.extend(length.to_be_bytes());
                }
            }
            bytes.extend([0; 4]);
        } else if let Ok(header) = frame::header_for(payload.len()) {
            bytes.extend_from_slice(&header);
        }
        bytes.extend_from_slice(payload);
        Ok(self.tcp.write_all(&bytes)?)
    }

    /// The next message that is no heartbeat.
    pub(super) fn receive(&mut self) -> Result<Vec<u8>, Fault> {
        self.receive_within(self.patience.wait_ms)
    }

    /// The same within `ms` milliseconds of silence.
    pub(super) fn receive_within(&mut self, ms: u64) -> Result<Vec<u8>, Fault> {
        loop {
            let first = if self.is_websocket { self.websocket_frame() } else { self.frame() };
            match first? {
                Some(payload) if payload.is_empty() => {}
                Some(payload) => return Ok(payload),
                None => self.fill(ms)?,
            }
        }
    }

    fn frame(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let found = frame::split(&self.bytes, MESSAGE_BYTES_MAX).map_err(|_| Fault::Foreign)?;
        let Some(found) = found else { return Ok(None) };
        let (payload, consumed) = (found.payload.to_vec(), found.consumed);
        self.bytes.drain(..consumed);
        Ok(Some(payload))
    }

    /// Servers send whole messages, unmasked; pings and what else is no message are empty here.
    fn websocket_frame(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let (kind, length, begin) = match *self.bytes.as_slice() {
            [kind, 126, high, low, ..] => (kind, u16::from_be_bytes([high, low]).into(), 4),
            [kind, length @ ..126, ..] => (kind, usize::from(length), 2),
            [_, 126, ..] | [_] | [] => return Ok(None),
            _ => return Err(Fault::Foreign),
        };
        let Some(payload) = self.bytes.get(begin..begin + length) else { return Ok(None) };
        let payload = match kind & 15 {
            8 => return Err(Fault::Closed),
            1 | 2 => payload.to_vec(),
            _ => Vec::new(),
        };
        self.bytes.drain(..begin + length);
        Ok(Some(payload))
    }

    /// Reads what comes within `ms` milliseconds.
    fn fill(&mut self, ms: u64) -> Result<(), Fault> {
        let mute = |fault| if fault == Fault::Silent { Fault::Mute } else { fault };
        let left = self.patience.left(ms).map_err(mute)?;
        let mut buffer = [0; 2048];
        let read = self.tcp.set_read_timeout(Some(left)).and_then(|()| self.tcp.read(&mut buffer));
        let length = read.map_err(|error| mute(error.into()))?;
        if length == 0 {
            return Err(Fault::Closed);
        }
        if self.bytes.len() > MESSAGE_BYTES_MAX {
            return Err(Fault::Foreign);
        }
        self.bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
        Ok(())
    }
}

/// The head of an HTTP answer.
pub(super) struct Head {
    /// 101 for a WebSocket.
    pub(super) status: u16,
    text: String,
}

impl Head {
    fn new(text: String) -> Result<Self, Fault> {
        let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        status.map(|status| Self { status, text }).ok_or(Fault::Foreign)
    }

    /// The value of a header; `name` is in small letters.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}
