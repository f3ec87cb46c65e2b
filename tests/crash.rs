//! SIGKILL while devices register, change their keys, or the server starts: whoever was told OK
//! is known after the restart, with that very key. C14.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use chance::Chance;
use hbb::base::peer::{PeerKey, Record};
use model::server::Server;
use model::wire::{receive, send};
use say::{Body, take};

/// Devices that register at once, each from an address of its own.
const DEVICES: u8 = 16;
/// What every device of these tests shows.
const DEVICE: &[u8] = b"a device";

/// Kills; fewer where a long run is not wanted.
#[allow(clippy::disallowed_methods, reason = "a test's own setting")]
fn kills() -> u32 {
    let asked = std::env::var("HBB_CRASH_KILLS").ok();
    asked.map_or(200, |kills| kills.parse().expect("HBB_CRASH_KILLS is a number"))
}

/// What one device was told of its ids, in the order it asked.
#[derive(Default)]
struct Told {
    /// The key the last OK was for.
    acknowledged: BTreeMap<String, u8>,
    /// Asked for, and cut off.
    unanswered: Vec<(String, u8)>,
}

impl Told {
    fn merge(&mut self, later: Self) {
        self.acknowledged.extend(later.acknowledged);
        self.unanswered.extend(later.unanswered);
    }

    /// The keys `id` may have: the one acknowledged, or one whose answer was cut off.
    fn allows(&self, id: &str, key: PeerKey) -> bool {
        let cut_off = self.unanswered.iter().filter(|(asked, _)| asked == id);
        let mut keys = self.acknowledged.get(id).into_iter().chain(cut_off.map(|(_, key)| key));
        keys.any(|byte| key == PeerKey([*byte; 32]))
    }
}

#[test]
fn c014_whoever_was_acknowledged_is_known_after_a_kill() {
    let flags = ["--max-peers", "131072", "--registrations-per-minute", "65535"];
    let more = ["--new-peers-per-day", "65535", "--key", ""];
    let mut server = Server::start(&[&flags[..], &more[..]].concat());
    let (mut chance, mut told) = (Chance::new(14), Told::default());
    for round in 0..kills() {
        let devices: Vec<_> =
            (1..=DEVICES).map(|device| register(server.port, round, device)).collect();
        thread::sleep(Duration::from_millis(chance.below(60)));
        server.kill();
        let mut new = Told::default();
        for device in devices {
            new.merge(device.join().unwrap());
        }
        // One in four dies once more while it mends what the last kill left.
        if chance.one_in(4) {
            server.restart_and_kill(Duration::from_millis(chance.below(20)));
        }
        server.restart();
        assert_known(&server, new.acknowledged.keys());
        told.merge(new);
    }
    // All of them, and not only those of the last round.
    assert_known(&server, told.acknowledged.keys());
    server.kill();
    assert_stored(&server, &told);
    let (known, cut_off) = (told.acknowledged.len(), told.unanswered.len());
    println!("{known} acknowledged, {cut_off} cut off, {} kills", kills());
    assert!(known > 100, "only {known} were acknowledged at all");
    assert!(cut_off > 0, "no kill came while somebody registered");
}

/// Registers new ids one after the other, gives every other one a second key, until no answer
/// comes.
fn register(port: u16, round: u32, device: u8) -> JoinHandle<Told> {
    thread::spawn(move || {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 2, device], 0))).unwrap();
        // Connected, it hears of the server's end as soon as it asks again.
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut told = Told::default();
        for turn in 0..1_000 {
            // Every third turn is about the id of the one before.
            let (number, key) = if turn % 3 == 2 { (turn - 1, 2) } else { (turn, 1) };
            let id = format!("id{round:04}-{device:02}-{number:03}");
            match ask(&socket, &id, [key; 32]) {
                Some(0) => _ = told.acknowledged.insert(id, key),
                Some(other) => panic!("{id} was answered with {other}"),
                None => {
                    told.unanswered.push((id, key));
                    break;
                }
            }
        }
        told
    })
}

/// The outcome of a registration; None if no answer came.
fn ask(socket: &UdpSocket, id: &str, key: [u8; 32]) -> Option<i32> {
    socket.send(&say::register_pk(id, DEVICE, &key)).ok()?;
    let mut buffer = [0; 100];
    let len = socket.recv(&mut buffer).ok()?;
    Some(take!(&buffer[..len], RegisterPkResponse).outcome)
}

/// Dialling each gives OFFLINE: it is known and not here. Nobody knows a stranger.
fn assert_known<'a>(server: &Server, ids: impl Iterator<Item = &'a String>) {
    let mut control = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server.port))).unwrap();
    control.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for id in ids {
        assert_eq!(failure(&mut control, id), 2, "{id} was acknowledged and is not known");
    }
    assert_eq!(failure(&mut control, "nobody1"), 0);
}

fn failure(control: &mut TcpStream, id: &str) -> i32 {
    send(control, &say::punch(id, |_| {})).unwrap();
    match say::read(&receive(control).unwrap()) {
        Body::PunchHoleResponse(answer) => answer.failure,
        _ => panic!("not an answer to a punch"),
    }
}

/// Every acknowledged id is in the store with its device and a key it was told, and nothing is
/// that nobody asked for.
fn assert_stored(server: &Server, told: &Told) {
    let mut store = hbb::store::open(&server.data().join("hbb.redb")).unwrap();
    let mut stored = 0;
    let mut each = |record: Record| {
        let id = record.id.as_str();
        assert!(told.allows(id, record.key), "{id} has the key {:?}", record.key);
        assert_eq!(record.device.as_bytes(), DEVICE, "{id}");
        stored += usize::from(told.acknowledged.contains_key(id));
    };
    store.load(&mut each).unwrap();
    assert_eq!(stored, told.acknowledged.len());
}
