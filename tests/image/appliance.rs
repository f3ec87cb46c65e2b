//! A machine of QEMU that has a card with the appliance: the part of the Raspberry Pi's firmware
//! is played here (which partition, its kernel, its command line), and what a person could see
//! and reach is offered: its ports, its screen, its serial console, SSH.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::card::Card;
use crate::console::lines;
use crate::model::server::free_ports;
use crate::network::network_of;

/// The port of the server, and the one of SSH.
const PORT: u16 = 21116;
/// The longest anything may take: the Pi's model needs a minute to its first answer.
const PATIENCE: Duration = Duration::from_secs(150);

/// What QEMU plays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// Debian's kernel with the devices of virtual machines; two networks.
    Virt,
    /// A Raspberry Pi 3 with its device tree, card reader and USB; one network.
    Pi3,
}

/// A machine that runs; its power is cut when it is dropped.
pub(crate) struct Appliance {
    emulator: Child,
    console: ChildStdin,
    lines: Receiver<String>,
    seen: Vec<String>,
    doors: [u16; 2],
    ssh: u16,
    folder: PathBuf,
    powered_on: Instant,
}

impl Appliance {
    /// Powers on with the partition the card names.
    pub(crate) fn boot(machine: Machine, card: &Card) -> Self {
        Self::boot_from(machine, card, card.boot_partition())
    }

    /// Powers on with another one, which the firmware was told to take once.
    pub(crate) fn boot_from(machine: Machine, card: &Card, partition: u64) -> Self {
        let (doors, ssh) = ([free_ports(), free_ports()], free_ports());
        let mut command = emulator(machine, card, partition);
        match machine {
            Machine::Virt => networks_of_virt(&mut command, card, doors, ssh),
            Machine::Pi3 => {
                command.arg("-netdev").arg(network(0, doors[0], Some(ssh)));
                command.args(["-device", "usb-net,netdev=n0"]);
            }
        }
        command.arg("-monitor").arg(format!("unix:{}/monitor,server,nowait", folder(card)));
        let powered_on = Instant::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut emulator = command.spawn().expect("install qemu-system-arm and util-linux");
        let console = emulator.stdin.take().unwrap();
        let lines = lines(emulator.stdout.take().unwrap());
        let (seen, folder) = (Vec::new(), card.folder.clone());
        Self { emulator, console, lines, seen, doors, ssh, folder, powered_on }
    }

    /// Waits until a client would be answered; how long that took from power on.
    pub(crate) fn wait_ready(&mut self) -> Duration {
        let at = SocketAddr::new(self.at(0).ip(), self.at(0).port() - 1);
        while self.powered_on.elapsed() < PATIENCE {
            if crate::answers(at) {
                return self.powered_on.elapsed();
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("no answer in {PATIENCE:?}; console:\n{}", self.said());
    }

    /// Waits for a line of the serial console that holds `part`.
    pub(crate) fn wait_line(&mut self, part: &str) {
        let start = Instant::now();
        while !self.seen.iter().any(|line| line.contains(part)) {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no '{part}' in {:?}; console:\n{}", start.elapsed(), self.said());
            };
            self.seen.push(line);
        }
    }

    /// Waits until it restarts, which ends the emulator.
    pub(crate) fn wait_restart(mut self) {
        let start = Instant::now();
        while self.emulator.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < PATIENCE, "it runs on; console:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Everything the serial console said.
    pub(crate) fn said(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }

    /// Types at the serial console.
    pub(crate) fn enter(&mut self, text: &str) {
        self.console.write_all(text.as_bytes()).unwrap();
    }

    /// A picture of the screen, as PNG.
    pub(crate) fn screen(&self) -> PathBuf {
        let picture = self.folder.join("screen.png");
        let _ = fs::remove_file(&picture);
        let mut monitor = UnixStream::connect(self.folder.join("monitor")).unwrap();
        writeln!(monitor, "screendump {} -f png", picture.display()).unwrap();
        let end = |bytes: &[u8]| bytes.windows(4).any(|word| word == b"IEND");
        let start = Instant::now();
        while !fs::read(&picture).is_ok_and(|bytes| end(&bytes)) {
            assert!(start.elapsed() < PATIENCE, "no picture at {}", picture.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        picture
    }

    /// What a line of shell says, by SSH with the key of the test; it must succeed. The emulator
    /// takes connections before the machine's sshd listens, and closes them: nothing was run then.
    pub(crate) fn run(&self, line: &str) -> String {
        loop {
            let (code, said) = self.try_run(line, Stdio::null());
            let starts = said.starts_with("kex_exchange_identification")
                && self.powered_on.elapsed() < PATIENCE;
            if !starts {
                assert_eq!(code, 0, "{line}: {said}");
                return said;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The same with an input and the code it ends with.
    pub(crate) fn try_run(&self, line: &str, input: Stdio) -> (i32, String) {
        let mut ssh = Command::new("ssh");
        ssh.arg("-i").arg(self.folder.join("owner")).args(["-p", &self.ssh.to_string()]);
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectionAttempts=30",
        ] {
            ssh.args(["-o", option]);
        }
        let output = ssh.args(["root@127.0.0.1", line]).stdin(input).output();
        let output = output.expect("install openssh-client");
        let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        (output.status.code().unwrap_or(-1), said)
    }

    /// Where the server is, through one of the networks.
    pub(crate) fn at(&self, network: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.doors[network]))
    }

    pub(crate) fn ssh(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ssh))
    }

    /// What its first network card sent and got, since power on.
    pub(crate) fn traffic(&self) -> Vec<u8> {
        fs::read(self.folder.join("traffic")).unwrap()
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
        if std::thread::panicking() {
            println!("console:\n{}", self.said());
        }
    }
}

fn folder(card: &Card) -> String {
    card.folder.display().to_string()
}

/// What a partition of the card says shall start.
fn emulator(machine: Machine, card: &Card, partition: u64) -> Command {
    let [mut kernel, initramfs] = ["kernel", "initramfs"].map(|name| card.take(partition, name));
    let words = fs::read_to_string(card.take(partition, "cmdline.txt")).unwrap();
    let mut words = words.trim().to_owned();
    // Whatever ends this process ends the machine.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-aarch64", "-display", "none", "-no-reboot"]);
    let drive = format!("format=raw,cache=writethrough,file={}", card.file().display());
    match machine {
        Machine::Virt => {
            command.args(["-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512"]);
            command.arg("-drive").arg(format!("if=none,id=card,{drive}"));
            command.args(["-device", "virtio-blk-pci,drive=card", "-device", "virtio-rng-pci"]);
            command.args(["-device", "virtio-gpu-pci,xres=640,yres=480"]);
            command.args(["-device", "i6300esb", "-serial", "stdio"]);
        }
        Machine::Pi3 => {
            // The firmware unpacks a kernel itself; QEMU's Pi does not.
            let unpacked = card.folder.join("kernel.unpacked");
            let packed = fs::File::open(&kernel).unwrap();
            let output = fs::File::create(&unpacked).unwrap();
            let status = Command::new("gzip").arg("-dc").stdin(packed).stdout(output).status();
            assert!(status.unwrap().success(), "the kernel is no gzip file");
            kernel = unpacked;
            // Its watchdog would end it as soon as it is started.
            words += " hbb.watchdog=no";
            command.args(["-M", "raspi3b", "-serial", "null", "-serial", "stdio"]);
            command.arg("-drive").arg(format!("if=sd,{drive}"));
            command.arg("-dtb").arg(card.take(partition, "bcm2837-rpi-3-b.dtb"));
        }
    }
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs).args(["-append", &words]);
    command
}

fn networks_of_virt(command: &mut Command, card: &Card, doors: [u16; 2], ssh: u16) {
    for (number, door) in doors.into_iter().enumerate() {
        let entry = (number == 0).then_some(ssh);
        command.arg("-netdev").arg(network(number, door, entry));
        command.args(["-device", &format!("virtio-net-pci,netdev=n{number},romfile=")]);
    }
    let dump = format!("filter-dump,id=dump,netdev=n0,file={}/traffic", folder(card));
    command.args(["-object", &dump]);
}

/// A network of the guest, perhaps with a way in for its owner.
fn network(number: usize, door: u16, ssh: Option<u16>) -> String {
    let mut words = network_of(number, door, PORT);
    if let Some(ssh) = ssh {
        words += &format!(",hostfwd=tcp:127.0.0.1:{ssh}-10.0.{}.15:22", number + 2);
    }
    words
}
