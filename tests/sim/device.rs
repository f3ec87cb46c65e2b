//! A device as the protocol page describes it (§4.1, §4.4, §4.5): it registers, roams, loses its
//! id to a mismatch, and answers those who ask for it.

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Conn;
use hbb_core::base::peer::PeerId;
use hbb_core::wire::addr::{Mangled, demangle};

use crate::addresses::own;
use crate::chance::Chance;
use crate::ledger::Author;
use crate::say::{self, Body};
use crate::world::{Event, World};

/// Time between an answer and the next registration, and between tries without one.
pub(crate) const INTERVAL_MS: u64 = 15_000;
pub(crate) const RETRY_MS: u64 = 3_000;

pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) uuid: Vec<u8>,
    pub(crate) key: [u8; 32],
    /// Its device id is its key.
    pub(crate) is_phone: bool,
    /// Its registration socket.
    pub(crate) at: Endpoint,
    pub(crate) on: bool,
    /// It registers on a connection; this one, if it is open.
    pub(crate) by_stream: bool,
    pub(crate) conn: Option<Conn>,
    /// Whether the server confirmed its key since it changed.
    pub(crate) confirmed: bool,
    outstanding: bool,
    missed: u32,
    reopened: u64,
    plan: u64,
}

impl Device {
    pub(crate) fn new(number: u64, at: Endpoint, chance: &mut Chance) -> Self {
        let (key, is_phone) = (key(chance), chance.one_in(3));
        Self {
            id: format!("{}", 100_000_000 + number),
            uuid: if is_phone { key.to_vec() } else { chance.bytes(16) },
            key,
            is_phone,
            at,
            on: false,
            by_stream: false,
            conn: None,
            confirmed: chance.one_in(2),
            outstanding: false,
            missed: 0,
            reopened: 0,
            plan: 0,
        }
    }

    /// Whether a heartbeat on `conn` reaches it.
    pub(crate) fn answers(&self, conn: Conn) -> bool {
        self.on && self.conn == Some(conn)
    }

    pub(crate) fn peer_id(&self) -> PeerId {
        PeerId::new(&self.id).unwrap()
    }
}

fn key(chance: &mut Chance) -> [u8; 32] {
    chance.bytes(32).try_into().unwrap()
}

impl World {
    pub(crate) fn switch_on(&mut self, number: usize) {
        let (port, by_stream) = (self.port(), self.chance.one_in(3));
        let device = &mut self.devices[number];
        device.at = device.at.with_port(port);
        (device.on, device.outstanding, device.missed) = (true, false, 0);
        (device.by_stream, device.conn) = (by_stream, None);
        // As clients do at their start: the server learns that its address is no forgery.
        self.one_shot(number, say::test_nat(0));
        self.register(number);
    }

    /// Another network: another address, and the registration goes on as if nothing were.
    pub(crate) fn roam(&mut self, number: usize) {
        self.devices[number].at = self.somewhere();
        // Its connection breaks; the server may learn of it late.
        if let Some(conn) = self.devices[number].conn.take() {
            let late = self.chance.below(60_000);
            self.hang_up(conn, late);
            self.plan(number, RETRY_MS);
        }
    }

    pub(crate) fn reinstall(&mut self, number: usize) {
        let key = key(&mut self.chance);
        let device = &mut self.devices[number];
        (device.key, device.confirmed) = (key, false);
        if device.is_phone {
            device.uuid = key.to_vec();
        }
        if device.on {
            self.plan(number, RETRY_MS);
        }
    }

    /// Sends what is to be sent and plans the next try.
    pub(crate) fn register(&mut self, number: usize) {
        if self.devices[number].by_stream {
            return self.register_on_stream(number);
        }
        let device = &mut self.devices[number];
        let payload = match device.confirmed {
            true => say::register_peer(&device.id),
            false => say::register_pk(&device.id, &device.uuid, &device.key),
        };
        device.outstanding = true;
        let from = device.at;
        self.datagram(from, payload, Author::Device(number));
        self.plan(number, RETRY_MS);
    }

    pub(crate) fn plan(&mut self, number: usize, ms: u64) {
        let device = &mut self.devices[number];
        device.plan += 1;
        let plan = device.plan;
        self.queue.add(self.now + ms, Event::Wake { device: number, plan });
    }

    pub(crate) fn device_wakes(&mut self, number: usize, plan: u64) {
        let device = &mut self.devices[number];
        if !device.on || device.plan != plan {
            return;
        }
        device.missed += u32::from(device.outstanding);
        if !device.by_stream && device.missed >= 4 && self.now >= device.reopened + 60_000 {
            (device.reopened, device.missed) = (self.now, 0);
            let port = self.port();
            let device = &mut self.devices[number];
            device.at = device.at.with_port(port);
        }
        self.register(number);
    }

    /// A datagram reaches whichever device has that socket now.
    pub(crate) fn datagram_for_device(&mut self, to: Endpoint, payload: &[u8]) {
        // One that registers on a connection has no such socket.
        let has = |device: &Device| device.on && !device.by_stream && device.at == to;
        let found = self.devices.iter().position(has);
        if let Some(number) = found {
            self.device_hears(number, payload);
        }
    }

    /// What a device does with a message, whichever way it came.
    pub(crate) fn device_hears(&mut self, number: usize, payload: &[u8]) {
        match say::read(payload) {
            Body::RegisterPeerResponse(answer) => {
                self.answered(number);
                if answer.request_pk {
                    self.devices[number].confirmed = false;
                    self.register(number);
                }
            }
            Body::RegisterPkResponse(answer) => self.registered(number, answer.outcome),
            Body::PunchHole(push) => {
                let forced = push.force_relay || push.nat_type == 2;
                let echo = push.socket_addr;
                match self.chance.below(4) {
                    0 => self.comes_to_relay(number, &echo),
                    _ if forced => self.comes_to_relay(number, &echo),
                    _ => self.punches(number, &echo, push.udp_port > 0),
                }
            }
            Body::FetchLocalAddr(push) => {
                let anew = Mangled::new(demangle(&push.socket_addr), self.chance.u32());
                let id = self.devices[number].id.clone();
                let payload = say::local_addr(&id, anew.as_bytes(), |_| ());
                self.one_shot(number, payload);
            }
            Body::RequestRelay(push) => {
                self.one_shot(number, say::relay_agreed(&push.socket_addr));
                self.joins(number, &push.uuid);
            }
            _ => panic!("a device was sent {}", say::hex(payload)),
        }
    }

    fn answered(&mut self, number: usize) {
        let device = &mut self.devices[number];
        (device.outstanding, device.missed) = (false, 0);
        self.plan(number, INTERVAL_MS);
    }

    /// What a client does with each result (protocol §4.1.2).
    fn registered(&mut self, number: usize, outcome: i32) {
        self.answered(number);
        match outcome {
            0 => self.devices[number].confirmed = true,
            2 => {
                let id = self.chance.between(1_000_000_000, 2_000_000_000);
                let device = &mut self.devices[number];
                (device.id, device.confirmed) = (format!("{id}"), false);
                self.register(number);
            }
            _ => {}
        }
    }

    /// Opens its NAT and says so, by a datagram or on a connection.
    fn punches(&mut self, number: usize, echo: &[u8], by_udp: bool) {
        let versioned = !self.chance.one_in(10);
        let payload = say::punch_sent(&self.devices[number].id, echo, |sent| {
            if !versioned {
                sent.version.clear();
            }
        });
        if !by_udp {
            return self.one_shot(number, payload);
        }
        let port = self.port();
        let socket = self.devices[number].at.with_port(port);
        if self.chance.one_in(self.weather.tardy) {
            // Too late, or nearly so.
            let at = self.now + self.chance.between(35_000, 45_000);
            let author = Author::Device(number);
            return self.queue.add(
                at,
                Event::ToServer { from: socket, own: own(number as u64), payload, author },
            );
        }
        for _ in 0..3 {
            self.datagram(socket, payload.clone(), Author::Device(number));
        }
    }

    fn comes_to_relay(&mut self, number: usize, echo: &[u8]) {
        let token = self.token();
        let payload = say::relay_chosen(&self.devices[number].id, echo, |answer| {
            answer.uuid.clone_from(&token);
        });
        self.one_shot(number, payload);
        self.joins(number, &token);
    }

    /// A connection of its own for one message; sometimes gone before the server reads it, or out
    /// of another uplink.
    fn one_shot(&mut self, number: usize, payload: Vec<u8>) {
        let from = if self.chance.one_in(self.weather.tardy) {
            self.somewhere()
        } else {
            let port = self.port();
            self.devices[number].at.with_port(port)
        };
        if let Some(conn) = self.connect(from, payload, Author::Device(number)) {
            self.hang_up(conn, 5);
        }
    }

    /// Goes to the relay under a token.
    pub(crate) fn joins(&mut self, number: usize, token: &str) {
        let key = self.server.ledger.policy.access_key.clone().unwrap_or_default();
        let tunnel = self.chance.one_in(5);
        let payload = say::request_relay("", |wish| {
            (wish.uuid, wish.access_key) = (token.into(), key.into());
            wish.conn_type = if tunnel { 2 } else { 0 };
        });
        let port = self.port();
        let stays_ms = self.chance.between(100, 60_000);
        self.leg(self.devices[number].at.with_port(port), payload, stays_ms);
    }

    pub(crate) fn token(&mut self) -> String {
        format!("{:016x}-{:016x}", self.chance.draw(), self.chance.draw())
    }
}
