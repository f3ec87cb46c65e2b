//! Files of settings on a disk that hangs: a lease on each stands in for it, which the test gives
//! back when it likes. Nobody who is served waits for one. C142.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use crate::model::host::{Host, PATIENCE};
use crate::model::line::Line;
use crate::model::server::Server;
use crate::say;

/// Longer than any file work takes on a disk that does not hang.
const WHILE: Duration = Duration::from_millis(300);

/// Holds a lease on a file, so that whoever opens it waits, as on a disk that hangs.
const LEASE: &str = "
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
held = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";

/// A file that cannot be read until this is dropped.
struct Slow(Child);

impl Slow {
    fn at(path: &Path) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", LEASE]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = python.spawn().expect("package python3");
        let mut word = [0; 5];
        holder.stdout.take().unwrap().read_exact(&mut word).unwrap();
        assert_eq!(&word, b"held\n");
        Self(holder)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A named pipe in the directory of `--data`: whoever opens it as a file waits for the other end.
fn pipe(server: &Server, name: &str) -> PathBuf {
    let path = server.data().join(name);
    drop(std::fs::remove_file(&path));
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    path
}

fn start(server: &Server, words: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    command.args(["ctl", "--data"]).arg(server.data()).args(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends within `PATIENCE`, or the test fails.
fn ended(mut child: Child) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("no answer within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// A registered peer's line; its heartbeats show whether anybody is served.
fn registered(server: &Server) -> Line {
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let line = Line::datagrams(&Host::local("127.0.0.9"), at);
    line.send(&say::register_pk("123456789", b"a device", &[7; 32]));
    line.next(PATIENCE).expect("an answer");
    line
}

fn heartbeat(line: &Line) {
    line.send(&say::register_peer("123456789"));
    line.next(PATIENCE).expect("an answer to a heartbeat while a file is waited for");
}

#[test]
fn reading_and_writing_files_keeps_nobody_waiting() {
    let server = Server::start(&[]);
    let line = registered(&server);
    for file in ["blacklist.txt", "blocklist.txt"] {
        let path = server.data().join(file);
        let slow = Slow::at(&path);
        let mut waits = start(&server, &["reload"]);
        std::thread::sleep(WHILE);
        heartbeat(&line);
        assert!(waits.try_wait().unwrap().is_none(), "{file} is waited for");
        drop(slow);
        let output = ended(waits);
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn c142_a_pipe_in_place_of_a_file_is_waited_for_by_nobody() {
    let server = Server::start(&[]);
    for file in ["blacklist.txt", "blocklist.txt", "banned.txt"] {
        let path = pipe(&server, file);
        let output = ended(start(&server, &["reload"]));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains("it is a pipe"), "{file}: {text}");
        std::fs::remove_file(&path).unwrap();
    }
    // Nor is one followed that has the name of a draft.
    let path = pipe(&server, "banned.txt.new");
    assert!(ended(start(&server, &["ban", "192.0.2.1"])).status.success());
    assert!(!path.exists());
}

#[test]
fn a_signal_that_reloads_keeps_nobody_waiting_nor_does_it_delay_the_end() {
    let flags = std::env::temp_dir().join(format!("hbb-ctl-pipe-{}", std::process::id()));
    std::fs::write(&flags, "--max-peers 9\n").unwrap();
    let mut server = Server::start(&["--flags", flags.to_str().unwrap()]);
    let line = registered(&server);
    let slow = Slow::at(&flags);
    server.signal(Signal::HUP);
    std::thread::sleep(WHILE);
    heartbeat(&line);
    drop(slow);
    server.wait_log("info reloaded");
    let slow = Slow::at(&flags);
    server.signal(Signal::HUP);
    std::thread::sleep(WHILE);
    heartbeat(&line);
    assert!(server.terminate(Duration::from_secs(2)).success());
    drop(slow);
    std::fs::remove_file(&flags).unwrap();
}

#[test]
fn a_reload_asked_for_during_the_start_does_not_end_it() {
    let mut server = Server::start(&[]);
    server.kill();
    let slow = Slow::at(&server.data().join("blacklist.txt"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    command.args(["serve", "--port", &server.port.to_string(), "--data"]).arg(server.data());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(WHILE);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    std::thread::sleep(WHILE);
    let gone = child.try_wait().unwrap();
    assert!(gone.is_none(), "it waits for the list, {gone:?}");
    drop(slow);
    // It serves, and what ends it ends it.
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", server.port)).is_err() {
        assert!(begin.elapsed() < PATIENCE, "it does not serve");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn lists_are_read_at_start_and_reload_alone() {
    let server = Server::start(&[]);
    for file in ["blacklist.txt", "blocklist.txt"] {
        pipe(&server, file);
    }
    // It reads the list that it replaces, and no other.
    assert!(ended(start(&server, &["ban", "192.0.2.1"])).status.success());
    pipe(&server, "banned.txt");
    for words in [&["bans"][..], &["limits", "max-sessions", "3"], &["limits"]] {
        assert!(ended(start(&server, words)).status.success(), "{words:?}");
    }
    assert!(!ended(start(&server, &["ban", "192.0.2.2"])).status.success());
}
