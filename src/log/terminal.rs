//! Lines for a person at a terminal, written by simple_logger, with levels in colour.
//! simple_logger prints with a macro that panics when stdout fails, and a terminal does that as
//! soon as it is closed, before SIGHUP is even delivered. So stdout is a pipe of our own, which
//! cannot fail, while it prints; what comes out of that is copied to the terminal, if there still
//! is one, and has room for it: a terminal may be stopped, or its window hang. The colours are
//! added there: simple_logger takes them from a crate under the MPL, which also reads the
//! environment. Must not know any event. Checks: tests/terminal.rs.

use std::env::var_os;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use ::log::{Level, Log as _, Record};
use rustix::fs::{FileType, OFlags, Stat, fstat};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::stdio::dup2_stdout;
use simple_logger::SimpleLogger;

use super::has_colours;

/// Room for one line with its time and level: the smallest pipe holds 4096 bytes.
const PRINTED_BYTES_MAX: usize = 2048;
/// A line begins with its level, in this many bytes.
const LEVEL_BYTES: usize = 5;
const COLOUR_END: &[u8] = b"\x1b[0m";

/// A terminal that both streams lead to.
pub(super) struct Terminal {
    printer: SimpleLogger,
    /// Stdout as it was found.
    terminal: OwnedFd,
    /// The same, opened anew where that is allowed: writing never waits there, as it must for
    /// others who have what was found.
    screen: File,
    printed_in: OwnedFd,
    printed: File,
    has_colours: bool,
}

impl Terminal {
    /// The terminal this process was started at; None if a stream leads anywhere else, so that
    /// whoever sorts lines by stream finds them there.
    pub(super) fn find() -> Option<Self> {
        if !io::stdout().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let terminal = fcntl_dupfd_cloexec(io::stdout().as_fd(), 3).ok()?;
        let at_once = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let opened = OpenOptions::new().write(true).custom_flags(at_once).open("/proc/self/fd/1");
        let screen = opened.or_else(|_| terminal.try_clone().map(File::from)).ok()?;
        let (printed, printed_in) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let printer = SimpleLogger::new();
        let has_colours = has_colours();
        Some(Self { printer, terminal, screen, printed_in, printed: printed.into(), has_colours })
    }

    /// What lines are written to.
    pub(super) fn screen(&self) -> BorrowedFd<'_> {
        self.screen.as_fd()
    }

    /// Writes one line; `time` takes the place of a module's name.
    ///
    /// # Errors
    /// What the terminal says, which may be gone.
    pub(super) fn write(&mut self, level: Level, time: &str, line: &str) -> io::Result<()> {
        dup2_stdout(&self.printed_in)?;
        self.printer
            .log(&Record::builder().level(level).target(time).args(format_args!("{line}")).build());
        dup2_stdout(&self.terminal)?;
        let mut bytes = [0; PRINTED_BYTES_MAX];
        let length = self.printed.read(&mut bytes)?;
        let printed = bytes.get(..length).unwrap_or_default();
        let (name, rest) = printed.split_at_checked(LEVEL_BYTES).unwrap_or_default();
        let coloured = [colour(level), name, COLOUR_END, rest].concat();
        self.screen.write_all(if self.has_colours { &coloured } else { printed })
    }
}

/// Whether a stream leads to a file, where nobody notes when a line came.
pub(super) fn is_plain_file(stream: &impl AsFd) -> bool {
    fstat(stream).is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_file())
}

/// Whether a stream leads to systemd's journal, or to who says so in the same manner: the variable
/// has the numbers of what leads there, of stderr if that and stdout are two sockets.
pub(super) fn is_of_journal(stream: &impl AsFd) -> bool {
    let Some(named) = var_os("JOURNAL_STREAM") else { return false };
    let is_named = |stream: BorrowedFd<'_>| {
        let numbers = fstat(stream).map(|found| format!("{}:{}", found.st_dev, found.st_ino));
        numbers.is_ok_and(|numbers| *named == *numbers)
    };
    let is_socket = |found: Stat| FileType::from_raw_mode(found.st_mode).is_socket();
    is_named(stream.as_fd()) || fstat(stream).is_ok_and(is_socket) && is_named(io::stderr().as_fd())
}

const fn colour(level: Level) -> &'static [u8] {
    match level {
        Level::Error => b"\x1b[31m",
        Level::Warn => b"\x1b[33m",
        Level::Info => b"\x1b[36m",
        Level::Debug => b"\x1b[35m",
        Level::Trace => b"\x1b[37m",
    }
}
