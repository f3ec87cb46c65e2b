//! What an operator can get wrong, or a disk can do: the message names the thing and the way
//! out, the exit code tells whose turn it is, and nothing is lost.

#![allow(clippy::string_slice)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

#[path = "sim/chance.rs"]
mod chance;
#[path = "bad_input/hints.rs"]
mod hints;
#[path = "bad_input/keys.rs"]
mod keys;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::{Host, again};
use model::server::{Server, command, free_ports};
use model::wire::{receive, send};
use say::take;

/// A directory of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hbb-bad-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// With keys and a store that served before.
    fn used(name: &str) -> Self {
        let folder = Self::new(name);
        let server = Server::start(&[]);
        for file in ["id_ed25519", "id_ed25519.pub", "hbb.store"] {
            fs::copy(server.data().join(file), folder.0.join(file)).unwrap();
        }
        folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs `serve` where it must end by itself.
fn serve(data: &Path, flags: &[&str]) -> Output {
    let port = free_ports().to_string();
    let mut command = command(&["timeout".to_owned(), "20".to_owned()]);
    command.args(["serve", "--port", &port, "--data"]).arg(data).args(flags);
    command.stdin(Stdio::null()).output().unwrap()
}

/// It ended with `code`, and stderr says every one of `words`.
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

/// Its seed would be printed as what clients enter.
#[test]
fn a_part_of_a_secret_key_is_refused_and_the_own_public_one_in_quotes_signs() {
    let secret =
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
    let folder = Folder::new("cut-key");
    for part in [&secret[..80], &secret[1..], &secret[..60]] {
        refused(&serve(&folder.0, &["--key", part]), 2, &["part of a secret key", "88 characters"]);
    }
    fs::write(folder.0.join("id_ed25519"), secret).unwrap();
    refused(&serve(&folder.0, &["--key", &secret[..43]]), 2, &["part of a secret key"]);
    let public = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    for shown in [&format!("\"{public}\""), &format!(" {public}\n"), &public.replace('=', "")] {
        let server = Server::start_with(&[("id_ed25519", secret)], &["--key", shown]);
        assert!(!server.log().contains("key-unsigned"), "{shown:?}");
    }
}

#[test]
fn what_can_hardly_be_meant_is_said_at_the_start() {
    let files = [("db_v2.sqlite3", "SQLite format 3")];
    let mut server = Server::start_behind_with(
        &["env", "RELAY=rd.example.org", "PORT=1", "KEY=_", "LOCAL_IP=::1", "LIMIT_SPEED=4"],
        &files,
        &["--relay-servers", "localhost"],
    );
    for line in [
        "warn setting-doubtful count=1 help='hbb check' cause='--relay-servers localhost: each",
        "warn upstream-store-unused file=",
        "warn upstream-variables-unused names=PORT,RELAY,LOCAL_IP,KEY,LIMIT_SPEED help=",
    ] {
        server.wait_log(line);
    }
    let log = Server::start(&[]).log();
    assert!(!log.contains("doubtful") && !log.contains("unused"), "{log}");
}

/// What `serve` says of those of its ports that somebody else has, so far from P; all others are
/// open.
fn said_of_taken(name: &str, offsets: &[i32]) -> String {
    let port = free_ports();
    let taken = offsets.iter().map(|by| u16::try_from(i32::from(port) + by).unwrap());
    let taken: Vec<u16> = taken.collect();
    let _others: Vec<_> = taken.iter().map(|at| TcpListener::bind(("::", *at)).unwrap()).collect();
    let folder = Folder::new(name);
    let mut child = command(&[])
        .args(["serve", "--port", &port.to_string(), "--data"])
        .arg(&folder.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.find_map(|line| line.ok().filter(|line| line.contains("taken"))).unwrap();
    assert!((port - 2..=port + 3).all(wait_port), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    taken.iter().fold(said, |said, port| said.replace(&port.to_string(), "N"))
}

#[test]
fn taken_ports_for_web_sockets_cost_those_who_need_them_alone() {
    for (offsets, ports) in [(&[2][..], "N"), (&[3], "N"), (&[2, 3], "N,N")] {
        let said = said_of_taken("taken-ws", offsets);
        assert!(said.contains(&format!("websocket-port-taken port={ports} ")), "{said}");
        let without = "without='browsers and clients set to use WebSocket'";
        assert!(said.contains(without), "{said}");
    }
}

#[test]
fn c130_an_api_server_on_its_port_costs_one_warning() {
    let said = said_of_taken("taken-api", &[-2]);
    assert!(said.contains("api-port-taken port=N holder='an API server'"), "{said}");
    assert!(said.contains("help=--no-api-port"), "{said}");
}

#[test]
fn the_greeting_names_addresses_and_a_relay_what_a_relay_needs() {
    let log = Server::start(&["--bind", "127.0.0.1"]).log();
    assert!(log.contains("ID server     127.0.0.1"), "{log}");
    let log = Server::start(&[]).log();
    assert!(!log.contains("ADDRESS-OF-THIS-MACHINE"), "{log}");
    let log = Server::start(&["--role", "relay", "--key=", "--public", "rd.example.org"]).log();
    assert!(log.contains("This is a relay alone."), "{log}");
    assert!(log.contains("--relay-servers rd.example.org"), "{log}");
    assert!(!log.contains("ID server     ") && !log.contains("ready port="), "{log}");
}

#[test]
fn a_foreign_store_is_named_and_kept() {
    let folder = Folder::used("foreign");
    fs::write(folder.file("hbb.store"), "a shopping list").unwrap();
    let before = folder.contents();
    refused(&serve(&folder.0, &[]), 3, &["hbb.store", "not a store", "--data", "not changed"]);
    assert_eq!(folder.contents(), before);
}

#[test]
fn a_store_in_use_is_said() {
    let server = Server::start(&[]);
    refused(&serve(server.data(), &[]), 1, &["hbb.store", "open in another hbb", "--data"]);
}

/// 256 connections, 32 sessions of two legs, and some of its own: more than either limit here.
#[test]
fn the_limit_of_open_files_is_raised_or_said() {
    let behind = |limit| ["sh", "-c", limit, "sh"];
    let soft = Server::start_behind(&behind(r#"ulimit -S -n 64; exec "$@""#), &[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", soft.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let raised: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(raised >= 256 + 2 * 32, "{line}");
    assert!(!soft.log().contains("file-limit-low"), "{}", soft.log());
    let mut hard = Server::start_behind(&behind(r#"ulimit -n 128; exec "$@""#), &[]);
    let said = hard.wait_log("warn file-limit-low limit=128 needed=");
    assert!(said.ends_with("help=raise-nofile"), "{said}");
}

#[test]
fn a_taken_port_is_named_and_a_restart_helps() {
    let folder = Folder::new("port");
    let port = free_ports();
    let port_text = port.to_string();
    let flags = ["serve", "--port", &port_text, "--data", folder.0.to_str().unwrap()];
    let run = || command(&["timeout".to_owned(), "20".to_owned()]).args(flags).output().unwrap();
    for taken in [port - 1, port, port + 1] {
        let listener = TcpListener::bind(("::", taken)).unwrap();
        let words = [&format!("TCP port {taken} is taken"), "another program", "--port"];
        refused(&run(), 1, &words);
        drop(listener);
    }
    let socket = UdpSocket::bind(("::", port)).unwrap();
    let ended = run();
    refused(&ended, 1, &[&format!("UDP port {port} is taken"), "--port"]);
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(!said.contains("In the client"), "nobody is to type that in: {said}");
    drop(socket);
    // A full disk under its output keeps it from nothing.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut child = command(&[]).args(flags).stdout(full).spawn().unwrap();
    let served = wait_port(port);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(served, "not even with free ports");
}

#[test]
fn a_pipe_in_place_of_the_key_keeps_nobody_waiting() {
    let folder = Folder::new("pipe");
    let data = folder.0.to_str().unwrap();
    let key = folder.0.join("id_ed25519");
    assert!(Command::new("mkfifo").arg(&key).status().unwrap().success());
    for word in ["check", "serve", "export"] {
        let run = ["20", env!("CARGO_BIN_EXE_hbb"), word, "--data", data];
        let more: &[&str] = if word == "export" { &["--host", "rd.example.org"] } else { &[] };
        let ended = Command::new("timeout").args(run).args(more).output().unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(ended.status.code(), Some(3), "{word}: {said}");
        assert!(said.contains("id_ed25519 cannot be read: it is a pipe"), "{word}: {said}");
    }
}

/// Whether somebody listens on the port within a while.
fn wait_port(port: u16) -> bool {
    (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
}

#[test]
fn wrong_flags_are_named() {
    let folder = Folder::new("flags");
    refused(&serve(&folder.0, &["--prot", "1"]), 2, &["--prot", "--help"]);
    refused(&serve(&folder.0, &["--bind", "1.2.3"]), 2, &["--bind", "1.2.3", "IP address"]);
    refused(&serve(&folder.0, &["--mask", "10.0.0.0/33"]), 2, &["--mask", "10.0.0.0/33"]);
    refused(&serve(&folder.0, &["--max-peers", "131073"]), 2, &["--max-peers", "131072"]);
    refused(&serve(&folder.0, &["--mask", "10.0.0.0/8"]), 2, &["--mask", "--local-ip"]);
    refused(&serve(&folder.0, &["--relay-servers", "a:b:c"]), 2, &["--relay-servers", "a:b:c"]);
    refused(&serve(&folder.0, &["--flags", "nowhere"]), 2, &["--flags", "nowhere"]);
    assert!(folder.contents().is_empty(), "wrong flags must not leave a key");
}

#[test]
fn an_address_of_another_machine_is_named() {
    let folder = Folder::new("address");
    refused(&serve(&folder.0, &["--bind", "192.0.2.1"]), 1, &["Cannot listen", "--bind"]);
}

#[test]
fn a_missing_directory_is_named() {
    let folder = Folder::new("missing");
    let nowhere = folder.file("nowhere");
    refused(&serve(&nowhere, &[]), 3, &["nowhere"]);
    assert!(!nowhere.exists());
}

/// Runs a shell script in a mount namespace of its own; `serve` in it is the binary, told to
/// serve the fresh directory `$dir`.
fn in_own_mounts(folder: &Folder, port: u16, script: &str) -> Command {
    let begin = "dir=$1; port=$2; shift 2
        serve() { exec \"$@\" serve --data \"$dir\" --port $port --key= \\
          --new-peers-per-day 65535 --registrations-per-minute 65535; }";
    let binary = command(&[]);
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-eu", "-c"]);
    shell.args([&format!("{begin}\n{script}"), "sh"]).arg(&folder.0).arg(port.to_string());
    shell.arg(binary.get_program()).args(binary.get_args());
    shell
}

/// What the script's `serve`, which must end by itself, said.
fn ended_in_own_mounts(folder: &Folder, mount: &str) -> Output {
    let script = format!("{mount}; serve timeout 20 \"$@\"");
    let ended = in_own_mounts(folder, free_ports(), &script).output();
    ended.expect("the program unshare is needed: install the package util-linux")
}

/// What helps where a mount is read-only, and what does not.
const REMOUNT: [&str; 3] = ["read-only", "read-write", "--key-file"];
const NO_USER: &str = "user that hbb runs as";

/// Its refusal names that, and so does what `check` says.
fn refused_as_read_only(folder: &Folder, mount: &str, what: &str) {
    let ended = ended_in_own_mounts(folder, mount);
    refused(&ended, 3, &[&[what][..], &REMOUNT].concat());
    let check = format!("{mount}; exec \"$@\" check --data \"$dir\" --port $port --key=");
    let found = in_own_mounts(folder, free_ports(), &check).output().unwrap();
    let report = String::from_utf8_lossy(&found.stdout);
    assert_eq!(found.status.code(), Some(3), "{report}");
    for word in REMOUNT {
        assert!(report.to_lowercase().contains(word), "{word:?} is not in {report}");
    }
    let said = [&ended.stderr, &found.stdout].map(|said| String::from_utf8_lossy(said));
    assert!(said.iter().all(|said| !said.contains(NO_USER)), "{said:?}");
}

#[test]
fn a_read_only_directory_is_said() {
    let folder = Folder::new("read-only");
    refused_as_read_only(&folder, "mount -t tmpfs -o ro tmpfs \"$dir\"", "key files");
}

#[test]
fn a_read_only_directory_with_keys_and_store_is_said() {
    let folder = Folder::used("read-only-used");
    let before = folder.contents();
    let mount = "mount --bind \"$dir\" \"$dir\"; mount -o remount,ro,bind \"$dir\"";
    refused_as_read_only(&folder, mount, "hbb.store");
    assert_eq!(folder.contents(), before);
}

#[test]
fn a_disk_without_room_for_a_store_is_said() {
    let folder = Folder::new("tiny");
    let ended = ended_in_own_mounts(&folder, "mount -t tmpfs -o size=8k tmpfs \"$dir\"");
    refused(&ended, 3, &["hbb.store", "disk is full", "space"]);
}

/// A disk that fills up, a power cut, a start on the full disk, room again, a clean restart.
const FULL_DISK: &str = "mount -t tmpfs -o size=1m tmpfs \"$dir\"
    serve \"$@\" & server=$!; trap 'kill -9 $server' EXIT
    echo open; read go
    head -c 2000000 /dev/zero >\"$dir/filler\" 2>/dev/null || true
    echo full; read go; kill -9 $server; wait $server || true
    serve \"$@\" & server=$!
    echo again; read go; rm \"$dir/filler\"
    echo room; read go; kill $server; wait $server
    serve \"$@\" & server=$!
    echo anew; read go; kill $server; wait $server; trap - EXIT";

/// Registrations are refused then, not lost and not pretended; with room they are taken.
#[test]
fn a_disk_that_fills_up_refuses_and_recovers() {
    let (folder, port) = (Folder::new("full"), free_ports());
    let mut child = in_own_mounts(&folder, port, FULL_DISK)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program unshare is needed: install the package util-linux");
    let mut steps = Steps::new(&mut child);
    steps.wait_for("open", port);
    assert_eq!(register_until(port, 0, 7, 20), None);
    steps.go();
    steps.wait_for("full", port);
    let failed = register_until(port, 20, 7, 20_000);
    let failed = failed.expect("a full disk is answered with SERVER_ERROR");
    steps.go();
    steps.wait_for("again", port);
    assert_eq!(known(port, failed), (0..failed).collect::<Vec<_>>());
    assert_eq!(register_until(port, failed, 7, 1), Some(failed), "taken by a full disk");
    steps.go();
    steps.wait_for("room", port);
    assert_eq!(register_until(port, failed, 0, 1), Some(failed), "refused with room again");
    steps.go();
    steps.wait_for("anew", port);
    assert_eq!(known(port, failed + 10), (0..=failed).collect::<Vec<_>>());
    steps.go();
    assert!(child.wait().unwrap().success());
}

fn id(number: u32) -> String {
    format!("peer{number:06}")
}

/// Registers new ids from `first` on until one is answered with `outcome`, `most` at most; its
/// number.
fn register_until(port: u16, first: u32, outcome: i32, most: u32) -> Option<u32> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 100];
    let (host, server) = (Host::local("127.0.0.1"), SocketAddr::from(([127, 0, 0, 1], port)));
    (first..first + most).find(|number| {
        host.prove(server);
        let wish = say::register_pk(&id(*number), &[7; 64], &[9; 32]);
        socket.send_to(&wish, ("127.0.0.1", port)).unwrap();
        let len = again(|| socket.recv(&mut buffer)).expect("every registration is answered");
        take!(&buffer[..len], RegisterPkResponse).outcome == outcome
    })
}

/// Which of the first ids exist.
fn known(port: u16, count: u32) -> Vec<u32> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let exists = |number: &u32| {
        send(&mut stream, &say::punch(&id(*number), |_| ())).unwrap();
        take!(&receive(&mut stream).unwrap(), PunchHoleResponse).failure != 0
    };
    (0..count).filter(exists).collect()
}

/// Steps of a script that waits for a line before each next one.
struct Steps {
    lines: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
}

impl Steps {
    fn new(child: &mut Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { lines, input: child.stdin.take().unwrap() }
    }

    /// Waits for the step and for the server in it.
    fn wait_for(&mut self, step: &str, port: u16) {
        assert!(self.lines.any(|line| line.unwrap() == step), "the script did not reach {step}");
        assert!(wait_port(port), "nobody serves after {step}");
    }

    fn go(&mut self) {
        writeln!(self.input, "go").unwrap();
    }
}

#[test]
fn c210_who_says_nothing_waits_as_long_as_it_likes_and_keeps_nobody_waiting() {
    let server = Server::start(&[]);
    let path = server.data().join("hbb.sock");
    let mut silent: Vec<_> = (0..8).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let said = ctl.arg("ctl").arg("--control").arg(&path).arg("status").output().unwrap();
    assert!(said.status.success(), "{said:?}");
    // The ninth took the place of the first.
    assert_eq!(silent.remove(0).read(&mut [0]).unwrap(), 0);
    for stream in &mut silent {
        stream.write_all(b"text status\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with('+') && said.contains("uptime"), "{said}");
    }
}
