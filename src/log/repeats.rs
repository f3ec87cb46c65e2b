//! How often an event is written: its first lines within a minute, and fewer of them if one network
//! causes them all; the rest is counted. Whoever may send us datagrams could else fill a disk. It
//! must not know any event: a line's first word is its name, to which a `reason=` right behind it
//! belongs; the last word `from=`, `at=` or `waiting=` is its source. C111, C119, C123.

use core::mem;
use core::net::IpAddr;

use ::log::{Level, LevelFilter, max_level};

/// The time that lines are counted in.
const WINDOW_SECS: u64 = 60;
/// Lines of one event within that time. A warning is one that calls for an operator, and once is
/// enough.
const WARNINGS_MAX: u32 = 1;
const LINES_MAX: u32 = 30;
/// Of these, lines that name a source in one network.
const LINES_OF_SOURCE_MAX: u32 = 6;
/// Lines of all events.
const LINES_IN_ALL_MAX: u32 = 120;
/// With the level debug, somebody looks for something: so many times as much is written.
const DEBUG_FACTOR: u32 = 20;
/// Events that are counted; one more takes the place of the oldest. There are fewer.
const EVENTS_MAX: usize = 64;
/// What a source is named by.
const SOURCES: [&[u8]; 3] = [b"from=", b"at=", b"waiting="];
/// Pairs of event and source that are counted, as above.
const SOURCES_MAX: usize = 64;

/// What tells a line from others, by hashes: equal words give equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spelling {
    /// Its first word, and the second if that is its reason.
    event: u64,
    /// That and who is named as its source.
    source: Option<u64>,
}

impl Spelling {
    /// Of a line without level and time.
    pub(super) fn of<'l>(line: &'l [u8]) -> Self {
        let mut words = line.split(|byte| *byte == b' ');
        let mut event = hash(NOTHING, words.next().unwrap_or_default());
        // One event for many reasons, which it names first: each counts for itself.
        if let Some(reason) = words.clone().next().filter(|word| word.starts_with(b"reason=")) {
            event = hash(event, reason);
        }
        let named = |word: &'l [u8]| SOURCES.iter().find_map(|name| word.strip_prefix(*name));
        let source = words.filter_map(named).next_back();
        Self { event, source: source.map(|source| hash_source(event, source)) }
    }
}

/// By its network, an IPv4 /24 or an IPv6 /48, as who has one address has many; a source that is no
/// address by its text.
fn hash_source(event: u64, text: &[u8]) -> u64 {
    let address = str::from_utf8(address(text)).ok().and_then(|text| text.parse().ok());
    match address {
        Some(IpAddr::V4(v4)) => hash(event, &v4.octets()[..3]),
        Some(IpAddr::V6(v6)) => hash(event, &v6.octets()[..6]),
        None => hash(event, text),
    }
}

/// An address without its port.
fn address(source: &[u8]) -> &[u8] {
    let (source, end) = match source {
        [b'[', rest @ ..] => (rest, b']'),
        _ if source.contains(&b'.') => (source, b':'),
        _ => return source,
    };
    source.split(|byte| *byte == end).next().unwrap_or_default()
}

const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

fn hash(before: u64, word: &[u8]) -> u64 {
    word.iter().fold(before, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What was written of late.
pub(super) struct Repeats {
    all: Window,
    events: [Window; EVENTS_MAX],
    sources: [Window; SOURCES_MAX],
}

/// Lines of one kind.
#[derive(Clone, Copy, Default)]
struct Window {
    kind: u64,
    /// When it began.
    secs: u64,
    /// Lines written in it.
    count: u32,
    /// Lines left out since the last one that was written.
    left_out: u64,
}

impl Window {
    /// Whether fewer than `max` lines were written within the last minute.
    fn has_room(&mut self, now: u64, max: u32) -> bool {
        // A clock that was set back must not silence an event for years.
        if !(self.secs..self.secs.saturating_add(WINDOW_SECS)).contains(&now) {
            (self.secs, self.count) = (now, 0);
        }
        self.count < max
    }
}

impl Default for Repeats {
    fn default() -> Self {
        let none = Window::default();
        Self { all: none, events: [none; EVENTS_MAX], sources: [none; SOURCES_MAX] }
    }
}

impl Repeats {
    /// How many lines of this event were left out before this one; None: leave this out too.
    pub(super) fn admit(&mut self, level: Level, line: Spelling, now: u64) -> Option<u64> {
        self.admit_some(
            level,
            line,
            now,
            if max_level() >= LevelFilter::Debug { DEBUG_FACTOR } else { 1 },
        )
    }

    fn admit_some(&mut self, level: Level, line: Spelling, now: u64, factor: u32) -> Option<u64> {
        let event = place(&mut self.events, line.event)?;
        let most = if level == Level::Warn { WARNINGS_MAX } else { LINES_MAX * factor };
        let room = event.has_room(now, most) && self.all.has_room(now, LINES_IN_ALL_MAX * factor);
        // Warnings name a source too, but one a minute has no shares.
        let source = line.source.filter(|_| level != Level::Warn);
        let source = source.and_then(|source| place(&mut self.sources, source));
        let room = room
            & source.is_none_or(|source| {
                let fits = source.has_room(now, LINES_OF_SOURCE_MAX * factor);
                source.count += u32::from(fits && room);
                fits
            });
        if !room {
            event.left_out += 1;
            return None;
        }
        event.count += 1;
        self.all.count += 1;
        Some(mem::take(&mut event.left_out))
    }
}

/// Where lines of this kind are counted. The oldest gives way to a new kind.
fn place(windows: &mut [Window], kind: u64) -> Option<&mut Window> {
    let known = windows.iter().position(|known| known.kind == kind);
    if known.is_none() {
        let oldest = windows.iter_mut().min_by_key(|known| known.secs)?;
        *oldest = Window { kind, ..Window::default() };
    }
    windows.iter_mut().find(|known| known.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(repeats: &mut Repeats, line: &str, now: u64) -> Option<u64> {
        repeats.admit_some(Level::Info, Spelling::of(line.as_bytes()), now, 1)
    }

    fn warning(repeats: &mut Repeats, line: &str, now: u64) -> Option<u64> {
        repeats.admit_some(Level::Warn, Spelling::of(line.as_bytes()), now, 1)
    }

    #[test]
    fn an_event_warns_once_a_minute_and_counts_the_rest() {
        let mut repeats = Repeats::default();
        assert_eq!(warning(&mut repeats, "full table=a", 1_000), Some(0));
        assert_eq!(warning(&mut repeats, "full table=b from=::1", 1_000), None);
        assert_eq!(warning(&mut repeats, "full", 1_059), None);
        assert_eq!(warning(&mut repeats, "fuller", 1_059), Some(0));
        assert_eq!(warning(&mut repeats, "full", 1_060), Some(2));
        assert_eq!(warning(&mut repeats, "full", 1_061), None);
        assert_eq!(warning(&mut repeats, "full", 5), Some(1));
    }

    #[test]
    fn c119_each_reason_of_an_event_counts_for_itself() {
        let mut repeats = Repeats::default();
        assert_eq!(warning(&mut repeats, "refused reason=full from=::1", 1_000), Some(0));
        assert_eq!(warning(&mut repeats, "refused reason=key from=::1", 1_000), Some(0));
        assert_eq!(warning(&mut repeats, "refused reason=full from=::2", 1_000), None);
        assert_eq!(warning(&mut repeats, "refused reason=full from=::2", 1_060), Some(1));
        // A reason that stands elsewhere is a value like any other.
        assert_eq!(warning(&mut repeats, "held peer=1 reason=a", 1_000), Some(0));
        assert_eq!(warning(&mut repeats, "held peer=1 reason=b", 1_000), None);
    }

    #[test]
    fn c111_one_source_leaves_room_for_others_and_all_have_an_end() {
        let mut repeats = Repeats::default();
        let mut written = |from: &str, event: &str, now| {
            let line = format!("{event} peer=1 from={from}");
            (0..1_000).filter(|_| info(&mut repeats, &line, now).is_some()).count()
        };
        assert_eq!(written("192.0.2.1:5", "refused", 100), 6);
        assert_eq!(written("192.0.2.1:6", "refused", 101), 0);
        assert_eq!(written("2001:db8::1", "refused", 102), 6);
        let all: usize = (3..90).map(|it| written(&format!("192.0.{it}.1"), "refused", 103)).sum();
        assert_eq!(all, 30 - 12);
        let all: usize = (0..90).map(|it| written("[::1]:1", &format!("event{it}"), 104)).sum();
        assert_eq!(all, 120 - 30);
        assert_eq!(written("192.0.2.1:7", "refused", 160), 6);
    }

    #[test]
    fn c123_a_network_is_one_source_whatever_word_names_it() {
        let mut repeats = Repeats::default();
        let mut written = |lines: &dyn Fn(u16) -> String, now| {
            (0..100).filter(|it| info(&mut repeats, &lines(*it), now).is_some()).count()
        };
        assert_eq!(written(&|it| format!("added peer={it} from=192.0.2.{it}"), 100), 6);
        assert_eq!(written(&|it| format!("added peer={it} from=192.0.3.{it}:5"), 100), 6);
        assert_eq!(written(&|it| format!("added peer={it} from=2001:db8:1:{it}::5"), 100), 6);
        assert_eq!(written(&|it| format!("added from=[2001:db8:1:{it}::5]:7"), 100), 0);
        assert_eq!(written(&|it| format!("renamed from={it} at=192.0.2.{it}"), 100), 6);
        assert_eq!(written(&|it| format!("differs waiting=192.0.2.{it} help='a b'"), 100), 6);
        assert_eq!(written(&|it| format!("forged from=10.1.{it}.1"), 100), 30);
    }

    #[test]
    fn c111_what_was_left_out_is_counted_on_the_next_line_of_the_event() {
        let mut repeats = Repeats::default();
        let first = (0..10).filter_map(|_| info(&mut repeats, "a from=1.1.1.1", 100));
        assert_eq!(first.collect::<Vec<_>>(), [0; 6]);
        assert_eq!(info(&mut repeats, "a from=1.1.2.1", 100), Some(4));
        assert_eq!(info(&mut repeats, "a from=1.1.2.1", 100), Some(0));
        assert_eq!(info(&mut repeats, "b", 100), Some(0));
    }
}
