//! Strangers: random bytes, spoofed registrations, guesses of echoes, connections and legs that
//! say nothing or nonsense. What they may do to themselves does not matter; the ledger watches
//! what they do to others.

use std::net::Ipv4Addr;

use hbb_core::base::address::Endpoint;
use hbb_core::wire::addr::Mangled;

use crate::device::Device;
use crate::ledger::Author;
use crate::say;
use crate::world::World;

impl World {
    pub(crate) fn mischief(&mut self) {
        match self.chance.below(10) {
            0 => self.sends_garbage(),
            1 => self.spoofs_registrations(),
            2 => self.spoofs_presence(),
            3 => self.guesses_echoes(),
            4 => self.holds_connections(),
            5 => self.asks_for_relays(),
            6 => self.abuses_the_relay(),
            7 => self.lurks_behind_a_nat(),
            8 => self.poses_as_phones(),
            _ => self.spoils_messages(),
        }
    }

    /// An address that is nobody's, or a device's own.
    fn spoofed(&mut self) -> Endpoint {
        let device = self.chance.index(self.devices.len());
        match self.chance.below(3) {
            0 => self.devices[device].at,
            1 => {
                let port = self.port();
                self.devices[device].at.with_port(port)
            }
            _ => self.somewhere(),
        }
    }

    /// Any IPv4 address: more sources than a throttle remembers.
    pub(crate) fn anywhere(&mut self) -> Endpoint {
        let ip = Ipv4Addr::from_bits(self.chance.u32());
        Endpoint::new(ip.into(), self.port())
    }

    fn victim(&mut self) -> String {
        let device = self.chance.index(self.devices.len());
        self.devices[device].id.clone()
    }

    fn sends_garbage(&mut self) {
        let len = *self.chance.choose(&[0, 1, 2, 3, 5, 20, 100, 1500]);
        let (from, payload) = (self.spoofed(), self.chance.bytes(len));
        if self.chance.one_in(2) {
            self.datagram(from, payload, Author::Stranger);
        } else {
            self.connect(from, payload, Author::Stranger);
        }
    }

    fn spoofs_registrations(&mut self) {
        let wide = self.chance.one_in(10);
        for _ in 0..self.chance.between(1, if wide { 600 } else { 40 }) {
            let from = if wide { self.anywhere() } else { self.spoofed() };
            let id = match self.chance.below(6) {
                0 | 1 => self.victim(),
                2 => (*self.chance.choose(&["<img/src=x>", "--help", "10.0.0.1", "x\u{202e}123"]))
                    .into(),
                _ => format!("{}", 500_000_000 + self.chance.below(60)),
            };
            let (uuid, key) = (self.chance.bytes(16), self.chance.bytes(32));
            let payload = say::register_pk(&id, &uuid, &key);
            if !wide && self.chance.one_in(8) {
                self.connect(from, payload, Author::Stranger);
            } else {
                self.datagram(from, payload, Author::Stranger);
            }
        }
    }

    fn spoofs_presence(&mut self) {
        for _ in 0..self.chance.between(1, 20) {
            let (from, id) = (self.spoofed(), self.victim());
            self.datagram(from, say::register_peer(&id), Author::Stranger);
        }
    }

    /// Shares the address of somebody who is here, repeats its signs of life from a port of its
    /// own, and dials it to have the pushes.
    fn lurks_behind_a_nat(&mut self) {
        let number = self.chance.index(self.devices.len());
        let (victim, id) = (self.devices[number].at, self.devices[number].id.clone());
        let from = victim.with_port(self.port());
        for _ in 0..self.chance.between(1, 20) {
            self.datagram(from, say::register_peer(&id), Author::Stranger);
        }
        self.dial(number, &id, true);
    }

    /// Dialled phones once, so that it knows all they show: claims to be them, and renames them. It
    /// is not behind their NAT: from there it could (C88).
    pub(crate) fn poses_as_phones(&mut self) {
        for number in 0..self.devices.len() {
            let Device { id, key, at, is_phone: true, .. } = &self.devices[number] else {
                continue;
            };
            let (id, key, at) = (id.clone(), *key, at.ip());
            for _ in 0..self.chance.between(1, 4) {
                let (from, claim) = (self.somewhere(), say::register_pk(&id, &key, &key));
                if self.chance.one_in(4) {
                    self.connect(from, claim, Author::Stranger);
                } else {
                    self.datagram(from, claim, Author::Stranger);
                }
            }
            let (from, name) = (self.somewhere(), self.chance.below(20));
            if from.ip() != at {
                let change = say::change_id(&id, &format!("name-{name}"), &key);
                self.connect(from, change, Author::Stranger);
            }
        }
    }

    /// Knows who dials whom and from where, but not what the target was told. It may be behind the
    /// target's NAT.
    fn guesses_echoes(&mut self) {
        let dials: Vec<_> =
            self.dials.values().map(|dial| (dial.from, dial.target.clone())).collect();
        for (at, target) in dials {
            let from = self.guesser(&target);
            let echo = Mangled::new(at, self.chance.u32());
            let id = if self.chance.one_in(2) { target } else { String::new() };
            let guess = match self.chance.below(4) {
                0 => say::punch_sent(&id, echo.as_bytes(), |_| ()),
                1 => say::local_addr(&id, echo.as_bytes(), |_| ()),
                2 => say::relay_chosen(&id, echo.as_bytes(), |_| ()),
                _ => say::relay_agreed(echo.as_bytes()),
            };
            if self.chance.one_in(2) {
                self.datagram(from, guess.clone(), Author::Stranger);
            }
            self.connect(from, guess, Author::Stranger);
        }
    }

    /// Where a guess about `target` comes from: half of them from behind its NAT.
    fn guesser(&mut self, target: &str) -> Endpoint {
        let port = self.port();
        let device = self.devices.iter().find(|device| device.id == target);
        let near = device.map(|device| device.at.with_port(port));
        near.filter(|_| self.chance.one_in(2)).unwrap_or_else(|| self.spoofed())
    }

    fn holds_connections(&mut self) {
        for _ in 0..self.chance.between(1, 10) {
            let (from, payload) = (self.somewhere(), say::test_nat(0));
            self.connect(from, payload, Author::Stranger);
        }
    }

    fn asks_for_relays(&mut self) {
        if self.chance.one_in(4) {
            return self.floods_a_target();
        }
        let (from, target) = (self.spoofed(), self.victim());
        let long = *self.chance.choose(&[0, 10, 2000]);
        let relay = match long {
            0 => (*self.chance.choose(&["192.168.1.1:80", "127.0.0.1:22", ""])).into(),
            _ => "x".repeat(long),
        };
        let payload = say::request_relay(&target, |wish| wish.relay_server = relay);
        self.connect(from, payload, Author::Stranger);
        let wrong = say::punch(&target, |wish| wish.access_key = "wrong".into());
        self.connect(from, wrong, Author::Stranger);
        let ids = [target.as_str(), "x", ""];
        self.connect(from, say::online(&ids), Author::Stranger);
    }

    /// Holds the key, and has one target told again and again.
    fn floods_a_target(&mut self) {
        let (from, target) = (self.somewhere(), self.victim());
        let key = self.server.ledger.policy.access_key.clone().unwrap_or_default();
        let payload = say::punch(&target, |wish| wish.access_key = key.into());
        let Some(conn) = self.connect(from, payload.clone(), Author::Stranger) else { return };
        for _ in 0..self.chance.below(200) {
            self.say(conn, payload.clone(), Author::Stranger);
        }
    }

    fn abuses_the_relay(&mut self) {
        let key = self.server.ledger.policy.access_key.clone().unwrap_or_default();
        // Few tokens, so that strangers meet each other and third legs come.
        let token = format!("token-{}", self.chance.below(4));
        let good_key = !self.chance.one_in(4);
        let payload = match self.chance.below(6) {
            0 => Vec::new(),
            1 => self.chance.bytes(30),
            2 => say::request_relay("", |wish| wish.uuid.clear()),
            3 => say::test_nat(0),
            _ => say::request_relay("", |wish| {
                wish.uuid = token;
                wish.access_key = if good_key { key.into() } else { "wrong".into() };
            }),
        };
        let (from, stays_ms) = (self.somewhere(), self.chance.between(10, 100_000));
        self.leg(from, payload, stays_ms);
    }

    fn spoils_messages(&mut self) {
        let victim = self.victim();
        let mut payload = match self.chance.below(6) {
            0 => say::register_pk(&victim, b"device", &[1; 32]),
            1 => say::punch(&victim, |_| ()),
            2 => say::relay_chosen(&victim, &[1; 10], |_| ()),
            3 => say::online(&[&victim, "x"]),
            4 => say::change_id(&victim, "name-7", b"device"),
            _ => say::local_addr(&victim, &[1; 10], |_| ()),
        };
        for _ in 0..self.chance.between(1, 5) {
            let place = self.chance.index(payload.len());
            payload[place] = self.chance.byte();
        }
        let from = self.spoofed();
        self.datagram(from, payload.clone(), Author::Stranger);
        self.connect(from, payload, Author::Stranger);
    }
}
