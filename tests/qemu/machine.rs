//! A running machine: two networks, perhaps a disk, and its serial console, over which it does
//! what it is told. Knows nothing of the program under test.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::board::Board;
use crate::console::lines;
use crate::network::network_of;

/// The longest anything on the console may take; booting takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine; its power is cut when it is dropped.
pub(crate) struct Machine {
    emulator: Child,
    console: ChildStdin,
    lines: Receiver<String>,
    pub(crate) powered_on: Instant,
}

/// What the outside offers a machine.
pub(crate) struct Outside<'a> {
    /// For each network the port here that leads to `port` there, with its neighbours.
    pub(crate) doors: [u16; 2],
    pub(crate) port: u16,
    pub(crate) disk: Option<&'a Path>,
}

impl Machine {
    /// Powers it on and waits until it listens to the console.
    pub(crate) fn boot(board: &Board, outside: &Outside) -> Self {
        let mut command = board.command(outside.disk.is_some());
        for (network, door) in outside.doors.iter().enumerate() {
            command.arg("-netdev").arg(network_of(network, *door, outside.port));
            let mac = format!("52:54:00:00:00:0{}", network + 2);
            command.args(["-device", &format!("virtio-net-device,netdev=n{network},mac={mac}")]);
        }
        if let Some(disk) = outside.disk {
            // What the guest was told is on the disk is there, whatever becomes of the emulator.
            let drive = "if=none,id=disk,format=raw,cache=writethrough,file=";
            command.arg("-drive").arg(format!("{drive}{}", disk.display()));
            command.args(["-device", "virtio-blk-device,drive=disk"]);
        }
        let powered_on = Instant::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut emulator = command.spawn().unwrap();
        let console = emulator.stdin.take().unwrap();
        let lines = lines(emulator.stdout.take().unwrap());
        let machine = Self { emulator, console, lines, powered_on };
        let (output, up) = machine.answer().unwrap();
        assert_eq!(up, "up", "{output}");
        machine
    }

    /// What a line of shell prints; it must succeed.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let (output, code) = self.try_run(line).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_eq!(code, "0", "{line}\n{output}");
        output
    }

    /// What a line of shell prints and the code it ends with; why not, if the machine is not well.
    pub(crate) fn try_run(&mut self, line: &str) -> Result<(String, String), String> {
        let written = self.console.write_all(format!("{line}\n").as_bytes());
        written.map_err(|error| error.to_string())?;
        self.answer()
    }

    /// Output up to the line that tells the end, and what that says.
    fn answer(&self) -> Result<(String, String), String> {
        let (mut output, start) = (Vec::new(), Instant::now());
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(next) => match next.strip_prefix("= ") {
                    Some(code) => return Ok((output.join("\n"), code.to_owned())),
                    None if next.is_empty() => {}
                    None => output.push(next),
                },
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("no end in {PATIENCE:?}\n{}", output.join("\n")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("the machine ended\n{}", output.join("\n")));
                }
            }
        }
    }

    /// Cuts the power: nothing that is only in its memory survives.
    pub(crate) fn cut(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cut();
    }
}
