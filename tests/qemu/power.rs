//! The power goes while devices register: what the server has on its disk then. C14.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ct_codecs::{Base64, Decoder as _};

use crate::board::{Board, folder, need};
use crate::chance::Chance;
use crate::model::devices::{Device, Told, assert_known, assert_stored};
use crate::service::Service;

/// Devices that register at once.
const DEVICES: u8 = 8;
/// What f2fs needs at least is 38 MiB.
const DISK_BYTES: u64 = 64 << 20;
/// One address is all devices, and none shows a key.
const FLAGS: &str = "--max-peers 131072\n--registrations-per-minute 65535\n\
                     --new-peers-per-day 65535\n--writes-per-day 0\n--key=\n";

/// Cuts: a few, or those of a long run.
fn cuts() -> u32 {
    if std::env::var("HBB_QEMU_LONG").is_ok_and(|long| long == "1") { 25 } else { 3 }
}

/// What the disk is formatted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Ext4,
    /// Writes as flash likes it, never in place: what routers lay over their firmware.
    F2fs,
}

impl FileSystem {
    fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::F2fs => "f2fs",
        }
    }
}

/// A file system in a file, removed when dropped.
struct Disk {
    path: PathBuf,
    system: FileSystem,
}

impl Disk {
    fn new(board: &Board, system: FileSystem) -> Self {
        let path = folder().join(format!("{}.{}", board.triple, system.name()));
        let disk = Self { path, system };
        std::fs::create_dir_all(folder()).unwrap();
        File::create(&disk.path).unwrap().set_len(DISK_BYTES).unwrap();
        let mut format = match system {
            FileSystem::Ext4 => Command::new(need("mkfs.ext4", "e2fsprogs")),
            FileSystem::F2fs => Command::new(need("mkfs.f2fs", "f2fs-tools")),
        };
        match system {
            FileSystem::Ext4 => format.args(["-q", "-F"]),
            FileSystem::F2fs => format.args(["-q", "-f"]),
        };
        run(format.arg(&disk.path));
        disk
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Cuts the power again and again: the store opens, the key stays, and whoever was told OK is
/// known.
pub(crate) fn cut_again_and_again(board: &Board, system: FileSystem) {
    let (mut chance, mut told) = (Chance::new(14), Told::default());
    let disk = first_starts((board, system), &mut chance);
    let (mut new, mut key) = (Told::default(), None);
    for round in 0..cuts() {
        let mut service = start(board, &disk, &mut key);
        assert_known(service.at(0), new.acknowledged.keys());
        told.merge(new);
        let registering: Vec<_> =
            (1..=DEVICES).map(|number| device(&service, number).register(round)).collect();
        thread::sleep(Duration::from_millis(chance.between(50, 1_500)));
        service.machine.cut();
        new = Told::default();
        for device in registering {
            new.merge(device.join().unwrap());
        }
        // One in four goes once more while it mends what the last one left.
        if chance.one_in(4) {
            start_and_cut(board, &disk, &mut chance);
        }
    }
    let mut service = start(board, &disk, &mut key);
    told.merge(new);
    assert_known(service.at(0), told.acknowledged.keys());
    assert_eq!(service.terminate().0, 0);
    service.machine.run("umount /data");
    // From the disk, not from what the guest remembers of it.
    let mount = format!("mount -t {} /dev/vda /data", system.name());
    let text = service.machine.run(&format!("{mount} && base64 -w 0 /data/hbb.store"));
    service.machine.cut();
    let store = disk.path.with_extension("store");
    std::fs::write(&store, Base64::decode_to_vec(&text, None).unwrap()).unwrap();
    assert_stored(&store, &told);
    std::fs::remove_file(&store).unwrap();
    let (known, cut_off) = (told.acknowledged.len(), told.unanswered.len());
    let (triple, name, cuts) = (board.triple, system.name(), cuts());
    println!("{triple} {name}: {known} acknowledged, {cut_off} cut off, {cuts} cuts, none lost");
    assert!(known > 0, "nobody was acknowledged at all");
    assert!(cut_off > 0, "no cut came while somebody registered");
}

/// New disks whose first start does not get far, and the next one does; the last of them.
fn first_starts((board, system): (&Board, FileSystem), chance: &mut Chance) -> Disk {
    for _ in 1..cuts().div_ceil(8) {
        let disk = Disk::new(board, system);
        start_and_cut(board, &disk, chance);
        start(board, &disk, &mut None);
    }
    let disk = Disk::new(board, system);
    start_and_cut(board, &disk, chance);
    disk
}

fn start_and_cut(board: &Board, disk: &Disk, chance: &mut Chance) {
    let mut service = Service::boot(board, Some(&disk.path));
    service.launch(FLAGS);
    // The console has waited for the start of the process alone.
    thread::sleep(Duration::from_millis(chance.below(300)));
    service.machine.cut();
}

/// The machine with its disk and the server ready, with the key it had before.
fn start(board: &Board, disk: &Disk, key: &mut Option<String>) -> Service {
    let mut service = Service::boot(board, Some(&disk.path));
    service.machine.run(&format!("grep -q ' /data {}' /proc/mounts", disk.system.name()));
    service.start(FLAGS);
    assert_eq!(*key.get_or_insert(service.key()), service.key(), "another key");
    service
}

fn device(service: &Service, number: u8) -> Device {
    let from = Ipv4Addr::LOCALHOST.into();
    Device { server: service.at(0), from, number, patience: Duration::from_secs(2) }
}
