//! Many devices that only register and stay: what fills the table of peers.

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;

use crate::model::host::{Host, PATIENCE, again};
use crate::model::wire::{receive, send};
use crate::say::{self, take};

/// Sockets in each network; the devices of one take turns.
const SOCKETS: usize = 8;
/// Ids asked for at once.
const ASKED: usize = 100;

/// Registered devices.
pub(crate) struct Crowd {
    groups: Vec<(UdpSocket, Vec<String>)>,
    server: SocketAddr,
}

impl Crowd {
    /// Registers `count` devices, half of them in each network.
    pub(crate) fn register(networks: [SocketAddr; 2], count: usize) -> Self {
        let ids: Vec<String> = (0..count).map(|number| format!("3{number:08}")).collect();
        let parts = ids.chunks(count.div_ceil(2 * SOCKETS));
        let groups = parts.zip(networks.into_iter().cycle()).map(|(ids, server)| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.connect(server).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            (socket, ids.to_vec())
        });
        let crowd = Self { groups: groups.collect(), server: networks[0] };
        crowd.each(introduce);
        crowd
    }

    /// "I am still here", of each; who was silent for long is asked for its key.
    pub(crate) fn keep(&self) {
        self.each(|socket, id| {
            let answer = ask(socket, &say::register_peer(id));
            if take!(&answer, RegisterPeerResponse).request_pk {
                let answer = ask(socket, &say::register_pk(id, b"a device", &key(id)));
                assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0, "{id}");
            }
        });
    }

    fn each(&self, act: fn(&UdpSocket, &str)) {
        thread::scope(|scope| {
            for (socket, ids) in &self.groups {
                scope.spawn(move || ids.iter().for_each(|id| act(socket, id)));
            }
        });
    }

    /// How many the server says are online.
    pub(crate) fn online(&self) -> usize {
        let ids: Vec<&str> =
            self.groups.iter().flat_map(|(_, ids)| ids).map(String::as_str).collect();
        let online = ids.chunks(ASKED).flat_map(|ids| is_online(self.server, ids));
        online.filter(|online| *online).count()
    }
}

/// RegisterPeer, RegisterPk, RegisterPeer again.
pub(crate) fn introduce(socket: &UdpSocket, id: &str) {
    let answer = ask(socket, &say::register_peer(id));
    assert!(take!(&answer, RegisterPeerResponse).request_pk, "{id} is known already");
    Host::local("127.0.0.1").prove(socket.peer_addr().unwrap());
    let answer = ask(socket, &say::register_pk(id, b"a device", &key(id)));
    assert_eq!(take!(&answer, RegisterPkResponse).outcome, 0, "{id}");
    let answer = ask(socket, &say::register_peer(id));
    assert!(!take!(&answer, RegisterPeerResponse).request_pk, "{id} is not known");
}

/// The key of a device.
pub(crate) fn key(id: &str) -> Vec<u8> {
    id.bytes().cycle().take(32).collect()
}

fn ask(socket: &UdpSocket, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 1500];
    socket.send(payload).unwrap();
    let len = again(|| socket.recv(&mut buffer)).expect("the server answers");
    buffer[..len].to_vec()
}

/// What the server says of each id, at the port below its own.
pub(crate) fn is_online(server: SocketAddr, ids: &[&str]) -> Vec<bool> {
    let mut stream = TcpStream::connect((server.ip(), server.port() - 1)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    send(&mut stream, &say::online_as(ids[0], ids)).unwrap();
    let states = take!(&receive(&mut stream).unwrap(), OnlineResponse).states;
    let bit = |at: usize| states[at / 8] & (0x80 >> (at % 8)) != 0;
    (0..ids.len()).map(bit).collect()
}
