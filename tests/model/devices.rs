//! Devices that register ids without end, and what they were told: it must be known and stored
//! whatever became of the server meanwhile. C14.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hbb_core::base::peer::{PeerKey, Record};

use super::host::{Host, again};
use super::wire::{receive, send};
use crate::say::{self, Body, take};

/// What every device of these tests shows.
const DEVICE: &[u8] = b"a device";

/// What one device was told of its ids, in the order it asked.
#[derive(Default)]
pub(crate) struct Told {
    /// The key the last OK was for.
    pub(crate) acknowledged: BTreeMap<String, u8>,
    /// Asked for, and cut off.
    pub(crate) unanswered: Vec<(String, u8)>,
}

impl Told {
    pub(crate) fn merge(&mut self, later: Self) {
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

/// One device, which has many ids.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) server: SocketAddr,
    pub(crate) from: IpAddr,
    /// Part of its ids, as is the round.
    pub(crate) number: u8,
    /// How long it waits for an answer before it stops.
    pub(crate) patience: Duration,
}

/// Six new keys: eight devices at one address may have 60 in an hour (C98).
const CHANGING_TURNS: u32 = 20;

impl Device {
    /// Registers new ids one after the other, gives every other one a second key, until no answer
    /// comes.
    pub(crate) fn register(self, round: u32) -> JoinHandle<Told> {
        thread::spawn(move || {
            let socket = UdpSocket::bind((self.from, 0)).unwrap();
            // Connected, it hears of the server's end as soon as it asks again.
            socket.connect(self.server).unwrap();
            socket.set_read_timeout(Some(self.patience)).unwrap();
            let mut told = Told::default();
            for turn in 0..1_000 {
                // Every third turn is about the id of the one before, as long as one address may.
                let again = turn % 3 == 2 && turn < CHANGING_TURNS;
                let (number, key) = if again { (turn - 1, 2) } else { (turn, 1) };
                if turn % 4 == 0 && !self.prove() {
                    break;
                }
                let id = format!("id{round:04}-{:02}-{number:03}", self.number);
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
}

impl Device {
    /// Shows that its address is no forgery; false if the server is gone.
    fn prove(self) -> bool {
        let asked = || {
            let host = Host::local(&self.from.to_string());
            let mut stream = host.connect_within(self.patience, 0, self.server)?;
            send(&mut stream, &say::test_nat(3))?;
            receive(&mut stream)
        };
        asked().is_ok()
    }
}

/// The outcome of a registration; None if no answer came.
fn ask(socket: &UdpSocket, id: &str, key: [u8; 32]) -> Option<i32> {
    socket.send(&say::register_pk(id, DEVICE, &key)).ok()?;
    let mut buffer = [0; 100];
    let len = again(|| socket.recv(&mut buffer)).ok()?;
    Some(take!(&buffer[..len], RegisterPkResponse).outcome)
}

/// Dialling each gives OFFLINE: it is known and not here. Nobody knows a stranger.
pub(crate) fn assert_known<'a>(server: SocketAddr, ids: impl Iterator<Item = &'a String>) {
    let mut control = TcpStream::connect(server).unwrap();
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
pub(crate) fn assert_stored(store: &Path, told: &Told) {
    let mut store = hbb::store::open(store).unwrap();
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
