//! How often an event is written: its first lines within a minute, of which one network has a
//! share; the rest is counted, apart for the network that is named and for all others. Whoever may
//! send us datagrams could else fill a disk, or hide what another does. It must not know any event:
//! a line's first word is its name, to which a `reason=` right behind it belongs, and a `header=`;
//! the last word `from=`, `at=`, `waiting=`, `proxy=` or `what=` is its source, and `unproved` says
//! that this may be forged. C103, C111, C119, C123, C141.

use core::mem;
use core::net::IpAddr;

use ::log::{Level, LevelFilter, max_level};

/// The time that lines are counted in.
const WINDOW_SECS: u64 = 60;
/// Lines of one event within that time. A warning is one that calls for an operator: one of each
/// network is enough, or one if it names no source.
const WARNINGS_MAX: u32 = 4;
const LINES_MAX: u32 = 30;
/// Of these, lines that name a source in one network; of the last ones, which are for those who had
/// none yet, one.
const LINES_OF_SOURCE_MAX: u32 = 6;
const LAST_LINES: u32 = 10;
/// Lines of all events, and warnings, which no other lines can use up.
const LINES_IN_ALL_MAX: u32 = 120;
const WARNINGS_IN_ALL_MAX: u32 = 60;
/// With the level debug, somebody looks for something: so many times as much is written.
const DEBUG_FACTOR: u32 = 20;
/// Events that are counted; one more takes the place of the oldest. There are fewer.
const EVENTS_MAX: usize = 64;
/// What a source is named by.
const SOURCES: [&[u8]; 5] = [b"from=", b"at=", b"waiting=", b"proxy=", b"what="];
/// Pairs of event and source that are counted, as above.
const SOURCES_MAX: usize = 64;
/// What a line says whose source may be forged. Such lines are an event of their own: they take
/// none from sources that are real.
pub(super) const UNPROVED: &[u8] = b"unproved";

/// What tells a line from others, by hashes: equal words give equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spelling {
    /// Its first word, the second if that is its reason, a header that it is about, and whether its
    /// source is proved.
    event: u64,
    /// That and who is named as its source; the event itself if nobody is.
    source: u64,
}

impl Spelling {
    /// Of a line without level and time.
    pub(super) fn of<'l>(line: &'l [u8]) -> Self {
        let mut words = line.split(|byte| *byte == b' ');
        let mut event = hash(NOTHING, words.next().unwrap_or_default());
        // One event for many reasons, which it names first: each counts for itself. So does each
        // thing that one is about.
        if let Some(reason) = words.clone().next().filter(|word| word.starts_with(b"reason=")) {
            event = hash(event, reason);
        }
        for word in words.clone().filter(|word| word.starts_with(b"header=")) {
            event = hash(event, word);
        }
        if words.clone().next_back() == Some(UNPROVED) {
            event = hash(event, UNPROVED);
        }
        let named = |word: &'l [u8]| SOURCES.iter().find_map(|name| word.strip_prefix(*name));
        let source = words.filter_map(named).next_back();
        Self { event, source: source.map_or(event, |source| hash_source(event, source)) }
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
    /// Lines of all events, and warnings of all.
    all: Window,
    warnings: Window,
    events: [Window; EVENTS_MAX],
    sources: [Window; SOURCES_MAX],
}

/// How many lines of an event were left out before one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Of the same network (of nobody, where the line names none) since its last line.
    pub(super) own: u64,
    /// Of all others, and of networks that nothing was written of, since the event's last line.
    pub(super) others: u64,
}

/// Lines of one event, or of one source of it.
#[derive(Clone, Copy, Default)]
struct Window {
    kind: u64,
    /// When it began.
    secs: u64,
    /// Lines written in it.
    count: u32,
    /// The event's lines ever; of a source, when `lately` began.
    lines: u32,
    /// Lines left out since the last one that was written.
    left_out: u64,
    /// Of a source: lines left out since the event's last one.
    lately: u64,
    /// Of an event: whose warnings were written. No other event's lines take a network out here.
    warned: [u64; WARNINGS_MAX as usize],
}

impl Window {
    /// Whether fewer than `max` lines were written within the last minute.
    fn has_room(&mut self, now: u64, max: u32) -> bool {
        // A clock that was set back must not silence an event for years.
        if !(self.secs..self.secs.saturating_add(WINDOW_SECS)).contains(&now) {
            (self.secs, self.count) = (now, 0);
            self.warned = [0; WARNINGS_MAX as usize];
        }
        self.count < max
    }

    /// Counts a line that is left out, of a source if that is known.
    const fn leave_out(&mut self, source: Option<&mut Self>) {
        self.left_out += 1;
        let Some(source) = source else { return };
        if source.lines != self.lines {
            (source.lines, source.lately) = (self.lines, 0);
        }
        source.left_out += 1;
        source.lately += 1;
    }

    /// Counts a line of `source` that is written; gives what was left out before.
    fn write(&mut self, source: &mut Self) -> LeftOut {
        let lately = if source.lines == self.lines { source.lately } else { 0 };
        if let Some(warned) = self.warned.get_mut(self.count as usize) {
            *warned = source.kind;
        }
        self.lines = self.lines.wrapping_add(1);
        source.count += 1;
        self.count += 1;
        let others = mem::take(&mut self.left_out).saturating_sub(lately);
        LeftOut { own: mem::take(&mut source.left_out), others }
    }
}

impl Default for Repeats {
    fn default() -> Self {
        let none = Window::default();
        Self { all: none, warnings: none, events: [none; EVENTS_MAX], sources: [none; SOURCES_MAX] }
    }
}

impl Repeats {
    /// How many lines of this event were left out before this one; None: leave this out too.
    pub(super) fn admit(&mut self, level: Level, line: Spelling, now: u64) -> Option<LeftOut> {
        self.admit_some(
            level,
            line,
            now,
            if max_level() >= LevelFilter::Debug { DEBUG_FACTOR } else { 1 },
        )
    }

    fn admit_some(
        &mut self,
        level: Level,
        line: Spelling,
        now: u64,
        factor: u32,
    ) -> Option<LeftOut> {
        let Self { all, warnings, events, sources } = self;
        let (event, warning) = (place(events, line.event)?, level == Level::Warn);
        // Of a warning without a source one is enough; other lines have no shares then.
        let named = line.source != line.event;
        let (all, most, most_in_all) = match (warning, named) {
            (true, true) => (warnings, WARNINGS_MAX, WARNINGS_IN_ALL_MAX),
            (true, false) => (warnings, 1, WARNINGS_IN_ALL_MAX),
            (false, _) => (all, LINES_MAX * factor, LINES_IN_ALL_MAX * factor),
        };
        if !event.has_room(now, most) || !all.has_room(now, most_in_all) {
            // No reason to forget another source.
            let source = sources.iter_mut().find(|source| source.kind == line.source);
            event.leave_out(source);
            return None;
        }
        let source = place(sources, line.source)?;
        let first = event.count < (LINES_MAX - LAST_LINES) * factor;
        let share = if first { LINES_OF_SOURCE_MAX * factor } else { 1 };
        let fits = match (warning, named) {
            (true, _) => !event.warned.contains(&line.source),
            (false, true) => source.has_room(now, share),
            (false, false) => true,
        };
        if !fits {
            event.leave_out(Some(source));
            return None;
        }
        all.count += 1;
        Some(event.write(source))
    }
}

/// Where lines of this kind are counted. The oldest gives way to a new kind.
fn place(windows: &mut [Window], kind: u64) -> Option<&mut Window> {
    let known = windows.iter().position(|known| known.kind == kind);
    if known.is_none() {
        windows.rotate_right(1);
        *windows.first_mut()? = Window { kind, ..Window::default() };
    }
    windows.get_mut(known.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many lines were left out before this one: of its own network, and of others.
    fn at(repeats: &mut Repeats, level: Level, line: &str, now: u64) -> Option<(u64, u64)> {
        let left_out = repeats.admit_some(level, Spelling::of(line.as_bytes()), now, 1)?;
        Some((left_out.own, left_out.others))
    }

    fn info(repeats: &mut Repeats, line: &str, now: u64) -> Option<(u64, u64)> {
        at(repeats, Level::Info, line, now)
    }

    fn warning(repeats: &mut Repeats, line: &str, now: u64) -> Option<(u64, u64)> {
        at(repeats, Level::Warn, line, now)
    }

    #[test]
    fn an_event_warns_once_a_minute_and_counts_the_rest() {
        let mut repeats = Repeats::default();
        assert_eq!(warning(&mut repeats, "full table=a", 1_000), Some((0, 0)));
        assert_eq!(warning(&mut repeats, "full table=b", 1_000), None);
        assert_eq!(warning(&mut repeats, "full", 1_059), None);
        assert_eq!(warning(&mut repeats, "fuller", 1_059), Some((0, 0)));
        assert_eq!(warning(&mut repeats, "full", 1_060), Some((2, 0)));
        assert_eq!(warning(&mut repeats, "full", 1_061), None);
        assert_eq!(warning(&mut repeats, "full", 5), Some((1, 0)));
    }

    #[test]
    fn c119_each_reason_of_an_event_counts_for_itself() {
        let mut repeats = Repeats::default();
        let mut warning = |line, now| warning(&mut repeats, line, now);
        assert_eq!(warning("refused reason=full from=::1", 1_000), Some((0, 0)));
        assert_eq!(warning("refused reason=key from=::1", 1_000), Some((0, 0)));
        assert_eq!(warning("refused reason=full from=::2", 1_000), None);
        assert_eq!(warning("refused reason=full from=::2", 1_060), Some((1, 0)));
        // A reason that stands elsewhere is a value like any other.
        assert_eq!(warning("held peer=1 reason=a", 1_000), Some((0, 0)));
        assert_eq!(warning("held peer=1 reason=b", 1_000), None);
    }

    #[test]
    fn c103_each_header_that_a_proxy_lost_counts_for_itself() {
        let mut repeats = Repeats::default();
        let mut warning = |line, now| warning(&mut repeats, line, now);
        assert_eq!(warning("missing proxy=10.0.0.1 header=upgrade", 1_000), Some((0, 0)));
        assert_eq!(warning("missing proxy=10.0.0.1 header=upgrade", 1_001), None);
        assert_eq!(warning("missing proxy=10.0.0.1 header=x-real-ip help=a", 1_002), Some((0, 0)));
        // Nor does one proxy, or who passes for one, hide what is wrong with another.
        assert_eq!(warning("missing proxy=10.9.0.1 header=upgrade", 1_003), Some((0, 1)));
        assert_eq!(warning("not-trusted proxy=192.0.2.1 help='a b'", 1_004), Some((0, 0)));
        assert_eq!(warning("not-trusted proxy=10.0.0.1 help='a b'", 1_005), Some((0, 0)));
        assert_eq!(warning("missing proxy=10.0.0.1 header=upgrade", 1_060), Some((1, 0)));
    }

    #[test]
    fn c141_a_stranger_s_warning_hides_no_other_network_s() {
        let mut repeats = Repeats::default();
        let mut warning = |line: &str, now| warning(&mut repeats, line, now);
        assert_eq!(warning("held from=192.0.2.1", 1_000), Some((0, 0)));
        for host in 0..=255 {
            assert_eq!(warning(&format!("held from=192.0.2.{host}"), 1_001), None);
        }
        // Nor do those of another event, of however many networks.
        for net in 0..=255 {
            warning(&format!("refused from=10.0.{net}.1"), 1_002);
        }
        assert_eq!(warning("held from=192.0.2.9", 1_003), None);
        assert_eq!(warning("held from=198.51.100.7", 1_004), Some((0, 257)));
        assert_eq!(warning("held from=2001:db8::1", 1_005), Some((0, 0)));
        assert_eq!(warning("held from=2001:db9::1", 1_006), Some((0, 0)));
        assert_eq!(warning("held from=2001:dba::1", 1_007), None);
        assert_eq!(warning("held from=2001:dba::1", 1_060), Some((0, 1)));
    }

    #[test]
    fn c141_other_lines_use_up_no_warning_and_warnings_have_an_end() {
        let mut repeats = Repeats::default();
        for it in 0..1_000 {
            info(&mut repeats, &format!("added{} from=10.{it}.1.1", it % 10), 100);
        }
        assert_eq!(warning(&mut repeats, "held from=192.0.2.1", 101), Some((0, 0)));
        let mut warned =
            |it| warning(&mut repeats, &format!("event{} from=10.{it}.0.1", it % 40), 102);
        assert_eq!((0..1_000).filter(|it| warned(*it).is_some()).count(), 59);
    }

    #[test]
    fn c141_forged_claims_use_up_no_line_of_those_that_are_real() {
        let mut repeats = Repeats::default();
        let mut info = |line: &str, now| info(&mut repeats, line, now);
        for it in 0..1_000 {
            info(&format!("refused peer=1 from=10.{it}.1.1 unproved"), 100);
        }
        assert_eq!(info("refused peer=1 from=10.1.1.1", 101), Some((0, 0)));
        // Real ones of few networks leave the last lines to further ones.
        for it in 0..100 {
            info(&format!("added from=10.0.{}.1", it % 4), 100);
        }
        let mut added = |net| info(&format!("added from=10.1.{net}.1"), 101).is_some();
        assert_eq!((4..100).filter(|net| added(*net)).count(), 10);
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
    fn c141_what_was_left_out_is_counted_apart_for_one_network_and_for_others() {
        let mut repeats = Repeats::default();
        let first = (0..10).filter_map(|_| info(&mut repeats, "a from=1.1.1.1", 100));
        assert_eq!(first.collect::<Vec<_>>(), [(0, 0); 6]);
        let mut info = |line, now| info(&mut repeats, line, now);
        assert_eq!(info("a from=1.1.2.1", 100), Some((0, 4)));
        assert_eq!(info("a from=1.1.2.1", 100), Some((0, 0)));
        assert_eq!(info("b", 100), Some((0, 0)));
        assert_eq!(info("a from=1.1.1.1", 110), None);
        // Its own since its last line, those of others since the event's.
        assert_eq!(info("a from=1.1.1.1", 160), Some((5, 0)));
        assert_eq!(info("a from=1.1.2.1", 161), Some((0, 0)));
    }
}
