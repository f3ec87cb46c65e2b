//! The real binary started by hand: what a terminal shows of it, and that closing the terminal
//! neither ends the server nor stops a reload; nor does a log that nobody reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
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
            .envs([("TERM", "xterm")])
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

/// What a server says whose stdout is a file and whose stderr a pipe, or the other way round.
fn files_and_pipes(out_to_file: bool) -> (String, String) {
    let folder = std::env::temp_dir().join(format!("hbb-dated-{}-{out_to_file}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("file");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new(env!("CARGO_BIN_EXE_hbb"));
    server.args(["serve", "--bind", "127.0.0.1", "--public", "127.0.0.1", "--single-port"]);
    server.args(["--port", &port.to_string()]).current_dir(&folder);
    let to_file = Stdio::from(File::create(&file).unwrap());
    match out_to_file {
        true => server.stdout(to_file).stderr(Stdio::piped()),
        false => server.stdout(Stdio::piped()).stderr(to_file),
    };
    let mut child = server.spawn().unwrap();
    within(|| folder.join("hbb.sock").exists().then_some(())).expect("a server that runs");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut out).unwrap());
    child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut err).unwrap());
    child.wait().unwrap();
    let said = fs::read_to_string(&file).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    (said, out + &err)
}

/// OpenRC and nohup give a server files; procd, systemd and Docker pipes and sockets, and each of
/// those notes by itself when a line came.
#[test]
fn lines_in_a_file_are_dated_and_those_in_a_pipe_are_not() {
    let line = |text: &str, part: &str| {
        text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    for (out_to_file, [in_file, in_pipe]) in
        [(true, ["info ready ", "warn setting-"]), (false, ["warn setting-", "info ready "])]
    {
        let (file, pipe) = files_and_pipes(out_to_file);
        let dated = line(&file, in_file);
        let (date, rest) = dated.split_at(20);
        assert!(date.starts_with("20") && date.contains(':'), "{dated}");
        assert!(rest.starts_with(in_file), "{dated}");
        // What is no event carries it too.
        let undated = file.lines().find(|line| !line.starts_with("20") || line.len() < 20);
        assert_eq!(undated, None);
        let told = line(if out_to_file { &file } else { &pipe }, "  Key  ");
        assert_eq!(told.starts_with("20"), out_to_file, "{told}");
        assert!(line(&pipe, in_pipe).starts_with(in_pipe), "{pipe}");
    }
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

#[test]
fn lines_for_a_pipe_that_somebody_typed_carry_the_time() {
    for (typed, dated) in [(true, true), (false, false)] {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = openpt(flags).unwrap();
        grantpt(&screen).and_then(|()| unlockpt(&screen)).unwrap();
        let folder = std::env::temp_dir().join(format!("hbb-pipe-{}-{typed}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let stdin = match typed {
            true => ioctl_tiocgptpeer(&screen, flags).unwrap().into(),
            false => Stdio::null(),
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(env!("CARGO_BIN_EXE_hbb"))
            .args(["serve", "--bind", "127.0.0.1", "--public", "127.0.0.1", "--single-port"])
            .args(["--port", &port.to_string()])
            .current_dir(&folder)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.into_iter().find(|line| line.contains("info ready port=")).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(line.starts_with("20"), dated, "{line}");
    }
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
