//! A card with the appliance on it, as a file: made, read and written as a person's computer or
//! the Raspberry Pi's firmware would. Knows nothing of what runs from it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

/// The boot partitions are this large and stand side by side, behind one of these.
const MIB: u64 = 1 << 20;
const PARTITION_MIB: u64 = 64;
/// More than the image, and a power of two, as QEMU's card reader wants it.
pub(crate) const CARD_BYTES: u64 = 512 * MIB;

/// A card; gone when dropped.
pub(crate) struct Card {
    pub(crate) folder: PathBuf,
}

impl Card {
    /// A card of its own for a test, fresh from the image.
    pub(crate) fn new(test: &str) -> Self {
        static MADE: Once = Once::new();
        MADE.call_once(|| run(&mut Command::new(manifest("board/rpi/image"))));
        let folder = target().join(format!("image-test-{test}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let card = Self { folder };
        let image = File::open(manifest("dist/hbb-rpi-arm64.img.xz")).unwrap();
        let file = File::create(card.file()).unwrap();
        run(Command::new("xz").arg("-dc").stdin(image).stdout(file.try_clone().unwrap()));
        file.set_len(CARD_BYTES).unwrap();
        card
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("card")
    }

    /// Puts a file on a partition, under the name it has.
    pub(crate) fn put(&self, partition: u64, name: &str, bytes: &[u8]) {
        put(&self.partition(partition), name, bytes, &self.folder);
    }

    /// Copies a file of a partition into the folder of this card.
    pub(crate) fn take(&self, partition: u64, name: &str) -> PathBuf {
        let to = self.folder.join(name);
        take(&self.partition(partition), name, &to);
        to
    }

    /// The partition the firmware starts from when nothing else was asked for.
    pub(crate) fn boot_partition(&self) -> u64 {
        let text = fs::read_to_string(self.take(1, "autoboot.txt")).unwrap();
        let number = text.lines().find_map(|line| line.strip_prefix("boot_partition="));
        number.expect("autoboot.txt names a partition").parse().unwrap()
    }

    /// How mtools names a file system inside a file.
    fn partition(&self, number: u64) -> String {
        let start = (1 + (number - 1) * PARTITION_MIB) * MIB;
        format!("{}@@{start}", self.file().display())
    }

    /// The update of the image that was built, its trial short, and with `fault` the server broken.
    pub(crate) fn update(&self, trial_secs: u32, fault: bool) -> PathBuf {
        let fat = self.folder.join("update.fat");
        let packed = File::open(manifest("dist/hbb-rpi-arm64.update")).unwrap();
        run(Command::new("xz").arg("-dc").stdin(packed).stdout(File::create(&fat).unwrap()));
        let system = fat.display().to_string();
        let text = self.edited(&system, "cmdline.txt", |text| {
            format!("{} hbb.trial={trial_secs}\n", text.trim_end())
        });
        put(&system, "cmdline.txt", &text, &self.folder);
        if fault {
            self.break_server(&system);
        }
        run(Command::new("xz").args(["-0f", "--check=crc32"]).arg(&fat));
        fat.with_extension("fat.xz")
    }

    /// A second archive behind the first, whose server only fails; the sums are right.
    fn break_server(&self, system: &str) {
        let more = self.folder.join("more");
        fs::create_dir_all(more.join("usr/bin")).unwrap();
        fs::write(more.join("usr/bin/hbb"), "#!/bin/sh\nexit 1\n").unwrap();
        run(Command::new("chmod").arg("755").arg(more.join("usr/bin/hbb")));
        let initramfs = self.folder.join("initramfs");
        take(system, "initramfs", &initramfs);
        let before = sum(&initramfs);
        let mut bytes = fs::read(&initramfs).unwrap();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let mut archive = Command::new("sh");
        archive.args(["-c", "echo usr/bin/hbb | cpio -o -H newc --quiet"]).current_dir(&more);
        bytes.extend(archive.output().unwrap().stdout);
        put(system, "initramfs", &bytes, &self.folder);
        take(system, "initramfs", &initramfs);
        let after = sum(&initramfs);
        assert_ne!(before, after);
        let sums = self.edited(system, "SHA256SUMS", |text| text.replace(&before, &after));
        put(system, "SHA256SUMS", &sums, &self.folder);
    }

    fn edited(&self, system: &str, name: &str, change: impl Fn(String) -> String) -> Vec<u8> {
        let file = self.folder.join(name);
        take(system, name, &file);
        change(fs::read_to_string(&file).unwrap()).into_bytes()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn put(system: &str, name: &str, bytes: &[u8], folder: &Path) {
    let from = folder.join(name);
    fs::write(&from, bytes).unwrap();
    run(Command::new("mcopy").args(["-o", "-i", system]).arg(from).arg("::"));
}

fn take(system: &str, name: &str, to: &Path) {
    run(Command::new("mcopy").args(["-n", "-o", "-i", system, &format!("::{name}")]).arg(to));
}

fn sum(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

/// Runs a program that must succeed; what is missing is named.
pub(crate) fn run(command: &mut Command) {
    let status = command.stdin_if_none().status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}; tests/ci.sh setup"));
    assert!(status.success(), "{command:?}: {status}");
}

/// Nothing that runs here may wait for a person.
trait StdinIfNone {
    fn stdin_if_none(&mut self) -> &mut Self;
}

impl StdinIfNone for Command {
    fn stdin_if_none(&mut self) -> &mut Self {
        // xz reads a file it was given as its input; the others read none.
        if self.get_program() == "xz" { self } else { self.stdin(Stdio::null()) }
    }
}

/// A path of the repository.
pub(crate) fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where this build keeps its files.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}
