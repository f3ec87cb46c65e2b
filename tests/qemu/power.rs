//! The power goes while devices register: what the server has on its disk then. C14.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ct_codecs::{Base64, Decoder as _};

use crate::board::{Board, FLASH_AT, FLASH_BYTES, FLASH_MEMORY_MB, Storage, folder, need};
use crate::chance::Chance;
use crate::flash;
use crate::model::devices::{Device, Told, assert_known, assert_stored};
use crate::service::Service;

/// Devices that register at once.
const DEVICES: u8 = 8;
/// What f2fs needs at least is 38 MiB.
const DISK_BYTES: u64 = 64 << 20;
/// One address is all devices, and none shows a key.
pub(crate) const FLAGS: &str = "--max-peers 131072\n--registrations-per-minute 65535\n\
                     --new-peers-per-day 65535\n--writes-per-day 0\n--key=\n";

pub(crate) fn is_long() -> bool {
    std::env::var("HBB_LONG").is_ok_and(|long| long == "1")
}

/// Cuts: a few, or those of a long run. A PC that is emulated as far as its clocks boots slowly.
pub(crate) fn cuts(board: &Board) -> u32 {
    match is_long() {
        true => 25,
        false if board.is_pc() => 2,
        false => 3,
    }
}

/// One of them, another each day; in a long run both.
pub(crate) fn by_turns(of: [FileSystem; 2]) -> Vec<FileSystem> {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let (today, tomorrow) = if days.is_multiple_of(2) { (of[0], of[1]) } else { (of[1], of[0]) };
    if is_long() {
        return vec![today, tomorrow];
    }
    println!("{tomorrow:?} has its turn tomorrow, or with HBB_LONG=1");
    vec![today]
}

/// What the disk is formatted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Ext4,
    /// Writes as flash likes it, never in place: what routers lay over their firmware.
    F2fs,
    /// That of raw NOR flash, of most routers with 16 or 32 MB.
    Jffs2,
    /// That of larger raw flash, over UBI.
    Ubifs,
}

impl FileSystem {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::F2fs => "f2fs",
            Self::Jffs2 => "jffs2",
            Self::Ubifs => "ubifs",
        }
    }

    /// What the guest mounts.
    pub(crate) fn device(self) -> &'static str {
        match self {
            Self::Ext4 | Self::F2fs => "/dev/vda",
            Self::Jffs2 => "mtd0",
            Self::Ubifs => "ubi0_0",
        }
    }

    fn is_of_flash(self) -> bool {
        matches!(self, Self::Jffs2 | Self::Ubifs)
    }
}

/// A file system in a file, removed when dropped.
pub(crate) struct Disk {
    pub(crate) path: PathBuf,
    pub(crate) system: FileSystem,
}

impl Disk {
    pub(crate) fn new(board: &Board, system: FileSystem) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = folder().join(format!("{}.{number}.{}", board.triple, system.name()));
        let disk = Self { path, system };
        fs::create_dir_all(folder()).unwrap();
        if system.is_of_flash() {
            disk.erase();
            return disk;
        }
        File::create(&disk.path).unwrap().set_len(DISK_BYTES).unwrap();
        let (program, package) = match system {
            FileSystem::Ext4 => ("mkfs.ext4", "e2fsprogs"),
            _ => ("mkfs.f2fs", "f2fs-tools"),
        };
        let force = if system == FileSystem::Ext4 { "-F" } else { "-f" };
        run(Command::new(need(program, package)).args(["-q", force]).arg(&disk.path));
        disk
    }

    /// Flash as new, in the memory of a machine; jffs2 needs no more, and UBI is given a volume.
    fn erase(&self) {
        let file = File::create(&self.path).unwrap();
        file.set_len(u64::from(FLASH_MEMORY_MB) << 20).unwrap();
        file.write_all_at(&vec![0xff; usize::try_from(FLASH_BYTES).unwrap()], FLASH_AT).unwrap();
        if self.system == FileSystem::Ubifs {
            let made = self.path.with_extension("made");
            let script = format!(
                "printf '[data]\\nmode=ubi\\nvol_id=0\\nvol_type=dynamic\\nvol_name=data\\n\
                 vol_flags=autoresize\\nvol_size=1MiB\\n' >{0}.ini && {1} -p 64KiB -m 1 -o {0} \
                 {0}.ini && rm {0}.ini",
                made.display(),
                need("ubinize", "mtd-utils").display()
            );
            run(Command::new("sh").args(["-c", &script]));
            file.write_all_at(&fs::read(&made).unwrap(), FLASH_AT).unwrap();
            fs::remove_file(&made).unwrap();
        }
    }

    pub(crate) fn storage(&self) -> Storage<'_> {
        if self.system.is_of_flash() {
            Storage::Flash(&self.path, self.system.name())
        } else {
            Storage::Disk(&self.path)
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Cuts the power again and again: the store opens, the key stays, and whoever was told OK is
/// known.
pub(crate) fn cut_again_and_again(board: &Board, system: FileSystem) {
    let (mut chance, mut told) = (Chance::new(14), Told::default());
    let disk = first_starts((board, system), &mut chance);
    let (mut new, mut key) = (Told::default(), None);
    for round in 0..cuts(board) {
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
    let mount = format!("mount -t {} {} /data", system.name(), system.device());
    let text = service.machine.run(&format!("{mount} && base64 -w 0 /data/hbb.store"));
    let store = disk.path.with_extension("store");
    fs::write(&store, Base64::decode_to_vec(&text, None).unwrap()).unwrap();
    assert_stored(&store, &told);
    fs::remove_file(&store).unwrap();
    let (known, cut_off) = (told.acknowledged.len(), told.unanswered.len());
    let (triple, name, cuts) = (board.triple, system.name(), cuts(board));
    println!("{triple} {name}: {known} acknowledged, {cut_off} cut off, {cuts} cuts, none lost");
    assert!(known > 0, "nobody was acknowledged at all");
    assert!(cut_off > 0, "no cut came while somebody registered");
    if system.is_of_flash() {
        service.start(FLAGS);
        flash::cost_and_full((board, &disk), service);
    }
}

/// New disks whose first start does not get far, and the next one does; the last of them.
fn first_starts((board, system): (&Board, FileSystem), chance: &mut Chance) -> Disk {
    for _ in 1..cuts(board).div_ceil(8) {
        let disk = Disk::new(board, system);
        start_and_cut(board, &disk, chance);
        start(board, &disk, &mut None);
    }
    let disk = Disk::new(board, system);
    if is_long() || !board.is_pc() {
        start_and_cut(board, &disk, chance);
    }
    disk
}

fn start_and_cut(board: &Board, disk: &Disk, chance: &mut Chance) {
    let mut service = Service::boot(board, Some(&disk.storage()));
    service.launch(FLAGS);
    // The console has waited for the start of the process alone.
    thread::sleep(Duration::from_millis(chance.below(300)));
    service.machine.cut();
}

/// The machine with its disk and the server ready, with the key it had before.
fn start(board: &Board, disk: &Disk, key: &mut Option<String>) -> Service {
    let mut service = Service::boot(board, Some(&disk.storage()));
    service.machine.run(&format!("grep -q ' /data {}' /proc/mounts", disk.system.name()));
    service.start(FLAGS);
    assert_eq!(*key.get_or_insert(service.key()), service.key(), "another key");
    service
}

fn device(service: &Service, number: u8) -> Device {
    let from = Ipv4Addr::LOCALHOST.into();
    Device { server: service.at(0), from, number, patience: Duration::from_secs(2) }
}
