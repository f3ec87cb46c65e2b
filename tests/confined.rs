//! What a serving process gave up: every feature runs with the calls of the list alone, files
//! outside a few folders stay as they are, `--user` opens nothing before it is that user, and a
//! kernel that refuses all this is served from all the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

#[cfg(feature = "web")]
#[path = "confined/accounts.rs"]
mod accounts;
#[path = "sim/chance.rs"]
mod chance;
#[cfg(feature = "web")]
#[path = "api/client.rs"]
mod client;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::Host;
use model::initiator::{Asks, Initiator, Path as Way, Tries, nat_type};
use model::server::{Server, command, free_ports};
use model::session::{Load, converse};
use model::target::{Habit, Registers, Target};

/// A device and an initiator of the plainest kind.
const UDP: (Registers, Asks) = (Registers::Udp, Asks::Tcp);

/// A directory of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hbb-confined-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One session of a device and another, from registration to the last byte.
fn session(
    server: &Server,
    (registers, asks): (Registers, Asks),
    habit: Habit,
    tries: Tries,
) -> (Way, String) {
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let key = server.key();
    // Each its own: who registers again at once is told to wait.
    static NEXT: AtomicU32 = AtomicU32::new(123_456_789);
    let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    let own_id = id.clone();
    let loads = [Load { total: 300_000, seed: 1 }, Load { total: 100_000, seed: 2 }];
    let (ready, registered) = channel();
    let target = thread::spawn(move || {
        let host = Host::local("127.0.1.2");
        let target = Target::register_by(registers, (&host, at), &own_id, &key);
        ready.send(()).unwrap();
        let mut link = target.answer(habit);
        target.hello(&mut link);
        converse(link, loads[0], loads[1]);
    });
    registered.recv_timeout(Duration::from_secs(20)).expect("the target registers");
    let host = Host::local("127.0.1.1");
    let initiator = Initiator { host, server: at, key: server.key(), tries, asks };
    let mut session = initiator.dial(&id);
    session.hello();
    converse(session.link, loads[1], loads[0]);
    target.join().unwrap();
    (session.path, id)
}

fn ctl(server: &Server, words: &[&str]) -> Output {
    command(&[]).arg("ctl").arg("--data").arg(server.data()).args(words).output().unwrap()
}

/// Runs what there is.
fn use_all(server: &mut Server) {
    let mut id = String::new();
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    for (ends, habit, tries, way) in [
        ((Registers::Udp, Asks::Tcp), Habit::Willing, Tries::Everything, Way::Direct),
        ((Registers::Udp, Asks::Tcp), Habit::Relay, Tries::Everything, Way::RelayByTarget),
        (
            (Registers::Tcp, Asks::Sealed),
            Habit::Willing,
            Tries::NoDirectPath,
            Way::RelayByInitiator,
        ),
        ((Registers::UdpPunch, Asks::Udp), Habit::Willing, Tries::Everything, Way::Udp),
        (
            (Registers::WebSocket, Asks::WebSocket),
            Habit::Relay,
            Tries::RelayOnly,
            Way::RelayByTarget,
        ),
    ] {
        let (took, by) = session(server, ends, habit, tries);
        assert_eq!(took, way, "{ends:?}");
        id = by;
    }
    nat_type(&Host::local("127.0.1.3"), at);
    for words in [
        &["status"][..],
        &["peers"],
        &["sessions"],
        &["ban", "192.0.2.1"],
        &["bans"],
        &["unban", "192.0.2.1"],
        &["limits"],
        &["limits", "registrations-per-minute", "40"],
        &["reload"],
        &["forget", &id],
    ] {
        let output = ctl(server, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{words:?}: {said}");
    }
    fs::write(server.data().join("blocklist.txt"), "192.0.2.7\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_log("info reloaded");
}

#[test]
fn every_feature_makes_the_calls_of_the_list_alone() {
    let flags = ["--relay-threads", "2", "--console", "--single-bandwidth", "9999"];
    let after = calls_are_listed(&flags, use_all);
    // Where this machine is, it asks when somebody dials.
    assert!(after.contains("AF_NETLINK") && after.contains("/proc/self/net/route"), "{after}");
}

/// Names are looked up, and other relays asked whether they are there, while it serves.
#[test]
fn looking_up_names_makes_the_calls_of_the_list_alone() {
    let after = calls_are_listed(&["--relay-servers", "localhost:1,127.0.0.1:1"], |_| {
        thread::sleep(Duration::from_secs(5));
    });
    assert!(after.contains("sin_port=htons(1)"), "{after}");
}

/// Serves under strace while `uses` runs, and finds no call refused; what was called meanwhile.
fn calls_are_listed(flags: &[&str], uses: impl FnOnce(&mut Server)) -> String {
    let folder = Folder::new(flags[0]);
    let trace = folder.0.join("trace");
    let strace = ["strace", "-D", "-f", "-qq", "-e", "signal=none", "-o", trace.to_str().unwrap()];
    let mut server = Server::start_behind(&strace, flags);
    uses(&mut server);
    let log = server.log();
    assert!(log.contains("info confined privileges=yes dumps=yes files=yes calls=yes"), "{log}");
    assert!(!log.contains("not implemented") && !log.contains("not permitted"), "{log}");
    assert!(server.terminate(Duration::from_secs(10)).success(), "{}", server.log());
    let text = fs::read_to_string(&trace).unwrap();
    let (before, after) = text.split_once("seccomp(SECCOMP_SET_MODE_FILTER").expect("no filter");
    assert!(before.len() > 1000 && after.lines().count() > 20, "{} lines", text.lines().count());
    // A libc that finds no clone3 starts its thread by clone, whose flags the filter can see.
    let refused = |line: &&str| line.contains("ENOSYS") && !line.contains("clone3");
    let refused: Vec<_> = after.lines().filter(refused).collect();
    assert!(refused.is_empty(), "add to src/net/process/calls.rs:\n{}", refused.join("\n"));
    after.into()
}

/// What `/proc` says of each thread under this name.
fn of_each_thread(pid: u32, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let line = |text: String| {
        text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
    };
    status.map(|text| line(text).unwrap()).collect()
}

#[test]
fn each_thread_is_held_to_it_and_no_core_is_written() {
    let server = Server::start(&["--relay-threads", "2"]);
    for (name, value) in [("Seccomp:", "2"), ("NoNewPrivs:", "1")] {
        let found = of_each_thread(server.pid(), name);
        assert!(found.len() > 3 && found.iter().all(|found| found == value), "{name} {found:?}");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert!(line.split_whitespace().filter(|word| *word == "0").count() == 2, "{line}");
}

#[test]
fn no_file_elsewhere_is_written_though_a_link_leads_there() {
    let elsewhere = Folder::new("elsewhere");
    let victim = elsewhere.0.join("victim");
    fs::write(&victim, "precious").unwrap();
    let server = Server::start(&[]);
    // A link in place of a draft is taken away.
    symlink(&victim, server.data().join("banned.txt.new")).unwrap();
    assert!(ctl(&server, &["ban", "192.0.2.1"]).status.success());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    // One in place of the folder is not looked for, and the kernel stops it.
    let (data, moved) = (server.data().to_owned(), elsewhere.0.join("moved"));
    let bait = Folder::new("bait");
    fs::rename(&data, &moved).unwrap();
    symlink(&bait.0, &data).unwrap();
    let mut ban = command(&[]);
    let output = ban.arg("ctl").arg("--data").arg(&moved).args(["ban", "192.0.2.2"]).output();
    fs::remove_file(&data).unwrap();
    fs::rename(&moved, &data).unwrap();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("Permission denied"), "{said}");
    assert_eq!(fs::read_dir(&bait.0).unwrap().count(), 0);
}

/// A store that lies on another disk, behind a link, is served and kept.
#[test]
fn a_store_behind_a_link_is_written() {
    let elsewhere = Folder::new("disk");
    let mut server = Server::start(&[]);
    server.kill();
    let (store, real) = (server.data().join("hbb.store"), elsewhere.0.join("hbb.store"));
    fs::copy(&store, &real).unwrap();
    fs::remove_file(&store).unwrap();
    symlink(&real, &store).unwrap();
    server.restart();
    let (_, id) = session(&server, UDP, Habit::Willing, Tries::Everything);
    let said = String::from_utf8(ctl(&server, &["peers"]).stdout).unwrap();
    assert!(said.contains(&id), "{said}");
    assert!(!server.log().contains("store-failed"), "{}", server.log());
}

#[test]
fn what_the_kernel_refuses_is_said_and_the_server_serves() {
    let folder = Folder::new("refused");
    let trace = folder.0.join("trace");
    let refuse = "inject=seccomp,landlock_create_ruleset,prctl:error=ENOSYS";
    let strace = ["strace", "-D", "-f", "-qq", "-e", refuse, "-o", trace.to_str().unwrap()];
    let mut server = Server::start_behind(&strace, &[]);
    let said = server.wait_log("info confined");
    assert_eq!(said, "info confined privileges=no dumps=no files=no calls=no");
    use_all(&mut server);
    assert!(server.terminate(Duration::from_secs(10)).success(), "{}", server.log());
}

/// Root gives a folder to nobody; the server becomes nobody before it looks into it.
#[test]
fn user_is_become_before_anything_is_opened() {
    let folder = Folder::new("user");
    let (data, trace) = (folder.0.join("data"), folder.0.join("trace"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("flags"), "--max-peers 77\n").unwrap();
    chown(&data, Some(65534), Some(65534)).unwrap();
    let name = data.to_str().unwrap();
    let flags = [name, "/flags"].concat();
    let serve = |user: &str, port: &str| {
        let script = "ip link set lo up; exec strace -f -qq -o \"$0\" \"$@\"";
        let binary = command(&[]);
        let mut shell = Command::new("unshare");
        shell.args(["--net", "timeout", "3", "sh", "-c", script, trace.to_str().unwrap()]);
        shell.arg(binary.get_program()).args(binary.get_args());
        shell.args(["serve", "--user", user, "--port", port, "--data", name, "--flags", &flags]);
        shell.stdin(Stdio::null()).output().expect("unshare and strace are needed")
    };
    // A port for root alone.
    let output = serve("65534", "443");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("info ready port=443"), "{said} {output:?}");
    let text = fs::read_to_string(&trace).unwrap();
    let (before, after) = text.split_once("setresuid(65534, 65534, 65534)").unwrap();
    let early = before.lines().skip(1).find(|line| line.contains(name));
    assert!(early.is_none() && after.contains(&flags), "{early:?}");
    let (_, end) = after.split_once("listen(").unwrap();
    assert!(end.contains(
        "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=0, permitted=0,"
    ));
    let made = fs::metadata(data.join("hbb.store")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 65534);
    // With a store that is there, and that its other process must be able to read.
    let again = serve("nobody", "443");
    let said = [again.stdout, again.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("info ready") && !said.contains("unchecked"), "{said}");
    let said = String::from_utf8(serve("no-such-user", "443").stderr).unwrap();
    assert!(said.contains("--user no-such-user: /etc/passwd has no such user"), "{said}");
}

#[test]
fn user_belongs_on_the_command_line_and_needs_root() {
    let folder = Folder::new("line");
    fs::write(folder.0.join("flags"), "--user nobody\n").unwrap();
    let port = free_ports().to_string();
    let run = |prefix: &[&str], words: &[&str]| {
        let prefix: Vec<_> = prefix.iter().map(|word| (*word).to_owned()).collect();
        let mut command = command(&prefix);
        command.args(["serve", "--port", &port]).args(words).current_dir(&folder.0);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run(&[], &["--flags", "flags"]);
    assert!(said.contains("flags line 1: --user: give it on the command line"), "{said}");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let said = run(&nobody, &["--user", "root"]);
    assert!(said.contains("--user root: only root can become another user"), "{said}");
}

/// The number of accept4.
const ACCEPT: u32 = if cfg!(target_arch = "x86_64") {
    288
} else if cfg!(target_arch = "aarch64") {
    242
} else {
    366
};

#[test]
fn c143_a_call_off_the_list_is_said_where_its_failure_is() {
    let without = format!("HBB_TESTING_WITHOUT_CALL={ACCEPT}");
    let mut server = Server::start_behind(&["env", &without], &[]);
    let waits = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    server.wait_log("warn accept-failed cause='Function not implemented (os error 38)'");
    let said = server.wait_log("warn call-refused what=accept-failed help=");
    assert!(said.contains("strace -f -Z"), "{said}");
    drop(waits);
    assert!(server.terminate(Duration::from_secs(5)).success());
    let log = server.log();
    assert_eq!(log.matches("call-refused what=accept-failed").count(), 1, "{log}");
}
