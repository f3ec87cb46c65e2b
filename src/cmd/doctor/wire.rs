//! One connection to a server that is tried: opened in time, spoken to in frames, as a WebSocket or
//! in datagrams, and what may go wrong with it. Must not know what is asked. C159.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::{Errno, read, write};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::net::clock::Clock;
use hbb_core::base::time::Time;
use hbb_core::wire::frame;
use hbb_core::wire::websocket::{self, FrameKind};

/// Longest message and longest head of an HTTP answer.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Of a longer datagram the front counts.
const DATAGRAM_BYTES_MAX: usize = 1500;

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

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        match error {
            Errno::CONNREFUSED => Self::Refused,
            Errno::HOSTUNREACH => Self::Unreachable,
            Errno::NETUNREACH | Errno::ADDRNOTAVAIL => Self::NoRoute,
            Errno::PERM | Errno::ACCESS => Self::Barred,
            Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE | Errno::NOTCONN => Self::Closed,
            _ => Self::Silent,
        }
    }
}

/// How long things may take.
pub(super) struct Patience {
    pub(super) clock: Clock,
    /// For one answer.
    pub(super) wait_ms: u64,
    /// For all that is asked at one port.
    pub(super) until: Time,
}

impl Patience {
    /// Has a socket wait for what is left of `ms` milliseconds, and no longer.
    fn limit(&self, socket: &OwnedFd, wait: Timeout, ms: u64) -> Result<(), Fault> {
        match self.until.since_ms(self.clock.now()).min(ms) {
            // To the kernel this is for ever.
            0 => Err(Fault::Silent),
            left => {
                let left = Some(Duration::from_millis(left));
                Ok(sockopt::set_socket_timeout(socket, wait, left)?)
            }
        }
    }
}

/// How one message is told from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Its length is in front of it.
    Frames,
    /// As RFC 6455 §5 has it.
    WebSocket,
    /// Each is a datagram.
    Datagrams,
}

/// A connection. Behind a pointer, as it is handed on in results.
pub(super) struct Wire {
    patience: &'static Patience,
    socket: OwnedFd,
    form: Form,
}

impl Wire {
    /// Connects, from an address of another such connection if that is given. What is to be a
    /// WebSocket is one once [`Self::get`] asked for it.
    pub(super) fn open(
        to: SocketAddr,
        from: Option<SocketAddr>,
        form: Form,
        patience: &'static Patience,
    ) -> Result<Box<Self>, Fault> {
        let family = if to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let is_stream = form != Form::Datagrams;
        let kind = if is_stream { SocketType::STREAM } else { SocketType::DGRAM };
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        // Linux ends a connect after this time, too.
        patience.limit(&socket, Timeout::Send, patience.wait_ms)?;
        if let Some(from) = from {
            bind(&socket, &from)?;
        }
        match connect(&socket, &to) {
            Ok(()) => Ok(Box::new(Self { patience, socket, form })),
            // In vain until the end, it still knows what an ICMP message said meanwhile.
            Err(error) => Err(sockopt::socket_error(&socket)?.err().unwrap_or(error).into()),
        }
    }

    /// Where it comes from.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        rustix::net::getsockname(&self.socket).ok()?.try_into().ok()
    }

    /// Sends an HTTP request without a body.
    pub(super) fn get(&self, path: &str, host: &str, more: &str) -> Result<Head, Fault> {
        let request = ["GET ", path, " HTTP/1.1\r\nHost: ", host, "\r\n", more, "\r\n"].concat();
        self.write(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > MESSAGE_BYTES_MAX {
                return Err(Fault::Foreign);
            }
            head.push(self.byte(self.patience.wait_ms)?);
        }
        Head::new(String::from_utf8_lossy(&head).into_owned())
    }

    /// Sends one message.
    pub(super) fn send(&self, payload: &[u8]) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        match self.form {
            Form::Frames => {
                let header = frame::header_for(payload.len()).map_err(|_| Fault::Foreign)?;
                bytes.extend_from_slice(&header);
            }
            Form::WebSocket => {
                let header = websocket::header_for(FrameKind::Binary, true, payload.len() as u64);
                bytes.extend_from_slice(&header);
                // Clients mask. Masks are for caches on the way, which nothing here could mislead.
                bytes.iter_mut().skip(1).take(1).for_each(|length| *length |= websocket::MASKED);
                bytes.extend_from_slice(&[0; 4]);
            }
            Form::Datagrams => {}
        }
        bytes.extend_from_slice(payload);
        self.write(&bytes)
    }

    /// Small as they are, messages fit into the queue of the kernel, or nothing moves.
    fn write(&self, bytes: &[u8]) -> Result<(), Fault> {
        if write(&self.socket, bytes)? == bytes.len() { Ok(()) } else { Err(Fault::Silent) }
    }

    /// The next message that is no heartbeat.
    pub(super) fn receive(&self) -> Result<Vec<u8>, Fault> {
        self.receive_within(self.patience.wait_ms)
    }

    /// The same within `ms` milliseconds of silence.
    pub(super) fn receive_within(&self, ms: u64) -> Result<Vec<u8>, Fault> {
        loop {
            let payload = match self.form {
                Form::Frames => self.frame(ms),
                Form::WebSocket => self.websocket_frame(ms),
                Form::Datagrams => self.datagram(ms),
            }?;
            if !payload.is_empty() {
                return Ok(payload);
            }
        }
    }

    fn frame(&self, ms: u64) -> Result<Vec<u8>, Fault> {
        let mut header = Vec::new();
        loop {
            header.push(self.byte(ms)?);
            if let Some((_, length)) = frame::header(&header) {
                return self.payload(length, ms);
            }
        }
    }

    /// Servers send whole messages, unmasked; pings and what else is no message are empty here.
    fn websocket_frame(&self, ms: u64) -> Result<Vec<u8>, Fault> {
        let kind = self.byte(ms)?;
        let length = match self.byte(ms)? {
            short @ ..126 => short.into(),
            126 => u16::from_be_bytes([self.byte(ms)?, self.byte(ms)?]).into(),
            _ => return Err(Fault::Foreign),
        };
        let payload = self.payload(length, ms)?;
        match kind & 15 {
            8 => Err(Fault::Closed),
            1 | 2 => Ok(payload),
            _ => Ok(Vec::new()),
        }
    }

    fn datagram(&self, ms: u64) -> Result<Vec<u8>, Fault> {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        let length = self.read(&mut datagram, ms)?;
        datagram.truncate(length);
        Ok(datagram)
    }

    fn payload(&self, length: usize, ms: u64) -> Result<Vec<u8>, Fault> {
        if length > MESSAGE_BYTES_MAX {
            return Err(Fault::Foreign);
        }
        let mut payload = vec![0; length];
        let mut rest = payload.as_mut_slice();
        while !rest.is_empty() {
            let length = self.read(rest, ms)?;
            rest = rest.get_mut(length..).unwrap_or_default();
        }
        Ok(payload)
    }

    fn byte(&self, ms: u64) -> Result<u8, Fault> {
        let mut byte = [0];
        self.read(&mut byte, ms)?;
        Ok(byte[0])
    }

    /// Reads what comes within `ms` milliseconds, a byte or more.
    fn read(&self, buffer: &mut [u8], ms: u64) -> Result<usize, Fault> {
        let limited = self.patience.limit(&self.socket, Timeout::Recv, ms);
        match limited.and_then(|()| Ok(read(&self.socket, buffer)?)) {
            Ok(0) => Err(Fault::Closed),
            Err(Fault::Silent) => Err(Fault::Mute),
            read => read,
        }
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

    /// The value of a header, empty if there is none; `name` is in small letters.
    pub(super) fn value(&self, name: &str) -> &str {
        for line in self.text.lines() {
            match line.split_once(':') {
                Some((found, value)) if found.eq_ignore_ascii_case(name) => return value.trim(),
                _ => {}
            }
        }
        ""
    }
}
