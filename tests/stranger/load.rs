//! What the stranger does, each thing on a thread of its own and no faster than its pace.

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::chance::Chance;
use crate::doors::Doors;
use crate::model::host::{Host, again};
use crate::model::wire;
use crate::say::proto::{HealthCheck, KeyExchange, RequestRelay};
use crate::say::{self, Body};

/// Where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sources {
    /// One IPv4 address.
    OneAddress,
    /// Any address of an IPv6 /48.
    Ipv6,
    /// One address for what needs a connection, any for a datagram.
    Forged,
}

/// Connections of a kind that it holds at once.
const HELD_MAX: usize = 150;
/// Of connections that are refused, not all at once are tried again.
pub(crate) const CONNECT: Duration = Duration::from_millis(500);

/// What it did, by the name of what wears down.
const DEEDS: [&str; 13] = [
    "silent",
    "dribbled",
    "kept",
    "tunnels",
    "new ids",
    "re-keys",
    "exchanges",
    "pushes",
    "queries",
    "guesses",
    "requests",
    "pages",
    "calls",
];
/// The last of these are for a server that has accounts.
const WITHOUT_ACCOUNTS: usize = 9;

/// The stranger.
pub(crate) struct Stranger {
    host: Host,
    server: SocketAddr,
    sources: Sources,
    key: String,
    pub(crate) doors: Option<Doors>,
    over: AtomicBool,
    done: [AtomicU64; DEEDS.len()],
}

impl fmt::Display for Stranger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in DEEDS.iter().zip(&self.done) {
            write!(out, "{name} {} ", count.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

/// Connections that are held, the oldest first.
pub(crate) struct Held(VecDeque<TcpStream>);

impl Held {
    pub(crate) const fn none() -> Self {
        Self(VecDeque::new())
    }

    /// Lets go of those that the server closed, and of the oldest when there are too many.
    pub(crate) fn add(&mut self, stream: TcpStream) {
        stream.set_nonblocking(true).unwrap();
        self.0.retain(is_open);
        self.0.push_back(stream);
        if self.0.len() > HELD_MAX {
            self.0.pop_front();
        }
    }

    pub(crate) fn each(&self, act: impl FnMut(&TcpStream)) {
        self.0.iter().for_each(act);
    }
}

fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    match again(|| stream.peek(&mut byte)) {
        Ok(len) => len > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

impl Stranger {
    pub(crate) fn new(
        host: Host,
        server: SocketAddr,
        (sources, key): (Sources, String),
        doors: Option<Doors>,
    ) -> Self {
        let (over, done) = (AtomicBool::new(false), Default::default());
        Self { host, server, sources, key, doors, over, done }
    }

    pub(crate) const fn server(&self) -> SocketAddr {
        self.server
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Begins with everything.
    pub(crate) fn begin(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let deeds: [fn(&Self, usize); DEEDS.len()] = [
            Self::silent,
            Self::dribble,
            Self::keep,
            Self::tunnels,
            Self::new_ids,
            Self::rekey,
            Self::exchange,
            Self::pushes,
            Self::query,
            Self::guess,
            Self::dribble_requests,
            Self::page,
            Self::call_sealed,
        ];
        let count = if self.doors.is_some() { DEEDS.len() } else { WITHOUT_ACCOUNTS };
        let begin = |(number, deed): (usize, fn(&Self, usize))| {
            let stranger = Arc::clone(self);
            thread::spawn(move || {
                stranger.host.enter();
                deed(&stranger, number);
            })
        };
        deeds.into_iter().enumerate().take(count).map(begin).collect()
    }

    /// Whether to go on, at most once each `pace`.
    pub(crate) fn goes_on(&self, pace: Duration) -> bool {
        thread::sleep(pace);
        !self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, number: usize) {
        self.done[number].fetch_add(1, Ordering::Relaxed);
    }

    /// An address it has, for a connection.
    fn address(&self, chance: &mut Chance) -> IpAddr {
        match self.sources {
            Sources::OneAddress | Sources::Forged => Ipv4Addr::new(198, 18, 0, 9).into(),
            Sources::Ipv6 => {
                let network = 0x2001_0db8_0bad_u128 << 80;
                let host = u128::from(chance.draw()) << 16;
                Ipv6Addr::from(network | host & ((1 << 80) - 1) | 1).into()
            }
        }
    }

    /// An address for a datagram that needs no answer.
    fn claimed(&self, chance: &mut Chance) -> IpAddr {
        match self.sources {
            Sources::Forged => {
                let host = u32::try_from(chance.below(1 << 17)).unwrap();
                Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) | host).into()
            }
            _ => self.address(chance),
        }
    }

    /// A connection to the port so much above P.
    fn connect(&self, chance: &mut Chance, above: i32) -> Option<TcpStream> {
        let port = u16::try_from(i32::from(self.server.port()) + above).unwrap();
        self.connect_to(chance, SocketAddr::new(self.server.ip(), port))
    }

    pub(crate) fn connect_to(&self, chance: &mut Chance, to: SocketAddr) -> Option<TcpStream> {
        let from = self.host.at(self.address(chance));
        from.connect_within(CONNECT, 0, to).ok()
    }

    fn datagram(&self, chance: &mut Chance, payload: &[u8]) {
        let socket = UdpSocket::bind((self.claimed(chance), 0)).unwrap();
        let _ = socket.send_to(payload, self.server);
    }

    /// Connections to every port that say nothing.
    fn silent(&self, number: usize) {
        let (mut chance, mut held) = (Chance::new(1), Held::none());
        while self.goes_on(Duration::from_millis(10)) {
            let above = i32::try_from(chance.below(5)).unwrap() - 1;
            if let Some(stream) = self.connect(&mut chance, above) {
                held.add(stream);
                self.count(number);
            }
        }
    }

    /// Frames of 60,000 bytes, one byte at a time.
    fn dribble(&self, number: usize) {
        let (mut chance, mut held) = (Chance::new(2), Held::none());
        let frame = wire::frame(&[7; 60_000]);
        while self.goes_on(Duration::from_millis(20)) {
            if let Some(mut stream) = self.connect(&mut chance, 0) {
                // Nearly all of it at once, so that it is held.
                let _ = stream.set_write_timeout(Some(CONNECT));
                let _ = stream.write_all(&frame[..59_000]);
                held.add(stream);
                self.count(number);
            }
            for stream in &mut held.0 {
                let _ = stream.write(&frame[59_000..59_001]);
            }
        }
    }

    /// Connections that ask to be kept.
    fn keep(&self, number: usize) {
        let (mut chance, mut held) = (Chance::new(3), Held::none());
        let wish = say::payload(Body::HealthCheck(HealthCheck::default()));
        while self.goes_on(Duration::from_millis(20)) {
            if let Some(mut stream) = self.connect(&mut chance, 0) {
                let _ = wire::send(&mut stream, &wish);
                held.add(stream);
                self.count(number);
            }
        }
    }

    /// Pairs at the relay that say they carry a port forward, and carry nothing.
    fn tunnels(&self, number: usize) {
        /// `ConnType::PORT_FORWARD` (protocol §2).
        const PORT_FORWARD: i32 = 2;
        let (mut chance, mut held) = (Chance::new(4), Held::none());
        while self.goes_on(Duration::from_millis(20)) {
            let leg = say::payload(Body::RequestRelay(RequestRelay {
                uuid: format!("{:032x}", chance.draw()),
                access_key: self.key.clone(),
                conn_type: PORT_FORWARD,
                ..Default::default()
            }));
            for _ in 0..2 {
                let Some(mut stream) = self.connect(&mut chance, 1) else { continue };
                let _ = wire::send(&mut stream, &leg);
                held.add(stream);
            }
            self.count(number);
        }
    }

    fn new_ids(&self, number: usize) {
        let mut chance = Chance::new(5);
        while self.goes_on(Duration::from_millis(2)) {
            let id = format!("strange-{:016x}", chance.draw());
            let key = [u8::try_from(chance.below(256)).unwrap(); 32];
            self.datagram(&mut chance, &say::register_pk(&id, b"strange", &key));
            self.count(number);
        }
    }

    /// Ids of its own, and a new key for one of them each time.
    fn rekey(&self, number: usize) {
        let mut chance = Chance::new(6);
        let socket = UdpSocket::bind((self.address(&mut chance), 0)).unwrap();
        while self.goes_on(Duration::from_millis(5)) {
            let id = format!("strange-own-{}", chance.below(8));
            let key: Vec<u8> = chance.bytes(32);
            let _ = socket.send_to(&say::register_pk(&id, b"own", &key), self.server);
            self.count(number);
        }
    }

    /// Halves of key exchanges, whose box cannot be opened.
    fn exchange(&self, number: usize) {
        let (mut chance, mut waiting) = (Chance::new(7), VecDeque::new());
        while self.goes_on(Duration::from_millis(10)) {
            waiting.extend(self.connect(&mut chance, 0));
            if waiting.len() < 50 {
                continue;
            }
            // By now it was offered the server's half.
            let Some(mut stream) = waiting.pop_front() else { continue };
            let half = chance.bytes(32);
            let answer = KeyExchange { keys: vec![half, vec![1; 48]] };
            let _ = wire::send(&mut stream, &say::payload(Body::KeyExchange(answer)));
            self.count(number);
        }
    }

    /// A device on a connection that never reads, and whoever asks for it without end.
    fn pushes(&self, number: usize) {
        let mut chance = Chance::new(8);
        let wish = say::punch("strange-deaf", |wish| wish.access_key = self.key.clone());
        let (mut device, mut caller) = (None, None);
        while self.goes_on(Duration::from_millis(5)) {
            if device.as_ref().is_none_or(|stream| !is_open(stream)) {
                device = self.connect(&mut chance, 0);
                let Some(stream) = &mut device else { continue };
                let _ = wire::send(stream, &say::register_pk("strange-deaf", b"deaf", &[3; 32]));
                stream.set_nonblocking(true).unwrap();
            }
            if caller.is_none() {
                caller = self.connect(&mut chance, 0);
            }
            let Some(stream) = &mut caller else { continue };
            let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
            let said = wire::send(stream, &wish);
            let end = matches!(again(|| stream.read(&mut [0; 2048])), Ok(0));
            if said.is_err() || end {
                caller = None;
            }
            self.count(number);
        }
    }

    /// Who is online, of two thousand ids at a time.
    fn query(&self, number: usize) {
        let mut chance = Chance::new(9);
        let ids: Vec<String> = (0..2000).map(|id| format!("{}", 100_000_000 + id)).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let question = say::online(&ids);
        let mut held = Held::none();
        while self.goes_on(Duration::from_millis(20)) {
            let Some(mut stream) = self.connect(&mut chance, -1) else { continue };
            let _ = stream.set_write_timeout(Some(CONNECT));
            let _ = wire::send(&mut stream, &question);
            held.add(stream);
            self.count(number);
        }
    }
}
