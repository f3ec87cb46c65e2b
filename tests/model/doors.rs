//! Where a target waits for its initiator: every end it told of at once, and the server's push
//! that the initiator wants the relay instead.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use super::datagrams;
use super::host::again;
use super::line::Line;
use super::link::{Link, Stream};
use super::wire::mangle;
use crate::say::proto::RequestRelay;
use crate::say::{self, Body};

/// The ends an initiator may come to.
#[derive(Default)]
pub(crate) struct Doors {
    listener: Option<TcpListener>,
    udp: Option<Bell>,
    v6: Option<Bell>,
}

/// A socket the initiator calls.
struct Bell {
    socket: UdpSocket,
    initiator: SocketAddr,
    /// It sends empty datagrams until it is called, to open the NAT before it.
    knocks: bool,
    last: Instant,
    pause: Duration,
}

/// What came.
pub(crate) enum Opened {
    Link(Link),
    /// The initiator wants the relay.
    Wish(RequestRelay),
}

impl Doors {
    pub(crate) fn listen(self, listener: TcpListener) -> Self {
        listener.set_nonblocking(true).unwrap();
        Self { listener: Some(listener), ..self }
    }

    pub(crate) fn knock(self, socket: UdpSocket, initiator: SocketAddr) -> Self {
        Self { udp: Some(Bell::new(socket, initiator, true)), ..self }
    }

    pub(crate) fn wait_at_v6(self, socket: UdpSocket, initiator: SocketAddr) -> Self {
        Self { v6: Some(Bell::new(socket, initiator, false)), ..self }
    }

    /// The IPv6 end as the server is told it; empty if there is none.
    pub(crate) fn v6_end(&self) -> Vec<u8> {
        let end = self.v6.as_ref().map(|end| mangle(end.socket.local_addr().unwrap()));
        end.unwrap_or_default()
    }

    /// The first that comes in this time.
    pub(crate) fn open(mut self, patience: Duration, line: Option<&Line>) -> Option<Opened> {
        const TURN: Duration = Duration::from_millis(10);
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
                stream.set_nonblocking(false).unwrap();
                stream.set_nodelay(true).unwrap();
                return Some(Opened::Link(Link::frames(Stream::Tcp(stream))));
            }
            for end in [&mut self.udp, &mut self.v6] {
                if let Some(end) = end.take_if(|end| end.is_called()) {
                    let stream = datagrams::carry(end.socket);
                    return Some(Opened::Link(Link::frames(Stream::Carried(stream))));
                }
            }
            let Some(line) = line else {
                std::thread::sleep(TURN);
                continue;
            };
            if let Some(Body::RequestRelay(wish)) = line.next(TURN).as_deref().map(say::read) {
                return Some(Opened::Wish(wish));
            }
        }
        None
    }
}

impl Bell {
    fn new(socket: UdpSocket, initiator: SocketAddr, knocks: bool) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self { socket, initiator, knocks, last: Instant::now(), pause: Duration::ZERO }
    }

    /// Knocks when it is time: at once, after 20 ms, then ever more slowly, up to 200 ms.
    fn is_called(&mut self) -> bool {
        if self.knocks && self.last.elapsed() >= self.pause {
            let _ = self.socket.send_to(&[], self.initiator);
            let slower = (self.pause * 3 / 2).min(Duration::from_millis(200));
            (self.last, self.pause) = (Instant::now(), slower.max(Duration::from_millis(20)));
        }
        let called = datagrams::is_called(&self.socket);
        if called {
            // From now on nobody else is heard.
            let (_, from) = again(|| self.socket.peek_from(&mut [0; 8])).unwrap();
            assert_eq!(from, self.initiator, "called from elsewhere");
            self.socket.connect(from).unwrap();
        }
        called
    }
}
