//! Where log lines go: `level event key=value ...`, info and below to stdout, warn and error to
//! stderr, because procd takes a line's priority from the stream. Started by hand at a terminal,
//! simple_logger writes them there, with the time, which a supervisor adds by itself.
//! A warning is written once a minute per event, the next one counting those left out. A line that
//! cannot be written is dropped: a closed pipe or terminal or a full disk must not end a server.
//! Must not know any event. Checks: the tests below, tests/terminal.rs.

mod terminal;

use core::fmt::{self, Write as _};
use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

pub use ::log::LevelFilter;
use ::log::{Level, Log, Metadata, Record};

use hbb_core::base::text::is_invisible;
use hbb_core::base::time::Utc;
use terminal::Terminal;

/// Longest line; the rest of a longer one is cut.
const LINE_BYTES_MAX: usize = 1024;
/// Warnings of one event are at least this far apart.
const REPEAT_SECS: u64 = 60;
/// Events whose warnings are counted; one more takes the place of the oldest.
const EVENTS_MAX: usize = 16;

/// Starts logging. `now` gives seconds since 1970; it may jump. A second call changes nothing.
pub fn init(level: LevelFilter, now: fn() -> u64) {
    let terminal = Terminal::find().map(Mutex::new);
    let stamped = terminal.is_none() && io::stdout().is_terminal();
    let logger = Logger { now, terminal, stamped, repeats: Mutex::new(Repeats::default()) };
    if ::log::set_logger(Box::leak(Box::new(logger))).is_ok() {
        set_level(level);
    }
}

/// Changes what is logged from now on.
pub fn set_level(level: LevelFilter) {
    ::log::set_max_level(level);
}

struct Logger {
    now: fn() -> u64,
    /// Where lines go; None: to the two streams.
    terminal: Option<Mutex<Terminal>>,
    /// Whether lines for the streams carry the time: one of them is a terminal.
    stamped: bool,
    repeats: Mutex<Repeats>,
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
        if self.stamped {
            line.add(format_args!("{time} "));
        }
        if self.terminal.is_none() {
            line.add(format_args!("{} ", word(level)));
        }
        let start = line.length;
        line.add(*record.args());
        if level == Level::Warn {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            match repeats.admit(line.word_at(start), now) {
                None => return,
                Some(0) => {}
                Some(left_out) => line.add(format_args!(" repeated={left_out}")),
            }
        }
        drop(match &self.terminal {
            Some(terminal) => {
                let mut terminal = terminal.lock().unwrap_or_else(PoisonError::into_inner);
                terminal.write(level, &time.to_string(), &line.text())
            }
            None if level <= Level::Warn => io::stderr().write_all(line.end()),
            None => io::stdout().write_all(line.end()),
        });
    }

    fn flush(&self) {}
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

    /// The event's name, by a hash: equal words give equal numbers.
    fn word_at(&self, start: usize) -> u64 {
        let word = self.bytes.get(start..self.length).unwrap_or_default();
        let word = word.iter().take_while(|byte| **byte != b' ');
        word.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
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

/// When each event last warned, and how often it was left out since.
#[derive(Default)]
struct Repeats([Repeat; EVENTS_MAX]);

#[derive(Clone, Copy, Default)]
struct Repeat {
    event: u64,
    secs: u64,
    left_out: u64,
}

impl Repeats {
    /// How many warnings of `event` were left out before this one; None: leave this out too.
    fn admit(&mut self, event: u64, now: u64) -> Option<u64> {
        if let Some(known) = self.0.iter_mut().find(|known| known.event == event) {
            // A clock that was set back must not silence an event for years.
            if (known.secs..known.secs.saturating_add(REPEAT_SECS)).contains(&now) {
                known.left_out += 1;
                return None;
            }
            known.secs = now;
            return Some(core::mem::take(&mut known.left_out));
        }
        if let Some(oldest) = self.0.iter_mut().min_by_key(|known| known.secs) {
            *oldest = Repeat { event, secs: now, left_out: 0 };
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn an_event_warns_once_a_minute_and_counts_the_rest() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.admit(1, 1_000), Some(0));
        assert_eq!(repeats.admit(1, 1_000), None);
        assert_eq!(repeats.admit(1, 1_059), None);
        assert_eq!(repeats.admit(2, 1_059), Some(0));
        assert_eq!(repeats.admit(1, 1_060), Some(2));
        assert_eq!(repeats.admit(1, 1_061), None);
        assert_eq!(repeats.admit(1, 5), Some(1));
    }

    #[test]
    fn events_are_told_apart_by_their_first_word() {
        let event = |text: &str| {
            let mut line = Line::new();
            line.add(format_args!("warn {text}"));
            line.word_at(5)
        };
        assert_eq!(event("table-full table=peers"), event("table-full table=saves"));
        assert_ne!(event("table-full"), event("table-fuller"));
    }

    #[test]
    fn more_events_than_places_forget_the_oldest() {
        let mut repeats = Repeats::default();
        let count = u64::try_from(EVENTS_MAX).unwrap();
        for event in 1..=count + 1 {
            assert_eq!(repeats.admit(event, 1_000 + event), Some(0));
        }
        assert_eq!(repeats.admit(2, 1_020), None);
        assert_eq!(repeats.admit(1, 1_020), Some(0));
    }
}
