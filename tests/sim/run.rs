//! The plan of a run: sixty days of quiet, busy windows in bad weather, and calm after each, in
//! which everybody must be present and dial each other.

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Via;
use hbb_core::base::limits::{CHALLENGE_MS, IDLE_MS, ONLINE_MS, PUNCH_MS};

use crate::device::{INTERVAL_MS, RETRY_MS};
use crate::ledger::Author;
use crate::say::{self, Body};
use crate::world::{Act, Event, STREAM_MS, Weather, World};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const RUN_MS: u64 = 60 * DAY_MS;
/// Floods of spoofed sources fill a throttle for a minute.
const THROTTLED_MS: u64 = 61_000;

/// What a run amounted to, so that an empty one is noticed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) events: u64,
    pub(crate) acks: u64,
    pub(crate) answers: u64,
    pub(crate) sessions: u64,
    pub(crate) restarts: u64,
    /// Dials in calm, all of which succeeded.
    pub(crate) dials: u64,
    /// What an operator's rules refused.
    pub(crate) refused: u64,
    /// Devices that an operator let in, and dials of people who were not logged in.
    pub(crate) approved: u64,
    pub(crate) barred: u64,
}

impl Summary {
    pub(crate) const fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.acks += other.acks;
        self.answers += other.answers;
        self.sessions += other.sessions;
        self.restarts += other.restarts;
        self.dials += other.dials;
        self.refused += other.refused;
        self.approved += other.approved;
        self.barred += other.barred;
    }
}

/// Sixty days under one seed; panics where something does not hold.
pub(crate) fn run(seed: u64) -> Summary {
    sixty_days(World::new(seed))
}

/// The same, where devices wait for an operator and people must log in, now and then.
pub(crate) fn run_closed(seed: u64) -> Summary {
    let mut world = World::new(seed);
    world.closes = true;
    world.close(seed.is_multiple_of(2), false);
    sixty_days(world)
}

fn sixty_days(mut world: World) -> Summary {
    let mut dials = 0;
    while world.now < RUN_MS {
        world.busy_window();
        dials += world.calm_window();
        world.everybody_leaves();
        let days = *world.chance.choose(&[0, 0, 0, 0, 0, 0, 1, 1, 4, 26, 51]);
        let gap = days * DAY_MS + world.chance.below(2 * DAY_MS);
        for device in 0..world.devices.len() {
            // Long away, many come back with a new system.
            if days > 20 && world.chance.one_in(2) {
                world.reinstall(device);
            }
        }
        world.run_until(world.now + gap);
        world.nobody_is_online();
    }
    Summary {
        events: world.events,
        acks: world.server.ledger.acks,
        answers: world.server.ledger.answers,
        sessions: world.legs.sessions,
        restarts: u64::from(world.server.epoch),
        dials,
        refused: world.server.ledger.denials.refused,
        approved: world.server.ledger.approvals.done,
        barred: world.server.ledger.approvals.barred_dials,
    }
}

/// Sixty days in which three devices never leave, in nearly good weather.
pub(crate) fn run_awake(seed: u64) -> Summary {
    let mut world = World::new(seed);
    world.weather = Weather { lost: 1000, ..Weather::CALM };
    let awake = world.devices.len().min(3);
    (0..awake).for_each(|device| world.switch_on(device));
    while world.now < RUN_MS {
        world.run_until(world.now + 6 * HOUR_MS);
        // Two in a row may be lost, five are not.
        world.run_until(world.now + 5 * RETRY_MS);
        world.everybody_is_present();
    }
    Summary { events: world.events, acks: world.server.ledger.acks, ..Summary::default() }
}

impl World {
    fn busy_window(&mut self) {
        self.weather = Weather::storm(&mut self.chance);
        let length = self.chance.between(30_000, 300_000);
        for device in 0..self.devices.len() {
            if !self.chance.one_in(5) {
                self.add_act(length / 2, Act::SwitchOn(device));
            }
            if self.chance.one_in(3) {
                self.add_act(length, Act::Roam(device));
            }
            if self.chance.one_in(6) {
                self.add_act(length, Act::Reinstall(device));
            }
            if self.chance.one_in(5) {
                self.add_act(length, Act::Rename(device));
            }
            for _ in 0..self.chance.below(6) {
                self.add_act(length, Act::Dial(device));
            }
        }
        for _ in 0..self.chance.below(60) {
            self.add_act(length, Act::Mischief);
        }
        for _ in 0..self.chance.below(4) {
            self.add_act(length, Act::Census);
        }
        for _ in 0..self.chance.below(3) {
            self.add_act(length, Act::Restart);
        }
        if self.chance.one_in(3) {
            self.add_act(length, Act::Reconfigure);
        }
        if self.closes {
            self.queue.add(self.now + length / 2, Event::Act(Act::Approve));
        }
        self.run_until(self.now + length);
    }

    fn add_act(&mut self, within: u64, act: Act) {
        let at = self.now + self.chance.below(within);
        self.queue.add(at, Event::Act(act));
    }

    /// Faults off. Whoever is registered is present within one interval; gives the dials made.
    fn calm_window(&mut self) -> u64 {
        self.weather = Weather::CALM;
        self.rule(None);
        let private = self.server.ledger.policy.private;
        self.close(private, false);
        // What is still on its way through the storm and the store arrives, then throttles and
        // idle limits pass.
        self.run_until(self.store_free.max(self.now));
        self.run_until(self.now + THROTTLED_MS.max(IDLE_MS));
        self.run_until(self.now + INTERVAL_MS + RETRY_MS + 1000);
        if private {
            self.everybody_is_let_in();
        }
        self.everybody_is_present();
        // Whoever is here speaks up in time.
        self.poses_as_phones();
        self.run_until(self.now + CHALLENGE_MS.max(IDLE_MS) + 1000);
        self.everybody_is_present();
        let mut dials = 0;
        for device in 0..self.devices.len() {
            dials += self.dial_in_calm(device);
        }
        dials
    }

    /// Whoever waits is let in, and is no longer told to wait.
    fn everybody_is_let_in(&mut self) {
        self.operator_approves();
        self.run_until(self.store_free.max(self.now) + 1000);
        self.run_until(self.now + INTERVAL_MS + RETRY_MS + 1000);
    }

    /// Who is on and was ever acknowledged as what it is now.
    pub(crate) fn registered_devices(&self) -> Vec<usize> {
        let registered = |number: &usize| {
            let device = &self.devices[*number];
            let acked = self.server.ledger.acked.get(&device.peer_id());
            device.on
                && acked.is_some_and(|acked| {
                    acked.device.as_bytes() == device.uuid && acked.key.0 == device.key
                })
        };
        (0..self.devices.len()).filter(registered).collect()
    }

    pub(crate) fn everybody_is_present(&mut self) {
        self.server.ledger.now = self.server.time(self.now).as_millis();
        for number in self.registered_devices() {
            let id = self.devices[number].peer_id();
            if self.devices[number].by_stream && self.server.is_crowded() {
                continue;
            }
            assert!(self.server.ledger.is_present(&id), "{id} is registered and not present");
        }
        self.compare_presence();
    }

    /// Nobody spoke for long: nobody is online, nothing is left in any table but peers.
    fn nobody_is_online(&mut self) {
        self.run_until(self.now + ONLINE_MS.max(PUNCH_MS) + 1);
        self.server.ledger.now = self.server.time(self.now).as_millis();
        for device in &self.devices {
            assert!(!self.server.ledger.is_present(&device.peer_id()));
        }
        self.compare_presence();
        let full = self.server.machine.occupancy();
        assert_eq!((full.saving, full.connections, full.dials), (0, 0, 0), "{full:?}");
        assert!(self.legs.is_empty());
    }

    /// What the machine says of everybody is what the ledger knows.
    pub(crate) fn compare_presence(&mut self) {
        let ids: Vec<String> = self.devices.iter().map(|device| device.id.clone()).collect();
        let texts: Vec<&str> = ids.iter().map(String::as_str).collect();
        let from = Endpoint::new([127, 0, 0, 1].into(), 9);
        let Some(conn) = self.server.accept(self.now, from, false) else { return };
        let said = say::online(&texts);
        let answer = self.server.receive(self.now, Via::Stream(conn), (Author::Stranger, &said));
        let [crate::server::Deed::Stream { payload, .. }] = &answer[..] else {
            panic!("{answer:?}")
        };
        let Body::OnlineResponse(online) = say::read(payload) else { panic!("no states") };
        for (index, device) in self.devices.iter().enumerate() {
            if self.server.ledger.may_be_dialled(&device.peer_id()) {
                continue;
            }
            let bit = online.states[index / 8] & (0x80 >> (index % 8)) != 0;
            assert_eq!(bit, self.server.ledger.is_present(&device.peer_id()), "{}", device.id);
        }
        self.server.hang_up(self.now, conn);
    }

    /// In calm, dialling a present device with the right key is answered at once.
    fn dial_in_calm(&mut self, device: usize) -> u64 {
        let targets = self.registered_devices();
        // The dial and the target's answer need a place each.
        if targets.is_empty() || !self.devices[device].on || self.server.places() < 3 {
            return 0;
        }
        let target = *self.chance.choose(&targets);
        let id = self.devices[target].id.clone();
        let before = self.succeeded;
        self.dial(device, &id, true).expect("room for a dial");
        self.run_until(self.now + 6 * STREAM_MS + 4 * Weather::CALM.slow_ms);
        assert!(self.succeeded > before, "a dial to {id}, which is present, failed");
        1
    }

    fn everybody_leaves(&mut self) {
        self.devices.iter_mut().for_each(|device| device.on = false);
        // Sessions end, idle connections are closed, the store catches up.
        self.run_until(self.now + 2 * 100_000);
    }
}
