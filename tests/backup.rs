//! `hbb backup` and `hbb restore`: a backup that was taken while devices register restores to a
//! state that existed; of a damaged one nothing does; a power cut leaves the old or the new.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, clippy::string_slice, reason = "tests wait, and cut texts")]

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "backup/other.rs"]
mod other;
#[path = "conformance/say.rs"]
mod say;

use chance::Chance;
use model::host::again;
use model::server::Server;
use say::Body;

/// Who registers one device after the other.
const CROWDS: usize = 4;
/// Damaged backups that are given to the program.
const DAMAGED: u64 = 90;
const RESTORES_KILLED: u64 = 12;
const FILES: [&str; 7] = [
    "id_ed25519",
    "id_ed25519.pub",
    "banned.txt",
    "blacklist.txt",
    "blocklist.txt",
    "rules.conf",
    OLD_KEY,
];
const OLD_KEY: &str = "id_ed25519.old";

/// A directory of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hbb-backup-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a key, lists, settings and `devices` devices in `name`.
    fn server(&self, name: &str, devices: usize) -> PathBuf {
        let data = self.at(name);
        fs::create_dir(&data).unwrap();
        succeeded(&hbb(&["keygen", "--data", text(&data)]));
        fs::write(data.join("banned.txt"), "# c\n192.0.2.1\n\n").unwrap();
        fs::write(data.join("blocklist.txt"), "198.51.100.0/24").unwrap();
        fs::write(data.join("rules.conf"), "deny to=123456789\n").unwrap();
        let lines: String = (0..devices).map(|number| device(name, number)).collect();
        fs::write(self.at("lines"), lines).unwrap();
        succeeded(&hbb(&["import", text(&self.at("lines")), "--data", text(&data)]));
        data
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn device(name: &str, number: usize) -> String {
    let key = number.to_be_bytes()[6..].repeat(16);
    format!("#{name}{number} 6162 {} 2026-11-01T10:00:00 192.0.2.9\n", say::hex(&key))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn hbb(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hbb")).args(words).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32, word: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(told.contains(word), "{told}");
}

/// All files of a directory and of those in it.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(tree(&path)),
            false => drop(files.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    files
}

/// A backup without its date and its sum, which differ.
fn undated(backup: &str) -> String {
    let lines = backup.lines().filter(|line| !line.starts_with("# of ") && !line.contains("@sha1"));
    lines.collect::<Vec<_>>().join("\n")
}

fn peers(data: &Path) -> Vec<String> {
    let lines = succeeded(&hbb(&["export", "--peers", "--data", text(data)]));
    lines.lines().skip(1).map(str::to_owned).collect()
}

/// Registers devices `PREFIX0000`, `PREFIX0001` and so on, each when the one before is registered,
/// and counts them.
fn register(port: u16, prefix: &str, done: &AtomicUsize, stop: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    for number in 0..10_000 {
        let id = format!("{prefix}{number:04}");
        loop {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            socket.send(&say::register_pk(&id, b"device", &[7; 32])).unwrap();
            let mut buffer = [0; 100];
            let Ok(length) = again(|| socket.recv(&mut buffer)) else { continue };
            let answer = say::read(&buffer[..length]);
            if matches!(answer, Body::RegisterPkResponse(answer) if answer.outcome == 0) {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        done.store(number + 1, Ordering::SeqCst);
    }
}

#[test]
fn a_backup_taken_while_devices_register_is_a_state_that_existed() {
    let folder = Folder::new("load");
    let many = ["--registrations-per-minute", "65535", "--new-peers-per-day", "65535"];
    let server = Server::start(&[&many[..], &["--writes-per-day", "0"]].concat());
    let (done, stop) = ([(); CROWDS].map(|()| AtomicUsize::new(0)), AtomicBool::new(false));
    let counts = || done.iter().map(|done| done.load(Ordering::SeqCst)).collect::<Vec<_>>();
    thread::scope(|scope| {
        for (crowd, done) in done.iter().enumerate() {
            let stop = &stop;
            scope.spawn(move || register(server.port, &format!("crowd{crowd}-"), done, stop));
        }
        let mut grown = 0;
        for turn in 0..3 {
            thread::sleep(Duration::from_millis(700));
            let (file, to) = (folder.at(&format!("{turn}.backup")), folder.at(&turn.to_string()));
            let before = counts();
            succeeded(&hbb(&["backup", text(&file), "--data", text(server.data())]));
            let after = counts();
            fs::create_dir(&to).unwrap();
            succeeded(&hbb(&["restore", text(&file), "--data", text(&to)]));
            let lines = peers(&to);
            for crowd in 0..CROWDS {
                let prefix = format!("crowd{crowd}-");
                let ids = lines.iter().filter_map(|line| line.split(' ').next());
                let ids: Vec<_> = ids.filter(|id| id.starts_with(&prefix)).collect();
                let count = ids.len();
                assert!(ids.iter().zip(0..).all(|(id, at)| **id == format!("{prefix}{at:04}")));
                // One may be stored whose answer is still on its way.
                assert!((before[crowd]..=after[crowd] + 1).contains(&count), "{count}");
                grown += count;
            }
            assert_eq!(
                fs::read(to.join(FILES[0])).unwrap(),
                fs::read(server.data().join(FILES[0])).unwrap()
            );
        }
        stop.store(true, Ordering::SeqCst);
        assert!(grown > CROWDS * 3, "hardly anybody registered: {grown}");
    });
    let after = peers(server.data());
    assert_eq!(after.len(), counts().iter().sum::<usize>(), "the server went on");
}

#[test]
fn all_that_is_there_comes_back_as_it_was() {
    let folder = Folder::new("whole");
    let data = folder.server("old", 300);
    let (file, settings) = (folder.at("backup"), folder.at("hbb.conf"));
    fs::write(&settings, format!("--data {}\n# \u{fc}\n--max-peers 400", text(&data))).unwrap();
    let written = hbb(&["backup", text(&file), "--flags", text(&settings)]);
    assert!(succeeded(&written).contains("banned.txt, blocklist.txt, rules.conf, flags, 300"));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    refused(&hbb(&["backup", text(&file), "--data", text(&data)]), 2, "--force");

    let (new, conf) = (folder.at("new"), folder.at("new.conf"));
    fs::create_dir(&new).unwrap();
    fs::write(new.join("blacklist.txt"), "203.0.113.1\n").unwrap();
    fs::write(&conf, "--port 1\n").unwrap();
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o640)).unwrap();
    let words = ["restore", text(&file), "--data", text(&new), "--flags", text(&conf)];
    let dry = hbb(&[&words[..], &["--dry-run"]].concat());
    assert!(succeeded(&dry).contains("300 devices. Nothing was changed."));
    assert_eq!(tree(&new).len(), 1);
    succeeded(&hbb(&words));
    for name in FILES {
        let was = fs::read(data.join(name)).unwrap_or_default();
        assert_eq!(fs::read(new.join(name)).unwrap_or_default(), was, "{name}");
    }
    let modes = ["id_ed25519", "id_ed25519.pub", "hbb.store", "banned.txt"];
    let modes = modes.map(|name| fs::metadata(new.join(name)).unwrap().mode() & 0o777);
    assert_eq!(modes, [0o600, 0o644, 0o600, 0o640]);
    assert_eq!(fs::read(&conf).unwrap(), fs::read(&settings).unwrap());
    assert_eq!(fs::metadata(&conf).unwrap().mode() & 0o777, 0o640);
    assert_eq!(other::kept(&folder.0, "new.conf."), [b"--port 1\n"]);
    assert_eq!(other::kept(&new, "blacklist.txt."), [b"203.0.113.1\n"]);
    assert_eq!(peers(&new), peers(&data));
    fs::remove_file(new.join("blacklist.txt")).unwrap();
    let again = hbb(&["backup", "-", "--data", text(&new)]);
    let first = hbb(&["backup", "-", "--data", text(&data)]);
    assert_eq!(undated(&succeeded(&again)), undated(&succeeded(&first)));

    refused(&hbb(&["restore", text(&file), "--data", text(&new)]), 2, "--force");
    let other = folder.server("other", 2);
    let told = hbb(&["restore", text(&file), "--data", text(&other), "--force"]);
    assert!(!succeeded(&told).contains("flags, 300"), "left out, not restored: {told:?}");
    assert_eq!(peers(&other), peers(&data));
    let kept = folder.at("kept");
    fs::create_dir(&kept).unwrap();
    fs::rename(other.join("hbb.store.before-restore"), kept.join("hbb.store")).unwrap();
    assert_eq!(peers(&kept).len(), 2);
}

#[test]
fn devices_that_were_forgotten_stay_so_and_a_server_keeps_its_folder() {
    let folder = Folder::new("forgotten");
    let file = folder.at("backup");
    let data = folder.server("old", 3);
    let [secret, public] = ["id_ed25519", "id_ed25519.pub"].map(|name| {
        let text = fs::read_to_string(data.join(name)).unwrap();
        (name, text)
    });
    let files = [(secret.0, secret.1.as_str()), (public.0, public.1.as_str())];
    let mut server = Server::start_with(&files, &[]);
    server.terminate(Duration::from_secs(20));
    fs::copy(data.join("hbb.store"), server.data().join("hbb.store")).unwrap();
    server.restart();
    let at = text(server.data());
    succeeded(&hbb(&["ctl", "--data", at, "forget", "#old1"]));
    let told = succeeded(&hbb(&["backup", text(&file), "--data", at]));
    assert!(told.contains("2 devices and 1 that were forgotten"), "{told}");
    assert_eq!(peers(server.data()).len(), 2);
    refused(&hbb(&["restore", text(&file), "--data", at, "--force"]), 1, "stop it first");
    let new = folder.at("new");
    fs::create_dir(&new).unwrap();
    succeeded(&hbb(&["restore", text(&file), "--data", text(&new)]));
    let again = succeeded(&hbb(&["backup", "-", "--data", text(&new)]));
    assert_eq!(undated(&again), undated(&fs::read_to_string(&file).unwrap()));
    assert!(again.contains(" forgotten:20"), "{again}");
    // Another server's key is no key for these devices.
    let other = folder.server("other", 1);
    let socket = server.data().join("hbb.sock");
    fs::remove_file(other.join("hbb.store")).unwrap();
    symlink(server.data().join("hbb.store"), other.join("hbb.store")).unwrap();
    let words = ["backup", "-", "--data", text(&other), "--control", text(&socket)];
    refused(&hbb(&words), 2, "another key");
}

/// What is as good as a device's own word is for the server's user, not for its group.
#[test]
fn only_the_owner_is_given_what_devices_prove_themselves_by() {
    let server = Server::start(&[]);
    fs::set_permissions(server.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
                  s.sendall(b'text records\\n'); print(s.makefile().read())";
    let ask = |uid| {
        let mut python = Command::new("python3");
        python.args(["-c", script]).arg(server.data().join("hbb.sock"));
        let output = python.uid(uid).gid(0).output().expect("run this as root, with python3");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = ask(65_534);
    assert!(told.starts_with("-Run this as the user"), "{told}");
    assert!(ask(0).starts_with("+# key "));
}

#[test]
fn of_a_damaged_backup_nothing_is_restored() {
    let folder = Folder::new("damaged");
    let data = folder.server("old", 40);
    let file = folder.at("backup");
    succeeded(&hbb(&["backup", text(&file), "--data", text(&data)]));
    let whole = fs::read(&file).unwrap();
    let before = tree(&data);
    let restore = |bytes: &[u8], from_stdin: bool| {
        fs::write(&file, bytes).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
        command.args(["restore", if from_stdin { "-" } else { text(&file) }, "--force"]);
        command.arg("--data").arg(&data).stdin(fs::File::open(&file).unwrap());
        command.output().unwrap()
    };
    for seed in 0..DAMAGED {
        let mut chance = Chance::new(seed);
        let mut bytes = whole.clone();
        let at = usize::try_from(chance.below(bytes.len() as u64)).unwrap();
        match seed % 3 {
            0 => bytes[at] ^= 1 << chance.below(8),
            1 => bytes.truncate(at),
            _ => drop(bytes.remove(at)),
        }
        refused(&restore(&bytes, seed % 2 == 0), 3, "Nothing was changed");
        assert!(tree(&data) == before, "seed {seed}");
    }
    let text = String::from_utf8(whole.clone()).unwrap();
    let newer = text.replacen("backup 2", "backup 3", 1);
    refused(&restore(newer.as_bytes(), false), 3, "the form 3, of a newer version");
    refused(&restore(&[&whole[..], b"x"].concat(), false), 3, "damaged");
    refused(&restore(b"SQLite format 3", false), 3, "no backup");
    assert!(tree(&data) == before);
    succeeded(&restore(&whole, true));
}

#[test]
fn a_backup_without_rules_leaves_those_that_are_there() {
    let folder = Folder::new("rules");
    let data = folder.server("data", 2);
    fs::remove_file(data.join("rules.conf")).unwrap();
    let whole = succeeded(&hbb(&["backup", "-", "--data", text(&data)]));
    // As the version before wrote them; the sum is of the text.
    let (body, _) = whole.rsplit_once("@sha1 ").unwrap();
    let body = body.replacen("backup 2", "backup 1", 1);
    let sum = sha1_smol::Sha1::from(&body).digest();
    let file = folder.at("backup");
    fs::write(&file, format!("{body}@sha1 {sum}\n")).unwrap();
    fs::write(data.join("rules.conf"), "deny\n").unwrap();
    succeeded(&hbb(&["restore", text(&file), "--data", text(&data), "--force"]));
    assert_eq!(fs::read(data.join("rules.conf")).unwrap(), b"deny\n");
}

#[test]
fn a_restore_that_is_broken_off_leaves_the_old_or_the_new() {
    let folder = Folder::new("cut");
    let (old, new) = (folder.server("old", 10), folder.server("new", 4_000));
    let file = folder.at("backup");
    succeeded(&hbb(&["keygen", "--rotate", "--data", text(&new)]));
    succeeded(&hbb(&["backup", text(&file), "--data", text(&new)]));
    let ways = [peers(&old).len(), peers(&new).len()];
    let keys = [&old, &new].map(|data| fs::read(data.join(FILES[0])).unwrap());
    let mut chance = Chance::new(1);
    for _ in 0..RESTORES_KILLED {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
        command.args(["restore", text(&file), "--force", "--data", text(&old)]);
        let mut child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(chance.below(120)));
        child.kill().unwrap();
        child.wait().unwrap();
        // What a start does first.
        let staged = old.join("hbb.restore").exists();
        let is_new = fs::read(old.join(FILES[0])).unwrap() == keys[1];
        if !staged {
            assert_eq!(peers(&old).len(), ways[usize::from(is_new)]);
        }
    }
    // Broken off between any two moves, a start ends it.
    for moved in 0..=7 {
        let mut server = Server::start(&[]);
        server.terminate(Duration::from_secs(20));
        let (data, whole) = (server.data().to_owned(), server.data().join("hbb.restore"));
        fs::create_dir(&whole).unwrap();
        for (number, name) in ["hbb.store"].into_iter().chain(FILES).enumerate() {
            if !new.join(name).exists() {
                continue;
            }
            let _ = fs::rename(data.join(name), data.join(format!("{name}.before-restore")));
            let to = if number < moved { data.join(name) } else { whole.join(name) };
            fs::copy(new.join(name), to).unwrap();
        }
        server.restart();
        assert!(server.log().contains("peers-loaded count=4000"), "{}", server.log());
        assert!(!whole.exists());
        assert_eq!(fs::read(data.join(FILES[0])).unwrap(), keys[1]);
        assert_eq!(fs::read(data.join(OLD_KEY)).ok(), fs::read(new.join(OLD_KEY)).ok());
    }
}

#[test]
fn what_a_power_cut_left_of_a_restore_neither_hinders_the_next_nor_comes_along() {
    let folder = Folder::new("left");
    let (old, new) = (folder.server("old", 300), folder.server("new", 400));
    let file = folder.at("backup");
    succeeded(&hbb(&["backup", text(&file), "--data", text(&new)]));
    let left = old.join("hbb.restore.new");
    let store = fs::read(old.join("hbb.store")).unwrap();
    for whole in [0, 100, store.len() / 2, store.len()] {
        fs::create_dir(&left).unwrap();
        for name in FILES {
            fs::write(left.join(name), "deny\n").unwrap();
            fs::write(left.join(format!("{name}.new")), "x").unwrap();
        }
        for name in ["hbb.store", "hbb.store.new"] {
            fs::write(left.join(name), &store[..whole]).unwrap();
        }
        succeeded(&hbb(&["restore", text(&file), "--data", text(&old), "--force"]));
        assert_eq!(peers(&old), peers(&new));
        for name in FILES {
            assert_eq!(fs::read(old.join(name)).ok(), fs::read(new.join(name)).ok(), "{name}");
        }
        assert!(!left.exists());
    }
}

#[test]
fn check_says_what_was_broken_off() {
    let folder = Folder::new("broken");
    let data = folder.server("old", 1);
    let check = || {
        let port = model::server::free_ports().to_string();
        let flags = ["check", "--port", &port, "--public", "127.0.0.1", "--data", text(&data)];
        succeeded(&hbb(&flags))
    };
    assert!(!check().contains("broken off"), "{}", check());
    for (name, then) in [
        ("hbb.restore", "'hbb serve' ends it at its start"),
        ("hbb.restore.new", "a restore was broken off and changed nothing"),
        ("hbb.store.new", "an import was broken off and changed nothing"),
    ] {
        fs::create_dir(data.join(name)).unwrap();
        let told = check();
        let line = told.lines().find(|line| line.contains(&format!("/{name}: "))).unwrap_or(&told);
        assert!(line.starts_with("doubt    ") && line.contains(then), "{told}");
        fs::remove_dir(data.join(name)).unwrap();
    }
}

/// A rotation that was under way goes on; one that was not does not begin.
#[test]
fn the_key_before_is_of_the_key_beside_it() {
    let folder = Folder::new("rotation");
    let (plain, rotated) = (folder.server("plain", 1), folder.server("rotated", 1));
    succeeded(&hbb(&["keygen", "--rotate", "--data", text(&rotated)]));
    let old = fs::read(rotated.join(OLD_KEY)).unwrap();
    let [one, two] = ["plain.backup", "rotated.backup"].map(|name| folder.at(name));
    succeeded(&hbb(&["backup", text(&one), "--data", text(&plain)]));
    let told = succeeded(&hbb(&["backup", text(&two), "--data", text(&rotated)]));
    assert!(told.contains(OLD_KEY), "{told}");
    let new = folder.at("new");
    fs::create_dir(&new).unwrap();
    succeeded(&hbb(&["restore", text(&two), "--data", text(&new)]));
    assert_eq!(fs::read(new.join(OLD_KEY)).unwrap(), old);
    assert_eq!(fs::metadata(new.join(OLD_KEY)).unwrap().mode() & 0o777, 0o600);
    succeeded(&hbb(&["restore", text(&one), "--data", text(&new), "--force"]));
    assert!(!new.join(OLD_KEY).exists(), "it is of another key");
    assert_eq!(other::kept(&new, "id_ed25519.old."), [old]);
    // A rotation could begin again there.
    succeeded(&hbb(&["keygen", "--rotate", "--data", text(&new)]));
}

#[test]
fn no_link_is_followed_and_a_backup_that_fails_leaves_the_one_before() {
    let folder = Folder::new("links");
    let data = folder.server("old", 1);
    let (file, target) = (folder.at("backup"), folder.at("target"));
    fs::write(&target, "mine").unwrap();
    for link in [file.clone(), folder.at("backup.new")] {
        symlink(&target, &link).unwrap();
        succeeded(&hbb(&["backup", text(&file), "--data", text(&data), "--force"]));
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        assert_eq!(fs::read(&target).unwrap(), b"mine");
    }
    let whole = fs::read(&file).unwrap();
    fs::write(data.join("hbb.store"), vec![7; 9_000]).unwrap();
    refused(&hbb(&["backup", text(&file), "--data", text(&data), "--force"]), 3, "not a store");
    assert_eq!(fs::read(&file).unwrap(), whole);
    assert!(!folder.at("backup.new").exists());
    refused(&hbb(&["backup", "-", "--data", text(&folder.0)]), 2, "no key");
    let mut full = Command::new(env!("CARGO_BIN_EXE_hbb"));
    full.args(["backup", "-", "--data"]).arg(folder.server("other", 1));
    full.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    refused(&full.output().unwrap(), 1, "Cannot write the backup");
}
