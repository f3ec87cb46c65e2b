//! The real binary, started for a test on free ports with a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) use super::ports::free_ports;

/// A running server; killed and its directory removed when dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    data: PathBuf,
    flags: Vec<String>,
    prefix: Vec<String>,
    child: Child,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Server {
    /// Starts `hbb serve` with more `flags`.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_behind(&[], flags)
    }

    /// Starts it as the last words of another command line.
    pub(crate) fn start_behind(prefix: &[&str], flags: &[&str]) -> Self {
        Self::start_all(prefix, &[], flags)
    }

    /// Starts it where these files are already, each a name and its text.
    pub(crate) fn start_with(files: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::start_all(&[], files, flags)
    }

    /// Both.
    pub(crate) fn start_behind_with(
        prefix: &[&str],
        files: &[(&str, &str)],
        flags: &[&str],
    ) -> Self {
        Self::start_all(prefix, files, flags)
    }

    fn start_all(prefix: &[&str], files: &[(&str, &str)], flags: &[&str]) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hbb-model-{}-{number}", std::process::id());
        let data = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&data);
        fs::create_dir(&data).unwrap();
        for (name, text) in files {
            fs::write(data.join(name), text).unwrap();
        }
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (flags, prefix): (Vec<String>, Vec<String>) = (owned(flags), owned(prefix));
        let port = free_ports();
        let child = spawn(&prefix, &data, port, &flags);
        let mut server = Self { port, data, flags, prefix, child };
        server.wait_ready();
        server
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The text clients must show: the public key.
    pub(crate) fn key(&self) -> String {
        fs::read_to_string(self.data.join("id_ed25519.pub")).unwrap()
    }

    /// Everything it wrote to stdout and stderr, without the time that lines in a file begin with.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.data.join("log")).unwrap();
        // The clock may not be set.
        let is_date = |text: &str| {
            (text.starts_with("20") || text.starts_with("1970-")) && text.ends_with(' ')
        };
        let undated = |line: &str| match line.split_at_checked(20) {
            Some((date, rest)) if is_date(date) => rest.to_owned(),
            _ => line.to_owned(),
        };
        text.split_inclusive('\n').map(undated).collect()
    }

    /// Ends it as a power cut would, and starts it again with the same data.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, and kills it after this long, ready or not.
    pub(crate) fn restart_and_kill(&mut self, after: Duration) {
        self.child = spawn(&self.prefix, &self.data, self.port, &self.flags);
        std::thread::sleep(after);
        self.kill();
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.prefix, &self.data, self.port, &self.flags);
        self.wait_ready();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and how it ended within `patience`.
    pub(crate) fn terminate(&mut self, patience: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("still there {patience:?} after SIGTERM; log:\n{}", self.log());
    }

    /// Waits until the log has a line that begins with `start`, and gives it.
    pub(crate) fn wait_log(&mut self, start: &str) -> String {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            if let Some(line) = self.log().lines().find(|line| line.starts_with(start)) {
                return line.to_owned();
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended with {status}; log:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no line {start:?} in 20 s; log:\n{}", self.log());
    }

    fn wait_ready(&mut self) {
        self.wait_log("info ready ");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// The binary under test, with the emulator in front of it if `HBB_RUNNER` names one.
pub(crate) fn command(prefix: &[String]) -> Command {
    let binary = std::env::var("HBB_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_hbb").into());
    let runner = std::env::var("HBB_RUNNER").ok();
    let mut words = prefix.iter().cloned().chain(runner).chain([binary]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

fn spawn(prefix: &[String], data: &Path, port: u16, flags: &[String]) -> Child {
    let log = fs::File::create(data.join("log")).unwrap();
    command(prefix)
        .args(["serve", "--port", &port.to_string(), "--data"])
        .arg(data)
        .args(flags)
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {prefix:?} hbb: {error}"))
}
