//! Where log lines go: `level event key=value ...`, info and below to stdout, warn and error to
//! stderr, because procd takes a line's priority from the stream. Started by hand at a terminal,
//! simple_logger writes them there. Lines carry the time wherever nobody is known to add it: not
//! in a pipe or socket of systemd's journal, of procd or of a container, but in any other (cron,
//! `nohup`, `hbb serve | cat`), in a file (OpenRC) and at a terminal.
//! What strangers can cause is written so often a minute and no more, the next line counting those
//! left out (`repeats.rs`); what an operator did ([`OPERATOR`]) and errors always are. A line that
//! cannot be written is dropped: a closed pipe or terminal or a full disk must not end a server,
//! and a pipe that nobody reads, or a terminal that stands still, must not stop one. Of lines that
//! were dropped for that the next one tells the number, `lost=`.
//! Must not know any event, but makes one: `call-refused`, of lines whose cause is that (C143).
//! Checks: C111, C143, C149, the tests below, tests/terminal.rs.

mod repeats;
mod terminal;

use core::fmt::{self, Write as _};
use std::borrow::Cow;
use std::env::var_os;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::parent_id;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

pub use ::log::LevelFilter;
use ::log::{Level, Log, Metadata, Record, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;

use hbb_core::base::text::is_invisible;
use hbb_core::base::time::Utc;
use repeats::{LeftOut, Repeats, Spelling};
use terminal::{Terminal, is_of_journal, is_plain_file};

/// Longest line; the rest of a longer one is cut.
const LINE_BYTES_MAX: usize = 1024;
/// How long whoever reads may take to make room. Only the first line that finds none waits: those
/// behind it are dropped at once. A serial line prints a greeting in this time.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
/// Longest word that tells how many.
const COUNT_BYTES: usize = 24;
/// The target of lines that an operator's act led to: all of them are written.
pub const OPERATOR: &str = "hbb::operator";

/// How the system words that there is no such call; seccomp answers so to what is off the list.
const NO_SUCH_CALL: &[u8] = b"(os error 38)";
const REFUSED_HELP: &str = "off the list of system calls of hbb, or unknown to this kernel: report \
                            it with what strace -f -Z -p PID shows";

/// Starts logging. `now` gives seconds since 1970; it may jump. A second call changes nothing.
pub fn init(level: LevelFilter, now: fn() -> u64) {
    let terminal = Terminal::find().map(Mutex::new);
    let stamped = match terminal {
        Some(_) => [false; 2],
        None => [is_undated(&io::stdout()), is_undated(&io::stderr())],
    };
    let (repeats, lost) = (Mutex::new(Repeats::default()), AtomicU32::new(0));
    let logger = Logger { now, terminal, stamped, repeats, lost };
    if ::log::set_logger(Box::leak(Box::new(logger))).is_ok() {
        set_level(level);
    }
}

/// Whether stdout is a terminal that shows colours, as far as it and its user tell.
pub fn has_colours() -> bool {
    io::stdout().is_terminal()
        && var_os("NO_COLOR").is_none()
        && var_os("TERM").is_none_or(|kind| kind != "dumb")
}

/// Whether nobody is known to add the time to what is written there: who does gives no terminal to
/// read from, and no file.
fn is_undated(stream: &impl AsFd) -> bool {
    io::stdout().is_terminal()
        || stdin().is_terminal()
        || is_plain_file(stream)
        || !(is_of_init() || is_of_journal(stream))
}

/// Whether process 1 started us, as procd and systemd are and what starts a container's program, or
/// we are that, in a container or in a jail of procd's.
fn is_of_init() -> bool {
    process::id() == 1 || parent_id() == 1
}

/// Text for stdout, which carries the time in each line wherever log lines do. Not for once the
/// list of system calls is in force.
pub fn dated(text: &str, now: u64) -> String {
    let for_person = io::stdout().is_terminal() && io::stderr().is_terminal();
    if for_person || !is_undated(&io::stdout()) {
        return text.into();
    }
    let time = Utc { unix_secs: now };
    let mut dated = String::new();
    for line in text.lines() {
        dated.push_str(&format!("{time} {line}\n"));
    }
    dated
}

/// Changes what is logged from now on.
pub fn set_level(level: LevelFilter) {
    ::log::set_max_level(level);
}

/// Writes to stdout what is no line of a log, if whoever reads makes room for it and the disk does.
pub fn show(text: &str) {
    let mut out = io::stdout();
    if has_room(out.as_fd(), PATIENCE) {
        drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }
}

struct Logger {
    now: fn() -> u64,
    /// Where lines go; None: to the two streams.
    terminal: Option<Mutex<Terminal>>,
    /// Whether lines for stdout carry the time, and those for stderr.
    stamped: [bool; 2],
    repeats: Mutex<Repeats>,
    /// Lines that found no room since the last that was written.
    lost: AtomicU32,
}

impl Log for Logger {
    /// Only our own lines: what libraries have to say is no event an operator could know.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("hbb")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (level, now) = (record.level(), (self.now)());
        let time = Utc { unix_secs: now };
        let mut line = Line::new();
        let [out, err] = self.stamped;
        let stamped = if level <= Level::Warn { err } else { out };
        if stamped {
            line.add(format_args!("{time} "));
        }
        if self.terminal.is_none() {
            line.add(format_args!("{} ", word(level)));
        }
        let start = line.length;
        line.add(*record.args());
        line.keep_quotes(start);
        if level > Level::Error && record.target() != OPERATOR {
            let spelling = Spelling::of(line.bytes_from(start));
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            match repeats.admit(level, spelling, now) {
                None => return,
                Some(LeftOut { own, others }) => {
                    line.add_count("repeated", own);
                    line.add_count("others", others);
                }
            }
        }
        let refused = line.names_no_such_call();
        let event = line.bytes_from(start).split(|byte| *byte == b' ').next().unwrap_or_default();
        let event = refused.then(|| String::from_utf8_lossy(event).into_owned());
        self.write(level, &time, &mut line);
        if let Some(event) = event {
            warn!("call-refused what={event} help='{REFUSED_HELP}'");
        }
    }

    fn flush(&self) {}
}

impl Logger {
    fn write(&self, level: Level, time: &Utc, line: &mut Line) {
        let mut terminal =
            self.terminal.as_ref().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
        let (out, err) = (io::stdout(), io::stderr());
        let stream = match &terminal {
            Some(terminal) => terminal.screen(),
            None if level <= Level::Warn => err.as_fd(),
            None => out.as_fd(),
        };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if !has_room(stream, if lost > 0 { Timespec::default() } else { PATIENCE }) {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
            return;
        }
        // A line that is cut has no room to tell.
        let is_told = line.length < LINE_BYTES_MAX - COUNT_BYTES;
        line.add_count("lost", if is_told { lost.into() } else { 0 });
        let written = match &mut terminal {
            Some(terminal) => terminal.write(level, &time.to_string(), &line.text()),
            None if level <= Level::Warn => err.lock().write_all(line.end()),
            None => out.lock().write_all(line.end()),
        };
        // It may have found room for a part.
        let is_cut = written.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        if is_cut || !is_told {
            self.lost.fetch_add(lost + u32::from(is_cut), Ordering::Relaxed);
        }
    }
}

/// Whether a line can be written, within so long: a pipe that says so takes 4096 bytes.
fn has_room(stream: BorrowedFd<'_>, within: Timespec) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
    match poll(&mut polled, Some(&within)) {
        Ok(ready) => ready > 0,
        Err(error) => error != Errno::INTR,
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// One line in the making, on the stack. Characters that nobody sees, or that turn the direction of
/// the rest, become `?`: a line stays a line and reads as it stands.
struct Line {
    bytes: [u8; LINE_BYTES_MAX],
    length: usize,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; LINE_BYTES_MAX], length: 0 }
    }

    fn add(&mut self, text: fmt::Arguments<'_>) {
        // Fails only if a value's own formatting does; the line then ends there.
        let _ = self.write_fmt(text);
    }

    fn add_count(&mut self, name: &str, count: u64) {
        if count > 0 {
            self.add(format_args!(" {name}={count}"));
        }
    }

    /// A value in quotes ends at the line's end or before the next `name=`: quotes within it, as
    /// errors have them, become double ones, so that a script can take it apart.
    fn keep_quotes(&mut self, start: usize) {
        let Some(text) = self.bytes.get_mut(start..self.length) else { return };
        let mut is_open = false;
        for at in 0..text.len() {
            let (before, rest) = text.split_at_mut(at);
            let Some((quote @ b'\'', rest)) = rest.split_first_mut() else { continue };
            if !is_open {
                is_open = before.last() == Some(&b'=');
            } else if is_end(rest) {
                is_open = false;
            } else {
                *quote = b'"';
            }
        }
    }

    fn names_no_such_call(&self) -> bool {
        self.bytes_from(0).windows(NO_SUCH_CALL.len()).any(|part| part == NO_SUCH_CALL)
    }

    fn bytes_from(&self, start: usize) -> &[u8] {
        self.bytes.get(start..self.length).unwrap_or_default()
    }

    fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes.get(..self.length).unwrap_or_default())
    }

    fn end(&mut self) -> &[u8] {
        let last = self.length.min(LINE_BYTES_MAX - 1);
        if let Some(byte) = self.bytes.get_mut(last) {
            *byte = b'\n';
        }
        self.bytes.get(..=last).unwrap_or_default()
    }
}

/// Whether a value is over before `rest`.
fn is_end(rest: &[u8]) -> bool {
    let Some((b' ', name)) = rest.split_first() else { return rest.is_empty() };
    let is_name = |byte: &u8| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_');
    let length = name.iter().take_while(|byte| is_name(byte)).count();
    name == repeats::UNPROVED || (length > 0 && name.get(length) == Some(&b'='))
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let end = self.length.saturating_add(text.len());
        if let Some(place) = self.bytes.get_mut(self.length..end).filter(|_| plain) {
            place.copy_from_slice(text.as_bytes());
            self.length = end;
            return Ok(());
        }
        for c in text.chars() {
            let c = if is_invisible(c) { '?' } else { c };
            let room = self.bytes.get_mut(self.length..).unwrap_or_default();
            // A character that does not fit ends the line.
            let Some(place) = room.get_mut(..c.len_utf8()) else {
                self.length = LINE_BYTES_MAX;
                return Ok(());
            };
            c.encode_utf8(place);
            self.length += c.len_utf8();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_quotes_has_none_within() {
        for (said, written) in [
            ("a cause='no 'x' there'", "a cause='no \"x\" there'"),
            ("a cause='it's 'x'' count=2", "a cause='it\"s \"x\"' count=2"),
            (
                "a help='hbb check' cause='--key 'x': y'",
                "a help='hbb check' cause='--key \"x\": y'",
            ),
            ("a peer=o'neill cause='x'", "a peer=o'neill cause='x'"),
            ("a cause='", "a cause='"),
            ("a cause=''", "a cause=''"),
            ("a help='b, c' unproved", "a help='b, c' unproved"),
        ] {
            let mut line = Line::new();
            line.add(format_args!("{said}"));
            line.keep_quotes(0);
            assert_eq!(line.text(), written);
        }
    }

    #[test]
    fn a_line_stays_one_line_of_bounded_length() {
        let mut line = Line::new();
        line.add(format_args!("warn a b=x\ny\u{1b}[0m"));
        assert_eq!(line.end(), b"warn a b=x?y?[0m\n");
        let mut line = Line::new();
        line.add(format_args!("warn a b=\u{202e}x\u{2028}\u{85}é"));
        assert_eq!(line.text(), "warn a b=?x??é");
        line.add(format_args!("{}", "x".repeat(2 * LINE_BYTES_MAX)));
        assert_eq!((line.end().len(), line.end().last()), (LINE_BYTES_MAX, Some(&b'\n')));
    }
}
