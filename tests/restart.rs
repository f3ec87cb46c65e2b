//! Known devices behind one NAT after a restart, in namespaces: seconds until all are back. C95,
//! C138, C147, C153. The long form shows what a restart was before they were asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "devices wait by the clock")]

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use hbb_core::base::peer::{Change, DeviceId, PeerId, PeerKey, Record, RecordState};

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::{Host, PATIENCE, again};
use model::networks::{Nat, Networks, SERVER};
use model::seal::Seal;
use model::server::Server;
use model::{wire, ws};
use say::Body;

/// More than the 32 registrations a minute that one address has for devices that are not known.
const DEVICES: usize = 150;
const DEVICE: &[u8] = b"5c3e9a0d-device-one";
const KEY: [u8; 32] = [0x11; 32];
/// What the server sees of all of them.
const OUTSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 1, 2));
/// The client's own: between an answer and the next heartbeat, and between tries without one.
const INTERVAL: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(3);
/// On a machine that does other things as well.
const SOON: Duration = Duration::from_secs(3);

/// A client's registration, as protocol §4.1.1 has it.
struct Device {
    id: String,
    socket: UdpSocket,
    next: Instant,
    back: bool,
}

impl Device {
    fn new(number: usize, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("10.0.0.2:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { id: id(number), socket, next: Instant::now(), back: false }
    }

    /// Sends what is due and hears what came; true when it is registered.
    fn turn(&mut self, now: Instant) -> bool {
        if now >= self.next {
            self.next = now + RETRY;
            let _ = self.socket.send(&say::register_peer(&self.id));
        }
        let mut buffer = [0; 100];
        while let Ok(length) = again(|| self.socket.recv(&mut buffer)) {
            self.next = now + INTERVAL;
            match say::read(&buffer[..length]) {
                Body::RegisterPeerResponse(answer) if answer.request_pk => {
                    let _ = self.socket.send(&say::register_pk(&self.id, DEVICE, &KEY));
                }
                Body::RegisterPkResponse(answer) => self.back |= answer.outcome == 0,
                _ => {}
            }
        }
        self.back
    }
}

fn id(number: usize) -> String {
    format!("{}", 100_000_000 + number)
}

/// Time until all are registered; each begins as it says.
fn time_until_all_are_back(devices: &mut [Device]) -> Duration {
    let start = Instant::now();
    devices.iter_mut().for_each(|device| device.back = false);
    loop {
        let now = Instant::now();
        let here = devices.iter_mut().filter_map(|device| device.turn(now).then_some(())).count();
        if here == devices.len() {
            return start.elapsed();
        }
        assert!(start.elapsed() < 3 * INTERVAL, "{here} are back");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A server that has them all in its store.
fn server(networks: &Networks, flags: &[&str]) -> Server {
    let prefix = networks.run_in_middle();
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let mut server = Server::start_behind(&prefix, flags);
    server.terminate(PATIENCE);
    let records = (0..DEVICES).map(|number| {
        Change::Put(Record {
            id: PeerId::new(&id(number)).unwrap(),
            device: DeviceId::new(DEVICE).unwrap(),
            key: PeerKey(KEY),
            first_seen_secs: 1,
            state: RecordState::Registered(Some(OUTSIDE)),
        })
    });
    let records: Vec<Change> = records.collect();
    hbb::store::open(&server.data().join("hbb.store")).unwrap().commit(&records).unwrap();
    server.restart();
    server
}

/// Runs `test` with the devices, out of their network.
fn inside(networks: &Networks, server: &Server, test: impl FnOnce(&mut [Device]) + Send) {
    let (host, at) = (networks.host("a"), SocketAddr::new(SERVER, server.port));
    let run = move || {
        host.enter();
        let devices = (0..DEVICES).map(|number| Device::new(number, at));
        test(&mut devices.collect::<Vec<_>>());
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap());
}

#[test]
fn c095_150_known_devices_behind_one_nat_are_back_as_soon_as_they_speak() {
    let networks = Networks::new("back", Nat::Symmetric);
    let server = server(&networks, &["--key="]);
    inside(&networks, &server, |devices| {
        let took = time_until_all_are_back(devices);
        println!("{DEVICES} that speak at once are back after {took:?}");
        assert!(took < SOON, "{took:?}");
    });
    assert!(!server.log().contains("warn"), "{}", server.log());
}

#[test]
fn c138_150_devices_behind_one_nat_are_back_before_their_next_heartbeat() {
    let networks = Networks::new("asked", Nat::Symmetric);
    let long = std::env::var_os("HBB_LONG").is_some();
    let flags: &[&[&str]] = if long { &[&[], &["--quiet-start"]] } else { &[&[]] };
    for flags in flags {
        restarted(&networks, &mut server(&networks, flags), flags.is_empty());
    }
}

fn restarted(networks: &Networks, server: &mut Server, asked: bool) {
    let (host, at) = (networks.host("a"), SocketAddr::new(SERVER, server.port));
    thread::scope(|scope| {
        let run = || {
            host.enter();
            let mut devices: Vec<_> = (0..DEVICES).map(|number| Device::new(number, at)).collect();
            time_until_all_are_back(&mut devices);
            server.terminate(PATIENCE);
            // Their heartbeats are spread over the interval that follows, none in its first part.
            let now = Instant::now();
            let quiet = SOON + Duration::from_secs(1);
            for (device, place) in devices.iter_mut().zip(0_u32..) {
                device.next = now + quiet + (INTERVAL - quiet) * place / 150;
            }
            server.restart();
            let took = time_until_all_are_back(&mut devices);
            println!("{DEVICES} are back {took:?} after the start, asked: {asked}");
            assert!((took < SOON) == asked, "{took:?}");
        };
        scope.spawn(run).join().unwrap();
    });
}

/// How a client comes that does not use UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Sealed,
    WebSocket,
}

/// Registers over a connection, as protocol §4.1.5 has it, again and again until it is let in; the
/// connection, and how many it took.
fn come_back(
    mode: Mode,
    host: &Host,
    number: usize,
    main: SocketAddr,
    key: &str,
) -> (TcpStream, usize) {
    let mut tries = 0;
    loop {
        tries += 1;
        let stream = match mode {
            Mode::Sealed => sealed(host, number, main, key),
            Mode::WebSocket => web(host, number, main),
        };
        match stream {
            Ok(stream) => return (stream, tries),
            Err(_) => thread::sleep(RETRY),
        }
    }
}

fn sealed(host: &Host, number: usize, main: SocketAddr, key: &str) -> io::Result<TcpStream> {
    let mut stream = host.connect(0, main)?;
    let mut seal = Seal::agree_if_offered(&mut stream, key)?;
    wire::send(&mut stream, &seal.close(&say::register_pk(&id(number), DEVICE, &KEY)))?;
    let told = seal.open(wire::receive(&mut stream)?);
    is_let_in(&told).then_some(stream).ok_or_else(|| ErrorKind::Other.into())
}

fn web(host: &Host, number: usize, main: SocketAddr) -> io::Result<TcpStream> {
    let at = SocketAddr::new(main.ip(), main.port() + 2);
    let mut stream = host.connect(0, at)?;
    ws::shake_hands_if_let_in(&mut stream, at, "/ws/id")?;
    ws::send(&mut stream, &say::register_pk(&id(number), DEVICE, &KEY))?;
    let told = ws::receive(&mut stream)?;
    is_let_in(&told).then_some(stream).ok_or_else(|| ErrorKind::Other.into())
}

fn is_let_in(told: &[u8]) -> bool {
    matches!(say::read(told), Body::RegisterPkResponse(answer) if answer.outcome == 0)
}

/// As after a restart, when all of an office find their connections gone. The time until all are
/// back, and how many connections were refused meanwhile.
fn time_until_back(
    networks: &Networks,
    server: &Server,
    mode: Mode,
    count: usize,
) -> (Duration, usize) {
    let (host, at, key) = (networks.host("a"), SocketAddr::new(SERVER, server.port), server.key());
    let (host, key, start) = (&host, &key, Instant::now());
    let back: Vec<_> = thread::scope(|scope| {
        let come = |number| {
            move || {
                host.enter();
                let (stream, tries) = come_back(mode, host, number, at, key);
                (stream, tries, start.elapsed())
            }
        };
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(come(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let last = back.iter().map(|(_, _, took)| *took).max().unwrap();
    let tries: usize = back.iter().map(|(_, tries, _)| tries).sum();
    println!("{count} by {mode:?}: all are back after {last:?}, by {tries} connections");
    (last, tries - count)
}

#[test]
fn c153_known_devices_on_connections_behind_one_nat_are_back_though_all_come_at_once() {
    let networks = Networks::new("at-once", Nat::Symmetric);
    let long = std::env::var_os("HBB_LONG").is_some();
    let count = if long { DEVICES } else { DEVICES / 2 };
    let modes = [Mode::Sealed, Mode::WebSocket].map(|mode| (server(&networks, &[]), mode));
    let took = thread::scope(|scope| {
        let run = |(server, mode)| {
            let networks = &networks;
            scope.spawn(move || time_until_back(networks, server, mode, count))
        };
        let threads = modes.each_ref().map(|(server, mode)| run((server, *mode)));
        threads.map(|thread| thread.join().unwrap())
    });
    // Ten sealed channels a second are opened for one address.
    let most = Duration::from_millis(count as u64 * 100) + RETRY + SOON;
    for ((server, mode), (took, refused)) in modes.iter().zip(took) {
        assert!(took < most, "{mode:?}: {took:?}");
        // Who is refused is told of, once for each reason. On a quick machine there may be nobody;
        // a slow one has more key exchanges to do than it lets wait.
        let log = server.log();
        let full = format!("warn refused reason=connections-full from={OUTSIDE} help=");
        let busy = format!("warn refused reason=busy from={OUTSIDE}");
        let told = [full, busy].map(|line| log.matches(&line).count());
        assert!(told.iter().all(|times| *times <= 1), "{log}");
        assert_eq!(told.iter().sum::<usize>(), log.matches("warn").count(), "{log}");
        assert_eq!(told == [0, 0], refused == 0, "{mode:?}: {refused} refused\n{log}");
    }
}

/// A device that is present on a connection; every other one on a WebSocket.
struct Connected(TcpStream);

impl Connected {
    /// None if it has to come again.
    fn new(host: &Host, number: usize, main: SocketAddr) -> Option<Self> {
        let is_web = number.is_multiple_of(2);
        let at = if is_web { SocketAddr::new(main.ip(), main.port() + 2) } else { main };
        let mut stream = host.connect(0, at).unwrap();
        let claim = say::register_pk(&id(number), DEVICE, &KEY);
        let told = if is_web {
            ws::shake_hands(&mut stream, at, "/ws/id");
            ws::send(&mut stream, &claim).and_then(|()| ws::receive(&mut stream))
        } else {
            wire::send(&mut stream, &claim).and_then(|()| wire::receive(&mut stream))
        };
        let outcome = match say::read(&told.ok()?) {
            Body::RegisterPkResponse(answer) => answer.outcome,
            _ => return None,
        };
        assert_eq!(outcome, 0, "{number}");
        Some(Self(stream))
    }

    /// Whether the server still holds it.
    fn is_here(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let found = again(|| self.0.peek(&mut [0]));
        found.as_ref().is_ok_and(|length| *length > 0)
            || found.is_err_and(|error: io::Error| error.kind() == ErrorKind::WouldBlock)
    }
}

#[test]
fn c147_150_known_devices_on_connections_behind_one_nat_all_stay() {
    let networks = Networks::new("stay", Nat::Symmetric);
    let server = server(&networks, &["--key="]);
    let (host, at) = (networks.host("a"), SocketAddr::new(SERVER, server.port));
    let run = move || {
        host.enter();
        let start = Instant::now();
        let here: Vec<_> =
            (0..DEVICES).filter_map(|number| Connected::new(&host, number, at)).collect();
        let all = here.len();
        // Others of the same address who only ask take no place of theirs.
        let askers: Vec<_> = (0..40).map(|_| host.connect(0, at).unwrap()).collect();
        thread::sleep(Duration::from_millis(300));
        let stay = here.iter().filter(|device| device.is_here()).count();
        println!("{stay} of {all} on connections stay, after {:?}", start.elapsed());
        assert_eq!((all, stay), (DEVICES, DEVICES));
        drop(askers);
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap());
}
