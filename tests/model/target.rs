//! B: registers, waits, and answers whoever wants to connect.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use ed25519_compact::{KeyPair, Seed};

use super::doors::{Doors, Opened};
use super::host::{Host, PATIENCE};
use super::initiator::nat_type;
use super::line::Line;
use super::link::Link;
use super::wire::{demangle, mangle, send};
use crate::say::proto::{FetchLocalAddr, IdPk, PunchHole, RequestRelay, session_message};
use crate::say::{self, Body, take};

/// How long it waits at an IPv6 end before it goes to the relay it chose.
const BEFORE_RELAY: Duration = Duration::from_secs(3);

/// What the target does when it is told to open a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Tries what it is asked for.
    Willing,
    /// Its NAT is symmetric: always the relay.
    Relay,
}

/// How a target registers, and which paths it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registers {
    /// Over UDP; it knows the TCP punch and nothing newer.
    Udp,
    /// Over UDP; it punches with datagrams when it is asked to.
    UdpPunch,
    /// Over a sealed connection; it knows the TCP punch.
    Tcp,
    /// Over WebSocket; it opens no path of its own.
    WebSocket,
    /// As `UdpPunch`, with an IPv6 address besides.
    Ipv6,
}

/// A target and its registration.
pub(crate) struct Target {
    pub(crate) id: String,
    registers: Registers,
    host: Host,
    server: SocketAddr,
    access_key: String,
    pair: KeyPair,
    nat: i32,
    line: Line,
}

impl Target {
    /// Registers `id` over UDP.
    pub(crate) fn register(host: &Host, server: SocketAddr, id: &str, access_key: &str) -> Self {
        Self::register_by(Registers::Udp, (host, server), id, access_key)
    }

    /// Registers `id` in one of the ways there are.
    pub(crate) fn register_by(
        registers: Registers,
        (host, server): (&Host, SocketAddr),
        id: &str,
        access_key: &str,
    ) -> Self {
        let line = match registers {
            Registers::Tcp => Line::connection(Link::sealed(host, server, access_key)),
            Registers::WebSocket => Line::connection(Link::web_socket(host, server)),
            _ => Line::datagrams(host, server),
        };
        let nat = if registers == Registers::WebSocket { 2 } else { nat_type(host, server) };
        let target = Self {
            id: id.into(),
            registers,
            host: host.clone(),
            server,
            access_key: access_key.into(),
            pair: own_pair(id),
            nat,
            line,
        };
        target.introduce();
        target
    }

    /// RegisterPeer, RegisterPk when asked for, RegisterPeer again; over a connection RegisterPk
    /// alone, and a promise to be kept alive.
    fn introduce(&self) {
        if let Line::Connection(_) = &self.line {
            let answer = take!(&self.ask(&self.introduction()), RegisterPkResponse);
            assert_eq!(answer.outcome, 0);
            assert!(answer.keep_alive > 0, "no promise");
            return;
        }
        self.keep();
        let answer = self.ask(&say::register_peer(&self.id));
        assert!(!take!(&answer, RegisterPeerResponse).request_pk);
    }

    /// What a device that registers `id` for the first time is answered.
    pub(crate) fn outcome(host: &Host, server: SocketAddr, id: &str) -> i32 {
        let line = Line::datagrams(host, server);
        line.send(&say::register_pk(id, b"a device", &own_pair(id).pk[..]));
        let answer = line.next(PATIENCE).expect("the server answers");
        take!(&answer, RegisterPkResponse).outcome
    }

    /// "I am still here"; RegisterPk, if that is asked for.
    pub(crate) fn keep(&self) {
        let answer = self.ask(&say::register_peer(&self.id));
        if take!(&answer, RegisterPeerResponse).request_pk {
            let answer = self.ask(&self.introduction());
            assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0, "{}", say::hex(&answer));
        }
    }

    fn introduction(&self) -> Vec<u8> {
        say::register_pk(&self.id, b"a device", &self.pair.pk[..])
    }

    fn ask(&self, payload: &[u8]) -> Vec<u8> {
        self.line.send(payload);
        self.pushed()
    }

    /// What the server says next.
    pub(crate) fn pushed(&self) -> Vec<u8> {
        self.line.next(PATIENCE).expect("the server answers")
    }

    /// The relay this target is told of when `initiator` asks for it.
    pub(crate) fn relay_for(&self, initiator: &TcpStream) -> String {
        let mut initiator = initiator.try_clone().unwrap();
        send(&mut initiator, &say::punch(&self.id, |_| {})).unwrap();
        take!(&self.pushed(), PunchHole).relay_server
    }

    /// Waits for one initiator and gives the link of the session, the hello still to come.
    pub(crate) fn answer(&self, habit: Habit) -> Link {
        match say::read(&self.pushed()) {
            Body::PunchHole(hole) if habit == Habit::Relay || self.must_relay(&hole) => {
                self.choose_relay(&hole)
            }
            Body::PunchHole(hole) if hole.udp_port > 0 && self.knows_datagrams() => {
                self.punch_with_datagrams(&hole)
            }
            Body::PunchHole(hole) => self.punch(&hole),
            Body::FetchLocalAddr(fetch) if habit == Habit::Relay => {
                let FetchLocalAddr { socket_addr, relay_server, .. } = fetch;
                self.choose_relay(&PunchHole { socket_addr, relay_server, ..Default::default() })
            }
            Body::FetchLocalAddr(fetch) => self.tell_local(&fetch),
            Body::RequestRelay(wish) => self.agree(&wish),
            _ => panic!("not for a target"),
        }
    }

    fn must_relay(&self, hole: &PunchHole) -> bool {
        hole.nat_type == 2 || hole.force_relay || self.nat == 2
    }

    fn knows_datagrams(&self) -> bool {
        matches!(self.registers, Registers::UdpPunch | Registers::Ipv6)
    }

    /// Opens its NAT towards the initiator, says so, and waits at the same port.
    fn punch(&self, hole: &PunchHole) -> Link {
        let mut control = self.control();
        let port = control.local_addr().port();
        let doors = self.doors(hole).listen(self.host.listen(port));
        self.open_nat(port, demangle(&hole.socket_addr));
        control.send(&self.punch_sent(hole, &doors)).unwrap();
        drop(control);
        self.wait(doors)
    }

    /// A moment's attempt to connect: what matters is that the NAT sees it.
    fn open_nat(&self, port: u16, to: SocketAddr) {
        if !self.host.behind_nat {
            return;
        }
        let moment = Duration::from_millis(30);
        assert!(self.host.connect_within(moment, port, to).is_err(), "the initiator listens");
    }

    /// Says so from a socket of its own, three times, and knocks there until it is called.
    fn punch_with_datagrams(&self, hole: &PunchHole) -> Link {
        let socket = self.host.udp();
        let ip = demangle(&hole.socket_addr).ip();
        let initiator = SocketAddr::new(ip, u16::try_from(hole.udp_port).unwrap());
        let doors = self.doors(hole);
        let sent = self.punch_sent(hole, &doors);
        for _ in 0..3 {
            socket.send_to(&sent, self.server).unwrap();
            std::thread::sleep(Duration::from_millis(15));
        }
        self.wait(doors.knock(socket, initiator))
    }

    fn punch_sent(&self, hole: &PunchHole, doors: &Doors) -> Vec<u8> {
        say::punch_sent(&self.id, &hole.socket_addr, |sent| {
            sent.relay_server = self.relay(&hole.relay_server).to_string();
            sent.nat_type = self.nat;
            sent.socket_addr_v6 = doors.v6_end();
        })
    }

    /// The IPv6 end if it has one and the initiator offered its own.
    fn doors(&self, hole: &PunchHole) -> Doors {
        let wanted = self.registers == Registers::Ipv6 && !hole.force_relay;
        if !wanted || hole.socket_addr_v6.is_empty() {
            return Doors::default();
        }
        Doors::default().wait_at_v6(self.host.udp_v6(), demangle(&hole.socket_addr_v6))
    }

    fn tell_local(&self, fetch: &FetchLocalAddr) -> Link {
        let mut control = self.control();
        let local = control.local_addr();
        let listener = self.host.listen(local.port());
        // Decoded and encoded anew, as clients do it: other bytes, the same address.
        let respelled = mangle(demangle(&fetch.socket_addr));
        let answer = say::local_addr(&self.id, &respelled, |answer| {
            answer.local_addr = mangle(local);
            answer.relay_server = self.relay(&fetch.relay_server).to_string();
        });
        control.send(&answer).unwrap();
        drop(control);
        self.wait(Doors::default().listen(listener))
    }

    /// Chooses the relay itself: tells the initiator through the server, then goes there.
    fn choose_relay(&self, hole: &PunchHole) -> Link {
        let doors = self.doors(hole);
        let token = format!("{}-{}", say::TOKEN, self.id);
        let relay = self.relay(&hole.relay_server);
        let answer = say::relay_chosen(&self.id, &hole.socket_addr, |answer| {
            answer.uuid = token.clone();
            answer.relay_server = relay.to_string();
            answer.socket_addr_v6 = doors.v6_end();
        });
        self.control().send(&answer).unwrap();
        if doors.v6_end().is_empty() {
            return self.join_relay(relay, &token);
        }
        match doors.open(BEFORE_RELAY, None) {
            Some(Opened::Link(link)) => link,
            _ => self.join_relay(relay, &token),
        }
    }

    /// Comes to the relay because the initiator asked.
    fn agree(&self, wish: &RequestRelay) -> Link {
        assert!(wish.access_key.is_empty() && wish.token.is_empty(), "secrets reached the target");
        self.control().send(&say::relay_agreed(&wish.socket_addr)).unwrap();
        self.join_relay(self.relay(&wish.relay_server), &wish.uuid)
    }

    /// Waits for the initiator at the doors, and for its wish to use the relay instead.
    fn wait(&self, doors: Doors) -> Link {
        match doors.open(PATIENCE, Some(&self.line)) {
            Some(Opened::Link(link)) => link,
            Some(Opened::Wish(wish)) => self.agree(&wish),
            None => panic!("nobody came in {PATIENCE:?}"),
        }
    }

    /// A connection to the server for one message.
    fn control(&self) -> Link {
        match self.registers {
            Registers::WebSocket => Link::web_socket(&self.host, self.server),
            _ => Link::tcp(&self.host, self.server),
        }
    }

    /// The relay it was told of, or the one beside the server (protocol §4.6).
    fn relay(&self, told: &str) -> SocketAddr {
        let beside = SocketAddr::new(self.server.ip(), self.server.port() + 1);
        relay_at(told, beside)
    }

    fn join_relay(&self, relay: SocketAddr, token: &str) -> Link {
        let mut link = match self.registers {
            Registers::WebSocket => Link::web_socket(&self.host, relay),
            _ => Link::tcp(&self.host, relay),
        };
        let wish = RequestRelay {
            uuid: token.into(),
            access_key: self.access_key.clone(),
            ..Default::default()
        };
        link.send(&say::payload(Body::RequestRelay(wish))).unwrap();
        link
    }

    /// The target's half of the encrypted hello: its session key under its device key.
    pub(crate) fn hello(&self, link: &mut Link) {
        use prost::Message as _;
        let id_pk = IdPk { id: self.id.clone(), pk: vec![0x42; 32] }.encode_to_vec();
        let signature = self.pair.sk.sign(&id_pk, None);
        let signed = [&signature[..], &id_pk].concat();
        let hello = session_message::Body::SignedId(say::proto::SignedId { id: signed });
        link.send(&say::proto::SessionMessage { body: Some(hello) }.encode_to_vec()).unwrap();
        let answer = link.receive().expect("the initiator answers the hello");
        let answer = say::proto::SessionMessage::decode(&answer[..]).unwrap().body;
        let Some(session_message::Body::PublicKey(key)) = answer else { panic!("no public key") };
        assert_eq!((key.asymmetric_value.len(), key.symmetric_value.len()), (32, 48));
    }
}

/// Where a client finds a relay it is told; at `own` if that is none, or a name.
pub(crate) fn relay_at(told: &str, own: SocketAddr) -> SocketAddr {
    let alone = || told.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 21_117));
    told.parse().ok().or_else(alone).unwrap_or(own)
}

/// A device key no other id has.
fn own_pair(id: &str) -> KeyPair {
    let mut seed = [0; 32];
    seed[..id.len()].copy_from_slice(id.as_bytes());
    KeyPair::from_seed(Seed::new(seed))
}
