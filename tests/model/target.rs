//! B: registers over UDP, waits, and answers whoever wants to connect.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use ed25519_compact::{KeyPair, Seed};

use super::host::{Host, PATIENCE};
use super::wire::{demangle, mangle, receive, send};
use crate::say::proto::{IdPk, RequestRelay, session_message};
use crate::say::{self, Body, take};

/// What the target does when it is told to open a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Tries what it is asked for.
    Willing,
    /// Its NAT is symmetric: always the relay.
    Relay,
}

/// A target and its registration socket.
pub(crate) struct Target {
    pub(crate) id: String,
    host: Host,
    server: SocketAddr,
    access_key: String,
    pair: KeyPair,
    socket: UdpSocket,
}

impl Target {
    /// Registers `id`: RegisterPeer, RegisterPk when asked for, RegisterPeer again.
    pub(crate) fn register(host: &Host, server: SocketAddr, id: &str, access_key: &str) -> Self {
        let pair = KeyPair::from_seed(Seed::new([id.as_bytes()[0]; 32]));
        let socket = host.udp();
        socket.connect(server).unwrap();
        let target = Self {
            id: id.into(),
            host: host.clone(),
            server,
            access_key: access_key.into(),
            pair,
            socket,
        };
        let answer = target.ask(&say::register_peer(id));
        if take!(&answer, RegisterPeerResponse).request_pk {
            let key = target.pair.pk.to_vec();
            let answer = target.ask(&say::register_pk(id, b"a device", &key));
            assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0, "{}", say::hex(&answer));
        }
        target.keep();
        target
    }

    /// "I am still here."
    pub(crate) fn keep(&self) {
        let answer = self.ask(&say::register_peer(&self.id));
        assert!(!take!(&answer, RegisterPeerResponse).request_pk);
    }

    fn ask(&self, payload: &[u8]) -> Vec<u8> {
        self.socket.send(payload).unwrap();
        self.pushed()
    }

    fn pushed(&self) -> Vec<u8> {
        let mut buffer = [0; 1500];
        let len = self.socket.recv(&mut buffer).expect("the server answers");
        buffer[..len].to_vec()
    }

    /// The relay this target is told of when `initiator` asks for it.
    pub(crate) fn relay_for(&self, initiator: &TcpStream) -> String {
        let mut initiator = initiator.try_clone().unwrap();
        send(&mut initiator, &say::punch(&self.id, |_| {})).unwrap();
        take!(&self.pushed(), PunchHole).relay_server
    }

    /// Waits for one initiator and gives the stream of the session, the hello still to come.
    pub(crate) fn answer(&self, habit: Habit) -> TcpStream {
        match say::read(&self.pushed()) {
            Body::PunchHole(hole) if habit == Habit::Relay || hole.nat_type == 2 => {
                self.choose_relay(&hole.socket_addr)
            }
            Body::PunchHole(hole) => self.punch(&hole.socket_addr),
            Body::FetchLocalAddr(fetch) => self.tell_local(&fetch.socket_addr),
            Body::RequestRelay(wish) => self.agree(&wish),
            _ => panic!("not for a target"),
        }
    }

    /// Opens its NAT towards the initiator, says so, and waits at the same port.
    fn punch(&self, initiator: &[u8]) -> TcpStream {
        let mut control = self.host.connect(0, self.server).unwrap();
        let port = control.local_addr().unwrap().port();
        let listener = self.host.listen(port);
        send(
            &mut control,
            &say::punch_sent(&self.id, initiator, |sent| {
                sent.relay_server = String::new();
            }),
        )
        .unwrap();
        drop(control);
        self.accept_or_agree(&listener)
    }

    fn tell_local(&self, initiator: &[u8]) -> TcpStream {
        let mut control = self.host.connect(0, self.server).unwrap();
        let local = control.local_addr().unwrap();
        let listener = self.host.listen(local.port());
        // Decoded and encoded anew, as clients do it: other bytes, the same address.
        let respelled = mangle(demangle(initiator));
        send(
            &mut control,
            &say::local_addr(&self.id, &respelled, |answer| {
                answer.local_addr = mangle(local);
            }),
        )
        .unwrap();
        drop(control);
        self.accept_or_agree(&listener)
    }

    /// Chooses the relay itself: tells the initiator through the server, then goes there.
    fn choose_relay(&self, initiator: &[u8]) -> TcpStream {
        let mut control = self.host.connect(0, self.server).unwrap();
        send(
            &mut control,
            &say::relay_chosen(&self.id, initiator, |answer| {
                answer.uuid = say::TOKEN.into();
                answer.relay_server =
                    SocketAddr::new(self.server.ip(), self.server.port() + 1).to_string();
            }),
        )
        .unwrap();
        drop(control);
        self.join_relay(say::TOKEN)
    }

    /// Comes to the relay because the initiator asked.
    fn agree(&self, wish: &RequestRelay) -> TcpStream {
        assert!(wish.access_key.is_empty() && wish.token.is_empty(), "secrets reached the target");
        let mut control = self.host.connect(0, self.server).unwrap();
        send(&mut control, &say::relay_agreed(&wish.socket_addr)).unwrap();
        drop(control);
        self.join_relay(&wish.uuid)
    }

    /// Waits for the initiator at the open port, and for its wish to use the relay instead.
    fn accept_or_agree(&self, listener: &TcpListener) -> TcpStream {
        listener.set_nonblocking(true).unwrap();
        self.socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut buffer = [0; 1500];
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            if let Ok(len) = self.socket.recv(&mut buffer) {
                let Body::RequestRelay(wish) = say::read(&buffer[..len]) else { continue };
                return self.agree(&wish);
            }
        }
        panic!("nobody came in {PATIENCE:?}");
    }

    fn join_relay(&self, token: &str) -> TcpStream {
        let relay = SocketAddr::new(self.server.ip(), self.server.port() + 1);
        let mut stream = self.host.connect(0, relay).unwrap();
        let wish = RequestRelay {
            uuid: token.into(),
            access_key: self.access_key.clone(),
            ..Default::default()
        };
        send(&mut stream, &say::payload(Body::RequestRelay(wish))).unwrap();
        stream
    }

    /// The target's half of the encrypted hello: its session key under its device key.
    pub(crate) fn hello(&self, stream: &mut TcpStream) {
        use prost::Message as _;
        let id_pk = IdPk { id: self.id.clone(), pk: vec![0x42; 32] }.encode_to_vec();
        let signature = self.pair.sk.sign(&id_pk, None);
        let signed = [&signature[..], &id_pk].concat();
        let hello = session_message::Body::SignedId(say::proto::SignedId { id: signed });
        send(stream, &say::proto::SessionMessage { body: Some(hello) }.encode_to_vec()).unwrap();
        let answer = receive(stream).expect("the initiator answers the hello");
        let answer = say::proto::SessionMessage::decode(&answer[..]).unwrap().body;
        let Some(session_message::Body::PublicKey(key)) = answer else { panic!("no public key") };
        assert_eq!((key.asymmetric_value.len(), key.symmetric_value.len()), (32, 48));
    }
}
