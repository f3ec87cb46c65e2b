//! A day and more of a stranger who floods the server of a small router: ids of forged sources, new
//! ids of his own, and new keys for them. Tables and flash stay within bounds, and whoever is
//! registered stays present.

use std::net::Ipv4Addr;

use hbb_core::base::address::Endpoint;
use hbb_core::base::limits::{Limits, WRITES_UNIT_BYTES};

use crate::chance::Chance;
use crate::device::RETRY_MS;
use crate::flash::Flash;
use crate::ledger::Author;
use crate::say;
use crate::world::{Event, World};

const HOUR_MS: u64 = 3_600_000;
/// More than one window of the rule.
const HOURS: u64 = 26;
const ROUND_MS: u64 = 10_000;
/// The tables that such a flood fills take no more.
const BYTES_MAX: usize = 1024 * 1024;
/// Ids of his own, each at an address of its own.
const OWN: u32 = 100;

pub(crate) fn run_flooded(seed: u64) {
    let limits = Limits::default();
    let mut world = World::with(limits, Chance::new(seed));
    world.server.flash = Flash::gathered(limits.writes_a_day);
    (0..world.devices.len()).for_each(|device| world.switch_on(device));
    world.run_until(6 * RETRY_MS);
    for round in 0..HOURS * HOUR_MS / ROUND_MS {
        world.floods(u32::try_from(round).unwrap());
        world.run_until(world.now + ROUND_MS);
        if round % 360 == 359 {
            world.run_until(world.now + 5 * RETRY_MS);
            world.everybody_is_present();
        }
    }
    let flash = &world.server.flash;
    let (full, bytes) = (world.server.machine.occupancy(), world.server.machine.bytes());
    println!("{} bytes in 24 h, {} put off, {bytes} of tables", flash.most, flash.put_off);
    let day = u64::from(limits.writes_a_day) * WRITES_UNIT_BYTES;
    assert!(bytes <= BYTES_MAX, "{bytes} bytes for {full:?}");
    assert!(flash.put_off > 0 && flash.most > day / 2, "nobody tried");
    assert!(full.provisional > limits.peers / 2, "{full:?}");
    assert!(world.registered_devices().len() > 1, "nobody was there");
}

impl World {
    fn floods(&mut self, round: u32) {
        let number = round % OWN;
        let ip = Ipv4Addr::from_bits(0xc633_6400 + number * 256);
        let from = Endpoint::new(ip.into(), 4000);
        if let Some(conn) = self.connect(from, say::test_nat(0), Author::Stranger) {
            self.hang_up(conn, 5);
        }
        let key = self.chance.bytes(32);
        let id = format!("{}", 600_000_000 + number);
        self.queue_claim(from, &say::register_pk(&id, id.as_bytes(), &key));
        for other in 0..3 {
            let (uuid, key) = (self.chance.bytes(16), self.chance.bytes(32));
            let id = format!("{}", 700_000_000 + round * 3 + other);
            self.queue_claim(from, &say::register_pk(&id, &uuid, &key));
        }
        for _ in 0..12 {
            let (uuid, key) = (self.chance.bytes(16), self.chance.bytes(32));
            let (from, id) = (self.anywhere(), 800_000_000 + self.chance.below(100_000_000));
            self.queue_claim(from, &say::register_pk(&format!("{id}"), &uuid, &key));
        }
    }

    /// Behind the connection that proves where it comes from.
    fn queue_claim(&mut self, from: Endpoint, payload: &[u8]) {
        let at = self.now + 1_000 + self.chance.below(ROUND_MS - 2_000);
        let (payload, author) = (payload.to_vec(), Author::Stranger);
        self.queue.add(at, Event::ToServer { from, payload, author });
    }
}
