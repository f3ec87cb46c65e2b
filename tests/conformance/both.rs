//! One case, two servers: the machine alone, and the real binary over loopback. What a case says
//! and expects is written once and played against both. It must not know any check.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use hbb_core::base::conn::{Conn, Via};
use hbb_core::base::limits::Limits;
use hbb_core::rendezvous::Policy;

use crate::drive::{Drive, server_key};
use crate::loopback::{self, A_IP, B_IP, Caller, Device, ELSEWHERE, main_port, nat_port};
use crate::model::initiator::verify;
use crate::model::server::Server;
use crate::say::proto::{FetchLocalAddr, PunchHole, PunchHoleResponse, RelayResponse};
use crate::say::{self, hex, take};

pub(crate) use crate::loopback::{B1, DEVICE, KEY};

/// Where datagrams and connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The target, and another port of its address.
    B,
    BsOtherPort,
    Elsewhere,
    A,
    /// On no network of the others.
    Outside,
}

impl Place {
    fn ip(self) -> &'static str {
        match self {
            Self::B | Self::BsOtherPort => B_IP,
            Self::Elsewhere => ELSEWHERE,
            Self::A => A_IP,
            Self::Outside => "127.0.2.1",
        }
    }

    /// Where the machine is told it is.
    fn addr(self) -> String {
        format!("{}:{}", self.ip(), if self == Self::BsOtherPort { 50_999 } else { 50_002 })
    }
}

/// How a server is set up, for either of the two; without `open` it enforces its own key.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) open: bool,
    pub(crate) flags: &'static [&'static str],
    pub(crate) policy: fn() -> Policy,
}

pub(crate) const OPEN: Setup = Setup { open: true, ..ENFORCING };
pub(crate) const ENFORCING: Setup = Setup { open: false, flags: &[], policy: Policy::default };

/// A server that somebody asks.
pub(crate) trait World {
    /// The text initiators must show.
    fn key(&self) -> String;
    /// The answer to a datagram, at the place it came from.
    fn ask(&mut self, from: Place, datagram: &[u8]) -> Vec<u8>;
    /// A datagram that nobody is sent anything for.
    fn silent(&mut self, from: Place, datagram: &[u8]);
    /// The answer to a payload on a connection of its own.
    fn call(&mut self, from: Place, payload: &[u8]) -> Vec<u8>;
    /// The states of `ids`, asked for on P-1.
    fn states(&mut self, ids: &[&str]) -> Vec<u8>;
    /// What `to` alone is told by datagram when an initiator says `payload` on a new connection,
    /// which is the initiator's from now on.
    fn told(&mut self, from: Place, payload: &[u8], to: Place) -> Vec<u8>;
    /// Where the initiator's connection comes from.
    fn initiator(&self) -> SocketAddr;
    /// What the initiator is told next.
    fn answer(&mut self) -> Vec<u8>;
    /// The initiator was told no more.
    fn told_nothing(&mut self);
    /// What B says on a connection of its own, which the server closes then. Its address.
    fn one_shot(&mut self, payload: &[u8]) -> SocketAddr;
    /// A power cut.
    fn restart(&mut self);
}

/// Plays `case` against both.
#[track_caller]
pub(crate) fn on_both(setup: Setup, case: impl Fn(&mut dyn World)) {
    let mut policy = (setup.policy)();
    policy.access_key = (!setup.open).then(|| server_key().public_text().into());
    let drive = Drive::new(Limits::default(), policy);
    println!("asked of the machine");
    case(&mut Machine { drive, initiator: None, heard: VecDeque::new() });
    let open: &[&str] = if setup.open { &["--key="] } else { &[] };
    let server = Server::start(&[open, setup.flags].concat());
    println!("asked over loopback");
    case(&mut Loopback { server, devices: BTreeMap::new(), initiator: None });
}

/// The same with B1 registered at [`Place::B`].
#[track_caller]
pub(crate) fn with_b1(setup: Setup, case: impl Fn(&mut dyn World)) {
    on_both(setup, |world| {
        enroll(world, Place::B, B1);
        case(world);
    });
}

#[track_caller]
pub(crate) fn enroll(world: &mut dyn World, from: Place, id: &str) {
    assert_eq!(hex(&world.ask(from, &say::register_pk(id, DEVICE, &KEY))), "820100");
}

/// PunchHoleRequest for B1 with the right key.
pub(crate) fn wish(world: &dyn World) -> Vec<u8> {
    say::punch(B1, |wish| wish.access_key = world.key())
}

/// A new initiator at A asks for B1, which is told so at `to`.
#[track_caller]
pub(crate) fn asked_at(world: &mut dyn World, to: Place) -> PunchHole {
    let wish = wish(world);
    take!(&world.told(Place::A, &wish, to), PunchHole)
}

/// The same where B1 usually is.
#[track_caller]
pub(crate) fn asked(world: &mut dyn World) -> PunchHole {
    asked_at(world, Place::B)
}

/// A new initiator on B1's own address asks for it.
#[track_caller]
pub(crate) fn asked_nearby(world: &mut dyn World) -> FetchLocalAddr {
    let wish = wish(world);
    take!(&world.told(Place::BsOtherPort, &wish, Place::B), FetchLocalAddr)
}

/// B1 answers on a connection of its own; what the initiator is told.
#[track_caller]
pub(crate) fn answered(world: &mut dyn World, payload: &[u8]) -> PunchHoleResponse {
    world.one_shot(payload);
    take!(&world.answer(), PunchHoleResponse)
}

/// A new initiator at A asks for B1, and is told [`say`]'s relay.
#[track_caller]
pub(crate) fn told_relay(world: &mut dyn World) {
    let hole = asked(world);
    answered(world, &say::punch_sent(B1, &hole.socket_addr, |_| ()));
}

#[track_caller]
pub(crate) fn relayed(world: &mut dyn World, payload: &[u8]) -> RelayResponse {
    world.one_shot(payload);
    take!(&world.answer(), RelayResponse)
}

/// The key the server hands out for B1, which is at `to`; it must be signed.
#[track_caller]
pub(crate) fn signed_key(world: &mut dyn World, to: Place) -> Vec<u8> {
    let hole = asked_at(world, to);
    let found = answered(world, &say::punch_sent(B1, &hole.socket_addr, |_| ()));
    verify(&world.key(), B1, &found.pk)
}

/// The failure of dialling `id`, in hex.
#[track_caller]
pub(crate) fn dial(world: &mut dyn World, id: &str) -> String {
    let wish = say::punch(id, |wish| wish.access_key = world.key());
    hex(&world.call(Place::A, &wish))
}

struct Machine {
    drive: Drive,
    initiator: Option<(Conn, Place)>,
    heard: VecDeque<Vec<u8>>,
}

/// Where B1's connections come from.
const ONE_SHOT: &str = "127.0.1.1:61234";

impl World for Machine {
    fn key(&self) -> String {
        server_key().public_text()
    }

    fn ask(&mut self, from: Place, datagram: &[u8]) -> Vec<u8> {
        self.drive.datagram(&from.addr(), datagram).datagram_to(&from.addr()).to_vec()
    }

    fn silent(&mut self, from: Place, datagram: &[u8]) {
        self.drive.datagram(&from.addr(), datagram).silent();
    }

    fn call(&mut self, from: Place, payload: &[u8]) -> Vec<u8> {
        let conn = self.drive.connect(&from.addr());
        let answer = self.drive.stream(conn, payload).stream_to(conn).to_vec();
        self.drive.hang_up(conn);
        answer
    }

    fn states(&mut self, ids: &[&str]) -> Vec<u8> {
        take!(&self.call(Place::A, &say::online(ids)), OnlineResponse).states
    }

    fn told(&mut self, from: Place, payload: &[u8], to: Place) -> Vec<u8> {
        let conn = self.drive.connect(&from.addr());
        (self.initiator, self.heard) = (Some((conn, from)), VecDeque::new());
        self.drive.stream(conn, payload).datagram_to(&to.addr()).to_vec()
    }

    fn initiator(&self) -> SocketAddr {
        self.initiator.unwrap().1.addr().parse().unwrap()
    }

    fn answer(&mut self) -> Vec<u8> {
        self.heard.pop_front().expect("an answer")
    }

    fn told_nothing(&mut self) {
        assert!(self.heard.is_empty());
    }

    fn one_shot(&mut self, payload: &[u8]) -> SocketAddr {
        let conn = self.drive.connect(ONE_SHOT);
        let deeds = self.drive.stream(conn, payload);
        assert!(deeds.closed(conn).is_some(), "left open");
        for (via, payload) in deeds.sent() {
            let initiator = self.initiator.map(|(conn, _)| Via::Stream(conn));
            assert_eq!(Some(via), initiator, "{}", hex(payload));
            self.heard.push_back(payload.to_vec());
        }
        self.drive.hang_up(conn);
        ONE_SHOT.parse().unwrap()
    }

    fn restart(&mut self) {
        self.drive.restart();
    }
}

struct Loopback {
    server: Server,
    devices: BTreeMap<Place, Device>,
    initiator: Option<Caller>,
}

impl Loopback {
    fn device(&mut self, at: Place) -> &Device {
        let server = &self.server;
        self.devices.entry(at).or_insert_with(|| Device::at(at.ip(), server))
    }
}

impl World for Loopback {
    fn key(&self) -> String {
        self.server.key()
    }

    fn ask(&mut self, from: Place, datagram: &[u8]) -> Vec<u8> {
        self.device(from).ask(datagram)
    }

    fn silent(&mut self, from: Place, datagram: &[u8]) {
        self.device(from).say(datagram);
        self.devices.values().for_each(Device::heard_nothing);
    }

    fn call(&mut self, from: Place, payload: &[u8]) -> Vec<u8> {
        Caller::from(from.ip(), main_port(&self.server)).ask(payload)
    }

    fn states(&mut self, ids: &[&str]) -> Vec<u8> {
        let answer = Caller::from(A_IP, nat_port(&self.server)).ask(&say::online(ids));
        take!(&answer, OnlineResponse).states
    }

    fn told(&mut self, from: Place, payload: &[u8], to: Place) -> Vec<u8> {
        let mut initiator = Caller::from(from.ip(), main_port(&self.server));
        initiator.say(payload);
        self.initiator = Some(initiator);
        let told = self.device(to).next();
        self.devices.values().for_each(Device::heard_nothing);
        told
    }

    fn initiator(&self) -> SocketAddr {
        self.initiator.as_ref().unwrap().addr()
    }

    fn answer(&mut self) -> Vec<u8> {
        self.initiator.as_mut().unwrap().next()
    }

    fn told_nothing(&mut self) {
        let initiator = self.initiator.as_mut().unwrap();
        let port = take!(&initiator.ask(&say::test_nat(3)), TestNatResponse).port;
        assert_eq!(port, i32::from(initiator.port()));
    }

    fn one_shot(&mut self, payload: &[u8]) -> SocketAddr {
        loopback::one_shot(&self.server, payload)
    }

    fn restart(&mut self) {
        self.server.kill_and_restart();
    }
}
