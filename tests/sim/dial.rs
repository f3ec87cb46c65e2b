//! A device that dials another (protocol §4.4, §4.5): asks up to three times on one connection,
//! then tries the relay with a new connection and a new token.

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Conn;

use crate::ledger::Author;
use crate::say::{self, Body};
use crate::world::{Event, World};

pub(crate) struct Dial {
    pub(crate) device: usize,
    pub(crate) target: String,
    pub(crate) from: Endpoint,
    conn: Conn,
    payload: Vec<u8>,
    /// The token it will go to the relay with, once it asked for one.
    token: Option<String>,
    tries: u32,
}

impl World {
    /// Dials a device, or an id nobody has; sometimes with a wrong key.
    pub(crate) fn dial_somebody(&mut self, device: usize) {
        if !self.devices[device].on {
            return;
        }
        let other = self.chance.index(self.devices.len());
        let target = match self.chance.below(10) {
            0 => "000000000".into(),
            _ => self.devices[other].id.clone(),
        };
        let good_key = !self.chance.one_in(10);
        self.dial(device, &target, good_key);
    }

    /// The number of the dial; None if the server takes no more connections.
    pub(crate) fn dial(&mut self, device: usize, target: &str, good_key: bool) -> Option<u32> {
        let key = self.server.ledger.policy.access_key.clone().unwrap_or_default();
        let (udp, forced) = (self.chance.one_in(2), self.chance.one_in(5));
        let port = self.port();
        let payload = say::punch(target, |wish| {
            wish.access_key = if good_key { key.into() } else { "wrong".into() };
            wish.udp_port = if udp { 4000 } else { 0 };
            wish.force_relay = forced;
        });
        self.open_dial((device, target, port), payload, None)
    }

    fn open_dial(
        &mut self,
        (device, target, port): (usize, &str, u16),
        payload: Vec<u8>,
        token: Option<String>,
    ) -> Option<u32> {
        // Every fourth fallback comes from another address, as with two uplinks.
        let elsewhere = token.is_some() && self.dialled.is_multiple_of(4);
        let uplink = if elsewhere { (device + 1) % self.devices.len() } else { device };
        let from = self.devices[uplink].at.with_port(port);
        let conn = self.connect(from, payload.clone(), Author::Device(device))?;
        self.dialled += 1;
        let dial = Dial { device, target: target.into(), from, conn, payload, token, tries: 1 };
        self.dials.insert(self.dialled, dial);
        let event = Event::DialWake { dial: self.dialled, tries: 1 };
        self.queue.add(self.now + 3000, event);
        Some(self.dialled)
    }

    /// No answer: asks again on the same connection, for 3, 6 and 9 seconds.
    pub(crate) fn dial_waited(&mut self, number: u32, tries: u32) {
        let Some(dial) = self.dials.get_mut(&number).filter(|dial| dial.tries == tries) else {
            return;
        };
        if tries == 3 || dial.token.is_some() {
            return self.end_dial(number, false);
        }
        dial.tries += 1;
        let (conn, payload, device) = (dial.conn, dial.payload.clone(), dial.device);
        self.say(conn, payload, Author::Device(device));
        let event = Event::DialWake { dial: number, tries: tries + 1 };
        self.queue.add(self.now + 3000 * u64::from(tries + 1), event);
    }

    pub(crate) fn dial_lost(&mut self, conn: Conn) {
        if let Some(number) = self.dial_on(conn) {
            self.end_dial(number, false);
        }
    }

    fn dial_on(&self, conn: Conn) -> Option<u32> {
        self.dials.iter().find(|(_, dial)| dial.conn == conn).map(|(number, _)| *number)
    }

    fn end_dial(&mut self, number: u32, success: bool) {
        let Some(dial) = self.dials.remove(&number) else { return };
        self.succeeded += u32::from(success);
        if !self.chance.one_in(self.weather.tardy) {
            return self.hang_up(dial.conn, 0);
        }
        // Some linger, and keep the connection from idling, for longer than anybody waits.
        for after_ms in [20_000, 40_000] {
            let (payload, author) = (say::test_nat(0), Author::Device(dial.device));
            let event = Event::OnConn { conn: dial.conn, payload, author };
            self.queue.add(self.now + after_ms, event);
        }
        self.hang_up(dial.conn, 60_000);
    }

    /// The server's answer on a dial's connection; strangers do not listen to theirs.
    pub(crate) fn dial_hears(&mut self, conn: Conn, payload: &[u8]) {
        let Some(number) = self.dial_on(conn) else { return };
        match say::read(payload) {
            Body::PunchHoleResponse(answer) => {
                let found = !answer.socket_addr.is_empty();
                // The direct path fails now and then, and the relay is tried. So it is by who was
                // denied, though clients do not.
                let denied = !answer.other_failure.is_empty();
                if denied || found && self.chance.one_in(3) {
                    self.dial_by_relay(number);
                }
                self.end_dial(number, found);
            }
            Body::RelayResponse(answer) => {
                let dial = &self.dials[&number];
                let (device, own) = (dial.device, dial.token.clone());
                let welcome = answer.refuse_reason.is_empty();
                if welcome {
                    self.joins(device, &own.unwrap_or(answer.uuid));
                }
                self.end_dial(number, welcome);
            }
            _ => panic!("a dial was sent {}", say::hex(payload)),
        }
    }

    fn dial_by_relay(&mut self, number: u32) {
        let dial = &self.dials[&number];
        let (device, target) = (dial.device, dial.target.clone());
        let (token, port) = (self.token(), self.port());
        let payload = say::request_relay(&target, |wish| wish.uuid.clone_from(&token));
        self.open_dial((device, &target, port), payload, Some(token));
    }
}
