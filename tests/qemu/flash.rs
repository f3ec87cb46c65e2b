//! Raw flash: what one registration costs there, and what becomes of devices when it is full. C14.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::FileExt as _;

use crate::board::{Board, ERASE_BYTES, FLASH_AT, FLASH_BYTES};
use crate::crowd::key;
use crate::model::devices::assert_known;
use crate::model::host::{Host, PATIENCE, again};
use crate::power::{Disk, FLAGS, is_long};
use crate::say::{self, take};
use crate::service::Service;

/// Registrations that come one by one, so that each is a commit.
const ALONE: u64 = 40;
/// As many are tried on a full file system, at most.
const TRIED: u32 = 12;

/// What a registration costs; then the flash is filled, and holds afterwards what was told.
pub(crate) fn cost_and_full((board, disk): (&Board, &Disk), mut service: Service) {
    let (system, key) = (disk.system, service.key());
    let mut told = vec!["first0000".to_owned()];
    assert_eq!(Client::of(service.at(0)).register("first0000"), 0);
    let mut client = Client::of(service.at(0));

    let (start_of_it, before) = (told.len(), used(disk));
    for number in 0..ALONE {
        // A proof is good for a few.
        if number % 4 == 0 {
            client = Client::of(service.at(0));
        }
        let id = format!("alone{number:04}");
        assert_eq!(client.register(&id), 0, "{id}");
        told.push(id);
    }
    let each = (used(disk) - before) / ALONE;
    println!("{}: {} alone, {each} bytes of flash each", system.name(), told.len() - start_of_it);
    // What it is on a disk, and half as much again for nodes and their heads.
    assert!(each > 100 && each < 50_000, "{each}");

    service.machine.run("dd if=/dev/urandom of=/data/fill bs=4k 2>/dev/null; sync; true");
    let outcomes = (0..TRIED).map(|number| {
        if number % 4 == 0 {
            client = Client::of(service.at(0));
        }
        let id = format!("full{number:05}");
        let outcome = client.register(&id);
        if outcome == 0 {
            told.push(id);
        }
        outcome
    });
    let refused = outcomes.filter(|outcome| *outcome != 0).count();
    println!("{}: {refused} of {TRIED} refused where it is full", system.name());
    assert!(refused > 0, "it is not full");
    assert!(service.is_alive(), "{}", service.log());

    // With the room back, all is as it was told.
    if is_long() {
        service.machine.cut();
        service = Service::boot(board, Some(&disk.storage()));
    } else {
        // As of a server that crashed.
        let (name, device) = (system.name(), system.device());
        service.machine.run("kill -9 $hbb; wait $hbb; umount /data");
        service.machine.run(&format!("mount -t {name} {device} /data"));
    }
    service.machine.run("rm /data/fill");
    service.start(FLAGS);
    assert_eq!(service.key(), key);
    assert_known(service.at(0), told.iter());
    assert_eq!(Client::of(service.at(0)).register("after0000"), 0);
    assert_eq!(service.terminate().0, 0);
}

/// Bytes of the flash that are written to: each block is from its beginning on.
fn used(disk: &Disk) -> u64 {
    let mut flash = vec![0; usize::try_from(FLASH_BYTES).unwrap()];
    fs::File::open(&disk.path).unwrap().read_exact_at(&mut flash, FLASH_AT).unwrap();
    let used = |block: &[u8]| block.iter().rposition(|byte| *byte != 0xff).map_or(0, |at| at + 1);
    let used: usize = flash.chunks(ERASE_BYTES).map(used).sum();
    u64::try_from(used).unwrap()
}

/// A device that has proved its address, for many ids.
pub(crate) struct Client {
    socket: UdpSocket,
}

impl Client {
    pub(crate) fn of(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Host::local("127.0.0.1").prove(server);
        Self { socket }
    }

    /// The outcome it is told.
    pub(crate) fn register(&self, id: &str) -> i32 {
        self.socket.send(&say::register_pk(id, b"a device", &key(id))).unwrap();
        let mut buffer = [0; 100];
        let len = again(|| self.socket.recv(&mut buffer)).expect("the server answers");
        take!(&buffer[..len], RegisterPkResponse).outcome
    }
}
