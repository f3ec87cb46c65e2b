//! A device that registers on a connection (protocol §4.1.5, §4.1.6), and one that changes its id
//! (§4.1.4). A kept connection is its presence, and the server's heartbeats find it there or not.

use hbb_core::base::conn::Conn;

use crate::device::{INTERVAL_MS, RETRY_MS};
use crate::ledger::Author;
use crate::say::{self, Body};
use crate::world::World;

impl World {
    /// Registers on its connection, or connects first. Once confirmed, it waits there.
    pub(crate) fn register_on_stream(&mut self, number: usize) {
        let device = &self.devices[number];
        let payload = say::register_pk(&device.id, &device.uuid, &device.key);
        if let Some(conn) = device.conn {
            if !device.confirmed {
                self.say(conn, payload, Author::Device(number));
                self.plan(number, INTERVAL_MS);
            }
            return;
        }
        let port = self.port();
        let from = self.devices[number].at.with_port(port);
        let conn = self.connect(from, payload, Author::Device(number));
        // The key is confirmed anew on every connection.
        let device = &mut self.devices[number];
        (device.conn, device.confirmed) = (conn, false);
        self.plan(number, if conn.is_some() { INTERVAL_MS } else { RETRY_MS });
    }

    /// The server said something on a connection of a device, or of a dial.
    pub(crate) fn conn_hears(&mut self, conn: Conn, payload: &[u8]) {
        let owner = self.devices.iter().position(|device| device.answers(conn));
        if let Some(number) = owner {
            return self.device_hears(number, payload);
        }
        if let Some((number, id)) = self.renames.remove(&conn.generation) {
            self.renamed(number, id, payload);
            return self.hang_up(conn, 0);
        }
        self.dial_hears(conn, payload);
    }

    /// The server closed a connection.
    pub(crate) fn conn_lost(&mut self, conn: Conn) {
        self.renames.remove(&conn.generation);
        let owner = self.devices.iter().position(|device| device.conn == Some(conn));
        let Some(number) = owner else { return self.dial_lost(conn) };
        self.devices[number].conn = None;
        if self.devices[number].on {
            self.plan(number, RETRY_MS);
        }
    }

    /// Asks for another id, one of few, on a connection of its own.
    pub(crate) fn rename(&mut self, number: usize) {
        let id = format!("name-{}", self.chance.below(20));
        let (port, device) = (self.port(), &self.devices[number]);
        let payload = say::change_id(&device.id, &id, &device.uuid);
        let from = device.at.with_port(port);
        if let Some(conn) = self.connect(from, payload, Author::Device(number)) {
            self.renames.insert(conn.generation, (number, id));
        }
    }

    /// A client whose id was changed registers under the new one at once.
    fn renamed(&mut self, number: usize, id: String, payload: &[u8]) {
        let Body::RegisterPkResponse(answer) = say::read(payload) else {
            panic!("not an answer to a change of id: {}", say::hex(payload));
        };
        if answer.outcome == 0 && self.devices[number].on {
            let device = &mut self.devices[number];
            (device.id, device.confirmed) = (id, false);
            self.register(number);
        }
    }
}
