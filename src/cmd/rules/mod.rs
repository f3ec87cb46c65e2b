//! `rules`: says what is wrong with the rules, or what they decide of two devices, by which line.
//! It asks no server. Checks: C183, tests/rules.rs.

use super::config_of;
use super::exit::{Exit, print};
use crate::cli::RulesFlags;
use crate::net::clock::{is_set, unix_secs};
use crate::settings::{RulesFile, RulesQuestion};

/// Rules name groups of accounts, and none was given.
const NO_GROUPS: &str = "groups   none: give --user-group and --to-group, or ask the server, which \
                         knows them: 'hbb ctl rule test'\n";

/// `hbb rules`.
#[inline(never)]
pub(super) fn run(flags: &RulesFlags) -> Result<(), Exit> {
    let mut config = config_of(flags.data.as_deref(), flags.flags.as_deref(), None)?;
    if let Some(file) = &flags.rules {
        config.rules = Some(file.into());
    }
    if flags.rules.as_deref() == Some("") {
        return Err(Exit::flags("--rules '': must be a file"));
    }
    let file = RulesFile::read(&config).map_err(|faults| Exit::flags(faults.join("\n")))?;
    let words: Vec<&str> = flags.words.iter().map(String::as_str).collect();
    match *words {
        ["check"] => print(&file.summary()),
        ["test", from, to] => {
            let question = RulesQuestion {
                sides: [from, to],
                user: flags.user.as_deref(),
                user_group: flags.user_group.as_deref().unwrap_or_default(),
                to_group: flags.to_group.as_deref().unwrap_or_default(),
                at: flags.at.as_deref(),
                now: Some(unix_secs()).filter(|now| is_set(*now)).unwrap_or(0),
            };
            let told = file.test(&question).map_err(Exit::flags)?;
            let is_blind = file.rules.name_accounts(false)
                && question.user_group.is_empty()
                && question.to_group.is_empty();
            print(&[if is_blind { NO_GROUPS } else { "" }, &told].concat())
        }
        _ => Err(Exit::flags("rules: must be 'rules check' or 'rules test FROM TO'")),
    }
}
