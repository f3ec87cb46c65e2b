//! The real binary started by hand: what a terminal shows of it, and that closing the terminal
//! neither ends the server nor stops a reload; nor does a log that nobody reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a terminal of its own, as a shell would start it; killed when dropped.
struct ByHand {
    child: Child,
    /// The terminal's other side, until it is closed.
    screen: Option<File>,
    shown: String,
    port: u16,
    folder: PathBuf,
}

impl ByHand {
    /// Stderr goes to the terminal too, or to the file `err`.
    fn start(err_to_file: bool) -> Self {
        Self::start_at("xterm", err_to_file)
    }

    /// The same where the terminal says that it is of that kind.
    fn start_at(kind: &str, err_to_file: bool) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hbb-terminal-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("flags"), "--max-peers 9").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = openpt(flags).unwrap();
        grantpt(&screen).and_then(|()| unlockpt(&screen)).unwrap();
        let terminal = || Stdio::from(ioctl_tiocgptpeer(&screen, flags).unwrap());
        let err = match err_to_file {
            true => File::create(folder.join("err")).unwrap().into(),
            false => terminal(),
        };
        let child = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_hbb"), "serve", "--flags", "flags"])
            .args(["--bind", "127.0.0.1", "--public", "127.0.0.1", "--single-port"])
            .args(["--port", &port.to_string()])
            .current_dir(&folder)
            .env("TERM", kind)
            .env_remove("NO_COLOR")
            .stdin(terminal())
            .stdout(terminal())
            .stderr(err)
            .spawn()
            .expect("setsid of the package util-linux");
        rustix::io::ioctl_fionbio(&screen, true).unwrap();
        let mut server =
            Self { child, screen: Some(screen.into()), shown: String::new(), port, folder };
        server.shows("ready port=");
        server
    }

    /// Waits until the terminal has shown this.
    #[track_caller]
    fn shows(&mut self, wanted: &str) {
        let shown = within(|| self.look().contains(wanted).then_some(()));
        assert!(shown.is_some(), "no {wanted:?} in {:?}", self.shown);
    }

    fn look(&mut self) -> &str {
        let mut bytes = [0; 4096];
        match self.screen.as_mut().unwrap().read(&mut bytes) {
            Ok(length) => self.shown.push_str(&String::from_utf8_lossy(&bytes[..length])),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{:?}", self.shown),
        }
        &self.shown
    }

    /// The line that has this in it.
    fn line(&self, part: &str) -> &str {
        self.shown.lines().find(|line| line.contains(part)).unwrap()
    }

    /// What `hbb ctl reload` gets for an answer, which comes once the reload is over.
    fn reload(&self, flags: &str) -> Output {
        fs::write(self.folder.join("flags"), flags).unwrap();
        let mut ctl = Command::new(env!("CARGO_BIN_EXE_hbb"));
        ctl.args(["ctl", "--data", ".", "reload"]).current_dir(&self.folder).output().unwrap()
    }

    /// A new device registers: message 15 with id, device and key.
    fn register(&self, number: u8) {
        let fields = [&[0x0a, 6][..], b"device", &[0x12, 1, number, 0x1a, 32], &[number; 32]];
        let body = fields.concat();
        let mut payload = vec![0x7a, u8::try_from(body.len()).unwrap()];
        payload.extend(body);
        payload[9] = b'0' + number;
        // A NAT test first, or the address is taken for a forger's (C96).
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&[0x0c, 0xa2, 0x01, 0x00]).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(&payload, ("127.0.0.1", self.port)).unwrap();
        socket.recv(&mut [0; 64]).unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and how it ended.
    #[track_caller]
    fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        within(|| self.child.try_wait().unwrap()).expect("an end after SIGTERM")
    }
}

/// What `look` finds within [`PATIENCE`].
fn within<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = look();
        if found.is_some() || start.elapsed() > PATIENCE {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[test]
fn levels_are_coloured_and_lines_dated_and_in_order() {
    let mut server = ByHand::start(false);
    let ready = server.line("ready port=");
    assert!(ready.starts_with("\u{1b}[36mINFO \u{1b}[0m [20"), "{ready:?}");
    assert!(ready.contains(&format!("] ready port={}", server.port)), "{ready:?}");
    let greeting = server.shown.find("In the client,").unwrap();
    assert!(server.shown.find("peers-loaded").unwrap() < greeting);
    assert!(greeting < server.shown.find("ready port=").unwrap());
    assert!(server.terminate().success());
    server.shows("stopping");
}

#[test]
fn a_terminal_without_colours_is_sent_none() {
    let mut server = ByHand::start_at("dumb", false);
    assert!(server.line("ready port=").starts_with("INFO  [20"), "{}", server.shown);
    assert!(server.terminate().success());
    assert!(!server.shown.contains('\u{1b}'), "{}", server.shown);
}

#[test]
fn a_repeated_warning_is_left_out_wherever_it_goes() {
    for err_to_file in [false, true] {
        let mut server = ByHand::start(err_to_file);
        assert!(server.reload("--max-peers 1").status.success());
        for number in 1..4 {
            server.register(number);
        }
        assert_eq!(server.reload("--max-peers 0").status.code(), Some(2));
        assert!(server.reload("--max-peers 8").status.success());
        server.shows("reloaded");
        let (plain, coloured) = ("warn reload-refused", "\u{1b}[33mWARN \u{1b}[0m [20");
        let err = fs::read_to_string(server.folder.join("err")).unwrap_or_default();
        let (text, start) = if err_to_file { (&err, plain) } else { (&server.shown, coloured) };
        assert_eq!(text.matches("table-full").count(), 1, "{text:?}");
        assert_eq!(text.matches("reload-refused").count(), 1, "{text:?}");
        let line = text.lines().find(|line| line.contains("reload-refused")).unwrap();
        assert!(line.contains(start), "{line:?}");
        let info = if err_to_file { " info reloaded" } else { "\u{1b}[36mINFO \u{1b}[0m [20" };
        assert!(server.line("reloaded").contains(info), "{:?}", server.shown);
    }
}

/// What stands before the server's command, for it to be process 1, or to be started by that.
const AS_INIT: [&str; 4] = ["unshare", "--pid", "--fork", "--kill-child"];
const BY_INIT: [&str; 8] =
    ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "\"$@\" & wait", "sh"];

/// A command that serves in a folder of its own, behind such words.
fn serving(prefix: &[&str], folder: &Path) -> Command {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let words = [prefix, &[env!("CARGO_BIN_EXE_hbb")]].concat();
    let mut server = Command::new(words[0]);
    server.args(&words[1..]).args(["serve", "--bind", "127.0.0.1", "--public", "127.0.0.1"]);
    server.args(["--single-port", "--port", &port.to_string()]).current_dir(folder);
    server.stdin(Stdio::null());
    server
}

/// The first line that has this in it.
#[track_caller]
fn line_of(text: impl Read, part: &str) -> String {
    let mut lines = BufReader::new(text).lines().map_while(Result::ok);
    lines.find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part}"))
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hbb-{name}-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// OpenRC and nohup give a server files.
#[test]
fn all_lines_in_a_file_are_dated() {
    let folder = scratch("dated");
    for prefix in [&[][..], &AS_INIT] {
        let file = folder.join("file");
        let to_file = File::create(&file).unwrap();
        let mut server = serving(prefix, &folder);
        let mut child =
            server.stderr(to_file.try_clone().unwrap()).stdout(to_file).spawn().unwrap();
        let said = || fs::read_to_string(&file).unwrap();
        let shown = within(|| said().contains("info ready port=").then_some(()));
        assert!(shown.is_some(), "{}", said());
        child.kill().unwrap();
        child.wait().unwrap();
        // What is no event carries it too.
        let undated =
            |line: &str| !line.starts_with("20") || line.as_bytes().get(19) != Some(&b' ');
        assert_eq!(said().lines().find(|line| undated(line)), None, "{}", said());
        for part in [" info ready ", " warn setting-", "   Key  "] {
            assert!(said().contains(part), "{part}");
        }
        // The next finds its port and folder free.
        fs::remove_file(&file).unwrap();
    }
    drop(fs::remove_dir_all(&folder));
}

/// Docker, and procd with a jail or without, note by themselves when a line came; cron, a shell's
/// pipe and whoever else is not known to.
#[test]
fn lines_in_a_pipe_are_dated_unless_who_gave_it_is_known_to_do_that() {
    for (prefix, dated) in [(&[][..], true), (&AS_INIT, false), (&BY_INIT, false)] {
        let folder = scratch(&format!("piped-{}", prefix.len()));
        let mut server = serving(prefix, &folder);
        let mut child = server.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let lines = [line_of(err, "warn setting-"), line_of(out, "  Key  ")];
        child.kill().unwrap();
        child.wait().unwrap();
        drop(fs::remove_dir_all(&folder));
        assert_eq!(lines.each_ref().map(|it| it.starts_with("20")), [dated; 2], "{lines:?}");
    }
}

/// systemd says in a variable which socket leads to the journal.
#[test]
fn lines_for_the_journal_are_not_dated() {
    let folder = scratch("journal");
    for (named, dated) in [(true, false), (false, true)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let numbers = rustix::fs::fstat(&theirs).unwrap();
        let inode = numbers.st_ino + u64::from(!named);
        let mut child = serving(&[], &folder)
            .env("JOURNAL_STREAM", format!("{}:{inode}", numbers.st_dev))
            .stdout(OwnedFd::from(theirs.try_clone().unwrap()))
            .stderr(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        let line = line_of(ours, "  Key  ");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(line.starts_with("20"), dated, "{line}");
    }
    // As the script of the card does, whose pipe leads to syslog.
    for (named, dated) in [("3", false), ("0", true)] {
        let script = format!(
            "run() {{ exec 3>&1; JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/{named}); \
             exec 3>&-; export JOURNAL_STREAM; exec \"$@\"; }}; \
             (run \"$@\" 2>&1 | cat; true) & wait"
        );
        let prefix = [&AS_INIT[..], &["sh", "-c", &script, "sh"]].concat();
        let mut child = serving(&prefix, &folder).stdout(Stdio::piped()).spawn().unwrap();
        let line = line_of(child.stdout.take().unwrap(), "  Key  ");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(line.starts_with("20"), dated, "{line}");
    }
    drop(fs::remove_dir_all(&folder));
}

#[test]
fn a_closed_terminal_does_not_end_the_server() {
    for err_to_file in [false, true] {
        let mut server = ByHand::start(err_to_file);
        // The kernel sends SIGHUP, and whatever is written from now on fails.
        server.screen = None;
        for turn in 0..20 {
            server.signal(Signal::HUP);
            let flags = format!("--max-peers {}", turn % 2);
            assert_eq!(server.reload(&flags).status.success(), turn % 2 == 1, "{turn}");
        }
        TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        assert!(server.terminate().success());
    }
}

/// Whether a NAT test is answered.
fn is_served(port: u16) -> bool {
    let served = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[0x0c, 0xa2, 0x01, 0x00])?;
        stream.read_exact(&mut [0; 3])
    });
    served.is_ok()
}

/// Fills what `to` leads to, as somebody does who writes and is not read.
fn fill(to: impl AsFd) {
    rustix::io::ioctl_fionbio(&to, true).unwrap();
    let mut idle = 0;
    // A terminal makes a little room after it had none.
    while idle < 5 {
        let wrote = [4096, 1].map(|bytes| rustix::io::write(&to, &vec![b'#'; bytes]).is_ok());
        idle = if wrote.contains(&true) { 0 } else { idle + 1 };
        thread::sleep(Duration::from_millis(if idle > 0 { 20 } else { 0 }));
    }
    rustix::io::ioctl_fionbio(&to, false).unwrap();
}

/// From the start on, of warnings and of all else.
#[test]
fn c149_a_pipe_that_nobody_reads_stops_nothing_and_what_is_lost_is_told() {
    for full in [[true, false], [false, true], [true, true]] {
        let folder = std::env::temp_dir().join(format!("hbb-unread-{}-{full:?}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("flags"), "--max-peers 9").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let pipes = full.map(|is_full| {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            if is_full {
                fill(&writer);
            }
            (reader, writer)
        });
        let [(out, out_in), (err, err_in)] = pipes;
        let child = Command::new(env!("CARGO_BIN_EXE_hbb"))
            .args(["serve", "--bind", "127.0.0.1", "--public", "127.0.0.1", "--single-port"])
            .args(["--flags", "flags", "--port", &port.to_string()])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(out_in)
            .stderr(err_in)
            .spawn()
            .unwrap();
        let mut server = ByHand { child, screen: None, shown: String::new(), port, folder };
        assert!(within(|| is_served(port).then_some(())).is_some(), "{full:?}: it does not serve");
        // More than one line, and longer than a moment: but for the first none is waited for.
        for turn in 0..20 {
            assert!(server.reload(&format!("--max-peers {turn}")).status.success() == (turn > 0));
        }
        // Once somebody reads, the next line says how many are missing.
        let readers = [File::from(out), File::from(err)].map(|pipe| {
            let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
            thread::spawn(move || lines.any(|line| line.contains(" lost=")))
        });
        for turn in 0..3 {
            thread::sleep(Duration::from_millis(100));
            assert!(server.reload(&format!("--max-peers {}", 9 - turn)).status.success());
        }
        assert!(server.terminate().success());
        let told = readers.map(|reader| reader.join().unwrap());
        assert!(told.contains(&true), "{full:?}: it does not say what is missing");
    }
}

/// Whose owner stopped it, or whose window hangs.
#[test]
fn c149_a_terminal_that_stands_still_stops_nothing() {
    for hangs in [false, true] {
        let mut server = ByHand::start(false);
        let screen = server.screen.as_mut().unwrap();
        match hangs {
            true => {
                let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
                fill(ioctl_tiocgptpeer(&*screen, flags).unwrap());
            }
            // Ctrl-S.
            false => screen.write_all(b"\x13").unwrap(),
        }
        for turn in 0..20 {
            let flags = format!("--max-peers {}", turn % 2);
            assert_eq!(server.reload(&flags).status.success(), turn % 2 == 1, "{turn}");
            assert!(is_served(server.port));
        }
        if !hangs {
            server.screen.as_mut().unwrap().write_all(b"\x11").unwrap();
        }
        let told = within(|| {
            assert!(server.reload("--max-peers 9").status.success());
            server.look().contains(" lost=").then_some(())
        });
        assert!(told.is_some(), "{}", server.shown);
        assert!(server.terminate().success());
    }
}

/// In a container, too.
#[test]
fn lines_for_a_pipe_that_somebody_typed_carry_the_time() {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let screen = openpt(flags).unwrap();
    grantpt(&screen).and_then(|()| unlockpt(&screen)).unwrap();
    let folder = scratch("typed");
    let mut server = serving(&AS_INIT, &folder);
    server.stdin(ioctl_tiocgptpeer(&screen, flags).unwrap()).stderr(Stdio::null());
    let mut child = server.stdout(Stdio::piped()).spawn().unwrap();
    let line = line_of(child.stdout.take().unwrap(), "info ready port=");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(fs::remove_dir_all(&folder));
    assert!(line.starts_with("20"), "{line}");
}

/// A name server may be silent for seconds.
#[test]
fn check_says_at_a_terminal_what_it_waits_for() {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let screen = openpt(flags).unwrap();
    grantpt(&screen).and_then(|()| unlockpt(&screen)).unwrap();
    let ports = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hbb"))
        .args(["check", "--public", "nowhere.invalid", "--relay-servers", "192.0.2.1"])
        .args(["--data", "/tmp", "--single-port", "--port"])
        .arg(ports.local_addr().unwrap().port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(ioctl_tiocgptpeer(&screen, flags).unwrap()))
        .spawn()
        .unwrap();
    let mut shown = String::new();
    BufReader::new(File::from(screen)).read_line(&mut shown).unwrap();
    // What was found before stands there by then.
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(shown, "asking the name server for nowhere.invalid, 6 s at most\r\n");
    assert_eq!(first, "ok       flags\n");
}
