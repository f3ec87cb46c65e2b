//! The real binary under a supervisor that speaks systemd's protocol, played by a datagram socket
//! of the test: what it is told, when, and that its absence or silence stops nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock")]
#![allow(dead_code, reason = "the model serves other tests too")]

use std::fs;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::{ptrace, wait::waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use rustix::process::Signal;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::again;
use model::server::Server;

/// Where a supervisor listens; its folder goes with it.
struct Supervisor {
    socket: UnixDatagram,
    folder: PathBuf,
}

impl Supervisor {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hbb-notify-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        Self { socket, folder }
    }

    fn variable(&self) -> String {
        format!("NOTIFY_SOCKET={}", self.folder.join("notify").display())
    }

    fn starts(&self, more: &[&str], flags: &[&str]) -> Server {
        let variable = self.variable();
        Server::start_behind(&[&["env", &variable], more].concat(), flags)
    }

    /// The next message, None after `patience`.
    fn hears(&self, patience: Duration) -> Option<String> {
        heard(&self.socket, patience)
    }

    #[track_caller]
    fn told(&self) -> String {
        self.hears(Duration::from_secs(20)).expect("a message within 20 s")
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn heard(socket: &UnixDatagram, patience: Duration) -> Option<String> {
    let mut buffer = [0; 512];
    socket.set_read_timeout(Some(patience)).unwrap();
    let count = again(|| socket.recv(&mut buffer)).ok()?;
    Some(String::from_utf8(buffer[..count].to_vec()).unwrap())
}

/// Microseconds of the clock that systemd compares with.
fn monotonic_us() -> u64 {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    u64::try_from(now.as_micros()).unwrap()
}

const SILENCE: Duration = Duration::from_millis(300);

#[test]
fn ready_means_that_every_port_is_open_and_stopping_that_the_end_began() {
    let supervisor = Supervisor::new();
    let mut server = supervisor.starts(&[], &[]);
    assert_eq!(supervisor.told(), "READY=1");
    for port in [server.port - 1, server.port, server.port + 1, server.port + 2, server.port + 3] {
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
    assert_eq!(supervisor.hears(SILENCE), None, "no watchdog was asked for");
    assert!(server.terminate(Duration::from_secs(2)).success());
    assert_eq!(supervisor.told(), "STOPPING=1");
    assert_eq!(supervisor.hears(SILENCE), None);
}

#[test]
fn a_name_without_a_path_is_reached_too() {
    let name = format!("hbb-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let _server = Server::start_behind(&["env", &format!("NOTIFY_SOCKET=@{name}")], &[]);
    assert_eq!(heard(&socket, Duration::from_secs(20)).as_deref(), Some("READY=1"));
}

#[test]
fn a_reload_begins_at_a_time_and_ends_whether_refused_or_not() {
    let supervisor = Supervisor::new();
    let file = supervisor.folder.join("flags");
    for text in ["--max-peers 2000\n", "--max-peers nonsense\n"] {
        fs::write(&file, "# none\n").unwrap();
        let mut server = supervisor.starts(&[], &["--flags", file.to_str().unwrap()]);
        assert_eq!(supervisor.told(), "READY=1");
        fs::write(&file, text).unwrap();
        let before = monotonic_us();
        server.signal(Signal::HUP);
        let began = supervisor.told();
        let at = began.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&began);
        assert!((before..=monotonic_us()).contains(&at.parse().unwrap()), "{began}");
        assert_eq!(supervisor.told(), "READY=1");
        let refused = text.contains("nonsense");
        server.wait_log(if refused { "warn reload-refused" } else { "info reloaded" });
        assert!(server.terminate(Duration::from_secs(2)).success());
        assert_eq!(supervisor.told(), "STOPPING=1");
    }
}

#[test]
fn the_watchdog_hears_two_beats_in_its_time() {
    let supervisor = Supervisor::new();
    let _server = supervisor.starts(&["WATCHDOG_USEC=1000000"], &[]);
    assert_eq!(supervisor.told(), "READY=1");
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(supervisor.hears(Duration::from_secs(1)).as_deref(), Some("WATCHDOG=1"));
    }
    // The first comes at once, four follow at half a second each.
    assert!(start.elapsed() > Duration::from_millis(1_500), "{:?}", start.elapsed());
}

#[test]
fn a_main_thread_that_hangs_is_not_covered_for() {
    let supervisor = Supervisor::new();
    let server = supervisor.starts(&["WATCHDOG_USEC=200000"], &["--relay-threads", "3"]);
    assert_eq!(supervisor.told(), "READY=1");
    assert_eq!(supervisor.told(), "WATCHDOG=1");
    // Stops that one thread alone; all others run on.
    let main = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    ptrace::seize(main, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(main).unwrap();
    waitpid(main, None).unwrap();
    while supervisor.hears(Duration::from_millis(20)).is_some() {}
    assert_eq!(supervisor.hears(Duration::from_millis(600)), None);
    ptrace::detach(main, None).unwrap();
    assert_eq!(supervisor.told(), "WATCHDOG=1");
}

#[test]
fn a_watchdog_for_another_process_is_not_fed() {
    let supervisor = Supervisor::new();
    let _server = supervisor.starts(&["WATCHDOG_USEC=100000", "WATCHDOG_PID=1"], &[]);
    assert_eq!(supervisor.told(), "READY=1");
    assert_eq!(supervisor.hears(SILENCE), None);
}

#[test]
fn one_that_never_reads_or_goes_away_stops_nothing() {
    let supervisor = Supervisor::new();
    let mut server = supervisor.starts(&["WATCHDOG_USEC=2000"], &[]);
    // Beats of 1 ms fill the socket's queue, which holds some ten messages by default.
    std::thread::sleep(Duration::from_millis(500));
    TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    fs::remove_file(supervisor.folder.join("notify")).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    // Whoever takes that place is told from then on.
    let next = UnixDatagram::bind(supervisor.folder.join("notify")).unwrap();
    assert_eq!(heard(&next, Duration::from_secs(5)).as_deref(), Some("WATCHDOG=1"));
    assert!(server.terminate(Duration::from_secs(2)).success());
}

#[test]
fn a_place_that_cannot_be_reached_stops_nothing() {
    let long = "/".repeat(200);
    for place in ["", "@", "nothing/there", "vsock:2:9", &long] {
        let variable = format!("NOTIFY_SOCKET={place}");
        let mut server = Server::start_behind(&["env", &variable, "WATCHDOG_USEC=2000"], &[]);
        server.signal(Signal::HUP);
        server.wait_log("info reloaded");
        assert!(server.terminate(Duration::from_secs(2)).success(), "{place}");
    }
}

#[test]
fn without_a_supervisor_no_socket_is_opened() {
    let sockets = |server: &Server| {
        let folder = format!("/proc/{}/fd", server.pid());
        let names = fs::read_dir(folder).unwrap().map(|entry| fs::read_link(entry.unwrap().path()));
        names.flatten().filter(|name| name.to_str().unwrap().starts_with("socket:")).count()
    };
    let supervisor = Supervisor::new();
    let told = supervisor.starts(&[], &[]);
    assert_eq!(supervisor.told(), "READY=1");
    let alone = Server::start_behind(&["env", "-u", "NOTIFY_SOCKET", "WATCHDOG_USEC=2000"], &[]);
    assert_eq!(sockets(&alone) + 1, sockets(&told));
}
