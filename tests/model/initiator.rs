//! A: asks for a target, tries the paths it can, falls back to the relay.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use ed25519_compact::{PublicKey, Signature};
use prost::Message as _;

use super::datagrams;
use super::host::{Host, again};
use super::link::{Link, Stream};
use super::target::relay_at;
use super::wire::{demangle, mangle};
use crate::say::proto::punch_hole_response::Path as Way;
use crate::say::proto::{
    self, ConnType, IdPk, PunchHoleResponse, RelayResponse, RequestRelay, relay_response,
    session_message,
};
use crate::say::{self, Body, take};

/// How long a path may take to open.
const OPENING: Duration = Duration::from_secs(2);

/// How a session came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Through the NATs.
    Direct,
    /// Through the NATs, with datagrams.
    Udp,
    /// Where there is no NAT, with datagrams.
    Ipv6,
    /// Inside one network.
    Local,
    /// The target chose the relay.
    RelayByTarget,
    /// The direct path did not open.
    RelayByInitiator,
}

/// What an initiator tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tries {
    /// The direct path, then the relay.
    Everything,
    /// It asks as always, but no direct path ever opens.
    NoDirectPath,
    /// The same, and from then on another of its addresses is used, as with two uplinks.
    NoDirectPathThen(IpAddr),
    /// It wants the relay and says so.
    RelayOnly,
    /// The same, for a port forward.
    Tunnel,
}

/// How an initiator speaks to the server, and what it offers besides a TCP punch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Over TCP.
    Tcp,
    /// Over TCP, logged in: everything is sealed.
    Sealed,
    /// Over WebSocket; it opens no path of its own.
    WebSocket,
    /// Over TCP; it punches with datagrams.
    Udp,
    /// Over TCP; it has an IPv6 address.
    Ipv6,
}

/// An initiator.
pub(crate) struct Initiator {
    pub(crate) host: Host,
    pub(crate) server: SocketAddr,
    /// The server's public key, which is the access key too.
    pub(crate) key: String,
    pub(crate) tries: Tries,
    pub(crate) asks: Asks,
}

/// An open session.
pub(crate) struct Session {
    pub(crate) link: Link,
    pub(crate) path: Path,
    /// The target's key, verified with the server's.
    pub(crate) target_key: Vec<u8>,
}

/// The ends of paths that wait for the target's.
struct Ends {
    nat: i32,
    /// The port its connection to the server has, which a direct one shares.
    port: u16,
    /// A socket, and the port the server saw it at.
    udp: Option<(UdpSocket, i32)>,
    v6: Option<UdpSocket>,
}

impl Initiator {
    /// Dials `id` the way clients do.
    pub(crate) fn dial(&self, id: &str) -> Session {
        let nat = if self.asks == Asks::WebSocket { 2 } else { nat_type(&self.host, self.server) };
        let udp = (self.asks == Asks::Udp).then(|| self.probe());
        let v6 = (self.asks == Asks::Ipv6).then(|| self.host.udp_v6());
        let mut control = self.control();
        let ends = Ends { nat, port: control.local_addr().port(), udp, v6 };
        let answer = say::read(&ask(&mut control, &self.wish(id, &ends)));
        match answer {
            Body::PunchHoleResponse(answer) => self.punched(id, &answer, ends),
            Body::RelayResponse(answer) => self.relayed(id, &answer, ends),
            _ => panic!("not for an initiator"),
        }
    }

    fn conn_type(&self) -> i32 {
        let tunnel = self.tries == Tries::Tunnel;
        (if tunnel { ConnType::PortForward } else { ConnType::Default }) as i32
    }

    /// A connection to the server.
    fn control(&self) -> Link {
        self.control_from(&self.host)
    }

    fn control_from(&self, host: &Host) -> Link {
        match self.asks {
            Asks::Sealed => Link::sealed(host, self.server, &self.key),
            Asks::WebSocket => Link::web_socket(host, self.server),
            Asks::Tcp | Asks::Udp | Asks::Ipv6 => Link::tcp(host, self.server),
        }
    }

    fn wish(&self, id: &str, ends: &Ends) -> Vec<u8> {
        say::punch(id, |wish| {
            (wish.nat_type, wish.conn_type) = (ends.nat, self.conn_type());
            wish.access_key = self.key.clone();
            wish.force_relay = matches!(self.tries, Tries::RelayOnly | Tries::Tunnel);
            wish.udp_port = ends.udp.as_ref().map_or(0, |(_, port)| *port);
            let v6 = ends.v6.as_ref().map(|socket| mangle(socket.local_addr().unwrap()));
            wish.socket_addr_v6 = v6.unwrap_or_default();
            if self.asks == Asks::Sealed {
                wish.token = "an access token that must not reach the target".into();
            }
        })
    }

    /// A socket whose NAT is open, and the port the server sees it at.
    fn probe(&self) -> (UdpSocket, i32) {
        let socket = self.host.udp();
        let question = say::test_nat(3);
        // Two at once, as clients send them; both are answered.
        let [first, second] = [(); 2].map(|()| socket.send_to(&question, self.server).unwrap());
        assert_eq!(first, second);
        let mut buffer = [0; 64];
        let ports = [(); 2].map(|()| {
            let (len, from) = again(|| socket.recv_from(&mut buffer)).expect("the server answers");
            assert_eq!(from, self.server);
            take!(&buffer[..len], TestNatResponse).port
        });
        assert_eq!(ports[0], ports[1]);
        (socket, ports[0])
    }

    /// The target opened its NAT, and told where.
    fn punched(&self, id: &str, answer: &PunchHoleResponse, ends: Ends) -> Session {
        assert!(!answer.socket_addr.is_empty(), "refused with {}", answer.failure);
        let target_key = verify(&self.key, id, &answer.pk);
        if let Some(link) = try_v6(ends.v6, &answer.socket_addr_v6) {
            return Session { link, path: Path::Ipv6, target_key };
        }
        let to = demangle(&answer.socket_addr);
        let (direct, path) = match (answer.is_udp, ends.udp) {
            (true, Some((socket, _))) => (try_datagrams(socket, to), Path::Udp),
            (true, None) => panic!("the target answered a UDP punch that was not asked for"),
            (false, _) if answer.path == Some(Way::IsLocal(true)) => {
                (self.try_direct(ends.port, to), Path::Local)
            }
            // The same local port, so that the hole the target opened is the one it fits.
            (false, _) => (self.try_direct(ends.port, to), Path::Direct),
        };
        match direct {
            Some(link) => Session { link, path, target_key },
            None => self.fall_back((id, &answer.relay_server), target_key),
        }
    }

    /// The target is at the relay.
    fn relayed(&self, id: &str, answer: &RelayResponse, ends: Ends) -> Session {
        let Some(relay_response::Peer::Pk(signed)) = &answer.peer else {
            panic!("no key from a target that chose the relay")
        };
        assert!(answer.socket_addr.is_empty(), "the initiator's own address came back");
        let target_key = verify(&self.key, id, signed);
        if let Some(link) = try_v6(ends.v6, &answer.socket_addr_v6) {
            return Session { link, path: Path::Ipv6, target_key };
        }
        let relay = answer.relay_server.parse().unwrap();
        let link = self.join_relay(id, relay, &answer.uuid);
        Session { link, path: Path::RelayByTarget, target_key }
    }

    fn try_direct(&self, port: u16, to: SocketAddr) -> Option<Link> {
        if self.tries != Tries::Everything {
            return None;
        }
        // A path that does not open answers with nothing: do not wait for the kernel's minutes.
        let (host, (done, result)) = (self.host.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            host.enter();
            let _ = done.send(host.connect(port, to).ok());
        });
        let stream = result.recv_timeout(OPENING).ok().flatten()?;
        Some(Link::frames(Stream::Tcp(stream)))
    }

    /// Asks the target to come to the relay.
    fn fall_back(&self, (id, relay): (&str, &str), target_key: Vec<u8>) -> Session {
        let host = match self.tries {
            Tries::NoDirectPathThen(ip) => self.host.at(ip),
            _ => self.host.clone(),
        };
        let mut control = self.control_from(&host);
        let token = format!("{}-{}", say::TOKEN, control.local_addr().port());
        assert!(!relay.is_empty(), "a target tells a relay");
        let beside = SocketAddr::new(self.server.ip(), self.server.port() + 1);
        let relay = relay_at(relay, beside);
        let wish = say::request_relay(id, |wish| {
            wish.uuid = token.clone();
            wish.relay_server = relay.to_string();
            wish.token = "an access token that must not reach the target".into();
        });
        let Body::RelayResponse(answer) = say::read(&ask(&mut control, &wish)) else {
            panic!("no relay response")
        };
        assert_eq!(answer.refuse_reason, "");
        let link = self.join_relay(id, relay, &token);
        Session { link, path: Path::RelayByInitiator, target_key }
    }

    fn join_relay(&self, id: &str, relay: SocketAddr, token: &str) -> Link {
        let mut link = match self.asks {
            Asks::WebSocket => Link::web_socket(&self.host, relay),
            _ => Link::tcp(&self.host, relay),
        };
        let wish = RequestRelay {
            id: id.into(),
            uuid: token.into(),
            access_key: self.key.clone(),
            conn_type: self.conn_type(),
            ..Default::default()
        };
        link.send(&say::payload(Body::RequestRelay(wish))).unwrap();
        link
    }
}

/// Where no NAT is between, if both offered an end.
fn try_v6(own: Option<UdpSocket>, target: &[u8]) -> Option<Link> {
    let own = own.filter(|_| !target.is_empty())?;
    assert_eq!(target.len(), 18, "{}", say::hex(target));
    try_datagrams(own, demangle(target))
}

fn try_datagrams(socket: UdpSocket, to: SocketAddr) -> Option<Link> {
    socket.connect(to).unwrap();
    // What opens the own NAT for the other's.
    let _ = socket.send(&[]);
    datagrams::call(socket, OPENING).map(|stream| Link::frames(Stream::Carried(stream)))
}

/// The NAT test of clients: one port of this host towards P and P-1. 1 if both ports of the
/// server see the same one, which must be the true one where there is no NAT; else 2. Of a server
/// with a single port it is not known: 0.
pub(crate) fn nat_type(host: &Host, server: SocketAddr) -> i32 {
    let mut local = 0;
    let mut seen_by = |port| {
        let stream = host.connect(local, SocketAddr::new(server.ip(), port));
        let mut link = Link::frames(Stream::Tcp(stream.ok()?));
        local = link.local_addr().port();
        link.send(&say::test_nat(3)).unwrap();
        Some(take!(&answer(&mut link).unwrap(), TestNatResponse).port)
    };
    let first = seen_by(server.port()).expect("the server is there");
    let Some(second) = seen_by(server.port() - 1) else { return 0 };
    assert!(host.behind_nat || first == i32::from(local), "not the port it came from");
    if first == second { 1 } else { 2 }
}

/// Checks the server's signature, and that it is over the id that was dialled; the target's key.
pub(crate) fn verify(key: &str, id: &str, signed_key: &[u8]) -> Vec<u8> {
    assert!(signed_key.len() > 64, "no signed key");
    let id_pk = IdPk::decode(signed(key, signed_key)).unwrap();
    assert_eq!(id_pk.id, id);
    id_pk.pk
}

/// What the server's signature, which stands before it, is over.
pub(crate) fn signed<'a>(key: &str, bytes: &'a [u8]) -> &'a [u8] {
    let (signature, signed) = bytes.split_at(64);
    let key = PublicKey::from_slice(&unbase64(key)).unwrap();
    key.verify(signed, &Signature::from_slice(signature).unwrap()).expect("the server signed");
    signed
}

impl Session {
    /// The initiator's half of the encrypted hello.
    pub(crate) fn hello(&mut self) {
        let hello = self.link.receive().expect("the target says hello");
        let hello = proto::SessionMessage::decode(&hello[..]).unwrap().body;
        let Some(session_message::Body::SignedId(signed)) = hello else { panic!("no signed id") };
        let (signature, id_pk) = signed.id.split_at(64);
        let key = PublicKey::from_slice(&self.target_key).unwrap();
        let signature = Signature::from_slice(signature).unwrap();
        key.verify(id_pk, &signature).expect("the target signed with the key the server told");
        let answer = session_message::Body::PublicKey(proto::PublicKey {
            asymmetric_value: vec![1; 32],
            symmetric_value: vec![2; 48],
        });
        let answer = proto::SessionMessage { body: Some(answer) }.encode_to_vec();
        self.link.send(&answer).unwrap();
    }
}

/// Asks, and asks again after 3 and 6 s as clients do.
fn ask(control: &mut Link, wish: &[u8]) -> Vec<u8> {
    for secs in [3, 6, 9] {
        control.set_patience(Duration::from_secs(secs));
        control.send(wish).unwrap();
        if let Ok(answer) = answer(control) {
            return answer;
        }
    }
    panic!("no answer in 18 s");
}

/// What the server answers. A client that was slow to ask is offered the server's key first, and
/// leaves it aside.
fn answer(link: &mut Link) -> io::Result<Vec<u8>> {
    let payload = link.receive()?;
    match say::read(&payload) {
        Body::KeyExchange(_) => link.receive(),
        _ => Ok(payload),
    }
}

fn unbase64(text: &str) -> Vec<u8> {
    use ct_codecs::{Base64, Decoder as _};
    Base64::decode_to_vec(text, None).unwrap()
}
