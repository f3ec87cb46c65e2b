//! Sessions between two modelled clients of the server in the machine. C34, C42, C43, C45, C57,
//! C65, C70.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use crate::crowd;
use crate::model::host::{Host, PATIENCE, again};
use crate::model::initiator::{Asks, Initiator, Path, Tries, verify};
use crate::model::link::Link;
use crate::model::session::{Load, converse, exchange};
use crate::model::target::{Habit, Target};
use crate::model::wire::demangle;
use crate::say::proto::RequestRelay;
use crate::say::{self, Body, take};

/// Where each end of a session reaches the server. Through one network both have one address.
pub(crate) struct Scene {
    pub(crate) target: SocketAddr,
    pub(crate) initiator: SocketAddr,
    pub(crate) key: String,
}

/// An open session.
pub(crate) struct Pair {
    target: Link,
    initiator: Link,
    pub(crate) path: Path,
}

/// Where all modelled clients run; the guest sees their ports as they are.
pub(crate) fn host() -> Host {
    Host::local("127.0.0.1")
}

impl Scene {
    /// From registration to the hello. Between networks no direct path opens.
    pub(crate) fn dial(&self, id: &str, asks: Asks) -> Pair {
        let target = Target::register(&host(), self.target, id, &self.key);
        let answering = thread::spawn(move || {
            let mut link = target.answer(Habit::Willing);
            target.hello(&mut link);
            link
        });
        let within = self.target == self.initiator;
        let tries = if within { Tries::Everything } else { Tries::NoDirectPath };
        let (host, server, key) = (host(), self.initiator, self.key.clone());
        let mut session = Initiator { host, server, key, tries, asks }.dial(id);
        session.hello();
        Pair { target: answering.join().unwrap(), initiator: session.link, path: session.path }
    }
}

impl Pair {
    /// Two legs of one token, and no dialling before.
    pub(crate) fn at_relay(scene: &Scene, token: &str) -> Self {
        let wish = say::payload(Body::RequestRelay(RequestRelay {
            uuid: format!("{}-{token}", say::TOKEN),
            access_key: scene.key.clone(),
            ..Default::default()
        }));
        let leg = |server: SocketAddr| {
            let mut link = Link::tcp(&host(), SocketAddr::new(server.ip(), server.port() + 1));
            link.send(&wish).unwrap();
            link
        };
        let (target, initiator) = (leg(scene.target), leg(scene.initiator));
        Self { target, initiator, path: Path::RelayByInitiator }
    }

    /// Whether a word passes each way.
    pub(crate) fn talks(&mut self) -> bool {
        let mut passes = |from: fn(&mut Self) -> &mut Link, to: fn(&mut Self) -> &mut Link| {
            let sent = from(self).send(b"a word");
            sent.is_ok() && to(self).receive().is_ok_and(|word| word == b"a word")
        };
        passes(|pair| &mut pair.target, |pair| &mut pair.initiator)
            && passes(|pair| &mut pair.initiator, |pair| &mut pair.target)
    }

    /// So many bytes each way at once, in pieces of up to 64 KiB, then the end.
    pub(crate) fn stream(self, bytes: usize) {
        let (target, initiator) = (self.target.into_tcp(), self.initiator.into_tcp());
        let sending = thread::spawn(move || exchange(target, bytes, (1, 2)));
        exchange(initiator, bytes, (2, 1));
        sending.join().unwrap();
    }

    /// Messages of so many bytes in all, half of them each way, at once.
    pub(crate) fn converse(self, bytes: usize) {
        let load = move |seed| Load { total: bytes / 2, seed };
        let target = self.target;
        let sending = thread::spawn(move || converse(target, load(1), load(2)));
        converse(self.initiator, load(2), load(1));
        sending.join().unwrap();
    }
}

/// A punch message by message: each end is told the other's address as the guest sees it.
pub(crate) fn punch(scene: &Scene) {
    const ID: &str = "100000000";
    let target = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    target.connect(scene.target).unwrap();
    target.set_read_timeout(Some(PATIENCE)).unwrap();
    crowd::introduce(&target, ID);

    let mut initiator = Link::tcp(&host(), scene.initiator);
    initiator.send(&say::punch(ID, |wish| wish.access_key = scene.key.clone())).unwrap();
    let mut buffer = [0; 1500];
    let len = again(|| target.recv(&mut buffer)).expect("the target is told");
    let hole = take!(&buffer[..len], PunchHole);
    let seen = SocketAddr::from(([10, 0, 3, 2], initiator.local_addr().port()));
    assert_eq!(demangle(&hole.socket_addr), seen);

    let mut control = Link::tcp(&host(), scene.target);
    control.send(&say::punch_sent(ID, &hole.socket_addr, |_| {})).unwrap();
    let answer = take!(&initiator.receive().unwrap(), PunchHoleResponse);
    let seen = SocketAddr::from(([10, 0, 2, 2], control.local_addr().port()));
    assert_eq!(demangle(&answer.socket_addr), seen);
    assert_eq!(verify(&scene.key, ID, &answer.pk), crowd::key(ID));
}
