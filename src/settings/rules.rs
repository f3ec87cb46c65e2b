//! The file of rules: who may dial whom. It counts whole or not at all, as a line that is left out
//! is somebody who is let in. Checks: C183 in tests/conformance, tests/rules.rs.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hbb_core::base::address::Banned;
use hbb_core::base::limits::RULES_BYTES_MAX;
use hbb_core::base::peer::PeerId;
use hbb_core::rules::{At, Decision, Dial, Local, Only, PERMISSIONS, Rules, Terms};

use log::warn;

use crate::config::Config;
use crate::file::read_text;

/// The rules in the data directory, if no other file is named.
const RULES_FILE: &str = "rules.conf";

/// The rules with their text.
pub struct RulesFile {
    /// What it says; no rules if there is no file.
    pub rules: Rules,
    path: PathBuf,
    text: Option<String>,
}

impl RulesFile {
    /// Reads the file that the settings name, or the one in the data directory, if there is one.
    ///
    /// # Errors
    /// What is wrong, naming file and line: at most 100 texts.
    pub fn read(config: &Config) -> Result<Self, Vec<String>> {
        let usual = config.data.join(RULES_FILE);
        let path = config.rules.clone().unwrap_or(usual);
        let name = path.display();
        let text = match read_text(&path, RULES_BYTES_MAX as u64) {
            // A link that leads nowhere is no empty file: its disk may not be mounted.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && config.rules.is_none()
                    && path.symlink_metadata().is_err() =>
            {
                return Ok(Self { rules: Rules::default(), path, text: None });
            }
            text => text.map_err(|cause| vec![format!("Cannot read {name}: {cause}")])?,
        };
        match Rules::parse(&text) {
            Ok(rules) => Ok(Self { rules, path, text: Some(text) }),
            Err(mut faults) => {
                let name = name.to_string();
                for fault in &mut faults {
                    *fault = [&name, " ", fault].concat();
                }
                Err(faults)
            }
        }
    }

    /// The same for a server: None where nothing is to be asked.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(super) fn in_force(config: &Config) -> Result<Option<Arc<Rules>>, Vec<String>> {
        let file = Self::read(config)?;
        if let Some(doubt) = file.doubt(config) {
            warn!("setting-doubtful count=1 help='hbb check' cause='{doubt}'");
        }
        Ok((!file.rules.is_empty()).then(|| Arc::new(file.rules)))
    }

    /// What can hardly be meant of them beside these settings.
    pub fn doubt(&self, config: &Config) -> Option<String> {
        let is_blind = self.rules.name_accounts(true) && !config.accounts.on;
        let path = || self.path.display().to_string();
        is_blind.then(|| {
            [&path(), " names users or groups, and without --accounts nobody is one"].concat()
        })
    }

    /// What there is, in a line.
    pub fn summary(&self) -> String {
        let path = self.path.display();
        match self.rules.len() {
            _ if self.text.is_none() => format!("There is no {path}: everybody may dial.\n"),
            1 => format!("{path} is well, with 1 rule.\n"),
            many => format!("{path} is well, with {many} rules.\n"),
        }
    }

    /// The line of that number, from 1.
    pub fn line(&self, number: u32) -> &str {
        let before = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        self.text.as_deref().and_then(|text| text.lines().nth(before)).unwrap_or_default().trim()
    }

    /// The whole text; None if there is no file.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// What they decide, and which line does.
    ///
    /// # Errors
    /// Which word of the question is wrong.
    pub fn test(&self, question: &RulesQuestion<'_>) -> Result<String, String> {
        let [from, to] = question.sides;
        let (from, to) = (Side::parse(from)?, Side::parse(to)?);
        let id = to.id.ok_or("TO must be an ID, or ID@ADDRESS where rules name networks")?;
        let at = match question.at {
            None => At::Unix(question.now),
            Some(text) => At::Local(Local::parse(text).ok_or_else(|| {
                ["--at '", text, "': must be a time such as 'Mon 14:00'"].concat()
            })?),
        };
        let is_there = |id: &PeerId| from.id.as_ref() == Some(id);
        let (user, to_ip) = (question.user, to.ip);
        let &RulesQuestion { user_group, to_group, .. } = question;
        let from = from.ip;
        let to = &id;
        let dial = Dial { from, user, user_group, to, to_group, to_ip, at, is_there: &is_there };
        let decision = self.rules.decide(&dial);
        let groups = groups(question);
        Ok([groups, time(&self.rules, at), line(self, &decision), outcome(&decision)].concat())
    }
}

/// What somebody wants to know of the rules.
pub struct RulesQuestion<'a> {
    /// Who asks, and who is asked for.
    pub sides: [&'a str; 2],
    /// Who is logged in there.
    pub user: Option<&'a str>,
    /// That user's group; empty for none.
    pub user_group: &'a str,
    /// The group of the device that is asked for; empty for none.
    pub to_group: &'a str,
    /// A time of the week; now if not given.
    pub at: Option<&'a str>,
    /// Unix time in seconds; 0 while the clock is not set.
    pub now: u64,
}

/// One who asks or is asked for, as it is typed.
struct Side {
    id: Option<PeerId>,
    ip: Option<IpAddr>,
}

impl Side {
    fn parse(text: &str) -> Result<Self, String> {
        let (id, ip) = match (text.parse(), text.split_once('@')) {
            (Ok(ip), _) => (None, Some(ip)),
            (Err(_), Some((id, ip))) => (Banned::id(id), ip.parse().ok()),
            (Err(_), None) => (Banned::id(text), None),
        };
        let complete = !text.contains('@') || (id.is_some() && ip.is_some());
        if !complete || (id.is_none() && ip.is_none()) {
            return Err(["'", text, "': must be an ID, an address or ID@ADDRESS"].concat());
        }
        Ok(Self { id, ip: ip.map(|ip: IpAddr| ip.to_canonical()) })
    }
}

/// Which groups of accounts were asked of.
fn groups(question: &RulesQuestion<'_>) -> String {
    let mut text = String::new();
    for (side, group) in [(" from @", question.user_group), (" to @", question.to_group)] {
        if !group.is_empty() {
            text.push_str(&[side, group].concat());
        }
    }
    if text.is_empty() { text } else { ["groups  ", &text, "\n"].concat() }
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
        let mut names = String::new();
        for (index, name) in PERMISSIONS.iter().enumerate() {
            if permissions >> (2 * index) & 3 == value {
                names.push_str(&[name, " "].concat());
            }
        }
        if !names.is_empty() {
            let names = names.trim_end();
            text.push_str(&[label, names, "; Android targets ignore it\n"].concat());
        }
    }
    text
}
