//! One stream of payloads between a modelled client and whoever is at its other end: frames,
//! sealed frames or WebSocket messages, over TCP or what stands in for it. Must not know what a
//! payload means.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::host::{Host, PATIENCE, again};
use super::seal::Seal;
use super::{wire, ws};

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// The near end of what carries a stream over datagrams.
    Carried(UnixStream),
}

/// How payloads are told apart.
enum Coding {
    Frames,
    /// Frames in which everything but a heartbeat is sealed.
    Sealed(Box<Seal>),
    /// WebSocket messages.
    Messages,
}

/// An open stream of payloads.
pub(crate) struct Link {
    stream: Stream,
    coding: Coding,
}

impl Link {
    /// Frames over an open stream.
    pub(crate) fn frames(stream: Stream) -> Self {
        let link = Self { stream, coding: Coding::Frames };
        link.set_patience(PATIENCE);
        link
    }

    /// Frames over TCP.
    pub(crate) fn tcp(host: &Host, to: SocketAddr) -> Self {
        Self::frames(Stream::Tcp(host.connect(0, to).unwrap()))
    }

    /// Says nothing until the server offers its key, which must be signed by `server_key`.
    pub(crate) fn sealed(host: &Host, to: SocketAddr, server_key: &str) -> Self {
        let mut stream = host.connect(0, to).unwrap();
        let seal = Seal::agree(&mut stream, server_key);
        Self { stream: Stream::Tcp(stream), coding: Coding::Sealed(Box::new(seal)) }
    }

    /// WebSocket, to where clients go instead of the port that speaks TCP.
    pub(crate) fn web_socket(host: &Host, to: SocketAddr) -> Self {
        let (to, path) = host.web(to);
        let mut stream = host.connect(0, to).expect("the WebSocket port is open");
        ws::shake_hands(&mut stream, to, path);
        Self { stream: Stream::Tcp(stream), coding: Coding::Messages }
    }

    pub(crate) fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        match &mut self.coding {
            Coding::Frames => wire::send(&mut self.stream, payload),
            Coding::Sealed(seal) => wire::send(&mut self.stream, &seal.close(payload)),
            Coding::Messages => ws::send(&mut self.stream, payload),
        }
    }

    /// The next payload; an error at the end of the stream or of the patience.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        match &mut self.coding {
            Coding::Frames => wire::receive(&mut self.stream),
            Coding::Sealed(seal) => wire::receive(&mut self.stream).map(|boxed| seal.open(boxed)),
            Coding::Messages => ws::receive(&mut self.stream),
        }
    }

    /// Waits this long for anything from now on.
    pub(crate) fn set_patience(&self, patience: Duration) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(patience)).unwrap(),
            Stream::Carried(stream) => stream.set_read_timeout(Some(patience)).unwrap(),
        }
    }

    /// Whether something comes within this time: the end counts, and nothing of it is taken.
    pub(crate) fn is_ready(&self, within: Duration) -> bool {
        self.set_patience(within);
        let ready = again(|| self.tcp_stream().peek(&mut [0])).is_ok();
        self.set_patience(PATIENCE);
        ready
    }

    /// This end, of a link over TCP.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.tcp_stream().local_addr().unwrap()
    }

    /// The stream alone, for bytes that are in no frames.
    pub(crate) fn into_tcp(self) -> TcpStream {
        match self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Carried(_) => panic!("not over TCP"),
        }
    }

    /// The same link once more, to send on one and receive on the other.
    pub(crate) fn twin(&self) -> Self {
        let stream = match &self.stream {
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone().unwrap()),
            Stream::Carried(stream) => Stream::Carried(stream.try_clone().unwrap()),
        };
        let coding = match self.coding {
            Coding::Frames => Coding::Frames,
            Coding::Messages => Coding::Messages,
            Coding::Sealed(_) => panic!("both would count for themselves"),
        };
        Self { stream, coding }
    }

    fn tcp_stream(&self) -> &TcpStream {
        match &self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Carried(_) => panic!("not over TCP"),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Carried(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Carried(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
