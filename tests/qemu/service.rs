//! The program under test inside a machine: started, asked, told to end, all over the console.

use std::net::SocketAddr;
use std::time::Duration;

use crate::board::{Board, Storage};
use crate::machine::{Machine, Outside};
use crate::model::server::free_ports;

/// The port the server has in its machine.
const PORT: u16 = 21116;
/// Waits, in the guest, for $count lines that hold $line; ends early with the program.
const WAIT: &str = "tries=0; until [ $(grep -c \"$line\" /tmp/log) -ge $count ]; do \
                    tries=$((tries + 1)); [ $tries -lt 600 ] && kill -0 $hbb || break; \
                    usleep 50000; done; grep -q \"$line\" /tmp/log || { cat /tmp/log; false; }";

/// A machine and the server in it.
pub(crate) struct Service {
    pub(crate) machine: Machine,
    doors: [u16; 2],
    key: String,
}

impl Service {
    /// The machine, the server not yet started.
    pub(crate) fn boot(board: &Board, storage: Option<&Storage>) -> Self {
        let doors = [free_ports(), free_ports()];
        let machine = Machine::boot(board, &Outside { doors, port: PORT, storage });
        Self { machine, doors, key: String::new() }
    }

    /// Starts the server with these flags and waits until it is ready.
    pub(crate) fn start(&mut self, flags: &str) {
        self.launch(flags);
        self.wait_log("info ready ", 1);
        self.key = self.machine.run("cat /data/id_ed25519.pub");
    }

    /// Starts the server with these flags.
    pub(crate) fn launch(&mut self, flags: &str) {
        self.write_flags(flags);
        let serve = "/hbb serve --data /data --flags /tmp/flags";
        self.machine.run(&format!("{serve} >/tmp/log 2>&1 & hbb=$!"));
    }

    fn write_flags(&mut self, flags: &str) {
        let quoted = flags.replace('\n', "\\n");
        self.machine.run(&format!("printf '{quoted}' >/tmp/flags"));
    }

    fn wait_log(&mut self, line: &str, count: u32) {
        self.machine.run(&format!("line='{line}'; count={count}; {WAIT}"));
    }

    /// SIGHUP with other flags, until the log has one more line that has this in it.
    pub(crate) fn reload(&mut self, flags: &str, line: &str) {
        let lines = self.log().lines().filter(|old| old.contains(line)).count();
        self.write_flags(flags);
        self.machine.run("kill -HUP $hbb");
        self.wait_log(line, u32::try_from(lines + 1).unwrap());
    }

    /// What an operator is answered in the machine.
    pub(crate) fn ctl(&mut self, words: &str) -> String {
        self.machine.run(&format!("/hbb ctl --data /data {words}"))
    }

    /// SIGTERM: the code it ended with, and after what time of the guest.
    pub(crate) fn terminate(&mut self) -> (i32, Duration) {
        let uptime = "read -r now _ </proc/uptime; echo $now";
        let said = self.machine.run(&format!("{uptime}; kill $hbb; wait $hbb; echo $?; {uptime}"));
        let words: Vec<&str> = said.lines().collect();
        let [before, code, after] = words[..] else { panic!("{said}") };
        let secs = |text: &str| text.parse::<f64>().unwrap();
        (code.parse().unwrap(), Duration::from_secs_f64(secs(after) - secs(before)))
    }

    /// The server's address through one of the networks.
    pub(crate) fn at(&self, network: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.doors[network]))
    }

    /// What clients must show.
    pub(crate) fn key(&self) -> String {
        self.key.clone()
    }

    pub(crate) fn log(&mut self) -> String {
        self.machine.run("cat /tmp/log")
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.machine.run("kill -0 $hbb && echo alive || true") == "alive"
    }

    pub(crate) fn since_power_on(&self) -> Duration {
        self.machine.powered_on.elapsed()
    }

    /// A line of the kernel's account of the server's memory.
    pub(crate) fn memory_kib(&mut self, name: &str) -> u64 {
        let line = self.machine.run(&format!("grep {name} /proc/$hbb/status"));
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many ends of pipes the server holds.
    pub(crate) fn pipes(&mut self) -> u32 {
        self.machine.run("ls -l /proc/$hbb/fd 2>/dev/null | grep -c pipe: || true").parse().unwrap()
    }
}

impl Drop for Service {
    /// Where a test fails, what there is to see in the machine is shown.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seen = self.machine.try_run("cat /tmp/log; free; dmesg | tail -n 20");
            println!("in the machine:\n{}", seen.map_or_else(|why| why, |(output, _)| output));
        }
    }
}
