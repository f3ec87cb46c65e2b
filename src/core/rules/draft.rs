//! The text of the rules, line by line: what is wrong is named with its line and what is allowed.
//! All of it counts or nothing does, as a line that is left out is somebody who is let in.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::base::limits::{
    RULE_GROUPS_MAX, RULE_MEMBERS_MAX, RULES_BYTES_MAX, RULES_MAX, SAY_BYTES_MAX,
};

use super::when::When;
use super::who::{Members, Naming, Place};
use super::zone::Zone;
use super::{Only, Rule, Rules, Terms, permissions};

/// Sentences about what is wrong; there may be more.
const FAULTS_MAX: usize = 100;

const LINE: &str = "a line begins with allow, deny, group, tag or zone";
const NAMED: &str = "must be NAME = MEMBER MEMBER..., the name of letters, digits, - and _";
const WORD: &str = "must be from=, to=, days=, hours=, only=direct, only=relay, view-only, \
                    say=\"...\" or a permission such as keyboard=no";
const DAYS: &str = "must be days such as Mon-Fri,Sun";
const HOURS: &str = "must be hours such as 08:00-12:00,13:00-17:30";
const SAY: &str = "must be a sentence between double quotes, 1 to 200 bytes";
const ZONE: &str = "must be UTC, an offset such as +01:00, or as in the variable TZ: \
                    CET-1CEST,M3.5.0,M10.5.0/3; OpenWrt has it in /etc/TZ";

/// See [`Rules::parse`].
pub(super) fn parse(text: &str) -> Result<Rules, Vec<String>> {
    if text.len() > RULES_BYTES_MAX {
        return Err(vec![format!("more than {RULES_BYTES_MAX} bytes; name larger networks")]);
    }
    let mut draft = Draft::default();
    // Groups first: rules may stand above them.
    for is_group in [true, false] {
        for (line, number) in lines(text) {
            let words = words(line);
            let first = words.first().copied().unwrap_or_default();
            if is_group == matches!(first, "group" | "tag") {
                draft.note(number, |draft| draft.line(&words, number));
            }
        }
    }
    if draft.faults.is_empty() {
        return Ok(draft.rules);
    }
    let mut faults = Vec::with_capacity(draft.faults.len());
    for (number, said) in &draft.faults {
        faults.push(format!("line {number} {said}"));
    }
    Err(faults)
}

/// The lines that say something, each with its number.
fn lines(text: &str) -> impl Iterator<Item = (&str, u32)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = text.lines().map(str::trim).zip(1..);
    numbered.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
}

/// Cuts a line at its blanks, but for those between double quotes.
fn words(line: &str) -> Vec<&str> {
    let (mut words, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let mut quoted = false;
        let is_end = |c: char| {
            quoted ^= c == '"';
            c.is_whitespace() && !quoted
        };
        let end = rest.find(is_end).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        words.push(word);
        rest = behind.trim_start();
    }
    words
}

#[derive(Default)]
struct Draft<'a> {
    rules: Rules,
    /// `group:office`, in the order of the groups in `rules`.
    names: Vec<String>,
    members: usize,
    zone_line: Option<u32>,
    faults: Vec<(u32, String)>,
    seen: Vec<&'a str>,
}

impl<'a> Draft<'a> {
    fn note(&mut self, number: u32, act: impl FnOnce(&mut Self) -> Result<(), String>) {
        if self.faults.len() < FAULTS_MAX
            && let Err(said) = act(self)
        {
            let at = self.faults.partition_point(|(before, _)| *before < number);
            self.faults.insert(at, (number, said));
        }
    }

    fn line(&mut self, words: &[&'a str], number: u32) -> Result<(), String> {
        match *words {
            ["group" | "tag", ref rest @ ..] => self.group(words, rest),
            ["zone", zone] if self.zone_line.is_none() => {
                self.zone_line = Some(number);
                self.rules.zone = Zone::parse(zone).ok_or_else(|| refusal(zone, ZONE))?;
                Ok(())
            }
            ["zone", zone] => Err(refusal(zone, "there is a line for that already")),
            ["zone", ..] => Err(["'zone': ", ZONE].concat()),
            [verb @ ("allow" | "deny"), ref rest @ ..] => self.rule(verb == "allow", rest, number),
            [first, ..] => Err(refusal(first, LINE)),
            [] => Ok(()),
        }
    }

    /// `group office = 123456789 10.0.0.0/8`, also without the sign.
    fn group(&mut self, words: &[&str], rest: &[&str]) -> Result<(), String> {
        let kind = words.first().copied().unwrap_or_default();
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let (name, members) = match *rest {
            [name, "=", ref members @ ..] => (name, members),
            [name, ref members @ ..] => (name, members),
            [] => return Err(["'", kind, "': ", NAMED].concat()),
        };
        if members.is_empty() || !name.chars().all(is_name) {
            return Err(refusal(name, NAMED));
        }
        let full = [kind, ":", name].concat();
        if self.names.contains(&full) {
            return Err(refusal(name, "there is a line for that already; put all into one"));
        }
        if self.names.len() >= RULE_GROUPS_MAX {
            return Err(format!("at most {RULE_GROUPS_MAX} groups and tags"));
        }
        let place = if kind == "tag" { Place::Tag } else { Place::Group };
        let members = self.members(members, place)?;
        self.rules.groups.push(members);
        self.names.push(full);
        Ok(())
    }

    fn members(&mut self, words: &[&str], place: Place) -> Result<Members, String> {
        let mut naming = Naming::default();
        for word in words {
            naming.add(word, place, &self.names)?;
        }
        self.members += naming.len();
        if self.members > RULE_MEMBERS_MAX {
            return Err(format!("at most {RULE_MEMBERS_MAX} members in all; name networks"));
        }
        let members = naming.done();
        let vague = members.vague_groups(&self.rules.groups);
        if place == Place::From && vague != 0 {
            let at = usize::try_from(vague.trailing_zeros()).unwrap_or(0);
            let name = self.names.get(at).map_or("", |name| name);
            return Err(refusal(name, "has how ids begin; of who asks only whole ids are known"));
        }
        Ok(members)
    }

    fn rule(&mut self, allows: bool, words: &[&'a str], line: u32) -> Result<(), String> {
        if self.rules.rules.len() >= RULES_MAX {
            return Err(format!("at most {RULES_MAX} rules"));
        }
        let mut rule = Rule {
            line,
            allows,
            from: Members::everybody(),
            to: Members::everybody(),
            when: When::always(),
            terms: Terms::default(),
            say: None,
        };
        self.seen.clear();
        for word in words {
            let name = word.split('=').next().unwrap_or_default();
            if self.seen.contains(&name) {
                return Err(refusal(name, "stands there twice"));
            }
            self.seen.push(name);
            self.word(&mut rule, word)?;
        }
        if !allows && rule.terms != Terms::default() {
            return Err("what is denied has no path and no permissions".into());
        }
        self.rules.rules.push(rule);
        Ok(())
    }

    fn word(&mut self, rule: &mut Rule, word: &str) -> Result<(), String> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value),
            None if word == "view-only" => {
                rule.terms.permissions = permissions::view_only(rule.terms.permissions);
                return Ok(());
            }
            None => return Err(refusal(word, WORD)),
        };
        match (name, value) {
            ("from", _) => rule.from = self.members(&listed(value), Place::From)?,
            ("to", _) => rule.to = self.members(&listed(value), Place::To)?,
            ("days", _) => rule.when.set_days(value).ok_or_else(|| refusal(word, DAYS))?,
            ("hours", _) => rule.when.set_hours(value).ok_or_else(|| refusal(word, HOURS))?,
            ("only", "direct") => rule.terms.only = Only::Direct,
            ("only", "relay") => rule.terms.only = Only::Relay,
            ("say", _) => {
                rule.say = Some(sentence(value).ok_or_else(|| refusal(word, SAY))?.into())
            }
            (name, "yes" | "no") => {
                let set = permissions::set(rule.terms.permissions, name, value == "yes");
                rule.terms.permissions = set.ok_or_else(|| refusal(word, WORD))?;
            }
            _ => return Err(refusal(word, WORD)),
        }
        Ok(())
    }
}

/// What stands between commas.
fn listed(value: &str) -> Vec<&str> {
    value.split(',').collect()
}

/// What stands between the quotes.
fn sentence(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    let plain = !text.chars().any(|c| c == '"' || c.is_control());
    (plain && (1..=SAY_BYTES_MAX).contains(&text.len())).then_some(text)
}

fn refusal(word: &str, why: &str) -> String {
    ["'", word, "': ", why].concat()
}
