//! The line a target registers on and is pushed to: a datagram socket, or a connection that both
//! ends keep alive. C24-C28.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::host::{Host, again};
use super::link::Link;

/// Where the server's pushes arrive.
pub(crate) enum Line {
    Datagrams(UdpSocket),
    Connection(Mutex<Link>),
}

impl Line {
    /// Datagrams to and from the server.
    pub(crate) fn datagrams(host: &Host, server: SocketAddr) -> Self {
        let socket = host.udp();
        socket.connect(server).unwrap();
        Self::Datagrams(socket)
    }

    pub(crate) fn connection(link: Link) -> Self {
        Self::Connection(Mutex::new(link))
    }

    pub(crate) fn send(&self, payload: &[u8]) {
        match self {
            Self::Datagrams(socket) => assert_eq!(socket.send(payload).unwrap(), payload.len()),
            Self::Connection(link) => link.lock().unwrap().send(payload).unwrap(),
        }
    }

    /// The next payload within this time; heartbeats are answered and are none.
    pub(crate) fn next(&self, within: Duration) -> Option<Vec<u8>> {
        let start = Instant::now();
        loop {
            let left = within.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
            match self {
                Self::Datagrams(socket) => {
                    let mut buffer = [0; 1500];
                    socket.set_read_timeout(Some(left)).unwrap();
                    let len = again(|| socket.recv(&mut buffer)).ok()?;
                    return Some(buffer[..len].to_vec());
                }
                Self::Connection(link) => {
                    let mut link = link.lock().unwrap();
                    if !link.is_ready(left) {
                        return None;
                    }
                    let payload = link.receive().expect("the server keeps the connection");
                    if !payload.is_empty() {
                        return Some(payload);
                    }
                    link.send(&[]).unwrap();
                }
            }
        }
    }
}
