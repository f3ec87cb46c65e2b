//! Files of settings on a disk that hangs: a pipe stands in for each, whose other end the test
//! opens when it likes. Nobody who is served waits for one.

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
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

/// A named pipe in the directory of `--data`: whoever opens it waits for the other end.
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
    for (file, words) in [
        ("blacklist.txt", &["reload"][..]),
        ("blocklist.txt", &["reload"]),
        ("banned.txt.new", &["ban", "192.0.2.1"]),
    ] {
        let path = pipe(&server, file);
        let mut waits = start(&server, words);
        std::thread::sleep(WHILE);
        heartbeat(&line);
        assert!(waits.try_wait().unwrap().is_none(), "{file} is waited for");
        // The other end: the reader finds an empty file, the writer one that cannot be synced.
        let other = if file.ends_with(".new") {
            File::open(&path)
        } else {
            OpenOptions::new().write(true).open(&path)
        };
        drop(other.unwrap());
        let output = ended(waits);
        let refused = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), words == ["reload"], "{file}: {refused}");
        drop(std::fs::remove_file(&path));
    }
}

#[test]
fn a_signal_that_reloads_keeps_nobody_waiting_nor_does_it_delay_the_end() {
    let flags = std::env::temp_dir().join(format!("hbb-ctl-pipe-{}", std::process::id()));
    std::fs::write(&flags, "--max-peers 9\n").unwrap();
    let mut server = Server::start(&["--flags", flags.to_str().unwrap()]);
    let line = registered(&server);
    std::fs::remove_file(&flags).unwrap();
    mknodat(CWD, &flags, FileType::Fifo, Mode::RWXU, 0).unwrap();
    server.signal(Signal::HUP);
    std::thread::sleep(WHILE);
    heartbeat(&line);
    drop(OpenOptions::new().write(true).open(&flags).unwrap());
    server.wait_log("info reloaded");
    server.signal(Signal::HUP);
    std::thread::sleep(WHILE);
    heartbeat(&line);
    assert!(server.terminate(Duration::from_secs(2)).success());
    std::fs::remove_file(&flags).unwrap();
}

#[test]
fn a_reload_asked_for_during_the_start_does_not_end_it() {
    let mut server = Server::start(&[]);
    server.kill();
    let path = pipe(&server, "blacklist.txt");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    command.args(["serve", "--port", &server.port.to_string(), "--data"]).arg(server.data());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(WHILE);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    std::thread::sleep(WHILE);
    let gone = child.try_wait().unwrap();
    assert!(gone.is_none(), "it waits for the list, {gone:?}");
    drop(OpenOptions::new().write(true).open(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
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
    for file in ["blacklist.txt", "blocklist.txt", "banned.txt"] {
        pipe(&server, file);
    }
    for words in
        [&["ban", "192.0.2.1"][..], &["bans"], &["limits", "max-sessions", "3"], &["limits"]]
    {
        assert!(ended(start(&server, words)).status.success(), "{words:?}");
        // The list of who is shut out was replaced; the others are there still.
        pipe(&server, "banned.txt");
    }
}
