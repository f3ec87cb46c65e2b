//! `rules`: says what is wrong with the rules, or what they decide of two devices, by which line.
//! It asks no server. Checks: C183, tests/rules.rs.

use core::net::IpAddr;

use super::exit::{Exit, print};
use crate::cli::{RulesFlags, ServeFlags};
use crate::net::clock::{is_set, unix_secs};
use crate::settings::{self, RulesFile};
use hbb_core::base::peer::PeerId;
use hbb_core::rules::{At, Decision, Dial, Local, Only, PERMISSIONS, Rules, Terms};

/// `hbb rules`.
#[inline(never)]
pub(super) fn run(flags: &RulesFlags) -> Result<(), Exit> {
    let named = ServeFlags {
        rules: flags.rules.clone(),
        data: flags.data.clone(),
        flags: flags.flags.clone(),
        ..ServeFlags::default()
    };
    let config = settings::read(&named).map_err(Exit::flags)?;
    let file = RulesFile::read(&config).map_err(|faults| Exit::flags(faults.join("\n")))?;
    let words: Vec<&str> = flags.words.iter().map(String::as_str).collect();
    match *words {
        ["check"] => print(&file.summary()),
        ["test", from, to] => print(&test(&file, flags, [from, to])?),
        _ => Err(Exit::flags("rules: must be 'rules check' or 'rules test FROM TO'")),
    }
}

/// One who asks or is asked for, as it is typed.
struct Side {
    id: Option<PeerId>,
    ip: Option<IpAddr>,
}

impl Side {
    fn parse(text: &str) -> Result<Self, Exit> {
        let (id, ip) = match (text.parse(), text.split_once('@')) {
            (Ok(ip), _) => (None, Some(ip)),
            (Err(_), Some((id, ip))) => (PeerId::new(id), ip.parse().ok()),
            (Err(_), None) => (PeerId::new(text), None),
        };
        let complete = !text.contains('@') || (id.is_some() && ip.is_some());
        if !complete || (id.is_none() && ip.is_none()) {
            let said = ["'", text, "': must be an ID, an address or ID@ADDRESS"].concat();
            return Err(Exit::flags(said));
        }
        Ok(Self { id, ip: ip.map(|ip: IpAddr| ip.to_canonical()) })
    }
}

fn test(file: &RulesFile, flags: &RulesFlags, sides: [&str; 2]) -> Result<String, Exit> {
    let [from, to] = sides.map(Side::parse);
    let (from, to) = (from?, to?);
    let Some(id) = to.id else {
        return Err(Exit::flags("TO must be an ID, or ID@ADDRESS where rules name networks"));
    };
    let at = match &flags.at {
        None => At::Unix(Some(unix_secs()).filter(|now| is_set(*now)).unwrap_or(0)),
        Some(text) => At::Local(Local::parse(text).ok_or_else(|| {
            Exit::flags(["--at '", text, "': must be a time such as 'Mon 14:00'"].concat())
        })?),
    };
    let is_there = |id: &PeerId| from.id.as_ref() == Some(id);
    let user = flags.user.as_deref();
    let dial = Dial { from: from.ip, user, to: &id, to_ip: to.ip, at, is_there: &is_there };
    let decision = file.rules.decide(&dial);
    Ok([time(&file.rules, at), line(file, &decision), outcome(&decision)].concat())
}

/// Which time it is where the rules hold.
fn time(rules: &Rules, at: At) -> String {
    let Some((day, [hour, minute])) = rules.local(at).map(Local::words) else {
        return "time     not known: the clock is not set\n".into();
    };
    format!("time     {day} {hour:02}:{minute:02}\n")
}

fn line(file: &RulesFile, decision: &Decision<'_>) -> String {
    match decision.line {
        None => "rule     none fits, so it is allowed\n".into(),
        Some(number) => format!("line     {number}: {}\n", file.line(number)),
    }
}

fn outcome(decision: &Decision<'_>) -> String {
    let Terms { only, permissions } = match decision.outcome {
        Err(said) => return ["refused  ", said, "\n"].concat(),
        Ok(terms) => terms,
    };
    let path = match only {
        Only::Any => "directly or through the relay",
        Only::Direct => "directly only",
        Only::Relay => "through the relay only",
    };
    let mut text = ["allowed  ", path, "\n"].concat();
    for (label, value) in [("without  ", 1), ("with     ", 2)] {
        let mut index = 0;
        let names = PERMISSIONS.iter().filter(|_| {
            index += 2;
            permissions >> (index - 2) & 3 == value
        });
        let names: Vec<&str> = names.copied().collect();
        if !names.is_empty() {
            text.push_str(&[label, &names.join(" "), "; Android targets ignore it\n"].concat());
        }
    }
    text
}
