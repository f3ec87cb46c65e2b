//! The machines: what qemu and the kernel's distributor call them, and what is on the disk of
//! this one that they need.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// A machine, and the triple of the binary it runs.
pub(crate) struct Board {
    pub(crate) triple: &'static str,
    emulator: &'static str,
    machine: &'static str,
    processor: &'static str,
    /// What the kernel calls the serial console, and qemu how a virtual device is reached.
    console: &'static str,
    pub(crate) bus: &'static str,
    pub(crate) memory_mb: u32,
    /// How many of the crowd's sessions stream at once, the others being quiet.
    pub(crate) streams: usize,
}

/// Debian's kernel for PCs, the one that has the file systems of raw flash. Emulated, where KVM is
/// too: not every processor that is offered there can be had.
pub(crate) const PC: Board = Board {
    triple: "x86_64-unknown-linux-musl",
    emulator: "qemu-system-x86_64",
    machine: "pc",
    processor: "max",
    console: "ttyS0",
    bus: "pci",
    memory_mb: 128,
    streams: 30,
};

/// What a machine with a disk has: f2fs and what it compresses with take room too.
const DISK_MEMORY_MB: u32 = 128;
/// What a machine with flash has. Of this the kernel gets what is below the flash, and the loader
/// what is above.
pub(crate) const FLASH_MEMORY_MB: u32 = 224;
/// Where in its memory the flash is, and how large: what a router of 32 MB has for its own files.
pub(crate) const FLASH_AT: u64 = 160 << 20;
pub(crate) const FLASH_BYTES: u64 = 16 << 20;
/// What is erased at once.
pub(crate) const ERASE_BYTES: usize = 64 << 10;

/// What outlives a machine.
pub(crate) enum Storage<'a> {
    /// An image for a block device.
    Disk(&'a Path),
    /// Its memory, a part of which is flash that is written to without a delay, in single bytes, as
    /// NOR flash is; and the file system on it.
    Flash(&'a Path, &'static str),
    /// NAND flash that the kernel simulates (nandsim): it ends with the machine.
    Nand,
}

/// Debian's kernel for all 64-bit machines, on a small core.
pub(crate) const AARCH64: Board = Board {
    triple: "aarch64-unknown-linux-musl",
    emulator: "qemu-system-aarch64",
    machine: "virt",
    processor: "cortex-a53",
    console: "ttyAMA0",
    bus: "device",
    // Its kernel leaves 35, and some 8 of these when all has started: that is enough for what it
    // holds for a few sessions that stream at once, and mostly not for 30.
    memory_mb: 64,
    streams: 4,
};

/// Debian's kernel for ARMv7 (armmp), on the least core that has its instructions.
pub(crate) const ARMV7: Board = Board {
    triple: "armv7-unknown-linux-musleabihf",
    emulator: "qemu-system-arm",
    // That kernel has no long addresses.
    machine: "virt,highmem=off",
    processor: "cortex-a7",
    console: "ttyAMA0",
    bus: "device",
    // Its kernel leaves 46.
    memory_mb: 64,
    streams: 30,
};

impl Board {
    /// The emulator with kernel and initramfs; networks and disks are for the caller.
    pub(crate) fn command(&self, storage: Option<&Storage>) -> Command {
        need("cpio", "cpio");
        need("setpriv", "util-linux");
        self.make_guest();
        // Whatever ends this process ends the machine.
        let mut command = Command::new("setpriv");
        let package = if self.is_pc() { "qemu-system-x86" } else { "qemu-system-arm" };
        let emulator = need(self.emulator, package);
        command.args(["--pdeathsig", "KILL"]).arg(emulator);
        command.args(["-M", self.machine, "-cpu", self.processor]);
        if self.is_pc() {
            // Its clocks go by instructions: those of a PC are tried against each other at boot,
            // where the kernel of a busy machine waits for ever.
            command.args(["-icount", "shift=3"]);
        }
        let memory_mb = match storage {
            None => self.memory_mb,
            Some(Storage::Disk(_) | Storage::Nand) => DISK_MEMORY_MB,
            Some(Storage::Flash(..)) => FLASH_MEMORY_MB,
        };
        command.args(["-m", &memory_mb.to_string(), "-no-reboot"]);
        command.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
        let made = folder().join(self.triple);
        command.arg("-kernel").arg(made.join("kernel"));
        command.arg("-initrd").arg(made.join("initramfs"));
        let mut words = format!("console={} quiet cma=0 panic=-1 rdinit=/init", self.console);

        match storage {
            None => {}
            Some(Storage::Nand) => words += " nand=ubifs",
            Some(Storage::Disk(path)) => {
                // What the guest was told is on the disk is there, whatever ends the emulator.
                let drive = "if=none,id=disk,format=raw,cache=writethrough,file=";
                command.arg("-drive").arg(format!("{drive}{}", path.display()));
                command.arg("-device").arg(format!("virtio-blk-{},drive=disk", self.bus));
            }
            Some(Storage::Flash(path, system)) => {
                let memory = "memory-backend-file,id=memory,share=on,size=";
                let (size, file) = (format!("{memory_mb}M"), path.display());
                command.arg("-object").arg(format!("{memory}{size},mem-path={file}"));
                command.args(["-machine", "memory-backend=memory"]);
                let (at, size, erase) = (FLASH_AT, FLASH_BYTES, ERASE_BYTES);
                words += &format!(
                    " mem={}M flash={at:#x},{size:#x},{erase:#x},{system}",
                    FLASH_AT >> 20
                );
            }
        }
        command.args(["-append", &words]);
        command
    }

    /// Downloads the kernel, once, and packs the binary with it, once a run.
    fn make_guest(&self) {
        static MADE: Mutex<Vec<&str>> = Mutex::new(Vec::new());
        let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if made.contains(&self.triple) {
            return;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/qemu/guest");
        let status = Command::new(script).arg(self.triple).arg(folder()).status().unwrap();
        assert!(status.success(), "no guest for {}: see above", self.triple);
        made.push(self.triple);
    }

    pub(crate) fn is_pc(&self) -> bool {
        self.bus == "pci"
    }

    pub(crate) fn binary_bytes(&self) -> u64 {
        let file = folder().join(self.triple).join("guest/hbb");
        std::fs::metadata(file).unwrap().len()
    }
}

/// Where downloads, guests and disks are kept: `target/qemu`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("qemu")
}

/// The program's path; a failure that names its package if it is nowhere.
pub(crate) fn need(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Tools for file systems are not in everybody's path.
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(more);
    let place = places.find(|place| place.join(program).is_file());
    place.unwrap_or_else(|| panic!("{program} is missing: install {package}")).join(program)
}
