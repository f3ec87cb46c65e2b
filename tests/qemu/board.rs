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
    pub(crate) memory_mb: u32,
    /// How many of the crowd's sessions stream at once, the others being quiet.
    pub(crate) streams: usize,
}

/// What a machine with a disk has: f2fs and what it compresses with take room too.
const DISK_MEMORY_MB: u32 = 128;

/// Debian's kernel for all 64-bit machines, on a small core.
pub(crate) const AARCH64: Board = Board {
    triple: "aarch64-unknown-linux-musl",
    emulator: "qemu-system-aarch64",
    machine: "virt",
    processor: "cortex-a53",
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
    // Its kernel leaves 46.
    memory_mb: 64,
    streams: 30,
};

impl Board {
    /// The emulator with kernel and initramfs; networks and disks are for the caller.
    pub(crate) fn command(&self, with_disk: bool) -> Command {
        need("cpio", "cpio");
        need("setpriv", "util-linux");
        self.make_guest();
        // Whatever ends this process ends the machine.
        let mut command = Command::new("setpriv");
        let emulator = need(self.emulator, "qemu-system-arm");
        command.args(["--pdeathsig", "KILL"]).arg(emulator);
        command.args(["-M", self.machine, "-cpu", self.processor]);
        let memory_mb = if with_disk { DISK_MEMORY_MB } else { self.memory_mb };
        command.args(["-m", &memory_mb.to_string(), "-no-reboot"]);
        command.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
        let made = folder().join(self.triple);
        command.arg("-kernel").arg(made.join("kernel"));
        command.arg("-initrd").arg(made.join("initramfs"));
        command.args(["-append", "console=ttyAMA0 quiet cma=0 panic=-1 rdinit=/init"]);
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
