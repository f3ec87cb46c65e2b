//! What an operator can get wrong, or a disk can do: the message names the thing and the way
//! out, the exit code tells whose turn it is, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::server::{Server, command, free_ports};
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
        for file in ["id_ed25519", "id_ed25519.pub", "hbb.redb"] {
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

#[test]
fn a_half_written_key_file_is_named_and_kept() {
    let folder = Folder::used("half-key");
    let whole = fs::read(folder.file("id_ed25519")).unwrap();
    fs::write(folder.file("id_ed25519"), &whole[..40]).unwrap();
    let before = folder.contents();
    refused(&serve(&folder.0, &[]), 3, &["id_ed25519 is damaged", "backup", "keygen --force"]);
    assert_eq!(folder.contents(), before);
}

#[test]
fn an_unreadable_key_file_is_named_and_kept() {
    let folder = Folder::used("no-key");
    fs::remove_file(folder.file("id_ed25519")).unwrap();
    fs::create_dir(folder.file("id_ed25519")).unwrap();
    let before = folder.contents();
    refused(&serve(&folder.0, &[]), 3, &["id_ed25519"]);
    assert_eq!(folder.contents(), before);
}

#[test]
fn a_foreign_store_is_named_and_kept() {
    let folder = Folder::used("foreign");
    fs::write(folder.file("hbb.redb"), "a shopping list").unwrap();
    let before = folder.contents();
    refused(&serve(&folder.0, &[]), 3, &["hbb.redb", "not a store", "--data", "not changed"]);
    assert_eq!(folder.contents(), before);
}

#[test]
fn a_store_in_use_is_said() {
    let server = Server::start(&[]);
    refused(&serve(server.data(), &[]), 1, &["hbb.redb", "open in another hbb", "--data"]);
}

#[test]
fn a_taken_port_is_named() {
    let folder = Folder::new("port");
    let port = free_ports();
    let taken = TcpListener::bind(("::", port)).unwrap();
    let run = || {
        let mut command = command(&["timeout".to_owned(), "20".to_owned()]);
        command.args(["serve", "--port", &port.to_string(), "--data"]).arg(&folder.0);
        command.output().unwrap()
    };
    let port_text = port.to_string();
    refused(&run(), 1, &["TCP port", &port_text, "another program", "--port"]);
    drop(taken);
    let _taken = UdpSocket::bind(("::", port)).unwrap();
    refused(&run(), 1, &["UDP port", &port_text, "--port"]);
}

#[test]
fn wrong_flags_are_named() {
    let folder = Folder::new("flags");
    refused(&serve(&folder.0, &["--prot", "1"]), 2, &["--prot", "--help"]);
    refused(&serve(&folder.0, &["--bind", "1.2.3"]), 2, &["--bind", "1.2.3", "IP address"]);
    refused(&serve(&folder.0, &["--mask", "10.0.0.0/33"]), 2, &["--mask", "10.0.0.0/33"]);
    refused(&serve(&folder.0, &["--max-peers", "131073"]), 2, &["--max-peers", "131072"]);
    assert!(folder.contents().is_empty(), "wrong flags must not leave a key");
}

#[test]
fn a_missing_directory_is_named() {
    let folder = Folder::new("missing");
    let nowhere = folder.file("nowhere");
    refused(&serve(&nowhere, &[]), 3, &["nowhere"]);
    assert!(!nowhere.exists());
}

/// Runs a shell script with the binary as `$1` and a fresh directory as `$2`, in a mount
/// namespace of its own.
fn in_own_mounts(folder: &Folder, script: &str) -> Output {
    let binary = command(&[]);
    let words: Vec<_> = std::iter::once(binary.get_program()).chain(binary.get_args()).collect();
    let [binary] = words[..] else { panic!("mounts are tested without an emulator") };
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-eu", "-c", script, "sh"])
        .args([binary, folder.0.as_os_str()])
        .arg(free_ports().to_string())
        .output()
        .expect("the program unshare is needed: install the package util-linux")
}

#[test]
fn a_read_only_directory_is_said() {
    let folder = Folder::new("read-only");
    let script =
        "mount -t tmpfs -o ro tmpfs \"$2\"; exec timeout 20 \"$1\" serve --data \"$2\" --port $3";
    refused(&in_own_mounts(&folder, script), 3, &["key files", "Read-only", "--data"]);
}

#[test]
fn a_read_only_directory_with_keys_and_store_is_said() {
    let folder = Folder::used("read-only-used");
    let before = folder.contents();
    let script = "mount --bind \"$2\" \"$2\"; mount -o remount,ro,bind \"$2\";
        exec timeout 20 \"$1\" serve --data \"$2\" --port $3";
    refused(&in_own_mounts(&folder, script), 3, &["hbb.redb", "read-only"]);
    assert_eq!(folder.contents(), before);
}

#[test]
fn a_disk_without_room_for_a_store_is_said() {
    let folder = Folder::new("tiny");
    let script = "mount -t tmpfs -o size=16k tmpfs \"$2\";
        exec timeout 20 \"$1\" serve --data \"$2\" --port $3";
    refused(&in_own_mounts(&folder, script), 3, &["hbb.redb", "disk is full", "space"]);
}

/// The disk fills while it serves: registrations are refused, not lost and not pretended; with
/// room again they are taken.
#[test]
fn a_disk_that_fills_up_refuses_and_recovers() {
    let folder = Folder::new("full");
    let port = free_ports();
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs {dir}
         {binary} serve --data {dir} --port {port} --key= --new-peers-per-day 65535 \
           --registrations-per-minute 65535 & server=$!
         for i in $(seq 100); do [ -e {dir}/hbb.redb ] && break; sleep 0.05; done
         head -c 2000000 /dev/zero >{dir}/filler 2>/dev/null || true
         echo full; read go; rm {dir}/filler; echo room; read go; kill $server; wait $server",
        dir = folder.0.display(),
        binary = command(&[]).get_program().to_str().unwrap(),
    );
    let mut child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program unshare is needed: install the package util-linux");
    let mut steps = Steps::new(&mut child);
    steps.wait_for("full");
    let failed = register_until(port, 0, 7).expect("a full disk is answered with SERVER_ERROR");
    steps.go();
    steps.wait_for("room");
    register_until(port, failed, 0).expect("with room again registrations are taken");
    steps.go();
    assert!(child.wait().unwrap().success());
}

/// Registers new ids from `first` on until one is answered with `outcome`; its number.
fn register_until(port: u16, first: u32, outcome: i32) -> Option<u32> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 100];
    (first..first + 20_000).find(|number| {
        let wish = say::register_pk(&format!("peer{number:06}"), &[7; 64], &[9; 32]);
        socket.send_to(&wish, ("127.0.0.1", port)).unwrap();
        let len = socket.recv(&mut buffer).expect("every registration is answered");
        take!(&buffer[..len], RegisterPkResponse).outcome == outcome
    })
}

/// Steps of a script that waits for a line before each next one.
struct Steps {
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
    input: std::process::ChildStdin,
}

impl Steps {
    fn new(child: &mut std::process::Child) -> Self {
        use std::io::BufRead as _;
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Self { lines, input: child.stdin.take().unwrap() }
    }

    fn wait_for(&mut self, step: &str) {
        assert!(self.lines.any(|line| line.unwrap() == step), "the script did not reach {step}");
    }

    fn go(&mut self) {
        use std::io::Write as _;
        writeln!(self.input, "go").unwrap();
    }
}
