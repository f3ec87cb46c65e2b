//! The log of connections of the real server: `hbb ctl log` in its forms, lines for a syslog, a
//! file. C190, C191, C218.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::Host;
use model::initiator::{Asks, Initiator, Tries};
use model::server::Server;
use model::session::exchange;
use model::target::{Habit, Target};
use model::wire::send;

const ID: &str = "123456789";
/// Bytes each way.
const BYTES: usize = 20_000;

fn ctl(server: &Server, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let ended = command.args(["ctl", "--data"]).arg(server.data()).args(words).output().unwrap();
    assert!(ended.status.success(), "{words:?}: {ended:?}");
    String::from_utf8(ended.stdout).unwrap()
}

fn at(server: &Server) -> SocketAddr {
    ([127, 0, 0, 1], server.port).into()
}

/// A session from `host` with a target at 127.0.1.2.
fn session(server: &Server, host: &str, habit: Habit) {
    let (at, key) = (at(server), server.key());
    let target = Target::register(&Host::local("127.0.1.2"), at, ID, &key);
    let answering = thread::spawn(move || {
        let mut link = target.answer(habit);
        target.hello(&mut link);
        exchange(link.into_tcp(), BYTES, (1, 2));
    });
    let host = Host::local(host);
    let initiator = Initiator { host, server: at, key, tries: Tries::Everything, asks: Asks::Tcp };
    let mut session = initiator.dial(ID);
    session.hello();
    exchange(session.link.into_tcp(), BYTES, (2, 1));
    answering.join().unwrap();
}

/// An ask that comes to nothing.
fn ask(server: &Server, host: &str, id: &str, key: &str) {
    let mut stream = Host::local(host).connect(0, at(server)).unwrap();
    send(&mut stream, &say::punch(id, |wish| wish.access_key = key.into())).unwrap();
    model::wire::receive(&mut stream).unwrap();
}

fn until(mut happens: impl FnMut() -> bool, what: &str) {
    let start = Instant::now();
    while !happens() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn c190_ctl_log_tells_in_each_form_who_met_whom_and_how() {
    let server = Server::start(&[]);
    session(&server, "127.0.1.1", Habit::Relay);
    until(|| ctl(&server, &["log"]).contains("done"), "the session ends");
    session(&server, "127.0.1.3", Habit::Willing);
    ask(&server, "127.0.1.4", "987654321", &server.key());
    ask(&server, "127.0.1.4", ID, "=1+1");
    let text = ctl(&server, &["log"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("number at "), "{text}");
    for (line, words) in [
        (1, [" 127.0.1.1:", " 123456789 ", " 127.0.1.2 ", " relayed "]),
        (2, [" 127.0.1.3:", " 123456789 ", " 127.0.1.2 ", " direct "]),
        (3, [" 127.0.1.4:", " 987654321 ", " - ", " unknown-id "]),
        (4, [" 127.0.1.4:", " 123456789 ", " refused ", " wrong-key "]),
    ] {
        assert!(words.iter().all(|word| lines[line].contains(word)), "{words:?}: {text}");
    }
    let json = ctl(&server, &["--json", "log"]);
    assert!(json.starts_with("{\"log\":[{\"number\":1,\"at\":1"), "{json}");
    let lines = ctl(&server, &["log", "--lines", "id=123456789", "count=1"]);
    let end = "\"end\":\"done\",\"user\":null}\n";
    assert!(lines.starts_with("{\"number\":1,\"at\":1") && lines.ends_with(end), "{lines}");
    assert_eq!(lines.lines().count(), 1);
    let bytes = lines.split("\"bytes\":").nth(1).unwrap().split(',').next().unwrap();
    assert!(bytes.parse::<usize>().unwrap() > 2 * BYTES, "{lines}");
    let csv = ctl(&server, &["log", "--csv", "from=127.0.1.4"]);
    assert!(csv.starts_with("number,at,last,from,to,target_at,asks,outcome,reason,"), "{csv}");
    let rows: Vec<&str> = csv.split("\r\n").collect();
    assert!(rows.len() == 4 && rows[2].contains(",123456789,,1,refused,wrong-key,,,"), "{csv}");
    assert!(ctl(&server, &["log", "--lines", "since=1s", "after=4"]).is_empty());
}

/// Somebody who watches, and the lines that come.
fn follow(server: &Server, words: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    command.args(["ctl", "--data"]).arg(server.data()).args(words).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

#[test]
fn c218_ctl_log_follows_what_becomes_known_until_it_is_broken_off() {
    let mut server = Server::start(&[]);
    ask(&server, "127.0.1.4", "987654321", &server.key());
    let words = ["log", "--follow"];
    let (mut people, mut text) = follow(&server, &words);
    let (mut program, mut json) = follow(&server, &[&["--json"], &words[..]].concat());
    let (mut table, mut csv) = follow(&server, &[&words[..], &["--csv", "id=123456789"]].concat());
    assert!(text.next().unwrap().unwrap().starts_with("number at "));
    assert!(csv.next().unwrap().unwrap().starts_with("number,at,"));
    let mut both = |number: &str, outcome: &str| {
        let (text, json) = (text.next().unwrap().unwrap(), json.next().unwrap().unwrap());
        assert!(text.starts_with(number) && text.contains(outcome), "{text}");
        assert!(json.starts_with(&format!("{{\"number\":{number},")), "{json}");
        assert!(json.contains(&format!("\"outcome\":\"{outcome}\"")), "{json}");
    };
    both("1", "unknown-id");
    thread::sleep(Duration::from_millis(1_200));
    ask(&server, "127.0.1.5", "987654321", &server.key());
    both("2", "unknown-id");
    // Once they are told to meet, if it is asked then, and once it is over.
    session(&server, "127.0.1.1", Habit::Relay);
    for (lines, begin) in [(&mut text, "3 "), (&mut csv, "3,"), (&mut json, "{\"number\":3,")] {
        let lines =
            lines.map(Result::unwrap).inspect(|line| assert!(!line.starts_with('n'), "{line}"));
        let ended = { lines }.find(|line| line.contains("relayed")).unwrap();
        assert!(ended.starts_with(begin) && ended.contains("done"), "{ended}");
    }
    for child in [&people, &table] {
        let pid = Pid::from_child(child);
        // As ^C does, which is ignored where this was started in the background.
        kill_process(pid, Signal::TERM).unwrap();
    }
    assert_eq!(people.wait().unwrap().signal(), Some(15));
    table.wait().unwrap();
    // The server's end is its own.
    server.kill();
    let ended = program.wait().unwrap();
    assert_eq!(ended.code(), Some(1));
    assert!(json.next().is_none());
}

#[test]
fn c190_a_relay_alone_tells_of_its_sessions() {
    let server = Server::start(&["--role", "relay", "--key="]);
    let relay = SocketAddr::from(([127, 0, 0, 1], server.port + 1));
    let legs = ["127.0.1.1", "127.0.1.2"].map(|host| {
        let mut leg = Host::local(host).connect(0, relay).unwrap();
        send(&mut leg, &say::request_relay("", |wish| wish.uuid = "one".into())).unwrap();
        leg
    });
    until(|| ctl(&server, &["log"]).contains(" relayed "), "the session starts");
    drop(legs);
    until(|| ctl(&server, &["log", "--lines"]).contains("\"end\":\"done\""), "it ends");
}

#[test]
fn c190_lines_for_a_syslog_and_nothing_at_all() {
    let mut server = Server::start(&["--connection-log", "log"]);
    session(&server, "127.0.1.1", Habit::Relay);
    ask(&server, "127.0.1.4", "987654321", &server.key());
    let told = server.wait_log("info connection outcome=relay from=127.0.1.1 to=123456789");
    assert!(told.ends_with("target-at=127.0.1.2 asks=1 number=1"), "{told}");
    let ended = server.wait_log("info connection outcome=relayed from=127.0.1.1 to=123456789");
    assert!(ended.contains(" secs=0 bytes=4") && ended.contains(" end=done "), "{ended}");
    server.wait_log("info connection outcome=unknown-id from=127.0.1.4 to=987654321 asks=1");
    let server = Server::start(&["--connection-log", "off"]);
    ask(&server, "127.0.1.4", "987654321", &server.key());
    assert!(ctl(&server, &["log", "--lines"]).is_empty());
    assert!(!server.log().contains("connection outcome"));
}

#[test]
fn c191_a_file_has_each_outcome_a_line_and_is_whole_after_a_stop() {
    let folder = tempfolder("file");
    let path = folder.join("connections.jsonl");
    // A full one becomes the one before.
    fs::write(&path, "x".repeat(1024 * 1024)).unwrap();
    let mut server = Server::start(&["--connection-log", path.to_str().unwrap()]);
    session(&server, "127.0.1.1", Habit::Relay);
    ask(&server, "127.0.1.4", "987654321", &server.key());
    server.wait_log("info relay-ended");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(fs::read(&path).unwrap().len(), 1024 * 1024, "written in groups, not at once");
    assert!(server.terminate(Duration::from_secs(10)).success());
    let text = fs::read_to_string(&path).unwrap();
    let has = |words: [&str; 2]| {
        text.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    assert_eq!(has(["\"number\":1", "\"outcome\":\"relay\""]), 1, "{text}");
    assert_eq!(has(["\"outcome\":\"relayed\"", "\"end\":\"done\""]), 1, "{text}");
    assert_eq!(has(["\"to\":\"987654321\"", "\"outcome\":\"unknown-id\""]), 1, "{text}");
    let before = fs::read(folder.join("connections.jsonl.1")).unwrap();
    assert_eq!(before.len(), 1024 * 1024);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn c191_what_is_no_file_and_a_link_to_nowhere_are_refused_and_a_link_is_followed() {
    let folder = tempfolder("links");
    let (nowhere, pipe, link) = (folder.join("nowhere"), folder.join("pipe"), folder.join("link"));
    symlink(folder.join("absent"), &nowhere).unwrap();
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for bad in [&nowhere, &pipe, &folder, &folder.join("no/such")] {
        for command in ["serve", "check"] {
            let flags = [command, "--data", folder.to_str().unwrap(), "--connection-log"];
            let ended = hbb(&flags, bad);
            let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
            assert_eq!(ended.status.code(), Some(2), "{command} {bad:?}: {said}");
            assert!(said.contains("--connection-log: cannot write"), "{command} {bad:?}: {said}");
        }
    }
    // To look is to change nothing.
    let log = folder.join("log");
    let looked = hbb(&["check", "--data", folder.to_str().unwrap(), "--connection-log"], &log);
    let said = String::from_utf8_lossy(&looked.stdout).into_owned();
    assert!(said.contains("ok       log of connections") && !log.exists(), "{said}");
    // Nor is what the server lives on a place for lines, by whatever name.
    let secret = fs::read(folder.join("id_ed25519")).unwrap();
    symlink(folder.join("id_ed25519"), folder.join("alias")).unwrap();
    for ours in ["hbb.store", "alias", "id_ed25519", "banned.txt", "rules.conf"] {
        let ended = hbb(
            &["serve", "--data", folder.to_str().unwrap(), "--connection-log"],
            &folder.join(ours),
        );
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{ours}: {said}");
        assert!(said.contains("itself needs"), "{ours}: {said}");
    }
    assert_eq!(fs::read(folder.join("id_ed25519")).unwrap(), secret);
    let elsewhere = tempfolder("elsewhere");
    let real = elsewhere.join("real.jsonl");
    fs::write(&real, "").unwrap();
    symlink(&real, &link).unwrap();
    let mut server = Server::start(&["--connection-log", link.to_str().unwrap()]);
    ask(&server, "127.0.1.4", "987654321", &server.key());
    assert!(server.terminate(Duration::from_secs(10)).success());
    assert!(fs::read_to_string(&real).unwrap().contains("unknown-id"), "{}", server.log());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    for folder in [folder, elsewhere] {
        fs::remove_dir_all(folder).unwrap();
    }
}

/// What a command said that ends at once.
fn hbb(words: &[&str], last: &std::path::Path) -> Output {
    let mut command = Command::new("timeout");
    command.arg("10").arg(env!("CARGO_BIN_EXE_hbb")).args(words).arg(last).output().unwrap()
}

fn tempfolder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("hbb-log-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    folder
}
