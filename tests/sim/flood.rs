//! A day and more of a stranger who floods the server of a small router: ids of forged sources, new
//! ids of his own, and new keys for them. Tables and flash stay within bounds, and whoever is
//! registered stays present. And newcomers of more networks than there are bytes for: who was here
//! before them has a share of what may be written (C122).

use std::net::Ipv4Addr;

use hbb_core::base::address::Endpoint;
use hbb_core::base::limits::{Limits, WRITES_UNIT_BYTES};
use hbb_core::base::peer::PeerId;

use crate::addresses::own;
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

/// Lone newcomers, each of a network of its own: a commit for each would cost more than a day's.
const NETWORKS: u32 = 400;
/// Devices that were here before, each of a network of its own.
const BEFORE: u32 = 3;

pub(crate) fn run_crowded(seed: u64) {
    let limits = Limits::default();
    let mut world = World::with(limits, Chance::new(seed));
    world.server.flash = Flash::gathered(limits.writes_a_day);
    for number in 0..BEFORE {
        world.claims((100 + number, 1));
        world.run_until(world.now + ROUND_MS);
        assert_eq!(world.key_of(100 + number), Some(1), "a new server is full");
    }
    for number in 0..NETWORKS {
        world.claims((1_000 + number, 1));
        world.run_until(world.now + ROUND_MS);
    }
    assert!(world.server.flash.put_off > 0, "nobody tried");
    for number in 0..BEFORE {
        world.claims((100 + number, 2));
        world.run_until(world.now + 3 * ROUND_MS);
        assert_eq!(world.key_of(100 + number), Some(2), "newcomers have what is for the known");
    }
}

/// The id of the device in the network of that number.
fn id_in(network: u32) -> String {
    format!("{}", 500_000_000 + network)
}

impl World {
    /// The device of a network shows where it is, and asks for its id and a key.
    fn claims(&mut self, (network, key): (u32, u8)) {
        let from = Endpoint::new(Ipv4Addr::from_bits(0x2d00_0001 + network * 256).into(), 4000);
        if let Some(conn) = self.connect(from, say::test_nat(0), Author::Stranger) {
            self.hang_up(conn, 5);
        }
        let id = id_in(network);
        self.queue_claim(from, &say::register_pk(&id, id.as_bytes(), &[key; 32]));
    }

    /// The first byte of the key that is stored for it.
    fn key_of(&self, network: u32) -> Option<u8> {
        let id = PeerId::new(&id_in(network)).unwrap();
        self.server.durable.get(&id).map(|record| record.key.0[0])
    }

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
        self.queue.add(at, Event::ToServer { from, own: own(at), payload, author });
    }
}
