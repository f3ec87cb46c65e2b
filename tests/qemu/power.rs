//! The power goes while devices register: what the server has on its disk then. C14.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::board::{Board, folder, need};
use crate::chance::Chance;
use crate::model::devices::{Device, Told, assert_known, assert_stored};
use crate::service::Service;

/// Devices that register at once.
const DEVICES: u8 = 8;
const DISK_BYTES: u64 = 32 << 20;
/// One address is all devices, and none shows a key.
const FLAGS: &str = "--max-peers 131072\n--registrations-per-minute 65535\n\
                     --new-peers-per-day 65535\n--key=\n";

/// Cuts: a few, or those of a long run.
fn cuts() -> u32 {
    if std::env::var("HBB_QEMU_LONG").is_ok_and(|long| long == "1") { 25 } else { 3 }
}

/// A file system in a file, removed when dropped.
struct Disk(PathBuf);

impl Disk {
    fn new(board: &Board) -> Self {
        let disk = Self(folder().join(format!("{}.disk", board.triple)));
        std::fs::create_dir_all(folder()).unwrap();
        File::create(&disk.0).unwrap().set_len(DISK_BYTES).unwrap();
        run(Command::new(need("mkfs.ext4", "e2fsprogs")).args(["-q", "-F"]).arg(&disk.0));
        disk
    }

    /// Takes a file out of it while no machine has it.
    fn copy(&self, name: &str, to: &Path) {
        let request = format!("dump {name} {}", to.display());
        let _ = std::fs::remove_file(to);
        run(Command::new(need("debugfs", "e2fsprogs")).args(["-R", &request]).arg(&self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Cuts the power again and again: the store opens, the key stays, and whoever was told OK is
/// known.
pub(crate) fn cut_again_and_again(board: &Board) {
    let (mut chance, mut told) = (Chance::new(14), Told::default());
    let disk = first_starts(board, &mut chance);
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
    service.machine.cut();
    let store = disk.0.with_extension("redb");
    disk.copy("hbb.redb", &store);
    assert_stored(&store, &told);
    std::fs::remove_file(&store).unwrap();
    let (known, cut_off) = (told.acknowledged.len(), told.unanswered.len());
    println!("{}: {known} acknowledged, {cut_off} cut off, {} cuts", board.triple, cuts());
    assert!(known > 0, "nobody was acknowledged at all");
    assert!(cut_off > 0, "no cut came while somebody registered");
}

/// New disks whose first start does not get far, and the next one does; the last of them.
fn first_starts(board: &Board, chance: &mut Chance) -> Disk {
    for _ in 1..cuts().div_ceil(8) {
        let disk = Disk::new(board);
        start_and_cut(board, &disk, chance);
        start(board, &disk, &mut None);
    }
    let disk = Disk::new(board);
    start_and_cut(board, &disk, chance);
    disk
}

fn start_and_cut(board: &Board, disk: &Disk, chance: &mut Chance) {
    let mut service = Service::boot(board, Some(&disk.0));
    service.launch(FLAGS);
    // The console has waited for the start of the process alone.
    thread::sleep(Duration::from_millis(chance.below(300)));
    service.machine.cut();
}

/// The machine with its disk and the server ready, with the key it had before.
fn start(board: &Board, disk: &Disk, key: &mut Option<String>) -> Service {
    let mut service = Service::boot(board, Some(&disk.0));
    service.machine.run("grep -q ' /data ext4' /proc/mounts");
    service.start(FLAGS);
    assert_eq!(*key.get_or_insert(service.key()), service.key(), "another key");
    service
}

fn device(service: &Service, number: u8) -> Device {
    let from = Ipv4Addr::LOCALHOST.into();
    Device { server: service.at(0), from, number, patience: Duration::from_secs(2) }
}
