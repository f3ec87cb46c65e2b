//! Devices and callers over loopback, for the checks that cross a socket: one datagram socket or
//! one connection each, on an address of its own. It must not know any check.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::model::host::{Host, again};
use crate::model::initiator::verify;
use crate::model::server::Server;
use crate::model::wire;
use crate::say::proto::PunchHole;
use crate::say::{self, Body, hex, take};

/// A registered target, its device and its key.
pub(crate) const B1: &str = "123456789";
pub(crate) const DEVICE: &[u8] = b"5c3e9a0d-device-one";
pub(crate) const KEY: [u8; 32] = [0x11; 32];
/// Where the target usually is, where it may move to, and where the initiator is.
pub(crate) const B_IP: &str = "127.0.1.1";
pub(crate) const ELSEWHERE: &str = "127.0.1.3";
pub(crate) const A_IP: &str = "127.0.1.2";

/// A server that enforces its key.
pub(crate) fn enforcing() -> Server {
    Server::start(&[])
}

/// A server whom everybody may ask.
pub(crate) fn open() -> Server {
    Server::start(&["--key="])
}

/// P of a server, P-1 and the relay.
pub(crate) fn main_port(server: &Server) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port))
}

pub(crate) fn nat_port(server: &Server) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port - 1))
}

pub(crate) fn relay_port(server: &Server) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port + 1))
}

/// The same port of the IPv6 loopback.
pub(crate) fn over_v6(at: SocketAddr) -> SocketAddr {
    SocketAddr::from((Ipv6Addr::LOCALHOST, at.port()))
}

/// A UDP socket connected to P: it hears what comes from that port and address alone (C24).
pub(crate) struct Device(UdpSocket);

impl Device {
    pub(crate) fn at(ip: &str, server: &Server) -> Self {
        Self::towards(ip, main_port(server))
    }

    pub(crate) fn towards(ip: &str, to: SocketAddr) -> Self {
        let socket = Host::local(ip).udp();
        socket.connect(to).unwrap();
        Self(socket)
    }

    /// Shows that its address is no forgery.
    pub(crate) fn prove(&self, server: &Server) {
        let ip = self.0.local_addr().unwrap().ip();
        Host::local(&ip.to_string()).prove(main_port(server));
    }

    /// Registered as `id` with the usual device and key.
    #[track_caller]
    pub(crate) fn enrolled(ip: &str, server: &Server, id: &str) -> Self {
        let device = Self::at(ip, server);
        assert_eq!(hex(&device.ask(&say::register_pk(id, DEVICE, &KEY))), "820100");
        device
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub(crate) fn say(&self, datagram: &[u8]) {
        self.0.send(datagram).unwrap();
    }

    /// The next datagram.
    #[track_caller]
    pub(crate) fn next(&self) -> Vec<u8> {
        let mut buffer = [0; 2000];
        let len = again(|| self.0.recv(&mut buffer)).expect("a datagram comes");
        buffer[..len].to_vec()
    }

    /// The next datagram must be the answer to this one: whatever else was sent before, and is
    /// not to be answered, comes to light here.
    #[track_caller]
    pub(crate) fn ask(&self, datagram: &[u8]) -> Vec<u8> {
        self.say(datagram);
        self.next()
    }

    /// "I am still here" as `id`, in hex.
    #[track_caller]
    pub(crate) fn keeps(&self, id: &str) -> String {
        hex(&self.ask(&say::register_peer(id)))
    }

    /// Nothing was sent here that was not yet read: the answer to a NAT test comes first.
    #[track_caller]
    pub(crate) fn heard_nothing(&self) {
        let port = take!(&self.ask(&say::test_nat(3)), TestNatResponse).port;
        assert_eq!(port, i32::from(self.port()));
    }
}

/// A TCP connection.
pub(crate) struct Caller(pub(crate) TcpStream);

impl Caller {
    #[track_caller]
    pub(crate) fn from(ip: &str, to: SocketAddr) -> Self {
        Self::from_port(ip, 0, to)
    }

    #[track_caller]
    pub(crate) fn from_port(ip: &str, port: u16, to: SocketAddr) -> Self {
        Self(Host::local(ip).connect(port, to).unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn say(&mut self, payload: &[u8]) {
        wire::send(&mut self.0, payload).unwrap();
    }

    pub(crate) fn say_raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next payload that says something: heartbeats and the server's unasked half of a key
    /// exchange are skipped, as initiators do it.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Vec<u8> {
        for _ in 0..3 {
            let payload = wire::receive(&mut self.0).expect("an answer comes");
            if !payload.is_empty() && !matches!(say::read(&payload), Body::KeyExchange(_)) {
                return payload;
            }
        }
        panic!("nothing but heartbeats and keys");
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, payload: &[u8]) -> Vec<u8> {
        self.say(payload);
        self.next()
    }

    /// The rest of what comes, up to the end; a reset ends it as well.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match again(|| self.0.read(&mut buffer)) {
                Ok(0) => return bytes,
                Ok(len) => bytes.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
                Err(error) => panic!("neither bytes nor an end: {error}"),
            }
        }
    }

    /// The server closes it without another word.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        assert_eq!(hex(&self.rest()), "");
    }

    /// "I have no more to say."
    pub(crate) fn shut(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// Leaves with a reset: what was received and not read, or not yet sent, is lost.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.0, Some(Duration::ZERO)).unwrap();
    }
}

/// What B says on a connection of its own; the server must close that one then. Its address.
#[track_caller]
pub(crate) fn one_shot(server: &Server, payload: &[u8]) -> SocketAddr {
    let mut shot = Caller::from(B_IP, main_port(server));
    let addr = shot.addr();
    shot.say(payload);
    shot.is_closed();
    addr
}

/// PunchHoleRequest for B1 with the right key.
pub(crate) fn wish(server: &Server) -> Vec<u8> {
    say::punch(B1, |wish| wish.access_key = server.key())
}

/// A new initiator asks for B1: its connection, and what B1 was told.
#[track_caller]
pub(crate) fn asked(server: &Server, target: &Device) -> (Caller, PunchHole) {
    let mut initiator = Caller::from(A_IP, main_port(server));
    initiator.say(&wish(server));
    let hole = take!(&target.next(), PunchHole);
    (initiator, hole)
}

/// The failure of dialling `id`, in hex.
#[track_caller]
pub(crate) fn dial(server: &Server, id: &str) -> String {
    let mut initiator = Caller::from(A_IP, main_port(server));
    hex(&initiator.ask(&say::punch(id, |wish| wish.access_key = server.key())))
}

/// Whether `id` is online, as P-1 says.
#[track_caller]
pub(crate) fn is_online(server: &Server, id: &str) -> bool {
    let answer = Caller::from(A_IP, nat_port(server)).ask(&say::online(&[id]));
    match take!(&answer, OnlineResponse).states[..] {
        [0x80] => true,
        [0] => false,
        ref other => panic!("{other:?}"),
    }
}

/// The key the server hands out for B1, which must be signed; `target` is B1.
#[track_caller]
pub(crate) fn signed_key(server: &Server, target: &Device) -> Vec<u8> {
    let (mut initiator, hole) = asked(server, target);
    one_shot(server, &say::punch_sent(B1, &hole.socket_addr, |_| ()));
    verify(&server.key(), B1, &take!(&initiator.next(), PunchHoleResponse).pk)
}
