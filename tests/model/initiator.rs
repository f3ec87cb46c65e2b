//! A: asks for a target, tries the direct path, falls back to the relay.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ed25519_compact::{PublicKey, Signature};
use prost::Message as _;

use super::host::Host;
use super::wire::{demangle, receive, send};
use crate::say::proto::punch_hole_response::Path as Way;
use crate::say::proto::{self, IdPk, RequestRelay, relay_response, session_message};
use crate::say::{self, Body};

/// How a session came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Through the NATs.
    Direct,
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
    /// It wants the relay and says so.
    RelayOnly,
}

/// An initiator.
pub(crate) struct Initiator {
    pub(crate) host: Host,
    pub(crate) server: SocketAddr,
    /// The server's public key, which is the access key too.
    pub(crate) key: String,
    pub(crate) tries: Tries,
}

/// An open session.
pub(crate) struct Session {
    pub(crate) stream: TcpStream,
    pub(crate) path: Path,
    /// The target's key, verified with the server's.
    pub(crate) target_key: Vec<u8>,
}

impl Initiator {
    /// Dials `id` the way clients do.
    pub(crate) fn dial(&self, id: &str) -> Session {
        let nat = nat_type(&self.host, self.server);
        let mut control = self.host.connect(0, self.server).unwrap();
        let port = control.local_addr().unwrap().port();
        let wish = say::punch(id, |wish| {
            wish.nat_type = nat;
            wish.access_key = self.key.clone();
            wish.force_relay = self.tries == Tries::RelayOnly;
        });
        match say::read(&ask(&mut control, &wish)) {
            Body::PunchHoleResponse(answer) => {
                assert!(!answer.socket_addr.is_empty(), "refused with {}", answer.failure);
                let target_key = verify(&self.key, id, &answer.pk);
                let local = answer.path == Some(Way::IsLocal(true));
                let to = demangle(&answer.socket_addr);
                // The same local port, so that the hole the target opened is the one it fits.
                let direct = self.try_direct(port, to);
                match direct {
                    Some(stream) if local => Session { stream, path: Path::Local, target_key },
                    Some(stream) => Session { stream, path: Path::Direct, target_key },
                    None => self.fall_back(id, target_key),
                }
            }
            Body::RelayResponse(answer) => {
                let Some(relay_response::Peer::Pk(signed)) = &answer.peer else {
                    panic!("no key from a target that chose the relay")
                };
                assert!(answer.socket_addr.is_empty(), "the initiator's own address came back");
                let target_key = verify(&self.key, id, signed);
                let relay = answer.relay_server.parse().unwrap();
                let stream = self.join_relay(id, relay, &answer.uuid);
                Session { stream, path: Path::RelayByTarget, target_key }
            }
            _ => panic!("not for an initiator"),
        }
    }

    fn try_direct(&self, port: u16, to: SocketAddr) -> Option<TcpStream> {
        if self.tries != Tries::Everything {
            return None;
        }
        // A path that does not open answers with nothing: do not wait for the kernel's minutes.
        let (host, (done, result)) = (self.host.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            host.enter();
            let _ = done.send(host.connect(port, to).ok());
        });
        result.recv_timeout(Duration::from_secs(2)).ok().flatten()
    }

    /// Asks the target to come to the relay.
    fn fall_back(&self, id: &str, target_key: Vec<u8>) -> Session {
        let mut control = self.host.connect(0, self.server).unwrap();
        let token = format!("{}-{}", say::TOKEN, control.local_addr().unwrap().port());
        let relay = SocketAddr::new(self.server.ip(), self.server.port() + 1);
        let wish = say::request_relay(id, |wish| {
            wish.uuid = token.clone();
            wish.relay_server = relay.to_string();
            wish.token = "an access token that must not reach the target".into();
        });
        let Body::RelayResponse(answer) = say::read(&ask(&mut control, &wish)) else {
            panic!("no relay response")
        };
        assert_eq!(answer.refuse_reason, "");
        let stream = self.join_relay(id, relay, &token);
        Session { stream, path: Path::RelayByInitiator, target_key }
    }

    fn join_relay(&self, id: &str, relay: SocketAddr, token: &str) -> TcpStream {
        let mut stream = self.host.connect(0, relay).unwrap();
        let wish = RequestRelay {
            id: id.into(),
            uuid: token.into(),
            access_key: self.key.clone(),
            ..Default::default()
        };
        send(&mut stream, &say::payload(Body::RequestRelay(wish))).unwrap();
        stream
    }
}

/// The NAT test of clients: one port of this host towards P and P-1. 1 if both ports of the
/// server see the same one, which must be the true one here; else 2.
pub(crate) fn nat_type(host: &Host, server: SocketAddr) -> i32 {
    let mut local = 0;
    let ports = [server.port(), server.port() - 1].map(|port| {
        let mut stream = host.connect(local, SocketAddr::new(server.ip(), port)).unwrap();
        local = stream.local_addr().unwrap().port();
        send(&mut stream, &say::test_nat(3)).unwrap();
        let Body::TestNatResponse(answer) = say::read(&receive(&mut stream).unwrap()) else {
            panic!("no answer to a NAT test")
        };
        answer.port
    });
    assert_eq!(ports[0], i32::from(local), "not the port it came from");
    if ports[0] == ports[1] { 1 } else { 2 }
}

/// Checks the server's signature, and that it is over the id that was dialled; the target's key.
pub(crate) fn verify(key: &str, id: &str, signed: &[u8]) -> Vec<u8> {
    assert!(signed.len() > 64, "no signed key");
    let (signature, id_pk) = signed.split_at(64);
    let key = PublicKey::from_slice(&unbase64(key)).unwrap();
    key.verify(id_pk, &Signature::from_slice(signature).unwrap()).expect("the server signed");
    let id_pk = IdPk::decode(id_pk).unwrap();
    assert_eq!(id_pk.id, id);
    id_pk.pk
}

impl Session {
    /// The initiator's half of the encrypted hello.
    pub(crate) fn hello(&mut self) {
        let hello = receive(&mut self.stream).expect("the target says hello");
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
        send(&mut self.stream, &answer).unwrap();
    }
}

/// Asks, and asks again after 3 and 6 s as clients do.
fn ask(control: &mut TcpStream, wish: &[u8]) -> Vec<u8> {
    for secs in [3, 6, 9] {
        control.set_read_timeout(Some(Duration::from_secs(secs))).unwrap();
        send(control, wish).unwrap();
        if let Ok(answer) = receive(control) {
            return answer;
        }
    }
    panic!("no answer in 18 s");
}

fn unbase64(text: &str) -> Vec<u8> {
    use ct_codecs::{Base64, Decoder as _};
    Base64::decode_to_vec(text, None).unwrap()
}
