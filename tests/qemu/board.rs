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
}

/// Debian's kernel for all 64-bit machines, on a small core.
pub(crate) const AARCH64: Board = Board {
    triple: "aarch64-unknown-linux-musl",
    emulator: "qemu-system-aarch64",
    machine: "virt",
    processor: "cortex-a53",
    // Its kernel leaves 51. Of 64 it leaves 35: the server runs there too, but what the kernel
    // holds for 30 sessions that stream at once does not fit, with 32 KiB for each buffer of a
    // socket and no pipe neither.
    memory_mb: 80,
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
};

impl Board {
    /// The emulator with kernel and initramfs; without networks and disks.
    pub(crate) fn command(&self) -> Command {
        need("cpio", "cpio");
        need("setpriv", "util-linux");
        self.make_guest();
        // Whatever ends this process ends the machine.
        let mut command = Command::new("setpriv");
        let emulator = need(self.emulator, "qemu-system-arm");
        command.args(["--pdeathsig", "KILL"]).arg(emulator);
        command.args(["-M", self.machine, "-cpu", self.processor]);
        command.args(["-m", &self.memory_mb.to_string(), "-no-reboot"]);
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
