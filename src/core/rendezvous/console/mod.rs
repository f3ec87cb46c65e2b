//! The words of upstream's console that this server understands, for scripts that know it
//! (protocol §6.1). It must not know who may speak to it: the shell asks. C76, C161.

mod journal;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::net::IpAddr;

use super::Rendezvous;
use super::policy::{Ends, Policy};
use crate::base::address::canonical;
use crate::base::limits::{CONSOLE_CHANGES_MS, CONSOLE_LINES, CONSOLE_SEEN_MS};
use crate::base::table::Seed;
use crate::base::time::{Time, Utc};
use journal::Row;
pub(super) use journal::{Dialled, Journal};

/// What `h` prints: all that upstream's knows. `rg` does nothing there either.
const HELP: &str = "\
relay-servers(rs) <separated by ,>
reload-geo(rg)
ip-blocker(ib) [<ip>|<number>] [-]
ip-changes(ic) [<id>|<number>] [-]
punch-requests(pr) [<number>] [<count>] [-]
always-use-relay(aur) <Y/N>
test-geo(tg) <ip1> <ip2>
";
/// Larger numbers are ids.
const NUMBER_MAX: usize = 10_000_000;

/// What a console command led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleAnswer {
    /// The text to answer; empty for setters and for what is not understood.
    pub text: String,
    /// Relays to hand out from now on, if the command changed them.
    pub relays: Option<Vec<String>>,
}

/// A list of the journal's pairs, those that are equal in one line.
struct Listing {
    order: fn(&Row<'_>, &Row<'_>) -> Ordering,
    name: fn(&Row<'_>) -> String,
    text: fn(&[Row<'_>], Time) -> String,
    /// Whether the pair was forgotten, which the other list may still have.
    is_forgotten: fn(&Row<'_>) -> bool,
    /// Pairs are stale after this.
    ms: u64,
    /// So many of them make a line.
    least: usize,
}

/// `ib`: each address, with what it asked for.
const ADDRESSES: Listing = Listing {
    order: |one, other| one.ip.cmp(&other.ip),
    name: |row| row.ip.to_string(),
    text: asked,
    is_forgotten: |row| row.seen.in_minute == 0,
    ms: CONSOLE_SEEN_MS,
    least: 1,
};
/// `ic`: each id that was at several addresses.
const CHANGES: Listing = Listing {
    order: |one, other| one.id.cmp(other.id),
    name: |row| row.id.as_str().into(),
    text: addresses,
    is_forgotten: |row| row.seen.hits == 0,
    ms: CONSOLE_CHANGES_MS,
    least: 2,
};

impl Rendezvous {
    /// Keeps from now on what the console tells of the past.
    pub fn keep_journal(&mut self, seed: Seed) {
        self.journal.get_or_insert_with(|| Box::new(Journal::new(seed)));
    }

    /// Puts what was last set here, or at start, in place of what a policy says of it: who
    /// changes a limit or a ban changes nothing else (C76).
    pub fn keep_typed(&self, policy: &mut Policy) {
        policy.relays = self.policy.relays.clone();
        policy.always_relay = self.policy.always_relay;
    }

    /// Carries out one line. `relays` reads a list as the flag does. A reload of the flags file
    /// undoes what was set here, and nothing else does.
    pub fn console(
        &mut self,
        now: Time,
        line: &str,
        relays: fn(&str) -> Option<Vec<String>>,
    ) -> ConsoleAnswer {
        let mut words = line.split_whitespace();
        let (command, argument) = (words.next().unwrap_or_default(), words.next());
        let more = words.next();
        let text = match (command_names(HELP, command)[1], argument) {
            ("h", _) => HELP.into(),
            ("rs", None) => {
                let mut lines = String::new();
                self.policy.relays.iter().for_each(|relay| lines.extend([relay, "\n"]));
                lines
            }
            ("rs", Some(list)) => {
                let relays = relays(list);
                if let Some(relays) = &relays {
                    self.policy.relays = relays.clone();
                }
                return ConsoleAnswer { text: String::new(), relays };
            }
            ("aur", None) => {
                format!("ALWAYS_USE_RELAY: {}\n", self.policy.always_relay)
            }
            ("aur", Some(word)) => {
                self.policy.always_relay = word == "Y";
                String::new()
            }
            ("tg", Some(initiator)) => {
                self.test_relay(initiator, more.unwrap_or(initiator)).unwrap_or_default()
            }
            ("ib", argument) => self.typed_address(now, argument, more),
            ("ic", argument) => self.typed_id(now, argument, more),
            ("pr", argument) => self.typed_dials(argument, more),
            _ => String::new(),
        };
        ConsoleAnswer { text, relays: None }
    }

    /// The relay that the two would be told, quoted.
    fn test_relay(&mut self, initiator: &str, target: &str) -> Option<String> {
        let (initiator, target) = (initiator.parse().ok()?, target.parse().ok()?);
        let turn = self.take_turn();
        let ends = Ends { initiator, target, target_web: false };
        Some(["\"", &self.policy.relay_for(ends, turn), "\""].concat())
    }

    /// Who asks to be registered, and how often. Who is forgotten may ask anew.
    fn typed_address(&mut self, now: Time, argument: Option<&str>, more: Option<&str>) -> String {
        let Some(journal) = &mut self.journal else { return String::new() };
        let ip: Option<IpAddr> = argument.and_then(|ip| ip.parse().ok()).map(canonical);
        let Some(ip) = ip else { return ADDRESSES.told(journal, now, Wanted::from(argument)) };
        if more == Some("-") {
            journal.forget(&|it, _| it == ip, |seen| seen.in_minute = 0);
            self.newcomers.forget(ip);
            return String::new();
        }
        ADDRESSES.told(journal, now, Wanted::One(&ip.to_string()))
    }

    /// Which devices were at several addresses of late.
    fn typed_id(&mut self, now: Time, argument: Option<&str>, more: Option<&str>) -> String {
        let Some(journal) = &mut self.journal else { return String::new() };
        match (Wanted::from(argument), more) {
            (Wanted::One(id), Some("-")) => {
                journal.forget(&|_, it| it.as_str() == id, |seen| seen.hits = 0);
                String::new()
            }
            (wanted, _) => CHANGES.told(journal, now, wanted),
        }
    }

    /// Who asked for whom.
    fn typed_dials(&mut self, argument: Option<&str>, more: Option<&str>) -> String {
        // Before the journal is borrowed.
        let start_secs = self.unix_secs(Time::START);
        let Some(journal) = &mut self.journal else { return String::new() };
        if argument == Some("-") {
            journal.forget_dialled();
            return String::new();
        }
        let number =
            |text: Option<&str>, usual| text.and_then(|text| text.parse().ok()).unwrap_or(usual);
        let mut text = String::new();
        let dialled = journal.dialled().get(number(argument, 0)..).unwrap_or_default();
        for it in dialled.iter().take(number(more, CONSOLE_LINES)) {
            let unix_secs = start_secs + it.at.as_millis() / 1000;
            let at = Utc { unix_secs }.in_one_word();
            let (from, target, target_ip) = (it.from, it.target.as_str(), it.target_ip);
            text += &format!("{at}Z {from} -> {target}@{target_ip}\n");
        }
        text
    }
}

/// The name and the short name of a command, which the help has as `name(short)`, by either; else
/// the word itself.
pub fn command_names<'a>(help: &'a str, word: &'a str) -> [&'a str; 2] {
    let named = |line: &'a str| {
        let (name, rest) = line.split_once('(')?;
        let names = [name, rest.split(')').next()?];
        names.contains(&word).then_some(names)
    };
    help.lines().find_map(named).unwrap_or([word, word])
}

/// Which lines of a list.
enum Wanted<'a> {
    /// From this number on.
    From(usize),
    /// That of this name, without the name.
    One(&'a str),
}

impl<'a> From<Option<&'a str>> for Wanted<'a> {
    fn from(argument: Option<&'a str>) -> Self {
        match argument.map(|text| (text, text.parse())) {
            None => Self::From(0),
            Some((_, Ok(number))) if number <= NUMBER_MAX => Self::From(number),
            Some((text, _)) => Self::One(text),
        }
    }
}

impl Listing {
    /// How many lines there are, and those that are wanted.
    fn told(&self, journal: &Journal, now: Time, wanted: Wanted<'_>) -> String {
        let mut rows = journal.rows(now, self.ms);
        rows.retain(|row| !(self.is_forgotten)(row));
        rows.sort_unstable_by(self.order);
        let is_line = |group: &&[Row<'_>]| group.len() >= self.least;
        let lines = rows.chunk_by(|one, other| (self.order)(one, other).is_eq()).filter(is_line);
        let (mut text, mut number, mut left) = (String::new(), 0, CONSOLE_LINES);
        for line in lines {
            let name = line.first().map(self.name).unwrap_or_default();
            let is_wanted = match wanted {
                Wanted::From(start) => number >= start && left > 0,
                Wanted::One(one) => name == one,
            };
            number += 1;
            if !is_wanted {
                continue;
            }
            left -= 1;
            if matches!(wanted, Wanted::From(_)) {
                text.extend([&name, ": "]);
            }
            text.extend([&(self.text)(line, now), "\n"]);
        }
        format!("{number}\n{text}")
    }
}

/// Seconds since the last of them.
fn age(rows: &[Row<'_>], now: Time) -> u64 {
    let last = rows.iter().map(|row| row.seen.last).max().unwrap_or(now);
    now.since_ms(last) / 1000
}

/// Requests of the last minute and ids of the last day, each with how long ago the last was.
fn asked(rows: &[Row<'_>], now: Time) -> String {
    let age = age(rows, now);
    let lately: u32 = rows.iter().fold(0, |sum, row| sum.saturating_add(row.seen.lately(now)));
    format!("{lately}/{age}s {}/{age}s", rows.len())
}

/// The addresses of an id, with how often it was at each.
fn addresses(rows: &[Row<'_>], now: Time) -> String {
    let (mut text, mut between) = (format!("{}s {{", age(rows, now)), "");
    for row in rows {
        text += &format!("{between}\"{}\": {}", row.ip, row.seen.hits);
        between = ", ";
    }
    text + "}"
}
