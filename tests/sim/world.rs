//! One run: a virtual clock, a network that loses, doubles and reorders, the servers, the devices
//! and the strangers. Events carry bytes; everything random comes from the run's seed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::{Conn, Via};
use hbb_core::base::limits::{HEARTBEAT_MS, IDLE_MS, Limits};
use hbb_core::base::peer::PeerId;
use hbb_core::base::table::Seed;
use hbb_core::identity::ServerKey;
use hbb_core::rendezvous::Policy;

use crate::addresses::own;
use crate::chance::Chance;
use crate::denials::Says;
use crate::device::{Device, RETRY_MS};
use crate::dial::Dial;
use crate::ledger::Author;
use crate::legs::Legs;
use crate::queue::Queue;
use crate::server::{Deed, Server};

/// One way of a stream, always the same so that a stream keeps its order.
pub(crate) const STREAM_MS: u64 = 30;

pub(crate) enum Event {
    /// A datagram arrives at the server.
    ToServer {
        from: Endpoint,
        /// The server's address to which it was sent.
        own: IpAddr,
        payload: Vec<u8>,
        author: Author,
    },
    /// A datagram arrives where somebody may be.
    ToPeer {
        to: Endpoint,
        payload: Vec<u8>,
    },
    /// Bytes of a client arrive on its connection.
    OnConn {
        conn: Conn,
        payload: Vec<u8>,
        author: Author,
    },
    /// Bytes of the server arrive on a connection.
    FromConn {
        conn: Conn,
        payload: Vec<u8>,
    },
    /// The client's end of a connection is closed, or the server's.
    HungUp {
        conn: Conn,
        by_server: bool,
    },
    /// The shell looks whether a connection is silent for too long.
    IdleCheck {
        conn: Conn,
    },
    /// The store is done with a change.
    Committed {
        epoch: u32,
    },
    /// A device has something to do, unless it planned anew since.
    Wake {
        device: usize,
        plan: u64,
    },
    /// A dialling device waited long enough.
    DialWake {
        dial: u32,
        tries: u32,
    },
    /// A relay leg says what it wants.
    OnLeg {
        conn: Conn,
        payload: Vec<u8>,
    },
    LegHungUp {
        conn: Conn,
    },
    Census,
    /// Something the plan of this window holds.
    Act(Act),
}

/// What a window's plan may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    SwitchOn(usize),
    Roam(usize),
    Reinstall(usize),
    Rename(usize),
    Dial(usize),
    Mischief,
    /// Who is online, now and when the next peer goes offline.
    Census,
    Restart,
    Reconfigure,
    /// An operator lets devices in.
    Approve,
}

/// How bad the network and the store are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Datagrams lost and doubled, one in so many; 0 is never.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// Slowest datagram: they overtake each other.
    pub(crate) slow_ms: u64,
    /// Commits failing, one in so many.
    pub(crate) failing: u64,
    /// Slowest commit.
    pub(crate) commit_ms: u64,
    /// Clients that answer or hang up very late, one in so many.
    pub(crate) tardy: u64,
}

impl Weather {
    pub(crate) const CALM: Self =
        Self { lost: 0, doubled: 0, slow_ms: 20, failing: 0, commit_ms: 50, tardy: 0 };

    pub(crate) fn storm(chance: &mut Chance) -> Self {
        Self {
            lost: *chance.choose(&[0, 3, 10, 50]),
            doubled: *chance.choose(&[0, 3, 10, 50]),
            slow_ms: *chance.choose(&[20, 300, 5000]),
            failing: *chance.choose(&[0, 0, 2, 5, 30]),
            commit_ms: *chance.choose(&[10, 300, 3000, 8000]),
            tardy: 6,
        }
    }
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) chance: Chance,
    pub(crate) weather: Weather,
    pub(crate) queue: Queue<Event>,
    pub(crate) server: Server,
    pub(crate) legs: Legs,
    pub(crate) devices: Vec<Device>,
    pub(crate) dials: BTreeMap<u32, Dial>,
    pub(crate) dialled: u32,
    pub(crate) succeeded: u32,
    /// Connections on which a device changes its id, and the id it asks for.
    pub(crate) renames: BTreeMap<u32, (usize, String)>,
    heard: BTreeMap<u32, u64>,
    pub(crate) store_free: u64,
    pub(crate) events: u64,
    /// Whether there are hours in which devices wait for an operator, and people must log in.
    pub(crate) closes: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let limits = limits(&mut chance);
        Self::with(limits, chance)
    }

    pub(crate) fn with(limits: Limits, mut chance: Chance) -> Self {
        let key = ServerKey::from_seed([7; 32]).unwrap();
        let policy = policy(&mut chance, &key);
        let legs = Legs::new(limits, policy.access_key.clone());
        let count = chance.between(2, 9);
        let mut world = Self {
            now: 0,
            weather: Weather::CALM,
            queue: Queue::new(),
            server: Server::new(limits, policy, key),
            legs,
            devices: Vec::new(),
            dials: BTreeMap::new(),
            dialled: 0,
            succeeded: 0,
            renames: BTreeMap::new(),
            heard: BTreeMap::new(),
            store_free: 0,
            events: 0,
            closes: false,
            chance,
        };
        for number in 0..count {
            let at = world.somewhere();
            world.devices.push(Device::new(number, at, &mut world.chance));
        }
        world
    }

    /// Lets time pass until `until`; whatever is due at that very moment is done.
    pub(crate) fn run_until(&mut self, until: u64) {
        loop {
            let timeouts = [self.server.next_timeout(), self.legs.next_timeout()];
            let timeout = timeouts.into_iter().flatten().min().map(|due| due.max(self.now));
            let event = self.queue.next();
            match (timeout, event) {
                (Some(due), next) if due <= until && next.is_none_or(|next| due <= next) => {
                    self.now = due;
                    self.run_timeouts();
                }
                (_, Some(at)) if at <= until => {
                    self.now = at;
                    let event = self.queue.pop().unwrap();
                    self.events += 1;
                    self.happen(event);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    fn run_timeouts(&mut self) {
        if self.server.next_timeout().is_some_and(|due| due <= self.now) {
            let deeds = self.server.run_timeout(self.now);
            self.carry_out(deeds);
        }
        if self.legs.next_timeout().is_some_and(|due| due <= self.now) {
            self.legs.run_timeout(self.now);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToServer { from, own, payload, author } => {
                let deeds = self.server.datagram(self.now, (from, own), (author, &payload));
                self.carry_out(deeds);
            }
            Event::ToPeer { to, payload } => self.datagram_for_device(to, &payload),
            Event::OnConn { conn, payload, author } => {
                self.heard.insert(conn.generation, self.now);
                let deeds = self.server.receive(self.now, Via::Stream(conn), (author, &payload));
                self.carry_out(deeds);
            }
            Event::FromConn { conn, payload } => self.conn_hears(conn, &payload),
            Event::HungUp { conn, by_server: true } => self.conn_lost(conn),
            Event::HungUp { conn, by_server: false } => {
                let deeds = self.server.hang_up(self.now, conn);
                self.carry_out(deeds);
            }
            Event::IdleCheck { conn } => self.check_idle(conn),
            Event::Committed { epoch } => {
                let fails = self.chance.one_in(self.weather.failing);
                let deeds = self.server.committed(self.now, epoch, fails);
                self.carry_out(deeds);
            }
            Event::Wake { device, plan } => self.device_wakes(device, plan),
            Event::DialWake { dial, tries } => self.dial_waited(dial, tries),
            Event::OnLeg { conn, payload } => self.legs.receive(self.now, conn, &payload),
            Event::LegHungUp { conn } => self.legs.hang_up(self.now, conn),
            Event::Census => self.compare_presence(),
            Event::Act(act) => self.act(act),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::SwitchOn(device) => self.switch_on(device),
            Act::Roam(device) => self.roam(device),
            Act::Reinstall(device) => self.reinstall(device),
            Act::Rename(device) => self.rename(device),
            Act::Dial(device) => self.dial_somebody(device),
            Act::Mischief => self.mischief(),
            Act::Census => {
                self.compare_presence();
                let edge = self.server.next_offline().filter(|edge| *edge > self.now + 1);
                for at in edge.into_iter().flat_map(|edge| [edge - 1, edge]) {
                    self.queue.add(at, Event::Census);
                }
            }
            Act::Restart => self.restart(),
            Act::Reconfigure => {
                let limits = limits(&mut self.chance);
                let mut policy = self.server.ledger.policy.clone();
                policy.always_relay = self.chance.one_in(3);
                // A table with people in it does not shrink below them at once.
                let peers = self.server.limits.peers;
                self.server.reconfigure(Limits { peers, ..limits }, policy);
                self.legs.reconfigure(limits);
                self.rules_change();
                if self.closes {
                    let third = |every: u64| (self.now / every).is_multiple_of(3);
                    self.close(!third(16), third(64));
                }
            }
            Act::Approve => self.operator_approves(),
        }
    }

    /// Another rule, or none: by the clock, as chance decides of what was there before.
    fn rules_change(&mut self) {
        let choices = [None, Some(Says::Never), Some(Says::Directly), Some(Says::ByRelay)];
        let (turn, most) = (self.now / 4, self.devices.len() as u64);
        let says = choices[usize::try_from(self.now % 4).unwrap()];
        let device = &self.devices[usize::try_from(turn % most).unwrap()];
        let rule = says.map(|says| (device.peer_id(), says));
        self.rule(rule);
    }

    /// From now on this rule holds, or none.
    pub(crate) fn rule(&mut self, rule: Option<(PeerId, Says)>) {
        let now = self.server.time(self.now).as_millis();
        let mut policy = self.server.ledger.policy.clone();
        policy.rules = self.server.ledger.denials.set(now, rule);
        self.server.reconfigure(self.server.limits, policy);
    }

    pub(crate) fn carry_out(&mut self, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Datagram { to, payload } => {
                    self.carry(|payload| Event::ToPeer { to, payload }, payload);
                }
                Deed::Stream { conn, payload } => {
                    self.queue.add(self.now + STREAM_MS, Event::FromConn { conn, payload });
                }
                Deed::Closed { conn } => {
                    let event = Event::HungUp { conn, by_server: true };
                    self.queue.add(self.now + STREAM_MS, event);
                }
                Deed::Meet { token, from } => self.legs.expect(self.now, token, from),
                Deed::Saving => {
                    let time = self.server.time(self.now);
                    let Some(gather) = self.server.flash.gather_ms(time) else { continue };
                    let took = gather + 1 + self.chance.below(self.weather.commit_ms);
                    // The store does one thing after another.
                    self.store_free = self.store_free.max(self.now) + took;
                    let epoch = self.server.epoch;
                    self.queue.add(self.store_free, Event::Committed { epoch });
                }
            }
        }
    }

    /// A datagram as the weather lets it through: not at all, late, twice.
    fn carry(&mut self, event: impl Fn(Vec<u8>) -> Event, payload: Vec<u8>) {
        if self.chance.one_in(self.weather.lost) {
            return;
        }
        let copies = 1 + u64::from(self.chance.one_in(self.weather.doubled));
        for _ in 0..copies {
            let late = 1 + self.chance.below(self.weather.slow_ms);
            self.queue.add(self.now + late, event(payload.clone()));
        }
    }

    pub(crate) fn datagram(&mut self, from: Endpoint, payload: Vec<u8>, author: Author) {
        // A device keeps to one address of the server's, strangers try both.
        let own = own(match author {
            Author::Device(number) => number as u64,
            Author::Stranger => self.now,
        });
        self.carry(|payload| Event::ToServer { from, own, payload, author }, payload);
    }

    /// A new connection that says `payload` at once; None if the server takes no more.
    pub(crate) fn connect(
        &mut self,
        from: Endpoint,
        payload: Vec<u8>,
        author: Author,
    ) -> Option<Conn> {
        let web = self.chance.one_in(8);
        let conn = self.server.accept(self.now, from, web)?;
        self.heard.insert(conn.generation, self.now);
        self.queue.add(self.now + IDLE_MS, Event::IdleCheck { conn });
        self.say(conn, payload, author);
        Some(conn)
    }

    pub(crate) fn say(&mut self, conn: Conn, payload: Vec<u8>, author: Author) {
        self.queue.add(self.now + STREAM_MS, Event::OnConn { conn, payload, author });
    }

    pub(crate) fn hang_up(&mut self, conn: Conn, after_ms: u64) {
        let event = Event::HungUp { conn, by_server: false };
        self.queue.add(self.now + STREAM_MS + after_ms, event);
    }

    /// A relay leg that says `payload` and stays for a while.
    pub(crate) fn leg(&mut self, from: Endpoint, payload: Vec<u8>, stays_ms: u64) {
        let Some(conn) = self.legs.open(self.now, from) else { return };
        if !payload.is_empty() {
            self.queue.add(self.now + STREAM_MS, Event::OnLeg { conn, payload });
        }
        self.queue.add(self.now + STREAM_MS + stays_ms, Event::LegHungUp { conn });
    }

    fn check_idle(&mut self, conn: Conn) {
        if !self.server.is_open(conn) {
            self.heard.remove(&conn.generation);
            return;
        }
        if self.server.is_kept(conn) && self.devices.iter().any(|device| device.answers(conn)) {
            // Its heartbeats are answered.
            self.queue.add(self.now + HEARTBEAT_MS, Event::IdleCheck { conn });
            return;
        }
        let heard = self.heard.get(&conn.generation).copied().unwrap_or(0);
        if self.now - heard < IDLE_MS {
            self.queue.add(heard + IDLE_MS, Event::IdleCheck { conn });
            return;
        }
        let deeds = self.server.hang_up(self.now, conn);
        self.carry_out(deeds);
    }

    fn restart(&mut self) {
        let seed = Seed(self.chance.draw(), self.chance.draw());
        let kept = Some(self.chance.index(4)).filter(|kept| *kept < 3);
        self.server.restart(self.now, seed, kept);
        self.legs.restart(self.now, seed);
        self.store_free = self.now;
        self.dials.clear();
        self.renames.clear();
        for number in 0..self.devices.len() {
            if self.devices[number].conn.take().is_some() {
                self.plan(number, RETRY_MS);
            }
        }
    }

    /// An address with a port: few addresses, so that some share one.
    pub(crate) fn somewhere(&mut self) -> Endpoint {
        let host = self.chance.below(12);
        let ip = match self.chance.below(3) {
            0 => IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(host) << 64 | 1)),
            _ => IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + u32::try_from(host).unwrap())),
        };
        Endpoint::new(ip, self.port())
    }

    pub(crate) fn port(&mut self) -> u16 {
        self.chance.u16() | 1024
    }
}

fn limits(chance: &mut Chance) -> Limits {
    Limits {
        peers: usize::try_from(chance.between(6, 24)).unwrap(),
        connections: usize::try_from(chance.between(6, 40)).unwrap(),
        sessions: usize::try_from(chance.between(1, 8)).unwrap(),
        parked_per_source: usize::try_from(chance.between(1, 6)).unwrap(),
        registrations_per_source: 32,
        newcomers_per_source: u16::try_from(chance.between(3, 300)).unwrap(),
        writes_a_day: 8,
        forget_after_days: if chance.one_in(2) { 30 } else { 0 },
    }
}

fn policy(chance: &mut Chance, key: &ServerKey) -> Policy {
    let enforced = chance.one_in(2).then(|| key.public_text().into());
    let relays = ["one.example", "two.example:21117"].map(String::from).to_vec();
    Policy {
        access_key: enforced,
        relays: if chance.one_in(2) { relays } else { Vec::new() },
        always_relay: chance.one_in(4),
        ..Policy::default()
    }
}
