//! A running machine: two networks, perhaps a disk, and its serial console, over which it does
//! what it is told. Knows nothing of the program under test.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::board::{Board, ERASE_BYTES, FLASH_AT, FLASH_BYTES, Storage};
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
    pub(crate) storage: Option<&'a Storage<'a>>,
}

impl Machine {
    /// Powers it on and waits until it listens to the console.
    pub(crate) fn boot(board: &Board, outside: &Outside) -> Self {
        let mut command = board.command(outside.storage);
        for (network, door) in outside.doors.iter().enumerate() {
            command.arg("-netdev").arg(network_of(network, *door, outside.port));
            let mac = format!("52:54:00:00:00:0{}", network + 2);
            let card = format!("virtio-net-{},netdev=n{network},mac={mac}", board.bus);
            command.args(["-device", &card]);
        }
        let powered_on = Instant::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut emulator = command.spawn().unwrap();
        let console = emulator.stdin.take().unwrap();
        let lines = lines(emulator.stdout.take().unwrap());
        let mut machine = Self { emulator, console, lines, powered_on };
        let (mut output, mut up) = machine.answer().unwrap();
        if let (Some(Storage::Flash(memory, _)), "flash") = (outside.storage, up.as_str()) {
            tell_of_writes(memory);
            (output, up) = machine.try_run("go").unwrap();
        }
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

/// The kernel's driver of flash in memory leaves open how much is written at once (its mtd_info has
/// 0 for it), and UBI refuses that. So it is put there: after size, erase block and writes of one
/// byte, in that part of the memory which is the kernel's.
fn tell_of_writes(memory: &Path) {
    const PIECE: usize = 16 << 20;
    let erase = u32::try_from(ERASE_BYTES).unwrap();
    let words =
        [&FLASH_BYTES.to_le_bytes()[..], &erase.to_le_bytes(), &1u32.to_le_bytes()].concat();
    let known = [&words[..], &[0; 4]].concat();
    let file = File::options().read(true).write(true).open(memory).unwrap();
    let mut found = 0;
    for at in (0..FLASH_AT).step_by(PIECE) {
        let mut piece = vec![0; PIECE];
        file.read_exact_at(&mut piece, at).unwrap();
        // Members of a struct are where multiples of four are.
        for offset in (0..PIECE - known.len()).step_by(4) {
            if piece[offset..offset + known.len()] == known {
                let place = at + u64::try_from(offset + words.len()).unwrap();
                file.write_all_at(&1u32.to_le_bytes(), place).unwrap();
                found += 1;
            }
        }
    }
    assert!(found > 0, "no flash in the machine's memory");
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cut();
    }
}
